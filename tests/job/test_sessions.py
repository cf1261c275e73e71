"""A run whose sessions end in any way: what is on the disk is what the next one goes on with."""

from __future__ import annotations

import csv
import errno
import os
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch.job.plan import Guards, make_plan
from batch.model import DONE, REVOKE, Outcome, RowResult
from batch.results.csv_file import Recorded
from batch.results.journal import Journal
from tests.support.builders import calm, listing
from tests.support.job_harness import some_ids
from tests.support.results_files import column, keyed, look, resumed, started, table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from batch.model import Listing

A, B, C, D = some_ids(4)
REVOKED = RowResult(Outcome.REVOKED, True, 200, attempts=1)
FAILED = RowResult(Outcome.FAILED, False, 409, "CONFLICT", 'it says "no",\nand why', attempts=2)
UNKNOWN = RowResult(Outcome.UNKNOWN, error="no answer", attempts=3)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "results.csv"


def ended(path: Path, listed: Listing, *settled: tuple[int, RowResult]) -> None:
    """A session that came to an orderly end."""
    with closing(started(path, listed, look(listed))) as journal:
        for entry, result in settled:
            journal.record((entry, result))
        journal.finish()


def lines(path: Path) -> list[list[str]]:
    """Row, outcome and attempts of each line behind the header."""
    with path.open(newline="") as file:
        return [[row[0], row[3], row[9]] for row in csv.reader(file)][1:]


def test_only_what_is_new_is_written(path: Path) -> None:
    listed = listing(A, B, C)
    ended(path, listed, (0, REVOKED), (1, FAILED))
    before = path.read_bytes()

    journal, plan = resumed(Recorded.read(path), listed)
    with closing(journal):
        journal.record((2, REVOKED))

    assert list(plan.to_send) == [1, 2]
    assert path.read_bytes().startswith(before)
    assert lines(path)[3:] == [["3", "planned", "2"], ["4", "planned", ""], ["4", "revoked", "1"]]


def test_a_license_that_is_sent_again_is_in_doubt_until_it_is_settled(path: Path) -> None:
    listed = listing(A, B, A, C)
    ended(path, listed, (0, FAILED), (1, REVOKED))

    journal, _ = resumed(Recorded.read(path), listed)
    journal.close()
    recorded = Recorded.read(path)

    assert recorded.is_journal
    outcomes = [recorded.outcome(place) for place in range(4)]
    assert outcomes == [Outcome.PLANNED, Outcome.REVOKED, Outcome.PLANNED, Outcome.PLANNED]
    assert list(recorded.attempts) == [2, 1, 2, 0]


def test_what_a_second_session_does_not_reach_ends_as_it_was(path: Path) -> None:
    listed = listing(A, B, A, C)
    ended(path, listed, (0, FAILED))
    before = path.read_bytes()

    journal, _ = resumed(Recorded.read(path), listed)
    with closing(journal):
        counts = {Outcome.PLANNED: 4}
        assert journal.tally().counts == counts
        journal.finish()

    assert path.read_bytes() == before
    assert journal.tally().counts == {Outcome.FAILED: 2, Outcome.NOT_ATTEMPTED: 2}


def test_a_planned_row_that_was_sent_in_a_killed_session_keeps_its_attempts(path: Path) -> None:
    listed = listing(A, B)
    ended(path, listed, (0, FAILED))
    resumed(Recorded.read(path), listed)[0].close()

    journal, _ = resumed(Recorded.read(path), listed, look(listed))
    with closing(journal):
        journal.finish()

    assert lines(path) == [["2", "not_attempted", "2"], ["3", "not_attempted", ""]]


def test_what_a_killed_session_may_have_sent_is_unknown_until_it_is_read(path: Path) -> None:
    listed = listing(A, B, A)
    started(path, listed).close()

    journal, _ = resumed(Recorded.read(path), listed)
    with closing(journal):
        journal.record((1, REVOKED))
        journal.finish()

    assert column(path, "outcome") == ["unknown", "revoked", "unknown"]
    assert column(path, "error")[0] == "a session that was killed may have sent it"


def test_attempts_add_up_over_sessions(path: Path) -> None:
    listed = listing(A, B, A)
    ended(path, listed, (0, FAILED), (1, UNKNOWN))
    for _ in range(2):
        journal, _plan = resumed(Recorded.read(path), listed)
        with closing(journal):
            journal.record((0, FAILED))
            journal.finish()

    assert column(path, "attempts") == ["6", "3", "6"]
    assert column(path, "outcome") == ["failed", "unknown", "failed"]


