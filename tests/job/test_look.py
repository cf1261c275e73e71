"""The look at licenses that are listed by ID: what it finds, what it costs, and what ends it."""

from __future__ import annotations

import asyncio
import signal
from dataclasses import replace
from datetime import datetime
from math import inf
from typing import TYPE_CHECKING

import pytest

from batch.api.access import FOREIGN_IN_A_ROW
from batch.api.circuit_breaker import PATIENCE
from batch.errors import AccessError, InterruptedRunError, StoppedError
from batch.job.list_lookup import spread
from batch.job.snapshot import SAMPLE, Snapshot, State
from batch.model import Outcome, RowResult
from batch.sandbox import Account, SandboxLicense, api, query
from batch.sandbox.message import Request, Response
from batch.sandbox.query import select
from tests.support.builders import listing
from tests.support.faults import FAULTS
from tests.support.faulty_sandbox import FaultySandbox
from tests.support.job_harness import Watch, kinds, looking, some_ids
from tests.support.virtual_time import now

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from batch.model import Listing

STRANGERS = some_ids(500, seed=9)
"""IDs of licenses that no account here holds."""


class Watched(Account):
    """An account that does something each time a page of it was taken, by the page's number."""

    def __init__(self, licenses: Iterable[SandboxLicense] = ()) -> None:
        super().__init__(licenses)
        self.then: Callable[[int], None] = lambda _page: None

    def page(self, start: int, stop: int) -> list[SandboxLicense]:
        taken = super().page(start, stop)
        self.then(start // 100 + 1)
        return taken

    def prepend(self, license_: SandboxLicense) -> None:
        self.add(license_, first=True)

    def remove_first(self) -> str:
        return self.remove(next(iter(self)).id).id


def account(count: int, *, revoked: float = 0.3) -> Watched:
    return Watched(Account.generate(count, revoked=revoked))


def every(licenses: Iterable[SandboxLicense], step: int = 1) -> Listing:
    """A listing of every ``step``-th license."""
    return listing(*[license_.id for license_ in licenses][::step])


def described(snapshot: Snapshot, entry: int) -> tuple[object, ...]:
    return (
        snapshot.value(entry),
        snapshot.product(entry),
        snapshot.type_names[snapshot.types[entry]],
        snapshot.activations[entry],
        snapshot.expires[entry],
        snapshot.created[entry],
        snapshot.last_used[entry],
        snapshot.reseller_ids[snapshot.resellers[entry]],
        snapshot.organization_ids[snapshot.organizations[entry]],
    )


def held(license_: SandboxLicense) -> tuple[object, ...]:
    """What the API shows of a license, read in another way than the client reads it."""
    shown = license_.as_json()
    until, used = shown["expiresAt"], shown["lastUsedAt"]
    return (
        shown["revoked"],
        shown["productId"],
        shown["type"],
        shown["totalActivations"],
        inf if until is None else datetime.fromisoformat(until).timestamp(),
        datetime.fromisoformat(shown["createdAt"]).timestamp(),
        -inf if used is None else datetime.fromisoformat(used).timestamp(),
        shown["resellerId"] or "",
        shown["organizationId"] or "",
    )


def assert_right(watch: Watch, *, complete: bool = True) -> None:
    """What was seen is what the account holds, and nothing was ever changed."""
    snapshot = watch.look.snapshot
    for entry in watch.listing.distinct():
        license_ = watch.sandbox.account.find(watch.listing.license_id(entry))
        state = snapshot.states[entry]
        if state in {State.OFF, State.ON}:
            assert license_ is not None
            assert described(snapshot, entry) == held(license_)
            assert entry not in snapshot.problems
        elif state == State.MISSING:
            assert license_ is None
            assert snapshot.problems[entry].outcome is Outcome.NOT_FOUND
        elif state == State.UNREAD:
            assert snapshot.problems[entry].outcome is Outcome.UNKNOWN
            assert snapshot.problems[entry].error.startswith("it cannot be read: ")
        else:
            assert not complete
            assert entry not in snapshot.problems
    assert all(entry.method == "GET" for entry in watch.sandbox.log)


# The account


@pytest.mark.parametrize(("pagination", "total"), [(True, 1000), (False, None)])
async def test_the_size_of_the_account_is_known_where_a_list_of_it_all_has_told(
    pagination: bool, total: int | None
) -> None:
    there = account(1000)
    few = listing(*[license_.id for license_ in there][:9])
    async with (
        FaultySandbox(there, pagination=pagination) as sandbox,
        looking(sandbox, few) as watch,
    ):
        await watch.run()

    assert watch.look.snapshot.account_total == total


async def test_a_list_of_a_part_of_the_account_does_not_tell_its_size() -> None:
    there = Account.generate(3000, seed=1, resellers={"Northwind": 400})
    sold = listing(*[license_.id for license_ in there if license_.reseller])
    async with FaultySandbox(there) as sandbox, looking(sandbox, sold) as watch:
        await watch.run()

    assert kinds(sandbox)["LIST"] > 1
    assert watch.look.snapshot.account_total == 3000


async def test_one_license_alone_tells_nothing_of_the_account() -> None:
    there = account(3)
    async with FaultySandbox(there) as sandbox, looking(sandbox, every(there, 3)) as watch:
        await watch.run()

    assert watch.look.snapshot.account_total is None


# The road


@pytest.mark.parametrize(
    ("held_there", "listed", "cost"),
    [(1000, 9, {"LIST": 1, "GET": 9}), (1000, 10, {"LIST": 10}), (901, 9, {"LIST": 1, "GET": 9}),
     (900, 9, {"LIST": 9}), (5000, 20, {"LIST": 1, "GET": 20}), (2, 2, {"LIST": 1}),
     (100, 100, {"LIST": 1}), (201, 201, {"LIST": 3})],
)  # fmt: skip
async def test_the_road_with_fewer_requests_is_taken(
    held_there: int, listed: int, cost: dict[str, int]
) -> None:
    there = account(held_there)
    ids = [license_.id for license_ in there][-listed:]
    async with FaultySandbox(there) as sandbox, looking(sandbox, listing(*ids)) as watch:
        await watch.run()

    assert kinds(sandbox) == cost
    assert_right(watch)


async def test_ten_thousand_of_twenty_thousand_cost_two_hundred_requests_and_the_sample() -> None:
    there = account(20_000)
    async with FaultySandbox(there) as sandbox, looking(sandbox, every(there, 2)) as watch:
        snapshot = await watch.run()

    assert kinds(sandbox)["GET"] == SAMPLE
    assert 200 <= kinds(sandbox)["LIST"] <= 205
    assert not snapshot.states.count(State.UNSEEN)
    assert_right(watch)


@pytest.mark.parametrize("listed", [0, 1])
async def test_a_single_license_is_read_by_itself(listed: int) -> None:
    there = account(300)
    ids = [license_.id for license_ in there][:listed]
    async with FaultySandbox(there) as sandbox, looking(sandbox, listing(*ids)) as watch:
        snapshot = await watch.run()

    assert kinds(sandbox) == ({"GET": 1} if listed else {})
    assert snapshot.looked
    assert_right(watch)


async def test_a_repeated_license_is_looked_at_once_and_seen_at_its_first_entry() -> None:
    there = account(1000)
    ids = [license_.id for license_ in there][:3]
    async with (
        FaultySandbox(there) as sandbox,
        looking(sandbox, listing(*ids, *ids, *ids)) as watch,
    ):
        snapshot = await watch.run()

    assert kinds(sandbox) == {"LIST": 1}
    assert [snapshot.value(entry) for entry in range(3, 9)] == [None] * 6
    assert_right(watch)


async def test_what_was_on_the_first_page_is_not_read_again() -> None:
    there = account(5000)
    ids = [license_.id for license_ in there]
    async with (
        FaultySandbox(there) as sandbox,
        looking(sandbox, listing(ids[7], ids[4000])) as watch,
    ):
        await watch.run()

    assert kinds(sandbox) == {"LIST": 1, "GET": 1}
    assert sandbox.log[1].target == ids[4000]
    assert_right(watch)


async def test_once_every_license_was_on_a_page_no_further_page_is_read() -> None:
    there = account(2000)
    async with (
        FaultySandbox(there) as sandbox,
        looking(sandbox, listing(*list(there.licenses)[:150]), concurrency=1) as watch,
    ):
        await watch.run()

    assert kinds(sandbox) == {"LIST": 2}
    assert_right(watch)


@pytest.mark.parametrize(
    ("held_there", "listed", "cost"),
    [(350, 350, {"LIST": 4}), (300, 300, {"LIST": 3}), (5000, 20, {"LIST": 1, "GET": 20}),
     (5000, 100, {"LIST": 2, "GET": 20}), (40, 40, {"LIST": 1})],
)  # fmt: skip
async def test_where_the_size_is_not_told_pages_are_read_as_long_as_they_pay(
    held_there: int, listed: int, cost: dict[str, int]
) -> None:
    there = account(held_there)
    ids = [license_.id for license_ in there][-listed:]
    async with (
        FaultySandbox(there, pagination=False) as sandbox,
        looking(sandbox, listing(*ids)) as watch,
    ):
        await watch.run()

    assert kinds(sandbox) == cost
    assert_right(watch)


async def test_without_a_size_a_page_that_is_not_full_is_the_last() -> None:
    there = account(250)
    ids = [*there.licenses, *STRANGERS[:50]]
    async with (
        FaultySandbox(there, pagination=False) as sandbox,
        looking(sandbox, listing(*ids)) as watch,
    ):
        snapshot = await watch.run()

    assert kinds(sandbox) == {"LIST": 3, "GET": 50}
    assert snapshot.states.count(State.MISSING) == 50
    assert_right(watch)


async def test_nothing_is_inferred_from_absence() -> None:
    there = account(100)
    async with (
        FaultySandbox(there) as sandbox,
        looking(sandbox, listing(*there.licenses, *STRANGERS[:20])) as watch,
    ):
        snapshot = await watch.run()

    assert kinds(sandbox) == {"LIST": 1, "GET": 20}
    assert snapshot.problems[100] == RowResult(
        Outcome.NOT_FOUND,
        http_status=404,
        error_code="LICENSE_NOT_FOUND",
        error="no such license in this account",
    )
    assert_right(watch)


async def test_everything_goes_through_the_rate_limiter() -> None:
    there = account(7000)
    async with (
        FaultySandbox(there, rate=(50, 5.0), latency=(0.0, 0.2)) as sandbox,
        looking(sandbox, every(there, 30), rate=(50, 5.0)) as watch,
    ):
        await watch.run()

    assert sandbox.requests > 70
    assert sandbox.count_429 == 0
    assert sandbox.busiest(5.0) <= 50
    assert_right(watch)


@pytest.mark.parametrize(("held_there", "listed"), [(1000, 9), (1000, 500), (300, 300), (5, 1)])
async def test_the_last_word_about_how_many_requests_there_will_be_is_right(
    held_there: int, listed: int
) -> None:
    there = account(held_there)
    ids = [*list(there.licenses)[-listed:], *STRANGERS[:3]]
    async with FaultySandbox(there) as sandbox, looking(sandbox, listing(*ids)) as watch:
        await watch.run()

    assert watch.expected[0] == len(ids)
    assert watch.expected[-1] == watch.steps == sandbox.requests


async def test_the_number_of_pages_is_told_as_soon_as_it_is_known() -> None:
    there = account(2000)
    async with FaultySandbox(there) as sandbox, looking(sandbox, every(there)) as watch:
        await watch.run()

    assert list(dict.fromkeys(watch.expected)) == [2000, 2001, 20]


@pytest.mark.parametrize(
    ("said", "cost"),
    [("0", 701), ("150", 700), ("-7", 40), ("999999999999", 740), ("many", 40), ("5000", 100)],
)  # fmt: skip
async def test_a_size_that_is_not_true_costs_requests_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, said: str, cost: int
) -> None:
    def lying(
        there: Account, query: Sequence[tuple[str, str]], ticks: int
    ) -> tuple[list[SandboxLicense], dict[str, str]]:
        return select(there, query, ticks)[0], {"Pagination-Count": said}

    monkeypatch.setattr(api, "select", lying)
    there = account(800)
    ids = list(there.licenses)[-700:]
    async with (
        FaultySandbox(there) as sandbox,
        looking(sandbox, listing(*ids), concurrency=1) as watch,
    ):
        await watch.run()

    assert sandbox.requests <= cost
    assert_right(watch)


