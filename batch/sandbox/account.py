"""The licenses of one account: those that a seed invents, or those that an input names."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

DAY = 24 * 3600
SOLD_FOR = 3 * 365 * DAY
"""Seconds before today's beginning (UTC) in which all licenses were sold."""

TERMS = (1, 1, 1, 3, 5, None)
"""Years that a license is sold for, None for ever; one of these is drawn for each."""

FIRST_NAMES = ("Ada", "Bela", "Chidi", "Dana", "Emre", "Freya", "Goran", "Hana", "Ines", "Juho")
LAST_NAMES = ("Achterberg", "Brandt", "Castellanos", "Dubois", "Eze", "Fontaine", "Greve", "Hirvi")
PLACES = ("Alder", "Birch", "Copper", "Dune", "Ember", "Fjord", "Granite", "Harbor", "Iron")
TRADES = ("Analytics", "Bridges", "Castings", "Dynamics", "Engineering", "Foundry", "Surveys")
FORMS = ("Ltd", "Inc.", "GmbH", "AB", "SARL")
DOMAINS = ("example.com", "example.net", "example.org")
"""Reserved for examples (RFC 2606): mail to them reaches nobody."""

LICENSES_PER_CUSTOMER = 5


class Account:
    """Licenses by ID, in the order of their creation.

    Attributes:
        licenses: License ID in lower case to license.
    """

    def __init__(self, licenses: Iterable[SandboxLicense] = ()) -> None:
        self.licenses: dict[str, SandboxLicense] = {}
        self._order: list[SandboxLicense] = []
        self._by_key: dict[str, list[SandboxLicense]] = {}
        for license_ in licenses:
            self.add(license_)

    @classmethod
    def generate(
        cls, count: int, *, seed: int = 0, revoked: float = 0.05, now: float | None = None
    ) -> Account:
        """An account with ``count`` invented licenses, the same for the same seed.

        Args:
            count: Number of licenses.
            seed: Of all that is invented.
            revoked: Share that is revoked from the start, 0 to 1.
            now: A moment of the day, in seconds since 1970, that all dates are counted from: on
                any other day the same licenses have expired. The present one by default.
        """
        invent = _Inventor(seed, customers=count // LICENSES_PER_CUSTOMER, now=now)
        licenses = [invent.license(revoked=revoked) for _ in range(count)]
        licenses.sort(key=lambda license_: license_.created)
        return cls(licenses)

    @classmethod
    def holding(
        cls,
        ids: Iterable[str],
        *,
        seed: int = 0,
        revoked: Iterable[str] = (),
        now: float | None = None,
    ) -> Account:
        """An account that knows these license IDs, in this order; a repeated ID counts once.

        Args:
            ids: License IDs, in any case.
            seed: Of all that is invented.
            revoked: Those of them that are revoked from the start; none by default.
            now: As for `generate`.
        """
        unique = list(dict.fromkeys(license_id.lower() for license_id in ids))
        invent = _Inventor(seed, customers=len(unique) // LICENSES_PER_CUSTOMER, now=now)
        account = cls(invent.license(license_id) for license_id in unique)
        for license_id in revoked:
            account.licenses[license_id.lower()].revoked = True
        return account

    @classmethod
    def holding_keys(cls, keys: Iterable[str], *, seed: int = 0) -> Account:
        """An account that knows these license keys, as written; a repeated key counts once."""
        unique = list(dict.fromkeys(keys))
        invent = _Inventor(seed, customers=len(unique) // LICENSES_PER_CUSTOMER)
        return cls(invent.license(key=key) for key in unique)

    def __len__(self) -> int:
        return len(self._order)

    def __iter__(self) -> Iterator[SandboxLicense]:
        return iter(self._order)

    def add(self, license_: SandboxLicense) -> None:
        """Add a license as the newest one; its key may be that of another.

        Raises:
            ValueError: The account has a license with this ID.
        """
        if license_.id in self.licenses:
            raise ValueError(f"license {license_.id} is already in the account")
        self.licenses[license_.id] = license_
        self._order.append(license_)
        if self._by_key:
            self._by_key.setdefault(license_.key, []).append(license_)

    def find(self, license_id: str) -> SandboxLicense | None:
        """The license with this ID, in any case, or None."""
        return self.licenses.get(license_id.lower())

    def page(self, start: int, stop: int) -> list[SandboxLicense]:
        """Licenses by position, counted from 0, without ``stop``."""
        return self._order[start:stop]

    def with_keys(self, keys: Iterable[str]) -> list[SandboxLicense]:
        """The licenses that have one of these keys, exactly as written; order by key."""
        if not self._by_key:
            for license_ in self._order:
                self._by_key.setdefault(license_.key, []).append(license_)
        return [found for key in keys for found in self._by_key.get(key, ())]


class _Inventor:
    """Invents licenses and customers, the same for the same seed; dates are days from today."""

    def __init__(self, seed: int, *, customers: int, now: float | None = None) -> None:
        self._today = int(time.time() if now is None else now) // DAY * DAY
        self._random = Random(seed)  # noqa: S311 - reproducible, not secret
        self._customers = [self._customer() for _ in range(max(1, customers))]

    def license(
        self, license_id: str | None = None, *, key: str | None = None, revoked: float = 0.0
    ) -> SandboxLicense:
        """A license with this ID and key, or invented ones; revoked with this probability."""
        random = self._random
        created = self._today * TICKS - random.randint(1, SOLD_FOR * TICKS)
        years = random.choice(TERMS)
        allowed = random.choice((1, 1, 2, 5, 25))
        return SandboxLicense(
            id=license_id or self._uuid(),
            key=key or self._key(),
            product=random.choice(PRODUCTS),
            customer=random.choice(self._customers) if random.random() < 0.9 else None,
            type=random.choice(TYPES),
            revoked=random.random() < revoked,
            suspended=random.random() < 0.03,
            allowed_activations=allowed,
            total_activations=random.randint(0, allowed),
            created=created,
            expires=None if years is None else created + years * YEAR,
            updated=created + 15,
        )

    def _customer(self) -> Customer:
        random = self._random
        first, last = random.choice(FIRST_NAMES), random.choice(LAST_NAMES)
        place, trade = random.choice(PLACES), random.choice(TRADES)
        return Customer(
            id=self._uuid(),
            first_name=first,
            last_name=last,
            email=f"{first}.{last}@{place}-{trade}.{random.choice(DOMAINS)}".lower(),
            company=f"{place} {trade} {random.choice(FORMS)}",
        )

    def _uuid(self) -> str:
        return str(UUID(int=self._random.getrandbits(128), version=4))

    def _key(self) -> str:
        """A key of the default pattern: six groups of six hex digits."""
        digits = f"{self._random.getrandbits(144):036X}"
        return "-".join(digits[at : at + 6] for at in range(0, 36, 6))


TICKS = 10_000_000
"""Ticks in a second: a .NET timestamp counts units of 100 ns, hence seven decimals."""

YEAR = 365 * 24 * 3600 * TICKS
"""A license's year, in ticks."""


class Product(NamedTuple):
    """A product that licenses are sold for."""

    id: str
    name: str


class Customer(NamedTuple):
    """The owner of a license: the ``user`` of the license object."""

    id: str
    first_name: str
    last_name: str
    email: str
    company: str


PRODUCTS = (
    Product("63dfd63e-ed71-4f84-9236-02ee0ddb062c", "Draftwright"),
    Product("0b6f1c52-7a0e-4f5d-9d43-5c1a8e2f7b90", "Draftwright Server"),
    Product("c2a91d3f-4e68-4b07-8f15-d0b6a7394e21", "Surveyor"),
    Product("9e47b8a0-15c3-4d2a-b6e8-3f7d02c1a564", "Surveyor Mobile"),
)
"""The products of every sandbox account; their IDs never change."""

TYPES = ("node-locked", "hosted-floating", "on-premise-floating")


@dataclass(slots=True)
class SandboxLicense:
    """One license, held compactly: about 700 bytes with its share of the account's index.

    Attributes:
        id: UUID in lower case.
        key: The license key; it need not be unique.
        product: One of `PRODUCTS`.
        customer: Whom it belongs to, or None.
        type: One of `TYPES`.
        revoked: Whether it is revoked.
        suspended: Whether it is suspended, which is another thing.
        allowed_activations: How many activations it admits.
        total_activations: How many it has, 0 to ``allowed_activations``.
        created: When it was created, in ticks since 1970 (UTC).
        expires: When it expires, in the same ticks, or None where it never does.
        updated: When it was changed last, in the same ticks.
    """

    id: str
    key: str
    product: Product
    customer: Customer | None
    type: str
    revoked: bool
    suspended: bool
    allowed_activations: int
    total_activations: int
    created: int
    expires: int | None
    updated: int

    def as_json(self) -> dict[str, Any]:
        """The license object with every property of the documented example.

        Source: Cryptlex Web API documentation, "Licenses". The properties inside ``user`` are
        an assumption, since the example shows ``null`` there.
        """
        floating = self.type != "node-locked"
        years = 0 if self.expires is None else (self.expires - self.created) // YEAR
        return {
            "key": self.key,
            "revoked": self.revoked,
            "suspended": self.suspended,
            "totalActivations": self.total_activations,
            "totalDeactivations": 0,
            "subscriptionInterval": f"P{years}Y" if years else "",
            "subscriptionStartTrigger": "creation",
            "fingerprintMatchingStrategy": "fuzzy",
            "allowedActivations": self.allowed_activations,
            "allowedDeactivations": 10,
            "type": self.type,
            "allowedFloatingClients": 5 if floating else 0,
            "serverSyncGracePeriod": 2595000,
            "serverSyncInterval": 3600,
            "leaseDuration": 3600 if floating else 0,
            "expiresAt": None if self.expires is None else timestamp(self.expires),
            "allowVmActivation": True,
            "userLocked": False,
            "productId": self.product.id,
            "user": self.customer and user(self.customer),
            "allowedCountries": [],
            "disallowedCountries": [],
            "allowedIpAddresses": [],
            "disallowedIpAddresses": [],
            "metadata": [],
            "tags": [],
            "id": self.id,
            "createdAt": timestamp(self.created),
            "updatedAt": timestamp(self.updated),
        }


def user(customer: Customer) -> dict[str, str]:
    """A customer as the license object shows it."""
    return {
        "id": customer.id,
        "firstName": customer.first_name,
        "lastName": customer.last_name,
        "email": customer.email,
        "company": customer.company,
    }


def timestamp(ticks: int) -> str:
    """Ticks since 1970 as the API writes them: ISO 8601, UTC, seven decimals, ``Z``."""
    seconds, fraction = divmod(ticks, TICKS)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{fraction:07d}Z"
