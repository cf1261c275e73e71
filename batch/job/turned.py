"""The licenses that a run has turned, read from its results: what `restore` takes back."""

from __future__ import annotations

import math
from array import array
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from batch.api.retrying_client import LATE
from batch.errors import InputError
from batch.formatting import counted
from batch.input.selection import Selection
from batch.model import SETS, Listing, Outcome, Property, id_text
from batch.results.csv_file import Recorded
from batch.results.manifest import Manifest, file_sha256, manifest_path, read_manifest

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from batch.model import Condition


_IN_DOUBT = frozenset({Outcome.UNKNOWN, Outcome.PLANNED})


@dataclass(frozen=True, slots=True)
class Late:
    """Licenses that the run which is taken back may still change.

    A request that got no answer may be carried out until a while after it was sent. Its repetition
    may have been answered: that it is still under way cannot be seen by reading.

    Attributes:
        licenses: How many they may be.
        until: When that is over, in seconds since 1970 on this host's clock.
    """

    licenses: int = 0
    until: float = -math.inf


@dataclass(frozen=True, slots=True)
class Turned:
    """The licenses that a run has turned: from not revoked to revoked, or the like.

    Attributes:
        listing: These licenses, with their row numbers in that run's input.
        doubtful: Entries that are in doubt, and must be read before they are touched.
        late: What it may still turn.
        manifest: That run's manifest.
    """

    listing: Listing
    doubtful: frozenset[int]
    late: Late
    manifest: Manifest


def read_turned(path: Path, *, include_unknown: bool, where: Sequence[Condition] = ()) -> Turned:
    """Read which licenses a run has turned: from not revoked to revoked, or the like.

    Args:
        path: The results file of ``bulk-revoke run`` or ``suspend``.
        include_unknown: Take those too that it may have turned: what they were before is not
            known, or whether the PATCH was applied.
        where: Conditions that all hold in the rows that are meant.

    Raises:
        InputError: It is not the results of a run, or there is nothing to restore.
        ResultsError: It cannot be read.
    """
    manifest = _manifest_of_run(path)
    recorded = Recorded.read(path)
    if SETS[recorded.changes].command != manifest.command:
        raise InputError(
            f"{path}: its columns are not those of the results of bulk-revoke {manifest.command}",
            hint="put the file back as the run has written it.",
        )
    sha256 = file_sha256(path)
    if recorded.damaged and not len(recorded):
        raise InputError(
            f"{path}: not one of its {counted(recorded.damaged, 'line')} can be read",
            hint="put the file back as the run has written it.",
        )
    if recorded.is_journal and not include_unknown:
        raise InputError(
            f"{path}: run {manifest.run_id} has not come to its end: "
            f"{counted(recorded.count(Outcome.PLANNED), 'row')} may or may not have been sent",
            hint=f"--include-unknown reads them, and restores those that are {recorded.changes}"
            " now.",
        )
    entries, doubtful, left_out = _choose(recorded, include_unknown=include_unknown)
    if not entries:
        raise _nothing(path, manifest.run_id, recorded.changes, {} if include_unknown else left_out)
    changed = manifest.results.get("sha256", sha256) != sha256
    listing = Listing(
        title=f"{path}, run {manifest.run_id}",
        rows=array("I", (recorded.rows[place] for place in entries)),
        ids=b"".join(recorded.id_bytes(place) for place in entries),
        first=array("I", range(len(entries))),
        left_out=left_out,
        warnings=_warnings(path, recorded.damaged, left_out, changed=changed),
        sha256=sha256,
    )
    if where:
        selection = _select(recorded, entries, where)
        listing.where, listing.unselected = selection.where, bytes(selection.unselected)
    may_be_late = sum(
        recorded.attempts[place] > 1 or recorded.outcome(place) in _IN_DOUBT
        for entry, place in enumerate(entries)
        if listing.is_selected(entry)
    )
    late = Late(may_be_late, _end_of(path, manifest) + LATE)
    return Turned(listing, frozenset(doubtful), late, manifest)


def _end_of(path: Path, manifest: Manifest) -> float:
    """When a run has ended, or was killed, in seconds since 1970."""
    ends = [each.finished_at for each in manifest.sessions]
    with suppress(ValueError):
        if all(ends):
            return max(datetime.fromisoformat(end).timestamp() for end in ends)
    return path.stat().st_mtime


