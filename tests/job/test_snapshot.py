"""What a look found: the last word about each license, and no more memory than that takes."""

from __future__ import annotations

import tracemalloc
from array import array
from math import inf

from hypothesis import given
from hypothesis import strategies as st

from batch.job.snapshot import Snapshot, State
from batch.model import ID_BYTES, License, Listing, Outcome, RowResult
from batch.results.details import Details
from tests.support.builders import calm, listing
from tests.support.job_harness import some_ids

IDS = some_ids(5)
WHOLE = License(
    id=IDS[0],
    revoked=True,
    key="0A2035-E8A2A3",
    product="63dfd63e-ed71-4f84-9236-02ee0ddb062c",
    type="node-locked",
    expires=1.5e9,
    created=1.25e9,
    activations=3,
    last_used=1.375e9,
    grace_period=-1,
    reseller="resold",
    organization="organized",
)
GONE = RowResult(Outcome.NOT_FOUND, http_status=404)


def told(snapshot: Snapshot, entry: int) -> tuple[object, ...]:
    return (
        snapshot.states[entry],
        snapshot.value(entry),
        snapshot.product(entry),
        snapshot.type_names[snapshot.types[entry]],
        snapshot.activations[entry],
        snapshot.expires[entry],
        snapshot.created[entry],
        snapshot.last_used[entry],
        snapshot.never_notice([entry]),
        snapshot.reseller_ids[snapshot.resellers[entry]],
        snapshot.organization_ids[snapshot.organizations[entry]],
        snapshot.problems.get(entry),
    )


def test_before_a_look_nothing_is_known() -> None:
    listed = listing(*IDS)

    snapshot = Snapshot.nothing(listed)

    assert list(snapshot.states) == [State.UNSEEN] * 5
    assert [snapshot.value(entry) for entry in range(5)] == [None] * 5
    assert [snapshot.product(entry) for entry in range(5)] == [""] * 5
    assert {*snapshot.expires, *snapshot.activations} == {inf, 0}
    assert set(snapshot.created) == {-inf}
    assert snapshot.ids == b""
    assert (snapshot.looked, snapshot.off, snapshot.problems) == (False, None, {})


def test_what_was_said_of_a_license_is_kept_at_its_entry_alone() -> None:
    snapshot = Snapshot.nothing(listing(*IDS))
    before = [told(snapshot, entry) for entry in (0, 1, 3, 4)]

    snapshot.note(2, WHOLE)

    assert told(snapshot, 2) == (
        State.ON, True, WHOLE.product, "node-locked", 3, 1.5e9, 1.25e9, 1.375e9, 1, "resold",
        "organized", None,
    )  # fmt: skip
    assert [told(snapshot, entry) for entry in (0, 1, 3, 4)] == before


def test_what_is_not_told_is_empty_and_a_license_without_an_expiry_never_expires() -> None:
    snapshot = Snapshot.nothing(listing(*IDS))

    snapshot.note(0, License(IDS[0], False))

    assert told(snapshot, 0) == (State.OFF, False, "", "", 0, inf, -inf, -inf, 0, "", "", None)


def test_what_is_missing_or_unread_is_neither_revoked_nor_not() -> None:
    snapshot = Snapshot.nothing(listing(*IDS))

    snapshot.problem(0, State.MISSING, GONE)
    snapshot.problem(1, State.UNREAD, RowResult(Outcome.UNKNOWN))

    assert [snapshot.value(0), snapshot.value(1)] == [None, None]
    assert snapshot.problems == {0: GONE, 1: RowResult(Outcome.UNKNOWN)}


def test_a_license_that_is_seen_after_all_has_no_problem() -> None:
    snapshot = Snapshot.nothing(listing(*IDS))
    snapshot.problem(0, State.UNREAD, RowResult(Outcome.UNKNOWN))

    snapshot.note(0, WHOLE)

    assert snapshot.value(0) is True
    assert snapshot.problems == {}


def test_products_and_types_are_kept_once_each() -> None:
    snapshot = Snapshot.nothing(listing(*IDS))

    for entry in range(5):
        snapshot.note(entry, License(IDS[entry], True, product="ab"[entry % 2], type="t"))

    assert snapshot.product_ids == ["", "a", "b"]
    assert snapshot.type_names == ["", "t"]
    assert [snapshot.product(entry) for entry in range(5)] == ["a", "b", "a", "b", "a"]


