"""A dry run says what a run would do, and does nothing."""

from __future__ import annotations

import shlex
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from batch.sandbox import Account
from tests.support.commands import Served, manifest, served, write
from tests.support.job_harness import some_ids

if TYPE_CHECKING:
    from collections.abc import Iterator

IDS = some_ids(12)
STRANGER = some_ids(1, seed=7)[0]


pytestmark = pytest.mark.usefixtures("at_home")


@pytest.fixture
def api() -> Iterator[Served]:
    with served(Account.holding(IDS, revoked=IDS[:3])) as api:
        yield api


def test_a_dry_run_writes_every_row_and_sends_nothing(api: Served) -> None:
    write("list.csv", [*IDS, IDS[5].upper(), STRANGER])

    ended = api.run("run", "list.csv", "--dry-run")

    assert ended.code == 0
    assert api.patches() == []
    assert ended.summary["results"] == "list.dry-run.csv"
    assert ended.column("outcome") == [
        *["already_revoked"] * 3, *["would_revoke"] * 10, "not_found",
    ]  # fmt: skip
    assert ended.column("was_revoked") == [*["true"] * 3, *["false"] * 10, ""]
    assert ended.column("revoked") == ended.column("was_revoked")
    assert set(ended.column("attempts")) == {""}
    assert "dry run: 9 of 13 licenses (10 of 14 rows) would be revoked" in ended.err


def test_a_dry_run_names_the_command_that_does_what_it_says(api: Served) -> None:
    write("list.csv", IDS)

    tried = api.run("run", "list.csv", "--dry-run", "--limit", "4")
    done = api.execute(shlex.split(tried.summary["hint"])[1:])

    assert f"next:    {tried.summary['hint']}" in tried.err
    assert "again:" not in tried.err
    assert done.summary["patches"] == tried.counts["would_revoke"] == 4


def test_a_dry_run_with_nothing_to_do_names_no_command(api: Served) -> None:
    write("list.csv", IDS[:3])

    assert api.run("run", "list.csv", "--dry-run").summary["hint"] is None


def test_nobody_has_to_say_yes_to_it(api: Served) -> None:
    write("list.csv", IDS)

    ended = api.ask("run", "list.csv", "--dry-run")

    assert ended.code == 0
    assert ended.counts == {"already_revoked": 3, "would_revoke": 9}


def test_the_run_that_follows_does_what_was_said(api: Served) -> None:
    write("no.csv", IDS[4:6])
    write("list.csv", [*IDS, "nonsense", IDS[5], IDS[7], STRANGER])
    options = ("--exclude", "no.csv", "--skip-invalid", "--limit", "4")

    said = api.run("run", "list.csv", "--dry-run", *options)
    done = api.run("run", "list.csv", *options)

    assert said.code == 0
    assert said.counts == {
        "already_revoked": 3, "not_found": 1, "excluded": 3, "invalid": 1, "not_attempted": 3,
        "would_revoke": 5,
    }  # fmt: skip
    assert Counter(
        "revoked" if outcome == "would_revoke" else outcome for outcome in said.column("outcome")
    ) == Counter(done.column("outcome"))
    assert done.summary["patches"] == 4
    assert "would revoke: 4 licenses" in said.err
    assert "revoke:   4 licenses" in done.err


def test_a_dry_run_does_not_stand_in_the_way_of_the_run(api: Served) -> None:
    write("list.csv", IDS)
    api.run("run", "list.csv", "--dry-run")

    ended = api.run("run", "list.csv")

    assert ended.summary["results"] == "list.results.csv"
    assert manifest("list.dry-run.csv")["options"]["dry_run"] is True
    assert ended.counts == {"revoked": 9, "already_revoked": 3}


def test_a_row_that_cannot_be_read_is_not_done(api: Served) -> None:
    write("list.csv", IDS)
    api.fail_all(400, on="LIST")
    api.fail(IDS[6], 400, on="GET")

    ended = api.run("run", "list.csv", "--dry-run")

    assert ended.code == 1
    assert ended.counts == {"already_revoked": 3, "unknown": 1, "would_revoke": 8}
    assert "1 could not be read" in ended.err
    assert f"row 8  {IDS[6]}  unknown" in ended.err


def test_a_dry_run_that_is_cut_short_writes_every_row(api: Served) -> None:
    write("list.csv", [*IDS, IDS[11]])
    api.fail_all(400, on="LIST")
    api.fail(IDS[6], 401, on="GET")

    ended = api.run("run", "list.csv", "--dry-run", "--concurrency", "1")

    assert ended.code == 3
    assert ended.counts == {"already_revoked": 3, "not_attempted": 7, "would_revoke": 3}
    assert ended.column("outcome")[6:] == ["not_attempted"] * 7
    assert "stopped: " in ended.err
    assert api.patches() == []


def test_without_a_look_a_dry_run_tells_what_the_list_alone_tells(api: Served) -> None:
    write("list.csv", [*IDS, STRANGER])

    ended = api.run("run", "list.csv", "--dry-run", "--no-look")

    assert ended.code == 0
    assert ended.counts == {"would_revoke": 13}
    assert ended.summary["requests"] == 0


def test_a_dry_run_of_a_restore_approves_nothing(api: Served) -> None:
    write("list.csv", IDS)
    api.run("run", "list.csv")
    api.turn(IDS[4], revoked=False)
    before = len(api.patches())

    ended = api.run("restore", "list.results.csv", "--dry-run")

    assert ended.code == 0
    assert ended.summary["results"] == "list.results.dry-run.csv"
    assert ended.counts == {"would_restore": 9}
    assert len(api.patches()) == before


@pytest.mark.parametrize("command", ["run", "restore"])
def test_a_rehearsal_that_is_dry_needs_nothing_at_all(api: Served, command: str) -> None:
    write("list.csv", IDS)
    source = "list.csv"
    if command == "restore":
        source = api.run("run", "list.csv").summary["results"]
    before = len(api.patches()), len(api.reads())

    ended = api.ask(command, source, "--dry-run", "--sandbox")

    assert ended.code == 0
    assert (len(api.patches()), len(api.reads())) == before


def test_results_of_a_dry_run_are_no_list_and_nothing_to_take_back(api: Served) -> None:
    write("list.csv", IDS)
    api.run("run", "list.csv", "--dry-run")

    again, back = (api.run(command, "list.dry-run.csv") for command in ("run", "restore"))

    assert (again.code, back.code) == (2, 2)
    assert all("the results of a dry run, which has sent nothing" in e.err for e in (again, back))
    assert "hint: name the list itself: list.csv; what somebody has approved in a dry" in again.err
    assert (
        "hint: name the results that bulk-revoke run has written without --dry-run.\n" in back.err
    )
