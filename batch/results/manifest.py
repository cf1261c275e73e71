"""The manifest of a run: who ran what, when and why, beside the results file.

The file ``<results>.run.json`` is replaced as a whole whenever it changes.
"""

from __future__ import annotations

import getpass
import hashlib
import json
import os
import re
import secrets
import socket
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batch import __version__
from batch.errors import ResultsError
from batch.host.files import replacing

if TYPE_CHECKING:
    from collections.abc import Mapping


_NUMBERS = re.compile(r"(?<=\[)\n[-\d.,\s]+(?=\])")
"""A list of numbers as `json` writes it, without its brackets."""


def user_name() -> str:
    """Return the user's name; the number where a minimal system has no name for it."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return str(os.getuid()) if hasattr(os, "getuid") else ""


def _working_directory() -> str:
    try:
        return str(Path.cwd())
    except OSError:  # somebody has deleted it
        return ""


def manifest_path(results: Path) -> Path:
    """Return the path of the manifest of a results file."""
    return results.parent / f"{results.name}.run.json"


@dataclass(slots=True)
class SessionRecord:
    """One process that worked on a run; a run that was gone on with has several.

    Attributes:
        started_at: UTC, ISO 8601.
        finished_at: The same; empty while it goes on, and for good if it was killed.
        exit_code: The process's exit code, or None as long as there is none.
        requests: Requests sent, all kinds and retries included.
        patches: PATCH requests sent.
        throttled: Answers with status 429.
        counts: Rows by outcome at its end.
        stopped: Why it ended early; empty if it did not.
        why: The same without what servers have said, which may hold a license key.
        sent_from: When it began to ask the server, from which its minutes count: UTC, ISO 8601.
        minutes: Of each minute in which anything was: its number, counted from 0, requests, answers
            that refused whatever was sent, seconds of pause, and seconds in which the server was
            down. Empty if it was killed.
    """

    started_at: str
    finished_at: str = ""
    exit_code: int | None = None
    requests: int = 0
    patches: int = 0
    throttled: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    stopped: str = ""
    why: str = ""
    sent_from: str = ""
    minutes: list[list[float]] = field(default_factory=list)


@dataclass(slots=True)
class Manifest:
    """The record of a run that is written beside the results.

    Attributes:
        run_id: Names the run in messages and logs; random.
        command: The command's name, such as ``run``.
        api: Base URL of the API.
        reason: Why, in the user's words; each that was given, in their order.
        rehearsal: Whether the API was the sandbox.
        options: What was set, without secrets.
        input: Path, SHA-256 and what was taken from it.
        results: Path of the results file, whether it has the columns of ``--details``, and its
            SHA-256 once the run has come to an orderly end.
        approved: Path and SHA-256 of the file of ``--approved``; empty where there is none.
        directory: Working directory, from which relative paths count; empty if there was none.
        sessions: One for each process, in order.
    """

    run_id: str
    command: str
    api: str
    reason: str
    rehearsal: bool
    options: Mapping[str, Any]
    input: Mapping[str, Any]
    results: dict[str, Any]
    tool: str = f"bulk-revoke {__version__}"
    user: str = field(default_factory=user_name)
    host: str = field(default_factory=socket.gethostname)
    approved: Mapping[str, Any] = field(default_factory=dict)
    directory: str = field(default_factory=_working_directory)
    sessions: list[SessionRecord] = field(default_factory=list)

    def add_reason(self, reason: str) -> None:
        """Keep why a run is gone on with beside why it was begun, if that says anything new."""
        if f"; {reason}; " not in f"; {self.reason}; ":
            self.reason = "; ".join(filter(None, (self.reason, reason)))

    def write(self, path: Path) -> None:
        """Replace the file at once by what is known now.

        Raises:
            OSError: The old file, if any, stands as it was.
        """
        text = json.dumps(asdict(self), indent=2, ensure_ascii=False)
        # A line for each minute. No text holds a line break: JSON spells it otherwise.
        text = _NUMBERS.sub(lambda found: " ".join(found[0].split()), text)
        with replacing(path) as file:
            # A file name that is no UTF-8 has lone surrogates: JSON can spell them, UTF-8 cannot.
            file.write(text.encode(errors="backslashreplace") + b"\n")


def read_manifest(results: Path) -> Manifest | None:
    """The manifest of a results file; None if there is none.

    Raises:
        ResultsError: It cannot be read, or is none.
    """
    path = manifest_path(results)
    try:
        data = json.loads(path.read_bytes())
        sessions = [SessionRecord(**_known(SessionRecord, each)) for each in data["sessions"]]
        found = Manifest(**_known(Manifest, data) | {"sessions": sessions})
        _check_types(found, _BLANK)
        for each in sessions:
            _check_types(each, _BLANK_SESSION)
        looked_into = (
            found.input["sha256"],
            found.results.get("path", ""),
            found.results.get("sha256", ""),
            *(found.options.get("carry") or ()),
            *(found.options.get("where") or ()),
        )
        "".join(looked_into)  # which only goes with texts
    except FileNotFoundError:
        return None
    except OSError as cause:
        raise ResultsError(f"{path}: cannot be read: {cause.strerror}") from cause
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as cause:
        raise ResultsError(
            f"{path}: is no manifest of bulk-revoke",
            hint="is it the file that the run has written?",
        ) from cause
    return found


def manifest_of(results: Path) -> Manifest:
    """The manifest of a results file, where nothing can be done without it.

    Raises:
        ResultsError: There is none, or it cannot be read.
    """
    found = read_manifest(results)
    if found is None:
        raise ResultsError(
            f"{results}: has no manifest ({manifest_path(results).name}) beside it",
            hint="name the results file of a run; the manifest has to be moved together with it.",
        )
    return found


_BLANK_SESSION = SessionRecord("")
_BLANK = Manifest(
    "", "", "", "", rehearsal=False, options={}, input={}, results={},
    tool="", user="", host="", directory="",
)  # fmt: skip
"""What has the types that a manifest must have."""


def _check_types(found: Manifest | SessionRecord, like: Manifest | SessionRecord) -> None:
    """Check that what somebody may have edited is of the types that are looked into.

    Raises:
        TypeError: A field is of another type than in ``like``; None there stands for a number.
    """
    for each in fields(like):
        value, wanted = getattr(found, each.name), getattr(like, each.name)
        if type(value) is not type(wanted) and not (wanted is None and type(value) is int):
            raise TypeError(each.name)


def _known(kind: type, data: Mapping[str, Any]) -> dict[str, Any]:
    """Those fields that this version knows; a later one may have written more."""
    return {each.name: data[each.name] for each in fields(kind) if each.name in data}


def manifest_if_any(results: Path) -> Manifest | None:
    """The manifest of a results file; None also where what stands in its place cannot be read."""
    try:
        return read_manifest(results)
    except ResultsError:
        return None


def run_id_of(results: Path) -> str:
    """The name of the run that a results file is of; empty if that cannot be told."""
    manifest = manifest_if_any(results)
    return manifest.run_id if manifest else ""


def new_run_id() -> str:
    """A name for a run: eight hexadecimal digits."""
    return secrets.token_hex(4)


def file_sha256(path: Path) -> str:
    """Hex digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
