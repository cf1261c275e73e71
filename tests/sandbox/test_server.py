"""The sandbox's life: its address, its latencies and its end."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress

import aiohttp
import pytest

from batch.sandbox import TOKEN, Account, Sandbox
from tests.sandbox.test_api import Answer, ask
from tests.support.faults import HUGE
from tests.support.faulty_sandbox import FaultySandbox
from tests.support.virtual_time import now

ONE = "11111111-1111-4111-8111-111111111111"


async def revoke(sandbox: Sandbox, *, timeout: float = 5.0) -> Answer:  # noqa: ASYNC109
    change = {"revoked": True}
    return await ask(sandbox, "PATCH", f"/licenses/{ONE}", json=change, timeout=timeout)


async def read_to_the_end(reader: asyncio.StreamReader) -> int:
    """Bytes that came before the connection was closed or reset."""
    count = 0
    with suppress(ConnectionError):
        while piece := await reader.read(2**20):
            count += len(piece)
    return count


async def test_the_base_url_names_the_port_that_was_free() -> None:
    async with Sandbox(Account()) as sandbox:
        assert sandbox.port > 0
        assert sandbox.base_url == f"http://127.0.0.1:{sandbox.port}/v3"


async def test_a_port_can_be_chosen_and_is_free_again_afterwards() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    for _ in range(2):
        async with Sandbox(Account(), port=port) as sandbox:
            assert (await ask(sandbox, "GET", "/status")).status == 200
            assert sandbox.port == port


async def test_a_port_that_is_taken_is_an_error() -> None:
    async with Sandbox(Account()) as sandbox:
        with pytest.raises(OSError, match="in use"):
            await Sandbox(Account(), port=sandbox.port).__aenter__()


async def test_it_listens_on_loopback_and_nowhere_else() -> None:
    for sandbox in (Sandbox(Account()), FaultySandbox(Account())):
        async with sandbox:
            with socket.socket() as other, pytest.raises(ConnectionRefusedError):
                other.connect(("127.0.0.2", sandbox.port))


async def test_half_of_the_latency_passes_before_a_request_arrives() -> None:
    async with FaultySandbox(Account(), latency=(0.04, 0.04)) as sandbox:
        sent = now()
        await ask(sandbox, "GET", "/status")
        answered = now()

    arrived = sandbox.log[0].time
    assert arrived - sent > 0.019
    assert answered - arrived > 0.019


async def test_latencies_are_drawn_between_their_bounds() -> None:
    trips = []
    async with (
        Sandbox(Account(), latency=(0.1, 0.3)) as sandbox,
        aiohttp.ClientSession() as session,
    ):
        for _ in range(100):
            sent = now()
            await session.get(f"{sandbox.base_url}/status")
            trips.append(now() - sent)

    assert 0.099 < min(trips) < 0.15
    assert 0.25 < max(trips) < 0.31
    assert len({round(trip, 6) for trip in trips}) > 90


async def test_what_has_arrived_is_carried_out_although_nobody_waits_for_it() -> None:
    async with Sandbox(Account.holding([ONE]), latency=(0.08, 0.08)) as sandbox:
        with pytest.raises(TimeoutError):
            await revoke(sandbox, timeout=0.02)
        assert sandbox.account.licenses[ONE].revoked is False

        await asyncio.sleep(0.1)
        assert sandbox.account.licenses[ONE].revoked is True


@pytest.mark.parametrize("kind", ["hang_after", "late", "endless", "huge", None])
async def test_leaving_the_sandbox_ends_everything_at_once(kind: str | None) -> None:
    started = now()
    account = Account.holding([ONE])
    if kind is None:
        left = Sandbox(account, latency=(120.0, 120.0))
    else:
        left = FaultySandbox(account)
        left.fail(ONE, kind)
    async with left as sandbox:
        reader, writer = await asyncio.open_connection("127.0.0.1", sandbox.port)
        idle_reader, idle_writer = await asyncio.open_connection("127.0.0.1", sandbox.port)
        body = b'{"revoked": true}'
        head = (
            f"PATCH /v3/licenses/{ONE} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {TOKEN}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode() + body)
        await writer.drain()
        await asyncio.sleep(0.02)

    assert await read_to_the_end(reader) < HUGE
    assert await read_to_the_end(idle_reader) == 0
    writer.close()
    idle_writer.close()
    assert now() - started < 1


@pytest.mark.parametrize("kind", [Sandbox, FaultySandbox])
async def test_a_request_that_never_ends_its_body_does_not_hold_up_the_end(
    kind: type[Sandbox],
) -> None:
    started = now()
    async with kind(Account.holding([ONE])) as sandbox:
        _, writer = await asyncio.open_connection("127.0.0.1", sandbox.port)
        writer.write(
            f"PATCH /v3/licenses/{ONE} HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{{".encode()
        )
        await asyncio.sleep(0.02)

    writer.close()
    assert now() - started < 1
