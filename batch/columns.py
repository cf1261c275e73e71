"""What a results file is made of: its columns, and outcomes and booleans as it spells them."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from batch.model import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

COLUMNS = (
    "row",
    "license_id",
    "license_key",
    "outcome",
    "revoked",
    "was_revoked",
    "http_status",
    "error_code",
    "error",
    "attempts",
    "finished_at",
    "duplicate_of",
)
"""The header of a results file; the carried columns of the input follow."""

OUTCOMES = tuple(Outcome)
CODES = {outcome: code for code, outcome in enumerate(OUTCOMES)}
"""Outcomes as single bytes, for a file of a million rows."""

BOOLEANS = {None: "", True: "true", False: "false"}


class _Encoded:
    """What `csv.writer` writes to, so that its ``writerow`` returns the line in UTF-8."""

    def write(self, text: str) -> bytes:
        return text.encode()


line_of: Callable[[Iterable[str]], bytes] = csv.writer(_Encoded(), lineterminator="\n").writerow
"""The line of a results file that holds these cells."""
