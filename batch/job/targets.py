"""The subject of a command: the licenses of its input, and those that are never to be touched."""

from __future__ import annotations

import math
from array import array
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from batch.api.retrying_client import LATE
from batch.errors import ConfigError, InputError, ResultsError
from batch.formatting import counted, plain
from batch.input.approval import Approval
from batch.input.exclusion import Exclusion
from batch.input.file import STDIN
from batch.input.listing import read_listing
from batch.input.selection import Selection
from batch.model import (
    NOT_SO,
    REVOKE,
    SETS,
    SUSPEND,
    UNFINISHED,
    Action,
    Listing,
    Outcome,
    Property,
    id_text,
)
from batch.results.csv_file import Recorded
from batch.results.manifest import Manifest, file_sha256, manifest_path, read_manifest

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from batch.model import Condition
    from batch.settings import Settings


def _of_results(action: Action) -> dict[Property, Collection[Outcome]]:
    """The outcomes of the rows that are taken from results, by the property that they are about."""
    not_so = NOT_SO[action.changes]
    if action.command == REVOKE.command:
        return {action.changes: UNFINISHED | {not_so}, SUSPEND.changes: {SUSPEND.on_success}}
    if not action.only_reads:
        return {action.changes: UNFINISHED | {not_so}}
    done = SETS[action.changes]
    settled = {done.on_success, done.unchanged, Outcome.ALREADY_REVOKED, Outcome.VERIFIED}
    return {action.changes: UNFINISHED | settled | {Outcome.NOT_FOUND, not_so}}


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


@dataclass(frozen=True, slots=True, eq=False)
class Targets:
    """Licenses and what is known of them before anybody is asked.

    Attributes:
        listing: The input's entries.
        exclusion: What the files of ``--exclude`` hold.
        excluded: Entries, each the first one of its license, that are never touched, with the
            indexes of the files that protect them, none of it where they are not approved; the look
            may find more.
        approval: What the file of ``--approved`` approves; None where there is none.
        doubtful: Entries that are touched only if they were read before.
        late: What is to be waited for before anything is read or touched.
    """

    listing: Listing
    exclusion: Exclusion
    excluded: Mapping[int, tuple[int, ...]]
    doubtful: frozenset[int] = frozenset()
    late: Late = field(default_factory=Late)
    approval: Approval | None = None


@dataclass(frozen=True, slots=True)
class Turned:
    """The licenses that a run has turned: from not revoked to revoked, or the like.

    Attributes:
        listing: They, with their row numbers in that run's input.
        doubtful: Entries that are in doubt, and must be read before they are touched.
        late: What it may still turn.
        manifest: That run's manifest.
    """

    listing: Listing
    doubtful: frozenset[int]
    late: Late
    manifest: Manifest


def read_targets(action: Action, settings: Settings, *, api: str, begun: str = "") -> Targets:
    """Read what a command is about.

    Args:
        action: What is wanted of each license.
        settings: From where.
        api: What a manifest would name as the API.
        begun: When the command began, as a timestamp; by default now.

    Raises:
        InputError: The input, or a file of ``--exclude`` or ``--approved``, cannot be used.
        ConfigError: Those licenses are elsewhere.
    """
    turned = None
    if not action.wanted:
        turned = read_turned(
            Path(settings.input), include_unknown=settings.include_unknown, where=settings.where
        )
        _check_api(settings, action, turned.manifest, api)
        listing = turned.listing
    else:
        _check_manifest(settings, action, api)
        listing = _listed(action, settings, begun)
    exclusion = Exclusion.read(settings.exclude, listing)
    if exclusion.needs_keys and not (settings.look or listing.keys):
        raise ConfigError(
            "needs to look at the licenses where a file has rows without a license ID:"
            " only the server knows the keys that may stand there",
            option="--exclude",
            hint="leave out --no-look; or name files that hold an ID in each row below the header.",
        )
    protected = exclusion.among(listing)
    excluded = {entry: by for entry, by in protected.items() if listing.is_selected(entry)}
    approval = _approval(settings, action, api)
    if approval is not None:
        excluded = approval.unapproved(listing) | excluded
    if turned is None:
        return Targets(listing, exclusion, excluded, approval=approval)
    return Targets(listing, exclusion, excluded, turned.doubtful, turned.late, approval)


def _approval(settings: Settings, action: Action, api: str) -> Approval | None:
    """Read the file of ``--approved``, if there is one.

    The manifest does not travel with a file that is sent to somebody; if it is there, it counts.

    Raises:
        InputError: It cannot be used, or it was a rehearsal.
        ConfigError: It is about licenses that are elsewhere.
    """
    if settings.approved is None:
        return None
    approval = Approval.read(settings.approved, action)
    try:
        manifest = read_manifest(Path(settings.approved))
    except ResultsError:
        manifest = None
    if manifest is None:
        return approval
    if manifest.rehearsal and not settings.sandbox:
        raise InputError(
            f"{settings.approved}: this is a rehearsal: what it says of the licenses is invented",
            option="--approved",
            hint="have the results of a dry run gone through that was made without --sandbox.",
        )
    if not manifest.options.get("dry_run") or manifest.command != action.command:
        raise InputError(
            f"{settings.approved}: its manifest is that of bulk-revoke {manifest.command}"
            + " --dry-run" * bool(manifest.options.get("dry_run")),
            option="--approved",
            hint=f"name the results of bulk-revoke {action.command} --dry-run.",
        )
    if manifest.api != api and not settings.sandbox:
        raise ConfigError(
            f"{settings.approved}: that dry run was about {manifest.api}, this {action.command} is"
            f" about {api}",
            option="--approved",
            hint=f"name that installation: --base-url {manifest.api}",
        )
    return approval


