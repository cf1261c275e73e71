"""The columns of a results file.

They stand apart from `results` since `input` knows them as well: a results file is an input too.
"""

from __future__ import annotations

from batch.model import Property


def columns(changes: Property) -> tuple[str, ...]:
    """The header of the results of a run that is about this property; carried columns follow."""
    return (
        "row",
        "license_id",
        "license_key",
        "outcome",
        changes,
        f"was_{changes}",
        "http_status",
        "error_code",
        "error",
        "attempts",
        "finished_at",
        "duplicate_of",
    )


HEADERS = {columns(each): each for each in Property}
"""The headers of results files, and what they are about."""

COLUMNS = columns(Property.REVOKED)
"""The first of these headers; in all of them the same stands at the same place."""
