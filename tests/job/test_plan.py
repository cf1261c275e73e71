from __future__ import annotations

from array import array
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch.errors import GuardError
from batch.job.plan import Guards, Plan, make_plan, to_look_at
from batch.job.snapshot import Snapshot, State
from batch.model import DONE, RESTORE, REVOKE, VERIFY, Action, License, Listing, Outcome, RowResult
from batch.results.csv_file import CODES, Recorded
from tests.support.builders import calm, listing
from tests.support.job_harness import some_ids
from tests.support.results_files import keyed, look

A, B, C, D = some_ids(4)
OWN, OTHER = "63dfd63e-ed71-4f84-9236-02ee0ddb062c", "0b3ba6f3-9d64-4f0f-9a5f-5c3f3d1f3a52"
CELLS = st.lists(st.sampled_from([*some_ids(8), "no id", "", "-"]), max_size=30)
MISSING = RowResult(Outcome.NOT_FOUND, None, 404, "NOT_FOUND", "no such license")
UNREAD = RowResult(Outcome.UNKNOWN, None, 500, "http_500", "it cannot be read")


def plan_for(listed: Listing, *, action: Action = REVOKE, **guards: int | None) -> Plan:
    return make_plan(action, listed, Snapshot.nothing(listed), guards=Guards(**guards))  # type: ignore[arg-type]


def outcomes(plan: Plan) -> list[str]:
    return [str(result.outcome) if result else "" for result in plan.row_results]


def recorded_as(listed: Listing, *rows: tuple[Outcome, bool | None, int]) -> Recorded:
    """What earlier sessions have recorded: outcome, ``was_revoked`` and attempts of each row."""
    return Recorded(
        Path("results.csv"),
        (),
        rows=listed.rows,
        ids=bytearray(listed.ids),
        outcomes=bytearray(CODES[outcome] for outcome, _, _ in rows),
        was=bytearray((None, True, False).index(was) for _, was, _ in rows),
        attempts=array("I", (attempts for *_, attempts in rows)),
    )


def seeing(listed: Listing, *products: str) -> Snapshot:
    """A look that finds active licenses of these products."""
    snapshot = Snapshot.nothing(listed)
    for entry, product in zip(listed.distinct(), products, strict=False):
        snapshot.note(entry, License(listed.license_id(entry), revoked=False, product=product))
    return snapshot


@calm
@given(CELLS)
def test_every_valid_license_is_sent_exactly_once_in_input_order(cells: list[str]) -> None:
    listed = listing(*cells)

    plan = plan_for(listed)

    wanted = list(dict.fromkeys(cell for cell in cells if cell.count("-") == 4))
    assert [listed.license_id(entry) for entry in plan.to_send] == wanted


@calm
@given(CELLS)
def test_every_row_has_a_result_before_the_first_request(cells: list[str]) -> None:
    row_results = plan_for(listing(*cells)).row_results

    found = [result for result in row_results if result is not None]
    assert [result.outcome for result in found] == [
        Outcome.PLANNED if cell.count("-") == 4 else Outcome.INVALID for cell in cells
    ]
    assert [result.error for result in found] == [
        "" if cell.count("-") == 4 else "the cell holds no license ID" for cell in cells
    ]
    assert {(result.value, result.attempts) for result in found} <= {(None, 0)}


@pytest.mark.parametrize("most", [2, 3, None])
def test_a_cap_counts_licenses_and_not_rows(most: int | None) -> None:
    plan = plan_for(listing(A, A, B, "no id", A), max_licenses=most)

    assert list(plan.to_send) == [0, 2]


def test_a_plan_above_the_cap_is_refused_with_both_numbers() -> None:
    ids = some_ids(1234)

    with pytest.raises(GuardError) as refused:
        plan_for(listing(*ids, title="licenses.csv, column 1"), max_licenses=1233)

    assert str(refused.value) == (
        "licenses.csv, column 1: 1,234 licenses would be revoked, --max-licenses allows 1,233"
    )
    assert "--max-licenses" in refused.value.hint
    assert refused.value.exit_code == 2


