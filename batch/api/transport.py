"""One exchange with a server: sent once, read whole, and what it means when that fails."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import ssl
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp
from yarl import URL

from batch.api.tls import tls_error, tls_failure
from batch.errors import AccessError, ApiError, ConfigError, TransientError

if TYPE_CHECKING:
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace


@dataclass(slots=True, eq=False)
class Attempt:
    """A request that is under way, as far as its state is known.

    Attributes:
        task: The task that makes it, and nothing else meanwhile.
        began: When, in seconds on the loop's clock.
        cancels: How often the task had been cancelled before.
        left: A connection was made and the head is being sent: it may be carried out.
        status: HTTP status, once the head of an answer has come.
        is_late: Its time is over, so it was cancelled.
    """

    task: asyncio.Task[Any]
    began: float
    cancels: int
    left: bool = False
    status: int | None = None
    is_late: bool = False

    def ran_out(self) -> bool:
        """Tell whether its task was cancelled only because its time is over.

        To be asked once, after the cancellation; it is then taken back.
        """
        return self.is_late and self.task.uncancel() <= self.cancels


under_way: ContextVar[Attempt] = ContextVar("under_way")
"""The attempt that the current task makes."""


class MarkingConnector(aiohttp.TCPConnector):
    """A connector that notes when an attempt has got its connection.

    The tracing of aiohttp could tell that too, but costs much (docs/performance.md).
    """

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - as aiohttp has it
    ) -> Connection:
        """As aiohttp's."""
        connection = await super().connect(req, traces, timeout)
        under_way.get().left = True
        return connection


class _DroppedError(aiohttp.ClientError):
    """The connection ended before an answer came, for the reason that is its cause."""


async def send_once(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Hide dropped connections from aiohttp, which would send a GET again past the rate limiter.

    A PATCH it does not send again, since that is no idempotent method (RFC 9110, section 9.2.2).
    """
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as cause:
        raise _DroppedError from cause


async def read_body(response: aiohttp.ClientResponse, most: int) -> bytes:
    """The whole body, inflated; refused beyond so many bytes."""
    content = response.content
    body = content.read_nowait() if content.is_eof() else b""
    if not content.at_eof():
        chunks, size = [body], len(body)
        while not content.at_eof() and size <= most:
            chunks.append(await content.readany())
            size += len(chunks[-1])
        body = b"".join(chunks)
    if len(body) > most:
        raise TransientError(
            f"HTTP {response.status} with a body of more than {most >> 20} MiB",
            status=response.status,
            code="bad_body",
        )
    return body


@dataclass(frozen=True, slots=True)
class Route:
    """The server that requests go to, and the proxy between; as messages name them.

    That is host and port, without any login.

    Attributes:
        server: That of the API.
        proxy: The one that every connection is made to instead; or empty.
    """

    server: str
    proxy: str = ""

    @classmethod
    def to(cls, base_url: URL, proxy: str | None) -> Route:
        """The one to a base URL, through the proxy with this URL if there is one."""
        through = URL(proxy) if proxy else None
        return cls(
            _place(base_url.host, base_url.port),
            _place(through.host, through.port) if through else "",
        )

    @property
    def first(self) -> str:
        """The host that a connection is made to: the proxy, if there is one."""
        return f"the proxy {self.proxy}" if self.proxy else self.server

    @property
    def whole(self) -> str:
        """The server, and the proxy between."""
        return f"{self.server} through {self.first}" if self.proxy else self.server

    @property
    def setting(self) -> str:
        """The setting that names `first`."""
        return "HTTPS_PROXY" if self.proxy else "--base-url"

    def failed_at(self, cause: BaseException) -> tuple[str, str]:
        """The host that a failure is about, and the setting that names it.

        TLS is spoken with the server, through the tunnel of a proxy, so its failures are about
        the server.
        """
        if isinstance(cause, aiohttp.ClientConnectorError):
            is_first = _place(cause.host, cause.port) == (self.proxy or self.server)
        else:
            is_first = not self.proxy
        return (self.first, self.setting) if is_first else (self.server, "--base-url")


def _place(host: str | None, port: int | None) -> str:
    return f"[{host}]:{port}" if ":" in (host or "") else f"{host}:{port}"


def failure_of(cause: Exception, attempt: Attempt, route: Route) -> ApiError:
    """Return the error that a failed exchange means, from the exception of aiohttp."""
    if isinstance(cause, aiohttp.ClientHttpProxyError) and cause.status < 500:
        return AccessError(
            f"{route.first} refuses to connect to {route.server} (HTTP {cause.status})",
            status=cause.status,
            code=f"http_{cause.status}",
            hint="is the proxy in HTTPS_PROXY right, and its login in the URL?",
        )
    error: ApiError
    # Since TLS 1.3 a server that asks for a client certificate says so after the handshake, so it
    # is whatever is written or read first that fails.
    if tls := tls_error(cause):
        error = tls_failure(tls, *route.failed_at(cause))
    elif isinstance(cause, aiohttp.ClientConnectorDNSError):
        error = _nameless(cause.os_error, *route.failed_at(cause))
    else:
        message, code, shown = _described(cause, attempt, route)
        error = TransientError(message, status=attempt.status, code=code, shown=shown)
        error.is_load = _may_be_load(cause)
        if isinstance(getattr(cause, "os_error", None), ConnectionRefusedError):
            _, setting = route.failed_at(cause)
            error.hint = f"does it run, and is the port in {setting} right?"
    error.arrived = attempt.left
    return error


def _may_be_load(cause: Exception) -> bool:
    """Tell whether a connection was refused, or dropped, as limiters do it."""
    if isinstance(cause, aiohttp.ClientConnectorError):
        return isinstance(cause.os_error, ConnectionError)
    return isinstance(
        cause, (_DroppedError, aiohttp.ClientOSError, aiohttp.ServerDisconnectedError)
    )


def _described(cause: Exception, attempt: Attempt, route: Route) -> tuple[str, str, str]:
    """Of an exchange that may go better the next time the message, its code, and others' words."""
    status = attempt.status
    is_tunnel = route.proxy and not attempt.left
    if isinstance(cause, TimeoutError):
        said = "no answer in time" if attempt.left else f"no connection to {route.whole} in time"
        return said, "timeout", ""
    if isinstance(cause, aiohttp.ClientHttpProxyError):
        said = f"{route.first} cannot connect to {route.server} (HTTP {cause.status})"
        return said, "connection", ""
    if isinstance(cause, aiohttp.ClientConnectorError):
        place, _ = route.failed_at(cause)
        return f"no connection to {place} ({_of_system(cause.os_error)})", "connection", ""
    if status is not None:
        return f"HTTP {status} with a body that broke off", "bad_body", ""
    if isinstance(cause, aiohttp.ClientResponseError):
        said = f"{route.first} does not speak HTTP" if is_tunnel else "an answer that is no HTTP"
        return said, "bad_body", ""
    said = f"no connection to {route.whole}" if is_tunnel else "the connection failed"
    return said, "connection", _reason(cause)


_NO_SUCH_NAME = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}
"""Answers of a resolver that has looked; with EAI_AGAIN it could not (getaddrinfo(3))."""


