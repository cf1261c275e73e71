"""Licenses that are listed by their keys."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from batch.sandbox import Account
from tests.support.commands import Served, served, write
from tests.support.job_harness import some_ids

if TYPE_CHECKING:
    from collections.abc import Iterator

IDS = some_ids(8)
KEYS = [
    "0A2035-E8A2A3", "plain", "with,comma", "ten percent %25&=", "=1+1", "größer", "Mixed-Case",
    "12345678901234567890",
]  # fmt: skip
CASES = Path(__file__).parents[1] / "cases"
RUN = ("run", "keys.csv", "--by", "key")
RESULTS = "keys.results.csv"


@pytest.fixture(autouse=True)
def home(at_home: None) -> None:  # noqa: ARG001 - it comes first
    list_keys(*KEYS)


def list_keys(*keys: str, path: str = "keys.csv") -> str:
    return write(path, [f'"{key}"' for key in keys], header="License Key")


@pytest.fixture
def api() -> Iterator[Served]:
    licenses = zip(Account.holding(IDS), KEYS, strict=True)
    with served(Account(replace(license_, key=key) for license_, key in licenses)) as api:
        yield api


def test_licenses_are_found_by_their_keys_and_recorded_with_both(api: Served) -> None:
    api.turn(IDS[1], revoked=True)

    ended = api.run(*RUN)

    assert ended.code == 0
    assert sorted(api.patches()) == sorted([IDS[0], *IDS[2:]])
    assert ended.column("license_id") == IDS
    assert ended.column("license_key") == [*KEYS[:4], "'=1+1", *KEYS[5:]]
    assert ended.counts == {"revoked": 7, "already_revoked": 1}
    assert ended.column("was_revoked") == ["false", "true", *["false"] * 6]
    # One look-up for all, one for the key with a comma.
    assert len(api.reads()) == 2


def test_a_key_is_compared_exactly(api: Served) -> None:
    list_keys("Mixed-Case", "mixed-case", "plai", "plain,with", "comma", "plain ")

    ended = api.run(*RUN)

    assert ended.code == 1
    assert sorted(api.patches()) == sorted([IDS[1], IDS[6]])
    assert ended.column("outcome") == [
        "revoked", "failed", "not_found", "not_found", "not_found", "revoked",
    ]  # fmt: skip


def test_a_key_that_repeats_is_sent_once(api: Served) -> None:
    list_keys("plain", "Mixed-Case", "plain", "missing", "missing")

    ended = api.run(*RUN)

    assert sorted(api.patches()) == sorted([IDS[1], IDS[6]])
    assert ended.column("outcome") == ["revoked", "revoked", "revoked", "not_found", "not_found"]
    assert ended.column("license_id") == [IDS[1], IDS[6], IDS[1], "", ""]
    assert ended.column("duplicate_of") == ["", "", "2", "", "5"]


def test_a_key_that_nobody_has_is_not_found(api: Served) -> None:
    list_keys("plain", "missing")

    ended = api.run(*RUN)
    fine = api.run(*RUN, "--missing-ok", "-o", "fine.csv")

    assert (ended.code, fine.code) == (1, 0)
    assert ended.column("outcome") == ["revoked", "not_found"]
    assert ended.column("error_code") == ["", "key_not_found"]
    assert "row 3" in ended.err


@pytest.mark.parametrize("pagination", [True, False])
def test_keys_are_found_on_a_server_that_puts_fewer_licenses_on_a_page(pagination: bool) -> None:
    listed = CASES / "keys150.csv"
    keys = listed.read_text(encoding="utf-8").split()[1:]
    there = Account.holding_keys(keys)
    with served(there, page_limit=50, pagination=pagination) as api:
        ended = api.run("run", listed, "--by", "key", "--missing-ok")

    assert ended.code == 0
    assert ended.counts == {"revoked": 150}
    assert len(keys) == 150
    assert all(license_.revoked for license_ in there)


def test_a_key_that_several_licenses_have_is_not_guessed(api: Served) -> None:
    twin = replace(api.sandbox.account.licenses[IDS[1]], id=some_ids(1, seed=9)[0])
    api.call(api.sandbox.account.add, twin)

    ended = api.run(*RUN)

    assert ended.code == 1
    assert {IDS[1], twin.id}.isdisjoint(api.patches())
    assert ended.column("outcome")[1] == "failed"
    assert ended.column("error_code")[1] == "key_ambiguous"
    assert ended.column("license_id")[1] == ""
    assert twin.id in ended.column("error")[1]


def test_a_run_by_key_is_gone_on_with(api: Served) -> None:
    list_keys(*KEYS, "plain", "missing")

    pilot = api.run(*RUN, "--limit", "3")
    ended = api.execute(shlex.split(pilot.summary["hint"])[1:])

    assert pilot.code == 1  # one of the keys is not found
    assert pilot.summary["patches"] == 3
    assert ended.summary["patches"] == 5
    assert ended.counts == {"revoked": 9, "not_found": 1}
    assert sorted(api.patches()) == sorted(IDS)
    assert ended.column("license_id") == [*IDS, IDS[1], ""]


def test_a_run_by_key_is_restored(api: Served) -> None:
    api.turn(IDS[1], revoked=True)
    list_keys(*KEYS, KEYS[0])
    api.run(*RUN)

    ended = api.run("restore", RESULTS)

    assert ended.code == 0
    assert ended.counts == {"restored": 7}
    assert ended.column("license_id") == [IDS[0], *IDS[2:]]
    assert api.revoked() == {IDS[1]}


def test_a_run_by_key_is_verified_by_key_and_by_id(api: Served) -> None:
    api.run(*RUN)
    api.turn(IDS[4], revoked=False)

    by_key = api.run("verify", RESULTS, "--by", "key")
    by_id = api.run("verify", RESULTS, "-o", "by-id.csv")
    listed = api.run("verify", "keys.csv", "--by", "key")

    assert by_key.code == by_id.code == listed.code == 1
    assert by_key.counts == by_id.counts == listed.counts == {"verified": 7, "not_revoked": 1}
    assert by_key.column("license_id") == by_id.column("license_id") == IDS


def test_the_results_of_a_run_by_key_are_the_input_of_the_next_one(api: Served) -> None:
    api.fail(IDS[4], 409)
    first = api.run(*RUN, "--limit", "6")

    second = api.run("run", RESULTS, "--by", "key")

    assert first.counts == {"revoked": 5, "failed": 1, "not_attempted": 2}
    assert second.code == 0
    assert second.column("license_key") == ["'=1+1", KEYS[6], KEYS[7]]
    assert api.revoked() == set(IDS)


def test_licenses_are_excluded_by_key(api: Served) -> None:
    list_keys("plain", "with,comma", "nobody's", path="no.csv")

    ended = api.run(*RUN, "--exclude", "no.csv")

    assert ended.code == 0
    assert ended.counts == {"revoked": 6, "excluded": 2}
    assert {IDS[1], IDS[2]}.isdisjoint(api.revoked())


def test_what_an_earlier_run_by_key_was_about_is_excluded(api: Served) -> None:
    list_keys("plain", "=1+1", path="some.csv")
    api.run("run", "some.csv", "--by", "key")
    api.turn(*IDS, revoked=False)

    ended = api.run(*RUN, "--exclude", "some.results.csv")

    assert ended.counts == {"revoked": 6, "excluded": 2}
    assert {IDS[1], IDS[4]}.isdisjoint(api.revoked())


def test_a_dry_run_by_key_finds_what_the_run_finds(api: Served) -> None:
    list_keys("plain", "missing", "with,comma")

    said = api.run(*RUN, "--dry-run")
    done = api.run(*RUN)

    assert said.code == 0
    assert said.counts == {"not_found": 1, "would_revoke": 2}
    assert done.counts == {"revoked": 2, "not_found": 1}
    assert said.column("license_id") == done.column("license_id")


def test_a_license_that_comes_back_unasked_stops_everything(
    api: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    list_keys("plain", "Mixed-Case")
    monkeypatch.setattr(  # a server that does not know the filter
        "batch.sandbox.query._page", lambda account, *_: (len(account), account.page(0, 100))
    )

    ended = api.run(*RUN)

    assert ended.code == 3
    assert "was not asked for" in ended.err
    assert "nothing was sent" in ended.err
    assert not ended.has_results


@pytest.mark.parametrize("never", ["plain\nMixed-Case\n", "plain\nMIXED-CASE\n"])
def test_a_list_of_keys_to_exclude_needs_no_header_and_no_care_for_case(
    api: Served, never: str
) -> None:
    Path("never.csv").write_text(never)

    ended = api.run(*RUN, "--exclude", "never.csv")

    assert sorted(api.patches()) == sorted(set(IDS) - {IDS[1], IDS[6]})
    assert ended.counts == {"revoked": 6, "excluded": 2}
