"""What licenses may be listed by: their IDs or their keys."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from batch.source.ids import Ids, parse_id
from batch.source.keys import LONGEST_KEY, Keys

if TYPE_CHECKING:
    from collections.abc import Callable


def simplified(header: str) -> str:
    """A header without case, blanks, ``_`` and ``-``."""
    return re.sub(r"[\s_-]", "", header).lower()


@dataclass(frozen=True, slots=True)
class Kind:
    """What the licenses of an input are listed by.

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
        """How to have licenses looked up by it."""
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
