from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from batch.gate import least_seconds
from batch.plan import make_plan
from batch.preview import preview
from batch.settings import Rate, Settings
from batch.text import duration
from tests.builders import listing
from tests.harness import some_ids

A, B, C = some_ids(3)
SETTINGS = Settings(input="licenses.csv", output=Path("licenses.results.csv"))

SHOWN = """\
input:    licenses.csv, header "license_id"
          6 rows (2 repeat a license; 1 holds no license ID and is skipped; 3 blank ones not counted)
          left out, by their outcome in the earlier run: 1,200 revoked, 4 already_revoked
revoke:   3 licenses at api.cryptlex.com
rate:     45 requests in any 5 s, at least 1 min 05 s
results:  licenses.results.csv
          Applications notice at their next server sync. Restoring a license makes
          its users activate again."""  # noqa: E501 - as it is shown


def shown(*cells: str, settings: Settings = SETTINGS, blank: int = 0) -> list[str]:
    plan = make_plan(listing(*cells, blank=blank))
    return preview(plan, settings, place="api.cryptlex.com", seconds=0).split("\n")


def test_a_person_sees_what_will_happen_where_how_fast_and_with_what_consequences() -> None:
    listed = listing(
        A,
        B,
        A,
        "no id",
        C,
        A,
        title='licenses.csv, header "license_id"',
        blank=3,
        left_out={"revoked": 1200, "already_revoked": 4},
    )

    text = preview(make_plan(listed), SETTINGS, place="api.cryptlex.com", seconds=65)

    assert text == SHOWN


def test_a_plain_input_is_shown_in_few_words() -> None:
    assert shown(A)[:3] == [
        "input:    licenses.csv",
        "          1 row",
        "revoke:   1 license at api.cryptlex.com",
    ]


@pytest.mark.parametrize(
    ("cells", "blank", "line"),
    [
        ((A, B), 0, "          2 rows"),
        ((A, A), 0, "          2 rows (1 repeats a license)"),
        ((A, A, A), 0, "          3 rows (2 repeat a license)"),
        ((A, "x"), 0, "          2 rows (1 holds no license ID and is skipped)"),
        ((A, "x", "x"), 0, "          3 rows (2 hold no license ID and are skipped)"),
        ((A,), 1, "          1 row (1 blank one not counted)"),
    ],
)
def test_rows_that_are_not_sent_are_accounted_for(
    cells: tuple[str, ...], blank: int, line: str
) -> None:
    assert shown(*cells, blank=blank)[1] == line


@pytest.mark.parametrize(
    ("rate", "line"),
    [
        ("50/5s", "50 requests in any 5 s, at least 0 s"),
        ("1/1234.567s", "1 requests in any 1234.567 s, at least 0 s"),
        ("none", "no limit, 32 at a time, at least 0 s"),
    ],
)
def test_the_pace_is_shown_as_it_was_set(rate: str, line: str) -> None:
    lines = shown(A, settings=replace(SETTINGS, rate=Rate.parse(rate)))

    assert f"rate:     {line}" in lines


def test_a_rehearsal_warns_of_nothing() -> None:
    lines = shown(A, settings=replace(SETTINGS, sandbox=True))

    assert not any("Applications" in line or "activate" in line for line in lines)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.4, "0 s"),
        (1, "1 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (60, "1 min 00 s"),
        (61, "1 min 01 s"),
        (3599.4, "59 min 59 s"),
        (3599.9, "1 h 00 min"),
        (3600, "1 h 00 min"),
        (7199, "1 h 59 min"),
        (86_400, "24 h 00 min"),
        (36_000_000, "10,000 h 00 min"),
    ],
)
def test_a_time_span_is_spelled_with_its_two_largest_units(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_a_hundred_thousand_licenses_take_three_hours() -> None:
    assert duration(least_seconds(45, 5.0, 100_000)).startswith("3 h ")
    assert duration(least_seconds(None, 5.0, 100_000)) == "0 s"
