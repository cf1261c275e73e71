from __future__ import annotations

import gzip
import hashlib
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from batch.columns import COLUMNS, DETAILS
from tests.end_to_end.conftest import TOKEN, Command, environment, serving
from tests.support.job_harness import some_ids
from tests.support.results_files import table

IDS = some_ids(40)


def write(path: Path, ids: list[str], header: str = "license_id") -> Path:
    path.write_text("\n".join([header, *ids]) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def licenses(tmp_path: Path) -> Path:
    return write(tmp_path / "licenses.csv", IDS)


def test_every_license_of_a_list_is_revoked_and_accounted_for(
    bulk_revoke: Command, licenses: Path, tmp_path: Path
) -> None:
    stranger = some_ids(1, seed=7)
    listed = write(tmp_path / "list.csv", [*IDS, IDS[0].upper(), *stranger])
    with serving(tmp_path, "--licenses", licenses, "--rate", "none", "--latency", "0ms") as api:
        done = bulk_revoke(
            "run", listed, "--base-url", api.base_url, "--rate", "none", "--json",
            "--yes", "--max-licenses", "41", "--reason", "ticket 42",
        )  # fmt: skip

        assert api.revoked() == set(IDS)
    rows = table(tmp_path / "list.results.csv")
    assert done.returncode == 1
    assert [row["row"] for row in rows] == [str(number) for number in range(2, 44)]
    assert [row["outcome"] for row in rows] == ["revoked"] * 41 + ["not_found"]
    assert rows[40]["duplicate_of"] == "2"
    assert tuple(rows[0]) == (*COLUMNS, *DETAILS)
    summary = json.loads(done.stdout)
    assert summary["counts"] == {"revoked": 41, "not_found": 1}
    assert (summary["rows"], summary["licenses"]) == (42, 41)
    # A page of the account, a look at the license that is not on it, and the rest are PATCHes.
    assert (summary["patches"], summary["requests"]) == (40, 42)
    manifest = json.loads((tmp_path / "list.results.csv.run.json").read_text())
    assert manifest["reason"] == "ticket 42"
    assert manifest["input"]["sha256"] == hashlib.sha256(listed.read_bytes()).hexdigest()
    results = (tmp_path / "list.results.csv").read_bytes()
    assert manifest["results"]["sha256"] == hashlib.sha256(results).hexdigest()
    assert manifest["sessions"][0]["exit_code"] == 1
    assert TOKEN not in done.stderr + (tmp_path / "list.results.csv.run.json").read_text()


def test_the_list_that_a_sandbox_writes_is_one_that_a_run_takes(
    bulk_revoke: Command, tmp_path: Path
) -> None:
    listed = tmp_path / "listed.csv"
    with serving(tmp_path, "--licenses", "5", "--write", listed, "--rate", "none") as api:
        done = bulk_revoke(
            "run", listed, "--base-url", api.base_url, "--rate", "none",
            "--yes", "--max-licenses", "5",
        )  # fmt: skip

        assert {row["license_id"] for row in table(listed)} == api.revoked()
    assert done.returncode == 0
    assert b"\r" not in listed.read_bytes()


def test_the_command_that_a_stopped_run_names_finishes_it_and_sends_nothing_twice(
    bulk_revoke: Command, licenses: Path, tmp_path: Path
) -> None:
    with serving(tmp_path, "--licenses", licenses, "--rate", "none", "--latency", "0ms") as api:
        process = bulk_revoke.start(
            "run", licenses, "--base-url", api.base_url, "--rate", "40/5s",
            "--yes", "--max-licenses", "40",
        )  # fmt: skip
        wait_for_outcomes(tmp_path / "licenses.results.csv", 5)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=10)
        before = table(tmp_path / "licenses.results.csv")
        again = shlex.split(err[err.index("again:") :].splitlines()[0])[2:]
        finished = bulk_revoke(*again, "--json")

        assert api.revoked() == set(IDS)
    after = table(tmp_path / "licenses.results.csv")
    left = sum(row["outcome"] == "not_attempted" for row in before)
    assert 0 < left < 40
    assert finished.returncode == 0
    assert json.loads(finished.stdout)["patches"] == left
    assert [row["license_id"] for row in after] == IDS
    assert {row["outcome"] for row in after} == {"revoked"}
    assert {row["was_revoked"] for row in after} == {"false"}
    assert [row for row in after if row in before] == [
        row for row in before if row["outcome"] == "revoked"
    ]


