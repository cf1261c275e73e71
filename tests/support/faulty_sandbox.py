"""A sandbox that a test can script, listen to and take away.

It has the sandbox's own handlers, and some between them::

    record > outage > rate limit > script > faults at random > API
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Self

from aiohttp import web

from batch.model import Property
from batch.sandbox import Account, Sandbox
from batch.sandbox.api import TOKENS, Api
from batch.sandbox.faults import SURVIVABLE, Fault, RandomFaults, drop
from batch.sandbox.limiter import FixedWindow, RateLimit
from batch.sandbox.server import BACKLOG, IDLE, bind
from tests.support.faults import EXCHANGE, fault, with_headers

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable, Iterator, Sequence
    from types import TracebackType

    from batch.sandbox.message import Deliver, Handler, Request, Response


class FaultySandbox(Sandbox):
    """A sandbox to test against.

    ::

        async with FaultySandbox(Account.generate(1000), rate=(50, 5.0)) as sandbox:
            sandbox.fail(license_id, "reset_after")
            ...  # a client talks to sandbox.base_url with the token sandbox-token
            assert sandbox.revoked[license_id]

    Args:
        account: As for a `Sandbox`; so are ``rate``, ``latency``, ``faults`` and ``seed``.
        fault_kinds: What is drawn for ``faults``, all of them as likely: names or statuses.
        tokens: Access token to its scopes, ``license:read`` and ``license:write``; by default
            that of a `Sandbox`.
        pagination: Whether lists carry the ``Pagination-*`` headers.
        page_limit: Licenses on a page at most, however many are asked for.
        log: Whether requests are logged, or how many at most (the latest ones).
        drip: Seconds between two pieces of a body that comes bit by bit.
        lateness: Seconds between a client's giving up and a ``late`` change.
        wall_clock: The present time in seconds since 1970. Everything else goes by the clock of
            the event loop.

    Attributes:
        tokens: Access token to its scopes; may be changed while the sandbox runs.
        log: What has arrived.
        requests: How many requests have arrived, logged or not.
        count_429: How many of them the limiter has turned away, logged or not.
        api: Answers what meets no fault; may be replaced while the sandbox runs.

    Raises:
        ValueError: There is no such fault.
    """

    def __init__(
        self,
        account: Account,
        *,
        rate: tuple[int, float] | None = None,
        latency: tuple[float, float] = (0.0, 0.0),
        faults: float = 0.0,
        fault_kinds: Sequence[str | int] = tuple(SURVIVABLE),
        seed: int = 0,
        tokens: Mapping[str, frozenset[str]] = TOKENS,
        pagination: bool = True,
        page_limit: int | None = None,
        log: bool | int = True,
        drip: float = 0.05,
        lateness: float = 1.0,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(account, latency=latency, seed=seed)
        self.tokens = dict(tokens)
        self.log = Log(keep=None if log is True else int(log))
        self.requests = 0
        self.count_429 = 0
        self.drip = drip
        self.lateness = lateness
        self._outage: Fault | None = None
        self._script = Script()
        self._listener = Listener()
        self._connections: Connections | None = None
        self._tasks: set[asyncio.Task[object]] = set()

        self.api: Handler = Api(account, self.tokens, wall_clock).handle
        if page_limit is not None:
            self.api = with_short_pages(self.api, page_limit)
        if not pagination:
            self.api = without_pagination(self.api)
        kinds = {str(kind): named(kind) for kind in fault_kinds}
        self._by_chance: Handler = RandomFaults(self._answer, faults, seed, kinds).handle
        self._limited: Handler = self._scripted
        if rate is not None:
            self._limited = RateLimit(self._scripted, FixedWindow(*rate), wall_clock).handle
        self.handler = self._record

    def _record(self, request: Request) -> Response:
        exchange = EXCHANGE.get()
        entry = exchange.entry = Entry(request.arrived, request.method, request.target)
        self.requests += 1
        self.log.append(entry)
        response = self._outage(self.api(request)) if self._outage else self._limited(request)
        if response.status == 429 and not entry.fault:
            self.count_429 += 1
        entry.applied = response.change is not None
        return replace(response, deliver=recorded(entry, response.deliver))

    def _scripted(self, request: Request) -> Response:
        scripted = self._script.next(request)
        return self._by_chance(request) if scripted is None else scripted(self._answer(request))

    def _answer(self, request: Request) -> Response:
        return self.api(request)

    async def __aenter__(self) -> Self:
        self._connections = Connections(self.serve)
        await self._listener.open(self._connections)
        self.port = self._listener.port
        return self

    async def __aexit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._listener.close()
        if self._connections is not None:
            for task in self._tasks:
                task.cancel()
            self._connections.abort()
            await self.settle()
            await self._connections.shutdown(1.0)
            self._connections = None

    async def serve(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request, whatever happens to it."""
        EXCHANGE.set(Exchange(self, request))
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            return await super().serve(request)
        finally:
            self._tasks.discard(task)

    async def settle(self) -> None:
        """Return once every request that the sandbox has got so far is dealt with.

        A hanging one ends when its client has given up, a ``late`` one with its change.
        """
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def revoked(self) -> Mapping[str, bool]:
        """License ID, in any case, to whether it is revoked now."""
        return Revoked(self.account)

    def busiest(self, period: float) -> int:
        """Most arrivals in any window of ``period`` seconds; see `Log.busiest`."""
        return self.log.busiest(period)

    def fail(
        self,
        license_id: str,
        kind: str | int,
        *,
        times: int | None = 1,
        retry_after: int | str | None = None,
        on: str = "PATCH",
    ) -> None:
        """Let the next requests for one license go wrong.

        Args:
            license_id: The license, in any case.
            kind: A name in `FAULTS`, or an HTTP status from 400 to 599.
            times: How many requests; None for all of them.
            retry_after: Whole seconds, or an HTTP-date, for the header ``Retry-After``.
            on: ``PATCH``, ``GET``, or ``*`` for both.

        Raises:
            ValueError: There is no such fault or operation.
        """
        self._script.add(license_id.lower(), named(kind, retry_after), times=times, on=on)

    def fail_all(
        self,
        kind: str | int,
        *,
        times: int | None = None,
        retry_after: int | str | None = None,
        on: str = "*",
    ) -> None:
        """Let the next requests go wrong, whatever they are for.

        Args:
            kind: As for `fail`.
            times: How many requests; None for all of them.
            retry_after: As for `fail`.
            on: ``PATCH``, ``GET`` (one license), ``LIST``, ``STATUS``, or ``*`` for all.

        Raises:
            ValueError: There is no such fault or operation.
        """
        self._script.add("", named(kind, retry_after), times=times, on=on)

    def outage(self, kind: str | int = "refuse") -> None:
        """Be gone until `heal`: before the limiter, and for every request.

        Args:
            kind: ``refuse`` drops what is connected and refuses new connections; else a fault,
                such as ``reset_before`` or 503.

        Raises:
            ValueError: There is no such fault.
        """
        if kind != "refuse":
            self._outage = named(kind)
            return
        self._listener.refuse()
        if self._connections is not None:
            self._connections.abort()

    def heal(self) -> None:
        """End every outage and forget every fault that was scripted; chance goes on."""
        self._outage = None
        self._script.clear()
        self._listener.resume()


