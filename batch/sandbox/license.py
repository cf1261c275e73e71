"""One license of an account, and the license object that the API shows of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

if TYPE_CHECKING:
    from collections.abc import Callable

TICKS = 10_000_000
"""Ticks in a second: a .NET timestamp counts units of 100 ns, hence seven decimals."""

YEAR = 365 * 24 * 3600 * TICKS
"""A license's year, in ticks."""

DOMAINS = ("example.com", "example.net", "example.org")
"""Reserved for examples (RFC 2606): mail to them reaches nobody."""


class Product(NamedTuple):
    """A product that licenses are sold for."""

    id: str
    name: str


class Organization(NamedTuple):
    """A company whose users share its licenses."""

    id: str
    name: str


class Reseller(NamedTuple):
    """Who has sold a license."""

    id: str
    name: str
    email: str


class Customer(NamedTuple):
    """The owner of a license: the ``user`` of the license object."""

    id: str
    first_name: str
    last_name: str
    email: str
    company: str

    @property
    def organization(self) -> Organization | None:
        """The organization that the customer belongs to; two companies of three are none."""
        return organization(self.company)


PRODUCTS = (
    Product("63dfd63e-ed71-4f84-9236-02ee0ddb062c", "Draftwright"),
    Product("0b6f1c52-7a0e-4f5d-9d43-5c1a8e2f7b90", "Draftwright Server"),
    Product("c2a91d3f-4e68-4b07-8f15-d0b6a7394e21", "Surveyor"),
    Product("9e47b8a0-15c3-4d2a-b6e8-3f7d02c1a564", "Surveyor Mobile"),
)
"""The products of every sandbox account; their IDs never change."""

TYPES = ("node-locked", "hosted-floating", "on-premise-floating")


@dataclass(slots=True, weakref_slot=True)
class SandboxLicense:
    """One license, held compactly: about 900 bytes with its share of the account's index.

    Attributes:
        on_change: Called with the license and the name of an attribute whenever one was set; its
            account puts it here, to keep what was changed.
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
        reseller: Who has sold it, or None.
        activated: When it was activated first, in the same ticks, or None.
        last_used: When it was used last, in the same ticks, or None.
        tags: Its tags.
        metadata: Its pairs of key and value.
    """

    on_change: Callable[[SandboxLicense, str], None] | None = field(
        init=False, default=None, repr=False, compare=False
    )
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
    reseller: Reseller | None
    activated: int | None
    last_used: int | None
    tags: tuple[str, ...]
    metadata: tuple[tuple[str, str], ...]

    def __setattr__(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)
        if name != "on_change" and self.on_change is not None:
            self.on_change(self, name)

    def as_json(self) -> dict[str, Any]:
        """The license object: every property of the documented example, and what lists filter by.

        Source: Cryptlex Web API documentation, "Licenses". What is inside ``user``,
        ``organization``, ``reseller`` and the items of ``metadata`` is a part of what is published.
        """
        floating = self.type != "node-locked"
        years = 0 if self.expires is None else (self.expires - self.created) // YEAR
        company = self.customer and self.customer.organization
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
            "expiresAt": _moment(self.expires),
            "allowVmActivation": True,
            "userLocked": False,
            "productId": self.product.id,
            "user": self.customer and user(self.customer),
            "allowedCountries": [],
            "disallowedCountries": [],
            "allowedIpAddresses": [],
            "disallowedIpAddresses": [],
            "metadata": [
                {"key": key, "value": value, "visible": True} for key, value in self.metadata
            ],
            "tags": list(self.tags),
            "id": self.id,
            "createdAt": timestamp(self.created),
            "updatedAt": timestamp(self.updated),
            "perpetual": self.expires is None,
            "activatedAt": _moment(self.activated),
            "lastUsedAt": _moment(self.last_used),
            "organizationId": company and company.id,
            "organization": company and {"id": company.id, "name": company.name},
            "resellerId": self.reseller and self.reseller.id,
            "reseller": self.reseller
            and {
                "id": self.reseller.id,
                "name": self.reseller.name,
                "email": self.reseller.email,
            },
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
    return f"{datetime.fromtimestamp(seconds, UTC).isoformat()[:19]}.{fraction:07d}Z"


def _moment(ticks: int | None) -> str | None:
    return None if ticks is None else timestamp(ticks)


@cache
def organization(company: str) -> Organization | None:
    """The organization of a company, the same in every account, or None."""
    random = Random(f"organization {company}")  # noqa: S311 - reproducible, not secret
    return Organization(random_uuid(random), company) if random.random() < 1 / 3 else None


def random_uuid(random: Random) -> str:
    """A UUID of version 4."""
    return str(UUID(int=random.getrandbits(128), version=4))
