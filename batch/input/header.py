"""The search for the header row, and for the columns that are meant."""

from __future__ import annotations

import math
import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

from batch.columns import COLUMNS, DETAILS, HEADERS, columns
from batch.errors import Detail, InputError
from batch.formatting import LONGEST, counted, epoch_seconds, uncell
from batch.input.identifiers import ID, KEY, Kind, simplified, unquoted
from batch.input.table import HEAD_ROWS, Row
from batch.model import Outcome, Property

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from batch.input.table import Block, Table


@dataclass(frozen=True, slots=True)
class Layout:
    """The places where an input keeps what is wanted from it.

    Attributes:
        first_row: Number of the first row that counts, counted from 1.
        header: The cells of that row if it is the header, or None if it is data.
        above: Rows with content above the header, which are left out.
        key_beside: Index of the column of license keys where licenses are listed by ID; None if
            there is not exactly one.
        is_sure: Whether the header is known by a name, or was given; else it is found by its looks.
        width: Cells of that row: the most that any row may have.
        column: Index of the column of IDs or keys, counted from 0.
        carried: Indexes of the carried columns, in the order they were asked for.
        results: Where the columns of a results file stand, by name; None for another input.
    """

    first_row: int
    header: tuple[str, ...] | None
    width: int
    column: int
    carried: tuple[int, ...]
    results: dict[str, int] | None = None
    above: int = 0
    is_sure: bool = True
    key_beside: int | None = None


def find_layout(
    title: str,
    head: Sequence[Row],
    kind: Kind,
    column: str | None,
    carry: Sequence[str],
    header_row: int | None = None,
) -> Layout:
    """Find header and columns in the first rows with content, of which there is at least one.

    Args:
        title: The input, for messages.
        head: Those rows.
        kind: What the licenses are listed by.
        column: Header of the column of IDs or keys, else its number counted from 1; None to find
            it by its header.
        carry: Headers, else numbers, of the columns to copy.
        header_row: Number of the header's row, 0 where there is none; None to find it.

    Raises:
        InputError: They do not say which column holds the IDs or keys, or which row is the header;
            or a column that was asked for is missing or not the only one of its name.
    """
    head = [Row(row.number, [unquoted(cell) for cell in row.cells]) for row in head]
    above = _rows_above(title, head, header_row)
    rows = head[above:]
    top = rows[0]
    results = _results_of(title, head, above, header_row)
    # Results have their column, whatever else they carry and however the original's was called.
    if results is not None:
        found, is_header = _results_column(title, top, kind, results), True
    else:
        found, is_header = _find_column(title, rows, kind, column, header_row)
    cells = top.cells + [""] * (found + 1 - len(top.cells))
    is_named = is_header and (cells[found] == column or kind.is_header(cells[found]))
    is_sure = is_named or results is not None
    carried = _carried_by_name if is_header else _carried_by_number
    own = _without_details(top) if results is not None else top
    return Layout(
        first_row=top.number,
        header=tuple(cells) if is_header else None,
        width=len(top.cells) if is_sure or column is not None else found + 1,
        column=found,
        carried=tuple(carried(title, own, name) for name in carry),
        results=results,
        above=above,
        is_sure=is_sure or header_row is not None,
        key_beside=_key_beside(top.cells, found) if is_header and kind is ID else None,
    )


def _without_details(top: Row) -> Row:
    """The header of results with the names of `DETAILS` taken out where carried ones stand there.

    To carry a column that was carried before is to go on with it; the look finds details anew.
    """
    names = [uncell(cell.strip()) for cell in top.cells]
    starts = range(len(names) - len(DETAILS) + 1)
    start = next((i for i in starts if tuple(names[i : i + len(DETAILS)]) == DETAILS), None)
    if start is None:
        return top
    end = start + len(DETAILS)
    cells = [
        "" if start <= place < end and names.count(names[place]) > 1 else cell
        for place, cell in enumerate(top.cells)
    ]
    return Row(top.number, cells)


