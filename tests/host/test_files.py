from __future__ import annotations

import errno
import os
import secrets
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import pytest

from batch.host import files
from batch.host.files import creating, replacing, try_out

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "results.csv"


@pytest.fixture(params=["links", "no links"])
def _disk(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system, with hard links or without."""
    if request.param == "no links":
        refused = OSError(errno.EPERM, "Operation not permitted")
        monkeypatch.setattr(os, "link", failing(refused))


def failing(error: BaseException) -> Callable[..., Any]:
    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


def write(file: BinaryIO, lines: int, error: BaseException) -> None:
    """Write some lines, and come to a bad end."""
    for _ in range(lines):
        file.write(b"a line\n")
        file.flush()
    raise error


def names(path: Path) -> list[str]:
    return sorted(each.name for each in path.parent.iterdir())


@pytest.mark.usefixtures("_disk")
def test_a_new_file_appears_whole_and_nothing_else_does(path: Path) -> None:
    with creating(path) as file:
        file.write(b"first\n")
        assert path.name not in names(path)
        file.write(b"second\n")

    assert path.read_bytes() == b"first\nsecond\n"
    assert names(path) == [path.name]


@pytest.mark.usefixtures("_disk")
@pytest.mark.parametrize("kind", ["file", "empty file", "symlink", "dangling symlink", "directory"])
def test_what_stands_there_is_never_touched(path: Path, kind: str) -> None:
    target = path.with_name("target")
    match kind:
        case "file" | "empty file":
            path.write_bytes(b"" if kind == "empty file" else b"precious")
        case "symlink":
            target.write_text("precious")
            path.symlink_to(target)
        case "dangling symlink":
            path.symlink_to(target)
        case "directory":
            path.mkdir()
    before = names(path), path.lstat()

    with pytest.raises(FileExistsError), creating(path) as file:
        file.write(b"new")

    assert (names(path), path.lstat()) == before
    if kind in {"file", "symlink"}:
        assert path.read_text() == "precious"


@pytest.mark.usefixtures("_disk")
@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt(), MemoryError()]
)
@pytest.mark.parametrize("writes", [0, 1, 2])
def test_a_crash_at_any_write_leaves_no_file(path: Path, error: BaseException, writes: int) -> None:
    with pytest.raises(type(error)), creating(path) as file:
        write(file, writes, error)

    assert names(path) == []


@pytest.mark.usefixtures("_disk")
@pytest.mark.parametrize(("where", "name"), [(os, "fsync"), (files, "_new")])
def test_a_disk_that_does_not_take_it_leaves_no_file(
    path: Path, monkeypatch: pytest.MonkeyPatch, where: object, name: str
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(where, name, failing(OSError(errno.EIO, "I/O error")))
        with pytest.raises(OSError, match="I/O error"), creating(path) as file:
            file.write(b"new")

    assert names(path) == []


@pytest.mark.parametrize("error", [OSError(errno.EIO, "I/O error"), KeyboardInterrupt()])
def test_without_links_a_name_that_cannot_be_given_is_free_again(
    path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    monkeypatch.setattr(os, "link", failing(OSError(errno.ENOTSUP, "no links")))
    monkeypatch.setattr(Path, "replace", failing(error))

    with pytest.raises(type(error)), creating(path) as file:
        file.write(b"new")

    assert names(path) == []


def test_a_new_file_is_on_the_disk_before_it_has_its_name(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    link = os.link

    def noted(source: Path, target: Path) -> None:
        steps.append(f"link {source.read_text()}")
        link(source, target)

    monkeypatch.setattr(os, "fsync", lambda _: steps.append("fsync"))
    monkeypatch.setattr(os, "link", noted)
    with creating(path) as file:
        file.write(b"new")

    assert steps == ["fsync", "link new", "fsync"]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt()])
def test_a_file_that_is_not_replaced_to_the_end_stands_as_it_was(
    path: Path, error: BaseException
) -> None:
    path.write_text("old")

    with pytest.raises(type(error)), replacing(path) as file:
        write(file, 1, error)

    assert path.read_text() == "old"
    assert names(path) == [path.name]


@pytest.mark.usefixtures("_disk")
def test_trying_out_a_place_leaves_nothing_and_touches_nothing(path: Path) -> None:
    path.write_text("precious")

    try_out(path)

    assert path.read_text() == "precious"
    assert names(path) == [path.name]


@pytest.mark.usefixtures("_disk")
@pytest.mark.parametrize(
    ("where", "name", "text"),
    [
        (files, "_new", "No such device"),
        (os, "open", "a file there cannot be opened again and added to: No such device"),
    ],
    ids=["made", "again"],
)
def test_a_place_where_files_cannot_be_opened_says_so(
    path: Path, monkeypatch: pytest.MonkeyPatch, where: object, name: str, text: str
) -> None:
    opened = os.open

    def refusing(opens: Path, flags: int, *more: int) -> int:
        if where is os and (opens == path.parent or flags & os.O_EXCL):
            return opened(opens, flags, *more)
        raise OSError(errno.ENODEV, "No such device")

    monkeypatch.setattr(where, name, refusing)
    with pytest.raises(OSError, match="No such device") as refused:
        try_out(path)

    assert (refused.value.errno, refused.value.strerror) == (errno.ENODEV, text)
    assert names(path) == []


def test_a_place_where_no_file_can_be_replaced_says_so(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "replace", failing(OSError(errno.EXDEV, "Invalid link")))

    with pytest.raises(OSError, match="cannot be replaced by another one: Invalid link"):
        try_out(path)

    assert names(path) == []


def test_a_place_where_no_file_can_be_taken_away_says_so(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "unlink", failing(OSError(errno.EACCES, "Denied")))

    with pytest.raises(OSError, match="a file there cannot be taken away again: Denied"):
        try_out(path)


@pytest.mark.parametrize("call", [1, 2, 3, 4])
def test_a_place_whose_disk_takes_nothing_is_refused_and_left_as_it_was(
    path: Path, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    files: list[int] = []
    fsync = os.fsync

    def sometimes(descriptor: int) -> None:
        if stat.S_ISREG(os.fstat(descriptor).st_mode):  # a directory that takes none is no matter
            files.append(descriptor)
            if len(files) == call:
                raise OSError(errno.EIO, "I/O error")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", sometimes)
    with pytest.raises(OSError, match="I/O error"):
        try_out(path)

    assert names(path) == []


def test_a_draft_of_somebody_else_is_left_alone(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secrets, "token_hex", lambda _: "there")
    draft = path.with_name(".bulk-revoke.there.tmp")
    draft.write_text("precious")

    with pytest.raises(FileExistsError), creating(path) as file:
        file.write(b"new")

    assert draft.read_text() == "precious"


@pytest.mark.skipif(os.name != "posix", reason="file modes")
@pytest.mark.usefixtures("_disk")
@pytest.mark.parametrize("umask", [0, 0o022, 0o077])
def test_a_new_file_is_for_its_owner_alone_from_its_first_moment(path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        for writes in (creating, replacing):
            with writes(path) as file:
                assert stat.S_IMODE(os.fstat(file.fileno()).st_mode) == 0o600
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            path.unlink()
    finally:
        os.umask(before)


@pytest.mark.skipif(os.name != "posix", reason="file modes")
def test_what_takes_the_place_of_a_file_has_the_mode_that_its_owner_has_given_it(
    path: Path,
) -> None:
    path.write_bytes(b"old")
    path.chmod(0o640)

    with replacing(path) as file:
        file.write(b"new")

    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"new", 0o640)
