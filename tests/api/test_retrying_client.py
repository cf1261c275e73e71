"""Reads of a run: how often they are asked, what they wait for, and what ends them."""

from __future__ import annotations

import asyncio
import math
from functools import partial
from typing import TYPE_CHECKING

import pytest

from batch.api import retrying_client as retrying_client_module
from batch.api.circuit_breaker import BREAKER_FAILURES, CircuitBreaker
from batch.api.client import CryptlexClient
from batch.api.rate_limiter import RateLimiter
from batch.api.retry import Attempts, RetryPolicy
from batch.api.retrying_client import LATE, MOST_STRANGE, SILENCE, HaltedError, RetryingClient
from batch.errors import (
    AccessError,
    ApiError,
    ForeignError,
    HeldBackError,
    RejectedError,
    StoppedError,
    ThrottledError,
    TransientError,
    UnconfirmedError,
)
from batch.model import Page
from tests.support.virtual_time import now, virtual_clock

if TYPE_CHECKING:
    from collections.abc import Callable

SICK = TransientError("HTTP 500", status=500, code="http_500")
DOWN = TransientError("no answer in time", code="timeout")
BUSY = ThrottledError("HTTP 429", status=429, code="http_429", retry_after=2)
PAGE = TransientError("HTTP 200 with an HTML page", status=200, code="bad_body")
REFUSED = TransientError("no connection", code="connection")
REFUSED.arrived = False
REFUSAL = RejectedError("no", status=409, code="X")
REFUSAL.from_api = True
UNKNOWN_TOKEN = AccessError("the token is not accepted", status=401, code="http_401")
MAINTENANCE = ThrottledError("HTTP 503", status=503, code="http_503", retry_after=7)


NAMELESS = TransientError("no address (there is no such name)", code="connection", hint="right?")
NAMELESS.lasting = True


def retrying_client() -> RetryingClient:
    clock = virtual_clock()
    rate_limiter = RateLimiter(None, 5.0, clock, jitter=lambda: 0.5)
    api = CryptlexClient("http://127.0.0.1:9/v3", "none", rate_limiter)
    return RetryingClient(
        api,
        rate_limiter,
        CircuitBreaker(rate_limiter, clock),
        clock,
        RetryPolicy(),
        jitter=lambda: 1.0,
    )


class Server:
    """Answers requests of a client in their order, the last answer to all that follow."""

    def __init__(self, client: RetryingClient, *answers: str | Exception) -> None:
        self.sent: list[float] = []
        self._client = client
        self._answers = answers
        self.meanwhile: Callable[[], None] = lambda: None

    async def __call__(self) -> str:
        sent = await self._client.rate_limiter.acquire()
        try:
            self.sent.append(sent)
            self.meanwhile()
            answer = self._answers[min(len(self.sent), len(self._answers)) - 1]
            if isinstance(answer, Exception):
                if isinstance(answer, ApiError):
                    answer.sent = sent
                raise answer
            return answer
        finally:
            self._client.rate_limiter.release()


async def asked_once(client: RetryingClient, *answers: str | Exception) -> list[str]:
    """Send so many requests, each once; what each has come to."""
    server, found = Server(client, *answers), []
    for _ in answers:
        try:
            found.append(await client.ask(server, Attempts(), 0))
        except ApiError as error:
            found.append(error.code or "")
            if "not the license API" in str(error):
                found[-1] = "stranger"
    return found


async def test_a_read_that_fails_is_asked_again_after_a_wait_that_doubles() -> None:
    client = retrying_client()
    server = Server(client, SICK, SICK, SICK, "found")

    assert await client.read(server, 5) == "found"

    assert server.sent == [1000, 1001, 1003, 1007]


@pytest.mark.parametrize("most", [1, 3, 5])
async def test_a_read_that_always_fails_by_itself_is_asked_so_often(most: int) -> None:
    client = retrying_client()
    server = Server(client, SICK)

    with pytest.raises(TransientError) as e:
        await client.read(server, most)

    assert e.value is SICK
    assert len(server.sent) == most


