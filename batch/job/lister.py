"""The steps of `list`: lock, read, write, count."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from batch.api.base_url import label
from batch.api.retrying_client import HaltedError
from batch.errors import ApiError, BulkRevokeError, StoppedError
from batch.formatting import counted, plain, timestamp
from batch.host.clock import Clock
from batch.job.connection import Connection, check, client_of, locked, runs
from batch.job.filters import TICKS
from batch.job.paging import Paging
from batch.reporting.progress import Progress
from batch.reporting.summary import Report, Summary, first_line, span
from batch.results import output
from batch.results.license_list import LicenseList, writing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from batch.api.retrying_client import RetryingClient
    from batch.host.lock import Owner
    from batch.job.filters import Asked
    from batch.reporting.progress import Screen
    from batch.settings import Settings


MOST_PRODUCTS = 10
"""Products that are told at the end, those with the most licenses."""


@dataclass(slots=True)
class Found:
    """Counts of the licenses that were written to the list.

    Attributes:
        products: Product ID to its licenses.
        activations: Product ID to their activations.
        states: ``revoked`` and ``suspended`` to how many are so.
        nearly: Licenses that differ from what was asked for in capital letters alone.
        doubts: Where the server counts others than it has shown: shown, counted.
    """

    products: Counter[str] = field(default_factory=Counter)
    activations: Counter[str] = field(default_factory=Counter)
    states: Counter[str] = field(default_factory=Counter)
    nearly: set[str] = field(default_factory=set)
    doubts: list[tuple[int, int]] = field(default_factory=list)
    _ids: set[bytes] = field(default_factory=set)

    def __len__(self) -> int:
        """Licenses."""
        return len(self._ids)

    def counts(self) -> dict[str, int]:
        """The counts of a summary; not by outcome, since nothing was done to any license."""
        states = {f"listed_{name}": self.states[name] for name in ("revoked", "suspended")}
        return {"listed": len(self), **states}

    def add(self, license_: Mapping[str, Any]) -> bool:
        """Count a license, and tell whether it was not there before."""
        license_id = bytes.fromhex(license_["id"].replace("-", ""))
        if license_id in self._ids:
            return False
        self._ids.add(license_id)
        product, activations = license_.get("productId"), license_.get("totalActivations")
        product = product.lower() if isinstance(product, str) else ""
        self.products[product] += 1
        self.activations[product] += activations if type(activations) is int else 0
        for name in ("revoked", "suspended"):
            self.states[name] += license_.get(name) is True
        return True


@dataclass(slots=True)
class Lister:
    """One listing, from its filters to its report. It changes nothing.

    Attributes:
        asked: Which licenses are wanted.
        settings: Where it goes, and how it is read; there is no input.
        token: Access token.
        screen: Where a person is told.
        owner: Who this is, for runs that find the lock taken.
        next_command: The command that comes next if there are licenses.
        another_token: Brings one that the server has not refused yet, or None.
        clock: Of everything that is paced.
        found: What was found so far.
        known: As that of `Runner`.
    """

    asked: Asked
    settings: Settings
    token: str
    screen: Screen
    owner: Owner
    next_command: str
    another_token: Callable[[], str | None] = lambda: None
    clock: Clock = field(default_factory=Clock)
    found: Found = field(init=False, default_factory=Found)
    known: dict[str, Any] = field(init=False, default_factory=dict)

    def run(self) -> Report:
        """Go through all steps.

        Raises:
            BulkRevokeError: Refused, or stopped; there is no file.
        """
        settings, say = self.settings, self.screen.say
        output.check(settings, command="list", resumable=False)
        check(settings)
        with ExitStack() as stack:
            claimed, api_lock = stack.enter_context(locked(settings, self.owner, say))
            output.check(settings, command="list", resumable=False)  # it may have been waited for
            say(self._question())
            loop = stack.enter_context(runs())
            client = client_of(
                settings,
                self.clock,
                settings.base_url,
                self.token,
                another_token=self.another_token,
                attended=self.screen.is_terminal,
            )
            connection = Connection(client, self.clock, self.screen, api_lock)
            stack.callback(connection.leave)
            stack.callback(lambda: self.known.update(connection.sent()))
            with writing(
                settings.output, self.screen.redact, overwrite=settings.overwrite
            ) as lines:
                loop.run(self._read(connection, lines))
                claimed.require()
        return self._report(connection)

    def _question(self) -> str:
        """Say to a person what is asked for."""
        head = f"licenses of {label(self.settings.base_url)}"
        filters = self.asked.filters
        if not filters:
            return f"{head}: all of them"
        lines = [
            line
            for each in filters
            for line in wrap(
                plain(each.text),
                76,
                initial_indent="  ",
                subsequent_indent="    ",
                break_on_hyphens=False,
            )
        ]
        return "\n".join([f"{head} for which all of this holds:", *lines])

    async def _read(self, connection: Connection, lines: LicenseList) -> None:
        """Read all lists, and write down what matches.

        Raises:
            GuardError: It cannot be told of a license whether it is meant.
            StoppedError: Anything else that keeps the list from being whole.
        """
        client = connection.client
        progress = Progress(
            self.screen,
            self.clock,
            None,
            phase="listing",
            unit=("req", "requests"),
            trouble=connection.trouble,
        )

        def take(license_: Mapping[str, Any]) -> None:
            if not self.asked.matches(license_):
                if self.asked.only_case_differs(license_):
                    self.found.nearly.add(license_["id"].lower())
            elif self.found.add(license_):
                lines.add(license_)

        def step() -> None:
            progress.step()
            lines.flush()

        paging = Paging(client, self.asked.made, _now, take, expect=progress.expect, step=step)
        with _without_a_file(client), connection.interruptible(is_last=True):
            async with connection.working(progress):
                for filters in self.asked.lists():
                    doubt = await paging.read(filters)
                    self.found.doubts += [doubt] if doubt else []
                if client.stopped is not None:
                    raise HaltedError

    def _report(self, connection: Connection) -> Report:
        """Say how it ended."""
        settings, licenses = self.settings, len(self.found)
        started_at, finished_at = self.owner.started_at, timestamp(datetime.now(UTC))
        summary = Summary(
            run_id=self.owner.run_id,
            command="list",
            exit_code=1 if self.found.doubts else 0,
            api=settings.base_url,
            started_at=started_at,
            finished_at=finished_at,
            rows=licenses,
            licenses=licenses,
            counts=self.found.counts(),
            **connection.sent(),
            seconds=span(started_at, finished_at),
            results=str(settings.output),
            manifest="",
            error="; ".join(map(doubt, self.found.doubts)),
            hint=self.next_command if licenses else "",
        )
        text = block(summary, self.found, label(settings.base_url))
        show = self.screen.insist if summary.exit_code else self.screen.say
        show(text, exit_code=summary.exit_code)
        return Report(summary, self.screen.redact(text))


def block(summary: Summary, found: Found, place: str) -> str:
    """The lines that end a listing: how many licenses there are, of what, and where it stands."""
    licenses = summary.licenses
    verdict = f"{counted(licenses, 'license')} {'is' if licenses == 1 else 'are'} listed"
    lines = [first_line(summary, verdict, place)]
    for each in found.doubts:
        lines += [
            f"  {doubt(each)}:",
            "  either licenses were changed meanwhile, or some are missing; list again",
        ]
    if found.nearly:
        nearly = counted(len(found.nearly), "license")
        lines += [
            f"  not listed: {nearly} of which all of this holds but for capital letters;",
            "  text is compared as it is written",
        ]
    if licenses:
        states = [f"{name} {count:,}" for name, count in found.states.items()]
        activations = counted(sum(found.activations.values()), "activation")
        lines.append("  " + " · ".join([*states, activations]))
    for product, number in found.products.most_common(MOST_PRODUCTS):
        lines.append(
            f"  {product or 'of no product':36}  {counted(number, 'license')},"
            f" {counted(found.activations[product], 'activation')}"
        )
    more = len(found.products) - MOST_PRODUCTS
    if more > 0:
        lines.append(f"  … and {counted(more, 'more product')}")
    lines.append(f"list:    {summary.results}")
    if summary.hint:
        lines.append(f"next:    {summary.hint}")
    elif not licenses:
        lines.append(
            "hint:    no license has all of this; is each ID whole, each text as it is written\n"
            "         there, capitals included, and this the right account?"
        )
    return "\n".join(lines)


def doubt(found: tuple[int, int]) -> str:
    """Say that the server counts another number of licenses than it has shown.

    Args:
        found: Licenses that it has shown, and that it counts.
    """
    shown, total = found
    return f"the server counts {counted(total, 'license')}, and has shown {shown:,}"


def _now() -> int:
    return int(time.time() * TICKS)


@contextmanager
def _without_a_file(client: RetryingClient) -> Iterator[None]:
    """Make of whatever ends the reading too early an error that says what follows of it."""
    try:
        yield
    except (HaltedError, asyncio.CancelledError) as cause:
        if client.stopped is None:
            raise
        error: BulkRevokeError = client.stopped
        error.__cause__ = cause
    except ApiError as cause:
        error = cause.becomes(StoppedError)
        if cause.status == 400:
            error.hint = (
                "the server does not take one of the filters: leave out one after the other to see"
                " which, and choose by --where in the list instead."
            )
        if cause.status == 403:
            error = StoppedError(
                "the token may not read licenses",
                about=cause,
                hint="use a token with the scope license:read.",
            )
    except BulkRevokeError as cause:
        error = cause
    else:
        return
    error.consequence = "no list was written"
    raise error
