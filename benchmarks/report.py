"""docs/performance.md kept true: its tables are those that the raw data give.

A table stands between ``<!-- table: NAME -->`` and ``<!-- end -->``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from benchmarks.figures import tables
from benchmarks.measure import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping

PAGE = ROOT / "docs" / "performance.md"
_PLACE = re.compile(r"(<!-- table: (?P<name>[\w ]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def filled(page: str, found: Mapping[str, str]) -> str:
    """The page with these tables.

    Raises:
        KeyError: It has a place for a table that there is not.
        ValueError: It has no place for one that there is.
    """
    places = {match["name"] for match in _PLACE.finditer(page)}
    if places != found.keys():
        raise ValueError(f"no place for {sorted(found.keys() - places)}, or none for it")
    return _PLACE.sub(lambda match: f"{match[1]}{found[match['name']]}\n{match[3]}", page)


def write() -> None:
    """Put the tables of the raw data into the page, and draw the plots."""
    from benchmarks.plots import draw_all  # noqa: PLC0415 - a test needs no matplotlib

    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(filled(page, tables()), encoding="utf-8")
    draw_all()
