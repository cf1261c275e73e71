"""What a client meets when a request goes wrong at random, and whether its change is applied."""

from __future__ import annotations

import asyncio
import errno
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from batch.sandbox import Account, Sandbox
from batch.sandbox.faults import SURVIVABLE, RandomFaults
from batch.sandbox.message import Request, Response
from tests.sandbox.test_api import Answer, ask
from tests.support.faulty_sandbox import FaultySandbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ONE, TWO = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"


@pytest.fixture
async def sandbox() -> AsyncIterator[FaultySandbox]:
    account = Account.holding([ONE, TWO])
    async with FaultySandbox(account, rate=(1000, 5.0)) as sandbox:
        yield sandbox


async def revoke(sandbox: Sandbox, license_id: str = ONE, **options: Any) -> Answer:  # noqa: ANN401
    path = f"/licenses/{license_id}"
    return await ask(sandbox, "PATCH", path, json={"revoked": True}, **options)


@pytest.mark.parametrize("status", [400, 409, 418, 500, "503", 599])
async def test_a_status_comes_with_the_body_of_the_api_and_nothing_applied(
    sandbox: FaultySandbox, status: int | str
) -> None:
    sandbox.fail(ONE, status)

    answer = await revoke(sandbox)

    assert answer.status == int(status)
    assert set(answer.json) == {"message", "code"}
    assert "X-Rate-Limit-Remaining" in answer.headers
    assert "Retry-After" not in answer.headers
    assert sandbox.revoked[ONE] is False


@pytest.mark.parametrize(("kind", "applied"), [("reset_before", False), ("reset_after", True)])
async def test_a_reset_connection_gives_no_answer(
    sandbox: FaultySandbox, kind: str, applied: bool
) -> None:
    sandbox.fail(ONE, kind)

    with pytest.raises(aiohttp.ClientOSError) as failure:
        await revoke(sandbox)

    assert failure.value.errno == errno.ECONNRESET
    assert sandbox.revoked[ONE] is applied
    assert (sandbox.log[0].status, sandbox.log[0].applied) == (None, applied)


async def test_a_truncated_body_is_shorter_than_announced(sandbox: FaultySandbox) -> None:
    sandbox.fail(ONE, "truncated")

    with pytest.raises(aiohttp.ClientPayloadError):
        await revoke(sandbox)

    assert sandbox.revoked[ONE] is True
    assert sandbox.log[0].status == 200


async def test_not_json_is_a_200_that_cannot_be_parsed(sandbox: FaultySandbox) -> None:
    sandbox.fail(ONE, "not_json")

    answer = await revoke(sandbox)

    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("application/json")
    assert answer.json is None
    assert sandbox.revoked[ONE] is True


@pytest.mark.parametrize(("kind", "status"), [("empty_200", 200), ("204", 204), (204, 204)])
async def test_an_empty_answer_says_nothing_of_a_change_that_is_applied(
    sandbox: FaultySandbox, kind: str | int, status: int
) -> None:
    sandbox.fail(ONE, kind)

    answer = await revoke(sandbox)

    assert (answer.status, answer.body) == (status, b"")
    assert sandbox.revoked[ONE] is True


async def test_a_gateway_can_time_out_on_a_change_that_is_applied(sandbox: FaultySandbox) -> None:
    sandbox.fail(ONE, "504_after")

    answer = await revoke(sandbox)

    assert answer.status == 504
    assert sandbox.revoked[ONE] is True


async def met_by_chance(*, seed: int, concurrency: int) -> dict[tuple[str, int], str]:
    """The faults of three rounds of PATCHes, by license and round."""
    ids = [f"{n:08x}-0000-4000-8000-000000000000" for n in range(60)]
    account = Account.holding(ids)
    async with FaultySandbox(
        account, faults=0.5, fault_kinds=("500", "502", "503"), seed=seed
    ) as sandbox:
        slots = asyncio.Semaphore(concurrency)

        async def one(license_id: str) -> None:
            for _ in range(3):
                async with slots:
                    await revoke(sandbox, license_id)

        await asyncio.gather(*(one(license_id) for license_id in ids))
        met: dict[tuple[str, int], str] = {}
        for entry in sandbox.log:
            nth = sum((entry.target, n) in met for n in range(3))
            met[entry.target, nth] = entry.fault
        return met


