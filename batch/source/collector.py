"""The entries of a listing as they come."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from batch.source.ids import NO_ID, parse_id, parse_ids
from batch.text import uncell

if TYPE_CHECKING:
    from batch.source.earlier import EarlierResults
    from batch.source.layout import Layout
    from batch.tables import Block


class Collector:
    """Takes the rows of a table block by block.

    Attributes:
        rows: Row number of each entry.
        ids: `batch.model.ID_BYTES` bytes for each entry.
        invalid: Entry to the text of its cell, for cells without an ID.
        carried: Cells of the carried columns for each entry, if any are carried.
        blank: Rows without content.
    """

    def __init__(self, layout: Layout, earlier: EarlierResults | None) -> None:
        self._layout = layout
        self._earlier = earlier
        self._first_data = layout.first_row + (1 if layout.header else 0)
        self.rows = array("I")
        self.ids = bytearray()
        self.invalid: dict[int, str] = {}
        self.carried: list[tuple[str, ...]] = []
        self.blank = layout.first_row - 1

    def add(self, block: Block) -> None:
        """Take the rows of the next block, as far as they hold data."""
        block = block.since(self._first_data)
        cells = block.columns[self._layout.id_column]
        ids = None if self._earlier else parse_ids(cells)
        if ids is None:
            for index, cell in enumerate(cells):
                self._add_row(block, index, cell)
            return
        self.rows.extend(range(block.row, block.row + len(block)))
        self.ids += ids
        if self._layout.carried:
            columns = (block.columns[column] for column in self._layout.carried)
            self.carried.extend(zip(*columns, strict=True))

    def _add_row(self, block: Block, index: int, cell: str) -> None:
        license_id = parse_id(cell)
        if license_id is None and not any(column[index].strip() for column in block.columns):
            self.blank += 1
            return
        if self._earlier and not self._earlier.takes(block, index):
            return
        entry = len(self.rows)
        self.rows.append(block.row + index)
        self.ids += license_id or NO_ID
        if license_id is None:
            self.invalid[entry] = uncell(cell) if self._earlier else cell
        if self._layout.carried:
            carried = (block.columns[column][index] for column in self._layout.carried)
            self.carried.append(tuple(uncell(c) if self._earlier else c for c in carried))
