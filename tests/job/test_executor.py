from __future__ import annotations

import asyncio
import errno
import ssl
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import ClientOSError

from batch.api.access import FOREIGN_IN_A_ROW
from batch.api.circuit_breaker import PATIENCE
from batch.api.retry import MOST_FORGIVEN, Attempts, FailureLimit, RetryPolicy
from batch.api.retrying_client import LATE
from batch.errors import StoppedError, ThrottledError, UnconfirmedError
from batch.job.executor import SOON
from batch.model import License, Outcome, RowResult
from batch.sandbox.api import with_codes
from batch.sandbox.message import JSON, Response
from tests.support.builders import THOROUGH
from tests.support.faults import FAULTS
from tests.support.job_harness import bench, holding, some_ids
from tests.support.virtual_time import now

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batch.sandbox.message import Handler, Request
    from tests.support.faulty_sandbox import FaultySandbox

ONE = some_ids(1)
ID = ONE[0]


async def settle_one(
    kind: str | int, *, times: int | None = 1, on: str = "PATCH"
) -> tuple[RowResult, int, bool]:
    """One license that meets a fault: its result, the PATCHes it took, and its state there."""
    async with holding(ONE, drip=1.0) as sandbox, bench(sandbox, ONE) as work:
        sandbox.fail(ID, kind, times=times, on=on)
        row_results = await work.run()
        return row_results[ID], work.patches(ID), sandbox.revoked[ID]


async def test_a_license_is_revoked_by_one_request() -> None:
    async with holding(ONE) as sandbox, bench(sandbox, ONE) as work:
        row_results = await work.run()

        assert row_results == {ID: RowResult(Outcome.REVOKED, True, 200, attempts=1)}
        assert [(entry.method, entry.target) for entry in sandbox.log] == [("PATCH", ID)]
        assert sandbox.revoked[ID]


@pytest.mark.parametrize(
    "kind",
    [408, 425, 500, 501, 502, 503, 504, 520, "504_after", "html_502", "reset_before",
     "reset_after", "hang_before", "hang_after", "truncated", "endless", "huge", "bad_gzip",
     "not_json", "empty_200", "list", "revoked_as_text", "late"],
)  # fmt: skip
async def test_what_is_no_usable_answer_is_tried_again(kind: str | int) -> None:
    result, patches, revoked = await settle_one(kind)

    assert result.outcome is Outcome.REVOKED
    assert patches == result.attempts == 2
    assert revoked


@pytest.mark.parametrize("kind", ["slow_drip"])
async def test_a_slow_answer_is_an_answer(kind: str) -> None:
    async with holding(ONE, drip=0.01) as sandbox, bench(sandbox, ONE) as work:
        sandbox.fail(ID, kind)
        row_results = await work.run()

    assert row_results[ID] == RowResult(Outcome.REVOKED, True, 200, attempts=1)


@pytest.mark.parametrize("status", [400, 402, 405, 409, 410, 418, 422, 451])
async def test_a_refusal_of_one_license_is_never_tried_again(status: int) -> None:
    settled, patches, revoked = await settle_one(status, times=None)

    assert settled.outcome is Outcome.FAILED
    assert settled.http_status == status
    assert patches == settled.attempts == 1
    assert not revoked


async def test_an_unknown_license_is_not_found() -> None:
    stranger = some_ids(1, seed=9)
    async with holding(ONE) as sandbox, bench(sandbox, stranger) as work:
        row_results = await work.run()

        assert [entry.method for entry in sandbox.log] == ["PATCH"]  # a code is the word of the API
    settled = row_results[stranger[0]]
    assert (settled.outcome, settled.http_status, settled.attempts) == (Outcome.NOT_FOUND, 404, 1)


def reading_only(handler: Handler) -> Handler:
    """A gateway in front of it that has no route for a PATCH, and says so as Kong does."""

    def handle(request: Request) -> Response:
        if request.method == "PATCH":
            return Response(404, b'{"message": "no Route matched with those values"}', JSON)
        return handler(request)

    return handle


async def test_a_gateway_without_a_route_for_changes_does_not_say_that_licenses_are_gone() -> None:
    ids = some_ids(20)
    async with holding(ids) as sandbox, bench(sandbox, ids, concurrency=1) as work:
        sandbox.api = reading_only(sandbox.api)
        row_results = await work.run()

        assert "in front of the API refuses changes" in str(work.executor.client.stopped)
        assert [entry.method for entry in sandbox.log].count("PATCH") == 1
    assert [result.outcome for result in row_results.values()] == [Outcome.FAILED]
    assert row_results[ids[0]].value is False


async def test_each_license_whose_patch_met_such_a_gateway_is_read_before_the_run_ends() -> None:
    ids = some_ids(20)
    async with holding(ids[:-1]) as sandbox, bench(sandbox, ids, is_grown=True) as work:
        sandbox.api = reading_only(sandbox.api)
        row_results = await work.run()

        assert {entry.target for entry in sandbox.log if entry.method == "PATCH"} == set(ids)
    assert set(row_results) == set(ids)
    assert Counter(result.outcome for result in row_results.values()) == {
        "failed": 19, "not_found": 1
    }  # fmt: skip


async def test_a_route_that_is_lost_on_the_way_fails_its_licenses() -> None:
    ids = some_ids(3)
    async with holding(ids) as sandbox, bench(sandbox, ids, concurrency=1) as work:
        whole = sandbox.api
        sandbox.api = lambda request: (
            whole if request.license_id == ids[0] else reading_only(whole)
        )(request)
        row_results = await work.run()

    assert work.executor.client.stopped is None
    assert [result.outcome for result in row_results.values()] == ["revoked", "failed", "failed"]


