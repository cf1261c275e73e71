"""One request in, one license or one error out: against the sandbox and against raw sockets."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import re
import socket
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from yarl import URL

from batch import __version__
from batch.api import client as client_module
from batch.api.client import LARGEST_BODY, LARGEST_PAGE, PAGE_SIZE, CryptlexClient, filter_query
from batch.api.rate_limiter import RateLimiter
from batch.errors import (
    AccessError,
    ApiError,
    ConfigError,
    ForeignError,
    RejectedError,
    ThrottledError,
    TransientError,
    UnconfirmedError,
)
from batch.sandbox import TOKEN, Account
from batch.sandbox.faults import drop as reset
from batch.sandbox.query import FIELDS, OPERATORS, PARAMETER, select
from tests.support.builders import calm, packed
from tests.support.faults import FAULTS
from tests.support.faulty_sandbox import FaultySandbox
from tests.support.job_harness import holding, some_ids, state_of
from tests.support.virtual_time import now, virtual_clock

if TYPE_CHECKING:
    import ssl
    from pathlib import Path

    from tests.support.tls import Trust

ID, OTHER = some_ids(2)
HOST = "api.example.test"
"""No name server knows it: only a proxy can reach it."""

Answer = bytes | Callable[[asyncio.Transport], None]


# A server that answers byte for byte what it is told


class RawServer:
    """A server on loopback that keeps each request as it came.

    Args:
        answers: To the first request, to the second …; the last one to all that follow. Bytes
            are sent as they are, and the connection is kept; a function gets the connection.
        tls: The certificate it shows, or None for plain HTTP.

    Attributes:
        requests: Head and body of every whole request, in the order of their arrival.
        connections: How many were made to it.
    """

    def __init__(self, *answers: Answer, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[bytes] = []
        self._answers = answers
        self._tls = tls
        self._transports: list[asyncio.Transport] = []

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Peer(self), "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for transport in self._transports:
            transport.abort()
        await asyncio.sleep(0)

    @property
    def connections(self) -> int:
        return len(self._transports)

    @property
    def base_url(self) -> str:
        return f"http{'s' if self._tls else ''}://127.0.0.1:{self.port}/v3"

    def accept(self, transport: asyncio.Transport) -> None:
        self._transports.append(transport)

    def answer(self, transport: asyncio.Transport, request: bytes) -> None:
        self.requests.append(request)
        answer = self._answers[min(len(self.requests), len(self._answers)) - 1]
        if isinstance(answer, bytes):
            transport.write(answer)
        else:
            answer(transport)


class _Peer(asyncio.Protocol):
    def __init__(self, server: RawServer) -> None:
        self._server = server
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._server.accept(transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, blank, rest = self._received.partition(b"\r\n\r\n")
        announced = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        length = int(announced[1]) if announced else 0
        if blank and len(rest) >= length:
            self._received = rest[length:]
            self._server.answer(self._transport, head + blank + rest[:length])


def silence(_connection: asyncio.Transport) -> None:
    """Answer nothing."""


def drop(connection: asyncio.Transport) -> None:
    """Close the connection without an answer."""
    connection.close()


def last(answer: bytes) -> Answer:
    """Send this, then close the connection."""

    def send(connection: asyncio.Transport) -> None:
        connection.write(answer)
        connection.close()

    return send


def endless(start: bytes, piece: bytes) -> Answer:
    """Send this, and then 64 MiB more as fast as they are taken."""

    def send(connection: asyncio.Transport) -> None:
        connection.write(start)
        flow(connection, 2**26 // len(piece))

    def flow(connection: asyncio.Transport, pieces: int) -> None:
        if pieces and not connection.is_closing():
            connection.write(piece)
            asyncio.get_running_loop().call_soon(flow, connection, pieces - 1)

    return send


def http(
    body: bytes = b"", *headers: str, status: str = "200 OK", length: int | None = None
) -> bytes:
    """An answer with its length, or with another length than it has."""
    size = len(body) if length is None else length
    head = [f"HTTP/1.1 {status}", f"Content-Length: {size}", *headers, "", ""]
    return "\r\n".join(head).encode() + body


def chunked(body: bytes) -> bytes:
    """An answer that is followed by its body, chunked in whatever way."""
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body


def describing(**properties: object) -> bytes:
    return json.dumps({"key": "0A2035-E8A2A3", "id": ID, "revoked": True} | properties).encode()


OK = http(describing())
REVOKED = (ID, True)


# The client, and what it is given


class CountingRateLimiter(RateLimiter):
    """A rate limiter without a limit that counts the slots that were released."""

    released = 0

    def release(self) -> None:
        self.released += 1
        super().release()


@asynccontextmanager
async def client(
    base_url: str,
    *,
    timeout: float = 5.0,  # noqa: ASYNC109
    connections: int = 32,
    ca_file: Path | None = None,
) -> AsyncIterator[CryptlexClient]:
    """A client that, in the end, has given back every slot that it took."""
    rate_limiter = CountingRateLimiter(None, 5.0, virtual_clock())
    async with CryptlexClient(
        base_url,
        TOKEN,
        rate_limiter,
        timeout=timeout,
        connections=connections,
        ca_file=str(ca_file) if ca_file else None,
    ) as speaking:
        yield speaking
    assert rate_limiter.released == rate_limiter.requests


async def patch_error(
    base_url: str,
    *,
    timeout: float = 5.0,  # noqa: ASYNC109
    ca_file: Path | None = None,
) -> ApiError:
    """What comes of one PATCH that does not succeed."""
    async with client(base_url, timeout=timeout, ca_file=ca_file) as api:
        with pytest.raises(ApiError) as caught:
            await api.change(ID, True)
    return caught.value


async def error_of(answer: Answer, *, timeout: float = 5.0) -> ApiError:  # noqa: ASYNC109
    """What comes of one PATCH that is answered like this, and sent once."""
    async with RawServer(answer) as server:
        error = await patch_error(server.base_url, timeout=timeout)
        assert len(server.requests) == 1
    return error


def arrived(error: ApiError) -> bool:
    """Whether a request without a usable answer may have been carried out."""
    assert isinstance(error, TransientError)
    return error.arrived


@pytest.fixture(autouse=True)
def _nothing_of_this_machine(monkeypatch: pytest.MonkeyPatch, stranger: Trust) -> None:
    """No proxy is named, and the system's store holds one authority that nobody uses."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("SSL_CERT_FILE", str(stranger.file))
    monkeypatch.setenv("SSL_CERT_DIR", str(stranger.file.parent / "none"))


