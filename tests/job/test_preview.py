from __future__ import annotations

import os
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch.api.rate_limiter import least_seconds
from batch.errors import ApiError
from batch.formatting import duration
from batch.job.plan import Guards, make_plan
from batch.job.preview import MOST, QUESTION, preview, taken
from batch.job.snapshot import Snapshot, State
from batch.model import RESTORE, REVOKE, SUSPEND, Condition, License, Outcome, RowResult
from batch.reporting.style import fold
from batch.results.csv_file import CODES, Recorded
from batch.results.details import Details
from batch.settings import Rate, Settings
from tests.support.builders import calm, listing
from tests.support.job_harness import some_ids

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batch.job.plan import Plan
    from batch.model import Action, Listing

SETTINGS = Settings(input="licenses.csv", output=Path("licenses.results.csv"))
DRY_RUN = replace(REVOKE, sends=False)
NOW = 1_800_000_000.0
HOUR, DAY, YEAR = 3600.0, 86_400.0, 365 * 86_400.0
PRODUCT, ADD_ON, SERVER = (
    "63dfd63e-ed71-4f84-9236-02ee0ddb062c",
    "0b6f1c52-7a0e-4f5d-9d43-5c1a8e2f7b90",
    "c2a91d3f-4e68-4b07-8f15-d0b6a7394e21",
)
IDS = some_ids(1300)
A, B, C = IDS[:3]
NORMAL = License(
    "", revoked=False, product=PRODUCT, type="node-locked", created=NOW - YEAR, activations=1
)
REVOKED = replace(NORMAL, revoked=True)
MISSING = RowResult(Outcome.NOT_FOUND, http_status=404, error="no such license in this account")
UNREAD = RowResult(Outcome.UNKNOWN, error_code="timeout", error="it cannot be read: no answer")
UNKNOWN_KEY = RowResult(
    Outcome.FAILED, error_code="key_ambiguous", error="2 licenses have this key"
)


def looked(listed: Listing, *found: License | RowResult | None) -> Snapshot:
    """What a look has found of each entry; what it has not reached stays unseen."""
    snapshot = Snapshot.nothing(listed)
    snapshot.looked = True
    for entry, what in enumerate(found):
        if isinstance(what, License):
            snapshot.note(entry, what)
        elif what is not None:
            missing = what.outcome is Outcome.NOT_FOUND
            snapshot.problem(entry, State.MISSING if missing else State.UNREAD, what)
    return snapshot


def planned(
    *found: License | RowResult | None, action: Action = REVOKE, keys_beside: Sequence[str] = ()
) -> Plan:
    """The plan for as many licenses as something was found of."""
    listed = replace(listing(*IDS[: len(found)]), keys_beside=list(keys_beside))
    return make_plan(action, listed, looked(listed, *found))


def text_of(plan: Plan, settings: Settings = SETTINGS) -> str:
    return preview(plan, settings, place="api.cryptlex.com", seconds=65, now=NOW)


def shown(plan: Plan, settings: Settings = SETTINGS) -> list[str]:
    return text_of(plan, settings).split("\n")


def under(head: str, lines: list[str]) -> list[str]:
    """The lines that belong to a heading, without their indent."""
    place = next(i for i, line in enumerate(lines) if line.startswith(head))
    block = []
    for line in lines[place + 1 :]:
        if not line.startswith("  "):
            break
        block.append(line.strip())
    return block


def starts(lines: list[str]) -> list[str]:
    """The words with which lines begin at the margin."""
    return [found[0] for line in lines if (found := re.match(r"[a-z ]+:", line))]


