from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch.errors import GuardError
from batch.model import Outcome
from batch.plan import make_plan
from tests.builders import calm, listing
from tests.harness import some_ids

A, B, C = some_ids(3)
CELLS = st.lists(st.sampled_from([*some_ids(8), "no id", "", "-"]), max_size=30)


@calm
@given(CELLS)
def test_every_valid_license_is_sent_exactly_once_in_input_order(cells: list[str]) -> None:
    listed = listing(*cells)

    plan = make_plan(listed)

    wanted = list(dict.fromkeys(cell for cell in cells if cell.count("-") == 4))
    assert [listed.license_id(entry) for entry in plan.to_send] == wanted


@calm
@given(CELLS)
def test_every_row_has_a_status_before_the_first_request(cells: list[str]) -> None:
    plan = make_plan(listing(*cells))

    statuses = list(plan.statuses())

    assert [status.outcome for status in statuses] == [
        Outcome.PLANNED if cell.count("-") == 4 else Outcome.INVALID for cell in cells
    ]
    assert all(bool(status.error) is (status.outcome is Outcome.INVALID) for status in statuses)
    assert {(status.revoked, status.attempts) for status in statuses} <= {(None, 0)}


@pytest.mark.parametrize("most", [2, 3, None])
def test_a_cap_counts_licenses_and_not_rows(most: int | None) -> None:
    plan = make_plan(listing(A, A, B, "no id", A), max_licenses=most)

    assert list(plan.to_send) == [0, 2]


def test_a_plan_above_the_cap_is_refused_with_both_numbers() -> None:
    ids = some_ids(1234)

    with pytest.raises(GuardError) as refused:
        make_plan(listing(*ids, title="licenses.csv, column 1"), max_licenses=1233)

    assert refused.value.message == (
        "licenses.csv, column 1: 1,234 licenses would be revoked, --max-licenses allows 1,233"
    )
    assert "--max-licenses" in refused.value.hint
    assert refused.value.exit_code == 2
