"""Verify reads and reports; it changes nothing on the server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from batch.sandbox import Account
from tests.support.commands import Served, manifest, served, write
from tests.support.job_harness import some_ids

if TYPE_CHECKING:
    from collections.abc import Iterator

IDS = some_ids(10)
STRANGER = some_ids(1, seed=7)[0]
RUN = ("run", "list.csv")
VERIFY = ("verify", "list.csv")
RESULTS = "list.results.csv"


@pytest.fixture(autouse=True)
def home(at_home: None) -> None:  # noqa: ARG001 - it comes first
    write("list.csv", IDS)


@pytest.fixture
def api() -> Iterator[Served]:
    """An account in which a verify must not change anything."""
    with served(Account.holding(IDS)) as api:
        yield api


def test_a_list_of_revoked_licenses_is_verified(api: Served) -> None:
    api.turn(*IDS, revoked=True)

    ended = api.run(*VERIFY)

    assert ended.code == 0
    assert ended.counts == {"verified": 10}
    assert ended.summary["results"] == "list.verify.csv"
    assert ended.summary["command"] == manifest("list.verify.csv")["command"] == "verify"
    assert set(ended.column("was_revoked")) == set(ended.column("revoked")) == {"true"}
    assert api.patches() == []
    assert "all 10 licenses are revoked" in ended.err


def test_what_is_not_revoked_is_named(api: Served) -> None:
    api.turn(*IDS[2:], revoked=True)
    write("list.csv", [*IDS, IDS[0].upper(), STRANGER])

    ended = api.run(*VERIFY)

    assert ended.code == 1
    assert ended.column("outcome") == [
        "not_revoked", "not_revoked", *["verified"] * 8, "not_revoked", "not_found",
    ]  # fmt: skip
    assert ended.column("duplicate_of")[10] == "2"
    assert "3 of 11 licenses (4 of 12 rows) are NOT revoked" in ended.err
    assert f"row 2   {IDS[0]}  not_revoked" in ended.err
    assert api.patches() == []


def test_missing_licenses_can_be_fine(api: Served) -> None:
    api.turn(*IDS, revoked=True)
    write("list.csv", [*IDS, STRANGER])

    assert api.run(*VERIFY, "--missing-ok").code == 0
    assert api.run(*VERIFY, "--overwrite").code == 1


def test_a_run_is_verified_by_its_results(api: Served) -> None:
    api.turn(IDS[0], revoked=True)
    api.fail(IDS[1], 409)
    api.run(*RUN)

    ended = api.run("verify", RESULTS)

    assert ended.code == 1
    assert ended.summary["results"] == "list.results.verify.csv"
    assert ended.counts == {"verified": 9, "not_revoked": 1}


def test_a_license_that_somebody_has_approved_again_is_found(api: Served) -> None:
    api.run(*RUN)
    api.turn(IDS[3], revoked=False)

    ended = api.run("verify", RESULTS)

    assert ended.code == 1
    assert ended.counts == {"verified": 9, "not_revoked": 1}
    assert ended.column("revoked")[3] == "false"
    assert "1 of 10 licenses is NOT revoked" in ended.err


def test_a_license_that_may_have_been_revoked_is_verified_as_well(api: Served) -> None:
    api.fail(IDS[0], "reset_after")
    api.fail(IDS[0], 400, on="GET")
    assert api.run(*RUN, "--max-attempts", "1").counts["unknown"] == 1

    ended = api.run("verify", RESULTS)

    assert ended.counts == {"verified": 10}


def test_of_results_all_rows_are_verified_but_those_that_nobody_wanted_revoked(
    api: Served,
) -> None:
    write("list.csv", [*IDS, "nonsense"])
    write("no.csv", IDS[:1])
    api.run(*RUN, "--limit", "4", "--skip-invalid", "--exclude", "no.csv")

    ended = api.run("verify", RESULTS)

    assert ended.code == 1
    assert ended.counts == {"verified": 4, "not_revoked": 5}
    assert "1 excluded, 1 invalid" in ended.err


def test_what_a_verify_has_found_can_be_revoked_by_its_results(api: Served) -> None:
    api.turn(*IDS[3:], revoked=True)
    api.run(*VERIFY)

    ended = api.run("run", "list.verify.csv")

    assert sorted(api.patches()) == sorted(IDS[:3])
    assert ended.counts == {"revoked": 3}
    assert "left out, by their outcome in the earlier run: 7 verified" in ended.err


def test_what_is_excluded_is_not_verified(api: Served) -> None:
    api.turn(*IDS[1:], revoked=True)
    write("no.csv", IDS[:1])

    ended = api.run(*VERIFY, "--exclude", "no.csv")

    assert ended.code == 0
    assert ended.counts == {"verified": 9, "excluded": 1}


def test_a_license_that_cannot_be_read_is_neither(api: Served) -> None:
    api.turn(*IDS, revoked=True)
    api.fail_all(400, on="LIST")
    api.fail(IDS[4], 400, on="GET")

    ended = api.run(*VERIFY)

    assert ended.code == 1
    assert ended.counts == {"verified": 9, "unknown": 1}
    assert ended.column("revoked")[4] == ""


def test_a_verify_that_is_cut_short_writes_every_row(api: Served) -> None:
    api.turn(*IDS[:5], revoked=True)
    api.fail_all(400, on="LIST")
    api.fail(IDS[6], 401, on="GET")

    ended = api.run(*VERIFY, "--concurrency", "1")

    assert ended.code == 3
    assert ended.column("outcome") == [
        *["verified"] * 5, "not_revoked", *["not_attempted"] * 4,
    ]  # fmt: skip
    assert ended.column("was_revoked")[6:] == [""] * 4
    assert "stopped: " in ended.err


def test_a_verify_after_a_restore_finds_nothing_revoked(api: Served) -> None:
    api.run(*RUN)
    api.run("restore", RESULTS)

    ended = api.run("verify", RESULTS)

    assert ended.code == 1
    assert ended.counts == {"not_revoked": 10}
