"""Suspend, and what takes it back or verifies it: the same as a run, of another property."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from batch.columns import columns
from batch.model import Property
from batch.sandbox import Account
from tests.support.commands import Served, manifest, served, write
from tests.support.job_harness import some_ids

if TYPE_CHECKING:
    from collections.abc import Iterator

IDS = some_ids(10)
REVOKED, SUSPENDED, BOTH = IDS[0], IDS[1], IDS[2]
SUSPEND = ("suspend", "list.csv")
RESULTS = "list.results.csv"
RESTORE = ("restore", RESULTS)


@pytest.fixture(autouse=True)
def home(at_home: None) -> None:  # noqa: ARG001 - it comes first
    write("list.csv", [*IDS, IDS[9]])


@pytest.fixture
def api() -> Iterator[Served]:
    """An account in which one license is revoked, one suspended, and one both."""
    with served(Account.holding(IDS)) as api:
        api.turn(*IDS, suspended=False)
        api.turn(REVOKED, BOTH, revoked=True)
        api.turn(SUSPENDED, BOTH, suspended=True)
        yield api


def test_what_is_neither_revoked_nor_suspended_is_suspended(api: Served) -> None:
    ended = api.run(*SUSPEND)

    assert ended.code == 0
    assert api.suspended() == {*IDS} - {REVOKED}
    assert api.revoked() == {REVOKED, BOTH}
    assert len(api.patches()) == 7
    assert ended.counts == {"already_revoked": 1, "suspended": 8, "already_suspended": 2}
    assert ended.column("outcome")[:4] == [
        "already_revoked", "already_suspended", "already_suspended", "suspended",
    ]  # fmt: skip
    assert ended.column("was_suspended")[:4] == ["false", "true", "true", "false"]
    assert ended.column("suspended")[:4] == ["false", "true", "true", "true"]
    assert tuple(ended.rows[0]) == columns(Property.SUSPENDED)
    assert ended.summary["command"] == manifest(RESULTS)["command"] == "suspend"


def test_nothing_is_called_revoked_that_is_suspended(api: Served) -> None:
    api.turn(REVOKED, BOTH, revoked=False)

    trial = api.run(*SUSPEND, "--dry-run")
    ended = api.run(*SUSPEND)
    verified = api.run("verify", RESULTS)
    restored = api.run(*RESTORE)

    said = "".join(each.err for each in (trial, ended, verified, restored))
    assert "revoked" not in said
    assert "nobody has to activate again" in ended.err
    assert "activate again" not in restored.err
    assert "all 10 licenses (11 rows) are suspended" in ended.err
    assert trial.counts == {"would_suspend": 9, "already_suspended": 2}


def test_what_was_suspended_before_stays_so_after_a_restore(api: Served) -> None:
    api.run(*SUSPEND)

    ended = api.run(*RESTORE)

    assert ended.code == 0
    assert api.suspended() == {SUSPENDED, BOTH}
    assert api.revoked() == {REVOKED, BOTH}
    assert ended.counts == {"restored": 7}
    assert set(ended.column("suspended")) == {"false"}


def test_what_was_suspended_can_be_revoked_and_each_is_taken_back_by_itself(api: Served) -> None:
    api.run(*SUSPEND)
    api.run("run", "list.csv", "-o", "run.csv")
    assert api.revoked() == {*IDS}
    assert api.suspended() == {*IDS} - {REVOKED}

    api.run("restore", "run.csv")
    assert api.revoked() == {REVOKED, BOTH}
    assert api.suspended() == {*IDS} - {REVOKED}

    api.run(*RESTORE)
    assert api.suspended() == {SUSPENDED, BOTH}
    assert api.revoked() == {REVOKED, BOTH}


def test_a_suspension_that_is_taken_back_leaves_what_was_revoked_since_revoked(
    api: Served,
) -> None:
    api.run(*SUSPEND)
    api.turn(IDS[5], revoked=True)

    assert api.run(*RESTORE).counts == {"restored": 7}
    assert api.revoked() == {REVOKED, BOTH, IDS[5]}
    assert api.suspended() == {SUSPENDED, BOTH}


def test_results_are_verified_by_what_their_run_did(api: Served) -> None:
    api.run(*SUSPEND)
    api.turn(IDS[7], suspended=False)

    ended = api.run("verify", RESULTS)
    again = api.execute([*shlex.split(ended.summary["hint"])[1:], "--yes", "--max-licenses", "1"])

    assert ended.code == 1
    assert ended.counts == {"verified": 9, "already_revoked": 1, "not_suspended": 1}
    assert "1 of 10 licenses (1 of 11 rows) is NOT suspended" in ended.err
    assert shlex.split(ended.summary["hint"])[:2] == ["bulk-revoke", "suspend"]
    assert again.counts == {"suspended": 1}
    assert api.suspended() == {*IDS} - {REVOKED}


def test_a_plain_list_is_asked_for_suspensions_if_that_is_said(api: Served) -> None:
    revoked = api.run("verify", "list.csv")
    suspended = api.run("verify", "list.csv", "--suspended", "-o", "suspended.csv")

    assert revoked.counts == {"verified": 2, "not_revoked": 9}
    assert suspended.counts == {"verified": 2, "already_revoked": 1, "not_suspended": 8}
    assert "was_suspended" in suspended.rows[0]


def test_results_of_one_are_no_input_of_the_other(api: Served) -> None:
    api.run(*SUSPEND)
    api.run("run", "list.csv", "-o", "run.csv")
    before = len(api.patches())

    crossed = [
        api.run("run", RESULTS, "-o", "1.csv"),
        api.run("suspend", "run.csv", "-o", "2.csv"),
        api.run("verify", "run.csv", "--suspended", "-o", "3.csv"),
    ]

    assert [each.code for each in crossed] == [2, 2, 2]
    assert "these are the results of bulk-revoke suspend" in crossed[0].err
    assert "these are the results of bulk-revoke run" in crossed[1].err
    assert len(api.patches()) == before


@pytest.mark.parametrize(("command", "source"), [("run", RESULTS), ("suspend", "run.csv")])
def test_they_are_told_apart_by_their_columns_where_the_manifest_is_missing(
    api: Served, command: str, source: str
) -> None:
    api.run(*SUSPEND)
    api.run("run", "list.csv", "-o", "run.csv")
    Path(f"{source}.run.json").unlink()

    refused = api.run(command, source, "-o", "other.csv")

    assert refused.code == 2
    assert "these are results of a run that was about what is" in refused.err


def test_columns_that_contradict_the_manifest_are_refused(api: Served) -> None:
    api.run(*SUSPEND)
    path = Path(f"{RESULTS}.run.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"command": "run"}))

    refused = api.run(*RESTORE)

    assert refused.code == 2
    assert "its columns are not those of the results of bulk-revoke run" in refused.err
    assert api.suspended() == {*IDS} - {REVOKED}


def test_a_suspension_is_gone_on_with(api: Served) -> None:
    pilot = api.run(*SUSPEND, "--limit", "3")
    api.turn(IDS[8], revoked=True)

    ended = api.execute(shlex.split(pilot.summary["hint"])[1:])

    assert ended.code == 0
    assert ended.counts == {"suspended": 7, "already_suspended": 2, "already_revoked": 2}
    assert api.suspended() == {*IDS} - {REVOKED, IDS[8]}


def test_what_got_no_answer_is_read_back_by_its_own_property(api: Served) -> None:
    api.fail(IDS[4], 409)
    api.fail(IDS[5], "reset_after")

    ended = api.run(*SUSPEND, "--max-attempts", "1")

    outcomes = dict(zip(ended.column("license_id"), ended.column("outcome"), strict=True))
    assert (outcomes[IDS[4]], outcomes[IDS[5]]) == ("failed", "suspended")
    assert IDS[4] not in api.suspended()


def test_a_rehearsal_of_it_and_of_its_restore(api: Served) -> None:
    rehearsed = api.run(*SUSPEND, "--sandbox")
    restored = api.run("restore", rehearsed.summary["results"], "--sandbox")

    assert rehearsed.counts == {"suspended": 11}
    assert restored.counts == {"restored": 10}
    assert (api.patches(), api.reads()) == ([], [])