# What is sent


async def test_a_change_is_one_patch_that_says_what_is_wanted_and_nothing_else() -> None:
    async with RawServer(OK) as server, client(server.base_url) as api:
        await api.change(ID, True)

    (request,) = server.requests
    head, _, body = request.partition(b"\r\n\r\n")
    first, *fields = head.decode().split("\r\n")
    headers = dict(field.split(": ", 1) for field in fields)
    accepted = headers.pop("Accept-Encoding")
    assert first == f"PATCH /v3/licenses/{ID} HTTP/1.1"
    assert body == b'{"revoked": true}'
    assert "gzip" in accepted
    assert headers == {
        "Host": f"127.0.0.1:{server.port}",
        "Authorization": f"Bearer {TOKEN}",
        "Accept": "application/json",
        "User-Agent": f"bulk-revoke/{__version__}",
        "Content-Type": "application/json",
        "Content-Length": "17",
    }


async def test_the_opposite_change_says_the_opposite() -> None:
    async with (
        RawServer(http(describing(revoked=False))) as server,
        client(server.base_url) as api,
    ):
        await api.change(ID, False)

    assert server.requests[0].endswith(b'\r\n\r\n{"revoked": false}')


async def test_a_read_has_no_body() -> None:
    async with RawServer(OK) as server, client(server.base_url) as api:
        assert state_of(await api.get(ID)) == REVOKED

    (request,) = server.requests
    assert request.startswith(f"GET /v3/licenses/{ID} HTTP/1.1\r\n".encode())
    assert request.endswith(b"\r\n\r\n")
    assert b"content-" not in request.lower()


async def test_a_base_url_stays_as_it_was_written() -> None:
    async with (
        RawServer(OK, http(b"[]")) as server,
        client(server.base_url.replace("/v3", "/a%2Fb%20c/v3")) as api,
    ):
        await api.get(ID)
        await api.list({})

    assert [request.split(b"\r\n")[0].decode() for request in server.requests] == [
        f"GET /a%2Fb%20c/v3/licenses/{ID} HTTP/1.1",
        "GET /a%2Fb%20c/v3/licenses?page=1&limit=100 HTTP/1.1",
    ]


async def test_cookies_are_never_sent_back() -> None:
    answer = http(describing(), "Set-Cookie: a=b", "Set-Cookie: c=d; Path=/; Domain=localhost")
    async with RawServer(answer) as server:
        # A jar would keep no cookies of a host that has an address for a name.
        named = server.base_url.replace("127.0.0.1", "localhost")
        async with client(named) as api:
            for _ in range(3):
                await api.get(ID)

    assert b"cookie" not in b"".join(server.requests).lower()


async def test_requests_one_after_the_other_share_a_connection() -> None:
    async with RawServer(OK) as server, client(server.base_url) as api:
        for _ in range(10):
            await api.change(ID, True)
            await api.get(ID)

    assert (len(server.requests), server.connections) == (20, 1)


async def test_a_refusal_keeps_the_connection() -> None:
    refused = http(b'{"message": "no", "code": "NO"}', status="409 Conflict")
    async with RawServer(refused, OK) as server, client(server.base_url) as api:
        with pytest.raises(RejectedError):
            await api.get(ID)
        await api.get(ID)

    assert server.connections == 1


async def test_no_more_connections_are_open_than_were_set() -> None:
    async with (
        holding([ID], latency=(1.0, 1.0)) as sandbox,
        client(sandbox.base_url, connections=2) as api,
    ):
        started = now()
        await asyncio.gather(*(api.get(ID) for _ in range(6)))

        assert now() - started == pytest.approx(3)


async def test_the_license_is_changed_and_read_at_the_server() -> None:
    async with holding([ID, OTHER]) as sandbox, client(sandbox.base_url) as api:
        await api.change(ID, True)
        assert sandbox.revoked == {ID: True, OTHER: False}

        assert state_of(await api.get(ID)) == (ID, True)
        await api.change(ID, False)
        assert sandbox.revoked == {ID: False, OTHER: False}

        assert api.patches == 2


@pytest.mark.parametrize(
    "license_id",
    ["", " ", "../users/1", "..", ".", "%2e%2e", "%2E%2E%2Fusers", f"{ID}/", f"/{ID}", f"{ID}/..",
     f"{ID}/../../users/1", f"{ID}?a=b", f"{ID}#a", f"{ID};a", f"{ID}\n", f"{ID}\r\nX: y", f" {ID}",
     f"{ID} ", f"{ID}\x00", ID.upper(), f"{{{ID}}}", f"urn:uuid:{ID}", ID.replace("-", ""),
     ID[:-1], f"{ID}0", ID.replace("-", "\u2010"), "\u0663" * 8 + ID[8:], "\uff11" * 8 + ID[8:],
     "g" + ID[1:], "http://127.0.0.1/", f"//evil.example.com/{ID}", "null", "*"],
)  # fmt: skip
async def test_nothing_but_a_license_id_ever_stands_in_a_path(license_id: str) -> None:
    async with RawServer(OK) as server, client(server.base_url) as api:
        with pytest.raises(ValueError, match="not a license ID"):
            await api.change(license_id, True)
        with pytest.raises(ValueError, match="not a license ID"):
            await api.get(license_id)

    assert server.connections == 0
    assert api.patches == 0


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_redirect_is_followed(status: int) -> None:
    async with RawServer(OK) as elsewhere:
        answer = http(b"", f"Location: {elsewhere.base_url}/licenses/{ID}", status=f"{status} Go")
        async with RawServer(answer) as server, client(server.base_url) as api:
            for request in (api.change(ID, True), api.get(ID)):
                with pytest.raises(ForeignError, match=str(status)):
                    await request

    assert len(server.requests) == 2
    assert elsewhere.connections == 0


# One call, one request


@pytest.mark.parametrize("end", [drop, reset, last(b"HTTP/1.1 2"), last(b"HTTP/1.1 200 OK\r\n")])
@pytest.mark.parametrize("earlier", [0, 1, 3])
async def test_a_connection_that_ends_without_an_answer_is_one_request(
    end: Answer, earlier: int
) -> None:
    for name in ("get", "change"):
        answers: list[Answer] = [*[OK] * earlier, end, OK]
        async with RawServer(*answers) as server, client(server.base_url) as api:
            for _ in range(earlier):
                await api.get(ID)
            with pytest.raises(TransientError) as caught:
                await (api.get(ID) if name == "get" else api.change(ID, True))

            assert len(server.requests) == earlier + 1
            assert caught.value.code == "connection"
            assert caught.value.status is None
            assert caught.value.arrived


