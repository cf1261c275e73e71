"""The order of work: licenses in, one recorded result for each out.

A fixed number of workers takes licenses from one shared iterator, so memory stays flat. A result
is on disk before it is counted; results that come together are written together. A PATCH without
an answer may still be carried out later, so its license is unknown, and read once more at the end.
A stop lets requests in flight end, and then reads back each license that may have been changed, or
may be gone, without an answer that says so; what was never sent stays as it was planned.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, TypeGuard

from batch.api.retry import Attempts, FailureLimit
from batch.errors import (
    AccessError,
    ApiError,
    RejectedError,
    StoppedError,
    TransientError,
    UnconfirmedError,
    in_front,
)
from batch.formatting import counted
from batch.job import row_result
from batch.model import Action, License, Outcome, RowResult

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from batch.api.retrying_client import RetryingClient


log = logging.getLogger(__name__)

READ_BACKS = 3
"""Requests at most to read a license back. With the five attempts before it that is fewer than
open the breaker: one sick license at the end of a run is not taken for an outage."""

SOON = 10.0
"""Seconds that are waited after a stop for a server that is down."""

_FAILURES = frozenset({Outcome.FAILED, Outcome.UNKNOWN})


@dataclass(slots=True)
class Executor:
    """One run over the licenses of a plan.

    Attributes:
        action: What is wanted of each license.
        license_id: Entry to license ID.
        record: Has the results of entries on disk when it returns; raises OSError if it cannot.
        settled: Is told of results that are on disk and will not change in this run.
        client: What everything is sent through; its ``stopped`` says why the run ended early.
        planned: Licenses that the plan sends, for the failure limit.
        in_doubt: Entries that an earlier session may have sent: one that is refused is read back.
        failure_limit: When so much fails that the run is stopped.
        concurrency: Workers, and so requests in flight, at most.
        drain: Seconds at most for reading back what is unsettled after a stop.
    """

    action: Action
    license_id: Callable[[int], str]
    record: Callable[[Sequence[tuple[int, RowResult]]], None]
    settled: Callable[[Sequence[tuple[int, RowResult]]], None]
    client: RetryingClient
    planned: int
    in_doubt: Collection[int] = ()
    failure_limit: FailureLimit = field(default_factory=FailureLimit)
    concurrency: int = 32
    drain: float = 45.0
    _noted: list[tuple[int, RowResult]] = field(default_factory=list)
    _something_noted: asyncio.Event = field(default_factory=asyncio.Event)
    _settled: int = 0
    _failures: int = 0
    _unsettled: list[tuple[int, Attempts]] = field(default_factory=list)
    _open: dict[int, Attempts] = field(default_factory=dict)
    _is_late: bool = False

    async def run(self, entries: Iterable[int]) -> None:
        """Settle the licenses of these entries, each once, until all are done or it is stopped."""
        try:
            async with asyncio.TaskGroup() as tasks:
                recording = tasks.create_task(self._record_together())
                await self.client.each(entries, self._settle, self.concurrency)
                await self._read_again()
                recording.cancel()
        finally:
            self._record()
        if self._unsettled:
            await self._settle_rest()

    async def _settle(self, entry: int) -> None:
        """Bring one license to its end, or as far as it comes before the run is stopped."""
        attempts = Attempts(unsettled=entry in self.in_doubt)
        result: RowResult | None = None
        try:
            while result is None:  # once the run is stopped either of them raises HaltedError
                result = await self._patch(entry, attempts)
                if result is None:
                    result = await self._read_back(entry, attempts)
        finally:
            if result is not None:
                self._note(entry, result)
            elif attempts.sent and (attempts.unsettled or _may_be_a_router(attempts.error)):
                self._unsettled.append((entry, attempts))

    async def _patch(self, entry: int, attempts: Attempts) -> RowResult | None:
        """Send the PATCH until it is answered; None if only reading back can tell how it ended."""
        client = self.client
        request = partial(
            client.api.change,
            self.license_id(entry),
            self.action.wanted,
            # What tries whether the server is up again must change nothing.
            unless=lambda: attempts.unsettled and client.breaker.is_down,
        )
        try:
            await client.ask(request, attempts, client.policy.max_attempts)
        except (TransientError, UnconfirmedError):
            return None
        except (RejectedError, AccessError) as error:
            return self._refused(attempts, error)
        client.breaker.access.confirmed()
        return row_result.done(attempts, self.action)

    async def _read_back(self, entry: int, attempts: Attempts) -> RowResult | None:
        """Read a license whose PATCH had no usable answer, and say how it stands.

        Returns:
            None if its attempts were given back and it is to be sent again.

        Raises:
            HaltedError: The run was stopped before an answer came.
        """
        client = self.client
        try:
            found = await client.read(partial(client.api.get, self.license_id(entry)), READ_BACKS)
        except ApiError as error:
            return self._unread(attempts, error)
        if _is_older(found, attempts):
            return self._not_yet(entry, attempts, found)
        refusal = attempts.error
        if found.value(self.action.changes) is self.action.wanted:
            if not _may_be_a_router(refusal):  # else somebody else may have made it so
                client.breaker.access.confirmed()
            return row_result.done(attempts, self.action)
        if _may_be_a_router(refusal) and not client.breaker.access.has_confirmed:
            client.stop(in_front(refusal, reached=True, changes=True).becomes(StoppedError))
        if attempts.refunded and not client.stopped:
            attempts.refunded = False
            return None
        return self._not_yet(entry, attempts, found)

    def _unread(self, attempts: Attempts, error: ApiError) -> RowResult:
        """Say how a license stands whose reading back has failed."""
        if isinstance(error, AccessError):
            self.client.stop(error.becomes(StoppedError))
        if isinstance(error, RejectedError):
            if error.status == 404:
                return row_result.not_found(attempts, error)
            # A token that may not read leaves nothing but the word of whoever answered the PATCH.
            if error.status == 403 and _may_be_a_router(attempts.error):
                return row_result.not_found(attempts, attempts.error)
        return row_result.unread(attempts, error)

    def _not_yet(self, entry: int, attempts: Attempts, found: License) -> RowResult:
        """Say how a license stands that was read back, and is not as it should be."""
        client = self.client
        if attempts.open_until > client.clock.now():
            if not client.stopped:
                self._open[entry] = attempts
            return row_result.open_yet(attempts, found, self.action)
        if _is_older(found, attempts):
            return row_result.unread(attempts, ApiError("an older answer, as caches give"))
        return row_result.unchanged(attempts, found, self.action)

    async def _read_again(self) -> None:
        """Read licenses whose PATCH had no answer, once it cannot be carried out any more."""
        client = self.client
        if not self._open or client.stopped:
            return
        self._record()
        self._is_late = True
        late = max(attempts.open_until for attempts in self._open.values()) - client.clock.now()
        if late > 0:
            log.warning(
                "%s got no answer and may still be %s: reading again in %.0f s",
                counted(len(self._open), "license"),
                self.action.state,
                late,
                extra={"event": "late", "wait_s": round(late, 3)},
            )
        await client.wait_or_stop(late + 0.001)
        await client.each(list(self._open), self._settle_late, self.concurrency)

    async def _settle_late(self, entry: int) -> None:
        attempts = self._open[entry]
        attempts.refunded = False
        result = await self._read_back(entry, attempts)
        assert result is not None, "nothing is sent again"
        self._note(entry, result)

    async def _settle_rest(self) -> None:
        """After a stop: read back what may have been applied; what takes too long is unknown."""
        self.client.draining = True
        reading = {
            asyncio.create_task(self._read_back(entry, attempts)): (entry, attempts)
            for entry, attempts in self._unsettled
        }
        await asyncio.wait(reading, timeout=self._patience())
        for task in reading:
            task.cancel()
        answers = await asyncio.gather(*reading, return_exceptions=True)
        for (entry, attempts), answer in zip(reading.values(), answers, strict=True):
            if isinstance(answer, RowResult):
                self._note(entry, answer)
            else:
                self._note(entry, row_result.unread(attempts, self._why_unread()))
        self._record()

    def _patience(self) -> float:
        """Seconds that reading back may take after a stop.

        A server that is down is asked once in a while: that is waited for only where it is soon.
        """
        if not self.client.breaker.is_down:
            return self.drain
        return SOON if self.client.rate_limiter.quiet() < SOON else 0.0

    def _why_unread(self) -> ApiError:
        if self.client.breaker.is_down:
            return ApiError("the server is down", code="breaker")
        return ApiError("the run was stopped before that")

    def _note(self, entry: int, result: RowResult) -> None:
        """Have a result recorded: a failure now, since it may stop the run; others together.

        Answers that come in the same moment cost a line each, but one write to the file.
        """
        self._noted.append((entry, result))
        if result.outcome is not self.action.on_success:
            self._record()
        else:
            self._something_noted.set()

    async def _record_together(self) -> None:
        """Record what was noted in one pass of the event loop in the next one."""
        while True:
            await self._something_noted.wait()
            self._something_noted.clear()
            self._record()

    def _record(self) -> None:
        """Record what is noted; only then it counts."""
        noted, self._noted = self._noted, []
        if not noted:
            return
        try:
            self.record(noted)
        except Exception as error:  # noqa: BLE001 - the others must still be recorded
            self._unrecorded(error)
            if len(noted) > 1:
                for each in noted:  # some of them may go
                    self._noted = [each]
                    self._record()
            return
        self._tell(noted)
        if self._is_late:
            return  # they are counted
        self._settled += len(noted)
        self._failures += sum(result.outcome in _FAILURES for _, result in noted)
        if self.failure_limit.exceeded(
            planned=self.planned, sent=self._settled, failures=self._failures
        ):
            self.client.stop(
                StoppedError(
                    f"too many failures: {self._failures} of the first {self._settled} licenses",
                    hint="the results say why; --max-failures sets the limit.",
                )
            )

    def _tell(self, noted: Sequence[tuple[int, RowResult]]) -> None:
        if self._open and not self._is_late:
            noted = [each for each in noted if each[0] not in self._open]
        self.settled(noted)

    def _unrecorded(self, error: Exception) -> None:
        if not isinstance(error, OSError):
            self.client.stop_for_bug(error)
            return
        self.client.stop(
            StoppedError(
                f"the results cannot be written: {error.strerror or error}",
                hint="what is not recorded is sent again, which is harmless.",
            )
        )

    def _refused(self, attempts: Attempts, error: RejectedError | AccessError) -> RowResult | None:
        if isinstance(error, AccessError):
            self.client.stop(error.becomes(StoppedError))
        elif error.status == 404:
            return None if _may_be_a_router(error) else row_result.not_found(attempts, error)
        elif error.status == 403:
            try:
                self.client.breaker.access.forbidden(error)
            except StoppedError as reason:
                self.client.stop(reason)
        if attempts.unsettled:
            # An earlier attempt may have been applied although this one was refused.
            return None
        return row_result.refused(attempts, error)


def _may_be_a_router(error: ApiError | None) -> TypeGuard[RejectedError]:
    """Tell whether an answer may be that of a gateway which has no route for a PATCH.

    Kong and Fastify say so with a 404 in JSON, as the API does of a license, but without a code.
    """
    return isinstance(error, RejectedError) and error.status == 404 and not error.from_api


def _is_older(found: License, attempts: Attempts) -> bool:
    """Tell whether a license was read in a state older than the answer to its PATCH."""
    if found.updated is None or attempts.updated is None:
        return False
    return found.updated < attempts.updated - 1.0  # one of them may be rounded
