"""The view of a run while it goes on: a bar on a terminal, sparse lines elsewhere."""

from __future__ import annotations

import io
import os
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Never, TextIO

from batch.formatting import duration, shortened
from batch.reporting.style import ERASE, is_coloured, presented, room, warned

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from batch.host.clock import Clock


@contextmanager
def _hidden(prefix: str) -> Iterator[None]:
    """Hide what the user has set under names that begin so."""
    found = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith(prefix)}
    try:
        yield
    finally:
        os.environ.update(found)


# As it is imported it makes them arguments of every bar: some hide it, some end the run.
with _hidden("TQDM_"):
    from tqdm import tqdm

LINES_AT = (30.0, 60.0, 120.0, 300.0, 600.0)
"""Seconds after the start at which a line is printed where there is no bar; from the last one on,
every `LINES_AT[-1]` seconds."""


class _Lasting:
    """A stream whose reader may go away: what cannot be written any more is dropped."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the stream has
        return getattr(self._stream, name)

    def write(self, text: str) -> None:
        with suppress(OSError, ValueError):
            self._stream.write(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self._stream.flush()

    def fileno(self) -> int:
        return self._stream.fileno()

    def isatty(self) -> bool:
        return not self._stream.closed and self._stream.isatty()


class Screen:
    """Standard error: messages, and below them at most one bar. Writing to it never fails.

    Args:
        stream: Where to write; standard error by default, nowhere if that is closed.
        quiet: Whether to write nothing but what `insist` is given.
        redact: Takes secrets out of what is written.
        mark: Stands at the beginning of every line, so that none is taken for another one's.
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        *,
        quiet: bool = False,
        redact: Callable[[str], str] = str,
        mark: str = "",
    ) -> None:
        self.stream = _Lasting(stream or sys.stderr or io.StringIO())
        self.quiet = quiet
        self.redact = redact
        self.mark = mark
        self.has_bar = False

    @property
    def is_terminal(self) -> bool:
        """Tell whether a person may be looking: the stream is a terminal."""
        return self.stream.isatty()

    @property
    def size(self) -> os.terminal_size:
        """Characters of a line, and lines, that fit beside the mark without being wrapped."""
        return room(self.stream, self.mark)

    @property
    def is_coloured(self) -> bool:
        """Tell whether colours are wanted."""
        return is_coloured(self.stream)

    def say(self, text: str, *, exit_code: int | None = None) -> None:
        """Write lines above the bar, unless quiet; see `insist`."""
        if not self.quiet:
            self.insist(text, exit_code=exit_code)

    def insist(self, text: str, *, exit_code: int | None = None) -> None:
        """Write lines above the bar, even if quiet.

        Args:
            text: One line or more.
            exit_code: That of the run which the first line is the verdict on, if it is one.
        """
        shown = presented(self.redact(text), self.stream, mark=self.mark, exit_code=exit_code)
        # Behind the bar may stand the ^C that somebody has typed.
        tqdm.write(ERASE + shown if self.has_bar else shown, file=self.stream)
        self.stream.flush()


class Progress:
    """Counts how much of a phase is done, and shows it.

    Args:
        screen: Where to show it.
        clock: Tells when a line is due.
        total: How many there will be; None where nobody knows.
        phase: What they are, as a line begins: ``looking``.
        unit: What one of them is called in the bar, and several in a line.
        trouble: Tells what keeps it from going on, or nothing: until that is over nobody knows how
            long it will take.
    """

    def __init__(
        self,
        screen: Screen,
        clock: Clock,
        total: int | None,
        *,
        phase: str = "",
        unit: tuple[str, str] = ("lic", "licenses"),
        trouble: Callable[[], str] = str,
    ) -> None:
        self._screen = screen
        self._total = total
        self._clock = clock
        self._phase = f"{phase}: " if phase else ""
        self._unit = unit
        self._trouble = trouble
        self._started = clock.now()
        self._next = LINES_AT[0]
        self._done = 0
        self._failed = 0
        self._bar: tqdm[Never] | None = None
        if screen.is_terminal and not screen.quiet:
            tqdm.monitor_interval = 0  # `tick` does what its thread would
            self._bar = tqdm(
                total=total,
                file=screen.stream,
                unit=unit[0],
                ncols=self._width,
                bar_format=self._bar_format,
                colour=self._colour,
                leave=False,
            )
            screen.has_bar = True

    @property
    def _width(self) -> int:
        """Columns of the bar: beside it there is room for ``^C``."""
        return self._screen.size.columns + len(self._screen.mark) - 2

    @property
    def _bar_format(self) -> str:
        start = self._screen.mark + self._phase
        count = "{n_fmt}/{total_fmt}" if self._total is not None else f"{{n_fmt}} {self._unit[1]}"
        failed = f", failed {self._failed:,}" if self._failed else ""
        trouble = self._trouble()
        if trouble:  # and there is no room for a bar; tqdm 4.66 does not cut such a line
            shown = count.format(n_fmt=self._done, total_fmt=self._total)
            room = self._width - len(f"{start}{shown}, ")
            told = shortened(trouble, max(room, 1))
            failed = failed if len(told + failed) <= room else ""
            told = warned(told) if self._screen.is_coloured else told
            return f"{start}{count}, {told}{failed}"
        if self._total is None:
            return f"{start}{count} [{{elapsed}}{failed}, {{rate_fmt}}]"
        bar = "{percentage:3.0f}%|{bar}| "
        return f"{start}{bar}{count} [{{elapsed}}<{{remaining}}{failed}, {{rate_fmt}}]"

    @property
    def _colour(self) -> str | None:
        """The colour of the bar, in tqdm's words."""
        if not self._screen.is_coloured:
            return None
        return "red" if self._failed else "green"

    def expect(self, left: int) -> None:
        """Correct the total: so many more than are done."""
        self._total = self._done + left
        if self._bar is not None:
            self._bar.total = self._total
            self._bar.refresh()

    def step(self, done: int = 1, *, failed: int = 0) -> None:
        """Count units that are done, and how many of them have failed."""
        self._done += done
        self._failed += failed
        if self._bar is not None:
            if failed:  # what else changes is seen by the next tick
                self._bar.bar_format = self._bar_format
            self._bar.update(done)

    def tick(self) -> None:
        """Keep the bar's clock going, or print a line when one is due; call it once a second."""
        if self._bar is not None:
            self._bar.ncols = self._width
            self._bar.bar_format = self._bar_format
            self._bar.colour = self._colour
            self._bar.refresh()
            return
        elapsed = self._clock.now() - self._started
        if elapsed < self._next:
            return
        due = [moment for moment in LINES_AT if moment > elapsed]
        self._next = due[0] if due else (elapsed // LINES_AT[-1] + 1) * LINES_AT[-1]
        of = "" if self._total is None else f" of {self._total:,}"
        self._screen.say(
            f"{self._phase}{self._done:,}{of} {self._unit[1]} done"
            f"{self._course(self._done / elapsed)}"
        )

    def _course(self, rate: float) -> str:
        """The end of a line: what has failed, and the time that is left at so many per second."""
        failed = f", {self._failed:,} failed" if self._failed else ""
        trouble = self._trouble()
        if trouble:
            return f"{failed}, {trouble}"
        left = ""
        if rate and self._total is not None:
            left = f", {duration(max(0, self._total - self._done) / rate)} left"
        return f"{failed}, {rate:.1f} per second{left}"

    def close(self) -> None:
        """Take the bar away: what is said next tells how it ended."""
        if self._bar is not None:
            self._bar.close()
            self._screen.stream.write(ERASE)
            self._screen.stream.flush()
            self._screen.has_bar = False
