"""A run is resumed: what is done is not sent again, and there is one results file."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from batch.columns import DETAILS
from batch.sandbox import Account
from tests.support.commands import Served, manifest, served, write
from tests.support.job_harness import some_ids
from tests.support.page_runs import text_of_page

if TYPE_CHECKING:
    from collections.abc import Iterator

IDS = some_ids(12)
STRANGER = some_ids(1, seed=7)[0]
RUN = ("run", "list.csv")
RESULTS = "list.results.csv"


@pytest.fixture(autouse=True)
def home(at_home: None) -> None:  # noqa: ARG001 - it comes first
    write("list.csv", [*IDS, IDS[11]])


@pytest.fixture
def api() -> Iterator[Served]:
    with served(Account.holding(IDS)) as api:
        yield api


def test_a_pilot_sends_so_many_and_leaves_the_rest_for_later(api: Served) -> None:
    ended = api.run(*RUN, "--limit", "5")

    assert ended.code == 0
    assert sorted(api.patches()) == sorted(IDS[:5])
    assert ended.counts == {"revoked": 5, "not_attempted": 8}
    assert ended.column("was_revoked") == ["false"] * 13
    assert set(ended.column("error")[5:]) == {"left for later by --limit"}
    assert "5 of 12 licenses (5 of 13 rows) are revoked, 7 left for later (exit 0)" in ended.err
    assert f"again:   {ended.summary['hint']}" in ended.err


def test_the_command_that_a_pilot_names_sends_the_rest_and_nothing_twice(api: Served) -> None:
    pilot = api.run(*RUN, "--limit", "5", "--carry", "license_id", "--reason", "ticket 42")

    ended = api.execute(shlex.split(pilot.summary["hint"])[1:])

    assert ended.code == 0
    assert ended.counts == {"revoked": 13}
    assert sorted(api.patches()) == sorted(IDS)
    assert ended.summary["patches"] == 7
    assert ended.summary["hint"] is None
    assert ended.column("was_revoked") == ["false"] * 13
    assert manifest(RESULTS)["reason"] == "ticket 42"
    assert [each["patches"] for each in manifest(RESULTS)["sessions"]] == [5, 7]


def test_why_the_rest_is_sent_is_kept_beside_why_the_pilot_was(api: Served) -> None:
    api.run(*RUN, "--limit", "5", "--reason", "ticket 42")

    api.run(*RUN, "--resume", "--reason", "the pilot was fine")

    assert manifest(RESULTS)["reason"] == "ticket 42; the pilot was fine"


def test_a_pilot_that_was_stopped_is_gone_on_with_no_further_than_it_was_to_go(
    api: Served,
) -> None:
    api.fail(IDS[2], 401, on="PATCH")
    pilot = api.run(*RUN, "--limit", "5", "--concurrency", "1")
    api.heal()

    ended = api.execute(shlex.split(pilot.summary["hint"])[1:])

    assert pilot.code == 3
    assert pilot.summary["hint"].endswith(" --limit 2")
    assert ended.summary["patches"] <= 3
    assert sorted(api.revoked()) == sorted([*IDS[:2], *IDS[2:4]])


def test_several_pilots_add_up(api: Served) -> None:
    ends = [api.run(*RUN, "--limit", "5", "--resume") for _ in range(4)]

    assert [ended.code for ended in ends] == [0, 0, 0, 0]
    assert [ended.summary["patches"] for ended in ends] == [5, 5, 2, 0]
    assert ends[-1].counts == {"revoked": 13}
    assert ends[-1].summary["requests"] == 0
    assert len({ended.summary["run_id"] for ended in ends}) == 1


def test_a_failure_within_the_limit_is_no_success(api: Served) -> None:
    api.fail(IDS[1], 409)

    pilot = api.run(*RUN, "--limit", "5")
    ended = api.run(*RUN, "--resume")

    assert pilot.code == 1
    assert pilot.counts == {"revoked": 4, "failed": 1, "not_attempted": 8}
    assert f"row 3  {IDS[1]}  failed" in pilot.err
    assert ended.code == 0
    assert ended.counts == {"revoked": 13}
    assert ended.column("attempts")[1] == "2"


def test_a_limit_counts_patches_and_not_rows(api: Served) -> None:
    api.turn(*IDS[:4], revoked=True)

    ended = api.run(*RUN, "--limit", "5")

    assert sorted(api.patches()) == sorted(IDS[4:9])
    assert ended.counts == {"revoked": 5, "already_revoked": 4, "not_attempted": 4}


def test_a_limit_that_is_not_reached_changes_nothing(api: Served) -> None:
    ended = api.run(*RUN, "--limit", "12")

    assert ended.code == 0
    assert ended.counts == {"revoked": 13}
    assert ended.summary["hint"] is None


def test_where_there_is_nothing_to_go_on_with_it_starts(api: Served) -> None:
    ended = api.run(*RUN, "--resume")

    assert ended.code == 0
    assert ended.counts == {"revoked": 13}


def test_a_run_that_is_done_asks_for_nothing(api: Served) -> None:
    first = api.run(*RUN)
    rows = first.rows

    second = api.run(*RUN, "--resume")

    assert second.code == 0
    assert second.summary["requests"] == 0
    assert second.rows == rows


def test_what_was_done_keeps_its_line_letter_by_letter(api: Served) -> None:
    api.run(*RUN, "--limit", "5")
    before = Path(RESULTS).read_text().splitlines()

    api.run(*RUN, "--resume")

    assert Path(RESULTS).read_text().splitlines()[:6] == before[:6]


def test_what_is_revoked_meanwhile_is_not_sent_and_was_not_revoked_before(api: Served) -> None:
    api.run(*RUN, "--limit", "5")
    api.turn(IDS[8], revoked=True)

    ended = api.run(*RUN, "--resume")

    assert IDS[8] not in api.patches()
    assert ended.code == 0
    # It was so at the first look of this run, and that is what a restore goes by.
    assert ended.column("was_revoked")[8] == "false"


def test_what_was_approved_again_after_it_was_done_is_not_sent_again(api: Served) -> None:
    api.run(*RUN, "--limit", "5")
    api.turn(IDS[0], revoked=False)

    ended = api.run(*RUN, "--resume")

    assert api.patches().count(IDS[0]) == 1
    assert ended.code == 0
    assert IDS[0] not in api.revoked()


def test_a_license_that_was_not_found_is_looked_for_again(api: Served) -> None:
    write("list.csv", [*IDS, STRANGER])
    first = api.run(*RUN)
    api.call(api.sandbox.account.add, next(iter(Account.holding([STRANGER]))))

    second = api.run(*RUN, "--resume")

    assert (first.code, second.code) == (1, 0)
    assert second.counts == {"revoked": 13}
    assert second.summary["patches"] == 1


def test_a_license_of_the_rest_can_still_be_excluded(api: Served) -> None:
    api.run(*RUN, "--limit", "5")
    write("no.csv", [IDS[0], IDS[7]])

    ended = api.run(*RUN, "--resume", "--exclude", "no.csv")

    assert ended.code == 0
    assert ended.counts == {"revoked": 12, "excluded": 1}
    assert IDS[7] not in api.revoked()


def test_a_run_that_was_killed_is_gone_on_with(api: Served) -> None:
    api.run(*RUN, "--limit", "5")
    tear()
    api.turn(IDS[5], revoked=True)  # sent, and killed before that was written down

    ended = api.run(*RUN, "--resume")

    assert ended.code == 0
    assert ended.counts == {"revoked": 13}
    assert ended.summary["patches"] == 6
    assert ended.column("was_revoked") == ["false"] * 13


def test_a_run_that_was_killed_before_its_results_were_there_starts_again(api: Served) -> None:
    api.run(*RUN, "--limit", "5")
    tear()
    Path(RESULTS).unlink()
    manifest = Path(f"{RESULTS}.run.json")
    manifest.write_text(manifest.read_text().replace('"begun"', '"not begun"'))

    ended = api.run(*RUN, "--resume")

    assert ended.code == 0
    assert ended.counts == {"revoked": 8, "already_revoked": 5}


def test_a_run_that_was_killed_is_not_started_again_because_its_results_are_elsewhere(
    api: Served,
) -> None:
    api.run(*RUN, "--limit", "5")
    tear()
    Path(RESULTS).rename("elsewhere.csv")

    ended = api.run(*RUN, "--resume")

    assert ended.code == 2
    assert "put it back" in ended.err


@pytest.mark.parametrize("name", ["{time}", "{run_id}"])
def test_a_name_that_no_run_has_twice_cannot_be_gone_on_with(api: Served, name: str) -> None:
    ended = api.run(*RUN, "--resume", "-o", f"r-{name}.csv")

    assert ended.code == 2
    assert name in ended.err


def tear() -> None:
    """Make results look like those of a run that was killed while it wrote a line."""
    path = Path(f"{RESULTS}.run.json")
    kept = json.loads(path.read_text())
    del kept["results"]["sha256"]
    path.write_text(json.dumps(kept))
    text = Path(RESULTS).read_text().replace("not_attempted", "planned")
    Path(RESULTS).write_text(text + text.splitlines()[6][:40])


def test_going_on_is_asked_about_and_limited_like_a_start(api: Served) -> None:
    api.run(*RUN, "--limit", "5")

    refused = api.ask(*RUN, "--resume", "--yes", "--max-licenses", "6")
    ended = api.ask(*RUN, "--resume", "--yes", "--max-licenses", "7")

    assert refused.code == 2
    assert "allows 6" in refused.err
    assert ended.code == 0


def test_where_going_on_is_refused_the_run_stays_as_it_was(api: Served) -> None:
    pilot = api.run(*RUN, "--limit", "5")
    before = Path(RESULTS).read_bytes(), Path(f"{RESULTS}.run.json").read_bytes()

    assert api.run(*RUN, "--resume", "--max-licenses", "1").code == 2
    api.fail_all(401, on="LIST")
    assert api.run(*RUN, "--resume").code == 3

    assert (Path(RESULTS).read_bytes(), Path(f"{RESULTS}.run.json").read_bytes()) == before
    api.heal()
    assert api.execute(shlex.split(pilot.summary["hint"])[1:]).counts == {"revoked": 13}


def test_columns_that_were_carried_are_not_lost_by_going_on_without_them(api: Served) -> None:
    api.run(*RUN, "--limit", "5", "--carry", "license_id")
    before = Path(RESULTS).read_bytes()

    refused = api.run(*RUN, "--resume")
    ended = api.run(*RUN, "--resume", "--carry", "license_id")

    assert refused.code == 2
    assert (
        "its run has carried other columns, which would be lost\n  --carry license_id"
        in refused.err
    )
    assert ended.code == 0
    header = Path(RESULTS).read_bytes().splitlines()[0]
    assert header.endswith(b"duplicate_of," + ",".join([*DETAILS, "license_id"]).encode())
    assert before.splitlines()[0] == header


def test_every_option_that_matters_is_in_the_command_that_goes_on(api: Served) -> None:
    write("no.csv", [IDS[7]])
    pilot = api.run(
        *RUN, "--limit", "2", "--exclude", "no.csv", "--missing-ok", "--no-look", "-o", "here.csv",
        "--max-failures", "3", "--reason", "it's -5 o'clock", "--wait=2s",
    )  # fmt: skip

    words = shlex.split(pilot.summary["hint"])
    ended = api.execute(words[1:])

    assert words[:3] == ["bulk-revoke", "run", "list.csv"]
    assert words[-3:] == ["--resume", "-o", "here.csv"]
    assert "--limit" not in words
    assert ended.code == 0
    assert ended.counts == {"revoked": 12, "excluded": 1}
    assert api.reads() == []


@pytest.mark.parametrize("source", ["{date}.csv", "{customer}.csv"])
def test_a_list_with_braces_in_its_name_is_gone_on_with_by_the_command_that_is_named(
    api: Served, source: str
) -> None:
    write(source, IDS)
    pilot = api.run("run", source, "--limit", "2", "--report", "page.html")
    page = text_of_page("page.html")

    ended = api.execute(shlex.split(pilot.summary["hint"])[1:])

    assert f"bulk-revoke run '{source}' --report page.html" in page
    assert " --resume -o " not in page
    assert ended.code == 0
    assert ended.summary["run_id"] == pilot.summary["run_id"]
    assert ended.counts == {"revoked": 12}
