"""Licenses that are listed by key: what is asked, which answer is whose, and what is believed."""

from __future__ import annotations

import asyncio
from array import array
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING
from urllib.parse import quote
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch.api.client import filter_query
from batch.errors import RejectedError, StoppedError
from batch.input.identifiers import LONGEST_KEY, first_keys, parse_key
from batch.job.key_lookup import LONGEST_QUERY, KeyAnswers, batches, cannot_ask
from batch.job.snapshot import FEWEST, SAMPLE, Snapshot, State
from batch.model import ID_BYTES, License, Listing, Outcome, Page, RowResult
from batch.sandbox import Account, SandboxLicense, api
from batch.sandbox.query import OPERATORS, select
from tests.support.builders import calm
from tests.support.faulty_sandbox import FaultySandbox
from tests.support.job_harness import Watch, kinds, looking, some_ids
from tests.support.virtual_time import now

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence

PAGE = 100


def keyed(*keys: str) -> Listing:
    """A listing with one row for each key."""
    return Listing(
        title="keys.csv",
        rows=array("I", range(2, 2 + len(keys))),
        ids=bytes(ID_BYTES * len(keys)),
        first=first_keys(list(keys), {}),
        keys=list(keys),
    )


def account(*keys: str) -> Account:
    """An account with one license for each key, repeated ones included."""
    there, spare = Account.holding_keys(keys), iter(Account.generate(len(keys), seed=7))
    for at, key in enumerate(keys):
        if key in keys[:at]:
            there.add(replace(next(spare), key=key))
    return there


def found(snapshot: Snapshot, entry: int) -> str:
    return str(UUID(bytes=bytes(snapshot.ids[ID_BYTES * entry : ID_BYTES * (entry + 1)])))


def assert_right(watch: Watch) -> None:
    """Every key stands for its own license, as the account holds it; nothing is changed."""
    snapshot, there = watch.look.snapshot, watch.sandbox.account
    for entry in watch.listing.distinct():
        theirs = there.with_keys([watch.listing.keys[entry]])
        if snapshot.states[entry] in {State.OFF, State.ON}:
            assert [license_.id for license_ in theirs] == [found(snapshot, entry)]
            assert snapshot.value(entry) is theirs[0].revoked
            assert snapshot.product(entry) == theirs[0].product.id
            assert entry not in snapshot.problems
        else:
            assert not any(snapshot.ids[ID_BYTES * entry : ID_BYTES * (entry + 1)])
        if snapshot.states[entry] == State.MISSING:
            assert not theirs
            assert snapshot.problems[entry].error_code == "key_not_found"
    assert set(kinds(watch.sandbox)) <= {"LIST"}


# What fits into one request

short = st.text("aB1-", min_size=1, max_size=8)
any_key = st.text(min_size=1, max_size=LONGEST_KEY).map(parse_key).filter(bool)


@calm
@given(
    st.lists(short | any_key | st.sampled_from(["a,b", "x,", ",", "é" * 600])), st.integers(1, 12)
)
def test_every_key_is_asked_for_once_in_requests_that_a_url_holds(
    keys: list[str], most: int
) -> None:
    askable = [entry for entry, key in enumerate(keys) if not cannot_ask(key)]

    requests = list(batches(keys, askable, most))

    assert sorted(entry for request in requests for entry in request) == askable
    for request in requests:
        assert 1 <= len(request) <= most
        lookup = KeyAnswers([keys[entry] for entry in request])
        assert len(filter_query(lookup.filters())) <= LONGEST_QUERY + len("&key%5Bin%5D=")
        assert len(request) == 1 or not any("," in keys[entry] for entry in request)


@calm
@given(st.lists(short, min_size=2))
def test_no_request_is_begun_before_the_one_before_it_is_full(keys: list[str]) -> None:
    requests = list(batches(keys, range(len(keys)), 3))

    assert all(len(request) == 3 for request, _ in pairwise(requests))


def test_a_request_is_full_when_the_url_is() -> None:
    keys = ["é" * 100] * 21

    requests = list(batches(keys, range(len(keys)), PAGE))

    assert [len(request) for request in requests] == [9, 9, 3]
    assert 10 * (len(quote(keys[0])) + 1) > LONGEST_QUERY


