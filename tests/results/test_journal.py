from __future__ import annotations

import csv
import io
import os
import sys
import tracemalloc
from array import array
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from batch.columns import COLUMNS
from batch.job.plan import make_plan
from batch.job.snapshot import Snapshot
from batch.model import REVOKE, Listing, Outcome, RowResult
from batch.reporting.logs import Redactor
from batch.results.csv_file import write_counted
from batch.results.journal import Journal
from batch.results.manifest import file_sha256
from tests.support.builders import calm, full_disk, listing
from tests.support.job_harness import some_ids
from tests.support.results_files import Open, column, started, table

if TYPE_CHECKING:
    from pathlib import Path

A, B, C, D = some_ids(4)
REVOKED = RowResult(Outcome.REVOKED, True, 200, attempts=1)
FAILED = RowResult(Outcome.FAILED, False, 409, "CONFLICT", "HTTP 409: not now", attempts=2)


def test_the_columns_are_those_of_the_contract() -> None:
    assert ",".join(COLUMNS) == (
        "row,license_id,license_key,outcome,revoked,was_revoked,http_status,error_code,error,"
        "attempts,finished_at,duplicate_of"
    )


def test_every_row_is_in_the_file_before_the_first_request(path: Path, start: Open) -> None:
    start(listing(A, "no id", B, A))

    assert path.read_text().splitlines() == [
        ",".join(COLUMNS),
        f"2,{A},,planned,,,,,,,,",
        "3,no id,,invalid,,,,,the cell holds no license ID,,2026-11-24T12:00:00.123Z,",
        f"4,{B},,planned,,,,,,,,",
        f"5,{A},,planned,,,,,,,,2",
    ]


def test_while_a_run_goes_on_lines_are_appended_as_rows_are_settled(
    path: Path, start: Open
) -> None:
    journal = start(listing(A, B))
    planned = path.read_bytes()

    journal.record((1, FAILED))
    journal.record((0, REVOKED))

    added = path.read_bytes().removeprefix(planned).decode().splitlines()
    assert added == [
        f"3,{B},,failed,false,,409,CONFLICT,HTTP 409: not now,2,2026-11-24T12:00:00.123Z,",
        f"2,{A},,revoked,true,,200,,,1,2026-11-24T12:00:00.123Z,",
    ]


def test_at_its_end_the_file_has_one_line_for_each_row_in_input_order(
    path: Path, start: Open
) -> None:
    journal = start(listing(A, B, C))
    for entry in (2, 0, 1):
        journal.record((entry, REVOKED))

    journal.finish()

    assert column(path, "row") == ["2", "3", "4"]
    assert column(path, "license_id") == [A, B, C]
    assert set(column(path, "outcome")) == {"revoked"}


def test_the_last_line_of_a_row_counts(path: Path, start: Open) -> None:
    journal = start(listing(A, B))
    journal.record((0, FAILED))
    journal.record((0, REVOKED))

    journal.finish()

    assert column(path, "outcome") == ["revoked", "not_attempted"]
    assert column(path, "error") == ["", ""]
    assert journal.tally().counts == {Outcome.REVOKED: 1, Outcome.NOT_ATTEMPTED: 1}


def test_a_repeated_row_takes_over_the_first_ones_outcome_and_names_it(
    path: Path, start: Open
) -> None:
    journal = start(listing(A, B, A, A, first_row=7))
    journal.record((0, FAILED))

    journal.finish()

    assert column(path, "outcome") == ["failed", "not_attempted", "failed", "failed"]
    assert column(path, "duplicate_of") == ["", "", "7", "7"]
    assert [bool(error) for error in column(path, "error")] == [True, False, True, True]


@pytest.mark.skipif(sys.platform == "win32", reason="no file size limit")
def test_of_several_that_could_not_be_written_all_are_in_the_final_file(
    path: Path, start: Open
) -> None:
    journal = start(listing(A, B, A, C))
    with full_disk(), pytest.raises(OSError, match="File too large"):
        journal.record((0, REVOKED), (1, FAILED))

    journal.finish()

    assert column(path, "outcome") == ["revoked", "failed", "revoked", "not_attempted"]


