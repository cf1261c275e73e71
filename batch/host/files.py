"""Files that appear and change as a whole: what was there stands until the new is on the disk."""

from __future__ import annotations

import os
import secrets
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, BinaryIO, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from io import FileIO
    from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Write what takes the place of a file when the block ends, and only if it ends well.

    Raises:
        OSError: The old file, if any, stands as it was.
    """
    with _drafted(path, lambda draft: draft.replace(path)) as file:
        yield file


@contextmanager
def creating(path: Path) -> Iterator[BinaryIO]:
    """Write a new file that appears when the block ends, whole, and only if it ends well.

    Raises:
        FileExistsError: There is one already; it stands as it was.
        OSError: There is no file.
    """
    with _drafted(path, lambda draft: give_free_name(draft, path)) as file:
        yield file


def open_to_append(path: Path) -> FileIO:
    """Open a file, without a buffer, to read anywhere and to write at its end, wherever that is.

    Raises:
        OSError: It cannot be opened, for example since it is not there.
    """
    flags = os.O_RDWR | os.O_APPEND | getattr(os, "O_BINARY", 0)
    return os.fdopen(os.open(path, flags), "r+b", buffering=0)


def give_free_name(draft: Path, path: Path) -> None:
    """Give a file a name that no other has; its former one may stay.

    Raises:
        FileExistsError: There is a file of that name; it stands as it was.
        OSError: It has not got the name.
    """
    try:
        os.link(draft, path)
    except OSError:  # a file system without links, or the name is taken
        _replace_nothing(draft, path)


def draft_of(path: Path) -> Path:
    """Return a name beside a path that nobody else uses."""
    return path.with_name(f".bulk-revoke.{secrets.token_hex(6)}.tmp")


def try_out(path: Path) -> None:
    """Do with a file beside a path all that is done with results, and take it away.

    Only that shows what a directory admits. A mount of rclone without a cache, for example, lets a
    file be made, but not opened for update once it is there.

    Raises:
        OSError: Its text says what cannot be done with files there. Nothing is left.
    """
    trial = draft_of(path)
    with creating(trial) as file:
        file.write(b"made\n")
    try:
        for _ in range(2):  # by a run, and by the one that goes on with it
            with _saying("opened again and added to"), open_to_append(trial) as again:
                again.readline()
                again.write(b"added\n")
                os.fsync(again.fileno())
        with _saying("replaced by another one"), replacing(trial) as file:
            file.write(b"another one\n")
    finally:
        with _saying("taken away again"):
            trial.unlink()


@contextmanager
def _saying(what: str) -> Iterator[None]:
    """Say in an error what it is that cannot be done."""
    try:
        yield
    except OSError as cause:
        text = f"a file there cannot be {what}: {cause.strerror}"
        raise OSError(cause.errno, text) from cause


@contextmanager
def _drafted(path: Path, place: Callable[[Path], object]) -> Iterator[BinaryIO]:
    """Write beside a path, and put it in place once all of it is on the disk."""
    draft = draft_of(path)
    file = draft.open("xb")
    try:
        with file:
            yield cast("BinaryIO", file)
            file.flush()
            os.fsync(file.fileno())
        place(draft)
    finally:
        with suppress(OSError):
            draft.unlink()
    _sync_directory(path.parent)


def _replace_nothing(draft: Path, path: Path) -> None:
    """Rename a file to a name that is free; an empty file keeps it free meanwhile."""
    path.open("xb").close()
    try:
        draft.replace(path)
    except BaseException:
        with suppress(OSError):
            path.unlink()
        raise


def _sync_directory(path: Path) -> None:
    """Force a rename in a directory to the disk, where the system can do that."""
    with suppress(OSError):
        directory = os.open(path, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
