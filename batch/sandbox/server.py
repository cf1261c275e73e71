"""The sandbox: its settings, its life, and the handles by which a test makes it misbehave."""

from __future__ import annotations

import asyncio
import socket
import time
from collections import deque
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from typing import TYPE_CHECKING, Self

from batch.sandbox.account import TICKS, Account, timestamp
from batch.sandbox.api import Api
from batch.sandbox.faults import (
    NO_DRAW,
    NO_ORDER,
    SURVIVABLE,
    Chance,
    Draw,
    Fault,
    Order,
    Script,
    order,
)
from batch.sandbox.limiter import FixedWindow, Limiter, Verdict, period_name, quota_exceeded
from batch.sandbox.message import Call, Reply
from batch.sandbox.wire import Connections, Wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from types import TracebackType

    from aiohttp import web


TOKEN = "sandbox-token"  # noqa: S105 - opens nothing but a sandbox
ALL_SCOPES = frozenset({"license:read", "license:write"})


class Sandbox:
    """A license API on loopback, running inside ``async with``.

    Args:
        account: Its licenses.
        rate: Requests admitted, and the seconds they are admitted in; None for no limit.
        limiter: Another limiter than the fixed window of ``rate``.
        latency: Least and most seconds of a round trip, half of them for each way.
        faults: Share of requests that go wrong by chance, 0 to 1.
        fault_kinds: What is drawn for those, all of them as likely: names or statuses.
        seed: Of latencies and chance.
        tokens: Access token to its scopes, ``license:read`` and ``license:write``; by default
            `TOKEN` has both.
        host: Loopback address.
        port: TCP port; 0 for any that is free.
        prefix: What stands before ``/licenses`` in a path.
        pagination: Whether lists carry the ``Pagination-*`` headers.
        log: Whether requests are logged, or how many at most (the latest ones).
        drip: Seconds between two pieces of a body that comes bit by bit.
        lateness: Seconds between a client's giving up and a ``late`` change.
        wall_clock: The present time in seconds since 1970. Everything else goes by the clock of
            the event loop.

    Attributes:
        account: The licenses.
        tokens: Access token to its scopes; may be changed while the sandbox runs.
        log: What has arrived.

    Raises:
        ValueError: ``host`` is not loopback, or there is no such fault.
    """

    def __init__(
        self,
        account: Account,
        *,
        rate: tuple[int, float] | None = None,
        limiter: Limiter | None = None,
        latency: tuple[float, float] = (0.0, 0.0),
        faults: float = 0.0,
        fault_kinds: Sequence[str | int] = SURVIVABLE,
        seed: int = 0,
        tokens: Mapping[str, frozenset[str]] | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        prefix: str = "/v3",
        pagination: bool = True,
        log: bool | int = True,
        drip: float = 0.05,
        lateness: float = 1.0,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.account = account
        self.tokens = {TOKEN: ALL_SCOPES} if tokens is None else dict(tokens)
        self.log = Log(keep=None if log is True else int(log))
        self._prefix = prefix.rstrip("/")
        self._drip = drip
        self._listener = Listener(host, port)
        self._connections: Connections | None = None
        self._gateway = Gateway(
            api=Api(account, self.tokens, wall_clock, pagination=pagination),
            prefix=self._prefix,
            log=self.log,
            limiter=FixedWindow(*rate) if limiter is None and rate is not None else limiter,
            latency=latency,
            faults=faults,
            kinds=[order(kind) for kind in fault_kinds],
            chance=Chance(seed) if faults > 0 or latency[1] > 0 else None,
            lateness=lateness,
            wall_clock=wall_clock,
        )

    async def __aenter__(self) -> Self:
        self._connections = Connections(self._gateway.serve, self._drip)
        await self._listener.open(self._connections)
        return self

    async def __aexit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._listener.close()
        if self._connections is not None:
            await self._connections.close()
            self._connections = None

    @property
    def port(self) -> int:
        """The TCP port that it listens on."""
        return self._listener.port

    @property
    def base_url(self) -> str:
        """The URL that a client puts before ``/licenses``."""
        host = self._listener.host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}{self._prefix}"

    @property
    def revoked(self) -> Mapping[str, bool]:
        """License ID to whether it is revoked now."""
        return self.account.revoked

    @property
    def requests(self) -> int:
        """The number of requests that have arrived, logged or not."""
        return self._gateway.requests

    @property
    def count_429(self) -> int:
        """The number of requests that the limiter has turned away, logged or not."""
        return self._gateway.count_429

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
        what = order(kind, retry_after)
        self._gateway.script.add(license_id.lower(), what, times=times, on=on)

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
        self._gateway.script.add("", order(kind, retry_after), times=times, on=on)

    def outage(self, kind: str | int = "refuse") -> None:
        """Be gone until `heal`: before the limiter, and for every request.

        Args:
            kind: ``refuse`` drops what is connected and refuses new connections; else a fault,
                such as ``reset_before`` or 503.

        Raises:
            ValueError: There is no such fault.
        """
        if kind != "refuse":
            self._gateway.outage = order(kind)
            return
        self._listener.refuse()
        if self._connections is not None:
            self._connections.abort()

    def heal(self) -> None:
        """End every outage and forget every fault that was scripted; chance goes on."""
        self._gateway.outage = None
        self._gateway.script.clear()
        self._listener.resume()

    async def settle(self) -> None:
        """Return once every request that the sandbox has got so far is dealt with.

        A hanging one ends when its client has given up, a ``late`` one with its change.
        """
        if self._connections is not None:
            await self._connections.settle()


