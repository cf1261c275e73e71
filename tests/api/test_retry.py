"""What one license, and the whole run, may cost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch.api.retry import Budget, FailureLimit, RetryPolicy

CEILINGS = [1, 2, 4, 8, 16, 30, 30, 30]
"""Seconds that the waits after the first, the second … failure reach at most."""


# Waiting


@given(failures=st.integers(1, 10**9), jitter=st.floats(0, 1, exclude_max=True))
def test_a_wait_is_anything_up_to_a_ceiling_that_doubles_to_thirty_seconds(
    failures: int, jitter: float
) -> None:
    wait = RetryPolicy().wait(failures, lambda: jitter)

    ceiling = CEILINGS[min(failures, len(CEILINGS)) - 1]
    assert wait == pytest.approx(jitter * ceiling)
    assert 0 <= wait <= ceiling


@pytest.mark.parametrize("failures", range(1, 9))
def test_waits_are_spread_over_the_whole_range(failures: int) -> None:
    waits = [RetryPolicy().wait(failures) / CEILINGS[failures - 1] for _ in range(2000)]

    assert min(waits) < 0.02
    assert max(waits) > 0.98
    assert 0.45 < sum(waits) / len(waits) < 0.55


@given(base=st.floats(0.001, 1000), cap=st.floats(0.001, 1000), failures=st.integers(1, 10_000))
def test_no_wait_exceeds_the_cap_that_was_set(base: float, cap: float, failures: int) -> None:
    policy = RetryPolicy(base=base, cap=cap)

    assert policy.wait(failures, lambda: 1.0) <= cap
    assert policy.wait(1, lambda: 1.0) == min(base, cap)


# The run's retries


def test_a_run_starts_with_twenty_retries() -> None:
    budget = Budget()

    assert [budget.spend() for _ in range(22)] == [True] * 20 + [False] * 2


def test_what_an_outage_cost_is_refunded() -> None:
    budget = Budget(tenths=35)
    budget.spend()

    budget.refund(3)

    assert budget.tenths == 55


def test_what_is_refused_costs_nothing() -> None:
    budget = Budget(tenths=9)

    for _ in range(100):
        assert not budget.spend()

    assert budget.tenths == 9


@given(st.lists(st.booleans(), max_size=400))
def test_retries_are_twenty_and_a_tenth_of_the_successes(successes: list[bool]) -> None:
    budget, earned, spent = Budget(), 0, 0

    for success in successes:
        if success:
            budget.earn()
            earned += 1
        else:
            granted = budget.spend()
            assert granted is (200 + earned - 10 * spent >= 10)
            spent += granted


def test_a_long_healthy_run_can_afford_a_tenth_of_itself() -> None:
    budget = Budget(tenths=0)

    for _ in range(100_000):
        budget.earn()

    assert sum(budget.spend() for _ in range(20_000)) == 10_000


# The failures that a run accepts


@pytest.mark.parametrize(
    ("limit", "planned", "accepted"),
    [(FailureLimit(), 1, 10), (FailureLimit(), 50, 10), (FailureLimit(), 51, 10),
     (FailureLimit(), 55, 11), (FailureLimit(), 1000, 200), (FailureLimit(), 100_000, 20_000),
     (FailureLimit(percent=0), 1000, 10), (FailureLimit(percent=1), 1000, 10),
     (FailureLimit(percent=1.5), 1000, 15), (FailureLimit(percent=100), 1000, 1000),
     (FailureLimit(count=0), 1000, 0), (FailureLimit(count=3), 1000, 3),
     (FailureLimit(count=3, percent=100), 1000, 3), (FailureLimit(count=500), 100, 500)],
)  # fmt: skip
def test_a_run_accepts_ten_failures_or_its_share_or_the_number_that_was_set(
    limit: FailureLimit, planned: int, accepted: int
) -> None:
    sent = 10_000_000

    assert not limit.exceeded(planned=planned, sent=sent, failures=accepted)
    assert limit.exceeded(planned=planned, sent=sent, failures=accepted + 1)


def test_with_a_limit_of_zero_the_first_failure_is_one_too_many() -> None:
    none = FailureLimit(count=0)

    assert not none.exceeded(planned=5, sent=1, failures=0)
    assert none.exceeded(planned=5, sent=1, failures=1)


@pytest.mark.parametrize("limit", [FailureLimit(percent=100), FailureLimit(count=1000)])
@pytest.mark.parametrize(
    ("sent", "failures", "stops"),
    [(19, 19, False), (20, 19, False), (20, 20, True), (21, 20, False), (40, 20, False)],
)
def test_whatever_is_accepted_twenty_failures_from_the_start_are_too_many(
    limit: FailureLimit, sent: int, failures: int, stops: bool
) -> None:
    assert limit.exceeded(planned=1000, sent=sent, failures=failures) is stops


@given(
    planned=st.integers(0, 10**6),
    sent=st.integers(0, 10**6),
    percent=st.floats(0, 100),
    count=st.none() | st.integers(0, 10**6),
)
def test_a_run_without_failures_is_never_stopped_for_them(
    planned: int, sent: int, percent: float, count: int | None
) -> None:
    limit = FailureLimit(count=count, percent=percent)

    assert not limit.exceeded(planned=planned, sent=sent, failures=0)
