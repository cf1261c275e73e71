"""From a path to a `Listing`: the order of work."""

from __future__ import annotations

from array import array
from math import inf
from typing import TYPE_CHECKING, BinaryIO

from batch.errors import Detail, InputError
from batch.formatting import counted, uncell
from batch.input.earlier_results import LATER, EarlierResults, refuse_leftovers
from batch.input.file import Tab, Tables, open_tables
from batch.input.header import Layout, find_layout
from batch.input.identifiers import (
    ID,
    KEY,
    KINDS,
    Ids,
    Keys,
    Kind,
    simplified,
)
from batch.input.invalid_rows import refuse_invalid
from batch.input.messages import shown, shown_columns, shown_rows
from batch.input.selection import Selection
from batch.input.table import NOT_COMPUTED, NotText, in_digits, refuse_hidden
from batch.model import UNFINISHED, Condition, Listing, Property

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from batch.input.table import Block, Row, Table


_OUTCOMES = {Property.REVOKED: UNFINISHED}


def read_listing(
    path: str,
    *,
    by: str = "id",
    column: str | None = None,
    sheet: str | None = None,
    carry: Sequence[str] = (),
    where: Sequence[Condition] = (),
    skip_invalid: bool = False,
    include_hidden: bool = False,
    header_row: int | None = None,
    outcomes: Mapping[Property, Collection[str]] = _OUTCOMES,
    suspended_before: float | None = None,
    stdin: BinaryIO | None = None,
) -> Listing:
    """Read the whole input and check it.

    Args:
        path: A text file or a workbook, or ``-`` for CSV on standard input.
        by: What the licenses are listed by: ``id`` or ``key``.
        column: Header of the column of IDs or keys as written, else its number, counted from 1;
            None for the one that is named like such a column, or the only one.
        sheet: Name of a worksheet, else its number, counted from 1; None for the first
            visible one.
        carry: Headers of columns to copy into the results; in a file without a header their
            numbers, counted from 1.
        where: Conditions that all hold in the rows that are meant; the others are not checked.
        skip_invalid: Keep cells that hold no ID or key as `Listing.invalid` instead of refusing.
        include_hidden: Take hidden and filtered rows, and cells that a merge covers, like any other
            instead of refusing.
        header_row: Number of the header's row; rows above it are left out. 0 if there is no
            header; None to find it.
        outcomes: Which rows to take if the input is the results file of an earlier run, by the
            property that this run was about.
        suspended_before: Take only rows of a suspension that were settled before this moment, in
            seconds since 1970; None for any.
        stdin: Where standard input is read from, if not from the process's own.

    Raises:
        InputError: The input cannot be read as a whole, or does not say which licenses are
            meant. Nothing of it can be used.
    """
    kind = KINDS[by]
    with open_tables(path, stdin=stdin) as tables:
        chosen = tables.choose(sheet)
        table = tables.read(chosen)
        if not include_hidden:
            refuse_hidden(table, _HIDDEN)
        if not table.head:
            raise InputError(f"{table.title} is empty.", hint="is this the right file?")
        layout = find_layout(table.title, table.head, kind, column, carry, header_row)
        earlier = _earlier(table.title, kind, layout, outcomes, suspended_before)
        selection = _selection(table.title, layout, where)
        collector = Collector(table.title, layout, kind.names(), earlier, selection)
        covered = _collect(table, kind, layout, collector)
        if covered and not include_hidden:
            raise _covered(table.title, covered, kind)
        if sheet is None:
            refuse_other_sheets(tables, chosen, kind, layout)
    left_out, suspended_at = (earlier.left_out, earlier.suspended_at) if earlier else ({}, None)
    refuse_invalid(table, collector, kind, layout, skip_invalid=skip_invalid)
    _refuse_nothing(table.title, collector, kind, left_out)
    listing = _listing(table, layout, collector, tuple(carry), left_out)
    listing.suspended_at = suspended_at
    listing.next_at = earlier.next_at if earlier else inf
    return listing