def test_a_cap_counts_what_is_really_sent() -> None:
    listed = listing(A, B, C, D)
    snapshot = look(listed, revoked=[0])
    snapshot.problem(1, State.MISSING, MISSING)

    plan = make_plan(REVOKE, listed, snapshot, excluded={2: (0,)}, guards=Guards(max_licenses=1))

    assert list(plan.to_send) == [3]
    assert outcomes(plan) == ["already_revoked", "not_found", "excluded", "planned"]


def test_a_cap_holds_in_a_dry_run_as_well_and_names_what_it_would_do() -> None:
    listed = listing(A, B)

    with pytest.raises(GuardError, match="2 licenses would be restored"):
        plan_for(listed, action=RESTORE.dry_run(), max_licenses=1)


def test_what_is_as_it_should_be_is_not_sent() -> None:
    listed = listing(A, B, A)

    plan = make_plan(REVOKE, listed, look(listed, revoked=[0]))
    doubtful = Guards(doubtful=range(3))
    back = make_plan(RESTORE, listed, look(listed, revoked=[0]), guards=doubtful)

    assert outcomes(plan) == ["already_revoked", "planned", "already_revoked"]
    assert plan.row_results[0] == RowResult(Outcome.ALREADY_REVOKED, True)
    assert list(plan.to_send) == [1]
    assert outcomes(back) == ["planned", "already_restored", "planned"]
    assert back.row_results[1] == RowResult(Outcome.ALREADY_RESTORED, False)


def test_what_the_run_has_turned_is_turned_back_whatever_is_read() -> None:
    listed = listing(A, B, C)
    guards = Guards(doubtful={2}, proven_only=range(3))

    back = make_plan(RESTORE, listed, look(listed, revoked=[0]), guards=guards)
    trial = make_plan(RESTORE.dry_run(), listed, look(listed, revoked=[0]), guards=guards)

    assert outcomes(back) == ["planned", "planned", "already_restored"]
    assert outcomes(trial) == ["would_restore", "would_restore", "already_restored"]
    assert back.was[1] == 2  # what was read is on record all the same


def test_what_was_revoked_is_what_the_look_saw_also_for_rows_that_repeat() -> None:
    listed = listing(A, B, A, "no id", C, D, D, B)
    snapshot = look(listed, revoked=[0], unseen=[4])
    snapshot.problem(5, State.UNREAD, UNREAD)
    snapshot.problem(6, State.MISSING, MISSING)

    assert list(make_plan(REVOKE, listed, snapshot).was) == [1, 2, 1, 0, 0, 0, 0, 2]


def test_a_license_that_does_not_exist_is_not_sent() -> None:
    listed = listing(A, B, A)
    snapshot = look(listed, unseen=[0])
    snapshot.problem(0, State.MISSING, MISSING)

    plan = make_plan(REVOKE, listed, snapshot)

    assert plan.row_results == [MISSING, RowResult(Outcome.PLANNED), MISSING]
    assert list(plan.was) == [0, 2, 0]


def test_a_license_that_cannot_be_read_is_sent_unless_it_has_to_be_proven() -> None:
    listed = listing(A, B)
    snapshot = look(listed, unseen=[0, 1])
    snapshot.problem(0, State.UNREAD, UNREAD)
    snapshot.problem(1, State.UNREAD, UNREAD)

    plan = make_plan(REVOKE, listed, snapshot, guards=Guards(proven_only={1}))
    dry = make_plan(REVOKE.dry_run(), listed, snapshot)

    assert plan.row_results == [RowResult(Outcome.PLANNED), UNREAD]
    assert dry.row_results == [UNREAD, UNREAD]