def _nameless(cause: OSError, place: str, setting: str) -> TransientError:
    """No address is known for a host."""
    if cause.errno in _NO_SUCH_NAME:
        said, hint = "there is no such name", f"is the host in {setting} right?"
    elif cause.errno == socket.EAI_AGAIN:
        said, hint = "the name server does not answer", "is this machine connected?"
    else:
        said, hint = cause.strerror or "no reason given", ""
    error = TransientError(f"no address of {place} ({said})", code="connection", hint=hint)
    error.lasting = cause.errno in _NO_SUCH_NAME
    return error


def _of_system(cause: OSError) -> str:
    """The operating system's words for a connection that was not made."""
    known = cause.errno in errno.errorcode
    return os.strerror(cause.errno) if known and cause.errno else str(cause) or "it was closed"


def _reason(cause: BaseException) -> str:
    """The words of others for a connection that failed; some would name the proxy's password."""
    if isinstance(cause, _DroppedError) and cause.__cause__ is not None:
        cause = cause.__cause__
    if isinstance(cause, aiohttp.ServerDisconnectedError | aiohttp.ClientConnectionResetError):
        # aiohttp puts a head that broke off into it, whatever that holds.
        return "the server closed the connection"
    if isinstance(cause, aiohttp.ClientOSError):
        return str(cause) or "the server closed the connection"
    return type(cause).__name__


def tls_context(ca_file: str | None) -> ssl.SSLContext:
    """Return the trust that connections are made with.

    Raises:
        ConfigError: The file cannot be used.
    """
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as cause:
        raise ConfigError(f"{ca_file}: cannot be used ({cause})", option="--ca-file") from cause


class Deadlines:
    """Cancels the attempts that take too long; each is made in a task that makes no other one.

    Args:
        seconds: How long each may take.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._open: dict[Attempt, None] = {}
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> Attempt:
        """Begin an attempt of the current task."""
        task = asyncio.current_task(self._loop)
        assert task is not None
        attempt = Attempt(task, self._loop.time(), task.cancelling())
        self._open[attempt] = None
        under_way.set(attempt)
        if self._timer is None:
            self._timer = self._loop.call_later(self._seconds, self._check)
        return attempt

    @property
    def oldest(self) -> tuple[Attempt, float] | None:
        """The attempt that is under way for longest, and for how many seconds."""
        return next(((each, self._loop.time() - each.began) for each in self._open), None)

    def end(self, attempt: Attempt) -> None:
        """End an attempt, in whatever way."""
        del self._open[attempt]

    def close(self) -> None:
        """Watch no longer."""
        if self._timer is not None:
            self._timer.cancel()

    def _check(self) -> None:
        self._timer = None
        now = self._loop.time()
        for attempt in self._open:
            ends_at = attempt.began + self._seconds
            if ends_at > now:
                self._timer = self._loop.call_at(ends_at, self._check)
                return
            if not attempt.is_late:
                attempt.is_late = True
                attempt.task.cancel()