REVOKE_SHOWN = f"""\
input:    licenses.csv, header "license_id"
          1,296 licenses (1,299 rows: 2 repeat a license; 1 holds no license ID and is skipped; 3 blank rows not counted)
          left out, by their outcome in the earlier run: 1,200 revoked, 4 already_revoked
revoke:   1,207 licenses at api.cryptlex.com
others:   84 already revoked, 4 not found, 1 excluded
not seen: 2 could not be read and will be sent all the same:
          it is not known which are revoked already, nor what will stop working
in use:   0 in the last 30 days
activations: at least 3,675 stop working
  row 1202  {IDS[1200]}  1,250
  row 3     {IDS[1]}     25
  row 2     {IDS[0]}      2
  row 4     {IDS[2]}      2
  row 5     {IDS[3]}      2
  row 6     {IDS[4]}      2
  row 7     {IDS[5]}      2
  row 8     {IDS[6]}      2
  row 9     {IDS[7]}      2
  row 10    {IDS[8]}      2
  and 1,193 more
by product:                             licenses  current  expired  activations
  {PRODUCT}     1,202    1,201        1        2,425
  {ADD_ON}         2        2        0            0
  {SERVER}         1        1        0        1,250
by type:  node-locked 1,202, hosted-floating 3
look twice: of another product than nearly all
  row 1202  {IDS[1200]}
  row 1203  {IDS[1201]}
  row 1204  {IDS[1202]}
look twice: created in the last two days
  row 3  {IDS[1]}  5 h 12 min ago
rate:     45 requests in any 5 s, at least 1 min 05 s
results:  licenses.results.csv
          Applications notice at their next server sync. Restoring a license makes its users activate again."""  # noqa: E501 - as it is shown


def test_a_person_sees_what_will_happen_where_how_fast_and_with_what_consequences() -> None:
    listed = listing(
        *IDS[:1296],
        A,
        "no id",
        A,
        title='licenses.csv, header "license_id"',
        blank=3,
        left_out={"revoked": 1200, "already_revoked": 4},
    )
    server = replace(NORMAL, product=SERVER, type="hosted-floating")
    add_on = replace(NORMAL, product=ADD_ON, type="hosted-floating", activations=0)
    found: list[License | RowResult] = [replace(NORMAL, activations=2)] * 1200
    found[1] = replace(NORMAL, activations=25, created=NOW - 5.2 * HOUR)
    found[1190] = replace(NORMAL, activations=2, expires=NOW - DAY)
    found += [replace(server, activations=1250), add_on, add_on, UNREAD, UNREAD, NORMAL, NORMAL]
    found += [MISSING, REVOKED, *[REVOKED] * 83, MISSING, MISSING, MISSING, NORMAL]

    plan = make_plan(REVOKE, listed, looked(listed, *found), excluded={1295: (0,)})

    assert text_of(plan) == REVOKE_SHOWN


RESTORE_SHOWN = f"""\
input:    licenses.csv
          5 licenses
restore:  2 licenses at api.cryptlex.com
others:   1 already restored, 1 not found, 1 could not be read
in use:   0 in the last 30 days
by product:                             licenses  current  expired
  {PRODUCT}         2        1        1
by type:  node-locked 2
rate:     45 requests in any 5 s, at least 1 min 05 s
results:  licenses.results.csv
          Users of these licenses must activate again: this does not happen by itself."""


def test_before_a_restore_a_person_sees_that_it_is_no_undo() -> None:
    listed = listing(*IDS[:5])
    found = looked(listed, REVOKED, NORMAL, MISSING, UNREAD, replace(REVOKED, expires=NOW - 1))

    guards = Guards(proven_only=range(5), doubtful=range(5))
    plan = make_plan(RESTORE, listed, found, guards=guards)

    assert text_of(plan) == RESTORE_SHOWN


NOTHING_SHOWN = """\
input:    licenses.csv
          150 licenses
revoke:   nothing at api.cryptlex.com: all 150 already revoked
results:  licenses.results.csv"""


def test_where_nothing_is_to_be_done_nothing_else_is_said() -> None:
    assert text_of(planned(*[REVOKED] * 150)) == NOTHING_SHOWN


@pytest.mark.parametrize(
    ("found", "line"),
    [
        ((REVOKED,), "revoke:   nothing at api.cryptlex.com: 1 already revoked"),
        ((MISSING, MISSING), "revoke:   nothing at api.cryptlex.com: all 2 not found"),
        (
            (MISSING, REVOKED, REVOKED),
            "revoke:   nothing at api.cryptlex.com: 2 already revoked, 1 not found",
        ),
        (
            (UNKNOWN_KEY, UNKNOWN_KEY),
            "revoke:   nothing at api.cryptlex.com: all 2 could not be looked up",
        ),
    ],
)
def test_a_plan_that_sends_nothing_says_why(
    found: Sequence[License | RowResult], line: str
) -> None:
    assert shown(planned(*found))[2] == line