def _key_beside(header: Sequence[str], column: int) -> int | None:
    """The one column of license keys beside that of the IDs; "key" alone may be anything."""
    places = [
        place
        for place, cell in enumerate(header)
        if place != column and simplified(cell) in KEY.headers[0]
    ]
    return places[0] if len(places) == 1 else None


def _rows_above(title: str, head: Sequence[Row], header_row: int | None) -> int:
    """How many of the rows stand above the header."""
    if not header_row:
        return 0
    for index, row in enumerate(head):
        if row.number == header_row:
            return index
    raise InputError(
        f"{title}: the header cannot be in row {header_row}: that row is empty, or not one of the"
        f" first {HEAD_ROWS} with content.",
        details=[Detail(f"Row {head[0].number} reads: ", shown_columns(head[0].cells))],
        hint="give --header-row the number that a spreadsheet shows beside the header.",
    )


def _results_of(
    title: str, head: Sequence[Row], above: int, header_row: int | None
) -> dict[str, int] | None:
    """The columns of a results file, if it is one; what hides that it is one is refused."""
    found = None
    for row in head[: above + 1]:
        found = results_columns(title, row.cells)
    for index, row in enumerate(head):
        is_hidden = index < above or header_row == 0 or (index > above and found is None)
        if is_hidden and is_results_header(row.cells):
            raise InputError(
                f"{title}: the header of a results file is in row {row.number}.",
                details=[columns_seen(row.cells)],
                hint=f"read it as results with --header-row {row.number}; rows above that are left"
                " out.",
            )
    return found


def _find_column(
    title: str, rows: Sequence[Row], kind: Kind, column: str | None, header_row: int | None
) -> tuple[int, bool]:
    """Index of the column of IDs or keys, and whether the first of these rows is the header."""
    top = rows[0]
    if header_row != 0:
        found = _named_column(title, top, kind, column)
        if found is not None:
            return found, True
    if header_row is None:
        _refuse_title_line(title, rows, kind, column)
    if column is None:
        found = _only_column(title, rows, kind, header_row)
    else:
        found = _numbered_column(title, rows, column, header_row)
    if header_row is not None:
        return found, header_row > 0
    return found, _is_header(title, top, kind, found)


def _is_header(title: str, top: Row, kind: Kind, column: int) -> bool:
    """Tell whether the first row is a header by its cell in the column of IDs or keys."""
    cell = top.cells[column] if column < len(top.cells) else ""
    if kind.is_header(cell):
        return True
    if re.search(r"\d", cell) or kind.is_plain(cell):
        return False
    if kind is KEY and cell.strip():
        raise InputError(
            f"{title}: row {top.number} may be the header, and it may hold a license key",
            shown=spelled(cell),
            hint=f"say which row is the header: --header-row {top.number}, another one if this is a"
            " title, or --header-row 0 if there is none.",
        )
    return True


def _is_number(column: str | None) -> bool:
    """Tell whether a column is named by its number."""
    return column is not None and column.isascii() and column.isdecimal()


def _results_column(title: str, row: Row, kind: Kind, results: Mapping[str, int]) -> int:
    if kind.results_column in results:
        return results[kind.results_column]
    raise InputError(
        f"{title}: results without their column {kind.results_column}.",
        details=[columns_seen(row.cells)],
        hint="name a results file as it was written.",
    )


def _named_column(title: str, row: Row, kind: Kind, column: str | None) -> int | None:
    """The one column of a row that is named as asked for, or None where there is none."""
    if _is_number(column):
        return None
    for names in kind.headers if column is None else (frozenset({column}),):
        fits = [
            index
            for index, cell in enumerate(row.cells)
            if (cell if column is not None else simplified(cell)) in names
        ]
        if len(fits) > 1:
            raise InputError(
                f"{title}: {len(fits)} columns may hold the {kind.noun}s",
                shown=", ".join(f"{shown(row.cells[i])} (column {i + 1})" for i in fits),
                details=[columns_seen(row.cells)],
                hint=f"name one by its number: --header-row {row.number} --column {fits[0] + 1}.",
            )
        if fits:
            return fits[0]
    return None


