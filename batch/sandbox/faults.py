"""Requests that go wrong at random, in ways that were seen in the wild.

A fault turns the response that the API would give into the one that the client gets: with
another body, without the change, or delivered badly.
"""

from __future__ import annotations

import http.client
import socket
import struct
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from hashlib import blake2b
from typing import TYPE_CHECKING

from aiohttp import web

from batch.sandbox.api import error
from batch.sandbox.message import Handler, Request, Response, http_headers

if TYPE_CHECKING:
    import asyncio

Fault = Callable[[Response], Response]


def api_error(status: int) -> Fault:
    """Return the API's error body with this status, 400 to 599; nothing is applied."""
    phrase = http.client.responses.get(status, "Error")
    code = phrase.upper().replace(" ", "_").replace("-", "_")
    return lambda _response: error(status, code, f"{phrase}.")


def page(status: int, text: str) -> Fault:
    """Return what a machine in front of the API answers in its place; nothing is applied."""
    body = f"<!DOCTYPE html>\n<html><body><h1>{text}</h1></body></html>\n".encode()
    return lambda _response: Response(status, body, "text/html", from_api=False)


def applied(fault: Fault) -> Fault:
    """Return the same fault, but the change is applied all the same."""
    return lambda response: replace(fault(response), change=response.change)


def reset(_response: Response) -> Response:
    """Reset the connection without an answer; nothing is applied."""
    return Response(0, deliver=_reset, from_api=False)


async def _reset(request: web.BaseRequest, _response: Response) -> web.StreamResponse:
    if request.transport is not None:
        drop(request.transport)
    return web.Response()


async def _truncate(request: web.BaseRequest, response: Response) -> web.StreamResponse:
    """Announce the whole body, deliver half of it and close the connection."""
    begun = web.StreamResponse(status=response.status, headers=http_headers(response))
    begun.content_length = len(response.body) + 1
    await begun.prepare(request)
    await begun.write(response.body[: len(response.body) // 2])
    if request.transport is not None:
        request.transport.close()
    return begun


ABORTIVE = struct.pack("ii", 1, 0)
"""``SO_LINGER`` on, zero seconds: closing then sends a reset instead of a farewell."""


def drop(transport: asyncio.Transport) -> None:
    """Close a connection at once, with a reset and without what is still to be sent."""
    connection = transport.get_extra_info("socket")
    if connection is not None:
        with suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORTIVE)
    transport.abort()


SURVIVABLE: dict[str, Fault] = {
    "500": api_error(500),
    "502": api_error(502),
    "503": api_error(503),
    "504": api_error(504),
    "504_after": applied(api_error(504)),
    "html_502": page(502, "502 Bad Gateway"),
    "reset_before": reset,
    "reset_after": applied(reset),
    "truncated": lambda response: replace(response, deliver=_truncate),
    "not_json": lambda response: replace(response, status=200, body=b'{"key": "0A20'),
    "empty_200": lambda response: replace(response, status=200, body=b""),
    "204": lambda response: replace(response, status=204, body=b"", content_type=""),
}
"""Faults by name, ``_after`` the change where there are two; a client that tries again soon
survives all of them.

Left out are those that cost a time-out, that pause every request (a ``Retry-After``), or that a
careful client must not brush aside (a success that is about another license).
"""


class RandomFaults:
    """A handler that lets requests go wrong at random.

    It draws by seed, method, target and how many such requests came before: concurrency changes
    the order of arrivals and therefore must not change a draw.

    Args:
        handler: Answers the requests.
        share: How many go wrong, 0 to 1.
        seed: Of the draws.
        faults: What is drawn for those, by name, all of them as likely.
    """

    def __init__(
        self,
        handler: Handler,
        share: float,
        seed: int,
        faults: Mapping[str, Fault] = SURVIVABLE,
    ) -> None:
        self._handler = handler
        self._share = share
        self._seed = seed
        self._faults = tuple(faults.items())
        self._seen: dict[tuple[str, str], int] = {}

    def handle(self, request: Request) -> Response:
        """Answer a request, rightly or not."""
        response = self._handler(request)
        goes_wrong, kind = self._draw(request.method, request.target)
        if goes_wrong >= self._share:
            return response
        name, fault = self._faults[int(kind * len(self._faults))]
        return replace(fault(response), fault=name)

    def _draw(self, method: str, target: str) -> tuple[float, float]:
        """Two numbers from 0 to below 1."""
        nth = self._seen.get((method, target), 0)
        self._seen[method, target] = nth + 1
        key = f"{self._seed} {method} {target} {nth}".encode()
        first, second = struct.unpack("<2I", blake2b(key, digest_size=8).digest())
        return first / 2**32, second / 2**32
