"""The findings of a look, held compactly."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from enum import IntEnum
from math import inf
from typing import TYPE_CHECKING

from batch.model import Property

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from batch.errors import ApiError
    from batch.model import License, Listing, RowResult


FEWEST = 5
"""Licenses that make it the wrong account, or the wrong column, if not a single one is known."""


class State(IntEnum):
    """State of a license, as a look says: whether the property that the run is about is set."""

    UNSEEN = 0
    OFF = 1
    ON = 2
    MISSING = 3
    UNREAD = 4


_KNOWN = frozenset({State.OFF, State.ON})
_OFF, _ON = int(State.OFF), int(State.ON)


@dataclass(slots=True, eq=False, repr=False)  # asyncio's runner asks for that of a result
class Snapshot:
    """Licenses that the server held for the entries of a listing when it was looked at.

    Columns are parallel to those of the listing; a license that repeats is seen at its first
    entry. 34 bytes for each entry, its ID not counted.

    Attributes:
        states: `State` of each entry.
        products: For each entry an index into ``product_ids``.
        types: For each entry an index into ``type_names``.
        activations: Activations that each license has.
        expires: When each license expires, in seconds since 1970; infinite for never.
        created: When each was created, in the same seconds; minus infinity if that is not told.
        product_ids: Product IDs, each once; the first is empty, for what is not known.
        type_names: Types, each once; the first is empty.
        problems: How an entry stands that is missing or could not be read.
        ids: The listing's IDs; found by the look where licenses are listed by their keys.
        protects: Tells of a license the indexes of the files that protect it, if any do so.
        protected: Entries whose license they protect, as far as the server has told more of it
            than the listing does, with those indexes.
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
    product_ids: list[str] = field(default_factory=lambda: [""])
    type_names: list[str] = field(default_factory=lambda: [""])
    problems: dict[int, RowResult] = field(default_factory=dict)
    beside: Sequence[str] = ()
    contradicted: set[int] = field(default_factory=set)
    protects: Callable[[License], tuple[int, ...]] | None = None
    protected: dict[int, tuple[int, ...]] = field(default_factory=dict)
    changes: Property = Property.REVOKED
    looked: bool = False
    off: ApiError | None = None
    _products: dict[str, int] = field(default_factory=lambda: {"": 0})
    _types: dict[str, int] = field(default_factory=lambda: {"": 0})

    @classmethod
    def nothing(
        cls,
        listing: Listing,
        protects: Callable[[License], tuple[int, ...]] | None = None,
        *,
        changes: Property = Property.REVOKED,
    ) -> Snapshot:
        """Return a snapshot of which nothing was looked at yet."""
        count = len(listing)
        return cls(
            states=bytearray(count),
            products=array("I", [0]) * count,
            types=array("I", [0]) * count,
            activations=array("Q", [0]) * count,
            expires=array("d", [inf]) * count,
            created=array("d", [-inf]) * count,
            ids=bytearray(listing.ids),
            others=bytearray(count),
            beside=listing.keys_beside,
            protects=protects,
            changes=changes,
        )

    def note(self, entry: int, license_: License) -> None:
        """Take down what the server said of a license; a later word replaces an earlier one."""
        value, other = license_.revoked, license_.suspended
        if self.changes is Property.SUSPENDED:
            value, other = other, value
        self.states[entry] = _ON if value else _OFF
        self.others[entry] = other is True
        product, kind = license_.product, license_.type
        place = self._products.get(product)
        self.products[entry] = (
            _add(product, self._products, self.product_ids) if place is None else place
        )
        place = self._types.get(kind)
        self.types[entry] = _add(kind, self._types, self.type_names) if place is None else place
        self.activations[entry] = license_.activations
        self.expires[entry] = inf if license_.expires is None else license_.expires
        self.created[entry] = -inf if license_.created is None else license_.created
        if self.problems:
            self.problems.pop(entry, None)
        if self.beside and self.beside[entry] not in {"", license_.key}:
            self.contradicted.add(entry)
        if self.protects is not None and (files := self.protects(license_)):
            self.protected[entry] = files

    def problem(self, entry: int, state: State, result: RowResult) -> None:
        """Take down why nothing is known of a license."""
        self.states[entry] = state
        self.problems[entry] = result

    def unseen(self, entries: Iterable[int]) -> array[int]:
        """Those entries of which nothing is known yet."""
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


def _add(name: str, places: dict[str, int], names: list[str]) -> int:
    """Append a name that is new, and return its place."""
    places[name] = len(names)
    names.append(name)
    return places[name]