def test_a_key_that_cannot_be_looked_up_is_not_sent() -> None:
    listed = keyed("K1", "K2")
    snapshot = look(listed, unseen=[0], ids={1: B})
    failed = RowResult(Outcome.FAILED, None, 500, "http_500", "its key cannot be looked up")
    snapshot.problem(0, State.UNREAD, failed)

    plan = make_plan(REVOKE, listed, snapshot)

    assert plan.row_results[0] is failed
    assert list(plan.to_send) == [1]


def test_where_licenses_are_listed_by_key_the_plan_has_the_ids_that_were_found() -> None:
    listed = keyed("K1", "two\nlines", "K3")

    plan = make_plan(REVOKE, listed, look(listed, ids={0: A, 2: C}))

    assert plan.listing.license_id(0) == A
    assert plan.listing.ids == UUID(A).bytes + bytes(16) + UUID(C).bytes
    assert plan.row_results[1] == RowResult(Outcome.INVALID, error="the cell holds no license key")
    assert not any(listed.ids)


def test_for_keys_that_are_not_looked_up_again_the_plan_has_the_ids_that_are_recorded() -> None:
    listed = keyed("K1", "K2", "K3")
    recorded = recorded_as(listed, *[(Outcome.REVOKED, False, 1)] * 2, (Outcome.FAILED, None, 0))
    recorded.ids[:] = UUID(A).bytes + UUID(B).bytes + bytes(16)

    plan = make_plan(REVOKE, listed, look(listed, ids={1: C}), recorded=recorded)

    assert plan.listing.ids == UUID(A).bytes + UUID(C).bytes + bytes(16)


def test_excluded_licenses_are_never_sent_whatever_they_are() -> None:
    listed = listing(A, B, A)

    plan = make_plan(REVOKE, listed, look(listed, revoked=[0]), excluded={0: (0,)})

    assert outcomes(plan) == ["excluded", "planned", "excluded"]
    assert plan.row_results[0] == RowResult(Outcome.EXCLUDED, error="listed in --exclude")


@pytest.mark.parametrize(("limit", "sent", "left"), [(0, 0, 5), (1, 1, 3), (2, 2, 1), (3, 3, 0)])
def test_a_limit_sends_the_first_licenses_and_leaves_the_rest_for_later(
    limit: int, sent: int, left: int
) -> None:
    listed = listing(A, A, B, D, B, C)
    snapshot = look(listed, revoked=[3])

    plan = make_plan(REVOKE, listed, snapshot, guards=Guards(limit=limit, max_licenses=limit))

    assert list(plan.to_send) == [0, 2, 5][:sent]
    assert plan.left == left
    assert plan.licenses_left == 3 - sent
    assert outcomes(plan).count("not_attempted") == left
    assert outcomes(plan)[3] == "already_revoked"
    later = {result.error for result in plan.row_results if result and result.error}
    assert later == ({"left for later by --limit"} if left else set())


def test_a_dry_run_says_what_it_would_do_and_sends_nothing() -> None:
    listed = listing(A, B, C)

    plan = make_plan(REVOKE.dry_run(), listed, look(listed, revoked=[0]))

    assert outcomes(plan) == ["already_revoked", "would_revoke", "would_revoke"]
    assert plan.row_results[1] == RowResult(Outcome.WOULD_REVOKE, False)
    assert list(plan.affected) == [1, 2]
    assert list(plan.to_send) == []


def test_a_dry_run_without_a_look_would_send_everything() -> None:
    plan = plan_for(listing(A), action=REVOKE.dry_run())

    assert plan.row_results == [RowResult(Outcome.WOULD_REVOKE)]


def test_verify_says_how_each_license_is_and_what_a_stopped_look_did_not_reach() -> None:
    listed = listing(A, B, C)

    plan = make_plan(VERIFY, listed, look(listed, revoked=[0], unseen=[2]))

    assert outcomes(plan) == ["verified", "not_revoked", "not_attempted"]
    assert plan.row_results[2] == RowResult(
        Outcome.NOT_ATTEMPTED, error="the look was stopped before that"
    )
    assert list(plan.to_send) == []