async def test_what_was_revoked_already_does_not_show_that_changes_are_let_through() -> None:
    ids = some_ids(3)
    async with holding(ids) as sandbox, bench(sandbox, ids, concurrency=1) as work:
        sandbox.account.licenses[ids[0]].revoked = True
        sandbox.api = reading_only(sandbox.api)
        row_results = await work.run()

        assert "in front of the API refuses changes" in str(work.executor.client.stopped)
    assert [result.outcome for result in row_results.values()] == ["revoked", "failed"]


async def test_a_404_without_a_code_is_not_believed_where_the_license_cannot_be_read() -> None:
    async with holding(ONE) as sandbox, bench(sandbox, ONE) as work:
        whole = reading_only(sandbox.api)
        odd = Response(400, b'{"message": "no", "code": "BAD"}', JSON)
        sandbox.api = lambda request: (
            odd if request.method == "GET" and request.license_id else whole(request)
        )
        settled = (await work.run())[ONE[0]]

    assert (settled.outcome, settled.http_status) == (Outcome.FAILED, 404)
    assert "reading it back: " in settled.error


@pytest.mark.parametrize("scopes", [{"license:read", "license:write"}, {"license:write"}])
async def test_a_404_without_a_code_is_not_found_where_no_license_can_be_read(
    scopes: set[str],
) -> None:
    stranger = some_ids(1, seed=9)
    tokens = {"some": frozenset(scopes)}
    async with (
        holding(ONE, tokens=tokens) as sandbox,
        bench(sandbox, [*ONE, *stranger], token="some", concurrency=1) as work,
    ):
        sandbox.api = with_codes(sandbox.api, "absent")
        row_results = await work.run()

        assert work.executor.client.stopped is None
    assert [result.outcome for result in row_results.values()] == ["revoked", "not_found"]
    assert row_results[stranger[0]].http_status == 404


@pytest.mark.parametrize(
    ("kind", "revoked"), [("204", True), ("wrong_id", False), ("not_revoked", False)]
)
async def test_a_success_that_does_not_confirm_is_read_back_and_not_sent_again(
    kind: str, revoked: bool
) -> None:
    result, patches, state = await settle_one(kind, times=None)

    assert patches == result.attempts == 1
    assert state is revoked
    assert result.outcome is (Outcome.REVOKED if revoked else Outcome.FAILED)
    assert result.value is revoked


@pytest.mark.parametrize(
    ("kind", "code"),
    [("wrong_id", "wrong_id"), ("not_revoked", "not_confirmed"), (500, "INTERNAL_SERVER_ERROR"),
     ("hang_before", "timeout"), ("reset_before", "connection"), ("html_200", "bad_body"),
     ("html_502", "http_502")],
)  # fmt: skip
async def test_a_license_that_stays_unrevoked_says_why(kind: str | int, code: str) -> None:
    result, _, revoked = await settle_one(kind, times=None)

    assert not revoked
    assert (result.outcome, result.value, result.error_code) == (Outcome.FAILED, False, code)
    assert "read back: not revoked" in result.error


@pytest.mark.parametrize("kind", ["reset_after", "truncated", "not_json", "504_after"])
async def test_the_last_attempt_is_read_back_before_it_is_called_anything(kind: str) -> None:
    result, patches, revoked = await settle_one(kind, times=None)

    assert revoked
    assert patches == 5
    assert result.outcome is Outcome.REVOKED


async def test_what_cannot_be_read_back_is_unknown() -> None:
    async with holding(ONE) as sandbox, bench(sandbox, ONE) as work:
        sandbox.fail(ID, 500, times=None, on="*")
        row_results = await work.run()

        assert row_results[ID].outcome is Outcome.UNKNOWN
        assert row_results[ID].value is None
        assert row_results[ID].attempts == 5
        assert Counter(entry.method for entry in sandbox.log) == {"PATCH": 5, "GET": 3}
        assert work.executor.client.stopped is None


# Late writes


def revoke(sandbox: FaultySandbox, license_id: str) -> None:
    """Have the server behind a gateway come to it at last."""
    sandbox.account.licenses[license_id].revoked = True


async def test_what_is_applied_after_a_gateway_has_given_up_is_revoked() -> None:
    ids = some_ids(12)
    async with holding(ids) as sandbox, bench(sandbox, ids) as work:
        for license_id in ids[:2]:
            sandbox.fail(license_id, 504, times=None)
            asyncio.get_running_loop().call_later(60, revoke, sandbox, license_id)
        started = now()
        row_results = await work.run()

        assert {result.outcome for result in row_results.values()} == {Outcome.REVOKED}
        assert LATE <= now() - started < LATE + 30
        # Both were read back at once, and again, together, at the end.
        reads = [entry for entry in sandbox.log if entry.method == "GET"]
        assert Counter(entry.target for entry in reads) == dict.fromkeys(ids[:2], 2)
        assert reads[-1].time - reads[-2].time < 0.1


@pytest.mark.parametrize("kind", [504, "hang_before", "reset_before", "not_revoked"])
async def test_what_is_not_applied_90_seconds_after_the_last_attempt_has_failed(
    kind: str | int,
) -> None:
    async with holding(ONE) as sandbox, bench(sandbox, ONE) as work:
        sandbox.fail(ID, kind, times=None)
        row_results = await work.run()

        last = [entry.time for entry in sandbox.log if entry.method == "PATCH"][-1]
        assert sandbox.log[-1].time - last >= LATE
        assert row_results[ID].outcome is Outcome.FAILED
        assert row_results[ID].error.endswith("read back: not revoked")
        assert work.settled == [0]


