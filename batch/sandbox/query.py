"""The query of a list: its filters, its order and its page.

Where the Cryptlex Web API documentation is silent, this is assumed:

- A filter without an operator is ``eq``. A filter or an operator that is not known is ignored, and
  so is a filter with an empty value.
- IDs match in any case, and all other text exactly as written.
- ``ne``, ``nc`` and ``nin`` hold of a license with several tags where none of them is meant, and
  the other operators where one of them is.
- Filters of ``metadata.key`` and ``metadata.value`` are about the same entry.
- A license without a date has none of the dates that are compared with it; only ``ne`` holds.
- A date may lack its time (midnight) and its offset (UTC).
- ``expiringSoon`` means within 30 days.
- A value that is no date, number or boolean where one is needed is answered with 400, and so is a
  ``sort`` by anything but ``createdAt``.

No license of a sandbox has a product version, an entitlement set or synchronised activations:
``productVersionId``, ``entitlementSetId`` and ``activation.lastSyncedAt`` are not known to it.
"""

from __future__ import annotations

import operator
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from batch.sandbox.account import Account, Condition
from batch.sandbox.license import TICKS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from batch.sandbox.license import Customer, SandboxLicense

DEFAULT_LIMIT = 25
LARGEST_LIMIT = 100
"""A larger ``limit`` is cut to this one, without a word."""

SOON = 30 * 24 * 3600 * TICKS

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
"""Operator to whether a license's text (first) meets a filter's value (second)."""

NEGATIVE = frozenset({"ne", "nc", "nin"})
OF_IDS = frozenset({"eq", "ne", "in"})
COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    each: getattr(operator, name)
    for each, name in (
        ("eq", "eq"), ("ne", "ne"), ("gt", "gt"), ("gte", "ge"), ("lt", "lt"), ("lte", "le"),
    )
}  # fmt: skip


def of_customer(shown: Callable[[Customer], str]) -> Callable[[Customer | None], str]:
    """Return what shows something of a customer, and nothing where there is none."""
    return lambda customer: "" if customer is None else shown(customer)


def _organization(customer: Customer) -> str:
    return "" if customer.organization is None else customer.organization.id


TEXTS: dict[str, tuple[str, Callable[[Any], str]]] = {
    "key": ("key", str),
    "user.email": ("customer", of_customer(lambda customer: customer.email)),
    "user.company": ("customer", of_customer(lambda customer: customer.company)),
}
"""Filter to the attribute of a license that it is about, and the text of it that is compared."""

IDS: dict[str, tuple[str, Callable[[Any], str]]] = {
    "productId": ("product", lambda product: product.id),
    "userId": ("customer", of_customer(lambda customer: customer.id)),
    "organizationId": ("customer", of_customer(_organization)),
    "resellerId": ("reseller", lambda reseller: "" if reseller is None else reseller.id),
    "type": ("type", str),
}
BOOLEANS = {"revoked": "revoked", "suspended": "suspended"}
PERIODS: dict[str, Callable[[Any, int], Any]] = {
    "expired": lambda expires, now: (expires != 0) & (expires < now),
    "expiringSoon": lambda expires, now: (expires >= now) & (expires <= now + SOON),
}
DATES = {"createdAt": "created", "expiresAt": "expires", "lastUsedAt": "last_used"}
COUNTS = {"totalActivations": "total_activations", "allowedActivations": "allowed_activations"}
ENTRIES = {"metadata.key": 0, "metadata.value": 1}
FIELDS = (*TEXTS, "tag", *ENTRIES, *IDS, *BOOLEANS, *PERIODS, *DATES, *COUNTS)
"""Every filter that is known."""

