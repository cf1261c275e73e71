"""The results file of an earlier run as an input, however a spreadsheet has saved it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batch.columns import COLUMNS
from batch.errors import InputError
from batch.model import Outcome
from batch.source.kinds import simplified
from batch.source.refusals import shown, shown_columns
from batch.text import LONGEST, uncell

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from batch.source.kinds import Kind
    from batch.tables import Block

_MARKS = ("license_id", "outcome", "was_revoked")
"""Columns by which results are known, whatever stands beside them and in whatever order."""

_TELLING = {simplified(name) for name in ("outcome", "was_revoked", "was_suspended")}
_TELLING_CELLS = frozenset({
    Outcome.ALREADY_REVOKED, Outcome.NOT_ATTEMPTED, Outcome.WOULD_REVOKE, Outcome.NOT_REVOKED,
})  # fmt: skip
"""Words that nobody writes but a run."""

_OTHERS = {
    Outcome.WOULD_REVOKE: "a dry run, which has sent nothing",
    Outcome.WOULD_RESTORE: "a dry run, which has sent nothing",
    Outcome.RESTORED: "bulk-revoke restore",
    Outcome.ALREADY_RESTORED: "bulk-revoke restore",
}
"""Outcomes of files that say nothing of what was revoked, and whose they are."""


def is_results_header(header: Sequence[str]) -> bool:
    """Whether a header is that of a results file, by the names of its columns."""
    return {simplified(uncell(cell)) for cell in header}.issuperset(map(simplified, _MARKS))


def results_columns(title: str, header: Sequence[str]) -> dict[str, int] | None:
    """Where the columns of a results file stand in a header, by name; None for any other header.

    Raises:
        InputError: It looks like one, but which rows are meant cannot be told by it.
    """
    if tuple(header[: len(COLUMNS)]) == COLUMNS:
        return {name: index for index, name in enumerate(COLUMNS)}
    written = [uncell(cell.strip()) for cell in header]
    alike = [simplified(cell) for cell in written]
    found: dict[str, list[int]] = {}
    for name in COLUMNS:
        exact = [index for index, cell in enumerate(written) if cell == name]
        found[name] = exact or [i for i, cell in enumerate(alike) if cell == simplified(name)]
    if is_results_header(header):
        if twice := [name for name in _MARKS if len(found[name]) > 1]:
            raise InputError(
                f"{title}: {len(found[twice[0]])} columns may be the {twice[0]} of these results.\n"
                f"  Columns seen: {shown_columns(header)}.",
                hint="give the one that was added another header.",
            )
        return {name: places[0] for name, places in found.items() if places}
    if _TELLING.isdisjoint(alike):
        return None
    raise InputError(
        f"{title}: looks like results of bulk-revoke, but does not have all of the columns"
        f" {', '.join(_MARKS)}.\n  Columns seen: {shown_columns(header)}.",
        hint="name a results file as it was written; or, if these are none, give the column"
        " another header.",
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


class EarlierResults:
    """Takes from a results file the rows that ended in certain ways.

    Attributes:
        left_out: How many rows were not taken, by their outcome.
    """

    def __init__(
        self, title: str, kind: Kind, columns: Mapping[str, int], outcomes: Collection[str]
    ) -> None:
        self._title = title
        self._kind = kind
        self._column = columns[kind.results_column]
        self._outcome = columns["outcome"]
        self._outcomes = outcomes
        self.left_out: dict[str, int] = {}

    def takes(self, block: Block, index: int) -> bool:
        """Whether a row with content is wanted; if not, it is counted.

        Raises:
            InputError: It has no outcome of a run, the run that wrote this file has not ended or
                was another command's, or the row's ID or key is not written in full.
        """
        cell = block.columns[self._outcome][index]
        outcome = cell.strip().lower()
        place = f"{self._title}, row {block.row + index}"
        if outcome in self._outcomes:
            self._refuse_cut(place, block.columns[self._column][index])
            return True
        if outcome == Outcome.PLANNED:
            raise InputError(
                f"{place}: this is the journal of a run that was not brought to its end.",
                hint="bring it to its end: repeat its command with --resume, not with --overwrite.",
            )
        if outcome in _OTHERS:
            raise InputError(
                f"{place}: {outcome} is an outcome of {_OTHERS[Outcome(outcome)]}.",
                hint="take the list that it was about.",
            )
        if outcome not in set(Outcome):
            raise InputError(
                f'{place}: "{shown(cell)}" is no outcome of a run, so it is not known whether the'
                " row is meant.",
                hint="give it back its outcome, or take the row out.",
            )
        self.left_out[outcome] = self.left_out.get(outcome, 0) + 1
        return False

    def _refuse_cut(self, place: str, cell: str) -> None:
        # A part of a key may be the key of another license.
        if len(uncell(cell)) >= LONGEST:
            raise InputError(
                f"{place}: the {self._kind.noun} may have been cut at {LONGEST} characters when it"
                " was written.",
                hint="take it from that run's own input.",
            )
