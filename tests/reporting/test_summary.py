from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from batch.model import RESTORE, REVOKE, VERIFY, Action, Outcome, Property
from batch.reporting.summary import Summary, block, done_outcomes, exit_code, undone_row
from tests.support.job_harness import some_ids

if TYPE_CHECKING:
    from collections.abc import Sequence

DONE = done_outcomes(REVOKE, missing_ok=False)
IDS = some_ids(1)

EXAMPLE = Summary(
    run_id="7f3a",
    command="run",
    exit_code=1,
    api="https://api.cryptlex.com/v3",
    started_at="2026-11-24T02:15:03.000Z",
    finished_at="2026-11-24T02:17:40.000Z",
    rows=10_020,
    licenses=10_020,
    counts={"revoked": 18, "already_revoked": 10_000, "unknown": 1, "not_found": 1},
    requests=30,
    patches=25,
    throttled=0,
    seconds=157.0,
    rate=0.19,
    results="/srv/runs/2026-11-24.csv",
    manifest="/srv/runs/2026-11-24.csv.run.json",
    hint="bulk-revoke run /srv/runs/2026-11-24.csv",
)
LEFT = [
    ["4711", "23d9646c-34f5-4d37-adeb-f7f77b927bdb", "", "unknown", "", "", "", "",
     "no answer to 5 attempts; reading it back timed out", "5", "", ""],
    ["9002", "0f8fad5b-d9cb-469f-a165-70867728950e", "", "not_found", "", "", "404", "",
     "no such license in this account", "1", "", ""],
]  # fmt: skip


CRON_MAIL = """\
bulk-revoke: 2 of 10,020 licenses are NOT revoked (exit 1)   api.cryptlex.com, run 7f3a, \
02:15-02:17 UTC
  revoked 18 · already revoked 10,000 · unknown 1 · not found 1
  row 4711  23d9646c-34f5-4d37-adeb-f7f77b927bdb  unknown    no answer to 5 attempts; \
reading it back timed out
  row 9002  0f8fad5b-d9cb-469f-a165-70867728950e  not_found  no such license in this account
results: /srv/runs/2026-11-24.csv
again:   bulk-revoke run /srv/runs/2026-11-24.csv
"""


def shown(
    summary: Summary,
    rows: Sequence[Sequence[str]] = (),
    *,
    action: Action = REVOKE,
    missing_ok: bool = False,
    left: int = 0,
    unselected: int = 0,
    **repeats: int,
) -> list[str]:
    """The lines of the block, of rows of which so many of an outcome repeat a license."""
    counts = {Outcome(name): count for name, count in summary.counts.items()}
    text = block(
        summary,
        action,
        place="api.cryptlex.com",
        done=done_outcomes(action, missing_ok=missing_ok),
        licenses={name: count - repeats.get(name, 0) for name, count in counts.items()},
        rows=rows,
        stopped="",
        left=left,
        unselected=unselected,
    )
    return text.split("\n")


def ended(rows: int = 3, licenses: int | None = None, code: int = 0, **counts: int) -> Summary:
    return replace(
        EXAMPLE,
        rows=rows,
        licenses=rows if licenses is None else licenses,
        exit_code=code,
        counts=counts,
        hint="",
    )


def test_the_block_is_what_cron_mails() -> None:
    assert shown(EXAMPLE, LEFT) == CRON_MAIL.splitlines()


def test_a_run_that_left_nothing_to_do_names_no_next_command() -> None:
    first, *others = shown(ended(revoked=3))

    assert first.startswith("bulk-revoke: all 3 licenses are revoked (exit 0)   api.cryptlex.com")
    assert others == [
        "  revoked 3",
        "results: /srv/runs/2026-11-24.csv",
    ]


@pytest.mark.parametrize(
    ("summary", "headline"),
    [
        (ended(revoked=3), "all 3 licenses are revoked"),
        (ended(revoked=1, already_revoked=2), "all 3 licenses are revoked"),
        (ended(1, revoked=1), "the one license is revoked"),
        (ended(1, code=1, failed=1), "1 of 1 license is NOT revoked"),
        (ended(revoked=2, failed=1), "1 of 3 licenses is NOT revoked"),
        (ended(revoked=1, failed=2), "2 of 3 licenses are NOT revoked"),
        (ended(revoked=2, excluded=1), "all 3 licenses are done"),
        (ended(1_234_567, revoked=1_234_567), "all 1,234,567 licenses are revoked"),
    ],
)
def test_the_headline_counts_licenses(summary: Summary, headline: str) -> None:
    assert shown(summary)[0].startswith(f"bulk-revoke: {headline} (exit ")