async def test_after_a_lost_connection_the_next_request_makes_a_new_one() -> None:
    async with RawServer(OK, drop, OK) as server, client(server.base_url) as api:
        await api.get(ID)
        with pytest.raises(TransientError):
            await api.get(ID)
        await api.get(ID)

    assert (len(server.requests), server.connections) == (3, 2)


async def test_a_connection_that_was_closed_while_it_was_idle_costs_nothing() -> None:
    async with RawServer(last(OK)) as server, client(server.base_url) as api:
        for _ in range(3):
            await api.change(ID, True)
            await asyncio.sleep(1)

    assert (len(server.requests), server.connections) == (3, 3)


async def test_an_answer_that_nobody_waits_for_is_not_taken_for_that_to_a_later_request() -> None:
    other = http(describing(id=OTHER))
    async with RawServer(OK + OK, other) as server, client(server.base_url) as api:
        await api.get(ID)

        assert state_of(await api.get(OTHER)) == (OTHER, True)


# What is in the environment


async def test_a_netrc_file_is_never_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login a password b\ndefault login c password d\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(netrc))

    async with RawServer(OK) as server, client(server.base_url) as api:
        await api.change(ID, True)

    (request,) = server.requests
    assert re.findall(rb"(?i)authorization: *(.*)\r\n", request) == [f"Bearer {TOKEN}".encode()]


