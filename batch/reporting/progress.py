"""The view of a run while it goes on: a bar on a terminal, sparse lines elsewhere."""

from __future__ import annotations

import io
import os
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Never, TextIO

from batch.formatting import duration

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

USUAL_COLUMNS = 80
"""Width of a terminal that does not know its size, as under ``docker run -t`` and expect."""


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

    def isatty(self) -> bool:
        return not self._stream.closed and self._stream.isatty()


class Screen:
    """Standard error: messages, and below them at most one bar. Writing to it never fails.

    Args:
        stream: Where to write; standard error by default, nowhere if that is closed.
        quiet: Whether to write nothing but what `insist` is given.
        redact: Takes secrets out of what is written.
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        *,
        quiet: bool = False,
        redact: Callable[[str], str] = str,
    ) -> None:
        self.stream = _Lasting(stream or sys.stderr or io.StringIO())
        self.quiet = quiet
        self.redact = redact

    @property
    def is_terminal(self) -> bool:
        """Tell whether a person may be looking: the stream is a terminal."""
        return self.stream.isatty()

    @property
    def columns(self) -> int:
        """Characters that fit on a line without being wrapped."""
        columns = 0
        with suppress(OSError, ValueError):
            columns = os.get_terminal_size(self.stream.fileno()).columns
        return (columns or USUAL_COLUMNS) - 1

    def say(self, text: str) -> None:
        """Write lines above the bar, unless quiet."""
        if not self.quiet:
            self.insist(text)

    def insist(self, text: str) -> None:
        """Write lines above the bar, even if quiet."""
        tqdm.write(self.redact(text), file=self.stream)
        self.stream.flush()


class Progress:
    """Counts what is done of a phase, and shows it as it comes.

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
                ncols=screen.columns,
                bar_format=self._bar_format,
            )

    @property
    def _bar_format(self) -> str:
        start = self._phase + "{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}"
        if self._total is None:
            start = self._phase + "{n_fmt} " + self._unit[1] + " [{elapsed}"
        failed = f", failed {self._failed:,}"
        trouble = self._trouble()
        if trouble:
            return f"{start}{failed if self._failed else ''}, {trouble}]"
        if self._total is None:
            return f"{start}, {{rate_fmt}}{failed}]"
        return f"{start}<{{remaining}}, {{rate_fmt}}{failed}]"

    def expect(self, left: int) -> None:
        """Correct how many there will be: those that are done, and so many more."""
        self._total = self._done + left
        if self._bar is not None:
            self._bar.total = self._total
            self._bar.refresh()

    def step(self, done: int = 1, *, failed: int = 0) -> None:
        """Count so many, of which so many have failed."""
        self._done += done
        self._failed += failed
        if self._bar is not None:
            if failed:  # what else changes is seen by the next tick
                self._bar.bar_format = self._bar_format
            self._bar.update(done)

    def tick(self) -> None:
        """Keep the bar's clock going, or print a line when one is due; call it once a second."""
        if self._bar is not None:
            self._bar.ncols = self._screen.columns
            self._bar.bar_format = self._bar_format
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
        """How it goes, at so many per second, as the end of a line."""
        failed, trouble = f", {self._failed:,} failed", self._trouble()
        if trouble:
            return f"{failed if self._failed else ''}, {trouble}"
        left = ""
        if rate and self._total is not None:
            left = f", {duration(max(0, self._total - self._done) / rate)} left"
        return f"{failed}, {rate:.1f} per second{left}"

    def close(self) -> None:
        """Leave the bar as it stands."""
        if self._bar is not None:
            self._bar.bar_format = self._bar_format
            self._bar.close()
