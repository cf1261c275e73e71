"""The end of a run: results in order, counted as they stand on the disk; manifest; summary."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil
from typing import TYPE_CHECKING, Any

from batch.columns import COLUMNS, DETAILS
from batch.errors import BulkRevokeError, told
from batch.formatting import plain, timestamp, uncell
from batch.job.preview import whose
from batch.license_object import customer
from batch.model import UNFINISHED, Outcome
from batch.reporting.summary import (
    LEFT_OUT,
    MOST_NAMED,
    Report,
    Summary,
    block,
    done_outcomes,
    exit_code,
    span,
    undone_row,
)
from batch.results.manifest import Manifest, SessionRecord, manifest_path

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from batch.job.connection import Connection
    from batch.job.plan import Plan
    from batch.model import Listing
    from batch.reporting.progress import Screen
    from batch.results.csv_file import Tally
    from batch.results.journal import Journal
    from batch.settings import Settings


_LATEST = int(datetime.max.replace(tzinfo=UTC).timestamp()) - 1
"""The last moment that can be spelled, in seconds since 1970."""

_IN_NO_ORDER = (
    "\nThe results are still the journal of the run, in which the last line of a row counts."
)


def nothing_due(
    listing: Listing,
    manifest: Manifest,
    screen: Screen,
    place: str,
    *,
    started_at: str,
    older_than: float,
) -> Report:
    """End a run of which all rows are for a later day: no results, nobody is asked or locked out.

    Args:
        listing: The input, without an entry.
        manifest: What the run's manifest would be.
        screen: Where a person is told.
        place: Name of the installation, for a person.
        started_at: When the command began.
        older_than: The age that is asked for, in seconds.
    """
    now = datetime.now(UTC)
    finished_at = timestamp(now)
    left_out = ", ".join(f"{count:,} {name}" for name, count in listing.left_out.items())
    due = datetime.fromtimestamp(min(ceil(listing.next_at + older_than), _LATEST), UTC)
    hint = f"the first of them is old enough on {due:%Y-%m-%d at %H:%M:%S} UTC."
    text = (
        f"bulk-revoke: nothing is old enough for --older-than yet (exit 0)   {place},"
        f" run {manifest.run_id}, {now:%H:%M} UTC\n  left out: {left_out}\ninput:   {listing.title}"
        f"\nhint:    {hint}"
    )
    screen.say(text)
    summary = Summary(
        run_id=manifest.run_id,
        command=manifest.command,
        exit_code=0,
        api=manifest.api,
        started_at=started_at,
        finished_at=finished_at,
        rows=0,
        licenses=0,
        counts={},
        requests=0,
        patches=0,
        throttled=0,
        seconds=span(started_at, finished_at),
        rate=0.0,
        results="",
        manifest="",
        hint=hint,
    )
    return Report(summary, screen.redact(text))


@dataclass(frozen=True, slots=True)
class Finish:
    """Brings a run to its end.

    Attributes:
        plan: What was to be done.
        journal: Where it is recorded.
        connection: What everything was sent through.
        settings: How.
        manifest: The run's manifest; its last session is this one.
        screen: Where a person is told.
        place: Name of the installation, for a person.
        resume_command: The command that comes next, if anything is left to do; or empty.
    """

    plan: Plan
    journal: Journal
    connection: Connection
    settings: Settings
    manifest: Manifest
    screen: Screen
    place: str
    resume_command: str

    def close(self) -> Report:
        """Put the results into their order, write the manifest, and say how it went."""
        missing_ok = self.settings.missing_ok and self.plan.known
        done = done_outcomes(self.plan.action, missing_ok=missing_ok)
        stopped = self.connection.client.stopped
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
        summary = self._summary(
            own,
            error=self._reason(stopped, to_all=True),
            not_done=[undone_row(cells) for cells in tally.undone] if in_order else None,
            done=done,
            hint=self._next(tally),
        )
        text, to_all = (
            self._block(summary, done, tally, stopped, to_all=to_all)
            + _IN_NO_ORDER * (not in_order)
            for to_all in (False, True)
        )
        show = self.screen.insist if own.exit_code or not in_order else self.screen.say
        show(text, exit_code=code)
        if (approval := self.plan.approval) is not None:
            to_all += f"\napproved: {plain(approval.path)} (SHA-256 {approval.sha256})"
        return Report(summary, self.screen.redact(to_all))

    def _block(
        self,
        summary: Summary,
        done: frozenset[Outcome],
        tally: Tally,
        stopped: BulkRevokeError | None,
        *,
        to_all: bool,
    ) -> str:
        return block(
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
            whose=self._whose,
        )

    def give_up(self, error: BulkRevokeError) -> None:
        """Write into the manifest that the run has not come to its end: a bug, or a signal."""
        if self.manifest.sessions[-1].finished_at:
            return  # it had
        self._end(error.exit_code, self.journal.tally().counts, error)

    def left(self) -> dict[str, Any]:
        """Name what a run that was given up has left behind; by the fields of `Summary`."""
        return {
            "counts": self.manifest.sessions[-1].counts,
            "results": str(self.journal.path),
            "manifest": str(manifest_path(self.journal.path)),
        }

    def _end(
        self, code: int, counts: Mapping[Outcome, int], stopped: BulkRevokeError | None
    ) -> SessionRecord:
        """End the last session of the manifest."""
        own, timeline = self.manifest.sessions[-1], self.connection.client.timeline
        sent = self.connection.sent()
        own.requests, own.patches, own.throttled = (
            sent[name] for name in ("requests", "patches", "throttled")
        )
        own.sent_from, own.minutes = timeline.started_at, timeline.rows()
        own.exit_code = code
        own.finished_at = timestamp(datetime.now(UTC))
        own.counts = {str(outcome): count for outcome, count in counts.items()}
        own.stopped, own.why = self._reason(stopped), self._reason(stopped, to_all=True)
        self._write_manifest()
        return own

    def _next(self, tally: Tally) -> str:
        """The command that goes on: with a pilot that did not come to its end, that far alone."""
        left = tally.licenses.get(Outcome.NOT_ATTEMPTED, 0) - self.plan.licenses_left
        is_pilot = self.settings.limit is not None and self.plan.action.sends
        return self.resume_command + f" --limit {left}" * (is_pilot and left > 0)

    def _summary(
        self,
        own: SessionRecord,
        *,
        error: str,
        not_done: list[dict[str, Any]] | None,
        done: frozenset[Outcome],
        hint: str,
    ) -> Summary:
        action, rows = self.plan.action, len(self.plan.listing)
        settled = sum(count for name, count in own.counts.items() if Outcome(name) in done)
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
            rows=rows,
            licenses=len(self.plan.listing.distinct()),
            counts=own.counts,
            **self.connection.sent(),
            seconds=span(own.started_at, own.finished_at),
            results=str(self.journal.path),
            manifest=str(manifest_path(self.journal.path)),
            error=error,
            hint=hint if is_unfinished else "",
            not_done=not_done,
            not_done_rows=max(0, rows - settled),
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
            return self.journal.finish(done, most=MOST_NAMED)
        except OSError as cause:
            self.screen.insist(
                f"warning: {self.journal.path}: could not be put into its order: {cause.strerror}"
            )
            return self.journal.tally()

    def _whose(self, cells: Sequence[str]) -> str:
        """Return whose license a line of the results is about."""
        end = len(COLUMNS) + len(DETAILS) * bool(self.manifest.results.get("details"))
        carried = [uncell(each) for each in cells[end:]]
        otherwise = uncell(customer(cells[len(COLUMNS) : end]))
        return whose(self.plan.listing.carry, carried, otherwise)

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
