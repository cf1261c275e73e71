"""The end of a run: results in order, counted as they stand on the disk; manifest; summary."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from batch.errors import BulkRevokeError, StoppedError, bug_found, told
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
from batch.results.csv_file import Ledger
from batch.results.manifest import Manifest, SessionRecord, file_sha256, manifest_path

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batch.job.plan import Plan
    from batch.job.runner import Session
    from batch.reporting.progress import Screen
    from batch.results.journal import Journal
    from batch.settings import Settings


_IN_NO_ORDER = (
    "\nThe results are still the journal of the run, in which the last line of a row counts."
)


@dataclass(frozen=True, slots=True)
class Finish:
    """Brings a run to its end.

    Attributes:
        plan: What was to be done.
        settings: How.
        manifest: The run's manifest; its last session is this one.
        screen: Where a person is told.
        place: Name of the installation, for a person.
        resume_command: The command that comes next, if anything is left to do; or empty.
    """

    plan: Plan
    settings: Settings
    manifest: Manifest
    screen: Screen
    place: str
    resume_command: str

    def close(self, journal: Journal, session: Session) -> Report:
        """Put the results into their order, write the manifest, and say how it went."""
        missing_ok = self.settings.missing_ok and self.plan.known
        done = done_outcomes(self.plan.action, missing_ok=missing_ok)
        stopped = session.stopped
        ledger, in_order = self._close_results(journal, done)
        if not (in_order or journal.is_in_place()):
            stopped = StoppedError(
                f"the results are gone from their place: {journal.path}",
                hint="put them back there, with their manifest, before you go on.",
            )
        elif LEFT_OUT.isdisjoint(ledger.counts):
            stopped = None  # it came too late to leave anything out
        code = exit_code(
            ledger.counts,
            len(self.plan.listing),
            done,
            stopped=stopped.exit_code if stopped else None,
            left=self.plan.left,
        )
        own = self._end(journal, session, code, ledger.counts, self._reason(stopped))
        summary = self._summary(own, journal, session.seconds)
        text, to_all = (
            block(
                summary,
                self.plan.action,
                place=self.place,
                done=done,
                licenses=ledger.licenses,
                rows=ledger.undone,
                stopped=self._reason(stopped, to_all=to_all),
                left=self.plan.licenses_left,
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

    def give_up(self, journal: Journal, session: Session, error: Exception) -> None:
        """Write into the manifest that the run has not come to its end: a bug, or a signal."""
        if self.manifest.sessions[-1].finished_at:
            return  # it had
        if not isinstance(error, BulkRevokeError):
            error = bug_found(error)
        self._end(journal, session, error.exit_code, journal.counts(), self._reason(error))

    def _end(
        self,
        journal: Journal,
        session: Session,
        code: int,
        counts: Mapping[Outcome, int],
        stopped: str,
    ) -> SessionRecord:
        """End the last session of the manifest."""
        own = self.manifest.sessions[-1]
        client = session.client
        own.requests, own.patches = client.rate_limiter.requests, client.api.patches
        own.throttled = client.breaker.throttled
        own.exit_code = code
        own.finished_at = timestamp(datetime.now(UTC))
        own.counts = {str(outcome): count for outcome, count in counts.items()}
        own.stopped = stopped
        self._write_manifest(journal)
        return own

    def _summary(self, own: SessionRecord, journal: Journal, seconds: float) -> Summary:
        action = self.plan.action
        if action.is_dry_run:
            is_unfinished = own.exit_code == 0 and action.in_dry_run in own.counts
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
            results=str(journal.path),
            manifest=str(manifest_path(journal.path)),
            hint=self.resume_command if is_unfinished else "",
        )

    def _write_manifest(self, journal: Journal) -> None:
        path = manifest_path(journal.path)
        try:
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

    def _close_results(self, journal: Journal, done: frozenset[Outcome]) -> tuple[Ledger, bool]:
        """Put the results into their order, and count them as they then stand on the disk."""
        results = journal.path
        try:
            self._make_room(journal)
            journal.finish()
            ledger = Ledger.read(results, done, most=MOST_SHOWN)
            self.manifest.results["sha256"] = file_sha256(results)
        except OSError as cause:
            self.screen.insist(
                f"warning: {results}: could not be put into its order: {cause.strerror}"
            )
            return Ledger(journal.counts(), journal.counts(repeats=False), []), False
        return ledger, True

    def _make_room(self, journal: Journal) -> None:
        """Rename what somebody has put into the place of the results: it is not ours to replace."""
        results = journal.path
        if journal.is_in_place() or not results.exists():
            return
        other = results.with_name(
            f"{results.name}.other-{self.manifest.run_id}-{len(self.manifest.sessions)}"
        )
        results.rename(other)
        self.screen.insist(
            f"warning: {results}: another file was put there meanwhile; it is now {other.name}"
        )
