from __future__ import annotations

import errno
import io
import os
import select
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from batch.errors import GuardError
from batch.host.terminal import ask_token, confirm, open_terminal, prompt_for_token

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


@dataclass
class Screen:
    """A pseudo terminal, and what is typed on it as soon as something is asked."""

    end: int
    terminal: TextIO
    typed: bytes = b""
    said: list[str] = field(default_factory=list)

    def say(self, text: str) -> None:
        self.said.append(text)
        threading.Thread(target=os.write, args=(self.end, self.typed), daemon=True).start()

    def type(self, typed: bytes) -> None:
        """Type a line and wait until it has arrived."""
        os.write(self.end, typed)
        assert select.select([self.terminal], [], [], 10)[0]

    def ask(self, typed: bytes) -> str:
        self.typed = typed
        return ask_token(self.terminal, self.say)

    def mode(self) -> list[Any]:
        return list(termios.tcgetattr(self.terminal))

    def shown(self) -> bytes:
        return read(self.end)


def read(end: int, *, until: bytes = b"") -> bytes:
    """What a terminal shows that nobody has read yet, if need be after a wait."""
    seen = b""
    while select.select([end], [], [], 10 if until and until not in seen else 0)[0]:
        seen += os.read(end, 65536)
    return seen


@pytest.fixture
def screen() -> Iterator[Screen]:
    end, other = os.openpty()
    with os.fdopen(other, encoding="utf-8") as terminal:
        yield Screen(end, terminal)
    os.close(end)


@pytest.mark.parametrize(
    ("typed", "token"),
    [
        (b"abc.DEF-123_~\n", "abc.DEF-123_~"),
        (b"abc\r", "abc"),
        (b"\n", ""),
        (b" a b \n", " a b "),
        (b"abX\x7fcY\x08d\n", "abcd"),
        (b"\x7f\x7fabc\n", "abc"),
        (b"wrong\x15right\n", "right"),
        (b"abc\x04\n", ""),
        (b"\x04", ""),
        (b"a\xffb\x1a\n", "a\ufffdb\x1a"),
    ],
)
def test_a_token_is_what_was_typed_and_nothing_of_it_is_shown(
    screen: Screen, typed: bytes, token: str
) -> None:
    before = screen.mode()

    assert screen.ask(typed) == token

    assert screen.said == [TOKEN_QUESTION]
    assert screen.shown() == b""
    assert screen.mode() == before


def test_an_interrupt_at_the_token_leaves_the_terminal_as_it_was(screen: Screen) -> None:
    before = screen.mode()

    with pytest.raises(KeyboardInterrupt):
        screen.ask(b"abc\x03\n")

    assert screen.shown() == b""
    assert screen.mode() == before


def test_a_token_may_be_longer_than_the_line_that_a_terminal_edits(screen: Screen) -> None:
    token = "abcdefgh" * 2000

    assert screen.ask(token.encode() + b"\n") == token


def test_what_is_typed_before_the_token_is_asked_for_is_no_part_of_it(screen: Screen) -> None:
    screen.type(b"y\n")

    assert screen.ask(b"abc\n") == "abc"


def test_what_is_pasted_behind_the_token_answers_nothing_else(screen: Screen) -> None:
    screen.ask(b"abc\n12345\n")

    assert not select.select([screen.terminal], [], [], 0)[0]


def test_enter_ends_a_token_also_where_a_terminal_does_not_translate_it(screen: Screen) -> None:
    mode = screen.mode()
    mode[0] &= ~termios.ICRNL
    termios.tcsetattr(screen.terminal, termios.TCSANOW, mode)

    assert screen.ask(b"abc\r") == "abc"


def test_a_terminal_that_hangs_up_gives_no_token() -> None:
    end, other = os.openpty()

    with os.fdopen(other, encoding="utf-8") as terminal:
        assert ask_token(terminal, lambda _: os.close(end)) == ""


def test_a_terminal_that_cannot_be_written_gives_no_token(screen: Screen) -> None:
    def say(_: str) -> None:
        raise OSError(errno.EIO, "I/O error")

    before = screen.mode()

    assert ask_token(screen.terminal, say) == ""

    assert screen.mode() == before


def test_where_nothing_can_be_hidden_no_token_is_asked_for() -> None:
    said: list[str] = []
    with pipe(b"abc\n") as piped:
        assert ask_token(piped, said.append) == ""

        assert piped.read() == "abc\n"
    assert said == []


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
        prompt_for_token()


# Asks for the token on the terminal whose number is the argument, and then reads standard input.
PROMPTED = """
import fcntl, os, sys, termios
from batch.host.terminal import prompt_for_token

fcntl.ioctl(int(sys.argv[1]), termios.TIOCSCTTY, 0)
os.close(int(sys.argv[1]))
print(prompt_for_token(), flush=True)
print(sys.stdin.read(), flush=True)
"""


def test_a_token_is_asked_for_on_the_terminal_itself_wherever_the_streams_go(
    screen: Screen, tmp_path: Path
) -> None:
    terminal = screen.terminal.fileno()
    with (
        (tmp_path / "errors").open("wb") as errors,
        subprocess.Popen(
            [sys.executable, "-c", PROMPTED, str(terminal)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
            pass_fds=[terminal],
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            question = read(screen.end, until=b"\n")
            os.write(screen.end, b"abc.DEF\n")
            token = process.stdout.readline()
            behind = screen.shown()
            process.stdin.write(b"piped")
            process.stdin.close()
            rest = process.stdout.read()
        finally:
            process.kill()

    assert question == f"{TOKEN_QUESTION}\r\n".encode()
    assert (token, behind, rest) == (b"abc.DEF\n", b"", b"piped\n")
    assert (tmp_path / "errors").read_bytes() == b""
