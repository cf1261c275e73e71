"""The reading of the cell of an ID or a key, and the names of a listing as they come."""

from __future__ import annotations

import re
from array import array
from collections import Counter
from dataclasses import dataclass
from string import hexdigits
from typing import TYPE_CHECKING

from batch.formatting import escaped
from batch.input.table import NOT_COMPUTED, NotText
from batch.model import ID_BYTES, NO_ID, parse_id, parse_ids

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence


_QUOTED = re.compile(r'\s*="((?:[^"]|"")*)"\s*')


def unquoted(cell: str) -> str:
    """A cell, ``="0012"`` as ``0012``: so exports keep spreadsheets from taking it for a number."""
    if not cell.lstrip().startswith("="):
        return cell
    found = _QUOTED.fullmatch(cell)
    return found[1].replace('""', '"') if found else cell


_UUID = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_WRAPPED = re.compile(
    rf"\{{({_UUID})\}}"
    rf"|urn:uuid:({_UUID})"
    rf"|https?://[^\s?#]*?/licenses/({_UUID})(?:/[^\s?#]*)?(?:[?#]\S*)?",
    re.IGNORECASE,
)


def wrapped_id(cell: str) -> bytes | None:
    """The ID in ``{…}``, ``urn:uuid:…`` or a link with ``/licenses/…`` in its path; else None.

    A link that names two licenses names none.
    """
    found = _WRAPPED.fullmatch(cell.strip())
    if found is None or len(re.findall("/licenses/", cell, re.IGNORECASE)) > 1:
        return None
    return parse_id(found[found.lastindex or 0])


_TOO_SHORT = 35
"""Characters that are too few for an ID."""


def holds_id(cell: str) -> bool:
    """Tell whether a cell holds a license ID, in any of the forms that are read."""
    return len(cell) > _TOO_SHORT and (
        parse_id(cell) is not None
        or parse_id(unquoted(cell)) is not None
        or wrapped_id(unquoted(cell)) is not None
    )


class Ids:
    """IDs as they come, `ID_BYTES` bytes each; `NO_ID` for a cell without.

    Attributes:
        wrapped: How many of them stood in braces, a URN or a link.
    """

    def __init__(self) -> None:
        self._ids = bytearray()
        self.wrapped = 0

    def add(self, cell: str) -> bool:
        """Take the cell of the next entry; False if it holds no ID."""
        text = unquoted(cell)
        found = parse_id(text)
        if found is None:
            found = wrapped_id(text)
            self.wrapped += found is not None
        self._ids += NO_ID if found is None else found
        return found is not None

    def add_all(self, cells: list[str]) -> bool:
        """Take the cells of the next entries; False, and none is taken, if one needs `add`."""
        found = parse_ids(cells)
        self._ids += found or b""
        return found is not None

    def ids(self) -> bytes:
        """Return the value of `Listing.ids`."""
        return bytes(self._ids)

    def keys(self) -> list[str]:
        """Return the value of `Listing.keys`: an empty list."""
        return []

    def first(self, invalid: Collection[int]) -> array[int]:
        """For each entry the first one with the same ID; `invalid` ones have none."""
        return first_ids(self._ids, invalid)


LONGEST_KEY = 1000
"""Most characters of a key: it has to fit into a URL."""


_SCIENTIFIC = re.compile(
    # Only a sign tells the number from a key such as 12E4567.
    r"[+-]?\d+(?:[.,]\d*)?E\+\d+|[+-]?\d[.,]\d+E-\d{2,3}",
    re.IGNORECASE,
)


SHEET_ERRORS = frozenset({
    "#NULL!", "#DIV/0!", "#VALUE!", "#REF!", "#NAME?", "#NUM!", "#N/A", "#GETTING_DATA", "#SPILL!",
    "#CALC!", "#FIELD!", "#BLOCKED!", "#CONNECT!", "#BUSY!", "#UNKNOWN!", "#ERROR",
    NOT_COMPUTED,
    *(f"Err:{number}" for number in range(501, 541)),
})  # fmt: skip
"""Texts of Excel and LibreOffice for a formula that failed, in files and in text they export."""


def is_left_behind(text: str) -> bool:
    """Tell whether a spreadsheet has written a text in the place of a key.

    It shows a long number as ``2.19E+26``, a formula that failed as ``#N/A``, and keeps text from
    becoming a number by a ``'``.
    """
    return text.startswith("'") or text in SHEET_ERRORS or _SCIENTIFIC.fullmatch(text) is not None


_CLOSER_LOOK = frozenset("'=+-#E0123456789")
"""First characters of the keys that a spreadsheet may have changed."""


def parse_key(cell: str) -> str:
    """The key in a cell exactly as written, or empty where it holds none.

    White space around a key, no-break spaces too, does not count; ``="0012"`` stands for ``0012``.
    Text with control characters or line breaks, or longer than `LONGEST_KEY` characters, is no
    key; nor is what `is_left_behind`, or may have lost something on its way into the cell.
    """
    if isinstance(cell, NotText):
        return ""
    key = cell.strip()
    if key[:1] in _CLOSER_LOOK:
        if key[0] == "=":
            key = unquoted(key).strip()
        if is_left_behind(key):
            return ""
    return key if len(key) <= LONGEST_KEY and escaped(key) == key else ""