@dataclass(slots=True)
class Entry:
    """One request. It is written down at its arrival and completed as it is dealt with.

    Attributes:
        time: Its arrival, in seconds of the event loop's clock.
        method: HTTP method.
        target: The license ID in lower case, or the path where none is meant.
        status: HTTP status of the answer, or None where none was sent (yet).
        fault: The fault that it met, or empty.
        applied: Whether it has set ``revoked`` on a license, to the same value included.
    """

    time: float
    method: str
    target: str
    status: int | None = None
    fault: str = ""
    applied: bool = False


@dataclass(slots=True)
class Exchange:
    """A request that is being served, where, and as what it is written down."""

    sandbox: FaultySandbox
    request: web.BaseRequest
    entry: Entry = field(init=False)

    async def given_up(self) -> None:
        """Return once the client has closed the connection."""
        connections = self.sandbox._connections
        if connections is not None:
            await connections.lost(self.request)


def named(kind: str | int, retry_after: int | str | None = None) -> Fault:
    """Return a fault that is written down, with the header ``Retry-After`` where it is set."""
    found = fault(kind)
    if retry_after is not None:
        found = with_headers(found, Retry_After=str(retry_after))

    def noted(response: Response) -> Response:
        EXCHANGE.get().entry.fault = str(kind)
        return found(response)

    return noted