async def test_a_license_that_alone_is_always_asked_to_wait_comes_to_an_end() -> None:
    ids = some_ids(12)
    async with holding(ids) as sandbox, bench(sandbox, ids, rate=(45, 5.0)) as work:
        sandbox.fail(ids[3], "503_retry_after", times=None)
        started = now()
        async with asyncio.timeout(3600):
            row_results = await work.run()

        assert now() - started < 900 + LATE
        assert row_results.pop(ids[3]).outcome is Outcome.FAILED
        assert {result.outcome for result in row_results.values()} == {Outcome.REVOKED}
        assert work.executor.client.stopped is None


async def test_a_gateway_that_lets_only_reading_through_by_now_stops_the_run() -> None:
    ids = some_ids(40)
    async with holding(ids) as sandbox, bench(sandbox, ids, concurrency=1) as work:
        for license_id in ids[10:]:
            sandbox.fail(license_id, "html_403", times=None)
        row_results = await work.run()

        assert work.executor.client.stopped is not None
        assert "in front of the API refuses changes" in str(work.executor.client.stopped)
        outcomes = Counter(result.outcome for result in row_results.values())
        assert outcomes == {Outcome.REVOKED: 10, Outcome.FAILED: FOREIGN_IN_A_ROW}


async def test_what_is_sent_before_tls_fails_is_read_back_after_the_stop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with holding(ONE) as sandbox, bench(sandbox, ONE) as work:
        request: Any = work.api._session.request

        async def with_a_page_instead_of_tls(method: str, *given: object, **more: object) -> object:
            response = await request(method, *given, **more)
            if method == "PATCH":
                response.close()
                cause = ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number")
                cause.reason = "WRONG_VERSION_NUMBER"
                raise ClientOSError from cause
            return response

        monkeypatch.setattr(work.api._session, "request", with_a_page_instead_of_tls)
        row_results = await work.run()

        assert str(work.executor.client.stopped).endswith("does not speak TLS")
        assert sandbox.revoked[ID]
        assert row_results[ID].outcome is Outcome.REVOKED


async def test_until_then_it_is_unknown_and_counts_as_a_failure() -> None:
    async with holding(ONE) as sandbox, bench(sandbox, ONE) as work:
        sandbox.fail(ID, 504, times=None)
        asyncio.get_running_loop().call_later(
            60, work.executor.client.stop, StoppedError("interrupted")
        )
        started = now()
        row_results = await work.run()

        assert now() - started == pytest.approx(60)  # a stop does not wait
        assert row_results[ID].outcome is Outcome.UNKNOWN
        assert row_results[ID].value is False
        assert row_results[ID].error.endswith("read back: not revoked yet")
        assert work.settled == []
        assert work.executor._failures == 1


async def test_a_late_license_that_cannot_be_read_again_stays_unknown() -> None:
    async with holding(ONE) as sandbox, bench(sandbox, ONE) as work:
        sandbox.fail(ID, 504, times=None)
        asyncio.get_running_loop().call_later(
            60, lambda: sandbox.fail(ID, 409, times=None, on="GET")
        )
        row_results = await work.run()

    assert row_results[ID].outcome is Outcome.UNKNOWN
    assert row_results[ID].value is None


@pytest.mark.parametrize(
    ("later", "outcome"),
    [(License(ID, True, updated=2000.0), "revoked"), (License(ID, False, updated=2000.0), "failed"),
     (License(ID, True, updated=1998.9), "unknown"),
     (License(ID, True, updated=1999.0), "revoked"), (License(ID, True), "revoked")],
)  # fmt: skip
async def test_an_answer_that_is_older_than_that_to_the_patch_is_none(
    later: License, outcome: str
) -> None:
    reads = iter([License(ID, True, updated=1000.0), later])

    async def patch(*_: object, **__: object) -> None:
        error = UnconfirmedError("the answer says revoked: false", status=200, code="not_confirmed")
        error.updated = 2000.0
        raise error

    async def get(_: str) -> License:
        return next(reads)

    async with holding(ONE) as sandbox, bench(sandbox, ONE) as work:
        work.api.change = patch  # type: ignore[method-assign]
        work.api.get = get  # type: ignore[assignment,method-assign]
        row_results = await work.run()

    assert row_results[ID].outcome == outcome


async def test_a_stop_does_not_wait_for_a_server_that_is_down() -> None:
    ids = some_ids(20)
    async with holding(ids) as sandbox, bench(sandbox, ids, concurrency=4) as work:
        sandbox.fail(ids[0], "reset_after")
        sandbox.outage("hang_before")
        asyncio.get_running_loop().call_later(
            80, work.executor.client.stop, StoppedError("interrupted")
        )
        started = now()
        row_results = await work.run()

    assert now() - started <= 80 + SOON
    assert {result.error_code for result in row_results.values()} <= {"breaker"}


async def test_probes_of_a_server_that_is_down_change_nothing_that_may_have_been_applied() -> None:
    ids = some_ids(40)
    async with holding(ids) as sandbox, bench(sandbox, ids) as work:
        sandbox.outage("hang_before")
        asyncio.get_running_loop().call_later(60, sandbox.heal)
        started = now()
        row_results = await work.run()

        assert Counter(result.outcome for result in row_results.values()) == {"revoked": 40}
        # A license that was never sent may be the one to try with; any other is read.
        before = {entry.target for entry in sandbox.log if entry.time - started < 6}
        probes = [entry for entry in sandbox.log if 6 <= entry.time - started < 60]
        sent = [entry.target for entry in probes if entry.method == "PATCH"]
        assert probes
        assert len(set(sent)) == len(sent)
        assert before.isdisjoint(sent)