COUNT = re.compile(r"[1-9][0-9]{0,8}")
NUMBER = re.compile(r"-?[0-9]{1,9}")
DATE = re.compile(
    r"(?P<day>\d{4}-\d\d-\d\d)(?:T(?P<time>\d\d:\d\d:\d\d)"
    r"(?:\.(?P<fraction>\d{1,7}))?(?P<offset>Z|[+-]\d\d:\d\d)?)?",
    re.ASCII,
)
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
        BadQueryError: A value cannot be used.
    """
    page, limit = 1, DEFAULT_LIMIT
    newest_first: bool | None = None
    filters = []
    for parameter, value in query:
        if not value.strip(","):
            continue
        if parameter == "page":
            page = _count(parameter, value)
        elif parameter == "limit":
            limit = min(_count(parameter, value), LARGEST_LIMIT)
        elif parameter == "sort":
            newest_first = _descending(value)
        else:
            filters.append((parameter, value))

    count, licenses = _page(account, filters, now, (page - 1) * limit, page * limit, newest_first)
    headers = {
        "Pagination-Count": str(count),
        "Pagination-Page": str(page),
        "Pagination-Limit": str(limit),
    }
    return licenses, headers


def ids(account: Account, query: Iterable[tuple[str, str]], now: int) -> Iterator[str]:
    """The IDs of all licenses that a query lists, in the order of creation.

    No license is made for it: this is how the list files of benchmarks are written. ::

        account = Account.generate(500_000, resellers={"Small": 3_000}, batch=2_000)
        ids(account, [("resellerId", account.resellers["Small"].id)], now)
        first, last = map(timestamp, account.batch)
        ids(account, [("createdAt[gte]", first), ("createdAt[lte]", last)], now)

    Raises:
        BadQueryError: A value cannot be used.
    """
    return account.ids(account.matching(conditions(query, now)))


def conditions(query: Iterable[tuple[str, str]], now: int) -> tuple[Condition, ...]:
    """Return the conditions that a query's filters stand for; other parameters are ignored.

    Args:
        query: The parameters, decoded.
        now: The present time in ticks since 1970; the fraction of its second does not count.

    Raises:
        BadQueryError: A value cannot be used.
    """
    found = []
    entries: list[tuple[int, str, str]] = []
    for parameter, value in query:
        parts = PARAMETER.fullmatch(parameter)
        if parts is None or not value.strip(","):
            continue
        name, operator_ = parts["name"], parts["operator"] or "eq"
        if name in ENTRIES and operator_ in OPERATORS:
            entries.append((ENTRIES[name], operator_, value))
        condition = (
            _of_words(name, operator_, value)
            or _of_state(parameter, name, operator_, value, now // TICKS * TICKS)
            or _of_amount(parameter, name, operator_, value)
        )
        if condition is not None:
            found.append(condition)
    if entries:
        found.append(Condition(f"metadata {sorted(entries)}", "metadata", _of_entries(entries)))
    return tuple(found)


def _of_words(name: str, operator_: str, value: str) -> Condition | None:
    """The condition of a filter of texts or IDs; None for other filters."""
    known = f"{name}[{operator_}]={value}"
    if name in TEXTS and operator_ in OPERATORS:
        attribute, shown = TEXTS[name]
        return Condition(known, attribute, _of_text(shown, OPERATORS[operator_], value))
    if name == "tag" and operator_ in OPERATORS:
        return Condition(known, "tags", _of_several(operator_, value))
    if name in IDS and operator_ in OF_IDS:
        attribute, shown = IDS[name]
        return Condition(known, attribute, _of_text(shown, OPERATORS[operator_], value.lower()))
    return None


def _of_state(parameter: str, name: str, operator_: str, value: str, now: int) -> Condition | None:
    """The condition of a filter of true and false; None for other filters."""
    if name not in {*BOOLEANS, *PERIODS} or operator_ not in OF_IDS:
        return None
    known = f"{name}[{operator_}]={value}"
    wanted = {_boolean(parameter, each) for each in value.split(",") if each}
    if operator_ == "ne":
        wanted = {True, False} - wanted
    if name in BOOLEANS:
        return Condition(known, BOOLEANS[name], wanted.__contains__)
    return Condition(f"{known} at {now}", "expires", _of_period(PERIODS[name], wanted, now))


def _of_amount(parameter: str, name: str, operator_: str, value: str) -> Condition | None:
    """The condition of a filter of dates or numbers; None for other filters."""
    known = f"{name}[{operator_}]={value}"
    if name in DATES and operator_ in COMPARISONS:
        law = _of_number(operator_, _date(parameter, value), never=0)
        return Condition(known, DATES[name], law)
    if name in COUNTS and operator_ in COMPARISONS:
        return Condition(known, COUNTS[name], _of_number(operator_, _number(parameter, value)))
    return None


def _of_text(
    shown: Callable[[Any], str], compare: Callable[[str, str], bool], value: str
) -> Callable[[Any], bool]:
    return lambda actual: compare(shown(actual), value)


def _of_several(operator_: str, value: str) -> Callable[[Sequence[str]], bool]:
    """The test of several texts: a negative operator has to hold of all, another one of any."""
    compare, quantifier = OPERATORS[operator_], all if operator_ in NEGATIVE else any
    return lambda several: quantifier(compare(each, value) for each in several)


def _of_entries(
    filters: Sequence[tuple[int, str, str]],
) -> Callable[[Sequence[tuple[str, str]]], bool]:
    """The test of metadata: some entry meets all positive filters, and none breaks a negative one.

    An entry is a name and a value.
    """
    denied = [each for each in filters if each[1] in NEGATIVE]
    asked = [each for each in filters if each[1] not in NEGATIVE]

    def meets(entry: tuple[str, str], wanted: Iterable[tuple[int, str, str]]) -> bool:
        return all(OPERATORS[name](entry[part], value) for part, name, value in wanted)

    return lambda metadata: (
        all(meets(entry, denied) for entry in metadata)
        and (not asked or any(meets(entry, asked) for entry in metadata))
    )


def _of_period(
    period: Callable[[Any, int], Any], wanted: set[bool], now: int
) -> Callable[[Any], Any]:
    if len(wanted) != 1:
        return lambda expires: (expires == expires) & bool(wanted)  # noqa: PLR0124 - of an array
    return lambda expires: period(expires, now) == (True in wanted)


def _of_number(operator_: str, value: int, never: int | None = None) -> Callable[[Any], Any]:
    """The test of a number; ``never`` stands for no number, and only ``ne`` holds of it."""
    compare = COMPARISONS[operator_]
    if never is None or operator_ == "ne":
        return lambda actual: compare(actual, value)
    return lambda actual: compare(actual, value) & (actual != never)


def _page(
    account: Account,
    filters: Sequence[tuple[str, str]],
    now: int,
    start: int,
    stop: int,
    newest_first: bool | None,
) -> tuple[int, list[SandboxLicense]]:
    """The number of licenses that the filters let through, and those from ``start`` to ``stop``.

    Args:
        account: The account.
        filters: Those of the query.
        now: The present time in ticks since 1970.
        start: Index of the first license that is wanted.
        stop: Index behind the last one.
        newest_first: The order; None where none was asked for.
    """
    asked = conditions(filters, now)
    keys = _keys(filters)
    if keys is not None:
        found = [
            license_
            for license_ in account.with_keys(keys)
            if all(condition.holds(license_) for condition in asked)
        ]
        return len(found), (found[::-1] if newest_first else found)[start:stop]
    if not asked and newest_first is None:
        return len(account), account.page(start, stop)
    matches = account.matching(asked)
    return len(matches), account.page_of(
        matches,
        start,
        stop,
        by_creation=newest_first is not None,
        newest_first=bool(newest_first),
    )


def _keys(filters: Iterable[tuple[str, str]]) -> list[str] | None:
    """The keys that a license must have one of, or None where any key may do."""
    for parameter, value in filters:
        if parameter in {"key", "key[eq]"}:
            return [value]
        if parameter == "key[in]":
            return value.split(",")
    return None


def _count(parameter: str, value: str) -> int:
    if not COUNT.fullmatch(value):
        raise BadQueryError(400, parameter, f"{parameter} must be a whole number from 1 on")
    return int(value)


def _descending(value: str) -> bool:
    if value not in {"createdAt", "-createdAt"}:
        raise BadQueryError(400, "sort", "sort must be createdAt or -createdAt")
    return value.startswith("-")


def _number(parameter: str, value: str) -> int:
    if not NUMBER.fullmatch(value):
        raise BadQueryError(400, parameter, f"{parameter} must be a whole number")
    return int(value)


def _boolean(parameter: str, value: str) -> bool:
    if value.lower() not in {"true", "false"}:
        raise BadQueryError(400, parameter, f"{parameter} must be true or false")
    return value.lower() == "true"


def _date(parameter: str, value: str) -> int:
    """Ticks since 1970 of an ISO 8601 date with up to seven decimals."""
    wrong = BadQueryError(400, parameter, f"{parameter} must be a date")
    parts = DATE.fullmatch(value)
    if parts is None:
        raise wrong
    try:
        time = parts["time"] or "00:00:00"
        moment = datetime.fromisoformat(f"{parts['day']}T{time}{parts['offset'] or 'Z'}")
    except ValueError:
        raise wrong from None
    since = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1)
    return since * TICKS + int((parts["fraction"] or "0").ljust(7, "0"))