def test_two_looks_share_no_names() -> None:
    first, second = Snapshot.nothing(listing(*IDS)), Snapshot.nothing(listing(*IDS))

    first.note(0, WHOLE)
    first.problem(1, State.MISSING, GONE)

    assert (second.product_ids, second.type_names, second.problems) == ([""], [""], {})


licenses = st.builds(
    License,
    id=st.sampled_from(IDS),
    revoked=st.booleans(),
    product=st.sampled_from(["", "p", "q", "r"]),
    type=st.sampled_from(["", "s", "t"]),
    expires=st.none() | st.floats(allow_nan=False),
    created=st.none() | st.floats(allow_nan=False),
    activations=st.integers(0, 2**63 - 1),
    last_used=st.none() | st.floats(allow_nan=False),
    grace_period=st.sampled_from([None, -1, 0, 2595000]),
    reseller=st.sampled_from(["", "r", "s"]),
    organization=st.sampled_from(["", "o"]),
)


@calm
@given(st.lists(st.tuples(st.integers(0, 4), licenses)))
def test_the_last_word_about_a_license_counts(words: list[tuple[int, License]]) -> None:
    snapshot, last = Snapshot.nothing(listing(*IDS)), dict(words)

    for entry, license_ in words:
        snapshot.note(entry, license_)

    for entry, license_ in last.items():
        expires = inf if license_.expires is None else license_.expires
        created = -inf if license_.created is None else license_.created
        last_used = -inf if license_.last_used is None else license_.last_used
        assert told(snapshot, entry)[1:] == (
            license_.revoked, license_.product, license_.type, license_.activations, expires,
            created, last_used, license_.grace_period == -1, license_.reseller,
            license_.organization, None,
        )  # fmt: skip
    assert sum(state != State.UNSEEN for state in snapshot.states) == len(last)


def test_resellers_and_organizations_are_counted_once_each_and_none_is_no_other() -> None:
    snapshot = Snapshot.nothing(listing(*IDS))
    for entry, (reseller, organization) in enumerate(["ab", "ac", ("", ""), "bc"]):
        license_ = License(IDS[entry], False, reseller=reseller, organization=organization)
        snapshot.note(entry, license_)

    counted = [
        (snapshot.resellers_of(entries), snapshot.organizations_of(entries))
        for entries in ([0, 1, 2, 3, 4], [0, 1], [2, 4], [])
    ]

    assert counted == [(2, 2), (1, 2), (0, 0), (0, 0)]


def test_who_is_hit_is_the_company_else_the_organization() -> None:
    snapshot = Snapshot.nothing(listing(*IDS), details=Details(5))
    for entry, (company, organization) in enumerate([
        ("ACME, Inc.", "Acme Group"), ("", "=1+1"), ("", ""), ("'", ""),
    ]):  # fmt: skip
        details = ("", "", "", "", "", company, organization, "")
        snapshot.note(entry, License(IDS[entry], False, details=details))

    assert [snapshot.customer(e) for e in range(5)] == ["ACME, Inc.", "=1+1", "", "'", ""]
    assert Snapshot.nothing(listing(*IDS)).customer(0) == ""


def test_licenses_that_run_on_for_ever_are_counted() -> None:
    snapshot = Snapshot.nothing(listing(*IDS))
    for entry, seconds in enumerate([-1, 0, None, -1]):
        snapshot.note(entry, License(IDS[entry], False, grace_period=seconds))

    assert snapshot.never_notice(range(5)) == 2
    assert snapshot.never_notice([1, 2, 3]) == 1


def test_an_entry_takes_51_bytes_and_its_id() -> None:
    count = 100_000
    ids = bytes(ID_BYTES * count)
    listed = Listing("", array("I", range(count)), ids, array("I", range(count)))
    tracemalloc.start()
    try:
        snapshot = Snapshot.nothing(listed)
        for entry in range(0, count, 7):
            snapshot.note(entry, WHOLE)
        size, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert size < (51 + ID_BYTES) * count + 10_000
    assert peak < size + 10_000


def test_what_has_changed_of_a_license_is_what_the_later_word_says() -> None:
    listed = listing(IDS[0])
    snapshot = Snapshot.nothing(listed, compares=lambda found: "user" * (found.user == "u"))

    snapshot.note(0, License(IDS[0], revoked=False, user="u"))
    before = dict(snapshot.changed)
    snapshot.note(0, License(IDS[0], revoked=False))

    assert before == {0: "user"}
    assert snapshot.changed == {}
