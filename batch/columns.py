"""The columns of a results file, and of a list.

They stand apart from `results` since `input` knows them as well: a results file is an input too.
"""

from __future__ import annotations

from batch.model import Property


def columns(changes: Property) -> tuple[str, ...]:
    """The first columns of the results of a run that is about this property.

    In a file, those of `DETAILS` may follow, and then the carried ones.
    """
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


def names_keys(column: str) -> bool:
    """Tell whether a column says that license keys stand in it: they are not shown."""
    return "key" in column.casefold()


HEADERS = {columns(each): each for each in Property}
"""Header of a results file to the property that it is about."""

COLUMNS = columns(Property.REVOKED)
"""The header of results about revocation; the others have the same columns at the same places, but
for the names of two."""

DETAILS = (
    "product_id",
    "type",
    "expires_at",
    "activations",
    "last_used_at",
    "company",
    "organization",
    "user_email",
)
"""Columns that follow `COLUMNS` where the look has taken down the licenses and their customers."""

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