def test_what_a_look_finds_is_written_at_once_and_was_revoked_stays(path: Path) -> None:
    listed = listing(A, B, C, A)
    started(path, listed, look(listed, unseen=[1])).close()

    snapshot = look(listed, revoked=[0, 1])
    journal, plan = resumed(Recorded.read(path), listed, snapshot)
    journal.close()

    assert list(plan.to_send) == [2]
    assert [row for row, *_ in lines(path)] == ["2", "3", "4", "5", "2", "5", "3"]
    found = {row["row"]: row for row in table(path)}
    assert [row["outcome"] for row in found.values()] == [
        "revoked",
        "revoked",
        "planned",
        "revoked",
    ]
    assert [row["was_revoked"] for row in found.values()] == ["false", "", "false", "false"]
    assert [row["finished_at"][:10] for row in found.values()] == [
        "2026-11-24", "2026-11-24", "", "2026-11-24",
    ]  # fmt: skip


def test_what_a_limit_leaves_keeps_the_line_it_has(path: Path) -> None:
    listed = listing(A, B, C)
    ended(path, listed, (0, FAILED), (1, FAILED))
    recorded = Recorded.read(path)
    plan = make_plan(REVOKE, listed, look(listed), recorded=recorded, guards=Guards(limit=1))

    with closing(Journal(path, listed, plan.was)) as journal:
        journal.resume(recorded, plan.row_results)
        journal.record((0, REVOKED))
        journal.finish()

    assert lines(path) == [["2", "revoked", "3"], ["3", "failed", "2"], ["4", "not_attempted", ""]]


def test_what_a_limit_left_is_not_left_by_it_any_more_once_it_was_planned(path: Path) -> None:
    listed = listing(A, B)
    plan = make_plan(REVOKE, listed, look(listed), guards=Guards(limit=1))
    with closing(Journal(path, listed, plan.was)) as journal:
        journal.create(plan.row_results)
        journal.record((0, REVOKED))
        journal.finish()
    assert column(path, "error") == ["", "left for later by --limit"]

    journal, _ = resumed(Recorded.read(path), listed, look(listed))
    with closing(journal):
        journal.finish()

    assert column(path, "outcome") == ["revoked", "not_attempted"]
    assert column(path, "error") == ["", ""]


def test_a_torn_line_is_cut_off_before_anything_is_written(path: Path) -> None:
    listed = listing(A, B)
    started(path, listed).close()
    whole = path.read_bytes()
    path.write_bytes(whole + b"2,torn")

    journal, _ = resumed(Recorded.read(path), listed, look(listed))
    with closing(journal):
        assert path.read_bytes() == whole
        journal.record((1, REVOKED))

    assert lines(path)[2:] == [["3", "revoked", "1"]]


def test_rows_that_a_cut_has_left_behind_take_over_what_became_of_the_first(path: Path) -> None:
    listed = listing(A, B, A, A, carry=["Kundin"], carried=[("=a",), ("b",), ('"c"\n',), ("d,",)])
    with closing(started(path, listed)) as journal:
        start = path.stat().st_size
        journal.record((0, RowResult(Outcome.REVOKED, True, 200, "X", "a,b", 4)))
    content = path.read_bytes()
    path.write_bytes(content[: content.index(b"\n", start) + 1])

    journal, plan = resumed(Recorded.read(path), listed)
    with closing(journal):
        journal.record((1, FAILED))
        journal.finish()

    assert list(plan.to_send) == [1]
    rows = table(path)
    assert [row["outcome"] for row in rows] == ["revoked", "failed", "revoked", "revoked"]
    assert [row["duplicate_of"] for row in rows] == ["", "", "2", "2"]
    assert [row["Kundin"] for row in rows] == ["'=a", "b", r'"c"\n', "d,"]
    same = set(rows[0]) - {"row", "duplicate_of", "Kundin"}
    assert all(row[name] == rows[0][name] for row in (rows[2], rows[3]) for name in same)
    assert journal.tally().counts == {Outcome.REVOKED: 3, Outcome.FAILED: 1}


@pytest.mark.parametrize("end", [",,\n", ",\n", "\n", ",\r\n"])
def test_they_take_it_over_from_a_line_that_is_not_quite_as_it_was(path: Path, end: str) -> None:
    listed = listing(A, A)
    started(path, listed).close()
    with path.open("ab") as file:
        file.write(f"2,{A},,revoked,true,,200,,".encode() + b"caf\xe9,1" + end.encode())

    journal, _ = resumed(Recorded.read(path), listed)
    journal.close()

    assert path.read_bytes().decode(errors="replace").splitlines()[-1] == (
        f"3,{A},,revoked,true,,200,,caf\ufffd,1,,2"
    )


