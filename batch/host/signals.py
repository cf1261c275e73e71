"""Signals: one state machine says what the next SIGINT, SIGTERM or SIGHUP does."""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager
from enum import Enum, auto
from typing import TYPE_CHECKING

from batch.errors import InterruptedRunError
from batch.host.streams import leave_the_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from batch.errors import StoppedError


class State(Enum):
    """What the next signal does.

    ::

        RAISE ──▶ DRAIN ──▶ RAISE       a look, which leaves everything to do
                  DRAIN ──▶ OUTLAST     the PATCH requests, after which all is done
        RAISE ──▶ OUTLAST ──▶ IGNORE    the command is over, then it is told

    Attributes:
        RAISE: It raises KeyboardInterrupt with its number: nothing is in flight that would have to
            be settled, and what has to be tidied up is. The tidying is outlasted.
        DRAIN: The first one begins nothing new, the second one ends the process at once.
        OUTLAST: The first one changes nothing: what is done has to be told, and that may take a
            while. The second one ends the process at once.
        IGNORE: Nothing: everything is told, and the exit code is known.
    """

    RAISE = auto()
    DRAIN = auto()
    OUTLAST = auto()
    IGNORE = auto()


class Signals:
    """The one handler of the signals that end a command, and its state.

    It is no handler of the event loop: that one would wait for the loop, and the loop may be stuck
    in writing to a terminal or a pipe that nobody reads.
    """

    def __init__(self) -> None:
        self._state = State.RAISE
        self._is_second = False
        self._drain: Callable[[signal.Signals], object] = signal.Signals
        self._last_words = ""

    def enter(
        self,
        state: State,
        drain: Callable[[signal.Signals], object] = signal.Signals,
        last_words: str = "",
    ) -> None:
        """Let the next signal do what a state says, the first one and the second one.

        Signals that were ignored at the start stay so: nohup does that. Those that were blocked do
        not: a mask outlives exec (execve(2)), but whoever wants a signal to do nothing ignores it.
        One that is blocked was forgotten, and nobody could stop the run in an orderly way.

        Args:
            state: From now on.
            drain: For DRAIN: called with the first signal, wherever the process is just then.
            last_words: What a terminal is told where the second one ends the process; or empty.

        Raises:
            KeyboardInterrupt: In RAISE, a signal that was blocked has come meanwhile.
        """
        self._drain, self._is_second, self._state = drain, False, state
        self._last_words = last_words
        numbers = _heard()
        for number in numbers:
            signal.signal(number, signal.SIG_IGN if state is State.IGNORE else self._handle)
        if hasattr(signal, "pthread_sigmask"):  # Windows has none
            signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if self._state is State.RAISE:
            self._state = State.OUTLAST
            raise KeyboardInterrupt(signal.Signals(number))
        if self._is_second:
            leave_the_line(self._last_words)
            # Every settled row has been handed to the operating system: nothing is lost.
            os._exit(128 + number)
        self._is_second = True
        self._drain(signal.Signals(number))


def _heard() -> list[signal.Signals]:
    """The signals that end a command, as far as the system has them and nobody ignores them."""
    names = ("SIGINT", "SIGTERM", "SIGHUP")
    there = [signal.Signals[name] for name in names if hasattr(signal, name)]
    return [number for number in there if signal.getsignal(number) is not signal.SIG_IGN]


signals = Signals()
"""Those of this process."""


@contextmanager
def stopped_by_signals(
    stop: Callable[[StoppedError], None],
    say: Callable[[str], None],
    waiting: Callable[[], str],
    *,
    is_last: bool = False,
    last_words: str = "",
) -> Iterator[None]:
    """Let the first signal stop a run while the block runs, and the second end the process.

    Args:
        stop: Begins nothing new; called on the event loop.
        say: Tells the user.
        waiting: Says what the stop waits for.
        is_last: Whether all is done once the block has ended well, and is to be outlasted.
        last_words: What a terminal is told where the second signal ends the process; or empty.
    """
    import asyncio  # noqa: PLC0415 - what is above has to be there before --help is shown

    loop = asyncio.get_running_loop()

    def stop_for(number: signal.Signals) -> None:
        stop(InterruptedRunError(number))
        is_typed = number is signal.SIGINT
        what = "stopping" if is_typed else f"stopping ({number.name})"
        again = "Ctrl-C" if is_typed else "a signal"
        say(f"{what}: {waiting()}; {again} once more ends at once")

    after = State.RAISE
    signals.enter(
        State.DRAIN, lambda number: loop.call_soon_threadsafe(stop_for, number), last_words
    )
    try:
        yield
        after = State.OUTLAST if is_last else State.RAISE
    finally:
        signals.enter(after)
