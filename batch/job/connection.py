"""The way to the API of one command: its locks, its pace, its client, and signs of life."""

from __future__ import annotations

import asyncio
import math
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
)
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from batch.api.base_url import label, proxy_for
from batch.api.circuit_breaker import CircuitBreaker
from batch.api.client import CryptlexClient
from batch.api.rate_limiter import RateLimiter
from batch.api.retry import RetryPolicy
from batch.api.retrying_client import RetryingClient
from batch.api.transport import tls_context
from batch.errors import ConfigError, StoppedError
from batch.formatting import counted
from batch.host import claim, lock
from batch.host.signals import stopped_by_signals
from batch.model import Property
from batch.reporting.summary import per_second

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterator

    from batch.host.claim import Claim
    from batch.host.clock import Clock
    from batch.host.lock import Lock, Owner
    from batch.reporting.progress import Progress, Screen
    from batch.settings import Settings


_T = TypeVar("_T")

new_event_loop: Callable[[], asyncio.AbstractEventLoop]
try:
    from uvloop import new_event_loop
except ImportError:
    from asyncio import new_event_loop


def runs() -> asyncio.Runner:
    """An event loop for the phases of a command, one after another; a context manager."""
    return asyncio.Runner(loop_factory=new_event_loop)


def check(settings: Settings) -> None:
    """Refuse authorities and proxies that cannot be used, before anything is read.

    Raises:
        ConfigError: One of them.
    """
    tls_context(settings.ca_file)
    proxy_for(settings.base_url)


@contextmanager
def locked(
    settings: Settings, owner: Owner, say: Callable[[str], None]
) -> Iterator[tuple[Claim, Lock]]:
    """Let no other command write to the same place, and none on this host talk to the same API.

    Args:
        settings: The place and the API.
        owner: Who this is, for those that are refused meanwhile.
        say: Told once that and for whom it waits.

    Raises:
        BusyError: Another one is at work.
        ConfigError: A lock cannot be used.
        ResultsError: The place cannot be claimed.
    """
    directory = lock.directory(settings.lock_dir)
    path, wait = settings.output, settings.wait
    held = partial(lock.held, owner=owner, wait=wait, timeout=settings.timeout, say=say)
    with (
        held(directory / lock.results_name(path), what=str(path)),
        claim.held(path, owner, wait=wait, say=say) as claimed,
        held(
            directory / lock.api_name(settings.base_url), what=label(settings.base_url)
        ) as api_lock,
    ):
        yield claimed, api_lock


