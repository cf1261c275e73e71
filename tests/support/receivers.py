"""Who receives alerts: a web hook and a mailbox on loopback, and those that never answer."""

from __future__ import annotations

import json
import select
import socket
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Literal

from aiosmtpd.controller import Controller

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator, Mapping
    from email.message import EmailMessage

    from aiosmtpd.smtp import SMTP, Envelope, Session

Manner = Literal["answers", "silent", "drips"]


@dataclass(frozen=True)
class Request:
    """What a web hook was sent."""

    method: str
    path: str
    headers: Mapping[str, str]


@dataclass
class Hook:
    """A web hook.

    Attributes:
        port: Where it listens on 127.0.0.1.
        scheme: ``json``, or ``jsons`` where it speaks TLS.
        received: The JSON objects that it was sent, in their order.
        requests: The requests that it was sent, with a body or without.
        called: Set once there is a request.
        abandoned: Set once a sender has hung up before it got a whole answer.
    """

    port: int
    scheme: str = "json"
    received: list[dict[str, Any]] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    called: threading.Event = field(default_factory=threading.Event)
    abandoned: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        """The address as Apprise spells it."""
        return f"{self.scheme}://127.0.0.1:{self.port}/hook"


@contextmanager
def webhook(
    *,
    status: int = 200,
    manner: Manner = "answers",
    location: str = "",
    tls: ssl.SSLContext | None = None,
) -> Iterator[Hook]:
    """Serve a web hook until the end of the block.

    Args:
        status: Status of every answer.
        manner: Whether it answers, says nothing, or drips its answer, five bytes a second.
        location: Where it redirects to, or empty.
        tls: How it speaks TLS, or None.
    """
    server = _Server(status, manner, location)
    if tls is not None:
        server.socket = tls.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
    server.hook.scheme = "jsons" if tls else "json"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server.hook
    finally:
        server.ended.set()
        server.shutdown()
        server.server_close()
        thread.join(10)


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, status: int, manner: Manner, location: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.status, self.manner, self.location = status, manner, location
        self.hook = Hook(self.server_address[1])
        self.ended = threading.Event()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        """Say nothing: a sender may hang up whenever it likes."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Keep what was sent, and answer in the way of this hook."""
        assert isinstance(self.server, _Server)
        hook, ended = self.server.hook, self.server.ended
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        hook.requests.append(Request(self.command, self.path, dict(self.headers)))
        if body:
            hook.received.append(json.loads(body))
        hook.called.set()
        self.close_connection = True
        if self.server.manner == "silent":
            while not ended.is_set() and not hook.abandoned.is_set():
                if select.select([self.connection], [], [], 0.05)[0]:
                    hook.abandoned.set()
            return
        dripping = self.server.manner == "drips"
        self.send_response(self.server.status)
        if self.server.location:
            self.send_header("Location", self.server.location)
        self.send_header("Content-Length", "600" if dripping else "2")
        self.end_headers()
        self.wfile.write(b"ok")
        while dripping and not ended.wait(0.2):
            try:
                self.wfile.write(b".")
            except OSError:
                hook.abandoned.set()
                return

    def do_GET(self) -> None:
        """The same: whoever follows a redirect may come without a body."""
        self.do_POST()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, ANN401
        """Say nothing."""


@contextmanager
def black_hole() -> Iterator[int]:
    """A port that swallows every attempt to connect to it, until the end of the block."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting: list[socket.socket] = []
        try:
            while _is_let_in(listener.getsockname(), waiting):
                assert len(waiting) < 100
            yield listener.getsockname()[1]
        finally:
            for each in waiting:
                each.close()


def _is_let_in(address: tuple[str, int], waiting: list[socket.socket]) -> bool:
    """Whether there is still room in the queue of those that nobody accepts; takes a place."""
    waiting.append(socket.socket())
    waiting[-1].settimeout(0.3)
    with suppress(TimeoutError):
        waiting[-1].connect(address)
        return True
    return False


def free_port() -> int:
    """A port of 127.0.0.1 at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    return port


@dataclass
class Mailbox:
    """A mail server that takes everything.

    Attributes:
        port: Where it listens on 127.0.0.1.
        received: The mails, in their order.
    """

    port: int
    received: list[EmailMessage] = field(default_factory=list)

    @property
    def url(self) -> str:
        """The address as Apprise spells it."""
        return (
            f"mailto://127.0.0.1:{self.port}"
            "?from=runs@example.com&to=operators@example.com&mode=insecure"
        )

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Called by aiosmtpd for every mail."""
        assert isinstance(envelope.content, bytes)
        self.received.append(message_from_bytes(envelope.content, policy=policy.default))
        return "250 OK"


@contextmanager
def mailbox() -> Iterator[Mailbox]:
    """Serve a mailbox until the end of the block."""
    box = Mailbox(free_port())
    controller = Controller(box, hostname="127.0.0.1", port=box.port)
    controller.start()
    try:
        yield box
    finally:
        controller.stop()