@pytest.mark.parametrize("outcome", sorted(Outcome))
@pytest.mark.parametrize("missing_ok", [False, True])
def test_what_is_done_is_neither_looked_at_nor_sent_again(
    outcome: Outcome, missing_ok: bool
) -> None:
    listed = listing(A, B, A)
    rows = [(outcome, False, 1), (Outcome.NOT_ATTEMPTED, False, 0), (outcome, False, 1)]
    recorded = recorded_as(listed, *rows)
    is_done = outcome in DONE or (missing_ok and outcome is Outcome.NOT_FOUND)

    entries = to_look_at(listed, excluded=(), recorded=recorded, missing_ok=missing_ok)
    plan = make_plan(
        REVOKE, listed, look(listed), recorded=recorded, missing_ok=missing_ok, excluded={1: (0,)}
    )

    assert list(entries) == ([1] if is_done else [0, 1])
    first = "" if is_done else "planned"
    assert outcomes(plan) == [first, "excluded", first]


def test_a_look_is_for_each_license_once_and_not_for_excluded_ones() -> None:
    listed = listing(A, "no id", B, A, C)

    entries = to_look_at(listed, excluded={2: (0,)}, recorded=None, missing_ok=False)

    assert list(entries) == [0, 4]


def test_an_invalid_row_of_an_earlier_session_is_invalid_again() -> None:
    listed = listing("no id", A)
    rows = [(Outcome.INVALID, None, 0), (Outcome.REVOKED, False, 1)]

    plan = make_plan(REVOKE, listed, Snapshot.nothing(listed), recorded=recorded_as(listed, *rows))

    assert outcomes(plan) == ["invalid", ""]


@pytest.mark.parametrize(
    ("outcome", "was", "attempts", "ours"),
    [
        (Outcome.PLANNED, False, 0, True),
        (Outcome.PLANNED, None, 0, True),
        (Outcome.PLANNED, True, 0, False),
        (Outcome.FAILED, False, 2, True),
        (Outcome.FAILED, True, 2, False),
        (Outcome.UNKNOWN, None, 2, True),
        (Outcome.NOT_ATTEMPTED, False, 1, True),
        (Outcome.NOT_ATTEMPTED, False, 0, False),
        (Outcome.NOT_ATTEMPTED, None, 0, False),
        (Outcome.NOT_FOUND, None, 0, False),
        (Outcome.UNKNOWN, None, 0, True),
    ],
)
def test_what_is_found_revoked_was_revoked_by_this_run_only_if_it_may_have_sent_something(
    outcome: Outcome, was: bool | None, attempts: int, ours: bool
) -> None:
    listed = listing(A)
    recorded = recorded_as(listed, (outcome, was, attempts))

    plan = make_plan(REVOKE, listed, look(listed, revoked=[0]), recorded=recorded)

    expected = Outcome.REVOKED if ours else Outcome.ALREADY_REVOKED
    assert plan.row_results == [RowResult(expected, True)]


def test_was_revoked_stays_what_the_first_look_of_the_run_said() -> None:
    listed = listing(A, B, C)
    rows = [(Outcome.PLANNED, was, 0) for was in (False, None, True)]

    plan = make_plan(
        REVOKE, listed, look(listed, revoked=[0, 1]), recorded=recorded_as(listed, *rows)
    )

    assert list(plan.was) == [2, 0, 1]


def test_licenses_of_another_product_are_refused_naming_row_license_and_product() -> None:
    listed = listing(A, B, A, C, title="list.csv")
    snapshot = seeing(listed, OWN, OTHER, OTHER)

    with pytest.raises(GuardError) as refused:
        make_plan(REVOKE, listed, snapshot, guards=Guards(products=frozenset({OWN})))

    assert str(refused.value) == (
        "list.csv: 2 licenses are not of the product that --expect-product names:\n"
        f"  row 3  {B}  product {OTHER}\n"
        f"  row 5  {C}  product {OTHER}"
    )
    assert "--exclude" in refused.value.hint
    assert refused.value.exit_code == 2


