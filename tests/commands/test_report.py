"""The command `report`, and `--report` of the commands that change or read licenses."""

from __future__ import annotations

import re
import shlex
import sys
from base64 import b64decode
from html import unescape
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from batch.cli import run_command
from batch.reporting import page
from batch.results.manifest import manifest_path
from batch.sandbox import TOKEN, Account
from tests.end_to_end.conftest import imported_by
from tests.support.commands import Served, manifest, served, write
from tests.support.job_harness import some_ids
from tests.support.page_runs import text_of_page
from tests.support.receivers import webhook

if TYPE_CHECKING:
    from collections.abc import Iterator

IDS = some_ids(12)
STRANGER = some_ids(1, seed=7)[0]


pytestmark = pytest.mark.usefixtures("at_home")


@pytest.fixture
def api() -> Iterator[Served]:
    with served(Account.holding(IDS, revoked=IDS[:3])) as api:
        yield api


def headline(path: str | Path) -> str:
    [found] = re.findall(r"<h1>(.*?)</h1>", Path(path).read_text(encoding="utf-8"))
    assert isinstance(found, str)
    return found


def commands(path: str | Path) -> list[str]:
    """What the page says to type."""
    found = re.findall(r"<pre><code><bdi>(.*?)</bdi>", Path(path).read_text(encoding="utf-8"))
    return [unescape(re.sub("</?span>", "", each)) for each in found]


def test_a_run_writes_its_page_and_report_writes_the_same_later(api: Served) -> None:
    write("list.csv", [*IDS, STRANGER])

    ended = api.run("run", "list.csv", "--report", "run.html", "--reason", "ticket 4711")
    code = run_command(["report", "list.results.csv"])

    assert (ended.code, code) == (1, 0)
    assert "report: run.html" in ended.err
    assert headline("run.html") == "12 of 13 licenses are revoked; 1 is not"
    first, later = text_of_page("run.html"), text_of_page("list.results.html")
    assert "ticket 4711" in first
    assert re.sub("Made on .*", "", first) == re.sub("Made on .*", "", later)


def test_what_the_page_says_to_type_takes_the_run_back(api: Served) -> None:
    write("list.csv", IDS)
    api.run("run", "list.csv", "--report", "run.html")
    assert len(api.revoked()) == 12

    [restore] = [each for each in commands("run.html") if " restore " in each]
    ended = api.execute(
        [*shlex.split(restore)[1:], "--rate", "none", "--yes", "--max-licenses", "99"]
    )

    assert ended.code == 0
    assert api.revoked() == set(IDS[:3])


def test_what_the_page_of_a_part_says_to_type_goes_on(api: Served) -> None:
    write("list.csv", IDS)
    api.run("run", "list.csv", "--limit", "4", "--report", "run.html", "--carry", "license_id")
    assert headline("run.html") == "7 of 12 licenses are revoked; 5 are left for later"

    [again] = [each for each in commands("run.html") if "--resume" in each]
    where, _, typed = again.partition(" && ")
    ended = api.execute(shlex.split(typed)[1:])

    assert where == f"cd {Path.cwd()}"
    assert ended.code == 0
    assert headline("run.html") == "All 12 licenses are revoked"
    assert len(manifest("list.results.csv")["sessions"]) == 2


def test_a_token_that_somebody_gives_as_the_reason_stands_nowhere(api: Served) -> None:
    write("list.csv", IDS)

    api.run("run", "list.csv", "--limit", "2", "--reason", f"by {TOKEN}")
    ended = api.run("run", "list.csv", "--resume", "--reason", f"by {TOKEN}", "--report", "a.html")

    assert manifest(ended.summary["results"])["reason"] == "by [token]"
    assert "<bdi>by [token]</bdi>" in Path("a.html").read_text(encoding="utf-8")


def test_a_dry_run_has_a_page_that_says_what_would_happen(api: Served) -> None:
    write("list.csv", IDS)

    api.run("run", "list.csv", "--dry-run", "--report", "plan.html")
    [typed] = commands("plan.html")
    ended = api.execute(shlex.split(typed.partition(" && ")[2])[1:])

    assert headline("plan.html") == "9 of 12 licenses would be revoked; 3 are revoked already"
    assert ended.counts == {"revoked": 9, "already_revoked": 3}


def test_a_verify_has_a_page_of_what_has_drifted(api: Served) -> None:
    write("list.csv", IDS)
    api.run("run", "list.csv")
    api.turn(IDS[5], revoked=False)

    ended = api.run("verify", "list.results.csv", "--report", "check.html")

    assert ended.code == 1
    assert headline("check.html") == "11 of 12 licenses are revoked; 1 is not"
    assert "is not revoked" in text_of_page("check.html")
    assert any("bulk-revoke run " in each for each in commands("check.html"))


