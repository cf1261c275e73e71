"""Questions on the terminal, also when input comes from a pipe: the token, and a last yes."""

from __future__ import annotations

import os
import sys
import warnings
from contextlib import suppress
from getpass import GetPassWarning, getpass
from typing import TYPE_CHECKING, TextIO

from batch.errors import ConfigError, GuardError

if TYPE_CHECKING:
    from collections.abc import Callable


_NO_ANSWER: tuple[type[Exception], ...] = (EOFError, OSError, UnicodeDecodeError, GetPassWarning)

with suppress(ImportError):  # Windows has none
    import termios

    _NO_ANSWER += (termios.error,)

LONGEST_LINE = 1023 if sys.platform == "darwin" else 4095
"""Bytes of a line that a terminal edits: it cuts a longer one silently (termios(3), "Canonical and
noncanonical mode"; ``TTYHOG`` of macOS). `os.pathconf` does not know: on Linux it says 255."""

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


def ask_token() -> str:
    """Let the user type or paste the access token on the terminal without showing it.

    Returns:
        What was typed before Enter; empty if it is no text, after Ctrl-D, and where the terminal is
        gone or cannot hide anything.

    Raises:
        GuardError: There is no terminal, or the process runs in its background.
        ConfigError: The line may have been cut.
        KeyboardInterrupt: Ctrl-C was typed.
    """
    with open_terminal(), warnings.catch_warnings():
        warnings.simplefilter("error", GetPassWarning)  # rather none than one that is seen
        try:
            typed = getpass("Access token (it is not shown): ")
        except _NO_ANSWER:
            with suppress(OSError):
                tell("")  # the line of the question has no end yet
            return ""
    if len(typed.encode()) >= LONGEST_LINE:
        raise ConfigError(
            f"what was typed is longer than a terminal takes: {LONGEST_LINE - 1:,} bytes",
            hint="save the token in a file that only you can read, and name that with "
            "--token-file.",
        )
    return typed
