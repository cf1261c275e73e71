"""The results file of an earlier run as an input."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batch.errors import InputError
from batch.model import Outcome
from batch.results import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from batch.tables import Block

_OUTCOME = COLUMNS.index("outcome")


def is_results_header(header: Sequence[str] | None) -> bool:
    """Whether a header is that of a results file."""
    return header is not None and tuple(header[: len(COLUMNS)]) == COLUMNS


class EarlierResults:
    """Takes from a results file the rows that ended in certain ways.

    Attributes:
        left_out: How many rows were not taken, by their outcome.
    """

    def __init__(self, title: str, outcomes: Collection[str]) -> None:
        self._title = title
        self._outcomes = outcomes
        self.left_out: dict[str, int] = {}

    def takes(self, block: Block, index: int) -> bool:
        """Whether a row with content is wanted; if not, it is counted.

        Raises:
            InputError: The run that wrote this file has not ended.
        """
        outcome = block.columns[_OUTCOME][index]
        if outcome == Outcome.PLANNED:
            raise InputError(
                f"{self._title}, row {block.row + index}: this is the journal of a run that was"
                " not brought to its end.",
                hint="start again from that run's own input: revoking twice is harmless.",
            )
        if outcome in self._outcomes:
            return True
        self.left_out[outcome] = self.left_out.get(outcome, 0) + 1
        return False
