"""Numbers that look drawn at random, and are computed of a position and a key."""

from __future__ import annotations

from random import Random
from typing import Any

Numbers = Any
"""An int, or an array of ``uint64``: all functions here take one number, or many at once."""

WORD = 2**64 - 1


def mixed(number: Numbers) -> Numbers:
    """64 bits in which each bit depends on each of ``number``, an ``int`` below 2**64.

    Source: the output function of SplitMix64 (Steele, Lea and Flood, 2014).
    """
    number = (number ^ (number >> 30)) * 0xBF58476D1CE4E5B9 & WORD
    number = (number ^ (number >> 27)) * 0x94D049BB133111EB & WORD
    return number ^ (number >> 31)


class Stream:
    """Draws of 64 bits, one for each position.

    Args:
        key: Another key makes other draws.
    """

    def __init__(self, key: str) -> None:
        self._key = Random(key).getrandbits(64)  # noqa: S311 - reproducible, not secret

    def __call__(self, position: Numbers) -> Numbers:
        """The draw of a position."""
        return mixed((position + 1) * 0x9E3779B97F4A7C15 & WORD ^ self._key)


class Permutation:
    """A mapping of 0 … ``size`` - 1 onto itself, one to one, in an order that looks random.

    Numbers of so many bits that ``size`` is among them are mixed by steps that can each be undone;
    a result that is too large is mixed again, until it is not.

    Args:
        key: Another key makes another order.
        size: How many numbers there are, 1 to 2**64.
    """

    def __init__(self, key: str, size: int) -> None:
        random = Random(key)  # noqa: S311 - reproducible, not secret
        bits = max(1, (size - 1).bit_length())
        self._size = size
        self._mask = 2**bits - 1
        self._half = (bits + 1) // 2
        self._key = random.getrandbits(bits)
        self._odd = [random.getrandbits(bits) | 1 for _ in range(3)]
        self._undo = [pow(odd, -1, 2**bits) for odd in reversed(self._odd)]
        self._walks = size <= self._mask

    def __call__(self, number: Numbers) -> Numbers:
        """Map a number, or each number of an array."""
        number = self._mixed(number)
        if not self._walks:
            return number
        if isinstance(number, int):
            while number >= self._size:
                number = self._mixed(number)
            return number
        while (beyond := number >= self._size).any():
            number[beyond] = self._mixed(number[beyond])
        return number

    def inverse(self, number: int) -> int:
        """The number that is mapped to this one, 0 to ``size`` - 1."""
        number = self._unmixed(number)
        while number >= self._size:
            number = self._unmixed(number)
        return number

    def _mixed(self, number: Numbers) -> Numbers:
        number = number ^ self._key
        for odd in self._odd:
            number = (number ^ (number >> self._half)) * odd & self._mask
        return number ^ (number >> self._half)

    def _unmixed(self, number: int) -> int:
        for odd in self._undo:
            number = (number ^ (number >> self._half)) * odd & self._mask
        return number ^ (number >> self._half) ^ self._key
