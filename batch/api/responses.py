"""The meaning of an API answer: pure, from status, headers and body to a license or an error.

Facts: Cryptlex Web API documentation ("Errors", "Rate limits"); the wording of a 429 is that of
the .NET middleware AspNetCoreRateLimit. A status is never believed without its body: proxies,
portals and maintenance pages answer with 200 as well.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, NoReturn, TypeGuard

from multidict import MultiMapping

from batch.errors import (
    AccessError,
    ApiError,
    ForeignError,
    RejectedError,
    ThrottledError,
    TransientError,
    UnconfirmedError,
)
from batch.formatting import epoch_seconds, escaped
from batch.license_object import details
from batch.model import License, Page, Property, ToldPage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


loads: Callable[[bytes], Any]
try:
    from orjson import loads
except ImportError:
    from json import loads

_ADMITTED = re.compile(rb"(?<![-.\w])(\d{1,9}) per (\d{1,9})\s*([smhd])", re.IGNORECASE)
"""As AspNetCoreRateLimit 5, Flask-Limiter 4.1 and slowapi 0.1 say it."""
_UNITS = {b"s": 1, b"m": 60, b"h": 3600, b"d": 86400}

_POLICY = re.compile(r"(?:^|;)\s*(?:q\s*=\s*)?(\d{1,9})\s*(?=;)")
_POLICY_WINDOW = re.compile(r";\s*w\s*=\s*(\d{1,9})")
_RESETS = ("RateLimit-Reset", "X-RateLimit-Reset")
_RESET = re.compile(r"(?:^|[;,]\s*)(?:t|reset)\s*=\s*(\d{1,9})")

BELIEVABLE = 300.0
"""Seconds at most that a limiter's headers are believed, ``Retry-After`` aside. A longer window is
that of a quota: it says nothing of the pace."""

EPOCH = 1e9
"""A reset beyond this is no number of seconds to wait, but a moment in seconds since 1970."""

LICENSE_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""A license ID in canonical form: what may stand in a path."""

_AGAIN = frozenset({408, 425})
"""The 4xx answers that are about the moment and not about the license (RFC 9110, RFC 8470)."""


def license_from(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    license_id: str,
    changes: Property = Property.REVOKED,
) -> License:
    """The license that an answer describes, if it is the one that was asked for.

    Args:
        status: HTTP status.
        headers: Response headers, looked up without regard to case.
        body: The whole body, inflated.
        license_id: The ID that stood in the path, in lower case.
        changes: The property that a license has to tell.

    Raises:
        TransientError: Not an answer of the API, or trouble on its side: ask again.
        ThrottledError: 429, or 503 with ``Retry-After``.
        UnconfirmedError: A success that does not describe this license.
        RejectedError: The API refused this license, or does not know it (404). Where the body of
            a 404 has no code, as the API's schema allows, a gateway may have said so of the path.
        AccessError: Token, base URL or proxy are wrong.
    """
    return _described(_license(status, headers, body, license_id, changes))


def confirmed(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    license_id: str,
    *,
    wanted: bool,
    changes: Property = Property.REVOKED,
) -> None:
    """Return if the answer to a PATCH describes the license with the value that was sent.

    It is believed about the property that was sent, and nothing else.

    Raises:
        UnconfirmedError: It has the other one; and what `license_from` raises.
    """
    found = _license(status, headers, body, license_id, changes)
    value = found[changes]
    if value is not wanted:
        error = UnconfirmedError(
            f"the answer says {changes}: {str(value).lower()}", status=status, code="not_confirmed"
        )
        error.updated = epoch_seconds(found.get("updatedAt"))
        raise error


def page_from(
    status: int, headers: Mapping[str, str], body: bytes, changes: Property = Property.REVOKED
) -> Page:
    """The licenses that the answer to a list describes.

    Nobody has asked for them by their IDs, so each has to have one that may stand in a path.

    Raises:
        TransientError: Not an answer of the API, or trouble on its side: ask again.
        RejectedError: The API refused the list; and the other errors of `license_from`.
    """
    told = told_page_from(status, headers, body, changes)
    return Page([_described(each) for each in told.licenses], told.total)


