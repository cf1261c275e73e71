"""The page of a run in a browser, Debian's Chromium, and what it costs to make it."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections import Counter, defaultdict
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.measure import measured
from tests.end_to_end.conftest import ROOT, environment, serving
from tests.reporting.test_page import hostile_page
from tests.support.browser import Browser, running
from tests.support.job_harness import some_ids
from tests.support.page_runs import some_rows, write_run
from tests.support.programs import missing, program

if TYPE_CHECKING:
    from collections.abc import Iterator

AXE = "axe-core@4.10.2"
"""What checks a page for those who do not see it, or not well; from npm."""

SIZES = [(width, dark) for width in (1280, 390) for dark in (False, True)]
NAMES = [f"{width}-{'dark' if dark else 'light'}" for width, dark in SIZES]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running() as browser:
        yield browser


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory in which a list was run: most of it is revoked, and a page says so."""
    home = tmp_path_factory.mktemp("run")
    options = ("--licenses", "300", "--write", "all.csv", "--rate", "none", "--latency", "0ms")
    with serving(home, *options) as api:
        lines = (home / "all.csv").read_text().splitlines()
        (home / "list.csv").write_text("\n".join([*lines, *some_ids(3, seed=5), lines[7]]) + "\n")
        (home / "never.csv").write_text("\n".join([lines[0], *lines[20:24]]) + "\n")
        ended = report(
            home, "run", "list.csv", "--base-url", api.base_url, "--yes", "--max-licenses", "999",
            "--rate", "none", "--exclude", "never.csv", "--report", "run.html", "--limit", "250",
            "--reason", "<b>July</b> & \"all\" of it",
        )  # fmt: skip
    assert ended.returncode == 1, ended.stderr
    return home


@pytest.fixture(scope="module")
def pages(run: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Pages of a real run, of hostile text, and of a run with much to show."""
    home = tmp_path_factory.mktemp("pages")
    (home / "hostile.html").write_text(hostile_page(), encoding="utf-8")
    write_run(home / "large.csv", some_rows(9000))
    assert report(home, "report", "large.csv").returncode == 0
    return {
        "run": run / "run.html",
        "hostile": home / "hostile.html",
        "large": home / "large.html",
    }


def report(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "batch", *arguments],
        cwd=home,
        env=environment(home, CRYPTLEX_ACCESS_TOKEN="sandbox-token"),
        check=False,
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def axe() -> str:
    """The script of axe-core, from npm's cache or its registry."""
    place = ROOT / "build" / AXE.replace("@", "-")
    script = place / "node_modules" / "axe-core" / "axe.min.js"
    if not script.exists():
        place.parent.mkdir(exist_ok=True)
        with TemporaryDirectory(dir=place.parent) as home:
            options = ("--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline")
            fetch = [program("npm"), "install", "--prefix", f"{home}/axe", *options, AXE]
            done = subprocess.run(fetch, check=False, capture_output=True, timeout=120)
            with suppress(OSError):  # another process of these tests has put it there
                Path(home, "axe").rename(place)
        if done.returncode or not script.exists():
            missing(f"{AXE} (npm cannot fetch it)", "npm")
    return script.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["run", "hostile", "large"])
@pytest.mark.parametrize(("width", "dark"), SIZES, ids=NAMES)
def test_it_asks_for_nothing_complains_of_nothing_and_fits(
    browser: Browser, pages: dict[str, Path], name: str, width: int, dark: bool
) -> None:
    with browser.showing(pages[name], width=width, dark=dark) as tab:
        widths = tab.evaluate(
            "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
        )
        colour = tab.evaluate("getComputedStyle(document.body).backgroundColor")

        assert tab.requests == [pages[name].as_uri()]
        assert tab.complaints == []
        assert widths[0] <= widths[1] == width
        assert (colour == "rgb(255, 255, 255)") is not dark  # its style sheet is admitted


@pytest.mark.parametrize("name", ["run", "hostile", "large"])
@pytest.mark.parametrize(("width", "dark"), [SIZES[0], SIZES[3]], ids=[NAMES[0], NAMES[3]])
def test_those_who_do_not_see_it_can_use_it(
    browser: Browser, pages: dict[str, Path], axe: str, name: str, width: int, dark: bool
) -> None:
    with browser.showing(pages[name], width=width, dark=dark) as tab:
        tab.evaluate(f"{axe}; undefined")
        found = tab.evaluate("axe.run().then(it => it.violations)")

    serious = [each for each in found if each["impact"] in {"serious", "critical"}]
    assert serious == [], json.dumps(serious, indent=1)[:3000]


