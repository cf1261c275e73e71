"""The steps of a run in their order: read, look, plan, ask, act."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, TextIO

from batch.api.auth import expiry_warning
from batch.api.base_url import label
from batch.api.client import PAGE_SIZE
from batch.api.rate_limiter import least_seconds
from batch.api.retrying_client import LATE
from batch.errors import GuardError, StoppedError, meaning_of, told
from batch.formatting import cell, counted
from batch.host.clock import Clock
from batch.host.terminal import confirm, open_terminal, tell
from batch.job.connection import Connection, check, client_of, entered, locked, runs
from batch.job.executor import Executor
from batch.job.finish import Finish, nothing_due
from batch.job.look import Look
from batch.job.plan import Guards, Plan, make_plan, to_look_at
from batch.job.preview import preview, taken
from batch.job.rehearsal import sandbox_for
from batch.job.snapshot import Snapshot
from batch.job.targets import Targets, is_stale, read_targets
from batch.model import Action, License, Listing, Outcome, RowResult
from batch.reporting.progress import Progress, Screen
from batch.results import output
from batch.results.details import Details
from batch.sandbox import TOKEN

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from batch.api.retrying_client import RetryingClient
    from batch.host.claim import Claim
    from batch.host.lock import Lock, Owner
    from batch.job.turned import Late
    from batch.reporting.summary import Report
    from batch.results.journal import Journal
    from batch.results.manifest import Manifest
    from batch.results.output import Earlier
    from batch.settings import Settings


log = logging.getLogger(__name__)

DRAIN = 1.5
"""Time-outs of one attempt that reading back may take after a stop."""

ENDED_AT_ONCE = (
    "ended at once; what became of the last requests is not known:\n"
    "the same command with --resume asks, and goes on"
)
"""What a terminal is told where a second signal ends a run that has sent PATCH requests."""

_FAILED = frozenset({Outcome.FAILED, Outcome.UNKNOWN, Outcome.NOT_FOUND})


@dataclass(slots=True)
class Runner:
    """One command that talks to the server, from its input to its report.

    Attributes:
        action: What is wanted of each license.
        settings: How.
        token: Access token; not used in a rehearsal.
        another_token: Brings one that the server has not refused yet, or None.
        screen: Where a person is told.
        owner: Who this is, for runs that find the lock taken.
        manifest: Makes the manifest of a run that starts, from what its input lists.
        resume_command: The command that comes next, if anything is left to do; or empty.
        clock: Of everything that is paced.
        lock: Keeps other runs on this host away from the API; None in a rehearsal.
        claim: Keeps other runs away from the results; None in a rehearsal.
        connection: What everything is sent through, with its lock and signs of life.
        known: What is known of the run so far, by the fields of a `Summary`: where it ends early,
            that is all there is to tell.
    """

    action: Action
    settings: Settings
    token: str
    screen: Screen
    owner: Owner
    manifest: Callable[[Listing], Manifest]
    resume_command: str
    another_token: Callable[[], str | None] = lambda: None
    clock: Clock = field(default_factory=Clock)
    lock: Lock | None = field(init=False, default=None)
    claim: Claim | None = field(init=False, default=None)
    connection: Connection = field(init=False)
    known: dict[str, Any] = field(init=False, default_factory=dict)

    def run(self) -> Report:
        """Go through all steps.

        Raises:
            BulkRevokeError: Refused, or stopped before the first PATCH. What stops the requests
                later is in the report; but a bug, a second signal, and a file that cannot be
                written are raised.
        """
        settings = self.settings
        output.check(settings, command=self.action.command, resumable=self.action.sends)
        check(settings)
        with ExitStack() as stack:
            terminal = self._terminal(stack) if self._asks else None
            targets = self._targets()
            if not len(targets.listing):
                return nothing_due(
                    targets.listing,
                    self.manifest(targets.listing),
                    self.screen,
                    self._place,
                    started_at=self.owner.started_at,
                    older_than=settings.older_than or 0,
                )
            if not settings.sandbox:
                held = locked(settings, self.owner, self.screen.say)
                self.claim, self.lock = stack.enter_context(held)
            if is_stale(targets, settings):
                targets = self._targets()
            for warning in targets.listing.warnings:
                self.screen.say(f"warning: {warning}")
            earlier = self._earlier(targets)
            loop = stack.enter_context(runs())
            api = self._api(targets.listing, earlier)
            self.connection = self._connect(*stack.enter_context(entered(loop, api)))
            stack.callback(self.connection.leave)
            stack.callback(lambda: self.known.update(self.connection.sent()))
            snapshot = self._look(loop, targets, earlier)
            plan = self._plan(targets, snapshot, earlier)
            self._ask(plan, terminal)
            return self._act(loop, plan, earlier)

    @property
    def client(self) -> RetryingClient:
        """The client of the connection, once there is one."""
        return self.connection.client

    @property
    def _asks(self) -> bool:
        is_looked_at = self.screen.is_terminal or not self.settings.sandbox
        return self.action.sends and not self.settings.yes and is_looked_at

    @property
    def _is_attended(self) -> bool:
        """Tell whether somebody is there: who is asked, or looks on where nothing is asked."""
        return self._asks or (self.screen.is_terminal and not self.settings.yes)

    def _terminal(self, stack: ExitStack) -> TextIO | None:
        """Open the terminal on which the question is asked; a rehearsal can do without one.

        Raises:
            GuardError: There is none.
        """
        try:
            return stack.enter_context(open_terminal())
        except GuardError:
            if not self.settings.sandbox:
                raise
            return None

    @property
    def _replaces(self) -> bool:
        return output.replaces_trial(self.settings, self.action.command)

    @property
    def _place(self) -> str:
        return self.settings.api if self.settings.sandbox else label(self.settings.api)

    def _targets(self) -> Targets:
        begun = self.owner.started_at
        targets = read_targets(self.action, self.settings, api=self.settings.api, begun=begun)
        listing = targets.listing
        self.known |= {"rows": len(listing), "licenses": len(listing.distinct())}
        return targets

    def _earlier(self, targets: Targets) -> Earlier | None:
        """Return what earlier sessions of this run have left, or None if it is not gone on with."""
        listing = targets.listing
        # It may have changed while the lock was waited for.
        output.check(self.settings, command=self.action.command, resumable=self.action.sends)
        earlier = output.earlier(self.settings)
        if earlier is not None:
            output.check_same_run(
                earlier,
                self.settings,
                command=self.action.command,
                api=self.settings.api,
                sha256=listing.sha256,
                approved=targets.approval.sha256 if targets.approval else "",
                mismatch=earlier.recorded.belongs_to(
                    listing, [cell(self.screen.redact(key)) for key in listing.keys]
                ),
            )
        return earlier

    def _connect(self, base_url: str, token: str) -> Connection:
        client = client_of(
            self.settings,
            self.clock,
            base_url,
            token,
            another_token=self.another_token,
            attended=self._is_attended,
            changes=self.action.changes,
        )
        return Connection(client, self.clock, self.screen, self.lock)

    def _look(self, loop: asyncio.Runner, targets: Targets, earlier: Earlier | None) -> Snapshot:
        """Ask the server what it holds.

        Raises:
            StoppedError: It could not be asked, and without that nothing may be sent or said.
        """
        listing, details = targets.listing, self._details(targets.listing, earlier)
        nothing = partial(Snapshot.nothing, listing, changes=self.action.changes, details=details)
        if not self.settings.look:
            return nothing()
        entries = to_look_at(
            listing,
            excluded=targets.excluded,
            recorded=earlier.recorded if earlier else None,
            missing_ok=self.settings.missing_ok,
        )
        if entries:
            needs_each = self.action.only_reads or bool(earlier and earlier.recorded.known)
            snapshot = loop.run(self._see(targets, entries, details, needs_each=needs_each))
        else:
            snapshot = nothing()
            snapshot.looked = True
        stopped = self.client.stopped
        if stopped is not None and self.action.sends:
            stopped.consequence = "nothing was sent"
            raise stopped
        if stopped is not None and not self.settings.overwrite and self._replaces:
            # A part of an answer does not take the place of a whole one.
            stopped.consequence = f"{self.settings.output} is still the older one"
            raise stopped
        if snapshot.off:
            self._do_without(snapshot, targets)
            snapshot.details = details if earlier else None
        return snapshot

    def _details(self, listing: Listing, earlier: Earlier | None) -> Details | None:
        """An empty `Details` for the look to fill; None where the results have no such columns.

        A file that is gone on with keeps the columns that it has.
        """
        wanted = earlier.has_details if earlier else self.settings.details and self.settings.look
        return Details(len(listing), self.screen.redact) if wanted else None

    async def _see(
        self,
        targets: Targets,
        entries: Sequence[int],
        details: Details | None,
        *,
        needs_each: bool,
    ) -> Snapshot:
        """Look at some entries; a stop leaves the rest unseen."""
        progress = Progress(
            self.screen,
            self.clock,
            len(entries),
            phase="looking",
            unit=("req", "requests"),
            trouble=self.connection.trouble,
        )
        look = Look(
            targets.listing,
            self.client,
            page_size=PAGE_SIZE,
            concurrency=min(self.settings.concurrency, len(entries)),
            expect=lambda left: None if self.client.stopped else progress.expect(left),
            step=progress.step,
            protects=targets.exclusion.of_license if targets.exclusion.files else None,
            compares=self._compares(targets),
            details=details,
            needs_each=needs_each,
            changes=self.action.changes,
        )
        with self.connection.interruptible():
            async with self.connection.working(progress):
                if self.action.sends and not self.settings.sandbox:
                    await self._outlast(targets.late)
                return await look.run(entries)

    def _compares(self, targets: Targets) -> Callable[[License], str] | None:
        """The function that says how a license has changed since it was approved; None without one.

        In a sandbox every license would have changed: its details are invented.
        """
        if targets.approval is None or self.settings.sandbox:
            return None
        return targets.approval.changes

    async def _outlast(self, late: Late) -> None:
        """Wait until the run that is taken back can change nothing any more."""
        seconds = min(late.until - time.time(), LATE)
        if not late.licenses or seconds <= 0:
            return
        of = counted(late.licenses, "license")
        self.screen.say(
            f"requests of that run for {of} may still be carried out: waiting {seconds:.0f} s"
        )
        await self.client.wait_or_stop(seconds)

    def _do_without(self, snapshot: Snapshot, targets: Targets) -> None:
        """The token may not read licenses: go on without a look, where that makes sense."""
        needed = not self.action.sends or not self.action.wanted or targets.exclusion.needs_keys
        if (
            needed
            or targets.listing.suspended_at is not None
            or targets.approval is not None
            or self.settings.products
            or self.settings.by == "key"
        ):
            error = StoppedError(
                "the token may not read licenses",
                about=snapshot.off,
                hint="use a token with the scope license:read.",
            )
            error.consequence = "nothing was sent"
            raise error
        why = f" ({told(snapshot.off)})" if snapshot.off else ""
        self.screen.say(
            f"warning: the token may not read licenses{why}: it is not known which are"
            f" {self.action.changes} already, and a restore will leave all of them out"
        )

    def _plan(self, targets: Targets, snapshot: Snapshot, earlier: Earlier | None) -> Plan:
        settings = self.settings
        # Of a license that could not be read it is not known whether its key is excluded, it is
        # still suspended, or it is what was approved.
        needs_all = (
            targets.exclusion.needs_keys
            or targets.listing.suspended_at is not None
            or targets.approval is not None
        )
        unproven = range(len(targets.listing)) if needs_all else targets.doubtful
        return make_plan(
            self.action,
            targets.listing,
            snapshot,
            excluded=targets.excluded,
            exclusion=targets.exclusion.files,
            approval=targets.approval,
            recorded=earlier.recorded if earlier else None,
            missing_ok=settings.missing_ok,
            guards=Guards(
                max_licenses=settings.max_licenses,
                expect_licenses=settings.expect_licenses,
                products=settings.products,
                limit=settings.limit,
                proven_only=unproven,
                doubtful=targets.doubtful,
                suspended_only=targets.listing.suspended_at is not None,
            ),
        )

    def _ask(self, plan: Plan, terminal: TextIO | None) -> None:
        """Show what will happen, and let the user say yes."""
        if self.action.only_reads:
            self.screen.say(taken(plan))
            return  # there is nothing to decide on
        settings = self.settings
        seconds = least_seconds(settings.rate.limit, settings.rate.period, len(plan.affected))
        count = len(plan.to_send)
        end = datetime.now(UTC) + timedelta(seconds=seconds)
        shown = preview(
            plan,
            settings,
            place=self._place,
            seconds=seconds,
            now=time.time(),
            warning=expiry_warning(self.token, end=end) if count else "",
            columns=self.screen.size.columns,
            lines=math.inf if terminal is None else self.screen.size.lines,
        )
        if terminal is None or not count:
            self.screen.say(shown)
            return
        say = self.screen.insist if self.screen.is_terminal else tell
        say(shown)
        confirm(count, self.action.verb, terminal, say)

    def _act(self, loop: asyncio.Runner, plan: Plan, earlier: Earlier | None) -> Report:
        """Write the plan down, carry it out, and bring the results to their end."""
        if self.claim is not None:
            self.claim.require()
        manifest = earlier.manifest if earlier else self.manifest(plan.listing)
        manifest.add_reason(self.settings.reason)
        if plan.approval is not None:
            manifest.approved = {"path": plan.approval.path, "sha256": plan.approval.sha256}
        journal = output.begin(
            self.settings,
            plan.listing,
            plan.was,
            plan.row_results,
            earlier,
            manifest,
            started_at=self.owner.started_at,
            changes=plan.action.changes,
            details=plan.snapshot.details,
            redact=self.screen.redact,
            claim=self.claim,
        )
        finish = Finish(
            plan=plan,
            journal=journal,
            connection=self.connection,
            settings=self.settings,
            manifest=manifest,
            screen=self.screen,
            place=self._place,
            resume_command=self.resume_command,
        )
        try:
            return loop.run(self._settle(plan, journal, finish))
        except (Exception, KeyboardInterrupt) as cause:  # noqa: BLE001 - raised as what it means
            error = meaning_of(cause)
            finish.give_up(error)
            self.known |= finish.left()
            raise error  # noqa: B904 - it has its cause, or is it
        finally:
            journal.close()

    async def _settle(self, plan: Plan, journal: Journal, finish: Finish) -> Report:
        last_words = "" if self.settings.sandbox or not self.action.sends else ENDED_AT_ONCE
        with self.connection.interruptible(is_last=True, last_words=last_words):
            if plan.to_send:
                await self._send(plan, journal)
            return finish.close()

    async def _send(self, plan: Plan, journal: Journal) -> None:
        """Send what is planned, and record how each license is settled."""
        settings, licenses = self.settings, len(plan.to_send)
        progress = Progress(
            self.screen,
            self.clock,
            licenses,
            phase=f"{plan.action.verb.removesuffix('e')}ing",
            trouble=self.connection.trouble,
        )

        def settled(row_results: Sequence[tuple[int, RowResult]]) -> None:
            failed = sum(result.outcome in _FAILED for _, result in row_results)
            progress.step(len(row_results), failed=failed)
            if log.isEnabledFor(logging.INFO):
                for entry, result in row_results:
                    _log_settled(plan.listing, entry, result)

        executor = Executor(
            action=plan.action,
            license_id=plan.listing.license_id,
            in_doubt=plan.in_doubt,
            record=lambda row_results: journal.record(*row_results),
            settled=settled,
            client=self.client,
            planned=licenses,
            failure_limit=settings.failures,
            concurrency=min(settings.concurrency, licenses),
            drain=settings.timeout * DRAIN,
        )
        self.client.breaker.count_anew()
        async with self.connection.working(progress, partial(self._save, journal)):
            await executor.run(plan.to_send)

    @asynccontextmanager
    async def _api(
        self, listing: Listing, earlier: Earlier | None
    ) -> AsyncIterator[tuple[str, str]]:
        """The API and its token: those that were set, or a sandbox that knows the licenses."""
        if not self.settings.sandbox:
            yield self.settings.base_url, self.token
            return
        recorded = earlier.recorded if earlier else None
        async with sandbox_for(self.action, listing, recorded, self.settings.rate) as sandbox:
            yield sandbox.base_url, TOKEN

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
                    self.client.stop(_unsaved(cause.strerror or str(cause)))
                except RuntimeError as cause:  # no thread is to be had
                    self.client.stop(_unsaved(str(cause)))
        finally:
            executor.shutdown(wait=False)


def _unsaved(reason: str) -> StoppedError:
    return StoppedError(f"the results cannot be saved: {reason}")


def _log_settled(listing: Listing, entry: int, result: RowResult) -> None:
    license_id, row = listing.license_id(entry), listing.rows[entry]
    log.info(
        "row %d %s: %s",
        row,
        license_id,
        result.outcome,
        extra={
            "event": "settled",
            "license_id": license_id,
            "row": row,
            "outcome": str(result.outcome),
            "attempt": result.attempts,
            "http_status": result.http_status,
            "error_code": result.error_code,
        },
    )