@pytest.mark.parametrize(("pagination", "cost"), [(True, 120), (False, 800)])
async def test_pages_that_are_smaller_than_was_asked_for_leave_nothing_out(
    monkeypatch: pytest.MonkeyPatch, pagination: bool, cost: int
) -> None:
    monkeypatch.setattr("batch.sandbox.query.LARGEST_LIMIT", 20)
    there = account(800)
    async with (
        FaultySandbox(there, pagination=pagination) as sandbox,
        looking(sandbox, every(there)) as watch,
    ):
        await watch.run()

    assert sandbox.requests <= cost
    assert_right(watch)


# Pages that shift


@pytest.mark.parametrize("pagination", [True, False])
async def test_licenses_that_are_deleted_meanwhile_are_missing_and_no_other(
    pagination: bool,
) -> None:
    there = account(1500)
    wanted = every(there)
    gone: set[str] = set()
    there.then = lambda _page: gone.update(there.remove_first() for _ in range(7))
    async with (
        FaultySandbox(there, pagination=pagination) as sandbox,
        looking(sandbox, wanted, concurrency=2) as watch,
    ):
        snapshot = await watch.run()

        there.then = lambda _page: None
        for entry in wanted.distinct():
            license_id = wanted.license_id(entry)
            if snapshot.states[entry] == State.MISSING:
                assert license_id in gone
            else:
                assert snapshot.states[entry] in {State.OFF, State.ON}
    assert len(gone) > 90
    assert "GET" in kinds(sandbox)
    assert sandbox.requests < 2 * len(wanted)