def test_a_request_may_be_filled_to_the_last_byte() -> None:
    keys = ["x" * 59] * (LONGEST_QUERY // 60)

    assert len(list(batches(keys, range(len(keys)), 1000))) == 1
    assert len(list(batches([*keys[1:], "x" * 60], range(len(keys)), 1000))) == 2


def test_a_key_may_take_all_of_the_url_that_there_is() -> None:
    longest = "x" * LONGEST_QUERY

    assert cannot_ask(longest) == ""
    assert list(batches([longest, "a"], range(2), PAGE)) == [[0], [1]]
    assert "bytes" in cannot_ask(longest + "x")
    assert "bytes" in cannot_ask("é" * (LONGEST_QUERY // 6 + 1))


@pytest.mark.parametrize("key", [",", ",,,", ", ,", ",\u3000,"])
def test_a_key_of_nothing_but_commas_would_match_every_license(key: str) -> None:
    assert "commas" in cannot_ask(key)


# Which answer is whose


def license_for(key: str, license_id: str = some_ids(1)[0]) -> License:
    return License(license_id, False, key=key)


def test_only_a_license_with_the_very_key_is_found() -> None:
    lookup = KeyAnswers(["abc", "DEF", "ghi"])

    lookup.add([license_for("abc"), license_for("def")])

    assert lookup.found("abc") == license_for("abc")
    assert lookup.found("DEF") == RowResult(
        Outcome.FAILED,
        error_code="key_ambiguous",
        error="a license has this key but for upper and lower case",
    )
    assert lookup.found("ghi") == RowResult(
        Outcome.NOT_FOUND,
        error_code="key_not_found",
        error="no license in this account has this key",
    )


@pytest.mark.parametrize("there", ["abc", "ABC", "aBc"])
def test_a_key_that_differs_in_case_is_ambiguous_whatever_else_is_asked_for(there: str) -> None:
    lookup = KeyAnswers(["abc", "ABC"])

    lookup.add([license_for(there)])

    for key in ("abc", "ABC"):
        answer = lookup.found(key)
        if key == there:
            assert answer == license_for(key)
        else:
            assert isinstance(answer, RowResult)
            assert (answer.outcome, answer.error_code) == (Outcome.FAILED, "key_ambiguous")


def test_a_key_that_licenses_share_names_them() -> None:
    one, two = sorted(some_ids(2))
    lookup = KeyAnswers(["k"])

    lookup.add([license_for("k", two), license_for("k", one)])

    assert lookup.found("k") == RowResult(
        Outcome.FAILED,
        error_code="key_ambiguous",
        error=f"2 licenses have this key: {one}, {two}",
    )


def test_a_license_that_comes_twice_is_one_and_its_last_state_counts() -> None:
    lookup = KeyAnswers(["k"])

    assert lookup.add([license_for("k")])
    assert not lookup.add([replace(license_for("k"), revoked=True)])

    assert lookup.found("k") == replace(license_for("k"), revoked=True)


@pytest.mark.parametrize("key", ["", "ab", "abcd", "a,b", "ab\u0301c"])
def test_a_license_that_nobody_asked_for_is_no_answer(key: str) -> None:
    lookup = KeyAnswers(["abc"])

    with pytest.raises(
        StoppedError, match=f"license {some_ids(1)[0]}, which was not asked for"
    ) as e:
        lookup.add([license_for("abc", some_ids(2)[1]), license_for(key)])

    assert "by their IDs" in e.value.hint


# Against a server


async def test_three_thousand_keys_take_thirty_one_requests() -> None:
    there = Account.generate(4000)
    keys = [license_.key for license_ in there][:3000]
    async with FaultySandbox(there) as sandbox, looking(sandbox, keyed(*keys)) as watch:
        snapshot = await watch.run()

    assert kinds(sandbox) == {"LIST": 31}
    assert not snapshot.problems
    assert not snapshot.states.count(State.UNSEEN)
    assert watch.expected == [31]
    assert watch.steps == 31
    assert_right(watch)


STRANGE = ["a b", "50%", "%41", "1+1", "a&limit=1", "a=b", "#1", "a/b?c", "é", "日本", "🗝", "a;b",
           'a"b', "[in]", "'", "\\", "key[in]=", "a%2Cb", "…", "x y", "-"]  # fmt: skip
COMMAS = ["a,b", "a,", ",a", "1,000,000"]


@pytest.mark.parametrize("pagination", [True, False])
async def test_every_key_finds_its_license_whatever_it_is_made_of(pagination: bool) -> None:
    there = account("a", "b", "1", "000", "A", "50", *STRANGE, *COMMAS)
    async with (
        FaultySandbox(there, pagination=pagination) as sandbox,
        looking(sandbox, keyed(*STRANGE, *COMMAS)) as watch,
    ):
        snapshot = await watch.run()

    assert kinds(sandbox) == {"LIST": 1 + len(COMMAS)}
    assert not snapshot.problems
    assert not snapshot.states.count(State.UNSEEN)
    assert_right(watch)


async def test_a_key_with_a_comma_is_asked_for_alone_and_as_one() -> None:
    there = account("a", "b", "c", "d")
    async with FaultySandbox(there) as sandbox, looking(sandbox, keyed("c", "a,b", "d")) as watch:
        snapshot = await watch.run()

    assert kinds(sandbox) == {"LIST": 2}
    assert list(snapshot.problems) == [1]
    assert snapshot.problems[1].error_code == "key_not_found"
    assert_right(watch)


async def test_a_key_that_no_request_can_ask_for_fails_and_sends_nothing() -> None:
    there = account("a", "b")
    keys = [",", ", ,", "日" * LONGEST_KEY, "🗝" * LONGEST_KEY]
    async with FaultySandbox(there) as sandbox, looking(sandbox, keyed(*keys)) as watch:
        snapshot = await watch.run()

    assert sandbox.requests == 0
    assert list(snapshot.states) == [State.UNREAD] * 4
    assert {result.outcome for result in snapshot.problems.values()} == {Outcome.FAILED}
    assert "commas" in snapshot.problems[1].error
    assert "bytes" in snapshot.problems[3].error
    assert watch.expected == [0]


async def test_no_keys_send_nothing() -> None:
    async with FaultySandbox(account("a")) as sandbox, looking(sandbox, keyed("a")) as watch:
        snapshot = await watch.look.run([])

    assert sandbox.requests == 0
    assert snapshot.looked


async def test_a_repeated_key_is_asked_for_once() -> None:
    there = account("a", "b")
    async with (
        FaultySandbox(there) as sandbox,
        looking(sandbox, keyed("a", "b", "a", "a")) as watch,
    ):
        snapshot = await watch.run()

    assert kinds(sandbox) == {"LIST": 1}
    assert list(snapshot.states[2:]) == [State.UNSEEN] * 2
    assert_right(watch)


async def test_a_key_that_differs_in_case_alone_finds_nothing() -> None:
    there = account("Key-1", "key-2")
    async with (
        FaultySandbox(there) as sandbox,
        looking(sandbox, keyed("key-1", "KEY-2", "key-2", "other")) as watch,
    ):
        snapshot = await watch.run()

    assert (snapshot.states[0], snapshot.states[3]) == (State.MISSING, State.MISSING)
    assert found(snapshot, 2) == there.with_keys(["key-2"])[0].id
    assert snapshot.problems[1].error_code == "key_ambiguous"


class Loose(Account):
    """An account whose server compares keys as many databases do: without regard to case."""

    def with_keys(self, keys: Iterable[str]) -> list[SandboxLicense]:
        wanted = {key.casefold() for key in keys}
        return [license_ for license_ in self if license_.key.casefold() in wanted]


@pytest.fixture
def _case_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(OPERATORS, "eq", lambda actual, value: actual.lower() == value.lower())
    monkeypatch.setitem(
        OPERATORS, "in", lambda actual, value: actual.lower() in value.lower().split(",")
    )


@pytest.mark.usefixtures("_case_does_not_matter")
@pytest.mark.parametrize("apart", [False, True], ids=["one request", "one request each"])
async def test_where_the_server_does_not_compare_exactly_the_look_does(apart: bool) -> None:
    there = Loose([*account("AbC", "x", "X", "d,E")])
    keys = ["abc", "ABC", "AbC", "x", "X", "D,E"]
    async with FaultySandbox(there) as sandbox, looking(sandbox, keyed(*keys)) as watch:
        if apart:
            for entry in range(len(keys)):
                await watch.look.run([entry])
        else:
            await watch.run()
        snapshot = watch.look.snapshot

    assert sorted(snapshot.problems) == [0, 1, 5]
    assert {snapshot.states[entry] for entry in snapshot.problems} == {State.UNREAD}
    assert {result.error_code for result in snapshot.problems.values()} == {"key_ambiguous"}
    assert {result.outcome for result in snapshot.problems.values()} == {Outcome.FAILED}
    for entry in (2, 3, 4):
        assert found(snapshot, entry) == next(each.id for each in there if each.key == keys[entry])


async def test_a_key_that_licenses_share_is_nobodys() -> None:
    there = account("a", "b", "b", "b", "c")
    async with FaultySandbox(there) as sandbox, looking(sandbox, keyed("a", "b", "c")) as watch:
        snapshot = await watch.run()

    assert list(snapshot.problems) == [1]
    assert snapshot.states[1] == State.UNREAD
    assert snapshot.problems[1].error_code == "key_ambiguous"
    assert snapshot.problems[1].error.startswith("3 licenses have this key: ")
    assert kinds(sandbox) == {"LIST": 1}
    assert_right(watch)


@pytest.mark.parametrize("pagination", [True, False])
async def test_all_pages_of_an_answer_are_read(pagination: bool) -> None:
    there = account(*["a"] * 60, "b", *["c"] * 70, "d", *["e"] * 99)
    async with (
        FaultySandbox(there, pagination=pagination) as sandbox,
        looking(sandbox, keyed("a", "b", "c", "d", "e", "f")) as watch,
    ):
        snapshot = await watch.run()

    assert sorted(snapshot.problems) == [0, 2, 4, 5]
    assert [snapshot.problems[entry].error.split(":")[0] for entry in (0, 2, 4)] == [
        "60 licenses have this key", "70 licenses have this key", "99 licenses have this key",
    ]  # fmt: skip
    assert snapshot.states[5] == State.MISSING
    # Halved until an answer does not fill its page: 6 keys, 3 and 3, 2 and 1 twice, 1 and 1.
    assert kinds(sandbox) == {"LIST": 1 + 2 + 4 + 2}
    assert_right(watch)


async def test_one_key_that_two_licenses_share_has_its_request_sent_in_halves() -> None:
    keys = [f"key-{number}" for number in range(99)]
    there = account(*keys, keys[50])
    async with FaultySandbox(there) as sandbox, looking(sandbox, keyed(*keys)) as watch:
        snapshot = await watch.run()

    assert list(snapshot.problems) == [50]
    assert kinds(sandbox) == {"LIST": 1 + 2}
    assert watch.expected == [1, 1 + 2]
    assert_right(watch)


async def test_a_key_that_hundreds_share_takes_all_of_their_pages() -> None:
    there = account(*["a"] * 250)
    async with FaultySandbox(there) as sandbox, looking(sandbox, keyed("a")) as watch:
        snapshot = await watch.run()

    assert kinds(sandbox) == {"LIST": 3}
    assert snapshot.problems[0].error.startswith("250 licenses have this key")


# What did not come back


def numbered(count: int) -> list[str]:
    return [f"key-{number:04}" for number in range(count)]


def cost(keys: int, page: int) -> int:
    """Requests for so many keys where a page is known to hold so many licenses."""
    return -(-keys // max(1, page - 1))


@pytest.mark.parametrize("pagination", [True, False])
async def test_a_key_that_nobody_has_costs_one_request_more(pagination: bool) -> None:
    keys, strangers = numbered(300), [f"nobody-{number}" for number in range(40)]
    there = account(*keys)
    mixed = [*strangers[:25], *keys, *strangers[25:]]
    async with (
        FaultySandbox(there, pagination=pagination) as sandbox,
        looking(sandbox, keyed(*mixed)) as watch,
    ):
        snapshot = await watch.run()

    assert kinds(sandbox) == {"LIST": cost(340, PAGE) + 40}
    assert snapshot.states.count(State.MISSING) == 40
    assert watch.expected[0] == cost(340, PAGE)
    assert watch.expected[-1] == watch.steps == sandbox.requests
    assert_right(watch)


async def test_a_key_that_was_alone_in_its_request_is_not_asked_for_again() -> None:
    there = account("a", "b")
    for keys in (["nobody's"], ["a,b"]):
        async with FaultySandbox(there) as sandbox, looking(sandbox, keyed(*keys)) as watch:
            snapshot = await watch.run()

        assert kinds(sandbox) == {"LIST": 1}
        assert snapshot.problems[0].error_code == "key_not_found"


async def test_where_no_key_comes_back_a_few_are_asked_for_alone_and_no_more() -> None:
    keys = numbered(5000)
    async with (
        FaultySandbox(account("another")) as sandbox,
        looking(sandbox, keyed(*keys)) as watch,
    ):
        watch.look.needs_each = False

        snapshot = await watch.run()

    missing = [entry for entry, state in enumerate(snapshot.states) if state == State.MISSING]
    assert 10 <= len(missing) <= SAMPLE
    assert missing[0] < 500  # from all over the list
    assert missing[-1] > 4500
    assert sandbox.requests == cost(5000, PAGE) + len(missing) == watch.expected[-1]


@pytest.mark.parametrize("count", [4, 5, 21, 150])
async def test_where_one_key_comes_back_all_others_are_asked_for(count: int) -> None:
    keys = numbered(count)
    async with (
        FaultySandbox(account("another", keys[-1])) as sandbox,
        looking(sandbox, keyed(*keys)) as watch,
    ):
        watch.look.needs_each = False

        snapshot = await watch.run()

    assert snapshot.states.count(State.MISSING) == count - 1


@pytest.mark.parametrize("strangers", [4, 150])
async def test_where_it_cannot_be_told_that_none_is_known_all_are_asked_for(strangers: int) -> None:
    keys = numbered(strangers)
    async with (
        FaultySandbox(account("another")) as sandbox,
        looking(sandbox, keyed(*keys), max_attempts=1) as watch,
    ):
        watch.look.needs_each = False
        if strangers > FEWEST:
            watch.client.api.list = failing_where_alone(watch.client.api.list)  # type: ignore[assignment,method-assign]

        snapshot = await watch.run()

    assert not snapshot.states.count(State.UNSEEN)


def failing_where_alone(
    lists: Callable[..., Awaitable[Page]],
) -> Callable[..., Awaitable[Page]]:
    """A list that refuses a filter for one key."""

    def listed(filters: dict[str, Sequence[str]], *, page: int) -> Awaitable[Page]:
        if "key[eq]" in filters:
            raise RejectedError("HTTP 400", status=400, code="http_400")
        return lists(filters, page=page)

    return listed


@pytest.mark.parametrize("pagination", [True, False])
@pytest.mark.parametrize("limit", [98, 50, 20, 7, 3, 2, 1])
@pytest.mark.parametrize("concurrency", [1, 8])
async def test_where_pages_are_shorter_than_asked_for_every_key_is_found(
    pagination: bool, limit: int, concurrency: int
) -> None:
    keys = numbered(600)
    async with (
        FaultySandbox(account(*keys), pagination=pagination, page_limit=limit) as sandbox,
        looking(sandbox, keyed(*keys), concurrency=concurrency) as watch,
    ):
        snapshot = await watch.run()

    assert not snapshot.problems
    assert not snapshot.states.count(State.UNSEEN)
    assert watch.expected[-1] == watch.steps == sandbox.requests
    assert_right(watch)
    # What was in flight before it was known, each with a second request, and what then is needed.
    wasted = 2 * min(concurrency, cost(600, PAGE))
    pages = 2 if limit == 1 else 1  # a page of one license shows no end
    assert sandbox.requests <= wasted + pages * (cost(600, limit) + wasted)


async def test_the_page_size_is_learned_once() -> None:
    keys = numbered(3000)
    async with (
        FaultySandbox(account(*keys), page_limit=50) as sandbox,
        looking(sandbox, keyed(*keys), concurrency=1) as watch,
    ):
        await watch.run()

    assert kinds(sandbox) == {"LIST": 2 + cost(3000, 50)}
    assert watch.expected == [31, 32, 2 + cost(3000, 50)]


async def test_where_the_size_is_not_told_one_key_that_is_there_shows_that_pages_are_short() -> (
    None
):
    keys = numbered(3000)
    async with (
        FaultySandbox(account(*keys), page_limit=50, pagination=False) as sandbox,
        looking(sandbox, keyed(*keys), concurrency=1) as watch,
    ):
        await watch.run()

    assert kinds(sandbox) == {"LIST": 2 + cost(2999, 50)}
    assert watch.expected[-1] == watch.steps


@pytest.mark.parametrize("pagination", [True, False])
async def test_a_key_that_licenses_share_is_nobodys_where_pages_are_short(
    pagination: bool,
) -> None:
    keys = numbered(30)
    there = account(*keys, keys[0], keys[29])
    async with (
        FaultySandbox(there, pagination=pagination, page_limit=10) as sandbox,
        looking(sandbox, keyed(*keys)) as watch,
    ):
        snapshot = await watch.run()

    assert sorted(snapshot.problems) == [0, 29]
    assert {result.error_code for result in snapshot.problems.values()} == {"key_ambiguous"}
    assert_right(watch)


@pytest.mark.parametrize("said", ["0", "-7", "many", "500", "99999"])
async def test_a_count_that_is_not_true_costs_requests_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    def lying(
        there: Account, query: Collection[tuple[str, str]], ticks: int
    ) -> tuple[list[SandboxLicense], dict[str, str]]:
        return select(there, query, ticks)[0], {"Pagination-Count": said}

    monkeypatch.setattr(api, "select", lying)
    keys = numbered(300)
    async with FaultySandbox(account(*keys)) as sandbox, looking(sandbox, keyed(*keys)) as watch:
        snapshot = await watch.run()

    assert not snapshot.problems
    assert sandbox.requests <= 2 * cost(300, PAGE)
    assert watch.expected[-1] == watch.steps
    assert_right(watch)


async def test_a_license_that_is_counted_and_not_shown_is_not_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(api, "select", lambda there, query, now: ([], select(there, query, now)[1]))
    there = account("a", "b")
    async with FaultySandbox(there) as sandbox, looking(sandbox, keyed("a", "b", "c")) as watch:
        snapshot = await watch.run()

    assert list(snapshot.states) == [State.UNREAD, State.UNREAD, State.MISSING]
    assert snapshot.problems[0] == RowResult(
        Outcome.FAILED,
        error_code="bad_body",
        error="the server counts licenses with this key, and shows none",
    )


async def test_a_key_that_is_found_only_alone_does_not_make_every_request_small(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def blind(
        there: Account, query: Collection[tuple[str, str]], ticks: int
    ) -> tuple[list[SandboxLicense], dict[str, str]]:
        licenses, headers = select(there, query, ticks)
        together = any("," in value for _, value in query)
        return [each for each in licenses if not (together and each.key == keys[150])], headers

    keys = numbered(990)
    monkeypatch.setattr(api, "select", blind)
    async with (
        FaultySandbox(account(*keys), pagination=False) as sandbox,
        looking(sandbox, keyed(*keys), concurrency=1) as watch,
    ):
        snapshot = await watch.run()

    assert not snapshot.problems
    assert kinds(sandbox) == {"LIST": cost(990, PAGE) + 1}
    assert_right(watch)


async def test_where_nothing_is_found_for_several_keys_each_is_asked_for_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(OPERATORS, "in", lambda _actual, _value: False)
    keys = numbered(300)
    async with (
        FaultySandbox(account(*keys)) as sandbox,
        looking(sandbox, keyed(*keys), concurrency=1) as watch,
    ):
        snapshot = await watch.run()

    assert not snapshot.problems
    assert kinds(sandbox) == {"LIST": cost(300, PAGE) + 300}
    assert_right(watch)


async def test_a_lone_key_that_cannot_be_looked_up_fails_and_no_other() -> None:
    keys = numbered(50)
    async with (
        FaultySandbox(account(*keys[1:])) as sandbox,
        looking(sandbox, keyed(*keys), concurrency=1) as watch,
    ):
        watch.look.step = lambda: sandbox.fail_all(422, times=1, on="LIST")
        snapshot = await watch.run()

    assert watch.client.stopped is None
    assert list(snapshot.problems) == [0]
    assert snapshot.states[0] == State.UNREAD
    assert snapshot.problems[0].error.startswith("its key cannot be looked up: HTTP 422")
    assert_right(watch)


async def test_a_key_of_which_only_the_first_page_can_be_read_cannot_be_looked_up() -> None:
    async with (
        FaultySandbox(account(*["a"] * 150)) as sandbox,
        looking(sandbox, keyed("a")) as watch,
    ):
        watch.look.step = lambda: sandbox.fail_all(422, times=1, on="LIST")
        snapshot = await watch.run()

    assert watch.client.stopped is None
    assert kinds(sandbox) == {"LIST": 2}
    assert snapshot.problems[0].error.startswith("its key cannot be looked up: HTTP 422")


async def test_a_license_that_appears_meanwhile_on_a_page_that_had_room_is_no_sign_of_a_cut() -> (
    None
):
    keys = numbered(250)
    there, late = account(*keys[:-1]), account(keys[-1])
    async with (
        FaultySandbox(there) as sandbox,
        looking(sandbox, keyed(*keys), concurrency=1) as watch,
    ):

        def created_after_the_third_page() -> None:
            if kinds(sandbox) == {"LIST": 3}:
                there.add(next(iter(late)))

        watch.look.step = created_after_the_third_page
        await watch.run()

    assert kinds(sandbox) == {"LIST": 4}
    assert_right(watch)


@pytest.mark.parametrize("pagination", [True, False])
async def test_all_licenses_of_one_key_are_counted_also_where_their_number_is_not_told(
    pagination: bool,
) -> None:
    async with (
        FaultySandbox(account(*["a"] * 150), pagination=pagination) as sandbox,
        looking(sandbox, keyed("a")) as watch,
    ):
        snapshot = await watch.run()

    assert kinds(sandbox) == {"LIST": 2}
    assert "150 licenses" in snapshot.problems[0].error


async def test_a_stop_leaves_what_was_in_doubt_unseen() -> None:
    keys = numbered(60)
    async with (
        FaultySandbox(account(*keys[30:]), latency=(0.1, 0.1)) as sandbox,
        looking(sandbox, keyed(*keys)) as watch,
    ):
        asyncio.get_running_loop().call_later(0.55, watch.client.stop, StoppedError("enough"))
        snapshot = await watch.run()

    assert snapshot.states.count(State.MISSING) == 5
    assert snapshot.states.count(State.UNSEEN) == 55
    assert_right(watch)


few_keys = st.lists(st.sampled_from([f"{letter}{number}" for letter in "aAb" for number in "0123"]))


@calm
@given(
    held=few_keys,
    wanted=few_keys,
    limit=st.integers(1, 8),
    size=st.integers(2, 8),
    pagination=st.booleans(),
    concurrency=st.integers(1, 3),
)
async def test_whatever_a_page_holds_each_key_ends_as_the_account_has_it(
    held: list[str],
    wanted: list[str],
    limit: int,
    size: int,
    pagination: bool,
    concurrency: int,
) -> None:
    # Without a count, a page that is cut hides the second license of a key that came back: a server
    # that does not tell either cannot be seen through where nothing else is missing.
    if not pagination and limit < size:
        held = list(dict.fromkeys(held))
    there = account(*held)
    async with (
        FaultySandbox(there, pagination=pagination, page_limit=min(limit, size)) as sandbox,
        looking(sandbox, keyed(*wanted), concurrency=concurrency) as watch,
    ):
        watch.look.page_size = size
        snapshot = await watch.run()

    def alike(entry: int) -> bool:
        other = wanted[entry].swapcase()
        return other in held and other in wanted

    for entry in watch.listing.distinct():
        theirs = held.count(wanted[entry])
        if theirs == 1:
            assert snapshot.states[entry] in {State.OFF, State.ON}
        elif theirs:
            assert snapshot.problems[entry].error_code == "key_ambiguous"
            assert snapshot.problems[entry].error.startswith(f"{theirs} licenses")
        else:
            # It depends on what else was in its request whether one that differs in case came.
            code = snapshot.problems[entry].error_code
            assert code == "key_not_found" or (code == "key_ambiguous" and alike(entry))
    assert watch.expected[-1] == watch.steps == sandbox.requests
    assert_right(watch)


class Shifting(Account):
    """An account that loses its first license each time that keys are looked up."""

    def with_keys(self, keys: Iterable[str]) -> list[SandboxLicense]:
        found = super().with_keys(keys)
        if len(self) > 5:
            self.remove(next(iter(self)).id)
        return found


@pytest.mark.parametrize("keys", ["ab", "abc"])
async def test_a_license_that_slips_from_one_page_to_the_one_before_is_not_missed(
    keys: str,
) -> None:
    there = Shifting(sorted(account(*["a"] * 99, *keys), key=lambda license_: license_.key))
    async with FaultySandbox(there) as sandbox, looking(sandbox, keyed(*keys)) as watch:
        snapshot = await watch.run()

    assert list(snapshot.problems) == [0]
    for entry, key in enumerate(keys[1:], 1):
        assert found(snapshot, entry) == next(each.id for each in there if each.key == key)


def everything(
    account: Account, query: Collection[tuple[str, str]], now: int
) -> tuple[list[SandboxLicense], dict[str, str]]:
    """What a server lists that does not know the filter."""
    return select(account, [(name, value) for name, value in query if "key" not in name], now)


@pytest.mark.parametrize("concurrency", [1, 4])
async def test_a_server_that_ignores_the_filter_stops_the_run(
    monkeypatch: pytest.MonkeyPatch, concurrency: int
) -> None:
    monkeypatch.setattr(api, "select", everything)
    there = Account.generate(2000)
    keys = [license_.key for license_ in there][:1000]
    async with (
        FaultySandbox(there, latency=(0.1, 0.1)) as sandbox,
        looking(sandbox, keyed(*keys), concurrency=concurrency) as watch,
    ):
        snapshot = await watch.run()

    assert isinstance(watch.client.stopped, StoppedError)
    assert "not asked for" in str(watch.client.stopped)
    assert kinds(sandbox) == {"LIST": concurrency}
    assert not snapshot.problems
    assert not any(snapshot.ids)


async def test_a_server_that_ignores_the_page_stops_the_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        api, "select", lambda there, query, now: select(there, [*query, ("page", "1")], now)
    )
    there = account(*["a"] * 150)
    async with FaultySandbox(there) as sandbox, looking(sandbox, keyed("a")) as watch:
        snapshot = await watch.run()

    assert watch.client.stopped is not None
    assert "repeats" in str(watch.client.stopped)
    assert kinds(sandbox) == {"LIST": 2}
    assert set(snapshot.states) == {State.UNSEEN}


@pytest.mark.parametrize(
    ("kind", "requests", "code"),
    [(500, 5, "INTERNAL_SERVER_ERROR"), ("not_json", 5, "bad_body"), (400, 1, "BAD_REQUEST"),
     (404, 1, "NOT_FOUND"), (405, 1, "METHOD_NOT_ALLOWED")],
)  # fmt: skip
async def test_keys_that_cannot_be_looked_up_fail(
    kind: str | int, requests: int, code: str
) -> None:
    async with (
        FaultySandbox(account("a", "b")) as sandbox,
        looking(sandbox, keyed("a", "b")) as watch,
    ):
        sandbox.fail_all(kind, on="LIST")
        snapshot = await watch.run()

    assert kinds(sandbox) == {"LIST": requests}
    assert (watch.client.stopped is not None) is (kind == "not_json")  # that shows no API
    assert snapshot.off is None
    assert list(snapshot.states) == [State.UNREAD] * 2
    for entry in (0, 1):
        assert snapshot.problems[entry].outcome is Outcome.FAILED
        assert snapshot.problems[entry].error_code == code
        assert snapshot.problems[entry].error.startswith("its key cannot be looked up: HTTP ")


async def test_keys_that_cannot_be_looked_up_hold_up_no_others() -> None:
    keys = [f"{number:03}" for number in range(250)]
    async with (
        FaultySandbox(account(*keys)) as sandbox,
        looking(sandbox, keyed(*keys), concurrency=1) as watch,
    ):
        sandbox.fail_all(422, times=1, on="LIST")
        snapshot = await watch.run()

    assert kinds(sandbox) == {"LIST": 3}
    assert snapshot.states.count(State.UNREAD) == 99
    assert_right(watch)


async def test_a_token_that_may_not_read_turns_the_look_off() -> None:
    keys = [f"{number:04}" for number in range(2000)]
    async with (
        FaultySandbox(account(*keys), tokens={"w": frozenset({"license:write"})}) as sandbox,
        looking(sandbox, keyed(*keys), token="w", concurrency=2) as watch,
    ):
        snapshot = await watch.run()

    assert kinds(sandbox) == {"LIST": 2}
    assert str(snapshot.off) == "HTTP 403: Access token lacks the scope license:read."
    assert watch.client.stopped is None


async def test_a_403_after_another_answer_is_about_some_keys_alone() -> None:
    keys = [f"{number:03}" for number in range(250)]
    async with (
        FaultySandbox(account(*keys), latency=(0.1, 0.1)) as sandbox,
        looking(sandbox, keyed(*keys), concurrency=1) as watch,
    ):
        asyncio.get_running_loop().call_later(0.12, lambda: sandbox.fail_all(403, times=1))
        snapshot = await watch.run()

    assert snapshot.off is None
    assert snapshot.states.count(State.UNREAD) == 99
    assert_right(watch)


async def test_a_token_that_is_refused_stops_the_look() -> None:
    keys = [f"{number:04}" for number in range(2000)]
    async with (
        FaultySandbox(account(*keys)) as sandbox,
        looking(sandbox, keyed(*keys), token="wrong", concurrency=2) as watch,
    ):
        snapshot = await watch.run()

    assert watch.client.stopped is not None
    assert "token" in str(watch.client.stopped)
    assert kinds(sandbox) == {"LIST": 2}
    assert set(snapshot.states) == {State.UNSEEN}


async def test_an_outage_is_waited_for() -> None:
    keys = [f"{number:04}" for number in range(2000)]
    async with FaultySandbox(account(*keys)) as sandbox, looking(sandbox, keyed(*keys)) as watch:
        sandbox.outage(503)
        asyncio.get_running_loop().call_later(90, sandbox.heal)
        snapshot = await watch.run()

        assert now() >= 1090
        assert not snapshot.problems
        assert_right(watch)


async def test_a_stop_leaves_the_rest_unseen() -> None:
    keys = [f"{number:04}" for number in range(2000)]
    async with (
        FaultySandbox(account(*keys), latency=(0.1, 0.1)) as sandbox,
        looking(sandbox, keyed(*keys), concurrency=2) as watch,
    ):
        asyncio.get_running_loop().call_later(0.25, watch.client.stop, StoppedError("enough"))
        snapshot = await watch.run()

        assert now() <= 1000.31
    assert snapshot.states.count(State.UNSEEN) == 2000 - 6 * 99
    assert not snapshot.problems
    assert_right(watch)


SURVIVED = ["500", "503", "429", "503_retry_after", "html_502", "html_200", "reset_before",
            "hang_before", "truncated", "slow_drip", "endless", "huge", "bad_gzip", "not_json",
            "empty_200", "204", "list", "revoked_as_text"]  # fmt: skip


@pytest.mark.parametrize("seed", range(4))
async def test_all_faults_at_random_leave_nothing_false_and_nothing_out(seed: int) -> None:
    there = Account.generate(1500, seed=seed)
    keys = [license_.key for license_ in there][::2]
    keys += ["nobody's", "a,b", ","]
    async with (
        FaultySandbox(there, faults=0.3, fault_kinds=SURVIVED, seed=seed, drip=1.0) as sandbox,
        looking(sandbox, keyed(*keys), concurrency=1 + seed, seed=seed) as watch,
    ):
        snapshot = await watch.run()

    assert watch.client.stopped is None
    assert not snapshot.states.count(State.UNSEEN)
    assert {result.outcome for result in snapshot.problems.values()} <= {
        Outcome.FAILED, Outcome.NOT_FOUND,
    }  # fmt: skip
    assert_right(watch)


async def test_where_no_key_can_be_asked_for_nothing_is_said_of_the_api() -> None:
    sandbox = FaultySandbox(account())
    async with sandbox, looking(sandbox, keyed(",,")) as watch:
        snapshot = await watch.run()

        assert watch.client.stopped is None
        assert snapshot.problems[0].outcome is Outcome.FAILED
        assert not sandbox.log
