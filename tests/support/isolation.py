"""What tests do not take over from whoever starts them, and what does not outlive them.

Nobody is asked: no process of a test has a terminal, unless the test has made one for it. Nobody
is deaf: signals that are ignored or blocked outside (by nohup, by ``&`` in a script, by some CI)
are so for every child. And nothing is left running, however the suite is ended.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import signal
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

with suppress(ImportError):  # Windows has neither
    import fcntl
    import termios

if TYPE_CHECKING:
    from collections.abc import Iterator

PR_SET_CHILD_SUBREAPER = 36  # prctl(2)


def pytest_configure(config: pytest.Config) -> None:
    outlive_no_child()
    if not _only_distributes(config):
        _hear_signals()
        _leave_terminal()
    elif hasattr(signal, "SIGHUP"):
        # Whoever closes the window, or cancels the job, ends the suite as Ctrl-C does.
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is signal.SIG_DFL:
                signal.signal(number, signal.default_int_handler)


@pytest.fixture(autouse=True, scope="session")
def _processes() -> Iterator[None]:
    with nothing_left():
        yield


@pytest.fixture(autouse=True)
def _processes_of_a_test() -> Iterator[None]:
    with nothing_left():
        yield


@contextmanager
def nothing_left(grace: float = 5.0) -> Iterator[None]:
    """Fail if a process that was started in the block is still running some seconds after it."""
    before = _children()
    yield
    deadline = time.monotonic() + grace
    while left := _running(_children() - before):
        if time.monotonic() > deadline:
            _end(before)
            raise AssertionError(f"left running: {left}")
        time.sleep(0.02)


def _only_distributes(config: pytest.Config) -> bool:
    """Whether the tests run in other processes, those of xdist."""
    is_worker = hasattr(config, "workerinput")
    return not is_worker and config.getoption("dist", "no") != "no"


def _hear_signals() -> None:
    """Let children hear every signal; what was ignored here goes on to change nothing here."""
    if not hasattr(signal, "pthread_sigmask"):
        return
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    # These two are ignored by Python itself, and given back to every child.
    for number in signal.valid_signals() - {signal.SIGPIPE, signal.SIGXFSZ}:
        if signal.getsignal(number) is signal.SIG_IGN:
            # Unlike one that is ignored, a signal that is handled is not so after exec.
            signal.signal(number, _overhear)


def _overhear(_number: int, _frame: object) -> None:
    pass


def _leave_terminal() -> None:
    """Give up the controlling terminal, and with it ``/dev/tty``; Ctrl-C still arrives.

    It is sent to a group of processes, and that one is not left. Only where this process leads
    the session (``pytest -n 0`` as the command of a container) the terminal goes with it.
    """
    try:
        terminal = os.open("/dev/tty", os.O_RDWR)
    except OSError:
        return
    before = signal.signal(signal.SIGHUP, _overhear)
    try:
        fcntl.ioctl(terminal, termios.TIOCNOTTY)
    finally:
        os.close(terminal)
        signal.signal(signal.SIGHUP, before)


def outlive_no_child() -> None:
    """End all descendants when this process ends, also those whose parents have ended before."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    # Not a hook of pytest: a second Ctrl-C would skip it.
    atexit.register(_end, _children())


def _end(spared: set[int]) -> None:
    """Kill all children but some, and their children, which then are ours."""
    while left := _children() - spared:
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(pid, 0)


def _running(pids: set[int]) -> list[str]:
    """The command lines of those that run; the others are waited for, since orphans are ours."""
    found = []
    for pid in pids:
        with suppress(ChildProcessError, FileNotFoundError):
            if os.waitpid(pid, os.WNOHANG) == (0, 0):
                words = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
                found.append(b" ".join(words).decode(errors="replace"))
    return found


def _children() -> set[int]:
    """The processes that this one is the parent of, by their ID; none where that is not told."""
    found: set[int] = set()
    for each in Path("/proc/self/task").glob("*/children"):
        with suppress(OSError):
            found.update(map(int, each.read_text(encoding="ascii").split()))
    return found
