"""The sandbox shows what is published of the API, and nothing that is not."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker, ValidationError

from batch.sandbox import Account, Sandbox
from tests.sandbox.test_api import ask

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SCHEMA = json.loads((Path(__file__).parent / "schema.json").read_text(encoding="utf-8"))
FORMATS = FormatChecker(["uuid"])


def is_a_moment(value: object) -> bool:
    return not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is not None


FORMATS.checks("date-time", raises=ValueError)(is_a_moment)


def check(kind: str, value: Any) -> None:  # noqa: ANN401 - whatever was answered
    """Compare an answer with what is published, at whatever depth."""
    published = Draft202012Validator(SCHEMA | {"$ref": f"#/$defs/{kind}"}, format_checker=FORMATS)
    published.validate(value)


def unpublished(license_: dict[str, Any]) -> set[str]:
    """Properties of a license, and of what is inside it, that nobody has published."""
    inside = [(name, "party") for name in ("organization", "reseller")] + [("user", "user")]
    found = {*license_} - {*SCHEMA["$defs"]["license"]["properties"]}
    for name, kind in inside:
        found |= {*(license_[name] or {})} - {*SCHEMA["$defs"][kind]["properties"]}
    for entry in license_["metadata"]:
        found |= {*entry} - {*SCHEMA["$defs"]["entry"]["properties"]}
    return found


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(Account.generate(400, seed=2)) as sandbox:
        yield sandbox


async def test_every_page_holds_licenses_as_published(sandbox: Sandbox) -> None:
    pages = [
        (await ask(sandbox, "GET", f"/licenses?limit=100&page={page}")).json for page in (1, 2, 3)
    ]

    for page in pages:
        check("page", page)
    licenses = [license_ for page in pages for license_ in page]
    assert set().union(*map(unpublished, licenses)) == set()
    for name in ("user", "reseller", "organization", "expiresAt", "lastUsedAt", "activatedAt"):
        assert {license_[name] is None for license_ in licenses} == {True, False}, name
    for name in ("tags", "metadata"):
        assert {bool(license_[name]) for license_ in licenses} == {True, False}, name


async def test_a_license_with_a_given_id_is_as_published() -> None:
    ids = [f"11111111-1111-4111-8111-{number:012}" for number in range(50)]
    async with Sandbox(Account.holding(ids)) as sandbox:
        page = (await ask(sandbox, "GET", "/licenses?limit=100")).json

    check("page", page)
    assert len(page) == 50


async def test_a_license_that_is_read_or_changed_is_as_published(sandbox: Sandbox) -> None:
    for license_ in sandbox.account.page(0, 9):
        for method, body in (
            ("GET", None), ("PATCH", {"revoked": True}), ("PATCH", {"suspended": True}),
        ):  # fmt: skip
            answer = await ask(sandbox, method, f"/licenses/{license_.id}", json=body)

            assert answer.status == 200
            check("license", answer.json)
            assert not unpublished(answer.json)


@pytest.mark.parametrize("codes", ["present", "absent", "null"])
async def test_an_error_is_as_published(codes: str) -> None:
    account = Account.generate(1)
    path = f"/licenses/{next(iter(account.licenses))}"
    async with Sandbox(account, codes=codes, rate=(6, 60.0), throttled_body="json") as sandbox:
        answers = [
            await ask(sandbox, "GET", path, token=None),
            await ask(sandbox, "GET", "/licenses/unknown"),
            await ask(sandbox, "PATCH", path, json={"revoked": "yes"}),
            await ask(sandbox, "GET", "/licenses?revoked=perhaps"),
            await ask(sandbox, "PATCH", path, data=b"{}", headers={"Content-Type": "text/csv"}),
            await ask(sandbox, "PUT", path),
            await ask(sandbox, "GET", path),
        ]

    assert [answer.status for answer in answers] == [401, 404, 400, 400, 415, 405, 429]
    for answer in answers:
        check("error", answer.json)


@pytest.mark.parametrize(
    ("name", "value"),
    [("id", "1"), ("revoked", "true"), ("revoked", None), ("key", None), ("expiresAt", "soon"),
     ("createdAt", None), ("createdAt", "2026-01-01"), ("totalActivations", 1.5), ("tags", "oem"),
     ("type", "floating"), ("metadata", [{"key": "region"}]), ("user", {"id": "1"}),
     ("reseller", {}), ("organizationId", 7), ("perpetual", None)],
)  # fmt: skip
def test_what_is_published_rules_something_out(name: str, value: object) -> None:
    shown = Account.generate(1).page(0, 1)[0].as_json()
    check("license", shown)

    with pytest.raises(ValidationError):
        check("license", {**shown, name: value})
