"""Whole numbers in cells, and the numbers that they may have been before digits were lost.

A spreadsheet takes a license key of digits for a number. It then drops the zeros in front, keeps 15
digits, and may show it in scientific notation.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import inf, nextafter
from typing import TYPE_CHECKING

from batch.input.identifiers import LONGEST_KEY

if TYPE_CHECKING:
    from collections.abc import Iterable


_NUMBER = re.compile(
    r"([0-9]+)(\.0+)?|([0-9]{1,20})(?:[.,]([0-9]{1,20}))?E\+?([0-9]{1,3})", re.IGNORECASE
)
_KEPT = 15
"""Digits of a number that spreadsheets keep ("Excel specifications and limits")."""

_EXACT = 2**53
"""Whole numbers up to here are what they say, as far as digits were not cut before."""

_LARGEST = 300
"""Digits of the largest number that a spreadsheet can hold, nearly."""


@dataclass(frozen=True, slots=True)
class Number:
    """A whole number as it stands in a cell.

    Attributes:
        value: What it says.
        certain: How many of its digits are surely those that were meant, None for all.
    """

    value: int
    certain: int | None

    def ranges(self) -> list[tuple[int, int]]:
        """First and last whole number of what it may have been before digits were lost."""
        if self.certain is None:
            return []
        step = 10 ** (len(str(self.value)) - self.certain)
        first = self.value // step * step
        if self.certain < _KEPT:
            # Rounded for display: the last digit that is shown may be too high.
            return [(first - (step + 1) // 2, first + step - 1)]
        near = {self.value}
        if self.value > _EXACT:  # nearest to what was typed, which may have had other digits here
            near |= {int(nextafter(self.value, 0)), int(nextafter(self.value, inf))}
        return [(each // step * step, each // step * step + step - 1) for each in near]


def value_of(text: str) -> int | None:
    """The value of `parse_number`, found faster: most keys are digits alone, or no number."""
    if text.isdecimal() and text.isascii() and len(text) <= LONGEST_KEY:
        return int(text)
    number = parse_number(text)
    return number.value if number else None


def parse_number(text: str) -> Number | None:
    """The whole number that a text spells, if it does."""
    if not text or not ("0" <= text[0] <= "9") or len(text) > LONGEST_KEY:
        return None
    found = _NUMBER.fullmatch(text)
    if found is None:
        return None
    if found[1]:
        value = int(found[1])
        digits = str(value)
        # Text that a program has cut to a number's digits ends in zeros.
        is_cut = found[2] or not digits[_KEPT:].strip("0")
        return Number(value, _KEPT if is_cut and _KEPT < len(digits) <= _LARGEST else None)
    fraction, exponent = found[4] or "", int(found[5])
    digits = (found[3] + fraction[:exponent]).lstrip("0")
    if fraction[exponent:].strip("0") or not digits or exponent > _LARGEST:
        return None
    zeros = exponent - len(fraction[:exponent])
    certain = min(len(digits), _KEPT)
    return Number(int(digits) * 10**zeros, certain if certain < len(digits) + zeros else None)


def bounds_of(ranges: Iterable[tuple[int, int]]) -> list[int]:
    """Begin and end of each range, in one sorted list; ranges that touch become one."""
    found: list[int] = []
    for first, last in sorted(ranges):
        if found and first <= found[-1]:
            found[-1] = max(last + 1, found[-1])
        else:
            found += first, last + 1
    return found
