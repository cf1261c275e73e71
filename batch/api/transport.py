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


@dataclass(slots=True)
class Attempt:
    """The state of a request that is under way, as far as it is known.

    Attributes:
        left: A connection was made and the head is being sent: it may be carried out.
        status: HTTP status, once the head of an answer has come.
    """

    left: bool = False
    status: int | None = None


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
    """The connection ended before an answer came."""


async def send_once(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Hide dropped connections from aiohttp, which would send a GET again past the rate limiter."""
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as cause:
        # aiohttp puts a head that broke off into the other one, whatever is in it.
        told = str(cause) if isinstance(cause, aiohttp.ClientOSError) else ""
        raise _DroppedError(told or "the server closed the connection") from cause


async def read_body(response: aiohttp.ClientResponse, most: int) -> bytes:
    """The whole body, inflated; refused beyond so many bytes."""
    content = response.content
    chunks = [content.read_nowait()] if content.is_eof() else []
    size = sum(map(len, chunks))
    while not content.at_eof() and size <= most:
        chunks.append(await content.readany())
        size += len(chunks[-1])
    if size > most:
        raise TransientError(
            f"HTTP {response.status} with a body of more than {most >> 20} MiB",
            status=response.status,
            code="bad_body",
        )
    return b"".join(chunks)


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
    # Other errors may name the proxy with its password.
    reason = str(cause) if isinstance(cause, _DroppedError) else type(cause).__name__
    return "the connection failed", "connection", reason


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
        self._open: dict[asyncio.Task[Any], tuple[float, int]] = {}
        self._over: set[asyncio.Task[Any]] = set()
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """The current task begins an attempt."""
        task = asyncio.current_task()
        assert task is not None
        self._open[task] = self._loop.time() + self._seconds, task.cancelling()
        if self._timer is None:
            self._timer = self._loop.call_later(self._seconds, self._check)

    def end(self) -> None:
        """The current task has ended its attempt, in whatever way."""
        task = asyncio.current_task()
        assert task is not None
        del self._open[task]
        self._over.discard(task)

    def is_over(self) -> bool:
        """Tell whether the current task was cancelled only because its time is over.

        To be asked once, after its cancellation; it is then taken back.
        """
        task = asyncio.current_task()
        assert task is not None
        return task in self._over and task.uncancel() <= self._open[task][1]

    def close(self) -> None:
        """Watch no longer."""
        if self._timer is not None:
            self._timer.cancel()

    def _check(self) -> None:
        self._timer = None
        now = self._loop.time()
        for task, (ends_at, _) in self._open.items():
            if ends_at > now:
                self._timer = self._loop.call_at(ends_at, self._check)
                return
            if task not in self._over:
                self._over.add(task)
                task.cancel()
