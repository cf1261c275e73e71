"""What a look found: the last word about each license, and no more memory than that takes."""

from __future__ import annotations

import tracemalloc
from array import array
from math import inf

from hypothesis import given
from hypothesis import strategies as st

from batch.job.snapshot import Snapshot, State
from batch.model import ID_BYTES, License, Listing, Outcome, RowResult
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
    assert snapshot.ids == listed.ids
    assert (snapshot.looked, snapshot.off, snapshot.problems) == (False, None, {})


def test_what_was_said_of_a_license_is_kept_at_its_entry_alone() -> None:
    snapshot = Snapshot.nothing(listing(*IDS))
    before = [told(snapshot, entry) for entry in (0, 1, 3, 4)]

    snapshot.note(2, WHOLE)

    assert told(snapshot, 2) == (
        State.ON, True, WHOLE.product, "node-locked", 3, 1.5e9, 1.25e9, None,
    )  # fmt: skip
    assert [told(snapshot, entry) for entry in (0, 1, 3, 4)] == before


def test_what_is_not_told_is_empty_and_a_license_without_an_expiry_never_expires() -> None:
    snapshot = Snapshot.nothing(listing(*IDS))

    snapshot.note(0, License(IDS[0], False))

    assert told(snapshot, 0) == (State.OFF, False, "", "", 0, inf, -inf, None)


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
        assert told(snapshot, entry)[1:] == (
            license_.revoked, license_.product, license_.type, license_.activations, expires,
            created, None,
        )  # fmt: skip
    assert sum(state != State.UNSEEN for state in snapshot.states) == len(last)


def test_an_entry_takes_34_bytes_and_its_id() -> None:
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

    assert size < (34 + ID_BYTES) * count + 10_000
    assert peak < size + 10_000
