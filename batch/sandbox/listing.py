"""Filters and pages of ``GET /licenses``.

A filter is written ``name=value`` or ``name[operator]=value``; all that are given must hold.

- **Trap**: a filter with an empty value is ignored, so ``key[in]=`` matches every license
  (Cryptlex Web API). A list of nothing but commas counts as empty.
- Parameters that the API does not know are ignored (assumed, since ASP.NET Core binds only what
  a handler names): a misspelled filter matches every license, too.
- Filters that the API documents and the sandbox does not offer are refused with 501, because
  ignoring them would teach something false.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from batch.sandbox.account import Account
    from batch.sandbox.license import SandboxLicense

DEFAULT_LIMIT = 20
LARGEST_LIMIT = 100
"""A larger ``limit`` is cut to this one, without a word."""

BOOLEANS = frozenset({"revoked", "suspended", "expired"})

# What each filter compares, as text; ``now`` is in ticks since 1970.
FIELDS: dict[str, Callable[[SandboxLicense, int], str]] = {
    "productId": lambda license_, _now: license_.product.id,
    "type": lambda license_, _now: license_.type,
    "key": lambda license_, _now: license_.key,
    "revoked": lambda license_, _now: str(license_.revoked).lower(),
    "suspended": lambda license_, _now: str(license_.suspended).lower(),
    "expired": lambda license_, now: str(
        license_.expires is not None and license_.expires < now
    ).lower(),
    "user.email": lambda license_, _now: license_.customer.email if license_.customer else "",
    "user.company": lambda license_, _now: license_.customer.company if license_.customer else "",
}
NOT_OFFERED = frozenset(
    {
        "userId",
        "resellerId",
        "expiresAt",
        "expiringSoon",
        "entitlementSetId",
        "tag",
        "metadata.key",
        "metadata.value",
        "createdAt",
        "totalActivations",
        "allowedActivations",
    }
)
OPERATORS: dict[str, Callable[[str, str], bool]] = {
    "eq": lambda actual, value: actual == value,
    "ne": lambda actual, value: actual != value,
    "sw": lambda actual, value: actual.startswith(value),
    "ew": lambda actual, value: actual.endswith(value),
    "cn": lambda actual, value: value in actual,
    "nc": lambda actual, value: value not in actual,
    "in": lambda actual, value: actual in value.split(","),
    "nin": lambda actual, value: actual not in value.split(","),
}
COUNT = re.compile(r"[1-9][0-9]{0,8}")
PARAMETER = re.compile(r"(?P<name>[^\[\]]+)(?:\[(?P<operator>[a-z]+)\])?")


class BadQueryError(Exception):
    """A query that is answered with an error.

    Attributes:
        status: HTTP status of the answer.
        field: The parameter that is wrong.
    """

    def __init__(self, status: int, field: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.field = field


def select(
    account: Account, query: Iterable[tuple[str, str]], now: int
) -> tuple[list[SandboxLicense], dict[str, str]]:
    """The licenses of one page, and the pagination headers.

    Args:
        account: Where to look.
        query: The parameters, decoded. ``page`` counts from 1.
        now: The present time in ticks since 1970.

    Raises:
        BadQueryError: A value cannot be used, or the sandbox does not offer a filter.
    """
    page, limit = 1, DEFAULT_LIMIT
    filters: list[tuple[str, str, str]] = []
    for parameter, value in query:
        if not value.strip(","):
            continue
        if parameter == "page":
            page = _count(parameter, value)
        elif parameter == "limit":
            limit = min(_count(parameter, value), LARGEST_LIMIT)
        elif wanted := _filter(parameter, value):
            filters.append(wanted)

    start, stop = (page - 1) * limit, page * limit
    if filters:
        matches = _matching(account, filters, now)
        count, licenses = len(matches), matches[start:stop]
    else:
        count, licenses = len(account), account.page(start, stop)
    headers = {
        "Pagination-Count": str(count),
        "Pagination-Page": str(page),
        "Pagination-Limit": str(limit),
    }
    return licenses, headers


def _count(parameter: str, value: str) -> int:
    if not COUNT.fullmatch(value):
        raise BadQueryError(400, parameter, f"{parameter} must be a whole number from 1 on")
    return int(value)


def _filter(parameter: str, value: str) -> tuple[str, str, str] | None:
    """Name, operator and value of a filter, or None for a parameter that is ignored."""
    parts = PARAMETER.fullmatch(parameter)
    if parts is None:
        return None
    name, operator = parts["name"], parts["operator"] or "eq"
    if name in NOT_OFFERED:
        raise BadQueryError(501, parameter, f"the sandbox does not offer the filter {name}")
    if name not in FIELDS:
        return None
    if operator not in OPERATORS:
        raise BadQueryError(400, parameter, f"{operator} is not an operator of {name}")
    if name in BOOLEANS:
        value = value.lower()
        if value not in {"true", "false"}:
            raise BadQueryError(400, parameter, f"{name} must be true or false")
    return name, operator, value


def _matching(
    account: Account, filters: Sequence[tuple[str, str, str]], now: int
) -> list[SandboxLicense]:
    """Every license that meets all filters, in the order of creation or of the keys asked for."""
    candidates: Iterable[SandboxLicense] = account
    for name, operator, value in filters:
        if name == "key" and operator in {"eq", "in"}:
            keys = value.split(",") if operator == "in" else [value]
            candidates = account.with_keys(dict.fromkeys(keys))
    return [
        license_
        for license_ in candidates
        if all(OPERATORS[op](FIELDS[name](license_, now), value) for name, op, value in filters)
    ]
