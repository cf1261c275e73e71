"""The entries of a listing as they come."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from batch.source.earlier import refuse_leftovers
from batch.text import uncell

if TYPE_CHECKING:
    from batch.source.earlier import EarlierResults
    from batch.source.ids import Ids
    from batch.source.keys import Keys
    from batch.source.layout import Layout
    from batch.tables import Block


class Collector:
    """Takes the rows of a table block by block.

    Args:
        title: The input, for messages.
        layout: Where its columns stand.
        names: Takes the cells with the IDs or keys.
        earlier: Says which rows are taken, if the input is the results of an earlier run.

    Attributes:
        rows: Row number of each entry.
        names: ID or key of each entry.
        invalid: Entry to the text of its cell, for cells that hold no such name.
        carried: Cells of the carried columns for each entry, if any are carried.
        blank: Rows without content.
    """

    def __init__(
        self, title: str, layout: Layout, names: Ids | Keys, earlier: EarlierResults | None
    ) -> None:
        self._title = title
        self._layout = layout
        self._earlier = earlier
        self._first_data = layout.first_row + (1 if layout.header else 0)
        self.rows = array("I")
        self.names = names
        self.invalid: dict[int, str] = {}
        self.carried: list[tuple[str, ...]] = []
        self.blank = layout.first_row - 1

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
        if not self.names.add(text):
            self.invalid[len(self.rows)] = text
        self.rows.append(block.row + index)
        if self._layout.carried:
            carried = (block.columns[column][index] for column in self._layout.carried)
            self.carried.append(tuple(uncell(c) if self._earlier else c for c in carried))
