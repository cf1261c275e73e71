"""What a run that talks to the server needs, wired once: pace, health, signals, results, paper."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from batch import manifest
from batch.client import CryptlexClient
from batch.errors import StoppedError
from batch.gate import Gate
from batch.health import Health
from batch.interrupts import stopped_by_signals
from batch.job import Job
from batch.ledger import Ledger
from batch.model import REVOKE, UNFINISHED, Outcome, Status
from batch.progress import Progress, Screen
from batch.retry import RetryPolicy
from batch.summary import LEFT_OUT, MOST_SHOWN, Summary, block, done_outcomes, exit_code
from batch.text import plain, timestamp

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from batch.clock import Clock
    from batch.manifest import Manifest
    from batch.plan import Plan
    from batch.results import Journal
    from batch.settings import Settings

log = logging.getLogger(__name__)

DRAIN = 1.5
"""Time-outs of one attempt that reading back may take after a stop."""


@dataclass(slots=True)
class Session:
    """One process at work on a run, from the plan to the summary.

    Attributes:
        plan: What is to be done.
        settings: How.
        journal: The results file, with the plan written into it.
        paper: The run's manifest; gets a session of its own.
        screen: Where a person is told.
        place: Name of the installation, for a person.
        again: The command that goes on with what is not done.
        clock: Of everything that is paced.
    """

    plan: Plan
    settings: Settings
    journal: Journal
    paper: Manifest
    screen: Screen
    place: str
    again: str
    clock: Clock

    def begin(self) -> None:
        """Write the manifest, with this session as its last.

        Raises:
            OSError: It cannot be written; nothing was sent.
        """
        now = timestamp(datetime.now(UTC))
        self.paper.sessions.append(manifest.SessionRecord(started_at=now))
        self.paper.write(manifest.path_for(self.journal.path))

    async def act(self, base_url: str, token: str) -> Summary:
        """Send what is planned, record how it went, and bring results and manifest to their end.

        Call `begin` before.
        """
        settings = self.settings
        gate = Gate(settings.rate.limit, settings.rate.period, self.clock)
        health = Health(gate, self.clock)
        progress = Progress(self.screen, len(self.plan.to_send), self.clock)
        own = self.paper.sessions[-1]
        started = self.clock.now()
        client = CryptlexClient(
            base_url,
            token,
            gate,
            timeout=settings.timeout,
            connections=settings.concurrency,
            ca_file=settings.ca_file,
        )
        job = Job(
            action=REVOKE,
            license_id=self.plan.listing.license_id,
            record=self._recorder(progress),
            client=client,
            gate=gate,
            health=health,
            clock=self.clock,
            planned=len(self.plan.to_send),
            policy=RetryPolicy(max_attempts=settings.max_attempts),
            failure_limit=settings.failures,
            concurrency=min(settings.concurrency, max(1, len(self.plan.to_send))),
            drain=settings.timeout * DRAIN,
        )
        with stopped_by_signals(job, self.screen):
            async with client, self._every_second(job, progress):
                await job.run(self.plan.to_send)
            progress.close()
            own.requests, own.patches = gate.requests, client.patches
            own.throttled = health.throttled
            return self._end(own, job.stopped, self.clock.now() - started)

    def _recorder(self, progress: Progress) -> Callable[[int, Status], None]:
        listing, journal = self.plan.listing, self.journal

        def record(entry: int, status: Status) -> None:
            journal.record(entry, status)
            progress.settled(status.outcome)
            if log.isEnabledFor(logging.INFO):
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

        return record

    @asynccontextmanager
    async def _every_second(self, job: Job, progress: Progress) -> AsyncIterator[None]:
        """Keep the progress going and the results on the disk, off the event loop."""

        async def tick() -> None:
            while True:
                await self.clock.sleep(1)
                progress.tick()
                try:
                    await asyncio.to_thread(self.journal.sync)
                except OSError as cause:
                    job.stop(StoppedError(f"the results cannot be saved: {cause.strerror}"))
                except RuntimeError as cause:  # no thread is to be had
                    job.stop(StoppedError(f"the results cannot be saved: {cause}"))

        ticking = asyncio.create_task(tick())
        try:
            yield
        finally:
            ticking.cancel()
            with suppress(asyncio.CancelledError):
                await ticking

    def _end(
        self, own: manifest.SessionRecord, stopped: StoppedError | None, seconds: float
    ) -> Summary:
        done = done_outcomes(missing_ok=self.settings.missing_ok)
        ledger, in_order = self._close_results(done)
        if LEFT_OUT.isdisjoint(ledger.counts):
            stopped = None  # it came too late to leave anything out
        own.exit_code = exit_code(
            ledger.counts, len(self.plan.listing), done, stopped.exit_code if stopped else None
        )
        own.finished_at = timestamp(datetime.now(UTC))
        own.counts = {str(outcome): count for outcome, count in ledger.counts.items()}
        own.stopped = self._reason(stopped)
        paper = manifest.path_for(self.journal.path)
        try:
            self.paper.write(paper)
        except OSError as cause:
            self.screen.insist(f"warning: {paper}: cannot be written: {cause.strerror}")
        summary = Summary(
            run_id=self.paper.run_id,
            command=self.paper.command,
            exit_code=own.exit_code,
            api=self.paper.api,
            started_at=own.started_at,
            finished_at=own.finished_at,
            rows=len(self.plan.listing),
            licenses=len(self.plan.to_send),
            counts=own.counts,
            requests=own.requests,
            patches=own.patches,
            throttled=own.throttled,
            seconds=round(seconds, 3),
            rate=round(own.requests / seconds, 2) if seconds else 0.0,
            results=str(self.journal.path),
            manifest=str(paper),
            hint=self.again if in_order and not UNFINISHED.isdisjoint(ledger.counts) else "",
        )
        text = block(
            summary,
            place=self.place,
            done=done,
            rows=ledger.undone,
            stopped=own.stopped,
        )
        if own.exit_code:
            self.screen.insist(text)
        else:
            self.screen.say(text)
        return summary

    def _reason(self, stopped: StoppedError | None) -> str:
        """Why a run ended early, without secrets and on one line."""
        if stopped is None:
            return ""
        parts = (plain(self.screen.redact(part)) for part in (stopped.message, stopped.hint))
        return ": ".join(filter(None, parts))

    def _close_results(self, done: frozenset[Outcome]) -> tuple[Ledger, bool]:
        """Put the results into their order, and count them as they then stand on the disk."""
        results = self.journal.path
        try:
            self.journal.finish()
            ledger = Ledger.read(results, done, most=MOST_SHOWN)
            self.paper.results["sha256"] = manifest.sha256(results)
        except OSError as cause:
            self.screen.insist(
                f"warning: {results}: could not be put into its order ({cause.strerror}): what is "
                "there is the journal of the run, in which the last line of a row counts.\n"
                "To go on, start again from the input with another --output: revoking twice is "
                "harmless."
            )
            return Ledger(self.journal.counts(), []), False
        return ledger, True
