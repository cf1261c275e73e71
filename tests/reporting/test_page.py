"""The page of a run as text: inert, bounded, and without anything that it should not hold."""

from __future__ import annotations

import base64
import hashlib
import re
import shlex
from datetime import UTC, datetime
from html import unescape
from html.parser import HTMLParser
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from batch.columns import DETAILS, columns
from batch.model import REVOKE, SUSPEND, VERIFY, Action, Outcome, OwnWords
from batch.reporting.page import File, Source, Step, inert, is_page, render
from batch.reporting.page_facts import MOST_ROWS, gather, without_keys
from tests.support.job_harness import some_ids
from tests.support.page_runs import BEGAN, MINUTES, some_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>\u202e\u200fabc\u2066{{ 7*7 }}"


def run_of(**more: object) -> dict[str, Any]:
    session = {
        "started_at": BEGAN, "finished_at": "2026-11-24T02:22:31.000Z", "exit_code": 1,
        "requests": 5, "patches": 4, "throttled": 1, "stopped": "HTTP 503: key 9A8B-77C6",
        "why": "", "sent_from": BEGAN, "minutes": MINUTES,
    }  # fmt: skip
    return {
        "run_id": "0badcafe", "command": "run", "api": "https://api.cryptlex.com/v3", "reason": "",
        "rehearsal": False, "options": {}, "approved": {},
        "input": {"path": "l.csv", "taken": "l.csv"},
        "results": {"path": "l.results.csv", "details": True}, "tool": "bulk-revoke 1",
        "user": "me", "host": "here", "directory": "/srv", "sessions": [session],
    } | more  # fmt: skip


def page_of(
    rows: Iterable[Mapping[str, object]],
    action: Action = REVOKE,
    *,
    details: bool = True,
    steps: tuple[Step, ...] = (),
    **run: object,
) -> str:
    header = (*columns(action.changes), *(DETAILS if details else ()))
    lines = ([str(row.get(name, "")) for name in header] for row in rows)
    made = run_of(results={"path": "l.results.csv", "details": details}, **run)
    files = (File("Results", "l.results.csv", "0" * 64, "as the run has left it"),)
    facts = gather(header, lines, action, made)
    return render(Source(facts, made, files, steps, datetime(2026, 11, 24, 3, tzinfo=UTC)))


