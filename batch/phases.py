"""The phases of a run in their order: read, plan, ask, act."""

from __future__ import annotations

import asyncio
import signal
from contextlib import asynccontextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from batch import manifest, results, source
from batch.address import label, proxy_for
from batch.client import tls_context
from batch.clock import Clock
from batch.errors import InputError, InterruptedRunError, ResultsError
from batch.gate import least_seconds
from batch.plan import make_plan
from batch.preview import preview
from batch.question import confirm, open_terminal, tell
from batch.results import Journal
from batch.session import Session

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from contextlib import AbstractContextManager
    from typing import TextIO

    from batch.manifest import Manifest
    from batch.plan import Plan
    from batch.progress import Screen
    from batch.settings import Settings
    from batch.summary import Summary

new_event_loop: Callable[[], asyncio.AbstractEventLoop]
try:
    from uvloop import new_event_loop
except ImportError:
    from asyncio import new_event_loop

SANDBOX = "sandbox"
"""What a rehearsal is called where a run names its API."""

REHEARSAL_LATENCY = (0.02, 0.12)
"""Seconds of a round trip in a rehearsal: those of a service on another continent."""


def run(
    settings: Settings,
    token: str,
    screen: Screen,
    *,
    paper: Callable[[Plan], Manifest],
    again: str,
    redact: Callable[[str], str],
) -> Summary:
    """Revoke every license that the input lists.

    Args:
        settings: What and how.
        token: Access token; not used in a rehearsal.
        screen: Where a person is told.
        paper: Makes the manifest, once the plan is known.
        again: The command that goes on with what is not done.
        redact: Takes the token out of a text.

    Raises:
        BulkRevokeError: Refused; no PATCH was sent.
    """
    results.check_free(settings.output)
    results.check_free(manifest.path_for(settings.output))
    # Both are used later; what is wrong with them must be known before anything is written.
    tls_context(settings.ca_file)
    proxy_for(settings.base_url)
    asked = not (settings.yes or settings.sandbox)
    asking: AbstractContextManager[TextIO | None] = open_terminal() if asked else nullcontext()
    with asking as terminal:
        plan = _read_and_plan(settings, screen)
        shown = preview(
            plan,
            settings,
            place=_place(settings),
            seconds=least_seconds(settings.rate.limit, settings.rate.period, len(plan.to_send)),
        )
        if terminal is None:
            screen.say(shown)
        else:
            say = screen.insist if screen.is_terminal else tell
            say(shown)
            confirm(len(plan.to_send), terminal, say)
    session = _open_session(plan, settings, screen, paper(plan), again=again, redact=redact)
    try:
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            return runner.run(_act(session, settings, token))
    except KeyboardInterrupt:
        # Before the run's own handlers are in place, or after it has ended.
        raise InterruptedRunError(signal.SIGINT) from None
    finally:
        session.journal.close()


def _read_and_plan(settings: Settings, screen: Screen) -> Plan:
    if not settings.sandbox and manifest.is_rehearsal(Path(settings.input)):
        raise InputError(
            f"{settings.input}: these are the results of a rehearsal; nothing was revoked",
            hint="run the list that was rehearsed.",
        )
    listing = source.read(
        settings.input,
        column=settings.column,
        sheet=settings.sheet,
        carry=settings.carry,
        skip_invalid=settings.skip_invalid,
        include_hidden=settings.include_hidden,
    )
    for warning in listing.warnings:
        screen.say(f"warning: {warning}")
    return make_plan(listing, max_licenses=settings.max_licenses)


def _open_session(
    plan: Plan,
    settings: Settings,
    screen: Screen,
    paper: Manifest,
    *,
    again: str,
    redact: Callable[[str], str],
) -> Session:
    """Put plan and manifest on the disk, or leave nothing behind."""
    journal = Journal(settings.output, plan.listing, redact=redact)
    session = Session(
        plan=plan,
        settings=settings,
        journal=journal,
        paper=paper,
        screen=screen,
        place=_place(settings),
        again=again,
        clock=Clock(),
    )
    try:
        journal.plan(plan.statuses())
        session.begin()
    except BaseException as cause:
        journal.close()
        for path in (settings.output, manifest.path_for(settings.output)):
            with suppress(OSError):
                path.unlink()
        if not isinstance(cause, OSError):
            raise
        raise ResultsError(
            f"{settings.output}: cannot be written: {cause.strerror}",
            hint="name another place with --output; nothing was sent.",
        ) from cause
    return session


async def _act(session: Session, settings: Settings, token: str) -> Summary:
    async with _api(session, settings, token) as (base_url, accepted):
        return await session.act(base_url, accepted)


@asynccontextmanager
async def _api(session: Session, settings: Settings, token: str) -> AsyncIterator[tuple[str, str]]:
    """The API and its token: those that were set, or a sandbox that knows the input's licenses."""
    if not settings.sandbox:
        yield settings.base_url, token
        return
    from batch.sandbox import TOKEN, Account, Sandbox  # noqa: PLC0415 - only rehearsals need it

    plan = session.plan
    account = Account.holding(plan.listing.license_id(entry) for entry in plan.to_send)
    rate = None if settings.rate.limit is None else (50, 5.0)
    async with Sandbox(account, rate=rate, latency=REHEARSAL_LATENCY, log=False) as sandbox:
        yield sandbox.base_url, TOKEN


def _place(settings: Settings) -> str:
    return SANDBOX if settings.sandbox else label(settings.base_url)
