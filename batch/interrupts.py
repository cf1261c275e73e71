"""Signals: the first one stops the run, the second one ends the process."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

from batch.errors import InterruptedRunError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from batch.progress import Screen
    from batch.sender import Sender


@contextmanager
def stopped_by_signals(sender: Sender, screen: Screen) -> Iterator[None]:
    """Let SIGINT, SIGTERM and SIGHUP stop the sender while the block runs."""
    loop = asyncio.get_running_loop()
    received: list[int] = []

    def stop(number: signal.Signals) -> None:
        sender.stop(InterruptedRunError(number))
        screen.say(f"{number.name}: waiting for what is in flight; once more ends at once")

    # Not the event loop's own handlers: they would wait for the loop, and the loop may be stuck
    # in writing to a terminal or a pipe that nobody reads.
    def received_one(number: int, _frame: FrameType | None) -> None:
        if received:
            # Every settled row has been handed to the operating system: nothing is lost.
            os._exit(128 + number)
        received.append(number)
        loop.call_soon_threadsafe(stop, signal.Signals(number))

    names = ("SIGINT", "SIGTERM", "SIGHUP")
    before = {}
    for number in (signal.Signals[name] for name in names if hasattr(signal, name)):
        # One that was ignored at the start stays ignored: that is how nohup works.
        if signal.getsignal(number) is not signal.SIG_IGN:
            before[number] = signal.signal(number, received_one)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
