"""What a results file is made of: its columns, and outcomes and booleans as it spells them."""

from __future__ import annotations

from batch.model import Outcome

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
