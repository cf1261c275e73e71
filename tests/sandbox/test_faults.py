"""What a client meets when a request goes wrong, and whether its change is applied."""

from __future__ import annotations

import asyncio
import errno
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from batch.sandbox import FAULTS, SURVIVABLE, TOKEN, Account, Sandbox, http_date
from batch.sandbox.faults import HUGE
from tests.sandbox.test_api import Answer, ask

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ONE, TWO = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
SOON = 0.05
"""Seconds until a client gives up."""


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    account = Account.holding([ONE, TWO])
    async with Sandbox(account, rate=(1000, 5.0), drip=0.001, lateness=0.01) as sandbox:
        yield sandbox


async def revoke(sandbox: Sandbox, license_id: str = ONE, **options: Any) -> Answer:  # noqa: ANN401
    path = f"/licenses/{license_id}"
    return await ask(sandbox, "PATCH", path, json={"revoked": True}, **options)


@pytest.mark.parametrize("status", [400, 409, 418, 500, "503", 599])
async def test_a_status_comes_with_the_body_of_the_api_and_nothing_applied(
    sandbox: Sandbox, status: int | str
) -> None:
    sandbox.fail(ONE, status)

    answer = await revoke(sandbox)

    assert answer.status == int(status)
    assert set(answer.json) == {"message", "code"}
    assert "X-Rate-Limit-Remaining" in answer.headers
    assert "Retry-After" not in answer.headers
    assert sandbox.revoked[ONE] is False


@pytest.mark.parametrize("kind", [429, 503, "503_retry_after", "html_502"])
@pytest.mark.parametrize("retry_after", [7, http_date(784_111_777)])
async def test_retry_after_is_seconds_or_a_date(
    sandbox: Sandbox, kind: int | str, retry_after: int | str
) -> None:
    sandbox.fail(ONE, kind, retry_after=retry_after)

    answer = await revoke(sandbox)

    assert answer.headers["Retry-After"] in {"7", "Sun, 06 Nov 1994 08:49:37 GMT"}
    assert answer.headers["Retry-After"] == str(retry_after)
    assert sandbox.revoked[ONE] is False


async def test_503_retry_after_asks_for_a_second_by_itself(sandbox: Sandbox) -> None:
    sandbox.fail(ONE, "503_retry_after")

    answer = await revoke(sandbox)

    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")


async def test_a_scripted_429_looks_like_one_of_the_limiter(sandbox: Sandbox) -> None:
    sandbox.fail(ONE, 429)

    answer = await revoke(sandbox)

    assert answer.body == b"API calls quota exceeded! maximum admitted 50 per 5s."
    assert answer.headers["Retry-After"] == "1"
    assert "X-Rate-Limit-Remaining" not in answer.headers
    assert sandbox.count_429 == 0


@pytest.mark.parametrize(
    ("kind", "status"), [("html_502", 502), ("html_200", 200), ("html_404", 404)]
)
async def test_pages_come_from_a_machine_in_front_of_the_api(
    sandbox: Sandbox, kind: str, status: int
) -> None:
    sandbox.fail(ONE, kind)

    answer = await revoke(sandbox)

    assert (answer.status, answer.headers["Content-Type"]) == (status, "text/html")
    assert b"<html>" in answer.body
    assert "X-Rate-Limit-Remaining" not in answer.headers
    assert sandbox.revoked[ONE] is False


async def test_a_redirect_leads_to_where_the_sandbox_sees_who_follows(sandbox: Sandbox) -> None:
    sandbox.fail(ONE, "redirect")
    answer = await revoke(sandbox, allow_redirects=False)

    sandbox.fail(ONE, "redirect")
    await revoke(sandbox, allow_redirects=True)

    assert (answer.status, answer.headers["Location"]) == (302, "/elsewhere")
    assert sandbox.log[-1].target == "/elsewhere"
    assert sandbox.revoked[ONE] is False


