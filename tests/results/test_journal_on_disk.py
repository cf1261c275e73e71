from __future__ import annotations

import errno
import json
import os
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Self, cast

import pytest

from batch.host import files
from batch.model import Outcome, RowResult
from batch.results.journal import Journal
from tests.support.builders import listing
from tests.support.job_harness import some_ids
from tests.support.results_files import Open, column, started

if TYPE_CHECKING:
    from collections.abc import Callable

    from batch.host.claim import Claim

A, B = some_ids(2)
REVOKED = RowResult(Outcome.REVOKED, True, 200, attempts=1)
FAILED = RowResult(Outcome.FAILED, False, 409, "CONFLICT", "HTTP 409: not now", attempts=2)


class Disk:
    """A file on a disk with room for so many bytes."""

    def __init__(self, file: BinaryIO, room: int) -> None:
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


class SmallDisk(Disk):
    """The same, for a file that is opened in a block."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()


@pytest.mark.parametrize("room", [0, 1, 60, 200])
def test_a_line_that_a_full_disk_cut_is_taken_back(path: Path, start: Open, room: int) -> None:
    journal = start(listing(A, B, A))
    before = path.read_bytes()
    disk = journal._file = Disk(journal._file, room)  # type: ignore[assignment]

    with pytest.raises(OSError, match="No space left"):
        journal.record((0, FAILED))

    assert path.read_bytes() == before
    assert journal.tally().counts == {Outcome.PLANNED: 3}

    disk.room = 10_000
    journal.record((0, REVOKED))
    journal.record((1, FAILED))
    assert column(path, "outcome") == ["planned"] * 3 + ["revoked", "revoked", "failed"]
    journal.finish()
    assert column(path, "outcome") == ["revoked", "failed", "revoked"]


def test_what_a_full_disk_did_not_take_is_in_the_final_file(path: Path, start: Open) -> None:
    journal = start(listing(A, B))
    journal.record((0, FAILED))
    journal._file = Disk(journal._file, 20)  # type: ignore[assignment]

    with pytest.raises(OSError, match="No space left"):
        journal.record((0, REVOKED))
    assert journal.tally().counts == {Outcome.FAILED: 1, Outcome.PLANNED: 1}
    journal.finish()

    assert journal.tally().counts == {Outcome.REVOKED: 1, Outcome.NOT_ATTEMPTED: 1}
    assert column(path, "outcome") == ["revoked", "not_attempted"]


def test_a_write_that_takes_only_a_part_is_continued(path: Path, start: Open) -> None:
    class Slow(Disk):
        def write(self, data: bytes) -> int:
            return self.file.write(data[:7])

    journal = start(listing(A, B))
    journal._file = Slow(journal._file, 0)  # type: ignore[assignment]

    journal.record((0, REVOKED))
    journal.record((1, FAILED))

    assert column(path, "outcome")[2:] == ["revoked", "failed"]
    assert column(path, "license_id")[2:] == [A, B]


REAL_DISK = """
import json, resource, sys
from pathlib import Path
from batch.model import Outcome, RowResult
from tests.support.builders import listing
from tests.support.job_harness import some_ids
from tests.support.results_files import started

path = Path(sys.argv[1])
journal = started(path, listing(*some_ids(40)))
resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 250, resource.RLIM_INFINITY))
failed = []
for entry in range(40):
    try:
        journal.record((entry, RowResult(Outcome.REVOKED, True, 200, attempts=1)))
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
    "counts": journal.tally().counts,
    "ends": before.endswith(b"\\n"),
}
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
for entry in failed[:3]:
    journal.record((entry, RowResult(Outcome.REVOKED, True, 200, attempts=1)))
