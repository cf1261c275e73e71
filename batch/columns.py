"""The columns of a results file, and of a list.

They stand apart from `results` since `input` knows them as well: a results file is an input too.
"""

from __future__ import annotations

from batch.model import Property


def columns(changes: Property) -> tuple[str, ...]:
    """The first columns of the results of a run that is about this property.

    Those of `DETAILS` follow, if any, and the carried ones.
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
"""The headers of results files, and what they are about."""

COLUMNS = columns(Property.REVOKED)
"""The first of these headers; in all of them the same stands at the same place."""

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
"""What follows them where the look has taken down what it saw: of a license, and of whose it is."""

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