@pytest.mark.parametrize("command", ["suspend", "restore"])
def test_other_commands_have_pages_as_well(api: Served, command: str) -> None:
    write("list.csv", IDS)
    source = "list.csv"
    if command == "restore":
        source = str(api.run("run", "list.csv").summary["results"])

    ended = api.run(command, source, "--report", "page.html")

    assert ended.code == 0
    state = {"suspend": "suspended", "restore": "restored"}[command]
    assert state in headline("page.html")


def test_a_rehearsal_is_called_one_and_has_nothing_to_take_back() -> None:
    write("list.csv", IDS)

    code = run_command(["run", "list.csv", "--sandbox", "--rate", "none", "--report", "page.html"])

    assert code == 0
    assert "Rehearsal." in text_of_page("page.html")
    assert commands("page.html") == []


def test_a_run_that_stops_early_has_a_page_all_the_same(api: Served) -> None:
    write("list.csv", IDS)
    for each in IDS:
        api.fail(each, 409, on="PATCH")

    ended = api.run("run", "list.csv", "--report", "page.html", "--max-failures", "2")

    assert ended.code == 3
    assert "stopped early (exit 3)" in text_of_page("page.html")
    assert "HTTP 409" in text_of_page("page.html")


def test_a_refused_run_writes_no_page(api: Served) -> None:
    write("list.csv", IDS)

    ended = api.run("run", "list.csv", "--report", "page.html", "--max-licenses", "3")

    assert ended.code == 2
    assert not Path("page.html").exists()


def test_a_refused_run_writes_no_page_of_the_results_that_are_there(api: Served) -> None:
    write("list.csv", IDS)
    api.run("run", "list.csv")

    ended = api.run(
        "run", "list.csv", "--report", "page.html", "--overwrite", "--expect-licenses", "99"
    )

    assert ended.code == 2
    assert not Path("page.html").exists()


def test_a_page_goes_on_with_a_pilot_that_was_stopped_and_with_all_once_it_is_over(
    api: Served,
) -> None:
    write("list.csv", IDS)
    api.fail(IDS[4], 401, on="PATCH")
    pilot = ("run", "list.csv", "--limit", "3", "--concurrency", "1", "--report", "page.html")
    api.run(*pilot)
    stopped = next(each for each in commands("page.html") if "--resume" in each)
    api.heal()
    api.run(*pilot, "--resume")
    over = next(each for each in commands("page.html") if "--resume" in each)

    assert stopped.endswith(" --limit 3")
    assert "--limit" not in over


def test_the_journal_of_a_killed_run_has_a_page(api: Served) -> None:
    write("list.csv", IDS)
    results = Path(api.run("run", "list.csv").summary["results"])
    header, *lines = results.read_text().splitlines(keepends=True)
    planned = [line.replace(",revoked,true,", ",planned,,", 1) for line in lines]
    results.write_text("".join([header, *planned, *lines[:7], lines[7][:20]]))
    kept = manifest_path(results).read_text()
    manifest_path(results).write_text(re.sub('"finished_at": "[^"]*"', '"finished_at": ""', kept))

    assert run_command(["report", str(results)]) == 0

    assert headline("list.results.html") == "So far 7 of 12 licenses are revoked; 5 are not"
    assert any("--resume" in each for each in commands("list.results.html"))


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert run_command(list(arguments)) == 2
    return capsys.readouterr().err


def test_what_cannot_become_a_page_is_refused(
    api: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    write("list.csv", IDS)
    api.run("run", "list.csv")
    Path("mine.html").write_text("mine")
    assert run_command(["report", "list.results.csv"]) == 0

    assert "exists already" in said(capsys, "report", "list.results.csv")
    assert run_command(["report", "list.results.csv", "--overwrite"]) == 0
    mine = ("report", "list.results.csv", "-o", "mine.html")
    assert "exists already" in said(capsys, *mine)
    assert "is no page of ours" in said(capsys, *mine, "--overwrite")
    assert Path("mine.html").read_text() == "mine"
    assert "cannot be written" in said(capsys, "report", "list.results.csv", "-o", "no/such.html")
    assert "is no results file" in said(capsys, "report", "list.csv")
    assert "cannot be read" in said(capsys, "report", "gone.csv")
    manifest_path(Path("list.results.csv")).unlink()
    assert "has no manifest" in said(capsys, "report", "list.results.csv", "-o", "new.html")


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("mine.html", "mine.html is there and is no page of ours"),
        ("no/such.html", "directory does not exist"),
        (".", "no page of ours"),
        ("/dev/zero", "no page of ours"),
        ("list.csv", "is a file that is read"),
        ("list.results.csv", "is a file that is read"),
        ("{day}.html", "stands for nothing"),
    ],
)
def test_a_place_where_no_page_can_go_is_refused_before_anything_is_sent(
    api: Served, place: str, reason: str
) -> None:
    write("list.csv", IDS)
    Path("mine.html").write_text("mine")

    ended = api.run("run", "list.csv", "--report", place)

    assert ended.code == 2
    assert reason in ended.err
    assert "--report" in ended.err
    assert api.reads() == []