def test_an_invalid_row_keeps_its_cell(path: Path, start: Open) -> None:
    journal = start(listing("=cmd()", A, "two\nlines", "=cmd()"))
    journal.record((1, REVOKED))

    journal.finish()

    assert column(path, "license_id") == ["'=cmd()", A, r"two\nlines", "'=cmd()"]
    assert column(path, "outcome") == ["invalid", "revoked", "invalid", "invalid"]
    assert column(path, "duplicate_of") == [""] * 4


def test_what_was_not_reached_is_not_attempted_at_the_end(path: Path, start: Open) -> None:
    journal = start(listing(A, B, B))
    journal.record((0, REVOKED))
    assert journal.tally().counts == {Outcome.REVOKED: 1, Outcome.PLANNED: 2}

    journal.finish()

    assert column(path, "outcome") == ["revoked", "not_attempted", "not_attempted"]
    assert column(path, "duplicate_of") == ["", "", "3"]
    assert journal.tally().counts == {Outcome.REVOKED: 1, Outcome.NOT_ATTEMPTED: 2}


def test_a_row_without_a_line_is_never_counted_as_revoked(path: Path) -> None:
    journal = Journal(path, listing(A, B), bytearray(2))
    journal.create([])

    assert journal.tally().counts == {Outcome.PLANNED: 2}
    journal.finish()
    journal.close()

    assert column(path, "outcome") == ["not_attempted", "not_attempted"]


CELLS = st.sampled_from([*some_ids(6), "no id", "=1+1", "a\nb", '"'])
STATUSES = st.sampled_from(
    [
        REVOKED,
        FAILED,
        RowResult(Outcome.NOT_FOUND, None, 404),
        RowResult(Outcome.UNKNOWN, error='"\n,'),
    ]
)


@settings(calm, max_examples=40)
@given(st.lists(CELLS, min_size=1, max_size=12), st.data())
def test_rows_in_are_rows_out_and_every_outcome_is_counted(
    tmp_path_factory: pytest.TempPathFactory, cells: list[str], data: st.DataObject
) -> None:
    listed = listing(*cells)
    plan = make_plan(REVOKE, listed, Snapshot.nothing(listed))
    order = data.draw(st.permutations(plan.to_send))
    settled = data.draw(st.lists(STATUSES, max_size=len(order)))
    path = tmp_path_factory.mktemp("run") / "results.csv"

    with closing(Journal(path, listed, plan.was)) as journal:
        journal.create(plan.row_results)
        for entry, result in zip(order, settled, strict=False):
            journal.record((entry, result))
        journal.finish()

    rows = table(path)
    assert [int(row["row"]) for row in rows] == list(listed.rows)
    assert sum(journal.tally().counts.values()) == len(cells)
    for entry, row in enumerate(rows):
        assert row["outcome"] == rows[listed.first[entry]]["outcome"]
    for outcome, count in journal.tally().counts.items():
        assert column(path, "outcome").count(outcome) == count


def test_the_tally_is_what_the_file_says_and_not_what_was_meant(path: Path, start: Open) -> None:
    journal = start(listing(A, B, C, "no id"))
    for entry in (2, 1, 0):
        journal.record((entry, FAILED if entry != 1 else REVOKED))

    tally = journal.finish({Outcome.REVOKED}, most=2)
    lines = path.read_bytes().splitlines(keepends=True)
    damaged = write_counted(
        [*lines[:2], b"rubbish\n", *lines[3:-1]], io.BytesIO(), {Outcome.REVOKED}, 10
    )

    assert tally.counts == journal.tally().counts == {"revoked": 1, "failed": 2, "invalid": 1}
    assert [cells[0] for cells in tally.undone] == ["2", "4"]
    assert tally.sha256 == file_sha256(path)
    assert damaged.counts == {"failed": 2}


def test_a_license_that_several_rows_name_is_one_license(start: Open) -> None:
    journal = start(listing(A, A, B, A, C))
    for entry, result in ((0, REVOKED), (2, FAILED), (4, REVOKED)):
        journal.record((entry, result))
    assert journal.tally().licenses == {"revoked": 2, "failed": 1}

    tally = journal.finish({Outcome.REVOKED}, most=2)

    assert tally.counts == {"revoked": 4, "failed": 1}
    assert tally.licenses == {"revoked": 2, "failed": 1}