async def test_a_server_that_answers_reads_alone_is_not_sent_changes_for_ever() -> None:
    ids = some_ids(40)
    async with holding(ids) as sandbox, bench(sandbox, ids) as work:
        sandbox.fail_all(504, on="PATCH")
        row_results = await work.run()

        assert work.executor.client.stopped is not None
        assert max(work.patches(license_id) for license_id in ids) <= 5 + MOST_FORGIVEN
        outcomes = {result.outcome for result in row_results.values()}
        assert outcomes <= {Outcome.UNKNOWN, Outcome.FAILED}


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [(404, "not_found"), (403, "unknown"), (409, "unknown"), ("html_404", "revoked")],
)
async def test_only_the_api_can_say_on_reading_back_that_a_license_is_gone(
    answer: str | int, outcome: str
) -> None:
    ids = some_ids(2)
    async with holding(ids) as sandbox, bench(sandbox, ids, concurrency=1) as work:
        sandbox.fail(ids[1], "204")
        sandbox.fail(ids[1], answer, on="GET")
        row_results = await work.run()

    assert row_results[ids[1]].outcome == outcome


async def test_a_license_that_is_read_back_as_revoked_shows_that_the_token_can_write() -> None:
    ids = some_ids(3)
    async with holding(ids) as sandbox, bench(sandbox, ids, concurrency=1) as work:
        sandbox.fail(ids[0], "204")
        sandbox.fail(ids[1], 403)
        row_results = await work.run()

    assert work.executor.client.stopped is None
    assert [result.outcome for result in row_results.values()] == ["revoked", "failed", "revoked"]


async def test_a_refusal_after_an_attempt_that_may_have_been_applied_is_read_back() -> None:
    async with holding(ONE) as sandbox, bench(sandbox, ONE) as work:
        sandbox.fail(ID, "reset_after")
        sandbox.fail(ID, 409)
        row_results = await work.run()

    assert row_results[ID].outcome is Outcome.REVOKED


@pytest.mark.parametrize("kind", sorted(FAULTS))
async def test_no_fault_is_sent_again_after_a_success(kind: str) -> None:
    ids = some_ids(3)
    async with holding(ids, drip=1.0) as sandbox, bench(sandbox, ids) as work:
        sandbox.fail(ids[1], kind)
        await work.run()

        for license_id in ids:
            entries = [entry for entry in sandbox.log if entry.target == license_id]
            applied = [
                entry.method == "PATCH" and entry.status == 200 and not entry.fault
                for entry in entries
            ]
            assert True not in applied[:-1]


async def test_a_busy_answer_to_one_license_holds_back_every_other() -> None:
    ids = some_ids(2)
    async with holding(ids) as sandbox, bench(sandbox, ids, concurrency=1) as work:
        sandbox.fail(ids[0], 429, retry_after=7)
        started = now()
        row_results = await work.run()

        arrivals = [entry.time - started for entry in sandbox.log]
        assert arrivals[0] == 0
        assert min(arrivals[1:]) >= 7.5
        assert {result.outcome for result in row_results.values()} == {Outcome.REVOKED}


@pytest.mark.parametrize(("kind", "retry_after"), [(429, 2), ("503_retry_after", 2), (503, 3)])
async def test_being_asked_to_wait_costs_no_attempt(kind: str | int, retry_after: int) -> None:
    async with holding(ONE) as sandbox, bench(sandbox, ONE, max_attempts=1) as work:
        sandbox.fail(ID, kind, times=7, retry_after=retry_after)
        row_results = await work.run()

    assert row_results[ID].outcome is Outcome.REVOKED
    assert row_results[ID].attempts == 8


async def test_a_quarter_of_an_hour_in_which_nothing_is_let_through_stops_the_run() -> None:
    ids = some_ids(40)
    async with holding(ids) as sandbox, bench(sandbox, ids, concurrency=4) as work:
        sandbox.fail_all(429, retry_after=1)
        started = now()
        row_results = await work.run()

        assert work.executor.client.stopped is not None
        assert "429" in str(work.executor.client.stopped)
        assert PATIENCE <= now() - started < PATIENCE + 10
        assert row_results == {}


async def test_a_wait_longer_than_five_minutes_stops_the_run() -> None:
    async with holding(ONE) as sandbox, bench(sandbox, ONE) as work:
        sandbox.fail_all(429, retry_after=301)
        started = now()
        await work.run()

        assert work.executor.client.stopped is not None
        assert "301 s" in str(work.executor.client.stopped)
        assert now() - started < 60


@pytest.mark.parametrize("kind", [401, "redirect", "html_404", 407])
async def test_what_every_request_would_meet_stops_the_run(kind: str | int) -> None:
    ids = some_ids(100)
    async with holding(ids) as sandbox, bench(sandbox, ids, concurrency=4) as work:
        sandbox.fail_all(kind)
        row_results = await work.run()

        assert work.executor.client.stopped is not None
        assert work.executor.client.stopped.hint
        assert len(sandbox.log) <= 4
        assert {result.outcome for result in row_results.values()} == {Outcome.FAILED}
        assert not any(sandbox.revoked[license_id] for license_id in ids)