@pytest.mark.parametrize("compressed", [False, True])
def test_a_list_can_come_from_a_pipe_or_compressed(
    bulk_revoke: Command, licenses: Path, tmp_path: Path, compressed: bool
) -> None:
    source = tmp_path / "packed.csv.gz"
    source.write_bytes(gzip.compress(licenses.read_bytes()))
    with (source if compressed else licenses).open("rb") as file:
        done = bulk_revoke(
            "run", source if compressed else "-", "--sandbox", "--rate", "none", stdin=file
        )

    results = tmp_path / ("packed.rehearsal.csv" if compressed else "stdin.rehearsal.csv")
    assert done.returncode == 0
    assert [row["license_id"] for row in table(results)] == IDS
    assert json.loads(Path(f"{results}.run.json").read_text())["rehearsal"] is True


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_settles_what_is_in_flight_and_says_how_to_go_on(
    bulk_revoke: Command, licenses: Path, tmp_path: Path, number: signal.Signals
) -> None:
    with serving(tmp_path, "--licenses", licenses, "--rate", "none", "--latency", "300ms") as api:
        process = bulk_revoke.start(
            "run", licenses, "--base-url", api.base_url, "--rate", "25/5s",
            "--yes", "--max-licenses", "40",
        )  # fmt: skip
        wait_for_outcomes(tmp_path / "licenses.results.csv", 3)
        process.send_signal(number)
        _, err = process.communicate(timeout=10)

        rows = table(tmp_path / "licenses.results.csv")
        revoked = {row["license_id"] for row in rows if row["outcome"] == "revoked"}
        assert api.revoked() == revoked
    assert process.returncode == 128 + number
    assert {row["outcome"] for row in rows} == {"revoked", "not_attempted"}
    assert [row["license_id"] for row in rows] == IDS
    assert f"stopped: interrupted by {number.name}" in err
    assert f"again:   bulk-revoke run {licenses}" in err
    assert "--resume -o licenses.results.csv" in err


def test_a_second_signal_ends_at_once_and_leaves_the_journal(
    bulk_revoke: Command, licenses: Path, tmp_path: Path
) -> None:
    with serving(tmp_path, "--licenses", licenses, "--rate", "none", "--latency", "200ms") as api:
        process = bulk_revoke.start(
            "run", licenses, "--base-url", api.base_url, "--rate", "5/5s",
            "--yes", "--max-licenses", "40",
        )  # fmt: skip
        wait_for_outcomes(tmp_path / "licenses.results.csv", 2)
        os.kill(process.pid, signal.SIGSTOP)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        os.kill(process.pid, signal.SIGCONT)
        process.communicate(timeout=10)

    outcomes = [row["outcome"] for row in table(tmp_path / "licenses.results.csv")]
    assert process.returncode in {130, 143}
    assert outcomes[:40] == ["planned"] * 40
    assert "revoked" in outcomes[40:]


def test_an_ignored_hangup_stays_ignored(
    bulk_revoke: Command, licenses: Path, tmp_path: Path
) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        process = bulk_revoke.start("run", licenses, "--sandbox", "--rate", "50/5s")
    finally:
        signal.signal(signal.SIGHUP, before)
    wait_for_outcomes(tmp_path / "licenses.rehearsal.csv", 1)
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=30)

    assert process.returncode == 0
    assert {row["outcome"] for row in table(tmp_path / "licenses.rehearsal.csv")} == {"revoked"}


