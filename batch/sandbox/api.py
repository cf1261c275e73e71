"""What the API answers to a request, decided without touching a socket or a license.

Where the Cryptlex Web API documentation is silent, this is assumed:

- A license ID in the path matches in any case; an ID that is no UUID is simply unknown.
- A body that is not ``application/json`` is refused with 415, a body that names no property or
  one other than ``revoked`` with 400.
- A PATCH that changes nothing moves ``updatedAt`` all the same.
- The token is checked before path parameters, query and body.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from batch.sandbox.license import TICKS
from batch.sandbox.listing import BadQueryError, select
from batch.sandbox.message import Call, Change, Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from batch.sandbox.account import Account
    from batch.sandbox.license import SandboxLicense

NOT_FOUND_PAGE = b"<!DOCTYPE html>\n<html><body><h1>404 Not Found</h1></body></html>\n"
SCOPES = {"GET": "license:read", "PATCH": "license:write"}
METHODS = {"license": ("GET", "PATCH"), "licenses": ("GET",), "status": ("GET",)}


class Api:
    """Answers requests from an account.

    Args:
        account: The licenses.
        tokens: Access token to its scopes; read anew for each request.
        wall_clock: The present time in seconds since 1970.
        pagination: Whether lists carry the ``Pagination-*`` headers.
    """

    def __init__(
        self,
        account: Account,
        tokens: Mapping[str, frozenset[str]],
        wall_clock: Callable[[], float],
        *,
        pagination: bool = True,
    ) -> None:
        self._account = account
        self._tokens = tokens
        self._wall_clock = wall_clock
        self._pagination = pagination

    def answer(self, call: Call) -> Reply:
        """The answer to a request; its ``change`` is for the caller to apply."""
        refusal = _unroutable(call)
        if refusal is not None:
            return refusal
        if call.resource == "status":
            return success({"status": "ok"})
        refusal = self._unauthorized(call)
        if refusal is not None:
            return refusal
        return self._list(call) if call.resource == "licenses" else self._license(call)

    def _unauthorized(self, call: Call) -> Reply | None:
        """The refusal of a request that its token does not admit, or None."""
        scheme, _, token = call.headers.get("Authorization", "").partition(" ")
        scopes = self._tokens.get(token.strip()) if scheme.lower() == "bearer" else None
        if scopes is None:
            refusal = error(401, "UNAUTHORIZED", "Access token is missing, invalid or expired.")
            return replace(refusal, headers={"WWW-Authenticate": "Bearer"})
        needed = SCOPES[call.method]
        if needed not in scopes:
            return error(403, "FORBIDDEN", f"Access token lacks the scope {needed}.")
        return None

    def _license(self, call: Call) -> Reply:
        license_ = self._account.find(call.license_id)
        if license_ is None:
            return error(404, "LICENSE_NOT_FOUND", "License with the specified id does not exist.")
        return (
            self._patch(license_, call) if call.method == "PATCH" else success(license_.as_json())
        )

    def _list(self, call: Call) -> Reply:
        try:
            licenses, headers = select(self._account, call.query, self._ticks())
        except BadQueryError as e:
            return error(e.status, "INVALID_QUERY", str(e), field=e.field)
        reply = success([license_.as_json() for license_ in licenses])
        return replace(reply, headers=headers) if self._pagination else reply

    def _patch(self, license_: SandboxLicense, call: Call) -> Reply:
        media_type = call.headers.get("Content-Type", "").partition(";")[0]
        if media_type.strip().lower() != "application/json":
            return error(415, "UNSUPPORTED_MEDIA_TYPE", "The body must be application/json.")
        try:
            properties = json.loads(call.body)
        except (ValueError, RecursionError):
            return error(400, "INVALID_JSON", "The body is not valid JSON.")
        if not isinstance(properties, dict) or not properties:
            return error(400, "VALIDATION_FAILED", "The body must be an object with properties.")
        for name, value in properties.items():
            if name != "revoked":
                return error(400, "VALIDATION_FAILED", f"Unknown property {name}.", field=name)
            if not isinstance(value, bool):
                return error(400, "VALIDATION_FAILED", "revoked must be a boolean.", field=name)
        updated = max(self._ticks(), license_.updated + 1)
        change = Change(license_, revoked=properties["revoked"], updated=updated)
        return replace(success(change.as_json()), change=change)

    def _ticks(self) -> int:
        return int(self._wall_clock() * TICKS)


def _unroutable(call: Call) -> Reply | None:
    """The refusal of a request to a path or by a method that there is not, or None."""
    methods = METHODS.get(call.resource)
    if methods is None:
        return Reply(404, NOT_FOUND_PAGE, "text/html")
    if call.method not in methods:
        refusal = error(405, "METHOD_NOT_ALLOWED", f"{call.method} is not allowed here.")
        return replace(refusal, headers={"Allow": ", ".join(methods)})
    return None


def success(value: object) -> Reply:
    """A 200 with this value as JSON."""
    return Reply(200, json.dumps(value, separators=(",", ":")).encode())


def error(status: int, code: str, message: str, *, field: str | None = None) -> Reply:
    """The API's error body; ``errors`` is there for a field that failed its validation."""
    body: dict[str, Any] = {"message": message, "code": code}
    if field is not None:
        body["errors"] = [{"message": message, "code": code, "field": field}]
    return replace(success(body), status=status)
