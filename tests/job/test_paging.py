"""Lists that are read while others make, change and delete licenses: a model of the server."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from math import inf
from types import MappingProxyType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch.errors import StoppedError
from batch.job.filters import TICKS, Period, spelled, ticks
from batch.job.paging import MARGIN, MOST_READINGS, OVERLAP, Paging
from batch.model import ToldPage

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

START = 1_700_000_000 * TICKS
"""When the reading starts, in ticks since 1970."""


@dataclass
class Made:
    """A license: when it was made, whether the filter that is sent lets it through, and the one
    that is not sent.
    """

    moment: int
    matches: bool = True
    kept: bool = True


@dataclass
class Server:
    """A list of licenses that changes before each answer.

    Attributes:
        licenses: Number to license.
        most: Licenses on a page at most.
        changes: What happens before each answer, one after another.
        counts: Whether it says how many there are.
        date: Its clock as it says it, in seconds since 1970, or None.
        narrows: Whether it looks at the filters of the moment.
        sorts: Whether it sorts by the moment.
        turns: Whether it looks at the number of the page.
        grain: Ticks that it can tell apart in a filter.
        requests: What it was asked.
    """

    licenses: dict[int, Made]
    most: int = 3
    changes: list[Callable[[dict[int, Made]], object]] = field(default_factory=list)
    counts: bool = True
    date: float | None = START / TICKS
    narrows: bool = True
    sorts: bool = True
    turns: bool = True
    grain: int = 1
    requests: list[tuple[Mapping[str, Sequence[str]], int]] = field(default_factory=list)

    async def told(self, filters: Mapping[str, Sequence[str]], *, page: int) -> ToldPage:
        assert len(self.requests) < 3000, "it does not come to an end"
        self.requests.append((filters, page))
        if self.changes:
            self.changes.pop(0)(self.licenses)
        period = Period(*(at and at // self.grain * self.grain for at in period_of(filters)))
        found = [
            number
            for number, each in self.licenses.items()
            if (each.matches or "tag[eq]" not in filters)
            and (not self.narrows or each.moment in period)
        ]
        found.sort(key=lambda number: (self.licenses[number].moment if self.sorts else 0, number))
        first = (page - 1) * self.most if self.turns else 0
        return ToldPage(
            [self.object(number) for number in found[first : first + self.most]],
            total=len(found) if self.counts else None,
            at=self.date,
        )

    def object(self, number: int) -> dict[str, Any]:
        each = self.licenses[number]
        moment = spelled(each.moment)
        return {
            "id": license_id(number),
            "createdAt": moment,
            "matches": each.matches,
            "kept": each.kept,
        }


def license_id(number: int) -> str:
    return f"{number:08x}-0000-4000-8000-000000000000"


def period_of(filters: Mapping[str, Sequence[str]]) -> Period:
    first, before = (filters.get(f"createdAt[{name}]", [None])[0] for name in ("gte", "lt"))
    return Period(ticks(first), ticks(before))


@dataclass
class Reading:
    """What was read of a server."""

    found: list[int] = field(default_factory=list)
    doubt: tuple[int, int] | None = None


def read(
    server: Server,
    made: Period = Period(),  # noqa: B008
    now: int = START,
    filters: Mapping[str, Sequence[str]] = MappingProxyType({"tag[eq]": ("x",)}),
) -> Reading:
    """Read the licenses that match, as `list` does."""
    reading = Reading()

    def take(license_: Mapping[str, Any]) -> None:
        if license_["matches"] and license_["kept"]:
            reading.found.append(int(license_["id"][:8], 16))

    async def ask(request: Callable[[], Awaitable[ToldPage]], _most: int) -> ToldPage:
        return await request()

    client: Any = SimpleNamespace(api=server, read=ask, policy=SimpleNamespace(max_attempts=5))
    paging = Paging(client, made, lambda: now, take)
    reading.doubt = asyncio.run(paging.read(filters))
    return reading


def account(*moments: int) -> dict[int, Made]:
    """Licenses of these moments, in ticks before the start."""
    return {number: Made(START - before) for number, before in enumerate(moments, 1)}


Change = tuple[str, int, int]


def changing(changes: Sequence[Sequence[Change]]) -> list[Callable[[dict[int, Made]], object]]:
    """Before each answer some changes: what, to which license, and for what is made, when."""

    def some(each: Sequence[Change]) -> Callable[[dict[int, Made]], object]:
        def change(licenses: dict[int, Made]) -> None:
            for what, number, before in each:
                if what == "make":
                    licenses.setdefault(number + 1000, Made(START - min(before, 0)))
                elif what == "delete":
                    licenses.pop(number, None)
                elif number in licenses:
                    licenses[number].matches = what == "match"

        return change

    return [some(each) for each in changes]


moments = st.sampled_from([5, 10, 20, 30]).map(lambda ms: ms * TICKS // 10) | st.integers(
    1, 100 * TICKS
)
change = st.tuples(
    st.sampled_from(["make", "delete", "match", "miss"]), st.integers(1, 30), st.integers(-9, 0)
)
deletion = st.tuples(st.just("delete"), st.integers(1, 30), st.just(0))


def there_all_the_time(
    licenses: Mapping[int, Made], changes: Sequence[Sequence[Change]]
) -> set[int]:
    touched = {number for each in changes for what, number, _ in each if what != "make"}
    return {number for number, each in licenses.items() if each.matches} - touched


@given(
    before=st.lists(st.tuples(moments, st.booleans()), max_size=30),
    most=st.integers(1, 6),
    changes=st.lists(st.lists(change, max_size=3), max_size=30),
    counts=st.booleans(),
    grain=st.sampled_from([1, TICKS // 1000, TICKS]),
)
def test_what_was_there_all_the_time_is_found_whatever_others_do(
    before: list[tuple[int, bool]],
    most: int,
    changes: list[list[Change]],
    counts: bool,
    grain: int,
) -> None:
    licenses = {n: Made(START - moment, ok) for n, (moment, ok) in enumerate(before, 1)}
    wanted = there_all_the_time(licenses, changes)

    server = Server(licenses, most=most, changes=changing(changes), counts=counts, grain=grain)
    reading = read(server)

    assert wanted <= set(reading.found)


@given(
    before=st.lists(st.tuples(moments, st.booleans(), st.booleans()), max_size=30),
    most=st.integers(1, 6),
    first=st.none() | moments,
    end=st.none() | moments,
    narrows=st.booleans(),
    filters=st.sampled_from([{}, {"tag[eq]": ("x",)}]),
)
def test_where_nobody_changes_anything_nothing_is_doubted(
    before: list[tuple[int, bool, bool]],
    most: int,
    first: int | None,
    end: int | None,
    narrows: bool,
    filters: dict[str, tuple[str]],
) -> None:
    licenses = {n: Made(START - moment, *holds) for n, (moment, *holds) in enumerate(before, 1)}
    made = Period(*(None if each is None else START - each for each in (first, end)))

    reading = read(Server(licenses, most=most, narrows=narrows), made, filters=filters)

    wanted = {n for n, it in licenses.items() if it.matches and it.kept and it.moment in made}
    assert {n for n in reading.found if licenses[n].moment in made} == wanted
    assert reading.doubt is None


@given(
    before=st.lists(st.tuples(moments, st.booleans()), max_size=30),
    most=st.integers(1, 6),
    changes=st.lists(st.lists(deletion, max_size=2), max_size=8),
    counts=st.booleans(),
    narrows=st.booleans(),
)
def test_a_server_that_does_not_look_at_the_moment_hides_nothing_where_others_delete(
    before: list[tuple[int, bool]],
    most: int,
    changes: list[list[Change]],
    counts: bool,
    narrows: bool,
) -> None:
    licenses = {n: Made(START - moment, ok) for n, (moment, ok) in enumerate(before, 1)}
    wanted = there_all_the_time(licenses, changes)
    server = Server(licenses, most=most, changes=changing(changes), counts=counts, narrows=narrows)

    assert wanted <= set(read(server).found)


@given(before=st.lists(st.tuples(moments, st.booleans()), max_size=30), most=st.integers(1, 6))
def test_a_server_that_does_not_sort_is_read_whole_or_doubted(
    before: list[tuple[int, bool]], most: int
) -> None:
    licenses = {n: Made(START - moment, ok) for n, (moment, ok) in enumerate(before, 1)}

    reading = read(Server(licenses, most=most, sorts=False))

    assert reading.doubt or there_all_the_time(licenses, []) <= set(reading.found)


def test_a_license_that_is_deleted_moves_no_other_one_out_of_sight() -> None:
    server = Server(account(*(n * TICKS for n in range(9, 0, -1))))
    server.changes = [lambda _: None, lambda licenses: licenses.pop(1)]

    assert set(read(server).found) == {1, *range(2, 10)}


def test_a_license_that_does_not_match_any_more_moves_no_other_one_out_of_sight() -> None:
    server = Server(account(*(n * TICKS for n in range(9, 0, -1))))
    server.changes = changing([[], [("miss", 1, 0), ("miss", 2, 0)]])

    assert set(range(3, 10)) <= set(read(server).found)


def test_a_deletion_among_licenses_of_one_moment_moves_none_out_of_sight() -> None:
    server = Server(account(*[7 * TICKS] * 10), most=3)
    server.changes = changing([[], [], [], [("delete", 1, 0)]])

    assert set(range(2, 11)) <= set(read(server).found)


def test_what_comes_to_match_among_licenses_of_one_moment_moves_none_out_of_sight() -> None:
    server = Server(account(*[7 * TICKS] * 9), most=3)
    server.licenses[1].matches = False
    match, miss = [("match", 1, 0)], [("miss", 1, 0)]
    # Before the second page of each reading, and before its third one.
    server.changes = changing([[], [], [], match, miss, [], match, miss])

    assert set(range(2, 10)) <= set(read(server).found)


def test_a_list_from_a_moment_on_that_is_empty_ends() -> None:
    assert read(Server(account(TICKS)), Period(START, None)).found == []


@pytest.mark.parametrize("counts", [True, False])
def test_the_newest_first_are_read_whole(counts: bool) -> None:
    server = Server(account(*(n * TICKS for n in range(1, 20))), sorts=False, counts=counts)

    assert set(read(server).found) == {*range(1, 20)}


def test_what_is_made_later_does_not_keep_a_list_from_its_end() -> None:
    server = Server(account(*(n * TICKS for n in range(1, 20))))
    made = iter(range(1000, 9000))

    def make(licenses: dict[int, Made]) -> None:
        for _ in range(5):
            number = next(made)
            licenses[number] = Made(START + (number - 990) * 6 * TICKS)

    server.changes = [make] * 500

    found = read(server).found

    assert set(range(1, 20)) <= set(found)
    assert len(server.requests) < 20


@pytest.mark.parametrize(
    ("date", "now", "end"),
    [
        (START / TICKS, START - 900 * TICKS, START),
        (START / TICKS - 900, START, START),
        (None, START, START),
    ],
)
def test_a_list_ends_a_minute_after_the_later_of_both_clocks(
    date: float | None, now: int, end: int
) -> None:
    server = Server(account(1, 2), date=date)

    read(server, now=now)

    assert "createdAt[lt]" not in server.requests[0][0]
    assert {period_of(filters).before for filters, _ in server.requests[2:]} <= {
        end + MARGIN,
        *(START - before + 1 for before in (1, 2)),
    }


def test_a_list_that_ends_earlier_keeps_its_end() -> None:
    server = Server(account(*(n * TICKS for n in range(1, 20))))
    made = Period(START - 15 * TICKS, START - 5 * TICKS)

    found = set(read(server, made).found)

    assert found == {*range(6, 16)}
    assert all(period_of(filters).before == made.before for filters, _ in server.requests)


def test_what_was_made_just_before_the_first_moment_is_not_counted() -> None:
    server = Server(account(*(n * TICKS // 1000 for n in range(20, 0, -1))))

    reading = read(server, Period(START - 10 * TICKS // 1000))

    assert set(reading.found) == {*range(11, 21)}
    assert reading.doubt is None


def test_a_page_begins_a_little_before_the_last_license_of_the_one_before() -> None:
    server = Server(account(*(n * TICKS for n in range(9, 0, -1))))

    read(server)

    assert period_of(server.requests[1][0]).first == START - 7 * TICKS - OVERLAP


@pytest.mark.parametrize(("grain", "apart"), [(TICKS // 1000, TICKS // 1234), (TICKS, TICKS // 7)])
def test_a_server_that_rounds_what_it_is_asked_for_is_read_by_the_moments(
    grain: int, apart: int
) -> None:
    server = Server(account(*(n * apart for n in range(300, 0, -1))), most=20, grain=grain)
    made = iter(range(2000))

    def make(licenses: dict[int, Made]) -> None:
        number = next(made)
        licenses[1000 + number] = Made(START + number * TICKS)

    server.changes = [make] * 2000

    found = read(server).found

    assert set(range(1, 301)) <= set(found)
    assert {page for _, page in server.requests} == {1}


def test_a_list_costs_a_request_for_each_page_and_two_more() -> None:
    server = Server(account(*(n * TICKS for n in range(100, 0, -1))), most=10)

    read(server)

    # The last license of each page is shown once more: eleven pages.
    assert len(server.requests) == 11 + 2
    assert {page for _, page in server.requests} == {1}


def test_a_count_that_differs_at_the_end_is_told() -> None:
    server = Server(account(3, 2, 1), most=2)
    server.changes = changing([[], [], [("delete", 1, 0)]])

    assert read(server).doubt == (3, 2)


def test_a_server_that_ignores_a_filter_counts_what_it_shows() -> None:
    licenses = account(*range(1, 10))
    licenses[4].matches = False
    server = Server(licenses)
    told = server.told
    server.told = lambda filters, *, page: told(  # type: ignore[method-assign]
        {name: value for name, value in filters.items() if name != "tag[eq]"}, page=page
    )

    reading = read(server)

    assert set(reading.found) == {*range(1, 10)} - {4}
    assert reading.doubt is None


@pytest.mark.parametrize("counts", [True, False])
def test_a_server_that_always_shows_the_first_page_is_read_all_the_same_by_the_moments(
    counts: bool,
) -> None:
    server = Server(account(*(n * TICKS for n in range(1, 20))), turns=False, counts=counts)

    assert set(read(server).found) == {*range(1, 20)}


@pytest.mark.parametrize("counts", [True, False])
def test_the_first_page_for_ever_is_a_stop_where_nothing_else_goes_on(counts: bool) -> None:
    server = Server(account(*[TICKS] * 9), turns=False, counts=counts)

    with pytest.raises(StoppedError, match="shows only what earlier pages have shown"):
        read(server)


def test_licenses_that_are_moved_to_a_later_page_are_no_page_for_ever() -> None:
    server = Server({}, most=1, counts=False)
    server.changes = changing(
        [[("make", 3, 0)], [], [], [("make", 1, 0), ("make", 2, 0)]]  # all at one moment
    )

    assert set(read(server).found) == {1001, 1002, 1003}


def test_a_list_that_is_never_the_same_twice_is_given_up() -> None:
    server = Server(account(*[TICKS] * 3), most=3, sorts=False, narrows=False)
    numbers = iter(range(2, 9999))

    def replace_all(licenses: dict[int, Made]) -> None:
        licenses.clear()
        licenses.update({next(numbers): Made(START - n * TICKS) for n in range(2)})

    server.changes = [replace_all] * 999

    with pytest.raises(StoppedError, match=f"{MOST_READINGS} times"):
        read(server)


@pytest.mark.parametrize("lacking", [{3}, {*range(1, 8)}])
def test_a_license_without_a_moment_is_listed(lacking: set[int]) -> None:
    server = Server(account(*(n * TICKS for n in range(1, 8))))
    told = server.object

    def without(number: int) -> dict[str, Any]:
        return told(number) | ({"createdAt": None} if number in lacking else {})

    server.object = without  # type: ignore[method-assign]

    assert set(read(server).found) == {*range(1, 8)}


def test_how_many_requests_are_left_is_told_where_the_server_counts() -> None:
    expected: list[float] = [inf]
    server = Server(account(*(n * TICKS for n in range(100, 0, -1))), most=10)
    client: Any = SimpleNamespace(
        api=server,
        read=lambda request, _: request(),
        policy=SimpleNamespace(max_attempts=5),
    )
    paging = Paging(client, Period(), lambda: START, bool, expect=expected.append)

    asyncio.run(paging.read({}))

    assert expected[1:] == [11 + 2]
