"""What will be done with each row: pure, and where every guard is checked."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING

from batch.errors import GuardError
from batch.model import Outcome, Status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batch.model import Listing

_PLANNED = Status(Outcome.PLANNED)
_INVALID = Status(Outcome.INVALID, error="the cell holds no license ID")


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """What a run is about to do.

    Attributes:
        listing: The input's entries.
        to_send: Entries whose license is sent a PATCH, in input order, each license once.
    """

    listing: Listing
    to_send: array[int]

    def statuses(self) -> Iterator[Status]:
        """How each entry stands before the first PATCH, in input order."""
        invalid = self.listing.invalid
        for entry in range(len(self.listing)):
            yield _INVALID if entry in invalid else _PLANNED


def make_plan(listing: Listing, *, max_licenses: int | None = None) -> Plan:
    """Decide what is sent.

    Raises:
        GuardError: The plan would send more than ``max_licenses`` PATCHes.
    """
    to_send = array(
        "I",
        (
            entry
            for entry, first in enumerate(listing.first)
            if entry == first and entry not in listing.invalid
        ),
    )
    if max_licenses is not None and len(to_send) > max_licenses:
        raise GuardError(
            f"{listing.title}: {len(to_send):,} licenses would be revoked, "
            f"--max-licenses allows {max_licenses:,}",
            hint="is this the right file? If so, raise --max-licenses.",
        )
    return Plan(listing, to_send)
