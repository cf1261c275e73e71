"""`GET /licenses` in pages and through filters."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from batch.sandbox import PRODUCTS, Account, Sandbox
from batch.sandbox.license import TICKS, timestamp
from batch.sandbox.query import BadQueryError, ids, select
from tests.sandbox.test_api import ask
from tests.support.faulty_sandbox import Revoked
from tests.support.job_harness import some_ids

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


async def test_without_a_limit_a_page_holds_twenty_five(account: Account) -> None:
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
    assert found(account, ("key[in]", f"{two.key},{one.key},{two.key}")) == [one.id, two.id]
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


@pytest.mark.parametrize(
    "name",
    ["key[like]", "key[gt]", "revoked[gt]", "createdAt[sw]", "totalActivations[in]", "type[cn]",
     "productVersionId", "entitlementSetId", "activation.lastSyncedAt[gt]", "metadata.key[gt]"],
)  # fmt: skip
def test_trap_an_operator_that_a_filter_does_not_know_is_ignored(
    account: Account, name: str
) -> None:
    assert found(account, (name, "2026-01-01")) == list(account.licenses)[:100]


@pytest.mark.parametrize(
    ("name", "value"),
    [("createdAt[gt]", "yesterday"), ("createdAt", "2026-13-01"), ("expiresAt[lt]", "2026-1-1"),
     ("lastUsedAt[lt]", "2026-01-01T25:00:00Z"), ("createdAt[gt]", "2026-01-01 00:00:00"),
     ("totalActivations[gt]", "many"), ("allowedActivations", "1.5"), ("revoked[ne]", "no"),
     ("expired", "1"), ("expiringSoon", "soon"), ("suspended[in]", "true,perhaps"),
     ("sort", "key"), ("sort", "--createdAt")],
)  # fmt: skip
def test_a_value_that_cannot_be_compared_is_refused(
    account: Account, name: str, value: str
) -> None:
    with pytest.raises(BadQueryError) as refusal:
        found(account, (name, value))

    assert (refusal.value.status, refusal.value.field) == (400, name)


@pytest.mark.parametrize(
    "moment",
    ["2026-03-01", "2026-03-01T00:00:00", "2026-03-01T00:00:00Z", "2026-03-01T00:00:00.0000000Z",
     "2026-03-01T02:00:00+02:00", "2026-02-28T19:00:00.0-05:00"],
)  # fmt: skip
def test_a_date_may_lack_its_time_and_have_an_offset(account: Account, moment: str) -> None:
    since = datetime(2026, 3, 1, tzinfo=UTC).timestamp() * TICKS

    expected = [it.id for it in account if it.created >= since]

    assert 0 < len(expected) < len(account)
    assert found(account, ("createdAt[gte]", moment)) == expected[:100]


def test_a_fraction_of_a_second_may_have_fewer_decimals() -> None:
    (one,) = account = Account.generate(1)
    one.created = one.created // TICKS * TICKS + TICKS // 2
    half = timestamp(one.created).replace(".5000000", ".5")

    assert found(account, ("createdAt[eq]", half)) == [one.id]


def test_ids_match_in_any_case(account: Account) -> None:
    one = next(it for it in account if it.reseller is not None)
    assert one.reseller is not None

    for name, wanted in (("productId[eq]", one.product.id), ("resellerId[in]", one.reseller.id)):
        assert one.id in list(ids(account, [(name, wanted.upper())], 0))


def test_a_date_is_compared_to_the_seventh_decimal(account: Account) -> None:
    one = account.page(7, 8)[0]

    for operator_, at in (("eq", 1), ("gte", 100), ("lte", 8), ("gt", 100), ("lt", 7)):
        listed = found(account, (f"createdAt[{operator_}]", timestamp(one.created)))
        assert len(listed) == at
        assert (one.id in listed) == (operator_ in {"eq", "gte", "lte"})


# What every filter and every operator must agree with, told in another way: from the object shown.

TEXT = ("eq", "ne", "sw", "ew", "cn", "nc", "in", "nin")
PLAIN = ("eq", "ne", "in")
COMPARED = ("eq", "ne", "gt", "gte", "lt", "lte")
OPERATORS_OF = {
    **dict.fromkeys(("key", "user.email", "user.company", "tag"), TEXT),
    **dict.fromkeys(("metadata.key", "metadata.value"), TEXT),
    **dict.fromkeys(("productId", "userId", "organizationId", "resellerId", "type"), PLAIN),
    **dict.fromkeys(("revoked", "suspended", "expired", "expiringSoon"), PLAIN),
    **dict.fromkeys(("createdAt", "expiresAt", "lastUsedAt"), COMPARED),
    **dict.fromkeys(("totalActivations", "allowedActivations"), COMPARED),
}


def values_of(name: str, shown: dict[str, Any]) -> list[Any]:
    """What a license object holds of that which a filter is about, as text that sorts like it."""
    user, until = shown["user"] or {}, shown["expiresAt"]
    soon = timestamp(NOW * TICKS + 30 * 86400 * TICKS)
    special = {
        "user.email": [user.get("email", "")],
        "user.company": [user.get("company", "")],
        "userId": [user.get("id", "")],
        "tag": shown["tags"],
        "metadata.key": [each["key"] for each in shown["metadata"]],
        "metadata.value": [each["value"] for each in shown["metadata"]],
        "expired": [until is not None and until < timestamp(NOW * TICKS)],
        "expiringSoon": [until is not None and timestamp(NOW * TICKS) <= until <= soon],
    }
    (*values,) = special[name] if name in special else [shown[name]]
    return [
        str(each).lower() if isinstance(each, bool) else "" if each is None else str(each)
        for each in values
    ]


def agrees(operator_: str, actual: str, value: str, *, number: bool) -> bool:
    if number:
        actual, value = actual.zfill(9), value.zfill(9)
    return {
        "eq": actual == value,
        "ne": actual != value,
        "sw": actual.startswith(value),
        "ew": actual.endswith(value),
        "cn": value in actual,
        "nc": value not in actual,
        "in": actual in value.split(","),
        "nin": actual not in value.split(","),
        "gt": "" != actual > value,
        "gte": "" != actual >= value,
        "lt": "" != actual < value,
        "lte": "" != actual <= value,
    }[operator_]


def meant(shown: dict[str, Any], name: str, operator_: str, value: str) -> bool:
    number = name.endswith("Activations")
    held = [agrees(operator_, each, value, number=number) for each in values_of(name, shown)]
    return all(held) if operator_ in {"ne", "nc", "nin"} else any(held)


def value_for(name: str, operator_: str, one: dict[str, Any], other: dict[str, Any]) -> str:
    """A value that some licenses have, or a part of one where that is meant."""
    values = [*values_of(name, one), *values_of(name, other), "oem"]
    value = next(each for each in values if each)
    if operator_ in {"in", "nin"}:
        return f"{value},{values[-2:][0]}"
    cut = {"sw": slice(0, 4), "ew": slice(-4, None), "cn": slice(1, 4), "nc": slice(1, 4)}
    return str(value[cut.get(operator_, slice(None))])


@pytest.mark.parametrize(
    ("name", "operator_"), [(name, each) for name, all_ in OPERATORS_OF.items() for each in all_]
)
@pytest.mark.parametrize("given", [False, True], ids=["invented", "given"])
def test_a_filter_lists_what_the_objects_show(
    account: Account, name: str, operator_: str, given: bool
) -> None:
    account = Account(account) if given else account
    shown = {license_.id: license_.as_json() for license_ in account}
    objects = list(shown.values())
    for at in range(0, 250, 31):
        value = value_for(name, operator_, objects[at], objects[at - 7])
        expected = [
            license_id for license_id, it in shown.items() if meant(it, name, operator_, value)
        ]

        query = [(f"{name}[{operator_}]", value)]

        assert list(ids(account, query, NOW * TICKS)) == expected, value
        assert found(account, *query) == expected[:100], value
        if operator_ == "eq":
            assert found(account, (name, value)) == expected[:100]


def test_a_key_and_a_value_of_metadata_are_of_one_entry() -> None:
    account = Account.holding(["11111111-1111-4111-8111-111111111111"])
    (one,) = account
    one.metadata = (("region", "emea"), ("edition", "plus"))

    def lists(**asked: str) -> bool:
        query = [(f"metadata.{name}[eq]", value) for name, value in asked.items()]
        return found(account, *query) == [one.id]

    assert lists(key="region", value="emea")
    assert lists(key="edition", value="plus")
    assert not lists(key="region", value="plus")
    assert lists(key="region")
    assert lists(value="plus")


@pytest.mark.parametrize("filters", [[], [("productId", PRODUCTS[1].id)]], ids=["all", "some"])
def test_licenses_that_were_given_are_listed_by_their_dates_where_that_is_asked_for(
    filters: list[tuple[str, str]],
) -> None:
    account = Account.holding(some_ids(60))
    query = [*filters, ("limit", "100")]

    plain, rising, falling = (
        [license_.created for license_ in select(account, [*query, *sort], 0)[0]]
        for sort in ([], [("sort", "createdAt")], [("sort", "-createdAt")])
    )

    assert plain != rising == sorted(plain)
    assert falling == rising[::-1]


def test_a_license_whose_date_is_changed_is_listed_at_its_new_place() -> None:
    account = Account.holding(some_ids(5), seed=1)
    [*_, newest] = select(account, [("sort", "createdAt")], 0)[0]

    newest.created = 0

    assert select(account, [("sort", "createdAt")], 0)[0][0] is newest


@pytest.mark.parametrize("sort", ["createdAt", "-createdAt"])
@pytest.mark.parametrize("filters", [[], [("revoked", "true")], [("key[ne]", "x")]])
def test_pages_of_both_orders_are_the_whole_without_repetition(
    account: Account, sort: str, filters: list[tuple[str, str]]
) -> None:
    whole = list(ids(account, filters, NOW * TICKS))

    for limit in (1, 7, 100):
        pages = [
            select(account, [*filters, ("sort", sort), ("page", page), ("limit", str(limit))], 0)[0]
            for page in map(str, range(1, len(whole) // limit + 3))
        ]
        listed = [license_.id for page in pages for license_ in page]
        assert listed == (whole[::-1] if sort.startswith("-") else whole)


@pytest.mark.parametrize("given", [False, True], ids=["invented", "given"])
def test_a_list_that_was_read_before_shows_what_has_changed_since(given: bool) -> None:
    account = Account.generate(300, revoked=0.5)
    account = Account(account) if given else account
    random = Random(1)
    query = [("revoked", "false"), ("limit", "100")]

    for _ in range(60):
        license_ = random.choice(list(account))
        license_.revoked = not license_.revoked
        licenses, headers = select(account, query, 0)
        expected = [it.id for it in account if not it.revoked]
        assert [it.id for it in licenses] == expected[:100]
        assert headers["Pagination-Count"] == str(len(expected))


def test_a_license_expires_in_a_list_when_it_does() -> None:
    account = Account.generate(100, now=NOW)
    due = next(it for it in account if it.expires is not None and it.expires > NOW * TICKS)
    assert due.expires is not None

    def expired(at: int) -> set[str]:
        return set(ids(account, [("expired", "true")], at))

    assert due.id not in expired(due.expires - 1)
    assert due.id in expired(due.expires + TICKS)
