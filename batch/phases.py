"""The phases of a run in their order: read, look, plan, ask, act."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from batch import destination, lock
from batch.address import label, proxy_for
from batch.client import tls_context
from batch.clock import Clock
from batch.closing import Closing
from batch.errors import InterruptedRunError, StoppedError
from batch.gate import least_seconds
from batch.inputs import Task, is_stale, read_task
from batch.interrupts import number_of, stopped_by_signals
from batch.plan import Guards, make_plan, to_look_at
from batch.preview import preview, taken
from batch.question import confirm, open_terminal, tell
from batch.seen import Seen
from batch.session import Session
from batch.text import cell
from batch.token import expiry_warning

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from typing import TextIO

    from batch.destination import Earlier
    from batch.lock import Holder, Lock
    from batch.manifest import Manifest
    from batch.model import Action, Listing
    from batch.plan import Plan
    from batch.progress import Screen
    from batch.results import Journal
    from batch.settings import Settings
    from batch.source import Exclusion
    from batch.summary import Report

new_event_loop: Callable[[], asyncio.AbstractEventLoop]
try:
    from uvloop import new_event_loop
except ImportError:
    from asyncio import new_event_loop

SANDBOX = "sandbox"
"""What a rehearsal is called where a run names its API."""

REHEARSAL_LATENCY = (0.02, 0.12)
"""Seconds of a round trip in a rehearsal: those of a service on another continent."""


@dataclass(frozen=True, slots=True)
class Run:
    """One command that talks to the server, from its input to its report.

    Attributes:
        action: What is wanted of each license.
        settings: How.
        token: Access token; not used in a rehearsal.
        screen: Where a person is told.
        holder: Who this is, for runs that find the lock taken.
        paper: Makes the manifest of a run that starts, from what its input lists.
        following: The command that comes next, if anything is left to do; or empty.
        redact: Takes the token out of a text.
        clock: Of everything that is paced.
    """

    action: Action
    settings: Settings
    token: str
    screen: Screen
    holder: Holder
    paper: Callable[[Listing], Manifest]
    following: str
    redact: Callable[[str], str]
    clock: Clock = field(default_factory=Clock)

    def run(self) -> Report:
        """Go through all phases.

        Raises:
            BulkRevokeError: Refused, or stopped before the first PATCH.
        """
        settings = self.settings
        destination.check(settings, resumable=self.action.sends)
        # Both are used later; what is wrong with them must be known before anything is read.
        tls_context(settings.ca_file)
        proxy_for(settings.base_url)
        with ExitStack() as stack:
            terminal = stack.enter_context(open_terminal()) if self._asks else None
            task = read_task(self.action, settings, api=self._api_name)
            api_lock = stack.enter_context(self._locked())
            if is_stale(task, settings):
                task = read_task(self.action, settings, api=self._api_name)
            for warning in task.listing.warnings:
                self.screen.say(f"warning: {warning}")
            earlier = self._earlier(task.listing)
            with asyncio.Runner(loop_factory=new_event_loop) as runner:
                return self._run(runner, terminal, task, api_lock, earlier)

    def _run(
        self,
        runner: asyncio.Runner,
        terminal: TextIO | None,
        task: Task,
        api_lock: Lock | None,
        earlier: Earlier | None,
    ) -> Report:
        settings = self.settings
        serving = AsyncExitStack()
        base_url, token = runner.run(serving.enter_async_context(self._api(task.listing, earlier)))
        session = Session(settings, base_url, token, self.screen, self.clock, api_lock)
        try:
            seen = self._look(runner, session, task, earlier)
            plan = self._plan(task, seen, earlier)
            self._ask(plan, terminal)
            paper = earlier.paper if earlier else self.paper(plan.listing)
            journal = destination.begin(settings, plan, earlier, paper, redact=self.redact)
            closing = Closing(plan, settings, paper, self.screen, self._place, self.following)
            try:
                return runner.run(self._act(session, plan, journal, closing))
            except KeyboardInterrupt as interrupt:
                # Before its own handlers are in place, or after they have been taken away.
                error = InterruptedRunError(number_of(interrupt))
                closing.give_up(journal, session, error)
                raise error from None
            except Exception as error:
                closing.give_up(journal, session, error)
                raise
            finally:
                journal.close()
        finally:
            session.leave()
            runner.run(serving.aclose())

    @property
    def _asks(self) -> bool:
        return self.action.sends and not (self.settings.yes or self.settings.sandbox)

    @property
    def _api_name(self) -> str:
        return SANDBOX if self.settings.sandbox else self.settings.base_url

    @property
    def _place(self) -> str:
        return SANDBOX if self.settings.sandbox else label(self.settings.base_url)

    @contextmanager
    def _locked(self) -> Iterator[Lock | None]:
        """No other run on this host talks to this API, or writes these results."""
        settings = self.settings
        if settings.sandbox:
            yield None
            return
        directory = lock.directory(settings.lock_dir)
        with ExitStack() as stack:
            locks = [
                stack.enter_context(
                    lock.held(
                        directory / name,
                        self.holder,
                        wait=settings.wait,
                        timeout=settings.timeout,
                        say=self.screen.say,
                        what=what,
                    )
                )
                for name, what in (
                    (lock.results_name(settings.output), str(settings.output)),
                    (lock.api_name(settings.base_url), self._place),
                )
            ]
            yield locks[-1]

    def _earlier(self, listing: Listing) -> Earlier | None:
        """What earlier sessions of this run have left, if it is gone on with."""
        # It may have changed while the lock was waited for.
        destination.check(self.settings, resumable=self.action.sends)
        earlier = destination.earlier(self.settings)
        if earlier is not None:
            destination.check_same_run(
                earlier,
                self.settings,
                command=self.action.command,
                api=self._api_name,
                sha256=listing.sha256,
                mismatch=earlier.recorded.belongs_to(
                    listing, [cell(self.redact(key)) for key in listing.keys]
                ),
            )
        return earlier

    def _look(
        self, runner: asyncio.Runner, session: Session, task: Task, earlier: Earlier | None
    ) -> Seen:
        """Ask the server what it holds.

        Raises:
            StoppedError: It could not be asked, and without that nothing may be sent or said.
        """
        if not self.settings.look:
            return Seen.nothing(task.listing)
        entries = to_look_at(
            task.listing,
            excluded=task.excluded,
            recorded=earlier.recorded if earlier else None,
            missing_ok=self.settings.missing_ok,
        )

        async def look() -> Seen:
            with stopped_by_signals(session.sender, self.screen):
                return await session.look(task.listing, entries, task.exclusion)

        seen = runner.run(look())
        if session.stopped is not None and self.action.sends:
            session.stopped.message += "; nothing was sent"
            raise session.stopped
        if seen.off:
            self._do_without(seen, task.exclusion)
        return seen

    def _do_without(self, seen: Seen, exclusion: Exclusion) -> None:
        """The token may not read licenses: go on without a look, where that makes sense."""
        needed = not self.action.sends or not self.action.wanted or exclusion.needs_keys
        if needed or self.settings.products or self.settings.by == "key":
            raise StoppedError(
                f"the token may not read licenses ({seen.off}); nothing was sent",
                hint="use a token with the scope license:read.",
            )
        self.screen.say(
            f"warning: the token may not read licenses ({seen.off}): it is not known which are"
            " revoked already, and a restore will leave all of them out"
        )

    def _plan(self, task: Task, seen: Seen, earlier: Earlier | None) -> Plan:
        settings = self.settings
        # Of a license that could not be read it is not known whether its key is excluded.
        unproven = range(len(task.listing)) if task.exclusion.needs_keys else task.doubtful
        return make_plan(
            self.action,
            task.listing,
            seen,
            excluded=task.excluded,
            exclusion=task.exclusion.files,
            recorded=earlier.recorded if earlier else None,
            missing_ok=settings.missing_ok,
            guards=Guards(
                max_licenses=settings.max_licenses,
                products=settings.products,
                limit=settings.limit,
                proven_only=unproven,
            ),
        )

    def _ask(self, plan: Plan, terminal: TextIO | None) -> None:
        """Show what will happen, and let the user say yes."""
        if self.action.done is self.action.before:
            self.screen.say(taken(plan))
            return  # there is nothing to decide on
        settings = self.settings
        seconds = least_seconds(settings.rate.limit, settings.rate.period, len(plan.affected))
        shown = preview(plan, settings, place=self._place, seconds=seconds, now=time.time())
        end = datetime.now(UTC) + timedelta(seconds=seconds)
        warning = expiry_warning(self.token, end=end) if plan.to_send else ""
        if warning:
            shown += f"\nwarning: {warning}"
        if terminal is None or not plan.to_send:
            self.screen.say(shown)
            return
        say = self.screen.insist if self.screen.is_terminal else tell
        say(shown)
        confirm(len(plan.to_send), self.action.verb, terminal, say)

    async def _act(
        self, session: Session, plan: Plan, journal: Journal, closing: Closing
    ) -> Report:
        with stopped_by_signals(session.sender, self.screen, is_last=True):
            if plan.to_send:
                await session.act(plan, journal)
            return closing.close(journal, session)

    @asynccontextmanager
    async def _api(
        self, listing: Listing, earlier: Earlier | None
    ) -> AsyncIterator[tuple[str, str]]:
        """The API and its token: those that were set, or a sandbox that knows the licenses."""
        if not self.settings.sandbox:
            yield self.settings.base_url, self.token
            return
        from batch.rehearsal import account_for  # noqa: PLC0415 - only rehearsals need it
        from batch.sandbox import TOKEN, Sandbox  # noqa: PLC0415

        account = account_for(self.action, listing, earlier.recorded if earlier else None)
        rate = None if self.settings.rate.limit is None else (50, 5.0)
        async with Sandbox(account, rate=rate, latency=REHEARSAL_LATENCY, log=False) as sandbox:
            yield sandbox.base_url, TOKEN