def _manifest_of_run(path: Path) -> Manifest:
    """Return the manifest of results that may be restored.

    Raises:
        InputError: It is not the results of a run.
    """
    manifest = read_manifest(path)
    if manifest is None:
        raise InputError(
            f"{path}: its manifest {manifest_path(path).name} is missing: it is not known what "
            "this is",
            hint="put it back beside the results; or name the results file of a run.",
        )
    commands = [action.command for action in SETS.values()]
    if manifest.command not in commands:
        raise InputError(
            f"{path}: these are the results of bulk-revoke {manifest.command}, which has nothing to"
            " take back",
            hint=f"name the results file of bulk-revoke {' or '.join(commands)}.",
        )
    if manifest.options.get("dry_run"):
        raise InputError(
            f"{path}: these are the results of a dry run, which has sent nothing: there is nothing"
            " to take back",
            hint=f"name the results that bulk-revoke {manifest.command} has written without"
            " --dry-run.",
        )
    return manifest


def _select(recorded: Recorded, entries: Sequence[int], where: Sequence[Condition]) -> Selection:
    """Tell which of some licenses are meant, by what their rows carry.

    Args:
        recorded: The results.
        entries: Place of the first row of each license.
        where: Conditions that all hold in the rows that are meant.

    Raises:
        InputError: None is, or one by one of its rows and not by another.
    """
    title, width = str(recorded.path), len(recorded.header)
    of_all = Selection(title, where, recorded.header, width, in_results=True)
    at = {recorded.id_bytes(place): entry for entry, place in enumerate(entries)}
    # The first rows of all licenses, then those that repeat one.
    places, first = [*entries], [*at.values()]
    chosen = set(entries)
    for place in range(len(recorded)):
        entry = at.get(recorded.id_bytes(place))
        if entry is not None and place not in chosen:
            places.append(place)
            first.append(entry)
    for cells in recorded.cells(places):
        of_all.add(cells)
    of_all.refuse_none()
    of_all.refuse_divided(
        [recorded.rows[place] for place in places],
        first,
        lambda index: id_text(recorded.id_bytes(places[index])),
    )
    del of_all.unselected[len(entries) :]
    return of_all


def _choose(
    recorded: Recorded, *, include_unknown: bool
) -> tuple[list[int], set[int], dict[str, int]]:
    """Choose the rows to restore.

    Returns:
        Their places in the results, the indexes of those in doubt, and the number of rows that are
        left out, by their outcome.
    """
    chosen: list[int] = []
    doubtful: set[int] = set()
    left_out: dict[str, int] = {}
    known: set[bytes] = set()
    done = SETS[recorded.changes].on_success
    for place in range(len(recorded)):
        outcome, was = recorded.outcome(place), recorded.was_so(place)
        is_ours = outcome is done and was is False
        in_doubt = not is_ours and was is not True and outcome in {done, *_IN_DOUBT}
        license_id = recorded.id_bytes(place)
        if license_id in known:
            continue  # a row that repeats one that is restored
        if any(license_id) and (is_ours or (in_doubt and include_unknown)):
            known.add(license_id)
            if in_doubt:
                doubtful.add(len(chosen))
            chosen.append(place)
        else:
            name = "unknown before" if in_doubt and outcome is done else str(outcome)
            left_out[name] = left_out.get(name, 0) + 1
    return chosen, doubtful, left_out


def _warnings(
    path: Path, damaged: int, left_out: dict[str, int], *, changed: bool
) -> tuple[str, ...]:
    warnings = []
    if damaged:
        warnings.append(
            f"{counted(damaged, 'line')} of {path} cannot be read, and"
            f" {'is' if damaged == 1 else 'are'} left out"
        )
    if changed:
        warnings.append(f"{path} was changed since its run ended; what it says now counts")
    doubtful = left_out.get(Outcome.UNKNOWN, 0) + left_out.get("unknown before", 0)
    if doubtful:
        warnings.append(
            f"{counted(doubtful, 'row')} may have been turned by that run as well, and"
            f" {'is' if doubtful == 1 else 'are'} left out: --include-unknown reads and takes them"
        )
    return tuple(warnings)


def _nothing(path: Path, run_id: str, changes: Property, left_out: dict[str, int]) -> InputError:
    """Return an error that says why there is nothing to restore.

    Where it is only not known, its hint says how to restore all the same.
    """
    if left_out.keys() & {Outcome.UNKNOWN, "unknown before"}:
        return InputError(
            f"{path}: it is not known of any license that run {run_id} has turned it from not"
            f" {changes} to {changes}",
            hint="--include-unknown takes those of which it is not known; they are read first.",
        )
    return InputError(
        f"{path}: run {run_id} has turned no license from not {changes} to {changes}",
        hint="there is nothing to restore.",
    )
