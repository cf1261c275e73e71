"""What arrived at the sandbox, and what became of it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(slots=True)
class Entry:
    """One request. It is written down at its arrival and completed as it is dealt with.

    Attributes:
        time: Its arrival, in seconds of the event loop's clock.
        method: HTTP method.
        target: The license ID in lower case, or the path where none is meant.
        status: HTTP status of the answer, or None where none was sent (yet).
        fault: The fault that it met, or empty.
        applied: Whether it has set ``revoked`` on a license, to the same value included.
    """

    time: float
    method: str
    target: str
    status: int | None = None
    fault: str = ""
    applied: bool = False


class Log:
    """The requests in the order of their arrival.

    Args:
        keep: How many entries are kept, the latest ones; None keeps all.
    """

    def __init__(self, keep: int | None = None) -> None:
        self._entries: deque[Entry] = deque(maxlen=keep)

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries)

    def __getitem__(self, index: int) -> Entry:
        return self._entries[index]

    def append(self, entry: Entry) -> None:
        """Write down a request that arrives now."""
        self._entries.append(entry)

    def clear(self) -> None:
        """Forget every entry."""
        self._entries.clear()

    def busiest(self, period: float) -> int:
        """Most arrivals in any window of ``period`` seconds, wherever it starts.

        A window contains its start and not its end. Only entries that were kept count.
        """
        most = 0
        window: deque[float] = deque()
        for entry in self._entries:
            window.append(entry.time)
            while entry.time - window[0] >= period:
                window.popleft()
            most = max(most, len(window))
        return most
