"""The ways in which a request can go wrong, each of them one that was seen in the wild.

A fault says whether the change is applied all the same, which answer the client is meant to get
(`Fault.reshape`), and how that answer reaches it (`Fault.deliver`). A plain HTTP status, 400 to
599, is a fault as well: the API's error body with that status, nothing applied.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from functools import partial
from hashlib import blake2b
from struct import unpack
from typing import Any, NamedTuple

from aiohttp import web

from batch.sandbox.api import error, success
from batch.sandbox.limiter import quota_exceeded
from batch.sandbox.message import OPERATIONS, Reply
from batch.sandbox.wire import Wire

Reshape = Callable[[Reply], Reply]
Deliver = Callable[[Wire, Reply], Awaitable[web.StreamResponse]]

STRANGER = "00000000-0000-4000-8000-00000000beef"
"""The license that an answer names when it names the wrong one; no account holds it."""

HUGE = 20 * 1024 * 1024
"""Bytes of a body that no client should read to its end."""


def _unchanged(reply: Reply) -> Reply:
    return reply


@dataclass(frozen=True, slots=True)
class Fault:
    """One way in which a request can go wrong.

    Attributes:
        summary: What the client sees.
        applied: Whether the change is applied before the answer.
        late: Whether it is applied after the client has given up.
        headers: Header fields that the answer gets.
        reshape: Makes the answer, from the one that the API would have given.
        deliver: Puts it on the wire.
    """

    summary: str
    applied: bool = False
    late: bool = False
    headers: dict[str, str] = field(default_factory=dict)
    reshape: Reshape = _unchanged
    deliver: Deliver = Wire.send

    @property
    def answered(self) -> bool:
        """Tell whether the client gets at least the head of an answer."""
        return self.deliver not in {Wire.reset, Wire.hang}


NO_FAULT = Fault("nothing goes wrong", applied=True)


def _page(status: int, text: str, _reply: Reply) -> Reply:
    """Return the answer that a machine in front of the API gives in its place."""
    body = f"<!DOCTYPE html>\n<html><body><h1>{text}</h1></body></html>\n"
    return Reply(status, body.encode(), "text/html", from_api=False)


def _api_error(status: int, _reply: Reply) -> Reply:
    phrase = http.client.responses.get(status, "Error")
    return error(status, phrase.upper().replace(" ", "_").replace("-", "_"), f"{phrase}.")


def _too_many(_reply: Reply) -> Reply:
    return quota_exceeded(50, 5.0, 1.0)


def _redirect(_reply: Reply) -> Reply:
    return Reply(302, b"", "text/html", {"Location": "/elsewhere"}, from_api=False)


def _body(text: bytes, reply: Reply) -> Reply:
    return replace(reply, status=200, body=text)


def _edited(edit: Callable[[Any], Any], reply: Reply) -> Reply:
    """The answer with its license or licenses edited; an error stays as it is."""
    if reply.status != 200:
        return reply
    value = json.loads(reply.body)
    edited = [edit(each) for each in value] if isinstance(value, list) else edit(value)
    return replace(reply, body=success(edited).body)


def _error_edited(edit: Callable[[Any], Any], reply: Reply) -> Reply:
    """The API's error body edited; any other answer stays as it is."""
    if reply.status < 400 or not reply.from_api:
        return reply
    return replace(reply, body=success(edit(json.loads(reply.body))).body)


FAULTS = {
    "503_retry_after": Fault(
        "503 with Retry-After: 1", headers={"Retry-After": "1"}, reshape=partial(_api_error, 503)
    ),
    "504_after": Fault(
        "504 of the API, yet applied", applied=True, reshape=partial(_api_error, 504)
    ),
    "html_502": Fault("502, a proxy's page", reshape=partial(_page, 502, "502 Bad Gateway")),
    "html_200": Fault("200, a captive portal's page", reshape=partial(_page, 200, "Sign in")),
    "html_403": Fault("403, a firewall's page", reshape=partial(_page, 403, "403 Forbidden")),
    "html_404": Fault("404 without the API's body", reshape=partial(_page, 404, "404 Not Found")),
    "redirect": Fault("302 to /elsewhere of the sandbox", reshape=_redirect),
    "reset_before": Fault("connection reset", deliver=Wire.reset),
    "reset_after": Fault("applied, then connection reset", applied=True, deliver=Wire.reset),
    "hang_before": Fault("no answer", deliver=Wire.hang),
    "hang_after": Fault("applied, no answer", applied=True, deliver=Wire.hang),
    "late": Fault("no answer; applied once the client is gone", late=True, deliver=Wire.hang),
    "truncated": Fault("body shorter than announced", applied=True, deliver=Wire.truncate),
    "slow_drip": Fault("whole body, bit by bit", applied=True, deliver=Wire.drip),
    "endless": Fault("chunked body without end", applied=True, deliver=Wire.endless),
    "huge": Fault(
        "20 MB, the license and then blanks",
        applied=True,
        reshape=lambda reply: replace(reply, body=reply.body.ljust(HUGE)),
    ),
    "bad_gzip": Fault(
        "announced as gzip, which it is not", applied=True, headers={"Content-Encoding": "gzip"}
    ),
    "not_json": Fault("200 with garbage", applied=True, reshape=partial(_body, b'{"key": "0A20')),
    "empty_200": Fault("200 without a body", applied=True, reshape=partial(_body, b"")),
    "204": Fault(
        "204 without a body",
        applied=True,
        reshape=lambda reply: replace(reply, status=204, body=b"", content_type=""),
    ),
    "list": Fault(
        "200, the license in an array",
        applied=True,
        reshape=partial(_edited, lambda license_: [license_]),
    ),
    "revoked_as_text": Fault(
        "200, revoked as a string",
        applied=True,
        reshape=partial(_edited, lambda it: it | {"revoked": str(it["revoked"]).lower()}),
    ),
    "wrong_id": Fault(
        "200 for another license, nothing applied",
        reshape=partial(_edited, lambda license_: license_ | {"id": STRANGER}),
    ),
    "no_code": Fault(
        "an error of the API without its code",
        applied=True,
        reshape=partial(_error_edited, lambda it: {"message": it["message"]}),
    ),
    "null_code": Fault(
        "an error of the API with code: null",
        applied=True,
        reshape=partial(_error_edited, lambda it: it | {"code": None}),
    ),
    "not_revoked": Fault(
        "200 for this license with the other value, nothing applied",
        reshape=partial(_edited, lambda license_: license_ | {"revoked": not license_["revoked"]}),
    ),
}
"""Faults by name; beside these, every HTTP status from 400 to 599."""