@pytest.mark.parametrize("pagination", [True, False])
async def test_licenses_that_are_created_meanwhile_hide_no_other(pagination: bool) -> None:
    there = account(1500)
    wanted = every(there, 3)
    more = iter(Account.holding(STRANGERS))

    def create(_page: int) -> None:
        for _ in range(11):
            there.prepend(next(more))

    there.then = create
    async with (
        FaultySandbox(there, pagination=pagination) as sandbox,
        looking(sandbox, wanted, concurrency=3) as watch,
    ):
        await watch.run()

    assert not watch.look.snapshot.problems
    assert_right(watch)


async def test_what_a_page_said_is_replaced_by_what_a_later_page_says() -> None:
    there = account(400, revoked=0.0)
    first = next(iter(there))

    def shift(page: int) -> None:
        if page == 1:
            first.revoked = True
            for license_ in Account.holding(STRANGERS[:100]):
                there.prepend(license_)

    there.then = shift
    async with (
        FaultySandbox(there, pagination=False) as sandbox,
        looking(sandbox, every(there)) as watch,
    ):
        await watch.run()

    assert watch.look.snapshot.value(0) is True
    assert_right(watch)


# Trouble


@pytest.mark.parametrize(
    ("kind", "lists"),
    [(500, 5), (502, 5), (504, 5), ("hang_before", 5), ("reset_before", 5),
     ("not_json", 5), ("empty_200", 5), ("204", 5), ("list", 5), ("revoked_as_text", 5),
     (400, 1), (403, 1), (404, 1), (405, 1), (501, 5)],
)  # fmt: skip
async def test_a_list_that_cannot_be_read_leaves_the_licenses_to_be_read_one_by_one(
    kind: str | int, lists: int
) -> None:
    there = account(400)
    async with FaultySandbox(there) as sandbox, looking(sandbox, every(there)) as watch:
        sandbox.fail_all(kind, on="LIST")
        await watch.run()

        assert kinds(sandbox) == {"LIST": lists, "GET": 400}
        assert watch.client.stopped is None
        assert not watch.look.snapshot.problems
        assert_right(watch)
        assert now() < 1000 + 60