@pytest.mark.parametrize(("kind", "applied"), [("reset_before", False), ("reset_after", True)])
async def test_a_reset_connection_gives_no_answer(
    sandbox: Sandbox, kind: str, applied: bool
) -> None:
    sandbox.fail(ONE, kind)

    with pytest.raises(aiohttp.ClientOSError) as failure:
        await revoke(sandbox)

    assert failure.value.errno == errno.ECONNRESET
    assert sandbox.revoked[ONE] is applied
    assert (sandbox.log[0].status, sandbox.log[0].applied) == (None, applied)


@pytest.mark.parametrize(("kind", "applied"), [("hang_before", False), ("hang_after", True)])
async def test_a_hanging_request_ends_when_the_client_gives_up(
    sandbox: Sandbox, kind: str, applied: bool
) -> None:
    sandbox.fail(ONE, kind)

    with pytest.raises(TimeoutError):
        await revoke(sandbox, timeout=SOON)

    await sandbox.settle()
    assert sandbox.revoked[ONE] is applied
    assert sandbox.log[0].status is None


async def test_a_late_change_is_applied_after_the_client_has_given_up(sandbox: Sandbox) -> None:
    sandbox.fail(ONE, "late")

    with pytest.raises(TimeoutError):
        await revoke(sandbox, timeout=SOON)

    assert sandbox.revoked[ONE] is False
    given_up = asyncio.get_running_loop().time()
    await sandbox.settle()
    assert asyncio.get_running_loop().time() - given_up > 0.009
    assert sandbox.revoked[ONE] is True
    assert sandbox.log[0].applied is True


async def test_a_late_change_waits_for_the_client_however_patient_it_is(sandbox: Sandbox) -> None:
    sandbox.fail(ONE, "late")

    patient = asyncio.create_task(revoke(sandbox))
    await asyncio.sleep(0.05)
    assert sandbox.revoked[ONE] is False
    patient.cancel()

    await sandbox.settle()
    assert sandbox.revoked[ONE] is True


async def test_a_truncated_body_is_shorter_than_announced(sandbox: Sandbox) -> None:
    sandbox.fail(ONE, "truncated")

    with pytest.raises(aiohttp.ClientPayloadError):
        await revoke(sandbox)

    assert sandbox.revoked[ONE] is True
    assert sandbox.log[0].status == 200


async def test_a_slow_drip_ends_with_the_whole_answer(sandbox: Sandbox) -> None:
    sandbox.fail(ONE, "slow_drip")

    async with aiohttp.ClientSession() as session:
        answer = await session.patch(
            f"{sandbox.base_url}/licenses/{ONE}",
            json={"revoked": True},
            headers={"Authorization": f"Bearer {TOKEN}"},
        )
        pieces = [piece async for piece in answer.content.iter_any()]

    assert len(pieces) > 3
    assert json.loads(b"".join(pieces))["revoked"] is True
    assert sandbox.revoked[ONE] is True


async def test_an_endless_body_comes_for_as_long_as_the_client_listens(sandbox: Sandbox) -> None:
    sandbox.fail(ONE, "endless")

    with pytest.raises(TimeoutError):
        await revoke(sandbox, timeout=SOON)

    await sandbox.settle()
    assert sandbox.revoked[ONE] is True


async def test_a_huge_body_is_the_license_and_20_megabytes_of_blanks(sandbox: Sandbox) -> None:
    sandbox.fail(ONE, "huge")

    answer = await revoke(sandbox)

    assert len(answer.body) == HUGE == 20 * 2**20
    assert answer.json["revoked"] is True
    assert sandbox.revoked[ONE] is True


async def test_bad_gzip_cannot_be_inflated(sandbox: Sandbox) -> None:
    sandbox.fail(ONE, "bad_gzip")

    with pytest.raises(aiohttp.ClientPayloadError):
        await revoke(sandbox)

    assert sandbox.revoked[ONE] is True


