"""What keeps TLS from coming about, against servers that speak it: who is to do what about it."""

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from batch.api.client import CryptlexClient
from batch.api.rate_limiter import RateLimiter
from batch.api.tls import tls_failure
from batch.errors import AccessError, ApiError, TransientError
from batch.sandbox import TOKEN
from tests.support.job_harness import some_ids
from tests.support.tls import Trust, shaking_hands
from tests.support.virtual_time import virtual_clock

if TYPE_CHECKING:
    from collections.abc import Callable

PAST, FUTURE = datetime(2020, 1, 1, tzinfo=UTC), datetime(2040, 1, 1, tzinfo=UTC)
LATER = datetime(2041, 1, 1, tzinfo=UTC)


async def failure(host: str, port: int, trust: Trust, *, change: bool = True) -> ApiError:
    """What a PATCH, or a GET, comes to."""
    rate_limiter = RateLimiter(None, 5.0, virtual_clock())
    url = f"https://{host}:{port}/v3"
    (license_id,) = some_ids(1)
    async with CryptlexClient(url, TOKEN, rate_limiter, ca_file=str(trust.file)) as api:
        request = api.change(license_id, True) if change else api.get(license_id)
        with pytest.raises(ApiError) as caught:
            await request
    assert caught.value.code == "tls"
    assert not caught.value.shown, "a log may hold it"
    return caught.value


@pytest.mark.parametrize(
    ("shows", "kind", "said", "hint"),
    [
        (lambda own, _: own.server(until=PAST), AccessError, "has expired", "renew"),
        (
            lambda own, _: own.server(since=FUTURE, until=LATER),
            TransientError, "is not valid yet", "clock of this machine",
        ),
        (lambda own, _: own.server("127.0.0.2"), AccessError, "is for another host", "--base-url"),
        (lambda own, _: own.server("localhost"), AccessError, "is for another host", "--base-url"),
        (lambda _, other: other.server(), AccessError, "is not trusted", "--ca-file"),
        (
            lambda _, other: other.server(with_authority=True),
            AccessError, "is not trusted", "--ca-file",
        ),
        (lambda _, other: other.itself(), AccessError, "is not trusted", "--ca-file"),
    ],
)  # fmt: skip
async def test_a_certificate_is_refused_for_its_own_reason(
    shows: Callable[[Trust, Trust], ssl.SSLContext],
    kind: type[ApiError],
    said: str,
    hint: str,
    trust: Trust,
    stranger: Trust,
) -> None:
    server = await asyncio.get_running_loop().create_server(
        asyncio.Protocol, "127.0.0.1", 0, ssl=shows(trust, stranger)
    )
    async with server:
        port = server.sockets[0].getsockname()[1]
        error = await failure("127.0.0.1", port, trust)

    assert type(error) is kind
    assert str(error).startswith(f"the certificate of 127.0.0.1:{port} {said}")
    assert hint in error.hint
    assert ("--ca-file" in error.hint) is ("not trusted" in said)


async def test_a_certificate_of_another_name_is_for_another_host(trust: Trust) -> None:
    server = await asyncio.get_running_loop().create_server(
        asyncio.Protocol, "127.0.0.1", 0, ssl=trust.server("other.example.com")
    )
    async with server:
        error = await failure("localhost", server.sockets[0].getsockname()[1], trust)

    assert isinstance(error, AccessError)
    assert "is for another host" in str(error)


@pytest.mark.parametrize(
    ("alert", "said", "hint"),
    [
        ("PROTOCOL_VERSION", "speaks no TLS that is safe (protocol version)", "TLS 1.2"),
        ("INSUFFICIENT_SECURITY", "speaks no TLS that is safe", "ciphers"),
        ("HANDSHAKE_FAILURE", "refuses to speak TLS with us", "its log"),
        ("ACCESS_DENIED", "refuses to speak TLS with us", "its log"),
        ("BAD_CERTIFICATE", "asks for a client certificate", "none"),
        ("UNKNOWN_CA", "asks for a client certificate", "none"),
    ],
)
async def test_an_alert_that_a_person_has_to_deal_with_stops_every_run(
    alert: str, said: str, hint: str, trust: Trust
) -> None:
    error = await alerted(alert, trust)

    assert isinstance(error, AccessError)
    assert said in str(error)
    assert hint in error.hint


@pytest.mark.parametrize("alert", ["UNRECOGNIZED_NAME", "INTERNAL_ERROR", "USER_CANCELLED"])
async def test_any_other_alert_is_waited_for_where_nobody_is_there(
    alert: str, trust: Trust
) -> None:
    error = await alerted(alert, trust)

    assert isinstance(error, TransientError)
    assert error.lasting
    assert not error.arrived
    assert f"({alert.replace('_', ' ').lower()})" in str(error)


async def alerted(alert: str, trust: Trust) -> ApiError:
    """What comes of a server that ends the handshake so."""
    context = trust.server("localhost")
    context.sni_callback = lambda *_: getattr(ssl, f"ALERT_DESCRIPTION_{alert}")
    async with shaking_hands(context) as port:
        return await failure("localhost", port, trust)


@pytest.mark.parametrize("change", [True, False])
@pytest.mark.parametrize(
    ("version", "said"),
    [
        (ssl.TLSVersion.TLSv1_2, "refuses to speak TLS with us (handshake failure)"),
        (ssl.TLSVersion.TLSv1_3, "asks for a client certificate (certificate required)"),
    ],
)
async def test_a_server_that_asks_for_a_client_certificate_stops_every_run(
    version: ssl.TLSVersion, said: str, change: bool, trust: Trust
) -> None:
    context = trust.server()
    context.minimum_version = context.maximum_version = version
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(trust.file)
    async with shaking_hands(context) as port:
        error = await failure("127.0.0.1", port, trust, change=change)

    assert isinstance(error, AccessError)
    assert said in str(error)
    assert "client certificate" in str(error) + error.hint


async def test_a_server_and_we_without_a_common_cipher_stop_every_run(trust: Trust) -> None:
    context = trust.server()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("AES128-SHA")
    async with shaking_hands(context) as port:
        error = await failure("127.0.0.1", port, trust)

    assert isinstance(error, AccessError)
    assert "refuses to speak TLS with us" in str(error)


def test_what_is_not_known_of_a_handshake_is_waited_for_at_a_terminal_as_well() -> None:
    cause = ssl.SSLError(1, "[SSL: UNEXPECTED_EOF_WHILE_READING] …")
    cause.reason = "UNEXPECTED_EOF_WHILE_READING"

    error = tls_failure(cause, "api.example.com:443", "--base-url")

    assert isinstance(error, TransientError)
    assert not error.lasting
    assert str(error) == "no TLS with api.example.com:443 (unexpected eof while reading)"
