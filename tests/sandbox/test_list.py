"""`GET /licenses` in pages and through filters."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from batch.sandbox import PRODUCTS, Account, Sandbox
from batch.sandbox.account import TICKS
from batch.sandbox.api import BadQueryError, select
from tests.sandbox.test_api import ask
from tests.support.faulty_sandbox import Revoked

if TYPE_CHECKING:
    from collections.abc import Callable

    from batch.sandbox import SandboxLicense

NOW = 1_790_856_000


@pytest.fixture(scope="module")
def account() -> Account:
    return Account.generate(250, seed=3, revoked=0.3, now=NOW)


def found(account: Account, *query: tuple[str, str]) -> list[str]:
    """The IDs that a query finds on its first page of a hundred."""
    licenses, _ = select(account, [("limit", "100"), *query], NOW * TICKS)
    return [license_.id for license_ in licenses]


async def test_pages_of_a_list_hold_every_license_once_in_order_of_creation(
    account: Account,
) -> None:
    async with Sandbox(account) as sandbox:
        pages = [
            (await ask(sandbox, "GET", f"/licenses?page={page}&limit=100")).json
            for page in (1, 2, 3, 4)
        ]

    assert [len(page) for page in pages] == [100, 100, 50, 0]
    listed = [license_ for page in pages for license_ in page]
    assert [license_["id"] for license_ in listed] == list(account.licenses)
    assert [license_["createdAt"] for license_ in listed] == sorted(
        license_["createdAt"] for license_ in listed
    )


async def test_a_limit_above_a_hundred_is_cut_to_a_hundred(account: Account) -> None:
    async with Sandbox(account) as sandbox:
        answer = await ask(sandbox, "GET", "/licenses?limit=101")

    assert len(answer.json) == 100
    assert answer.headers["Pagination-Limit"] == "100"


async def test_pagination_headers_count_what_matches_on_all_pages(account: Account) -> None:
    async with Sandbox(account) as sandbox:
        answer = await ask(sandbox, "GET", "/licenses?page=2&limit=7&revoked=true")

    assert len(answer.json) == 7
    assert answer.headers["Pagination-Page"] == "2"
    assert answer.headers["Pagination-Limit"] == "7"
    assert answer.headers["Pagination-Count"] == str(sum(Revoked(account).values()))


async def test_without_a_limit_a_page_holds_twenty(account: Account) -> None:
    async with Sandbox(account) as sandbox:
        answer = await ask(sandbox, "GET", "/licenses")

    assert len(answer.json) == 25


@pytest.mark.parametrize("query", ["page=0", "limit=-1", "page=x", "limit=1.5", "revoked=perhaps"])
async def test_a_value_that_makes_no_sense_is_a_400_that_names_its_parameter(
    account: Account, query: str
) -> None:
    async with Sandbox(account) as sandbox:
        answer = await ask(sandbox, "GET", f"/licenses?{query}")

    assert answer.status == 400
    assert answer.json["errors"][0]["field"] == query.partition("=")[0]


def test_filters_select_by_what_the_license_is(account: Account) -> None:
    laws: dict[tuple[str, str], Callable[[SandboxLicense], bool]] = {
        ("productId", PRODUCTS[1].id): lambda it: it.product == PRODUCTS[1],
        ("type", "node-locked"): lambda it: it.type == "node-locked",
        ("revoked", "true"): lambda it: it.revoked,
        ("revoked", "False"): lambda it: not it.revoked,
        ("suspended", "true"): lambda it: it.suspended,
        ("expired", "true"): lambda it: it.expires is not None and it.expires < NOW * TICKS,
        ("expired", "false"): lambda it: it.expires is None or it.expires >= NOW * TICKS,
    }
    for query, law in laws.items():
        expected = [license_.id for license_ in account if law(license_)]
        assert 0 < len(expected) < len(account), query
        assert found(account, query) == expected[:100], query


def test_all_filters_have_to_hold(account: Account) -> None:
    both = found(account, ("revoked", "true"), ("type", "node-locked"))

    assert both == [it.id for it in account if it.revoked and it.type == "node-locked"]


def test_operators_compare_text(account: Account) -> None:
    one, two, *_ = account

    assert found(account, ("key", one.key)) == [one.id]
    assert found(account, ("key[eq]", one.key)) == [one.id]
    assert found(account, ("key[in]", f"{two.key},{one.key},{two.key}")) == [two.id, one.id]
    assert found(account, ("key[sw]", one.key[:20])) == [one.id]
    assert found(account, ("key[ew]", one.key[-20:])) == [one.id]
    assert found(account, ("key[cn]", one.key[10:30])) == [one.id]
    others = list(account.licenses)[1:101]
    assert found(account, ("key[ne]", one.key)) == others
    assert found(account, ("key[nc]", one.key[10:30])) == others
    assert found(account, ("key[nin]", f"{one.key},{two.key}")) == list(account.licenses)[2:102]


def test_a_key_is_matched_exactly_as_written(account: Account) -> None:
    one = next(iter(account))

    assert found(account, ("key[in]", one.key.lower())) == []


def test_keys_that_several_licenses_share_bring_them_all() -> None:
    account = Account.generate(3)
    one, two, _ = account
    found(account, ("key[in]", one.key))
    twin = replace(two, id="11111111-1111-4111-8111-111111111111", key=one.key)
    account.add(twin)

    assert found(account, ("key[in]", one.key)) == [one.id, twin.id]


def test_customers_are_found_by_mail_and_company(account: Account) -> None:
    customer = next(license_.customer for license_ in account if license_.customer)

    by_mail = found(account, ("user.email", customer.email))
    by_company = found(account, ("user.company[in]", customer.company))

    assert by_mail
    assert set(by_mail) <= set(by_company)


@pytest.mark.parametrize("name", ["key[in]", "key", "productId", "revoked"])
@pytest.mark.parametrize("empty", ["", ",", ",,"])
def test_trap_an_empty_filter_returns_every_license(
    account: Account, name: str, empty: str
) -> None:
    assert found(account, (name, empty)) == list(account.licenses)[:100]


async def test_trap_an_empty_filter_returns_every_license_over_http(account: Account) -> None:
    async with Sandbox(account) as sandbox:
        answer = await ask(sandbox, "GET", "/licenses?key[in]=&limit=100")

    assert answer.headers["Pagination-Count"] == str(len(account))


@pytest.mark.parametrize("name", ["keys[in]", "Revoked", "[in]", "key[in"])
def test_trap_a_filter_that_the_api_does_not_know_is_ignored(account: Account, name: str) -> None:
    assert found(account, (name, "true")) == list(account.licenses)[:100]


def test_a_filter_that_the_sandbox_does_not_offer_is_refused(account: Account) -> None:
    with pytest.raises(BadQueryError) as refusal:
        found(account, ("createdAt[gt]", "2026-01-01"))

    assert refusal.value.status == 400


def test_an_unknown_operator_is_refused(account: Account) -> None:
    with pytest.raises(BadQueryError) as refusal:
        found(account, ("key[like]", "A"))

    assert refusal.value.status == 400
