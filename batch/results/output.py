"""The place of the results, and the fate of what stands there: nothing is ever written over."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from batch.errors import Detail, ResultsError
from batch.host.files import replacing, try_out
from batch.input.file import WORKBOOK_ENDINGS
from batch.results.csv_file import Recorded
from batch.results.journal import Journal
from batch.results.manifest import (
    Manifest,
    SessionRecord,
    file_sha256,
    manifest_if_any,
    manifest_path,
    read_manifest,
)
from batch.settings import parse_where

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from batch.host.claim import Claim
    from batch.model import Listing, Property, RowResult
    from batch.results.details import Details
    from batch.settings import Settings


@dataclass(frozen=True, slots=True, eq=False)
class Earlier:
    """The files that earlier sessions of a run have left.

    Attributes:
        recorded: What its results file says of each row.
        manifest: Its manifest.
    """

    recorded: Recorded
    manifest: Manifest

    @property
    def has_details(self) -> bool:
        """Tell whether the results have the columns `DETAILS`."""
        return self.manifest.results.get("details") is True


def check(settings: Settings, *, command: str = "run", resumable: bool = True) -> None:
    """Refuse a place where the results cannot go, before anything is read or asked.

    Args:
        settings: Where.
        command: The command's name.
        resumable: Whether the command can go on with what stands there.

    Raises:
        ResultsError: Nothing was written.
    """
    path = settings.output
    try:
        _check_path(path)
        exists = path.exists() or path.is_symlink()
        has_manifest = manifest_path(path).exists()
    except OSError as cause:
        raise ResultsError(
            f"{path}: cannot be written: {cause.strerror}",
            hint="name another place with --output.",
        ) from cause
    if settings.resume or settings.overwrite:
        return
    if (exists or has_manifest) and not replaces_trial(settings, command):
        older = manifest_if_any(path)
        resumable = resumable and _is_resumable(older, settings, command)
        raise ResultsError(
            f"{path if exists else manifest_path(path)}: exists already{_origin(older)}",
            hint="--resume goes on with the run that wrote it; " * resumable
            + "name another file with --output; {date} in it makes one for each day. "
            + "--overwrite starts again and keeps the old file under another name"
            + ", which a restore then needs too" * resumable
            + ".",
        )


def _is_resumable(older: Manifest | None, settings: Settings, command: str) -> bool:
    """Tell whether ``--resume`` may go on with the run of a manifest, if there is one."""
    return (
        older is not None
        and older.command == command
        and older.rehearsal == settings.sandbox
        and not older.options.get("dry_run")
    )


def _origin(older: Manifest | None) -> str:
    """What has written the results of a manifest, and when it began; empty if nobody knows."""
    if older is None:
        return ""
    of = f"bulk-revoke {older.command}"
    if older.rehearsal or older.options.get("dry_run"):
        of = f"{'a rehearsal' if older.rehearsal else 'a dry run'} of {of}"
    began = "".join(f", {each.started_at[:10]}" for each in older.sessions[:1])
    return f", from {of}{began}"


def replaces_trial(settings: Settings, command: str) -> bool:
    """Tell whether what stands there may be set aside although nobody has said ``--overwrite``.

    It may if both this command and the one that has written it are trials of the same name: they
    have changed no license, so that nobody needs the older one to take anything back.
    """
    is_trial = _is_trial(command, dry_run=settings.dry_run, rehearsal=settings.sandbox)
    if settings.resume or not is_trial:
        return False
    older = manifest_if_any(settings.output)
    return (
        older is not None
        and older.command == command
        and _is_trial(command, dry_run=older.options.get("dry_run"), rehearsal=older.rehearsal)
    )


def _is_trial(command: str, *, dry_run: object, rehearsal: object) -> bool:
    return command == "verify" or bool(dry_run) or bool(rehearsal)


def _check_path(path: Path) -> None:
    if path.is_dir():
        raise ResultsError(f"{path}: is a directory", hint="name a file with --output.")
    if path == Path("-"):
        raise ResultsError(
            "-: results go into a file, which a restore needs",
            hint="name a file with --output; --json prints a summary.",
        )
    if path.suffix.lower() in {".gz", *WORKBOOK_ENDINGS}:
        raise ResultsError(
            f"{path}: results are written as CSV, not as {path.suffix}",
            hint="name a file that ends in .csv with --output.",
        )
    if not path.parent.is_dir():
        raise ResultsError(f"{path}: no such directory: {path.parent}", hint="make it first.")
    try_out(path)


def earlier(settings: Settings) -> Earlier | None:
    """Read what ``--resume`` goes on with; None if it is a start.

    Raises:
        ResultsError: What stands there cannot be gone on with.
    """
    path = settings.output
    if not settings.resume:
        return None
    manifest = read_manifest(path)
    if not path.exists():
        if manifest is None or not manifest.results.keys() & {"begun", "sha256"}:
            return None  # it had not yet come to its results
        raise ResultsError(
            f"{path}: is missing, but the manifest of run {manifest.run_id} stands beside its"
            " place",
            hint="put it back; or start again with --overwrite, which keeps that manifest under "
            "another name.",
        )
    if manifest is None:
        raise ResultsError(
            f"{path}: its manifest {manifest_path(path).name} is missing:"
            " it is not known which run this is",
            hint="put it back, or start again with --overwrite: what is done is not sent again.",
        )
    recorded = Recorded.read(path)
    if "sha256" in manifest.results and file_sha256(path) != manifest.results["sha256"]:
        raise ResultsError(
            f"{path}: was changed since run {manifest.run_id} ended: it is not known any more what "
            "was done",
            hint="put the file back as it was, or start again with --overwrite: what is done "
            "is not sent again.",
        )
    return Earlier(recorded, manifest)


def check_same_run(
    found: Earlier,
    settings: Settings,
    *,
    command: str,
    api: str,
    sha256: str,
    approved: str = "",
    mismatch: str,
) -> None:
    """Refuse to go on with a run that was about something else.

    Args:
        found: What earlier sessions have left.
        settings: Where.
        command: The command's name.
        api: What the manifest would name as the API.
        sha256: Hex digest of the input.
        approved: Hex digest of the file of ``--approved``; empty where there is none.
        mismatch: Why the rows are not the same, or empty.

    Raises:
        ResultsError: Nothing was sent.
    """
    manifest = found.manifest
    differs = ""
    details: list[Detail] = []
    if manifest.command != command:
        differs = f"that is a run of bulk-revoke {manifest.command}"
    elif manifest.options.get("dry_run"):
        differs = "that was a dry run, which has sent nothing"
    elif manifest.api != api:
        differs = f"that run is about {manifest.api}, this one about {api}"
    elif manifest.input["sha256"] != sha256:
        path = manifest.input.get("path")
        differs = f"its run had another input, or that file was changed since: {path}"
    elif str(manifest.approved.get("sha256", "")) != approved:
        differs = "its run had another --approved, or that file was changed since"
        details = [Detail("It was ", str(manifest.approved.get("path", "none")))]
    elif left_out := set(manifest.options.get("carry") or ()) - set(settings.carry):
        differs = "its run has carried other columns, which would be lost"
        details = [Detail("--carry ", each) for each in sorted(map(str, left_out))]
    elif (then := _where(manifest)) != {str(each) for each in settings.where}:
        differs = "its run had another --where"
        details = [Detail("It was ", ", ".join(sorted(then)) or "none")]
    elif mismatch:
        differs = f"the input is read in another way than then: {mismatch}"
    if differs:
        raise ResultsError(
            f"{settings.output}: --resume cannot go on with it: {differs}",
            details=details,
            hint="repeat it as it was then, with --resume; or go on under another --output: what "
            "is done is seen and not sent again. Keep this file, a restore needs it.",
        )


def _where(manifest: Manifest) -> set[str]:
    """Return the conditions of a run, in no order; one of an older version has none."""
    return {str(parse_where(str(each))) for each in manifest.options.get("where") or ()}


def begin(
    settings: Settings,
    listing: Listing,
    was: bytearray,
    row_results: Sequence[RowResult | None],
    found: Earlier | None,
    manifest: Manifest,
    *,
    started_at: str,
    changes: Property,
    details: Details | None = None,
    redact: Callable[[str], str],
    claim: Claim | None = None,
) -> Journal:
    """Put manifest and plan on the disk: what is known of each row is there before a PATCH.

    Args:
        settings: Where.
        listing: The input's entries.
        was: As `Journal` takes it.
        row_results: How each entry stands before the first PATCH; None for one that stays as an
            earlier session has left it.
        found: What earlier sessions have left, if this goes on with them.
        manifest: The run's manifest; it gets a session of its own.
        started_at: When that session began: the command, not its first PATCH.
        changes: The property that the run is about.
        details: As `Journal` takes them.
        redact: Takes secrets out of a text from outside.
        claim: As `Journal` takes it.

    Raises:
        ResultsError: They cannot be written; nothing was sent.
    """
    path = settings.output
    before = manifest_path(path).read_bytes() if found else b""
    journal = Journal(
        path, listing, was, changes=changes, details=details, redact=redact, claim=claim
    )
    manifest.results.pop("sha256", None)
    manifest.results["details"] = details is not None
    manifest.sessions.append(SessionRecord(started_at=started_at))
    if found is None:
        _make_room(settings, manifest.command)
    try:
        # The manifest first: without it the results could not be gone on with.
        manifest.write(manifest_path(path))
        if found is None:
            journal.create(row_results)
            # From now on the results are somewhere, also if they are not found here.
            manifest.results["begun"] = manifest.sessions[-1].started_at
            manifest.write(manifest_path(path))
        else:
            journal.resume(found.recorded, row_results)
    except BaseException as cause:
        _take_back(journal, found, before)
        journal.close()
        if not isinstance(cause, OSError):
            raise
        raise ResultsError(
            f"{path}: cannot be written: {cause.strerror}",
            hint="name another place with --output; nothing was sent.",
        ) from cause
    return journal


def _make_room(settings: Settings, command: str) -> None:
    """Set aside what stands where new results go, where they may take its place.

    Raises:
        ResultsError: It may not go, or cannot.
    """
    path = settings.output
    is_to_go = settings.overwrite or replaces_trial(settings, command)
    if is_to_go or not path.exists():
        set_aside(path)  # also the manifest of a start that has come to nothing
    if os.path.lexists(path):
        raise ResultsError(
            f"{path}: cannot be written: it has appeared meanwhile",
            hint="name another place with --output; nothing was sent.",
        )


def _take_back(journal: Journal, found: Earlier | None, before: bytes) -> None:
    """Leave results and manifest as they were, as far as that is possible.

    Args:
        journal: What was to be begun, or gone on with.
        found: What earlier sessions have left.
        before: Their manifest.
    """
    with suppress(OSError):
        if found is None and not journal.path.exists():
            manifest_path(journal.path).unlink()
        elif found is not None:  # what it says of the results is to be so again
            journal.cut_back(found.recorded.size)
            with replacing(manifest_path(journal.path)) as file:
                file.write(before)


def set_aside(path: Path) -> None:
    """Rename a results file and its manifest, so that others can take their place.

    Raises:
        ResultsError: They stand as they were.
    """
    manifest = manifest_path(path)
    try:
        if not path.exists() and not manifest.exists():
            return
        old = _free_name(path, _start_of(path))
        if path.exists():
            path.rename(old)
        try:
            if manifest.exists():
                manifest.rename(manifest_path(old))
        except OSError:
            old.rename(path)
            raise
    except OSError as cause:
        raise ResultsError(
            f"{path}: cannot be renamed: {cause.strerror}", hint="name another --output."
        ) from cause


def _start_of(path: Path) -> str:
    """Return when a run began, for a file name; when its file changed, if that is not known."""
    try:
        manifest = read_manifest(path)
        moment = datetime.fromisoformat(manifest.sessions[0].started_at) if manifest else None
    except (ResultsError, ValueError, IndexError, TypeError):
        moment = None
    if moment is None:
        there = path if path.exists() else manifest_path(path)
        moment = datetime.fromtimestamp(there.stat().st_mtime, UTC)
    return f"{moment.astimezone(UTC):%Y%m%dT%H%M%SZ}"


def _free_name(path: Path, start: str) -> Path:
    number = 1
    while True:
        name = f"{path.name}.bak-{start}" + (f"-{number}" if number > 1 else "")
        old = path.with_name(name)
        if not old.exists() and not manifest_path(old).exists():
            return old
        number += 1
