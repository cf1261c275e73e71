"""Whole runs against a sandbox: what is sent, what is not, and what is said of each row."""

from __future__ import annotations

import io
import os
import shlex
from contextlib import ExitStack, redirect_stderr
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from batch.cli import run_command
from batch.host import lock
from batch.host.signals import stopped_by_signals
from batch.job.runner import ENDED_AT_ONCE
from batch.sandbox import PRODUCTS, TOKEN, Account
from tests.support.commands import Served, manifest, served, write
from tests.support.job_harness import some_ids
from tests.support.results_files import table

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

IDS = some_ids(12)
STRANGER = some_ids(1, seed=7)[0]
RUN = ("run", "list.csv")
RESULTS = "list.results.csv"
NO_READ = {TOKEN: frozenset({"license:write"})}


@pytest.fixture(autouse=True)
def home(at_home: None) -> None:  # noqa: ARG001 - it comes first
    write("list.csv", IDS)


@pytest.fixture
def api() -> Iterator[Served]:
    account = Account.holding(IDS)
    for place, license_ in enumerate(account):
        license_.product = PRODUCTS[place % 3]
    with served(account) as api:
        yield api


@pytest.mark.parametrize(
    ("command", "asks"),
    [(RUN, True), ((*RUN, "--dry-run"), False), ((*RUN, "--sandbox"), False),
     (("verify", "list.csv"), False)],
)  # fmt: skip
def test_a_second_signal_leaves_something_to_ask_only_where_a_change_was_sent(
    api: Served, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], asks: bool
) -> None:
    last_words: list[str] = []

    def noted(*given: Any, **more: Any) -> AbstractContextManager[None]:  # noqa: ANN401
        last_words.append(more["last_words"])
        return stopped_by_signals(*given, **more)

    monkeypatch.setattr("batch.job.connection.stopped_by_signals", noted)

    assert api.run(*command).code in {0, 1}
    assert last_words == ["", ENDED_AT_ONCE * asks]


def test_what_is_revoked_already_is_not_sent_again(api: Served) -> None:
    api.turn(*IDS[:5], revoked=True)

    ended = api.run(*RUN)

    assert ended.code == 0
    assert sorted(api.patches()) == sorted(IDS[5:])
    assert ended.column("outcome") == ["already_revoked"] * 5 + ["revoked"] * 7
    assert ended.column("was_revoked") == ["true"] * 5 + ["false"] * 7
    assert set(ended.column("revoked")) == {"true"}
    assert ended.column("attempts") == [""] * 5 + ["1"] * 7


def test_a_list_that_has_not_changed_costs_no_patch(api: Served) -> None:
    api.run(*RUN)
    before = len(api.patches())

    ended = api.run(*RUN, "--overwrite")

    assert ended.code == 0
    assert ended.counts == {"already_revoked": 12}
    assert len(api.patches()) == before
    assert ended.summary["requests"] == 1


def test_a_license_that_the_look_does_not_find_is_not_sent(api: Served) -> None:
    write("list.csv", [IDS[0], STRANGER, IDS[1], STRANGER.upper()])

    ended = api.run(*RUN)

    assert ended.code == 1
    assert STRANGER not in api.patches()
    assert ended.column("outcome") == ["revoked", "not_found", "revoked", "not_found"]
    assert ended.column("was_revoked") == ["false", "", "false", ""]
    assert ended.column("http_status") == ["200", "404", "200", "404"]
    assert ended.column("duplicate_of") == ["", "", "", "3"]
    assert f"row 3  {STRANGER}  not_found" in ended.err


def test_where_missing_licenses_are_fine_they_are_done(api: Served) -> None:
    write("list.csv", [*IDS, STRANGER])

    ended = api.run(*RUN, "--missing-ok")
    again = api.run(*RUN, "--missing-ok", "--resume")

    assert (ended.code, again.code) == (0, 0)
    assert ended.counts == again.counts == {"revoked": 12, "not_found": 1}
    assert again.summary["requests"] == 0


def test_without_a_look_everything_is_sent_and_nothing_is_known_of_before(api: Served) -> None:
    api.turn(IDS[0], revoked=True)
    write("list.csv", [*IDS, STRANGER])

    ended = api.run(*RUN, "--no-look")

    assert ended.code == 1
    assert api.reads() == []
    assert sorted(api.patches()) == sorted([*IDS, STRANGER])
    assert ended.counts == {"revoked": 12, "not_found": 1}
    assert set(ended.column("was_revoked")) == {""}


