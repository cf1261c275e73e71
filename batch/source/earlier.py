"""The results file of an earlier run as an input."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batch.columns import COLUMNS
from batch.errors import InputError
from batch.model import Outcome
from batch.text import LONGEST, uncell

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from batch.source.kinds import Kind
    from batch.tables import Block

ALL_LICENSES = frozenset(Outcome) - {Outcome.INVALID}
"""Outcomes of the rows that name a license: all of them, those of a journal included.

A row that stands twice in a journal is taken twice, and repeats itself.
"""

_OUTCOME = COLUMNS.index("outcome")


def is_results_header(header: Sequence[str] | None) -> bool:
    """Whether a header is that of a results file."""
    return header is not None and tuple(header[: len(COLUMNS)]) == COLUMNS


class EarlierResults:
    """Takes from a results file the rows that ended in certain ways.

    Attributes:
        left_out: How many rows were not taken, by their outcome.
    """

    def __init__(self, title: str, kind: Kind, outcomes: Collection[str]) -> None:
        self._title = title
        self._kind = kind
        self._column = COLUMNS.index(kind.results_column)
        self._outcomes = outcomes
        self.left_out: dict[str, int] = {}

    def takes(self, block: Block, index: int) -> bool:
        """Whether a row with content is wanted; if not, it is counted.

        Raises:
            InputError: The run that wrote this file has not ended, or has not written the row's
                ID or key in full.
        """
        outcome = block.columns[_OUTCOME][index]
        if outcome in self._outcomes:
            self._refuse_cut(block, index)
            return True
        if outcome == Outcome.PLANNED:
            raise InputError(
                f"{self._title}, row {block.row + index}: this is the journal of a run that was"
                " not brought to its end.",
                hint="bring it to its end: repeat its command with --resume, not with --overwrite.",
            )
        self.left_out[outcome] = self.left_out.get(outcome, 0) + 1
        return False

    def _refuse_cut(self, block: Block, index: int) -> None:
        # A part of a key may be the key of another license.
        if len(uncell(block.columns[self._column][index])) >= LONGEST:
            raise InputError(
                f"{self._title}, row {block.row + index}: the {self._kind.noun} may have been cut"
                f" at {LONGEST} characters when it was written.",
                hint="take it from that run's own input.",
            )
