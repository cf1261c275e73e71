"""What happens around a run while it is at work: signals, full disks, files that go away."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from batch.host import lock
from tests.end_to_end.conftest import Command, overheard, serving, wait_until
from tests.end_to_end.test_run import write
from tests.end_to_end.test_together import LATENCY, at, patched, said, side_by_side, unasked
from tests.support.job_harness import some_ids
from tests.support.mounts import no_update
from tests.support.results_files import table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.faulty_sandbox import FaultySandbox

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

FULL_DISK = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}))"
"""What a process does first that can make no file larger than so many bytes."""

IDS = some_ids(100)
OTHERS = some_ids(4000, seed=1)
"""So many that licenses are read one by one: a listing of the account would cost more."""


def standing(results: Path) -> dict[str, str]:
    """License ID to outcome: the last line of a row counts."""
    return {row["license_id"]: row["outcome"] for row in table(results)}


def called_revoked(results: Path) -> set[str]:
    return {each for each, outcome in standing(results).items() if outcome == "revoked"}


def revoked(sandbox: FaultySandbox) -> set[str]:
    return {license_id for license_id, revoked in sandbox.revoked.items() if revoked}


def files(home: Path) -> set[str]:
    """What is in a directory, without locks and what a test has put there."""
    return {
        path.name
        for path in home.iterdir()
        if path.suffix != ".lock" and path.name not in {"licenses.csv", "said.txt"}
    }


def command_after(end: str) -> list[str]:
    """The arguments of the command that goes on, as a run names it at its end."""
    return shlex.split(end[end.index("again:") :].splitlines()[0])[2:]


# --- before anything is sent ---


def interrupted_look(
    command: Command, number: signal.Signals, what: str
) -> tuple[str, FaultySandbox]:
    """Interrupt a command while it looks, and return what it has said."""
    listed = write(command.home / "licenses.csv", IDS[:30])
    with overheard([*OTHERS, *IDS[:30]], latency=LATENCY) as sandbox:
        process = command.start(what, listed, *at(sandbox), *(unasked() if what == "run" else ()))
        wait_until(lambda: len(sandbox.log) >= 4)
        process.send_signal(number)
        end = said(process, timeout=5)

    assert process.returncode == 128 + number, end
    assert f"interrupted by {number.name}" in end
    assert not patched(sandbox)
    return end, sandbox


def test_a_signal_while_a_run_looks_leaves_nothing_behind(bulk_revoke: Command) -> None:
    def interrupted(command: Command, number: signal.Signals) -> None:
        end, _ = interrupted_look(command, number, "run")

        assert f"error: interrupted by {number.name}; nothing was sent" in end
        assert files(command.home) == set()

    side_by_side(*(partial(interrupted, bulk_revoke.within(each.name), each) for each in SIGNALS))


def test_a_verify_that_is_interrupted_keeps_what_it_has_read(bulk_revoke: Command) -> None:
    end, sandbox = interrupted_look(bulk_revoke, signal.SIGTERM, "verify")

    rows = table(bulk_revoke.home / "licenses.verify.csv")
    read = {entry.target for entry in sandbox.log if entry.target in IDS}
    assert [row["license_id"] for row in rows] == IDS[:30]
    assert {row["outcome"] for row in rows} == {"not_revoked", "not_attempted"}
    assert {row["license_id"] for row in rows if row["outcome"] == "not_revoked"} == read
    assert "stopped: interrupted by SIGTERM" in end


def test_a_second_signal_while_a_run_looks_ends_it_at_once(bulk_revoke: Command) -> None:
    listed = write(bulk_revoke.home / "licenses.csv", IDS)
    heard = bulk_revoke.home / "said.txt"
    with overheard(IDS, latency=(4, 4)) as sandbox, heard.open("w") as stderr:
        process = bulk_revoke.start(
            "run", listed, "--base-url", sandbox.base_url, *unasked(100), stderr=stderr
        )
        wait_until(lambda: len(sandbox.log) >= 1)
        process.send_signal(signal.SIGTERM)
        wait_until(lambda: "once more ends at once" in heard.read_text())
        started = time.monotonic()
        process.send_signal(signal.SIGHUP)
        process.communicate(timeout=10)

    assert process.returncode == 129
    assert time.monotonic() - started < 1.5
    assert files(bulk_revoke.home) == set()


def test_without_a_lock_nothing_is_sent(bulk_revoke: Command) -> None:
    home = bulk_revoke.home
    listed = write(home / "licenses.csv", IDS)
    (home / "locks").mkdir()
    target = home / "target"
    target.write_text("of somebody else")
    with overheard(IDS) as sandbox:
        (home / "locks" / lock.api_name(sandbox.base_url)).symlink_to(target)
        places = {name: home / name for name in ("missing", "licenses.csv", "locks")}
        runs = {
            name: bulk_revoke.start("run", listed, *at(sandbox, "--lock-dir", place), *unasked(100))
            for name, place in places.items()
        }
        ends = {name: said(run) for name, run in runs.items()}

    assert [run.returncode for run in runs.values()] == [2, 2, 2], ends
    for name, end in ends.items():
        assert f"error: {places[name]}" in end
        assert "--lock-dir" in end
    assert sandbox.requests == 0
    assert target.read_text() == "of somebody else"
    assert files(home) == {"locks", "target"}


@pytest.mark.parametrize("admitted", [0, 1])
def test_a_mount_on_which_no_file_can_be_gone_on_with_is_refused(
    bulk_revoke: Command, admitted: int
) -> None:
    home = bulk_revoke.home
    listed = write(home / "licenses.csv", IDS)
    mount = home / "mount"
    mount.mkdir()
    variables = no_update(mount, home / "no_update.so", admitted=admitted)
    with overheard(IDS) as sandbox:
        run = bulk_revoke.start(
            "run", listed, *at(sandbox), *unasked(100), "-o", mount / "out.csv",
            variables=variables,
        )  # fmt: skip
        end = said(run)

    assert run.returncode == 2, end
    assert (
        f"error: {mount / 'out.csv'}: cannot be written: a file there cannot be opened again and"
        " added to: Operation not permitted\nhint: name another place with --output."
    ) in end
    assert sandbox.requests == 0
    assert list(mount.iterdir()) == []


# --- full disks ---


def test_without_room_for_the_plan_nothing_is_sent_and_nothing_is_left(
    bulk_revoke: Command,
) -> None:
    def refused(command: Command, size: int) -> None:
        listed = write(command.home / "licenses.csv", IDS)
        with overheard(IDS) as sandbox:
            process = command.start(
                "run", listed, *at(sandbox), *unasked(100), before=FULL_DISK.format(size=size)
            )
            end = said(process)

        assert process.returncode == 2, end
        assert "File too large" in end
        assert "hint: name another" in end
        assert not patched(sandbox)
        assert files(command.home) == set()

    # Smaller than a lock, than the manifest, than the plan of a hundred rows.
    sizes = (100, 1000, 4000)
    side_by_side(*(partial(refused, bulk_revoke.within(f"{size}"), size) for size in sizes))


def filled(command: Command, results: Path, *, before: str = "") -> str:
    """Let the disk become full in the middle of a run, and go on when there is room again.

    Args:
        command: In an empty directory.
        results: Where.
        before: What makes the disk full.

    Returns:
        What the first run has said.
    """
    listed = write(command.home / "licenses.csv", IDS)
    with overheard(IDS, latency=LATENCY) as sandbox:
        first = command.start(
            "run", listed, "--base-url", sandbox.base_url, "--rate", "none", "--concurrency", "8",
            "-o", results, "--no-details", *unasked(100), before=before,
        )  # fmt: skip
        end = said(first)
        recorded = called_revoked(results)
        really = revoked(sandbox)
        for filler in results.parent.glob("filler*"):
            filler.unlink()
        again = command(*command_after(end))

    assert first.returncode == 3, end
    assert "stopped: the results cannot be written: " in end
    assert 0 < len(recorded) < 100
    # What only the memory of the run knew is in the results, if they could be written once more.
    assert recorded == really or ("are still the journal" in end and recorded < really)
    assert again.returncode == 0, again.stderr
    assert set(standing(results).values()) == {"revoked"}
    assert [row["license_id"] for row in table(results)] == IDS
    assert {row["was_revoked"] for row in table(results)} == {"false"}
    assert all(patched(sandbox).count(license_id) == 1 for license_id in recorded)
    assert revoked(sandbox) == set(IDS)
    return end


# The results in their order fit into the one, and not into the other: then the journal stays.
@pytest.mark.parametrize(("size", "journal_stays"), [(8500, False), (7000, True)])
def test_a_disk_that_becomes_full_stops_the_run_and_costs_no_row(
    bulk_revoke: Command, size: int, journal_stays: bool
) -> None:
    end = filled(bulk_revoke, bulk_revoke.home / "out.csv", before=FULL_DISK.format(size=size))

    assert "stopped: the results cannot be written: File too large" in end
    assert ("The results are still the journal of the run" in end) is journal_stays


@contextmanager
def small_disk(place: Path, size: int) -> Iterator[Path]:
    """A file system of its own with so many bytes, until the end of the block."""
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(place)]
    if os.geteuid() or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("only root can mount a file system here")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_a_file_system_without_a_free_block_costs_no_row(bulk_revoke: Command) -> None:
    # Room for the claim, the plan and some rows; what is left over later makes room for going on.
    with small_disk(bulk_revoke.home / "disk", 52 << 10) as disk:
        (disk / "filler").write_bytes(bytes(32 << 10))
        end = filled(bulk_revoke, disk / "out.csv")
    assert "stopped: the results cannot be written: No space left on device" in end
    assert "could not be put into its order: No space left on device" in end
    assert "out.csv.run.json: cannot be written: No space left on device" in end


# --- files that go away ---


def meddled(
    command: Command, meddle: Callable[[Path], object], repair: Callable[[Path], object]
) -> str:
    """Do something to the directory of the results while a run is at work, and go on.

    Args:
        command: In an empty directory.
        meddle: What is done to the results.
        repair: What is done before the run is gone on with.

    Returns:
        What the first run has said.
    """
    ids = IDS[:60]
    listed = write(command.home / "licenses.csv", ids)
    results = command.home / "place" / "out.csv"
    results.parent.mkdir()
    with overheard(ids, latency=(0.1, 0.1)) as sandbox:
        process = command.start(
            "run", listed, "--base-url", sandbox.base_url, "--rate", "none", "--concurrency", "2",
            "-o", results, *unasked(),
        )  # fmt: skip
        wait_until(lambda: len(patched(sandbox)) >= 5)
        meddle(results)
        end = said(process, timeout=10)
        really = revoked(sandbox)
        repair(results)
        recorded = called_revoked(results)
        again = command(*command_after(end))

    assert process.returncode == 3, end
    assert 5 <= len(really) < len(ids)
    assert recorded == really
    assert again.returncode == 0, again.stderr
    assert [row["license_id"] for row in table(results)] == ids
    assert {(row["outcome"], row["was_revoked"]) for row in table(results)} == {
        ("revoked", "false")
    }
    assert sorted(patched(sandbox)) == sorted(ids)
    return end


def test_results_that_somebody_takes_away_stop_the_run_and_nothing_is_lost(
    bulk_revoke: Command,
) -> None:
    def move_away(results: Path) -> None:
        results.parent.rename(results.parent.with_name("moved"))

    def put_back(results: Path) -> None:
        results.parent.with_name("moved").rename(results.parent)

    def replace(results: Path) -> None:
        other = results.with_name("other")
        other.write_text("of somebody else")
        other.replace(results)

    def look_for_the_other(results: Path) -> None:
        (kept,) = results.parent.glob("out.csv.other-*")
        assert kept.read_text() == "of somebody else"

    moved, deleted, replaced = side_by_side(
        partial(meddled, bulk_revoke.within("moved"), move_away, put_back),
        partial(meddled, bulk_revoke.within("deleted"), Path.unlink, lambda _: None),
        partial(meddled, bulk_revoke.within("replaced"), replace, look_for_the_other),
    )

    assert "stopped: the results are gone from their place: " in moved
    assert "put them back there, with their manifest, before you go on." in moved
    for each in (deleted, replaced):
        assert "stopped: the results cannot be saved: the file is gone from its place" in each
    assert "another file was put there meanwhile; it is now out.csv.other-" in replaced
    assert "out.csv.other-" not in deleted


def test_results_that_another_program_writes_into_are_not_called_finished(
    bulk_revoke: Command,
) -> None:
    listed = write(bulk_revoke.home / "licenses.csv", IDS)
    results = bulk_revoke.home / "out.csv"
    foreign = "2,of somebody else\n"
    with overheard(IDS, latency=(0.1, 0.1)) as sandbox:
        process = bulk_revoke.start(
            "run", listed, "--base-url", sandbox.base_url, "--rate", "none", "--concurrency", "2",
            "-o", results, *unasked(len(IDS)),
        )  # fmt: skip
        wait_until(lambda: len(patched(sandbox)) >= 5)
        with results.open("a") as file:
            file.write(foreign)
        end = said(process, timeout=30)

    assert process.returncode == 3, end
    assert "could not be put into its order: somebody else has written into it" in end
    assert "stopped: somebody else has written into the results: " in end
    assert foreign in results.read_text()
    assert called_revoked(results) == revoked(sandbox) < set(IDS), "it stops when it sees that"


@pytest.mark.parametrize(("soft", "hard", "code"), [(30, 30, 2), (30, 56, 0)])
def test_connections_for_which_there_is_no_room_are_a_refusal_and_no_outage(
    bulk_revoke: Command, soft: int, hard: int, code: int
) -> None:
    listed = write(bulk_revoke.home / "licenses.csv", some_ids(60))
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))"
    with serving(
        bulk_revoke.home, "--licenses", listed, "--latency", "200ms", "--rate", "none"
    ) as api:
        options = ("--base-url", api.base_url, "--rate", "none", "--yes", "--max-licenses", "60")
        process = bulk_revoke.start("run", listed, *options, before=limit)
        _, err = process.communicate(timeout=60)

        assert process.returncode == code
        assert len(api.revoked()) == (60 if code == 0 else 0)
    assert "the server is down" not in err
    if code:
        assert "error: --concurrency 32: needs 56 open files, and 30 are allowed" in err
        assert "hint: lower it to 6, or allow more" in err
