from __future__ import annotations

from datetime import UTC, datetime
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch.api.base_url import SAAS
from batch.api.retry import FailureLimit
from batch.errors import ConfigError
from batch.settings import SAAS_LIMIT, Rate, output_path, parse_failures, parse_where
from tests.support.builders import calm

ON_PREMISE = "https://licenses.example.com/v3"
NOW = datetime(2026, 11, 24, 2, 5, 9, tzinfo=UTC)

LIMITS = st.integers(1, 60) | st.integers(1, 999_999_999)
MILLISECONDS = st.integers(1, 12_000) | st.integers(1, 999_999_999)
RATES = st.builds(lambda limit, length: Rate(limit, length / 1000), LIMITS, MILLISECONDS)


@calm
@given(RATES | st.just(Rate.parse("none")))
def test_a_rate_is_read_as_it_was_written(rate: Rate) -> None:
    assert Rate.parse(str(rate)) == rate


@pytest.mark.parametrize(
    ("text", "limit", "period"),
    [
        ("45/5s", 45, 5.0),
        (" 45 / 5 s ", 45, 5.0),
        ("10/0.5s", 10, 0.5),
        ("1/1234.567s", 1, 1234.567),
        ("1/999999.999s", 1, 999_999.999),
        ("None", None, 5.0),
    ],
)
def test_a_rate_is_requests_per_seconds(text: str, limit: int | None, period: float) -> None:
    assert Rate.parse(text) == Rate(limit, period)


@pytest.mark.parametrize(
    "text",
    ["", "45", "45/5", "45/s", "0/5s", "45/0s", "45/0.000s", "-1/5s", "4.5/5s", "45/5m",
     "45/5.0001s", "1e3/5s", "45/infs", "nones", "45/5s 45/5s", "9999999999/5s", "45/5s\n45/5s"],
)  # fmt: skip
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="is no rate") as refused:
        Rate.parse(text)

    assert "45/5s" in refused.value.hint


def most_in_any_window(rate: Rate, seconds: int) -> int:
    """Requests in a window of so many seconds, at worst: a whole burst whenever one may start."""
    assert rate.limit is not None
    period = Fraction(round(rate.period * 1000), 1000)
    bursts = -(-seconds // period)
    return rate.limit * bursts


@calm
@given(RATES)
def test_a_rate_is_accepted_where_no_five_seconds_can_hold_more_than_fifty(rate: Rate) -> None:
    try:
        rate.check(SAAS)
    except ConfigError:
        accepted = False
    else:
        accepted = True

    assert accepted is (most_in_any_window(rate, 5) <= SAAS_LIMIT)


@pytest.mark.parametrize("text", ["45/5s", "50/5s", "10/1s", "1/0.1s", "50/10s", "16/1.667s"])
def test_a_rate_within_the_vendors_limit_is_accepted(text: str) -> None:
    Rate.parse(text).check(SAAS)


@pytest.mark.parametrize("text", ["51/5s", "50/4.999s", "11/1s", "51/10s", "17/1.666s", "none"])
@pytest.mark.parametrize("url", [SAAS, "https://API.cryptlex.com./v3", "https://eu.cryptlex.com"])
def test_a_rate_that_may_get_the_address_blacklisted_is_refused(text: str, url: str) -> None:
    with pytest.raises(ConfigError, match="blacklist") as refused:
        Rate.parse(text).check(url)

    assert text in str(refused.value)
    assert "45/5s" in refused.value.hint


@pytest.mark.parametrize("text", ["none", "1000/1s"])
@pytest.mark.parametrize("url", [ON_PREMISE, "https://cryptlex.com.example.com"])
def test_another_installation_may_have_any_rate(text: str, url: str) -> None:
    Rate.parse(text).check(url)


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("20%", FailureLimit(percent=20)),
        (" 0.5 % ", FailureLimit(percent=0.5)),
        ("100%", FailureLimit(percent=100)),
        ("0%", FailureLimit(percent=0)),
        ("0", FailureLimit(count=0)),
        (" 12 ", FailureLimit(count=12)),
    ],
)
def test_failures_are_a_number_or_a_share(text: str, limit: FailureLimit) -> None:
    assert parse_failures(text) == limit


@pytest.mark.parametrize(
    "text", ["", "%", "101%", "100.1%", "-1", "-1%", "1.5", "20 percent", "1e2", "nan%"]
)
def test_what_is_neither_a_number_nor_a_share_is_refused(text: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_failures(text)

    assert str(refused.value) == f"--max-failures {text} is neither a number nor a percentage"
    assert "20%" in refused.value.hint


def named(template: str | None, source: str = "licenses.csv") -> str:
    return str(output_path(template, source, ".results.csv", now=NOW, run_id="7f3a0001"))


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("licenses.csv", "licenses.results.csv"),
        ("/srv/lists/licenses.xlsx", "licenses.results.csv"),
        ("../licenses.CSV.GZ", "licenses.results.csv"),
        ("licenses.tsv.gz", "licenses.results.csv"),
        ("licenses", "licenses.results.csv"),
        ("2026.11.24 july.v2.csv", "2026.11.24 july.v2.results.csv"),
        ("{date}.csv", "{date}.results.csv"),
        (".csv", ".csv.results.csv"),
        ("-", "stdin.results.csv"),
    ],
)
def test_results_are_named_after_the_input_and_stand_in_the_working_directory(
    source: str, name: str
) -> None:
    assert named(None, source) == name


@pytest.mark.parametrize(
    ("template", "name"),
    [
        ("/srv/runs/{date}.csv", "/srv/runs/2026-11-24.csv"),
        ("{date}T{time}-{run_id}.csv", "2026-11-24T020509-7f3a0001.csv"),
        ("{date}{date}", "2026-11-242026-11-24"),
        ("{}-{{date}}-{a b}.csv", "{}-{2026-11-24}-{a b}.csv"),
        ("plain.csv", "plain.csv"),
    ],
)
def test_a_name_may_hold_date_time_and_run(template: str, name: str) -> None:
    assert named(template) == name


@pytest.mark.parametrize(
    "template", ["{Date}.csv", "{dat}.csv", "a-{id}-{date}.csv", "{run}", "{{time}}"]
)
def test_a_name_with_another_word_in_braces_is_refused(template: str) -> None:
    with pytest.raises(ConfigError, match="stands for nothing") as refused:
        named(template)

    assert str(refused.value).startswith(f"--output {template}: ")
    assert "{date}, {time} and {run_id}" in refused.value.hint


@pytest.mark.parametrize(
    ("text", "column", "value"),
    [
        ("Action=revoke", "Action", "revoke"),
        (" Action = keep - paid\u00a0", "Action", "keep - paid"),
        ("Action=", "Action", ""),
        ("2=a=b", "2", "a=b"),
    ],
)
def test_a_condition_ends_its_column_at_the_first_sign(text: str, column: str, value: str) -> None:
    found = parse_where(text)

    assert (found.column, found.value) == (column, value)
    assert parse_where(str(found)) == found


@pytest.mark.parametrize("text", ["", "Action", "=revoke", " =revoke"])
def test_a_condition_without_a_column_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_where(text)

    assert refused.value.option == "--where"
    assert refused.value.shown == text
    example = refused.value.hint.split("--where ")[-1].rstrip(".")
    assert str(parse_where(example)) == "Action=revoke"
