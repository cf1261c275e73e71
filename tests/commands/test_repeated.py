"""What may be done again: trials under their name, and what a verify or a restore leaves to do."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from batch.sandbox import Account
from tests.support.commands import Served, manifest, served, write
from tests.support.job_harness import some_ids

if TYPE_CHECKING:
    from collections.abc import Iterator

IDS = some_ids(8)
RUN = ("run", "list.csv")
RESULTS = "list.results.csv"
TRIALS = {
    "dry run": ((*RUN, "--dry-run"), "list.dry-run.csv"),
    "verify": (("verify", "list.csv"), "list.verify.csv"),
    "rehearsal": ((*RUN, "--sandbox"), "list.rehearsal.csv"),
    "dry rehearsal": ((*RUN, "--sandbox", "--dry-run"), "list.dry-run.csv"),
}


@pytest.fixture(autouse=True)
def home(at_home: None) -> None:  # noqa: ARG001 - it comes first
    write("list.csv", IDS)


@pytest.fixture
def api() -> Iterator[Served]:
    with served(Account.holding(IDS, revoked=IDS[:3])) as api:
        yield api


def older(name: str) -> list[Path]:
    """Results that were set aside, the first one first."""
    return sorted(path for path in Path().glob(f"{name}.bak-*") if path.suffix != ".json")


@pytest.mark.parametrize("trial", TRIALS)
def test_a_trial_is_repeated_under_its_name_and_the_older_one_is_kept(
    api: Served, trial: str
) -> None:
    command, results = TRIALS[trial]
    first = api.run(*command)
    before, kept = Path(results).read_bytes(), manifest(results)
    write("list.csv", IDS[2:])

    second = api.run(*command)

    assert (first.summary["results"], second.summary["results"]) == (results, results)
    assert len(second.rows) == len(IDS) - 2
    (aside,) = older(results)
    assert aside.name.startswith(f"{results}.bak-{kept['sessions'][0]['started_at'][:4]}")
    assert aside.read_bytes() == before
    assert manifest(aside) == kept
    assert manifest(results)["run_id"] != kept["run_id"]


def test_every_repetition_is_kept(api: Served) -> None:
    ids = [api.run("verify", "list.csv").summary["run_id"] for _ in range(4)]

    assert {manifest(path)["run_id"] for path in older("list.verify.csv")} == set(ids[:3])


def test_a_dry_run_of_a_restore_is_repeated_too(api: Served) -> None:
    api.run(*RUN)

    for _ in range(2):
        ended = api.run("restore", RESULTS, "--dry-run")

    assert ended.code == 0
    assert len(older("list.results.dry-run.csv")) == 1


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (RUN, (*RUN, "--dry-run")),
        (RUN, ("verify", "list.csv")),
        (RUN, (*RUN, "--sandbox")),
        (("verify", "list.csv"), (*RUN, "--dry-run")),
        ((*RUN, "--dry-run"), ("verify", "list.csv")),
        ((*RUN, "--dry-run"), RUN),
        ((*RUN, "--sandbox"), RUN),
        (("verify", "list.csv"), RUN),
    ],
)
def test_results_of_a_real_run_or_of_another_command_are_in_the_way(
    api: Served, before: tuple[str, ...], after: tuple[str, ...]
) -> None:
    api.run(*before, "-o", "o.csv")

    refused = api.run(*after, "-o", "o.csv")

    assert refused.code == 2
    assert "o.csv: exists already" in refused.err
    assert "--overwrite" in refused.err
    assert api.run(*after, "-o", "o.csv", "--overwrite").code in {0, 1}
    assert len(older("o.csv")) == 1


def test_what_is_in_the_way_is_named_and_resumed_only_where_that_goes(api: Served) -> None:
    for before, of in (
        (RUN, "bulk-revoke run"),
        ((*RUN, "--dry-run"), "a dry run of bulk-revoke run"),
        ((*RUN, "--sandbox"), "a rehearsal of bulk-revoke run"),
        (("verify", "list.csv"), "bulk-revoke verify"),
    ):
        api.run(*before, "-o", "o.csv", "--overwrite")

        refused = api.run(*RUN, "-o", "o.csv")

        said = rf"o\.csv: exists already, from {of}, 20\d\d-\d\d-\d\d$"
        assert re.search(said, refused.err, re.MULTILINE)
        assert ("--resume" in refused.err) is (before == RUN)


@pytest.mark.parametrize("text", ["", "{}"])
def test_what_has_no_manifest_of_a_trial_is_in_the_way(api: Served, text: str) -> None:
    api.run("verify", "list.csv")
    path = Path("list.verify.csv.run.json")
    path.write_text(text) if text else path.unlink()

    assert api.run("verify", "list.csv").code == 2


@pytest.mark.parametrize("trial", ["dry run", "verify"])
def test_a_look_that_is_cut_short_leaves_the_older_results_in_their_place(
    api: Served, trial: str
) -> None:
    command, results = TRIALS[trial]
    api.run(*command)
    before = Path(results).read_bytes()
    api.fail_all(400, on="LIST")
    api.fail(IDS[6], 401, on="GET")

    stopped = api.run(*command, "--concurrency", "1")

    assert stopped.code == 3
    assert f"{results} is still the older one" in stopped.err
    assert Path(results).read_bytes() == before
    assert older(results) == []


def test_a_look_that_is_cut_short_writes_what_it_has_where_that_was_asked_for(
    api: Served,
) -> None:
    api.run("verify", "list.csv")
    api.fail_all(400, on="LIST")
    api.fail(IDS[6], 401, on="GET")

    stopped = api.run("verify", "list.csv", "--concurrency", "1", "--overwrite")

    assert stopped.code == 3
    assert stopped.column("outcome")[-2:] == ["not_attempted"] * 2
    assert len(older("list.verify.csv")) == 1


def test_a_rehearsal_is_gone_on_with_and_not_repeated_where_that_is_said(api: Served) -> None:
    api.run(*RUN, "--sandbox", "--limit", "2")

    ended = api.run(*RUN, "--sandbox", "--resume")

    assert len(manifest("list.rehearsal.csv")["sessions"]) == 2
    assert ended.counts == {"revoked": 8}
    assert older("list.rehearsal.csv") == []


def test_a_trial_that_a_guard_refuses_leaves_the_older_results_in_their_place(
    api: Served,
) -> None:
    api.run(*RUN, "--dry-run")

    assert api.run(*RUN, "--dry-run", "--max-licenses", "1").code == 2
    assert older("list.dry-run.csv") == []


def test_a_verify_names_the_command_that_revokes_what_is_not(api: Served) -> None:
    write("no.csv", IDS[7:])
    tried = api.run(
        "verify", "list.csv", "--exclude", "no.csv", "--carry", "license_id", "--timeout", "20"
    )

    words = shlex.split(tried.summary["hint"])
    done = api.execute([*words[1:], "--yes", "--max-licenses", "9"])

    assert words[:3] == ["bulk-revoke", "run", "list.verify.csv"]
    assert "--carry" not in words
    assert f"next:    {tried.summary['hint']}" in tried.err
    assert sorted(api.patches()) == sorted(IDS[3:7])
    assert done.counts == {"revoked": 4}


def test_a_verify_by_key_names_the_command_that_revokes_what_is_not(api: Served) -> None:
    keys = [license_.key for license_ in api.sandbox.account]
    write("keys.csv", keys, header="license_key")
    tried = api.run("verify", "keys.csv", "--by", "key")

    done = api.execute([*shlex.split(tried.summary["hint"])[1:], "--yes", "--max-licenses", "9"])

    assert done.counts == {"revoked": 5}
    assert api.revoked() == set(IDS)


def test_a_verify_that_finds_all_revoked_names_no_command(api: Served) -> None:
    api.turn(*IDS, revoked=True)

    ended = api.run("verify", "list.csv")

    assert ended.summary["hint"] is None
    assert "next:" not in ended.err


def test_a_verify_that_is_cut_short_names_no_command(api: Served) -> None:
    api.fail_all(400, on="LIST")
    api.fail(IDS[6], 401, on="GET")

    ended = api.run("verify", "list.csv", "--concurrency", "1")

    assert ended.code == 3
    assert ended.summary["hint"] is None


@pytest.mark.parametrize("again", [(*RUN, "--resume"), ("run", RESULTS)])
def test_after_a_restore_nobody_says_that_nothing_is_left_to_do(
    api: Served, again: tuple[str, ...]
) -> None:
    api.run(*RUN)
    api.run("restore", RESULTS)

    ended = api.run(*again)

    assert "left to do" not in ended.err
    assert "verify tells" in ended.err
    assert api.run("verify", RESULTS).counts == {"verified": 3, "not_revoked": 5}
    assert api.run(*RUN, "-o", "again.csv").counts == {"revoked": 5, "already_revoked": 3}


def test_a_restore_that_is_done_does_not_say_so_of_today(api: Served) -> None:
    api.run(*RUN)
    api.run("restore", RESULTS)

    ended = api.run("restore", RESULTS, "--resume")

    assert "all 5 licenses were done in earlier sessions, and nothing was asked now" in ended.err
    assert "hint:" not in ended.err
