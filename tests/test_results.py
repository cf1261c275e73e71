from __future__ import annotations

import csv
import errno
import io
import json
import mmap
import os
import stat
import subprocess
import sys
import tracemalloc
from array import array
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from batch.errors import ResultsError
from batch.ledger import Ledger
from batch.logs import Redactor
from batch.model import Listing, Outcome, Status
from batch.plan import make_plan
from batch.results import COLUMNS, Journal, check_free
from tests.builders import calm, listing
from tests.harness import some_ids

NOON = datetime(2026, 11, 24, 12, 0, 0, 123456, tzinfo=UTC)
A, B, C, D = some_ids(4)
REVOKED = Status(Outcome.REVOKED, True, 200, attempts=1)
FAILED = Status(Outcome.FAILED, False, 409, "CONFLICT", "HTTP 409: not now", attempts=2)

Open = Callable[[Listing], Journal]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "results.csv"


@pytest.fixture
def start(path: Path) -> Iterator[Open]:
    """Open a journal with its plan written into it."""
    opened: list[Journal] = []

    def start(listed: Listing) -> Journal:
        journal = Journal(path, listed, now=lambda: NOON)
        opened.append(journal)
        journal.plan(make_plan(listed).statuses())
        return journal

    yield start
    for journal in opened:
        journal.close()


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, strict=True))


def column(path: Path, name: str) -> list[str]:
    return [row[name] for row in table(path)]


class Disk:
    """A file on a disk with room for so many bytes."""

    def __init__(self, file: io.FileIO, room: int) -> None:
        self.file = file
        self.room = room

    def write(self, data: bytes) -> int:
        if self.room == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = self.file.write(data[: self.room])
        self.room -= written
        return written

    def __getattr__(self, name: str) -> object:
        return getattr(self.file, name)


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
        "3,no id,,invalid,,,,,the cell holds no license ID,,,",
        f"4,{B},,planned,,,,,,,,",
        f"5,{A},,planned,,,,,,,,2",
    ]


def test_while_a_run_goes_on_lines_are_appended_as_rows_are_settled(
    path: Path, start: Open
) -> None:
    journal = start(listing(A, B))
    planned = path.read_bytes()

    journal.record(1, FAILED)
    journal.record(0, REVOKED)

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
        journal.record(entry, REVOKED)

    journal.finish()

    assert column(path, "row") == ["2", "3", "4"]
    assert column(path, "license_id") == [A, B, C]
    assert set(column(path, "outcome")) == {"revoked"}


def test_the_last_line_of_a_row_counts(path: Path, start: Open) -> None:
    journal = start(listing(A, B))
    journal.record(0, FAILED)
    journal.record(0, REVOKED)

    journal.finish()

    assert column(path, "outcome") == ["revoked", "not_attempted"]
    assert column(path, "error") == ["", ""]
    assert journal.counts() == {Outcome.REVOKED: 1, Outcome.NOT_ATTEMPTED: 1}


def test_a_repeated_row_takes_over_the_first_ones_outcome_and_names_it(
    path: Path, start: Open
) -> None:
    journal = start(listing(A, B, A, A, first_row=7))
    journal.record(0, FAILED)

    journal.finish()

    assert column(path, "outcome") == ["failed", "not_attempted", "failed", "failed"]
    assert column(path, "duplicate_of") == ["", "", "7", "7"]
    assert [bool(error) for error in column(path, "error")] == [True, False, True, True]


def test_an_invalid_row_keeps_its_cell(path: Path, start: Open) -> None:
    journal = start(listing("=cmd()", A, "two\nlines", "=cmd()"))
    journal.record(1, REVOKED)

    journal.finish()

    assert column(path, "license_id") == ["'=cmd()", A, r"two\nlines", "'=cmd()"]
    assert column(path, "outcome") == ["invalid", "revoked", "invalid", "invalid"]
    assert column(path, "duplicate_of") == [""] * 4


def test_what_was_not_reached_is_not_attempted_at_the_end(path: Path, start: Open) -> None:
    journal = start(listing(A, B, B))
    journal.record(0, REVOKED)
    assert journal.counts() == {Outcome.REVOKED: 1, Outcome.PLANNED: 2}

    journal.finish()

    assert column(path, "outcome") == ["revoked", "not_attempted", "not_attempted"]
    assert column(path, "duplicate_of") == ["", "", "3"]
    assert journal.counts() == {Outcome.REVOKED: 1, Outcome.NOT_ATTEMPTED: 2}