SURVIVABLE = (
    "500",
    "502",
    "503",
    "504",
    "504_after",
    "html_502",
    "reset_before",
    "reset_after",
    "truncated",
    "not_json",
    "empty_200",
    "204",
)
"""Drawn at random by default: a client that tries again soon survives all of them.

Left out are those that cost a time-out (``hang_before`` …), a pause of every request
(``503_retry_after``), or that a careful client must not brush aside (``wrong_id`` …).
"""


def fault(kind: str | int) -> Fault:
    """The fault of this name, or the plain HTTP status.

    Raises:
        ValueError: There is no such fault; the message names those that there are.
    """
    name = str(kind)
    if name in FAULTS:
        return FAULTS[name]
    if name == "429":
        return Fault("429 of the limiter", reshape=_too_many)
    if name.isascii() and name.isdigit() and 400 <= int(name) <= 599:
        return Fault(name, reshape=partial(_api_error, int(name)))
    raise ValueError(f"no such fault: {kind!r}; use a status 400 to 599, {', '.join(FAULTS)}")


def http_date(seconds: float) -> str:
    """Seconds since 1970 as an HTTP-date, the other form of ``Retry-After`` (RFC 9110)."""
    return formatdate(seconds, usegmt=True)


class Draw(NamedTuple):
    """The numbers drawn for one request, each from 0 to below 1.

    Attributes:
        fault: Whether it goes wrong.
        kind: In which way.
        there: How long the request is on its way.
        back: How long the answer is.
    """

    fault: float
    kind: float
    there: float
    back: float


NO_DRAW = Draw(1.0, 0.0, 0.0, 0.0)
"""For a sandbox in which nothing is left to chance."""


class Chance:
    """Draws by (seed, method, target, how many such requests came before).

    Concurrency changes the order of arrivals and therefore must not change a draw.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._seen: dict[tuple[str, str], int] = {}

    def draw(self, method: str, target: str) -> Draw:
        """The numbers for the next request with this method and target."""
        nth = self._seen.get((method, target), 0)
        self._seen[method, target] = nth + 1
        key = f"{self._seed} {method} {target} {nth}".encode()
        return Draw(*(n / 2**32 for n in unpack("<4I", blake2b(key, digest_size=16).digest())))


class Order(NamedTuple):
    """A fault, as one request meets it.

    Attributes:
        name: Its name, for the log.
        fault: What it does.
        headers: Header fields of the answer.
    """

    name: str
    fault: Fault
    headers: dict[str, str]


NO_ORDER = Order("", NO_FAULT, {})
"""For a request that nothing is to happen to."""


def order(kind: str | int, retry_after: int | str | None = None) -> Order:
    """Order a fault.

    Args:
        kind: Its name, or an HTTP status.
        retry_after: Whole seconds, or an HTTP-date, for the header ``Retry-After``.

    Raises:
        ValueError: There is no such fault.
    """
    found = fault(kind)
    headers = found.headers
    if retry_after is not None:
        headers = headers | {"Retry-After": str(retry_after)}
    return Order(str(kind), found, headers)


@dataclass(slots=True)
class _Standing:
    """An order with the number of requests that it still is for; None for any number."""

    order: Order
    times: int | None


class Script:
    """Orders by operation and license; the oldest order that still stands is met first.

    Operations are ``PATCH`` and ``GET`` (of one license), ``LIST``, ``STATUS``, ``OTHER``, and
    ``*`` for all of them. An order for a certain license comes before one for any.
    """

    def __init__(self) -> None:
        self._standing: dict[tuple[str, str], list[_Standing]] = {}

    def add(self, target: str, what: Order, *, times: int | None, on: str) -> None:
        """Order a fault for the next ``times`` requests to ``target``; an empty one means any.

        Raises:
            ValueError: There is no such operation, or ``times`` is below 1.
        """
        if on != "*" and on not in OPERATIONS:
            raise ValueError(f"no such operation: {on!r}; use *, {', '.join(OPERATIONS)}")
        if times is not None and times < 1:
            raise ValueError(f"times must be 1 or more, or None for always, not {times}")
        self._standing.setdefault((on, target), []).append(_Standing(what, times))

    def clear(self) -> None:
        """Drop every order."""
        self._standing.clear()

    def next(self, operation: str, target: str) -> Order | None:
        """The order that this request meets, or None; it is used up by that."""
        if not self._standing:
            return None
        for place in ((operation, target), ("*", target), (operation, ""), ("*", "")):
            if queue := self._standing.get(place):
                first = queue[0]
                if first.times is not None:
                    first.times -= 1
                    if first.times == 0:
                        del queue[0]
                return first.order
        return None
