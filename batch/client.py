"""The Cryptlex Web API: one request in, one license or one error out.

Nothing is retried here, and nothing leaves except through the gate: one call is at most one
request. Facts: Cryptlex Web API v3 documentation.
"""

from __future__ import annotations

import logging
import re
import ssl
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import aiohttp
from yarl import URL

from batch import __version__
from batch.address import proxy_for
from batch.answers import license_from
from batch.errors import AccessError, ApiError, ConfigError, TransientError, UnconfirmedError

if TYPE_CHECKING:
    from types import SimpleNamespace, TracebackType

    from batch.gate import Gate
    from batch.model import License

log = logging.getLogger(__name__)

LARGEST_BODY = 1 << 20
"""Bytes of a body that are read at most; a license is about one thousand."""

_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_BODIES = {True: b'{"revoked": true}', False: b'{"revoked": false}'}


class CryptlexClient:
    """Speaks to one installation of the API with one token; an asynchronous context manager.

    Args:
        base_url: Up to and including the version, without a slash at the end.
        token: Access token with the scope ``license:write``.
        gate: What every request waits for.
        timeout: Seconds for one attempt, from the connection to the last byte.
        connections: Most connections that are open at a time.
        ca_file: PEM file of the authorities to trust instead of the system's.

    Attributes:
        patches: PATCH requests sent so far.

    Raises:
        ConfigError: The CA file, or the proxy that the environment names, cannot be used.
    """

    def __init__(
        self,
        base_url: str,
        token: str,
        gate: Gate,
        *,
        timeout: float = 30.0,
        connections: int = 32,
        ca_file: str | None = None,
    ) -> None:
        self.patches = 0
        self._licenses = f"{base_url}/licenses/"
        self._gate = gate
        self._timeout = aiohttp.ClientTimeout(total=timeout, ceil_threshold=float("inf"))
        self._connections = connections
        self._tls = tls_context(ca_file)
        self._proxy = proxy_for(base_url)
        self._read_headers = {"Authorization": f"Bearer {token}"}
        self._change_headers = self._read_headers | {"Content-Type": "application/json"}

    async def __aenter__(self) -> Self:
        leaving = aiohttp.TraceConfig()
        leaving.on_request_headers_sent.append(_mark_left)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._connections, ssl=self._tls),
            # A proxy is sent these as well, so the token is not among them.
            headers={"Accept": "application/json", "User-Agent": f"bulk-revoke/{__version__}"},
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=self._timeout,
            proxy=self._proxy,
            trust_env=False,  # it would read ~/.netrc, and send loopback through a proxy
            middlewares=(_send_once,),
            trace_configs=[leaving],
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._session.close()

    async def set_revoked(self, license_id: str, revoked: bool) -> License:
        """Set ``revoked`` and return the license as the server then describes it.

        Safe to repeat: setting the same value twice changes nothing.

        Raises:
            TransientError: No usable answer, 429 or 5xx. The change may have been made.
            UnconfirmedError: A success that does not confirm this value for this license.
            RejectedError: The server refused this license; asking again is pointless.
            AccessError: The token is not accepted; so will every other request be.
        """
        return await self._request("PATCH", license_id, revoked)

    async def get(self, license_id: str) -> License:
        """Read one license; errors as in `set_revoked`, nothing is changed."""
        return await self._request("GET", license_id, None)

    async def _request(self, method: str, license_id: str, wanted: bool | None) -> License:
        if not _ID.fullmatch(license_id):
            # Anything else could leave its path segment: the URL type folds ".." by itself.
            raise ValueError(f"not a license ID: {license_id!r}")
        sent = await self._gate.acquire()
        self.patches += method == "PATCH"
        started = time.perf_counter()
        attempt = _Attempt()
        try:
            async with self._session.request(
                method,
                URL(self._licenses + license_id, encoded=True),
                data=None if wanted is None else _BODIES[wanted],
                headers=self._read_headers if wanted is None else self._change_headers,
                allow_redirects=False,
                trace_request_ctx=attempt,
            ) as response:
                attempt.status = response.status
                answer = await _read(response)
                found = license_from(response.status, response.headers, answer, license_id)
            if wanted is not None and found.revoked is not wanted:
                raise UnconfirmedError(
                    f"the answer says revoked: {str(found.revoked).lower()}",
                    status=attempt.status,
                    code="not_confirmed",
                )
        except ApiError as error:
            error.sent = sent
            self._log(method, license_id, started, attempt.status, error)
            raise
        except (aiohttp.ClientError, TimeoutError, OSError) as cause:
            failure = _error(cause, attempt)
            failure.sent = sent
            self._log(method, license_id, started, attempt.status, failure)
            raise failure from None  # the cause may name the proxy with its password
        finally:
            self._gate.release()
        self._log(method, license_id, started, attempt.status, None)
        return found

    def _log(
        self,
        method: str,
        license_id: str,
        started: float,
        status: int | None,
        error: ApiError | None,
    ) -> None:
        if log.isEnabledFor(logging.DEBUG):
            log.debug(
                "%s %s: %s",
                method,
                license_id,
                error.message if error else f"HTTP {status}",
                extra={
                    "event": "attempt",
                    "method": method,
                    "license_id": license_id,
                    "http_status": status,
                    "error_code": error.code if error else None,
                    "duration_ms": round((time.perf_counter() - started) * 1000, 1),
                },
            )