async def test_not_json_is_a_200_that_cannot_be_parsed(sandbox: Sandbox) -> None:
    sandbox.fail(ONE, "not_json")

    answer = await revoke(sandbox)

    assert answer.status == 200
    assert answer.headers["Content-Type"].startswith("application/json")
    assert answer.json is None
    assert sandbox.revoked[ONE] is True


@pytest.mark.parametrize(("kind", "status"), [("empty_200", 200), ("204", 204), (204, 204)])
async def test_an_empty_answer_says_nothing_of_a_change_that_is_applied(
    sandbox: Sandbox, kind: str | int, status: int
) -> None:
    sandbox.fail(ONE, kind)

    answer = await revoke(sandbox)

    assert (answer.status, answer.body) == (status, b"")
    assert sandbox.revoked[ONE] is True


async def test_a_gateway_can_time_out_on_a_change_that_is_applied(sandbox: Sandbox) -> None:
    sandbox.fail(ONE, "504_after")

    answer = await revoke(sandbox)

    assert answer.status == 504
    assert sandbox.revoked[ONE] is True


async def test_wrong_id_says_revoked_of_a_license_that_is_not_the_one(sandbox: Sandbox) -> None:
    sandbox.fail(ONE, "wrong_id")

    answer = await revoke(sandbox)

    assert answer.status == 200
    assert answer.json["revoked"] is True
    assert answer.json["id"] not in sandbox.account.licenses
    assert sandbox.revoked[ONE] is False


async def test_not_revoked_names_the_license_and_denies_the_change(sandbox: Sandbox) -> None:
    sandbox.fail(ONE, "not_revoked")

    answer = await revoke(sandbox)

    assert (answer.status, answer.json["id"], answer.json["revoked"]) == (200, ONE, False)
    assert sandbox.revoked[ONE] is False


async def test_revoked_as_text_is_a_string(sandbox: Sandbox) -> None:
    sandbox.fail(ONE, "revoked_as_text")

    answer = await revoke(sandbox)

    assert answer.json["revoked"] == "true"
    assert sandbox.revoked[ONE] is True


async def test_a_list_holds_the_one_license(sandbox: Sandbox) -> None:
    sandbox.fail(ONE, "list")

    answer = await revoke(sandbox)

    assert [license_["id"] for license_ in answer.json] == [ONE]
    assert sandbox.revoked[ONE] is True


async def test_a_list_can_bring_licenses_that_nobody_asked_for(sandbox: Sandbox) -> None:
    sandbox.fail_all("wrong_id", on="LIST")

    answer = await ask(sandbox, "GET", "/licenses")

    assert not {license_["id"] for license_ in answer.json} & set(sandbox.account.licenses)


@pytest.mark.parametrize("kind", ["list", "wrong_id", "not_revoked", "revoked_as_text"])
async def test_an_error_of_the_api_has_no_license_to_distort(sandbox: Sandbox, kind: str) -> None:
    sandbox.fail_all(kind)

    answer = await revoke(sandbox, "33333333-3333-4333-8333-333333333333")

    assert answer.status == 404
    assert set(answer.json) == {"message", "code"}


@pytest.mark.parametrize("kind", sorted({*FAULTS, "429", "500"}))
async def test_a_read_that_goes_wrong_changes_nothing(sandbox: Sandbox, kind: str) -> None:
    sandbox.fail(ONE, kind, on="GET")

    with suppress(aiohttp.ClientError, TimeoutError):
        await ask(sandbox, "GET", f"/licenses/{ONE}", timeout=SOON)

    assert sandbox.log[0].fault == kind
    assert sandbox.log[0].applied is False
    assert not any(sandbox.revoked.values())


async def test_a_scripted_fault_is_met_as_often_as_ordered_and_by_that_license_alone(
    sandbox: Sandbox,
) -> None:
    sandbox.fail(ONE.upper(), 500, times=2)
    sandbox.fail(ONE, 502)

    ones = [(await revoke(sandbox, ONE)).status for _ in range(4)]
    two = (await revoke(sandbox, TWO)).status

    assert ones == [500, 500, 502, 200]
    assert two == 200
    assert [entry.fault for entry in sandbox.log] == ["500", "500", "502", "", ""]


