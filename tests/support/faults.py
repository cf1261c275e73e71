"""Whatever can go wrong with a request, beyond what the sandbox draws at random for its users.

A fault is a function, as in `batch.sandbox.faults`. Those that take their time ask the
`FaultySandbox` by which they are served for how long.
"""

from __future__ import annotations

import asyncio
import json
from contextvars import ContextVar
from dataclasses import replace
from email.utils import formatdate
from functools import partial
from typing import TYPE_CHECKING, Any

from aiohttp import web

from batch.sandbox.api import success
from batch.sandbox.faults import SURVIVABLE, Fault, api_error, page
from batch.sandbox.limiter import quota_exceeded
from batch.sandbox.message import Change, Response, http_headers

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.faulty_sandbox import Exchange

STRANGER = "00000000-0000-4000-8000-00000000beef"
"""The license that an answer names when it names the wrong one; no account holds it."""

HUGE = 20 * 1024 * 1024
"""Bytes of a body that no client should read to its end."""

PIECE = 64
"""Bytes of a dripping body that are sent at a time."""

EXCHANGE: ContextVar[Exchange] = ContextVar("EXCHANGE")
"""The request that is being served, for what delivers its answer."""


async def hang(_request: web.BaseRequest, _response: Response) -> web.StreamResponse:
    """Answer nothing until the client has given up."""
    await EXCHANGE.get().given_up()
    return web.Response()


async def hang_and_apply(
    change: Change | None, request: web.BaseRequest, response: Response
) -> web.StreamResponse:
    """Answer nothing, and apply the change once the client has given up."""
    hung = await hang(request, response)
    if change is not None:
        exchange = EXCHANGE.get()
        await asyncio.sleep(exchange.sandbox.lateness)
        change.apply()
        exchange.entry.applied = True
    return hung


async def drip(request: web.BaseRequest, response: Response) -> web.StreamResponse:
    """Send the whole body, a piece at a time."""
    begun = web.StreamResponse(status=response.status, headers=http_headers(response))
    begun.content_length = len(response.body)
    await begun.prepare(request)
    for start in range(0, len(response.body), PIECE):
        await asyncio.sleep(EXCHANGE.get().sandbox.drip)
        await begun.write(response.body[start : start + PIECE])
    return begun


async def endless(request: web.BaseRequest, response: Response) -> web.StreamResponse:
    """Send the body and then blanks, a piece at a time, until the client has given up."""
    begun = web.StreamResponse(status=response.status, headers=http_headers(response))
    begun.enable_chunked_encoding()
    await begun.prepare(request)
    await begun.write(response.body)
    while True:
        await asyncio.sleep(EXCHANGE.get().sandbox.drip)
        await begun.write(b" " * PIECE)


def unapplied(fault: Fault) -> Fault:
    """Return the same fault, but the change is not applied."""
    return lambda response: replace(fault(response), change=None)


def with_headers(fault: Fault, **headers: str) -> Fault:
    """Return the same fault, with more header fields: ``Retry_After`` is ``Retry-After``."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}

    def faulty(response: Response) -> Response:
        faulted = fault(response)
        return replace(faulted, headers={**faulted.headers, **named})

    return faulty


def unchanged(response: Response) -> Response:
    """Let nothing go wrong."""
    return response


def edited(edit: Callable[[Any], Any]) -> Fault:
    """Return the answer with its license or licenses edited; an error stays as it is."""

    def faulty(response: Response) -> Response:
        if response.status != 200:
            return response
        value = json.loads(response.body)
        new = [edit(each) for each in value] if isinstance(value, list) else edit(value)
        return replace(response, body=success(new).body)

    return faulty


def error_edited(edit: Callable[[Any], Any]) -> Fault:
    """Return the API's error body edited; any other answer stays as it is."""

    def faulty(response: Response) -> Response:
        if response.status < 400 or not response.from_api:
            return response
        return replace(response, body=success(edit(json.loads(response.body))).body)

    return faulty


def redirect(_response: Response) -> Response:
    """Lead to a place where the sandbox sees who follows."""
    return Response(302, b"", "text/html", {"Location": "/elsewhere"}, from_api=False)


def late(response: Response) -> Response:
    """Answer nothing, and apply the change once the client is gone."""
    return Response(0, deliver=partial(hang_and_apply, response.change), from_api=False)


FAULTS: dict[str, Fault] = {
    **{
        kind: fault
        for kind, fault in SURVIVABLE.items()
        if kind not in {"500", "502", "503", "504"}
    },
    "503_retry_after": with_headers(api_error(503), Retry_After="1"),
    "html_200": page(200, "Sign in"),  # a captive portal
    "html_403": page(403, "403 Forbidden"),  # a firewall
    "html_404": page(404, "404 Not Found"),
    "redirect": redirect,
    "hang_before": lambda _: Response(0, deliver=hang, from_api=False),
    "hang_after": lambda response: replace(response, status=0, deliver=hang),
    "late": late,
    "slow_drip": lambda response: replace(response, deliver=drip),
    "endless": lambda response: replace(response, deliver=endless),
    "huge": lambda response: replace(response, body=response.body.ljust(HUGE)),
    "bad_gzip": with_headers(unchanged, Content_Encoding="gzip"),
    "list": edited(lambda license_: [license_]),
    "revoked_as_text": edited(lambda it: it | {"revoked": str(it["revoked"]).lower()}),
    "wrong_id": unapplied(edited(lambda license_: license_ | {"id": STRANGER})),
    # It was changed last when it was created, since nothing is applied.
    "not_revoked": unapplied(
        edited(
            lambda it: (
                it
                | {name: not it[name] for name in ("revoked", "suspended")}
                | {"updatedAt": it["createdAt"]}
            )
        )
    ),
    "no_code": error_edited(lambda it: {"message": it["message"]}),
    "null_code": error_edited(lambda it: it | {"code": None}),
}
"""Faults by name; beside these, every HTTP status from 400 to 599 is one."""


def fault(kind: str | int) -> Fault:
    """Return the fault of this name, or the plain HTTP status.

    Raises:
        ValueError: There is no such fault; the message names those that there are.
    """
    name = str(kind)
    if name in FAULTS:
        return FAULTS[name]
    if name == "429":
        return lambda _response: quota_exceeded(50, 5.0, 1.0)
    if name.isascii() and name.isdigit() and 400 <= int(name) <= 599:
        return api_error(int(name))
    raise ValueError(f"no such fault: {kind!r}; use a status 400 to 599, {', '.join(FAULTS)}")


def http_date(seconds: float) -> str:
    """Seconds since 1970 as an HTTP-date, the other form of ``Retry-After`` (RFC 9110)."""
    return formatdate(seconds, usegmt=True)