def test_what_follows_the_line_that_they_take_it_over_from_is_not_written_over(path: Path) -> None:
    listed = listing(A, A, B)
    with closing(started(path, listed)) as journal:
        start = path.stat().st_size
        journal.record((0, REVOKED))
        journal.record((2, FAILED))
    content = path.read_bytes()
    repeat = content[content.index(b"\n", start) + 1 :].split(b"\n")[0]
    content = content.replace(repeat, bytes(len(repeat)))
    path.write_bytes(content)

    resumed(Recorded.read(path), listed)[0].close()

    recorded = Recorded.read(path)
    assert [recorded.outcome(place) for place in range(2)] == [Outcome.REVOKED] * 2
    assert path.read_bytes().startswith(content)


def test_rows_that_are_as_the_first_are_not_written_again(path: Path) -> None:
    listed = listing(A, A, B, B)
    ended(path, listed, (0, REVOKED), (2, REVOKED))
    before = path.read_bytes()

    resumed(Recorded.read(path), listed)[0].close()

    assert path.read_bytes() == before


def test_the_rows_of_a_key_that_repeats_all_name_its_license(path: Path) -> None:
    listed = keyed("K1", "K2", "K1")

    with closing(started(path, listed, look(listed, ids={0: A, 1: B}))) as journal:
        journal.record((0, REVOKED))
        journal.finish()

    assert column(path, "license_id") == [A, B, A]


def test_a_key_that_is_not_looked_up_again_keeps_its_license_and_one_that_is_none_its_cell(
    path: Path,
) -> None:
    listed = keyed("K1", "two\nlines", "K1", "K2")
    with closing(started(path, listed, look(listed, ids={0: A, 3: B}))) as journal:
        journal.record((0, REVOKED))
        journal.finish()
    before = table(path)

    journal, _ = resumed(Recorded.read(path), listed, look(listed, unseen=[0, 3]))
    with closing(journal):
        journal.finish()

    assert table(path) == before
    assert column(path, "license_id") == [A, "", A, B]
    assert column(path, "license_key") == ["K1", r"two\nlines", "K1", "K2"]


@pytest.mark.parametrize(
    ("saved", "again"),
    [
        ("TRUE,FALSE,200,", "true,false,200,"),
        ("WAHR,false,,", ",false,,"),
        ("true,,200.0,", "true,,,"),
    ],
)
def test_what_a_spreadsheet_has_made_of_a_line_is_spelled_as_before_or_left_out(
    path: Path, saved: str, again: str
) -> None:
    listed = listing(A, B)
    ended(path, listed, (0, REVOKED))
    text = path.read_text()
    path.write_text(text.replace(",revoked,true,false,200,", f",revoked,{saved}"))

    journal, _ = resumed(Recorded.read(path), listed, look(listed))
    with closing(journal):
        journal.finish()

    assert f",revoked,{again}" in path.read_text()


def test_where_the_rest_cannot_be_written_the_line_that_is_owed_counts(path: Path) -> None:
    listed = listing(A, B)
    ended(path, listed, (0, FAILED))
    journal, _ = resumed(Recorded.read(path), listed)
    real = journal._file

    class Full:
        def write(self, _: bytes) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

        def __getattr__(self, name: str) -> object:
            return getattr(real, name)

    journal._file = Full()  # type: ignore[assignment]
    with closing(journal):
        with pytest.raises(OSError, match="No space left"):
            journal.record((0, REVOKED))
        journal.finish()

    assert lines(path) == [["2", "revoked", "3"], ["3", "not_attempted", ""]]
    assert journal.tally().counts == {Outcome.REVOKED: 1, Outcome.NOT_ATTEMPTED: 1}


def test_what_is_written_is_forced_to_the_disk_before_the_first_request(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = listing(A)
    ended(path, listed, (0, FAILED))
    recorded = Recorded.read(path)
    sizes: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda _: sizes.append(path.stat().st_size))

    resumed(recorded, listed)[0].close()

    assert sizes == [path.stat().st_size]
    assert sizes[0] > recorded.size


