"""Signals: the first one stops the run, the second one ends the process."""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

from batch.errors import InterruptedRunError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from batch.errors import StoppedError


class TerminatedError(KeyboardInterrupt):
    """SIGTERM or SIGHUP, while nothing is in flight that would have to be settled."""

    def __init__(self, number: signal.Signals) -> None:
        super().__init__(number.name)
        self.number = number


def raise_at_signals() -> None:
    """Let SIGTERM and SIGHUP end what goes on as SIGINT does: what has to be tidied up is."""

    def terminate(number: int, _frame: FrameType | None) -> None:
        raise TerminatedError(signal.Signals(number))

    for number in _signals("SIGTERM", "SIGHUP"):
        signal.signal(number, terminate)


def ignore_signals() -> None:
    """Let none of them change the exit code any more, once everything is done and told."""
    for number in _signals("SIGINT", "SIGTERM", "SIGHUP"):
        signal.signal(number, signal.SIG_IGN)


def outlast_signals() -> None:
    """Let the first one change nothing any more, and the second one end the process at once.

    For what comes when all is done: it has to be told, and that may take a while.
    """
    received: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        if received:
            os._exit(128 + number)
        received.append(number)

    for number in _signals("SIGINT", "SIGTERM", "SIGHUP"):
        signal.signal(number, note)


def admit_signals() -> None:
    """Unblock the signals that stop a run; call it where an interrupt may be raised.

    A mask outlives exec (execve(2)). Whoever wants a signal to do nothing ignores it; one that is
    blocked was forgotten, and nobody could stop the run in an orderly way.
    """
    if hasattr(signal, "pthread_sigmask"):  # Windows has none
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _signals("SIGINT", "SIGTERM", "SIGHUP"))


def number_of(interrupt: KeyboardInterrupt) -> signal.Signals:
    """The signal that was behind an interrupt."""
    return interrupt.number if isinstance(interrupt, TerminatedError) else signal.SIGINT


def _signals(*names: str) -> list[signal.Signals]:
    """Those that the system has. One that was ignored at the start stays so: nohup does that."""
    there = [signal.Signals[name] for name in names if hasattr(signal, name)]
    return [number for number in there if signal.getsignal(number) is not signal.SIG_IGN]


@contextmanager
def stopped_by_signals(
    stop: Callable[[StoppedError], None], say: Callable[[str], None], *, is_last: bool = False
) -> Iterator[None]:
    """Let SIGINT, SIGTERM and SIGHUP stop a run while the block runs.

    Args:
        stop: Begins nothing new; called on the event loop.
        say: Tells the user.
        is_last: Whether all is done once the block has ended well: a signal then changes nothing
            any more, as `outlast_signals` says.
    """
    import asyncio  # noqa: PLC0415 - what is above has to be there before --help is shown

    loop = asyncio.get_running_loop()
    received: list[int] = []
    is_over = False

    def stop_for(number: signal.Signals) -> None:
        stop(InterruptedRunError(number))
        say(f"{number.name}: waiting for what is in flight; once more ends at once")

    # Not the event loop's own handlers: they would wait for the loop, and the loop may be stuck
    # in writing to a terminal or a pipe that nobody reads.
    def received_one(number: int, _frame: FrameType | None) -> None:
        if received:
            # Every settled row has been handed to the operating system: nothing is lost.
            os._exit(128 + number)
        received.append(number)
        if not is_over:
            loop.call_soon_threadsafe(stop_for, signal.Signals(number))

    before = {
        number: signal.signal(number, received_one)
        for number in _signals("SIGINT", "SIGTERM", "SIGHUP")
    }
    try:
        yield
        is_over = is_last
    finally:
        if not is_over:
            for number, handler in before.items():
                signal.signal(number, handler)
