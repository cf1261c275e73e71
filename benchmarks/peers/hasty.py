"""bulk-revoke, by a clock that is so many times as fast as this machine's; both are arguments."""

from __future__ import annotations

import asyncio
import sys
import time

from batch.cli import main
from batch.host.clock import Clock


def hasten(speed: float) -> None:
    """Let every clock from now on be so many times as fast."""

    async def sleep(seconds: float) -> None:
        await asyncio.sleep(seconds / speed)

    Clock.__init__.__defaults__ = (lambda: time.monotonic() * speed, sleep)


if __name__ == "__main__":
    hasten(float(sys.argv.pop(1)))
    main()
