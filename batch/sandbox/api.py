"""The API's answer to a request, decided without touching a socket or a license.

Where the Cryptlex Web API documentation is silent, this is assumed:

- A license ID in the path matches in any case; an ID that is no UUID is simply unknown.
- A body that is not ``application/json`` is refused with 415, a body that names no property or
  one other than ``revoked`` and ``suspended`` with 400.
- A PATCH that changes nothing moves ``updatedAt`` all the same.
- The token is checked before path parameters, query and body.

A filter that the API has and the sandbox has not is refused with 400, and never with a 5xx: those
are tried again.
"""

from __future__ import annotations

import json
import re
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from batch.sandbox.account import TICKS, Account, SandboxLicense
from batch.sandbox.message import JSON, Change, Handler, Request, Response

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

NOT_FOUND_PAGE = b"<!DOCTYPE html>\n<html><body><h1>404 Not Found</h1></body></html>\n"
TOKEN = "sandbox-token"  # noqa: S105 - opens nothing but a sandbox
TOKENS = {TOKEN: frozenset({"license:read", "license:write"})}
"""The access token of every sandbox, and its scopes."""

SCOPES = {"GET": "license:read", "PATCH": "license:write"}
METHODS = {"license": ("GET", "PATCH"), "licenses": ("GET",), "status": ("GET",)}


class Api:
    """Answers requests from an account.

    Args:
        account: The licenses.
        tokens: Access token to its scopes; read anew for each request.
        wall_clock: The present time in seconds since 1970.
    """

    def __init__(
        self,
        account: Account,
        tokens: Mapping[str, frozenset[str]] = TOKENS,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._account = account
        self._tokens = tokens
        self._wall_clock = wall_clock

    def handle(self, request: Request) -> Response:
        """Answer a request; the ``change`` is for the caller to apply."""
        refusal = _unroutable(request)
        if refusal is not None:
            return refusal
        if request.resource == "status":
            return success({"status": "ok"})
        refusal = self._unauthorized(request)
        if refusal is not None:
            return refusal
        return self._list(request) if request.resource == "licenses" else self._license(request)

    def _unauthorized(self, request: Request) -> Response | None:
        """The refusal of a request that its token does not admit, or None."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        scopes = self._tokens.get(token.strip()) if scheme.lower() == "bearer" else None
        if scopes is None:
            refusal = error(401, "UNAUTHORIZED", "Access token is missing, invalid or expired.")
            return replace(refusal, headers={"WWW-Authenticate": "Bearer"})
        needed = SCOPES[request.method]
        if needed not in scopes:
            return error(403, "FORBIDDEN", f"Access token lacks the scope {needed}.")
        return None

    def _license(self, request: Request) -> Response:
        license_ = self._account.find(request.license_id)
        if license_ is None:
            return error(404, "LICENSE_NOT_FOUND", "License with the specified id does not exist.")
        return (
            self._patch(license_, request)
            if request.method == "PATCH"
            else success(license_.as_json())
        )

    def _list(self, request: Request) -> Response:
        try:
            licenses, headers = select(self._account, request.query, self._ticks())
        except BadQueryError as e:
            return error(e.status, "INVALID_QUERY", str(e), field=e.field)
        return replace(success([license_.as_json() for license_ in licenses]), headers=headers)

    def _patch(self, license_: SandboxLicense, request: Request) -> Response:
        media_type = request.headers.get("Content-Type", "").partition(";")[0]
        if media_type.strip().lower() != "application/json":
            return error(415, "UNSUPPORTED_MEDIA_TYPE", "The body must be application/json.")
        try:
            properties = json.loads(request.body)
        except (ValueError, RecursionError):
            return error(400, "INVALID_JSON", "The body is not valid JSON.")
        if not isinstance(properties, dict) or not properties:
            return error(400, "VALIDATION_FAILED", "The body must be an object with properties.")
        for name, value in properties.items():
            if name not in CHANGEABLE:
                return error(400, "VALIDATION_FAILED", f"Unknown property {name}.", field=name)
            if not isinstance(value, bool):
                return error(400, "VALIDATION_FAILED", f"{name} must be a boolean.", field=name)
        updated = max(self._ticks(), license_.updated + 1)
        change = Change(license_, properties=properties, updated=updated)
        return replace(success(change.as_json()), change=change)

    def _ticks(self) -> int:
        return int(self._wall_clock() * TICKS)


def _unroutable(request: Request) -> Response | None:
    """The refusal of a request to a path or by a method that there is not, or None."""
    methods = METHODS.get(request.resource)
    if methods is None:
        return Response(404, NOT_FOUND_PAGE, "text/html")
    if request.method not in methods:
        refusal = error(405, "METHOD_NOT_ALLOWED", f"{request.method} is not allowed here.")
        return replace(refusal, headers={"Allow": ", ".join(methods)})
    return None


def success(value: object) -> Response:
    """A 200 with this value as JSON."""
    return Response(200, json.dumps(value, separators=(",", ":")).encode())


def error(status: int, code: str, message: str, *, field: str | None = None) -> Response:
    """The API's error body; ``errors`` is there for a field that failed its validation."""
    body: dict[str, Any] = {"message": message, "code": code}
    if field is not None:
        body["errors"] = [{"message": message, "code": code, "field": field}]
    return replace(success(body), status=status)


def with_codes(handler: Handler, codes: str) -> Handler:
    """Return a handler whose error bodies have a ``code`` or not, since the API promises none.

    Args:
        handler: Answers the requests.
        codes: ``present``, ``absent``, or ``null``.
    """
    if codes == "present":
        return handler

    def handle(request: Request) -> Response:
        response = handler(request)
        if response.status < 400 or response.content_type != JSON:
            return response
        body = json.loads(response.body)
        for each in (body, *body.get("errors", ())):
            if codes == "null":
                each["code"] = None
            else:
                each.pop("code", None)
        return replace(response, body=success(body).body)

    return handle


CHANGEABLE = frozenset({"revoked", "suspended"})
"""Properties that a PATCH may hold."""

DEFAULT_LIMIT = 25
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
        raise BadQueryError(400, parameter, f"the sandbox does not offer the filter {name}")
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