def _refuse_title_line(title: str, rows: Sequence[Row], kind: Kind, column: str | None) -> None:
    """Refuse rows of which not the first, but a later one is the header."""
    place = int(column) - 1 if column is not None and _is_number(column) else None
    for index, row in enumerate(rows):
        if place is not None:
            is_header = any(map(kind.is_header, row.cells[place : place + 1]))
        else:
            is_header = _named_column(title, row, kind, column) is not None
        if is_header and index:
            raise InputError(
                f"{title}: the header is in row {row.number}, below other rows",
                details=_both_rows(rows[0], row),
                hint=f"leave out the rows above it with --header-row {row.number}; if they list"
                f" licenses, delete row {row.number} instead.",
            )
        if is_header:
            return
    below = _title_line(rows)
    if below is not None and not columns_with(kind, rows[:1]):
        raise _looks_like_a_title(title, rows, kind, column, below)


def _both_rows(top: Row, header: Row) -> list[Detail]:
    """Show the first row, and the one that is or may be the header."""
    return [
        Detail(f"Row {top.number} reads: ", shown_columns(top.cells)),
        columns_seen(header.cells, f" in row {header.number}"),
    ]


def _looks_like_a_title(
    title: str, rows: Sequence[Row], kind: Kind, column: str | None, below: Row
) -> InputError:
    holding = columns_with(kind, rows)
    named = f" --column {holding[0] + 1}" if column is None and len(holding) == 1 else ""
    top = rows[0].number
    return InputError(
        f"{title}: row {top} looks like a title, and row {below.number} like the header",
        details=_both_rows(rows[0], below),
        hint=f"say which is the header: --header-row {below.number}{named}, or --header-row {top};"
        " --header-row 0 if there is none.",
    )


def _only_column(title: str, rows: Sequence[Row], kind: Kind, header_row: int | None) -> int:
    used = {index for row in rows for index, cell in enumerate(row.cells) if cell.strip()}
    top = rows[0]
    if len(top.cells) == 1 or len(used) == 1:
        return min(used)
    plain = [index for index, cell in enumerate(top.cells) if kind.is_plain(cell)]
    if plain and header_row is None:
        raise InputError(
            f"{title} has no header: row {top.number} holds data.",
            details=[Detail("Cells seen: ", f"{shown_columns(top.cells)}.")],
            hint=f"name the column of the {kind.noun}s by its number: --column"
            f" {' or '.join(str(index + 1) for index in plain)}.",
        )
    holding = columns_with(kind, rows)
    if len(holding) == 1:
        remedy = f"the {kind.noun}s are in column {holding[0] + 1}: --column {holding[0] + 1}."
    else:
        remedy = f"name it with --column{_or_the_other(kind, top.cells)}."
    raise InputError(
        f"{title}: no {kind.noun} column.",
        details=[columns_seen(top.cells)],
        hint=remedy,
    )


def _title_line(rows: Sequence[Row]) -> Row | None:
    """The row that looks like a header below single cells, which then are a title; or None.

    A row with a digit is taken for data: licenses in it would be left out.
    """
    filled = [sum(bool(cell.strip()) for cell in row.cells) for row in rows]
    index = next((index for index, number in enumerate(filled) if number > 1), 0)
    is_title = 0 < index <= sum(number > 1 for number in filled[index:])
    return rows[index] if is_title and not re.search(r"\d", "".join(rows[index].cells)) else None


def columns_with(kind: Kind, rows: Sequence[Row]) -> list[int]:
    """Indexes of the columns that hold an ID by itself in one of these rows."""
    return sorted({i for row in rows for i, cell in enumerate(row.cells) if kind.is_plain(cell)})


def _or_the_other(kind: Kind, header: Sequence[str]) -> str:
    """Return advice to look licenses up by the other kind; empty if there is no column for that."""
    for index, cell in enumerate(header):
        if kind.other.is_header(cell):
            column = f'"{cell}"' if cell.isprintable() else str(index + 1)
            return f", or {kind.other.advice} --column {column}"
    return ""