async def test_while_the_server_may_be_down_a_read_goes_on_until_it_is_known() -> None:
    client = retrying_client()
    server = Server(client, *[DOWN] * 20, "found")

    assert await client.read(server, 1) == "found"

    assert len(server.sent) == 21


async def test_fifteen_minutes_without_an_answer_end_a_read() -> None:
    client = retrying_client()
    server = Server(client, DOWN)

    with pytest.raises(StoppedError, match="15 minutes"):
        await client.read(server, 1)

    assert 1000 + 900 <= now() < 1000 + 990


@pytest.mark.parametrize("once", [False, True])
async def test_being_asked_to_wait_counts_for_nothing(once: bool) -> None:
    client = retrying_client()
    server = Server(client, BUSY, MAINTENANCE, BUSY, "found")

    found = await (client.ask(server, Attempts(), 0) if once else client.read(server, 1))

    assert found == "found"
    assert [round(moment - 1000) for moment in server.sent] == [0, 6, 14, 20]


async def test_an_answer_about_something_else_is_asked_for_again_so_many_times() -> None:
    client = retrying_client()
    server = Server(client, UnconfirmedError("no", status=204, code="Y"))

    with pytest.raises(UnconfirmedError):
        await client.read(server, 3)

    assert len(server.sent) == 3


@pytest.mark.parametrize("error", [SICK, DOWN])
async def test_a_read_that_is_tried_once_is_not_asked_again(error: ApiError) -> None:
    client, reads = retrying_client(), Attempts()
    server = Server(client, error)

    with pytest.raises(TransientError):
        await client.ask(server, reads, 0)

    assert len(server.sent) == 1
    assert (reads.sent, reads.counted, reads.error) == (1, 1, error)


async def test_nor_is_it_while_the_server_is_down() -> None:
    client = retrying_client()
    server = Server(client, DOWN)

    for _ in range(BREAKER_FAILURES + 3):
        with pytest.raises(TransientError):
            await client.ask(server, Attempts(), 0)

    assert client.breaker.is_down
    assert len(server.sent) == BREAKER_FAILURES + 3


@pytest.mark.parametrize("error", [SICK, DOWN])
async def test_a_change_is_never_sent_more_often_than_it_may(error: ApiError) -> None:
    client, attempts = retrying_client(), Attempts()
    server = Server(client, error)

    with pytest.raises(TransientError):
        await client.ask(server, attempts, 3)

    assert len(server.sent) == attempts.sent == 3


async def test_a_change_that_was_answered_otherwise_is_read_back_and_not_sent_again() -> None:
    client = retrying_client()
    server = Server(client, UnconfirmedError("no", status=200, code="not_confirmed"))

    with pytest.raises(UnconfirmedError):
        await client.ask(server, Attempts(), 5)

    assert len(server.sent) == 1


@pytest.mark.parametrize(
    "error",
    [RejectedError("no", status=409, code="X"), AccessError("no", status=401, code="Z"),
     ValueError("a bug")],
)  # fmt: skip
@pytest.mark.parametrize("once", [False, True])
async def test_an_answer_that_will_not_change_is_not_asked_for_again(
    error: Exception, once: bool
) -> None:
    client = retrying_client()
    server = Server(client, error)

    with pytest.raises(type(error)) as e:
        await (client.ask(server, Attempts(), 0) if once else client.read(server, 5))

    assert e.value is error
    assert len(server.sent) == 1


@pytest.mark.parametrize(
    ("answers", "is_unsettled"), [((SICK, BUSY, REFUSED), True), ((REFUSED, REFUSED), False)]
)
async def test_every_request_of_a_license_is_counted_and_whether_one_may_have_arrived(
    answers: tuple[ApiError, ...], is_unsettled: bool
) -> None:
    client, attempts = retrying_client(), Attempts()

    await client.ask(Server(client, *answers, "found"), attempts, 5)

    assert (attempts.sent, attempts.counted) == (len(answers) + 1, 2)
    assert attempts.unsettled is is_unsettled