def test_licenses_whose_product_is_not_told_or_that_cannot_be_read_are_of_another_one() -> None:
    listed = listing(A, B, C)
    snapshot = seeing(listed, OWN, "")
    snapshot.problem(2, State.UNREAD, UNREAD)

    with pytest.raises(GuardError) as refused:
        make_plan(REVOKE, listed, snapshot, guards=Guards(products=frozenset({OWN})))

    assert str(refused.value).splitlines()[1:] == [
        f"  row 3  {B}  product not told",
        f"  row 4  {C}  it cannot be read",
    ]


def test_a_single_license_of_another_product_is_refused() -> None:
    listed = listing(A, B)
    snapshot = seeing(listed, OTHER, OWN)
    snapshot.states[0] = State.ON

    with pytest.raises(GuardError, match="1 license is not of the product"):
        make_plan(REVOKE, listed, snapshot, guards=Guards(products=frozenset({OWN})))


def test_excluded_missing_and_unseen_licenses_are_of_no_product() -> None:
    listed = listing(A, B, C, D, "no id")
    snapshot = seeing(listed, OTHER, OWN)
    snapshot.problem(2, State.MISSING, MISSING)
    guards = Guards(products=frozenset({OWN, "another"}))

    plan = make_plan(REVOKE, listed, snapshot, excluded={0: (0,)}, guards=guards)

    assert outcomes(plan) == ["excluded", "planned", "not_found", "planned", "invalid"]


def test_a_refusal_names_ten_licenses_and_counts_the_rest() -> None:
    listed = replace(keyed(*(f"K{number}" for number in range(1012))), title="keys.csv")
    snapshot = seeing(listed, *[OTHER] * 1012)

    with pytest.raises(GuardError) as refused:
        make_plan(REVOKE, listed, snapshot, guards=Guards(products=frozenset({OWN})))

    first, *named, last = str(refused.value).splitlines()
    assert first.startswith("keys.csv: 1,012 licenses are not of")
    assert len(named) == 10
    assert named[9] == f"  row 11  {listed.license_id(9)}  product {OTHER}"
    assert last == "  and 1,002 more"


def test_exactly_ten_are_all_named() -> None:
    listed = listing(*some_ids(10))

    with pytest.raises(GuardError) as refused:
        make_plan(
            REVOKE, listed, seeing(listed, *[OTHER] * 10), guards=Guards(products=frozenset({OWN}))
        )

    assert len(str(refused.value).splitlines()) == 11
    assert "more" not in str(refused.value)


@pytest.mark.parametrize("outcome", [Outcome.PLANNED, Outcome.UNKNOWN])
@pytest.mark.parametrize(
    ("why", "was"),
    [
        ("excluded", False),
        ("excluded", None),
        ("missing", False),
        ("unreadable", False),
        ("unreadable", None),
    ],
)
def test_what_an_earlier_session_may_have_sent_stays_in_doubt_whatever_is_found_now(
    outcome: Outcome, why: str, was: bool | None
) -> None:
    listed = listing(A, B)
    recorded = recorded_as(listed, (outcome, was, 0), (Outcome.REVOKED, False, 1))
    snapshot = look(listed, unseen=[0])
    if why == "missing":
        snapshot.problem(0, State.MISSING, RowResult(Outcome.NOT_FOUND, error="no such license"))
    if why == "unreadable":
        snapshot.problem(0, State.UNREAD, RowResult(Outcome.FAILED, error="no"))

    plan = make_plan(
        REVOKE, listed, snapshot, recorded=recorded, excluded={0: (0,)} if why == "excluded" else {}
    )

    assert outcomes(plan)[0] == "unknown"
    assert list(plan.to_send) == []


