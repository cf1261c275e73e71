"""The API's answer to a request, decided without touching a socket or a license.

Where the Cryptlex Web API documentation is silent, this is assumed:

- A license ID in the path matches in any case; an ID that is no UUID is simply unknown.
- A body that is not ``application/json`` is refused with 415, a body that names no property or
  one other than ``revoked`` and ``suspended`` with 400.
- A PATCH that changes nothing moves ``updatedAt`` all the same.
- The token is checked before path parameters, query and body.

What is assumed of lists stands in `query`. Nothing is answered with a 5xx: those are tried again.
"""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from batch.sandbox.license import TICKS
from batch.sandbox.message import JSON, Change, Handler, Request, Response
from batch.sandbox.query import BadQueryError, select

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from batch.sandbox.account import Account
    from batch.sandbox.license import SandboxLicense

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
