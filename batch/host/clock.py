"""The clock and the sleep that everything paced is given, so that tests need not wait."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


@dataclass(frozen=True, slots=True)
class Clock:
    """A monotonic clock and the sleep that belongs to it.

    Attributes:
        now: Seconds since some fixed point; never goes back.
        sleep: Waits for so many seconds of that clock.
    """

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
