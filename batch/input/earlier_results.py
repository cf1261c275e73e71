"""Results of an earlier run as an input: how they are known, and which of their rows are taken."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from batch.columns import COLUMNS, HEADERS, columns
from batch.errors import InputError
from batch.formatting import LONGEST, epoch_seconds, uncell
from batch.input.identifiers import Kind, simplified
from batch.input.messages import columns_seen, shown
from batch.model import Outcome, Property

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from batch.input.table import Block


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
"""The name by which `EarlierResults` counts rows of a suspension that is not old enough."""


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
                f"{place}: the run that this file is of has not come to its end.",
                hint="let it end first: repeat its command with --resume, not with --overwrite.",
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
