"""Invented licenses are found again by ID and key, and cost nothing until they are asked for."""

from __future__ import annotations

import gc
import tracemalloc
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch.sandbox import Account
from batch.sandbox.invented import DAY, HOUR, SOLD_FOR, Invented
from batch.sandbox.license import TICKS, timestamp
from batch.sandbox.permutation import Permutation
from batch.sandbox.query import ids, select
from tests.support.builders import calm

if TYPE_CHECKING:
    from batch.sandbox import SandboxLicense

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC).timestamp()
TODAY = int(NOW) // DAY * DAY * TICKS
HALF_A_MILLION = 500_000
MILLIONS = Invented(5_000_000, now=NOW)


@pytest.fixture(scope="module")
def large() -> Account:
    return Account.generate(
        HALF_A_MILLION,
        seed=5,
        now=NOW,
        revoked=10_500,
        resellers={"Small": 3_000, "Middling": 3_400, "Larger": 5_000, "Large": 30_000},
        batch=2_000,
    )


def listed(account: Account, *query: tuple[str, str]) -> list[str]:
    return list(ids(account, query, TODAY))


@calm
@given(st.text(max_size=3), st.integers(1, 300))
def test_a_permutation_maps_every_number_to_another_one_and_back(key: str, size: int) -> None:
    permuted = Permutation(key, size)

    mapped = [permuted(number) for number in range(size)]

    assert sorted(mapped) == list(range(size))
    assert [permuted.inverse(number) for number in mapped] == list(range(size))
    assert permuted(np.arange(size, dtype=np.uint64)).tolist() == mapped


@calm
@given(st.integers(1, 2**64), st.data())
def test_a_permutation_of_many_numbers_is_undone(size: int, data: st.DataObject) -> None:
    permuted = Permutation("key", size)
    number = data.draw(st.integers(0, size - 1))

    assert 0 <= permuted(number) < size
    assert permuted.inverse(permuted(number)) == number


@calm
@given(st.integers(0, 2**40), st.integers(1, 5_000_000), st.data())
def test_every_license_is_found_again_by_its_id_and_by_its_key(
    seed: int, count: int, data: st.DataObject
) -> None:
    invented = Invented(count, seed=seed, now=NOW)
    position = data.draw(st.integers(0, count - 1))

    assert invented.position(invented.id(position)) == position
    assert invented.position_of_key(invented.key(position)) == position


@calm
@given(st.uuids() | st.uuids(version=4), st.text())
def test_nothing_else_is_an_id_or_a_key(stranger: UUID, text: str) -> None:
    invented = MILLIONS

    assert invented.position(str(stranger)) is None
    assert invented.position(text) is None
    assert invented.position_of_key(text) is None


@pytest.mark.parametrize("digit", [0, 7, 10, 14, 17, 19, 22, 30, 35])
def test_an_id_or_a_key_with_one_other_digit_is_a_strangers(large: Account, digit: int) -> None:
    license_ = large.page(400_000, 400_001)[0]
    other = "1" if license_.id[digit] == "0" else "0"
    at = digit if license_.key[digit] != "-" else digit - 1
    wrong = "1" if license_.key[at] == "0" else "0"

    assert large.find(license_.id[:digit] + other + license_.id[digit + 1 :]) is None
    other_key = license_.key[:at] + wrong + license_.key[at + 1 :]
    assert large.with_keys([other_key]) == []
    assert large._invented.position_of_key(other_key) is None
    assert large.with_keys([license_.key]) == [license_]


