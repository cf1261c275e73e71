"""The columns of a results file.

They stand apart from `results` since `input` knows them as well: a results file is an input too.
"""

from __future__ import annotations

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
