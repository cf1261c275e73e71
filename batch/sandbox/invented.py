"""Licenses that a seed invents: each one is computed when it is asked for, and none is stored.

A license is a function of the seed and of its position in the order of creation. Its ID and its key
hold that position, scattered by a permutation, so that either finds it again.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from dataclasses import fields
from itertools import accumulate, chain
from operator import mul
from random import Random
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from batch.sandbox.license import (
    DOMAINS,
    PRODUCTS,
    TICKS,
    TYPES,
    YEAR,
    Customer,
    Reseller,
    SandboxLicense,
    random_uuid,
)
from batch.sandbox.permutation import Numbers, Permutation, Stream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

Positions: TypeAlias = "Sequence[int] | NDArray[np.int32]"

DAY = 24 * 3600
SOLD_FOR = 3 * 365 * DAY
"""Seconds before today's beginning (UTC) in which all licenses were sold."""

TERMS = (1, 1, 1, 3, 5, None)
"""Years that a license is sold for, None for ever; one of these is drawn for each."""

ALLOWED = (1, 1, 2, 5, 25)
"""Activations that a license admits; one of these is drawn for each."""

FIRST_NAMES = ("Ada", "Bela", "Chidi", "Dana", "Emre", "Freya", "Goran", "Hana", "Ines", "Juho")
LAST_NAMES = ("Achterberg", "Brandt", "Castellanos", "Dubois", "Eze", "Fontaine", "Greve", "Hirvi")
PLACES = ("Alder", "Birch", "Copper", "Dune", "Ember", "Fjord", "Granite", "Harbor", "Iron")
TRADES = ("Analytics", "Bridges", "Castings", "Dynamics", "Engineering", "Foundry", "Surveys")
FORMS = ("Ltd", "Inc.", "GmbH", "AB", "SARL")

LICENSES_PER_CUSTOMER = 5
MOST_CUSTOMERS = 10_000

RESELLERS = {
    "Meridian Software": 0.06,
    "Northgate Systems": 0.04,
    "Tessera Partners": 0.03,
    "Kestrel Licensing": 0.02,
    "Lindqvist & Roe": 0.01,
    "Pallas Digital": 0.004,
    "Quarry Lane": 0.001,
    "Osprey Tools": 0.00001,
}
"""Name of a reseller to its share of an account."""

TAGS: tuple[tuple[str, ...], ...] = (
    (), (), (), (), (), ("pilot",), ("oem",), ("oem", "pilot"), ("education",), ("renewal",),
)  # fmt: skip
"""Tags of a license; one of these is drawn for each."""

REGIONS = ("emea", "apac", "amer")
METADATA: tuple[tuple[tuple[str, str], ...], ...] = (
    *[()] * 60,
    *((("region", region),) for region in REGIONS),
    *((("edition", "plus"), ("region", region)) for region in REGIONS),
    *((("contract", f"C-{number}"), ("region", "emea")) for number in range(1001, 1041)),
)
"""Metadata of a license; one of these is drawn for each."""

HOUR = 3600 * TICKS
RANDOM_BITS = 62
"""Random bits at the end of a UUID, behind the two of its variant."""


class Inventor:
    """Invents licenses of which the ID or the key is given, the same for the same seed.

    Args:
        seed: Of all that is invented.
        customers: How many there are, at least one.
        now: A moment of the day, in seconds since 1970, that all dates are counted from.
    """

    def __init__(self, seed: int, *, customers: int, now: float | None = None) -> None:
        self._today = today(now)
        self._random = Random(seed)  # noqa: S311 - reproducible, not secret
        self._later = Random(f"{seed} later")  # noqa: S311
        self._customers = [invented_customer(self._random) for _ in range(max(1, customers))]
        self._resellers = [None, None, *(reseller(name, seed) for name in RESELLERS)]

    def license(self, license_id: str | None = None, *, key: str | None = None) -> SandboxLicense:
        """A license with this ID and key, or invented ones; it is not revoked."""
        random, later = self._random, self._later
        created = self._today - random.randint(1, SOLD_FOR * TICKS)
        years = random.choice(TERMS)
        allowed = random.choice(ALLOWED)
        license_ = SandboxLicense(
            id=license_id or random_uuid(random),
            key=key or grouped(f"{random.getrandbits(144):036X}"),
            product=random.choice(PRODUCTS),
            customer=random.choice(self._customers) if random.random() < 0.9 else None,
            type=random.choice(TYPES),
            revoked=random.random() < 0,  # a draw less, and every other one would be another
            suspended=random.random() < 0.03,
            allowed_activations=allowed,
            total_activations=random.randint(0, allowed),
            created=created,
            expires=None if years is None else created + years * YEAR,
            updated=created + 15,
            reseller=later.choice(self._resellers),
            activated=None,
            last_used=None,
            tags=later.choice(TAGS),
            metadata=later.choice(METADATA),
        )
        if license_.total_activations:
            license_.activated = later.randint(created, self._today)
            license_.last_used = later.randint(license_.activated, self._today)
        return license_


