"""The sandbox answers as the documentation of the Cryptlex Web API says."""

from __future__ import annotations

import re
from contextlib import suppress
from json import loads
from typing import TYPE_CHECKING, Any, NamedTuple

import aiohttp
import pytest

from batch.sandbox import TOKEN, Account, Sandbox, SandboxLicense
from tests.support.faulty_sandbox import FaultySandbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

DOCUMENTED = """
{"key": "0A2035-E8A2A3-4D31B7-8FF9C6-81A6CA-539E54", "revoked": true, "suspended": false,
 "totalActivations": 0, "totalDeactivations": 0, "subscriptionInterval": "P1Y",
 "subscriptionStartTrigger": "creation", "fingerprintMatchingStrategy": "fuzzy",
 "allowedActivations": 1, "allowedDeactivations": 10, "type": "node-locked",
 "allowedFloatingClients": 0, "serverSyncGracePeriod": 2595000, "serverSyncInterval": 3600,
 "leaseDuration": 0, "expiresAt": "2026-05-05T08:49:17.9361143Z", "allowVmActivation": true,
 "userLocked": false, "productId": "63dfd63e-ed71-4f84-9236-02ee0ddb062c", "user": null,
 "allowedCountries": [], "disallowedCountries": [], "allowedIpAddresses": [],
 "disallowedIpAddresses": [], "metadata": [], "tags": [],
 "id": "23d9646c-34f5-4d37-adeb-f7f77b927bdb", "createdAt": "2025-05-06T08:49:17.9361143Z",
 "updatedAt": "2025-05-06T08:49:17.9361158Z"}
"""
UNKNOWN = "00000000-0000-4000-8000-000000000000"
NOON = 1_790_856_000.25