def _listed(action: Action, settings: Settings, begun: str) -> Listing:
    """Read an input that is a list, or the results of a run that it goes on from.

    Raises:
        InputError: It cannot be used.
        ConfigError: It needs a look.
    """
    listing = read_listing(
        settings.input,
        by=settings.by,
        column=settings.column,
        sheet=settings.sheet,
        carry=settings.carry,
        where=settings.where,
        skip_invalid=settings.skip_invalid,
        include_hidden=settings.include_hidden,
        header_row=settings.header_row,
        outcomes=_of_results(action),
        suspended_before=_suspended_before(settings, begun),
    )
    if listing.suspended_at is not None and not settings.look:
        raise ConfigError(
            "needs to look at the licenses: whether they are still suspended, only the server"
            " knows",
            option="--no-look",
            hint="leave it out.",
        )
    return listing


def _suspended_before(settings: Settings, started_at: str) -> float | None:
    """The moment of ``--older-than``, in seconds since 1970; None where there is none.

    It is counted from the start of the run: one that is gone on with is about the same rows.
    """
    if settings.older_than is None:
        return None
    begun = datetime.fromisoformat(started_at) if started_at else datetime.now(UTC)
    manifest = read_manifest(settings.output) if settings.resume else None
    if manifest is not None and manifest.sessions:
        with suppress(ValueError):
            begun = datetime.fromisoformat(manifest.sessions[0].started_at)
    return begun.timestamp() - settings.older_than


def is_stale(targets: Targets, settings: Settings) -> bool:
    """Tell whether the input may have changed since it was read, while the lock was waited for.

    Above all a restore: the run that was waited for may have turned more.
    """
    if STDIN in (settings.input, settings.approved, *settings.exclude):
        return False  # it can be read but once
    if (settings.exclude or settings.approved) and settings.wait is not None:
        return True
    try:
        return file_sha256(Path(settings.input)) != targets.listing.sha256
    except OSError:
        return True


def _check_api(settings: Settings, action: Action, manifest: Manifest, api: str) -> None:
    """Refuse results of a run that was about another installation, whose licenses are others."""
    if manifest.api == api or settings.sandbox:
        return
    hint = f"name that installation: --base-url {manifest.api}"
    if manifest.rehearsal:
        hint = "it was a rehearsal: nothing was changed, and only --sandbox can restore it."
    raise ConfigError(
        f"{settings.input}: that run was about {manifest.api}, this {action.command} is about"
        f" {api}",
        hint=hint,
    )


def _check_manifest(settings: Settings, action: Action, api: str) -> None:
    """Refuse results that are of elsewhere, or of what changed nothing, or something else."""
    try:
        manifest = read_manifest(Path(settings.input)) if settings.input != "-" else None
    except ResultsError:
        return  # what stands beside an input that is none of ours says nothing
    if manifest is None:
        return
    if manifest.rehearsal and not settings.sandbox:
        raise InputError(
            f"{settings.input}: these are the results of a rehearsal; nothing was changed",
            hint="take the list that was rehearsed.",
        )
    if manifest.options.get("dry_run"):
        raise InputError(
            f"{settings.input}: these are the results of a dry run, which has sent nothing",
            hint=f"name the list itself: {plain(str(manifest.input.get('path', '')))}; what"
            " somebody has approved in a dry run: --approved FILE.",
        )
    own = SETS[action.changes].command
    then = {SUSPEND.command} if action.command == REVOKE.command else set()
    if manifest.command not in {own, "verify", *then}:
        raise InputError(
            f"{settings.input}: these are the results of bulk-revoke {manifest.command}",
            hint=f"take the list that it was about, or the results of bulk-revoke {own}.",
        )
    _check_api(settings, action, manifest, api)


_IN_DOUBT = frozenset({Outcome.UNKNOWN, Outcome.PLANNED})


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


def told_by(action: Action, source: str) -> Action:
    """Return the action as the manifest of an earlier run says what that was about, if it does.

    Args:
        action: Takes back a run, or verifies it.
        source: The input, which may be the results of that run.
    """
    try:
        manifest = read_manifest(Path(source)) if source != "-" else None
    except ResultsError:
        manifest = None  # whoever needs it will say so
    if manifest is None:
        return action
    is_suspension = manifest.command == SUSPEND.command or manifest.options.get("suspended")
    return action.about(Property.SUSPENDED if is_suspension else action.changes)


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
    """Places of the rows to restore, which of them are in doubt, and what is left out."""
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