def test_whatever_stands_in_cells_runs_nothing(browser: Browser, pages: dict[str, Path]) -> None:
    with browser.showing(pages["hostile"]) as tab:
        tags = tab.evaluate("[...document.querySelectorAll('script,img,iframe,[onerror]')].length")
        shown = tab.evaluate("document.body.innerText")
        methods = {event.get("method") for event in browser.events}

    assert tags == 0
    assert "<script>alert(1)</script>" in shown
    assert "Page.javascriptDialogOpening" not in methods


@pytest.mark.parametrize("name", ["run", "large"])
def test_it_can_be_printed(browser: Browser, pages: dict[str, Path], name: str) -> None:
    with browser.showing(pages[name], dark=True) as tab:
        printed = tab.printed()

    assert printed.startswith(b"%PDF-")
    assert printed.count(b"/Type /Page\n") + printed.count(b"/Type /Page ") >= 2


TABLES = """[...document.querySelectorAll('table')].map(table => ({
    caption: table.caption.innerText,
    rows: [...table.rows].map(row => [...row.cells].map(cell => cell.innerText.trim())),
}))"""


def numbers(cells: list[str]) -> list[int]:
    return [int(each.replace(",", "")) for each in cells]


def test_every_number_on_it_is_that_of_the_results(browser: Browser, run: Path) -> None:
    with (run / "list.results.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    with browser.showing(run / "run.html") as tab:
        tables = tab.evaluate(TABLES)
        figures = tab.evaluate(
            "[...document.querySelectorAll('.figures div')].map(it => it.innerText.split('\\n'))"
        )
        heading = tab.evaluate("document.querySelector('h1').innerText")
    licenses = [row for row in rows if not row["duplicate_of"]]
    turned = [row for row in licenses if row["outcome"] == "revoked"]
    outcomes = Counter(row["outcome"] for row in licenses)
    so = outcomes["revoked"] + outcomes["already_revoked"]
    stopped = sum(int(row["activations"]) for row in turned)

    top = {label: int(number.replace(",", "")) for label, number in figures}
    assert top["licenses"] == len(licenses) == 303
    assert top["revoked"] == so
    assert top["activations that stopped working"] == stopped > 0
    assert heading.startswith(f"{so} of 303 licenses are revoked; ")
    assert {row[0]: numbers([row[2], row[4]]) for row in tables[0]["rows"][1:-1]} == {
        name.replace("_", " "): [count, sum(row["outcome"] == name for row in rows)]
        for name, count in outcomes.items()
    }
    _assert_reasons(tables, rows)
    for caption, name in (("Company", customer), ("The largest", product)):
        _assert_groups(next(t for t in tables if t["caption"].startswith(caption)), licenses, name)


def customer(row: dict[str, str]) -> str:
    return row["company"] or row["organization"] or row["user_email"] or "not told"


def product(row: dict[str, str]) -> str:
    return row["product_id"] or "not told"


def _assert_reasons(tables: list[dict[str, Any]], rows: list[dict[str, str]]) -> None:
    """Every row that is not done stands in the table of its reason."""
    undone = [row for row in rows if row["outcome"] in {"not_found", "not_attempted", "failed"}]
    listed = {
        (row[0], row[1]) for table in tables for row in table["rows"] if len(row) == 3
    } - {("Row", "License")}  # fmt: skip
    assert listed == {(row["row"], row["license_id"]) for row in undone}
    [reasons] = [each for each in tables if each["caption"].startswith("Reasons")]
    assert sum(numbers([row[3] for row in reasons["rows"][1:]])) == len(undone)


def _assert_groups(table: dict[str, Any], licenses: list[dict[str, str]], name: Any) -> None:  # noqa: ANN401
    """Each group, and all together, have the numbers of their licenses."""
    counted: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for row in licenses:
        is_turned = row["outcome"] == "revoked"
        for group in (name(row), "All"):
            sums = counted[group]
            sums[0] += 1
            sums[1] += is_turned
            sums[2] += int(row["activations"] or 0) * is_turned
    shown = {row[0]: numbers(row[2:5]) for row in table["rows"][1:] if "more" not in row[0]}
    assert shown == {group: counted[group] for group in shown}
    rest = [numbers(row[2:5]) for row in table["rows"] if " more" in row[0]]
    parts = [sums for group, sums in shown.items() if group != "All"] + rest
    assert [sum(each) for each in zip(*parts, strict=True)] == counted["All"]


def test_a_page_of_ten_thousand_rows_is_made_quickly_and_in_little_memory(tmp_path: Path) -> None:
    write_run(tmp_path / "run.csv", some_rows(10_000))

    cost = measured(
        (sys.executable, "-m", "batch", "report", "run.csv"),
        directory=tmp_path,
        variables={"PYTHONPATH": str(ROOT)},
    )

    assert (tmp_path / "run.html").exists()
    assert cost.cpu < 2
    assert cost.peak < 150
