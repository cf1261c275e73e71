"""The findings of a look, held compactly."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from enum import IntEnum
from math import inf
from typing import TYPE_CHECKING

from batch.license_object import customer
from batch.model import Property

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from batch.errors import ApiError
    from batch.model import License, Listing, RowResult
    from batch.results.details import Details


FEWEST = 5
"""Licenses that make it the wrong account, or the wrong column, if not a single one is known."""

SAMPLE = 20
"""Licenses that a look reads by themselves, where they are to tell how the others are read best, or
whether any is known."""

UNLIMITED = -1
"""Grace period of a license whose applications run on without a sync for ever (Cryptlex Web API,
``serverSyncGracePeriod``)."""


class State(IntEnum):
    """State of a license, as a look says: whether the property that the run is about is set."""

    UNSEEN = 0
    OFF = 1
    ON = 2
    MISSING = 3
    UNREAD = 4


_KNOWN = frozenset({State.OFF, State.ON})
_OFF, _ON = int(State.OFF), int(State.ON)


class _Places(dict[str, int]):
    """Place of each name in a list, which takes up a name that is new when it is asked for."""

    def __init__(self, names: list[str]) -> None:
        super().__init__((name, at) for at, name in enumerate(names))
        self._names = names

    def __missing__(self, name: str) -> int:
        place = self[name] = len(self._names)
        self._names.append(name)
        return place


@dataclass(slots=True, eq=False, repr=False)  # asyncio's runner asks for that of a result
class Snapshot:
    """Licenses that the server held for the entries of a listing when it was looked at.

    Columns are parallel to those of the listing; a license that repeats is seen at its first
    entry. 51 bytes for each entry, its ID and the details not counted.

    Attributes:
        states: `State` of each entry.
        products: For each entry an index into ``product_ids``.
        types: For each entry an index into ``type_names``.
        activations: Activations that each license has.
        expires: When each license expires, in seconds since 1970; infinite for never.
        created: When each was created, in the same seconds; minus infinity if that is not told.
        last_used: When each was used last, in the same seconds; minus infinity for never, or if
            that is not told.
        unlimited: 1 for each entry whose license never makes an application ask the server, else 0.
        resellers: For each entry an index into ``reseller_ids``.
        organizations: For each entry an index into ``organization_ids``.
        product_ids: Product IDs, each once; the first is empty, for what is not known.
        type_names: Types, each once; the first is empty.
        reseller_ids: IDs of resellers, each once; the first is empty, for none.
        organization_ids: IDs of organizations, in the same way.
        details: Takes down what results say of each license; None where they are to say nothing.
        account_total: How many licenses the whole account has, where a list without a filter has
            said so; else None.
        problems: How an entry stands that is missing or could not be read.
        ids: IDs that the look has found for a listing's keys; empty where IDs are listed.
        protects: Tells of a license the indexes of the files that protect it, if any do so.
        protected: Entries whose license they protect, as far as the server has told more of it
            than the listing does, with those indexes.
        compares: Says what has become of a license since it was approved; empty if nothing has.
        changed: What it has said, where it was something.
        changes: The property that the run is about.
        others: 1 for each entry whose license has the other property, else 0.
        beside: As `Listing.keys_beside`.
        contradicted: Entries beside whose ID the list has another key than the server.
        looked: Whether there was a look at all.
        off: Why nothing could be looked at, or None.
    """

    states: bytearray
    products: array[int]
    types: array[int]
    activations: array[int]
    expires: array[float]
    created: array[float]
    ids: bytearray
    others: bytearray
    last_used: array[float]
    unlimited: bytearray
    resellers: array[int]
    organizations: array[int]
    product_ids: list[str] = field(default_factory=lambda: [""])
    type_names: list[str] = field(default_factory=lambda: [""])
    reseller_ids: list[str] = field(default_factory=lambda: [""])
    organization_ids: list[str] = field(default_factory=lambda: [""])
    details: Details | None = None
    account_total: int | None = None
    problems: dict[int, RowResult] = field(default_factory=dict)
    beside: Sequence[str] = ()
    contradicted: set[int] = field(default_factory=set)
    protects: Callable[[License], tuple[int, ...]] | None = None
    protected: dict[int, tuple[int, ...]] = field(default_factory=dict)
    compares: Callable[[License], str] | None = None
    changed: dict[int, str] = field(default_factory=dict)
    changes: Property = Property.REVOKED
    looked: bool = False
    off: ApiError | None = None
    _products: _Places = field(init=False)
    _types: _Places = field(init=False)
    _resellers: _Places = field(init=False)
    _organizations: _Places = field(init=False)

    def __post_init__(self) -> None:
        self._products = _Places(self.product_ids)
        self._types = _Places(self.type_names)
        self._resellers = _Places(self.reseller_ids)
        self._organizations = _Places(self.organization_ids)

    @classmethod
    def nothing(
        cls,
        listing: Listing,
        protects: Callable[[License], tuple[int, ...]] | None = None,
        *,
        compares: Callable[[License], str] | None = None,
        changes: Property = Property.REVOKED,
        details: Details | None = None,
    ) -> Snapshot:
        """Return a snapshot that holds nothing yet."""
        count = len(listing)
        return cls(
            states=bytearray(count),
            products=array("I", [0]) * count,
            types=array("I", [0]) * count,
            activations=array("Q", [0]) * count,
            expires=array("d", [inf]) * count,
            created=array("d", [-inf]) * count,
            ids=bytearray(listing.ids if listing.keys else b""),
            others=bytearray(count),
            last_used=array("d", [-inf]) * count,
            unlimited=bytearray(count),
            resellers=array("I", [0]) * count,
            organizations=array("I", [0]) * count,
            details=details,
            beside=listing.keys_beside,
            protects=protects,
            compares=compares,
            changes=changes,
        )

    def note(self, entry: int, license_: License) -> None:
        """Take down what the server said of a license; a later word replaces an earlier one."""
        value, other = license_.revoked, license_.suspended
        if self.changes is Property.SUSPENDED:
            value, other = other, value
        self.states[entry] = _ON if value else _OFF
        self.others[entry] = other is True
        self.products[entry] = self._products[license_.product]
        self.types[entry] = self._types[license_.type]
        self.activations[entry] = license_.activations
        self.expires[entry] = inf if license_.expires is None else license_.expires
        self.created[entry] = -inf if license_.created is None else license_.created
        self.last_used[entry] = -inf if license_.last_used is None else license_.last_used
        self.unlimited[entry] = license_.grace_period == UNLIMITED
        self.resellers[entry] = self._resellers[license_.reseller]
        self.organizations[entry] = self._organizations[license_.organization]
        if self.details is not None:
            self.details.note(entry, license_.details)
        if self.problems:
            self.problems.pop(entry, None)
        if self.beside and self.beside[entry] not in {"", license_.key}:
            self.contradicted.add(entry)
        if self.protects is not None and (files := self.protects(license_)):
            self.protected[entry] = files
        if self.compares is not None:
            self.changed.pop(entry, None)
            if what := self.compares(license_):
                self.changed[entry] = what

    def problem(self, entry: int, state: State, result: RowResult) -> None:
        """Note why the look has failed for a license."""
        self.states[entry] = state
        self.problems[entry] = result

    def unseen(self, entries: Iterable[int]) -> array[int]:
        """Those of some entries that the look has not settled yet."""
        return array("I", (entry for entry in entries if not self.states[entry]))

    @property
    def known(self) -> int:
        """Licenses that the server has described."""
        return self.states.count(State.OFF) + self.states.count(State.ON)

    def value(self, entry: int) -> bool | None:
        """The value of the property that the run is about; None if a license was not seen."""
        state = self.states[entry]
        return state == State.ON if state in _KNOWN else None

    def product(self, entry: int) -> str:
        """Product ID of a license that was seen; empty if it is not told."""
        return self.product_ids[self.products[entry]]

    def never_notice(self, entries: Iterable[int]) -> int:
        """Count those of some licenses that have an unlimited grace period.

        An application with such a license that does not ask the server by itself never learns that
        it was revoked or suspended; those that were activated offline do not either, and nothing
        tells which these are.
        """
        unlimited = self.unlimited
        return sum(unlimited[entry] for entry in entries)

    def resellers_of(self, entries: Iterable[int]) -> int:
        """Count the resellers that have sold some licenses; a license may have none."""
        return _different(self.resellers, entries)

    def organizations_of(self, entries: Iterable[int]) -> int:
        """Count the organizations that some licenses belong to; a license may belong to none."""
        return _different(self.organizations, entries)

    def customer(self, entry: int) -> str:
        """Name of whom a license belongs to, as the server spells it, cut as a cell is.

        The user's company, else the organization (its ID, where its name is not told), else empty;
        also where the license was not seen, or no details are kept. The first entry of the license
        has it, as with everything here.
        """
        return "" if self.details is None else customer(self.details.cells(entry))


def _different(places: array[int], entries: Iterable[int]) -> int:
    return len({places[entry] for entry in entries} - {0})