@pytest.mark.parametrize("answer", ["found", REFUSAL], ids=["a license", "a refusal"])
async def test_any_answer_says_that_the_server_is_well(answer: str | ApiError) -> None:
    client = retrying_client()
    failures = [DOWN] * (BREAKER_FAILURES - 1)

    await asked_once(client, *failures, answer, *failures)

    assert not client.breaker.is_down


async def test_what_an_outage_gave_back_waits_for_the_rate_limiter_alone() -> None:
    await retrying_client().rest(Attempts(sent=3, refunded=True))

    assert now() == 1000


async def test_after_a_bug_nobody_knows_whether_the_request_was_carried_out() -> None:
    client, attempts = retrying_client(), Attempts()

    with pytest.raises(ValueError, match="a bug"):
        await client.ask(Server(client, ValueError("a bug")), attempts, 5)

    assert (attempts.sent, attempts.unsettled) == (1, True)
    assert attempts.error is not None
    assert str(attempts.error) == "ValueError: a bug"


@pytest.mark.parametrize("once", [False, True])
async def test_after_a_stop_nothing_is_read_but_what_is_unsettled(once: bool) -> None:
    client = retrying_client()
    server = Server(client, "found")
    client.stop(StoppedError("enough"))

    with pytest.raises(HaltedError):
        await (client.ask(server, Attempts(), 0) if once else client.read(server, 5))
    assert server.sent == []

    client.draining = True
    assert await client.read(server, 5) == "found"


@pytest.mark.parametrize("error", [SICK, DOWN, BUSY])
async def test_a_stop_while_a_read_is_in_flight_is_the_last_of_it(error: ApiError) -> None:
    client = retrying_client()
    server = Server(client, error)
    server.meanwhile = lambda: client.stop(StoppedError("enough"))

    with pytest.raises(HaltedError):
        await client.read(server, 5)

    assert server.sent == [1000]
    assert now() == 1000


async def test_a_stop_ends_the_wait_before_the_next_attempt_at_once() -> None:
    client = retrying_client()
    server = Server(client, SICK)
    asyncio.get_running_loop().call_later(0.25, client.stop, StoppedError("enough"))

    with pytest.raises(asyncio.CancelledError):
        await client.read(server, 5)

    assert now() == 1000.25
    assert server.sent == [1000]


async def test_a_stop_lets_a_read_that_waited_before_finish_its_request() -> None:
    client = retrying_client()
    failing = Server(client, SICK)

    async def request() -> str:
        if not failing.sent:
            return await failing()
        await asyncio.sleep(1)
        return "found"

    asyncio.get_running_loop().call_later(1.5, client.stop, StoppedError("enough"))

    assert await client.read(request, 5) == "found"
    assert now() == 1002


async def test_the_first_reason_to_stop_is_the_one_that_counts() -> None:
    client = retrying_client()
    first = StoppedError("first")

    client.stop(first)
    client.stop(StoppedError("second"))

    assert client.stopped is first


# Whether it is the API that answers


def foreign(status: int, said: str = "Go away") -> ForeignError:
    error = ForeignError(f"HTTP {status}, an HTML page", status=status, code="x", shown=said)
    error.arrived = status == 403
    return error


@pytest.mark.parametrize("patient", [True, False])
@pytest.mark.parametrize(
    ("status", "said"),
    [(400, "in front of the API refuses"), (403, "in front of the API refuses"),
     (405, "in front of the API refuses"), (302, "not the license API"),
     (200, "not the license API"), (404, "not the license API")],
)  # fmt: skip
async def test_who_answers_in_the_place_of_the_api_before_it_has_shown_itself_ends_the_run(
    status: int, said: str, patient: bool
) -> None:
    client = retrying_client()
    server = Server(client, foreign(status), "found")

    with pytest.raises(AccessError) as e:
        await client.ask(server, Attempts(), 5, patient=patient)

    assert len(server.sent) == 1
    assert said in str(e.value)
    assert f"HTTP {status}, an HTML page: Go away" in str(e.value)
    assert "token" not in str(e.value)
    assert "--base-url" in e.value.hint