@pytest.mark.parametrize(
    ("output", "place"),
    [
        ("{run_id}.html", "{run_id}.html"),
        ("{date}.csv", "./{date}.csv"),
        ("{run_id}.csv", "{run_id}.csv.run.json"),
    ],
)
def test_a_page_never_takes_the_place_of_the_results_whatever_stands_in_braces(
    api: Served, output: str, place: str
) -> None:
    write("list.csv", IDS)

    ended = api.run("run", "list.csv", "-o", output, "--report", place)

    assert ended.code == 2
    assert ended.summary["error"].startswith("--report ")
    assert api.reads() == []


@pytest.mark.parametrize("option", ["--metrics-file", "--log-file"])
def test_a_page_never_takes_the_place_of_what_else_is_written(
    api: Served, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write("list.csv", IDS)
    pilot = api.run("run", "list.csv", "--limit", "2")
    other = f"{pilot.summary['run_id']}.prom"

    run = ["run", "list.csv", "--base-url", api.base_url, "--yes", "--max-licenses", "99"]
    code = run_command([*run, "--resume", "--report", "{run_id}.prom", option, other])

    assert code == 2
    assert f"--report {other} is a file that is read, or that " in capsys.readouterr().err
    assert len(api.patches()) == pilot.summary["patches"]


def test_a_missing_jinja2_is_refused_before_anything_is_sent(
    api: Served, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write("list.csv", IDS)
    monkeypatch.setitem(sys.modules, "jinja2", None)

    ended = api.run("run", "list.csv", "--report", "page.html")

    assert ended.code == 2
    assert "pip install 'bulk-revoke[report]'" in ended.err
    assert api.reads() == []
    assert "bulk-revoke[report]" in said(capsys, "report", "list.csv")


def test_a_page_that_cannot_be_written_changes_nothing_but_is_said(
    api: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> str:
        raise ZeroDivisionError

    write("list.csv", IDS)
    monkeypatch.setattr(page, "render", fail)

    ended = api.run("run", "list.csv", "--report", "page.html")

    assert ended.code == 0
    assert "warning: --report page.html: cannot be made (ZeroDivisionError)" in ended.err
    assert "report: page.html" not in ended.err


def test_the_place_may_name_the_run_and_its_day(api: Served) -> None:
    write("list.csv", IDS)

    ended = api.run("run", "list.csv", "--report", "{date}-{run_id}.html")

    [place] = Path().glob("2*.html")
    assert str(place).endswith(f"-{ended.summary['run_id']}.html")
    assert run_command(["report", "list.results.csv", "-o", "later-{run_id}.html"]) == 0
    assert Path(f"later-{ended.summary['run_id']}.html").exists()


def test_without_a_report_nothing_of_it_is_imported(tmp_path: Path) -> None:
    write("list.csv", IDS)
    calls = (
        "run_command(['run', '--help']); run_command(['report', '--help']);"
        "assert run_command(['run', 'list.csv', '--sandbox', '--rate', 'none', '-q']) == 0"
    )
    suspects = ["jinja2", "batch.reporting.page", "batch.reporting.charts", "batch.cli.run_page"]

    assert imported_by(calls, tmp_path, suspects) == ""


def test_whoever_is_alerted_gets_the_page_with_it(api: Served) -> None:
    write("list.csv", IDS)
    with webhook() as hook:
        Path("addresses").write_text(f"{hook.url}\n")
        Path("addresses").chmod(0o600)
        ended = api.run("run", "list.csv", "--report", "page.html", "--notify-file", "addresses")

    assert ended.code == 0
    (message,) = hook.received
    (attached,) = message["attachments"]
    assert b64decode(attached["base64"]) == Path("page.html").read_bytes()


def test_no_key_stands_on_it_not_even_in_the_command_that_goes_on(api: Served) -> None:
    keys = ["9A8B-77C6-D5E4", *(f"K{at}" for at in range(len(IDS) - 1))]
    lines = [f"{license_id},{key}" for license_id, key in zip(IDS, keys, strict=True)]
    Path("list.csv").write_text("\n".join(["license_id,Customer Key", *lines]) + "\n")
    api.fail(IDS[0], 409, on="PATCH")
    api.turn(IDS[0], revoked=False)

    where = ("--where", f"Customer Key={keys[0]}")
    ended = api.run("run", "list.csv", *where, "--report", "page.html", "--carry", "Customer Key")

    assert ended.code == 1
    assert any("--where" in each for each in commands("page.html"))
    assert "9A8B" not in Path("page.html").read_text()
