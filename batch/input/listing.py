"""From a path to a `Listing`: the order of work."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, BinaryIO

from batch.errors import Detail, InputError
from batch.formatting import counted, uncell
from batch.input.file import Tab, Tables, open_tables
from batch.input.header import (
    SHOWN_ROWS,
    EarlierResults,
    Layout,
    find_layout,
    refuse_leftovers,
    shown,
    shown_rows,
)
from batch.input.identifiers import ID, KINDS, Ids, Keys, Kind, simplified
from batch.input.selection import Selection
from batch.model import UNFINISHED, Condition, Listing

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from batch.input.table import Block, Table


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
    outcomes: Collection[str] = UNFINISHED,
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
        include_hidden: Take hidden and filtered rows like any other instead of refusing.
        outcomes: Which rows to take if the input is the results file of an earlier run.
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
            _refuse_hidden(table)
        if not table.head:
            raise InputError(f"{table.title} is empty.", hint="is this the right file?")
        layout = find_layout(table.title, table.head, kind, column, carry)
        earlier = None
        if layout.results is not None:
            earlier = EarlierResults(table.title, kind, layout.results, outcomes)
        collector = Collector(
            table.title, layout, kind.names(), earlier, _selection(table.title, layout, where)
        )
        for block in _as_wide_as(layout, table):
            collector.add(block)
        if sheet is None:
            refuse_other_sheets(tables, chosen, kind, layout)
    left_out = earlier.left_out if earlier else {}
    if not skip_invalid:
        _refuse_invalid(table.title, collector, kind, layout)
    _refuse_nothing(table.title, collector, kind, left_out)
    unread = collector.invalid | collector.passed_over
    listing = Listing(
        title=f"{table.title}, {_described(layout)}",
        rows=collector.rows,
        ids=collector.names.ids(),
        keys=collector.names.keys(),
        first=collector.names.first(unread.keys()),
        invalid=unread,
        carry=tuple(carry),
        carried=collector.carried,
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


def _described(layout: Layout) -> str:
    if layout.header is None:
        return f"column {layout.column + 1} (no header)"
    name = shown(layout.header[layout.column].strip())
    column = f'column "{name}"' if name else f"column {layout.column + 1}"
    return f"{column} (header in row {layout.first_row})"


def _as_wide_as(layout: Layout, table: Table) -> Iterator[Block]:
    """The blocks of a table, as long as no row has content beyond the header's cells."""
    for block in table.blocks:
        for column in block.columns[layout.width :]:
            if not any(column):
                continue
            index = next((i for i, cell in enumerate(column) if cell.strip()), None)
            if index is not None:
                _refuse_width(layout, table.title, block, index)
        yield block


def _refuse_width(layout: Layout, title: str, block: Block, index: int) -> None:
    cells = [column[index] for column in block.columns]
    while not cells[-1].strip():
        cells.pop()
    above = "header" if layout.header else "first row"
    raise InputError(
        f"{title}, row {block.row + index}: {counted(len(cells), 'cell')}, but the {above}"
        f" (row {layout.first_row}) has {layout.width}.",
        details=[Detail("The first one too many: ", shown(cells[layout.width]))],
        hint="put a cell that holds the delimiter in quotes; delete a title above the header.",
    )


def _refuse_hidden(table: Table) -> None:
    if table.hidden:
        raise InputError(
            f"{table.title}: {counted(len(table.hidden), 'row')} with content"
            f" {'is' if len(table.hidden) == 1 else 'are'} hidden or filtered:"
            f" {shown_rows(table.hidden)}.",
            hint="show or delete them, or take them too with --include-hidden.",
        )


def _refuse_nothing(title: str, collector: Collector, kind: Kind, left_out: dict[str, int]) -> None:
    if collector.selection is not None and collector.rows:
        collector.selection.refuse_none()
    if collector.meant > len(collector.invalid):
        return
    if left_out and not collector.rows:
        counts = " · ".join(f"{outcome} {number:,}" for outcome, number in left_out.items())
        raise InputError(
            f"{title}: no row of this results file is to be taken: {counts}.",
            hint="these are done as far as that run knows; what became of them since, bulk-revoke"
            " verify tells. To do it again, for instance after a restore, take the list itself.",
        )
    raise InputError(f"{title}: not a single {kind.noun}.", hint="is this the right file?")


def _refuse_invalid(title: str, collector: Collector, kind: Kind, layout: Layout) -> None:
    if not collector.invalid:
        return
    lines = [
        Detail(f"row {collector.rows[entry]}  ", shown(cell) or "(empty)")
        for entry, cell in list(collector.invalid.items())[:SHOWN_ROWS]
    ]
    more = len(collector.invalid) - len(lines)
    if more:
        lines.append(Detail(f"and {more:,} more"))
    rows = counted(len(collector.invalid), "row")
    remedy = f"correct them ({kind.reads_like})"
    if _holds_the_other(kind, layout, collector):
        remedy = kind.other.advice
    raise InputError(
        f"{title}: {rows} without a {kind.noun} (of {collector.meant:,}):",
        details=lines,
        hint=f"{remedy}, or leave them out with --skip-invalid.",
    )


def _holds_the_other(kind: Kind, layout: Layout, collector: Collector) -> bool:
    """Tell whether the invalid cells come from licenses that are listed by the other kind."""
    if layout.header is None:
        return False
    if layout.results is not None:
        return "" in collector.invalid.values()
    return simplified(layout.header[layout.column]) in kind.other.headers


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
        self.blank = layout.first_row - 1

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
            columns = (block.columns[column] for column in self._layout.carried)
            self.carried.extend(zip(*columns, strict=True))

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
            carried = (block.columns[column][index] for column in self._layout.carried)
            self.carried.append(tuple(uncell(c) if self._earlier else c for c in carried))


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