@pytest.mark.parametrize("kind", [500, 504, "hang_before", "not_json", 403])
async def test_a_list_that_can_be_read_no_further_is_given_up(kind: str | int) -> None:
    there = account(3000)
    there.then = lambda _page: sandbox.fail_all(kind, on="LIST")
    async with (
        FaultySandbox(there) as sandbox,
        looking(sandbox, every(there), concurrency=8) as watch,
    ):
        await watch.run()

        assert kinds(sandbox)["LIST"] <= 1 + 8 * 5
        assert watch.client.stopped is None
        assert not watch.look.snapshot.problems
        assert_right(watch)
        assert now() < 1000 + 300


async def test_a_page_that_fails_now_and_then_is_read_again() -> None:
    there = account(3000)
    async with (
        FaultySandbox(there, faults=0.2, fault_kinds=[500, 503, "reset_before"]) as sandbox,
        looking(sandbox, every(there)) as watch,
    ):
        await watch.run()

    assert kinds(sandbox)["LIST"] >= 30
    assert sandbox.requests < 100
    assert_right(watch)


async def test_where_only_single_attempts_are_allowed_one_failure_gives_the_list_up() -> None:
    there = account(400)
    async with (
        FaultySandbox(there) as sandbox,
        looking(sandbox, every(there), max_attempts=1) as watch,
    ):
        sandbox.fail_all(500, times=1, on="LIST")
        await watch.run()

    assert kinds(sandbox) == {"LIST": 1, "GET": 400}
    assert_right(watch)