def told_page_from(
    status: int, headers: Mapping[str, str], body: bytes, changes: Property = Property.REVOKED
) -> ToldPage:
    """The same as the server tells it; errors as in `page_from`."""
    if status == 404 and not (api_error(body) or ("", ""))[1]:  # every account has this list
        raise _foreign(status, body)
    if not 200 <= status < 300:
        _refuse(status, headers, body)
    try:
        data: Any = loads(body)
    except (ValueError, RecursionError):
        data = None
    found = data if isinstance(data, list) else [None]
    licenses = [each for each in found if _is_license(each, changes)]
    if len(licenses) != len(found) or not all(
        LICENSE_ID.fullmatch(each["id"].lower()) for each in licenses
    ):
        raise _unreadable(status, body, "a list of licenses")
    total = headers.get("Pagination-Count", "").strip()
    at = _date(headers.get("Date", ""))
    return ToldPage(
        licenses,
        total=int(total) if re.fullmatch(r"[0-9]{1,12}", total) else None,
        at=at.timestamp() if at else None,
    )


def api_error(body: bytes) -> tuple[str, str] | None:
    """The message and the code of the API's own error body, or None if this is not one."""
    try:
        data = loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(data, dict) or not isinstance(data.get("message"), str):
        return None
    code = data.get("code")
    return escaped(data["message"]), escaped(code) if isinstance(code, str) else ""


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that ``Retry-After`` asks to wait (a number or an HTTP date), or None."""
    value = headers.get("Retry-After", "").strip()
    if value.isascii() and value.isdigit():
        return float(value)
    until = _date(value)
    if until is None:
        return None
    # The server's own clock is the one that its date was made with.
    now = _date(headers.get("Date", "")) or datetime.now(UTC)
    return max(0.0, (until - now).total_seconds())


def _date(text: str) -> datetime | None:
    try:
        parsed = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)


def _license(
    status: int, headers: Mapping[str, str], body: bytes, license_id: str, changes: Property
) -> dict[str, Any]:
    """The object that describes the license that was asked for."""
    if not 200 <= status < 300:
        _refuse(status, headers, body)
    if status == 204:
        raise UnconfirmedError("HTTP 204 without a body", status=status, code="not_confirmed")
    try:
        data = loads(body)
    except (ValueError, RecursionError):
        data = None
    if not _is_license(data, changes):
        raise _unreadable(status, body, "the license")
    if data["id"].lower() != license_id:
        raise UnconfirmedError(
            "the answer is about another license",
            status=status,
            code="wrong_id",
            shown=escaped(data["id"].lower()),
        )
    return data


def _is_license(data: Any, changes: Property) -> TypeGuard[dict[str, Any]]:  # noqa: ANN401 - JSON
    return (
        isinstance(data, dict)
        and isinstance(data.get("id"), str)
        and isinstance(data.get(changes), bool)
    )


def _described(data: dict[str, Any]) -> License:
    """Build a `License` from a JSON object that describes one."""
    activations, user, tags = data.get("totalActivations"), data.get("user"), data.get("tags")
    grace = data.get("serverSyncGracePeriod")
    return License(
        id=data["id"].lower(),
        revoked=_flag(data, Property.REVOKED),
        suspended=_flag(data, Property.SUSPENDED),
        key=_text(data, "key"),
        product=_text(data, "productId").lower(),
        type=_text(data, "type"),
        expires=epoch_seconds(data.get("expiresAt")),
        created=epoch_seconds(data.get("createdAt")),
        updated=epoch_seconds(data.get("updatedAt")),
        activations=activations if type(activations) is int and 0 <= activations < 2**63 else 0,
        reseller=_text(data, "resellerId"),
        organization=_text(data, "organizationId"),
        user=_text(user, "id") if isinstance(user, dict) else "",
        tags=tuple(each for each in tags if isinstance(each, str))
        if isinstance(tags, list)
        else (),
        last_used=epoch_seconds(data.get("lastUsedAt")),
        grace_period=grace if type(grace) is int else None,
        details=details(data),
    )


def _flag(data: dict[str, Any], name: str) -> bool | None:
    value = data.get(name)
    return value if isinstance(value, bool) else None


def _text(data: dict[str, Any], name: str) -> str:
    value = data.get(name)
    return value if isinstance(value, str) else ""


def _refuse(status: int, headers: Mapping[str, str], body: bytes) -> NoReturn:
    said = api_error(body)
    error = _refusal(status, headers, body, said)
    error.from_api = bool(said and said[1])
    raise error


def _refusal(
    status: int, headers: Mapping[str, str], body: bytes, said: tuple[str, str] | None
) -> ApiError:
    message, shown = f"HTTP {status}", said[0] if said else ""
    code = (said and said[1]) or f"http_{status}"
    answer = ApiError(message, status=status, code=code, shown=shown)
    wait = _wait(status, headers) if status in {429, 503} else None
    if status == 429 or wait is not None:
        admitted = _admitted(headers, body)
        if wait is None and admitted and admitted[1] > BELIEVABLE:
            wait = admitted[1]
        return ThrottledError(
            message,
            status=status,
            code=code,
            shown=shown,
            retry_after=wait or 0.0,
            admitted=admitted,
        )
    if status >= 500 or status in _AGAIN:
        error = TransientError(message, status=status, code=code, shown=shown)
        # Gateways refuse with 503, a tarpit with 500; the API has a word for its own trouble.
        error.is_load = status == 503 or (status >= 500 and said is None)
        return error
    if status == 401 and (said or not body.strip()):
        return AccessError(
            "the token is not accepted",
            status=status,
            code=code,
            about=answer,
            hint="is it complete, of this account, and not expired? US and EU "
            "(api.eu.cryptlex.com) have accounts and tokens of their own.",
        )
    if status == 407:
        return AccessError(
            "the proxy asks for a login",
            status=status,
            code=code,
            about=answer,
            hint="put it into the proxy's URL in HTTPS_PROXY.",
        )
    if status < 400 or said is None:
        return _foreign(status, body)
    if status == 403 and not said[1]:
        code = "forbidden"
    return RejectedError(message, status=status, code=code, shown=shown)


def _unreadable(status: int, body: bytes, wanted: str) -> TransientError:
    """A success that does not bring what was asked for: a portal's page, or one that broke off."""
    kind = _kind(body)
    message = f"HTTP {status} with {kind} instead of {wanted}"
    if kind == _PAGE:
        return ForeignError(message, status=status, code="bad_body", shown=_title(body))
    return TransientError(message, status=status, code="bad_body")


