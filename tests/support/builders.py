"""What an input lists, without a file; tables of files and their bytes; a disk without room."""

from __future__ import annotations

import gzip
import os
from array import array
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO
from uuid import UUID

from hypothesis import HealthCheck, settings

from batch.input.file import open_tables
from batch.model import ID_BYTES, Listing

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from batch.input.table import Table

calm = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""For properties: a busy machine makes no test fail."""

THOROUGH = int(os.environ.get("BULK_REVOKE_THOROUGH", "1"))
"""Tests that draw by chance take so many times as many examples, or licenses; see `make soak`."""


def packed(data: bytes) -> bytes:
    """Compressed, and the same bytes each time: xdist compares the names of the tests."""
    return gzip.compress(data, mtime=0)


def listing(
    *cells: str,
    first_row: int = 2,
    carry: Sequence[str] = (),
    carried: Sequence[Sequence[str]] = (),
    title: str = "licenses.csv",
    blank: int = 0,
    left_out: dict[str, int] | None = None,
) -> Listing:
    """A listing with one row for each cell: an ID, or anything else for a row without one."""
    ids, invalid, first = bytearray(), {}, array("I")
    seen: dict[bytes, int] = {}
    for entry, text in enumerate(cells):
        found = _id_bytes(text)
        if found is None:
            invalid[entry] = text
            first.append(entry)
        else:
            first.append(seen.setdefault(found, entry))
        ids += found or bytes(ID_BYTES)
    return Listing(
        title=title,
        rows=array("I", range(first_row, first_row + len(cells))),
        ids=bytes(ids),
        first=first,
        invalid=invalid,
        carry=tuple(carry),
        carried=[tuple(row) for row in carried],
        blank=blank,
        left_out=left_out or {},
    )


def _id_bytes(text: str) -> bytes | None:
    try:
        found = UUID(text)
    except ValueError:
        return None
    return found.bytes if str(found) == text else None


@contextmanager
def full_disk(size: int = 0) -> Iterator[None]:
    """No file of this process takes another byte beyond so many."""
    import resource  # noqa: PLC0415 - there is none on Windows

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def open_table(
    path: str, sheet: str | None = None, stdin: BinaryIO | None = None
) -> Iterator[Table]:
    """The one table of a file that is meant."""
    with open_tables(path, stdin=stdin) as tables:
        yield tables.read(tables.choose(sheet))