class Answer(NamedTuple):
    """An answer as a client gets it; ``json`` is None where the body cannot be parsed."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    json: Any


async def ask(
    sandbox: Sandbox,
    method: str,
    path: str,
    *,
    token: str | None = TOKEN,
    json: object = None,
    data: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: float = 5.0,  # noqa: ASYNC109 - handed on to the client
    allow_redirects: bool = True,
) -> Answer:
    authorization = {} if token is None else {"Authorization": f"Bearer {token}"}
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=timeout)) as session,
        session.request(
            method,
            sandbox.base_url + path,
            headers={**authorization, **(headers or {})},
            json=json,
            data=data,
            allow_redirects=allow_redirects,
        ) as response,
    ):
        body = await response.read()
        return Answer(response.status, response.headers, body, _parsed(body))


def _parsed(body: bytes) -> Any:  # noqa: ANN401 - whatever the server says
    try:
        return loads(body)
    except ValueError:
        return None


@pytest.fixture
async def sandbox() -> AsyncIterator[FaultySandbox]:
    account = Account.generate(3, seed=1, revoked=0.0)
    async with FaultySandbox(account, wall_clock=lambda: NOON) as sandbox:
        yield sandbox


@pytest.fixture
def first(sandbox: FaultySandbox) -> SandboxLicense:
    return next(iter(sandbox.account))


async def test_a_patch_sets_revoked_and_returns_the_whole_license(
    sandbox: FaultySandbox, first: SandboxLicense
) -> None:
    answer = await ask(sandbox, "PATCH", f"/licenses/{first.id}", json={"revoked": True})

    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    documented = list(loads(DOCUMENTED))
    assert list(answer.json)[: len(documented)] == documented
    assert (answer.json["id"], answer.json["revoked"]) == (first.id, True)
    assert sandbox.revoked[first.id] is True
    assert sum(sandbox.revoked.values()) == 1


async def test_a_patch_can_approve_again(sandbox: FaultySandbox, first: SandboxLicense) -> None:
    first.revoked = True

    answer = await ask(sandbox, "PATCH", f"/licenses/{first.id}", json={"revoked": False})

    assert answer.json["revoked"] is False
    assert sandbox.revoked[first.id] is False


async def test_timestamps_carry_seven_decimals(
    sandbox: FaultySandbox, first: SandboxLicense
) -> None:
    first.expires = first.created

    license_ = (await ask(sandbox, "GET", f"/licenses/{first.id}")).json

    for name in ("createdAt", "updatedAt", "expiresAt"):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}Z", license_[name])


async def test_every_patch_moves_updated_at_on_even_while_the_clock_stands(
    sandbox: FaultySandbox, first: SandboxLicense
) -> None:
    path = f"/licenses/{first.id}"
    one = (await ask(sandbox, "PATCH", path, json={"revoked": True})).json
    two = (await ask(sandbox, "PATCH", path, json={"revoked": True})).json

    assert one["updatedAt"] == "2026-10-01T12:00:00.2500000Z"
    assert two["updatedAt"] == "2026-10-01T12:00:00.2500001Z"
    assert (await ask(sandbox, "GET", path)).json == two


async def test_an_id_in_the_path_matches_in_any_case(
    sandbox: FaultySandbox, first: SandboxLicense
) -> None:
    answer = await ask(sandbox, "PATCH", f"/licenses/{first.id.upper()}", json={"revoked": True})

    assert answer.json["id"] == first.id
    assert sandbox.log[0].target == first.id


@pytest.mark.parametrize(
    "body",
    [
        *("{", "", "\xff", "[]", "{}", "null", "[" * 100_000),
        *('{"revoked": "true"}', '{"revoked": 1}', '{"revoked": null}'),
        '{"revoked": true, "suspended": "true"}',
        '{"revoked": true, "expired": true}',
    ],
)
async def test_a_body_that_is_not_exactly_revoked_as_a_boolean_is_refused(
    sandbox: FaultySandbox, first: SandboxLicense, body: str
) -> None:
    headers = {"Content-Type": "application/json"}
    data = body.encode("latin-1")

    answer = await ask(sandbox, "PATCH", f"/licenses/{first.id}", data=data, headers=headers)

    assert answer.status == 400
    assert set(answer.json) >= {"message", "code"}
    assert sandbox.revoked[first.id] is False
    assert sandbox.log[0].applied is False


async def test_each_property_is_changed_by_itself(
    sandbox: FaultySandbox, first: SandboxLicense
) -> None:
    headers = {"Content-Type": "application/json"}
    first.revoked, first.suspended = False, False

    for body in (b'{"suspended": true}', b'{"revoked": true}', b'{"suspended": false}'):
        answer = await ask(sandbox, "PATCH", f"/licenses/{first.id}", data=body, headers=headers)
        assert (answer.json["revoked"], answer.json["suspended"]) == (
            first.revoked,
            first.suspended,
        )

    assert (first.revoked, first.suspended) == (True, False)


async def test_a_property_that_fails_validation_is_named_in_errors(
    sandbox: FaultySandbox, first: SandboxLicense
) -> None:
    answer = await ask(sandbox, "PATCH", f"/licenses/{first.id}", json={"rvoked": True})

    (problem,) = answer.json["errors"]
    assert problem["field"] == "rvoked"
    assert set(problem) == {"message", "code", "field"}


async def test_a_body_of_another_media_type_is_refused(
    sandbox: FaultySandbox, first: SandboxLicense
) -> None:
    answer = await ask(sandbox, "PATCH", f"/licenses/{first.id}", data=b'{"revoked": true}')

    assert answer.status == 415
    assert sandbox.revoked[first.id] is False


@pytest.mark.parametrize("method", ["GET", "PATCH"])
@pytest.mark.parametrize("license_id", [UNKNOWN, "no-uuid"])
async def test_an_unknown_license_is_a_404_of_the_api(
    sandbox: FaultySandbox, method: str, license_id: str
) -> None:
    answer = await ask(sandbox, method, f"/licenses/{license_id}", json={"revoked": True})

    assert answer.status == 404
    assert set(answer.json) == {"message", "code"}


@pytest.mark.parametrize("path", ["/license", "/licenses/", f"/licenses/{UNKNOWN}/x", "/status/"])
async def test_an_unknown_path_is_a_404_page(sandbox: FaultySandbox, path: str) -> None:
    answer = await ask(sandbox, "GET", path)

    assert answer.status == 404
    assert answer.headers["Content-Type"] == "text/html"
    assert b"<html>" in answer.body


async def test_a_path_without_the_prefix_is_unknown() -> None:
    async with Sandbox(Account.generate(1)) as sandbox:
        right = await ask(sandbox, "GET", "/licenses")
        sandbox_root = sandbox.base_url.removesuffix("/v3")
        async with aiohttp.ClientSession() as session, session.get(sandbox_root + "/licenses") as r:
            wrong = r.status

    assert (right.status, wrong) == (200, 404)


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", f"/licenses/{UNKNOWN}", "GET, PATCH"),
        ("PUT", f"/licenses/{UNKNOWN}", "GET, PATCH"),
        ("PATCH", "/licenses", "GET"),
        ("POST", "/status", "GET"),
    ],
)
async def test_another_method_is_a_405(
    sandbox: FaultySandbox, method: str, path: str, allowed: str
) -> None:
    answer = await ask(sandbox, method, path)

    assert answer.status == 405
    assert answer.headers["Allow"] == allowed


async def test_no_method_is_answered_with_a_5xx(sandbox: FaultySandbox) -> None:
    methods = ("POST", "PUT", "DELETE", "OPTIONS", "TRACE", "HEAD", "LINK", "PROPFIND")

    answers = [
        await ask(sandbox, method, path)
        for method in methods
        for path in ("/status", "/licenses", f"/licenses/{UNKNOWN}")
    ]

    assert {answer.status for answer in answers} == {405}


@pytest.mark.parametrize(
    ("codes", "expected"),
    [("present", "VALIDATION_FAILED"), ("absent", "no code"), ("null", None)],
)
async def test_error_bodies_have_a_code_or_none_or_null(codes: str, expected: str | None) -> None:
    account = Account.generate(1, revoked=0.0)
    path = f"/licenses/{next(iter(account)).id}"
    async with Sandbox(account, codes=codes) as sandbox:
        wrong = await ask(sandbox, "PATCH", path, json={"revoked": "yes"})
        missing = await ask(sandbox, "GET", f"/licenses/{UNKNOWN}")
        unauthorized = await ask(sandbox, "GET", path, token=None)
        page = await ask(sandbox, "GET", "/nowhere")
        right = await ask(sandbox, "PATCH", path, json={"revoked": True})

    assert [answer.status for answer in (wrong, missing, unauthorized, page)] == [
        400,
        404,
        401,
        404,
    ]
    assert wrong.json.get("code", "no code") == expected
    assert wrong.json["errors"][0].get("code", "no code") == expected
    assert wrong.json["errors"][0]["field"] == "revoked"
    for answer in (wrong, missing, unauthorized):
        assert answer.json["message"]
        assert ("code" in answer.json) is (codes != "absent")
        assert answer.headers["Content-Type"] == "application/json; charset=utf-8"
    assert unauthorized.headers["WWW-Authenticate"] == "Bearer"
    assert page.body.startswith(b"<!DOCTYPE html>")
    assert right.json["revoked"] is True
    assert next(iter(account)).revoked


async def test_random_faults_have_a_code_or_none_as_the_api_has() -> None:
    async with Sandbox(Account.generate(1), faults=1.0, codes="absent", seed=3) as sandbox:
        errors = []
        for number in range(40):
            with suppress(aiohttp.ClientError):
                answer = await ask(sandbox, "GET", f"/licenses/{number}")
                if answer.status >= 500 and answer.json is not None:
                    errors.append(answer.json)

    assert errors
    assert all(set(error) == {"message"} for error in errors)


async def test_status_needs_no_token(sandbox: FaultySandbox) -> None:
    answer = await ask(sandbox, "GET", "/status", token=None)

    assert (answer.status, answer.json) == (200, {"status": "ok"})


@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {TOKEN}"}]
)
async def test_without_a_known_bearer_token_everything_is_a_401(
    sandbox: FaultySandbox, first: SandboxLicense, headers: dict[str, str]
) -> None:
    path = f"/licenses/{first.id}"
    change = {"revoked": True}

    answers = [
        await ask(sandbox, "PATCH", path, token=None, headers=headers, json=change),
        await ask(sandbox, "GET", path, token=None, headers=headers),
        await ask(sandbox, "GET", "/licenses", token=None, headers=headers),
        await ask(sandbox, "GET", f"/licenses/{UNKNOWN}", token=None, headers=headers),
    ]

    assert [answer.status for answer in answers] == [401] * 4
    assert set(answers[0].json) == {"message", "code"}
    assert sandbox.revoked[first.id] is False


async def test_reading_and_writing_need_a_scope_each(
    sandbox: FaultySandbox, first: SandboxLicense
) -> None:
    sandbox.tokens["reader"] = frozenset({"license:read"})
    sandbox.tokens["writer"] = frozenset({"license:write"})
    path = f"/licenses/{first.id}"

    statuses = {
        (token, method): (await ask(sandbox, method, path, token=token, json=body)).status
        for token in ("reader", "writer")
        for method, body in (("GET", None), ("PATCH", {"revoked": True}))
    }

    assert statuses == {
        ("reader", "GET"): 200,
        ("reader", "PATCH"): 403,
        ("writer", "GET"): 403,
        ("writer", "PATCH"): 200,
    }


async def test_a_token_can_be_taken_away_while_the_sandbox_runs(sandbox: FaultySandbox) -> None:
    before = await ask(sandbox, "GET", "/licenses")
    del sandbox.tokens[TOKEN]
    after = await ask(sandbox, "GET", "/licenses")

    assert (before.status, after.status) == (200, 401)


async def test_tokens_of_ones_own_replace_the_usual_one() -> None:
    tokens = {"mine": frozenset({"license:read"})}
    async with FaultySandbox(Account.generate(1), tokens=tokens) as sandbox:
        mine = await ask(sandbox, "GET", "/licenses", token="mine")
        usual = await ask(sandbox, "GET", "/licenses")

    assert (mine.status, usual.status) == (200, 401)