def test_after_a_run_has_stopped_by_itself_two_signals_still_end_it(
    bulk_revoke: Command, licenses: Path, tmp_path: Path
) -> None:
    ids = [*some_ids(30, seed=5), *IDS]
    listed = write(tmp_path / "strangers.csv", ids)
    with serving(tmp_path, "--licenses", licenses, "--rate", "none", "--latency", "9000ms") as api:
        process = bulk_revoke.start(
            "run", listed, "--base-url", f"{api.base_url}/wrong", "--rate", "none",
            "--yes", "--max-licenses", "99", "--concurrency", "40",
        )  # fmt: skip
        time.sleep(2)
        process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        started = time.monotonic()
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=10)

    assert process.returncode == 143
    assert time.monotonic() - started < 3


def test_a_reader_that_stops_reading_does_not_keep_signals_out(
    bulk_revoke: Command, licenses: Path, tmp_path: Path
) -> None:
    with serving(tmp_path, "--licenses", licenses, "--rate", "none", "--latency", "0ms") as api:
        ours, theirs = os.pipe()
        os.set_blocking(theirs, False)
        while True:  # nothing more fits into the pipe
            try:
                os.write(theirs, b"x" * 4096)
            except BlockingIOError:
                break
        os.set_blocking(theirs, True)
        process = bulk_revoke.start(
            "run", licenses, "--base-url", api.base_url, "--rate", "none",
            "--yes", "--max-licenses", "40", "-v", stderr=theirs,
        )  # fmt: skip
        time.sleep(2)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        process.send_signal(signal.SIGTERM)
        try:
            assert process.wait(timeout=10) in {143, -signal.SIGTERM}
        finally:
            os.close(ours)
            os.close(theirs)
            process.kill()
            process.communicate()


@pytest.mark.parametrize("closed", [(0, 2), (0, 1), (0, 1, 2)])
def test_streams_that_are_closed_change_nothing(
    licenses: Path, tmp_path: Path, closed: tuple[int, ...]
) -> None:
    command = [sys.executable, "-c", "from batch.cli import main; main()"]
    arguments = ["run", str(licenses), "--sandbox", "--rate", "none", "--json"]
    close = " ".join(f"{number}>&-" if number else "<&-" for number in closed)

    done = subprocess.run(
        ["sh", "-c", f'"$@" {close}', "sh", *command, *arguments],
        cwd=tmp_path,
        env=environment(tmp_path),
        check=False,
        timeout=60,
    )

    assert done.returncode == 0
    assert len(table(tmp_path / "licenses.rehearsal.csv")) == 40


def test_a_refusal_that_nobody_can_read_is_still_a_refusal(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "batch", "run", "missing.csv", "--sandbox"]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command, cwd=tmp_path, env=environment(tmp_path), check=False, stderr=full
        )

    assert done.returncode == 2


def wait_for_outcomes(path: Path, count: int) -> None:
    """Return once so many licenses are settled in a results file."""
    for _ in range(600):
        if path.exists() and path.read_text().count(",revoked,true,") >= count:
            return
        time.sleep(0.05)
    raise AssertionError(f"{path} never got {count} outcomes")


def test_the_sandbox_sends_error_bodies_of_the_kind_that_was_asked_for(tmp_path: Path) -> None:
    said = []
    with serving(
        tmp_path, "--error-code", "null", "--throttled-body", "json", "--rate", "1/60s"
    ) as api:
        for _ in range(2):
            request = Request(  # noqa: S310 - http to loopback
                f"{api.base_url}/licenses/{IDS[0]}", headers={"Authorization": f"Bearer {TOKEN}"}
            )
            with pytest.raises(HTTPError) as refused:
                urlopen(request, timeout=10)  # noqa: S310
            with refused.value as answer:
                said.append((answer.code, json.load(answer)))

    (missing, body), (throttled, message) = said
    assert (missing, body["code"]) == (404, None)
    assert (throttled, set(message)) == (429, {"message"})
