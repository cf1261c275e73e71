"""`--json`: one object on standard output however a command ends, and what is in it."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import fields
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from batch.cli import run_command
from batch.reporting.summary import Summary
from batch.sandbox import Account
from tests.support.commands import Served, served, write
from tests.support.job_harness import some_ids
from tests.support.results_files import table

IDS = some_ids(3)
NAMES = [each.name for each in fields(Summary)]

Run = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture(autouse=True)
def home(at_home: None) -> None:  # noqa: ARG001 - it comes first
    write("list.csv", IDS)


@pytest.fixture
def api() -> Iterator[Served]:
    with served(Account.holding(IDS)) as api:
        yield api


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command, and return its exit code and the one object that it printed."""

    def run(*arguments: str) -> tuple[int, dict[str, Any]]:
        code = run_command(list(arguments))
        captured = capsys.readouterr()
        found = json.loads(captured.out)
        began, over = (datetime.fromisoformat(found[f"{at}_at"]) for at in ("started", "finished"))
        assert captured.out.count("\n") == 1
        assert list(found) == NAMES
        assert found["exit_code"] == code
        assert found["seconds"] == round((over - began).total_seconds(), 3)
        assert os.environ["CRYPTLEX_ACCESS_TOKEN"] not in captured.out
        return code, found

    return run


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "--json"),
        ("run", "list.csv", "--json", "--bogus"),
        ("run", "--bogus=1", "list.csv", "--json"),
        ("run", "list.csv", "--look=3", "--json"),
        ("run", "list.csv", "--json", "--column"),
        ("run", "list.csv", "more.csv", "--json"),
        ("verify", "list.csv", "--timeout", "soon", "--json"),
        ("list", "--json", "-o", "new.csv"),
        ("list", "--json", "--all"),
        ("restore", "missing.csv", "--json"),
        ("rnu", "list.csv", "--json"),
        ("run", "missing.csv", "--sandbox", "--json"),
        ("run", "list.csv", "--json", "--rate", "fast"),
        ("run", "list.csv", "--json", "--config", "missing.toml"),
        ("verify", "missing.csv", "--manifest", "--json"),
    ],
)
def test_a_refusal_is_an_object_too(run: Run, arguments: tuple[str, ...]) -> None:
    code, found = run(*arguments)

    assert code == 2
    assert found["error"]
    assert (found["results"], found["manifest"], found["counts"]) == (None, None, None)
    assert (found["requests"], found["patches"]) == (0, 0)


def test_what_a_guard_has_seen_is_said(run: Run, api: Served) -> None:
    code, found = run(
        "run", "list.csv", "--json", "--base-url", api.base_url, "--rate", "none", "--yes",
        "--max-licenses", "2",
    )  # fmt: skip

    assert code == 2
    assert "--max-licenses allows 2" in found["error"]
    assert found["hint"] == "is this the right file? If so, raise --max-licenses."
    assert (found["command"], found["api"]) == ("run", api.base_url)
    assert (found["rows"], found["licenses"], found["patches"]) == (3, 3, 0)
    assert found["requests"] == len(api.reads()) > 0
    assert found["run_id"]
    assert found["counts"] is None
    assert found["not_done"] is None