@pytest.mark.parametrize(
    ("lines", "headline", "counts"),
    [
        (
            shown(ended(6, 5, revoked=6), revoked=1),
            "all 5 licenses (6 rows) are revoked",
            "revoked 5 (6 rows)",
        ),
        (
            shown(ended(3, 2, code=1, revoked=1, failed=2), failed=1),
            "1 of 2 licenses (2 of 3 rows) is NOT revoked",
            "revoked 1 · failed 1 (2 rows)",
        ),
        (
            shown(ended(300, 299, revoked=6, not_attempted=294), revoked=1, left=294),
            "5 of 299 licenses (6 of 300 rows) are revoked, 294 left for later",
            "revoked 5 (6 rows) · not attempted 294",
        ),
        (shown(ended(2, 1, revoked=2), revoked=1), "the one license (2 rows) is revoked",
         "revoked 1 (2 rows)"),
        (
            shown(ended(3, 2, code=1, revoked=2, invalid=1)),
            "all 2 licenses are revoked, 1 row holds no license",
            "revoked 2 · invalid 1",
        ),
        (
            shown(ended(5, 2, code=1, revoked=2, failed=1, invalid=2), revoked=1),
            "1 of 2 licenses (1 of 3 rows) is NOT revoked, 2 rows hold no license",
            "revoked 1 (2 rows) · failed 1 · invalid 2",
        ),
        (
            shown(ended(3, 2, code=3, revoked=2), revoked=0),
            "1 of 3 rows is NOT revoked",
            "the ledger does not balance: 3 rows in, 2 out",
        ),
    ],
)  # fmt: skip
def test_rows_stand_beside_the_licenses_where_they_are_others(
    lines: list[str], headline: str, counts: str
) -> None:
    assert lines[0].startswith(f"bulk-revoke: {headline} (exit ")
    assert lines[1] == f"  {counts}"


def test_a_license_that_does_not_exist_is_never_called_revoked() -> None:
    summary = ended(revoked=2, not_found=1)

    assert "1 of 3 licenses is NOT revoked" in shown(summary)[0]
    assert "all 3 licenses are done" in shown(summary, missing_ok=True)[0]


@pytest.mark.parametrize(
    ("count", "last"),
    [(9, None), (10, None), (11, "  … and 1 more row"), (1_234, "  … and 1,224 more rows")],
)
def test_ten_rows_are_shown_and_the_others_are_counted(count: int, last: str | None) -> None:
    rows = [[str(row), "id", "", "failed", "", "", "", "", "why"] for row in range(2, count + 2)]

    lines = shown(ended(count, code=1, failed=count), rows)

    assert sum(line.startswith("  row ") for line in lines) == min(count, 10)
    assert [line for line in lines if "more row" in line] == ([last] if last else [])


def test_where_no_row_can_be_shown_none_is_counted_as_more() -> None:
    lines = shown(ended(20, code=3, failed=20))

    assert not any("more row" in line for line in lines)


def test_a_run_that_stopped_early_says_why() -> None:
    text = block(
        ended(code=3, revoked=1, not_attempted=2),
        REVOKE,
        place="sandbox",
        done=DONE,
        rows=[],
        licenses={Outcome.REVOKED: 1, Outcome.NOT_ATTEMPTED: 2},
        stopped="the token is not accepted. is it complete?",
    )

    assert text.split("\n")[1] == "  stopped: the token is not accepted. is it complete?"
    assert "(exit 3)   sandbox, run" in text


@pytest.mark.parametrize(
    ("counts", "headline", "out"),
    [
        ({"revoked": 2}, "1 of 3 licenses is NOT revoked", 2),
        ({}, "3 of 3 licenses are NOT revoked", 0),
        ({"revoked": 3, "failed": 1}, "1 of 3 licenses is NOT revoked", 4),
    ],
)
def test_a_ledger_that_does_not_balance_is_never_called_a_success(
    counts: dict[str, int], headline: str, out: int
) -> None:
    lines = shown(ended(code=3, **counts))

    assert headline in lines[0]
    assert lines[1] == f"  the ledger does not balance: 3 rows in, {out} out"