@pytest.mark.parametrize("status", [302, 404, 405])
async def test_a_gateway_that_lets_reads_through_and_no_change_ends_the_run(status: int) -> None:
    client = retrying_client()
    await asked_once(client, "a license")

    with pytest.raises(AccessError, match="in front of the API refuses changes"):
        await client.ask(Server(client, foreign(status)), Attempts(), 5)


@pytest.mark.parametrize("changes", [True, False])
async def test_who_answers_in_the_place_of_the_api_for_a_while_is_waited_for(changes: bool) -> None:
    client, attempts = retrying_client(), Attempts()
    await asked_once(client, "a license")
    client.breaker.access.confirmed()
    server = Server(client, foreign(302), foreign(302), foreign(302), "found")

    assert await client.ask(server, attempts, 1, patient=not changes) == "found"

    assert [sent - 1000 for sent in server.sent] == pytest.approx([0, 6, 16, 36])
    assert attempts.counted == 0


async def test_a_403_may_have_been_carried_out_so_what_probes_then_is_a_read() -> None:
    client, attempts = retrying_client(), Attempts()
    await asked_once(client, "a license")
    client.breaker.access.confirmed()

    with pytest.raises(ForeignError):
        await client.ask(Server(client, foreign(403)), attempts, 5)

    assert (attempts.unsettled, attempts.refunded) == (True, True)
    assert attempts.open_until == -math.inf  # the server has answered: nothing comes later


async def test_what_was_held_back_costs_no_attempt_and_keeps_what_came_before() -> None:
    client, attempts = retrying_client(), Attempts(error=REFUSAL)

    with pytest.raises(TransientError, match="the server is down"):
        await client.ask(Server(client, HeldBackError()), attempts, 5)

    assert (attempts.sent, attempts.counted, attempts.refunded) == (0, 0, True)
    assert attempts.error is REFUSAL


@pytest.mark.parametrize(
    ("error", "late"),
    [(DOWN, LATE), (SICK, LATE), (MAINTENANCE, LATE), (BUSY, -math.inf), (REFUSED, -math.inf),
     (REFUSAL, -math.inf)],
)  # fmt: skip
async def test_what_may_still_be_carried_out_is_known(error: ApiError, late: float) -> None:
    client, attempts = retrying_client(), Attempts()
    client.stop(StoppedError("enough"))
    client.draining = True

    with pytest.raises(ApiError):
        await client.ask(Server(client, error, REFUSAL), attempts, 0)

    assert attempts.open_until == (1000 + late if late > 0 else late)


async def test_ten_pages_before_any_answer_of_the_api_are_not_its_own() -> None:
    client = retrying_client()

    found = await asked_once(client, *[PAGE] * MOST_STRANGE)

    assert found == ["bad_body"] * (MOST_STRANGE - 1) + ["stranger"]
    assert client.stranger is PAGE
    assert not client.introduced


@pytest.mark.parametrize(
    "first",
    ["found", REFUSAL],
    ids=["a license", "its own error"],
)
async def test_once_the_api_has_shown_itself_a_page_is_a_failure_like_any_other(
    first: str | ApiError,
) -> None:
    client = retrying_client()

    found = await asked_once(client, first, *[PAGE] * (MOST_STRANGE + 5))

    assert found[1:] == ["bad_body"] * (MOST_STRANGE + 5)
    assert client.introduced


