"""Lists that show the licenses of a look: what they may cost, and that nothing is inferred."""

from __future__ import annotations

import asyncio
import tracemalloc
from dataclasses import dataclass
from itertools import pairwise
from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch.errors import ApiError, RejectedError, TransientError
from batch.job.list_lookup import SLACK, SLACK_SHARE, spread
from batch.job.look import LARGE_SAMPLE
from batch.job.snapshot import SAMPLE, State
from batch.model import Outcome, Page, Property
from tests.support.builders import calm
from tests.support.job_harness import some_ids
from tests.support.model_api import TICKS, YEAR, ModelAccount, ModelApi, Uncounted, look_at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from batch.model import License
    from tests.support.model_api import ModelLook


def refusal(status: int) -> ApiError:
    """The error of an answer with this status."""
    kind = TransientError if status >= 500 else RejectedError
    return kind(f"HTTP {status}", status=status, code=f"CODE_{status}")


LARGE = 500_000
"""Licenses of a large account."""

HOUR = 3600 * TICKS


def ids_of(account: ModelAccount, positions: Iterable[int], random: Random) -> list[str]:
    """The IDs of licenses, in no order."""
    ids = [account.id(position) for position in positions]
    random.shuffle(ids)
    return ids


def bound(count: int) -> float:
    """Requests that so many licenses may take at most, whatever the server does."""
    return count + SLACK_SHARE * count + SLACK


def assert_true(watch: ModelLook) -> None:
    """All was found as the account has it; what it does not have is missing."""
    account, snapshot = watch.api.account, watch.snapshot
    for entry in watch.listing.distinct():
        position = account.find(watch.listing.license_id(entry))
        if position is None:
            assert snapshot.states[entry] == State.MISSING
            assert snapshot.problems[entry].outcome is Outcome.NOT_FOUND
        else:
            held = account.license(position)
            assert snapshot.value(entry) is held.value(snapshot.changes)
            assert snapshot.others[entry] == held.value(snapshot.changes.other)
            assert snapshot.activations[entry] == position
            assert snapshot.product(entry) == held.product
            assert entry not in snapshot.problems
    assert watch.steps == watch.api.requests == watch.expected[-1]


Case = tuple[ModelAccount, list[str]]


def of_a_reseller(account: ModelAccount, random: Random, size: int, count: int) -> list[int]:
    """Some licenses of a reseller that has ``size`` of them."""
    return random.sample(account.put(random.sample(range(len(account)), size), resellerId=1), count)


def one_reseller(account: ModelAccount, random: Random) -> Case:
    return account, ids_of(account, of_a_reseller(account, random, 3400, 3000), random)


def deleted(account: ModelAccount, random: Random) -> Case:
    chosen = of_a_reseller(account, random, 3400, 3000)
    account.gone.update(chosen[:90])
    return account, ids_of(account, chosen, random)


def large_reseller(account: ModelAccount, random: Random) -> Case:
    return account, ids_of(account, of_a_reseller(account, random, 30_000, 3000), random)


def newest_of_a_reseller(account: ModelAccount, random: Random) -> Case:
    newest = sorted(of_a_reseller(account, random, 30_000, 30_000))[-3000:]
    return account, ids_of(account, newest, random)


def revoked_before(account: ModelAccount, random: Random) -> Case:
    account.columns["revoked"] = bytearray(len(account))
    chosen = account.put(random.sample(range(len(account)), 10_500), revoked=1)
    return account, ids_of(account, random.sample(chosen, 10_000), random)


def batch(account: ModelAccount, random: Random, at: int, count: int) -> range:
    """Have licenses created within an hour."""
    together = range(at, at + count)
    moments = sorted(random.randrange(HOUR) for _ in together)
    for position, moment in zip(together, moments, strict=True):
        account.created[position] = account.created[at] + moment
    for position in range(at + count, len(account)):
        if account.created[position] >= account.created[position - 1]:
            break
        account.created[position] = account.created[position - 1] + 1
    return together