BACKLOG = 1024


def loopback(host: str) -> str:
    """The loopback address that ``host`` names.

    Raises:
        ValueError: It names another one, or needs a look-up; the sandbox knows no passwords and
            must not be reached from elsewhere.
    """
    address = "127.0.0.1" if host == "localhost" else host
    try:
        if ip_address(address).is_loopback:
            return address
    except ValueError:
        pass
    raise ValueError(f"the sandbox listens on loopback only, not on {host!r}; use 127.0.0.1 or ::1")


class Listener:
    """Accepts connections, or refuses them without giving up its port.

    Attributes:
        host: Loopback address.
        port: TCP port; 0 until it is open, where any free one was asked for.
    """

    def __init__(self, host: str, port: int) -> None:
        self.host = loopback(host)
        self.port = port
        self._server: asyncio.Server | None = None
        self._bound: socket.socket | None = None
        self._resuming: asyncio.Task[None] | None = None
        self._factory: Callable[[], asyncio.BaseProtocol] | None = None

    async def open(self, factory: Callable[[], asyncio.BaseProtocol]) -> None:
        """Listen; ``factory`` makes the protocol of each connection.

        Raises:
            OSError: The port is taken.
        """
        self._factory = factory
        self._bound = self._bind()
        self.port = self._bound.getsockname()[1]
        await self._accept()

    def refuse(self) -> None:
        """Refuse new connections from now on."""
        self._release()
        # Bound and not listening: connections are refused, and nobody else can take the port.
        self._bound = self._bind()

    def resume(self) -> None:
        """Accept connections again; without effect while it does."""
        if self._bound is not None and self._resuming is None:
            # The kernel queues connections until the event loop comes to accept them.
            self._bound.listen(BACKLOG)
            self._resuming = asyncio.get_running_loop().create_task(self._accept())

    def close(self) -> None:
        """Give up the port."""
        self._release()

    def _bind(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        bound = socket.socket(family, socket.SOCK_STREAM)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind((self.host, self.port))
        except OSError:
            bound.close()
            raise
        return bound

    async def _accept(self) -> None:
        assert self._factory is not None
        assert self._bound is not None
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            self._factory, sock=self._bound, backlog=BACKLOG, start_serving=False
        )
        self._bound = self._resuming = None
        await self._server.start_serving()

    def _release(self) -> None:
        if self._resuming is not None:
            self._resuming.cancel()
            self._resuming = None
        if self._server is not None:
            self._server.close()
            self._server = None
        if self._bound is not None:
            self._bound.close()
            self._bound = None