def test_a_row_without_a_line_is_never_counted_as_revoked(path: Path) -> None:
    journal = Journal(path, listing(A, B))
    journal.plan([])

    assert journal.counts() == {Outcome.PLANNED: 2}
    journal.finish()
    journal.close()

    assert column(path, "outcome") == ["not_attempted", "not_attempted"]


CELLS = st.sampled_from([*some_ids(6), "no id", "=1+1", "a\nb", '"'])
STATUSES = st.sampled_from(
    [REVOKED, FAILED, Status(Outcome.NOT_FOUND, None, 404), Status(Outcome.UNKNOWN, error='"\n,')]
)


@settings(calm, max_examples=40)
@given(st.lists(CELLS, min_size=1, max_size=12), st.data())
def test_rows_in_are_rows_out_and_every_outcome_is_counted(
    tmp_path_factory: pytest.TempPathFactory, cells: list[str], data: st.DataObject
) -> None:
    listed = listing(*cells)
    plan = make_plan(listed)
    order = data.draw(st.permutations(plan.to_send))
    settled = data.draw(st.lists(STATUSES, max_size=len(order)))
    path = tmp_path_factory.mktemp("run") / "results.csv"

    with closing(Journal(path, listed)) as journal:
        journal.plan(plan.statuses())
        for entry, status in zip(order, settled, strict=False):
            journal.record(entry, status)
        journal.finish()

    rows = table(path)
    assert [int(row["row"]) for row in rows] == list(listed.rows)
    assert sum(journal.counts().values()) == len(cells)
    for entry, row in enumerate(rows):
        assert row["outcome"] == rows[listed.first[entry]]["outcome"]
    for outcome, count in journal.counts().items():
        assert column(path, "outcome").count(outcome) == count


def test_the_ledger_is_what_the_file_says_and_not_what_was_meant(path: Path, start: Open) -> None:
    journal = start(listing(A, B, C, "no id"))
    for entry in (2, 1, 0):
        journal.record(entry, FAILED if entry != 1 else REVOKED)
    journal.finish()

    ledger = Ledger.read(path, {Outcome.REVOKED}, most=2)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([*lines[:2], "rubbish\n", *lines[3:-1]]))
    damaged = Ledger.read(path, {Outcome.REVOKED}, most=10)

    assert ledger.counts == journal.counts() == {"revoked": 1, "failed": 2, "invalid": 1}
    assert [cells[0] for cells in ledger.undone] == ["2", "4"]
    assert damaged.counts == {"failed": 2}


@pytest.mark.parametrize("meanwhile", ["replaced", "removed"])
def test_whatever_is_put_into_its_place_the_final_file_holds_what_was_recorded(
    path: Path, start: Open, meanwhile: str
) -> None:
    journal = start(listing(A, B))
    journal.record(0, REVOKED)
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
    journal.record(0, REVOKED)

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


def test_killed_at_any_byte_every_complete_line_is_a_whole_row(path: Path, start: Open) -> None:
    journal = start(listing(A, 'a "b",\n', B, A, carry=["Kundin"], carried=[("Zoë, 木",)] * 4))
    journal.record(0, FAILED)
    journal.record(2, Status(Outcome.UNKNOWN, error='said "no",\nand left'))
    content = path.read_bytes()

    for length in range(len(content) + 1):
        whole = content[: content.rfind(b"\n", 0, length) + 1]
        rows = list(csv.reader(io.StringIO(whole.decode(), newline=""), strict=True))
        assert len(rows) == whole.count(b"\n")
        assert all(len(row) == len(COLUMNS) + 1 for row in rows)


@pytest.mark.parametrize("room", [0, 1, 60, 200])
def test_a_line_that_a_full_disk_cut_is_taken_back(path: Path, start: Open, room: int) -> None:
    journal = start(listing(A, B, A))
    before = path.read_bytes()
    disk = journal._file = Disk(journal._file, room)  # type: ignore[assignment]

    with pytest.raises(OSError, match="No space left"):
        journal.record(0, FAILED)

    assert path.read_bytes() == before
    assert journal.counts() == {Outcome.PLANNED: 3}

    disk.room = 10_000
    journal.record(0, REVOKED)
    journal.record(1, FAILED)
    assert column(path, "outcome") == ["planned"] * 3 + ["revoked", "revoked", "failed"]
    journal.finish()
    assert column(path, "outcome") == ["revoked", "failed", "revoked"]


