"""The search for the header row, and for the columns that are meant."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from batch.columns import DETAILS
from batch.errors import Detail, InputError
from batch.formatting import uncell
from batch.input.earlier_results import is_results_header, results_columns
from batch.input.identifiers import ID, KEY, Kind, simplified, unquoted
from batch.input.messages import columns_seen, shown, shown_columns, spelled
from batch.input.table import HEAD_ROWS, Row

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


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
    """The number of rows above the header."""
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
    """The columns of a results file; None if it is none.

    Raises:
        InputError: It is one, and its header is not taken for the header.
    """
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
        hint="give each column a header of its own." if number != "no" else "name one of these.",
    )


def _carried_by_number(title: str, first: Row, name: str) -> int:
    if name.isdecimal() and 1 <= int(name) <= len(first.cells):
        return int(name) - 1
    raise InputError(
        f'{title} has no header, and so no column "{shown(name)}" to carry.',
        hint=f"carry a column by its number, from 1 to {len(first.cells)}.",
    )
