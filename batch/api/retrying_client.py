"""The requests of a run: sent again where that helps, held back together, and stopped together.

Looking and acting send through the same client, so a stop or an outage counts for the whole run.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from batch.api.retry import Attempts, RetryPolicy
from batch.api.timeline import Timeline
from batch.errors import (
    AccessError,
    ApiError,
    BugError,
    ForeignError,
    HeldBackError,
    InterruptedRunError,
    RejectedError,
    StoppedError,
    ThrottledError,
    TransientError,
    UnconfirmedError,
    in_front,
    not_the_api,
    told,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator

    from batch.api.circuit_breaker import CircuitBreaker
    from batch.api.client import CryptlexClient
    from batch.api.rate_limiter import RateLimiter
    from batch.host.clock import Clock


log = logging.getLogger(__name__)

_T = TypeVar("_T")

LATE = 90.0
"""Seconds after a request without a usable answer in which it may still be carried out: servers
were seen to do so a minute after a gateway had given up (docs/decisions.md)."""

MOST_STRANGE = 10
"""The run stops if its first so many answers are no API's, such as a maintenance page with 200."""

SILENCE = 1.8
"""Seconds without an answer to the first request, after which that is said. Below two."""


class HaltedError(Exception):
    """The run was stopped before an answer came."""


