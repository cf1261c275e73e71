"""The sandbox: its settings, its life, and the handles by which a test makes it misbehave."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self

from batch.sandbox.api import Api
from batch.sandbox.chance import Chance
from batch.sandbox.faults import SURVIVABLE
from batch.sandbox.gateway import Gateway
from batch.sandbox.limiter import FixedWindow, Limiter
from batch.sandbox.listener import Listener
from batch.sandbox.log import Log
from batch.sandbox.script import order
from batch.sandbox.wire import Connections

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

    from batch.sandbox.account import Account

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
        """What a client puts before ``/licenses``."""
        host = self._listener.host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}{self._prefix}"

    @property
    def revoked(self) -> Mapping[str, bool]:
        """License ID to whether it is revoked now."""
        return self.account.revoked

    @property
    def requests(self) -> int:
        """How many requests have arrived, logged or not."""
        return self._gateway.requests

    @property
    def count_429(self) -> int:
        """How many of them the limiter has turned away, logged or not."""
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
