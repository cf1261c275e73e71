"""What somebody at a terminal sees and types."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from batch.reporting.style import ERASE
from tests.end_to_end.conftest import TOKEN, environment, python_arguments, serving, wait_until
from tests.end_to_end.test_run import write
from tests.support.job_harness import some_ids
from tests.support.results_files import table
from tests.support.screens import on_a_terminal

if TYPE_CHECKING:
    from collections.abc import Iterator

IDS = some_ids(12)


@dataclass
class Terminal:
    """A pseudo terminal with a command in its foreground."""

    end: int
    process: subprocess.Popen[bytes]
    seen: str = ""

    def wait_for(self, text: str, timeout: float = 20) -> None:
        deadline = time.monotonic() + timeout
        while text not in self.seen:
            assert time.monotonic() < deadline, self.seen
            if not self.read():
                break
        assert text in self.seen

    def read(self) -> bool:
        ready, _, _ = select.select([self.end], [], [], 0.1)
        if not ready:
            return True
        try:
            data = os.read(self.end, 65536)
        except OSError:  # the other end is closed
            return False
        self.seen += data.decode(errors="replace")
        return bool(data)

    def type(self, text: str) -> None:
        os.write(self.end, text.encode())

    def finish(self, timeout: float = 30) -> int:
        deadline = time.monotonic() + timeout
        while self.read():
            assert time.monotonic() < deadline, self.seen
        return self.process.wait(timeout=20)


@contextmanager
def at_a_terminal(
    home: Path, *arguments: str | Path, piped: bool = False, before: str = ""
) -> Iterator[Terminal]:
    """The command, in the foreground of a terminal of its own; ``before`` as `python_arguments`."""
    program = (sys.executable, *python_arguments(before), *map(str, arguments))
    env = environment(home, CRYPTLEX_ACCESS_TOKEN=TOKEN, TERM="xterm", COLUMNS="100")
    with ExitStack() as stack:
        stdin = stack.enter_context((home / "licenses.csv").open("rb")) if piped else None
        ours, process = on_a_terminal(program, (100, 30), cwd=home, env=env, stdin=stdin)
    try:
        yield Terminal(ours, process)
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def test_the_number_of_licenses_has_to_be_typed(tmp_path: Path) -> None:
    listed = write(tmp_path / "licenses.csv", [*IDS, IDS[0]])
    for piped in (False, True):
        results = tmp_path / f"{piped}.csv"
        with (
            serving(tmp_path, "--licenses", listed, "--latency", "5ms", "--rate", "none") as api,
            at_a_terminal(
                tmp_path, "run", "-" if piped else listed, "--base-url", api.base_url,
                "--rate", "none", "-o", results, piped=piped,
            ) as terminal,
        ):  # fmt: skip
            terminal.wait_for("Type 12 ")
            assert "12 licenses at 127.0.0.1" in terminal.seen
            assert "activate again" in terminal.seen
            assert not results.exists()
            terminal.type("12\n")

            assert terminal.finish() == 0
            assert api.revoked() == set(IDS)
        assert "revoking:   0%|" in terminal.seen
        assert len(table(results)) == 13


def test_anything_else_sends_nothing(tmp_path: Path) -> None:
    listed = write(tmp_path / "licenses.csv", IDS)
    with serving(tmp_path, "--licenses", listed) as api:
        for answer in ("y\n", "13\n", "\n", "\x04"):
            with at_a_terminal(tmp_path, "run", listed, "--base-url", api.base_url) as terminal:
                terminal.wait_for("Type 12 ")
                terminal.type(answer)

                assert terminal.finish() == 2
                assert "nothing was sent" in terminal.seen
        assert api.revoked() == set()
    assert not list(tmp_path.glob("*.results*"))


def test_an_interrupt_at_the_question_sends_nothing(tmp_path: Path) -> None:
    listed = write(tmp_path / "licenses.csv", IDS)
    with at_a_terminal(
        tmp_path, "run", listed, "--no-look", "--base-url", "http://127.0.0.1:9/v3"
    ) as terminal:
        terminal.wait_for("Type 12 ")
        # One that comes just before the process begins to read is not seen before the next.
        for _ in range(20):
            terminal.type("\x03")
            time.sleep(0.3)
            if terminal.process.poll() is not None:
                break

        assert terminal.finish() == 130
    assert "nothing was sent" in terminal.seen


def test_a_rehearsal_asks_as_the_run_does_unless_it_is_told_yes(tmp_path: Path) -> None:
    listed = write(tmp_path / "licenses.csv", IDS)
    run = ("run", listed, "--sandbox", "--rate", "none")
    for answer, code in (("no\n", 2), ("12\n", 0)):
        with at_a_terminal(tmp_path, *run) as terminal:
            terminal.wait_for("rehearsal | Type 12 ")
            terminal.type(answer)

            assert terminal.finish() == code
        assert (tmp_path / "licenses.rehearsal.csv").exists() is (code == 0)
    with at_a_terminal(tmp_path, *run, "--yes") as terminal:
        assert terminal.finish() == 0
    assert "Type 12" not in terminal.seen


def test_an_interrupt_while_it_runs_settles_and_says_how_to_go_on(tmp_path: Path) -> None:
    listed = write(tmp_path / "licenses.csv", IDS)
    with (
        serving(tmp_path, "--licenses", listed, "--latency", "100ms") as api,
        at_a_terminal(
            tmp_path, "run", listed, "--base-url", api.base_url, "--rate", "10/5s"
        ) as terminal,
    ):
        terminal.wait_for("Type 12 ")
        terminal.type("12\n")
        terminal.wait_for("2/12")
        terminal.process.send_signal(signal.SIGINT)

        assert terminal.finish() == 130
        done = {
            row["license_id"]
            for row in table(tmp_path / "licenses.results.csv")
            if row["outcome"] == "revoked"
        }
        assert api.revoked() == done
    assert "once more ends at once" in terminal.seen
    assert f"again:   bulk-revoke run {listed}" in terminal.seen
    assert "--resume -o licenses.results.csv" in terminal.seen


def test_a_second_interrupt_ends_at_once_below_the_bar_and_says_what_next(tmp_path: Path) -> None:
    listed = write(tmp_path / "licenses.csv", IDS)
    with (
        serving(tmp_path, "--licenses", listed, "--latency", "9000ms", "--rate", "none") as api,
        at_a_terminal(
            tmp_path, "run", listed, "--no-look", "--base-url", api.base_url, "--rate", "none"
        ) as terminal,
    ):
        terminal.wait_for("Type 12 ")
        terminal.type("12\n")
        terminal.wait_for("0/12")
        terminal.process.send_signal(signal.SIGINT)
        terminal.wait_for("once more ends at once")
        wait_until(lambda: terminal.read() and "0/12" in terminal.seen.rpartition("at once")[2])
        terminal.process.send_signal(signal.SIGINT)

        assert terminal.finish() == 130
    assert terminal.seen.endswith("\r\n")
    assert "\nended at once; " in terminal.seen
    assert "the same command with --resume" in terminal.seen.rpartition("ended at once")[2]


def test_what_ends_a_list_early_stands_on_a_line_of_its_own_below_the_bar(tmp_path: Path) -> None:
    with (
        serving(tmp_path, "--licenses", "2000", "--latency", "150ms", "--rate", "none") as api,
        at_a_terminal(
            tmp_path, "list", "--all", "--base-url", api.base_url, "--rate", "none", "-o", "it.csv"
        ) as terminal,
    ):
        terminal.wait_for("req/s")
        terminal.process.send_signal(signal.SIGTERM)

        assert terminal.finish() == 143
    before, _, after = terminal.seen.partition("error: interrupted by SIGTERM")
    assert before.endswith(f"\r{ERASE}")
    assert "req/s" not in after


A_SHELL = f"""
import os
os.environ["PATH"] = {str(Path(sys.executable).parent)!r} + os.pathsep + os.environ["PATH"]
os.environ["PS1"] = "ready: "
os.execv("/bin/sh", ["sh"])
"""


def test_what_the_sandbox_says_can_be_pasted_and_what_arrives_is_told(tmp_path: Path) -> None:
    said, told = tmp_path / "said", tmp_path / "told"
    options = ("--port", "0", "--licenses", "30", "--latency", "0ms", "--rate", "none")
    with said.open("w") as out, told.open("w") as err:
        sandbox = subprocess.Popen(
            [sys.executable, "-m", "batch", "sandbox", "-v", *options],
            env=environment(tmp_path, PYTHONUNBUFFERED="1"),
            stdout=out,
            stderr=err,
        )
    try:
        wait_until(lambda: said.read_text().count("\n") == 6)
        first, second, *pasted = said.read_text().splitlines()
        with at_a_terminal(tmp_path, before=A_SHELL) as terminal:
            terminal.wait_for("ready: ")
            terminal.type("\n".join(pasted) + "\n")
            terminal.wait_for("Type ")
            terminal.type(terminal.seen.rpartition("Type ")[2].split()[0] + "\n")
            terminal.wait_for("results: ")
            terminal.type("exit\n")
            terminal.finish()
    finally:
        sandbox.terminate()
        sandbox.wait(timeout=10)

    assert "30 licenses are listed" in terminal.seen
    assert "(exit 0)" in terminal.seen.rpartition("bulk-revoke: ")[2]
    assert max(map(len, (first, second, *pasted))) < 80
    lines = told.read_text().splitlines()
    assert any("  GET  /v3/licenses?" in line and line.endswith("  200") for line in lines)
    assert sum("  PATCH  /v3/licenses/" in line for line in lines) >= 25
    assert TOKEN not in told.read_text()