def test_what_cannot_be_read_is_sent_all_the_same(api: Served) -> None:
    api.fail_all(400, on="LIST")
    api.fail(IDS[3], 400, on="GET")

    ended = api.run(*RUN)

    assert ended.counts == {"revoked": 12}
    assert [row["license_id"] for row in ended.rows if not row["was_revoked"]] == [IDS[3]]
    assert "1 could not be read" in ended.err


def test_a_token_that_may_not_read_turns_the_look_off() -> None:
    with served(Account.holding(IDS, revoked=IDS[:1]), tokens=NO_READ) as api:
        ended = api.run(*RUN)

        assert sorted(api.patches()) == sorted(IDS)
        assert ended.code == 0
        assert ended.counts == {"revoked": 12}
        assert set(ended.column("was_revoked")) == {""}
        assert "warning: the token may not read licenses" in ended.err


@pytest.mark.parametrize(
    "command",
    [
        (*RUN, "--dry-run"),
        (*RUN, "--expect-product", PRODUCTS[0].id),
        ("run", "keys.csv", "--by", "key"),
        ("verify", "list.csv"),
        ("restore", RESULTS),
    ],
)
def test_what_cannot_do_without_a_look_stops_there(api: Served, command: tuple[str, ...]) -> None:
    write("keys.csv", [license_.key for license_ in api.sandbox.account], header="key")
    if command[0] == "restore":
        api.run(*RUN)
    api.sandbox.tokens.update(NO_READ)

    ended = api.run(*command)

    assert ended.code == 3
    assert not ended.has_results
    assert "nothing was sent" in ended.err
    assert "hint: use a token with the scope license:read." in ended.err


@pytest.mark.parametrize("road", ["page by page", "one by one"])
def test_a_look_that_is_cut_short_sends_nothing(api: Served, road: str) -> None:
    if road == "one by one":
        api.fail_all(400, on="LIST")
        api.fail(IDS[6], 401, on="GET")
    else:
        api.fail_all(401, on="LIST")

    ended = api.run(*RUN)

    assert ended.code == 3
    assert not ended.has_results
    assert "nothing was sent" in ended.err
    assert not Path(RESULTS).exists()


def test_the_token_is_refused_in_the_middle_and_the_command_that_is_named_goes_on(
    api: Served,
) -> None:
    api.fail(IDS[4], 401)

    stopped = api.run(*RUN, "--concurrency", "1")
    finished = api.execute(shlex.split(stopped.summary["hint"])[1:])

    assert stopped.code == 3
    assert stopped.counts == {"revoked": 4, "failed": 1, "not_attempted": 7}
    assert finished.code == 0
    assert finished.counts == {"revoked": 12}
    assert api.patches() == [*IDS[:5], *IDS[4:]]
    assert finished.summary["run_id"] == stopped.summary["run_id"]
    assert [each["exit_code"] for each in manifest(RESULTS)["sessions"]] == [3, 0]


def test_a_token_that_is_refused_is_a_stop_although_every_license_was_in_flight(
    api: Served,
) -> None:
    api.fail_all(401, on="PATCH")

    ended = api.run(*RUN)

    assert ended.code == 3
    assert ended.counts == {"failed": 4, "not_attempted": 8}  # four are in flight at first
    assert "stopped: the token is not accepted" in ended.err
    assert f"again:   {ended.summary['hint']}" in ended.err


def test_products_that_are_expected_are_let_through(api: Served) -> None:
    write("no.csv", IDS[2::3])

    ended = api.run(
        *RUN, "--expect-product", PRODUCTS[0].id, "--expect-product", PRODUCTS[1].id.upper(),
        "--exclude", "no.csv",
    )  # fmt: skip

    assert ended.code == 0
    assert ended.counts == {"revoked": 8, "excluded": 4}


def test_a_maximum_counts_what_is_sent_and_not_what_is_listed(api: Served) -> None:
    api.turn(*IDS[:4], revoked=True)
    write("list.csv", [*IDS, *IDS, STRANGER])

    ended = api.run(*RUN, "--max-licenses", "8")

    assert ended.code == 1
    assert ended.summary["patches"] == 8


def test_a_limit_is_what_a_maximum_is_about(api: Served) -> None:
    assert api.run(*RUN, "--max-licenses", "5", "--limit", "5").summary["patches"] == 5