async def test_a_token_that_is_withdrawn_settles_what_is_in_flight_and_stops() -> None:
    ids = some_ids(200)
    async with (
        holding(ids, latency=(0.1, 0.3)) as sandbox,
        bench(sandbox, ids, rate=(50, 5.0)) as work,
    ):
        asyncio.get_running_loop().call_later(5, sandbox.tokens.clear)
        row_results = await work.run()

        assert work.executor.client.stopped is not None
        for license_id, result in row_results.items():
            assert sandbox.revoked[license_id] is (result.outcome is Outcome.REVOKED)
        assert 40 < len(row_results) < 60


async def test_a_token_that_cannot_write_stops_the_run_at_once() -> None:
    ids = some_ids(50)
    tokens = {"reader": frozenset({"license:read"})}
    async with (
        holding(ids, tokens=tokens) as sandbox,
        bench(sandbox, ids, token="reader", concurrency=1) as work,
    ):
        row_results = await work.run()

        assert len(sandbox.log) == 1
        assert work.executor.client.stopped is not None
        assert "license:write" in work.executor.client.stopped.hint
        assert row_results[ids[0]].outcome is Outcome.FAILED


async def test_a_license_that_may_not_be_touched_fails_alone_until_it_is_five_in_a_row() -> None:
    ids = some_ids(30)
    async with holding(ids) as sandbox, bench(sandbox, ids, concurrency=1) as work:
        for license_id in (*ids[1:5], *ids[6:20]):
            sandbox.fail(license_id, 403, times=None)
        row_results = await work.run()

        assert [result.outcome for result in row_results.values()] == (
            ["revoked"] + ["failed"] * 4 + ["revoked"] + ["failed"] * 5
        )
        assert work.executor.client.stopped is not None


async def test_an_outage_of_a_minute_costs_no_license_an_attempt() -> None:
    for kind in ("refuse", 503, "reset_before", "hang_before"):
        ids = some_ids(300)
        async with (
            holding(ids, latency=(0.02, 0.12)) as sandbox,
            bench(sandbox, ids, rate=(50, 5.0), max_attempts=2) as work,
        ):
            loop = asyncio.get_running_loop()
            loop.call_later(20, sandbox.outage, kind)
            loop.call_later(80, sandbox.heal)
            row_results = await work.run()

            assert Counter(result.outcome for result in row_results.values()) == {"revoked": 300}
            assert work.executor.client.stopped is None
            assert all(sandbox.revoked[license_id] for license_id in ids)


@pytest.mark.parametrize("concurrency", [1, 2, 8])
@pytest.mark.parametrize("kind", ["refuse", 502, "reset_before"])
async def test_an_outage_is_seen_as_one_however_few_are_in_flight(
    kind: str | int, concurrency: int
) -> None:
    ids = some_ids(20)
    async with holding(ids) as sandbox, bench(sandbox, ids, concurrency=concurrency) as work:
        sandbox.outage(kind)
        asyncio.get_running_loop().call_later(120, sandbox.heal)
        row_results = await work.run()

    assert Counter(result.outcome for result in row_results.values()) == {"revoked": 20}


async def test_what_an_outage_gave_back_is_given_once() -> None:
    ids = some_ids(16)
    async with holding(ids) as sandbox, bench(sandbox, ids, max_attempts=2) as work:
        sandbox.outage("reset_before")

        def heal_all_but_one() -> None:
            sandbox.heal()
            sandbox.fail(ids[0], 500, times=12)

        asyncio.get_running_loop().call_later(20, heal_all_but_one)
        row_results = await work.run()

    assert Counter(result.outcome for result in row_results.values()) == {
        "revoked": 15,
        "failed": 1,
    }
    assert row_results[ids[0]].outcome is Outcome.FAILED


async def test_while_the_server_is_down_one_request_at_a_time_probes_it() -> None:
    ids = some_ids(100)
    async with holding(ids) as sandbox, bench(sandbox, ids, is_grown=True) as work:
        started = now()
        sandbox.outage(503)
        asyncio.get_running_loop().call_later(400, sandbox.heal)
        await work.run()

        probes = [round(entry.time - started) for entry in sandbox.log if entry.status == 503]
        first = [time for time in probes if time < 5]
        assert len(first) <= 32
        assert [time for time in probes if time >= 5] == [5, 15, 35, 75, 135, 195, 255, 315, 375]


async def test_fifteen_minutes_without_a_success_stop_the_run() -> None:
    ids = some_ids(50)
    async with holding(ids) as sandbox, bench(sandbox, ids, concurrency=4) as work:
        started = now()
        sandbox.outage("reset_after")
        row_results = await work.run()

        assert work.executor.client.stopped is not None
        assert "15 minutes" in str(work.executor.client.stopped)
        assert 900 <= now() - started < 1200
        assert set(row_results) == {
            entry.target for entry in sandbox.log if entry.method == "PATCH"
        }
        outcomes = {result.outcome for result in row_results.values()}
        assert outcomes <= {Outcome.UNKNOWN, Outcome.FAILED}
        assert {result.error_code for result in row_results.values()} == {"breaker"}


async def test_a_server_that_was_never_reached_leaves_every_row_unattempted() -> None:
    ids = some_ids(50)
    async with holding(ids) as sandbox, bench(sandbox, ids) as work:
        sandbox.outage()
        row_results = await work.run()

    assert work.executor.client.stopped is not None
    assert row_results == {}


async def test_a_sick_server_is_not_hit_five_times_for_every_license() -> None:
    ids = some_ids(300)
    async with holding(ids) as sandbox, bench(sandbox, ids, concurrency=8) as work:
        for license_id in ids[::2]:
            sandbox.fail(license_id, 500, times=None)
        row_results = await work.run()

        requests = Counter(entry.method for entry in sandbox.log)
        assert requests["PATCH"] <= 300 + 20 + 0.1 * len(sandbox.log)
        assert Counter(result.outcome for result in row_results.values()) == {
            "revoked": 150,
            "failed": 150,
        }


