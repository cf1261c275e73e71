"""The end of a run: results in order, counted as they stand on the disk; manifest; summary."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from batch.errors import BulkRevokeError, told
from batch.formatting import plain, timestamp
from batch.model import UNFINISHED, Outcome
from batch.reporting.summary import (
    LEFT_OUT,
    MOST_SHOWN,
    Report,
    Summary,
    block,
    done_outcomes,
    exit_code,
)
from batch.results.manifest import Manifest, SessionRecord, manifest_path

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batch.api.retrying_client import RetryingClient
    from batch.job.plan import Plan
    from batch.model import Listing
    from batch.reporting.progress import Screen
    from batch.results.csv_file import Tally
    from batch.results.journal import Journal
    from batch.settings import Settings


_IN_NO_ORDER = (
    "\nThe results are still the journal of the run, in which the last line of a row counts."
)


def nothing_due(listing: Listing, manifest: Manifest, screen: Screen, place: str) -> Report:
    """End a run of which all rows are for a later day: no results, nobody is asked or locked out.

    Args:
        listing: The input, without an entry.
        manifest: What the run's manifest would be.
        screen: Where a person is told.
        place: Name of the installation, for a person.
    """
    now = datetime.now(UTC)
    left_out = ", ".join(f"{count:,} {name}" for name, count in listing.left_out.items())
    text = (
        f"bulk-revoke: nothing is old enough for --older-than yet (exit 0)   {place},"
        f" run {manifest.run_id}, {now:%H:%M} UTC\n  left out: {left_out}\ninput:   {listing.title}"
    )
    screen.say(text)
    summary = Summary(
        run_id=manifest.run_id,
        command=manifest.command,
        exit_code=0,
        api=manifest.api,
        started_at=timestamp(now),
        finished_at=timestamp(now),
        rows=0,
        licenses=0,
        counts={},
        requests=0,
        patches=0,
        throttled=0,
        seconds=0.0,
        rate=0.0,
        results="",
        manifest="",
        hint="",
    )
    return Report(summary, screen.redact(text))


@dataclass(frozen=True, slots=True)
class Finish:
    """Brings a run to its end.

    Attributes:
        plan: What was to be done.
        journal: Where it is recorded.
        client: What everything was sent through.
        settings: How.
        manifest: The run's manifest; its last session is this one.
        screen: Where a person is told.
        place: Name of the installation, for a person.
        resume_command: The command that comes next, if anything is left to do; or empty.
    """

    plan: Plan
    journal: Journal
    client: RetryingClient
    settings: Settings
    manifest: Manifest
    screen: Screen
    place: str
    resume_command: str

    def close(self, seconds: float) -> Report:
        """Put the results into their order, write the manifest, and say how it went.

        Args:
            seconds: How long requests were sent.
        """
        missing_ok = self.settings.missing_ok and self.plan.known
        done = done_outcomes(self.plan.action, missing_ok=missing_ok)
        stopped = self.client.stopped
        tally = self._close_results(done)
        in_order = bool(tally.sha256)
        if in_order:
            self.manifest.results["sha256"] = tally.sha256
        if not in_order and (meddled := self.journal.meddled()):
            stopped = meddled
        elif LEFT_OUT.isdisjoint(tally.counts):
            stopped = None  # it came too late to leave anything out
        code = exit_code(
            tally.counts,
            len(self.plan.listing),
            done,
            stopped=stopped.exit_code if stopped else None,
            left=self.plan.left,
        )
        own = self._end(code, tally.counts, stopped)
        summary = self._summary(own, seconds)
        text, to_all = (
            block(
                summary,
                self.plan.action,
                place=self.place,
                done=done,
                licenses=tally.licenses,
                rows=tally.undone,
                stopped=self._reason(stopped, to_all=to_all),
                left=self.plan.licenses_left,
                unselected=sum(self.plan.listing.unselected),
                to_all=to_all,
            )
            + _IN_NO_ORDER * (not in_order)
            for to_all in (False, True)
        )
        if own.exit_code or not in_order:
            self.screen.insist(text)
        else:
            self.screen.say(text)
        return Report(summary, self.screen.redact(to_all))

    def give_up(self, error: BulkRevokeError) -> None:
        """Write into the manifest that the run has not come to its end: a bug, or a signal."""
        if self.manifest.sessions[-1].finished_at:
            return  # it had
        self._end(error.exit_code, self.journal.tally().counts, error)

    def _end(
        self, code: int, counts: Mapping[Outcome, int], stopped: BulkRevokeError | None
    ) -> SessionRecord:
        """End the last session of the manifest."""
        own, client = self.manifest.sessions[-1], self.client
        own.requests, own.patches = client.rate_limiter.requests, client.api.patches
        own.throttled = client.breaker.throttled
        own.sent_from, own.minutes = client.timeline.started_at, client.timeline.rows()
        own.exit_code = code
        own.finished_at = timestamp(datetime.now(UTC))
        own.counts = {str(outcome): count for outcome, count in counts.items()}
        own.stopped, own.why = self._reason(stopped), self._reason(stopped, to_all=True)
        self._write_manifest()
        return own

    def _summary(self, own: SessionRecord, seconds: float) -> Summary:
        action = self.plan.action
        if action.is_dry_run:
            is_unfinished = own.exit_code == 0 and action.in_dry_run in own.counts
        elif action.only_reads:
            is_unfinished = own.exit_code == 1 and action.in_dry_run in own.counts
        else:
            is_unfinished = not (UNFINISHED | {Outcome.PLANNED}).isdisjoint(own.counts)
        return Summary(
            run_id=self.manifest.run_id,
            command=self.manifest.command,
            exit_code=own.exit_code or 0,
            api=self.manifest.api,
            started_at=own.started_at,
            finished_at=own.finished_at,
            rows=len(self.plan.listing),
            licenses=len(self.plan.listing.distinct()),
            counts=own.counts,
            requests=own.requests,
            patches=own.patches,
            throttled=own.throttled,
            seconds=round(seconds, 3),
            rate=round(own.requests / seconds, 2) if seconds else 0.0,
            results=str(self.journal.path),
            manifest=str(manifest_path(self.journal.path)),
            hint=self.resume_command if is_unfinished else "",
        )

    def _write_manifest(self) -> None:
        path = manifest_path(self.journal.path)
        try:
            self.journal.check()
            self.manifest.write(path)
        except OSError as cause:
            self.screen.insist(f"warning: {path}: cannot be written: {cause.strerror}")

    def _reason(self, stopped: BulkRevokeError | None, *, to_all: bool = False) -> str:
        """Return why a run ended early, as `told` says it, on one line and without secrets."""
        if stopped is None:
            return ""
        parts = (
            plain(self.screen.redact(part)) for part in (told(stopped, to_all=to_all), stopped.hint)
        )
        return ": ".join(filter(None, parts))

    def _close_results(self, done: frozenset[Outcome]) -> Tally:
        """Put the results into their order, counted as they are written to the disk."""
        try:
            self.journal.check()
            self._make_room()
            return self.journal.finish(done, most=MOST_SHOWN)
        except OSError as cause:
            self.screen.insist(
                f"warning: {self.journal.path}: could not be put into its order: {cause.strerror}"
            )
            return self.journal.tally()

    def _make_room(self) -> None:
        """Rename what somebody has put into the place of the results: it is not ours to replace."""
        results = self.journal.path
        if self.journal.is_in_place() or not results.exists():
            return
        other = results.with_name(
            f"{results.name}.other-{self.manifest.run_id}-{len(self.manifest.sessions)}"
        )
        results.rename(other)
        self.screen.insist(
            f"warning: {results}: another file was put there meanwhile; it is now {other.name}"
        )
