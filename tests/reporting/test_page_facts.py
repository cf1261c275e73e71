"""What a page says of a run is what its results say."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch.columns import DETAILS, columns
from batch.job import plan
from batch.model import (
    RESTORE,
    REVOKE,
    SUSPEND,
    VERIFY,
    Action,
    Outcome,
    OwnWords,
    Property,
    RowResult,
)
from batch.reporting import page_facts
from batch.reporting.charts import WIDTH, course, shares
from batch.reporting.page import MEANINGS, share, span
from batch.reporting.page_facts import (
    MOST_ROWS,
    OWN_WORDS,
    Facts,
    Groups,
    action_of,
    gather,
    headline,
    is_open,
    is_turned,
    reason_of,
    without_keys,
)
from tests.support.job_harness import some_ids
from tests.support.page_runs import BEGAN, MINUTES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

IDS = some_ids(40)


def run_of(command: str = "run", *, has_details: bool = True, **options: object) -> dict[str, Any]:
    return {
        "command": command, "options": options, "results": {"details": has_details},
        "sessions": [{"started_at": BEGAN}],
    }  # fmt: skip


def line(place: int, outcome: Outcome, **cells: object) -> dict[str, object]:
    return {"row": place + 2, "license_id": IDS[place % len(IDS)], "outcome": outcome} | cells


def counted(
    rows: Iterable[dict[str, object]],
    *,
    action: Action = REVOKE,
    details: Sequence[str] = DETAILS,
    carry: Sequence[str] = (),
    **options: object,
) -> Facts:
    header = (*columns(action.changes), *details, *carry)
    lines = [[str(row.get(name, "")) for name in header] for row in rows]
    run = run_of(action.command, has_details=bool(details), **options)
    return gather(header, lines, action, run)


rows_of_a_run = st.lists(
    st.tuples(
        st.sampled_from([
            Outcome.REVOKED, Outcome.ALREADY_REVOKED, Outcome.FAILED, Outcome.UNKNOWN,
            Outcome.NOT_FOUND, Outcome.INVALID, Outcome.NOT_ATTEMPTED, Outcome.EXCLUDED,
            Outcome.PLANNED,
        ]),
        st.booleans(),  # repeats an earlier one
        st.booleans(),  # not selected by --where, where it is excluded
        st.sampled_from(["", "A", "B", "C"]),  # company
        st.integers(0, 50),  # activations
        st.sampled_from(["", "2026-11-01", "2026-10-01", "no date"]),
    ),
    max_size=30,
)  # fmt: skip


@given(rows_of_a_run, st.booleans())
def test_every_number_is_counted_from_the_rows(
    drawn: list[tuple[Outcome, bool, bool, str, int, str]], missing_ok: bool
) -> None:
    rows = []
    for place, (outcome, repeats, unselected, company, activations, used) in enumerate(drawn):
        own = {"duplicate_of": "2" if repeats else "", "company": company, "product_id": company,
               "activations": activations, "last_used_at": used}  # fmt: skip
        is_unselected = unselected and outcome is Outcome.EXCLUDED
        own["error"] = OwnWords.UNSELECTED if is_unselected else ""
        rows.append(line(place, outcome, **own))
    meant = [row for row in rows if row["error"] != OwnWords.UNSELECTED]
    named = [
        row for row in meant if not row["duplicate_of"] and row["outcome"] is not Outcome.INVALID
    ]
    turned = [row for row in named if row["outcome"] is Outcome.REVOKED]

    facts = counted(rows, missing_ok=missing_ok)

    assert facts.rows == Counter(row["outcome"] for row in rows)
    assert facts.meant == len(named) == facts.total.licenses
    assert +facts.licenses == Counter(row["outcome"] for row in named)
    assert facts.unselected == len(rows) - len(meant)
    assert facts.total.turned == len(turned)
    assert facts.total.activations == sum(int(str(row["activations"])) for row in turned)
    assert facts.total.lately == sum(row["last_used_at"] == "2026-11-01" for row in turned)
    reasons = facts.reasons.values()
    assert sum(each.rows for each in reasons) == sum(
        count for name, count in facts.rows.items() if name not in facts.done
    )
    assert sum(each.licenses for each in reasons) == facts.undone
    assert sum(facts.left_alone.values()) == facts.licenses[Outcome.EXCLUDED]
    for groups in (facts.products, facts.customers):
        assert groups is not None
        assert sum(each.licenses for each in groups.named.values()) == facts.total.licenses
        assert {each.name: each.activations for each in groups.named.values()} == {
            name: sum(int(str(r["activations"])) for r in turned if r["company"] == name)
            for name in {row["company"] for row in named}
        }


@given(rows_of_a_run)
def test_the_headline_accounts_for_every_license(
    drawn: list[tuple[Outcome, bool, bool, str, int, str]],
) -> None:
    facts = counted(line(place, each[0]) for place, each in enumerate(drawn))

    parts = headline(facts).removeprefix("So far ").split("; ")
    numbers = [int(each.split()[0].replace(",", "")) for each in parts if each[0].isdigit()]
    assert parts[0].startswith(("All ", "The one ")) or sum(numbers) == facts.meant


O = Outcome  # noqa: E741 - the lists below are long


@pytest.mark.parametrize(
    ("action", "outcomes", "said"),
    [
        (REVOKE, {O.REVOKED: 3}, "All 3 licenses are revoked"),
        (REVOKE, {O.REVOKED: 1}, "The one license is revoked"),
        (REVOKE, {O.REVOKED: 2, O.ALREADY_REVOKED: 1, O.FAILED: 1},
         "3 of 4 licenses are revoked; 1 is not"),
        (REVOKE, {O.REVOKED: 1, O.EXCLUDED: 2, O.UNKNOWN: 2},
         "1 of 5 licenses is revoked; 2 are not; 2 are left alone"),
        (REVOKE, {O.REVOKED: 2, O.PLANNED: 3},
         "So far 2 of 5 licenses are revoked; 3 are not"),
        (REVOKE.dry_run(), {O.WOULD_REVOKE: 2, O.ALREADY_REVOKED: 1},
         "2 of 3 licenses would be revoked; 1 is revoked already"),
        (REVOKE.dry_run(), {O.WOULD_REVOKE: 2, O.FAILED: 1},
         "2 of 3 licenses would be revoked; 1 could not be read"),
        (REVOKE.dry_run(), {O.WOULD_REVOKE: 2, O.NOT_ATTEMPTED: 6},
         "2 of 8 licenses would be revoked; 6 not looked at"),
        (REVOKE.dry_run(), {O.WOULD_REVOKE: 2, O.NOT_FOUND: 1},
         "2 of 3 licenses would be revoked; 1 does not exist"),
        (SUSPEND, {O.SUSPENDED: 2, O.ALREADY_REVOKED: 2},
         "2 of 4 licenses are suspended; 2 are revoked already"),
        (VERIFY, {O.VERIFIED: 2}, "All 2 licenses are revoked"),
        (VERIFY, {O.VERIFIED: 2, O.NOT_REVOKED: 1, O.FAILED: 1},
         "2 of 4 licenses are revoked; 1 is not; 1 could not be read"),
        (VERIFY, {O.VERIFIED: 2, O.NOT_FOUND: 1, O.NOT_ATTEMPTED: 3, O.EXCLUDED: 1},
         "2 of 7 licenses are revoked; 3 not looked at; 1 not found; 1 is left alone"),
        (RESTORE, {O.RESTORED: 2, O.FAILED: 1}, "2 of 3 licenses are restored; 1 is not"),
    ],
)  # fmt: skip
def test_the_headline_says_what_has_happened(
    action: Action, outcomes: dict[Outcome, int], said: str
) -> None:
    names = [name for name, count in outcomes.items() for _ in range(count)]

    facts = counted((line(place, name) for place, name in enumerate(names)), action=action)

    assert headline(facts) == said


def test_what_a_limit_leaves_is_left_for_later_and_not_amiss() -> None:
    left = [line(at, O.NOT_ATTEMPTED, error=OwnWords.LEFT) for at in range(2, 5)]
    settled = [line(0, O.REVOKED), line(1, O.ALREADY_REVOKED)]
    failed = line(5, O.FAILED)

    pilot, less, repeated = (
        counted(rows)
        for rows in (
            [*settled, *left],
            [*settled, *left, failed],
            [*settled, left[0], {**left[0], "duplicate_of": "4"}],
        )
    )
    trial = counted([line(0, O.WOULD_REVOKE), *left], action=REVOKE.dry_run())

    assert headline(pilot) == "2 of 5 licenses are revoked; 3 are left for later"
    assert headline(less) == "2 of 6 licenses are revoked; 1 is not; 3 are left for later"
    assert headline(repeated) == "2 of 3 licenses are revoked; 1 is left for later"
    assert headline(trial) == "1 of 4 licenses would be revoked; 3 are left for later"
    assert (pilot.undone, less.undone, trial.undone, trial.open) == (0, 1, 0, {})


def test_licenses_that_do_not_exist_and_need_not_are_said_beside() -> None:
    facts = counted([line(0, O.REVOKED), line(1, O.NOT_FOUND)], missing_ok=True)

    assert headline(facts) == "1 of 2 licenses is revoked; 1 does not exist"
    assert not facts.reasons


def test_a_reason_is_in_our_own_words_whatever_a_server_has_said() -> None:
    key = "9A8B-77C6-D5E4"
    said = [
        reason_of(outcome, f"HTTP 409: {key}", code, status)
        for outcome in Outcome
        for code in ("", key, "http_409", "CONFLICT", "timeout", "key_ambiguous", "<b>")
        for status in ("", "409", key)
    ]

    assert not any(key in each or "<" in each for each in said)
    assert reason_of(O.FAILED, f"HTTP 409: {key}", "CONFLICT", "409") == "HTTP 409, CONFLICT"
    assert reason_of(O.FAILED, "x", "timeout", "") == "no answer in time"
    assert reason_of(O.UNKNOWN, "x", "timeout", "").startswith("may have been applied")
    read_back = reason_of(O.UNKNOWN, "read back: not revoked yet", "timeout", "")
    assert read_back == "may have been applied; it is not known how it stands: no answer in time"
    assert MEANINGS[O.UNKNOWN][1] in read_back
    for outcome in (O.FAILED, O.UNKNOWN):
        read = reason_of(outcome, "x", "timeout", "", sends=False)
        assert read == "could not be read: no answer in time"
    assert reason_of(O.NOT_ATTEMPTED, "x", "", "", sends=False).startswith("not looked at")
    assert reason_of(O.NOT_ATTEMPTED, "x", "", "").startswith("not sent")


def test_sentences_that_pass_as_they_are_are_those_of_the_plan() -> None:
    constants = {each.error for each in vars(plan).values() if isinstance(each, RowResult)}
    invalid = {"the cell holds no license ID", "the cell holds no license key"}

    assert constants - invalid - {""} <= OWN_WORDS


def test_a_reason_shows_its_first_rows_and_counts_all() -> None:
    facts = counted(line(place, O.FAILED, http_status=409) for place in range(MOST_ROWS + 5))

    [reason] = facts.reasons.values()
    assert (reason.rows, len(reason.first)) == (MOST_ROWS + 5, MOST_ROWS)
    assert reason.first[0] == ("2", IDS[0], "")


def test_a_server_that_invents_a_code_for_every_license_fills_no_memory() -> None:
    names = ["".join(chr(97 + int(digit)) for digit in str(at)) for at in range(300)]
    facts = counted(line(at, O.FAILED, error_code=name, http_status=409)
                    for at, name in enumerate(names))  # fmt: skip

    assert len(facts.reasons) == page_facts.MOST_TEXTS + 1
    assert sum(each.rows for each in facts.reasons.values()) == 300


def test_a_cell_that_is_no_id_is_not_shown() -> None:
    facts = counted([line(0, O.INVALID, license_id="AAAA-BBBB"), line(1, O.INVALID)])

    [reason] = facts.reasons.values()
    assert [each[1] for each in reason.first] == ["", ""]
    assert (reason.licenses, reason.rows) == (0, 2)


def test_what_is_beyond_the_bound_is_counted_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_facts, "MOST_NAMES", 30)
    facts = counted(line(at, O.REVOKED, company=f"c{at}", activations=2) for at in range(100))

    assert isinstance(facts.customers, Groups)
    assert len(facts.customers.named) == 30
    number, together = facts.customers.others()
    assert (number, together.licenses, together.activations) == (11, 80, 160)


@pytest.mark.parametrize("carry", [(), ("product_id", "company"), DETAILS])
def test_results_without_details_are_counted_without_them(carry: tuple[str, ...]) -> None:
    facts = counted([line(0, O.REVOKED, company="A")], details=(), carry=carry)

    assert (facts.products, facts.customers) == (None, None)
    assert facts.total.licenses == 1


def test_an_input_that_is_called_like_a_detail_is_not_taken_for_it() -> None:
    header = (*columns(Property.REVOKED), *DETAILS, "company")
    cells = [str(line(0, O.REVOKED, company="A").get(name, "")) for name in header[:-1]]

    facts = gather(header, [[*cells, "theirs"]], REVOKE, run_of())

    assert facts.customers is not None
    assert set(facts.customers.named) == {"A"}


def test_a_customer_is_a_company_else_an_organization_else_a_user() -> None:
    names = {"company": "'=Co", "organization": "Org", "user_email": "a@example.com"}
    facts = counted(
        line(at, O.REVOKED, **dict(list(names.items())[at:])) for at in range(len(names) + 1)
    )

    assert facts.customers is not None
    assert set(facts.customers.named) == {"=Co", "Org", "a@example.com", ""}


@pytest.mark.parametrize(
    ("command", "changes", "options", "state"),
    [
        ("run", Property.REVOKED, {}, "revoked"),
        ("run", Property.REVOKED, {"dry_run": True}, "revoked"),
        ("suspend", Property.SUSPENDED, {}, "suspended"),
        ("verify", Property.SUSPENDED, {}, "suspended"),
        ("restore", Property.SUSPENDED, {}, "restored"),
    ],
)
def test_what_a_run_wanted_is_told_by_its_manifest(
    command: str, changes: Property, options: dict[str, Any], state: str
) -> None:
    action = action_of(run_of(command, **options), changes)

    assert (action.command, action.changes, action.state) == (command, changes, state)
    assert action.is_dry_run is bool(options)


def test_what_comes_next_follows_from_what_is_left() -> None:
    done = counted([line(0, O.REVOKED), line(1, O.NOT_FOUND)])
    left = counted([line(0, O.ALREADY_REVOKED), line(1, O.NOT_ATTEMPTED)])

    assert (is_turned(done), is_open(done)) == (True, False)
    assert (is_turned(left), is_open(left)) == (False, True)


@given(st.lists(st.integers(0, 10**6), max_size=9))
def test_shares_fill_the_bar_and_none_is_too_small_to_see(numbers: list[int]) -> None:
    boxes = shares(("good", number) for number in numbers)

    assert len(boxes) == sum(number > 0 for number in numbers)
    assert all(box.width >= 5 for box in boxes)
    assert not boxes or abs(boxes[-1].x + boxes[-1].width - WIDTH) < 1


def test_a_course_adds_up_to_its_session_and_a_long_one_has_a_bar_for_several_minutes() -> None:
    long = [[minute, 540, 1, 0.5, 0.0] for minute in range(1680)]

    short, longer = course({"minutes": MINUTES}), course({"minutes": long})

    assert short is not None
    assert (short.step, short.peak, len(short.spans)) == (1, 540, 8)
    assert short.total.requests == sum(row[1] for row in MINUTES)
    assert {box.kind for box in short.boxes} == {"request", "refusal", "pause", "outage"}
    assert longer is not None
    assert (longer.step, len(longer.spans)) == (14, 120)
    assert (longer.total.requests, longer.total.refusals) == (540 * 1680, 1680)


@pytest.mark.parametrize(
    "minutes",
    [None, "x", {}, [], [1], [[0, 1, 2]], [["0", 1, 2, 3, 4]], [[-1, 1, 1, 1, 1]],
     [[10**12, 1, 1, 1, 1]], [[0, float("nan"), 0, 0, 0]], [[True, 1, 1, 1, 1]]],
)  # fmt: skip
def test_minutes_that_somebody_has_edited_are_left_out(minutes: object) -> None:
    assert course({"minutes": minutes}) is None


def test_a_share_is_never_rounded_to_nothing_or_to_all() -> None:
    assert [share(1, 10**6), share(10**6 - 1, 10**6)] == ["< 0.1 %", "> 99.9 %"]
    assert [share(0, 0), share(0, 5), share(5, 5), share(1, 3)] == [
        "0 %", "0 %", "100 %", "33.3 %",
    ]  # fmt: skip


def test_a_span_of_time_names_its_day_once() -> None:
    assert span(BEGAN, "2026-11-24T02:22:31.000Z") == "24 November 2026, 02:15 to 02:22 UTC"
    assert span(BEGAN, "") == "24 November 2026, 02:15 UTC"
    assert span("", "") == ""
    assert span(BEGAN, "2026-11-25T02:22:31Z").endswith("to 25 November 2026, 02:22 UTC")


def test_every_outcome_has_a_meaning() -> None:
    assert set(MEANINGS) == set(Outcome)


@pytest.mark.parametrize(
    ("by", "column", "shown"),
    [
        ("id", "2", "Serial=K-1"),
        ("key", "2", "Serial=…"),
        ("key", "Serial", "Serial=…"),
        ("key", "Serial ", "Serial=…"),
        ("key", "Code", "Serial=K-1"),
    ],
)
def test_a_condition_on_what_may_be_the_column_of_the_keys_shows_none(
    by: str, column: str, shown: str
) -> None:
    options = without_keys({"by": by, "column": column, "where": ["Serial=K-1"]})

    assert options["where"] == [shown]