class Seen(HTMLParser):
    """The elements of a page, their attributes, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def seen(page: str) -> Seen:
    found = Seen()
    found.feed(page)
    return found


def hostile_page() -> str:
    row = {"row": 2, "license_id": some_ids(1)[0], "outcome": Outcome.REVOKED}
    own = dict.fromkeys(DETAILS, HOSTILE) | {"error": HOSTILE, "license_key": "KEY-9A8B"}
    rows = [
        row | own,
        row | own | {"outcome": Outcome.FAILED, "error_code": HOSTILE, "http_status": HOSTILE},
        row | own | {"outcome": Outcome.INVALID, "license_id": HOSTILE},
    ]
    return page_of(
        rows, reason=HOSTILE, user=HOSTILE, host=HOSTILE, run_id=HOSTILE, api=HOSTILE,
        tool=HOSTILE, input={"path": HOSTILE, "taken": HOSTILE},
        approved={"path": HOSTILE, "sha256": HOSTILE},
        options={"where": [HOSTILE], "carry": HOSTILE, "rate": HOSTILE},
        steps=(Step("Next", "text", f"run {HOSTILE}"),),
    )  # fmt: skip


def test_whatever_stands_in_cells_is_text_and_nothing_else() -> None:
    found = seen(hostile_page())

    assert not {"script", "img", "iframe", "object", "link", "base", "form"} & set(found.tags)
    assert {
        name for name, _ in found.attributes if name.startswith("on") or name == "style"
    } == set()
    assert "<script>alert(1)</script>" in "".join(found.text)
    assert sum("{{ 7*7 }}" in each for each in found.text) > 10


def test_characters_that_turn_or_hide_text_are_spelled_out() -> None:
    page = hostile_page()

    assert not re.search("[\u202a-\u202e\u2066-\u2069\u200b\u200e\u200f\u061c\ufeff]", page)
    assert inert("a\u200eb\u202ec\nd") == "a\\u200eb\\u202ec\\nd"
    assert page.count("<bdi>") == page.count("</bdi>") > 10


def test_neither_a_key_nor_the_words_of_a_server_stand_on_it() -> None:
    key = "9A8B-77C6-D5E4"
    rows = [
        {"row": 2, "license_id": some_ids(1)[0], "license_key": key, "outcome": outcome,
         "error": f"HTTP 409: {key}", "error_code": key, "http_status": 409}
        for outcome in Outcome
    ]  # fmt: skip
    where = [f"License Key={key}", f"Serial={key}", f"4={key}", "Customer=ACME"]
    options = without_keys({"by": "key", "column": "Serial", "where": where})

    page = page_of(rows, options=options)

    assert key not in page
    assert "9A8B" not in page
    assert "--where 'License Key=…'" in unescape(page)
    assert "--where Customer=ACME" in page


@pytest.mark.parametrize(
    ("action", "said"),
    [
        (REVOKE, "activations that stopped working"),
        (REVOKE.dry_run(), "activations that would stop working"),
        (SUSPEND, "activations that were suspended"),
        (SUSPEND.dry_run(), "activations that would be suspended"),
    ],
)
def test_what_becomes_of_activations_depends_on_what_is_done(action: Action, said: str) -> None:
    page = page_of([], action, command=action.command)

    assert f"<dt>{said}</dt>" in page


def figures_of(page: str) -> dict[str, str]:
    """The numbers at the top of a page, by what they are of."""
    found = re.findall(r"<div><dt>([^<]*)</dt><dd[^>]*>([^<]*)</dd></div>", page)
    return dict(found)


SEEN = {"product_id": "A", "activations": 5, "last_used_at": "2026-11-20"}


@pytest.mark.parametrize(
    ("action", "rows", "shown"),
    [
        (REVOKE, [(Outcome.REVOKED, SEEN)], ("5", "1")),
        (REVOKE, [(Outcome.REVOKED, SEEN), (Outcome.REVOKED, {})], ("at least 5", "at least 1")),
        (REVOKE, [(Outcome.REVOKED, SEEN), (Outcome.UNKNOWN, {})], ("at least 5", "at least 1")),
        (REVOKE, [(Outcome.REVOKED, SEEN), (Outcome.NOT_FOUND, {})], ("5", "1")),
        (REVOKE, [(Outcome.REVOKED, {}), (Outcome.ALREADY_REVOKED, SEEN)],
         ("not known", "not known")),
        (REVOKE, [(Outcome.ALREADY_REVOKED, SEEN)], ("0", "0")),
        (REVOKE.dry_run(), [(Outcome.WOULD_REVOKE, SEEN), (Outcome.UNKNOWN, {})],
         ("at least 5", "at least 1")),
        (REVOKE.dry_run(), [(Outcome.UNKNOWN, {})], ("not known", "not known")),
        (REVOKE.dry_run(), [(Outcome.NOT_ATTEMPTED, {})], ("not known", "not known")),
        (REVOKE.dry_run(), [(Outcome.WOULD_REVOKE, SEEN),
                            (Outcome.NOT_ATTEMPTED, {"error": OwnWords.LEFT})], ("5", "1")),
        (VERIFY, [(Outcome.NOT_REVOKED, SEEN), (Outcome.FAILED, {})], ("at least 5", "at least 1")),
    ],
)  # fmt: skip
def test_what_the_look_has_not_seen_makes_a_number_the_least(
    action: Action, rows: list[tuple[Outcome, dict[str, object]]], shown: tuple[str, str]
) -> None:
    lines = [
        {"row": at, "license_id": some_ids(9)[at], "outcome": outcome, **own}
        for at, (outcome, own) in enumerate(rows)
    ]

    page = page_of(lines, action, command=action.command)

    assert tuple(figures_of(page).values())[-2:] == shown
    assert ("could not be looked at" in page) is (shown[0] not in {"0", "5"})


def test_its_policy_admits_its_own_style_sheet_and_nothing_else() -> None:
    page = page_of(some_rows(300))

    [style] = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    [policy] = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert policy == (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )
    assert set(re.findall(r' (?:src|srcset|href|action|data|poster)="([^"]*)"', page)) == {"#rows"}
    assert "url(" not in style
    assert "@import" not in style


def test_headings_come_in_order_and_tables_name_what_their_cells_are() -> None:
    page = page_of(some_rows(300))

    levels = [int(level) for level in re.findall(r"<h([1-6])", page)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert '<html lang="en">' in page
    assert not re.findall(r"<th(?![^>]*scope=)(?!ead)", page)
    assert page.count("<table") == page.count("<caption>")
    for svg in re.findall(r"<svg[^>]*>", page):
        assert 'aria-hidden="true"' in svg or ('role="img"' in svg and "aria-label=" in svg)


def test_a_dry_run_and_a_rehearsal_say_so_above_all_else() -> None:
    rows = [{"row": 2, "license_id": some_ids(1)[0], "outcome": Outcome.WOULD_REVOKE}]

    dry = page_of(rows, REVOKE.dry_run(), options={"dry_run": True})
    rehearsed = page_of(some_rows(2), rehearsal=True, api="sandbox")

    assert "<title>Dry run: 1 of 1 license would be revoked" in dry
    assert dry.index("Nothing was sent") < dry.index("<h2")
    assert "<title>Rehearsal: " in rehearsed
    assert rehearsed.index("No license of any account was touched") < rehearsed.index("<h2")
    assert "<title>All 2" in page_of(some_rows(2))


def test_a_run_that_was_killed_is_called_unfinished() -> None:
    session: dict[str, object] = {
        "started_at": BEGAN, "finished_at": "", "exit_code": None, "requests": 0, "patches": 0,
        "throttled": 0, "why": "", "minutes": [],
    }  # fmt: skip

    page = page_of(some_rows(2), sessions=[session])

    assert "<title>Unfinished: " in page
    assert "without an orderly end, or still at work" in page
    assert "how many requests it sent is not known" in page


@pytest.mark.parametrize(
    ("code", "name"),
    [(3, "Stopped early"), (129, "Hung up"), (130, "Interrupted"), (143, "Terminated")],
)
@pytest.mark.parametrize("action", [REVOKE, REVOKE.dry_run()])
def test_a_run_that_was_stopped_says_at_its_top_why_and_what_is_left(
    action: Action, code: int, name: str
) -> None:
    ids = some_ids(3)
    so = action.on_success if action.sends else action.in_dry_run
    outcomes = (so, Outcome.NOT_ATTEMPTED, Outcome.NOT_ATTEMPTED)
    rows = [{"row": at, "license_id": ids[at], "outcome": each} for at, each in enumerate(outcomes)]
    session = run_of()["sessions"][0] | {"exit_code": code, "why": f"the disk <is> full{HOSTILE}"}

    page = page_of(rows, action, sessions=[session], options={"dry_run": action.is_dry_run})

    kind = "Dry run: " if action.is_dry_run else ""
    top = page[: page.index("<h2")]
    assert f"<title>{kind}{name}: 1 of 3 licenses" in top
    assert f"<b>{name}.</b> 2 licenses are not {'looked at' if kind else 'done'}." in top
    assert "Why: <bdi>the disk &lt;is&gt; full&lt;script&gt;" in top
    assert ("Nothing was sent" in top) is bool(kind)


@pytest.mark.parametrize("action", [REVOKE.dry_run(), VERIFY])
def test_what_only_reads_says_of_rows_that_it_had_not_come_to_that_it_has_not_looked(
    action: Action,
) -> None:
    row = {"row": 2, "license_id": some_ids(1)[0], "outcome": Outcome.NOT_ATTEMPTED}

    page = page_of([row], action, command=action.command)

    assert '<td class="wide">not looked at, or left for later</td>' in page
    assert figures_of(page)["not looked at"] == "1"
    assert "not sent" not in page


def test_a_pilot_that_ended_as_it_was_asked_has_nothing_in_red() -> None:
    left = {"outcome": Outcome.NOT_ATTEMPTED, "error": OwnWords.LEFT}
    rows = [row | left if at else row for at, row in enumerate(some_rows(4))]

    page = page_of(rows, options={"limit": 1})

    assert figures_of(page)["not done"] == "0"
    assert figures_of(page)["left for later"] == "3"
    assert 'class="bad"' not in page[: page.index("<h2")]
    assert "Left for later</h2>" in page


def test_the_bar_has_the_shares_of_the_table_below_it() -> None:
    unselected = {"outcome": Outcome.EXCLUDED, "error": OwnWords.UNSELECTED}
    was_so = {"outcome": Outcome.ALREADY_REVOKED}
    rows = [row | (unselected if at > 3 else was_so if at == 3 else {})
            for at, row in enumerate(some_rows(16))]  # fmt: skip
    rows[-1] |= {"outcome": Outcome.INVALID, "error": ""}  # a row without a license

    bar = page_of(rows).partition('<svg class="stack"')[2].partition("</svg>")[0]

    widths = [float(width) for width in re.findall(r'<rect [^>]*width="([0-9.]+)"', bar)]
    assert [round(width / sum(widths), 2) for width in widths] == [0.75, 0.25]


def test_what_was_left_alone_and_what_is_left_to_do_can_be_told_apart_in_the_bar() -> None:
    kinds = [Outcome.REVOKED, Outcome.EXCLUDED, Outcome.NOT_ATTEMPTED]
    rows = [row | {"outcome": kind} for kind, row in zip(kinds, some_rows(3), strict=True)]

    bar = page_of(rows).partition('<svg class="stack"')[2].partition("</svg>")[0]

    tones = re.findall('<rect class="([a-z]+)"', bar)
    assert len(set(tones)) == len(kinds) == len(tones)


def test_a_command_is_broken_between_its_words_alone() -> None:
    page = page_of(some_rows(1), steps=(Step("Next", "", "bulk-revoke run l.csv --reason 'a b'"),))

    assert "<span>--reason</span> <span>" in page
    [shown] = re.findall("<pre>(.*?)</pre>", page)
    assert unescape(re.sub("<.*?>", "", shown)) == "bulk-revoke run l.csv --reason 'a b'"


@pytest.mark.parametrize(
    ("refusals", "said"),
    [
        (0, "No answer asked to send less."),
        (1, "1 request turned away (429, or a gateway on its own)."),
    ],
)
def test_answers_that_slow_a_run_down_are_not_called_refused_as_licenses_are(
    refusals: int, said: str
) -> None:
    session = run_of()["sessions"][0] | {"minutes": [[0, 9, refusals, 0, 0]]}

    page = page_of(some_rows(2), sessions=[session])

    assert said in page
    assert "refused" not in page[page.index("Over time") :].lower()


def test_options_stand_as_a_shell_takes_them() -> None:
    options = {"where": ["company=Iron Castings AB", "a='b'"], "rate": "45/5s", "limit": 3}

    page = page_of(some_rows(2), options=options)

    shown = re.findall(r"<code><bdi>(--.*?)</bdi></code>", page)
    assert [shlex.split(unescape(each)) for each in shown] == [
        ["--where", "company=Iron Castings AB"], ["--where", "a='b'"],
        ["--limit", "3"], ["--rate", "45/5s"],
    ]  # fmt: skip


def test_options_of_a_run_with_several_sessions_are_those_of_the_first() -> None:
    once, twice = (
        page_of(some_rows(2), options={"limit": 1}, sessions=run_of()["sessions"] * count)
        for count in (1, 2)
    )

    assert "<dt>Options</dt>" in once
    assert "<dt>Options of the first session</dt>" in twice


def test_a_run_that_has_ended_is_not_called_stopped() -> None:
    for code in (0, 1):
        sessions = [run_of()["sessions"][0] | {"exit_code": each} for each in (130, code)]

        page = page_of(some_rows(2), sessions=sessions)

        assert "<title>All 2" in page
        assert 'class="note"' not in page


def test_a_run_without_details_says_that_they_are_not_there() -> None:
    page = page_of(some_rows(2), details=False)

    assert "hold no details" in page
    assert "By customer</h2>" not in page
    assert "activations" not in page.split("<h2")[1]


def test_it_stays_small_and_says_what_it_leaves_out() -> None:
    trouble = ({**row, "outcome": Outcome.FAILED, "http_status": 400 + at % 40, "error_code": "",
                "company": f"{at} {'ä' * 290}"}
               for at, row in enumerate(some_rows(30_000)))  # fmt: skip
    sessions = [run_of()["sessions"][0]] * 50

    page = page_of(trouble, sessions=sessions)

    assert len(page.encode()) < 2_000_000
    assert f"The first {MOST_ROWS} of 750 rows; all of them are in the results file" in page
    assert "The last 12 of 50 sessions; the manifest has all" in page
    assert "20, and " in page


@pytest.mark.parametrize("text", ["", "<!DOCTYPE html><html>", "license_id\n1\n"])
def test_a_page_is_known_as_one_and_other_files_are_not(text: str, tmp_path: Path) -> None:
    (tmp_path / "other.html").write_text(text)
    (tmp_path / "page.html").write_text(page_of(some_rows(1)), encoding="utf-8")

    assert is_page(tmp_path / "page.html")
    assert not is_page(tmp_path / "other.html")
