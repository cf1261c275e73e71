"""The ways in which an answer reaches the client, or fails to."""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import suppress
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from batch.sandbox.message import Reply


PIECE = 64
"""Bytes of a dripping body that are sent at a time."""

ABORTIVE = struct.pack("ii", 1, 0)
"""``SO_LINGER`` on, zero seconds: closing then sends a reset instead of a farewell."""


class Wire:
    """The connection that a request came by; its methods are the ways to deliver an answer.

    Args:
        request: The request.
        lost: Is done once the client has closed the connection.
        drip: Seconds between two pieces of a body that comes bit by bit.
    """

    def __init__(
        self, request: web.BaseRequest, lost: Callable[[], Awaitable[None]], drip: float
    ) -> None:
        self._request = request
        self._lost = lost
        self._drip = drip

    async def send(self, reply: Reply) -> web.StreamResponse:
        """Send the answer whole."""
        return web.Response(status=reply.status, body=reply.body, headers=_headers(reply))

    async def reset(self, _reply: Reply) -> web.StreamResponse:
        """Reset the connection without an answer."""
        if self._request.transport is not None:
            drop(self._request.transport)
        return web.Response()

    async def hang(self, _reply: Reply) -> web.StreamResponse:
        """Answer nothing until the client has given up."""
        await self._lost()
        return web.Response()

    async def truncate(self, reply: Reply) -> web.StreamResponse:
        """Announce the whole body, send half of it and close the connection."""
        response = await self._begin(reply, length=len(reply.body) + 1)
        await response.write(reply.body[: len(reply.body) // 2])
        if self._request.transport is not None:
            self._request.transport.close()
        return response

    async def drip(self, reply: Reply) -> web.StreamResponse:
        """Send the whole body, a piece at a time."""
        response = await self._begin(reply, length=len(reply.body))
        for start in range(0, len(reply.body), PIECE):
            await asyncio.sleep(self._drip)
            await response.write(reply.body[start : start + PIECE])
        return response

    async def endless(self, reply: Reply) -> web.StreamResponse:
        """Send the body and then blanks, a piece at a time, until the client has given up."""
        response = await self._begin(reply, length=None)
        await response.write(reply.body)
        while True:
            await asyncio.sleep(self._drip)
            await response.write(b" " * PIECE)

    async def _begin(self, reply: Reply, *, length: int | None) -> web.StreamResponse:
        """Send the head of an answer; without a ``length`` the body is chunked."""
        response = web.StreamResponse(status=reply.status, headers=_headers(reply))
        if length is None:
            response.enable_chunked_encoding()
        else:
            response.content_length = length
        await response.prepare(self._request)
        return response


class Connections(web.Server):
    """The open connections, and the requests that are being served.

    A request outlives its connection: what has arrived is carried out.

    Args:
        serve: Answers a request.
        drip: Seconds between two pieces of a body that comes bit by bit.
    """

    def __init__(
        self, serve: Callable[[web.BaseRequest, Wire], Awaitable[web.StreamResponse]], drip: float
    ) -> None:
        # An idle connection is kept for good: closing it would be one more fault.
        super().__init__(self._handle, access_log=None, keepalive_timeout=7 * 86400.0)
        self._serve = serve
        self._drip = drip
        self._tasks: set[asyncio.Task[object]] = set()
        self._lost: dict[web.RequestHandler, asyncio.Future[None]] = {}

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            return await self._serve(request, Wire(request, lambda: self._end(request), self._drip))
        except ConnectionError:
            return web.Response()  # there is nobody left to read it
        finally:
            self._tasks.discard(task)

    async def _end(self, request: web.BaseRequest) -> None:
        """Return once the connection of this request is closed."""
        if request.transport is None:
            return
        lost = asyncio.get_running_loop().create_future()
        self._lost[request.protocol] = lost
        await lost

    def connection_lost(
        self, handler: web.RequestHandler, exc: BaseException | None = None
    ) -> None:
        """Wake the request that waits for the end of this connection."""
        super().connection_lost(handler, exc)
        lost = self._lost.pop(handler, None)
        if lost is not None and not lost.done():
            lost.set_result(None)

    def abort(self) -> None:
        """Drop every connection, whatever it is doing."""
        for connection in self.connections:
            if connection.transport is not None:
                drop(connection.transport)

    async def settle(self) -> None:
        """Return once no request is being served that is being served now."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def close(self) -> None:
        """End every request and every connection at once."""
        for task in self._tasks:
            task.cancel()
        self.abort()
        await self.settle()
        await self.shutdown(1.0)


def drop(transport: asyncio.Transport) -> None:
    """Close a connection at once, with a reset and without what is still to be sent."""
    connection = transport.get_extra_info("socket")
    if connection is not None:
        with suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORTIVE)
    transport.abort()


def _headers(reply: Reply) -> dict[str, str]:
    if not reply.content_type:
        return dict(reply.headers)
    return {"Content-Type": reply.content_type, **reply.headers}
