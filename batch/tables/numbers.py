"""Numbers that a workbook shows as dates.

Sources: ECMA-376 part 1, 18.8.30 (formats) and 18.17.4 (serial dates).
"""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from batch.tables.sheets import Value

_BUILT_IN_DATES = frozenset((*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59)))
_NOT_CODE = re.compile(r'"[^"]*"|\\.|_.|\*.|\[(?!h+\]|m+\]|s+\])[^]]*\]', re.IGNORECASE)
_DATE_CODE = re.compile(r"[dmyhs]", re.IGNORECASE)
_SECONDS = 86_400
_START = dt.datetime(1899, 12, 30)  # noqa: DTZ001 - a cell has no time zone
_START_1904 = dt.datetime(1904, 1, 1)  # noqa: DTZ001
_LEAP_DAY_THAT_NEVER_WAS = 60


def is_date_format(identifier: int, code: str = "") -> bool:
    """Whether a number format shows a date or a time.

    Args:
        identifier: Number of the format; some have a meaning without a code.
        code: As the workbook defines it, such as ``yyyy-mm-dd``.
    """
    if code:
        return bool(_DATE_CODE.search(_NOT_CODE.sub("", code.partition(";")[0])))
    return identifier in _BUILT_IN_DATES


def date_of(serial: float, *, since_1904: bool = False) -> Value:
    """The date, or below one day the time, that a number stands for.

    Args:
        serial: Days since the end of 1899, of which 1900-02-29 is one that never was.
        since_1904: Whether the workbook counts from 1904-01-01 instead.

    Returns:
        The number itself where it is no date.
    """
    days, seconds = divmod(round(serial * _SECONDS), _SECONDS)
    if since_1904:
        start = _START_1904
    elif days == 0:
        return (_START + dt.timedelta(seconds=seconds)).time()
    else:
        start = _START + dt.timedelta(days=days < _LEAP_DAY_THAT_NEVER_WAS)
    try:
        return start + dt.timedelta(days=days, seconds=seconds)
    except OverflowError:
        return serial
