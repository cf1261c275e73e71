"""The Cryptlex Web API: one request in, one license or one error out.

Nothing is retried here, and nothing leaves except through the rate limiter: one call is at most one
request. Facts: Cryptlex Web API v3 documentation.
"""

from __future__ import annotations

import asyncio
import logging
import re
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar
from urllib.parse import quote

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from batch import __version__
from batch.api.base_url import proxy_for
from batch.api.responses import LICENSE_ID, confirmed, license_from, page_from, told_page_from
from batch.api.transport import (
    Attempt,
    Deadlines,
    MarkingConnector,
    Route,
    failure_of,
    read_body,
    send_once,
    tls_context,
)
from batch.errors import ApiError, HeldBackError, told
from batch.model import Property

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence
    from types import TracebackType

    from batch.api.rate_limiter import RateLimiter
    from batch.model import License, Page, ToldPage


log = logging.getLogger(__name__)

LARGEST_BODY = 1 << 20
"""Bytes of a body about one license that are read at most; a license is about one thousand."""

LARGEST_PAGE = 16 << 20
"""The same for a page of licenses."""

PAGE_SIZE = 100
"""Licenses on a page: the most that is safe to ask for (Cryptlex Web API, "Pagination")."""

_SENT_ONCE = (send_once,)

_T = TypeVar("_T")
_T_co = TypeVar("_T_co", covariant=True)


class _Parse(Protocol[_T_co]):
    """Parses an answer (status, headers, body), or raises an ApiError."""

    def __call__(self, status: int, headers: Mapping[str, str], body: bytes, /) -> _T_co: ...


_BODIES = {
    (changes, value): aiohttp.BytesPayload(
        f'{{"{changes}": {str(value).lower()}}}'.encode(), content_type="application/json"
    )
    for changes in Property
    for value in (True, False)
}