def batch_and_stray(account: ModelAccount, random: Random) -> Case:
    together = batch(account, random, LARGE // 3, 2000)
    chosen = [*together, together[0] + YEAR * LARGE // (3 * YEAR)]
    for position in chosen:
        account.version7[position] = 1
    return account, ids_of(account, chosen, random)


def two_resellers_and_strangers(account: ModelAccount, random: Random) -> Case:
    places = random.sample(range(len(account)), 8200)
    account.put(places[:3000], resellerId=1)
    account.put(places[3000:8000], resellerId=2)
    chosen = [*places[:2300], *places[4000:7200], *places[8000:]]
    return account, ids_of(account, chosen, random)


def nothing_in_common(account: ModelAccount, random: Random) -> Case:
    return account, ids_of(account, random.sample(range(len(account)), 1000), random)


def four_small_resellers(account: ModelAccount, random: Random) -> Case:
    places = random.sample(range(len(account)), 3600)
    for which in range(4):
        account.put(places[which::4], resellerId=1 + which)
    return account, ids_of(account, places[:3000], random)


def one_tag(account: ModelAccount, random: Random) -> Case:
    places = account.put(random.sample(range(len(account)), 2200), **{"tag[eq]": 7})
    return account, ids_of(account, places[:2000], random)


def one_organization(account: ModelAccount, random: Random) -> Case:
    places = account.put(random.sample(range(len(account)), 1200), organizationId=60_000)
    return account, ids_of(account, places[:1000], random)


def one_user(account: ModelAccount, random: Random) -> Case:
    places = account.put(random.sample(range(len(account)), 1000), userId=200_000)
    return account, ids_of(account, places, random)


def two_batches(account: ModelAccount, random: Random) -> Case:
    chosen = [*batch(account, random, 100_000, 1500), *batch(account, random, 400_000, 1500)]
    return account, ids_of(account, chosen, random)


def many_small_batches(account: ModelAccount, random: Random) -> Case:
    step = LARGE // 200
    chosen = [start + each for start in range(0, LARGE, step) for each in range(20)]
    for position in chosen:
        account.version7[position] = 1
    return account, ids_of(account, chosen, random)


def one_batch(account: ModelAccount, random: Random) -> Case:
    return account, ids_of(account, batch(account, random, 100_000, 2000), random)


def half_deleted(account: ModelAccount, random: Random) -> Case:
    chosen = of_a_reseller(account, random, 3400, 3000)
    account.gone.update(chosen[:1500])
    return account, ids_of(account, chosen, random)


def at_one_moment(account: ModelAccount, random: Random) -> Case:
    together = batch(account, random, 100_000, 2000)
    moment = account.created[together[0]] // 10 * 10 + 7
    for position in together:
        account.created[position] = moment
    return account, ids_of(account, together, random)


TABLE: dict[Callable[[ModelAccount, Random], Case], int] = {
    one_reseller: 70,
    deleted: 170,
    large_reseller: 360,
    newest_of_a_reseller: 150,
    revoked_before: 150,
    batch_and_stray: 60,
    two_resellers_and_strangers: 420,
    nothing_in_common: 1010,
    four_small_resellers: 80,
    one_tag: 60,
    one_organization: 50,
    one_user: 45,
    two_batches: 140,
    many_small_batches: 400,
    one_batch: 120,
    half_deleted: 1560,
    at_one_moment: 90,
}
"""A list and its account, and the requests that the look at it may take at most."""


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("case", TABLE, ids=lambda case: case.__name__)
def test_what_licenses_have_in_common_is_read_a_hundred_at_a_time(
    case: Callable[[ModelAccount, Random], Case], seed: int
) -> None:
    account, ids = case(ModelAccount.generate(LARGE, seed), Random(seed))

    watch = look_at(ModelApi(account), ids, seed=seed)

    assert_true(watch)
    assert watch.api.requests <= TABLE[case]


@pytest.mark.parametrize(
    ("case", "most"), [(one_reseller, 200), (revoked_before, 400), (nothing_in_common, 1062)]
)
def test_without_a_count_pages_are_read_as_long_as_they_show_something(
    case: Callable[[ModelAccount, Random], Case], most: int
) -> None:
    account, ids = case(ModelAccount.generate(LARGE, 3), Random(3))

    watch = look_at(Uncounted(account), ids)

    assert_true(watch)
    assert watch.api.requests <= most


class Ignoring(ModelApi):
    """A server that does not know any filter, and says nothing of it."""

    def page(self, filters: Mapping[str, Sequence[str]], number: int) -> Page:
        del filters
        return super().page({}, number)


class Refusing(ModelApi):
    """A server that refuses each filter."""

    def page(self, filters: Mapping[str, Sequence[str]], number: int) -> Page:
        if filters:
            raise RejectedError("HTTP 400", status=400, code="BAD_FILTER")
        return super().page(filters, number)


@pytest.mark.parametrize("server", [Ignoring, Refusing])
@pytest.mark.parametrize("case", [one_reseller, batch_and_stray, nothing_in_common])
def test_filters_that_do_not_work_cost_little_more_than_no_filters(
    case: Callable[[ModelAccount, Random], Case], server: type[ModelApi]
) -> None:
    account, ids = case(ModelAccount.generate(LARGE, 4), Random(4))

    watch = look_at(server(account), ids)

    assert_true(watch)
    assert watch.api.requests <= bound(len(ids))
    assert set(watch.api.asked.values()) == {1}


@pytest.mark.parametrize("size", [2000, LARGE])
@pytest.mark.parametrize("count", [0, 1, 2, 9, 19, 20, 21, 22, 40])
def test_few_licenses_are_read_one_by_one(count: int, size: int) -> None:
    account, random = ModelAccount.generate(size, 5), Random(5)
    ids = ids_of(account, random.sample(range(100, size), count), random)

    watch = look_at(ModelApi(account), ids)

    assert_true(watch)
    most = count + (count > 1) if count <= SAMPLE else bound(count)
    assert watch.api.requests <= most


@pytest.mark.parametrize("size", [1, 20, 99, 100, 101, 2000, 2100])
def test_a_small_account_is_read_as_it_is(size: int) -> None:
    account = ModelAccount.generate(size, 6)

    watch = look_at(ModelApi(account), ids_of(account, range(size), Random(6)))

    assert_true(watch)
    assert watch.api.requests == -(-size // 100)


@pytest.mark.parametrize("size", [0, 50, 5000, LARGE])
@pytest.mark.parametrize("count", [41, 100, 101, 5000])
def test_an_account_that_knows_none_of_many_is_found_out_with_few_requests(
    size: int, count: int
) -> None:
    ids = some_ids(count, seed=7)

    watch = look_at(ModelApi(ModelAccount.generate(size, 7)), ids, needs_each=False)

    assert watch.api.requests <= SAMPLE + LARGE_SAMPLE + 3
    assert set(watch.snapshot.states) <= {State.UNSEEN, State.MISSING}
    assert watch.snapshot.states.count(State.MISSING) >= min(count, SAMPLE + LARGE_SAMPLE)


@pytest.mark.parametrize(("size", "count"), [(0, 41), (50, 41), (5000, 100), (50, 5000), (90, 21)])
def test_what_is_expected_is_what_is_needed_where_none_is_known(size: int, count: int) -> None:
    api = ModelApi(ModelAccount.generate(size, 7))

    watch = look_at(api, some_ids(count, seed=7), needs_each=False)

    assert watch.steps == watch.api.requests == watch.expected[-1]
    assert watch.behind <= 0


@pytest.mark.parametrize("status", [400, 403, 404, 500])
def test_that_no_list_is_to_be_had_does_not_hide_that_an_account_knows_none(status: int) -> None:
    ids = some_ids(2000, seed=8)

    watch = look_at(Listless(ModelAccount.generate(5000, 8), status), ids, needs_each=False)

    assert watch.api.tries <= SAMPLE + LARGE_SAMPLE + 3


def test_where_something_is_said_of_each_license_each_is_read_though_none_is_known() -> None:
    ids = some_ids(300, seed=9)

    watch = look_at(ModelApi(ModelAccount.generate(LARGE, 9)), ids)

    assert watch.snapshot.states.count(State.MISSING) == 300
    assert watch.api.requests <= bound(300)


class Listless(ModelApi):
    """A server that answers no list."""

    def __init__(self, account: ModelAccount, status: int) -> None:
        super().__init__(account)
        self.status = status

    def page(self, filters: Mapping[str, Sequence[str]], number: int) -> Page:
        del filters, number
        raise refusal(self.status)


@pytest.mark.parametrize("status", [400, 403, 404, 500])
def test_without_lists_licenses_are_read_one_by_one(status: int) -> None:
    account = ModelAccount.generate(2000, 10)
    ids = ids_of(account, range(0, 2000, 20), Random(10))

    watch = look_at(Listless(account, status), ids)

    assert_true(watch)
    assert watch.api.tries == 101
    assert watch.api.requests == 101 or status == 500


class Failing(ModelApi):
    """A server that fails at each list but for that of the whole account."""

    def page(self, filters: Mapping[str, Sequence[str]], number: int) -> Page:
        if filters:
            raise refusal(500)
        return super().page(filters, number)


def test_where_one_list_fails_again_and_again_no_other_is_tried() -> None:
    account, ids = one_reseller(ModelAccount.generate(LARGE, 12), Random(12))

    watch = look_at(Failing(account), ids[:200])

    assert_true(watch)
    lists = [what for what in watch.api.asked if "=" in what[0]]
    assert len(lists) == 1


class Double(ModelApi):
    """A server that counts each license twice."""

    def total(self, there_are: int) -> int:
        return 2 * there_are


def test_pages_behind_the_last_one_are_not_all_asked_for() -> None:
    account = ModelAccount.generate(1000, 13)
    ids = [*ids_of(account, range(1000), Random(13)), *some_ids(SAMPLE, 13)]

    watch = look_at(Double(account), ids, concurrency=1)

    assert_true(watch)
    assert watch.api.pages <= 10 + 4


@pytest.mark.parametrize("strangers", [0, 1, 30])
def test_without_a_count_a_list_is_given_up_where_it_has_ended_to_show_anything(
    strangers: int,
) -> None:
    account = ModelAccount.generate(LARGE, 19)
    ids = [*ids_of(account, range(3000), Random(19)), *some_ids(strangers, 19)]

    watch = look_at(Uncounted(account), ids)

    assert_true(watch)
    assert watch.api.requests <= 300


class Repeating(ModelApi):
    """A server whose every page is the first one."""

    def page(self, filters: Mapping[str, Sequence[str]], number: int) -> Page:
        return super().page(filters, min(number, 1))


class RepeatingUncounted(Repeating, Uncounted):
    """The same without ``Pagination-Count``."""


@pytest.mark.parametrize("server", [Repeating, RepeatingUncounted])
def test_a_list_that_begins_again_with_each_page_is_given_up(server: type[ModelApi]) -> None:
    account, random = ModelAccount.generate(250_000, 20), Random(20)
    ids = ids_of(account, random.sample(range(250_000), 3000), random)

    watch = look_at(server(account), ids)

    assert_true(watch)
    assert watch.api.requests <= bound(3000)


def test_once_nothing_is_missing_no_other_page_is_asked_for() -> None:
    account = ModelAccount.generate(1500, 21)

    watch = look_at(ModelApi(account), ids_of(account, range(100, 130), Random(21)), concurrency=1)

    assert_true(watch)
    assert watch.api.requests == 2


class OnePage(ModelApi):
    """A server that refuses all pages but the first."""

    def page(self, filters: Mapping[str, Sequence[str]], number: int) -> Page:
        if number > 1:
            raise refusal(403)
        return super().page(filters, number)


def test_a_list_of_which_a_page_is_refused_is_given_up() -> None:
    account = ModelAccount.generate(2000, 22)

    watch = look_at(OnePage(account), ids_of(account, range(500, 2000), Random(22)), concurrency=1)

    assert_true(watch)
    assert sum(len(what) == 1 and what[0].isdigit() for what in watch.api.asked) == 2


def test_where_there_is_no_count_a_page_that_is_not_full_is_the_last_one() -> None:
    account = ModelAccount.generate(950, 23)
    ids = [*ids_of(account, range(950), Random(23)), *some_ids(SAMPLE, 23)]

    watch = look_at(Uncounted(account), ids)

    assert_true(watch)
    assert watch.api.pages == 10


class Timeless(ModelApi):
    """A server that ignores when a license was created."""

    def page(self, filters: Mapping[str, Sequence[str]], number: int) -> Page:
        known = {name: values for name, values in filters.items() if "createdAt" not in name}
        return super().page(known, number)


def test_licenses_on_the_last_pages_of_a_long_list_are_found() -> None:
    account, ids = newest_of_a_reseller(ModelAccount.generate(LARGE, 16), Random(16))

    watch = look_at(Timeless(account), ids)

    assert_true(watch)
    assert watch.api.requests <= 420


def test_a_server_that_puts_fewer_on_a_page_than_it_is_asked_for_is_read_to_its_end() -> None:
    account = ModelAccount.generate(150, 17)

    watch = look_at(ModelApi(account, page_size=10), ids_of(account, range(150), Random(17)))

    assert_true(watch)
    assert watch.api.requests == 15


def test_behind_a_page_that_is_not_full_no_other_is_asked_for_where_there_is_no_count() -> None:
    account = ModelAccount.generate(50, 18)
    ids = [*ids_of(account, range(50), Random(18)), *some_ids(SAMPLE, 18)]

    watch = look_at(Uncounted(account), ids)

    assert_true(watch)
    assert watch.api.pages == 1


def test_the_whole_account_is_read_where_that_is_cheapest() -> None:
    account, random = ModelAccount.generate(20_000, 14), Random(14)
    ids = ids_of(account, random.sample(range(20_000), 10_000), random)

    watch = look_at(ModelApi(account), ids)

    assert_true(watch)
    assert watch.api.requests <= 2 * 200


def test_an_account_that_is_listed_in_full_takes_no_more_than_its_pages_and_a_sample() -> None:
    account = ModelAccount.generate(20_000, 15)

    watch = look_at(ModelApi(account), ids_of(account, range(20_000), Random(15)))

    assert_true(watch)
    assert watch.api.requests <= 200 + SAMPLE


def test_a_sample_is_spread_over_the_list() -> None:
    for count in (100, 1000, 1019):
        sample = spread(range(count), SAMPLE)

        assert len(set(sample)) == SAMPLE
        gaps = [other - one for one, other in pairwise([0, *sorted(sample), count])]
        assert max(gaps) <= count / SAMPLE + 1
        assert max(sample[: SAMPLE // 2]) > count / 2 > min(sample[: SAMPLE // 2])
    assert sorted(spread(range(7), SAMPLE)) == list(range(7))


class Wild(ModelApi):
    """A server with which anything may be wrong, by chance.

    Attributes:
        was: Licenses that there were at some moment of the look.
        always: Those that there were all the time.
        turned: Those that were changed meanwhile.
    """

    def __init__(self, account: ModelAccount, wrong: Wrong) -> None:
        super().__init__(account, page_size=wrong.server_page)
        self.wrong = wrong
        self.random = Random(wrong.seed)
        self.was = set(range(len(account))) - account.gone
        self.always = set(self.was)
        self.turned: set[int] = set()
        self.lists = 0

    def happens(self, percent: int) -> bool:
        return self.random.randrange(100) < percent

    async def on_the_way(self) -> None:
        for _ in range(self.random.randrange(4) * self.wrong.is_late):
            await asyncio.sleep(0)
        if self.happens(self.wrong.shifts):
            self.shift(self.random.randrange(len(self.account)))
        if self.happens(self.wrong.turns):
            at = self.random.randrange(len(self.account))
            self.turned.add(at)
            column = self.account.columns[self.random.choice(["revoked", "suspended"])]
            column[at] = not column[at]

    def shift(self, at: int) -> None:
        """Delete a license, or create it (again)."""
        if at in self.account.gone:
            self.account.gone.discard(at)
            self.was.add(at)
        else:
            self.account.gone.add(at)
            self.always.discard(at)

    def one(self, license_id: str) -> License:
        if self.happens(self.wrong.get_fails):
            raise refusal(self.random.choice([500, 502, 503]))
        if self.happens(self.wrong.get_refused):
            raise refusal(self.random.choice([400, 403]))
        return super().one(license_id)

    def page(self, filters: Mapping[str, Sequence[str]], number: int) -> Page:
        self.lists += 1
        wrong = self.wrong
        if self.lists > wrong.lists_end or self.happens(wrong.list_refused):
            raise refusal(wrong.list_status)
        if self.happens(wrong.list_fails):
            raise refusal(self.random.choice([500, 502, 503]))
        if refused := wrong.refused & filters.keys():
            raise RejectedError(f"HTTP 400 {min(refused)}", status=400, code="BAD_FILTER")
        known = {name: value for name, value in filters.items() if name not in wrong.ignored}
        found = list(self.account.select(known))
        if wrong.order == "newest":
            found.reverse()
        elif wrong.order == "none":
            self.random.shuffle(found)
        if self.happens(wrong.repeats):
            number = self.random.randint(1, number)
        start = (number - 1) * self.page_size
        here = found[start : start + self.page_size]
        if self.happens(wrong.cuts):
            here = here[: self.random.randint(0, len(here))]
        if self.happens(wrong.doubles):
            here = here * 2
        return Page([self.account.license(at) for at in here], self.counted(len(found)))

    def counted(self, there_are: int) -> int | None:
        kind = self.wrong.count
        if kind == "each its own":
            kind = self.random.choice(["right", "few", "many", "none", "absurd"])
        match kind:
            case "none":
                return None
            case "few":
                return self.random.randint(0, there_are)
            case "many":
                return there_are + self.random.randint(1, 500)
            case "absurd":
                return 999_999_999_999
        return there_are


@dataclass(frozen=True)
class Wrong:
    """What is wrong with a server, chances in percent, and with what is asked of it."""

    seed: int
    server_page: int
    page_size: int
    concurrency: int
    is_late: bool
    ignored: frozenset[str]
    refused: frozenset[str]
    count: str
    order: str
    repeats: int
    cuts: int
    doubles: int
    shifts: int
    turns: int
    list_fails: int
    list_refused: int
    list_status: int
    lists_end: int
    get_fails: int
    get_refused: int


FILTERS = (
    "productId", "type", "revoked", "suspended", "resellerId", "organizationId", "userId",
    "tag[eq]", "createdAt[gte]", "createdAt[lte]",
)  # fmt: skip

some_filters = st.one_of(
    st.just(frozenset[str]()), st.frozensets(st.sampled_from(FILTERS)), st.just(frozenset(FILTERS))
)
seldom = st.sampled_from((0, 0, 0, 0, 3, 20, 100))

wrongs = st.builds(
    Wrong,
    seed=st.integers(0, 2**32),
    server_page=st.sampled_from((1, 3, 5, 10, 10, 25, 100)),
    page_size=st.sampled_from((5, 10, 10, 25, 100)),
    concurrency=st.sampled_from((1, 2, 32)),
    is_late=st.booleans(),
    ignored=some_filters,
    refused=some_filters,
    count=st.sampled_from(("right", "right", "none", "few", "many", "absurd", "each its own")),
    order=st.sampled_from(("oldest", "oldest", "newest", "none")),
    repeats=seldom,
    cuts=seldom,
    doubles=seldom,
    shifts=st.sampled_from((0, 0, 5, 50)),
    turns=st.sampled_from((0, 0, 5, 50)),
    list_fails=seldom,
    list_refused=seldom,
    list_status=st.sampled_from((400, 403, 404, 500)),
    lists_end=st.sampled_from((0, 1, 2, 5, 10**9, 10**9, 10**9, 10**9)),
    get_fails=st.sampled_from((0, 0, 0, 10, 50, 100)),
    get_refused=st.sampled_from((0, 0, 0, 10, 50, 100)),
)


@dataclass(frozen=True)
class Scene:
    """An account, and which of its licenses are looked at, by numbers and chances in percent."""

    seed: int
    size: int
    count: int
    groups: int
    alike: int
    strangers: int
    gone: int
    version7: int
    is_batch: bool

    def set(self) -> Case:
        random = Random(self.seed)
        account = ModelAccount.generate(self.size, self.seed % 10)
        account.seed = self.seed
        count = min(self.count, self.size)
        start = random.randint(0, self.size - count)
        chosen = (
            list(range(start, start + count))
            if self.is_batch
            else random.sample(range(self.size), count)
        )
        for position in chosen:
            if random.randrange(100) < self.alike:
                name = ("resellerId", "userId", "tag[eq]")[random.randrange(self.groups) % 3]
                account.columns[name][position] = 1 + random.randrange(self.groups)
            account.version7[position] = random.randrange(100) < self.version7
        account.gone.update(at for at in range(self.size) if random.randrange(100) < self.gone)
        ids = ids_of(account, chosen, random)
        strangers = some_ids(len(ids), seed=self.seed)
        return account, [
            stranger if random.randrange(100) < self.strangers else each
            for each, stranger in zip(ids, strangers, strict=True)
        ]


scenes = st.builds(
    Scene,
    seed=st.integers(0, 2**32),
    size=st.sampled_from((1, 10, 60, 200, 1000, 3000)),
    count=st.sampled_from((1, 2, 19, 20, 21, 22, 40, 60, 150, 300)),
    groups=st.integers(1, 4),
    alike=st.sampled_from((0, 50, 95, 100)),
    strangers=st.sampled_from((0, 0, 5, 50, 95, 100)),
    gone=st.sampled_from((0, 0, 5, 50)),
    version7=st.sampled_from((0, 0, 50, 100)),
    is_batch=st.booleans(),
)


@given(scene=scenes, wrong=wrongs, needs_each=st.booleans(), changes=st.sampled_from(Property))
@settings(calm, max_examples=200)
def test_a_look_tells_the_truth_whatever_the_server_does_and_at_a_bounded_cost(
    scene: Scene, wrong: Wrong, needs_each: bool, changes: Property
) -> None:
    account, ids = scene.set()
    api = Wild(account, wrong)

    watch = look_at(
        api,
        ids,
        page_size=wrong.page_size,
        concurrency=wrong.concurrency,
        needs_each=needs_each,
        changes=changes,
        seed=wrong.seed,
    )

    assert_nothing_inferred(watch, api)
    known = watch.snapshot.states.count(State.OFF) + watch.snapshot.states.count(State.ON)
    is_over = bool(watch.client.stopped or watch.snapshot.off)
    if State.UNSEEN in watch.snapshot.states:
        assert is_over or not (needs_each or known)
    assert api.tries <= bound(len(ids))
    assert watch.steps == api.requests or wrong.get_fails
    if not (is_over or wrong.get_fails or wrong.list_fails or wrong.list_status == 500):
        assert watch.expected[-1] == watch.steps
        assert watch.behind <= 0


def assert_nothing_inferred(watch: ModelLook, api: Wild) -> None:
    """Each entry is as its license was at some moment of the look."""
    snapshot = watch.snapshot
    for entry in watch.listing.distinct():
        license_id, state = watch.listing.license_id(entry), snapshot.states[entry]
        position = int(license_id[-12:], 16)
        is_known = position < len(api.account) and api.account.id(position) == license_id
        if state in {State.OFF, State.ON}:
            assert is_known
            assert position in api.was
            assert snapshot.activations[entry] == position
            held = api.account.license(position)
            assert snapshot.product(entry) == held.product
            if position not in api.turned:
                assert snapshot.value(entry) is held.value(snapshot.changes)
                assert snapshot.others[entry] == held.value(snapshot.changes.other)
        elif state == State.MISSING:
            assert not (is_known and position in api.always)
        elif state == State.UNREAD:
            assert api.wrong.get_fails or api.wrong.get_refused
        assert (entry in snapshot.problems) == (state in {State.MISSING, State.UNREAD})


def taken_by(size: int) -> int:
    """Bytes that a look at 500 licenses which reads a whole account takes at its peak."""
    account = ModelAccount.generate(size, 11)
    ids = ids_of(account, range(0, size, size // 500), Random(11))
    api = Ignoring(account)
    tracemalloc.start()
    try:
        watch = look_at(api, ids, concurrency=4)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert watch.snapshot.states.count(State.UNSEEN) == 0
    assert api.pages > size / 100 * 0.9
    return peak


def test_memory_does_not_grow_with_the_size_of_the_account() -> None:
    small, large = 5000, 30_000
    growth = taken_by(large) - taken_by(small)

    assert growth < 5 * (large - small)  # a license alone takes a hundred times as much
