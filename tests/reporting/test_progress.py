from __future__ import annotations

import errno
import io
import os
import re
import subprocess
import sys
import termios
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import pytest

from batch.host.clock import Clock
from batch.reporting.logs import Redactor
from batch.reporting.progress import Progress, Screen
from batch.reporting.style import ERASE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import TextIO


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def last_bar(text: str) -> str:
    """The bar as it stood before it was taken away."""
    shown = re.split(r"[\r\n]", text.replace(ERASE, ""))
    return [each.rstrip() for each in shown if each.strip()][-1]


class Gone(io.StringIO):
    """A stream that fails like one whose reader is gone."""

    def __init__(self, error: OSError | ValueError, *, terminal: bool = False) -> None:
        super().__init__()
        self.error = error
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal

    def write(self, text: str) -> int:  # noqa: ARG002
        raise self.error

    def flush(self) -> None:
        raise self.error


class Time:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.seconds = 5000.0
        self.clock = Clock(now=lambda: self.seconds)


@pytest.fixture
def time() -> Time:
    return Time()


def ticked(time: Time, moments: Iterable[float]) -> list[float]:
    """Moments of these, in seconds after the start, at which a line is printed."""
    stream = io.StringIO()
    progress = Progress(Screen(stream), time.clock, 100)
    started, printed = time.seconds, []
    for moment in moments:
        time.seconds = started + moment
        before = stream.getvalue().count("\n")
        progress.tick()
        printed += [moment] * (stream.getvalue().count("\n") - before)
    return printed


def test_lines_come_after_half_a_minute_and_then_ever_more_seldom(time: Time) -> None:
    hour = range(1, 3700)

    assert ticked(time, hour) == [30, 60, 120, 300, 600, 1200, 1800, 2400, 3000, 3600]


@pytest.mark.parametrize(
    ("moments", "printed"),
    [
        ([29.999], []),
        ([30.4, 31.4, 60.2, 61], [30.4, 60.2]),
        ([45, 46, 59, 60], [45, 60]),
        ([130, 131, 299, 300], [130, 300]),
        ([700, 701, 1199, 1200], [700, 1200]),
        ([1250, 1251, 1300, 1799, 1800], [1250, 1800]),
        ([7300, 7301, 7302, 7799, 7800], [7300, 7800]),
    ],
)
def test_ticks_that_come_late_print_one_line_and_go_on_with_the_clock(
    time: Time, moments: list[float], printed: list[float]
) -> None:
    assert ticked(time, moments) == printed


def line(time: Time, *, total: int, outcomes: Iterable[bool], after: float = 60) -> str:
    stream = io.StringIO()
    progress = Progress(Screen(stream), time.clock, total)
    for failed in outcomes:
        progress.step(failed=failed)
    time.seconds += after
    progress.tick()
    progress.close()
    return stream.getvalue()


def test_a_line_counts_and_says_how_long_it_will_take(time: Time) -> None:
    outcomes = [False] * 1197 + [True] * 3

    assert line(time, total=10_000, outcomes=outcomes) == (
        "1,200 of 10,000 licenses done, 3 failed, 20.0 per second, 7 min 20 s left\n"
    )


def test_with_nothing_done_nobody_knows_how_long_it_will_take(time: Time) -> None:
    assert line(time, total=10, outcomes=[]) == "0 of 10 licenses done, 0.0 per second\n"


def test_more_than_expected_leaves_nothing_to_wait_for(time: Time) -> None:
    said = line(time, total=2, outcomes=[False] * 60)

    assert said == "60 of 2 licenses done, 1.0 per second, 0 s left\n"


def test_where_there_is_no_terminal_there_is_no_bar(time: Time) -> None:
    assert line(time, total=3, outcomes=[False] * 3, after=1) == ""


def test_a_terminal_has_a_bar_and_no_lines(time: Time) -> None:
    stream = Terminal()
    progress = Progress(Screen(stream), time.clock, 3)
    for failed in (False, True):
        progress.step(failed=failed)
    time.seconds += 3600
    progress.tick()
    progress.close()

    bar = last_bar(stream.getvalue())
    assert "| 2/3 [" in bar
    assert "failed 1" in bar
    assert "per second" not in stream.getvalue()


def test_as_many_are_counted_as_came_together(time: Time) -> None:
    lines, bar = io.StringIO(), Terminal()
    for stream in (lines, bar):
        progress = Progress(Screen(stream), time.clock, 3000)
        progress.step(2500, failed=1200)
        progress.step(1, failed=1)
        progress.step(2)
        time.seconds += 30
        progress.tick()
        progress.close()

    assert lines.getvalue().startswith("2,503 of 3,000 licenses done, 1,201 failed")
    shown = last_bar(bar.getvalue())
    assert "| 2503/3000 [" in shown
    assert "failed 1,201" in shown


