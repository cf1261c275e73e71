"""The subject of a command: the licenses of its input, and those that are never to be touched.

A restore takes its licenses from the results of a run (`turned`), any other command from a list.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from batch.errors import ConfigError, InputError
from batch.formatting import plain
from batch.input.approval import Approval
from batch.input.exclusion import Exclusion
from batch.input.file import STDIN
from batch.input.listing import read_listing
from batch.job.turned import Late, read_turned
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
)
from batch.results.manifest import file_sha256, manifest_if_any, read_manifest

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from batch.results.manifest import Manifest
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


@dataclass(frozen=True, slots=True, eq=False)
class Targets:
    """The licenses of a command, and all that is known of them before the server is asked.

    Attributes:
        listing: The input's entries.
        exclusion: What the files of ``--exclude`` hold.
        excluded: Entries, each the first one of its license, that are never touched, with the
            indexes of the files that protect them (no index where a license is only not approved);
            the look may find more.
        approval: What the file of ``--approved`` approves; None where there is none.
        doubtful: Entries that are touched only if they were read before.
        late: Requests of the run that is taken back, which may still be carried out: they are
            waited for before anything is read.
    """

    listing: Listing
    exclusion: Exclusion
    excluded: Mapping[int, tuple[int, ...]]
    doubtful: frozenset[int] = frozenset()
    late: Late = field(default_factory=Late)
    approval: Approval | None = None


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
    manifest = manifest_if_any(Path(settings.approved))
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
            "is of no use with the results of a suspension: whether these licenses are still"
            " suspended, only the server knows",
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

    Raises:
        InputError: It has, and what came through a pipe beside it is gone.
    """
    if settings.input == STDIN:
        return False
    beside = (settings.approved, *settings.exclude)
    if any(beside) and STDIN not in beside and settings.wait is not None:
        return True
    try:
        is_changed = file_sha256(Path(settings.input)) != targets.listing.sha256
    except OSError:
        is_changed = True
    if is_changed and STDIN in beside:
        raise InputError(
            f"{settings.input}: was changed while another run was waited for",
            hint="repeat the command: what came through a pipe can be read but once.",
        )
    return is_changed


def _check_api(settings: Settings, action: Action, manifest: Manifest, api: str) -> None:
    """Refuse the results of a run on another installation."""
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
    """Refuse results of another installation or command, or of a run that changed nothing."""
    manifest = manifest_if_any(Path(settings.input)) if settings.input != STDIN else None
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


def told_by(action: Action, source: str) -> Action:
    """Return the action as the manifest of an earlier run says what that was about, if it does.

    Args:
        action: Takes back a run, or verifies it.
        source: The input, which may be the results of that run.
    """
    manifest = manifest_if_any(Path(source)) if source != STDIN else None
    if manifest is None:
        return action
    is_suspension = manifest.command == SUSPEND.command or manifest.options.get("suspended")
    return action.about(Property.SUSPENDED if is_suspension else action.changes)
