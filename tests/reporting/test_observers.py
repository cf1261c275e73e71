"""Observers: who is notified how a command ends, and who is not."""

from __future__ import annotations

import io
import re
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from batch.cli import run_command
from batch.reporting.alerts import Alerts
from batch.sandbox import TOKEN, Account
from tests.support.commands import served, settle_in, write
from tests.support.job_harness import some_ids

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batch.reporting.summary import Ending
    from tests.support.commands import Served

IDS = some_ids(3)
ADDRESS = "json://user:hush-hush@127.0.0.1:9/"


@pytest.fixture
def notified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Ending]:
    """What was sent to the addresses; nothing leaves the process."""
    home = tmp_path / "home"
    home.mkdir()
    settle_in(home, tmp_path, monkeypatch)
    write("licenses.csv", IDS)
    Path("urls").write_text(f"{ADDRESS}\n", encoding="utf-8")
    Path("urls").chmod(0o600)
    sent: list[Ending] = []

    def send(_: Alerts, ending: Ending, *, seconds: float = 30) -> str:
        assert seconds > 0
        sent.append(ending)
        return ""

    monkeypatch.setattr(Alerts, "send", send)
    return sent


@pytest.fixture
def api(notified: list[Ending]) -> Iterator[Served]:
    assert notified == []
    with served(Account.holding(IDS)) as served_:
        yield served_


def codes(notified: list[Ending]) -> list[int]:
    return [each.exit_code for each in notified]