def test_a_phase_has_its_own_name_and_unit(time: Time) -> None:
    lines, bar = io.StringIO(), Terminal()
    for stream in (lines, bar):
        progress = Progress(
            Screen(stream), time.clock, 9, phase="looking", unit=("req", "requests")
        )
        progress.step()
        time.seconds += 30
        progress.tick()
        progress.close()

    assert lines.getvalue().startswith("looking: 1 of 9 requests done")
    assert "looking: " in bar.getvalue()
    assert "req/s" in bar.getvalue()


def test_what_is_expected_can_be_corrected_on_the_way(time: Time) -> None:
    lines, bar = io.StringIO(), Terminal()
    for stream in (lines, bar):
        progress = Progress(Screen(stream), time.clock, 100)
        progress.step()
        progress.expect(4)
        time.seconds += 30
        progress.tick()
        progress.close()

    assert lines.getvalue().startswith("1 of 5 licenses done")
    assert "| 1/5 [" in last_bar(bar.getvalue())


def test_where_nobody_knows_how_many_there_will_be_they_are_counted(time: Time) -> None:
    lines, bar = io.StringIO(), Terminal()
    for stream in (lines, bar):
        progress = Progress(
            Screen(stream), time.clock, None, phase="listing", unit=("req", "requests")
        )
        progress.step(60)
        time.seconds += 30
        progress.tick()
        progress.expect(20)
        time.seconds += 30
        progress.tick()
        progress.close()

    assert lines.getvalue().splitlines() == [
        "listing: 60 requests done, 2.0 per second",
        "listing: 60 of 80 requests done, 1.0 per second, 20 s left",
    ]
    assert re.search(r"listing: 60 requests \[[\d:]+, ", bar.getvalue())
    assert "| 60/80 [" in last_bar(bar.getvalue())


def troubled(time: Time, stream: TextIO) -> list[str]:
    """What stands there without an answer, while the server is down, and when it is well again."""
    trouble, said = "no answer yet", []
    progress = Progress(Screen(stream), time.clock, 10, trouble=lambda: trouble)
    for is_so, failed in (
        ("no answer yet", None), ("the server is down", 0), ("the server is down", 1), ("", 0)
    ):  # fmt: skip
        trouble = is_so
        if failed is not None:
            progress.step(failed=failed)
        time.seconds += 600
        progress.tick()
        assert isinstance(stream, io.StringIO)
        said.append(last_bar(stream.getvalue()))
    progress.close()
    return said


def test_a_line_says_what_keeps_it_from_going_on_and_not_how_long_it_will_take(time: Time) -> None:
    assert troubled(time, io.StringIO()) == [
        "0 of 10 licenses done, no answer yet",
        "1 of 10 licenses done, the server is down",
        "2 of 10 licenses done, 1 failed, the server is down",
        "3 of 10 licenses done, 1 failed, 0.0 per second, 1 h 33 min left",
    ]


def test_a_bar_says_what_keeps_it_from_going_on_and_not_how_long_it_will_take(time: Time) -> None:
    *bad, well = (bar.partition(",")[2] for bar in troubled(time, Terminal()))

    assert bad == [" no answer yet", " the server is down", " the server is down, failed 1"]
    assert well.lstrip().startswith("failed 1, ")


@contextmanager
def at_a_terminal(rows: int, columns: int) -> Iterator[tuple[int, TextIO]]:
    """A pseudo terminal of this size: what is seen of it, and what is written to."""
    seen, slave = os.openpty()
    os.set_blocking(seen, False)
    termios.tcsetwinsize(slave, (rows, columns))
    with os.fdopen(slave, "w", encoding="utf-8") as stream:
        yield seen, stream
    os.close(seen)


def written(seen: int) -> str:
    """What was written to a terminal since."""
    text = ""
    with suppress(BlockingIOError):
        while True:
            text += os.read(seen, 4096).decode()
    return text


def shown(seen: int) -> str:
    """The bar that stands on a terminal."""
    return last_bar(written(seen))


def test_a_bar_takes_the_width_of_its_terminal_as_it_is_now(time: Time) -> None:
    with at_a_terminal(24, 100) as (seen, stream):
        progress = Progress(Screen(stream), time.clock, 3)
        wide = shown(seen)
        termios.tcsetwinsize(seen, (24, 60))
        progress.tick()
        narrow = shown(seen)
        progress.close()

    assert (len(wide), len(narrow)) == (78, 57)


def test_a_terminal_that_does_not_know_its_size_has_a_bar_of_80_columns(time: Time) -> None:
    with at_a_terminal(0, 0) as (seen, stream):
        progress = Progress(Screen(stream), time.clock, 3)
        progress.step()
        progress.tick()
        bar = shown(seen)
        progress.close()

    assert "| 1/3 [" in bar
    assert len(bar) == 77