@calm
@given(st.integers(1, 3000), st.integers(0, 40))
def test_licenses_are_the_same_one_by_one_and_together(count: int, batch: int) -> None:
    sold = {"A": count // 2, "B": count // 4}
    invented = Invented(count, now=NOW, revoked=count // 3, resellers=sold, batch=min(batch, count))
    positions = list(range(0, count, 1 + count // 50))

    assert invented.licenses(positions) == [invented.license(at) for at in positions]
    assert list(invented.ids(positions)) == [invented.id(at) for at in positions]


@calm
@given(st.integers(1, 2000), st.integers(0, 300))
def test_licenses_are_created_in_the_order_of_their_positions(count: int, batch: int) -> None:
    account = Account.generate(count, now=NOW, batch=min(batch, count))

    created = [license_.created for license_ in account]

    assert created == sorted(created)
    assert created[0] >= TODAY - SOLD_FOR * TICKS
    assert created[-1] < TODAY


def test_the_newer_half_has_ids_of_version_7_that_say_when_they_were_made(large: Account) -> None:
    licenses = [large.page(at, at + 1)[0] for at in range(0, HALF_A_MILLION, 4_999)]

    versions = [UUID(license_.id).version for license_ in licenses]

    newer = versions.index(7)
    assert versions == [4] * newer + [7] * (len(versions) - newer)
    for license_ in licenses:
        assert UUID(license_.id).variant == "specified in RFC 4122"
        milliseconds = UUID(license_.id).int >> 80
        assert (milliseconds == license_.created // 10_000) == (UUID(license_.id).version == 7)


def assert_plausible(license_: SandboxLicense) -> None:
    assert 0 <= license_.total_activations <= license_.allowed_activations
    assert (license_.last_used is None) == (license_.total_activations == 0)
    assert (license_.activated is None) == (license_.total_activations == 0)
    if license_.activated is not None:
        assert license_.last_used is not None
        assert license_.created <= license_.activated <= license_.last_used < TODAY


def test_a_license_was_used_after_it_was_created_and_not_at_all_without_activation() -> None:
    given = Account.holding([str(UUID(int=at)) for at in range(300)], now=NOW)

    for license_ in (*Account.generate(300, now=NOW), *given):
        assert_plausible(license_)


def test_a_part_of_an_account_has_exactly_the_size_that_was_asked_for(large: Account) -> None:
    sizes = {
        name: len(listed(large, ("resellerId", reseller.id)))
        for name, reseller in large.resellers.items()
    }

    assert sizes == {"Small": 3_000, "Middling": 3_400, "Larger": 5_000, "Large": 30_000}
    assert len(listed(large, ("revoked", "true"))) == 10_500


def test_a_batch_was_made_within_an_hour_in_which_nothing_else_was(large: Account) -> None:
    first, last = map(timestamp, large.batch)

    made = listed(large, ("createdAt[gte]", first), ("createdAt[lte]", last))

    assert large.batch[1] - large.batch[0] < HOUR
    assert len(made) == 2_000
    assert {UUID(each).version for each in made} == {7}


@pytest.mark.parametrize("part", [{"revoked": 11}, {"batch": 11}, {"resellers": {"A": 6, "B": 5}}])
def test_a_part_that_is_larger_than_the_account_is_refused(part: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="only 10 licenses"):
        Account.generate(10, **part)


def test_a_resellers_sales_are_spread_over_time(large: Account) -> None:
    query = ("resellerId", large.resellers["Small"].id)
    of_the_first_year = [("createdAt[lt]", "2024-11-23"), query]

    assert 900 < len(listed(large, *of_the_first_year)) < 1_100


def test_half_a_million_licenses_cost_next_to_nothing_before_and_after_they_are_read() -> None:
    tracemalloc.start()
    try:
        account = Account.generate(HALF_A_MILLION, now=NOW)
        begun, _ = tracemalloc.get_traced_memory()
        for start in range(0, HALF_A_MILLION, 100_000):
            account.page(start, start + 1_000)
        for license_ in account.page(0, 3_000):
            license_.revoked = True
        select(account, [("revoked", "true"), ("createdAt[gt]", "2025-01-01")], TODAY)
        gc.collect()
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert begun < 12e6
    assert used < 30e6
    assert len(listed(account, ("revoked", "true"))) > 3_000


def test_what_a_list_holds_is_computed_once_and_corrected_by_what_changes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []
    where = Invented.where

    def counted(invented: Invented, attribute: str, law: Any) -> Any:  # noqa: ANN401
        asked.append(attribute)
        return where(invented, attribute, law)

    monkeypatch.setattr(Invented, "where", counted)
    account = Account.generate(1000, revoked=0.5)
    query = [("revoked", "false"), ("type", "node-locked"), ("limit", "10")]

    for page in range(1, 9):
        licenses, _ = select(account, [*query, ("page", str(page))], TODAY)
        licenses[0].revoked = True

    assert sorted(asked) == ["revoked", "type"]
    assert len(listed(account, *query)) == len(
        [it for it in account if not it.revoked and it.type == "node-locked"]
    )


def test_ids_are_listed_without_making_a_license(monkeypatch: pytest.MonkeyPatch) -> None:
    account = Account.generate(1000, revoked=300)
    monkeypatch.delattr(Invented, "license")
    monkeypatch.delattr(Invented, "licenses")

    assert len(list(account.licenses)) == 1000
    assert len(listed(account, ("revoked", "true"))) == 300


def test_what_is_changed_stays_changed_and_nothing_else_does() -> None:
    account = Account.generate(1000, revoked=0.0, now=NOW)
    changed = [license_.id for license_ in account.page(100, 103)]

    for license_id in changed:
        account.licenses[license_id].revoked = True
    gc.collect()

    assert [license_.id for license_ in account if license_.revoked] == changed
    assert listed(account, ("revoked", "true")) == changed


def test_whoever_holds_a_license_sees_what_another_one_does_to_it() -> None:
    account = Account.generate(10, revoked=0.0)
    one = account.page(3, 4)[0]
    other = account.find(one.id.upper())

    one.suspended = not one.suspended
    assert other is not None
    other.revoked = True

    assert one.revoked
    assert other is one is account.licenses[one.id] is account.with_keys([one.key])[0]
