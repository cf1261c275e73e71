"""The cells that tell of a license object of the API, spelled alike in every file."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from batch.columns import DETAILS
from batch.formatting import epoch_seconds, timestamp

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def details(license_: Mapping[str, Any]) -> tuple[str, ...]:
    """The cells of `batch.columns.DETAILS`; what is not told, or not readable, is empty."""
    return (
        text(license_.get("productId")).lower(),
        text(license_.get("type")),
        moment(license_.get("expiresAt")),
        text(license_.get("totalActivations")),
        moment(license_.get("lastUsedAt")),
        of_user(license_, "company"),
        name(license_, "organization"),
        of_user(license_, "email"),
    )


def customer(cells: Sequence[str]) -> str:
    """Whose a license is by those cells: the company's, else the organization's; or empty."""
    told = dict(zip(DETAILS, cells, strict=False))
    return told.get("company") or told.get("organization") or ""


def text(value: object) -> str:
    """A value as a cell; empty for what is no text, number or boolean."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, str | int) else ""


def moment(value: object) -> str:
    """A timestamp as results have them: UTC, milliseconds; as it is where it cannot be read."""
    at = epoch_seconds(value)
    return text(value) if at is None else timestamp(datetime.fromtimestamp(at, UTC))


def name(license_: Mapping[str, Any], of: str) -> str:
    """Name of an organization or a reseller; its ID where its name is not told."""
    told = license_.get(of)
    found = text(told.get("name")) if isinstance(told, dict) else ""
    return found or text(license_.get(f"{of}Id"))


def of_user(license_: Mapping[str, Any], what: str) -> str:
    """A property of the user that a license belongs to; empty where there is none."""
    user = license_.get("user")
    return text(user.get(what)) if isinstance(user, dict) else ""