@pytest.mark.parametrize(
    "error",
    [TransientError("a body that broke off", status=None, code="bad_body"),
     TransientError("a body that broke off", status=300, code="bad_body"),
     TransientError("a body that broke off", status=500, code="bad_body"),
     UnconfirmedError("nothing", status=204, code="not_confirmed")],
)  # fmt: skip
async def test_what_is_no_page_is_no_sign_of_somebody_else(error: ApiError) -> None:
    client = retrying_client()

    found = await asked_once(client, *[error] * (MOST_STRANGE + 5))

    assert found == [error.code] * (MOST_STRANGE + 5)
    assert client.stranger is None


async def test_however_many_are_not_found_at_first_the_list_is_asked_for_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client, lists = retrying_client(), 0

    async def listed(*_: object) -> Page:
        nonlocal lists
        lists += 1
        await asyncio.sleep(1)
        return Page([], None)

    monkeypatch.setattr(CryptlexClient, "list", listed)
    missing = [RejectedError("no", status=404, code="http_404") for _ in range(5)]
    found = await asyncio.gather(*(asked_once(client, each) for each in missing))

    assert found == [["http_404"]] * 5
    assert lists == 1
    assert client.introduced


@pytest.mark.parametrize(
    ("seen", "found"),
    [(REFUSAL, "http_404"),
     (RejectedError("no", status=403, code="http_403"), "stranger"),
     (SICK, "stranger"),
     (UnconfirmedError("nothing", status=204, code="not_confirmed"), "stranger")],
)  # fmt: skip
async def test_who_answers_for_a_list_with_no_word_of_the_api_is_not_the_api(
    monkeypatch: pytest.MonkeyPatch, seen: ApiError, found: str
) -> None:
    client = retrying_client()

    async def listed(*_: object) -> Page:
        raise seen

    monkeypatch.setattr(CryptlexClient, "list", listed)

    assert await asked_once(client, RejectedError("no", status=404, code="http_404")) == [found]


def with_tokens(client: RetryingClient, *more: str) -> list[str]:
    """Let the client have more tokens, one after another; what it is told to use."""
    left, used = iter(more), list[str]()
    client.another_token = lambda: next(left, None)
    client.api.use = used.append  # type: ignore[method-assign, assignment]
    return used


@pytest.mark.parametrize("most", [0, 1, 5])
async def test_a_refused_token_is_exchanged_and_costs_no_attempt(most: int) -> None:
    client, attempts = retrying_client(), Attempts()
    used = with_tokens(client, "second")
    server, began = Server(client, UNKNOWN_TOKEN, "found"), now()

    assert await client.ask(server, attempts, most) == "found"

    assert used == ["second"]
    assert (attempts.sent, attempts.counted, attempts.unsettled) == (2, 0, False)
    assert now() == began


async def test_once_the_other_token_is_refused_as_well_the_refusal_counts() -> None:
    client = retrying_client()
    used = with_tokens(client, "second")
    server = Server(client, UNKNOWN_TOKEN)

    with pytest.raises(AccessError) as refused:
        await client.ask(server, Attempts(), 5)

    assert refused.value is UNKNOWN_TOKEN
    assert used == ["second"]
    assert len(server.sent) == 2


async def test_what_was_in_flight_with_the_old_token_is_sent_again_with_the_one_other() -> None:
    client = retrying_client()
    used = with_tokens(client, "second")
    answers = asyncio.Event()

    async def slow(tries: list[str]) -> str:
        tries.append(f"with {used[-1] if used else 'first'}")
        if len(tries) == 1:
            await answers.wait()
            raise UNKNOWN_TOKEN
        return "found"

    tries: list[list[str]] = [[], [], []]
    asked = [asyncio.create_task(client.ask(partial(slow, i), Attempts(), 5)) for i in tries]
    await asyncio.sleep(1)
    answers.set()

    assert await asyncio.gather(*asked) == ["found"] * 3
    assert tries == [["with first", "with second"]] * 3
    assert used == ["second"]


async def test_a_login_that_a_proxy_asks_for_is_no_reason_for_another_token() -> None:
    client = retrying_client()
    used = with_tokens(client, "second")

    with pytest.raises(AccessError):
        await client.ask(Server(client, AccessError("a proxy", status=407)), Attempts(), 5)

    assert used == []


