"""The sandbox: its port, its life, and the way of a request through it."""

from __future__ import annotations

import asyncio
import socket
from random import Random
from typing import TYPE_CHECKING, Self

from aiohttp import web

from batch.sandbox.api import Api, with_codes
from batch.sandbox.faults import RandomFaults
from batch.sandbox.limiter import FixedWindow, RateLimit
from batch.sandbox.message import Handler, Request

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from batch.sandbox.account import Account
    from batch.sandbox.message import Response

HOST = "127.0.0.1"
"""Loopback: the sandbox has no secrets, and must not be reached from elsewhere."""

PREFIX = "/v3"
"""The part of a path before ``/licenses``."""

BACKLOG = 1024

PATIENCE = 0.05
"""Seconds that requests may still take when the sandbox ends; then they are cut off."""

IDLE = 7 * 86400.0
"""Seconds that an idle connection is kept: closing it would be one more fault."""


class Sandbox:
    """A license API on loopback, running inside ``async with``.

    Args:
        account: Its licenses.
        rate: Requests admitted, and the seconds they are admitted in; None for no limit.
        latency: Least and most seconds of a round trip, half of them for each way.
        faults: Share of requests that go wrong at random, 0 to 1.
        seed: Of faults and latencies.
        port: TCP port; 0 for any that is free.
        codes: Whether error bodies have a ``code``: ``present``, ``absent`` or ``null``.
        throttled_body: Of a 429, ``text`` or ``json``.
        tell: Told of each request and of what becomes of it, before that is delivered; or None.

    Attributes:
        account: The licenses.
        port: The TCP port that it listens on.
        handler: Decides what becomes of each request. Whoever wants other things to happen
            puts a handler of his own in its place, before anything arrives.
    """

    handler: Handler

    def __init__(
        self,
        account: Account,
        *,
        rate: tuple[int, float] | None = None,
        latency: tuple[float, float] = (0.0, 0.0),
        faults: float = 0.0,
        seed: int = 0,
        port: int = 0,
        codes: str = "present",
        throttled_body: str = "text",
        tell: Callable[[Request, Response], None] | None = None,
    ) -> None:
        self.account = account
        self.port = port
        self.handler = Api(account).handle
        if faults > 0:
            self.handler = RandomFaults(self.handler, faults, seed).handle
        self.handler = with_codes(self.handler, codes)
        if rate is not None:
            self.handler = RateLimit(self.handler, FixedWindow(*rate), body=throttled_body).handle
        self._tell = tell
        self._latency = latency
        self._random = Random(seed)  # noqa: S311 - no secret
        self._server: web.Server | None = None
        self._listening: asyncio.Server | None = None

    @property
    def base_url(self) -> str:
        """The URL that a client puts before ``/licenses``."""
        return f"http://{HOST}:{self.port}{PREFIX}"

    async def __aenter__(self) -> Self:
        """Listen.

        Raises:
            OSError: The port is taken.
        """
        bound = bind(self.port)
        self.port = bound.getsockname()[1]
        self._server = web.Server(self.serve, access_log=None, keepalive_timeout=IDLE)
        loop = asyncio.get_running_loop()
        self._listening = await loop.create_server(self._server, sock=bound, backlog=BACKLOG)
        return self

    async def __aexit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        assert self._listening is not None
        assert self._server is not None
        self._listening.close()
        self._server.pre_shutdown()
        await self._server.shutdown(PATIENCE)

    async def serve(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request; once it has arrived, it is carried out even if its client has gone."""
        try:
            body = await request.read()
            await self._travel()
            arrived = asyncio.get_running_loop().time()
            parsed = _parse(request, body, arrived)
            response = self.handler(parsed)
            if self._tell is not None:
                self._tell(parsed, response)
            if response.change is not None:
                response.change.apply()
            await self._travel()
            return await response.deliver(request, response)
        except ConnectionError:
            return web.Response()  # there is nobody left to read it

    async def _travel(self) -> None:
        """Let half a round trip pass."""
        least, most = self._latency
        if most > 0:
            await asyncio.sleep(self._random.uniform(least, most) / 2)


def bind(port: int) -> socket.socket:
    """A TCP socket on loopback that does not listen yet.

    Raises:
        OSError: The port is taken.
    """
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((HOST, port))
    except OSError:
        bound.close()
        raise
    return bound


def _parse(request: web.BaseRequest, body: bytes, arrived: float) -> Request:
    path = request.path
    resource, license_id = "", ""
    if path.startswith(PREFIX + "/"):
        head, _, tail = path[len(PREFIX) + 1 :].partition("/")
        if head in {"licenses", "status"} and not tail and not path.endswith("/"):
            resource = head
        elif head == "licenses" and tail and "/" not in tail:
            resource, license_id = "license", tail.lower()
    query = list(request.query.items()) if request.query_string else []
    return Request(
        arrived, request.method, path, resource, license_id, query, request.headers, body
    )
