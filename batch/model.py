"""The vocabulary: what a license, an input, an action and an outcome are.

Nothing here does I/O, and nothing here imports another module of the package.
"""

from __future__ import annotations

import re
from array import array
from binascii import unhexlify
from dataclasses import dataclass, field, replace
from enum import StrEnum
from math import inf
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections import Counter

ID_BYTES = 16
"""Size of one license ID in `Listing.ids`: a UUID's 128 bits."""


class Property(StrEnum):
    """Property of a license that a run may change, as the API spells it."""

    REVOKED = "revoked"
    SUSPENDED = "suspended"

    @property
    def other(self) -> Property:
        """The one that a run about this property leaves as it is."""
        return Property.REVOKED if self is Property.SUSPENDED else Property.SUSPENDED


class Outcome(StrEnum):
    """Outcome of a row, as the results file spells it (see docs/reference.md)."""

    REVOKED = "revoked"
    ALREADY_REVOKED = "already_revoked"
    SUSPENDED = "suspended"
    ALREADY_SUSPENDED = "already_suspended"
    NOT_FOUND = "not_found"
    FAILED = "failed"
    UNKNOWN = "unknown"
    EXCLUDED = "excluded"
    INVALID = "invalid"
    NOT_ATTEMPTED = "not_attempted"
    PLANNED = "planned"
    WOULD_REVOKE = "would_revoke"
    WOULD_SUSPEND = "would_suspend"
    WOULD_RESTORE = "would_restore"
    VERIFIED = "verified"
    NOT_REVOKED = "not_revoked"
    NOT_SUSPENDED = "not_suspended"
    RESTORED = "restored"
    ALREADY_RESTORED = "already_restored"

    # As equal texts have; that of an enum is a function in Python, called for every row.
    __hash__ = str.__hash__


DONE = frozenset(
    {
        Outcome.REVOKED,
        Outcome.ALREADY_REVOKED,
        Outcome.SUSPENDED,
        Outcome.ALREADY_SUSPENDED,
        Outcome.EXCLUDED,
        Outcome.VERIFIED,
        Outcome.RESTORED,
        Outcome.ALREADY_RESTORED,
    }
)
"""Outcomes after which nothing is left to do for a row."""

UNFINISHED = frozenset({Outcome.FAILED, Outcome.UNKNOWN, Outcome.NOT_ATTEMPTED})
"""Outcomes that another run takes up again."""


class OwnWords(StrEnum):
    """Words of the run itself, and of no server, for a row that it has left as it is."""

    EXCLUDED = "listed in --exclude"
    UNAPPROVED = "not approved"
    UNSELECTED = "not selected by --where"
    LIFTED = "not suspended any more"
    LEFT = "left for later by --limit"
    UNSEEN = "the look was stopped before that"
    IN_DOUBT = "a session that was killed may have sent it"


@dataclass(frozen=True, slots=True)
class Action:
    """Aim of a run for each license; actions differ in data, not in code.

    Attributes:
        command: The name of its command.
        verb: What it does to a license, for a person: ``revoke``.
        state: What a license then is, for a person: ``revoked``.
        changes: The property that it is about; no other one is ever sent.
        wanted: The value of that property that a license is to have.
        on_success: The outcome of a license that the server confirmed.
        unchanged: The outcome of a license that had that value before.
        in_dry_run: The outcome of a license that has the other one, where nothing may be sent.
        sends: Whether it may send a PATCH at all.
        repeats: Whether a license is sent the value that it is said to have already: it was turned
            by the run that is taken back, and what is read may be a cache's word.
        if_revoked: The outcome of a revoked license where nothing is to be done for it; else None.
    """

    command: str
    verb: str
    state: str
    changes: Property
    wanted: bool
    on_success: Outcome
    unchanged: Outcome
    in_dry_run: Outcome
    sends: bool = True
    repeats: bool = False
    if_revoked: Outcome | None = None

    @property
    def is_dry_run(self) -> bool:
        """Tell whether the run says what it would send, and sends nothing."""
        return not self.sends and not self.only_reads

    @property
    def only_reads(self) -> bool:
        """Tell whether the command is a verify: nothing would be sent in any case."""
        return self.on_success is self.unchanged

    def about(self, changes: Property) -> Action:
        """The same action about another property; for a verify, and for what takes back a run."""
        if changes is self.changes:
            return self
        if not self.only_reads:
            return replace(self, changes=changes)
        return replace(
            self,
            changes=changes,
            state=str(changes),
            in_dry_run=NOT_SO[changes],
            if_revoked=SETS[changes].if_revoked,
        )

    def dry_run(self) -> Action:
        """The same without sending anything."""
        return replace(self, sends=False)


