"""The file that `list` writes: licenses as the server tells them, for a person and for `run`."""

from __future__ import annotations

import csv
import io
import os
from contextlib import contextmanager
from pathlib import Path
from shutil import copyfileobj
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, Any

from batch.columns import DETAILS, LIST_COLUMNS
from batch.errors import ResultsError, StoppedError
from batch.formatting import cell
from batch.host.files import creating
from batch.license_object import details, moment, name, text
from batch.results.output import set_aside

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


MODE = 0o600
"""Its owner alone may read it: it names customers, and holds keys."""


class LicenseList:
    """A list that is being written; made by `writing`."""

    def __init__(self, file: IO[bytes], redact: Callable[[str], str]) -> None:
        self._file = file
        self._redact = redact
        self._text = io.StringIO(newline="")
        self._lines = csv.writer(self._text, lineterminator="\n")
        self._lines.writerow(LIST_COLUMNS)

    def add(self, license_: Mapping[str, Any]) -> None:
        """Add a license object; what it does not tell, or not in a way that is known, is empty."""
        self._lines.writerow([cell(self._redact(each)) for each in _cells(license_)])

    def flush(self) -> None:
        """Hand what was added to the operating system.

        Raises:
            OSError: The disk does not take it.
        """
        self._file.write(self._text.getvalue().encode())
        self._text.seek(0)
        self._text.truncate()


@contextmanager
def writing(path: Path, redact: Callable[[str], str], *, overwrite: bool) -> Iterator[LicenseList]:
    """Write a list that appears when the block ends, whole, and only if it ends well.

    Until then it is in a file without a name: whatever ends the process, no part of it is left.

    Args:
        path: Where.
        redact: Takes secrets out of a text from outside.
        overwrite: Whether what stands there is set aside then; it is kept under another name.

    Raises:
        ResultsError: Something stands there.
        StoppedError: It cannot be written.
    """
    try:
        with TemporaryFile(dir=path.parent) as unnamed:
            lines = LicenseList(unnamed, redact)
            yield lines
            lines.flush()
            unnamed.seek(0)
            with creating(path) as file:
                Path(file.name).chmod(MODE)
                copyfileobj(unnamed, file)
                file.flush()
                os.fsync(file.fileno())  # before the old one goes
                if overwrite:
                    set_aside(path)
    except FileExistsError as cause:
        raise ResultsError(
            f"{path}: cannot be written: it has appeared meanwhile",
            hint="name another place with --output.",
        ) from cause
    except OSError as cause:
        raise StoppedError(f"{path}: cannot be written: {cause.strerror}") from cause


def _cells(license_: Mapping[str, Any]) -> Iterator[str]:
    """The cells of a license in the order of `LIST_COLUMNS`, as the server spells them."""
    told = dict(zip(DETAILS, details(license_), strict=True))
    tags = license_.get("tags")
    told |= {
        "license_id": license_["id"].lower(),
        "license_key": text(license_.get("key")),
        "created_at": moment(license_.get("createdAt")),
        "revoked": text(license_.get("revoked")),
        "suspended": text(license_.get("suspended")),
        "reseller": name(license_, "reseller"),
        "tags": "; ".join(map(text, tags)) if isinstance(tags, list) else "",
    }
    return map(told.__getitem__, LIST_COLUMNS)