def _earlier(
    title: str,
    kind: Kind,
    layout: Layout,
    outcomes: Mapping[Property, Collection[str]],
    suspended_before: float | None,
) -> EarlierResults | None:
    """The rule that picks rows of an earlier run's results; None if the input is none.

    Raises:
        InputError: Nothing is taken of them; or the age of a suspension was asked for where there
            is none.
    """
    earlier = None
    if layout.results is not None:
        earlier = EarlierResults(title, kind, layout.results, outcomes, suspended_before)
    if suspended_before is not None and (earlier is None or earlier.suspended_at is None):
        raise InputError(
            f"{title}: these are no results of bulk-revoke suspend.",
            hint="--older-than has a meaning for them alone: leave it out.",
        )
    return earlier


def _collect(table: Table, kind: Kind, layout: Layout, collector: Collector) -> list[int]:
    """Take all rows of a table; the numbers of those whose ID or key a merge covers."""
    covered: list[int] = []
    for block in _as_wide_as(kind, layout, table):
        _refuse_not_computed(table.title, block, layout, collector.selection)
        covered += _covered_rows(table, block, layout)
        collector.add(block)
    return covered


def _listing(
    table: Table,
    layout: Layout,
    collector: Collector,
    carry: tuple[str, ...],
    left_out: dict[str, int],
) -> Listing:
    """Make the listing of what was collected.

    Raises:
        InputError: A license is selected by one row and not by another.
    """
    unread = collector.invalid | collector.passed_over
    listing = Listing(
        title=f"{table.title}, {_described(layout, collector.names)}",
        rows=collector.rows,
        ids=collector.names.ids(),
        keys=collector.names.keys(),
        first=collector.names.first(unread.keys()),
        invalid=unread,
        carry=carry,
        carried=collector.carried,
        keys_beside=collector.keys_beside if any(collector.keys_beside) else [],
        header=layout.header[layout.column] if layout.header else "",
        blank=collector.blank,
        left_out=left_out,
        warnings=table.warnings,
        sha256=table.sha256,
    )
    if (selection := collector.selection) is not None:
        selection.refuse_divided(listing.rows, listing.first, listing.named)
        listing.where, listing.unselected = selection.where, bytes(selection.unselected)
    return listing


def _selection(title: str, layout: Layout, where: Sequence[Condition]) -> Selection | None:
    if not where:
        return None
    in_results = layout.results is not None
    return Selection(title, where, layout.header, layout.width, in_results=in_results)


def _described(layout: Layout, names: Ids | Keys) -> str:
    """Describe what was taken: column, header, and anything that one might not expect."""
    notes = [f"header in row {layout.first_row}" if layout.header else "no header"]
    if layout.above:
        verb = "is" if layout.above == 1 else "are"
        notes.append(f"{counted(layout.above, 'row')} above it {verb} left out")
    if names.wrapped:
        verb = "was" if names.wrapped == 1 else "were"
        notes.append(f"{counted(names.wrapped, 'ID')} {verb} in braces, a URN or a link")
    name = shown(layout.header[layout.column].strip()) if layout.header else ""
    column = f'column "{name}"' if name else f"column {layout.column + 1}"
    return f"{column} ({'; '.join(notes)})"


def _as_wide_as(kind: Kind, layout: Layout, table: Table) -> Iterator[Block]:
    """The blocks of a table from the header on, while no row has content beyond its cells."""
    for whole in table.blocks:
        block = whole.since(layout.first_row)
        for column in block.columns[layout.width :]:
            if not any(column):
                continue
            index = next((i for i, cell in enumerate(column) if cell.strip()), None)
            if index is not None:
                _refuse_width(kind, layout, table, block, index)
        yield block


def _refuse_width(kind: Kind, layout: Layout, table: Table, block: Block, index: int) -> None:
    rows = [row for row in table.head if row.number >= layout.first_row]
    if layout.header and _has_row_names(kind, layout, layout.header, rows[1:]):
        quotes = "; if a cell holds the delimiter, put it in quotes" if kind is KEY else ""
        raise InputError(
            f"{table.title}: every row has one cell more than the header (row"
            f" {layout.first_row}), so its cells stand below the wrong names. Are these row names,"
            " as R writes them?",
            details=[
                Detail("The header: ", shown_columns(layout.header)),
                Detail(f"Row {rows[1].number}: ", shown_columns(rows[1].cells)),
            ],
            hint="write the table without them (R: row.names=FALSE), or put a name for them, such"
            f" as row, in front of the header{quotes}.",
        )
    cells = [column[index] for column in block.columns]
    while not cells[-1].strip():
        cells.pop()
    above = "header" if layout.header else "first row"
    remedy = "put a cell that holds the delimiter in quotes"
    number = block.row + index
    if layout.width == 1 and not any(map(kind.is_plain, rows[0].cells)):
        remedy += (
            f"; if row {layout.first_row} is a title, say --header-row {number} if row {number} is"
            " the header, and delete the title if there is none"
        )
    raise InputError(
        f"{table.title}, row {number}: {counted(len(cells), 'cell')}, but the {above}"
        f" (row {layout.first_row}) has {layout.width}.",
        details=[Detail("The first one too many: ", shown(cells[layout.width]))],
        hint=f"{remedy}.",
    )


