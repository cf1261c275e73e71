"""The rows that ``--where`` selects, by what they hold in other columns."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from typing import TYPE_CHECKING

from batch.errors import Detail, InputError, first_few
from batch.formatting import counted, uncell
from batch.input.messages import columns_seen, shown
from batch.input.table import in_digits

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from batch.model import Condition


MOST_VALUES = 10
"""Values of a column that are shown; the rest is counted."""


class Selection:
    """Tells which rows are meant, and counts what they hold in the columns that are asked about.

    Args:
        title: The input, for messages.
        conditions: All of them hold in a row that is meant; there is at least one.
        header: The cells of the header; None where there is none.
        width: Columns that there are.
        in_results: Whether the rows are spelled as results are, with a quote before a formula.

    Attributes:
        where: As `Listing.where`.
        unselected: As `Listing.unselected`, for the rows that were added.

    Raises:
        InputError: There is no such column, or more than one.
    """

    def __init__(
        self,
        title: str,
        conditions: Sequence[Condition],
        header: Sequence[str] | None,
        width: int,
        *,
        in_results: bool,
    ) -> None:
        self._title = title
        self._read: Callable[[str], str] = uncell if in_results else str
        names = None if header is None else [self._read(cell).strip() for cell in header]
        self.places = [_place(title, each.column, names, width) for each in conditions]
        self.where: dict[Condition, Counter[str]] = {each: Counter() for each in conditions}
        self._counted = [(self.where[each], each.value) for each in conditions]
        self.unselected = bytearray()

    def add(self, cells: Sequence[str]) -> bool:
        """Take the next row, and tell whether it is selected; cells at its end may be missing."""
        is_selected = True
        for place, (counts, value) in zip(self.places, self._counted, strict=True):
            found = self._read(in_digits(cells[place])).strip() if place < len(cells) else ""
            counts[found] += 1
            is_selected = is_selected and found == value
        self.unselected.append(not is_selected)
        return is_selected

    def refuse_none(self, left_out: Mapping[str, int] | None = None) -> None:
        """Refuse an input of which no row is selected.

        Args:
            left_out: Outcomes of an earlier run to how many rows were not looked at for them.

        Raises:
            InputError: Its values are shown.
        """
        if 0 in self.unselected:
            return
        others = [f"{count:,} {outcome}" for outcome, count in (left_out or {}).items()]
        said = f"Left out, by their outcome in the earlier run: {', '.join(others)}."
        raise InputError(
            f"selects no row of {self._title}",
            option="--where",
            details=[
                Detail(
                    "Asked for ",
                    f"{shown(str(each))}; the column holds {values_seen(counts, each.value)}.",
                )
                for each, counts in self.where.items()
            ]
            + [Detail(said)] * bool(others),
            hint="a value is compared as written, upper and lower case too; and where there are"
            " several conditions, all have to hold in a row.",
        )

    def refuse_divided(
        self, rows: Sequence[int], first: Sequence[int], named: Callable[[int], str]
    ) -> None:
        """Refuse an input in which a license is meant by one row and not by another.

        Args:
            rows: The number of each row that was added.
            first: For each of them the first one of the same license.
            named: Returns what the license of a row is called.

        Raises:
            InputError: Both rows are named.
        """
        selected = ("is selected", "is not")
        marks = self.unselected
        divided = [
            Detail(
                f"row {rows[begin]} {selected[marks[begin]]}, row {rows[entry]}"
                f" {selected[marks[entry]]}: ",
                shown(named(entry)),
            )
            for entry, begin in enumerate(first)
            if marks[entry] != marks[begin]
        ]
        if not divided:
            return
        raise InputError(
            f"{self._title}: {counted(len(divided), 'row')}"
            f" {'contradicts' if len(divided) == 1 else 'contradict'} an earlier one of the same"
            " license:",
            option="--where",
            details=first_few(divided, len(divided)),
            hint="decide for each of these licenses, and correct or take out one of its rows.",
        )


def _place(title: str, name: str, names: Sequence[str] | None, width: int) -> int:
    """Return the index of a column, counted from 0.

    Raises:
        InputError: There is none that is meant, or more than one.
    """
    if name.isdecimal():
        if 1 <= int(name) <= width:
            return int(name) - 1
    elif names and names.count(name) == 1:
        return names.index(name)
    number = f"a column by its number, counted from 1: there are {width:,}"
    if names is None:
        hint = f"the file has no header: name {number}."
    elif name in names:
        hint = f"name one of them by its number: {names.index(name) + 1} is the first."
    else:
        hint = f"name one of these as written, or {number}."
    raise InputError(
        f"{title}: {'several columns' if names and name in names else 'no column'} of that name",
        option="--where",
        shown=f'"{shown(name)}"',
        details=[] if names is None else [columns_seen(names)],
        hint=hint,
    )


def values_seen(counts: Mapping[str, int], wanted: str, most: int = MOST_VALUES) -> str:
    """Spell the values of a column with their numbers of rows, so many of them at most.

    The wanted one comes first, then those that differ from it in case, blanks and marks alone,
    then what most rows hold.
    """
    alike = _bare(wanted)
    values = sorted(
        counts, key=lambda each: (each != wanted, _bare(each) != alike, -counts[each], each)
    )
    parts = [f'"{shown(each)}" {counts[each]:,}' for each in values[:most]]
    if rest := values[most:]:
        rows = sum(counts[each] for each in rest)
        parts.append(f"{counted(len(rest), 'more value')} in {counted(rows, 'row')}")
    return ", ".join(parts)


def _bare(value: str) -> str:
    """A value without what people overlook: case, blanks, marks, and how a letter is composed."""
    return re.sub(r"[\W_]", "", unicodedata.normalize("NFKC", value)).casefold()