class Invented:
    """Licenses by their position in the order of creation, counted from 0.

    Args:
        count: How many there are.
        seed: Of all that is invented.
        now: A moment of the day, in seconds since 1970, that all dates are counted from.
        revoked: How many of them are revoked.
        resellers: Name of a reseller to how many of them it has sold.
        batch: How many of them were made within one hour.

    Raises:
        ValueError: A part of them would be larger than the whole.

    Attributes:
        count: How many there are.
        batch: Positions of those that were made within one hour, a good year ago.
        resellers: Who has sold them, by name.
    """

    def __init__(
        self,
        count: int,
        *,
        seed: int = 0,
        now: float | None = None,
        revoked: int = 0,
        resellers: Mapping[str, int] | None = None,
        batch: int = 0,
    ) -> None:
        sold = resellers or {}
        if max(revoked, batch, sum(sold.values())) > count:
            raise ValueError(f"there are only {count} licenses")
        self.count = count
        self.resellers = {name: reseller(name, seed) for name in sold}
        self._today = today(now)
        self._slot = max(1, SOLD_FOR * TICKS // max(1, count))
        self._first_of_version_7 = count // 2
        first = max(self._first_of_version_7, min(count * 11 // 20, count - batch))
        self.batch = range(first, min(count, first + batch))
        self._revoked = revoked
        self._sold = list(accumulate(sold.values()))
        self._choices = self._invented_choices(seed)
        sizes = [len(self._choices[name]) for name in _DRAWN]
        self._divisors = dict(zip(_DRAWN, accumulate([1, *sizes], mul), strict=False))
        self._drawn, self._moments, self._used, self._in_id, self._in_key = (
            Stream(f"{seed} {name}") for name in ("drawn", "moments", "used", "id", "key")
        )
        self._id_of = Permutation(f"{seed} id", 2**RANDOM_BITS)
        self._key_of = Permutation(f"{seed} key", 2**64)
        self._by_revoked = Permutation(f"{seed} revoked", max(1, count))
        self._by_reseller = Permutation(f"{seed} reseller", max(1, count))
        self._columns: dict[str, NDArray[Any]] = {}

    def _invented_choices(self, seed: int) -> dict[str, Sequence[Any]]:
        """Attribute of a license to the values that it may have."""
        random = Random(f"{seed} customers")  # noqa: S311 - reproducible, not secret
        customers = min(max(1, self.count // LICENSES_PER_CUSTOMER), MOST_CUSTOMERS)
        return {
            "product": PRODUCTS,
            "customer": (
                *(invented_customer(random) for _ in range(customers)),
                *[None] * max(1, customers // 9),
            ),
            "type": TYPES,
            "revoked": (False, True),
            "suspended": (True, *[False] * 32),
            "reseller": (*self.resellers.values(), None),
            "tags": TAGS,
            "metadata": METADATA,
            "term": TERMS,
            "allowed": ALLOWED,
        }

    def license(self, position: int) -> SandboxLicense:
        """The license at a position."""
        values: list[Any] = []
        for name in _ATTRIBUTES:
            if name in self._choices:
                values.append(self._choices[name][self._code(name, position)])
            else:
                number = self._number(name, position)
                values.append(number or None if name in MOMENTS else number)
        return SandboxLicense(self.id(position), self.key(position), *values)

    def licenses(self, positions: Positions) -> list[SandboxLicense]:
        """The licenses at these positions: for many of them faster than one by one."""
        at = np.array(positions, np.uint64)
        columns: list[Iterable[Any]] = [self.ids(positions), self._keys(at)]
        for name in _ATTRIBUTES:
            if name in self._choices:
                columns.append(map(self._choices[name].__getitem__, self._code(name, at).tolist()))
            else:
                numbers = self._number(name, at).tolist()
                columns.append([each or None for each in numbers] if name in MOMENTS else numbers)
        return [SandboxLicense(*values) for values in zip(*columns, strict=True)]

    def position(self, license_id: str) -> int | None:
        """The position of the license with this ID, in lower case, or None where there is none."""
        try:
            scattered = int(license_id[19:23] + license_id[24:], 16) & (2**RANDOM_BITS - 1)
        except ValueError:
            return None
        position = self._id_of.inverse(scattered)
        return position if position < self.count and self.id(position) == license_id else None

    def position_of_key(self, key: str) -> int | None:
        """The position of the license with this key, as written, or None where there is none."""
        try:
            scattered = int(key.replace("-", "")[-16:], 16) & (2**64 - 1)
        except ValueError:
            return None
        position = self._key_of.inverse(scattered)
        return position if position < self.count and self.key(position) == key else None

    def id(self, position: int) -> str:
        """The ID of the license at a position: in its last bits is the position, scattered."""
        return _uuid(*self._id_halves(position))

    def ids(self, positions: Positions) -> Iterator[str]:
        """The IDs of the licenses at these positions."""
        for start in range(0, len(positions), _CHUNK):
            halves = self._id_halves(np.array(positions[start : start + _CHUNK], np.uint64))
            yield from map(_uuid, *(half.tolist() for half in halves))

    def key(self, position: int) -> str:
        """The key of the license at a position: in its last digits is the position, scattered."""
        return _key(*self._key_parts(position))

    def where(self, attribute: str, law: Callable[[Any], Any]) -> NDArray[np.bool_]:
        """For each position whether a law holds of an attribute.

        Args:
            attribute: Of a license.
            law: Takes a value of it. Numbers come all at once, as an array, with 0 for None.
        """
        if attribute in self._choices:
            holds = np.array([law(each) for each in self._choices[attribute]], np.bool_)
            return np.take(holds, self._column(attribute))
        if attribute == "key":
            keys = chain.from_iterable(self._keys(at) for at in self._chunks())
            return np.fromiter(map(law, keys), np.bool_, self.count)
        return np.asarray(law(self._column(attribute)), np.bool_)

    def _chunks(self) -> Iterator[NDArray[np.uint64]]:
        """Arrays of all positions in their order, none too large."""
        for start in range(0, self.count, _CHUNK):
            yield np.arange(start, min(start + _CHUNK, self.count), dtype=np.uint64)

    def _column(self, attribute: str) -> NDArray[Any]:
        """Codes or numbers of an attribute by position, computed when they are first needed."""
        if attribute not in self._columns:
            coded = attribute in self._choices
            largest = len(self._choices[attribute]) if coded else 25
            column = np.empty(
                self.count, np.int64 if attribute in MOMENTS else np.min_scalar_type(largest)
            )
            made = self._code if coded else self._number
            for at in self._chunks():
                column[int(at[0]) : int(at[-1]) + 1] = made(attribute, at)
            self._columns[attribute] = column
        return self._columns[attribute]

    def _code(self, attribute: str, position: Numbers) -> Numbers:
        """The index of the value that an attribute has at a position, among its possible values."""
        if attribute == "revoked":
            return number_of(self._by_revoked(position) < self._revoked)
        if attribute == "reseller":
            rank = self._by_reseller(position)
            if isinstance(rank, int):
                return bisect_right(self._sold, rank)
            return np.searchsorted(np.array(self._sold, np.uint64), rank, side="right")
        drawn = self._drawn(position) // self._divisors[attribute]
        return drawn % len(self._choices[attribute])

    def _number(self, attribute: str, position: Numbers) -> Numbers:
        """An attribute that is a number: ticks since 1970, 0 for never, or a count."""
        match attribute:
            case "allowed_activations":
                return picked(ALLOWED, self._code("allowed", position))
            case "total_activations":
                allowed = picked(ALLOWED, self._code("allowed", position))
                return (self._used(position) >> 40) % (allowed + 1)
            case _:
                return self._moment(attribute, position)

    def _moment(self, attribute: str, position: Numbers) -> Numbers:
        created = self._created(position)
        match attribute:
            case "updated":
                return created + 15
            case "expires":
                years = picked([years or 0 for years in TERMS], self._code("term", position))
                return (created + years * YEAR) * number_of(years > 0)
            case "last_used":
                return self._within(created, self._today, position)
            case "activated":
                return self._within(created, self._moment("last_used", position), position)
        return created

    def _within(self, start: Numbers, end: Numbers, position: Numbers) -> Numbers:
        """A moment from ``start`` on and before ``end``, 0 where there are no activations."""
        active = number_of(self._number("total_activations", position) > 0)
        span = (end - start) * active + (1 - active)
        return (start + self._used(position) % span) * active

    def _created(self, position: Numbers) -> Numbers:
        """A moment in the slot of the position; the slots of the batch share one hour."""
        first, size = self.batch.start, max(1, len(self.batch))
        narrow = min(self._slot, HOUR // size)
        batched = number_of((position >= first) & (position < self.batch.stop))
        slot = self._slot - (self._slot - narrow) * batched
        begin = self._today - SOLD_FOR * TICKS + first * self._slot
        # Before the batch the difference is negative: in 64 bits it comes round again.
        return begin + (position - first) * slot + self._moments(position) % slot

    def _id_halves(self, position: Numbers) -> tuple[Numbers, Numbers]:
        """The first and the last 64 bits of an ID, of version 4 or 7 (RFC 9562)."""
        drawn = self._in_id(position)
        later = number_of(position >= self._first_of_version_7)
        milliseconds = self._created(position) // (TICKS // 1000)
        start = milliseconds * later + (drawn >> 16) * (1 - later)
        high = start << 16 | (4 + 3 * later) << 12 | drawn & 0xFFF
        return high, 1 << 63 | self._id_of(position)

    def _key_parts(self, position: Numbers) -> tuple[Numbers, Numbers, Numbers]:
        """The first 64, the next 16 and the last 64 bits of a key."""
        return self._in_key(position), self._in_id(position) >> 48, self._key_of(position)

    def _keys(self, at: NDArray[np.uint64]) -> Iterator[str]:
        return map(_key, *(part.tolist() for part in self._key_parts(at)))


_CHUNK = 50_000

_DRAWN = ("product", "type", "term", "allowed", "suspended", "tags", "metadata", "customer")
"""Attributes that are digits of one draw: each takes what those before it have left."""

MOMENTS = frozenset({"created", "expires", "updated", "activated", "last_used"})
"""Attributes that are moments, or None for never."""

_ATTRIBUTES = tuple(field.name for field in fields(SandboxLicense) if field.init)[2:]


def number_of(condition: Any) -> Numbers:  # noqa: ANN401 - a bool, or an array of them
    """1 where a condition holds, else 0."""
    return int(condition) if isinstance(condition, bool) else condition.astype(np.uint64)


def picked(values: Sequence[int], code: Numbers) -> Numbers:
    """The value with this index."""
    return values[code] if isinstance(code, int) else np.array(values, np.uint64)[code]


def today(now: float | None) -> int:
    """The beginning of the day of a moment, or of the present one, in ticks since 1970."""
    return int(time.time() if now is None else now) // DAY * DAY * TICKS


def reseller(name: str, seed: int) -> Reseller:
    """The reseller of this name in the accounts of a seed."""
    mailbox = "".join(each for each in name.lower() if each.isalnum())
    random = Random(f"{seed} reseller {name}")  # noqa: S311 - reproducible, not secret
    return Reseller(random_uuid(random), name, f"sales@{mailbox}.example.com")


def invented_customer(random: Random) -> Customer:
    """A customer; two of them may share name and company."""
    first, last = random.choice(FIRST_NAMES), random.choice(LAST_NAMES)
    place, trade = random.choice(PLACES), random.choice(TRADES)
    return Customer(
        id=random_uuid(random),
        first_name=first,
        last_name=last,
        email=f"{first}.{last}@{place}-{trade}.{random.choice(DOMAINS)}".lower(),
        company=f"{place} {trade} {random.choice(FORMS)}",
    )


def grouped(digits: str) -> str:
    """A key of the default pattern: six groups of six hex digits."""
    first, second = f"{digits[:6]}-{digits[6:12]}-{digits[12:18]}", digits[18:]
    return f"{first}-{second[:6]}-{second[6:12]}-{second[12:]}"


def _key(first: int, middle: int, last: int) -> str:
    return grouped(f"{first:016X}{middle:04X}{last:016X}")


def _uuid(high: int, low: int) -> str:
    digits = f"{high:016x}{low:016x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