@pytest.mark.parametrize(
    ("action", "found", "line"),
    [
        (DRY_RUN, NORMAL, "would revoke: 2 licenses at api.cryptlex.com"),
        (replace(RESTORE, sends=False), REVOKED, "would restore: 2 licenses at api.cryptlex.com"),
        (
            DRY_RUN,
            REVOKED,
            "would revoke: nothing at api.cryptlex.com: all 2 already revoked",
        ),
    ],
)
def test_a_dry_run_says_what_would_happen(action: Action, found: License, line: str) -> None:
    assert shown(planned(found, found, action=action))[2] == line


def test_a_dry_run_shows_what_the_run_shows_but_for_that_word() -> None:
    found = [replace(NORMAL, activations=number) for number in range(12)]
    found += [REVOKED, replace(NORMAL, created=NOW)]

    real, dry = shown(planned(*found)), shown(planned(*found, action=DRY_RUN))

    assert [line for line in dry if "revoke:" not in line] == [
        line for line in real if "revoke:" not in line
    ]


def test_a_dry_run_sends_no_license_that_it_could_not_read() -> None:
    lines = shown(planned(NORMAL, UNREAD, UNREAD, None, action=DRY_RUN))

    assert lines[2:4] == [
        "would revoke: 1 license at api.cryptlex.com",
        "others:   2 could not be read, 1 not attempted (the look was stopped before that)",
    ]
    assert not any(line.startswith("not seen:") for line in lines)


def test_what_a_limit_leaves_is_counted_in_licenses() -> None:
    listed = listing(A, B, C, C, C)

    plan = make_plan(REVOKE, listed, looked(listed, *[NORMAL] * 3), guards=Guards(limit=1))

    assert shown(plan)[1:4] == [
        "          3 licenses (5 rows: 2 repeat a license)",
        "revoke:   1 license at api.cryptlex.com",
        "others:   2 left for later by --limit",
    ]


@pytest.mark.parametrize(
    ("action", "was", "before", "after"),
    [
        (REVOKE, (2, 1, 2, 2, 2), NORMAL, REVOKED),
        (RESTORE, (1, 2, 1, 1, 1), REVOKED, NORMAL),
    ],
)
def test_what_earlier_sessions_have_done_is_told_apart_also_where_they_did_not_record_it(
    action: Action, was: Sequence[int], before: License, after: License
) -> None:
    listed = listing(*IDS[:5])
    outcomes = (
        action.on_success,
        action.unchanged,
        Outcome.PLANNED,
        Outcome.PLANNED,
        Outcome.FAILED,
    )
    recorded = Recorded(
        SETTINGS.output,
        (),
        outcomes=bytearray(CODES[outcome] for outcome in outcomes),
        was=bytearray(was),
    )
    found = looked(listed, None, None, after, before, before)

    guards = Guards(doubtful=range(5))
    plan = make_plan(action, listed, found, recorded=recorded, guards=guards)

    assert shown(plan)[2:4] == [
        f"{action.verb + ':':<9} 2 licenses at api.cryptlex.com",
        "others:   3 done in an earlier session of this run",
    ]


def test_without_a_look_it_is_said_what_is_not_known() -> None:
    listed = listing(A, B)

    lines = shown(make_plan(REVOKE, listed, Snapshot.nothing(listed)))

    assert lines[2:6] == [
        "revoke:   2 licenses at api.cryptlex.com",
        "not seen: nothing was looked at (--no-look):",
        "          it is not known which are revoked already, nor what will stop working",
        "rate:     45 requests in any 5 s, at least 1 min 05 s",
    ]


def test_a_look_that_was_refused_is_named_with_its_reason() -> None:
    listed = listing(A, B)
    snapshot = looked(listed)
    snapshot.off = ApiError("HTTP 403", shown="no\x1b[2J scope.")

    lines = shown(make_plan(REVOKE, listed, snapshot))

    assert lines[3] == r"not seen: nothing could be looked at (HTTP 403: no\x1b[2J scope):"


def test_a_look_that_was_refused_half_way_keeps_what_it_has_found() -> None:
    plan = planned(NORMAL, UNREAD, None)
    plan.snapshot.off = ApiError("HTTP 403", shown="no scope.")

    lines = shown(plan)

    assert lines[3] == "not seen: 2 could not be read and will be sent all the same:"
    assert "by type:  node-locked 1" in lines