def test_failures_are_judged_against_what_is_sent() -> None:
    ids = some_ids(100, seed=3)
    write("list.csv", ids)
    with served(Account.holding(ids, revoked=ids[:40])) as api:
        for license_id in ids[45:70]:
            api.fail(license_id, 400)

        # A fifth of the 60 that are sent, not of the 100 that are listed.
        ended = api.run(*RUN, "--concurrency", "1")

    assert ended.code == 3
    assert ended.counts == {
        "revoked": 5, "already_revoked": 40, "failed": 13, "not_attempted": 42,
    }  # fmt: skip
    assert "too many failures: 13 of the first 18" in ended.err


@pytest.mark.parametrize(("most", "code"), [("2", 3), ("3", 1)])
def test_so_many_failures_are_accepted_and_no_more(api: Served, most: str, code: int) -> None:
    for license_id in IDS[:3]:
        api.fail(license_id, 400)

    ended = api.run(*RUN, "--concurrency", "1", "--max-failures", most)

    assert ended.code == code
    assert ended.counts["failed"] == 3


def test_a_run_whose_first_twenty_all_fail_is_stopped() -> None:
    ids = some_ids(40, seed=4)
    write("list.csv", ids)
    with served(Account.holding(ids)) as api:
        api.fail_all(400, on="PATCH")

        ended = api.run(*RUN, "--concurrency", "1", "--max-failures", "100%")

    assert ended.code == 3
    assert ended.counts == {"failed": 20, "not_attempted": 20}


def test_the_manifest_keeps_the_reason_and_every_option(api: Served) -> None:
    api.run(*RUN, "--reason", "ticket 42", "--limit", "3")

    kept = manifest(RESULTS)
    assert kept["reason"] == "ticket 42"
    assert kept["options"]["limit"] == 3
    assert kept["api"] == api.base_url
    assert kept["rehearsal"] is False


def test_what_is_asked_for_is_one_object_with_these_fields(api: Served) -> None:
    ended = api.run(*RUN, "--limit", "2")

    assert list(ended.summary) == [
        "run_id", "command", "exit_code", "api", "started_at", "finished_at", "rows", "licenses",
        "counts", "requests", "patches", "throttled", "seconds", "rate", "results", "manifest",
        "error", "hint", "not_done", "not_done_rows",
    ]  # fmt: skip
    assert ended.summary["command"] == "run"
    assert ended.summary["api"] == api.base_url
    assert (ended.summary["rows"], ended.summary["licenses"]) == (12, 12)
    assert (ended.summary["requests"], ended.summary["patches"]) == (3, 2)


def test_results_of_a_run_are_the_input_of_the_next_one(api: Served) -> None:
    for license_id in IDS[:2]:
        api.fail(license_id, 409)
    first = api.run(*RUN)

    second = api.run("run", RESULTS)

    assert (first.code, second.code) == (1, 0)
    assert second.summary["results"] == "list.results.results.csv"
    assert [row["license_id"] for row in second.rows] == IDS[:2]
    assert "10 revoked" in second.err
    assert len(api.patches()) == 14


def test_a_license_that_is_unknown_is_read_and_sent_again_by_the_next_run(api: Served) -> None:
    api.fail(IDS[0], "reset_after")
    api.fail(IDS[0], 400, on="GET")
    first = api.run(*RUN, "--max-attempts", "1")

    second = api.run("run", RESULTS)

    assert first.counts == {"revoked": 11, "unknown": 1}
    assert first.column("revoked")[0] == ""
    assert second.counts == {"already_revoked": 1}
    assert api.patches().count(IDS[0]) == 1


def test_starting_again_keeps_what_stood_there(api: Served) -> None:
    first = api.run(*RUN, "--limit", "4")
    before = Path(RESULTS).read_bytes()

    second = api.run(*RUN, "--overwrite")

    old = Path(f"{RESULTS}.bak-{compact(first.summary['started_at'])}")
    assert old.read_bytes() == before
    assert manifest(old)["run_id"] == first.summary["run_id"]
    assert second.counts == {"revoked": 8, "already_revoked": 4}
    assert second.summary["run_id"] != first.summary["run_id"]
    assert len(table(old)) == 12


def test_a_rehearsal_goes_the_same_way_and_sends_nothing(api: Served) -> None:
    write("no.csv", IDS[:2])
    pilot = api.ask(*RUN, "--sandbox", "--limit", "3", "--exclude", "no.csv")

    ended = api.execute(shlex.split(pilot.summary["hint"])[1:])

    assert (pilot.code, ended.code) == (0, 0)
    assert pilot.counts == {"revoked": 3, "excluded": 2, "not_attempted": 7}
    assert ended.counts == {"revoked": 10, "excluded": 2}
    assert ended.summary["results"] == "list.rehearsal.csv"
    assert (api.patches(), api.reads()) == ([], [])