async def test_a_license_that_may_not_be_read_is_unread_where_others_were_read() -> None:
    there = account(1000)
    ids = [*list(there.licenses)[-5:], *STRANGERS[:2]]
    async with FaultySandbox(there) as sandbox, looking(sandbox, listing(*ids)) as watch:
        sandbox.fail(ids[1], 403, on="GET", times=None)
        snapshot = await watch.run()

    assert snapshot.off is None
    assert list(snapshot.states).count(State.UNREAD) == 1
    assert snapshot.problems[1] == RowResult(
        Outcome.UNKNOWN,
        http_status=403,
        error_code="FORBIDDEN",
        error="it cannot be read: HTTP 403: Forbidden.",
    )
    assert_right(watch)


async def test_an_answer_that_says_not_found_shows_that_the_token_may_read() -> None:
    there = account(10)
    async with (
        FaultySandbox(there) as sandbox,
        looking(sandbox, listing(STRANGERS[0], *there.licenses), concurrency=1) as watch,
    ):
        sandbox.fail_all(403, on="LIST")
        sandbox.fail(next(iter(there.licenses)), 403, on="GET")
        snapshot = await watch.run()

    assert snapshot.off is None
    assert list(snapshot.states).count(State.UNREAD) == 1
    assert_right(watch)


async def test_a_token_that_may_not_read_turns_the_look_off_at_once() -> None:
    there = account(5000)
    async with (
        FaultySandbox(there, tokens={"write-only": frozenset({"license:write"})}) as sandbox,
        looking(sandbox, every(there), token="write-only", concurrency=8) as watch,
    ):
        snapshot = await watch.run()

    assert str(snapshot.off) == "HTTP 403: Access token lacks the scope license:read."
    assert snapshot.looked
    assert watch.client.stopped is None
    assert kinds(sandbox) == {"LIST": 1, "GET": 8}
    assert set(snapshot.states) == {State.UNSEEN}
    assert not snapshot.problems


