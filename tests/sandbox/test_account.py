"""The accounts of the sandbox look real, are reproducible and cost little."""

from __future__ import annotations

import csv
import re
import tracemalloc
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from batch.sandbox import PRODUCTS, Account
from batch.sandbox.invented import DAY
from batch.sandbox.license import TICKS, TYPES, YEAR
from tests.support.faulty_sandbox import Revoked
from tests.support.job_harness import some_ids

ONE, TWO = "11111111-1111-4111-8111-111111111111", "abcdefab-2222-4222-8222-222222222222"
DAYS = [
    datetime(*day, tzinfo=UTC).timestamp()
    for day in ((2026, 11, 23), (2027, 1, 1), (2027, 11, 23), (2028, 2, 29), (2028, 3, 1))
]
SAMPLE = Path(__file__).parents[2] / "samples" / "licenses.csv"


def shown(account: Account) -> list[dict[str, object]]:
    return [license_.as_json() for license_ in account]


def test_the_same_seed_invents_the_same_account() -> None:
    assert shown(Account.generate(50, seed=7)) == shown(Account.generate(50, seed=7))
    assert shown(Account.generate(50, seed=7)) != shown(Account.generate(50, seed=8))
    assert shown(Account.holding([ONE], seed=7)) == shown(Account.holding([ONE], seed=7))


def dated(account: Account, day: float) -> list[tuple[int, int | None]]:
    """When each license was created and expires, in ticks from the beginning of a day."""
    begun = int(day) * TICKS
    return [
        (it.created - begun, None if it.expires is None else it.expires - begun) for it in account
    ]


def test_on_every_day_the_same_licenses_are_as_old_and_expire_as_soon() -> None:
    accounts = [(Account.generate(50, now=day + hour), day) for day in DAYS for hour in (0, 86399)]

    assert len({tuple(dated(account, day)) for account, day in accounts}) == 1
    assert len({tuple(it.key for it in account) for account, _ in accounts}) == 1
    assert all(it.created < day * TICKS for account, day in accounts for it in account)


def test_no_license_of_the_sample_expires_while_a_demo_runs_past_midnight() -> None:
    with SAMPLE.open(encoding="utf-8", newline="") as file:
        ids = [row["license_id"] for row in csv.DictReader(file)]

    today = dated(Account.holding(ids, now=DAYS[0]), DAYS[0])
    assert not [expires for _, expires in today if expires and 0 <= expires <= 2 * DAY * TICKS]


def test_invented_licenses_cover_what_real_ones_show() -> None:
    account = Account.generate(500, now=DAYS[0])
    licenses = list(account)

    assert len(account) == len(account.licenses) == 500
    assert {license_.product for license_ in licenses} == set(PRODUCTS)
    assert {license_.type for license_ in licenses} == set(TYPES)
    assert {license_.suspended for license_ in licenses} == {True, False}
    assert len({license_.key for license_ in licenses}) == 500
    assert all(re.fullmatch(r"[0-9A-F]{6}(-[0-9A-F]{6}){5}", license_.key) for license_ in licenses)
    assert all(0 <= it.total_activations <= it.allowed_activations for it in licenses)
    assert any(it.total_activations for it in licenses)
    expiries = [license_.expires for license_ in licenses]
    assert None in expiries
    assert {it < DAYS[0] * TICKS for it in expiries if it is not None} == {True, False}


def test_mail_addresses_are_in_domains_reserved_for_examples() -> None:
    customers = {license_.customer for license_ in Account.generate(200)}

    assert None in customers
    addresses = [customer.email for customer in customers if customer]
    assert len(addresses) > 20
    assert all(re.fullmatch(r"\S+@[a-z-]+\.example\.(com|net|org)", it) for it in addresses)


def test_the_subscription_lasts_from_creation_to_expiry() -> None:
    account = Account.holding([ONE])
    license_ = account.licenses[ONE]

    license_.expires = license_.created + 3 * YEAR
    assert license_.as_json()["subscriptionInterval"] == "P3Y"

    license_.expires = None
    assert license_.as_json()["subscriptionInterval"] == ""
    assert license_.as_json()["expiresAt"] is None


def test_the_number_or_the_share_of_revoked_licenses_can_be_chosen() -> None:
    assert sum(Revoked(Account.generate(500)).values()) == 25
    assert sum(Revoked(Account.generate(500, revoked=1)).values()) == 1
    assert sum(Revoked(Account.generate(50, revoked=0.0)).values()) == 0
    assert sum(Revoked(Account.generate(50, revoked=1.0)).values()) == 50


def test_an_account_holds_given_ids_once_in_their_order_and_in_lower_case() -> None:
    account = Account.holding([TWO.upper(), ONE, TWO])

    assert list(account.licenses) == [TWO, ONE]
    assert dict(Revoked(account)) == {TWO: False, ONE: False}
    assert Revoked(account)[TWO.upper()] is False


def test_given_ids_are_revoked_only_where_asked() -> None:
    account = Account.holding([ONE, TWO], revoked=[TWO.upper()])

    assert dict(Revoked(account)) == {ONE: False, TWO: True}


def test_an_account_holds_given_keys_once_and_as_written() -> None:
    account = Account.holding_keys(["b-Key", "A", "b-Key"])

    assert [license_.key for license_ in account] == ["b-Key", "A"]


@pytest.mark.parametrize("account", [Account.holding([ONE]), Account.generate(1)])
def test_an_id_can_be_there_only_once(account: Account) -> None:
    (license_,) = account

    with pytest.raises(ValueError, match=license_.id):
        account.add(replace(license_))


def shown_ids(account: Account) -> list[str]:
    return [license_.id for license_ in account]


def test_licenses_that_are_given_come_after_those_that_are_invented() -> None:
    account = Account.generate(3)
    invented = shown_ids(account)
    one, two = Account.holding([ONE, TWO])

    account.add(two)
    account.add(one, first=True)

    assert shown_ids(account) == list(account.licenses) == [*invented, ONE, TWO]
    assert [it.id for it in account.page(2, 4)] == [invented[2], ONE]
    assert [it.id for it in account.with_keys([two.key, one.key])] == [ONE, TWO]
    assert len(account) == 5


def test_a_license_that_is_removed_is_nowhere() -> None:
    account = Account.generate(4)
    account.add(next(iter(Account.holding([ONE]))))
    assert len(account.page(0, 9)) == 5
    first, second, *_ = account

    for license_id in (second.id, ONE):
        account.remove(license_id)

    left = shown_ids(account)
    assert len(account) == len(left) == 3
    assert not {second.id, ONE} & {*left, *(it.id for it in account.page(0, 9))}
    assert account.find(second.id) is account.find(ONE) is None
    assert account.with_keys([second.key]) == []
    assert account.page(0, 1) == [first]
    with pytest.raises(KeyError):
        account.remove(ONE)


def test_keys_that_are_changed_are_found_as_they_are_now() -> None:
    account = Account.generate(3)
    account.add(next(iter(Account.holding([ONE]))))
    *_, second, _, given = account
    old = second.key
    assert account.with_keys([old]) == [second]

    given.key = second.key = "SHARED"

    assert account.with_keys(["SHARED"]) == [second, given]
    assert account.with_keys([old]) == []


def test_ten_thousand_licenses_that_are_given_cost_less_than_fifteen_megabytes() -> None:
    ids = some_ids(10_000)
    tracemalloc.start()
    try:
        account = Account.holding(ids)
        account.with_keys([])
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert len(account) == 10_000
    assert used < 15e6