@pytest.mark.parametrize(
    ("suspended", "line"),
    [
        (0, ""),
        (1, "1 of them is suspended as well, and stays so"),
        (2, "2 of them are suspended as well, and stay so"),
    ],
)
def test_before_a_restore_stands_what_it_leaves_of_the_other_property(
    suspended: int, line: str
) -> None:
    both = replace(REVOKED, suspended=True)

    restored = shown(planned(*[both] * suspended, *[REVOKED] * (3 - suspended), action=RESTORE))
    revoked = text_of(planned(*[replace(NORMAL, suspended=True)] * 3))

    assert [each.strip() for each in restored if "as well" in each] == [line] * bool(line)
    assert "as well" not in revoked


def test_of_what_is_restored_unseen_nothing_is_known_but_that() -> None:
    listed = listing(A, B)

    lines = shown(make_plan(RESTORE, listed, Snapshot.nothing(listed)))

    assert lines[4] == "          it is not known which are revoked now"


@pytest.mark.parametrize(
    ("counts", "line"),
    [
        ((0, 0), "activations: none"),
        ((0, 1), "activations: 1 stops working"),
        ((1, 1), "activations: 2 stop working"),
        ((1,) * 10 + (0,), "activations: 10 stop working"),
        ((1,) * 11, "activations: 11 stop working"),
    ],
)
def test_the_activations_that_stop_working_are_counted(counts: Sequence[int], line: str) -> None:
    lines = shown(planned(*(replace(NORMAL, activations=count) for count in counts)))

    rows = under("activations:", lines)
    assert lines[4] == line
    assert sum(row.startswith("row ") for row in rows) == min(MOST, sum(counts))
    assert [row for row in rows if not row.startswith("row ")] == ["and 1 more"] * (
        sum(counts) > MOST
    )


@pytest.mark.parametrize(
    ("activations", "line"),
    [
        (0, "activations: none known of"),
        (2, "activations: at least 2 stop working"),
    ],
)
def test_activations_of_licenses_that_could_not_be_read_may_come_on_top(
    activations: int, line: str
) -> None:
    lines = shown(planned(UNREAD, replace(NORMAL, activations=activations)))

    assert line in lines


def test_a_license_expires_at_its_very_moment() -> None:
    found = [replace(NORMAL, expires=when) for when in (None, NOW + 1, NOW, NOW - 1)]

    (row,) = under("by product:", shown(planned(*found)))

    assert row.split() == [PRODUCT, "4", "2", "2", "4"]


def test_ten_products_and_types_are_shown_and_the_others_are_added_up() -> None:
    found = [
        replace(NORMAL, product=f"product {kind}", type=f"type {kind}")
        for kind in range(13)
        for _ in range(20 - kind)
    ]

    lines = shown(planned(*found))

    rows = under("by product:", lines)
    assert [row.split("  ")[0] for row in rows[:2]] == ["product 0", "product 1"]
    assert len(rows) == 11
    assert re.split("  +", rows[-1]) == ["and 3 more products", "27", "27", "0", "27"]
    (types,) = (line for line in lines if line.startswith("by type:"))
    assert types.startswith("by type:  type 0 20, type 1 19, ")
    assert types.endswith(", type 9 11, 3 more types 27")


def test_what_the_server_does_not_tell_is_said_so() -> None:
    lines = shown(planned(License("", revoked=False)))

    assert under("by product:", lines)[0].startswith("not told  ")
    assert "by type:  not told 1" in lines


def test_no_word_of_a_server_moves_the_cursor() -> None:
    hostile = replace(NORMAL, product="\x1b[2Jp\n", type="\u202etype\r")

    text = text_of(planned(*[NORMAL] * 30, hostile))

    assert all(line.isprintable() for line in text.split("\n"))
    assert text.count(r"\x1b[2Jp\n") == 1
    assert r"\u202etype\r 1" in text


@pytest.mark.parametrize(
    ("usual", "others", "pointed_out"),
    [(10, 0, 0), (9, 1, 0), (19, 1, 1), (18, 1, 0), (190, 10, 10), (189, 10, 0), (20, 1, 1)],
)
def test_a_license_of_another_product_is_pointed_out_where_nearly_all_are_of_one(
    usual: int, others: int, pointed_out: int
) -> None:
    add_on = replace(NORMAL, product=ADD_ON)

    lines = shown(planned(*[add_on] * others, *[NORMAL] * usual))

    head = "look twice: of another product than nearly all"
    assert (head in lines) is bool(pointed_out)
    if pointed_out:
        assert len(under(head, lines)) == pointed_out


