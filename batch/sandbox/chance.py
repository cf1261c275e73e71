"""Random numbers that do not depend on the order in which requests happen to arrive."""

from __future__ import annotations

from hashlib import blake2b
from struct import unpack
from typing import NamedTuple


class Draw(NamedTuple):
    """The numbers drawn for one request, each from 0 to below 1.

    Attributes:
        fault: Whether it goes wrong.
        kind: In which way.
        there: How long the request is on its way.
        back: How long the answer is.
    """

    fault: float
    kind: float
    there: float
    back: float


NO_DRAW = Draw(1.0, 0.0, 0.0, 0.0)
"""For a sandbox in which nothing is left to chance."""


class Chance:
    """Draws by (seed, method, target, how many such requests came before).

    Concurrency changes the order of arrivals and therefore must not change a draw.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._seen: dict[tuple[str, str], int] = {}

    def draw(self, method: str, target: str) -> Draw:
        """The numbers for the next request with this method and target."""
        nth = self._seen.get((method, target), 0)
        self._seen[method, target] = nth + 1
        key = f"{self._seed} {method} {target} {nth}".encode()
        return Draw(*(n / 2**32 for n in unpack("<4I", blake2b(key, digest_size=16).digest())))
