"""The reading of an ID cell, and the IDs of a listing as they come."""

from __future__ import annotations

import re
from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING

from batch.formatting import escaped
from batch.model import ID_BYTES, NO_ID, parse_id, parse_ids

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence


class Ids:
    """IDs as they come, `ID_BYTES` bytes each; `NO_ID` for a cell without."""

    def __init__(self) -> None:
        self._ids = bytearray()

    def add(self, cell: str) -> bool:
        """Take the cell of the next entry; False if it holds no ID."""
        found = parse_id(cell)
        self._ids += found or NO_ID
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


def parse_key(cell: str) -> str:
    """The key in a cell exactly as written, or empty where it holds none.

    White space around a key, no-break spaces too, does not count. Text with control characters or
    line breaks, or longer than `LONGEST_KEY` characters, is no key.
    """
    key = cell.strip()
    return key if len(key) <= LONGEST_KEY and escaped(key) == key else ""


class Keys:
    """Keys as they come; an empty one for a cell without."""

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
        headers: Headers of its column, without case, blanks, ``_`` and ``-``; the first one wins.
        results_column: Its column in a results file.
        reads_like: What a cell of it is, for who is to correct one.
        is_plain: Whether a cell shows by itself that it is one, and no header for instance.
        names: Makes what takes the cells of its column.
    """

    name: str
    headers: tuple[str, ...]
    results_column: str
    reads_like: str
    is_plain: Callable[[str], bool]
    names: Callable[[], Ids | Keys]

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
    headers=("licenseid", "licenceid", "id"),
    results_column="license_id",
    reads_like="an ID reads like 23d9646c-34f5-4d37-adeb-f7f77b927bdb",
    is_plain=lambda cell: parse_id(cell) is not None,
    names=Ids,
)
KEY = Kind(
    name="key",
    headers=("licensekey", "key"),
    results_column="license_key",
    reads_like=f"a key is one line of at most {LONGEST_KEY:,} characters",
    is_plain=lambda _cell: False,
    names=Keys,
)
KINDS = {"id": ID, "key": KEY}
"""The kinds as ``--by`` names them."""


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
