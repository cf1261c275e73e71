"""A finished results file read back: what it says counts, not what the run remembers."""

from __future__ import annotations

import csv
from collections import Counter
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Self

from batch.columns import COLUMNS
from batch.model import Outcome

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Ledger:
    """What a finished results file says, read back from the disk.

    Attributes:
        counts: Rows by outcome, in the order of `Outcome`; outcomes without rows are left out.
        undone: The first rows that are not done, as their cells.
    """

    counts: dict[Outcome, int]
    undone: list[list[str]]

    @classmethod
    def read(cls, path: Path, done: Collection[Outcome], *, most: int) -> Self:
        """Count the rows of a file, and keep at most so many of those that are not done.

        What is no row of a results file is not counted: the ledger then does not balance.

        Raises:
            OSError: It cannot be read.
        """
        found: Counter[str] = Counter()
        undone: list[list[str]] = []
        with path.open(encoding="utf-8", errors="replace", newline="") as file:
            for cells in islice(csv.reader(file), 1, None):
                if len(cells) < len(COLUMNS):
                    continue
                found[cells[3]] += 1
                if len(undone) < most and cells[3] not in done:
                    undone.append(cells)
        return cls({outcome: found[outcome] for outcome in Outcome if found[outcome]}, undone)