@pytest.mark.parametrize("place", ["environment", "profile", "a profile that is wrong"])
def test_it_may_be_asked_for_elsewhere(
    run: Run, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    wrong = "bogus = 1\n" if place.endswith("wrong") else ""
    Path("cron.toml").write_text(f"[run]\njson = true\n{wrong}")
    more = ["--config", "cron.toml"] if "profile" in place else []
    if not more:
        monkeypatch.setenv("BULK_REVOKE_RUN_JSON", "true")

    code, found = run("run", "missing.csv", "--sandbox", *more)

    assert code == 2
    assert ("bogus" if wrong else "missing.csv") in found["error"]


def test_the_rows_that_are_not_done_are_named_a_hundred_at_most(
    run: Run, api: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("batch.job.finish.MOST_NAMED", 2)
    write("list.csv", [*IDS, "no-license"])
    for license_id in IDS[1:]:
        api.fail(license_id, 409, on="PATCH")

    code, found = run(
        "run", "list.csv", "--json", "--base-url", api.base_url, "--rate", "none", "--yes",
        "--max-licenses", "9", "--skip-invalid",
    )  # fmt: skip

    named = [
        {
            "row": row,
            "license_id": IDS[row - 2],
            "outcome": "failed",
            "error": "HTTP 409: Conflict.",
        }
        for row in (3, 4)
    ]
    assert code == 1
    assert (found["not_done"], found["not_done_rows"]) == (named, 3)
    assert found["error"] is None
    assert found["counts"] == {"revoked": 1, "failed": 2, "invalid": 1}
    assert found["hint"].startswith("bulk-revoke run list.csv --skip-invalid")


def test_no_license_key_is_in_it(run: Run, api: Served) -> None:
    key = api.sandbox.account.licenses[IDS[0]].key
    write("keys.csv", [key, f"{key}-X", f"'{key}"], header="license_key")
    at = ("--base-url", api.base_url, "--rate", "none", "--by", "key", "--json")

    refused = run("run", "keys.csv", *at, "--yes", "--max-licenses", "9")
    ended = run("verify", "keys.csv", *at, "--skip-invalid")

    assert (refused[0], ended[0]) == (2, 1)
    outcomes = ["not_revoked", "not_found", "invalid"]
    assert [each["outcome"] for each in ended[1]["not_done"]] == outcomes
    assert key not in json.dumps([refused, ended])


@pytest.mark.parametrize(
    ("bug", "code"),
    [
        (ZeroDivisionError("a secret"), 3),
        (KeyboardInterrupt(signal.SIGTERM), 143),
        (KeyboardInterrupt(signal.SIGHUP), 129),
        (KeyboardInterrupt(), 130),
    ],
)
@pytest.mark.parametrize("place", ["batch.job.runner.make_plan", "batch.job.runner.Executor.run"])
def test_what_ends_a_run_too_early_is_told_with_what_is_left(
    run: Run, monkeypatch: pytest.MonkeyPatch, bug: BaseException, code: int, place: str
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise bug

    monkeypatch.setattr(place, broken)

    ended, found = run("run", "list.csv", "--sandbox", "--rate", "none", "--json")

    has_begun = place.endswith("Executor.run")
    results = "list.rehearsal.csv" if has_begun else None
    assert ended == code
    assert found["results"] == results
    assert found["manifest"] == (f"{results}.run.json" if has_begun else None)
    assert found["counts"] == ({"planned": 3} if has_begun else None)
    assert found["hint"] == (
        "bulk-revoke run list.csv --json --rate none --sandbox --resume -o list.rehearsal.csv"
    )
    assert "a secret" not in found["error"]
    assert (found["rows"], found["requests"]) == (3, 1)


def test_a_list_says_how_many_it_holds(run: Run, api: Served) -> None:
    api.turn(IDS[0], revoked=True)

    code, found = run(
        "list", "--all", "-o", "new.csv", "--base-url", api.base_url, "--rate", "none", "--json"
    )

    assert code == 0
    assert found["counts"] == {"listed": 3, "listed_revoked": 1, "listed_suspended": 0}
    assert (found["rows"], found["licenses"], found["patches"]) == (3, 3, 0)
    assert (found["results"], found["manifest"]) == ("new.csv", None)
    assert (found["not_done"], found["not_done_rows"]) == ([], 0)
    assert len(table("new.csv")) == 3


def test_after_a_resume_it_is_about_the_command_that_went_on(run: Run) -> None:
    at = ("--sandbox", "--rate", "none", "--json")
    _, first = run("run", "list.csv", *at, "--limit", "1")

    _, second = run("run", "list.csv", *at, "--resume")

    assert first["finished_at"] <= second["started_at"]
    assert (first["patches"], second["patches"]) == (1, 2)
    assert first["run_id"] == second["run_id"]
    assert (first["rows"], second["rows"]) == (3, 3)


def test_help_is_no_object(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["run", "--json", "--help"]) == 0
    assert capsys.readouterr().out.startswith("Usage: bulk-revoke run")