async def test_a_license_that_may_not_be_read_ends_the_trying_of_a_list_that_fails() -> None:
    there = account(50)
    async with FaultySandbox(there) as sandbox, looking(sandbox, every(there)) as watch:
        sandbox.fail_all(500, on="LIST")
        sandbox.fail_all(403, on="GET")
        snapshot = await watch.run()

    assert kinds(sandbox) == {"LIST": 1, "GET": 1}
    assert str(snapshot.off) == "HTTP 403: Forbidden."


@pytest.mark.parametrize(
    ("kind", "said"), [(401, "token"), ("html_404", "API"), ("redirect", "API")]
)
@pytest.mark.parametrize("on", ["LIST", "GET"])
async def test_what_every_request_would_meet_stops_the_run(
    kind: str | int, said: str, on: str
) -> None:
    there = account(1000)
    ids = list(there.licenses)[-9:]
    async with (
        FaultySandbox(there) as sandbox,
        looking(sandbox, listing(*ids), concurrency=2) as watch,
    ):
        sandbox.fail_all(kind, on=on)
        snapshot = await watch.run()

    assert watch.client.stopped is not None
    assert said in str(watch.client.stopped)
    assert watch.client.stopped.hint
    assert not isinstance(watch.client.stopped, AccessError)
    # Once the API has shown itself, what answers in its place may go away: five times it is tried.
    gets = 2 if kind == 401 else 2 + FOREIGN_IN_A_ROW
    assert kinds(sandbox) == ({"LIST": 1} if on == "LIST" else {"LIST": 1, "GET": gets})
    assert set(snapshot.states) == {State.UNSEEN}
    assert not snapshot.problems


async def test_a_token_that_is_withdrawn_stops_the_look_and_what_was_seen_stays() -> None:
    there = account(2000)
    there.then = lambda page: sandbox.tokens.clear() if page == 5 else None
    async with (
        FaultySandbox(there) as sandbox,
        looking(sandbox, every(there), concurrency=1) as watch,
    ):
        snapshot = await watch.run()

    assert watch.client.stopped is not None
    assert "token" in str(watch.client.stopped)
    lists = kinds(sandbox)["LIST"]
    assert kinds(sandbox) == {"LIST": lists}
    assert snapshot.states.count(State.UNSEEN) == 2000 - 100 * (lists - 1)
    assert_right(watch, complete=False)


async def test_a_busy_answer_pauses_the_look_and_costs_nothing_else() -> None:
    there = account(1000)
    async with (
        FaultySandbox(there) as sandbox,
        looking(sandbox, every(there), concurrency=1) as watch,
    ):
        sandbox.fail_all(429, on="LIST", times=20)
        await watch.run()

        assert kinds(sandbox) == {"LIST": 30}
        assert now() >= 1000 + 20 * 5.5
        assert_right(watch)


async def test_a_quarter_of_an_hour_of_busy_answers_stops_the_run() -> None:
    there = account(1000)
    async with FaultySandbox(there) as sandbox, looking(sandbox, every(there)) as watch:
        sandbox.fail_all(429, on="LIST")
        started = now()
        await watch.run()

        assert PATIENCE <= now() - started < PATIENCE + 10
    assert watch.client.stopped is not None
    assert set(kinds(sandbox)) == {"LIST"}


@pytest.mark.parametrize("listed", [30, 2000], ids=["one by one", "the list"])
@pytest.mark.parametrize("kind", ["refuse", 503, "hang_before"])
@pytest.mark.parametrize("concurrency", [1, 32])
async def test_an_outage_of_two_minutes_is_waited_for(
    listed: int, kind: str | int, concurrency: int
) -> None:
    there = account(4000)
    ids = list(there.licenses)[-listed:]

    def fall_over(_page: int) -> None:
        there.then = lambda _page: None
        loop = asyncio.get_running_loop()
        loop.call_soon(sandbox.outage, kind)
        loop.call_later(120, sandbox.heal)

    there.then = fall_over
    async with (
        FaultySandbox(there, latency=(0.02, 0.1)) as sandbox,
        looking(sandbox, listing(*ids), concurrency=concurrency) as watch,
    ):
        await watch.run()

        assert now() >= 1000 + 120
        assert watch.client.stopped is None
        assert not watch.look.snapshot.problems
        assert_right(watch)
        assert sandbox.requests < 40 + 2 * concurrency + 30 * 2