async def test_a_scripted_fault_without_times_lasts_until_healed(sandbox: Sandbox) -> None:
    sandbox.fail(ONE, 500, times=None)

    before = [(await revoke(sandbox)).status for _ in range(3)]
    sandbox.heal()
    after = (await revoke(sandbox)).status

    assert (before, after) == ([500, 500, 500], 200)


async def test_a_fault_is_met_only_by_the_operation_it_is_for(sandbox: Sandbox) -> None:
    async def statuses() -> list[int]:
        answers = [
            await revoke(sandbox),
            await ask(sandbox, "GET", f"/licenses/{ONE}"),
            await ask(sandbox, "GET", "/licenses"),
            await ask(sandbox, "GET", "/status"),
            await ask(sandbox, "GET", "/nowhere"),
        ]
        return [answer.status for answer in answers]

    met = {}
    for on in ("PATCH", "GET", "LIST", "STATUS", "OTHER", "*"):
        sandbox.fail_all(599, on=on)
        met[on] = await statuses()
        sandbox.heal()
    sandbox.fail(ONE, 599, times=None)
    usual = await statuses()
    sandbox.heal()
    sandbox.fail(ONE, 599, times=None, on="*")
    both = await statuses()

    assert met == {
        "PATCH": [599, 200, 200, 200, 404],
        "GET": [200, 599, 200, 200, 404],
        "LIST": [200, 200, 599, 200, 404],
        "STATUS": [200, 200, 200, 599, 404],
        "OTHER": [200, 200, 200, 200, 599],
        "*": [599, 599, 599, 599, 599],
    }
    assert usual == [599, 200, 200, 200, 404]
    assert both == [599, 599, 200, 200, 404]


async def test_a_fault_for_one_license_comes_before_one_for_all(sandbox: Sandbox) -> None:
    sandbox.fail_all(502, times=1)
    sandbox.fail(ONE, 500)

    statuses = [(await revoke(sandbox)).status for _ in range(3)]

    assert statuses == [500, 502, 200]


@pytest.mark.parametrize("kind", ["resett", 200, 399, 600, "", "5_00"])
async def test_a_fault_that_does_not_exist_is_refused_with_those_that_do(
    sandbox: Sandbox, kind: str | int
) -> None:
    with pytest.raises(ValueError, match="reset_before"):
        sandbox.fail(ONE, kind)


async def test_an_operation_that_does_not_exist_and_no_times_are_refused(sandbox: Sandbox) -> None:
    with pytest.raises(ValueError, match="PATCH"):
        sandbox.fail(ONE, 500, on="patch")
    with pytest.raises(ValueError, match="times"):
        sandbox.fail(ONE, 500, times=0)


async def met_by_chance(*, seed: int, concurrency: int) -> dict[tuple[str, int], str]:
    """The faults of three rounds of PATCHes, by license and round."""
    ids = [f"{n:08x}-0000-4000-8000-000000000000" for n in range(60)]
    account = Account.holding(ids)
    async with Sandbox(
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
        async with Sandbox(Account.holding([ONE]), faults=1.0, fault_kinds=[kind]) as sandbox:
            try:
                answer = await revoke(sandbox, timeout=1.0)
            except aiohttp.ClientError:
                continue

            assert "Retry-After" not in answer.headers
            believed = answer.status == 200 and answer.body.startswith(b"{") and b"}" in answer.body
            assert answer.status in {204, 500, 502, 503, 504} or not believed


async def test_a_fault_share_of_zero_and_one_mean_never_and_always() -> None:
    for share, expected in ((0.0, {200}), (1.0, {500})):
        async with Sandbox(Account.holding([ONE]), faults=share, fault_kinds=[500]) as sandbox:
            assert {(await revoke(sandbox)).status for _ in range(10)} == expected