@pytest.mark.parametrize(
    ("age", "note"),
    [
        (-60, "0 s ago"),
        (0, "0 s ago"),
        (5.2 * HOUR, "5 h 12 min ago"),
        (2 * DAY - 61, "47 h 58 min ago"),
        (2 * DAY, None),
        (YEAR, None),
    ],
)
def test_a_license_that_was_created_in_the_last_two_days_is_pointed_out(
    age: float, note: str | None
) -> None:
    lines = shown(planned(replace(NORMAL, created=NOW - age)))

    head = "look twice: created in the last two days"
    assert (head in lines) is (note is not None)
    if note:
        assert under(head, lines) == [f"row 2  {A}  {note}"]


@pytest.mark.parametrize(("wrong", "named", "more"), [(0, 0, 0), (1, 1, 0), (12, 10, 2)])
def test_an_id_and_a_key_side_by_side_that_are_not_of_one_license_are_pointed_out(
    wrong: int, named: int, more: int
) -> None:
    own = [replace(NORMAL, key=f"K-{place}") for place in range(20)]
    beside = [*["other"] * wrong, *[each.key for each in own][wrong:-1], ""]

    lines = shown(planned(*own, keys_beside=beside))

    assert sum(line.startswith("warning: ") for line in lines) == bool(wrong)
    if wrong:
        at = next(index for index, line in enumerate(lines) if line.startswith("warning: "))
        assert f"{wrong} license{'s have' if wrong > 1 else ' has'} another key" in lines[at]
        rows = [line for line in lines[at + 1 :] if line.startswith("  row ")]
        assert len(rows) == named
        assert (f"  and {more} more" in lines) is bool(more)
    assert "K-" not in "\n".join(lines)  # no key is shown


def test_ten_licenses_to_look_at_are_named_of_each_kind_the_newest_first() -> None:
    strangers = [replace(NORMAL, product=ADD_ON)] * 12
    ages = (*range(195, 201), *range(194, 189, -1))
    newcomers = [replace(NORMAL, created=NOW - age) for age in ages]

    lines = shown(planned(*strangers, *newcomers, *[NORMAL] * 240))

    blocks = [
        under(f"look twice: {why}", lines)
        for why in ("of another product", "created in the last two days")
    ]
    rows = [[int(line.split()[1]) for line in block[:10]] for block in blocks]
    assert rows == [list(range(2, 12)), [24, 23, 22, 21, 20, 14, 15, 16, 17, 18]]
    assert [block[10:] for block in blocks] == [["and 2 more"], ["and 1 more"]]


def test_a_license_that_is_listed_by_its_key_is_shown_by_its_id() -> None:
    listed = replace(listing("", "", ""), keys=["KEY-1", "KEY-2", ""], invalid={2: "x"})
    snapshot = looked(listed, replace(NORMAL, created=NOW), NORMAL)
    snapshot.ids[:16] = bytes(15) + b"\x07"

    text = text_of(make_plan(REVOKE, listed, snapshot))

    assert text.count("row 2  00000000-0000-0000-0000-000000000007  ") == 2
    assert "KEY" not in text
    assert "2 licenses (3 rows: 1 holds no license key and is skipped)" in text


def test_a_rehearsal_shows_the_look_and_warns_of_nothing() -> None:
    lines = shown(planned(NORMAL), replace(SETTINGS, sandbox=True))

    assert starts(lines) == [
        "input:",
        "revoke:",
        "in use:",
        "activations:",
        "by product:",
        "by type:",
        "rate:",
        "results:",
    ]
    assert lines[-1] == "results:  licenses.results.csv"
    assert "invented: your account is not asked" in lines[3]


def test_a_plan_of_four_products_fits_on_a_screen() -> None:
    products = (PRODUCT, ADD_ON, SERVER, "")

    lines = shown(planned(*(replace(NORMAL, product=products[i % 4]) for i in range(150))))

    assert len(lines) <= 25


FOUND = st.one_of(
    st.none(),
    st.sampled_from([MISSING, UNREAD, UNKNOWN_KEY, REVOKED]),
    st.builds(
        lambda product, kind, activations, expires, created: License(
            "",
            revoked=False,
            product=f"product-{product}" if product else "",
            type=f"type-{kind}" if kind else "",
            activations=activations,
            expires=expires,
            created=created,
        ),
        st.integers(0, 13),
        st.integers(0, 13),
        st.integers(0, 2000),
        st.sampled_from([None, NOW - YEAR, NOW + YEAR]),
        st.sampled_from([None, NOW - HOUR, NOW - YEAR]),
    ),
)
REPEATED = st.lists(st.sampled_from([*IDS[:40], "no id"]), max_size=60)