@pytest.mark.parametrize("listed", [30, 2000], ids=["one by one", "the list"])
async def test_fifteen_minutes_without_an_answer_stop_the_look(listed: int) -> None:
    there = account(4000)
    there.then = lambda _page: sandbox.outage(503)
    async with (
        FaultySandbox(there) as sandbox,
        looking(sandbox, listing(*list(there.licenses)[-listed:])) as watch,
    ):
        snapshot = await watch.run()

        assert watch.client.stopped is not None
        assert "15 minutes" in str(watch.client.stopped)
        assert 1000 + 900 <= now() < 1000 + 990
        assert snapshot.states.count(State.UNSEEN) == listed
        assert not snapshot.problems


@pytest.mark.parametrize(
    ("moment", "rate"), [(0.02, None), (0.3, None), (0.72, None), (2.2, (50, 5.0))]
)
@pytest.mark.parametrize(("listed", "pagination"), [(150, True), (2000, True), (2000, False)])
async def test_a_stop_leaves_the_rest_unseen_and_ends_with_what_is_in_flight(
    moment: float, rate: tuple[int, float] | None, listed: int, pagination: bool
) -> None:
    there = account(4000)
    reason = InterruptedRunError(signal.SIGINT)
    async with (
        FaultySandbox(there, latency=(0.1, 0.1), pagination=pagination) as sandbox,
        looking(
            sandbox, listing(*spread(list(there.licenses), listed)), rate=rate, concurrency=4
        ) as watch,
    ):
        asyncio.get_running_loop().call_later(moment, watch.client.stop, reason)
        snapshot = await watch.run()

        assert watch.client.stopped is reason
        assert now() <= 1000 + moment + 0.11
        assert all(entry.time <= 1000 + moment + 0.051 for entry in sandbox.log)
        assert snapshot.states.count(State.UNSEEN)
        assert not snapshot.problems
        assert_right(watch, complete=False)


async def test_a_stop_ends_a_look_at_a_server_that_does_not_answer() -> None:
    there = account(400)
    async with FaultySandbox(there) as sandbox, looking(sandbox, every(there), patience=5) as watch:
        sandbox.outage("hang_before")
        asyncio.get_running_loop().call_later(2, watch.client.stop, StoppedError("enough"))
        snapshot = await watch.run()

        assert now() <= 1000 + 5.1
        assert set(snapshot.states) == {State.UNSEEN}


async def test_a_stop_wakes_a_page_that_rests_before_its_next_attempt() -> None:
    there = account(400)
    async with FaultySandbox(there) as sandbox, looking(sandbox, every(there), seed=3) as watch:
        sandbox.fail_all(500, on="LIST")
        watch.client.jitter = lambda: 1.0
        asyncio.get_running_loop().call_later(0.5, watch.client.stop, StoppedError("enough"))
        await watch.run()

        assert now() <= 1000 + 0.51
    assert kinds(sandbox) == {"LIST": 1}


async def test_who_cancels_the_look_is_heard() -> None:
    there = account(400)
    async with (
        FaultySandbox(there, latency=(1.0, 1.0)) as sandbox,
        looking(sandbox, every(there)) as watch,
    ):
        look = asyncio.create_task(watch.look.run(watch.listing.distinct()))
        await asyncio.sleep(0.5)
        look.cancel()

        with pytest.raises(asyncio.CancelledError):
            await look