async def test_after_a_stop_no_token_is_exchanged() -> None:
    client = retrying_client()
    used = with_tokens(client, "second")
    server = Server(client, UNKNOWN_TOKEN)
    server.meanwhile = lambda: client.stop(StoppedError("enough"))

    with pytest.raises(AccessError):
        await client.ask(server, Attempts(), 5)

    assert used == []


# First contact


@pytest.fixture
def warned(monkeypatch: pytest.MonkeyPatch) -> list[tuple[float, str, str]]:
    """What is logged as a warning: when, as which event, and in which words."""
    said: list[tuple[float, str, str]] = []

    def warning(text: str, *parts: object, extra: dict[str, object]) -> None:
        said.append((now() - 1000, str(extra["event"]), text % parts))

    monkeypatch.setattr(retrying_client_module.log, "warning", warning)
    return said


async def test_the_first_failure_is_said_at_once_and_once(
    warned: list[tuple[float, str, str]],
) -> None:
    client = retrying_client()

    await asked_once(client, NAMELESS, REFUSED, "found", SICK)

    assert warned == [
        (0, "unreachable",
         "no answer yet: no address (there is no such name); trying again (right?)"),
    ]  # fmt: skip


@pytest.mark.parametrize("first", ["found", REFUSAL])
async def test_a_failure_after_the_api_has_shown_itself_is_no_first_contact(
    first: str | ApiError, warned: list[tuple[float, str, str]]
) -> None:
    client = retrying_client()
    client.attended = True

    await asked_once(client, first, SICK, NAMELESS)

    assert warned == []


async def test_what_is_hardly_an_outage_stops_the_run_where_somebody_is_there() -> None:
    client = retrying_client()
    client.attended = True

    with pytest.raises(StoppedError, match="no such name") as stopped:
        await client.read(Server(client, NAMELESS), 5)

    assert stopped.value.hint == NAMELESS.hint
    assert now() == 1000


@pytest.mark.parametrize("attended", [False, True])
async def test_an_outage_is_waited_for_wherever_it_is(attended: bool) -> None:
    client = retrying_client()
    client.attended = attended
    failures = [REFUSED] * 20 if attended else [NAMELESS] * 20

    assert await client.read(Server(client, *failures, "found"), 5) == "found"


async def listening(client: RetryingClient, seconds: float, began: float | None) -> None:
    """Listen for so long, to a request that began so much later than that, if at all."""
    start = now()

    class Api:
        @property
        def silence(self) -> tuple[float, str]:
            waited = 0.0 if began is None else max(0.0, now() - start - began)
            return waited, "no answer from nowhere:1 yet"

    client.api = Api()  # type: ignore[assignment]
    task = asyncio.create_task(client.mention_silence())
    await asyncio.sleep(seconds)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("began", [0.0, 0.2, 3.0, 60.5])
async def test_silence_is_said_within_two_seconds_after_the_first_request(
    began: float, warned: list[tuple[float, str, str]]
) -> None:
    await listening(retrying_client(), began + 30, began)

    [(when, event, said)] = warned
    assert when == pytest.approx(began + SILENCE, abs=0.06)
    assert (event, said) == ("unreachable", "no answer from nowhere:1 yet")
    assert SILENCE < 2


@pytest.mark.parametrize("what", ["introduced", "heard"])
async def test_nothing_is_said_of_silence_once_something_was_heard(
    what: str, warned: list[tuple[float, str, str]]
) -> None:
    client = retrying_client()
    asyncio.get_running_loop().call_later(1, setattr, client, what, True)

    await listening(client, 30, 0.0)

    assert warned == []


async def test_nothing_is_said_of_silence_while_nothing_is_sent(
    warned: list[tuple[float, str, str]],
) -> None:
    await listening(retrying_client(), 30, None)

    assert warned == []
