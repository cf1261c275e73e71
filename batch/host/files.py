"""Files that appear and change as a whole: what was there stands until the new is on the disk.

A new file is for its owner alone, whatever the umask; one that takes the place of another has the
mode of that one.
"""

from __future__ import annotations

import os
import secrets
import stat
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from io import FileIO


OWNER_ONLY = 0o600
"""Mode of what is written: it may name customers, and hold keys."""


def owner_only(path: str | os.PathLike[str], flags: int, mode: int = OWNER_ONLY) -> int:
    """Open a file as `os.open` does; one that is new is readable by its owner alone."""
    return os.open(path, flags, mode)


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Write what takes the place of a file when the block ends, and only if it ends well.

    Its mode stays; where no file can be given that one, it is for its owner alone.

    Raises:
        OSError: The old file, if any, stands as it was.
    """
    with _drafted(path, lambda draft: draft.replace(path)) as file:
        with suppress(OSError):  # there is none yet
            Path(file.name).chmod(stat.S_IMODE(path.stat().st_mode))
        yield file


@contextmanager
def creating(path: Path, mode: int = OWNER_ONLY) -> Iterator[BinaryIO]:
    """Write a new file that appears when the block ends, whole, and only if it ends well.

    Args:
        path: Where.
        mode: Its mode, less what the umask takes from it.

    Raises:
        FileExistsError: There is one already; it stands as it was.
        OSError: There is no file.
    """
    with _drafted(path, lambda draft: give_free_name(draft, path), mode) as file:
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
def _drafted(
    path: Path, place: Callable[[Path], object], mode: int = OWNER_ONLY
) -> Iterator[BinaryIO]:
    """Write beside a path, and put it in place once all of it is on the disk."""
    draft = draft_of(path)
    file = _new(draft, mode)
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        place(draft)
    finally:
        with suppress(OSError):
            draft.unlink()
    _sync_directory(path.parent)


def _new(path: Path, mode: int) -> BinaryIO:
    """Make a file that has its mode from its first moment on."""
    return open(path, "xb", opener=partial(owner_only, mode=mode))


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
