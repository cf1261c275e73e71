"""What a test can script: faults, outages; and what it can see: the log."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import TYPE_CHECKING

import aiohttp
import pytest

from batch.sandbox import TOKEN, Account
from tests.sandbox.test_api import ask
from tests.sandbox.test_faults import ONE, TWO, revoke
from tests.support.faults import FAULTS, HUGE, http_date
from tests.support.faulty_sandbox import Entry, FaultySandbox, Log, Revoked

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SOON = 0.05
"""Seconds until a client gives up."""


@pytest.fixture
async def sandbox() -> AsyncIterator[FaultySandbox]:
    account = Account.holding([ONE, TWO])
    async with FaultySandbox(account, rate=(1000, 5.0), drip=0.001, lateness=0.01) as sandbox:
        yield sandbox


@pytest.mark.parametrize("kind", [429, 503, "503_retry_after", "html_502"])
@pytest.mark.parametrize("retry_after", [7, http_date(784_111_777)])
async def test_retry_after_is_seconds_or_a_date(
    sandbox: FaultySandbox, kind: int | str, retry_after: int | str
) -> None:
    sandbox.fail(ONE, kind, retry_after=retry_after)

    answer = await revoke(sandbox)

    assert answer.headers["Retry-After"] in {"7", "Sun, 06 Nov 1994 08:49:37 GMT"}
    assert answer.headers["Retry-After"] == str(retry_after)
    assert sandbox.revoked[ONE] is False


async def test_503_retry_after_asks_for_a_second_by_itself(sandbox: FaultySandbox) -> None:
    sandbox.fail(ONE, "503_retry_after")

    answer = await revoke(sandbox)

    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")


async def test_a_scripted_429_looks_like_one_of_the_limiter(sandbox: FaultySandbox) -> None:
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
    sandbox: FaultySandbox, kind: str, status: int
) -> None:
    sandbox.fail(ONE, kind)

    answer = await revoke(sandbox)

    assert (answer.status, answer.headers["Content-Type"]) == (status, "text/html")
    assert b"<html>" in answer.body
    assert "X-Rate-Limit-Remaining" not in answer.headers
    assert sandbox.revoked[ONE] is False


async def test_a_redirect_leads_to_where_the_sandbox_sees_who_follows(
    sandbox: FaultySandbox,
) -> None:
    sandbox.fail(ONE, "redirect")
    answer = await revoke(sandbox, allow_redirects=False)

    sandbox.fail(ONE, "redirect")
    await revoke(sandbox, allow_redirects=True)

    assert (answer.status, answer.headers["Location"]) == (302, "/elsewhere")
    assert sandbox.log[-1].target == "/elsewhere"
    assert sandbox.revoked[ONE] is False


@pytest.mark.parametrize(("kind", "applied"), [("hang_before", False), ("hang_after", True)])
async def test_a_hanging_request_ends_when_the_client_gives_up(
    sandbox: FaultySandbox, kind: str, applied: bool
) -> None:
    sandbox.fail(ONE, kind)

    with pytest.raises(TimeoutError):
        await revoke(sandbox, timeout=SOON)

    await sandbox.settle()
    assert sandbox.revoked[ONE] is applied
    assert sandbox.log[0].status is None


async def test_a_late_change_is_applied_after_the_client_has_given_up(
    sandbox: FaultySandbox,
) -> None:
    sandbox.fail(ONE, "late")

    with pytest.raises(TimeoutError):
        await revoke(sandbox, timeout=SOON)

    assert sandbox.revoked[ONE] is False
    given_up = asyncio.get_running_loop().time()
    await sandbox.settle()
    assert asyncio.get_running_loop().time() - given_up > 0.009
    assert sandbox.revoked[ONE] is True
    assert sandbox.log[0].applied is True


async def test_a_late_change_waits_for_the_client_however_patient_it_is(
    sandbox: FaultySandbox,
) -> None:
    sandbox.fail(ONE, "late")

    patient = asyncio.create_task(revoke(sandbox))
    await asyncio.sleep(0.05)
    assert sandbox.revoked[ONE] is False
    patient.cancel()

    await sandbox.settle()
    assert sandbox.revoked[ONE] is True


async def test_a_slow_drip_ends_with_the_whole_answer(sandbox: FaultySandbox) -> None:
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


async def test_an_endless_body_comes_for_as_long_as_the_client_listens(
    sandbox: FaultySandbox,
) -> None:
    sandbox.fail(ONE, "endless")

    with pytest.raises(TimeoutError):
        await revoke(sandbox, timeout=SOON)

    await sandbox.settle()
    assert sandbox.revoked[ONE] is True


async def test_a_huge_body_is_the_license_and_20_megabytes_of_blanks(
    sandbox: FaultySandbox,
) -> None:
    sandbox.fail(ONE, "huge")

    answer = await revoke(sandbox)

    assert len(answer.body) == HUGE == 20 * 2**20
    assert answer.json["revoked"] is True
    assert sandbox.revoked[ONE] is True


async def test_bad_gzip_cannot_be_inflated(sandbox: FaultySandbox) -> None:
    sandbox.fail(ONE, "bad_gzip")

    with pytest.raises(aiohttp.ClientPayloadError):
        await revoke(sandbox)

    assert sandbox.revoked[ONE] is True


async def test_wrong_id_says_revoked_of_a_license_that_is_not_the_one(
    sandbox: FaultySandbox,
) -> None:
    sandbox.fail(ONE, "wrong_id")

    answer = await revoke(sandbox)

    assert answer.status == 200
    assert answer.json["revoked"] is True
    assert answer.json["id"] not in sandbox.account.licenses
    assert sandbox.revoked[ONE] is False


async def test_not_revoked_names_the_license_and_denies_the_change(sandbox: FaultySandbox) -> None:
    sandbox.fail(ONE, "not_revoked")

    answer = await revoke(sandbox)

    assert (answer.status, answer.json["id"], answer.json["revoked"]) == (200, ONE, False)
    assert sandbox.revoked[ONE] is False


async def test_revoked_as_text_is_a_string(sandbox: FaultySandbox) -> None:
    sandbox.fail(ONE, "revoked_as_text")

    answer = await revoke(sandbox)

    assert answer.json["revoked"] == "true"
    assert sandbox.revoked[ONE] is True


async def test_a_list_holds_the_one_license(sandbox: FaultySandbox) -> None:
    sandbox.fail(ONE, "list")

    answer = await revoke(sandbox)

    assert [license_["id"] for license_ in answer.json] == [ONE]
    assert sandbox.revoked[ONE] is True


async def test_a_list_can_bring_licenses_that_nobody_asked_for(sandbox: FaultySandbox) -> None:
    sandbox.fail_all("wrong_id", on="LIST")

    answer = await ask(sandbox, "GET", "/licenses")

    assert not {license_["id"] for license_ in answer.json} & set(sandbox.account.licenses)


@pytest.mark.parametrize("kind", ["list", "wrong_id", "not_revoked", "revoked_as_text"])
async def test_an_error_of_the_api_has_no_license_to_distort(
    sandbox: FaultySandbox, kind: str
) -> None:
    sandbox.fail_all(kind)

    answer = await revoke(sandbox, "33333333-3333-4333-8333-333333333333")

    assert answer.status == 404
    assert set(answer.json) == {"message", "code"}


@pytest.mark.parametrize("kind", sorted({*FAULTS, "429", "500"}))
async def test_a_read_that_goes_wrong_changes_nothing(sandbox: FaultySandbox, kind: str) -> None:
    sandbox.fail(ONE, kind, on="GET")

    with suppress(aiohttp.ClientError, TimeoutError):
        await ask(sandbox, "GET", f"/licenses/{ONE}", timeout=SOON)

    assert sandbox.log[0].fault == kind
    assert sandbox.log[0].applied is False
    assert not any(sandbox.revoked.values())


async def test_a_scripted_fault_is_met_as_often_as_ordered_and_by_that_license_alone(
    sandbox: FaultySandbox,
) -> None:
    sandbox.fail(ONE.upper(), 500, times=2)
    sandbox.fail(ONE, 502)

    ones = [(await revoke(sandbox, ONE)).status for _ in range(4)]
    two = (await revoke(sandbox, TWO)).status

    assert ones == [500, 500, 502, 200]
    assert two == 200
    assert [entry.fault for entry in sandbox.log] == ["500", "500", "502", "", ""]


async def test_a_scripted_fault_without_times_lasts_until_healed(sandbox: FaultySandbox) -> None:
    sandbox.fail(ONE, 500, times=None)

    before = [(await revoke(sandbox)).status for _ in range(3)]
    sandbox.heal()
    after = (await revoke(sandbox)).status

    assert (before, after) == ([500, 500, 500], 200)


async def test_a_fault_is_met_only_by_the_operation_it_is_for(sandbox: FaultySandbox) -> None:
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


async def test_a_fault_for_one_license_comes_before_one_for_all(sandbox: FaultySandbox) -> None:
    sandbox.fail_all(502, times=1)
    sandbox.fail(ONE, 500)

    statuses = [(await revoke(sandbox)).status for _ in range(3)]

    assert statuses == [500, 502, 200]


@pytest.mark.parametrize("kind", ["resett", 200, 399, 600, "", "5_00"])
async def test_a_fault_that_does_not_exist_is_refused_with_those_that_do(
    sandbox: FaultySandbox, kind: str | int
) -> None:
    with pytest.raises(ValueError, match="reset_before"):
        sandbox.fail(ONE, kind)


async def test_an_operation_that_does_not_exist_and_no_times_are_refused(
    sandbox: FaultySandbox,
) -> None:
    with pytest.raises(ValueError, match="PATCH"):
        sandbox.fail(ONE, 500, on="patch")
    with pytest.raises(ValueError, match="times"):
        sandbox.fail(ONE, 500, times=0)


async def test_the_log_tells_who_came_when_and_what_became_of_it() -> None:
    async with FaultySandbox(Account.holding([ONE])) as sandbox:
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
    async with FaultySandbox(Account(), rate=(4, 60.0), log=log) as sandbox:
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
    async with FaultySandbox(Account()) as sandbox:
        for _ in range(3):
            await ask(sandbox, "GET", "/status")

        assert sandbox.busiest(60.0) == 3


async def test_an_outage_refuses_connections_and_drops_those_there_are_until_healed() -> None:
    async with FaultySandbox(Account()) as sandbox, aiohttp.ClientSession() as session:
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
    async with FaultySandbox(Account()) as sandbox:
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
    async with FaultySandbox(Account()) as sandbox:
        sandbox.outage()
    async with FaultySandbox(Account()) as sandbox:
        sandbox.outage()
        sandbox.heal()

    with pytest.raises(aiohttp.ClientConnectorError):
        await ask(sandbox, "GET", "/status")


@pytest.mark.parametrize("kind", [503, "reset_before"])
async def test_an_outage_can_be_any_fault_and_stands_before_the_limiter(kind: int | str) -> None:
    async with FaultySandbox(Account.holding([ONE]), rate=(1, 60.0)) as sandbox:
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


def test_revoked_is_a_view_of_the_present_state() -> None:
    account = Account.holding([ONE])
    revoked = Revoked(account)

    account.licenses[ONE].revoked = True

    assert revoked[ONE] is True
    with pytest.raises(KeyError):
        revoked[TWO]


async def test_pagination_headers_can_be_switched_off() -> None:
    async with FaultySandbox(Account.generate(3), pagination=False) as sandbox:
        answer = await ask(sandbox, "GET", "/licenses?limit=1")

    assert not [name for name in answer.headers if name.startswith("Pagination")]
