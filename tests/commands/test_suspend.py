"""Suspend, and what takes it back or verifies it: the same as a run, of another property."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from batch.columns import DETAILS, columns
from batch.job import targets
from batch.model import Property
from batch.reporting.alerts import Alerts
from batch.sandbox import Account
from tests.support.commands import Served, manifest, served, write
from tests.support.job_harness import some_ids
from tests.support.results_files import aged, table

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import tzinfo

    from batch.reporting.summary import Ending

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
    assert tuple(ended.rows[0]) == (*columns(Property.SUSPENDED), *DETAILS)
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


def test_results_of_a_run_are_no_input_of_a_suspension(api: Served) -> None:
    api.run("run", "list.csv", "-o", "run.csv")
    before = len(api.patches())

    crossed = [
        api.run("suspend", "run.csv", "-o", "1.csv"),
        api.run("verify", "run.csv", "--suspended", "-o", "2.csv"),
    ]
    Path("run.csv.run.json").unlink()
    by_columns = api.run("suspend", "run.csv", "-o", "3.csv")

    assert [each.code for each in (*crossed, by_columns)] == [2, 2, 2]
    assert "these are the results of bulk-revoke run" in crossed[0].err
    assert "these are results of a run that was about what is revoked" in by_columns.err
    assert len(api.patches()) == before


# What is told of it


@dataclass
class Told:
    """What those hear of a command who are not there.

    Attributes:
        place: Where log and metrics are.
        alerts: Title and text of each alert.
    """

    place: Path
    alerts: list[str] = field(default_factory=list)

    @property
    def options(self) -> list[str]:
        return [
            "--quiet",
            *("--notify-file", str(self.place / "addresses")),
            *("--log-file", str(self.place / "log.jsonl")),
            *("--metrics-file", str(self.place / "nightly.prom")),
        ]

    def log(self) -> str:
        return (self.place / "log.jsonl").read_text(encoding="utf-8")

    def rows(self) -> dict[str, int]:
        """Rows by outcome, as the metrics have them, but for those that are 0 or NaN."""
        text = (self.place / "nightly.prom").read_text(encoding="utf-8")
        found = re.findall(r'_last_run_rows\{.*outcome="(\w+)"\} (\d+)', text)
        return {outcome: int(count) for outcome, count in found if int(count)}


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Told:
    told = Told(tmp_path_factory.mktemp("told"))
    (told.place / "addresses").write_text("json://127.0.0.1:9/\n", encoding="utf-8")
    (told.place / "addresses").chmod(0o600)

    def send(_: Alerts, ending: Ending, *, seconds: float = 30) -> str:
        assert seconds > 0
        told.alerts.append(f"{ending.title}\n{ending.text}")
        return ""

    monkeypatch.setattr(Alerts, "send", send)
    return told


@contextmanager
def going_wrong(api: Served, code: int) -> Iterator[list[str]]:
    """What makes a command that is about ten licenses end with an exit code, and options for it."""
    hand, more = threading.Thread(target=lambda: None), ["--concurrency", "1"]
    before = len(api.patches())
    if code == 1:
        api.fail(IDS[5], 409, on="PATCH")
    elif code == 2:
        more += ["--max-licenses", "2"]
    elif code == 3:
        api.fail(IDS[5], 401, on="PATCH")
    elif code == 130:
        api.fail(IDS[5], "hang_after", on="PATCH")
        more += ["--timeout", "1"]

        def press() -> None:
            deadline = time.monotonic() + 30
            while IDS[5] not in api.patches()[before:] and time.monotonic() < deadline:
                time.sleep(0.01)
            os.kill(os.getpid(), signal.SIGINT)

        hand = threading.Thread(target=press)
    hand.start()
    yield more
    hand.join(30)
    api.heal()


REVOKING = re.compile(r"(?<!bulk-)(?<!bulk_)revok", re.IGNORECASE)


@pytest.mark.skipif(os.name == "nt", reason="this is about a signal")
@pytest.mark.parametrize("command", [SUSPEND, RESTORE])
@pytest.mark.parametrize("code", [0, 1, 2, 3, 130])
def test_whatever_becomes_of_a_suspension_nobody_hears_that_it_revokes(
    api: Served, told: Told, command: tuple[str, str], code: int
) -> None:
    api.turn(*IDS, revoked=False, suspended=False)
    if command == RESTORE:
        api.run(*SUSPEND)
    before = api.suspended()

    with going_wrong(api, code) as more:
        ended = api.run(*command, *told.options, *more)

    assert ended.code == code
    assert not REVOKING.search("\n".join([ended.err, *told.alerts, told.log()]))
    assert len(told.alerts) == (code != 0)
    assert bool(ended.err) is (code != 0)
    # Nothing was counted where it was refused.
    assert told.rows() == (ended.counts if ended.has_results else {})
    if ended.has_results and ended.summary["hint"]:
        words = shlex.split(ended.summary["hint"])
        assert words[:3] == ["bulk-revoke", *command]
        assert api.execute(words[1:]).code == 0
    assert api.suspended() == (before if code == 2 else {*IDS} - before)
    assert api.revoked() == set()


def test_a_verify_of_a_suspension_says_what_it_could_not_read(api: Served, told: Told) -> None:
    api.turn(*IDS, revoked=False)
    api.run(*SUSPEND)
    api.turn(IDS[4], suspended=False)
    api.fail_all(400, on="LIST")
    api.fail(IDS[7], 400, on="GET", times=None)

    some = api.run("verify", RESULTS, *told.options)
    api.fail_all(401, on="LIST")
    api.fail_all(401, on="GET")
    none = api.run("verify", RESULTS, *told.options, "-o", "none.csv")

    assert (some.code, none.code) == (1, 3)
    assert some.err.startswith("bulk-revoke: 1 of 10 licenses (1 of 11 rows) is NOT suspended, 1 ")
    assert none.err.startswith("bulk-revoke: 10 of 10 licenses (11 of 11 rows) were not looked at")
    assert not REVOKING.search("\n".join([some.err, none.err, *told.alerts, told.log()]))


# From the one to the other


@pytest.mark.parametrize("has_manifest", [True, False])
def test_what_is_suspended_still_is_revoked_and_what_was_lifted_is_left_out(
    api: Served, has_manifest: bool
) -> None:
    api.run(*SUSPEND)
    api.turn(IDS[4], IDS[5], suspended=False)
    api.turn(IDS[6], revoked=True)
    if not has_manifest:
        Path(f"{RESULTS}.run.json").unlink()

    ended = api.run("run", RESULTS)

    assert ended.code == 0
    assert ended.counts == {"revoked": 5, "already_revoked": 1, "excluded": 2}
    assert api.revoked() == {REVOKED, BOTH, IDS[3], *IDS[6:]}
    lifted = [row for row in ended.rows if row["outcome"] == "excluded"]
    assert [row["license_id"] for row in lifted] == IDS[4:6]
    assert {row["error"] for row in lifted} == {"not suspended any more"}
    assert "1 already_revoked, 2 already_suspended" in ended.err
    assert "2 not suspended any more" in ended.err
    assert "suspended 0 s ago" in ended.err or "suspended 1 s ago" in ended.err


def test_only_what_has_been_suspended_for_long_enough_is_revoked(api: Served) -> None:
    api.run(*SUSPEND)
    aged(Path(RESULTS), 40, 31, 30.01, 29.9)

    ended = api.run("run", RESULTS, "--older-than", "30d")

    assert ended.code == 0
    assert ended.counts == {"revoked": 3}
    assert api.revoked() == {REVOKED, BOTH, *IDS[3:6]}
    assert "suspended 30 days to 40 days ago" in ended.err
    assert "5 suspended later" in ended.err


def test_a_night_too_early_is_no_fault_and_leaves_nothing_behind(
    api: Served, tmp_path_factory: pytest.TempPathFactory
) -> None:
    api.run(*SUSPEND)
    aged(Path(RESULTS), 29.9, 10)
    before, command = sorted(Path().iterdir()), ("run", RESULTS, "--older-than", "30d", "--resume")
    metrics = tmp_path_factory.mktemp("metrics") / "early.prom"

    early = api.run(*command, "--metrics-file", metrics)
    silent = api.run(*command, "--quiet")

    assert (early.code, silent.code) == (0, 0)
    assert re.search(r"^bulk_revoke_last_run_exit_code\{.*\} 0", metrics.read_text(), re.MULTILINE)
    assert (early.has_results, silent.err) == (False, "")
    assert "nothing is old enough for --older-than yet (exit 0)" in early.err
    assert "8 suspended later" in early.err
    first = min(row["finished_at"] for row in table(RESULTS) if row["outcome"] == "suspended")
    due = datetime.fromisoformat(first) + timedelta(days=30, seconds=0.999)
    assert (
        f"hint:    the first of them is old enough on {due:%Y-%m-%d at %H:%M:%S} UTC." in early.err
    )
    assert early.summary["hint"] in early.err
    assert sorted(Path().iterdir()) == before
    aged(Path(RESULTS), 30.1, 29)
    assert api.run(*command).counts == {"revoked": 1}


def test_who_asks_for_a_part_that_is_too_young_is_told_that_there_is_more(api: Served) -> None:
    api.run(*SUSPEND)
    aged(Path(RESULTS), 40)

    ended = api.run("run", RESULTS, "--older-than", "30d", "--where", f"license_id={IDS[5]}")

    assert ended.code == 2
    assert "selects no row of" in ended.err
    assert "7 suspended later" in ended.err


def test_the_age_is_counted_from_the_start_of_the_run(
    api: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    api.run(*SUSPEND)
    aged(Path(RESULTS), 40, 31, 29.99)
    pilot = api.run("run", RESULTS, "--older-than", "30d", "--limit", "1")
    later = datetime.now(UTC) + timedelta(days=1)

    class Later(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Later:
            assert tz is UTC
            return cls.fromtimestamp(later.timestamp(), UTC)

    monkeypatch.setattr(targets, "datetime", Later)
    ended = api.execute(shlex.split(pilot.summary["hint"])[1:])

    assert ended.code == 0
    assert ended.counts == {"revoked": 2}


@pytest.mark.parametrize("spelled", ["", "30.11.2026", "45991"])
def test_an_age_that_cannot_be_read_is_a_refusal_only_where_it_matters(
    api: Served, spelled: str
) -> None:
    api.run(*SUSPEND)
    text = Path(RESULTS).read_text()
    Path(RESULTS).write_text(re.sub(r"\d{4}-\d\d-\d\dT[0-9:.]*Z", spelled, text))

    refused = api.run("run", RESULTS, "--older-than", "30d")
    ended = api.run("run", RESULTS)

    assert refused.code == 2
    assert "row 5: it is not told when the license was suspended" in refused.err
    assert ended.counts == {"revoked": 8}
    assert "suspended; when, the results do not tell" in ended.err


def test_an_age_means_nothing_elsewhere(api: Served) -> None:
    api.run("run", "list.csv", "--limit", "2")

    refused = [
        api.run("run", source, "--older-than", age, "-o", "other.csv")
        for source, age in (("list.csv", "30d"), (RESULTS, "30d"), ("list.csv", "a month"))
    ]

    assert [each.code for each in refused] == [2, 2, 2]
    assert "are no results of bulk-revoke suspend" in refused[0].err
    assert "are no results of bulk-revoke suspend" in refused[1].err
    assert "a month is no time span" in refused[2].err


def test_what_is_suspended_still_only_a_look_can_tell(api: Served) -> None:
    api.run(*SUSPEND)
    unseen = api.run("run", RESULTS, "--no-look")
    api.fail_all(403, on="LIST")
    api.fail_all(403, on="GET")
    refused = api.run("run", RESULTS)

    assert (unseen.code, refused.code) == (2, 3)
    assert "whether these licenses are still suspended, only the server knows" in unseen.err
    assert "the token may not read licenses" in refused.err
    assert not refused.has_results
    assert api.revoked() == {REVOKED, BOTH}


def test_a_license_that_cannot_be_read_is_not_revoked(api: Served) -> None:
    api.run(*SUSPEND)
    api.fail_all(400, on="LIST")
    api.fail(IDS[7], 400, on="GET", times=None)

    ended = api.run("run", RESULTS)

    assert ended.code == 1
    assert ended.counts == {"revoked": 7, "unknown": 1}
    assert IDS[7] not in api.revoked()


def test_who_is_lifted_after_the_pilot_is_left_out_as_well(api: Served) -> None:
    api.run(*SUSPEND)
    pilot = api.run("run", RESULTS, "--limit", "3")
    api.turn(IDS[7], suspended=False)

    ended = api.execute(shlex.split(pilot.summary["hint"])[1:])

    assert pilot.counts == {"revoked": 3, "not_attempted": 5}
    assert ended.counts == {"revoked": 7, "excluded": 1}
    assert IDS[7] not in api.revoked()


@pytest.mark.parametrize("by", ["id", "key"])
def test_a_part_of_a_suspension_by_key_is_lifted_and_another_revoked(api: Served, by: str) -> None:
    api.turn(*IDS, revoked=False, suspended=False)
    keys = [api.sandbox.account.licenses[license_id].key for license_id in IDS]
    answers = [f"{key},R-{n},{'paid' if n % 2 else 'gone'}" for n, key in enumerate(keys)]
    write("list.csv", answers, "License Key,Order,Answer")
    pilot = api.run(
        *SUSPEND, "--by", "key", "--carry", "Order", "--carry", "Answer", "--limit", "3"
    )
    suspended = api.execute(shlex.split(pilot.summary["hint"])[1:])
    aged(Path(RESULTS), *[31] * 10)

    lifted = api.run("restore", RESULTS, "--where", "Order=R-2", "-o", "lifted.csv")
    verified = api.run("verify", RESULTS, "--by", by, "--carry", "Order")
    gone = ("run", RESULTS, "--by", by, "--where", "Answer=gone", "--older-than", "30d")
    ended = api.run(*gone, "--carry", "Order")

    assert suspended.counts == {"suspended": 10}
    assert lifted.counts == {"restored": 1, "excluded": 9}
    assert [row["Order"] for row in verified.rows if row["outcome"] != "verified"] == ["R-2"]
    assert ended.counts == {"revoked": 4, "excluded": 6}
    assert {row["Order"] for row in ended.rows if row["outcome"] == "revoked"} == {
        "R-0", "R-4", "R-6", "R-8",
    }  # fmt: skip
    assert api.revoked() == {IDS[0], IDS[4], IDS[6], IDS[8]}
    taken_back = api.run("restore", ended.summary["results"], "--where", "Order=R-4")
    assert "1 of them is suspended as well, and stays so" in taken_back.err
    lift_too = api.run("restore", RESULTS, "--where", "Order=R-6", "-o", "6.csv")
    assert "1 of them is revoked as well, and stays so" in lift_too.err
    assert api.revoked() == {IDS[0], IDS[6], IDS[8]}


def test_what_was_revoked_after_its_suspension_is_taken_back_to_it(api: Served) -> None:
    api.run(*SUSPEND)
    ended = api.run("run", RESULTS)

    assert api.run("restore", ended.summary["results"]).counts == {"restored": 7}
    assert api.revoked() == {REVOKED, BOTH}
    assert api.suspended() == {*IDS} - {REVOKED}


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
    revoked = api.run("run", rehearsed.summary["results"], "--sandbox", "-o", "revoked.csv")

    assert rehearsed.counts == {"suspended": 11}
    assert restored.counts == {"restored": 10}
    assert revoked.counts == {"revoked": 11}
    assert (api.patches(), api.reads()) == ([], [])
