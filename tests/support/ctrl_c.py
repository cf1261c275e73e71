"""Started as ``python -m tests.support.ctrl_c``: Ctrl-C amid end-to-end tests, and nothing goes on.

This process adopts whatever pytest and its workers leave behind.
"""

from __future__ import annotations

import os
import pty
import select
import sys
import time
from pathlib import Path

from tests.support.isolation import nothing_left, outlive_no_child

ROOT = Path(__file__).parents[2]

MOMENTS = (6.0, 10.0)
"""Seconds after pytest's start at which the key is pressed; the order of the tests is random."""

PATIENCE = 30.0
"""Seconds in which pytest has to have ended then."""


def main() -> None:
    outlive_no_child()
    for moment in MOMENTS:
        with nothing_left(grace=0.5):
            said, code = interrupt_at(moment)
        # 2 is pytest's own code for an interrupt; whatever else it is has another reason.
        if code != 2 or "KeyboardInterrupt" not in said:
            sys.exit(f"{said}\npytest ended with {code}")
        print(f"interrupted after {moment:.0f} s: nothing goes on", flush=True)  # noqa: T201


def interrupt_at(moment: float) -> tuple[str, int]:
    """What pytest says, and its exit code, when Ctrl-C is typed so many seconds after its start."""
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(ROOT)
        command = [sys.executable, "-m", "pytest", "-q", "tests/end_to_end"]
        os.execv(sys.executable, command)  # noqa: S606 - the suite, as somebody at a terminal
    said = read(terminal, moment)
    os.write(terminal, b"\x03")
    said += read(terminal, PATIENCE)
    os.close(terminal)
    _, status = os.waitpid(process, 0)
    return said.decode(errors="replace"), os.waitstatus_to_exitcode(status)


def read(terminal: int, seconds: float) -> bytes:
    """What is written on a terminal for so long, or until all have left it."""
    said = b""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if select.select([terminal], [], [], 0.1)[0]:
            try:
                said += os.read(terminal, 65536)
            except OSError:
                break
    return said


if __name__ == "__main__":
    main()