@dataclass(slots=True)
class Connection:
    """The client of a command, and what every phase that sends through it needs.

    Attributes:
        client: Sends, paces and sends again.
        clock: Of everything that is paced.
        screen: Where a person is told.
        lock: Keeps other runs on this host away from the API; None in a rehearsal.
        seconds: How long requests were sent so far.
    """

    client: RetryingClient
    clock: Clock
    screen: Screen
    lock: Lock | None = None
    seconds: float = field(init=False, default=0.0)
    _has_sent: bool = field(init=False, default=False)

    @asynccontextmanager
    async def working(
        self, progress: Progress, *beside: Callable[[], Coroutine[Any, Any, None]]
    ) -> AsyncIterator[None]:
        """Connections, progress and signs of life, as long as requests are sent.

        Args:
            progress: What a person sees of it.
            beside: Begins what else goes on meanwhile; that is cancelled at the end.

        Raises:
            ConfigError: The lock cannot be written; nothing was sent.
        """
        started = self.clock.now()
        if self.lock is not None:
            self._cool_down(self.lock)
        self.client.timeline.start()
        async with self.client.api:
            # A disk that takes its time must not delay the signs of life.
            tasks = [
                asyncio.create_task(self._show_life(progress)),
                asyncio.create_task(self.client.mention_silence()),
                *(asyncio.create_task(each()) for each in beside),
            ]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                self.client.timeline.tick()
                progress.close()
                self.seconds += self.clock.now() - started

    def sent(self) -> dict[str, Any]:
        """Count what was sent so far; by the fields of a `Summary`."""
        requests = self.client.rate_limiter.requests
        return {
            "requests": requests,
            "patches": self.client.api.patches,
            "throttled": self.client.breaker.throttled,
            "rate": per_second(requests, self.seconds),
        }

    def trouble(self) -> str:
        """Say what keeps a phase from going on, and for how long; empty if nothing does."""
        client, paused = self.client, self.client.rate_limiter.paused
        if client.stopped:
            return f"stopping: {self.unanswered()}"
        if client.breaker.is_down:
            return f"the server is down, next try in {math.ceil(paused)} s"
        wait = max(paused, client.rests_until - client.clock.now())
        if wait > 0:
            return f"waiting {math.ceil(wait)} s"
        return "" if client.introduced else "no answer yet"

    def interruptible(
        self, *, is_last: bool = False, last_words: str = ""
    ) -> AbstractContextManager[None]:
        """Let the first signal stop what the block does; see `stopped_by_signals`."""
        return stopped_by_signals(
            self.client.stop,
            self.screen.say,
            self.unanswered,
            is_last=is_last,
            last_words=last_words,
        )

    def unanswered(self) -> str:
        """Say what an orderly stop waits for."""
        count = self.client.rate_limiter.in_flight
        return f"waiting for {counted(count, 'request')}" if count else "settling what was sent"

    def leave(self) -> None:
        """Tell the run that comes next when it may begin; nothing, if nothing was sent here."""
        if self.lock is not None and self._has_sent:
            self.lock.leave(self.client.rate_limiter.quiet())

    def _cool_down(self, lock: Lock) -> None:
        """Send nothing before the window is over in which another run may have sent."""
        rate_limiter = self.client.rate_limiter
        cooldown = lock.cooldown(rate_limiter.period) if rate_limiter.limit is not None else 0.0
        try:
            lock.heartbeat(rate_limiter.quiet())
        except OSError as cause:
            raise ConfigError(
                f"the lock cannot be written: {cause.strerror}",
                hint="name another directory for it with --lock-dir; nothing was sent.",
            ) from cause
        self._has_sent = True
        if rate_limiter.pause(cooldown) >= 1:
            self.screen.say(
                f"another run on this host was at work a moment ago: waiting {cooldown:.0f} s"
            )

    async def _show_life(self, progress: Progress) -> None:
        """To the person who looks, and to the run that comes next."""
        while True:
            await self.clock.sleep(1)
            progress.tick()
            self.client.timeline.tick()
            if self.lock is not None:
                try:
                    self.lock.heartbeat(self.client.rate_limiter.quiet())
                except OSError as cause:
                    self.client.stop(StoppedError(f"the lock cannot be kept: {cause.strerror}"))


def client_of(
    settings: Settings,
    clock: Clock,
    base_url: str,
    token: str,
    *,
    another_token: Callable[[], str | None],
    attended: bool,
    changes: Property = Property.REVOKED,
) -> RetryingClient:
    """Make the client of a command.

    Args:
        settings: Pace, time-outs and attempts.
        clock: Of everything that is paced.
        base_url: Of the API, or of a sandbox.
        token: Its access token.
        another_token: Brings one that the server has not refused yet, or None.
        attended: Whether somebody is there, who need not wait for what is hardly an outage.
        changes: The property that is sent, and that every license that is read has to tell.
    """
    rate_limiter = RateLimiter(settings.rate.limit, settings.rate.period, clock)
    api = CryptlexClient(
        base_url,
        token,
        rate_limiter,
        timeout=settings.timeout,
        connections=settings.concurrency,
        ca_file=settings.ca_file,
        changes=changes,
    )
    return RetryingClient(
        api,
        rate_limiter,
        CircuitBreaker(rate_limiter, clock),
        clock,
        policy=RetryPolicy(max_attempts=settings.max_attempts),
        another_token=another_token,
        attended=attended,
    )


@contextmanager
def entered(loop: asyncio.Runner, manager: AbstractAsyncContextManager[_T]) -> Iterator[_T]:
    """Hold an asynchronous context open while the loop runs now and then."""
    stack = AsyncExitStack()
    try:
        yield loop.run(stack.enter_async_context(manager))
    finally:
        loop.run(stack.aclose())
