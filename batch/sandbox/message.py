"""A request and an answer, as every module of the sandbox sees them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from batch.sandbox.account import SandboxLicense, timestamp

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


JSON = "application/json; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Call:
    """A request that has arrived.

    Attributes:
        method: HTTP method in upper case.
        path: The path without query, prefix included.
        resource: ``license``, ``licenses``, ``status``, or empty for any other path.
        license_id: In lower case; empty unless ``resource`` is ``license``.
        query: The parameters in their order, decoded.
        headers: The header fields; names in any case.
        body: The body, inflated.
    """

    method: str
    path: str
    resource: str
    license_id: str
    query: Sequence[tuple[str, str]]
    headers: Mapping[str, str]
    body: bytes

    @property
    def operation(self) -> str:
        """Name for scripted faults: ``PATCH``, ``GET``, ``LIST``, ``STATUS`` or ``OTHER``."""
        return _OPERATIONS.get((self.method, self.resource), "OTHER")

    @property
    def target(self) -> str:
        """The license ID, or the path where none is meant."""
        return self.license_id or self.path


_OPERATIONS = {
    ("PATCH", "license"): "PATCH",
    ("GET", "license"): "GET",
    ("GET", "licenses"): "LIST",
    ("GET", "status"): "STATUS",
}
OPERATIONS = (*_OPERATIONS.values(), "OTHER")


@dataclass(frozen=True, slots=True)
class Change:
    """The change that a PATCH makes to a license, once it is applied."""

    license: SandboxLicense
    revoked: bool
    updated: int

    def as_json(self) -> dict[str, Any]:
        """The license object as it is after the change."""
        return self.license.as_json() | {
            "revoked": self.revoked,
            "updatedAt": timestamp(self.updated),
        }

    def apply(self) -> None:
        """Change the license."""
        self.license.revoked = self.revoked
        self.license.updated = max(self.license.updated, self.updated)


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, before it is put on the wire.

    Attributes:
        status: HTTP status.
        body: The body as it is sent.
        content_type: Value of ``Content-Type``, or empty for none.
        headers: Further header fields.
        change: The change that this answer reports, or None.
        from_api: Whether it passes the rate limiter on its way out, and thus gets its headers;
            proxies and portals in front of it know nothing of them.
    """

    status: int
    body: bytes = b""
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)
    change: Change | None = None
    from_api: bool = True