def _numbered_column(title: str, rows: Sequence[Row], column: str, header_row: int | None) -> int:
    width = max(len(row.cells) for row in rows)
    if _is_number(column) and 1 <= int(column) <= width:
        return int(column) - 1
    numbers = f"a number from 1 to {width}"
    if header_row == 0:
        remedy = f"give {numbers}: without a header columns have no names."
    else:
        remedy = f"name one of these with --column, or give {numbers}."
    raise InputError(
        f'{title}: no column "{shown(column)}".',
        details=[columns_seen(rows[0].cells)],
        hint=remedy,
    )


def _carried_by_name(title: str, header: Row, name: str) -> int:
    if header.cells.count(name) == 1:
        return header.cells.index(name)
    number = header.cells.count(name) or "no"
    raise InputError(
        f'{title}: {number} {"columns" if number != "no" else "column"} "{shown(name)}" to carry.',
        details=[columns_seen(header.cells)],
        hint="give each column a header of its own." if number != "no" else "correct --carry",
    )


def _carried_by_number(title: str, first: Row, name: str) -> int:
    if name.isdecimal() and 1 <= int(name) <= len(first.cells):
        return int(name) - 1
    raise InputError(
        f'{title} has no header, and so no column "{shown(name)}" to carry.',
        hint=f"carry a column by its number, from 1 to {len(first.cells)}.",
    )


_MARKS = {changes: ("license_id", "outcome", f"was_{changes}") for changes in Property}
"""Columns by which results are known, whatever stands beside them and in whatever order."""

_TELLING = {simplified(name) for name in ("outcome", "was_revoked", "was_suspended")}
_TELLING_CELLS = frozenset({
    Outcome.ALREADY_REVOKED, Outcome.NOT_ATTEMPTED, Outcome.WOULD_REVOKE, Outcome.NOT_REVOKED,
    Outcome.ALREADY_SUSPENDED, Outcome.WOULD_SUSPEND, Outcome.NOT_SUSPENDED,
})  # fmt: skip
"""Words that nobody writes but a run."""

_OTHERS = {
    Outcome.WOULD_REVOKE: "a dry run, which has sent nothing",
    Outcome.WOULD_SUSPEND: "a dry run, which has sent nothing",
    Outcome.WOULD_RESTORE: "a dry run, which has sent nothing",
    Outcome.RESTORED: "bulk-revoke restore",
    Outcome.ALREADY_RESTORED: "bulk-revoke restore",
}
"""Outcomes of files that say nothing of what a run has done, and whose they are."""


def is_results_header(header: Sequence[str]) -> bool:
    """Tell whether a header is that of a results file, by the names of its columns."""
    return _about({simplified(uncell(cell)) for cell in header}) is not None


def _about(names: Collection[str]) -> Property | None:
    """Return the property that a run with these columns is about; None for anything else."""
    for changes, marks in _MARKS.items():
        if all(simplified(mark) in names for mark in marks):
            return changes
    return None


def results_columns(title: str, header: Sequence[str]) -> dict[str, int] | None:
    """Map the columns of a results file to their indexes in a header; None for any other header.

    Raises:
        InputError: It looks like one, but which rows are meant cannot be told by it.
    """
    if tuple(header[: len(COLUMNS)]) in HEADERS:
        return {name: index for index, name in enumerate(header[: len(COLUMNS)])}
    written = [uncell(cell.strip()) for cell in header]
    alike = [simplified(cell) for cell in written]
    changes = _about(alike)
    found: dict[str, list[int]] = {}
    for name in columns(changes or Property.REVOKED):
        exact = [index for index, cell in enumerate(written) if cell == name]
        found[name] = exact or [i for i, cell in enumerate(alike) if cell == simplified(name)]
    if changes is not None:
        if twice := [name for name in _MARKS[changes] if len(found[name]) > 1]:
            raise InputError(
                f"{title}: {len(found[twice[0]])} columns may be the {twice[0]} of these results.",
                details=[columns_seen(header)],
                hint="give the one that was added another header.",
            )
        return {name: places[0] for name, places in found.items() if places}
    if _TELLING.isdisjoint(alike):
        return None
    raise InputError(
        f"{title}: looks like results of bulk-revoke, but does not have all of the columns"
        f" {', '.join(_MARKS[Property.REVOKED])} (or was_{Property.SUSPENDED}).",
        details=[columns_seen(header)],
        hint="name a results file as it was written; or, if these are none, give the column"
        " another header.",
    )


