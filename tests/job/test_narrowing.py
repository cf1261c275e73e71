"""Lists that are worth asking for: made of what a few licenses have in common."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from itertools import chain, pairwise
from math import inf
from random import Random
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch.job.narrowing import (
    FEWEST_ALIKE,
    MOST_BATCHES,
    WIDER,
    Narrowing,
    Span,
    clusters,
    facts_of,
    moment_of,
    narrowings,
)
from batch.model import License
from tests.support.job_harness import some_ids

NOW = datetime(2026, 11, 30, 12, 0, 0, 123456, tzinfo=UTC).timestamp()

DAY = 86_400.0


def some_licenses(count: int, seed: int = 0, **values: object) -> list[License]:
    """Licenses with nothing in common but these values, a day between two of them."""
    return [
        replace(
            License(
                id=license_id,
                revoked=None,
                user=f"user-{seed}-{place}",
                created=NOW + DAY * (place - count),
            ),
            **values,  # type: ignore[arg-type]
        )
        for place, license_id in enumerate(some_ids(count, seed))
    ]


def made_at(moment: float, seed: int = 0) -> str:
    """An ID of version 7."""
    head, rest = round(moment * 1000), Random(seed).getrandbits(74)
    return str(UUID(int=head << 80 | 7 << 76 | (rest >> 62) << 64 | 2 << 62 | rest % 2**62))


def lists(found: list[Narrowing]) -> set[tuple[frozenset[tuple[str, str]], bool]]:
    """Facts of each list, and whether it is narrowed by time."""
    return {(each.facts, each.made is not None) for each in found}


def test_each_thing_that_the_api_can_filter_by_is_a_fact() -> None:
    license_ = License(
        id=some_ids(1)[0],
        revoked=True,
        suspended=False,
        key="K",
        product="p",
        type="node-locked",
        reseller="r",
        organization="o",
        user="u",
        tags=("blue", "red"),
    )

    assert facts_of(license_) == {
        ("revoked", "true"),
        ("suspended", "false"),
        ("productId", "p"),
        ("type", "node-locked"),
        ("resellerId", "r"),
        ("organizationId", "o"),
        ("userId", "u"),
        ("tag[eq]", "blue"),
        ("tag[eq]", "red"),
    }


def test_what_is_not_told_is_no_fact() -> None:
    assert facts_of(License(id=some_ids(1)[0], revoked=None)) == frozenset()


blank = st.text(" ,\t\u00a0", max_size=3)


@given(product=blank, reseller=blank, organization=blank, user=blank, kind=blank, tag=blank)
def test_no_filter_is_ever_blank(
    product: str, reseller: str, organization: str, user: str, kind: str, tag: str
) -> None:
    license_ = License(
        id=some_ids(1)[0],
        revoked=None,
        product=product,
        reseller=reseller,
        organization=organization,
        user=user,
        type=kind,
        tags=(tag,),
    )

    assert all(value.strip(" ,\t\u00a0") for _, value in facts_of(license_))


def test_filters_have_one_value_each_and_both_ends_of_the_time() -> None:
    facts = frozenset({("tag[eq]", "blue"), ("tag[eq]", "red"), ("productId", "p")})

    filters = Narrowing(facts, Span(NOW, NOW + 1)).filters()

    assert filters["productId"] == ("p",)
    assert filters["tag[eq]"] in {("blue",), ("red",)}
    assert filters["createdAt[gte]"] == ("2026-11-30T12:00:00.1234560Z",)
    # Nothing that was created within the last of the six decimals is left out.
    assert filters["createdAt[lte]"] == ("2026-11-30T12:00:01.1234570Z",)
    assert len(filters) == 4


@pytest.mark.parametrize("moment", [-1e18, -1.0, 0.0, 253_402_300_799.0, 2**48 / 1000, 1e300])
def test_a_moment_that_no_calendar_has_can_be_asked_for(moment: float) -> None:
    (first,), (last,) = Narrowing(made=Span(moment, moment)).filters().values()

    assert "1970-01-01T00:00:00.0000000Z" <= first <= last <= "9999-12-31T23:59:59.9999990Z"


def test_the_whole_account_has_no_filters() -> None:
    assert Narrowing().filters() == {}
    assert Narrowing().shows(License(id=some_ids(1)[0], revoked=None))


def test_a_list_shows_what_has_all_of_its_facts_and_was_created_in_its_time() -> None:
    list_ = Narrowing(frozenset({("productId", "p"), ("resellerId", "r")}), Span(NOW, NOW + 1))
    shown = License(
        id=some_ids(1)[0], revoked=False, product="p", reseller="r", user="u", created=NOW + 1
    )

    assert list_.shows(shown)
    assert not list_.shows(replace(shown, product="q"))
    assert not list_.shows(replace(shown, reseller=""))
    assert not list_.shows(replace(shown, created=NOW + 1.001))
    assert not list_.shows(replace(shown, created=NOW - 0.001))
    assert not list_.shows(replace(shown, created=None))


def test_the_share_of_a_list_is_that_of_others_who_have_its_facts_and_of_its_time() -> None:
    others = [frozenset({("productId", "p")})] * 25 + [frozenset({("productId", "q")})] * 75
    years, tenth = Span(0.0, 1000.0), Span(100.0, 200.0)
    facts = frozenset({("productId", "p")})

    assert Narrowing().share_of(others, years) == 1
    assert Narrowing(facts).share_of(others, years) == pytest.approx(0.25, abs=0.01)
    assert Narrowing(facts, tenth).share_of(others, years) == pytest.approx(0.025, abs=0.001)
    assert Narrowing(made=tenth).share_of(others, years) == pytest.approx(0.1)
    assert Narrowing(made=Span(-5000.0, 5000.0)).share_of(others, years) == 1
    assert 0 < Narrowing(frozenset({("userId", "u")})).share_of(others, years) < 0.01
    assert 0 < Narrowing(facts).share_of([], Span(inf, inf)) <= 1
    assert Narrowing(made=tenth).share_of(others, Span(inf, inf)) == 1


def test_of_a_group_lists_are_made_of_one_thing_of_all_and_of_its_time() -> None:
    sample = some_licenses(20, product="p", reseller="r")
    one, other = ("productId", "p"), ("resellerId", "r")
    moments = [each.created for each in sample if each.created is not None]
    wider = WIDER * (max(moments) - min(moments))

    found = narrowings(sample, 20, 980)

    assert lists(found) >= {
        (frozenset({one}), False),
        (frozenset({other}), False),
        (frozenset({one, other}), False),
        (frozenset({one, other}), True),
    }
    for each in found:
        assert each.wanted == 980 * 19 / 20  # hardly ever are all alike
        assert each.members == frozenset(range(20))
        assert 0 <= each.risk < 0.05
        assert (each.risk == 0) == (each.made is None and len(each.facts) == 1)
        if each.made is not None:
            assert each.made == Span(min(moments) - wider, max(moments) + wider)


def test_a_group_that_was_created_among_others_has_a_list_of_its_own_time() -> None:
    group, others = some_licenses(10, seed=1, reseller="r"), some_licenses(100, seed=2)

    found = narrowings([*group, *others], 110, 1000)

    (list_,) = (each for each in found if each.made and ("resellerId", "r") in each.facts)
    moments = [each.created for each in group if each.created is not None]
    assert list_.made == Span(min(moments), max(moments)).widened(WIDER * 9 * DAY)
    assert list_.risk == pytest.approx(1 / 12)


def test_how_many_are_alike_is_estimated_of_all_that_were_read() -> None:
    alike, others = some_licenses(10, seed=1, reseller="r"), some_licenses(5, seed=2)

    found = narrowings([*others, *alike], 20, 200)

    (list_,) = (each for each in found if each.facts == {("resellerId", "r")} and not each.made)
    assert list_.wanted == 100
    assert list_.members == frozenset(range(5, 15))


@pytest.mark.parametrize("count", [FEWEST_ALIKE - 1, FEWEST_ALIKE])
def test_few_that_are_alike_make_no_list(count: int) -> None:
    sample = [
        *some_licenses(count, seed=3, reseller="r"),
        *some_licenses(20 - count, seed=4),
    ]

    found = narrowings(sample, 20, 1000)

    assert any(("resellerId", "r") in each.facts for each in found) == (count >= FEWEST_ALIKE)


def test_no_list_is_found_twice_and_the_surer_one_counts() -> None:
    sample = some_licenses(20, reseller="r")

    found = narrowings(sample, 20, 1000)

    assert len({(each.facts, each.made) for each in found}) == len(found)
    (only,) = (each for each in found if each.facts == {("resellerId", "r")} and not each.made)
    assert only.risk == 0


def test_what_was_created_at_two_times_makes_two_lists() -> None:
    sample = some_licenses(20)
    sample = [
        replace(each, created=NOW + (place % 2) * 300 * DAY + place)
        for place, each in enumerate(sample)
    ]

    found = [each for each in narrowings(sample, 20, 1000) if each.made and not each.facts]

    assert sorted(len(each.members) for each in found) == [10, 10]
    for each in found:
        assert each.made is not None
        assert each.wanted == 500
        assert all(sample[place].created in each.made for place in each.members)
        assert each.made.last - each.made.first == pytest.approx(18 * (1 + 2 * WIDER))


def test_licenses_without_a_moment_have_no_list_of_a_time() -> None:
    found = narrowings(some_licenses(20, reseller="r", created=None), 20, 1000)

    assert lists(found) == {(frozenset({("resellerId", "r")}), False)}


def test_ids_that_tell_their_moment_make_an_exact_list() -> None:
    moments = [NOW + place for place in range(20)]
    sample = [
        replace(each, id=made_at(moment, place), created=moment + 2)
        for place, (each, moment) in enumerate(zip(some_licenses(20), moments, strict=True))
    ]
    made = [NOW + place / 100 for place in range(2000)]

    found = [each for each in narrowings(sample, 20, 1980, made) if each.wanted == 2000]

    assert lists(found) == {(frozenset(), True)}
    assert found[0].risk == 0
    assert found[0].made is not None
    # As much earlier and later as moments of the sample differ, and a second.
    assert found[0].made.first == pytest.approx(made[0] - 3, abs=0.01)
    assert found[0].made.last == pytest.approx(made[-1] + 3, abs=0.01)


def test_ids_say_nothing_where_no_license_of_the_sample_tells_how_far_they_can_be_trusted() -> None:
    made = [NOW + place / 100 for place in range(2000)]

    found = narrowings(some_licenses(20, created=None), 20, 1980, made)

    assert found == []


def test_only_the_largest_of_many_batches_make_lists() -> None:
    batches = 2 * MOST_BATCHES
    made = sorted(
        NOW + DAY * which + at / 1000 for which in range(batches) for at in range(10 + which)
    )
    sample = [
        replace(each, id=made_at(NOW + DAY * place, place), created=NOW + DAY * place)
        for place, each in enumerate(some_licenses(20))
    ]

    wanted = sorted(each.wanted for each in narrowings(sample, 20, 1000 * len(made), made))

    assert [each for each in wanted if each < len(made)] == [
        10 + which for which in range(MOST_BATCHES, batches)
    ]


def test_batches_of_very_few_make_no_lists() -> None:
    sample = [
        replace(each, id=made_at(NOW + DAY * place, place), created=NOW + DAY * place)
        for place, each in enumerate(some_licenses(20))
    ]
    sizes = [FEWEST_ALIKE - 1, FEWEST_ALIKE, *[20] * 20]
    made = sorted(NOW + DAY * at + by / 1000 for at, size in enumerate(sizes) for by in range(size))

    wanted = {each.wanted for each in narrowings(sample, 20, 1000 * len(made), made)}

    assert min(wanted) == FEWEST_ALIKE


def test_a_batch_that_also_has_something_in_common_makes_a_shorter_list() -> None:
    sample = [
        replace(each, id=made_at(NOW + place, place), created=NOW + place, reseller="r")
        for place, each in enumerate(some_licenses(20))
    ]
    made = [NOW + place / 100 for place in range(2000)]

    found = [each for each in narrowings(sample, 20, 1980, made) if each.wanted == 2000]

    assert lists(found) == {(frozenset(), True), (frozenset({("resellerId", "r")}), True)}


def test_ids_of_version_7_tell_when_they_were_made_and_no_others_do() -> None:
    # RFC 9562, appendix A.6: 2022-02-22 14:22:22.00 GMT-05:00.
    told = moment_of(0x017F22E279B07CC3)

    assert told == datetime(2022, 2, 22, 19, 22, 22, tzinfo=UTC).timestamp()
    assert moment_of(0x017F22E279B04CC3) is None
    assert moment_of(0) is None


moments_in_order = st.lists(
    st.one_of(
        st.floats(0, 2**48 / 1000),
        st.floats(0, 1),
        st.integers(0, 40).map(lambda power: 2.0**power),
    ),
    max_size=300,
).map(sorted)


@given(moments_in_order)
def test_clusters_hold_each_moment_once_and_in_order(moments: list[float]) -> None:
    spans = clusters(moments)

    assert [moment for span in spans for moment in moments if moment in span] == moments
    assert all(one.last < other.first for one, other in pairwise(spans))
    ends = set(chain.from_iterable(spans))
    assert ends <= set(moments)


def test_moments_are_cut_where_the_gap_is_large_and_not_where_chance_explains_it() -> None:
    random = Random(5)
    hour = sorted(random.uniform(0, 3600) for _ in range(2000))
    year = sorted(random.uniform(0, 365 * DAY) for _ in range(100_000))

    assert clusters([]) == []
    assert clusters([7.0]) == [Span(7.0, 7.0)]
    assert clusters(hour) == [Span(hour[0], hour[-1])]
    assert clusters(year) == [Span(year[0], year[-1])]
    assert clusters([*hour, 365 * DAY]) == [Span(hour[0], hour[-1]), Span(365 * DAY, 365 * DAY)]
    later = [moment + 30 * DAY for moment in hour]
    assert clusters([*hour, *later, 900 * DAY]) == [
        Span(hour[0], hour[-1]),
        Span(later[0], later[-1]),
        Span(900 * DAY, 900 * DAY),
    ]


def test_what_one_far_moment_has_hidden_is_cut_as_well() -> None:
    random = Random(6)
    hour = sorted(random.uniform(0, 3600) for _ in range(2000))
    next_day = [moment + DAY for moment in hour]

    assert clusters([*hour, *next_day, 900 * DAY]) == [
        Span(hour[0], hour[-1]),
        Span(next_day[0], next_day[-1]),
        Span(900 * DAY, 900 * DAY),
    ]


def test_a_few_moments_are_one_group_whatever_their_gaps() -> None:
    assert clusters([0, 1, 2, 3, 4, 5, 6, 100]) == [Span(0, 100)]


def test_a_span_has_both_of_its_ends() -> None:
    span = Span(1.0, 2.0)

    assert 1.0 in span
    assert 2.0 in span
    assert 0.999 not in span
    assert None not in span
    assert span.widened(0.5) == Span(0.5, 2.5)