def test_what_nobody_has_ever_seen_is_not_found_however_its_session_ended() -> None:
    listed = listing(A)
    recorded = recorded_as(listed, (Outcome.PLANNED, None, 0))
    snapshot = look(listed, unseen=[0])
    snapshot.problem(0, State.MISSING, RowResult(Outcome.NOT_FOUND, error="no such license"))

    assert outcomes(make_plan(REVOKE, listed, snapshot, recorded=recorded)) == ["not_found"]


def test_what_is_sent_again_unread_is_known_to_be_in_doubt() -> None:
    listed = listing(A, B, C, D)
    recorded = recorded_as(
        listed,
        (Outcome.PLANNED, False, 0),
        (Outcome.PLANNED, False, 0),
        (Outcome.FAILED, False, 1),
        (Outcome.PLANNED, True, 0),
    )

    plan = make_plan(REVOKE, listed, look(listed, unseen=[0, 2, 3]), recorded=recorded)

    assert list(plan.to_send) == [0, 1, 2, 3]
    assert plan.in_doubt == {0}


def test_what_may_have_been_sent_and_is_left_by_a_limit_now_is_unknown() -> None:
    listed = listing(A, B, C)
    recorded = recorded_as(listed, *[(Outcome.PLANNED, None, 0)] * 3)
    snapshot = look(listed, unseen=[0, 1])

    plan = make_plan(REVOKE, listed, snapshot, recorded=recorded, guards=Guards(limit=1))

    assert outcomes(plan) == ["planned", "unknown", "not_attempted"]
    assert (plan.left, plan.licenses_left) == (1, 1)


@pytest.mark.parametrize("expected", [2, 4, 5])
def test_another_number_of_licenses_than_expected_is_refused(expected: int) -> None:
    with pytest.raises(GuardError) as refused:
        plan_for(listing(A, A, B, "no id", C), expect_licenses=expected)

    assert str(refused.value) == f"--expect-licenses {expected}: licenses.csv lists 3 licenses"
    assert refused.value.hint


def test_the_expected_number_is_that_of_the_list_before_anything_is_taken_out() -> None:
    listed = listing(A, A, B, "no id", C)
    guards = Guards(expect_licenses=3, limit=1)

    plan = make_plan(REVOKE, listed, look(listed, revoked=[2]), excluded={0: (0,)}, guards=guards)

    assert list(plan.to_send) == [4]


@calm
@given(st.data())
def test_what_is_not_selected_is_excluded_whatever_it_holds_and_is_known_of_it(
    data: st.DataObject,
) -> None:
    listed = listing(*data.draw(CELLS.filter(len)))
    marks = data.draw(st.lists(st.booleans(), min_size=len(listed), max_size=len(listed)))
    listed.unselected = bytes(marks[first] for first in listed.first)
    snapshot = look(listed, revoked=data.draw(st.sets(st.integers(0, len(listed) - 1))))

    plan = make_plan(REVOKE, listed, snapshot)

    for entry, result in enumerate(plan.row_results):
        assert result is not None
        is_out = result.error == "not selected by --where"
        assert is_out is not listed.is_selected(entry)
        assert not is_out or result.outcome is Outcome.EXCLUDED
        assert not is_out or entry not in plan.affected
    looked_at = to_look_at(listed, excluded={}, recorded=None, missing_ok=False)
    assert all(map(listed.is_selected, looked_at))
    assert list(looked_at) == list(listed.distinct())


@pytest.mark.parametrize("outcome", [Outcome.EXCLUDED, Outcome.FAILED])
def test_a_row_that_is_not_selected_stays_excluded_in_every_session(outcome: Outcome) -> None:
    listed = listing(A, B)
    listed.unselected = bytes([0, 1])
    recorded = recorded_as(listed, (Outcome.FAILED, False, 1), (outcome, None, 0))

    plan = make_plan(REVOKE, listed, look(listed), recorded=recorded)

    assert list(plan.to_send) == [0]
    assert outcomes(plan) == ["planned", "" if outcome is Outcome.EXCLUDED else "excluded"]


