"""When an attempt has taken too long: one timer for all that are under way.

aiohttp's own time-outs arm and cancel a timer for each request (docs/performance.md says what that
costs). Here all attempts may take equally long, so the one that began first is over first.
"""

from __future__ import annotations

import asyncio
from typing import Any


class Deadlines:
    """Cancels the attempts that take too long; each is made in a task that makes no other one.

    Args:
        seconds: How long each may take.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._open: dict[asyncio.Task[Any], tuple[float, int]] = {}
        self._over: set[asyncio.Task[Any]] = set()
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """The current task begins an attempt."""
        task = asyncio.current_task()
        assert task is not None
        self._open[task] = self._loop.time() + self._seconds, task.cancelling()
        if self._timer is None:
            self._timer = self._loop.call_later(self._seconds, self._check)

    def end(self) -> None:
        """The current task has ended its attempt, in whatever way."""
        task = asyncio.current_task()
        assert task is not None
        del self._open[task]
        self._over.discard(task)

    def is_over(self) -> bool:
        """Whether the current task was cancelled because its time is over, and only therefore.

        To be asked once, after its cancellation; it is then taken back.
        """
        task = asyncio.current_task()
        assert task is not None
        return task in self._over and task.uncancel() <= self._open[task][1]

    def close(self) -> None:
        """Watch no longer."""
        if self._timer is not None:
            self._timer.cancel()

    def _check(self) -> None:
        self._timer = None
        now = self._loop.time()
        for task, (ends_at, _) in self._open.items():
            if ends_at > now:
                self._timer = self._loop.call_at(ends_at, self._check)
                return
            if task not in self._over:
                self._over.add(task)
                task.cancel()