@dataclass(slots=True)
class _Attempt:
    """What is known of a request that is under way.

    Attributes:
        left: A connection was made and the head is being sent: it may be carried out.
        status: HTTP status, once the head of an answer has come.
    """

    left: bool = False
    status: int | None = None


async def _mark_left(
    _session: aiohttp.ClientSession,
    context: SimpleNamespace,
    _params: aiohttp.TraceRequestHeadersSentParams,
) -> None:
    context.trace_request_ctx.left = True


class _DroppedError(aiohttp.ClientError):
    """The connection ended before an answer came."""


async def _send_once(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Hide dropped connections from aiohttp, which would send a GET again past the gate."""
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as cause:
        raise _DroppedError(str(cause) or "the server closed the connection") from cause


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """The whole body, inflated; refused beyond `LARGEST_BODY`."""
    chunks, size = [], 0
    async for chunk in response.content.iter_any():
        chunks.append(chunk)
        size += len(chunk)
        if size > LARGEST_BODY:
            response.close()
            raise TransientError(
                f"HTTP {response.status} with a body of more than 1 MiB",
                status=response.status,
                code="bad_body",
            )
    return b"".join(chunks)


def _error(cause: Exception, attempt: _Attempt) -> ApiError:
    """What a failed exchange means, by what aiohttp says of it."""
    if isinstance(cause, aiohttp.ClientConnectorCertificateError):
        return AccessError(
            f"the server's certificate is not trusted ({cause.certificate_error})",
            code="tls",
            hint="name a private authority with --ca-file.",
        )
    if isinstance(cause, aiohttp.ClientHttpProxyError) and cause.status < 500:
        return AccessError(
            f"the proxy refuses to connect (HTTP {cause.status})",
            status=cause.status,
            code=f"http_{cause.status}",
            hint="is the proxy in HTTPS_PROXY right, and its login in the URL?",
        )
    message, code = _failure(cause, attempt.status)
    error = TransientError(message, status=attempt.status, code=code)
    error.arrived = attempt.left
    return error


def _failure(cause: Exception, status: int | None) -> tuple[str, str]:
    """Message and code of an exchange that may go better the next time."""
    if isinstance(cause, TimeoutError):
        return "no answer in time", "timeout"
    if isinstance(cause, aiohttp.ClientHttpProxyError):
        return f"the proxy cannot connect (HTTP {cause.status})", "connection"
    if isinstance(cause, aiohttp.ClientConnectorError):
        code = "tls" if isinstance(cause, aiohttp.ClientSSLError) else "connection"
        return f"no connection to {cause.host}:{cause.port} ({cause.os_error})", code
    if status is not None:
        return f"HTTP {status} with a body that broke off", "bad_body"
    if isinstance(cause, aiohttp.ClientResponseError):
        return "an answer that is no HTTP", "bad_body"
    # Other errors may name the proxy with its password.
    reason = cause if isinstance(cause, _DroppedError) else type(cause).__name__
    return f"the connection failed: {reason}", "connection"


def tls_context(ca_file: str | None) -> ssl.SSLContext:
    """Return the trust that connections are made with.

    Raises:
        ConfigError: The file cannot be used.
    """
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as cause:
        raise ConfigError(f"--ca-file {ca_file}: cannot be used ({cause})") from cause