def recorded(entry: Entry, deliver: Deliver) -> Deliver:
    """Return what delivers a response and writes down that it does."""

    async def delivered(request: web.BaseRequest, response: Response) -> web.StreamResponse:
        entry.status = response.status or None
        return await deliver(request, response)

    return delivered


def without_pagination(handler: Handler) -> Handler:
    """Return a handler whose lists do not say how long they are."""

    def handle(request: Request) -> Response:
        response = handler(request)
        return replace(response, headers={}) if request.resource == "licenses" else response

    return handle


def with_short_pages(handler: Handler, most: int) -> Handler:
    """Return a handler that puts at most so many licenses on a page, without a word."""

    def handle(request: Request) -> Response:
        query = [
            (name, str(min(int(value), most)) if name == "limit" else value)
            for name, value in request.query
        ]
        return handler(replace(request, query=query))

    return handle


class Revoked(Mapping[str, bool]):
    """License ID, in any case, to whether it is revoked: a view, never a copy."""

    def __init__(self, account: Account) -> None:
        self._licenses = account.licenses

    def __getitem__(self, license_id: str) -> bool:
        return self._licenses[license_id.lower()].revoked

    def __iter__(self) -> Iterator[str]:
        return iter(self._licenses)

    def __len__(self) -> int:
        return len(self._licenses)


def states_of(account: Account) -> dict[Property, dict[str, bool]]:
    """Property to license ID to its value, as a copy."""
    return {
        each: {license_.id: getattr(license_, each) for license_ in account} for each in Property
    }


class Log:
    """The requests in the order of their arrival.

    Args:
        keep: How many entries are kept, the latest ones; None keeps all.
    """

    def __init__(self, keep: int | None = None) -> None:
        self._entries: deque[Entry] = deque(maxlen=keep)

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)

    def __getitem__(self, index: int) -> Entry:
        return self._entries[index]

    def append(self, entry: Entry) -> None:
        """Write down a request that arrives now."""
        self._entries.append(entry)

    def clear(self) -> None:
        """Forget every entry."""
        self._entries.clear()

    def busiest(self, period: float) -> int:
        """Most arrivals in any window of ``period`` seconds, wherever it starts.

        A window contains its start and not its end. Only entries that were kept count.
        """
        most = 0
        window: deque[float] = deque()
        for entry in self._entries:
            window.append(entry.time)
            while entry.time - window[0] >= period:
                window.popleft()
            most = max(most, len(window))
        return most


_OPERATIONS = {
    ("PATCH", "license"): "PATCH",
    ("GET", "license"): "GET",
    ("GET", "licenses"): "LIST",
    ("GET", "status"): "STATUS",
}
OPERATIONS = (*_OPERATIONS.values(), "OTHER")


@dataclass(slots=True)
class _Standing:
    """A fault with the number of requests that it still is for; None for any number."""

    fault: Fault
    times: int | None