def number(pattern: str, text: str) -> int:
    """The numbers that a pattern finds, added up."""
    return sum(int(found.replace(",", "")) for found in re.findall(pattern, text, re.MULTILINE))


def added_up(lines: list[str]) -> list[int]:
    """The columns of the table by product, each added up."""
    rows = [re.split("  +", row)[1:] for row in under("by product:", lines)]
    return [
        sum(int(cell.replace(",", "")) for cell in column) for column in zip(*rows, strict=True)
    ]


@calm
@given(REPEATED, st.lists(FOUND, min_size=60, max_size=60), st.integers(0, 20), st.data())
def test_every_row_is_accounted_for_exactly_once(
    cells: list[str], found: list[License | RowResult | None], limit: int, data: st.DataObject
) -> None:
    cells = [*cells, *IDS[40:42]]  # not all may be excluded, and the account is the right one
    listed = listing(*cells)
    snapshot = looked(listed, *(found[first] for first in listed.first[:-2]))
    snapshot.note(len(cells) - 1, License(cells[-1], revoked=False))
    guards = Guards(limit=data.draw(st.sampled_from([None, limit])))
    action = data.draw(st.sampled_from([REVOKE, DRY_RUN]))

    plan = make_plan(action, listed, snapshot, excluded={0: (0,), 3: (0,)}, guards=guards)

    text = text_of(plan)
    sent = number(r"revoke:\s+([\d,]+) license", text)
    reasons = re.search(r"^others: +(.*)|nothing at [a-z.]+: (?:all )?(.*)", text, re.MULTILINE)
    other = number(r"(?:^|, )([\d,]+) ", reasons[1] or reasons[2]) if reasons else 0
    aside = number(r"([\d,]+) (?:repeats?|holds?) ", text)
    assert sent == len(plan.affected)
    assert sent + other + aside == len(cells)


@calm
@given(st.lists(FOUND, max_size=60))
def test_the_numbers_of_products_and_types_add_up_to_the_licenses_that_are_sent(
    found: list[License | RowResult | None],
) -> None:
    plan = planned(*found, REVOKED)
    known = [what for what in found if isinstance(what, License) and not what.revoked]

    lines = shown(plan)

    unseen = number(r"^not seen: ([\d,]+)", "\n".join(lines))
    assert unseen + len(known) == len(plan.affected)
    if known:
        expired = sum(what.expires is not None and what.expires < NOW for what in known)
        activations = sum(what.activations for what in known)
        assert added_up(lines) == [len(known), len(known) - expired, expired, activations]
        (types,) = (line for line in lines if line.startswith("by type:"))
        assert number(r" ([\d,]+)(?:, |$)", types) == len(known)
        assert number(r"^activations: (?:at least )?([\d,]+)", "\n".join(lines)) == activations


@calm
@given(st.lists(FOUND, max_size=60))
def test_no_license_has_more_activations_than_those_that_are_named(
    found: list[License | RowResult | None],
) -> None:
    plan = planned(*found, REVOKED)
    counts = sorted(
        (what.activations for what in found if isinstance(what, License) and not what.revoked),
        reverse=True,
    )

    text = text_of(plan)

    named = re.findall(r"^  row \d+ +[0-9a-f-]{36} +([\d,]+)$", text, re.MULTILINE)
    assert [int(each.replace(",", "")) for each in named] == [n for n in counts[:MOST] if n]


@pytest.mark.parametrize(
    ("cells", "blank", "line"),
    [
        ((A,), 0, "          1 license"),
        ((A, B), 0, "          2 licenses"),
        ((A, A), 0, "          1 license (2 rows: 1 repeats a license)"),
        ((A, A, A), 0, "          1 license (3 rows: 2 repeat a license)"),
        ((A, "x"), 0, "          1 license (2 rows: 1 holds no license ID and is skipped)"),
        ((A, "x", "x"), 0, "          1 license (3 rows: 2 hold no license ID and are skipped)"),
        ((A,), 1, "          1 license (1 blank row not counted)"),
    ],
)
def test_rows_that_are_not_sent_are_accounted_for(
    cells: tuple[str, ...], blank: int, line: str
) -> None:
    listed = listing(*cells, blank=blank)

    assert shown(make_plan(REVOKE, listed, Snapshot.nothing(listed)))[1] == line


