"""The columns of a results file, and of a list.

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

LIST_COLUMNS = (
    "license_id",
    "license_key",
    "product_id",
    "type",
    "created_at",
    "expires_at",
    "activations",
    "last_used_at",
    "revoked",
    "suspended",
    "user_email",
    "company",
    "organization",
    "reseller",
    "tags",
)
"""The header of what `list` writes."""
