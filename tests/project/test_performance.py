"""What docs/performance.md says follows from its raw data, keeps its bounds, and is still so."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from benchmarks import figures, ratios, report
from benchmarks.measure import saved
from tests.support.programs import program

if TYPE_CHECKING:
    from pathlib import Path


def test_what_was_measured_keeps_its_bounds() -> None:
    assert [bound for bound in figures.bounds() if not bound.holds] == []


def test_the_tables_of_the_page_are_those_of_the_raw_data() -> None:
    page = report.PAGE.read_text(encoding="utf-8")

    assert report.filled(page, figures.tables()) == page


def test_every_plot_is_shown_and_every_one_that_is_shown_is_there() -> None:
    page = report.PAGE.read_text(encoding="utf-8")

    shown = set(re.findall(r"\]\((performance/\w+\.svg)\)", page))

    there = (report.PAGE.parent / "performance").iterdir()
    assert shown == {f"performance/{each.name}" for each in there}


@pytest.mark.parametrize("name", ratios.RATIOS)
def test_no_ratio_has_got_worse_by_more_than_a_third(tmp_path: Path, name: str) -> None:
    program("nginx")
    (recorded,) = (run for run in saved("ratios")["runs"] if run.pop("case") == name)

    now: ratios.Costs = {}
    for attempt in range(3):  # others are at work on the machine as well: more rounds tell
        place = tmp_path / str(attempt)
        place.mkdir()
        for each, costs in ratios.RATIOS[name](place).items():
            now.setdefault(each, []).extend(costs)
        if ratios.ratio(now) <= ratios.WORSE * ratios.ratio(recorded):
            return
    pytest.fail(f"{name}: {ratios.ratio(now):.2f}, {ratios.ratio(recorded):.2f} recorded: {now}")
