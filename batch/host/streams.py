"""Standard streams that are closed, full or gone must not change how a run ends."""

from __future__ import annotations

import os
import select
import sys
from contextlib import suppress


def open_closed_streams() -> None:
    """Give streams that were closed before the start somewhere to go.

    Else the next file that is opened, such as the results, would take their place.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            null = os.open(os.devnull, os.O_RDWR)
            if null != number:
                os.dup2(null, number)
                os.close(null)
        if getattr(sys, name) is None:
            mode = "r" if number == 0 else "w"
            # Strict, as files are, it would fail where a message names what is no text.
            stream = open(number, mode, errors="backslashreplace", closefd=False)  # noqa: SIM115
            setattr(sys, name, stream)


def let_go_of_streams() -> None:
    """Write out what is still to be written; what cannot be must not fail again at the exit."""
    for number, stream in ((1, sys.stdout), (2, sys.stderr)):
        try:
            stream.flush()
        except (OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), number)


def is_watched() -> bool:
    """Tell whether a person is looking at what is said."""
    return sys.stderr.isatty()


def say(text: str) -> None:
    """Write to standard error, whether or not anybody reads it."""
    with suppress(OSError, ValueError):
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()


def leave_the_line(last_words: str = "") -> None:
    """Put what a shell writes next below what stands on the terminal, such as a bar.

    For a process that ends at once: it writes past every buffer, and not where that would wait.

    Args:
        last_words: What is said on lines of its own before that; or empty.
    """
    text = f"\n{last_words}\n" if last_words else "\n"
    with suppress(OSError, ValueError):
        if is_watched() and select.select([], [2], [], 0)[1]:
            os.write(2, text.encode())
