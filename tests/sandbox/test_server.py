"""The sandbox's life: its address, its log, its latencies, its outages and its end."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress

import aiohttp
import pytest

from batch.sandbox import TOKEN, Account, Entry, Log, Sandbox
from batch.sandbox.faults import HUGE
from tests.sandbox.test_api import Answer, ask

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


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.1", "example.com", ""])  # noqa: S104
def test_it_refuses_to_listen_on_anything_but_loopback(host: str) -> None:
    with pytest.raises(ValueError, match="loopback only"):
        Sandbox(Account(), host=host)


async def test_localhost_means_the_loopback_address() -> None:
    async with Sandbox(Account(), host="localhost") as sandbox:
        assert sandbox.base_url.startswith("http://127.0.0.1:")


async def test_ipv6_loopback_stands_in_brackets() -> None:
    try:
        async with Sandbox(Account(), host="::1") as sandbox:
            assert sandbox.base_url == f"http://[::1]:{sandbox.port}/v3"
            assert (await ask(sandbox, "GET", "/status")).status == 200
    except OSError:
        pytest.skip("this machine has no IPv6")


async def test_the_log_tells_who_came_when_and_what_became_of_it() -> None:
    async with Sandbox(Account.holding([ONE])) as sandbox:
        before = asyncio.get_running_loop().time()
        await revoke(sandbox)
        await ask(sandbox, "GET", "/licenses")

        patch, listing = sandbox.log

    assert before <= patch.time <= listing.time
    assert patch == Entry(patch.time, "PATCH", ONE, status=200, applied=True)
    assert listing == Entry(listing.time, "GET", "/v3/licenses", status=200)


@pytest.mark.parametrize(("log", "kept"), [(True, 5), (3, 3), (False, 0)])
async def test_the_log_can_be_bounded_or_switched_off_and_the_counts_go_on(
    log: bool | int, kept: int
) -> None:
    async with Sandbox(Account(), rate=(4, 60.0), log=log) as sandbox:
        for _ in range(5):
            await ask(sandbox, "GET", "/status")

        assert len(sandbox.log) == kept
        assert (sandbox.requests, sandbox.count_429) == (5, 1)


def test_the_busiest_window_contains_its_start_and_not_its_end() -> None:
    log = Log()
    for moment in (0.0, 4.0, 4.5, 5.0, 8.9, 9.0, 20.0):
        log.append(Entry(moment, "GET", "/"))

    assert log.busiest(5.0) == 4
    assert log.busiest(4.0) == 3
    assert log.busiest(0.6) == 2
    assert Log().busiest(5.0) == 0


async def test_the_sandbox_knows_its_busiest_window() -> None:
    async with Sandbox(Account()) as sandbox:
        for _ in range(3):
            await ask(sandbox, "GET", "/status")

        assert sandbox.busiest(60.0) == 3


async def test_half_of_the_latency_passes_before_a_request_arrives() -> None:
    async with Sandbox(Account(), latency=(0.04, 0.04)) as sandbox:
        sent = asyncio.get_running_loop().time()
        await ask(sandbox, "GET", "/status")
        answered = asyncio.get_running_loop().time()

    arrived = sandbox.log[0].time
    assert arrived - sent > 0.019
    assert answered - arrived > 0.019


async def test_latencies_are_drawn_between_their_bounds() -> None:
    async with Sandbox(Account(), latency=(0.0, 0.02)) as sandbox:
        trips = [sandbox._gateway.chance.draw("GET", "/") for _ in range(200)]  # type: ignore[union-attr]

    assert 0 <= min(trip.there for trip in trips) < 0.1
    assert 0.9 < max(trip.back for trip in trips) < 1
    assert len({trip.there for trip in trips} | {trip.back for trip in trips}) == 400


async def test_what_has_arrived_is_carried_out_although_nobody_waits_for_it() -> None:
    async with Sandbox(Account.holding([ONE]), latency=(0.08, 0.08)) as sandbox:
        with pytest.raises(TimeoutError):
            await revoke(sandbox, timeout=0.02)

        await sandbox.settle()
        assert sandbox.revoked[ONE] is True


async def test_an_outage_refuses_connections_and_drops_those_there_are_until_healed() -> None:
    async with Sandbox(Account()) as sandbox, aiohttp.ClientSession() as session:
        url = f"{sandbox.base_url}/status"
        port = sandbox.port
        sandbox.fail_all("hang_before", times=1)
        hanging = asyncio.create_task(session.get(url))
        await asyncio.sleep(0.02)

        sandbox.outage()

        with pytest.raises(aiohttp.ClientOSError):
            await hanging
        for _ in range(2):
            with pytest.raises(aiohttp.ClientConnectorError):
                await session.get(url)

        sandbox.heal()

        assert (await session.get(url)).status == 200
        assert sandbox.port == port
        assert sandbox.requests == 2


async def test_outages_may_follow_each_other_at_once() -> None:
    async with Sandbox(Account()) as sandbox:
        sandbox.outage()
        sandbox.outage()
        sandbox.heal()
        sandbox.heal()
        sandbox.outage()
        await asyncio.sleep(0)
        with pytest.raises(aiohttp.ClientConnectorError):
            await ask(sandbox, "GET", "/status")
        sandbox.heal()

        assert (await ask(sandbox, "GET", "/status")).status == 200


async def test_a_sandbox_can_end_during_an_outage_and_right_after() -> None:
    async with Sandbox(Account()) as sandbox:
        sandbox.outage()
    async with Sandbox(Account()) as sandbox:
        sandbox.outage()
        sandbox.heal()

    with pytest.raises(aiohttp.ClientConnectorError):
        await ask(sandbox, "GET", "/status")


@pytest.mark.parametrize("kind", [503, "reset_before"])
async def test_an_outage_can_be_any_fault_and_stands_before_the_limiter(kind: int | str) -> None:
    async with Sandbox(Account.holding([ONE]), rate=(1, 60.0)) as sandbox:
        sandbox.outage(kind)
        for _ in range(3):
            if kind == "reset_before":
                with pytest.raises(aiohttp.ClientOSError):
                    await revoke(sandbox)
            else:
                assert (await revoke(sandbox)).status == kind
        assert sandbox.revoked[ONE] is False
        sandbox.heal()

        assert (await revoke(sandbox)).status == 200
        assert sandbox.count_429 == 0
        assert sandbox.requests == 4


@pytest.mark.parametrize("kind", ["hang_after", "late", "endless", "huge", None])
async def test_leaving_the_sandbox_ends_everything_at_once(kind: str | None) -> None:
    started = asyncio.get_running_loop().time()
    async with Sandbox(
        Account.holding([ONE]), latency=(0, 120.0 if kind is None else 0)
    ) as sandbox:
        if kind is not None:
            sandbox.fail(ONE, kind)
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
    assert asyncio.get_running_loop().time() - started < 1


async def test_a_request_that_never_ends_its_body_does_not_hold_up_the_end() -> None:
    started = asyncio.get_running_loop().time()
    async with Sandbox(Account.holding([ONE])) as sandbox:
        _, writer = await asyncio.open_connection("127.0.0.1", sandbox.port)
        writer.write(
            f"PATCH /v3/licenses/{ONE} HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n{{".encode()
        )
        await asyncio.sleep(0.02)

    writer.close()
    assert asyncio.get_running_loop().time() - started < 1
    assert sandbox.requests == 0