@pytest.mark.parametrize("case", [str.lower, str.upper])
async def test_this_machine_is_never_reached_through_a_proxy(
    case: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with RawServer(OK) as proxy, RawServer(OK) as server:
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(case(name), f"http://127.0.0.1:{proxy.port}")
        async with client(server.base_url) as api:
            await api.change(ID, True)

    assert proxy.connections == 0
    assert len(server.requests) == 1


# TLS


async def test_a_private_authority_is_trusted_where_it_is_named(trust: Trust) -> None:
    async with (
        RawServer(OK, tls=trust.server()) as server,
        client(server.base_url, ca_file=trust.file) as api,
    ):
        await api.change(ID, True)
        assert state_of(await api.get(ID)) == REVOKED

    assert (len(server.requests), server.connections) == (2, 1)


async def test_the_authorities_of_the_system_are_trusted(
    trust: Trust, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(trust.file))

    async with RawServer(OK, tls=trust.server()) as server, client(server.base_url) as api:
        await api.change(ID, True)


async def test_a_named_authority_is_trusted_instead_of_the_systems(
    trust: Trust, stranger: Trust
) -> None:
    async with RawServer(OK, tls=stranger.server()) as server:
        error = await patch_error(server.base_url, ca_file=trust.file)

    assert isinstance(error, AccessError)


async def test_an_unknown_authority_gets_no_token_and_stops_the_run(trust: Trust) -> None:
    async with RawServer(OK, tls=trust.server()) as server:
        error = await patch_error(server.base_url)

    assert isinstance(error, AccessError)
    assert error.code == "tls"
    assert "--ca-file" in error.hint
    assert server.requests == []


async def test_a_certificate_of_another_host_is_refused(trust: Trust) -> None:
    for name in ("127.0.0.2", "localhost", HOST):
        async with RawServer(OK, tls=trust.server(name)) as server:
            error = await patch_error(server.base_url, ca_file=trust.file)

        assert isinstance(error, AccessError)
        assert error.code == "tls"
        assert server.requests == []


async def test_a_certificate_that_has_expired_is_refused(trust: Trust) -> None:
    expired = trust.server(until=datetime(2020, 1, 1, tzinfo=UTC))
    async with RawServer(OK, tls=expired) as server:
        error = await patch_error(server.base_url, ca_file=trust.file)

    assert isinstance(error, AccessError)
    assert "expired" in str(error)
    assert server.requests == []


@pytest.mark.parametrize("content", [None, b"", b"garbage", b"-----BEGIN CERTIFICATE-----\nAAAA\n"])
async def test_a_ca_file_that_holds_no_authority_is_a_configuration_error(
    content: bytes | None, tmp_path: Path
) -> None:
    file = tmp_path / "authority.pem"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(ConfigError, match=r"authority\.pem"):
        CryptlexClient(
            "https://127.0.0.1/v3",
            TOKEN,
            CountingRateLimiter(None, 5.0, virtual_clock()),
            ca_file=str(file),
        )


async def test_a_folder_is_no_ca_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        CryptlexClient(
            "https://127.0.0.1/v3",
            TOKEN,
            CountingRateLimiter(None, 5.0, virtual_clock()),
            ca_file=str(tmp_path),
        )


async def test_a_server_that_speaks_no_tls_gets_no_token() -> None:
    received = []

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 smtp.example.com ESMTP\r\n")
        received.append(await reader.read(2**16))
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        error = await patch_error(f"https://127.0.0.1:{port}/v3")

    assert isinstance(error, AccessError)
    assert (error.code, str(error)) == ("tls", f"127.0.0.1:{port} does not speak TLS")
    assert "port in --base-url" in error.hint
    assert TOKEN.encode() not in b"".join(received)


# Proxies


class Proxy:
    """A proxy on loopback that opens every tunnel to the same server.

    Attributes:
        asked: Head of every request that it got.
    """

    def __init__(self, upstream: RawServer) -> None:
        self.asked: list[bytes] = []
        self._upstream = upstream
        self._tunnels: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tunnels:
            task.cancel()
        await asyncio.gather(*self._tunnels, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tunnels.add(task)
        self.asked.append(await reader.readuntil(b"\r\n\r\n"))
        there = await asyncio.open_connection("127.0.0.1", self._upstream.port)
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        with suppress(asyncio.CancelledError):
            await asyncio.gather(_pipe(reader, there[1]), _pipe(there[0], writer))


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while piece := await reader.read(2**16):
            writer.write(piece)
    except ConnectionError:
        pass
    finally:
        writer.close()


async def test_other_hosts_are_reached_through_the_proxy_which_sees_no_token(
    trust: Trust, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with RawServer(OK, tls=trust.server(HOST)) as server, Proxy(server) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        async with client(f"https://{HOST}/v3", ca_file=trust.file) as api:
            for _ in range(3):
                await api.change(ID, True)

    (asked,) = proxy.asked
    assert asked.startswith(f"CONNECT {HOST}:443 HTTP/1.1\r\n".encode())
    assert TOKEN.encode() not in asked
    assert len(server.requests) == 3
    assert server.requests[0].startswith(f"PATCH /v3/licenses/{ID} HTTP/1.1\r\n".encode())
    assert f"\r\nAuthorization: Bearer {TOKEN}\r\n".encode() in server.requests[0]


async def test_the_login_of_a_proxy_is_for_the_proxy_alone(
    trust: Trust, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with RawServer(OK, tls=trust.server(HOST)) as server, Proxy(server) as proxy:
        monkeypatch.setenv("ALL_PROXY", f"http://user:s%40cret@127.0.0.1:{proxy.port}")
        async with client(f"https://{HOST}/v3", ca_file=trust.file) as api:
            await api.change(ID, True)

    assert b"Proxy-Authorization: Basic dXNlcjpzQGNyZXQ=\r\n" in proxy.asked[0]
    assert b"Proxy-Authorization" not in server.requests[0]


async def test_a_certificate_is_checked_behind_a_proxy_as_well(
    trust: Trust, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = trust.server("other.example.test")
    async with RawServer(OK, tls=other) as server, Proxy(server) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        error = await patch_error(f"https://{HOST}/v3", ca_file=trust.file)

    assert isinstance(error, AccessError)
    assert error.code == "tls"
    assert server.requests == []


async def test_no_proxy_is_honoured(trust: Trust, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolved_to_this_machine)
    async with RawServer(OK, tls=trust.server(HOST)) as server, RawServer(OK) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        monkeypatch.setenv("NO_PROXY", "example.test")
        async with client(f"https://{HOST}:{server.port}/v3", ca_file=trust.file) as api:
            await api.change(ID, True)

    assert proxy.connections == 0
    assert len(server.requests) == 1


async def resolved_to_this_machine(_host: str, port: int, **_: object) -> list[Any]:
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]


@pytest.mark.parametrize("status", [401, 403, 404, 407, 499])
async def test_a_proxy_that_refuses_stops_the_run(
    status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with RawServer(http(b"", status=f"{status} No")) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://user:secret@127.0.0.1:{proxy.port}")
        error = await patch_error(f"https://{HOST}/v3")

    assert isinstance(error, AccessError)
    assert error.code == f"http_{status}"
    assert "proxy" in str(error)
    assert "HTTPS_PROXY" in error.hint
    assert "secret" not in told(error)


@pytest.mark.parametrize(
    "answer",
    [http(b"", status="500 No"), http(b"", status="502 Bad Gateway"), http(b"", status="503 No"),
     drop, reset, last(b"SSH-2.0-OpenSSH_9.6\r\n"), silence],
)  # fmt: skip
async def test_through_a_proxy_that_opens_no_tunnel_nothing_has_arrived(
    answer: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with RawServer(answer) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://user:secret@127.0.0.1:{proxy.port}")
        error = await patch_error(f"https://{HOST}/v3")

        assert len(proxy.requests) == 1
    assert not arrived(error)
    assert "secret" not in told(error)


@pytest.mark.parametrize("status", [500, 504])
async def test_a_proxy_that_cannot_connect_says_with_which_status(
    status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with RawServer(http(b"", status=f"{status} No")) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        error = await patch_error(f"https://{HOST}/v3")

    place = f"the proxy 127.0.0.1:{proxy.port}"
    assert str(error) == f"{place} cannot connect to {HOST}:443 (HTTP {status})"
    assert error.code == "connection"


async def test_through_a_proxy_that_is_not_there_nothing_has_arrived(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    port = unused_port()
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:secret@127.0.0.1:{port}")

    error = await patch_error(f"https://{HOST}/v3")

    assert not arrived(error)
    assert str(error) == f"no connection to the proxy 127.0.0.1:{port} (Connection refused)"
    assert "secret" not in told(error)


async def test_who_is_meant_where_a_proxy_is_between(
    trust: Trust, stranger: Trust, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = []
    async with RawServer(OK, tls=stranger.server(HOST)) as server, Proxy(server) as tunnel:
        for proxy in (f"https://user:secret@127.0.0.1:{server.port}",
                      f"http://user:secret@127.0.0.1:{tunnel.port}"):  # fmt: skip
            monkeypatch.setenv("HTTPS_PROXY", proxy)
            said.append(await patch_error(f"https://{HOST}/v3", ca_file=trust.file))
    async with RawServer(http(b"", status="502 No"), drop, silence) as bad:
        monkeypatch.setenv("HTTPS_PROXY", f"http://user:secret@127.0.0.1:{bad.port}")
        said += [await patch_error(f"https://{HOST}/v3") for _ in range(3)]

    through = f"{HOST}:443 through the proxy 127.0.0.1:{bad.port}"
    assert [str(error).partition(" is not trusted")[0] for error in said] == [
        f"the certificate of the proxy 127.0.0.1:{server.port}",
        f"the certificate of {HOST}:443",
        f"the proxy 127.0.0.1:{bad.port} cannot connect to {HOST}:443 (HTTP 502)",
        f"no connection to {through}: the server closed the connection",
        f"no connection to {through} in time",
    ]
    assert "secret" not in "".join(map(told, said))


def told(error: BaseException | None) -> str:
    """All that an error and its causes say."""
    if error is None:
        return ""
    return f"{error!r} {error} {getattr(error, 'hint', '')} {told(error.__cause__)}"


@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "socks4"])
async def test_a_proxy_that_speaks_no_http_is_refused(
    scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", f"{scheme}://user:secret@127.0.0.1:1080")

    with pytest.raises(ConfigError) as caught:
        CryptlexClient(f"https://{HOST}/v3", TOKEN, CountingRateLimiter(None, 5.0, virtual_clock()))

    assert "secret" not in told(caught.value)


# No answer


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def test_what_was_refused_a_connection_has_not_arrived() -> None:
    error = await patch_error(f"http://127.0.0.1:{unused_port()}/v3")

    assert (error.status, error.code) == (None, "connection")
    assert not arrived(error)
    assert " at 0x" not in str(error)


async def test_a_refused_connection_is_told_of_a_request_that_is_sent_once_as_well() -> None:
    async with client(f"http://127.0.0.1:{unused_port()}/v3") as api:
        with pytest.raises(TransientError, match="no connection to") as refused:
            await api.get(ID)

    assert not arrived(refused.value)


async def test_what_loses_its_connection_says_so_and_not_how_we_call_that() -> None:
    async with RawServer(last(b""), last(b"")) as server:
        async with client(server.base_url) as api:
            with pytest.raises(TransientError) as read:
                await api.get(ID)
        changed = await patch_error(server.base_url)

    for error in (read.value, changed):
        assert str(error) == "the connection failed: the server closed the connection"


async def test_what_loses_its_connection_to_an_error_of_the_system_says_which() -> None:
    async with RawServer(reset) as server:
        error = await patch_error(server.base_url)

    assert "reset by peer" in str(error)


def unresolved(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """A resolver that says so, whatever it is asked."""

    async def answer(_host: str, _port: int, **_: object) -> list[Any]:
        raise socket.gaierror(number, "in the words of some system")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", answer)


@pytest.mark.parametrize("name", ["EAI_NONAME", "EAI_NODATA"])
async def test_a_name_that_does_not_exist_is_hardly_an_outage(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    unresolved(monkeypatch, getattr(socket, name, socket.EAI_NONAME))

    error = await patch_error(f"https://{HOST}/v3")

    assert not arrived(error)
    assert isinstance(error, TransientError)
    assert error.lasting
    assert (error.status, error.code) == (None, "connection")
    assert str(error) == f"no address of {HOST}:443 (there is no such name)"
    assert "--base-url" in error.hint


async def test_a_proxy_whose_name_does_not_exist_is_the_one_that_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://user:secret@proxy.example.test:3128")
    unresolved(monkeypatch, socket.EAI_NONAME)

    error = await patch_error(f"https://{HOST}/v3")

    assert "the proxy proxy.example.test:3128" in str(error)
    assert HOST not in str(error)
    assert "HTTPS_PROXY" in error.hint
    assert "secret" not in told(error)


@pytest.mark.parametrize("number", [socket.EAI_AGAIN, socket.EAI_FAIL])
async def test_a_resolver_that_cannot_say_is_an_outage(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    unresolved(monkeypatch, number)

    error = await patch_error(f"https://{HOST}/v3")

    assert not arrived(error)
    assert isinstance(error, TransientError)
    assert not error.lasting
    assert (error.status, error.code) == (None, "connection")
    assert HOST in str(error)


async def test_a_client_tells_for_how_long_it_waits_and_for_whom(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with RawServer(silence) as server, client(server.base_url, timeout=60) as api:
        assert api.silence[0] == 0
        waiting = asyncio.create_task(api.change(ID, True))
        await asyncio.sleep(3)
        late = asyncio.create_task(api.change(OTHER, True))
        await asyncio.sleep(1)
        seconds, said = api.silence
        for task in (waiting, late):
            task.cancel()
        await asyncio.gather(waiting, late, return_exceptions=True)

    assert seconds == pytest.approx(4)
    assert said == f"no answer from 127.0.0.1:{server.port} yet"

    async def hang(*_: object) -> None:
        await asyncio.sleep(3600)

    monkeypatch.setattr(asyncio.get_running_loop(), "sock_connect", hang)
    async with client("https://192.0.2.1/v3", timeout=60) as api:
        waiting = asyncio.create_task(api.change(ID, True))
        await asyncio.sleep(1)
        seconds, said = api.silence
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)

    assert seconds == pytest.approx(1)
    assert said.startswith("no connection to 192.0.2.1:443 yet")


async def test_what_waits_for_an_address_until_the_time_is_over_has_not_arrived(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def hang(_host: str, _port: int, **_: object) -> list[Any]:
        await asyncio.sleep(3600)
        return []

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", hang)
    started = now()

    error = await patch_error(f"https://{HOST}/v3", timeout=7)

    assert now() - started == pytest.approx(7)
    assert (error.status, error.code) == (None, "timeout")
    assert not arrived(error)


async def test_what_waits_for_a_connection_until_the_time_is_over_has_not_arrived(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def hang(*_: object) -> None:
        await asyncio.sleep(3600)

    monkeypatch.setattr(asyncio.get_running_loop(), "sock_connect", hang)

    error = await patch_error("https://192.0.2.1/v3")

    assert error.code == "timeout"
    assert not arrived(error)


async def test_what_waits_for_the_tls_handshake_until_the_time_is_over_has_not_arrived() -> None:
    async with RawServer(silence) as server:
        error = await patch_error(server.base_url.replace("http:", "https:"))

        assert server.connections == 1
    assert error.code == "timeout"
    assert not arrived(error)


@pytest.mark.parametrize("timeout", [0.5, 5, 30, 600])
async def test_what_gets_no_answer_in_time_may_have_arrived(timeout: float) -> None:  # noqa: ASYNC109
    started = now()

    error = await error_of(silence, timeout=timeout)

    assert now() - started == pytest.approx(timeout)
    assert (error.status, error.code) == (None, "timeout")
    assert arrived(error)


async def test_the_time_for_an_answer_includes_all_of_its_body() -> None:
    async with holding([ID], drip=1.0) as sandbox, client(sandbox.base_url) as api:
        sandbox.fail(ID, "slow_drip")
        started = now()
        with pytest.raises(TransientError) as caught:
            await api.change(ID, True)

    assert now() - started == pytest.approx(5)
    assert (caught.value.status, caught.value.code) == (200, "timeout")
    assert caught.value.arrived


# Answers


@pytest.mark.parametrize(
    "answer",
    [OK, http(describing(id=ID.upper())), http(describing(), status="202 Accepted"),
     http(describing(), status="206 Partial Content"),
     http(describing(), "Content-Type: text/html"),
     http(describing(), "Content-Type: application/json; charset=klingon"),
     http(packed(describing()), "Content-Encoding: gzip"),
     http(zlib.compress(describing()), "Content-Encoding: deflate"),
     http(describing(), "Content-Encoding: identity"),
     last(b"HTTP/1.0 200 OK\r\n\r\n" + describing()),
     chunked(f"{len(describing()):x}\r\n".encode() + describing() + b"\r\n0\r\n\r\n"),
     b"HTTP/1.1 100 Continue\r\n\r\n" + OK,
     b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK,
     b"HTTP/1.1 102 Processing\r\n\r\n" * 5 + OK],
)  # fmt: skip
async def test_a_license_may_come_in_every_way_that_http_knows(answer: Answer) -> None:
    async with RawServer(answer) as server, client(server.base_url) as api:
        await api.change(ID, True)


@pytest.mark.parametrize(
    ("answer", "kind", "code"),
    [(http(describing(id=OTHER)), UnconfirmedError, "wrong_id"),
     (http(describing(revoked=False)), UnconfirmedError, "not_confirmed"),
     (b"HTTP/1.1 204 No Content\r\n\r\n", UnconfirmedError, "not_confirmed"),
     (http(), TransientError, "bad_body"),
     (http(b"[" + describing() + b"]"), TransientError, "bad_body"),
     (http(describing(revoked="true")), TransientError, "bad_body"),
     (http(describing(revoked=None)), TransientError, "bad_body"),
     (http(f'{{"id": "{ID}"}}'.encode()), TransientError, "bad_body"),
     (http(b"7"), TransientError, "bad_body"),
     (http(b"\xff\xfe"), TransientError, "bad_body"),
     (http(b"[" * 100_000), TransientError, "bad_body"),
     (http(b"<html>Sign in</html>", "Content-Type: text/html"), ForeignError, "bad_body"),
     (http(describing(), "Content-Encoding: gzip"), TransientError, "bad_body"),
     (http(packed(describing())[:-20], "Content-Encoding: gzip"), TransientError, "bad_body"),
     (last(http(describing(), length=5000)), TransientError, "bad_body"),
     (http(describing(), length=20), TransientError, "bad_body"),
     (chunked(b"zzz\r\n"), TransientError, "bad_body"),
     (chunked(b"-5\r\nabc"), TransientError, "bad_body"),
     (last(chunked(b"ff\r\n" + describing())), TransientError, "bad_body"),
     (http(b'{"message": "no", "code": "NO"}', status="409 Conflict"), RejectedError, "NO"),
     (http(b'{"message": "no", "code": "NO"}', status="404 Not Found"), RejectedError, "NO"),
     (http(b"<html>", status="404 Not Found"), ForeignError, "http_404"),
     (http(status="401 Unauthorized"), AccessError, "http_401"),
     (http(status="407 Proxy Authentication Required"), AccessError, "http_407"),
     (http(status="101 Switching Protocols"), ForeignError, "http_101"),
     (http(status="304 Not Modified"), ForeignError, "http_304"),
     (http(status="500 Oops"), TransientError, "http_500"),
     (http(status="999 Oops"), TransientError, "http_999"),
     (last(b"HTTP/1.1 502 Bad Gateway\r\n\r\n<html>"), TransientError, "http_502")],
)  # fmt: skip
async def test_an_answer_is_what_it_says_and_no_more(
    answer: Answer, kind: type[ApiError], code: str
) -> None:
    error = await error_of(answer)

    assert type(error) is kind
    assert error.code == code


@pytest.mark.parametrize(
    "answer",
    [b"\x00\x01\x02\r\n\r\n", b"<html>It works!</html>\r\n\r\n", b"SSH-2.0-OpenSSH_9.6\r\n",
     b"\r\n" * 10 + b"220 smtp.example.com ESMTP\r\n\r\n", b"HTTP/0.9 200 OK\r\n\r\n",
     b"HTTP/9.9 two OK\r\n\r\n", b"HTTP/1.1 20 OK\r\n\r\n", b"HTTP/1.1 2000 OK\r\n\r\n",
     b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", b"HTTP/1.1 200 OK\r\nA: b\x00c\r\n\r\n",
     b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
     b"HTTP/1.1 200 OK\r\nContent-Length: 0x5\r\n\r\n",
     b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
     b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     b"HTTP/1.1 200 OK\r\nA: " + b"a" * 100_000, b"HTTP/1.1 200 " + b"a" * 100_000],
)  # fmt: skip
async def test_what_is_no_http_is_no_answer(answer: bytes) -> None:
    error = await error_of(last(answer))

    assert arrived(error)


async def test_after_garbage_the_next_request_makes_a_new_connection() -> None:
    async with RawServer(b"garbage\r\n\r\n", OK) as server, client(server.base_url) as api:
        with pytest.raises(TransientError):
            await api.get(ID)
        assert state_of(await api.get(ID)) == REVOKED

    assert server.connections == 2


async def test_a_header_cannot_smuggle_a_body_in() -> None:
    smuggled = b"HTTP/1.1 200 OK\r\nX: y\rContent-Length: 0\r\n\r\n"

    with suppress(ApiError):
        async with RawServer(last(smuggled)) as server, client(server.base_url) as api:
            await api.change(ID, True)
            pytest.fail("confirmed")


@pytest.mark.parametrize(
    "answer",
    [endless(b"HTTP/1.1 200 OK\r\n\r\n", b" " * 65536),
     endless(chunked(b""), b"8000\r\n" + b" " * 0x8000 + b"\r\n"),
     endless(http(length=10**12), b" " * 65536),
     endless(http(length=10**12, status="500 Oops"), b" " * 65536)],
)  # fmt: skip
async def test_of_an_endless_body_a_mebibyte_is_read(answer: Answer) -> None:
    started = now()

    error = await error_of(answer)

    assert isinstance(error, TransientError)
    assert error.code == "bad_body"
    assert now() - started < 1


@pytest.mark.parametrize(
    "piece", [b"X-Filler: aaaaaaaaaaaaaaaa\r\n" * 100, b"a" * 4096],
)  # fmt: skip
async def test_a_head_without_end_is_no_answer(piece: bytes) -> None:
    started = now()

    error = await error_of(endless(b"HTTP/1.1 200 OK\r\nX: ", piece))

    assert isinstance(error, TransientError)
    assert now() - started < 1


async def test_a_body_just_within_the_limit_is_read() -> None:
    body = describing()
    answer = http(body + b" " * (LARGEST_BODY - len(body)))

    async with RawServer(answer) as server, client(server.base_url) as api:
        assert state_of(await api.get(ID)) == REVOKED

    error = await error_of(answer.replace(b"1048576", b"1048577") + b" ")
    assert (error.status, error.code) == (200, "bad_body")


async def test_a_body_that_inflates_without_measure_is_not_held_in_memory() -> None:
    bomb = gzip.compress(describing() + b" " * 2**27, compresslevel=1)
    answer = http(bomb, "Content-Encoding: gzip")

    tracemalloc.start()
    try:
        error = await error_of(answer)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert (type(error), error.code) == (TransientError, "bad_body")
    assert peak < 2**26


async def test_a_busy_answer_says_how_long_to_wait_and_what_is_admitted() -> None:
    said = b"API calls quota exceeded! maximum admitted 50 per 5s."

    error = await error_of(http(said, "Retry-After: 7", status="429 Too Many Requests"))

    assert isinstance(error, ThrottledError)
    assert (error.retry_after, error.admitted, error.arrived) == (7, (50, 5), False)


@given(
    status=st.sampled_from([b"200", b"204", b"404", b"429", b"503", b"100", b"0"]),
    head=st.lists(
        st.sampled_from(
            [b"Content-Length: 5", b"Content-Length: 0", b"Transfer-Encoding: chunked",
             b"Content-Encoding: gzip", b"Content-Encoding: br", b"Connection: close",
             b"Connection: upgrade", b"Upgrade: websocket", b"Retry-After: \xff", b"Retry-After: 1",
             b"Location: //", b"Set-Cookie: ;;=", b"Content-Type: ;", b": x", b"a", b" b: c"]
        )
        | st.binary(max_size=20),
        max_size=4,
    ),
    body=st.sampled_from([b"", b"0\r\n\r\n", describing()]) | st.binary(max_size=60),
)  # fmt: skip
@settings(max_examples=300, deadline=None)
async def test_whatever_comes_is_a_license_or_an_error_of_the_api(
    status: bytes, head: list[bytes], body: bytes
) -> None:
    answer = b"\r\n".join([b"HTTP/1.1 " + status + b" OK", *head, b"", body])
    async with RawServer(last(answer)) as server, client(server.base_url) as api:
        with suppress(ApiError):
            await api.change(ID, True)
            assert describing() in body

    assert len(server.requests) == 1


# Lists


async def test_a_list_is_one_get_that_names_page_size_and_filters() -> None:
    async with RawServer(http(b"[]")) as server, client(server.base_url) as api:
        await api.list({})
        await api.list({"key[in]": ["a+", "5%", "\u00e9 &#"], "type": ["t"]}, page=12)
        await api.list({"key[eq]": ["a,b"]})

    lines = [request.split(b"\r\n")[0].decode() for request in server.requests]
    assert lines == [
        "GET /v3/licenses?page=1&limit=100 HTTP/1.1",
        "GET /v3/licenses?page=12&limit=100&key%5Bin%5D=a%2B,5%25,%C3%A9%20%26%23&type=t HTTP/1.1",
        "GET /v3/licenses?page=1&limit=100&key%5Beq%5D=a%2Cb HTTP/1.1",
    ]
    assert all(request.endswith(b"\r\n\r\n") for request in server.requests)


@pytest.mark.parametrize(("pagination", "total"), [(True, 250), (False, None)])
async def test_a_page_is_what_the_account_holds_there(pagination: bool, total: int | None) -> None:
    account = Account.generate(250)
    ids = [license_.id for license_ in account]
    async with (
        FaultySandbox(account, pagination=pagination) as sandbox,
        client(sandbox.base_url) as api,
    ):
        pages = [await api.list({}, page=number) for number in (1, 2, 3, 4)]

    assert [[license_.id for license_ in page.licenses] for page in pages] == [
        ids[:100], ids[100:200], ids[200:], [],
    ]  # fmt: skip
    assert [page.total for page in pages] == [total] * 4
    assert PAGE_SIZE == 100


async def test_filters_choose_what_is_listed() -> None:
    account = Account.generate(500, revoked=0.5)
    wanted = [license_.key for license_ in account][100:140]
    async with FaultySandbox(account) as sandbox, client(sandbox.base_url) as api:
        page = await api.list({"key[in]": wanted, "revoked": ["true"]})

    assert [license_.key for license_ in page.licenses] == [
        license_.key for license_ in account.with_keys(wanted) if license_.revoked
    ]
    assert page.total == len(page.licenses)


NOTHING = ["", " ", ",", ",,,", " , ", "\t", "\n", "\u00a0", "\u3000,"]


@pytest.mark.parametrize("name", ["key[in]", "key[eq]", "productId", "revoked", "x", "KEY[IN]"])
@pytest.mark.parametrize(
    "values", [[], *([value] for value in NOTHING), *(["a", value] for value in NOTHING)]
)
async def test_a_filter_that_is_empty_never_leaves(name: str, values: list[str]) -> None:
    async with RawServer(http(b"[]")) as server, client(server.base_url) as api:
        for filters in (
            {name: values},
            {"type": ["a"], name: values},
            {name: values, "type": ["a"]},
        ):
            with pytest.raises(ValueError, match=r"match every license|takes one"):
                await api.list(filters)

        assert isinstance(api._rate_limiter, CountingRateLimiter)
        assert (len(server.requests), api._rate_limiter.requests) == (0, 0)


@pytest.mark.parametrize("name", ["", " ", "\u3000"])
def test_a_filter_without_a_name_would_match_every_license(name: str) -> None:
    with pytest.raises(ValueError, match="would match every license"):
        filter_query({name: ["a"]})


@pytest.mark.parametrize("name", ["key[in]", "key[nin]", "key[IN]"])
@pytest.mark.parametrize("values", [["a,b"], ["a", "b,c"], [",a"], ["a,"]])
def test_a_value_is_never_read_as_several(name: str, values: list[str]) -> None:
    with pytest.raises(ValueError, match="holds a comma"):
        filter_query({name: values})


@pytest.mark.parametrize("name", ["key[eq]", "key", "type", "key[ne]", "key[in]x"])
def test_several_values_are_never_read_as_one(name: str) -> None:
    with pytest.raises(ValueError, match="takes one value, not 2"):
        filter_query({name: ["a", "b"]})


NAMES = st.sampled_from(
    [f"{field}{operator}" for field in FIELDS for operator in ("", *(f"[{o}]" for o in OPERATORS))]
)
VALUES = st.text() | st.text("ab, \t\u3000") | st.sampled_from(NOTHING)


@calm
@given(st.dictionaries(NAMES | st.text(), st.lists(VALUES, max_size=4), max_size=4))
def test_a_query_says_exactly_what_was_asked_for_or_there_is_none(
    filters: dict[str, list[str]],
) -> None:
    try:
        query = filter_query(filters)
    except ValueError:
        query = None

    if query is None:
        assert filters
        return
    parsed = list(URL(f"http://x/?page=1&limit=100{query}", encoded=True).query.items())
    assert parsed[:2] == [("page", "1"), ("limit", "100")]
    assert [name for name, _ in parsed[2:]] == list(filters)
    for (name, value), values in zip(parsed[2:], filters.values(), strict=True):
        parts = PARAMETER.fullmatch(name)
        several = parts is not None and parts["operator"] in {"in", "nin"}
        assert (value.split(",") if several else [value]) == values
        assert all(part.replace(",", "").strip() for part in values)


@calm
@given(
    st.dictionaries(
        NAMES.filter(lambda name: name.endswith("in]")),
        st.lists(st.text("abc \u00e9%+&#=[];", min_size=1).filter(str.strip), min_size=1),
        min_size=1,
    )
)
def test_what_can_be_asked_for_is_not_refused(filters: dict[str, list[str]]) -> None:
    assert filter_query(filters).count("&") == len(filters)


@calm
@given(st.lists(st.text("aAbB1, %", max_size=3), max_size=3))
def test_no_query_that_is_made_lists_a_license_with_another_key(keys: list[str]) -> None:
    account = Account.holding_keys(["a", "b", "1", "a b", "%a", "1%1"])
    try:
        query = filter_query({"key[in]": keys})
    except ValueError:
        return

    parsed = URL(f"http://x/?page=1{query}", encoded=True).query.items()
    listed, _ = select(account, list(parsed), 0)

    assert {license_.key for license_ in listed} <= set(keys)


async def test_a_page_may_be_larger_than_a_license_but_not_without_measure() -> None:
    body = b"[" + describing() + b"]"
    whole = http(body + b" " * (LARGEST_PAGE - len(body)))
    larger = http(body + b" " * (LARGEST_PAGE - len(body) + 1))
    async with RawServer(whole, larger) as server, client(server.base_url) as api:
        page = await api.list({})
        with pytest.raises(TransientError, match="more than 16 MiB") as e:
            await api.list({})

    assert [state_of(license_) for license_ in page.licenses] == [REVOKED]
    assert (e.value.code, LARGEST_PAGE > LARGEST_BODY) == ("bad_body", True)


async def test_a_token_that_may_not_read_is_refused_a_list() -> None:
    writes = {TOKEN: frozenset({"license:write"})}
    async with holding([ID], tokens=writes) as sandbox, client(sandbox.base_url) as api:
        with pytest.raises(RejectedError) as e:
            await api.list({})

    assert (e.value.status, e.value.code) == (403, "FORBIDDEN")


@pytest.mark.parametrize("kind", [*sorted(FAULTS), 401, 403, 404, 429, 500])
async def test_whatever_the_answer_to_a_list_is_it_is_one_request_and_one_slot(
    kind: str | int,
) -> None:
    async with holding([ID], drip=1.0) as sandbox, client(sandbox.base_url) as api:
        sandbox.fail_all(kind, on="LIST")
        with suppress(ApiError):
            await api.list({})
        await sandbox.settle()

        assert isinstance(api._rate_limiter, CountingRateLimiter)
        assert (api._rate_limiter.requests, api._rate_limiter.released, sandbox.requests) == (
            1,
            1,
            1,
        )
        assert api.patches == 0


# Slots


@pytest.mark.parametrize("kind", [None, *sorted(FAULTS), 400, 401, 403, 404, 429, 500, 503])
async def test_a_slot_is_released_whatever_the_answer_is(kind: str | int | None) -> None:
    async with holding([ID], drip=1.0) as sandbox, client(sandbox.base_url) as api:
        rate_limiter = api._rate_limiter
        assert isinstance(rate_limiter, CountingRateLimiter)
        if kind is not None:
            sandbox.fail(ID, kind, times=None, on="*")
        for request in (api.change(ID, True), api.get(ID)):
            with suppress(ApiError):
                await request

        assert (rate_limiter.requests, rate_limiter.released, api.patches) == (2, 2, 1)
        assert len(sandbox.log) == 2


async def test_a_slot_is_released_when_its_request_is_cancelled_in_flight() -> None:
    async with RawServer(silence, OK) as server, client(server.base_url) as api:
        rate_limiter = api._rate_limiter
        assert isinstance(rate_limiter, CountingRateLimiter)
        request = asyncio.create_task(api.change(ID, True))
        await asyncio.sleep(1)
        assert (rate_limiter.requests, rate_limiter.released) == (1, 0)

        request.cancel()
        await asyncio.wait([request])

        assert request.cancelled()
        assert (rate_limiter.requests, rate_limiter.released) == (1, 1)
        await api.change(ID, True)
        assert server.connections == 2


async def test_who_is_cancelled_before_a_slot_is_free_sends_nothing() -> None:
    async with RawServer(OK) as server, client(server.base_url) as api:
        api._rate_limiter.pause(60)
        request = asyncio.create_task(api.change(ID, True))
        await asyncio.sleep(1)

        request.cancel()
        await asyncio.wait([request])

        assert request.cancelled()
        assert (api._rate_limiter.requests, api.patches, server.connections) == (0, 0, 0)


async def test_the_time_for_an_answer_starts_when_the_rate_limiter_lets_it_go() -> None:
    async with RawServer(silence) as server, client(server.base_url) as api:
        api._rate_limiter.pause(60)
        started = now()
        with pytest.raises(TransientError) as caught:
            await api.change(ID, True)

    assert caught.value.sent == pytest.approx(started + 60)
    assert now() - started == pytest.approx(65)


@pytest.mark.parametrize(
    "answer",
    [drop, silence, http(b"no"), http(status="401 No"), http(status="409 No"),
     http(status="429 No"), http(describing(id=OTHER)), http(describing(revoked=False))],
)  # fmt: skip
async def test_an_error_knows_when_its_request_left(answer: Answer) -> None:
    async with RawServer(answer) as server, client(server.base_url) as api:
        await asyncio.sleep(3)
        started = now()
        with pytest.raises(ApiError) as caught:
            await api.change(ID, True)

    assert caught.value.sent == started


# Caches


@pytest.fixture
def warned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is logged as a warning."""
    said: list[str] = []
    monkeypatch.setattr(client_module.log, "warning", lambda text, *p, **_: said.append(text % p))
    return said


async def test_an_answer_out_of_a_cache_is_said_once_and_the_cache_is_named(
    warned: list[str],
) -> None:
    cached = http(describing(), "Age: 12", "Via: 1.1 varnish (Varnish/7.1)")
    async with RawServer(OK, cached) as server, client(server.base_url) as api:
        for _ in range(3):
            await api.get(ID)

    assert len(warned) == 1
    assert "a cache (1.1 varnish (Varnish/7.1)) answers" in warned[0]
    assert "12 s old" in warned[0]


@pytest.mark.parametrize("header", ["Age: 0", "Age: -1", "Age: old", "Age: 1.5", "X: 12"])
async def test_an_answer_that_is_new_is_no_caches(header: str, warned: list[str]) -> None:
    async with RawServer(http(describing(), header)) as server, client(server.base_url) as api:
        await api.get(ID)

    assert warned == []


async def test_what_a_cache_calls_itself_is_left_out_where_it_is_no_name(warned: list[str]) -> None:
    odd = http(describing(), "Age: 12", "Via: 1.1 \x1b[31m")
    async with RawServer(odd) as server, client(server.base_url) as api:
        await api.get(ID)

    assert "a cache answers" in warned[0]