def refuse_hidden(table: Table, hint: str) -> None:
    """Refuse a table in which somebody may not have seen all rows.

    Args:
        table: Where it is known which rows are hidden.
        hint: What to do about them.

    Raises:
        InputError: Rows with content are hidden or filtered.
    """
    if table.hidden:
        verb = "is" if len(table.hidden) == 1 else "are"
        raise InputError(
            f"{table.title}: {counted(len(table.hidden), 'row')} with content {verb} hidden or"
            f" filtered: {shown_rows(table.hidden)}.",
            hint=hint,
        )


def refuse_leftovers(title: str, block: Block, column: int) -> None:
    """Refuse a list that is no results file, but holds an outcome of one.

    Args:
        title: The input.
        block: Some of its rows.
        column: Index of the column of IDs or keys, which holds no outcomes.

    Raises:
        InputError: Somebody has taken away the header that says which rows are to be left out.
    """
    for index, cells in enumerate(block.columns):
        if index == column or _TELLING_CELLS.isdisjoint(cells):
            continue
        place = next(at for at, cell in enumerate(cells) if cell in _TELLING_CELLS)
        raise InputError(
            f"{title}, row {block.row + place}: {cells[place]} is an outcome of bulk-revoke, but"
            " the file has not the header of results.",
            hint="name a results file as it was written; or delete that column, if every row is"
            " meant.",
        )


LATER = f"{Outcome.SUSPENDED} later"
"""What `EarlierResults` calls rows of a suspension that are not old enough."""


