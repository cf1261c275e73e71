"""What a run has revoked: its results file, as the input of a restore."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from batch import manifest
from batch.errors import InputError
from batch.model import Listing, Outcome
from batch.recorded import Recorded
from batch.text import counted

if TYPE_CHECKING:
    from pathlib import Path

    from batch.manifest import Manifest

_IN_DOUBT = frozenset({Outcome.UNKNOWN, Outcome.PLANNED})


def read_revoked(path: Path, *, include_unknown: bool) -> tuple[Listing, set[int], Manifest]:
    """The licenses that a run has turned from not revoked to revoked.

    Args:
        path: The results file of ``bulk-revoke run``.
        include_unknown: Take those too that it may have turned: what they were before is not
            known, or whether the PATCH was applied.

    Returns:
        The licenses, with their row numbers in that run's input; the entries that are in doubt
        and must be read before they are touched; and the run's manifest.

    Raises:
        InputError: It is not the results of a run, or there is nothing to restore.
        ResultsError: It cannot be read.
    """
    paper = manifest.read(path)
    if paper is None:
        raise InputError(
            f"{path}: its manifest {manifest.path_for(path).name} is missing: it is not known what "
            "this is",
            hint="put it back beside the results; or name the results file of a run.",
        )
    if paper.command != "run":
        raise InputError(
            f"{path}: these are the results of bulk-revoke {paper.command}, which has revoked"
            " nothing",
            hint="name the results file of bulk-revoke run.",
        )
    recorded = Recorded.read(path)
    sha256 = manifest.sha256(path)
    if recorded.damaged and not len(recorded):
        raise InputError(
            f"{path}: not one of its {counted(recorded.damaged, 'line')} can be read",
            hint="put the file back as the run has written it.",
        )
    if recorded.is_journal and not include_unknown:
        raise InputError(
            f"{path}: run {paper.run_id} has not come to its end: "
            f"{counted(recorded.count(Outcome.PLANNED), 'row')} may or may not have been sent",
            hint="--include-unknown reads them, and restores those that are revoked now.",
        )
    entries, doubtful, left_out = _choose(recorded, include_unknown=include_unknown)
    if not entries:
        raise _nothing(path, paper.run_id, {} if include_unknown else left_out)
    changed = paper.results.get("sha256", sha256) != sha256
    return (
        Listing(
            title=f"{path}, run {paper.run_id}",
            rows=array("I", (recorded.rows[place] for place in entries)),
            ids=b"".join(recorded.id_bytes(place) for place in entries),
            first=array("I", range(len(entries))),
            left_out=left_out,
            warnings=_warnings(path, recorded.damaged, left_out, changed=changed),
            sha256=sha256,
        ),
        doubtful,
        paper,
    )


def _choose(
    recorded: Recorded, *, include_unknown: bool
) -> tuple[list[int], set[int], dict[str, int]]:
    """Places of the rows to restore, which of them are in doubt, and what is left out."""
    chosen: list[int] = []
    doubtful: set[int] = set()
    left_out: dict[str, int] = {}
    known: set[bytes] = set()
    for place in range(len(recorded)):
        outcome, was = recorded.outcome(place), recorded.was_revoked(place)
        is_ours = outcome is Outcome.REVOKED and was is False
        in_doubt = not is_ours and was is not True and outcome in {Outcome.REVOKED, *_IN_DOUBT}
        license_id = recorded.id_bytes(place)
        if license_id in known:
            continue  # a row that repeats one that is restored
        if any(license_id) and (is_ours or (in_doubt and include_unknown)):
            known.add(license_id)
            if in_doubt:
                doubtful.add(len(chosen))
            chosen.append(place)
        else:
            name = "unknown before" if in_doubt and outcome is Outcome.REVOKED else str(outcome)
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


def _nothing(path: Path, run_id: str, left_out: dict[str, int]) -> InputError:
    """Why there is nothing to restore; where it is only not known, how to restore all the same."""
    if left_out.keys() & {Outcome.UNKNOWN, "unknown before"}:
        return InputError(
            f"{path}: it is not known of any license that run {run_id} has turned it from not"
            " revoked to revoked",
            hint="--include-unknown takes those of which it is not known; they are read first.",
        )
    return InputError(
        f"{path}: run {run_id} has turned no license from not revoked to revoked",
        hint="there is nothing to restore.",
    )