def test_a_row_without_an_error_ends_where_its_outcome_ends() -> None:
    lines = shown(ended(code=1, failed=3), [["2", "id", "", "failed"] + [""] * 8])

    assert lines[2] == "  row 2  id  failed"


def test_the_command_that_everybody_sees_holds_no_cell_of_the_input() -> None:
    hint = (
        "bulk-revoke run list.csv --where 'License Key=K-1' --where Customer=ACME"
        " '--where=-Key=K-1=' --resume"
    )

    own, to_all = (
        block(
            replace(EXAMPLE, hint=hint),
            REVOKE,
            place="api.cryptlex.com",
            done=DONE,
            licenses={},
            rows=(),
            stopped="",
            to_all=each,
        )
        for each in (False, True)
    )

    assert own.endswith(hint)
    assert to_all.endswith("--where 'License Key=…' --where 'Customer=…' '--where=-Key=…' --resume")
    assert "K-1" not in to_all


def test_rows_that_were_not_attempted_are_counted_and_not_listed() -> None:
    rows = [[str(row), "id", "", "not_attempted"] + [""] * 8 for row in range(2, 8)]
    failed = [["8", "id", "", "failed"] + [""] * 8]

    stopped = shown(ended(7, code=130, not_attempted=6, failed=1), rows + failed)
    untouched = shown(ended(6, code=130, not_attempted=6), rows)

    assert [line for line in stopped if line.startswith("  row")] == ["  row 8  id  failed"]
    assert not any("row " in line for line in untouched)


def test_beside_a_row_stands_whose_license_it_is_but_not_for_everybody() -> None:
    for to_all, end in ((False, "no such license in this account (ACME)"), (True, "HTTP 404")):
        text = block(
            EXAMPLE,
            REVOKE,
            place="api.cryptlex.com",
            done=DONE,
            licenses={Outcome(name): count for name, count in EXAMPLE.counts.items()},
            rows=LEFT,
            stopped="",
            to_all=to_all,
            whose=lambda cells: "ACME" if cells[0] == "9002" else "",
        )
        assert text.split("\n")[3].endswith(f"  {end}")


def test_a_cell_is_shown_as_it_stands_in_the_input() -> None:
    cells = ["2", "'=cmd()", "", "invalid", "", "", "", "", "'-1", "", "", ""]

    line = shown(ended(code=1, invalid=3), [cells])[2]

    assert line == "  row 2  =cmd()  invalid  -1"


def test_a_long_cell_does_not_push_the_others_aside() -> None:
    rows = [
        ["2", "x" * 300, "", "invalid", "", "", "", "", "why"],
        ["10", "id", "", "failed", "", "", "", "", "why"],
    ]

    lines = shown(ended(code=1, invalid=2, failed=1), rows)

    assert lines[2] == f"  row 2   {'x' * 300}  invalid  why"
    assert lines[3] == f"  row 10  {'id':<36}  failed   why"


@pytest.mark.parametrize(
    ("counts", "stopped", "code"),
    [
        ({Outcome.REVOKED: 3}, None, 0),
        ({Outcome.ALREADY_REVOKED: 3}, None, 0),
        ({Outcome.REVOKED: 1, Outcome.ALREADY_REVOKED: 1, Outcome.EXCLUDED: 1}, None, 0),
        ({Outcome.REVOKED: 2, Outcome.FAILED: 1}, None, 1),
        ({Outcome.REVOKED: 2, Outcome.UNKNOWN: 1}, None, 1),
        ({Outcome.REVOKED: 2, Outcome.INVALID: 1}, None, 1),
        ({Outcome.REVOKED: 2, Outcome.NOT_FOUND: 1}, None, 1),
        ({Outcome.REVOKED: 2, Outcome.NOT_ATTEMPTED: 1}, None, 1),
        ({Outcome.REVOKED: 2, Outcome.PLANNED: 1}, None, 1),
        ({Outcome.REVOKED: 2, Outcome.NOT_ATTEMPTED: 1}, 3, 3),
        ({Outcome.REVOKED: 2, Outcome.NOT_ATTEMPTED: 1}, 130, 130),
        ({Outcome.REVOKED: 3}, 143, 143),
        ({Outcome.REVOKED: 2}, None, 3),
        ({Outcome.REVOKED: 4}, None, 3),
        ({}, None, 3),
        ({Outcome.REVOKED: 2}, 130, 3),
    ],
)
def test_the_exit_code_follows_from_the_ledger(
    counts: dict[Outcome, int], stopped: int | None, code: int
) -> None:
    assert exit_code(counts, 3, DONE, stopped=stopped) == code


