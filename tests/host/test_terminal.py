from __future__ import annotations

import errno
import io
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from batch.errors import GuardError
from batch.host.terminal import LONGEST_LINE, ask_token, confirm, open_terminal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO

termios = pytest.importorskip("termios", reason="there are no controlling terminals")

ROOT = Path(__file__).parents[2]

# Asks on the terminal whose number is the first argument, as a process of a session of its own.
ASKED = """
import fcntl, os, signal, sys, termios
from batch.errors import GuardError
from batch.host.terminal import confirm, open_terminal

terminal, count, place = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
if place != "no terminal":
    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
os.close(terminal)

def ask():
    try:
        with open_terminal() as opened:
            confirm(count, "revoke", opened, lambda text: print(text, flush=True))
    except GuardError as refused:
        print(str(refused), flush=True)
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
    typed: bytes,
    *,
    early: bytes = b"",
    count: int = 12_345,
    place: str = "terminal",
    hang_up: bool = False,
) -> tuple[int, list[str]]:
    """Exit code, and the lines that were said, of a process that asks on a terminal of its own.

    What is typed comes once the question stands there, ``early`` before that.
    """
    master, slave = os.openpty()
    os.write(master, early)
    try:
        process = subprocess.Popen(
            [sys.executable, "-c", ASKED, str(slave), str(count), place],
            cwd=ROOT,
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
        assert process.stdout is not None
        first = process.stdout.readline()
        if hang_up:
            os.close(master)
        else:
            os.write(master, typed)
        said, _ = process.communicate(timeout=30)
    if not hang_up:
        os.close(master)
    return process.returncode, (first + said).splitlines()


QUESTION = "Type 12345 to revoke these licenses: "


@pytest.mark.parametrize("typed", [b"12345\n", b"12,345\n", b"  12,345 \n"])
def test_the_right_number_confirms_also_with_thousands_separators(typed: bytes) -> None:
    assert asked(typed) == (0, [QUESTION, "confirmed"])


def test_what_was_typed_before_the_question_stood_there_is_no_answer() -> None:
    assert asked(b"no\n", early=b"12345\n") == (2, [QUESTION, "not confirmed: nothing was sent"])


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

    confirm(count, "revoke", io.StringIO(f"{count}\n"), said.append)

    assert said == [question]


@pytest.mark.parametrize(
    "answer", ["", "\n", "yes\n", "10\n", "1 00\n", "100.0\n", "+100\n", "\uff11\uff10\uff10\n"]
)
def test_only_the_number_itself_is_an_answer(answer: str) -> None:
    with pytest.raises(GuardError, match="nothing was sent") as refused:
        confirm(100, "revoke", io.StringIO(answer), lambda _: None)

    assert refused.value.exit_code == 2


def test_a_terminal_that_cannot_be_read_sends_nothing() -> None:
    class HungUp(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, _: object) -> int:
            raise OSError(errno.EIO, "I/O error")

    terminal = io.TextIOWrapper(io.BufferedReader(HungUp()))

    with pytest.raises(GuardError, match="nothing was sent"):
        confirm(100, "revoke", terminal, lambda _: None)


def test_the_refusal_to_ask_names_what_to_say_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builtins.open", _missing)

    with pytest.raises(GuardError) as refused:
        open_terminal()

    assert "--yes" in refused.value.hint
    assert "--max-licenses" in refused.value.hint


def _missing(*_: object, **__: object) -> None:
    raise OSError(errno.ENXIO, "No such device or address")


TOKEN_QUESTION = "Access token (it is not shown): "

# Makes the terminal whose number is the argument its own, asks for the token there, says what came
# of it, and reads standard input.
PROMPTED = """
import fcntl, os, sys, termios
from batch.errors import BulkRevokeError
from batch.host.signals import State, signals
from batch.host.terminal import ask_token

fcntl.ioctl(int(sys.argv[1]), termios.TIOCSCTTY, 0)
os.close(int(sys.argv[1]))
signals.enter(State.RAISE)
try:
    print(ascii(ask_token()), flush=True)
except BulkRevokeError as refused:
    print(refused, refused.hint, sep="\\n", flush=True)
except KeyboardInterrupt as interrupt:
    print(interrupt.args, flush=True)