@dataclass(slots=True)
class RetryingClient:
    """The sender of a run's requests, and what it has learned.

    Attributes:
        another_token: Brings a token that the server has not refused yet, or None.
        stopped: Why nothing more is to be begun, or None.
        draining: Whether, after a stop, licenses may still be read back.
        introduced: Whether the API has shown itself: by a license, by a list of them, or by an
            error body of its own.
        attended: Whether somebody is there, who need not wait for what is hardly an outage.
        heard: Whether any request has ended, be it in a failure.
        rests_until: When the wait is over in which nothing at all is sent, by the clock.
        stranger: The last answer that was not the API's, before it has shown itself.
        timeline: What was sent, by the minute.
    """

    api: CryptlexClient
    rate_limiter: RateLimiter
    breaker: CircuitBreaker
    clock: Clock
    policy: RetryPolicy = field(default_factory=RetryPolicy)
    jitter: Callable[[], float] = random.random
    another_token: Callable[[], str | None] = lambda: None
    stopped: StoppedError | None = None
    draining: bool = False
    introduced: bool = False
    attended: bool = False
    heard: bool = False
    rests_until: float = -math.inf
    stranger: ApiError | None = None
    timeline: Timeline = field(init=False)
    _strange: int = 0
    _tokens: int = 0
    _introducing: asyncio.Lock = field(default_factory=asyncio.Lock)
    _resting: set[asyncio.Task[Any]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.timeline = Timeline(self.rate_limiter, self.breaker, self.clock)

    def stop(self, reason: StoppedError) -> None:
        """Begin nothing new; the first reason counts. To be called on the event loop."""
        if self.stopped is None:
            self.stopped = reason
            # Who has sent a signal is told by its handler.
            level = logging.INFO if isinstance(reason, InterruptedRunError) else logging.WARNING
            log.log(level, "stopping: %s", told(reason, to_all=True), extra={"event": "stopping"})
            for task in self._resting | self.rate_limiter.waiting:
                task.cancel()

    def stop_for_bug(self, bug: Exception) -> None:
        """Stop for an exception that nobody has thought of, and log it."""
        log.error("unexpected error", exc_info=bug, extra={"event": "bug"})
        self.stop(BugError(bug))

    @property
    def halted(self) -> bool:
        """Tell whether everything has to stop, reading included."""
        return self.stopped is not None and not self.draining

    async def each(
        self, items: Iterable[_T], work: Callable[[_T], Awaitable[object]], workers: int
    ) -> None:
        """Work on all items, some at a time, until all are done or the run is stopped.

        An error that concerns more than one item stops the run. So does a bug: the other items
        must still record what they have sent.

        Args:
            items: What there is to do; taken one by one.
            work: Does one of them.
            workers: Items in work at a time.
        """
        todo = iter(items)
        async with asyncio.TaskGroup() as group:
            for _ in range(workers):
                group.create_task(self._work(todo, work))

    async def _work(self, todo: Iterator[_T], work: Callable[[_T], Awaitable[object]]) -> None:
        for item in todo:
            if self.stopped:
                return
            try:
                await work(item)
            except StoppedError as reason:
                self.stop(reason)
            except AccessError as error:
                self.stop(error.becomes(StoppedError))
            except (HaltedError, asyncio.CancelledError):
                if self.stopped is None:
                    raise
            except Exception as bug:  # noqa: BLE001 - as above
                self.stop_for_bug(bug)

    async def ask(
        self,
        request: Callable[[], Awaitable[_T]],
        attempts: Attempts,
        most: float,
        *,
        patient: bool = False,
    ) -> _T:
        """Send a request until it is answered; the one loop in which anything is sent again.

        Where the server asks to wait, that costs no attempt; nor does a refused token, if there is
        another one. A 404 without a code counts only once the API has shown itself.

        Args:
            request: Makes the request.
            attempts: Those of its license so far.
            most: Failed attempts after which it is not sent again; 0 to send it once.
            patient: Whether it only reads. Then it is sent again, while every failure looks like
                an outage, until the breaker decides; and an answer about something else counts
                as none.

        Raises:
            ApiError: The last answer, or what came instead of one.
            HaltedError: The run was stopped before.
            StoppedError: The server is down, or refuses, for longer than is sensible to wait.
        """
        while not self.halted:
            token = self._tokens
            try:
                answer = await request()
            except ApiError as error:
                await self._judge(error, attempts, patient)
                if attempts.unsettled and self.breaker.is_down and not patient:
                    attempts.refund()
                    raise  # what tries whether the server is up must not change anything
                if isinstance(error, ThrottledError) or self._exchanged(error, token):
                    continue
                if most == 0 or not self._may_retry(error, attempts, most, patient):
                    raise
                await self.rest(attempts)
            except HeldBackError:
                held_back = TransientError("the server is down", code="breaker")
                attempts.refunded = True
                attempts.error = attempts.error or held_back
                raise held_back from None
            except Exception as bug:
                attempts.sent += 1
                attempts.error = ApiError(type(bug).__name__, shown=str(bug))
                attempts.unsettled = True
                raise
            else:
                attempts.sent += 1
                self.introduced = True
                self.breaker.succeeded()
                return answer
        raise HaltedError

    async def read(self, request: Callable[[], Awaitable[_T]], most: int) -> _T:
        """Ask for something that changes nothing, as `ask` does."""
        return await self.ask(request, Attempts(), most, patient=True)

    def _exchanged(self, error: ApiError, token: int) -> bool:
        """Tell whether a request met a refused token that is exchanged by now.

        Args:
            error: The answer.
            token: How many tokens had been given up when it was sent.
        """
        if error.status != 401 or self.halted:
            return False
        if token == self._tokens:
            another = self.another_token()
            if another is None:
                return False
            self.api.use(another)
            self._tokens += 1
            log.warning(
                "the token is not accepted any more; its file holds another one, which is used "
                "from now on",
                extra={"event": "token_exchanged"},
            )
        return True

    def _may_retry(self, error: ApiError, attempts: Attempts, most: float, patient: bool) -> bool:
        if isinstance(error, TransientError):
            if patient and self.breaker.looks_down(attempts):
                most = math.inf
        elif patient and isinstance(error, UnconfirmedError):
            attempts.counted += 1
        else:
            return False
        return self.breaker.may_retry(attempts, most)

    async def _judge(self, error: ApiError, attempts: Attempts, patient: bool) -> None:
        """Count an error against its license and the health of the server.

        Raises:
            ApiError: It is not the API that answers.
            StoppedError: As in `ask`.
        """
        self.introduced |= error.from_api
        attempts.sent += 1
        attempts.error = error
        attempts.unsettled |= error.arrived
        if error.arrived and not isinstance(error, ForeignError):
            attempts.open_until = self.clock.now() + LATE
        if isinstance(error, UnconfirmedError):
            attempts.updated = error.updated
        if isinstance(error, TransientError):
            if isinstance(error, ForeignError) and not (
                self.introduced and (patient or self.breaker.access.has_confirmed)
            ):
                raise in_front(
                    error, reached=self.introduced, changes=self.introduced and not patient
                ) from None
            self.breaker.failed(attempts, error)
        else:
            self.breaker.succeeded()
        if not self.introduced:
            self._first_contact(error)
            await self._doubt(error)

    def _first_contact(self, error: ApiError) -> None:
        """Say at once that nobody is reached, and why.

        Raises:
            StoppedError: Somebody is there, and waiting would hardly help.
        """
        if self.attended and isinstance(error, TransientError) and error.lasting:
            raise error.becomes(StoppedError)
        is_first, self.heard = not self.heard, True
        if is_first and isinstance(error, TransientError) and not isinstance(error, ThrottledError):
            log.warning(
                "no answer yet: %s; trying again%s",
                told(error, to_all=True),
                f" ({error.hint.rstrip('.')})" if error.hint else "",
                extra={
                    "event": "unreachable",
                    "http_status": error.status,
                    "error_code": error.code,
                },
            )

    async def mention_silence(self) -> None:
        """Say so if the first request gets no answer; to run while requests are sent."""
        while not (self.introduced or self.heard):
            seconds, said = self.api.silence
            if seconds >= SILENCE:
                log.warning("%s", said, extra={"event": "unreachable"})
                return
            await self.clock.sleep(max(SILENCE - seconds, 0.05))  # clocks round

    async def _doubt(self, error: ApiError) -> None:
        """Judge an error that came before the API has shown itself.

        Raises:
            ApiError: It is not the API that answers.
        """
        if isinstance(error, RejectedError) and error.status == 404:
            await self._introduce(error)
        elif error.code == "bad_body" and error.status is not None and error.status < 300:
            self.stranger = error
            self._strange += 1
            if self._strange >= MOST_STRANGE:
                raise not_the_api(error)

    async def _introduce(self, error: RejectedError) -> None:
        """Ask for the list, which every account has, so that the API shows itself.

        Raises:
            ApiError: It does not: a bare 404 proves nothing then.
        """
        async with self._introducing:
            if self.introduced:
                return
            try:
                await self.read(partial(self.api.list, {}), self.policy.max_attempts)
            except HaltedError:
                raise AccessError(
                    "the run was stopped before it was known who says this",
                    status=404,
                    code=error.code,
                    about=error,
                ) from None
            except (RejectedError, TransientError, UnconfirmedError):
                if not self.introduced:
                    raise not_the_api(error) from None

    async def rest(self, attempts: Attempts) -> None:
        """Wait before the next attempt; where an outage is to blame, the rate limiter does that."""
        if attempts.counted:
            await self.wait(self.policy.wait(attempts.counted, self.jitter))

    async def wait(self, seconds: float) -> None:
        """Wait until some time is over, or cancelled by a stop."""
        if self.halted:
            return
        task = asyncio.current_task()
        assert task is not None
        self._resting.add(task)
        try:
            await self.clock.sleep(seconds)
        finally:
            self._resting.discard(task)

    async def wait_or_stop(self, seconds: float) -> None:
        """Send nothing until some time is over, or the run is stopped."""
        self.rests_until = self.clock.now() + seconds
        try:
            await self.wait(seconds)
        except asyncio.CancelledError:
            if self.stopped is None:
                raise