journal.finish()
print(json.dumps(said))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no file size limit")
def test_a_file_that_may_not_grow_holds_whole_lines_only(path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", REAL_DISK, str(path)],
        cwd=Path(__file__).parents[2],
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
    [(Path, "replace"), (os, "fsync"), (Journal, "_line_at"), (Journal, "_row")],
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
    journal.record((0, FAILED))
    before, counts = path.read_bytes(), journal.tally().counts

    with monkeypatch.context() as patch:
        patch.setattr(where, name, fail(error))
        with pytest.raises(type(error)):
            journal.finish()

    assert path.read_bytes() == before
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    assert journal.tally().counts == counts

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


def test_the_plan_is_on_the_disk_before_it_has_its_name(
    start: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    link = os.link

    def noted_fsync(handle: int) -> None:
        steps.append("directory" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")

    def noted_link(source: Path, target: Path) -> None:
        steps.append("link")
        link(source, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "link", noted_link)
    start(listing(A))

    assert steps == ["file", "link", "directory"]


def test_a_plan_that_does_not_fit_on_the_disk_leaves_no_file(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = files._new

    def small(new: Path, mode: int) -> SmallDisk:
        return SmallDisk(real(new, mode), 100_000)

    monkeypatch.setattr(files, "_new", small)
    with pytest.raises(OSError, match="No space left"):
        started(path, listing(*some_ids(5000)))

    assert list(path.parent.iterdir()) == []


def test_a_plan_of_many_rows_is_written_whole(path: Path, start: Open) -> None:
    ids = some_ids(5000)
    journal = start(listing(*ids))
    journal.record((4999, REVOKED))
    journal.record((4095, FAILED))
    journal.record((4096, REVOKED))

    journal.finish()

    assert column(path, "license_id") == ids
    outcomes = column(path, "outcome")
    assert outcomes[4094:4098] == ["not_attempted", "failed", "revoked", "not_attempted"]
    assert outcomes[4999] == "revoked"


def test_a_journal_that_somebody_has_cut_off_is_noticed_and_not_brought_to_an_end(
    path: Path, start: Open
) -> None:
    journal = start(listing(A, B))
    journal.record((0, REVOKED))
    os.truncate(path, 0)

    assert not journal.is_in_place()
    with pytest.raises(OSError, match="gone from its place"):
        journal.sync()
    with pytest.raises(OSError, match="cut it off"):
        journal.finish()


@pytest.mark.parametrize("cut", [0, 10])
def test_taking_back_what_was_written_never_makes_the_file_longer(
    path: Path, start: Open, cut: int
) -> None:
    journal = start(listing(A, B))
    size = path.stat().st_size
    journal.record((0, REVOKED))
    if cut:
        os.truncate(path, size - cut)

    journal.cut_back(size)

    assert path.stat().st_size == size - cut


@pytest.mark.parametrize("goes_on", [False, True])
def test_a_journal_that_somebody_else_writes_into_is_noticed_and_not_brought_to_an_end(
    path: Path, start: Open, goes_on: bool
) -> None:
    journal = start(listing(A, B))
    journal.record((0, REVOKED))
    with path.open("ab") as file:
        file.write(b"2,somebody else's\n")
    if goes_on:
        journal.record((1, REVOKED))
        with pytest.raises(OSError, match="written into it"):
            journal.sync()
    written = path.read_bytes()

    with pytest.raises(OSError, match="written into it"):
        journal.finish()

    meddled = journal.meddled()
    assert meddled is not None
    assert "somebody else has written into the results" in str(meddled)
    assert path.read_bytes() == written


@pytest.mark.parametrize("room", [0, 20])
def test_a_full_disk_takes_nothing_back_that_somebody_else_has_written(
    path: Path, start: Open, room: int
) -> None:
    journal = start(listing(A, B))
    with path.open("ab") as file:
        file.write(b"2,somebody else's\n")
    written = path.read_bytes()
    journal._file = Disk(journal._file, room)  # type: ignore[assignment]

    with pytest.raises(OSError, match="No space left"):
        journal.record((0, REVOKED))

    assert path.read_bytes() == written
    with pytest.raises(OSError, match="written into it"):
        journal.finish()


def test_a_journal_that_is_as_it_was_written_is_nobody_elses(start: Open) -> None:
    journal = start(listing(A))

    assert journal.meddled() is None


class TakenAway:
    """A claim that another run has taken; it is noticed on the second of two writes."""

    def __init__(self) -> None:
        self.writes = 0

    def check(self) -> None:
        raise OSError(errno.EBUSY, "another run has them")

    def guard(self) -> None:
        self.writes += 1
        if self.writes > 1:
            self.check()


def test_once_another_run_may_have_the_results_nothing_is_written_and_nothing_is_a_success(
    path: Path,
) -> None:
    listed = listing(A, B)
    claim = cast("Claim", TakenAway())
    with closing(Journal(path, listed, bytearray(2), claim=claim)) as journal:
        journal.create([RowResult(Outcome.PLANNED)] * 2)
        journal.record((0, REVOKED))
        written = path.read_bytes()

        with pytest.raises(OSError, match="another run has them"):
            journal.record((1, REVOKED))
        with pytest.raises(OSError, match="another run has them"):
            journal.sync()
        assert str(journal.meddled()) == "the results cannot be saved: another run has them"

    assert path.read_bytes() == written


def test_a_journal_that_cannot_be_read_is_an_error_and_no_end_of_the_process(
    path: Path, start: Open
) -> None:
    """As a mapped page is that a file system cannot read."""
    journal = start(listing(A, B))
    journal.record((1, REVOKED))

    class Refused(Disk):
        def read(self, _size: int) -> bytes:
            raise OSError(errno.EIO, "Input/output error")

    file = journal._file
    journal._file = Refused(file, 0)  # type: ignore[assignment]
    with pytest.raises(OSError, match="Input/output error"):
        journal.finish()
    journal._file = file
    journal.finish()

    assert column(path, "outcome") == ["not_attempted", "revoked"]