def test_what_a_full_disk_did_not_take_is_in_the_final_file(path: Path, start: Open) -> None:
    journal = start(listing(A, B))
    journal.record(0, FAILED)
    journal._file = Disk(journal._file, 20)  # type: ignore[assignment]

    with pytest.raises(OSError, match="No space left"):
        journal.record(0, REVOKED)
    assert journal.counts() == {Outcome.FAILED: 1, Outcome.PLANNED: 1}
    journal.finish()

    assert journal.counts() == {Outcome.REVOKED: 1, Outcome.NOT_ATTEMPTED: 1}
    assert column(path, "outcome") == ["revoked", "not_attempted"]


def test_a_write_that_takes_only_a_part_is_continued(path: Path, start: Open) -> None:
    class Slow(Disk):
        def write(self, data: bytes) -> int:
            return self.file.write(data[:7])

    journal = start(listing(A, B))
    journal._file = Slow(journal._file, 0)  # type: ignore[assignment]

    journal.record(0, REVOKED)
    journal.record(1, FAILED)

    assert column(path, "outcome")[2:] == ["revoked", "failed"]
    assert column(path, "license_id")[2:] == [A, B]


REAL_DISK = """
import json, resource, sys
from pathlib import Path
from batch.model import Outcome, Status
from batch.plan import make_plan
from batch.results import Journal
from tests.builders import listing
from tests.harness import some_ids

path = Path(sys.argv[1])
listed = listing(*some_ids(40))
journal = Journal(path, listed)
journal.plan(make_plan(listed).statuses())
resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 250, resource.RLIM_INFINITY))
failed = []
for entry in range(40):
    try:
        journal.record(entry, Status(Outcome.REVOKED, True, 200, attempts=1))
    except OSError:
        failed.append(entry)
before = path.read_bytes()
try:
    journal.finish()
except OSError as cause:
    finish = cause.strerror
said = {
    "failed": failed,
    "finish": finish,
    "untouched": path.read_bytes() == before,
    "files": [each.name for each in path.parent.iterdir()],
    "counts": journal.counts(),
    "ends": before.endswith(b"\\n"),
}
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
for entry in failed[:3]:
    journal.record(entry, Status(Outcome.REVOKED, True, 200, attempts=1))
journal.finish()
print(json.dumps(said))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no file size limit")
def test_a_file_that_may_not_grow_holds_whole_lines_only(path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", REAL_DISK, str(path)],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert ran.stderr == ""
    said = json.loads(ran.stdout)
    assert said == {
        "failed": list(range(2, 40)),
        "finish": os.strerror(errno.EFBIG),
        "untouched": True,
        "files": ["results.csv"],
        "counts": {"revoked": 2, "planned": 38},
        "ends": True,
    }
    assert column(path, "outcome") == ["revoked"] * 40


def fail(error: BaseException) -> Callable[..., Any]:
    def failing(*_: object, **__: object) -> None:
        raise error

    return failing


@pytest.mark.parametrize(
    ("where", "name"),
    [(Path, "replace"), (os, "fsync"), (mmap, "mmap"), (Journal, "_row")],
)
@pytest.mark.parametrize(
    "error", [OSError(errno.EIO, "I/O error"), MemoryError(), KeyboardInterrupt()]
)
def test_a_final_step_that_fails_leaves_the_journal_as_it_was(
    path: Path,
    start: Open,
    monkeypatch: pytest.MonkeyPatch,
    where: object,
    name: str,
    error: BaseException,
) -> None:
    journal = start(listing(A, B, A))
    journal.record(0, FAILED)
    before, counts = path.read_bytes(), journal.counts()

    with monkeypatch.context() as patch:
        patch.setattr(where, name, fail(error))
        with pytest.raises(type(error)):
            journal.finish()

    assert path.read_bytes() == before
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    assert journal.counts() == counts

    journal.finish()
    assert column(path, "outcome") == ["failed", "not_attempted", "failed"]


def test_the_final_file_is_on_the_disk_before_it_takes_the_journals_place(
    start: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = start(listing(A))
    steps: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def noted_fsync(handle: int) -> None:
        steps.append("directory" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")
        fsync(handle)

    def noted_replace(self: Path, target: Path) -> Path:
        steps.append("replace")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(Path, "replace", noted_replace)
    journal.finish()

    assert steps == ["file", "replace", "directory"]


def test_the_plan_is_on_the_disk_when_it_is_written(
    start: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)

    start(listing(A))

    assert len(synced) == 1


def test_a_plan_that_does_not_fit_on_the_disk_is_an_error(path: Path) -> None:
    listed = listing(*some_ids(5000))
    journal = Journal(path, listed)
    journal._file = Disk(journal._file, 100_000)  # type: ignore[assignment]

    with closing(journal), pytest.raises(OSError, match="No space left"):
        journal.plan(make_plan(listed).statuses())

    assert path.read_bytes().endswith(b"\n")


def test_a_plan_of_many_rows_is_written_whole(path: Path, start: Open) -> None:
    ids = some_ids(5000)
    journal = start(listing(*ids))
    journal.record(4999, REVOKED)
    journal.record(4095, FAILED)
    journal.record(4096, REVOKED)

    journal.finish()

    assert column(path, "license_id") == ids
    outcomes = column(path, "outcome")
    assert outcomes[4094:4098] == ["not_attempted", "failed", "revoked", "not_attempted"]
    assert outcomes[4999] == "revoked"


@pytest.mark.parametrize(
    ("kind", "remedy"),
    [
        ("file", "--output"),
        ("symlink", "--output"),
        ("dangling symlink", "--output"),
        ("directory", "--output"),
        ("missing directory", "make it"),
        ("file as directory", "make it"),
        ("read-only directory", "--output"),
        ("long name", "--output"),
    ],
)
def test_a_path_that_cannot_become_the_results_is_refused(
    path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, remedy: str
) -> None:
    taken = path
    match kind:
        case "file":
            path.write_text("precious")
        case "symlink":
            (path.parent / "target").write_text("precious")
            path.symlink_to("target")
        case "dangling symlink":
            path.symlink_to("nowhere")
        case "directory":
            path.mkdir()
        case "missing directory":
            taken = path / "results.csv"
        case "file as directory":
            path.write_text("precious")
            taken = path / "results.csv"
        case "read-only directory":
            monkeypatch.setattr(os, "access", lambda *_: False)
        case "long name":
            taken = path.with_name("x" * 300)
    before = sorted(path.parent.iterdir())

    with pytest.raises(ResultsError) as refused:
        check_free(taken)

    assert str(taken) in refused.value.message
    assert remedy in refused.value.hint
    assert sorted(path.parent.iterdir()) == before


def test_a_free_path_is_not_touched_by_looking_at_it(path: Path) -> None:
    check_free(path)

    assert not path.exists()


@pytest.mark.parametrize("kind", ["file", "symlink", "dangling symlink", "directory"])
def test_what_appears_between_the_look_and_the_start_is_never_overwritten(
    path: Path, kind: str
) -> None:
    target = path.parent / "target"
    match kind:
        case "file":
            path.write_text("precious")
        case "symlink":
            target.write_text("precious")
            path.symlink_to(target)
        case "dangling symlink":
            path.symlink_to(target)
        case "directory":
            path.mkdir()

    with pytest.raises(ResultsError, match="cannot be written") as refused:
        Journal(path, listing(A))

    assert "--output" in refused.value.hint
    if kind in {"file", "symlink"}:
        assert path.read_text() == "precious"
    if kind == "dangling symlink":
        assert not target.exists()


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
    journal = Journal(
        path, listing(A, echo, carry=[echo], carried=[(echo,), (echo,)]), redact=Redactor(TOKEN)
    )
    journal.plan([Status(Outcome.PLANNED), Status(Outcome.INVALID)])
    journal.record(0, Status(Outcome.FAILED, False, 409, error_code=echo, error=echo))
    journal.close()

    assert TOKEN[:8] not in path.read_text()
    assert not path.read_text().count("xx")


@pytest.mark.skipif(os.name != "posix", reason="file modes")
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_the_file_mode_follows_the_umask(path: Path, start: Open, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        journal = start(listing(A))
        assert path.stat().st_mode & 0o777 == mode
        journal.finish()
    finally:
        os.umask(before)

    assert path.stat().st_mode & 0o777 == mode


def many(count: int) -> Listing:
    """A listing of so many IDs, made in no time."""
    ids = b"".join(number.to_bytes(16, "big") for number in range(1, count + 1))
    numbers = range(count)
    return Listing("many", rows=array("I", numbers), ids=ids, first=array("I", numbers))


def test_a_million_entries_take_about_ten_bytes_each(path: Path) -> None:
    numbers = array("I", range(1_000_000))
    listed = Listing("many", rows=numbers, ids=bytes(16_000_000), first=numbers)

    tracemalloc.start()
    try:
        journal = Journal(path, listed)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    journal.close()

    assert held < 10_500_000


def test_the_final_step_reads_the_journal_line_by_line(path: Path) -> None:
    listed = many(10_000)
    journal = Journal(path, listed)
    journal.plan(make_plan(listed).statuses())

    tracemalloc.start()
    try:
        journal.finish()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    journal.close()

    assert path.stat().st_size > 500_000
    assert peak < 10_000 * 20 + 100_000
