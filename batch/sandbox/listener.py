"""The port that the sandbox listens on: loopback only, and able to refuse."""

from __future__ import annotations

import asyncio
import socket
from ipaddress import ip_address
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

BACKLOG = 1024


def loopback(host: str) -> str:
    """The loopback address that ``host`` names.

    Raises:
        ValueError: It names another one, or needs a look-up; the sandbox knows no passwords and
            must not be reached from elsewhere.
    """
    address = "127.0.0.1" if host == "localhost" else host
    try:
        if ip_address(address).is_loopback:
            return address
    except ValueError:
        pass
    raise ValueError(f"the sandbox listens on loopback only, not on {host!r}; use 127.0.0.1 or ::1")


class Listener:
    """Accepts connections, or refuses them without giving up its port.

    Attributes:
        host: Loopback address.
        port: TCP port; 0 until it is open, where any free one was asked for.
    """

    def __init__(self, host: str, port: int) -> None:
        self.host = loopback(host)
        self.port = port
        self._server: asyncio.Server | None = None
        self._bound: socket.socket | None = None
        self._resuming: asyncio.Task[None] | None = None
        self._factory: Callable[[], asyncio.BaseProtocol] | None = None

    async def open(self, factory: Callable[[], asyncio.BaseProtocol]) -> None:
        """Listen; ``factory`` makes the protocol of each connection.

        Raises:
            OSError: The port is taken.
        """
        self._factory = factory
        self._bound = self._bind()
        self.port = self._bound.getsockname()[1]
        await self._accept()

    def refuse(self) -> None:
        """Refuse new connections from now on."""
        self._release()
        # Bound and not listening: connections are refused, and nobody else can take the port.
        self._bound = self._bind()

    def resume(self) -> None:
        """Accept connections again; without effect while it does."""
        if self._bound is not None and self._resuming is None:
            # The kernel queues connections until the event loop comes to accept them.
            self._bound.listen(BACKLOG)
            self._resuming = asyncio.get_running_loop().create_task(self._accept())

    def close(self) -> None:
        """Give up the port."""
        self._release()

    def _bind(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        bound = socket.socket(family, socket.SOCK_STREAM)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind((self.host, self.port))
        except OSError:
            bound.close()
            raise
        return bound

    async def _accept(self) -> None:
        assert self._factory is not None
        assert self._bound is not None
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            self._factory, sock=self._bound, backlog=BACKLOG, start_serving=False
        )
        self._bound = self._resuming = None
        await self._server.start_serving()

    def _release(self) -> None:
        if self._resuming is not None:
            self._resuming.cancel()
            self._resuming = None
        if self._server is not None:
            self._server.close()
            self._server = None
        if self._bound is not None:
            self._bound.close()
            self._bound = None