@pytest.mark.parametrize("meanwhile", ["replaced", "removed"])
def test_whatever_is_put_into_its_place_the_final_file_holds_what_was_recorded(
    path: Path, start: Open, meanwhile: str
) -> None:
    journal = start(listing(A, B))
    journal.record((0, REVOKED))
    path.unlink()
    if meanwhile == "replaced":
        path.write_text("something else\n")

    journal.finish()

    assert column(path, "outcome") == ["revoked", "not_attempted"]


def test_carried_columns_follow_with_formulas_and_line_breaks_made_harmless(
    path: Path, start: Open
) -> None:
    journal = start(
        listing(
            A,
            B,
            carry=["=Customer", "two\nlines"],
            carried=[("@SUM(1)", "a,b"), ("''-1", 'say "hi"\r\n')],
        )
    )
    journal.record((0, REVOKED))

    journal.finish()

    with path.open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == [*COLUMNS, "'=Customer", r"two\nlines"]
    assert [row[len(COLUMNS) :] for row in rows[1:]] == [
        ["'@SUM(1)", "a,b"],
        ["'''-1", r'say "hi"\r\n'],
    ]
    assert path.read_bytes().count(b"\n") == 3
    assert b"\r" not in path.read_bytes()


TOKEN = "eyJhbGciOiJSUzI1NiJ9." + "x" * 40


@settings(calm, max_examples=60)
@given(st.integers(0, 320))
@example(padding=285)
@example(padding=260)
def test_the_token_never_appears_even_where_the_cut_goes_through_it(
    tmp_path_factory: pytest.TempPathFactory, padding: int
) -> None:
    path = tmp_path_factory.mktemp("run") / "results.csv"
    echo = "a" * padding + TOKEN
    listed = listing(A, echo, carry=[echo], carried=[(echo,), (echo,)])
    journal = Journal(path, listed, bytearray(2), redact=Redactor(TOKEN))
    journal.create([RowResult(Outcome.PLANNED), RowResult(Outcome.INVALID)])
    journal.record((0, RowResult(Outcome.FAILED, False, 409, error_code=echo, error=echo)))
    journal.close()

    assert TOKEN[:8] not in path.read_text()
    assert not path.read_text().count("xx")


@pytest.mark.skipif(os.name != "posix", reason="file modes")
@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002, 0])
@pytest.mark.parametrize("mode", [0o600, 0o640])
def test_the_file_is_for_its_owner_alone_unless_its_owner_wants_it_otherwise(
    path: Path, start: Open, umask: int, mode: int
) -> None:
    before = os.umask(umask)
    try:
        journal = start(listing(A))
        assert path.stat().st_mode & 0o777 == 0o600
        path.chmod(mode)
        journal.finish()
    finally:
        os.umask(before)

    assert path.stat().st_mode & 0o777 == mode


def test_killed_at_any_byte_every_complete_line_is_a_whole_row(path: Path, start: Open) -> None:
    journal = start(listing(A, 'a "b",\n', B, A, carry=["Kundin"], carried=[("Zoë, 木",)] * 4))
    journal.record((0, FAILED))
    journal.record((2, RowResult(Outcome.UNKNOWN, error='said "no",\nand left')))
    content = path.read_bytes()

    for length in range(len(content) + 1):
        whole = content[: content.rfind(b"\n", 0, length) + 1]
        rows = list(csv.reader(io.StringIO(whole.decode(), newline=""), strict=True))
        assert len(rows) == whole.count(b"\n")
        assert all(len(row) == len(COLUMNS) + 1 for row in rows)


def many(count: int) -> Listing:
    """A listing of so many IDs, made in no time."""
    ids = b"".join(number.to_bytes(16, "big") for number in range(1, count + 1))
    numbers = range(count)
    return Listing("many", rows=array("I", numbers), ids=ids, first=array("I", numbers))


def test_a_million_entries_take_about_ten_bytes_each(path: Path) -> None:
    numbers = array("I", range(1_000_000))
    listed = Listing("many", rows=numbers, ids=bytes(16_000_000), first=numbers)
    was = bytearray(1_000_000)

    tracemalloc.start()
    try:
        journal = Journal(path, listed, was)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    journal.close()

    assert held < 10_500_000


def test_the_final_step_reads_the_journal_line_by_line(path: Path) -> None:
    listed = many(10_000)
    journal = started(path, listed)

    tracemalloc.start()
    try:
        journal.finish()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    journal.close()

    assert path.stat().st_size > 500_000
    assert peak < 10_000 * 20 + 100_000
