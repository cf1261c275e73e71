"""Whatever the suite is started in, its tests find the same, and they leave nothing behind."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.end_to_end.conftest import wait_until
from tests.support.isolation import nothing_left

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]

ASKS = """
import subprocess, sys
import pytest

def test_in_this_process():
    with pytest.raises(OSError):
        open("/dev/tty")

def test_in_a_child():
    asking = [sys.executable, "-c", "open('/dev/tty')"]
    assert b"No such device" in subprocess.run(asking, stderr=subprocess.PIPE).stderr
"""

HEARS = """
import signal, subprocess, sys

CHILD = '''
import signal
print(*(signal.getsignal(each) for each in (1, 2, 3, 15)), signal.pthread_sigmask(0, ()))
'''

def test_a_child_hears_every_signal():
    said = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True).stdout
    assert said == "0 <built-in function default_int_handler> 0 0 set()\\n"

def test_what_is_ignored_outside_changes_nothing_here():
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
        signal.raise_signal(number)
"""

DEAF = """
import os, signal, sys
for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT):
    signal.signal(number, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
os.execv(sys.argv[1], sys.argv[1:])
"""
"""Becomes a program that ignores what nohup and ``&`` ignore, and to which all is blocked."""

FORGETS = """
import subprocess

def test_that_forgets():
    subprocess.Popen(["sleep", "4711"], start_new_session=True)

def test_whose_child_forgets():
    subprocess.run(["sh", "-c", "sleep 4712 >/dev/null 2>&1 &"])
"""

LASTS = """
import subprocess, time, pathlib

def test_that_takes_long():
    subprocess.Popen(["sh", "-c", "sleep 4711 & sleep 4711"], start_new_session=True)
    pathlib.Path("begun").touch()
    time.sleep(60)
"""

LOGIN = """
import fcntl, os, signal, subprocess, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
if sys.argv[1] == "leads":
    os.execv(sys.argv[2], sys.argv[2:])
signal.signal(signal.SIGINT, lambda *_: None)
sys.exit(subprocess.call(sys.argv[2:]))
"""
"""Makes a terminal its own. pytest then leads the session, or is in the foreground of it."""


@dataclass
class Suite:
    """A suite that runs as this one does, in a directory of its own."""

    home: Path
    terminal: int = field(init=False)

    def command(self, test: str, *options: str) -> list[str]:
        (self.home / "test_it.py").write_text(test, encoding="utf-8")
        (self.home / "pytest.ini").touch()
        plugins = ("--disable-plugin-autoload", "-p", "xdist", "-p", "tests.support.isolation")
        return [sys.executable, "-m", "pytest", *plugins, *options]

    def run(self, test: str, *options: str, before: str = "") -> subprocess.CompletedProcess[str]:
        """Run it; ``before``, which is Python, becomes it."""
        begin = [sys.executable, "-c", before] if before else []
        return subprocess.run(
            [*begin, *self.command(test, *options)],
            cwd=self.home,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )

    @contextmanager
    def at_a_terminal(
        self, test: str, *options: str, leads: bool = False
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Let it run in the foreground of a terminal while the block does."""
        self.terminal, theirs = pty.openpty()
        login = (sys.executable, "-c", LOGIN, "leads" if leads else "follows")
        with subprocess.Popen(
            [*login, *self.command(test, *options)],
            cwd=self.home,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        ) as process:
            os.close(theirs)
            try:
                yield process
            finally:
                process.kill()
                os.close(self.terminal)

    def read_all(self, timeout: float = 60) -> str:
        """What is written on the terminal until everybody has left it."""
        said = b""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if select.select([self.terminal], [], [], 0.1)[0]:
                try:
                    data = os.read(self.terminal, 65536)
                except OSError:
                    data = b""
                if not data:
                    return said.decode(errors="replace")
                said += data
        raise AssertionError(f"it does not end: {said.decode(errors='replace')}")


@pytest.fixture
def suite(tmp_path: Path) -> Suite:
    return Suite(tmp_path)


@pytest.mark.parametrize(("processes", "leads"), [("0", False), ("0", True), ("2", True)])
def test_no_test_can_ask_whoever_runs_the_suite(suite: Suite, processes: str, leads: bool) -> None:
    with suite.at_a_terminal(ASKS, "-n", processes, leads=leads) as process:
        said = suite.read_all()

        assert process.wait(20) == 0, said
    assert "2 passed" in said


@pytest.mark.parametrize("processes", ["0", "2"])
def test_children_hear_the_signals_that_are_ignored_or_blocked_outside(
    suite: Suite, processes: str
) -> None:
    ended = suite.run(HEARS, "-n", processes, before=DEAF)

    assert ended.returncode == 0, ended.stdout
    assert "2 passed" in ended.stdout


def test_a_test_that_leaves_a_process_behind_fails_and_the_process_is_ended(suite: Suite) -> None:
    with nothing_left():
        ended = suite.run(FORGETS, "-n", "2")

    assert ended.returncode == 1
    assert "2 passed, 2 errors" in ended.stdout
    assert "left running: ['sleep 4711']" in ended.stdout
    assert "left running: ['sleep 4712']" in ended.stdout


@pytest.mark.parametrize(("processes", "presses"), [("0", 1), ("2", 1), ("2", 2)])
def test_after_an_interrupt_nothing_runs(suite: Suite, processes: str, presses: int) -> None:
    with nothing_left(), suite.at_a_terminal(LASTS, "-n", processes) as process:
        wait_until((suite.home / "begun").exists)
        for _ in range(presses):
            os.write(suite.terminal, b"\x03")
            time.sleep(0.1)
        said = suite.read_all()

        assert process.wait(20) != 0
    assert "KeyboardInterrupt" in said


def test_after_its_window_was_closed_nothing_runs(suite: Suite) -> None:
    with nothing_left(grace=30), suite.at_a_terminal(LASTS, "-n", "2") as process:
        wait_until((suite.home / "begun").exists)
        process.kill()  # it leads the session: its foreground is sent SIGHUP