def test_licenses_that_do_not_exist_are_done_only_where_that_was_asked_for() -> None:
    counts = {Outcome.REVOKED: 2, Outcome.NOT_FOUND: 1}

    with_missing = done_outcomes(REVOKE, missing_ok=True)

    assert exit_code(counts, 3, DONE, stopped=None) == 1
    assert exit_code(counts, 3, with_missing, stopped=None) == 0
    assert with_missing - DONE == {Outcome.NOT_FOUND}


@pytest.mark.parametrize(
    ("counts", "left", "code"),
    [
        ({Outcome.REVOKED: 1, Outcome.NOT_ATTEMPTED: 2}, 2, 0),
        ({Outcome.NOT_ATTEMPTED: 3}, 3, 0),
        ({Outcome.REVOKED: 1, Outcome.NOT_ATTEMPTED: 2}, 1, 1),
        ({Outcome.FAILED: 1, Outcome.NOT_ATTEMPTED: 2}, 2, 1),
        ({Outcome.REVOKED: 3}, 0, 0),
    ],
)
def test_what_was_left_for_later_on_purpose_is_no_failure(
    counts: dict[Outcome, int], left: int, code: int
) -> None:
    assert exit_code(counts, 3, DONE, stopped=None, left=left) == code


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        (Outcome.WOULD_REVOKE, 0),
        (Outcome.ALREADY_REVOKED, 0),
        (Outcome.NOT_FOUND, 0),
        (Outcome.INVALID, 0),
        (Outcome.EXCLUDED, 0),
        (Outcome.UNKNOWN, 1),
        (Outcome.FAILED, 1),
        (Outcome.NOT_ATTEMPTED, 1),
    ],
)
def test_a_dry_run_fails_only_for_what_could_not_be_read(outcome: Outcome, code: int) -> None:
    done = done_outcomes(REVOKE.dry_run(), missing_ok=False)

    assert exit_code({outcome: 3}, 3, done, stopped=None) == code


SUSPENDED = VERIFY.about(Property.SUSPENDED)


@pytest.mark.parametrize(
    ("action", "summary", "left", "headline"),
    [
        (VERIFY, ended(verified=3), 0, "all 3 licenses are revoked"),
        (VERIFY, ended(code=1, verified=1, not_revoked=2), 0, "2 of 3 licenses are NOT revoked"),
        (VERIFY, ended(code=1, verified=1, not_revoked=1, unknown=1), 0,
         "1 of 3 licenses is NOT revoked, 1 could not be read"),
        (VERIFY, ended(code=3, verified=1, not_attempted=2), 0,
         "2 of 3 licenses were not looked at"),
        (SUSPENDED, ended(code=3, unknown=1, not_attempted=2), 0,
         "3 of 3 licenses could not be read"),
        (SUSPENDED, ended(code=1, verified=1, not_suspended=1, not_found=1), 0,
         "2 of 3 licenses are NOT suspended"),
        (RESTORE, ended(restored=3), 0, "all 3 licenses are restored"),
        (RESTORE, ended(restored=1, already_restored=2), 0, "all 3 licenses are restored"),
        (RESTORE, ended(code=1, restored=2, failed=1), 0, "1 of 3 licenses is NOT restored"),
        (REVOKE, ended(revoked=1, not_attempted=2), 2,
         "1 of 3 licenses is revoked, 2 left for later"),
        (REVOKE, ended(code=1, failed=1, not_attempted=2), 2, "3 of 3 licenses are NOT revoked"),
        (REVOKE.dry_run(), ended(would_revoke=2, already_revoked=1), 0,
         "dry run: 2 of 3 licenses would be revoked"),
        (REVOKE.dry_run(), ended(code=1, would_revoke=2, unknown=1), 0,
         "dry run: 2 of 3 licenses would be revoked, 1 could not be read"),
        (RESTORE.dry_run(), ended(would_restore=3), 0,
         "dry run: 3 of 3 licenses would be restored"),
    ],
)  # fmt: skip
def test_the_headline_is_in_the_words_of_the_command(
    action: Action, summary: Summary, left: int, headline: str
) -> None:
    first = shown(summary, action=action, left=left)[0]

    assert first.startswith(f"bulk-revoke: {headline} (exit ")