async def test_with_the_retries_of_the_run_used_up_a_license_without_an_answer_is_unknown() -> None:
    ids = some_ids(200)
    async with holding(ids) as sandbox, bench(sandbox, ids, concurrency=8) as work:
        for license_id in ids[::2]:
            sandbox.fail(license_id, 500, times=None, on="*")
        row_results = await work.run()

        sick = [row_results[license_id] for license_id in ids[::2]]
        assert {result.outcome for result in sick} == {Outcome.UNKNOWN}
        assert {row_results[license_id].outcome for license_id in ids[1::2]} == {Outcome.REVOKED}
        assert min(result.attempts for result in sick) == 1


async def test_too_many_failures_stop_the_run() -> None:
    ids = some_ids(100)
    async with (
        holding(ids) as sandbox,
        bench(sandbox, ids, concurrency=1, failures=FailureLimit(count=3)) as work,
    ):
        for license_id in ids[10:]:
            sandbox.fail(license_id, 409)
        row_results = await work.run()

        assert work.executor.client.stopped is not None
        assert len(row_results) == 14


async def test_a_run_that_fails_too_often_says_how_many_of_how_many() -> None:
    ids = some_ids(64)
    async with (
        holding(ids, latency=(0.2, 0.2)) as sandbox,
        bench(sandbox, ids, concurrency=16, failures=FailureLimit(count=3), is_grown=True) as work,
    ):
        for license_id in ids[32:]:
            sandbox.fail(license_id, 409)
        await work.run()

    assert work.executor.client.stopped is not None
    assert str(work.executor.client.stopped) == "too many failures: 4 of the first 36 licenses"


async def test_the_share_that_may_fail_is_one_of_all_that_is_planned() -> None:
    ids = some_ids(100)
    async with (
        holding(ids) as sandbox,
        bench(sandbox, ids, concurrency=1, failures=FailureLimit(percent=15)) as work,
    ):
        for license_id in ids[:15]:
            sandbox.fail(license_id, 409)
        row_results = await work.run()

    assert work.executor.client.stopped is None
    assert Counter(result.outcome for result in row_results.values()) == {
        "failed": 15,
        "revoked": 85,
    }


async def test_what_is_unknown_counts_as_a_failure() -> None:
    ids = some_ids(10)
    async with (
        holding(ids) as sandbox,
        bench(sandbox, ids, concurrency=1, failures=FailureLimit(count=1)) as work,
    ):
        for license_id in (ids[2], ids[4]):
            sandbox.fail(license_id, "204")
            sandbox.fail(license_id, 409, on="GET")
        row_results = await work.run()

    assert work.executor.client.stopped is not None
    assert [result.outcome for result in row_results.values()] == [
        "revoked", "revoked", "unknown", "revoked", "unknown"
    ]  # fmt: skip


async def test_a_stop_sends_nothing_more_and_settles_what_is_in_flight() -> None:
    ids = some_ids(200)
    async with (
        holding(ids, latency=(1.0, 1.0)) as sandbox,
        bench(sandbox, ids, rate=(50, 5.0)) as work,
    ):
        loop = asyncio.get_running_loop()
        loop.call_later(4.05, work.executor.client.stop, StoppedError("interrupted"))
        started = now()
        row_results = await work.run()

        assert now() - started < 6
        assert len(row_results) == len(sandbox.log) == 41
        assert {result.outcome for result in row_results.values()} == {Outcome.REVOKED}


async def test_a_stop_reads_back_what_got_no_answer() -> None:
    ids = some_ids(8)
    async with holding(ids) as sandbox, bench(sandbox, ids, concurrency=4) as work:
        sandbox.fail(ids[0], "hang_after")
        sandbox.fail(ids[1], "hang_before")
        sandbox.fail(ids[2], "reset_after", times=None)
        sandbox.fail(ids[3], "hang_before")
        sandbox.fail(ids[3], "hang_before", times=None, on="GET")
        loop = asyncio.get_running_loop()
        loop.call_soon(
            loop.call_later, 0.01, work.executor.client.stop, StoppedError("interrupted")
        )
        started = now()
        row_results = await work.run()

        assert now() - started <= 5 + 7.5 + 0.1
        assert [row_results[license_id].outcome for license_id in ids[:4]] == [
            Outcome.REVOKED,
            Outcome.UNKNOWN,  # it may still be applied
            Outcome.REVOKED,
            Outcome.UNKNOWN,
        ]
        assert row_results[ids[1]].value is False

        assert row_results[ids[3]].error_code == "timeout"
        assert row_results[ids[3]].error.endswith("the run was stopped before that")
        assert sandbox.revoked[ids[0]]
        assert not sandbox.revoked[ids[1]]


@pytest.mark.parametrize("concurrency", [1, 4])
async def test_a_stop_bounds_a_read_back_that_is_in_flight(concurrency: int) -> None:
    async with (
        holding(ONE, latency=(0.2, 0.2)) as sandbox,
        bench(sandbox, ONE, concurrency=concurrency) as work,
    ):
        sandbox.fail(ID, "204")
        sandbox.fail_all(429, retry_after=290, on="GET")
        asyncio.get_running_loop().call_later(
            0.3, work.executor.client.stop, StoppedError("interrupted")
        )
        started = now()
        row_results = await work.run()

    assert now() - started < 10
    assert row_results[ID].outcome is Outcome.UNKNOWN


