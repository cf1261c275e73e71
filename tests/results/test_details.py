"""The details of licenses: as cells of a line, in memory and in the journal of several sessions."""

from __future__ import annotations

import csv
import io
from contextlib import closing
from typing import TYPE_CHECKING

from hypothesis import example, given, settings
from hypothesis import strategies as st

from batch.columns import COLUMNS, DETAILS
from batch.formatting import cell, plain
from batch.job.plan import make_plan
from batch.model import REVOKE, Outcome, RowResult
from batch.reporting.logs import Redactor
from batch.results.csv_file import Recorded
from batch.results.details import NO_DETAILS, Details, recorded_details
from batch.results.journal import Journal
from tests.support.builders import calm, listing
from tests.support.job_harness import some_ids
from tests.support.results_files import look, table

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from batch.model import Listing

A, B, C = some_ids(3)
REVOKED = RowResult(Outcome.REVOKED, True, 200, attempts=1)
ROWS = st.lists(st.sampled_from([A, B, C, "no id"]), min_size=1, max_size=8)

cells = st.tuples(
    *[st.text(max_size=12) | st.sampled_from(["", "=1+1", 'a,"b"', "x\ny", "'-"])] * 8
)


@calm
@given(st.lists(st.tuples(st.integers(0, 3), cells), max_size=12))
@example([(0, ("",) * 8), (0, ("x",) * 8), (0, ("",) * 8)])
def test_the_last_word_about_a_license_is_one_line_that_reads_as_it_was_told(
    words: list[tuple[int, tuple[str, ...]]],
) -> None:
    details, last = Details(4), dict(words)

    for entry, told in words:
        details.note(entry, told)

    for entry in range(4):
        if entry not in last:
            assert (details.of(entry), details.cells(entry)) == (b"", [])
            continue
        [row] = csv.reader(io.StringIO(details.of(entry).decode(), newline=""))
        assert row == [each and cell(each) for each in last[entry]]
        assert details.cells(entry) == [plain(each) for each in last[entry]]


def test_no_secret_is_among_them() -> None:
    details = Details(1, Redactor("s3cret-token-of-somebody"))

    details.note(0, ("", "", "", "", "", "a s3cret-token-of-somebody b", "", ""))

    assert b"s3cret" not in details.of(0)
    assert details.cells(0)[5].startswith("a ")


def test_what_a_spreadsheet_has_saved_again_is_spelled_as_a_run_spells_it() -> None:
    saved = [*[""] * len(COLUMNS), "p", "", "'-1", "=1+1", "'"]

    assert recorded_details(saved) == ["p", "", "'-1", "'=1+1", "'", "", "", ""]


def of_rows(path: Path) -> list[tuple[str, ...]]:
    """By their place: a carried column may have the same name."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))[1:]
    return [tuple(row[len(COLUMNS) : len(COLUMNS) + len(DETAILS)]) for row in rows]


def noted(listed: Listing, entries: set[int], word: str) -> Details:
    """The details of a listing, those of some of its licenses known."""
    details = Details(len(listed))
    for entry in entries & {*listed.distinct()}:
        details.note(entry, (f"{word} {listed.license_id(entry)}", *[""] * 6, '=",'))
    return details


@settings(calm, max_examples=60)
@given(
    rows=ROWS,
    known=st.sets(st.integers(0, 7)),
    settled=st.lists(st.integers(0, 7), max_size=4),
    cut=st.integers(0, 400),
    again=st.sets(st.integers(0, 7)),
    carry=st.booleans(),
)
@example(rows=[A, A], known={0}, settled=[0], cut=60, again=set(), carry=False)
def test_wherever_a_run_was_killed_every_row_keeps_what_was_seen_of_its_license(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[str],
    known: set[int],
    settled: list[int],
    cut: int,
    again: set[int],
    carry: bool,
) -> None:
    path = tmp_path_factory.mktemp("killed") / "results.csv"
    listed = listing(*rows)
    if carry:
        listed.carry, listed.carried = ("product_id",), [(each,) for each in rows]
    licenses = {*listed.distinct()}
    plan = make_plan(REVOKE, listed, look(listed))
    with closing(Journal(path, listed, plan.was, details=noted(listed, known, "was"))) as journal:
        journal.create(plan.row_results)
        planned = path.stat().st_size
        for entry in settled:
            if entry in licenses:
                journal.record((entry, REVOKED))
    with path.open("r+b") as file:
        file.truncate(max(planned, path.stat().st_size - cut))

    recorded = Recorded.read(path)
    plan = make_plan(REVOKE, listed, look(listed), recorded=recorded)
    with closing(Journal(path, listed, plan.was, details=noted(listed, again, "is"))) as journal:
        journal.resume(recorded, plan.row_results)
        for entry in plan.to_send[:2]:
            journal.record((entry, REVOKED))
        journal.finish()

    nothing = ("",) * len(DETAILS)
    for entry, found in enumerate(of_rows(path)):
        first = listed.first[entry]
        was, now = (
            (f"{word} {listed.license_id(first)}", *nothing[1:7], "'=\",")
            if first in those and first in licenses
            else None
            for word, those in (("was", known), ("is", again))
        )
        assert found in {was or nothing, now or was or nothing}
    assert path.read_text().splitlines()[0].split(",")[len(COLUMNS) :] == [
        *DETAILS, *["product_id"] * carry,
    ]  # fmt: skip


def test_what_cannot_be_read_again_costs_no_outcome(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = listing(A)
    plan = make_plan(REVOKE, listed, look(listed))
    with closing(Journal(path, listed, plan.was, details=noted(listed, {0}, "was"))) as journal:
        journal.create(plan.row_results)
    recorded = Recorded.read(path)
    plan = make_plan(REVOKE, listed, look(listed), recorded=recorded)

    with closing(Journal(path, listed, plan.was, details=Details(1))) as journal:
        journal.resume(recorded, plan.row_results)
        with monkeypatch.context() as broken:
            broken.setattr(journal, "_line_at", unreadable)
            journal.record((0, REVOKED))
        journal.finish()

    [row] = table(path)
    assert row["outcome"] == "revoked"
    assert of_rows(path) == [tuple(NO_DETAILS.decode().split(","))]


def unreadable(_: int) -> bytes:
    raise OSError(5, "Input/output error")
