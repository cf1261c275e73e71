"""The question before the first PATCH, asked on the terminal even when input comes from a pipe."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, TextIO

from batch.errors import GuardError

if TYPE_CHECKING:
    from collections.abc import Callable

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
        return sys.stdin
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


def confirm(count: int, terminal: TextIO, say: Callable[[str], None]) -> None:
    """Let the user type the number of licenses.

    Raises:
        GuardError: Something else was typed.
    """
    say(f"Type {count} to revoke {'this license' if count == 1 else 'these licenses'}: ")
    try:
        answer = terminal.readline().strip().replace(",", "")
    except OSError:  # somebody closed the window
        answer = ""
    if answer != str(count):
        raise GuardError("not confirmed: nothing was sent")