async def test_a_stop_does_not_wait_for_the_rest_before_another_read() -> None:
    async with holding(ONE, latency=(1.0, 1.0)) as sandbox, bench(sandbox, ONE) as work:
        work.executor.client.jitter = lambda: 1.0
        work.executor.client.policy = RetryPolicy(base=25.0)
        sandbox.fail(ID, "204")
        sandbox.fail(ID, 500, on="GET")
        asyncio.get_running_loop().call_later(
            1.5, work.executor.client.stop, StoppedError("interrupted")
        )
        started = now()
        row_results = await work.run()

    assert now() - started < 5
    assert row_results[ID].outcome is Outcome.REVOKED


async def test_a_license_in_doubt_that_a_stop_kept_from_being_sent_stays_as_it_was() -> None:
    async with holding(ONE) as sandbox, bench(sandbox, ONE) as work:
        work.executor.in_doubt = {0}
        work.rate_limiter.pause(60)
        asyncio.get_running_loop().call_later(
            1, work.executor.client.stop, StoppedError("interrupted")
        )
        row_results = await work.run()

        assert row_results == {}
        assert len(sandbox.log) == 0


async def test_a_stop_during_an_outage_that_ends_then_reads_all_that_was_sent() -> None:
    ids = some_ids(16)
    async with holding(ids) as sandbox, bench(sandbox, ids, is_grown=True) as work:
        sandbox.outage("reset_before")
        loop = asyncio.get_running_loop()
        loop.call_later(2, sandbox.heal)
        loop.call_later(2, work.executor.client.stop, StoppedError("interrupted"))
        row_results = await work.run()

    assert set(row_results) == set(ids)
    # None is revoked yet; what was sent may still be applied.
    assert {(each.outcome, each.value) for each in row_results.values()} == {("unknown", False)}


async def test_a_bug_after_a_license_was_sent_is_read_back() -> None:
    async with holding(ONE) as sandbox, bench(sandbox, ONE) as work:
        send = work.api.change

        async def broken(license_id: str, value: bool, **options: Any) -> None:  # noqa: ANN401
            await send(license_id, value, **options)
            raise ZeroDivisionError("unforeseen")

        work.api.change = broken  # type: ignore[method-assign]
        row_results = await work.run()

    assert work.executor.client.stopped is not None
    assert row_results[ID].outcome is Outcome.REVOKED


async def test_answers_of_the_same_moment_are_recorded_together_before_the_next_ones_come() -> None:
    ids = some_ids(64)
    async with (
        holding(ids, latency=(0.2, 0.2)) as sandbox,
        bench(sandbox, ids, is_grown=True) as work,
    ):
        started, recorded, batches = now(), work.executor.record, []

        def watched(noted: Sequence[tuple[int, RowResult]]) -> None:
            batches.append((len(noted), now() - started))
            recorded(noted)

        work.executor.record = watched
        row_results = await work.run()

    assert len(row_results) == 64
    assert [count for count, _ in batches] == [32, 32]
    assert [moment for _, moment in batches] == pytest.approx([0.2, 0.4], abs=0.1)


async def test_a_failure_is_recorded_before_the_next_request_leaves() -> None:
    ids = some_ids(10)
    async with holding(ids) as sandbox, bench(sandbox, ids, concurrency=1) as work:
        sandbox.fail(ids[3], 409)
        recorded = work.executor.record

        def watched(noted: Sequence[tuple[int, RowResult]]) -> None:
            if 3 in dict(noted):
                assert len(sandbox.log) == 4
                work.executor.client.stop(StoppedError("enough"))
            recorded(noted)

        work.executor.record = watched
        row_results = await work.run()

        assert len(sandbox.log) == 4
        assert set(row_results) == set(ids[:4])


@pytest.mark.parametrize("count", [2, 64])
async def test_a_bug_in_recording_lets_the_others_record(count: int) -> None:
    ids = some_ids(count)
    async with holding(ids, latency=(0.2, 0.2)) as sandbox, bench(sandbox, ids) as work:
        recorded = work.executor.record

        def broken(noted: Sequence[tuple[int, RowResult]]) -> None:
            if 1 in dict(noted):
                raise ZeroDivisionError("unforeseen")
            recorded(noted)

        work.executor.record = broken
        row_results = await work.run()

        assert work.executor.client.stopped is not None
        assert {entry.target for entry in sandbox.log} == {*row_results, ids[1]}


async def test_a_token_that_is_refused_on_reading_back_stops_the_run() -> None:
    ids = some_ids(100)
    async with holding(ids) as sandbox, bench(sandbox, ids, concurrency=2) as work:
        sandbox.fail_all("204", on="PATCH")
        sandbox.fail_all(401, on="GET")
        await work.run()

        assert work.executor.client.stopped is not None
        assert len(sandbox.log) < 10


async def test_a_503_that_asks_to_wait_may_have_been_applied() -> None:
    async with holding(ONE) as sandbox, bench(sandbox, ONE) as work:
        sandbox.fail(ID, "504_after")
        sandbox.fail(ID, 503, retry_after=20)
        sandbox.fail(ID, 409)
        row_results = await work.run()

        assert sandbox.revoked[ID]
    assert row_results[ID].outcome is Outcome.REVOKED


async def test_maintenance_does_not_slow_down_what_comes_after_it() -> None:
    ids = some_ids(200)
    async with holding(ids) as sandbox, bench(sandbox, ids, rate=(45, 5.0)) as work:
        sandbox.fail_all(503, retry_after=30)
        asyncio.get_running_loop().call_later(400, sandbox.heal)
        row_results = await work.run()

    assert work.rate_limiter.limit == 45
    assert len(row_results) == 200