@pytest.mark.parametrize("watched", [False, True])
def test_who_is_refused_at_a_terminal_sees_it_and_nobody_else_is_notified(
    notified: list[Ending], watched: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("batch.reporting.observers.is_watched", lambda: watched)
    options = ["--notify-file", "urls", "--metrics-file", "nightly.prom"]

    assert run_command(["run", "missing.csv", *options]) == 2
    assert codes(notified) == ([] if watched else [2])
    assert Path("nightly.prom").exists() is not watched


def test_the_end_of_a_run_is_notified_from_a_terminal_as_well(
    notified: list[Ending], api: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("batch.reporting.observers.is_watched", lambda: True)

    assert api.run("run", "licenses.csv", "--notify-file", "urls").code == 0
    assert codes(notified) == [0]


@pytest.mark.parametrize("command", ["verify", "restore"])
def test_every_command_notifies_under_its_name(
    notified: list[Ending], api: Served, command: str
) -> None:
    source = api.run("run", "licenses.csv").summary["results"]

    assert api.run(command, source, "--notify-file", "urls").code == 0
    assert [each.command for each in notified] == [command]


def test_what_observers_get_is_what_is_said(notified: list[Ending], api: Served) -> None:
    api.fail(IDS[1], 409, on="PATCH")

    ended = api.run("run", "licenses.csv", "--notify-file", "urls")

    [ending] = notified
    # What a server says may hold a key, and whose license it is concerns nobody else.
    said = re.sub(r": Conflict\. \(.+\)", "", ended.err)
    assert said != ended.err
    assert f"{ending.title}\n{ending.text}\n" in said
    assert ending.title.startswith("bulk-revoke: 1 of 3 licenses is NOT revoked (exit 1)")
    assert ended.summary["hint"] in ending.text
    assert ending.summary is not None
    assert ending.summary.as_json() == ended.summary


def test_whoever_is_interrupted_at_the_question_is_told_how_to_go_on_and_others_no_cell(
    notified: list[Ending],
    api: Served,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("batch.job.runner.open_terminal", io.StringIO)
    monkeypatch.setattr("batch.job.runner.tell", lambda _: None)
    monkeypatch.setattr("batch.job.runner.confirm", interrupted)
    where = f"license_id={IDS[0]}"

    code = run_command(
        [
            "run", "licenses.csv", "--where", where, "--limit", "1", "--base-url", api.base_url,
            "--notify-file", "urls",
        ]
    )  # fmt: skip

    [ending] = notified
    again = f"again:   bulk-revoke run licenses.csv --where {where} "
    assert code == 130
    assert again in capsys.readouterr().err
    assert again.replace(where, "'license_id=…'") in ending.text
    assert ending.text.endswith(" --limit 1")


@pytest.mark.parametrize("jump", [-3600, 3600])
def test_a_clock_that_is_set_meanwhile_changes_no_duration(
    notified: list[Ending], api: Served, jump: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, clock = time.monotonic(), time.time
    monkeypatch.setattr(time, "time", lambda: clock() + (jump if api.sandbox.log else 0))

    api.run("run", "licenses.csv", "--metrics-file", "../nightly.prom")

    taken = time.monotonic() - began
    metrics = Path("../nightly.prom").read_text(encoding="utf-8")
    found = re.search(r"(?m)^bulk_revoke_last_run_duration_seconds\{.*\} (\S+)$", metrics)
    assert notified == []
    assert found is not None
    assert 0 < float(found[1]) <= taken


@pytest.mark.parametrize("trial", ["--dry-run", "--sandbox"])
def test_a_trial_notifies_only_who_is_named_beside_it(
    notified: list[Ending], api: Served, trial: str
) -> None:
    Path("profile.toml").write_text(f'[run]\nnotify = ["{ADDRESS}"]\n', encoding="utf-8")

    api.ask("run", "licenses.csv", trial, "--config", "profile.toml", "-o", "a.csv")
    assert notified == []
    api.ask("run", "licenses.csv", trial, "--notify-file", "urls", "-o", "b.csv")
    assert codes(notified) == [0]


def test_a_comparison_of_files_is_no_run_whose_end_is_notified(
    notified: list[Ending], api: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = api.run("run", "licenses.csv").summary["results"]
    Path("profile.toml").write_text(f'[verify]\nnotify = ["{ADDRESS}"]\n', encoding="utf-8")
    monkeypatch.setenv("BULK_REVOKE_CONFIG", "profile.toml")

    assert run_command(["verify", "--manifest", results]) == 0
    assert notified == []


@pytest.mark.parametrize(
    "more",
    [
        ("--log-file", "x.prom"),
        ("--token-file", "x.prom"),
        ("--notify-file", "./x.prom"),
        ("--ca-file", "x.prom"),
        ("--exclude", "x.prom"),
        ("--output", "x.prom"),
        ("--config", "x.prom"),
    ],
)
@pytest.mark.usefixtures("notified")
def test_metrics_never_take_the_place_of_a_file_that_is_something_else(
    more: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("x.prom").write_text("", encoding="utf-8")

    code = run_command(["run", "licenses.csv", "--metrics-file", "x.prom", *more])

    assert code == 2
    assert "error: --metrics-file x.prom is a file that" in capsys.readouterr().err
    assert Path("x.prom").read_bytes() == b""


@pytest.mark.parametrize(("code", "seen"), [(2, True), (3, False)])
def test_what_stops_a_run_is_notified_although_somebody_is_at_the_terminal(
    notified: list[Ending], api: Served, code: int, seen: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("batch.reporting.observers.is_watched", lambda: True)
    if code == 3:
        api.fail_all(401)
    source = "licenses.csv" if code == 3 else "missing.csv"

    assert api.run("run", source, "--notify-file", "urls").code == code
    assert codes(notified) == ([] if seen else [code])


@pytest.mark.parametrize(
    ("cell", "more", "code"),
    [
        ("AAAA-BBBB-CCCC", (), 2),
        ("AAAA-BBBB-CCCC", ("--skip-invalid",), 1),
        ("AAAA,BBBB", (), 2),
    ],
)
def test_no_cell_goes_to_observers(
    notified: list[Ending], api: Served, cell: str, more: tuple[str, ...], code: int
) -> None:
    write("licenses.csv", [*IDS, cell])

    ended = api.run("run", "licenses.csv", "--notify-file", "urls", *more)

    [ending] = notified
    assert ended.code == code
    assert "BBBB" in ended.err
    assert "BBBB" not in ending.title + ending.text
    assert "row 5" in ending.text


def test_metrics_never_take_the_place_of_results_whose_name_is_made_now(api: Served) -> None:
    options = ["--output", "{run_id}.prom", "--metrics-file", "{run_id}.prom"]
    assert api.run("run", "licenses.csv", *options).code == 2
    today = f"{datetime.now(UTC):%Y-%m-%d}.prom"
    Path(today).write_text("precious", encoding="utf-8")

    assert api.run("run", "licenses.csv", "-o", "{date}.prom", "--metrics-file", today).code == 2
    assert Path(today).read_text(encoding="utf-8") == "precious"


def test_a_comparison_that_is_misused_notifies_nobody_as_well(
    notified: list[Ending], api: Served
) -> None:
    results = api.run("run", "licenses.csv").summary["results"]
    Path("profile.toml").write_text(
        f'[verify]\nnotify = ["{ADDRESS}"]\nmetrics_file = "nightly.prom"\n', encoding="utf-8"
    )
    more = ["--config", "profile.toml", "--missing-ok"]

    assert run_command(["verify", "--manifest", results, *more]) == 2
    assert notified == []
    assert not Path("nightly.prom").exists()


def test_a_bug_says_no_secret(
    notified: list[Ending],
    api: Served,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def stumble(*_: object) -> None:
        raise RuntimeError(f"{ADDRESS} and {TOKEN}")

    monkeypatch.setattr("batch.job.runner.read_targets", stumble)
    options = ["--notify-file", "urls", "--base-url", api.base_url, "--yes", "--max-licenses", "5"]

    assert run_command(["run", "licenses.csv", *options]) == 3
    [ending] = notified
    said = capsys.readouterr().err + ending.title + ending.text
    assert "a bug in bulk-revoke" in said
    assert "hush" not in said
    assert TOKEN not in said


@pytest.mark.parametrize("content", ["", "# nobody\n", "gopher://x\n"])
def test_addresses_that_cannot_be_used_are_a_refusal_that_shows_none_of_them(
    notified: list[Ending], content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("urls").write_text(content, encoding="utf-8")

    assert run_command(["run", "licenses.csv", "--sandbox", "--notify-file", "urls"]) == 2
    assert "error: urls" in (said := capsys.readouterr().err)
    assert "gopher" not in said
    assert notified == []
