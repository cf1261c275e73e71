"""The refusal of rows that hold no ID or key, and what somebody can do about them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batch.errors import Detail, InputError, first_few
from batch.formatting import counted
from batch.input.header import columns_with
from batch.input.identifiers import KEY, is_left_behind, resemblance
from batch.input.messages import SHOWN_ROWS, spelled
from batch.input.table import ZERO, NotText, in_digits

if TYPE_CHECKING:
    from batch.input.header import Layout
    from batch.input.identifiers import Kind
    from batch.input.listing import Collector
    from batch.input.table import Table


_SPREADSHEET = (
    "a spreadsheet has written 2.19E+26, #N/A or a leading ' in the place of a key: take the keys"
    " from where they came from, or correct them"
)

_NUMBERS = (
    "a spreadsheet keeps 15 digits of a number, and no zeros in front of it: format the column as"
    " text and enter these keys anew"
)

_ZEROS = (
    "a program that computes no formulas writes 0 as their result: have a spreadsheet program"
    " compute all of them (LibreOffice: Ctrl+Shift+F9) and save the file as xlsx"
)
"""What to do about keys that a program has changed."""


def refuse_invalid(
    table: Table, collector: Collector, kind: Kind, layout: Layout, *, skip_invalid: bool
) -> None:
    """Refuse cells without an ID or key, unless they are to be skipped and others hold one.

    Raises:
        InputError: It names the first of them, and says what to do.
    """
    all_of_them = len(collector.invalid) == collector.meant
    if not collector.invalid or (skip_invalid and not all_of_them):
        return
    lines = (_shown_row(collector.rows[entry], cell) for entry, cell in collector.invalid.items())
    rows = counted(len(collector.invalid), "row")
    if all_of_them:
        message = f"not a single {kind.noun}: {rows} without one:"
        hint = _remedy_for_all(table, collector, kind, layout)
    else:
        message = f"{rows} without a {kind.noun} (of {collector.meant:,}):"
        them = "it" if len(collector.invalid) == 1 else "them"
        hint = f"{_remedy(collector, kind, layout)}, or leave {them} out with --skip-invalid"
    details = first_few(lines, len(collector.invalid))
    raise InputError(f"{table.title}: {message}", details=details, hint=f"{hint}.")


def _remedy(collector: Collector, kind: Kind, layout: Layout) -> str:
    """Say what to do where some rows hold no ID or key."""
    if _holds_the_other(kind, layout, collector):
        return kind.other.advice
    kinds = {cell.kind for cell in collector.invalid.values() if isinstance(cell, NotText)}
    if kind is KEY and kinds:
        return _ZEROS if ZERO in kinds else _NUMBERS
    if kind is KEY and any(is_left_behind(cell.strip()) for cell in collector.invalid.values()):
        return _SPREADSHEET
    correct = f"correct {'it' if len(collector.invalid) == 1 else 'them'} ({kind.reads_like})"
    if row := _may_be_header(collector, layout):
        return f"if row {row} is the header: --header-row {row}; else {correct}"
    return correct


def _may_be_header(collector: Collector, layout: Layout) -> int:
    """Number of the last row above the first ID or key, if it may be the header; else 0."""
    if layout.is_sure or 0 not in collector.invalid:
        return 0
    last = next(entry for entry in range(len(collector.rows)) if entry + 1 not in collector.invalid)
    is_close = last + 1 < min(len(collector.rows), SHOWN_ROWS)
    return collector.rows[last] if is_close else 0


def _remedy_for_all(table: Table, collector: Collector, kind: Kind, layout: Layout) -> str:
    """Say what to do where no row holds an ID or key: to skip them all helps nobody."""
    if layout.results is not None or _holds_the_other(kind, layout, collector):
        return _remedy(collector, kind, layout)
    rows = [row for row in table.head if row.number >= layout.first_row]
    others = [index for index in columns_with(kind, rows) if index != layout.column]
    if len(others) == 1:
        return f"the {kind.noun}s seem to be in another column: --column {others[0] + 1}"
    another = "name another column with --column NUMBER"
    by_key = f"{KEY.advice} --column {layout.column + 1}"
    if kind is KEY:
        is_empty = not any(map(str.strip, collector.invalid.values()))
        return another if is_empty else _remedy(collector, kind, layout)
    return {
        "nothing": f"the column is empty: {another}",
        "IDs": f"they look like IDs that were changed: correct them ({kind.reads_like})",
        "numbers": f"they look like numbers: {another}; or, if they are license keys, {by_key}",
        "keys": f"they look like license keys: {by_key}; or {another}",
        "text": f"they look like text: {another}, or {by_key}",
    }[resemblance(collector.invalid.values())]


def _shown_row(row: int, cell: str) -> Detail:
    kind = f", {cell.kind}:" if isinstance(cell, NotText) else ""
    return Detail(f"row {row}{kind}  ", spelled(in_digits(cell)) or "(empty)")


def _holds_the_other(kind: Kind, layout: Layout, collector: Collector) -> bool:
    """Tell whether the invalid cells come from licenses that are listed by the other kind."""
    if layout.header is None:
        return False
    if layout.results is not None:
        return "" in collector.invalid.values()
    return kind.other.is_header(layout.header[layout.column])
