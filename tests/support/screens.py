"""A terminal of a known size: what a person sees of a command, as text and as a picture."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import termios
import time
from dataclasses import dataclass, field
from html import escape
from itertools import groupby
from typing import IO, TYPE_CHECKING, Self

import pyte

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from pyte.screens import Char

CHAR, LINE, MARGIN = 8.4, 18, 14
"""Pixels of a character, of a line, and around the screen, in a picture."""

DARK = {
    "default": "#d8dee9", "background": "#16191f", "red": "#ff6b6b", "green": "#7bd88f",
    "yellow": "#f5c451", "brown": "#f5c451", "cyan": "#5fd7e5", "white": "#ffffff",
    "black": "#16191f",
}  # fmt: skip
LIGHT = {
    "default": "#24292f", "background": "#ffffff", "red": "#c4232b", "green": "#1a7f37",
    "yellow": "#8a6100", "brown": "#8a6100", "cyan": "#0b6e85", "white": "#ffffff",
    "black": "#24292f",
}  # fmt: skip
"""Colours of a terminal by their names in `pyte`, which calls yellow brown."""


# The child makes the terminal its own before it becomes the command, as a login does.
LOGIN = """
import fcntl, os, sys, termios
fcntl.ioctl(1, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


def on_a_terminal(
    arguments: Sequence[str],
    size: tuple[int, int],
    *,
    cwd: Path,
    env: Mapping[str, str],
    stdin: IO[bytes] | None = None,
) -> tuple[int, subprocess.Popen[bytes]]:
    """Start a command in the foreground of a pseudo terminal of its own.

    Args:
        arguments: The program, by its whole path, and its arguments.
        size: Columns and lines.
        cwd: Where it works.
        env: Its environment.
        stdin: What it reads instead of the terminal.

    Returns:
        Our end of the terminal, and the process.
    """
    ours, theirs = os.openpty()
    termios.tcsetwinsize(ours, size[::-1])
    process = subprocess.Popen(
        [sys.executable, "-c", LOGIN, *arguments],
        cwd=cwd,
        env=dict(env),
        stdin=stdin or theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    return ours, process


@dataclass
class Shell:
    """A command in the foreground of a terminal.

    Attributes:
        process: The command.
        end: Our end of the terminal.
        screen: What stands on it.
    """

    process: subprocess.Popen[bytes]
    end: int
    screen: pyte.HistoryScreen
    _stream: pyte.ByteStream = field(init=False)

    def __post_init__(self) -> None:
        self._stream = pyte.ByteStream(self.screen)

    @classmethod
    def start(
        cls, arguments: Sequence[str], size: tuple[int, int], *, cwd: Path, env: Mapping[str, str]
    ) -> Self:
        """Start a command on a terminal of so many columns and lines."""
        end, process = on_a_terminal(arguments, size, cwd=cwd, env=env)
        return cls(process, end, pyte.HistoryScreen(*size, history=1000))

    def show(self, text: str) -> None:
        """Have something stand on the screen that the command does not write."""
        self._stream.feed(text.encode())

    def type(self, text: str) -> None:
        """Type on the keyboard."""
        os.write(self.end, text.encode())

    def read(self, seconds: float = 0.1) -> bool:
        """Show what the command has written meanwhile; False once it has ended."""
        ready, _, _ = select.select([self.end], [], [], seconds)
        if not ready:
            return True
        try:
            data = os.read(self.end, 1 << 16)
        except OSError:
            return False
        self._stream.feed(data)
        return bool(data)

    def wait_for(self, text: str, seconds: float = 30) -> None:
        """Wait until this stands on the screen."""
        deadline = time.monotonic() + seconds
        while text not in self.text():
            assert time.monotonic() < deadline, self.text()
            if not self.read():
                break
        assert text in self.text(), self.text()

    def wait(self, seconds: float = 60) -> int:
        """Wait until the command has ended, and return its exit code."""
        deadline = time.monotonic() + seconds
        while self.read():
            assert time.monotonic() < deadline, self.text()
        os.close(self.end)
        return self.process.wait(10)

    def text(self) -> str:
        """The lines of the screen, without blanks at their ends."""
        return "\n".join(line.rstrip() for line in self.screen.display).rstrip()

    def everything(self) -> list[list[Char]]:
        """All lines since the start, those that have scrolled away too."""
        rows = [
            *self.screen.history.top,
            *(self.screen.buffer[y] for y in range(self.screen.lines)),
        ]
        lines = [[row[x] for x in range(self.screen.columns)] for row in rows]
        while lines and not "".join(char.data for char in lines[-1]).strip():
            lines.pop()
        return lines


def svg(lines: Sequence[Sequence[Char]], title: str, *, columns: int, light: bool = False) -> str:
    """Draw lines of a terminal; every character stands where the terminal has it."""
    colours = LIGHT if light else DARK
    width = columns * CHAR + 2 * MARGIN
    height = len(lines) * LINE + 2 * MARGIN
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" '
            f'role="img" aria-labelledby="title">'
        ),
        f'<title id="title">{escape(title)}</title>',
        f'<rect width="100%" height="100%" rx="8" fill="{colours["background"]}"/>',
        (
            "<g font-family=\"ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace\" "
            'font-size="14">'
        ),
    ]
    for number, line in enumerate(lines):
        for x, text, style in _runs(line):
            parts += _drawn(x, number, text, style, colours)
    return "\n".join([*parts, "</g>", "</svg>", ""])


def _runs(line: Sequence[Char]) -> Iterator[tuple[int, str, Char]]:
    """Parts of a line in one style, with the column where each begins."""
    x = 0
    for _, run in groupby(line, key=lambda char: char[1:]):
        chars = list(run)
        yield x, "".join(char.data for char in chars), chars[0]
        x += len(chars)


def _drawn(
    x: int, number: int, text: str, style: Char, colours: Mapping[str, str]
) -> Iterator[str]:
    front, back = colours[style.fg], style.reverse
    left, top = MARGIN + x * CHAR, MARGIN + number * LINE
    if back:
        yield (
            f'<rect x="{left:g}" y="{top:g}" width="{len(text) * CHAR:g}" height="{LINE}" '
            f'fill="{front}"/>'
        )
        front = colours["background"]
    if text.strip():
        start = len(text) - len(text.lstrip())
        left += start * CHAR
        text = text.strip().replace(" ", "\N{NO-BREAK SPACE}")
        weight = ' font-weight="bold"' if style.bold else ""
        yield (
            f'<text x="{left:g}" y="{top + 13.5:g}" fill="{front}"{weight} '
            f'textLength="{len(text) * CHAR:g}" lengthAdjust="spacingAndGlyphs">'
            f"{escape(text)}</text>"
        )