def _has_row_names(kind: Kind, layout: Layout, header: Sequence[str], rows: Sequence[Row]) -> bool:
    """Tell whether all rows have a cell in front of those that the header names."""
    if not rows or layout.column >= layout.width:
        return False
    if layout.width == 1 and not kind.is_header(header[0]):
        return False  # a title rather than a header
    return all(
        len(row.cells) == layout.width + 1
        and (kind is KEY or kind.is_plain(row.cells[layout.column + 1]))
        for row in rows
    )


def _covered_rows(table: Table, block: Block, layout: Layout) -> list[int]:
    """Numbers of the rows whose ID or key stands in a cell that a merge covers."""
    cells = block.columns[layout.column]
    first = max(block.row, layout.first_row + (1 if layout.header else 0))
    return [
        row
        for area in table.covered
        if layout.column in area.columns
        for row in range(max(first, area.rows.start), min(block.row + len(block), area.rows.stop))
        if cells[row - block.row].strip()
    ]


def _covered(title: str, rows: list[int], kind: Kind) -> InputError:
    return InputError(
        f"{title}: {counted(len(rows), f'license {kind.name}')}"
        f" {'stands' if len(rows) == 1 else 'stand'} in cells that a merge covers, where nobody"
        f" sees {'it' if len(rows) == 1 else 'them'}: row {shown_rows(sorted(rows))}.",
        hint="undo the merge, or take them too with --include-hidden.",
    )


def _refuse_not_computed(
    title: str, block: Block, layout: Layout, selection: Selection | None
) -> None:
    """Refuse a formula without its result in a column that is used."""
    used = [layout.column, *layout.carried, *(layout.results or {}).values()]
    for column in used + (selection.places if selection else []):
        cells = block.columns[column]
        if NOT_COMPUTED in cells:
            raise InputError(
                f"{title}, row {block.row + cells.index(NOT_COMPUTED)}: {NOT_COMPUTED.kind}.",
                hint="open and save the file in a spreadsheet program, which computes it.",
            )


def _refuse_nothing(title: str, collector: Collector, kind: Kind, left_out: dict[str, int]) -> None:
    if collector.selection is not None and collector.rows:
        collector.selection.refuse_none(left_out)
    if collector.rows or LATER in left_out:  # a night too early is no fault
        return
    if left_out:
        counts = " · ".join(f"{outcome} {number:,}" for outcome, number in left_out.items())
        raise InputError(
            f"{title}: no row of this results file is to be taken: {counts}.",
            hint="they are done, as far as that run knows: bulk-revoke verify tells what has become"
            " of them since. To do it again, such as after a restore, name the list itself.",
        )
    raise InputError(f"{title}: not a single {kind.noun}.", hint="is this the right file?")


_HIDDEN = (
    "show or delete them, or take them too with --include-hidden; with --where COLUMN=VALUE beside"
    " it only the rows that match are taken."
)
"""What to do about rows that nobody may have seen."""


