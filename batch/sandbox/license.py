"""One license: what is stored of it, and the object that the API shows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

TICKS = 10_000_000
"""Ticks in a second: a .NET timestamp counts units of 100 ns, hence seven decimals."""

YEAR = 365 * 24 * 3600 * TICKS
"""A license's year, in ticks."""


class Product(NamedTuple):
    """A product that licenses are sold for."""

    id: str
    name: str


class Customer(NamedTuple):
    """Whom a license belongs to: the ``user`` of the license object."""

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
        key: The license key, unique unless a test wants otherwise.
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