@pytest.mark.parametrize(
    ("rate", "line"),
    [
        ("50/5s", "50 requests in any 5 s, at least 1 min 05 s"),
        ("1/1234.567s", "1 requests in any 1234.567 s, at least 1 min 05 s"),
        ("none", "no limit, 32 at a time, at least 1 min 05 s"),
    ],
)
def test_the_pace_is_shown_as_it_was_set(rate: str, line: str) -> None:
    lines = shown(planned(NORMAL), replace(SETTINGS, rate=Rate.parse(rate)))

    assert f"rate:     {line}" in lines


def test_what_takes_no_time_is_given_none() -> None:
    text = preview(planned(NORMAL), SETTINGS, place="x", seconds=0.4, now=NOW)

    assert "rate:     45 requests in any 5 s\n" in text


@pytest.mark.parametrize(
    ("total", "line"),
    [
        (None, "revoke:   2 licenses at api.cryptlex.com"),
        (1200, "revoke:   2 licenses at api.cryptlex.com; the account has 1,200"),
        (2, "revoke:   2 licenses at api.cryptlex.com: 2 of 2, your whole account"),
    ],
)
def test_it_is_said_how_much_of_the_account_that_is(total: int | None, line: str) -> None:
    plan = planned(NORMAL, NORMAL)
    plan.snapshot.account_total = total

    assert shown(plan)[2] == line


def test_it_is_said_how_many_are_in_use_whose_they_are_and_who_will_not_notice() -> None:
    used = replace(NORMAL, last_used=NOW - 29 * DAY, organization="one", reseller="r")
    long_ago = replace(NORMAL, last_used=NOW - 31 * DAY, organization="two", grace_period=-1)

    lines = shown(planned(used, used, long_ago, NORMAL))

    assert lines[3:5] == [
        "in use:   2 in the last 30 days; of 2 organizations, 1 reseller",
        "          1 has no limit to the grace period, and may never notice",
    ]


@pytest.mark.parametrize(
    ("carry", "carried", "name"),
    [
        ((), (), "ACME"),
        (("Customer",), ("Initech",), "Initech"),
        (("Customer",), (" ",), "ACME"),
        (("License Key", "Customer"), ("KEY-1", "Initech"), "Initech"),
        (("Customer",), ("A customer with a very long name",), "A customer with a v…"),
        (("Customer",), ("\x1b[2J",), r"\x1b[2J"),
    ],
)
def test_beside_an_id_stands_whose_it_is(
    carry: tuple[str, ...], carried: tuple[str, ...], name: str
) -> None:
    listed = replace(listing(A), carry=carry, carried=[carried] if carry else [])
    snapshot = Snapshot.nothing(listed, details=Details(1))
    snapshot.looked = True
    snapshot.note(0, replace(NORMAL, details=("",) * 5 + ("ACME", "", "")))

    plan = make_plan(REVOKE, listed, snapshot)

    assert under("activations:", shown(plan)) == [f"row 2  {A}  1  {name}"]


def test_a_hundred_thousand_licenses_take_three_hours() -> None:
    assert duration(least_seconds(45, 5.0, 100_000)).startswith("3 h ")
    assert duration(least_seconds(None, 5.0, 100_000)) == "0 s"


def test_what_a_selection_leaves_out_is_told_apart_from_what_is_wrong() -> None:
    listed = listing(A, B, "no id", "kept", A, C, B)
    listed.unselected = bytes([0, 1, 0, 1, 0, 0, 1])
    condition = Condition("Action", "revoke")
    listed.where = {condition: Counter({"revoke": 4, "Revoke": 1, "keep": 2})}
    plan = make_plan(REVOKE, listed, Snapshot.nothing(listed))

    lines = shown(plan)

    assert lines[1:3] == [
        (
            "          2 licenses (7 rows: 3 not selected by --where; 1 repeats a license; 1 holds"
            " no license ID and is skipped)"
        ),
        'where:    Action=revoke: 4 of 7 rows. The column holds "revoke" 4, "Revoke" 1, "keep" 2',
    ]
    assert "others:" not in starts(lines)
    assert taken(plan).split("\n")[1:] == lines[2:3]


