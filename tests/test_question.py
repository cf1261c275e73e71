from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from batch.errors import GuardError
from batch.question import confirm, open_terminal

pytestmark = pytest.mark.skipif(os.name != "posix", reason="there are no controlling terminals")

# Asks on the terminal whose number is the first argument, as a process of a session of its own.
ASKED = """
import fcntl, os, signal, sys, termios
from batch.errors import GuardError
from batch.question import confirm, open_terminal

terminal, count, place = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
if place != "no terminal":
    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
os.close(terminal)

def ask():
    try:
        with open_terminal() as opened:
            confirm(count, opened, lambda text: print(text, flush=True))
    except GuardError as refused:
        print(refused.message, flush=True)
        return refused.exit_code
    print("confirmed", flush=True)
    return 0

if place != "background":
    sys.exit(ask())
child = os.fork()
if child == 0:
    os.setpgid(0, 0)
    os._exit(ask())
_, status = os.waitpid(child, os.WUNTRACED)
if os.WIFSTOPPED(status):
    os.kill(child, signal.SIGKILL)
    sys.exit("suspended")
sys.exit(os.WEXITSTATUS(status))
"""


def asked(
    typed: bytes, *, count: int = 12_345, place: str = "terminal", hang_up: bool = False
) -> tuple[int, list[str]]:
    """Exit code, and the lines that were said, of a process that asks on a terminal of its own."""
    master, slave = os.openpty()
    try:
        process = subprocess.Popen(
            [sys.executable, "-c", ASKED, str(slave), str(count), place],
            cwd=Path(__file__).parents[1],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            pass_fds=[slave],
        )
    finally:
        os.close(slave)
    with process:
        if typed:
            os.write(master, typed)
        if hang_up:
            assert process.stdout is not None
            first = process.stdout.readline()
            os.close(master)
        said, _ = process.communicate(timeout=30)
    if not hang_up:
        os.close(master)
    return process.returncode, ((first if hang_up else "") + said).splitlines()


QUESTION = "Type 12345 to revoke these licenses: "


@pytest.mark.parametrize("typed", [b"12345\n", b"12,345\n", b"  12,345 \n"])
def test_the_right_number_confirms_also_with_thousands_separators(typed: bytes) -> None:
    assert asked(typed) == (0, [QUESTION, "confirmed"])


@pytest.mark.parametrize("typed", [b"12346\n", b"y\n", b"\n", b"\x04", b"1234\xff5\n"])
def test_anything_else_sends_nothing(typed: bytes) -> None:
    assert asked(typed) == (2, [QUESTION, "not confirmed: nothing was sent"])


def test_without_a_terminal_nobody_is_asked() -> None:
    assert asked(b"12345\n", place="no terminal") == (2, ["there is no terminal to ask on"])


def test_in_the_background_nobody_is_asked_and_nothing_is_suspended() -> None:
    assert asked(b"12345\n", place="background") == (2, ["there is no terminal to ask on"])


def test_a_terminal_that_hangs_up_sends_nothing() -> None:
    code, said = asked(b"", hang_up=True)

    assert code != 0
    assert "confirmed" not in said


@pytest.mark.parametrize(
    ("count", "question"),
    [(1, "Type 1 to revoke this license: "), (2, "Type 2 to revoke these licenses: ")],
)
def test_the_question_names_the_number_to_type(count: int, question: str) -> None:
    said: list[str] = []

    confirm(count, io.StringIO(f"{count}\n"), said.append)

    assert said == [question]


@pytest.mark.parametrize(
    "answer", ["", "\n", "yes\n", "10\n", "1 00\n", "100.0\n", "+100\n", "\uff11\uff10\uff10\n"]
)
def test_only_the_number_itself_is_an_answer(answer: str) -> None:
    with pytest.raises(GuardError, match="nothing was sent") as refused:
        confirm(100, io.StringIO(answer), lambda _: None)

    assert refused.value.exit_code == 2


def test_a_terminal_that_cannot_be_read_sends_nothing() -> None:
    class HungUp(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, _: object) -> int:
            raise OSError(errno.EIO, "I/O error")

    terminal = io.TextIOWrapper(io.BufferedReader(HungUp()))

    with pytest.raises(GuardError, match="nothing was sent"):
        confirm(100, terminal, lambda _: None)


def test_the_refusal_to_ask_names_what_to_say_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builtins.open", _missing)

    with pytest.raises(GuardError) as refused:
        open_terminal()

    assert "--yes" in refused.value.hint
    assert "--max-licenses" in refused.value.hint


def _missing(*_: object, **__: object) -> None:
    raise OSError(errno.ENXIO, "No such device or address")
