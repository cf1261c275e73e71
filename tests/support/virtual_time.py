"""An event loop whose time jumps: waiting costs nothing, sockets work as ever.

When nothing is ready to run, the loop first looks at its sockets; only if nothing has arrived there
does it set its clock to the next timer. Client and server share one loop and talk over loopback,
where what was sent has arrived by the time anybody looks.
"""

from __future__ import annotations

import asyncio
import selectors

from batch.host.clock import Clock

SHORT_GRACE, LONG_GRACE = 0.0002, 0.005
"""Real seconds given to sockets before time jumps by less, or by more, than a second: a jump to a
time-out that comes too early would change what a test is about."""


class _JumpingSelector(selectors.DefaultSelector):
    def __init__(self) -> None:
        super().__init__()
        self.offset = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        grace = LONG_GRACE if timeout > 1 else SHORT_GRACE
        ready = super().select(min(timeout, grace) if len(self.get_map()) > 1 else 0)
        if not ready:
            self.offset += timeout
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """A loop for tests; `time` starts at 1,000 seconds and stands still while code runs."""

    def __init__(self) -> None:
        self._jumps = _JumpingSelector()
        super().__init__(self._jumps)

    def time(self) -> float:
        return 1000.0 + self._jumps.offset


def now() -> float:
    """Seconds on the clock of the running loop."""
    return asyncio.get_running_loop().time()


def virtual_clock() -> Clock:
    """The clock of the running loop."""
    return Clock(now=now)