@pytest.mark.parametrize("kind", sorted(set(FAULTS) - {"not_revoked"}))
@pytest.mark.parametrize("on", ["GET", "LIST"])
async def test_whatever_an_answer_is_nothing_false_is_seen(kind: str, on: str) -> None:
    there = account(700)
    ids = (
        [*list(there.licenses)[::2], *STRANGERS[:5]]
        if on == "LIST"
        else [*list(there.licenses)[-6:], *STRANGERS[:2]]
    )
    async with (
        FaultySandbox(there, drip=1.0) as sandbox,
        looking(sandbox, listing(*ids), concurrency=4) as watch,
    ):
        sandbox.fail_all(kind, on=on, times=3)
        await watch.run()

    assert_right(watch, complete=watch.client.stopped is None)


HARMLESS = sorted(set(FAULTS) - {"not_revoked", "html_404", "redirect"})
"""Faults that neither lie about a license nor end a run."""


@pytest.mark.parametrize("seed", range(12))
async def test_all_faults_at_random_leave_nothing_false_and_nothing_out(seed: int) -> None:
    there = account(900)
    few = list(there.licenses)[-8 + seed :]
    ids = [*(few if seed % 3 == 2 else there.licenses), *STRANGERS[:10]]
    share = (0.05, 0.2, 0.5)[seed % 3]
    async with (
        FaultySandbox(
            there,
            faults=share,
            fault_kinds=HARMLESS,
            seed=seed,
            drip=1.0,
            pagination=seed % 2 == 0,
            latency=(0.01, 0.2),
        ) as sandbox,
        looking(sandbox, listing(*ids), concurrency=1 + seed, seed=seed) as watch,
    ):
        await watch.run()

        failed = sum(entry.fault != "" for entry in sandbox.log)
        assert watch.client.stopped is None
        assert watch.look.snapshot.off is None
        assert sandbox.requests <= 2 * len(ids) + 2 * failed
        assert_right(watch)


# Keys beside the IDs


@pytest.mark.parametrize(
    ("keys", "most"),
    [("right", 40), ("of others", 1050), ("none", 1050), ("half", 560), ("with commas", 1050)],
)
async def test_keys_that_stand_beside_the_ids_are_one_more_road(keys: str, most: int) -> None:
    there = account(20_000, revoked=0.3)
    found = spread(list(there), 1000)
    others = list(there)[:1000]
    beside = {
        "right": [each.key for each in found],
        "of others": [each.key for each in others],
        "none": ["unknown"] * 1000,
        "half": ["" if place % 2 else each.key for place, each in enumerate(found)],
        "with commas": [f"{each.key},x" for each in found],
    }[keys]
    wanted = replace(listing(*[each.id for each in found]), keys_beside=beside)
    async with FaultySandbox(there) as sandbox, looking(sandbox, wanted) as watch:
        snapshot = await watch.run()

    assert not snapshot.states.count(State.UNSEEN)
    assert sandbox.requests <= most
    assert_right(watch)


# Somebody in front who does not like filters


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (403, b"<html><title>Request blocked</title></html>", "text/html"),
        (400, b"<html><title>Bad request</title></html>", "text/html"),
        (403, b'{"message": "Forbidden."}', "application/json"),
        (400, b'{"message": "Unknown filter."}', "application/json"),
        (502, b"", "text/plain"),
        (200, b"<html><title>Sign in</title></html>", "text/html"),
    ],
)
async def test_filters_that_somebody_in_front_refuses_cost_requests_and_end_no_run(
    status: int, body: bytes, kind: str
) -> None:
    there = Account.generate(50_000, resellers={"R": 200})
    ids = list(query.ids(there, [("resellerId", there.resellers["R"].id)], 0))
    async with FaultySandbox(there) as sandbox, looking(sandbox, listing(*ids)) as watch:
        answer = sandbox.api

        def handle(request: Request) -> Response:
            has_filters = {name for name, _ in request.query} - {"page", "limit"}
            return Response(status, body, kind) if has_filters else answer(request)

        sandbox.api = handle
        await watch.run()

        assert watch.client.stopped is None
        assert not watch.look.snapshot.problems
        assert_right(watch)
        assert sandbox.requests <= len(ids) + 0.05 * len(ids) + 12 + 10