FIVE = some_ids(5, seed=5)


@pytest.mark.parametrize(
    ("missing", "unread", "known"),
    [(5, 0, False), (4, 1, False), (4, 0, True), (3, 1, True), (0, 5, True), (0, 0, True)],
)
def test_five_licenses_of_which_none_is_known_are_enough_to_tell(
    missing: int, unread: int, known: bool
) -> None:
    listed = listing(*FIVE, FIVE[0], "no id")
    snapshot = look(listed, unseen=range(5))
    for entry in range(missing):
        snapshot.problem(entry, State.MISSING, MISSING)
    for entry in range(missing, missing + unread):
        snapshot.problem(entry, State.UNREAD, UNREAD)

    assert make_plan(VERIFY, listed, snapshot).known is known
    if not known:
        with pytest.raises(GuardError, match=rf"none of these licenses \({missing} were not found"):
            make_plan(REVOKE, listed, snapshot)


@pytest.mark.parametrize("known", ["active", "revoked", "ambiguous"])
def test_one_license_that_the_account_knows_shows_that_it_is_the_right_one(known: str) -> None:
    listed = listing(*FIVE, A)
    snapshot = look(listed, unseen=range(6))
    for entry in range(5):
        snapshot.problem(entry, State.MISSING, MISSING)
    if known == "ambiguous":
        several = RowResult(Outcome.FAILED, error_code="key_ambiguous", error="two licenses")
        snapshot.problem(5, State.UNREAD, several)
    else:
        snapshot.states[5] = State.ON if known == "revoked" else State.OFF

    assert make_plan(REVOKE, listed, snapshot).known


@pytest.mark.parametrize("was", [True, False, None])
def test_what_an_earlier_session_has_seen_or_missed_counts(was: bool | None) -> None:
    listed = listing(*FIVE, FIVE[0], A)
    rows = [(Outcome.NOT_FOUND, None, 1)] * 6
    recorded = recorded_as(listed, *rows, (Outcome.FAILED, was, 1))
    snapshot = look(listed, unseen=range(7))
    snapshot.problem(0, State.MISSING, MISSING)

    assert make_plan(VERIFY, listed, snapshot, recorded=recorded).known is (was is not None)
    if was is None:
        with pytest.raises(GuardError, match=r"\(5 were not found"):
            make_plan(REVOKE, listed, snapshot, recorded=recorded)


def test_what_is_looked_at_again_is_no_longer_what_an_earlier_session_has_missed() -> None:
    listed = listing(*FIVE)
    recorded = recorded_as(listed, *[(Outcome.NOT_FOUND, None, 1)] * 5)
    snapshot = look(listed, unseen=range(1, 5))
    snapshot.problem(0, State.UNREAD, UNREAD)

    assert not make_plan(VERIFY, listed, snapshot, recorded=recorded).known
    snapshot.states[1] = State.OFF
    assert make_plan(VERIFY, listed, snapshot, recorded=recorded).known


@pytest.mark.parametrize(
    ("cells", "said"),
    [((A, A), "protects its one license"), ((A, B, "no id"), "protects all of its 2 licenses")],
)
def test_a_list_that_is_excluded_as_a_whole_is_refused(cells: tuple[str, ...], said: str) -> None:
    listed = listing(*cells)

    with pytest.raises(GuardError, match=said):
        make_plan(REVOKE, listed, look(listed), excluded={0: (0,), 1: (0,)})


def test_a_list_of_which_no_row_is_selected_is_not_one_that_is_excluded() -> None:
    listed = listing(A)
    listed.unselected = bytes([1])

    assert outcomes(make_plan(REVOKE, listed, look(listed), excluded={0: (0,)})) == ["excluded"]
