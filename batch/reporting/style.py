"""Colour, weight and width of what a person sees on a terminal.

Texts are made without any of it, so that a mail, a log and a test hold words alone. What tells a
line's colour is the label at its beginning, and of the end of a run its exit code.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from textwrap import wrap
from typing import Any, Protocol

import click

INDENT = 10
"""Columns of the labels at the margin."""

WIDEST = 80
"""Columns beyond which prose is hard to read, however wide the terminal is."""

ERASE = "\x1b[K"
"""Erases what stands in a line of a terminal behind the cursor (ECMA-48, EL)."""

USUAL_SIZE = os.terminal_size((80, 24))
"""Columns and lines of a terminal that does not know its size, as under ``docker run -t``."""

TO_COPY = ("again:", "next:", "results:", "report:", "export ", "bulk-revoke ")
"""Beginnings of lines that are copied: the terminal itself wraps them, which keeps them whole."""

STYLES: dict[str, dict[str, Any]] = {
    "error:": {"fg": "red", "bold": True},
    "warning:": {"fg": "yellow", "bold": True},
    "hint:": {"fg": "cyan", "bold": True},
}
"""Label to its style; any other label is bold."""

REHEARSAL = "rehearsal | "
"""Stands at the beginning of every line that is shown of a rehearsal."""

QUESTION = "Type "
"""Beginning of a question."""

_LABEL = re.compile(r"([a-z][a-z ]{0,12}:) +")
_APART = " " * 3
"""Separates parts of a line; where the line is too long, each part gets a line of its own."""


class Stream(Protocol):
    """Something that may be a terminal."""

    def isatty(self) -> bool:
        """Tell whether it is one."""

    def fileno(self) -> int:
        """Its descriptor."""


def size(stream: Stream) -> os.terminal_size:
    """Columns and lines of a terminal, at a time when it may be gone."""
    with suppress(OSError, ValueError):
        found = os.get_terminal_size(stream.fileno())
        return os.terminal_size((found.columns or USUAL_SIZE[0], found.lines or USUAL_SIZE[1]))
    return USUAL_SIZE


def room(stream: Stream, mark: str = "") -> os.terminal_size:
    """Columns and lines of a terminal that a text may take; columns at least one, beside a mark."""
    columns, lines = size(stream)
    return os.terminal_size((max(1, min(columns - 1, WIDEST) - len(mark)), lines))


def is_coloured(stream: Stream) -> bool:
    """Tell whether colours are wanted (no-color.org, force-color.org): on a terminal, as a rule."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def presented(text: str, stream: Stream, *, mark: str = "", exit_code: int | None = None) -> str:
    """Return lines as they are shown on a stream: folded on a terminal, coloured where wanted.

    Args:
        text: One line or more.
        stream: Where they will stand.
        mark: Stands at the beginning of each line.
        exit_code: That of the run which the first line is the verdict on, if it is one.
    """
    lines = text.split("\n")
    columns = room(stream, mark).columns
    verdict = lines[:1] if exit_code is not None else []
    if stream.isatty():
        verdict = [each for line in verdict for each in fold(line.partition(_APART)[0], columns)]
        lines = [each for line in lines for each in fold(line, columns)]
    if is_coloured(stream):
        end = len(verdict)
        shown = [_verdict(each, exit_code or 0, columns) for each in lines[:end]]
        lines = [*shown, *map(_painted, lines[end:])]
    return "\n".join(mark + each for each in lines)


def warned(text: str) -> str:
    """Return a text in the colour of warnings."""
    return click.style(text, **STYLES["warning:"])


def fold(line: str, columns: int) -> list[str]:
    """Break a line at blanks so that it fits; later lines are indented as far as its label."""
    if len(line) <= columns or line.startswith(TO_COPY):
        return [line]
    label = _LABEL.match(line)
    start = len(line) - len(line.lstrip())
    head, apart, rest = line[label.end() if label else start :].partition(_APART)
    if apart and not start:
        first = line[: line.index(head)] + head
        return [*fold(first, columns), *fold(f"  {rest.lstrip()}", columns)]
    margin = len(label[0]) if label else start if start >= INDENT else start + 2
    return wrap(
        line,
        columns,
        subsequent_indent=" " * margin,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _verdict(text: str, exit_code: int, columns: int) -> str:
    """Return a line that can be told from across the room."""
    colour = {0: "green", 129: "yellow", 130: "yellow", 143: "yellow"}.get(exit_code, "red")
    return click.style(f"{text:<{columns}}", fg=colour, bold=True, reverse=True)


def _painted(line: str) -> str:
    if line.startswith(QUESTION):
        return click.style(line, bold=True)
    label = _LABEL.match(line)
    if not label:
        return line
    style = STYLES.get(label[1], {"bold": True})
    return click.style(label[1], **style) + line[label.end(1) :]
