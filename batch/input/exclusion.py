"""Licenses that the files of ``--exclude`` protect: all that they hold, wherever it stands.

Whoever keeps a list of licenses that must not be touched trusts it blindly, so no column, header or
sheet is picked: whatever reads like a license in any cell protects that license, by its ID or by
its key. What a spreadsheet has made of a key protects every key that it may have been. What can be
read in two ways, such as an ID of which a digit is missing, is a refusal.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass, field
from functools import cache
from itertools import compress
from typing import TYPE_CHECKING, Self

from batch.columns import DETAILS, HEADERS
from batch.errors import Detail, InputError, first_few
from batch.formatting import LONGEST, all_folded, counted, folded, uncell
from batch.input.earlier_results import is_results_header
from batch.input.file import open_tables
from batch.input.identifiers import ID, SHEET_ERRORS, simplified
from batch.input.ids_in_text import ANYWHERE, APART, SHORTEST, is_nearly_id, may_nearly_be_ids
from batch.input.lost_digits import bounds_of, parse_number, value_of
from batch.input.messages import spelled
from batch.input.table import ZERO, Block, NotText
from batch.model import ID_BYTES, License, Listing, parse_id, parse_ids

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
    from collections.abc import Set as AbstractSet

    from batch.input.table import Row, Table


_BLANKS = str.maketrans(dict.fromkeys(",;|=\"'", " "))

_OURS = {simplified(name) for names in HEADERS for name in names} - {"licenseid", "licensekey"}
"""Columns of a results file that name no license: a row number is no key."""

_DETAILS = {simplified(name) for name in DETAILS}
"""Others that do not either, where all of them are there: a number of activations is no key."""


@dataclass(frozen=True, slots=True)
class Protected:
    """The content of one file of ``--exclude``.

    Attributes:
        path: The file.
        rows: Its rows with content, on all sheets; where license IDs stand below a header, without
            that one.
        nameless: Rows without a license ID, the header not counted: only keys can tell what they
            protect.
        ids: The `ID_BYTES` bytes of every license ID in it.
        texts: Its cells, and what stands between blanks, commas and quotes in them, `folded`.
        numbers: Whole numbers among its cells: a key of digits may have lost or got zeros there.
        bounds: First whole number that a cell with lost digits may have been, and first behind it
            that it may not have been, and so on, ascending.
    """

    path: str
    rows: int
    nameless: int
    ids: AbstractSet[bytes]
    texts: AbstractSet[str]
    numbers: AbstractSet[int]
    bounds: Sequence[int]

    def holds_key(self, key: str) -> bool:
        """Tell whether a license with this key is protected."""
        return folded(key) in self.texts or self.holds_id_or_number(key)

    def holds_id_or_number(self, key: str) -> bool:
        """Tell whether a license is protected whose key reads like an ID, or like a number."""
        if self.ids and parse_id(key) in self.ids:
            return True
        value = value_of(key) if self.numbers else None
        return value is not None and (
            value in self.numbers or bisect_right(self.bounds, value) % 2 == 1
        )


@dataclass(frozen=True, slots=True)
class Exclusion:
    """Licenses that must never be touched, by all files of ``--exclude`` together.

    Attributes:
        files: The files.
    """

    files: Sequence[Protected] = ()

    @classmethod
    def read(cls, paths: Iterable[str], listing: Listing) -> Self:
        """Read all of these files.

        Args:
            paths: Files as an input may be, results of a run among them, finished or not.
            listing: The licenses that they may protect.

        Raises:
            InputError: A file cannot be read in full, is empty, holds no license ID where licenses
                are listed by ID, or holds what may or may not be one.
        """

        @cache
        def keys() -> frozenset[str]:
            return frozenset(map(folded, listing.keys))

        try:
            return cls([_read(path, keys, by_key=bool(listing.keys)) for path in paths])
        except InputError as refusal:
            refusal.option = "--exclude"
            raise

    @property
    def needs_keys(self) -> bool:
        """Tell whether it may name licenses by their keys alone."""
        return any(file.nameless for file in self.files)

    def of_license(self, license_: License) -> tuple[int, ...]:
        """Indexes of the files that protect a license as the server describes it."""
        license_id = parse_id(license_.id)
        return tuple(
            index
            for index, file in enumerate(self.files)
            if license_id in file.ids or (license_.key and file.holds_key(license_.key))
        )

    def among(self, listing: Listing) -> dict[int, tuple[int, ...]]:
        """The entries of a listing that are protected as they are listed.

        Returns:
            For each of them, the first one of its license, the indexes of the files that do so.
        """
        found: dict[int, tuple[int, ...]] = {}
        for index, file in enumerate(self.files):
            own = (index,)
            for entry in _by_key(file, listing) if listing.keys else _by_id(file, listing):
                if listing.first[entry] == entry and entry not in listing.invalid:
                    found[entry] = found[entry] + own if entry in found else own
        return found


def _by_key(file: Protected, listing: Listing) -> Iterator[int]:
    keys = listing.keys
    held: Iterator[bool] = map(file.texts.__contains__, all_folded(keys))
    if file.ids or file.numbers:
        held = (
            is_text or file.holds_id_or_number(key) for key, is_text in zip(keys, held, strict=True)
        )
    return compress(range(len(keys)), held)


_SPREAD = 0x9E3779B97F4A7C15
"""Factor that carries every bit of a number into its highest ones: Knuth, TAOCP 3, 6.4."""


def _by_id(file: Protected, listing: Listing) -> Iterator[int]:
    import numpy as np  # noqa: PLC0415 - `--help` must not wait for it

    # Of a million entries few are left by 24 bits of each ID; in them, hardly any two agree.
    bits = [
        np.frombuffer(ids, np.uint64)[::2] * np.uint64(_SPREAD) >> np.uint64(40)
        for ids in (b"".join(file.ids), listing.ids)
    ]
    seen = np.zeros(1 << 24, np.bool_)
    seen[bits[0]] = True
    for entry in np.flatnonzero(seen[bits[1]]).tolist():
        if listing.ids[ID_BYTES * entry : ID_BYTES * (entry + 1)] in file.ids:
            yield entry


@dataclass(slots=True)
class _Column:
    """The findings in a column of a table.

    Attributes:
        names_ids: Whether a license ID stands in it.
        texts: Its cells, where licenses are listed by key.
        error: Row and text of its first error such as ``#REF!``.
    """

    names_ids: bool = False
    texts: set[str] = field(default_factory=set)
    error: tuple[int, str] | None = None


@dataclass(slots=True)
class _Reading:
    """The findings in a file, collected as its tables are read."""

    keys: Callable[[], Collection[str]]
    by_key: bool
    rows: int = 0
    nameless: int = 0
    ids: set[bytes] = field(default_factory=set)
    texts: set[str] = field(default_factory=set)
    numbers: set[int] = field(default_factory=set)
    ranges: list[tuple[int, int]] = field(default_factory=list)
    doubts: list[tuple[str, int, str]] = field(default_factory=list)

    def add(self, table: Table) -> None:
        """Take all that a table holds."""
        if not table.head:
            return
        top = table.head[0]
        header = top.cells if is_results_header(top.cells) else []
        names = [simplified(uncell(cell)) for cell in header]
        ours = _OURS | _DETAILS if _DETAILS.issubset(names) else _OURS
        passed_over = {i for i, name in enumerate(names) if name in ours and names.count(name) == 1}
        columns: defaultdict[int, _Column] = defaultdict(_Column)
        headers = 0
        for block in _cut_below(top.number, table.blocks):
            filled = [False] * len(block)
            named = [False] * len(block)
            for index, cells in enumerate(block.columns):
                filled = [so or bool(cell.strip()) for so, cell in zip(filled, cells, strict=True)]
                if index in passed_over:
                    continue
                if names[index : index + 1] == ["licensekey"]:
                    self._refuse_cut(table.title, block.row, cells)
                self._add_cells(columns[index], table.title, block.row, cells, named)
            self.rows += sum(filled)
            self.nameless += sum(map(bool.__gt__, filled, named))
            headers += _is_header(top, block, named)
        self.nameless -= headers
        if any(column.names_ids for column in columns.values()):  # else it may be a key
            self.rows -= headers
        self.doubts += [
            (table.title, *column.error)
            for _, column in sorted(columns.items())
            if column.error and (column.names_ids or not column.texts.isdisjoint(self.keys()))
        ]

    def _add_cells(
        self, column: _Column, title: str, row: int, cells: list[str], named: list[bool]
    ) -> None:
        """Take some cells of a column, and note which of them name a license by its ID.

        Cells that hold nothing but IDs, one each, are done at once.
        """
        if ids := parse_ids(cells):
            self.ids.update(ids[at : at + ID_BYTES] for at in range(0, len(ids), ID_BYTES))
            named[:] = [True] * len(named)
            column.names_ids = True
            return
        column.names_ids |= self._add_ids(title, row, cells, named)
        own = set(all_folded(cells))
        self.texts |= own
        self.texts.update(APART.join(own).translate(_BLANKS).split())
        # A spreadsheet may have made of a key what begins with ', = or a digit.
        changed = [text for text in own if text < ">"]
        self.texts.update(folded(_bare(text)) for text in changed if text.startswith(("'", "=")))
        self.texts.discard("")
        for text in changed:
            if number := parse_number(text):
                self.numbers.add(number.value)
                self.ranges += number.ranges()
        if self.by_key:
            column.texts |= own
        if column.error is None and not _ERRORS.isdisjoint(cells):
            at = next((at for at, cell in enumerate(cells) if _is_broken(cell)), None)
            if at is not None:
                column.error = row + at, cells[at]

    def _add_ids(self, title: str, row: int, cells: list[str], named: list[bool]) -> bool:
        if max(map(len, cells), default=0) < SHORTEST:
            return False
        joined = APART.join(cells)
        if joined.count(APART) >= len(cells):
            joined = APART.join(cell.replace(APART, " ") for cell in cells)
        pieces = ANYWHERE.split(joined)
        others, found = pieces[::2], pieces[1::2]
        ids = bytes.fromhex("".join(found).replace("-", ""))
        self.ids.update(ids[at : at + ID_BYTES] for at in range(0, len(ids), ID_BYTES))
        at = 0
        for before in others[:-1]:
            at += before.count(APART)
            named[at] = True
        if may_nearly_be_ids(APART.join(set(others)), by_key=self.by_key):
            self.doubts += [
                (title, row + at, cell)
                for at, cell in enumerate(cells)
                if is_nearly_id(cell, by_key=self.by_key) and folded(cell) not in self.keys()
            ]
        return bool(found)

    def _refuse_cut(self, title: str, row: int, cells: list[str]) -> None:
        """Refuse keys that a results file may not hold in full, if only keys can tell."""
        if self.by_key:
            for at, cell in enumerate(cells):
                if len(uncell(cell)) >= LONGEST:
                    raise InputError(
                        f"{title}, row {row + at}: the license key may have been cut at {LONGEST}"
                        " characters when it was written.",
                        hint="take it from that run's own input.",
                    )


_ERRORS = SHEET_ERRORS | {"0"}


def _is_broken(cell: str) -> bool:
    """Tell whether a cell is what is left of a formula."""
    return cell in SHEET_ERRORS or (isinstance(cell, NotText) and cell.kind == ZERO)


def _cut_below(row: int, blocks: Iterable[Block]) -> Iterator[Block]:
    """The blocks, cut below a row: IDs are done at once where no header stands above them."""
    for block in blocks:
        size = row + 1 - block.row
        if 0 < size < len(block):
            yield Block(block.row, [column[:size] for column in block.columns])
            yield block.since(row + 1)
        else:
            yield block


def _is_header(first: Row, block: Block, named: Sequence[bool]) -> bool:
    """Tell whether the first row with content is in a block, and says what stands below it."""
    at = first.number - block.row
    return 0 <= at < len(block) and not named[at] and not re.search(r"\d", "".join(first.cells))


def _read(path: str, keys: Callable[[], Collection[str]], *, by_key: bool) -> Protected:
    reading = _Reading(keys, by_key)
    with open_tables(path) as tables:
        for tab in tables.tabs:
            reading.add(tables.read(tab))
    if reading.doubts:
        raise _doubtful(reading.doubts)
    if not reading.rows:
        raise InputError(f"{path} is empty.", hint="is this the right file?")
    if not reading.ids and not by_key:
        raise InputError(
            f"{path}: not a single license ID, and the licenses are listed by their IDs.",
            hint=f"is this the right file? {ID.reads_like[0].upper()}{ID.reads_like[1:]}.",
        )
    return Protected(
        path=path,
        rows=reading.rows,
        nameless=reading.nameless,
        ids=reading.ids,
        texts=reading.texts,
        numbers=reading.numbers,
        bounds=bounds_of(reading.ranges),
    )


def _doubtful(doubts: Sequence[tuple[str, int, str]]) -> InputError:
    title = doubts[0][0]
    lines = (Detail(f"{where}, row {row}  ", spelled(cell)) for where, row, cell in doubts)
    return InputError(
        f"{title}: it is not known which license {counted(len(doubts), 'cell')} of it"
        f" {'protects' if len(doubts) == 1 else 'protect'}:",
        details=first_few(lines, len(doubts)),
        hint=f"correct what should be an ID ({ID.reads_like}), and take out what should not.",
    )


def _bare(cell: str) -> str:
    """Unwrap a cell of a spreadsheet, or of an export for one: ``'0012`` and ``="0012"``."""
    text = cell.strip()
    if text.startswith('="') and text.endswith('"'):
        return text[2:-1].replace('""', '"')
    return text.removeprefix("'")