REVOKE = Action(
    command="run",
    verb="revoke",
    state="revoked",
    changes=Property.REVOKED,
    wanted=True,
    on_success=Outcome.REVOKED,
    unchanged=Outcome.ALREADY_REVOKED,
    in_dry_run=Outcome.WOULD_REVOKE,
)
RESTORE = Action(
    command="restore",
    verb="restore",
    state="restored",
    changes=Property.REVOKED,
    wanted=False,
    on_success=Outcome.RESTORED,
    unchanged=Outcome.ALREADY_RESTORED,
    in_dry_run=Outcome.WOULD_RESTORE,
    repeats=True,
)
SUSPEND = Action(
    command="suspend",
    verb="suspend",
    state="suspended",
    changes=Property.SUSPENDED,
    wanted=True,
    on_success=Outcome.SUSPENDED,
    unchanged=Outcome.ALREADY_SUSPENDED,
    in_dry_run=Outcome.WOULD_SUSPEND,
    if_revoked=Outcome.ALREADY_REVOKED,
)
VERIFY = Action(
    command="verify",
    verb="verify",
    state="revoked",
    changes=Property.REVOKED,
    wanted=True,
    on_success=Outcome.VERIFIED,
    unchanged=Outcome.VERIFIED,
    in_dry_run=Outcome.NOT_REVOKED,
    sends=False,
)
NOT_SO = {Property.REVOKED: Outcome.NOT_REVOKED, Property.SUSPENDED: Outcome.NOT_SUSPENDED}
"""Property to what a verify says of a license that does not have it."""

ACTIONS = {action.command: action for action in (REVOKE, SUSPEND, VERIFY, RESTORE)}
"""Command to its action; of `VERIFY` and `RESTORE` the one about revocation, see `Action.about`."""

SETS = {action.changes: action for action in (REVOKE, SUSPEND)}
"""Property to the action that gives it to a license."""


@dataclass(frozen=True, slots=True)
class License:
    """A license as the server describes it, as far as the tool needs it.

    Only the property that the run is about is always there; the answer to a PATCH need not tell the
    rest, and what is not told, or not readable, is empty.

    Attributes:
        id: The UUID in the path, in lower case.
        revoked: The value of its ``revoked`` property; None if that is not told.
        key: License key.
        product: Product ID, in lower case.
        type: ``node-locked`` or another of the vendor's words.
        expires: When it expires, in seconds since 1970 (UTC); None for never.
        created: When it was created, in the same seconds.
        activations: How many activations it has now.
        updated: When it was changed last, in the same seconds; None if that is not told.
        suspended: The value of its ``suspended`` property; None if that is not told.
        reseller: ID of the reseller, or empty.
        organization: ID of the organization that it belongs to, or empty.
        user: ID of the user that it belongs to, or empty.
        tags: Its tags.
        last_used: When it was used last, in the same seconds; None if never, or not told.
        grace_period: For how many seconds applications run on without a sync; -1 for ever, None
            if that is not told.
        details: What results say of it: the cells of `batch.columns.DETAILS`, or none.
    """

    id: str
    revoked: bool | None
    key: str = ""
    product: str = ""
    type: str = ""
    expires: float | None = None
    created: float | None = None
    activations: int = 0
    updated: float | None = None
    suspended: bool | None = None
    reseller: str = ""
    organization: str = ""
    user: str = ""
    tags: tuple[str, ...] = ()
    last_used: float | None = None
    grace_period: int | None = None
    details: tuple[str, ...] = ()

    def value(self, of: Property) -> bool | None:
        """The value of a property; None if that is not told."""
        return self.suspended if of is Property.SUSPENDED else self.revoked


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list of licenses.

    Attributes:
        licenses: Those on it, in the server's order.
        total: How many the whole list has, where the server says so (``Pagination-Count``).
    """

    licenses: list[License]
    total: int | None


@dataclass(frozen=True, slots=True)
class ToldPage:
    """One page of a list, as the server tells it.

    Attributes:
        licenses: The objects on it, in the server's order; each has an ID, and the one property
            that every license has to tell.
        total: How many the whole list has, where the server says so (``Pagination-Count``).
        at: When this was answered by the server's clock, in seconds since 1970; None if it does
            not say.
    """

    licenses: list[dict[str, Any]]
    total: int | None
    at: float | None


@dataclass(frozen=True, slots=True)
class RowResult:
    """Result of a license after it was dealt with: an outcome and its evidence.

    Attributes:
        outcome: How it ended.
        value: What the last answer said of the property that the run is about, or None where no
            answer said so.
        http_status: HTTP status of the last attempt, or None where no answer came.
        error_code: The server's own code, or one of those in docs/reference.md.
        error: One sentence for a person; empty where all is well.
        attempts: PATCH requests that were sent for it, the first included.
    """

    outcome: Outcome
    value: bool | None = None
    http_status: int | None = None
    error_code: str = ""
    error: str = ""
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition of ``--where``.

    Attributes:
        column: Header of a column, else its number, counted from 1.
        value: Text of the cell there in the rows that are selected, white space around it left out.
    """

    column: str
    value: str

    def __str__(self) -> str:
        """As it is written behind ``--where``."""
        return f"{self.column}={self.value}"