def test_many_values_are_counted_from_the_eleventh_on() -> None:
    listed = listing(A)
    counts = Counter({f"value number {n}": n + 1 for n in range(40)})
    listed.where = {Condition("Why", "value number 7"): counts}

    told = shown(make_plan(REVOKE, listed, Snapshot.nothing(listed)))[2]

    assert told.startswith("where:    Why=value number 7: 8 of 820 rows. The column holds")
    assert told.endswith(", 30 more values in 488 rows")


def full(action: Action = REVOKE) -> Plan:
    """A plan of which there is much to say, about 3,000 licenses."""
    ids = some_ids(3000)
    listed = replace(
        listing(*ids, "no id", title='licenses.xlsx, sheet "July", column "License ID"'),
        carry=("Customer",),
        carried=[(f"Customer number {n} of some length",) for n in range(3001)],
        blank=2,
        keys_beside=["other"] * 3001,
    )
    known = [
        License(
            "", revoked=not action.wanted, product=f"{n % 14:08x}{PRODUCT[8:]}", key=f"K-{n}",
            type=f"{'on-premise-floating' if n % 3 else 'node-locked'}", suspended=True,
            activations=n, created=NOW - n * HOUR, last_used=NOW - n * HOUR, grace_period=n % 5 - 1,
            reseller=f"reseller {n % 7}", organization=f"organization {n % 90}",
        )
        for n in range(2000)
    ]  # fmt: skip
    usual = replace(NORMAL, revoked=not action.wanted)
    done = replace(NORMAL, revoked=action.wanted)
    snapshot = looked(listed, *known, done, MISSING, UNREAD, *[usual] * 997)
    snapshot.account_total = 12_000
    return make_plan(action, listed, snapshot, excluded={7: (0,)})


TERMINALS = [os.terminal_size(each) for each in ((79, 24), (67, 24), (59, 30), (199, 60))]
"""Columns that can be used, and lines; of 80 columns a rehearsal leaves 67."""


@pytest.mark.parametrize("size", TERMINALS, ids=str)
@pytest.mark.parametrize("action", [REVOKE, RESTORE, SUSPEND, DRY_RUN])
def test_what_is_asked_about_fits_on_the_terminal_together_with_the_question(
    action: Action, size: os.terminal_size
) -> None:
    text = preview(
        full(action),
        replace(SETTINGS, sandbox=size.columns == 67),
        place="api.cryptlex.com",
        seconds=65,
        now=NOW,
        warning="the access token expires at 14:00 UTC, before the run can be over"
        * (size.columns != 67),
        columns=size.columns,
        lines=size.lines,
    )

    folded = [each for line in text.split("\n") for each in fold(line, size.columns)]
    assert len(folded) <= size.lines - QUESTION
    assert max(map(len, folded)) <= size.columns
    assert "rate:" in starts(text.split("\n"))


def test_what_a_column_holds_shrinks_as_well_where_there_is_little_room() -> None:
    plan, size = full(), TERMINALS[0]
    counts = Counter({f"value number {n}": n + 1 for n in range(40)})
    where = {Condition("Decision", "value number 7"): counts}
    plan = replace(plan, listing=replace(plan.listing, where=where))

    text = preview(
        plan, SETTINGS, place="x", seconds=65, now=NOW, columns=size.columns, lines=size.lines
    )

    folded = [each for line in text.split("\n") for each in fold(line, size.columns)]
    assert len(folded) <= size.lines - QUESTION
    assert "Decision=value number 7: 8 of 820 rows" in text


@pytest.mark.parametrize("columns", [1, 30, 40])
def test_no_terminal_is_too_narrow_for_a_plan(columns: int) -> None:
    text = preview(full(), SETTINGS, place="x", seconds=65, now=NOW, columns=columns, lines=100)

    assert "\nby pr" in text
    assert "results: " in text


def test_as_much_is_named_as_the_terminal_has_room_for() -> None:
    def named(lines: int) -> int:
        text = preview(full(), SETTINGS, place="x", seconds=65, now=NOW, lines=lines)
        return sum(line.startswith("  row") for line in text.split("\n"))

    few, usual, more, most = (named(lines) for lines in (10, 24, 40, 1000))
    assert 0 == few <= usual < more < most == 3 * MOST
