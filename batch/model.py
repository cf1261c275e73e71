"""The vocabulary: what a license, an input, an action and an outcome are.

Nothing here does I/O, and nothing here imports another module of the package.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from array import array

ID_BYTES = 16
"""Size of one license ID in `Listing.ids`: a UUID's 128 bits."""


class Outcome(StrEnum):
    """How a row ended, as the results file spells it (see docs/reference.md)."""

    REVOKED = "revoked"
    ALREADY_REVOKED = "already_revoked"
    NOT_FOUND = "not_found"
    FAILED = "failed"
    UNKNOWN = "unknown"
    EXCLUDED = "excluded"
    INVALID = "invalid"
    NOT_ATTEMPTED = "not_attempted"
    PLANNED = "planned"


DONE = frozenset({Outcome.REVOKED, Outcome.ALREADY_REVOKED, Outcome.EXCLUDED})
"""Outcomes after which nothing is left to do for a row."""

UNFINISHED = frozenset({Outcome.FAILED, Outcome.UNKNOWN, Outcome.NOT_ATTEMPTED})
"""Outcomes that another run takes up again."""


@dataclass(frozen=True, slots=True)
class Action:
    """What a run wants of each license; actions differ in data, not in code.

    Attributes:
        wanted: The value of ``revoked`` that a license is to have.
        done: The outcome of a license that the server confirmed.
    """

    wanted: bool
    done: Outcome


REVOKE = Action(wanted=True, done=Outcome.REVOKED)


@dataclass(frozen=True, slots=True)
class License:
    """A license as the server describes it, as far as the tool needs it.

    Attributes:
        id: The UUID in the path, in lower case.
        revoked: The value of its ``revoked`` property.
    """

    id: str
    revoked: bool


@dataclass(frozen=True, slots=True)
class Status:
    """How one license stands after it was dealt with: an outcome and its evidence.

    Attributes:
        outcome: How it ended.
        revoked: What the last answer said, or None where no answer said so.
        http_status: HTTP status of the last attempt, or None where no answer came.
        error_code: The server's own code, or one of those in docs/reference.md.
        error: One sentence for a person; empty where all is well.
        attempts: PATCH requests that were sent for it, the first included.
    """

    outcome: Outcome
    revoked: bool | None = None
    http_status: int | None = None
    error_code: str = ""
    error: str = ""
    attempts: int = 0


@dataclass(slots=True, eq=False)
class Listing:
    """What an input lists: one entry for each row with content, in input order.

    Held compactly, because a million IDs as Python objects cost 200 MB: an entry is an
    index, counted from 0, into the parallel columns below.

    Attributes:
        title: What was taken, for a person: file, sheet, header and column.
        rows: Row number of each entry as a spreadsheet shows it, counted from 1.
        ids: `ID_BYTES` bytes for each entry; zeros where the cell holds no ID.
        first: For each entry the entry with the same ID that comes first; itself if none does.
        invalid: Entry to the text of its ID cell, for cells that hold no ID.
        carry: Names of the input columns that are copied into the results.
        carried: For each entry the cells of those columns; empty if none are carried.
        blank: Rows without any content, skipped.
        left_out: Rows of an earlier results file that were left out, by their outcome.
        warnings: What the user should know before the start, a sentence each.
        sha256: Hex digest of the input's bytes as they are stored.
    """

    title: str
    rows: array[int]
    ids: bytes
    first: array[int]
    invalid: dict[int, str] = field(default_factory=dict)
    carry: tuple[str, ...] = ()
    carried: list[tuple[str, ...]] = field(default_factory=list)
    blank: int = 0
    left_out: dict[str, int] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    sha256: str = ""

    def __len__(self) -> int:
        """Entries, invalid ones and repeats included."""
        return len(self.rows)

    def license_id(self, entry: int) -> str:
        """The ID of an entry in canonical form: lower case, hyphenated."""
        digits = self.ids[ID_BYTES * entry : ID_BYTES * (entry + 1)].hex()
        return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"

    def repeats(self, entry: int) -> bool:
        """Whether an earlier entry has the same ID."""
        return self.first[entry] != entry
