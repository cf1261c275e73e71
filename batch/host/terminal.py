"""Questions on the terminal, also when input comes from a pipe: the token, and a last yes."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TextIO

from batch.errors import GuardError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


with suppress(ImportError):  # Windows has none
    import termios


NO_TERMINAL = GuardError(
    "there is no terminal to ask on",
    hint="where nobody can answer, say --yes, and with --max-licenses how many it may be.",
)


def open_terminal() -> TextIO:
    """Open the terminal that this process may read from.

    Raises:
        GuardError: There is none, or the process runs in its background.
    """
    if os.name != "posix":
        if not sys.stdin.isatty():
            raise NO_TERMINAL
        # Whoever closes it leaves standard input open for the next question.
        return open(0, encoding="utf-8", errors="replace", closefd=False)
    try:
        terminal = open("/dev/tty", encoding="utf-8", errors="replace")  # noqa: SIM115, PTH123
    except OSError as cause:
        raise NO_TERMINAL from cause
    if os.tcgetpgrp(terminal.fileno()) != os.getpgrp():
        # Reading would suspend the process instead of asking anybody.
        terminal.close()
        raise NO_TERMINAL
    return terminal


def tell(text: str) -> None:
    """Write a line on the terminal itself, wherever standard error goes."""
    if os.name != "posix":
        print(text)  # noqa: T201 - the console that is read from
        return
    with open("/dev/tty", "w", encoding="utf-8", errors="replace") as terminal:  # noqa: PTH123
        terminal.write(f"{text}\n")


def confirm(count: int, verb: str, terminal: TextIO, say: Callable[[str], None]) -> None:
    """Let the user type the number of licenses.

    Raises:
        GuardError: Something else was typed.
    """
    _forget_what_was_typed(terminal)
    say(f"Type {count} to {verb} {'this license' if count == 1 else 'these licenses'}: ")
    try:
        answer = terminal.readline().strip().replace(",", "")
    except OSError:  # somebody closed the window
        answer = ""
    if answer != str(count):
        raise GuardError("not confirmed: nothing was sent")


def _forget_what_was_typed(terminal: TextIO) -> None:
    """An answer counts only if it was given after what is asked about could be seen."""
    if os.name == "posix":
        with suppress(OSError, termios.error):
            termios.tcflush(terminal.fileno(), termios.TCIFLUSH)


def prompt_for_token() -> str:
    """Open the terminal and `ask_token` on it.

    Raises:
        GuardError: There is none, or the process runs in its background.
        KeyboardInterrupt: Ctrl-C was typed.
    """
    with open_terminal() as terminal:
        return ask_token(terminal, tell)


def ask_token(terminal: TextIO, say: Callable[[str], None]) -> str:
    """Let the user type or paste the access token without showing it.

    It is read key by key, because the line that a terminal edits has an end (4,095 bytes on
    Linux, 1,023 on macOS) and cuts a longer token silently.

    Args:
        terminal: As `open_terminal` opens it; nothing was read from it yet.
        say: Writes a line on it.

    Returns:
        What was typed before Enter; empty after Ctrl-D, and where the terminal is gone or cannot
        hide anything.

    Raises:
        KeyboardInterrupt: Ctrl-C was typed.
    """
    question = "Access token (it is not shown): "
    if os.name != "posix":
        from getpass import getpass  # noqa: PLC0415 - reads the keys of a Windows console

        say(question)
        return getpass("")
    try:
        with _hidden(terminal.fileno()):
            say(question)
            return _typed(terminal.fileno())
    except (OSError, termios.error):
        return ""


@contextmanager
def _hidden(number: int) -> Iterator[None]:
    """Let a terminal show nothing, and hand over every key, while the block runs."""
    before = termios.tcgetattr(number)
    mode = [*before[:6], list(before[6])]
    # No key may suspend or end the process: it would leave the terminal mute.
    mode[3] &= ~(termios.ECHO | termios.ICANON | termios.ISIG)
    mode[6][termios.VMIN], mode[6][termios.VTIME] = 1, 0
    try:
        termios.tcsetattr(number, termios.TCSAFLUSH, mode)
        yield
    finally:
        # What was pasted behind the token must answer no other question, and no shell.
        termios.tcsetattr(number, termios.TCSAFLUSH, before)


def _typed(number: int) -> str:
    """Return the text typed before Enter; empty if it is given up."""
    typed = bytearray()
    while key := os.read(number, 1):
        match key:
            case b"\r" | b"\n":
                return typed.decode("utf-8", errors="replace")
            case b"\x03":
                raise KeyboardInterrupt
            case b"\x04":
                break
            case b"\x08" | b"\x7f":
                del typed[-1:]
            case b"\x15":
                typed.clear()
            case _:
                typed += key
    return ""
