"""One exchange with a server: sent once, read whole, and what it means when that fails."""

from __future__ import annotations

import asyncio
import ssl
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp

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
    """Notes of an attempt that it has got its connection.

    aiohttp's tracing could tell as well, but is dear (docs/performance.md).
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


def failure_of(cause: Exception, attempt: Attempt) -> ApiError:
    """Return the error that a failed exchange means, from the exception of aiohttp."""
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
    message, code, shown = _described(cause, attempt.status)
    error = TransientError(message, status=attempt.status, code=code, shown=shown)
    error.arrived = attempt.left
    return error


def _described(cause: Exception, status: int | None) -> tuple[str, str, str]:
    """Of an exchange that may go better the next time the message, its code, and others' words."""
    if isinstance(cause, TimeoutError):
        return "no answer in time", "timeout", ""
    if isinstance(cause, aiohttp.ClientHttpProxyError):
        return f"the proxy cannot connect (HTTP {cause.status})", "connection", ""
    if isinstance(cause, aiohttp.ClientConnectorError):
        code = "tls" if isinstance(cause, aiohttp.ClientSSLError) else "connection"
        return f"no connection to {cause.host}:{cause.port} ({cause.os_error})", code, ""
    if status is not None:
        return f"HTTP {status} with a body that broke off", "bad_body", ""
    if isinstance(cause, aiohttp.ClientResponseError):
        return "an answer that is no HTTP", "bad_body", ""
    return "the connection failed", "connection", _reason(cause)


def _reason(cause: BaseException) -> str:
    """The words of others for a connection that failed; some would name the proxy's password."""
    if isinstance(cause, _DroppedError) and cause.__cause__ is not None:
        cause = cause.__cause__
    if isinstance(cause, aiohttp.ServerDisconnectedError):
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
