"""What a run that talks to the server needs, wired once: pace, health, signals, locks, progress."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from batch.client import PAGE_SIZE, CryptlexClient
from batch.errors import ConfigError, StoppedError
from batch.gate import Gate
from batch.health import Health
from batch.job import Job
from batch.look import Look
from batch.model import Outcome
from batch.progress import Progress, Screen
from batch.retry import RetryPolicy
from batch.seen import Seen
from batch.sender import Sender

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from batch.clock import Clock
    from batch.lock import Lock
    from batch.model import Listing, Status
    from batch.plan import Plan
    from batch.results import Journal
    from batch.settings import Settings
    from batch.source import Exclusion

log = logging.getLogger(__name__)

DRAIN = 1.5
"""Time-outs of one attempt that reading back may take after a stop."""

_FAILED = frozenset({Outcome.FAILED, Outcome.UNKNOWN, Outcome.NOT_FOUND})


@dataclass(slots=True)
class Session:
    """One process at work on a run: it looks, and then it acts, at one pace.

    Attributes:
        settings: How.
        base_url: Of the API.
        token: Access token.
        screen: Where a person is told.
        clock: Of everything that is paced.
        lock: Keeps other runs on this host away from the API; None in a rehearsal.
        sender: What everything is sent through.
        seconds: How long requests were sent.
    """

    settings: Settings
    base_url: str
    token: str
    screen: Screen
    clock: Clock
    lock: Lock | None
    sender: Sender = field(init=False)
    seconds: float = 0.0
    _begun: bool = False

    def __post_init__(self) -> None:
        settings = self.settings
        gate = Gate(settings.rate.limit, settings.rate.period, self.clock)
        client = CryptlexClient(
            self.base_url,
            self.token,
            gate,
            timeout=settings.timeout,
            connections=settings.concurrency,
            ca_file=settings.ca_file,
        )
        self.sender = Sender(
            client,
            gate,
            Health(gate, self.clock),
            self.clock,
            policy=RetryPolicy(max_attempts=settings.max_attempts),
        )

    @property
    def stopped(self) -> StoppedError | None:
        """Why nothing more is begun, or None."""
        return self.sender.stopped

    async def look(self, listing: Listing, entries: Sequence[int], exclusion: Exclusion) -> Seen:
        """Ask the server what it holds for these entries; a stop leaves the rest unseen."""
        if not entries:
            seen = Seen.nothing(listing)
            seen.looked = True
            return seen
        progress = Progress(
            self.screen,
            self.clock,
            len(entries),
            phase="looking",
            unit=("req", "requests"),
        )
        look = Look(
            listing,
            self.sender,
            page_size=PAGE_SIZE,
            concurrency=min(self.settings.concurrency, len(entries)),
            expect=progress.expect,
            step=progress.step,
            protects=exclusion.of_license if exclusion.files else None,
        )
        async with self._working(progress, None):
            await look.run(entries)
        return look.seen

    async def act(self, plan: Plan, journal: Journal) -> None:
        """Send what is planned, and record how each license is settled."""
        settings = self.settings
        self.sender.health.count_anew()
        progress = Progress(self.screen, self.clock, len(plan.to_send))
        job = Job(
            action=plan.action,
            license_id=plan.listing.license_id,
            in_doubt=plan.in_doubt,
            record=_recorder(plan.listing, journal, progress),
            sender=self.sender,
            planned=len(plan.to_send),
            failure_limit=settings.failures,
            concurrency=min(settings.concurrency, max(1, len(plan.to_send))),
            drain=settings.timeout * DRAIN,
        )
        async with self._working(progress, journal):
            await job.run(plan.to_send)

    def leave(self) -> None:
        """Tell the run that comes next when it may begin; nothing, if nothing was begun here."""
        if self.lock is not None and self._begun:
            self.lock.leave(self.sender.gate.quiet())

    @asynccontextmanager
    async def _working(self, progress: Progress, journal: Journal | None) -> AsyncIterator[None]:
        """Connections, signals, progress and signs of life, as long as requests are sent."""
        started = self.clock.now()
        if self.lock is not None:
            self._rest(self.lock)
        async with self.sender.client:
            tasks = [asyncio.create_task(self._show_life(progress))]
            if journal is not None:
                # A disk that takes its time must not delay the signs of life.
                tasks.append(asyncio.create_task(self._save(journal)))
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        progress.close()
        self.seconds += self.clock.now() - started

    def _rest(self, lock: Lock) -> None:
        """Send nothing before the window is over in which another run may have sent."""
        gate = self.sender.gate
        rest = lock.rest(gate.period) if gate.limit is not None else 0.0
        try:
            lock.beat(gate.quiet())
        except OSError as cause:
            raise ConfigError(
                f"the lock cannot be written: {cause.strerror}",
                hint="name another directory for it with --lock-dir; nothing was sent.",
            ) from cause
        self._begun = True
        if gate.pause(rest) >= 1:
            self.screen.say(
                f"another run on this host was at work a moment ago: waiting {rest:.0f} s"
            )

    async def _show_life(self, progress: Progress) -> None:
        """To the person who looks, and to the run that comes next."""
        while True:
            await self.clock.sleep(1)
            progress.tick()
            if self.lock is not None:
                try:
                    self.lock.beat(self.sender.gate.quiet())
                except OSError as cause:
                    self.sender.stop(StoppedError(f"the lock cannot be kept: {cause.strerror}"))

    async def _save(self, journal: Journal) -> None:
        """Force the results to the disk once a second, off the event loop."""
        loop = asyncio.get_running_loop()
        # Not the loop's own: to end that one takes a thread more, and there may be none.
        executor = ThreadPoolExecutor(1)
        try:
            while True:
                await self.clock.sleep(1)
                try:
                    await loop.run_in_executor(executor, journal.sync)
                except OSError as cause:
                    self.sender.stop(_unsaved(cause.strerror or str(cause)))
                except RuntimeError as cause:  # no thread is to be had
                    self.sender.stop(_unsaved(str(cause)))
        finally:
            executor.shutdown(wait=False)


def _unsaved(reason: str) -> StoppedError:
    return StoppedError(f"the results cannot be saved: {reason}")


def _recorder(
    listing: Listing, journal: Journal, progress: Progress
) -> Callable[[Sequence[tuple[int, Status]]], None]:
    def record(statuses: Sequence[tuple[int, Status]]) -> None:
        journal.record(*statuses)
        failed = sum(status.outcome in _FAILED for _, status in statuses)
        progress.step(len(statuses), failed=failed)
        if log.isEnabledFor(logging.INFO):
            for entry, status in statuses:
                _log_settled(listing, entry, status)

    return record


def _log_settled(listing: Listing, entry: int, status: Status) -> None:
    license_id, row = listing.license_id(entry), listing.rows[entry]
    log.info(
        "row %d %s: %s",
        row,
        license_id,
        status.outcome,
        extra={
            "event": "settled",
            "license_id": license_id,
            "row": row,
            "outcome": str(status.outcome),
            "attempt": status.attempts,
            "http_status": status.http_status,
            "error_code": status.error_code,
        },
    )