class Collector:
    """Takes the rows of a table block by block.

    Args:
        title: The input, for messages.
        layout: Where its columns stand.
        names: Takes the cells with the IDs or keys.
        earlier: Says which rows are taken, if the input is the results of an earlier run.
        selection: Says which of these are meant, if not all are.

    Attributes:
        rows: Row number of each entry.
        names: ID or key of each entry.
        selection: As given.
        invalid: Entry to the text of its cell, for cells that hold no such name.
        passed_over: The same for rows that are not meant, and so may hold anything.
        carried: Cells of the carried columns for each entry, if any are carried.
        keys_beside: For each entry the text beside its ID in a column of keys, if there is one.
        blank: Rows without content.
    """

    def __init__(
        self,
        title: str,
        layout: Layout,
        names: Ids | Keys,
        earlier: EarlierResults | None,
        selection: Selection | None = None,
    ) -> None:
        self._title = title
        self._layout = layout
        self._earlier = earlier
        self._first_data = layout.first_row + (1 if layout.header else 0)
        self.rows = array("I")
        self.names = names
        self.selection = selection
        self.invalid: dict[int, str] = {}
        self.passed_over: dict[int, str] = {}
        self.carried: list[tuple[str, ...]] = []
        self.keys_beside: list[str] = []
        self.blank = layout.first_row - 1 - layout.above

    @property
    def meant(self) -> int:
        """Entries that are meant, whatever they hold."""
        return self.selection.unselected.count(0) if self.selection else len(self.rows)

    def add(self, block: Block) -> None:
        """Take the rows of the next block, as far as they hold data."""
        block = block.since(self._first_data)
        cells = block.columns[self._layout.column]
        if self._earlier is None:
            refuse_leftovers(self._title, block, self._layout.column)
        if self._earlier or not self.names.add_all(cells):
            for index, cell in enumerate(cells):
                self._add_row(block, index, cell)
            return
        self.rows.extend(range(block.row, block.row + len(block)))
        if self.selection is not None:
            for row in zip(*block.columns, strict=True):
                self.selection.add(row)
        if self._layout.carried:
            columns = (map(in_digits, block.columns[column]) for column in self._layout.carried)
            self.carried.extend(zip(*columns, strict=True))
        if self._layout.key_beside is not None:
            self.keys_beside.extend(map(_key_of, block.columns[self._layout.key_beside]))

    def _add_row(self, block: Block, index: int, cell: str) -> None:
        if not cell.strip() and not any(column[index].strip() for column in block.columns):
            self.blank += 1
            return
        if self._earlier and not self._earlier.takes(block, index):
            return
        text = uncell(cell) if self._earlier else cell
        is_meant = self.selection is None or self.selection.add(
            [column[index] for column in block.columns]
        )
        if not self.names.add(text):
            (self.invalid if is_meant else self.passed_over)[len(self.rows)] = text
        self.rows.append(block.row + index)
        if self._layout.carried:
            carried = (in_digits(block.columns[column][index]) for column in self._layout.carried)
            self.carried.append(tuple(uncell(c) if self._earlier else c for c in carried))
        if self._layout.key_beside is not None:
            self.keys_beside.append(_key_of(block.columns[self._layout.key_beside][index]))


def _key_of(cell: str) -> str:
    """The key that stands beside an ID; empty where a spreadsheet has made something else of it."""
    return "" if isinstance(cell, NotText) else uncell(cell.strip())  # lists of ours have that


_HINT = "name the sheet that is meant with --sheet, or put all licenses into one sheet."


def refuse_other_sheets(tables: Tables, chosen: Tab, kind: Kind, layout: Layout) -> None:
    """Refuse an input of which another visible sheet lists licenses as well.

    Args:
        tables: The input.
        chosen: The sheet that was read.
        kind: What its licenses are listed by.
        layout: Where it keeps them.

    Raises:
        InputError: A sheet holds license IDs too, or has the same header where licenses are listed
            by their keys; or it cannot be read, so that it is not known.
    """
    found = []
    for tab in tables.tabs:
        if tab is chosen or not tab.visible:
            continue
        try:
            if _lists_licenses(tables.read(tab), kind, layout):
                found.append(f'"{shown(tab.name)}"')
        except InputError as refusal:
            refusal.hint = f"{refusal.hint.removesuffix('.')}; or {_HINT}"
            raise
    if found:
        verb = "holds" if len(found) == 1 else "hold"
        sheets = f"{'sheet' if len(found) == 1 else 'sheets'} {', '.join(found)}"
        raise InputError(
            f'{tables.title}: beside sheet "{shown(chosen.name)}", {sheets} {verb}'
            f" {kind.noun}s too.",
            hint=_HINT,
        )


def _lists_licenses(table: Table, kind: Kind, layout: Layout) -> bool:
    if kind is ID:
        return any(
            kind.is_plain(cell)
            for block in table.blocks
            for cells in block.columns
            for cell in cells
        )
    name = simplified(layout.header[layout.column]) if layout.header else ""
    return bool(name) and any(name == simplified(cell) for row in table.head for cell in row.cells)
