"""Which row is the header, and which columns are meant."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from batch.errors import InputError
from batch.source.earlier import results_columns
from batch.source.kinds import simplified
from batch.source.refusals import shown, shown_columns

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from batch.source.kinds import Kind
    from batch.tables import Row


@dataclass(frozen=True, slots=True)
class Layout:
    """Where an input keeps what is wanted from it.

    Attributes:
        first_row: Number of the first row with content, counted from 1.
        header: The cells of that row if it is the header, or None if it is data.
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


def find_layout(
    title: str, head: Sequence[Row], kind: Kind, column: str | None, carry: Sequence[str]
) -> Layout:
    """Find header and columns in the first rows with content, of which there is at least one.

    Raises:
        InputError: They do not say which column holds the IDs or keys, or a column that was
            asked for is missing or not the only one of its name.
    """
    first = head[0]
    results = results_columns(title, first.cells)
    # Results have their column, whatever else they carry and however the original's was called.
    found = (
        _named_column(title, first, kind, column)
        if results is None
        else _results_column(title, first, kind, results)
    )
    is_header = found is not None
    width = len(first.cells)
    if found is None:
        _refuse_title_line(title, head, kind, column)
        if column is None:
            found = _only_column(title, head, kind)
            width = found + 1
        else:
            found = _numbered_column(title, head, column)
        cell = first.cells[found] if found < len(first.cells) else ""
        is_header = not re.search(r"\d", cell) and not kind.is_plain(cell)
    carried = _carried_by_name if is_header else _carried_by_number
    return Layout(
        first_row=first.number,
        header=tuple(first.cells) if is_header else None,
        width=width,
        column=found,
        carried=tuple(carried(title, first, name) for name in carry),
        results=results,
    )


def _results_column(title: str, row: Row, kind: Kind, results: Mapping[str, int]) -> int:
    if kind.results_column in results:
        return results[kind.results_column]
    raise InputError(
        f"{title}: results without their column {kind.results_column}.\n"
        f"  Columns seen: {shown_columns(row.cells)}.",
        hint="name a results file as it was written.",
    )


def _named_column(title: str, row: Row, kind: Kind, column: str | None) -> int | None:
    """The one column of a row that is named as asked for, or None where there is none."""
    names = (column,) if column is not None else kind.headers
    for name in names:
        fits = [
            index
            for index, cell in enumerate(row.cells)
            if (cell if column is not None else simplified(cell)) == name
        ]
        if len(fits) > 1:
            raise InputError(
                f"{title}: {len(fits)} columns may hold the {kind.noun}s: "
                + ", ".join(f"{shown(row.cells[index])} (column {index + 1})" for index in fits)
                + f".\n  Columns seen: {shown_columns(row.cells)}.",
                hint=f"name one by its number: --column {fits[0] + 1}.",
            )
        if fits:
            return fits[0]
    return None


def _refuse_title_line(title: str, head: Sequence[Row], kind: Kind, column: str | None) -> None:
    if column is not None and column.isdecimal():
        return
    for row in head[1:]:
        if _named_column(title, row, kind, column) is not None:
            raise InputError(
                f"{title}: the header is in row {row.number}, below other rows:"
                f" row {head[0].number} reads {shown_columns(head[0].cells)}.\n"
                f"  Columns seen in row {row.number}: {shown_columns(row.cells)}.",
                hint="delete the rows above the header.",
            )


def _only_column(title: str, head: Sequence[Row], kind: Kind) -> int:
    used = {index for row in head for index, cell in enumerate(row.cells) if cell.strip()}
    first = head[0].cells
    if len(first) == 1 or len(used) == 1:
        return min(used)
    plain = [index for index, cell in enumerate(first) if kind.is_plain(cell)]
    if plain:
        raise InputError(
            f"{title} has no header: row {head[0].number} holds data.\n"
            f"  Cells seen: {shown_columns(first)}.",
            hint=f"name the column of the {kind.noun}s by its number: --column {plain[0] + 1}.",
        )
    raise InputError(
        f"{title}: no {kind.noun} column.\n  Columns seen: {shown_columns(first)}.",
        hint=f"name it with --column{_or_the_other(kind, first)}.",
    )


def _or_the_other(kind: Kind, header: Sequence[str]) -> str:
    """How else the licenses may be looked up, if there is a column for that."""
    for index, cell in enumerate(header):
        if simplified(cell) in kind.other.headers:
            column = f'"{cell}"' if cell.isprintable() else str(index + 1)
            return f", or {kind.other.advice} --column {column}"
    return ""


def _numbered_column(title: str, head: Sequence[Row], column: str) -> int:
    width = max(len(row.cells) for row in head)
    if column.isdecimal() and 1 <= int(column) <= width:
        return int(column) - 1
    raise InputError(
        f'{title}: no column "{shown(column)}".\n  Columns seen: {shown_columns(head[0].cells)}.',
        hint=f"name one of these with --column, or give a number from 1 to {width}.",
    )


def _carried_by_name(title: str, header: Row, name: str) -> int:
    if header.cells.count(name) == 1:
        return header.cells.index(name)
    number = header.cells.count(name) or "no"
    raise InputError(
        f'{title}: {number} {"columns" if number != "no" else "column"} "{shown(name)}" to carry.\n'
        f"  Columns seen: {shown_columns(header.cells)}.",
        hint="give each column a header of its own." if number != "no" else "correct --carry",
    )


def _carried_by_number(title: str, first: Row, name: str) -> int:
    if name.isdecimal() and 1 <= int(name) <= len(first.cells):
        return int(name) - 1
    raise InputError(
        f'{title} has no header, and so no column "{shown(name)}" to carry.',
        hint=f"carry a column by its number, from 1 to {len(first.cells)}.",
    )
