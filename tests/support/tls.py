"""Authorities, and servers that show a certificate or end a handshake, as real ones do."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import trustme

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from datetime import datetime
    from pathlib import Path


class Trust:
    """An authority, its certificate in a file, and the certificates that it makes."""

    def __init__(self, folder: Path) -> None:
        self._authority = trustme.CA()
        self.file = folder / "authority.pem"
        self._authority.cert_pem.write_to_path(str(self.file))

    def server(
        self,
        name: str = "127.0.0.1",
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        with_authority: bool = False,
    ) -> ssl.SSLContext:
        """What a server of this name shows."""
        made = self._authority.issue_cert(name, not_before=since, not_after=until)
        chain = made.private_key_pem.bytes() + made.cert_chain_pems[0].bytes()
        return self._showing(chain + self._authority.cert_pem.bytes() * with_authority)

    def itself(self) -> ssl.SSLContext:
        """What a server shows that has signed its own certificate."""
        return self._showing(
            self._authority.private_key_pem.bytes() + self._authority.cert_pem.bytes()
        )

    def _showing(self, chain: bytes) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        file = self.file.with_name("shown.pem")
        file.write_bytes(chain)
        context.load_cert_chain(file)
        return context


class _Handshake(asyncio.Protocol):
    """Speaks TLS as OpenSSL does, its alerts included: asyncio's own servers send none."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._incoming.write(data)
        with suppress(ssl.SSLError):
            self._tls.do_handshake()
            self._tls.read(1)
        # Whoever closes now may have a reset overtake the alert.
        self._transport.write(self._outgoing.read())


@asynccontextmanager
async def shaking_hands(context: ssl.SSLContext) -> AsyncIterator[int]:
    """A server that gets no further than the handshake, until the end of the block: its port."""
    server = await asyncio.get_running_loop().create_server(
        lambda: _Handshake(context), "127.0.0.1", 0
    )
    async with server:
        port: int = server.sockets[0].getsockname()[1]
        yield port