async def test_a_daily_limit_stops_the_run_instead_of_sleeping_for_a_day() -> None:
    async with holding(ONE) as sandbox, bench(sandbox, ONE) as work:
        error = ThrottledError(
            "HTTP 429",
            status=429,
            code="http_429",
            retry_after=86_400.0,
            admitted=(10_000, 86_400.0),
        )
        with pytest.raises(StoppedError, match="86400"):
            work.executor.client.breaker.failed(Attempts(), error)


async def test_a_stop_ends_a_pause_at_once() -> None:
    ids = some_ids(50)
    async with holding(ids) as sandbox, bench(sandbox, ids) as work:
        sandbox.fail_all(429, retry_after=200)
        asyncio.get_running_loop().call_later(
            3, work.executor.client.stop, StoppedError("interrupted")
        )
        started = now()
        row_results = await work.run()

    assert now() - started == pytest.approx(3)
    assert row_results == {}


async def test_a_stop_wakes_a_license_that_rests_before_its_next_attempt() -> None:
    async with holding(ONE) as sandbox, bench(sandbox, ONE) as work:
        work.executor.client.jitter = lambda: 1.0
        work.executor.client.policy = RetryPolicy(base=25.0)
        sandbox.fail(ID, "reset_before")
        asyncio.get_running_loop().call_later(
            2, work.executor.client.stop, StoppedError("interrupted")
        )
        started = now()
        row_results = await work.run()

    assert now() - started < 3
    assert row_results[ID].outcome is Outcome.UNKNOWN
    assert work.patches(ID) == 1


async def test_a_stop_lets_a_license_that_rested_before_finish_its_request() -> None:
    async with holding(ONE, latency=(4.0, 4.0)) as sandbox, bench(sandbox, ONE) as work:
        sandbox.fail(ID, 500)
        asyncio.get_running_loop().call_later(
            7, work.executor.client.stop, StoppedError("interrupted")
        )
        row_results = await work.run()

    assert row_results[ID] == RowResult(Outcome.REVOKED, True, 200, attempts=2)
    assert [entry.method for entry in sandbox.log] == ["PATCH", "PATCH"]


async def test_the_first_twenty_failures_in_a_row_stop_a_run_that_accepts_any_number() -> None:
    ids = some_ids(100)
    async with holding(ids) as sandbox, bench(sandbox, ids, concurrency=1) as work:
        sandbox.fail_all(409)
        row_results = await work.run()

    assert work.executor.client.stopped is not None
    assert len(row_results) == 20


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "written: No space left on device"),
        (OSError("without a number"), "written: without a number"),
    ],
)
async def test_results_that_cannot_be_written_stop_the_run(error: OSError, said: str) -> None:
    ids = some_ids(100)
    async with holding(ids) as sandbox, bench(sandbox, ids, concurrency=4) as work:
        recorded = work.executor.record

        def full(noted: Sequence[tuple[int, RowResult]]) -> None:
            if len(work.row_results) + len(noted) > 10:
                raise error
            recorded(noted)

        work.executor.record = full
        row_results = await work.run()

        assert work.executor.client.stopped is not None
        assert str(work.executor.client.stopped).endswith(said)
        assert len(row_results) == 10
        assert len(sandbox.log) < 20


async def test_a_bug_stops_the_run_and_the_others_still_record() -> None:
    ids = some_ids(100)
    async with (
        holding(ids, latency=(0.2, 0.2)) as sandbox,
        bench(sandbox, ids, is_grown=True) as work,
    ):
        license_id = work.executor.license_id

        def broken(entry: int) -> str:
            if entry == 50:
                raise ZeroDivisionError("unforeseen")
            return license_id(entry)

        work.executor.license_id = broken
        row_results = await work.run()

        assert work.executor.client.stopped is not None
        assert "ZeroDivisionError" in str(work.executor.client.stopped)
        assert len(row_results) == len(sandbox.log) > 32


async def test_all_faults_at_random_leave_results_that_say_what_the_server_holds() -> None:
    ids = some_ids(500 * THOROUGH)
    # Two of them stop the run; one is applied too late to be seen; one is a lie about a GET.
    kinds = [kind for kind in FAULTS if kind not in {"redirect", "html_404", "late", "not_revoked"}]
    options = {"fault_kinds": [*kinds, 408, 409, 429, 500], "faults": 0.2, "drip": 0.5, "seed": 4}
    async with holding(ids, latency=(0.0, 0.2), **options) as sandbox, bench(sandbox, ids) as work:
        row_results = await work.run()

        assert work.executor.client.stopped is None
        assert set(row_results) == set(ids)
        for license_id, result in row_results.items():
            if result.outcome is not Outcome.UNKNOWN:
                assert sandbox.revoked[license_id] is (result.outcome is Outcome.REVOKED)
        outcomes = Counter(result.outcome for result in row_results.values())
        assert outcomes[Outcome.REVOKED] > 0.9 * len(ids)
        assert outcomes[Outcome.UNKNOWN] < 0.05 * len(ids)


@pytest.mark.parametrize(("revoked", "outcome"), [(True, "revoked"), (False, "failed")])
async def test_a_license_in_doubt_that_is_refused_is_read_back(revoked: bool, outcome: str) -> None:
    async with holding(ONE) as sandbox, bench(sandbox, ONE) as work:
        sandbox.account.licenses[ID].revoked = revoked
        work.executor.in_doubt = {0}
        sandbox.fail(ID, 409)
        row_results = await work.run()

    assert row_results[ID].outcome == outcome
    assert row_results[ID].value is revoked