print(sys.stdin.read(), flush=True)
"""


@dataclass
class Screen:
    """A pseudo terminal, and a process that asks for the token on it."""

    end: int
    terminal: int
    process: subprocess.Popen[bytes]
    shown: bytes = b""

    def wait_for_question(self) -> None:
        while TOKEN_QUESTION.encode() not in self.shown:
            assert select.select([self.end], [], [], 20)[0], self.shown
            self.shown += os.read(self.end, 65536)
        # A signal that comes just before it reads would not be seen before the next one.
        stat = Path(f"/proc/{self.process.pid}/stat")
        while stat.exists() and stat.read_text().rpartition(") ")[2][0] != "S":
            time.sleep(0.001)

    def ask(self, typed: bytes) -> str:
        """Type an answer to the question, and return what came of it."""
        self.wait_for_question()
        os.write(self.end, typed)
        return self.answer()

    def answer(self) -> str:
        assert self.process.stdout is not None
        found = self.process.stdout.readline().decode().rstrip("\n")
        while select.select([self.end], [], [], 0)[0]:
            self.shown += os.read(self.end, 65536)
        return found

    def echoes(self) -> bool:
        return bool(termios.tcgetattr(self.terminal)[3] & termios.ECHO)


@pytest.fixture
def screen(request: pytest.FixtureRequest) -> Iterator[Screen]:
    """The question; its parameter is what was typed before the process began."""
    end, terminal = os.openpty()
    os.write(end, getattr(request, "param", b""))
    with subprocess.Popen(
        [sys.executable, "-c", PROMPTED, str(terminal)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        pass_fds=[terminal],
    ) as process:
        try:
            yield Screen(end, terminal, process)
        finally:
            process.kill()
            os.close(terminal)
            with suppress(OSError):  # the test has hung up
                os.close(end)


@pytest.mark.parametrize(
    ("typed", "token"),
    [
        (b"abc.DEF-123_~\n", "abc.DEF-123_~"),
        (b"abc\r", "abc"),
        (b"\n", ""),
        (b" a b \n", " a b "),
        (b"abX\x7fc\n", "abc"),
        (b"wrong\x15right\n", "right"),
        (b"\x04", ""),
        (b"a\xffb\n", ""),
    ],
)
def test_a_token_is_what_was_typed_and_nothing_of_it_is_shown(
    screen: Screen, typed: bytes, token: str
) -> None:
    assert screen.ask(typed) == ascii(token)

    assert screen.shown == f"{TOKEN_QUESTION}\r\n".encode()
    assert screen.echoes()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_at_the_token_leaves_the_terminal_as_it_was(
    screen: Screen, number: signal.Signals
) -> None:
    screen.wait_for_question()
    assert not screen.echoes()

    if number is signal.SIGINT:
        assert screen.ask(b"abc\x03") == str((number,))
    else:
        screen.process.send_signal(number)
        assert screen.answer() == str((number,))

    assert screen.echoes()


@pytest.mark.parametrize("more", [0, 1, 5000])
def test_a_token_that_the_terminal_may_have_cut_is_refused(screen: Screen, more: int) -> None:
    said = screen.ask(b"a" * (LONGEST_LINE + more) + b"\n")

    assert said == f"what was typed is longer than a terminal takes: {LONGEST_LINE - 1:,} bytes"
    assert "--token-file" in screen.answer()
    assert b"aaa" not in screen.shown


@pytest.mark.skipif(sys.platform != "linux", reason="each system cuts in its own way")
def test_a_terminal_cuts_a_line_where_we_take_it_to() -> None:
    end, terminal = os.openpty()

    os.write(end, b"a" * 5000 + b"\n")

    assert os.read(terminal, 65536) == b"a" * LONGEST_LINE + b"\n"
    os.close(end)
    os.close(terminal)


def test_a_token_may_be_as_long_as_a_terminal_takes_for_certain(screen: Screen) -> None:
    token = "a" * (LONGEST_LINE - 1)

    assert screen.ask(token.encode() + b"\n") == ascii(token)


@pytest.mark.parametrize("screen", [b"y\n"], indirect=True)
def test_what_is_typed_before_the_token_is_asked_for_is_no_part_of_it(screen: Screen) -> None:
    assert screen.ask(b"abc\n") == ascii("abc")


def test_what_is_pasted_behind_the_token_answers_nothing_else(screen: Screen) -> None:
    assert screen.ask(b"abc\n12345\n") == ascii("abc")

    assert not select.select([screen.terminal], [], [], 0)[0]


def test_a_terminal_that_hangs_up_gives_no_token(screen: Screen) -> None:
    screen.wait_for_question()

    os.close(screen.end)

    assert screen.process.stdout is not None
    # What comes first, the end of the terminal or its signal, is not the same everywhere.
    assert screen.process.stdout.readline() in {b"''\n", f"{(signal.SIGHUP,)}\n".encode()}


@pytest.mark.filterwarnings("ignore")  # as outside of pytest, where it would be shown
def test_where_nothing_can_be_hidden_no_token_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*_: object) -> None:
        raise termios.error(errno.ENOTTY, "Inappropriate ioctl for device")

    end, other = os.openpty()
    monkeypatch.setattr("batch.host.terminal.open_terminal", lambda: os.fdopen(other))
    monkeypatch.setattr(termios, "tcgetattr", fails)
    with pipe(b"abc\n") as piped:
        monkeypatch.setattr(sys, "stdin", piped)

        assert ask_token() == ""

        assert piped.read() == "abc\n"
    os.close(end)
    assert capsys.readouterr().err == ""


@contextmanager
def pipe(content: bytes) -> Iterator[TextIO]:
    reading, writing = os.pipe()
    os.write(writing, content)
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as piped:
        yield piped


def test_without_a_terminal_nobody_is_asked_for_a_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builtins.open", _missing)

    with pytest.raises(GuardError, match="no terminal"):
        ask_token()


def test_a_token_is_asked_for_on_the_terminal_itself_wherever_the_streams_go(
    screen: Screen,
) -> None:
    assert screen.ask(b"abc.DEF\n") == ascii("abc.DEF")

    assert screen.process.stdin is not None
    screen.process.stdin.write(b"piped")
    screen.process.stdin.close()
    assert screen.answer() == "piped"
    assert screen.shown == f"{TOKEN_QUESTION}\r\n".encode()