@dataclass(slots=True)
class Gateway:
    """Leads requests to the API, with everything that may befall them on the way.

    Attributes:
        api: Decides on the answers.
        prefix: What stands before ``/licenses`` in a path.
        log: Where requests are written down.
        limiter: Counts them, or None.
        latency: Least and most seconds of a round trip.
        faults: Share of requests that go wrong by chance, 0 to 1.
        kinds: What is drawn for those.
        chance: Draws latencies and faults, or None where nothing is left to chance.
        lateness: Seconds between a client's giving up and a ``late`` change.
        wall_clock: The present time in seconds since 1970.
        script: The faults that were ordered.
        outage: What every request meets, or None.
        requests: How many have arrived.
        count_429: How many of them were turned away by the limiter.
    """

    api: Api
    prefix: str
    log: Log
    limiter: Limiter | None
    latency: tuple[float, float]
    faults: float
    kinds: Sequence[Order]
    chance: Chance | None
    lateness: float
    wall_clock: Callable[[], float]
    script: Script = field(default_factory=Script)
    outage: Order | None = None
    requests: int = 0
    count_429: int = 0
    _window: tuple[float, str] = (0.0, "")

    async def serve(self, request: web.BaseRequest, wire: Wire) -> web.StreamResponse:
        """Answer a request, in whatever way it is to be answered."""
        call = self._call(request, await request.read())
        draw = NO_DRAW if self.chance is None else self.chance.draw(call.method, call.target)
        await self._travel(draw.there)

        now = asyncio.get_running_loop().time()
        entry = Entry(now, call.method, call.target)
        self.requests += 1
        self.log.append(entry)
        order, verdict = self._meet(call, draw, now)
        entry.fault = order.name

        reply = self.api.answer(call)
        change = reply.change
        if change is not None and order.fault.applied:
            change.apply()
            entry.applied = True
        reply = self._finish(order.fault.reshape(reply), order, verdict)
        await self._travel(draw.back)
        if order.fault.answered:
            entry.status = reply.status
        response = await order.fault.deliver(wire, reply)
        if change is not None and order.fault.late:
            await asyncio.sleep(self.lateness)
            change.apply()
            entry.applied = True
        return response

    def _call(self, request: web.BaseRequest, body: bytes) -> Call:
        path = request.path
        resource, license_id = "", ""
        if path.startswith(self.prefix + "/"):
            head, _, tail = path[len(self.prefix) + 1 :].partition("/")
            if head in {"licenses", "status"} and not tail and not path.endswith("/"):
                resource = head
            elif head == "licenses" and tail and "/" not in tail:
                resource, license_id = "license", tail.lower()
        query = list(request.query.items()) if request.query_string else []
        return Call(request.method, path, resource, license_id, query, request.headers, body)

    async def _travel(self, chance: float) -> None:
        """Let half a round trip pass."""
        least, most = self.latency
        if most > 0:
            await asyncio.sleep((least + chance * (most - least)) / 2)

    def _meet(self, call: Call, draw: Draw, now: float) -> tuple[Order, Verdict | None]:
        """Return the order that befalls a request, `NO_ORDER` for nearly all, and the verdict."""
        if self.outage is not None:
            return self.outage, None
        verdict = None if self.limiter is None else self.limiter.admit(now)
        if verdict is not None and not verdict.admitted:
            self.count_429 += 1
            return self._turned_away(verdict.ends - now), verdict
        scripted = self.script.next(call.operation, call.license_id)
        if scripted is not None:
            return scripted, verdict
        if draw.fault < self.faults:
            return self.kinds[int(draw.kind * len(self.kinds))], verdict
        return NO_ORDER, verdict

    def _turned_away(self, wait: float) -> Order:
        assert self.limiter is not None
        reply = quota_exceeded(self.limiter.limit, self.limiter.period, wait)
        return Order("", Fault("turned away by the limiter", reshape=lambda _: reply), {})

    def _finish(self, reply: Reply, order: Order, verdict: Verdict | None) -> Reply:
        """Add the headers of the limiter and those of the fault."""
        headers = dict(reply.headers)
        if verdict is not None and reply.from_api and reply.status != 429:
            headers.update(self._quota(verdict))
        headers.update(order.headers)
        return replace(reply, headers=headers)

    def _quota(self, verdict: Verdict) -> dict[str, str]:
        """The headers of the limiter; the end of a window is told the same way throughout it."""
        assert self.limiter is not None
        if verdict.ends != self._window[0]:
            wait = verdict.ends - asyncio.get_running_loop().time()
            self._window = verdict.ends, timestamp(int((self.wall_clock() + wait) * TICKS))
        return {
            "X-Rate-Limit-Limit": period_name(self.limiter.period),
            "X-Rate-Limit-Remaining": str(verdict.remaining),
            "X-Rate-Limit-Reset": self._window[1],
        }


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