@pytest.mark.parametrize(
    "variable",
    ["TQDM_MININTERVAL=abc", "TQDM_ASCII=1", "TQDM_GUI=1", "TQDM_DISABLE=0", "TQDM_NROWS=1",
     "TQDM_POSITION=7", "TQDM_LEAVE=", "TQDM_DELAY=600", "TQDM_INITIAL=2"],
)  # fmt: skip
def test_what_a_user_has_set_for_other_bars_is_nothing_to_this_one(variable: str) -> None:
    program = """
import os
from batch.host.clock import Clock
from batch.reporting.progress import Progress, Screen
progress = Progress(Screen(), Clock(), 3)
progress.step(2)
progress.tick()
progress.close()
print(*(name for name in os.environ if name.startswith("TQDM_")))
"""
    name, _, value = variable.partition("=")
    with at_a_terminal(24, 80) as (seen, stream):
        done = subprocess.run(
            [sys.executable, "-c", program],
            env=os.environ | {name: value},
            check=False,
            stdout=subprocess.PIPE,
            stderr=stream,
            text=True,
        )
        bar = shown(seen)

    assert done.returncode == 0, bar
    assert "| 2/3 [" in bar
    assert done.stdout.split() == [name], "children of ours still have it"


def test_a_bar_that_is_over_leaves_nothing_behind_not_even_what_was_typed_beside_it(
    time: Time,
) -> None:
    with at_a_terminal(24, 80) as (seen, stream):
        progress = Progress(Screen(stream), time.clock, 3)
        progress.step()
        progress.close()
        text = written(seen)

    blank, erased = text.split("\r")[-2:]
    assert not blank.strip()
    assert erased == ERASE


def test_a_message_is_written_above_the_bar(time: Time) -> None:
    stream = Terminal()
    screen = Screen(stream)
    progress = Progress(screen, time.clock, 3)

    screen.say("a message")
    progress.close()

    after = stream.getvalue().partition("a message\n")[2]
    assert "0/3" in after


@pytest.mark.parametrize("stream", [Terminal(), io.StringIO()])
def test_a_quiet_screen_shows_neither_bar_nor_lines(time: Time, stream: io.StringIO) -> None:
    screen = Screen(stream, quiet=True)
    progress = Progress(screen, time.clock, 3)
    progress.step(failed=True)
    time.seconds += 3600
    progress.tick()
    progress.close()
    screen.say("not this")

    assert stream.getvalue() == ""
    screen.insist("but this")
    assert stream.getvalue() == "but this\n"


def test_the_token_is_never_shown() -> None:
    stream = io.StringIO()
    screen = Screen(stream, redact=Redactor("s3cret"))

    screen.say("said s3cret")
    screen.insist("and s3cret again")

    assert stream.getvalue() == "said [token]\nand [token] again\n"


def closed() -> io.StringIO:
    stream = io.StringIO()
    stream.close()
    return stream


GONE = [
    Gone(BrokenPipeError(errno.EPIPE, "Broken pipe")),
    Gone(BrokenPipeError(errno.EPIPE, "Broken pipe"), terminal=True),
    Gone(OSError(errno.EIO, "I/O error"), terminal=True),
    Gone(BlockingIOError(errno.EAGAIN, "would block"), terminal=True),
    Gone(OSError(errno.ENOSPC, "No space left on device")),
    Gone(ValueError("I/O operation on closed file")),
    closed(),
]


@pytest.mark.parametrize("stream", GONE)
def test_a_screen_that_is_gone_never_ends_a_run(time: Time, stream: io.StringIO) -> None:
    screen = Screen(stream)

    progress = Progress(screen, time.clock, 3)
    for _ in range(3):
        time.seconds += 60
        screen.say("a message")
        progress.step(failed=True)
        progress.tick()
    progress.close()
    screen.insist("the end")


def test_a_terminal_that_is_closed_while_the_bar_runs_never_ends_a_run(time: Time) -> None:
    master, slave = os.openpty()
    stream = os.fdopen(slave, "w")
    screen = Screen(stream)
    progress = Progress(screen, time.clock, 3)
    assert screen.is_terminal
    os.close(master)

    screen.say("a message")
    progress.step(failed=True)
    progress.tick()
    progress.close()
    screen.insist("the end")

    with pytest.raises(OSError, match="Input/output error"):
        stream.close()


def test_without_standard_error_nothing_is_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    screen = Screen()

    screen.insist("nobody reads this")

    assert not screen.is_terminal
    assert capsys.readouterr().out == ""


def test_messages_go_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    Screen().say("a message")

    assert capsys.readouterr() == ("", "a message\n")