@pytest.mark.parametrize(
    ("more", "code"),
    [([], 0), (["--max-licenses", "3"], 2), (["--rate", "x"], 2), (["--no-such-option"], 2)],
)
def test_every_line_of_a_rehearsal_says_that_it_is_one(more: list[str], code: int) -> None:
    with redirect_stderr(io.StringIO()) as said:
        assert run_command(["run", "list.csv", "--sandbox", "--yes", *more]) == code

    lines = said.getvalue().splitlines()
    assert lines
    assert all(line.startswith("rehearsal | ") for line in lines)


def test_quiet_says_one_block_and_only_of_what_is_not_done(api: Served) -> None:
    assert api.run(*RUN, "-q", "--limit", "3").err == ""
    api.fail(IDS[4], 409)

    ended = api.run(*RUN, "-q", "--resume")

    assert ended.code == 1
    assert ended.err.startswith("bulk-revoke: 1 of 12 licenses is NOT revoked (exit 1)")
    assert f"row 6  {IDS[4]}  failed" in ended.err
    assert f"again:   {ended.summary['hint']}" in ended.err


def compact(moment: str) -> str:
    return moment[:19].replace("-", "").replace(":", "") + "Z"


@pytest.mark.parametrize("command", [RUN, ("run", "list.csv", "--limit", "2")])
def test_without_a_yes_and_without_a_terminal_nothing_starts(
    api: Served, command: tuple[str, ...]
) -> None:
    ended = api.ask(*command)

    assert ended.code == 2
    assert "hint: where nobody can answer, say --yes" in ended.err
    assert api.reads() == []


def test_a_yes_that_knows_no_maximum_is_none(api: Served) -> None:
    ended = api.ask(*RUN, "--yes")

    assert ended.code == 2
    assert "hint: say with --max-licenses" in ended.err
    assert api.reads() == []


def test_a_restore_is_asked_about_as_well(api: Served) -> None:
    api.run(*RUN)

    ended = api.ask("restore", RESULTS)

    assert ended.code == 2
    assert api.revoked() == set(IDS)


@pytest.mark.parametrize(
    "answer", ["", "\n", "y\n", "yes\n", "5\n", "7\n", "66\n", "-6\n", "6.0\n"]
)
def test_any_other_answer_than_the_number_sends_nothing(
    api: Served, monkeypatch: pytest.MonkeyPatch, answer: str
) -> None:
    at_a_terminal(monkeypatch, answer)

    ended = api.ask(*RUN)

    assert ended.code == 2
    assert "nothing was sent" in ended.err


def test_the_number_that_is_asked_for_is_that_of_the_patches(
    api: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("no.csv", IDS[:1])
    api.turn(IDS[1], revoked=True)
    asked = at_a_terminal(monkeypatch, "3\n")

    ended = api.ask(*RUN, "--exclude", "no.csv", "--limit", "3")

    assert ended.code == 0
    assert "Type 3 to revoke these licenses" in asked[-1]
    assert sorted(api.patches()) == sorted(IDS[2:5])


def at_a_terminal(monkeypatch: pytest.MonkeyPatch, answer: str) -> list[str]:
    """Somebody sits there and types this; what they are told."""
    told: list[str] = []
    monkeypatch.setattr("batch.job.runner.open_terminal", lambda: io.StringIO(answer))
    monkeypatch.setattr("batch.job.runner.tell", told.append)
    return told


@pytest.mark.parametrize("what", ["the API", "the results"])
def test_while_another_run_is_at_work_nothing_starts(api: Served, what: str) -> None:
    name = lock.results_name(Path(RESULTS))
    if what == "the API":
        name = lock.api_name(api.base_url)
    said: list[str] = []
    with ExitStack() as stack:
        stack.enter_context(
            lock.held(
                Path(os.environ["BULK_REVOKE_RUN_LOCK_DIR"]) / name,
                lock.Owner("7f3a", "run", "somebody", 4711, "2026-11-24T02:15:00.000Z"),
                wait=None,
                timeout=1.0,
                say=said.append,
                what=what,
            )
        )

        ended = api.run(*RUN)
        too_long = api.run(*RUN, "--wait=0s")

    assert (ended.code, too_long.code) == (4, 4)
    assert "run 7f3a by somebody, process 4711" in ended.err
    assert "hint: --wait waits" in ended.err
    assert "hint: " in too_long.err
    assert api.reads() == []
    assert api.run(*RUN).code == 0