class CryptlexClient:
    """Speaks to one installation of the API; an asynchronous context manager.

    Args:
        base_url: Up to and including the version, without a slash at the end.
        token: Access token with the scope ``license:write``.
        rate_limiter: What every request waits for.
        timeout: Seconds for one attempt, from the connection to the last byte.
        connections: Most connections that are open at a time.
        ca_file: PEM file of the authorities to trust instead of the system's.
        changes: The one property that is sent, and that every license that is read has to tell.

    Attributes:
        patches: PATCH requests sent so far.
        cached: Whether an answer has said that it came out of a cache.

    Raises:
        ConfigError: The CA file, or the proxy that the environment names, cannot be used.
    """

    def __init__(
        self,
        base_url: str,
        token: str,
        rate_limiter: RateLimiter,
        *,
        timeout: float = 30.0,
        connections: int = 32,
        ca_file: str | None = None,
        changes: Property = Property.REVOKED,
    ) -> None:
        self.patches = 0
        self.cached = False
        self._changes = changes
        self._licenses = URL(f"{base_url}/licenses", encoded=True)
        self._rate_limiter = rate_limiter
        self._timeout = timeout
        self._connections = connections
        self._tls = tls_context(ca_file)
        self._proxy = proxy_for(base_url)
        self._route = Route.to(self._licenses, self._proxy)
        public = {"Accept": "application/json", "User-Agent": f"bulk-revoke/{__version__}"}
        # Those of the session, which cost less than those of a request. A proxy is sent them as
        # well, so the token is not among them then.
        self._headers = CIMultiDict(public)
        self._own_headers = CIMultiDict[str]() if self._proxy else None
        self.use(token)

    def use(self, token: str) -> None:
        """Send this access token with every request from now on."""
        headers = self._headers if self._own_headers is None else self._own_headers
        headers["Authorization"] = f"Bearer {token}"

    async def __aenter__(self) -> Self:
        self._deadlines = Deadlines(self._timeout)
        self._session = aiohttp.ClientSession(
            connector=MarkingConnector(limit=self._connections, ssl=self._tls),
            headers=self._headers,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(),  # none of its own
            proxy=self._proxy,
            trust_env=False,  # it would read ~/.netrc, and send loopback through a proxy
        )
        self._headers = self._session.headers
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._deadlines.close()
        await self._session.close()

    # These make coroutines and are none themselves: one layer less for each answer to climb.

    def change(
        self, license_id: str, value: bool, *, unless: Callable[[], bool] | None = None
    ) -> Coroutine[Any, Any, None]:
        """Set the property, and return once the server has described the license so.

        Safe to repeat: setting the same value twice changes nothing.

        Args:
            license_id: Which license.
            value: Of the property.
            unless: Asked in the moment of sending; if it says so, nothing is sent.

        Raises:
            HeldBackError: Nothing was sent.
            TransientError: No usable answer, 429 or 5xx. The change may have been made.
            UnconfirmedError: A success that does not confirm this value for this license.
            RejectedError: The server refused this license; asking again is pointless.
            AccessError: The token is not accepted; so will every other request be.
        """
        return self._request(
            "PATCH",
            self._url(license_id),
            license_id,
            partial(confirmed, license_id=license_id, wanted=value, changes=self._changes),
            body=_BODIES[self._changes, value],
            unless=unless,
        )

    def get(self, license_id: str) -> Coroutine[Any, Any, License]:
        """Read one license; errors as in `change`, nothing is changed."""
        parse = partial(license_from, license_id=license_id, changes=self._changes)
        return self._request("GET", self._url(license_id), license_id, parse)

    def list(
        self, filters: Mapping[str, Sequence[str]], *, page: int = 1
    ) -> Coroutine[Any, Any, Page]:
        """Read one page of the licenses that meet all filters, `PAGE_SIZE` at most.

        Args:
            filters: Name, with its operator in brackets, to values; none at all means every
                license of the account.
            page: Counted from 1.

        Raises:
            ValueError: A filter is empty, or would be read as several values. The API ignores an
                empty one and returns every license: such a request is never sent.
            TransientError: No usable answer, 429 or 5xx.
            RejectedError: The server refused the list.
            AccessError: The token is not accepted; so will every other request be.
        """
        parse = partial(page_from, changes=self._changes)
        return self._list(f"?page={page}&limit={PAGE_SIZE}{filter_query(filters)}", parse)

    def told(
        self, filters: Mapping[str, Sequence[str]], *, page: int = 1
    ) -> Coroutine[Any, Any, ToldPage]:
        """Read a page as the server tells it, oldest licenses first; all else is as in `list`."""
        query = f"?page={page}&limit={PAGE_SIZE}&sort=createdAt{filter_query(filters)}"
        return self._list(query, partial(told_page_from, changes=self._changes))

    def _list(self, query: str, parse: _Parse[_T]) -> Coroutine[Any, Any, _T]:
        url = URL(f"{self._licenses}{query}", encoded=True)
        return self._request("GET", url, "list of licenses", parse, most=LARGEST_PAGE)

    @property
    def silence(self) -> tuple[float, str]:
        """How long the oldest request has been under way, in seconds, and what it waits for."""
        oldest = self._deadlines.oldest
        if oldest is None:
            return 0.0, ""
        attempt, seconds = oldest
        if attempt.left:
            return seconds, f"no answer from {self._route.whole} yet"
        return seconds, f"no connection to {self._route.whole} yet (is a firewall in the way?)"

    def _url(self, license_id: str) -> URL:
        if not LICENSE_ID.fullmatch(license_id):
            # Anything else could leave its path segment: the URL type folds ".." by itself.
            raise ValueError(f"not a license ID: {license_id!r}")
        # A whole URL would be parsed again for each license.
        return self._licenses.with_path(f"{self._licenses.raw_path}/{license_id}", encoded=True)

    async def _request(
        self,
        method: str,
        url: URL,
        target: str,
        parse: _Parse[_T],
        *,
        body: aiohttp.BytesPayload | None = None,
        most: int = LARGEST_BODY,
        unless: Callable[[], bool] | None = None,
    ) -> _T:
        sent = await self._rate_limiter.acquire()
        if unless is not None and unless():
            self._rate_limiter.give_back()
            raise HeldBackError
        self.patches += method == "PATCH"
        attempt, error = self._deadlines.begin(), None
        try:
            response = await self._session.request(
                method,
                url,
                data=body,
                headers=self._own_headers,
                allow_redirects=False,
                middlewares=() if method == "PATCH" else _SENT_ONCE,
            )
            try:
                attempt.status = response.status
                answer = await read_body(response, most)
            except BaseException:
                response.close()
                raise
            if method == "GET" and not self.cached:
                self._notice_cache(response.headers)
            return parse(response.status, response.headers, answer)
        except ApiError as refusal:
            error = refusal
            error.sent = sent
            raise
        except (aiohttp.ClientError, OSError, asyncio.CancelledError) as cause:
            if not isinstance(cause, asyncio.CancelledError):
                error = failure_of(cause, attempt, self._route)
            elif attempt.ran_out():
                error = failure_of(TimeoutError(), attempt, self._route)
            else:
                raise
            error.sent = sent
            raise error from None  # the cause may name the proxy with its password
        finally:
            self._deadlines.end(attempt)
            self._rate_limiter.release()
            if log.isEnabledFor(logging.DEBUG):
                _log(method, target, attempt, error)

    def _notice_cache(self, headers: Mapping[str, str]) -> None:
        """Warn, once, that what is read may be older than it is (RFC 9111, section 5.1)."""
        age = headers.get("Age", "").strip()
        if not re.fullmatch(r"0*[1-9][0-9]{0,8}", age):
            return
        self.cached = True
        cache = headers.get("Via", "").strip()
        log.warning(
            "a cache%s answers in the place of the API, with what is %s s old: have it pass on"
            " what is asked of the API",
            f" ({cache})" if re.fullmatch(r"[\w .,:;/()+-]{1,60}", cache) else "",
            int(age),
            extra={"event": "cached"},
        )


def _log(method: str, target: str, attempt: Attempt, error: ApiError | None) -> None:
    status = attempt.status
    log.debug(
        "%s %s: %s",
        method,
        target,
        # An answer may hold a license key, and a log must not: its code is enough.
        told(error, to_all=True) if error and status is None else f"HTTP {status}",
        extra={
            "event": "attempt",
            "method": method,
            "license_id": target if LICENSE_ID.fullmatch(target) else None,
            "http_status": status,
            "error_code": error.code if error else None,
            "duration_ms": round((asyncio.get_running_loop().time() - attempt.began) * 1000, 1),
        },
    )


def filter_query(filters: Mapping[str, Sequence[str]]) -> str:
    """The filters of a list as they stand in its URL, each with ``&`` before it.

    Raises:
        ValueError: A filter is empty or has no name, so that it would match every license; or its
            operator would read other values than these.
    """
    parts = []
    for name, values in filters.items():
        if not name.strip() or not values or not all(map(says_something, values)):
            raise ValueError(f"the filter {name} is empty: it would match every license")
        if name.lower().endswith(("[in]", "[nin]")):
            if any("," in value for value in values):
                raise ValueError(f"a value of the filter {name} holds a comma")
        elif len(values) > 1:
            raise ValueError(f"the filter {name} takes one value, not {len(values)}")
        spelled = ",".join(quote(value, safe="") for value in values)
        parts.append(f"&{quote(name, safe='')}={spelled}")
    return "".join(parts)


def says_something(value: str) -> bool:
    """Tell whether anything is left of a value without its commas and white space."""
    return bool(value.replace(",", " ").strip())
