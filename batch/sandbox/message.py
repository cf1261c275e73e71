"""A request and a response, as every module of the sandbox sees them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from batch.sandbox.license import SandboxLicense, timestamp

JSON = "application/json; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Request:
    """A request that has arrived.

    Attributes:
        arrived: The moment of its arrival, in seconds of the event loop's clock.
        method: HTTP method in upper case.
        path: The path without query, prefix included.
        resource: ``license``, ``licenses``, ``status``, or empty for any other path.
        license_id: In lower case; empty unless ``resource`` is ``license``.
        query: The parameters in their order, decoded.
        headers: The header fields; names in any case.
        body: The body, inflated.
    """

    arrived: float
    method: str
    path: str
    resource: str
    license_id: str
    query: Sequence[tuple[str, str]]
    headers: Mapping[str, str]
    body: bytes

    @property
    def target(self) -> str:
        """The license ID, or the path where none is meant."""
        return self.license_id or self.path


@dataclass(frozen=True, slots=True)
class Change:
    """The change that a PATCH makes to a license, once it is applied."""

    license: SandboxLicense
    properties: Mapping[str, bool]
    updated: int

    def as_json(self) -> dict[str, Any]:
        """The license object as it is after the change."""
        return self.license.as_json() | {
            **self.properties,
            "updatedAt": timestamp(self.updated),
        }

    def apply(self) -> None:
        """Change the license."""
        for name, value in self.properties.items():
            setattr(self.license, name, value)
        self.license.updated = max(self.license.updated, self.updated)


def http_headers(response: Response) -> dict[str, str]:
    """The header fields of a response as it is put on the wire."""
    if not response.content_type:
        return dict(response.headers)
    return {"Content-Type": response.content_type, **response.headers}


async def send(_request: web.BaseRequest, response: Response) -> web.StreamResponse:
    """Deliver a response whole."""
    return web.Response(status=response.status, body=response.body, headers=http_headers(response))


Deliver = Callable[[web.BaseRequest, "Response"], Awaitable[web.StreamResponse]]
"""Puts a response on the wire, in answer to a request of aiohttp."""


@dataclass(frozen=True, slots=True)
class Response:
    """The answer to a request, and the change of a license that goes with it.

    Attributes:
        status: HTTP status, or 0 where the client gets no answer.
        body: The body as it is sent.
        content_type: Value of ``Content-Type``, or empty for none.
        headers: Further header fields.
        change: The change to apply before the answer is delivered, or None.
        from_api: Whether it passes the rate limiter on its way out, and thus gets its headers;
            proxies and portals in front of it know nothing of them.
        deliver: Puts it on the wire.
        fault: Name of what has gone wrong at random with it; empty where nothing has.
    """

    status: int
    body: bytes = b""
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)
    change: Change | None = None
    from_api: bool = True
    deliver: Deliver = send
    fault: str = ""


Handler = Callable[[Request], Response]
"""Decides what becomes of a request, at once. Most handlers ask another one behind them."""