def _foreign(status: int, body: bytes) -> ForeignError:
    error = ForeignError(
        f"HTTP {status}, {_kind(body)}", status=status, code=f"http_{status}", shown=_title(body)
    )
    error.arrived = status == 403  # some filter what the API has answered
    return error


def _wait(status: int, headers: Mapping[str, str]) -> float | None:
    """Seconds that a refusal asks to wait: ``Retry-After``, or for a 429 until its window ends.

    express-rate-limit, fastify and Flask-Limiter name the end in seconds to go or in seconds since
    1970, koa-ratelimit and slowapi with fractions. ``X-Rate-Limit-Reset`` is not asked: with the
    Redis store of AspNetCoreRateLimit it is wrong by up to a period.
    """
    wait = retry_after(headers)
    if wait is not None or status != 429:
        return wait
    found = _RESET.search(headers.get("RateLimit", ""))
    values = [found[1] if found else "", *(headers.get(name, "").strip() for name in _RESETS)]
    for value in values:
        if not re.fullmatch(r"\d{1,10}(\.\d{1,9})?", value):
            continue
        seconds = float(value)
        if seconds > EPOCH:
            now = _date(headers.get("Date", "")) or datetime.now(UTC)
            seconds -= now.timestamp()
        if 0 <= seconds <= BELIEVABLE:
            return seconds
    return None


def _admitted(headers: Mapping[str, str], body: bytes) -> tuple[int, float] | None:
    """Requests and seconds that a refusal says are admitted: in its body, or as a policy.

    Of several policies the strictest (IETF draft "RateLimit header fields", 6 to 8).
    """
    found = _ADMITTED.search(body)
    if found is not None and int(found[1]) and int(found[2]):
        return int(found[1]), float(int(found[2]) * _UNITS[found[3].lower()])
    policies = []
    for policy in _whole(headers, "RateLimit-Policy").split(","):
        most, window = _POLICY.search(policy.strip()), _POLICY_WINDOW.search(policy)
        if most and window and int(most[1]) and 0 < int(window[1]) <= BELIEVABLE:
            policies.append((int(most[1]), float(window[1])))
    return min(policies, key=lambda policy: policy[0] / policy[1], default=None)


def _whole(headers: Mapping[str, str], name: str) -> str:
    """A list field as one line (RFC 9110, 5.3); express-rate-limit writes one for each limiter."""
    lines = headers.getall(name, ()) if isinstance(headers, MultiMapping) else ()
    return ",".join(lines) or headers.get(name, "")


_PAGE = "an HTML page"
_TITLE = re.compile(rb"<title[^>]*>(.*?)</title>", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"<[^>]*>")


def _title(body: bytes) -> str:
    """The title of an HTML page, or its text if it has none: the first hundred characters."""
    start = body[:4096]
    found = _TITLE.search(start)
    text = _TAG.sub(" ", (found[1] if found else start).decode("utf-8", "replace"))
    return escaped(" ".join(text.split())[:100])


def _kind(body: bytes) -> str:
    start = body[:200].lstrip().lower()
    if not start:
        return "an empty body"
    if start.startswith(b"<"):
        return _PAGE
    return "other JSON" if start[:1] in {b"{", b"["} else "text"
