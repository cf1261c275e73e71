"""Several commands on one host: together they stay below the limit, and none spoils another."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import chain, pairwise
from typing import TYPE_CHECKING, TypeVar

import pytest

from tests.end_to_end.conftest import Command, overheard, wait_until
from tests.end_to_end.test_run import write
from tests.end_to_end.test_terminal import at_a_terminal
from tests.support.job_harness import some_ids
from tests.support.results_files import table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from tests.support.faulty_sandbox import FaultySandbox

LIMIT, PERIOD = 10, 1.0
TIMEOUT = 2
LATENCY = (0.005, 0.04)

PACED = ("--rate", f"{LIMIT}/{PERIOD:.0f}s", "--timeout", str(TIMEOUT))

MANY = 300
"""Licenses of a run that is still at work when the test ends it, however slow the machine is."""

T = TypeVar("T")
Process = subprocess.Popen[str]

WRONG_CLOCK = """
import datetime, time, pandas
now, wrong = time.time, {wrong}
class Wrong(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls.fromtimestamp(now() + wrong, tz)
time.time = lambda: now() + wrong
datetime.datetime = Wrong
"""
"""What a process does first whose wall clock is so many seconds wrong. pandas has to be imported
before: its C code takes the class for the real one."""


@contextmanager
def limited(ids: Iterable[str]) -> Iterator[FaultySandbox]:
    """A server that admits what the commands here are told that it does."""
    with overheard([*ids], rate=(LIMIT, PERIOD), latency=LATENCY) as sandbox:
        yield sandbox


def at(sandbox: FaultySandbox, *more: str | Path) -> tuple[str | Path, ...]:
    """Options of a command that keeps to the limit."""
    return ("--base-url", sandbox.base_url, *PACED, *more)


def unasked(count: int = 99) -> tuple[str, ...]:
    return ("--yes", "--max-licenses", str(count))


def lists(home: Path, *counts: int) -> tuple[list[Path], list[list[str]]]:
    """Files that list so many licenses each, and these licenses."""
    ids = [some_ids(count, seed=number) for number, count in enumerate(counts)]
    return [write(home / f"{number}.csv", each) for number, each in enumerate(ids)], ids


def patched(sandbox: FaultySandbox) -> list[str]:
    return [entry.target for entry in list(sandbox.log) if entry.method == "PATCH"]


def said(process: Process, timeout: float = 40) -> str:
    """What a command has said at its end."""
    try:
        return process.communicate(timeout=timeout)[1]
    except subprocess.TimeoutExpired:
        process.kill()
        raise AssertionError(process.communicate()) from None


def side_by_side(*works: Callable[[], T]) -> list[T]:
    """Do what only waits at the same time."""
    with ThreadPoolExecutor() as threads:
        return [future.result() for future in [threads.submit(work) for work in works]]


def at_once(command: Command, number: int) -> None:
    """Start so many runs at once, none of which waits."""
    files, ids = lists(command.home, *[MANY] * number)
    with limited(chain(*ids)) as sandbox:
        runs = [command.start("run", file, *at(sandbox), *unasked(MANY)) for file in files]
        wait_until(lambda: sum(run.poll() is None for run in runs) <= 1 and patched(sandbox))
        for run in runs:
            run.terminate()
        ends = [said(run) for run in runs]

    codes = [run.returncode for run in runs]
    assert sorted(codes) == [4] * (number - 1) + [143], ends
    first = codes.index(143)
    manifest = json.loads((command.home / f"{first}.results.csv.run.json").read_text())
    for code, end in zip(codes, ends, strict=True):
        if code == 4:
            assert f": run {manifest['run_id']} by " in end
            assert f", process {runs[first].pid}, since " in end
            assert "hint: --wait waits" in end
    assert set(patched(sandbox)) <= set(ids[first])
    assert [path.name for path in command.home.glob("*.results.csv")] == [f"{first}.results.csv"]
    assert sandbox.busiest(PERIOD) <= LIMIT
    assert sandbox.count_429 == 0


def test_of_runs_that_start_at_once_one_goes_on_and_the_others_are_told_which(
    bulk_revoke: Command,
) -> None:
    side_by_side(
        partial(at_once, bulk_revoke.within("two"), 2),
        partial(at_once, bulk_revoke.within("three"), 3),
    )


def one_after_the_other(command: Command, number: int, *, killed: bool) -> None:
    """Start so many runs at once, which wait for each other; the first to go on may be killed."""
    files, ids = lists(command.home, *[12] * number)

    def turns() -> list[int]:
        return [next(i for i, own in enumerate(ids) if each in own) for each in patched(sandbox)]

    with limited(chain(*ids)) as sandbox:
        runs = [
            command.start("run", file, *at(sandbox, "--wait=30s"), *unasked()) for file in files
        ]
        wait_until(lambda: len(turns()) >= 3)
        first = turns()[0]
        if killed:
            runs[first].kill()
        ends = [said(run) for run in runs]

    codes = [run.returncode for run in runs]
    assert codes == [-9 if killed and run == first else 0 for run in range(number)], ends
    assert sum(one != other for one, other in pairwise(turns())) == number - 1
    for run, own in enumerate(ids):
        if codes[run] == 0:
            assert turns().count(run) == len(own)
            assert {row["outcome"] for row in table(command.home / f"{run}.results.csv")} == {
                "revoked"
            }
    assert sandbox.busiest(PERIOD) <= LIMIT
    assert sandbox.count_429 == 0


def test_runs_that_wait_for_each_other_all_finish_one_after_the_other(bulk_revoke: Command) -> None:
    side_by_side(
        partial(one_after_the_other, bulk_revoke.within("two"), 2, killed=False),
        partial(one_after_the_other, bulk_revoke.within("three"), 3, killed=False),
        partial(one_after_the_other, bulk_revoke.within("killed"), 3, killed=True),
    )


def test_a_run_a_verify_and_a_restore_share_the_limit(bulk_revoke: Command, tmp_path: Path) -> None:
    (earlier, later), ids = lists(tmp_path, 8, 8)
    with limited(chain(*ids)) as sandbox:
        assert bulk_revoke("run", earlier, *at(sandbox), *unasked()).returncode == 0
        wait = at(sandbox, "--wait=30s")
        commands = [
            bulk_revoke.start("run", later, *wait, *unasked()),
            bulk_revoke.start("verify", later, *wait),
            bulk_revoke.start("restore", tmp_path / "0.results.csv", *wait, *unasked()),
        ]
        ends = [said(command) for command in commands]

    run, verify, restore = commands
    assert (run.returncode, restore.returncode) == (0, 0), ends
    # Nobody knows whether it came before the run or after it; in between is what must not be.
    read = {row["outcome"] for row in table(tmp_path / "1.verify.csv")}
    assert (verify.returncode, read) in [(0, {"verified"}), (1, {"not_revoked"})]
    assert {name for name, revoked in sandbox.revoked.items() if revoked} == set(ids[1])
    assert sandbox.busiest(PERIOD) <= LIMIT
    assert sandbox.count_429 == 0


def handover(command: Command, rate: str, number: signal.Signals, before: str = "") -> float:
    """Let one run follow another, which is interrupted or killed.

    Args:
        command: In an empty directory.
        rate: Of the first one.
        number: What ends the first one in the middle.
        before: What the second one does first.

    Returns:
        The seconds between the last request of the first and the first one of the second.
    """
    files, ids = lists(command.home, MANY, 3)
    heard = command.home / "said.txt"
    with limited(chain(*ids)) as sandbox:
        first = command.start("run", files[0], *at(sandbox, "--rate", rate), *unasked(MANY))
        wait_until(lambda: patched(sandbox))
        with heard.open("w") as stderr:
            second = command.start(
                "run", files[1], *at(sandbox, "--wait=30s"), *unasked(),
                stderr=stderr, before=before,
            )  # fmt: skip
            wait_until(lambda: "waiting until it has ended" in heard.read_text())
            wait_until(lambda: len(patched(sandbox)) >= 30)
            first.send_signal(number)
        said(first)
        sent = len(sandbox.log)
        said(second)

    assert first.returncode in {128 + number, -number}
    assert second.returncode == 0
    assert sandbox.busiest(PERIOD) <= LIMIT
    assert sandbox.count_429 == 0
    return sandbox.log[sent].time - sandbox.log[sent - 1].time


def test_a_run_begins_when_what_the_one_before_sent_is_over_whatever_the_wall_clock_says(
    bulk_revoke: Command,
) -> None:
    clocks = ["", WRONG_CLOCK.format(wrong=-3600), WRONG_CLOCK.format(wrong=3600)]
    longer = 2 * PERIOD
    good, *killed = side_by_side(
        partial(handover, bulk_revoke.within("good"), f"14/{longer:.0f}s", signal.SIGTERM),
        *(
            partial(handover, bulk_revoke.within(f"{number}"), "10/1s", signal.SIGKILL, clock)
            for number, clock in enumerate(clocks)
        ),
    )

    assert longer <= good < min(killed)
    assert min(killed) >= PERIOD + TIMEOUT


def test_runs_about_different_apis_do_not_wait_for_each_other(
    bulk_revoke: Command, tmp_path: Path
) -> None:
    files, ids = lists(tmp_path, MANY, MANY)
    with limited(ids[0]) as one, limited(ids[1]) as other:
        runs = [
            bulk_revoke.start("run", file, *at(api), *unasked(MANY))
            for file, api in zip(files, (one, other), strict=True)
        ]
        wait_until(lambda: patched(one) and patched(other))
        assert [run.poll() for run in runs] == [None, None]
        for run in runs:
            run.terminate()
        ends = [said(run) for run in runs]

    assert [run.returncode for run in runs] == [143, 143], ends


def test_the_results_of_a_run_that_is_at_work_are_left_alone_by_runs_about_another_api(
    bulk_revoke: Command, tmp_path: Path
) -> None:
    files, ids = lists(tmp_path, MANY, 5)
    with limited(ids[0]) as one, limited(ids[1]) as other:
        first = bulk_revoke.start("run", files[0], *at(one, "-o", "same.csv"), *unasked(MANY))
        wait_until(lambda: len(patched(one)) >= 1)
        others = [
            bulk_revoke.start("run", files[1], *at(other, "-o", "same.csv", option), *unasked())
            for option in ("--resume", "--overwrite")
        ]
        ends = [said(each) for each in others]
        first.terminate()
        end = said(first)

    assert [each.returncode for each in others] == [4, 4], ends
    for each in ends:
        assert "same.csv: another run on this host is at work: run " in each
    assert other.requests == 0
    assert first.returncode == 143, end
    rows = table(tmp_path / "same.csv")
    assert [row["license_id"] for row in rows] == ids[0]
    assert {row["license_id"] for row in rows if row["revoked"]} == set(patched(one))
    assert not list(tmp_path.glob("*.bak-*"))


def test_a_run_that_asks_holds_the_lock(bulk_revoke: Command, tmp_path: Path) -> None:
    files, ids = lists(tmp_path, 6, 6)
    with (
        limited(chain(*ids)) as sandbox,
        at_a_terminal(tmp_path, "run", files[0], *at(sandbox)) as terminal,
    ):
        terminal.wait_for("Type 6 ")
        refused = bulk_revoke("run", files[1], *at(sandbox), *unasked())
        terminal.type("6\n")

        assert terminal.finish() == 0
    assert refused.returncode == 4
    assert f"process {terminal.process.pid}" in refused.stderr
    assert sorted(patched(sandbox)) == sorted(ids[0])


def test_a_run_that_has_sent_nothing_holds_nobody_back(
    bulk_revoke: Command, tmp_path: Path
) -> None:
    (listed,), (ids,) = lists(tmp_path, 3)
    with limited(ids) as sandbox:
        options = ("--base-url", sandbox.base_url, "--rate", f"{LIMIT}/5s", "--no-look")
        with at_a_terminal(tmp_path, "run", listed, *options) as terminal:
            terminal.wait_for("Type 3 ")
            terminal.type("no\n")
            assert terminal.finish() == 2
        assert sandbox.requests == 0

        after = bulk_revoke("run", listed, *options, *unasked())

    assert after.returncode == 0
    assert "waiting" not in after.stderr


def test_a_signal_ends_a_run_that_waits_for_another(bulk_revoke: Command, tmp_path: Path) -> None:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    files, ids = lists(tmp_path, MANY, 5, 5, 5)
    heard = tmp_path / "said.txt"
    with limited(chain(*ids)) as sandbox:
        first = bulk_revoke.start("run", files[0], *at(sandbox), *unasked(MANY))
        wait_until(lambda: patched(sandbox))
        with heard.open("a") as stderr:
            others = [
                bulk_revoke.start("run", file, *at(sandbox, "--wait"), *unasked(), stderr=stderr)
                for file in files[1:]
            ]
            wait_until(lambda: heard.read_text().count("waiting until it has ended") == 3)
            for other, number in zip(others, numbers, strict=True):
                other.send_signal(number)
                other.communicate(timeout=2)
        assert first.poll() is None
        first.terminate()
        end = said(first)

    for other, number in zip(others, numbers, strict=True):
        # Nothing is under way, so the system's own end will do: a shell calls it 128 + number.
        assert other.returncode in {128 + number, -number}
    assert first.returncode == 143, end
    assert [path.name for path in tmp_path.glob("*.results.csv")] == ["0.results.csv"]
    assert set(patched(sandbox)) <= set(ids[0])


def resumed(command: Command, *options: str, latency: tuple[float, float]) -> tuple[float, str]:
    """Kill a run and go on with it at once.

    Returns:
        The seconds between the last request of the one and the first of the other, and what the
        other one has said.
    """
    (listed,), (ids,) = lists(command.home, 25)
    with overheard(ids, rate=(LIMIT, PERIOD) if options == PACED else None, latency=latency) as api:
        arguments: tuple[str | Path, ...] = ("run", listed, "--base-url", api.base_url)
        arguments += (*options, *unasked())
        first = command.start(*arguments)
        wait_until(lambda: len(patched(api)) >= 12)
        first.kill()
        said(first)
        journal = table(command.home / "0.results.csv")
        sent = len(api.log)
        again = command(*arguments, "--resume")

    assert again.returncode == 0, again.stderr
    assert [row["license_id"] for row in table(command.home / "0.results.csv")] == ids
    assert {row["outcome"] for row in table(command.home / "0.results.csv")} == {"revoked"}
    # At most what was in flight is missing in the journal, and the look finds that.
    assert len([row for row in journal if row["revoked"]]) >= 5
    assert sorted(patched(api)) == sorted(ids)
    assert api.busiest(PERIOD) <= LIMIT or options != PACED
    assert api.count_429 == 0
    return api.log[sent].time - api.log[sent - 1].time, again.stderr


def test_a_killed_run_is_gone_on_with_as_soon_as_its_requests_are_over(
    bulk_revoke: Command,
) -> None:
    unlimited = ("--rate", "none", "--concurrency", "1")
    (paced, said_paced), (free, said_free) = side_by_side(
        partial(resumed, bulk_revoke.within("paced"), *PACED, latency=LATENCY),
        partial(resumed, bulk_revoke.within("free"), *unlimited, latency=(0.1, 0.1)),
    )

    assert paced >= PERIOD + TIMEOUT
    assert "another run on this host was at work a moment ago: waiting" in said_paced
    # The time-out of 30 seconds has not passed: only the start.
    assert free < 15
    assert "waiting" not in said_free


# --- one folder, which runs reach in several ways ---

QUICK = """
import batch.host.claim as claim
claim.PATIENCE, claim.FRESH = 1.5, 0.5
"""
"""What a process does first for which half a minute is over in a moment."""

ELSEWHERE = (
    QUICK
    + """
claim.boot_id = lambda: "another host"
"""
)
"""What a process does first that is to be on another host."""


def locks_of_its_own(command: Command, name: str) -> tuple[str | Path, ...]:
    """Options of a run whose locks other runs do not see, as those of another host are."""
    locks = command.home / name
    locks.mkdir(exist_ok=True)
    return ("--lock-dir", locks, "--rate", "none", "--concurrency", "2")


def revoking(listed: Path, sandbox: FaultySandbox, results: Path) -> tuple[str | Path, ...]:
    return ("run", listed, "--base-url", sandbox.base_url, *unasked(), "-o", results)


@contextmanager
def slow(ids: list[str]) -> Iterator[FaultySandbox]:
    with overheard(ids, latency=(0.1, 0.1)) as sandbox:
        yield sandbox


def two_ways(command: Command, there: Path, *, before: str) -> str:
    """Start a second run on the results of one that is at work, by another way.

    Args:
        command: In an empty directory.
        there: The directory of the results, as the second run reaches it.
        before: What the second run does first.

    Returns:
        What the second run has said.
    """
    (listed,), (ids,) = lists(command.home, MANY)
    (command.home / "here").mkdir(exist_ok=True)
    with slow(ids) as one, slow(ids) as other:
        first = command.start(
            "run", listed, "--base-url", one.base_url, *unasked(MANY),
            "-o", command.home / "here" / "out.csv", *locks_of_its_own(command, "one"),
        )  # fmt: skip
        wait_until(lambda: len(patched(one)) >= 3)
        second = command.start(
            "run", listed, "--base-url", other.base_url, *unasked(MANY),
            "-o", there / "out.csv", "--resume", *locks_of_its_own(command, "other"),
            before=before,
        )  # fmt: skip
        refused = said(second)
        assert first.poll() is None
        first.terminate()
        end = said(first)

    assert second.returncode == 4, refused
    assert f"error: {there / 'out.csv.lock'}: another run is at work: run " in refused
    assert f", process {first.pid}, since " in refused
    assert other.requests == 0
    assert first.returncode == 143, end
    rows = table(command.home / "here" / "out.csv")
    assert [row["license_id"] for row in rows] == ids
    assert {row["license_id"] for row in rows if row["revoked"]} == set(patched(one))
    assert {path.name for path in there.iterdir()} == {"out.csv", "out.csv.run.json"}
    return refused


@pytest.mark.parametrize("before", ["", ELSEWHERE], ids=["on one host", "on two hosts"])
def test_two_runs_that_do_not_see_each_others_locks_do_not_write_one_results_file(
    bulk_revoke: Command, before: str
) -> None:
    refused = two_ways(bulk_revoke, bulk_revoke.home / "here", before=before)

    assert ("to see whether it is at work" in refused) is bool(before)


def test_two_runs_that_reach_one_directory_by_two_mounts_do_not_write_one_results_file(
    bulk_revoke: Command,
) -> None:
    here, there = bulk_revoke.home / "here", bulk_revoke.home / "there"
    here.mkdir()
    there.mkdir()
    mount = ["mount", "--bind", str(here), str(there)]
    if os.geteuid() or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("only root can mount a directory here")
    try:
        two_ways(bulk_revoke, there, before="")
    finally:
        subprocess.run(["umount", str(there)], check=True)


def test_a_run_that_is_suspended_and_taken_for_dead_leaves_the_results_to_its_successor(
    bulk_revoke: Command, tmp_path: Path
) -> None:
    (listed,), (ids,) = lists(tmp_path, 40)
    results = tmp_path / "out.csv"
    with slow(ids) as sandbox:
        common = revoking(listed, sandbox, results)
        first = bulk_revoke.start(*common, *locks_of_its_own(bulk_revoke, "one"), before=QUICK)
        wait_until(lambda: len(patched(sandbox)) >= 5)
        first.send_signal(signal.SIGSTOP)
        second = bulk_revoke.start(
            *common, "--resume", *locks_of_its_own(bulk_revoke, "other"), before=ELSEWHERE
        )
        wait_until(lambda: len(patched(sandbox)) >= 12)
        first.send_signal(signal.SIGCONT)
        end = said(first)
        sessions = json.loads((tmp_path / "out.csv.run.json").read_text())["sessions"]
        successor = said(second)

    assert first.returncode == 3, end
    assert "out.csv.lock was made anew by another run: run " in end
    assert len(sessions) == 2, "the manifest is the successor's"
    assert second.returncode == 0, successor
    assert {(row["outcome"], row["was_revoked"]) for row in table(results)} == {
        ("revoked", "false")
    }
    assert [row["license_id"] for row in table(results)] == ids
    assert bulk_revoke("verify", "--manifest", results).returncode == 0
    assert not list(tmp_path.glob("out.csv.*[!n]"))


def test_a_run_whose_claim_is_deleted_stops_and_is_gone_on_with(
    bulk_revoke: Command, tmp_path: Path
) -> None:
    (listed,), (ids,) = lists(tmp_path, 40)
    results = tmp_path / "out.csv"
    with slow(ids) as sandbox:
        common = revoking(listed, sandbox, results)
        first = bulk_revoke.start(*common, *locks_of_its_own(bulk_revoke, "one"))
        wait_until(lambda: len(patched(sandbox)) >= 5)
        (tmp_path / "out.csv.lock").unlink()
        end = said(first, timeout=10)
        again = bulk_revoke(*common, "--resume", *locks_of_its_own(bulk_revoke, "one"))

    assert first.returncode == 3, end
    assert f"stopped: the results cannot be saved: {results}.lock is gone from its place" in end
    assert again.returncode == 0, again.stderr
    assert [row["license_id"] for row in table(results)] == ids
    assert {(row["outcome"], row["was_revoked"]) for row in table(results)} == {
        ("revoked", "false")
    }


def test_a_run_whose_claim_is_gone_when_it_has_asked_sends_nothing(tmp_path: Path) -> None:
    (listed,), (ids,) = lists(tmp_path, 6)
    with (
        limited(ids) as sandbox,
        at_a_terminal(tmp_path, "run", listed, *at(sandbox), "-o", "out.csv") as terminal,
    ):
        terminal.wait_for("Type 6 ")
        (tmp_path / "out.csv.lock").unlink()
        terminal.type("6\n")

        terminal.wait_for("nothing was sent")
        assert terminal.finish() == 2
    assert not patched(sandbox)
    assert not list(tmp_path.glob("out.csv*"))


def test_a_killed_run_is_gone_on_with_at_once_by_one_that_does_not_see_its_locks(
    bulk_revoke: Command, tmp_path: Path
) -> None:
    (listed,), (ids,) = lists(tmp_path, 20)
    with slow(ids) as sandbox:
        common = revoking(listed, sandbox, tmp_path / "out.csv")
        first = bulk_revoke.start(*common, *locks_of_its_own(bulk_revoke, "one"))
        wait_until(lambda: len(patched(sandbox)) >= 5)
        first.kill()
        said(first)
        assert (tmp_path / "out.csv.lock").exists()
        again = bulk_revoke(*common, "--resume", *locks_of_its_own(bulk_revoke, "other"))

    assert again.returncode == 0, again.stderr
    assert "waiting" not in again.stderr
    assert {row["outcome"] for row in table(tmp_path / "out.csv")} == {"revoked"}
    assert not (tmp_path / "out.csv.lock").exists()
