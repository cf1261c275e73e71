"""Sheets of a workbook that a list may go on in: half a list is never taken for the whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batch.errors import InputError
from batch.source.kinds import ID, simplified
from batch.source.refusals import shown

if TYPE_CHECKING:
    from batch.source.kinds import Kind
    from batch.source.layout import Layout
    from batch.tables import Tab, Table, Tables

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
