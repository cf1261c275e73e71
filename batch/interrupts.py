"""Signals: the first one stops the run, the second one ends the process."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from batch.errors import InterruptedRunError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batch.job import Job
    from batch.progress import Screen


@contextmanager
def stopped_by_signals(job: Job, screen: Screen) -> Iterator[None]:
    """Let SIGINT, SIGTERM and SIGHUP stop the job while the block runs."""
    loop = asyncio.get_running_loop()
    received: set[signal.Signals] = set()

    def on(number: signal.Signals) -> None:
        if received:
            # Every settled row has been handed to the operating system: nothing is lost.
            screen.say(f"{number.name}: ended at once; the results file is left as a journal")
            os._exit(128 + number)
        received.add(number)
        screen.say(f"{number.name}: waiting for what is in flight; once more ends at once")
        job.stop(InterruptedRunError(number))

    names = ("SIGINT", "SIGTERM", "SIGHUP")
    caught = [signal.Signals[name] for name in names if hasattr(signal, name)]
    # One that was ignored at the start stays ignored: that is how nohup works.
    caught = [number for number in caught if signal.getsignal(number) is not signal.SIG_IGN]
    with suppress(NotImplementedError):  # Windows
        for number in caught:
            loop.add_signal_handler(number, on, number)
    try:
        yield
    finally:
        with suppress(NotImplementedError):
            for number in caught:
                loop.remove_signal_handler(number)