@pytest.mark.parametrize(
    "other", [None, b"something else", bytes(5000)], ids=["removed", "replaced", "by a longer one"]
)
def test_a_file_that_is_gone_from_its_place_is_no_success(path: Path, other: bytes | None) -> None:
    with closing(started(path, listing(A))) as journal:
        journal.sync()
        assert journal.is_in_place()

        path.rename(path.with_name("elsewhere"))
        if other is not None:
            path.write_bytes(other)

        assert not journal.is_in_place()
        assert "the results are gone from their place" in str(journal.meddled())
        with pytest.raises(OSError, match="gone from its place"):
            journal.sync()


CELLS = st.sampled_from([*some_ids(5), "no id", "=1+1"])
STATUSES = st.sampled_from([REVOKED, FAILED, UNKNOWN, RowResult(Outcome.NOT_FOUND, None, 404)])
TAILS = st.sampled_from([b"", b"\0" * 40, b'2,"', b"\0\0\n", b'9,"x\ny",\n', b"\xff\r\xfe"])


class Model:
    """What a run must stand for, from the lines that are left, read in the plainest way."""

    def __init__(self, path: Path) -> None:
        self.outcomes: dict[int, str] = {}
        self.attempts: dict[int, int] = {}
        self.was: dict[int, str] = {}
        for line in path.read_bytes().split(b"\n")[1:-1]:
            try:
                cells = next(csv.reader([line.decode()], strict=True), [])
            except (ValueError, csv.Error):
                continue
            if len(cells) == 12 and b"\0" not in line:
                row = int(cells[0])
                self.outcomes[row] = cells[3]
                self.attempts[row] = int(cells[9] or 0)
                self.was.setdefault(row, cells[5])


def settle(journal: Journal, to_send: Sequence[int], data: st.DataObject) -> dict[int, RowResult]:
    """Record some of the entries in any order, in any way."""
    settled: dict[int, RowResult] = {}
    for entry in data.draw(st.permutations(to_send)):
        if data.draw(st.booleans()):
            settled[entry] = data.draw(STATUSES)
            journal.record((entry, settled[entry]))
    return settled


def check_end(
    path: Path, listed: Listing, settled: dict[int, RowResult], before: Model | None, planned: Model
) -> None:
    """At an orderly end there is a line for each row, and it says what became of it."""
    after = Model(path)
    assert [int(row) for row in column(path, "row")] == list(listed.rows)
    for entry, row in enumerate(listed.rows):
        result = settled.get(listed.first[entry])
        outcome, attempts = planned.outcomes[row], planned.attempts[row]
        if result is not None:
            outcome, attempts = result.outcome, attempts + result.attempts
        elif outcome == "planned":
            first = listed.rows[listed.first[entry]]
            outcome = before.outcomes[first] if before else "planned"
            outcome = outcome.replace("planned", "not_attempted")
        assert (after.outcomes[row], after.attempts[row]) == (outcome, attempts)


@settings(calm, max_examples=200)
@given(st.lists(CELLS, min_size=1, max_size=7), st.data())
def test_however_its_sessions_end_a_run_says_of_each_row_what_was_last_recorded(
    tmp_path_factory: pytest.TempPathFactory, cells: list[str], data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("run") / "results.csv"
    listed = listing(*cells)
    distinct = list(listed.distinct())
    before, was = None, None

    for _session in range(data.draw(st.integers(1, 4))):
        snapshot = look(listed, revoked=data.draw(st.sets(st.sampled_from(distinct or [0]))))
        if before is None:
            plan = make_plan(REVOKE, listed, snapshot)
            journal = started(path, listed, snapshot)
        else:
            journal, plan = resumed(Recorded.read(path), listed, snapshot)
        with closing(journal):
            planned, safe = Model(path), path.stat().st_size
            was = was or planned.was
            settled = settle(journal, plan.to_send, data)
            if data.draw(st.booleans()):
                journal.finish()
                check_end(path, listed, settled, before, planned)
            else:
                content = path.read_bytes()
                kept = data.draw(st.integers(safe, len(content)))
                path.write_bytes(content[:kept] + data.draw(TAILS))

        before = Model(path)
        recorded = Recorded.read(path)
        outcomes = [str(recorded.outcome(place)) for place in range(len(recorded))]
        assert before.was == was
        assert recorded.belongs_to(listed, []) == ""
        assert outcomes == list(before.outcomes.values())
        assert list(recorded.attempts) == list(before.attempts.values())
        again = make_plan(REVOKE, listed, look(listed), recorded=recorded).to_send
        assert DONE.isdisjoint(outcomes[entry] for entry in again)