@dataclass(slots=True, eq=False)
class Listing:
    """Entries of an input: one for each row with content, in input order.

    Held compactly, because a million IDs as Python objects cost 200 MB: an entry is an
    index, counted from 0, into the parallel columns below.

    Attributes:
        title: What was taken, for a person: file, sheet, header and column.
        rows: Row number of each entry as a spreadsheet shows it, counted from 1.
        ids: `ID_BYTES` bytes for each entry; zeros where the cell holds no ID, and where a
            license is listed by its key and not looked up yet.
        keys: License key of each entry, if licenses are listed by their keys; else empty.
        first: For each entry the entry with the same ID or key that comes first; itself if none
            does.
        invalid: Entry to the text of its cell, for cells that hold no ID or key.
        carry: Names of the input columns that are copied into the results.
        carried: For each entry the cells of those columns; empty if none are carried.
        header: The ID column's header as written; empty where there is none.
        blank: Rows without any content, skipped.
        left_out: Rows of an earlier results file that were left out, by their outcome.
        warnings: What the user should know before the start, a sentence each.
        sha256: Hex digest of the input's bytes as they are stored.
        where: For each condition of ``--where`` the rows by what they hold in its column.
        unselected: A byte for each entry, 1 where these conditions do not hold, so that its license
            is not meant; empty where all are. No license is meant by one row and not by another.
        suspended_at: None, unless the input is the results of a suspension: then only licenses that
            still are suspended are meant, and this is when the first and the last of them was
            suspended, in seconds since 1970 (infinite, if the results do not tell).
        next_at: When the first license was suspended that is not old enough for ``--older-than``
            yet, in seconds since 1970; infinite if there is none.
        keys_beside: What stands for each entry in a column of license keys, where licenses are
            listed by ID; empty if there is none. It may be wrong, and only saves requests.
    """

    title: str
    rows: array[int]
    ids: bytes
    first: array[int]
    invalid: dict[int, str] = field(default_factory=dict)
    carry: tuple[str, ...] = ()
    carried: list[tuple[str, ...]] = field(default_factory=list)
    header: str = ""
    blank: int = 0
    left_out: dict[str, int] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    sha256: str = ""
    keys: list[str] = field(default_factory=list)
    where: dict[Condition, Counter[str]] = field(default_factory=dict)
    unselected: bytes = b""
    suspended_at: tuple[float, float] | None = None
    next_at: float = inf
    keys_beside: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        """Entries, invalid ones and repeats included."""
        return len(self.rows)

    def license_id(self, entry: int) -> str:
        """The ID of an entry in canonical form: lower case, hyphenated."""
        return id_text(self.ids[ID_BYTES * entry : ID_BYTES * (entry + 1)])

    def named(self, entry: int) -> str:
        """Return the name that the input has for a license: its key, or its ID."""
        return self.keys[entry] if self.keys else self.license_id(entry)

    def repeats(self, entry: int) -> bool:
        """Tell whether an earlier entry has the same ID or key."""
        return self.first[entry] != entry

    def repeated(self) -> dict[int, list[int]]:
        """Entries that repeat an earlier one, by that one."""
        found: dict[int, list[int]] = {}
        for entry, first in enumerate(self.first):
            if entry != first:
                found.setdefault(first, []).append(entry)
        return found

    def is_selected(self, entry: int) -> bool:
        """Tell whether a row is meant: ``--where`` selects it, or there is none."""
        return not self.unselected or not self.unselected[entry]

    def distinct(self) -> array[int]:
        """The entries of the licenses that are meant, each at the first one of its ID or key."""
        invalid, unselected = self.invalid, self.unselected
        return array(
            "I",
            (
                entry
                for entry, first in enumerate(self.first)
                if entry == first
                and entry not in invalid
                and not (unselected and unselected[entry])
            ),
        )


def id_text(id_bytes: bytes) -> str:
    """A license ID in canonical form, from its `ID_BYTES` bytes."""
    digits = id_bytes.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


_ID = re.compile("[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}")

_LINE_CHARS = 37
"""Characters of an ID and the end of its line."""

_MARKS = ((8, b"-"), (13, b"-"), (18, b"-"), (23, b"-"), (36, b"\n"))
"""Places in such a line, and the character that stands there."""

NO_ID = bytes(ID_BYTES)
"""Bytes that stand in `Listing.ids` for a cell without an ID."""


def parse_id(cell: str) -> bytes | None:
    """The `ID_BYTES` bytes of a cell with an ID, or None where it holds something else.

    An ID is a UUID in its hyphenated form, in any case; white space around it, no-break
    spaces too, does not matter.
    """
    text = cell.strip()
    if not _ID.fullmatch(text):
        return None
    return bytes.fromhex(text.replace("-", ""))


def parse_ids(cells: list[str]) -> bytes | None:
    """The IDs of a whole column one after another, or None where any cell needs a closer look.

    A million cells take 0.1 s here, and 1 s one by one.
    """
    lines = "\n".join((*cells, "")).encode("ascii", "replace")
    # Equal lines put the same character at the same place of each: look along those places.
    if len(lines) != _LINE_CHARS * len(cells) or any(
        lines[place::_LINE_CHARS].strip(mark) for place, mark in _MARKS
    ):
        return None
    try:
        ids = unhexlify(lines.translate(None, b"-\n"))
    except ValueError:
        return None
    return ids if len(ids) == ID_BYTES * len(cells) else None