class EarlierResults:
    """Takes from a results file the rows that ended in certain ways.

    Args:
        title: The input.
        kind: What its licenses are listed by.
        columns: Where its columns stand, by name.
        outcomes: Property that a run was about to the outcomes of the rows that are taken.
        suspended_before: As `read_listing` takes it.

    Attributes:
        left_out: How many rows were not taken, by their outcome.
        next_at: When the first of those was suspended that are not old enough yet, in seconds since
            1970; infinite if there are none.

    Raises:
        InputError: Nothing is taken of results about this property.
    """

    def __init__(
        self,
        title: str,
        kind: Kind,
        columns: Mapping[str, int],
        outcomes: Mapping[Property, Collection[str]],
        suspended_before: float | None = None,
    ) -> None:
        changes = next(each for each in Property if f"was_{each}" in columns)
        if changes not in outcomes:
            raise InputError(
                f"{title}: these are results of a run that was about what is {changes}.",
                hint="take the list that it was about.",
            )
        self._title = title
        self._kind = kind
        self._column = columns[kind.results_column]
        self._outcome = columns["outcome"]
        self._outcomes = outcomes[changes]
        self._is_suspension = set(self._outcomes) == {Outcome.SUSPENDED}
        self._finished = columns.get("finished_at")
        self._before = suspended_before
        self._first, self._last = math.inf, -math.inf
        self.left_out: dict[str, int] = {}
        self.next_at = math.inf

    def takes(self, block: Block, index: int) -> bool:
        """Tell whether a row with content is wanted; if not, count it.

        Raises:
            InputError: It has no outcome of a run, the run that wrote this file has not ended or
                was another command's, or the row's ID or key is not written in full.
        """
        cell = block.columns[self._outcome][index]
        outcome = cell.strip().lower()
        place = f"{self._title}, row {block.row + index}"
        if outcome in self._outcomes:
            self._refuse_cut(place, block.columns[self._column][index])
            return not self._is_suspension or self._is_old(place, block, index)
        if outcome == Outcome.PLANNED:
            raise InputError(
                f"{place}: this is the journal of a run that was not brought to its end.",
                hint="bring it to its end: repeat its command with --resume, not with --overwrite.",
            )
        if outcome in _OTHERS:
            is_trial = outcome.startswith("would_")
            raise InputError(
                f"{place}: {outcome} is an outcome of {_OTHERS[Outcome(outcome)]}.",
                hint="name the list itself"
                + ("; what somebody has approved in a dry run: --approved FILE." * is_trial or "."),
            )
        if outcome not in set(Outcome):
            raise InputError(
                f"{place}: no outcome of a run, so it is not known whether the row is meant",
                shown=f'"{shown(cell)}"',
                hint="give it back its outcome, or take the row out.",
            )
        self.left_out[outcome] = self.left_out.get(outcome, 0) + 1
        return False

    @property
    def suspended_at(self) -> tuple[float, float] | None:
        """As in `Listing`."""
        return (self._first, self._last) if self._is_suspension else None

    def _is_old(self, place: str, block: Block, index: int) -> bool:
        """Tell whether a license was suspended long enough ago; if not, count its row."""
        cell = block.columns[self._finished][index] if self._finished is not None else ""
        at = epoch_seconds(uncell(cell.strip()))
        if at is None:
            if self._before is None:
                return True
            raise InputError(
                f"{place}: it is not told when the license was suspended",
                shown=f'"{shown(cell)}"',
                hint="take the results as they were written; or leave out --older-than.",
            )
        if self._before is not None and at > self._before:
            self.left_out[LATER] = self.left_out.get(LATER, 0) + 1
            self.next_at = min(self.next_at, at)
            return False
        self._first, self._last = min(self._first, at), max(self._last, at)
        return True

    def _refuse_cut(self, place: str, cell: str) -> None:
        # A part of a key may be the key of another license.
        if len(uncell(cell)) >= LONGEST:
            raise InputError(
                f"{place}: the {self._kind.noun} may have been cut at {LONGEST} characters when it"
                " was written.",
                hint="take it from that run's own input.",
            )


SHOWN_CHARS = 300
"""Characters of a cell that a message shows."""

SHOWN_ROWS = 10
"""Rows that a message names."""

SHOWN_COLUMNS = 40
"""Columns that a message names."""


def shown(cell: str) -> str:
    """A cell as a message shows it: cut, and invisible characters by their code point."""
    cut = cell[:SHOWN_CHARS]
    inner = "".join(char if _is_visible(char) else f"<U+{ord(char):04X}>" for char in cut)
    return f"{inner}…" if len(cell) > SHOWN_CHARS else inner


def spelled(cell: str) -> str:
    """A cell in which every character that may be taken for another one shows what it is."""
    inner = "".join(c if " " <= c <= "~" else f"<U+{ord(c):04X}>" for c in cell[:SHOWN_CHARS])
    return f"{inner}…" if len(cell) > SHOWN_CHARS else inner


def _is_visible(char: str) -> bool:
    # Z: separators, C: control, format (zero-width ...), surrogate, private, unassigned.
    return char == " " or unicodedata.category(char)[0] not in "ZC"


def shown_columns(cells: Sequence[str]) -> str:
    """The columns that were seen."""
    return _listed([shown(cell.strip()) or "(no name)" for cell in cells], SHOWN_COLUMNS)


def columns_seen(cells: Sequence[str], where: str = "") -> Detail:
    """The line of a refusal that shows the columns."""
    return Detail(f"Columns seen{where}: ", f"{shown_columns(cells)}.")


def shown_rows(rows: Sequence[int]) -> str:
    """The first row numbers of many."""
    return _listed([str(row) for row in rows], SHOWN_ROWS)


def _listed(items: list[str], most: int) -> str:
    return ", ".join(items[:most] + ["…"] * (len(items) > most))