def test_a_run_that_found_all_done_does_not_say_how_it_is_today() -> None:
    first = shown(replace(ended(revoked=3), requests=0))[0]

    assert first.startswith(
        "bulk-revoke: all 3 licenses were done in earlier sessions, and nothing was asked now (exit"
    )


def test_who_wants_to_know_how_it_is_today_is_told_what_tells() -> None:
    lines = shown(replace(ended(revoked=3), requests=0, hint=""))

    assert lines[-1] == "hint:    whether they still are revoked, bulk-revoke verify tells"
    assert "verify" not in shown(replace(ended(revoked=3), hint=""))[-1]


def test_rows_that_nobody_means_are_no_licenses_of_the_headline() -> None:
    summary = ended(rows=6, licenses=2, revoked=2, excluded=4)

    assert shown(summary, unselected=4)[0].startswith("bulk-revoke: all 2 licenses are revoked (")
    assert shown(summary, unselected=3)[0].startswith("bulk-revoke: all 2 licenses (3 rows) are d")


def test_rows_that_were_left_for_later_are_not_listed_as_if_they_had_failed() -> None:
    rows = [["2", "id", "", "not_attempted"] + [""] * 8]

    lines = shown(ended(revoked=2, not_attempted=1), rows, left=1)

    assert not any(line.startswith("  row ") for line in lines)


def test_the_object_for_scripts_has_the_fields_of_the_contract() -> None:
    written = json.loads(json.dumps(EXAMPLE.as_json()))

    assert list(written) == [
        "run_id", "command", "exit_code", "api", "started_at", "finished_at", "rows", "licenses",
        "counts", "requests", "patches", "throttled", "seconds", "rate", "results", "manifest",
        "error", "hint", "not_done", "not_done_rows",
    ]  # fmt: skip
    assert written["counts"] == {
        "revoked": 18, "already_revoked": 10_000, "unknown": 1, "not_found": 1
    }  # fmt: skip


@pytest.mark.parametrize(
    ("license_id", "key", "said", "told"),
    [
        (IDS[0], "", "HTTP 409: Conflict.", (IDS[0], "HTTP 409: Conflict.")),
        (IDS[0], "K-1", "HTTP 409: K-1 is in use", (IDS[0], "HTTP 409: … is in use")),
        (IDS[0], "'=K-1", "'=K-1 is in use", (IDS[0], "… is in use")),
        (IDS[0], "K-1", "k-1 is in use", (IDS[0], "… is in use")),
        ("K-1-AS-ID", "", "no license ID", (None, "no license ID")),
        ("", "K-1", "", (None, None)),
    ],
)
def test_a_row_that_is_not_done_is_named_without_a_key(
    license_id: str, key: str, said: str, told: tuple[str | None, str | None]
) -> None:
    cells = ["7", license_id, key, "failed", "", "", "409", "http_409", said, "1", "", ""]

    row = {"row": 7, "license_id": told[0], "outcome": "failed", "error": told[1]}
    assert undone_row(cells) == row


@pytest.mark.parametrize(
    ("counts", "missing_ok", "advised"),
    [
        ({"revoked": 1, "not_found": 1}, False, True),
        ({"revoked": 1, "not_found": 1}, True, False),
        ({"revoked": 1, "invalid": 1}, False, False),
    ],
)
def test_where_only_missing_licenses_are_left_the_option_for_that_is_named(
    counts: dict[str, int], missing_ok: bool, advised: bool
) -> None:
    code = int(not missing_ok or "invalid" in counts)
    summary = replace(EXAMPLE, rows=2, licenses=2, counts=counts, hint="", exit_code=code)

    lines = shown(summary, missing_ok=missing_ok)

    assert any("--missing-ok" in line for line in lines) is advised