class Script:
    """Faults by operation and license; the oldest that still stands is met first.

    Operations are ``PATCH`` and ``GET`` (of one license), ``LIST``, ``STATUS``, ``OTHER``, and
    ``*`` for all of them. A fault for a certain license comes before one for any.
    """

    def __init__(self) -> None:
        self._standing: dict[tuple[str, str], list[_Standing]] = {}

    def add(self, license_id: str, fault: Fault, *, times: int | None, on: str) -> None:
        """Order a fault for the next ``times`` requests for a license; an empty one means any.

        Raises:
            ValueError: There is no such operation, or ``times`` is below 1.
        """
        if on != "*" and on not in OPERATIONS:
            raise ValueError(f"no such operation: {on!r}; use *, {', '.join(OPERATIONS)}")
        if times is not None and times < 1:
            raise ValueError(f"times must be 1 or more, or None for always, not {times}")
        self._standing.setdefault((on, license_id), []).append(_Standing(fault, times))

    def clear(self) -> None:
        """Drop every fault."""
        self._standing.clear()

    def next(self, request: Request) -> Fault | None:
        """The fault that this request meets, or None; it is used up by that."""
        if not self._standing:
            return None
        operation = _OPERATIONS.get((request.method, request.resource), "OTHER")
        license_id = request.license_id
        for place in ((operation, license_id), ("*", license_id), (operation, ""), ("*", "")):
            if queue := self._standing.get(place):
                first = queue[0]
                if first.times is not None:
                    first.times -= 1
                    if first.times == 0:
                        del queue[0]
                return first.fault
        return None


class Connections(web.Server):
    """The open connections, some of them with a request that waits for their end."""

    def __init__(self, serve: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]) -> None:
        super().__init__(serve, access_log=None, keepalive_timeout=IDLE)
        self._waiting: dict[web.RequestHandler, asyncio.Future[None]] = {}

    async def lost(self, request: web.BaseRequest) -> None:
        """Return once the connection of this request is closed."""
        if request.transport is None:
            return
        lost = asyncio.get_running_loop().create_future()
        self._waiting[request.protocol] = lost
        await lost

    def connection_lost(
        self, handler: web.RequestHandler, exc: BaseException | None = None
    ) -> None:
        """Wake the request that waits for the end of this connection."""
        super().connection_lost(handler, exc)
        lost = self._waiting.pop(handler, None)
        if lost is not None and not lost.done():
            lost.set_result(None)

    def abort(self) -> None:
        """Drop every connection, whatever it is doing."""
        for connection in self.connections:
            if connection.transport is not None:
                drop(connection.transport)


class Listener:
    """Accepts connections, or refuses them without giving up its port.

    Attributes:
        port: TCP port; 0 until it is open.
    """

    def __init__(self) -> None:
        self.port = 0
        self._server: asyncio.Server | None = None
        self._bound: socket.socket | None = None
        self._resuming: asyncio.Task[None] | None = None
        self._factory: Callable[[], asyncio.BaseProtocol] | None = None

    async def open(self, factory: Callable[[], asyncio.BaseProtocol]) -> None:
        """Listen; ``factory`` makes the protocol of each connection."""
        self._factory = factory
        self._bound = bind(self.port)
        self.port = self._bound.getsockname()[1]
        await self._accept()

    def refuse(self) -> None:
        """Refuse new connections from now on."""
        self.close()
        # Bound and not listening: connections are refused, and nobody else can take the port.
        self._bound = bind(self.port)

    def resume(self) -> None:
        """Accept connections again; without effect while it does."""
        if self._bound is not None and self._resuming is None:
            # The kernel queues connections until the event loop comes to accept them.
            self._bound.listen(BACKLOG)
            self._resuming = asyncio.get_running_loop().create_task(self._accept())

    async def _accept(self) -> None:
        assert self._factory is not None
        assert self._bound is not None
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            self._factory, sock=self._bound, backlog=BACKLOG, start_serving=False
        )
        self._bound = self._resuming = None
        await self._server.start_serving()

    def close(self) -> None:
        """Give up the port."""
        if self._resuming is not None:
            self._resuming.cancel()
            self._resuming = None
        if self._server is not None:
            self._server.close()
            self._server = None
        if self._bound is not None:
            self._bound.close()
            self._bound = None