class Keys:
    """Keys as they come; an empty one for a cell without.

    Attributes:
        wrapped: As `Ids.wrapped`: none.
    """

    wrapped = 0

    def __init__(self) -> None:
        self._keys: list[str] = []

    def add(self, cell: str) -> bool:
        """Take the cell of the next entry; False if it holds no key."""
        key = parse_key(cell)
        self._keys.append(key)
        return bool(key)

    def add_all(self, cells: list[str]) -> bool:
        """Take the cells of the next entries; False, and none is taken, if one needs `add`."""
        keys = [parse_key(cell) for cell in cells]
        if not all(keys):
            return False
        self._keys += keys
        return True

    def ids(self) -> bytes:
        """Return the value of `Listing.ids`: `NO_ID` for each key, as none is known yet."""
        return NO_ID * len(self._keys)

    def keys(self) -> list[str]:
        """Return the value of `Listing.keys`."""
        return self._keys

    def first(self, invalid: Collection[int]) -> array[int]:
        """For each entry the first one with the same key; `invalid` ones have none."""
        return first_keys(self._keys, invalid)


def simplified(header: str) -> str:
    """A header without case, blanks, ``_`` and ``-``."""
    return re.sub(r"[\s_-]", "", header).lower()


@dataclass(frozen=True, slots=True)
class Kind:
    """The kind of identifier, ID or key, by which an input lists its licenses.

    Attributes:
        name: What a person calls it, the word "license" left out.
        headers: Headers of its column, without case, blanks, ``_`` and ``-``, in groups: those of
            the first group win, those within a group fit equally well.
        results_column: Its column in a results file.
        reads_like: What a cell of it is, for who is to correct one.
        is_plain: Whether a cell shows by itself that it is one, and no header for instance.
        names: Makes what takes the cells of its column.
    """

    name: str
    headers: tuple[frozenset[str], ...]
    results_column: str
    reads_like: str
    is_plain: Callable[[str], bool]
    names: Callable[[], Ids | Keys]

    def is_header(self, cell: str) -> bool:
        """Tell whether a cell reads like a header of its column."""
        return any(simplified(cell) in group for group in self.headers)

    @property
    def noun(self) -> str:
        """Its name in full."""
        return f"license {self.name}"

    @property
    def advice(self) -> str:
        """Words that advise to have licenses looked up by it."""
        return f"look licenses up by {self.name} with --by {self.name.lower()}"

    @property
    def other(self) -> Kind:
        """The other kind."""
        return KEY if self is ID else ID


ID = Kind(
    name="ID",
    headers=(frozenset({"licenseid", "licenceid"}), frozenset({"id"})),
    results_column="license_id",
    reads_like="an ID reads like 23d9646c-34f5-4d37-adeb-f7f77b927bdb",
    is_plain=holds_id,
    names=Ids,
)
KEY = Kind(
    name="key",
    headers=(frozenset({"licensekey"}), frozenset({"key"})),
    results_column="license_key",
    reads_like=f"a key is one line of at most {LONGEST_KEY:,} characters",
    is_plain=lambda _cell: False,
    names=Keys,
)
KINDS = {"id": ID, "key": KEY}
"""The kinds as ``--by`` names them."""


_LIKE_A_KEY = re.compile(r"(?=.*\d)[0-9A-Za-z]+(?:[-_.][0-9A-Za-z]+)*")


def resemblance(cells: Iterable[str]) -> str:
    """Say what most of the cells that hold no ID look like: IDs, numbers, keys, text or nothing."""
    return Counter(map(_looks_like, cells)).most_common(1)[0][0]


def _looks_like(cell: str) -> str:
    text = cell.strip()
    if not text:
        return "nothing"
    if len(text) <= 48 and sum(char in hexdigits for char in text) >= 28:
        return "IDs"
    if re.fullmatch(r"[\d.,+-]+", text):
        return "numbers"
    return "keys" if _LIKE_A_KEY.fullmatch(text) else "text"


def first_ids(ids: bytes | bytearray, invalid: Collection[int]) -> array[int]:
    """For each entry the first one with the same ID, itself included.

    Args:
        ids: `ID_BYTES` bytes for each entry.
        invalid: Entries without an ID; none of them repeats another.

    A million entries take 0.1 s and 40 MB; a dictionary of them would take 200 MB.
    """
    import numpy as np  # noqa: PLC0415 - `--help` must not wait for it

    entries = np.arange(len(ids) // ID_BYTES, dtype=np.uint32)
    halves = np.frombuffer(ids, dtype=np.uint64).reshape(-1, 2)
    # Most IDs differ in their first half: only those that share one need a closer look.
    ordered = np.sort(halves[:, 0])
    shared = ordered[1:][ordered[1:] == ordered[:-1]]
    close = np.isin(halves[:, 0], shared)
    close[np.fromiter(invalid, np.int64, len(invalid))] = False
    candidates = entries[close]
    _, first, group = np.unique(halves[candidates], axis=0, return_index=True, return_inverse=True)
    entries[candidates] = candidates[first][group.ravel()]
    return array("I", entries.tobytes())


def first_keys(keys: Sequence[str], invalid: Collection[int]) -> array[int]:
    """For each entry the first one with exactly the same key, itself included.

    Args:
        keys: The key of each entry.
        invalid: Entries without a key; none of them repeats another.
    """
    seen: dict[str, int] = {}
    return array(
        "I",
        (
            entry if entry in invalid else seen.setdefault(key, entry)
            for entry, key in enumerate(keys)
        ),
    )