async def test_chance_depends_on_the_seed_and_not_on_concurrency() -> None:
    alone = await met_by_chance(seed=1, concurrency=1)
    crowd = await met_by_chance(seed=1, concurrency=16)
    other = await met_by_chance(seed=2, concurrency=1)

    assert alone == crowd
    assert alone != other
    assert set(alone.values()) == {"", "500", "502", "503"}
    assert 0.35 < sum(map(bool, alone.values())) / len(alone) < 0.65


async def test_every_fault_drawn_by_default_is_over_soon_and_can_be_tried_again() -> None:
    for kind in SURVIVABLE:
        async with FaultySandbox(Account.holding([ONE]), faults=1.0, fault_kinds=[kind]) as sandbox:
            try:
                answer = await revoke(sandbox, timeout=1.0)
            except aiohttp.ClientError:
                continue

            assert "Retry-After" not in answer.headers
            believed = answer.status == 200 and answer.body.startswith(b"{") and b"}" in answer.body
            assert answer.status in {204, 500, 502, 503, 504} or not believed


async def test_a_fault_share_of_zero_and_one_mean_never_and_always() -> None:
    for share, expected in ((0.0, {200}), (1.0, {500})):
        async with FaultySandbox(
            Account.holding([ONE]), faults=share, fault_kinds=[500]
        ) as sandbox:
            assert {(await revoke(sandbox)).status for _ in range(10)} == expected


async def test_a_sandbox_draws_from_what_a_client_survives_and_by_its_seed() -> None:
    ids = [f"{n:08x}-0000-4000-8000-000000000000" for n in range(200)]

    async def outcomes(seed: int) -> dict[str, str]:
        async with Sandbox(Account.holding(ids), faults=1.0, seed=seed) as sandbox:
            return {license_id: await outcome(sandbox, license_id) for license_id in ids}

    async def outcome(sandbox: Sandbox, license_id: str) -> str:
        try:
            answer = await revoke(sandbox, license_id, timeout=1.0)
        except aiohttp.ClientError as failure:
            said = type(failure).__name__
        else:
            said = f"{answer.status} {answer.body[:12]!r}"
        return f"{said} {sandbox.account.licenses[license_id].revoked}"

    one = await outcomes(1)

    assert len(set(one.values())) == len(SURVIVABLE)
    assert one == await outcomes(1)
    assert one != await outcomes(2)


async def test_a_request_that_the_limiter_turns_away_takes_no_draw() -> None:
    async def faults(rate: tuple[int, float] | None) -> list[str]:
        async with FaultySandbox(
            Account.holding([ONE]), rate=rate, faults=0.5, fault_kinds=[500]
        ) as sandbox:
            for _ in range(60):
                await revoke(sandbox)
                await asyncio.sleep(0.05)
            return [entry.fault for entry in sandbox.log if entry.status != 429][:15]

    limited = await faults(rate=(1, 0.12))

    assert len(limited) == 15
    assert limited == await faults(rate=None)


def test_a_response_names_the_fault_that_was_drawn_and_one_that_is_right_names_none() -> None:
    request = Request(0.0, "GET", "/v3/status", "status", "", [], {}, b"")
    right = Response(200)

    wrong = RandomFaults(lambda _: right, 1.0, 0, {"html_502": SURVIVABLE["html_502"]})
    none = RandomFaults(lambda _: right, 0.0, 0)

    assert (wrong.handle(request).fault, wrong.handle(request).status) == ("html_502", 502)
    assert none.handle(request).fault == ""
