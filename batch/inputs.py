"""What a command is about: the licenses of its input, and those that are never to be touched."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from batch import manifest, source
from batch.errors import ConfigError, InputError, ResultsError
from batch.model import UNFINISHED, Outcome
from batch.revoked import read_revoked
from batch.source import Exclusion

if TYPE_CHECKING:
    from collections.abc import Mapping

    from batch.manifest import Manifest
    from batch.model import Action, Listing
    from batch.settings import Settings

_OF_RESULTS = {
    "run": UNFINISHED | {Outcome.NOT_REVOKED},
    "verify": UNFINISHED
    | {
        Outcome.REVOKED,
        Outcome.ALREADY_REVOKED,
        Outcome.NOT_FOUND,
        Outcome.NOT_REVOKED,
        Outcome.VERIFIED,
    },
}
"""Which rows a command takes where its input is the results file of an earlier run."""


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """Licenses and what is known of them before anybody is asked.

    Attributes:
        listing: The input's entries.
        exclusion: What the files of ``--exclude`` hold.
        excluded: Entries, each the first one of its license, that are never touched, with the
            indexes of the files that protect them; the look may find more.
        doubtful: Entries that are touched only if they were read before.
    """

    listing: Listing
    exclusion: Exclusion
    excluded: Mapping[int, tuple[int, ...]]
    doubtful: frozenset[int]


def read_task(action: Action, settings: Settings, *, api: str) -> Task:
    """Read what a command is about.

    Args:
        action: What is wanted of each license.
        settings: From where.
        api: What a manifest would name as the API.

    Raises:
        InputError: The input, or a file of ``--exclude``, cannot be used.
        ConfigError: Those licenses are elsewhere.
    """
    if not action.wanted:
        listing, doubtful, paper = read_revoked(
            Path(settings.input), include_unknown=settings.include_unknown
        )
        _check_api(settings, action, paper, api)
    else:
        _check_manifest(settings, action, api)
        listing = source.read(
            settings.input,
            by=settings.by,
            column=settings.column,
            sheet=settings.sheet,
            carry=settings.carry,
            skip_invalid=settings.skip_invalid,
            include_hidden=settings.include_hidden,
            outcomes=_OF_RESULTS[action.command],
        )
        doubtful = set()
    exclusion = Exclusion.read(settings.exclude, listing)
    if exclusion.needs_keys and not (settings.look or listing.keys):
        raise ConfigError(
            "--exclude needs to look at the licenses where a file has rows without a license ID:"
            " only the server knows the keys that may stand there",
            hint="leave out --no-look; or name files that hold an ID in each row below the header.",
        )
    return Task(listing, exclusion, exclusion.among(listing), frozenset(doubtful))


def is_stale(task: Task, settings: Settings) -> bool:
    """Whether the input may have changed since it was read, while the lock was waited for.

    Above all a restore: the run that was waited for may have revoked more.
    """
    if settings.input == "-":
        return False
    if settings.exclude and settings.wait is not None:
        return True
    try:
        return manifest.sha256(Path(settings.input)) != task.listing.sha256
    except OSError:
        return True


def _check_api(settings: Settings, action: Action, paper: Manifest, api: str) -> None:
    """Refuse results of a run that was about another installation, whose licenses are others."""
    if paper.api == api or settings.sandbox:
        return
    hint = f"name that installation: --base-url {paper.api}"
    if paper.rehearsal:
        hint = "it was a rehearsal: nothing was revoked, and only --sandbox can restore it."
    raise ConfigError(
        f"{settings.input}: that run was about {paper.api}, this {action.command} is about {api}",
        hint=hint,
    )


def _check_manifest(settings: Settings, action: Action, api: str) -> None:
    """Refuse results that are of elsewhere, or of what did not revoke anything."""
    try:
        paper = manifest.read(Path(settings.input)) if settings.input != "-" else None
    except ResultsError:
        return  # what stands beside an input that is none of ours says nothing
    if paper is None:
        return
    if paper.rehearsal and not settings.sandbox:
        raise InputError(
            f"{settings.input}: these are the results of a rehearsal; nothing was revoked",
            hint="take the list that was rehearsed.",
        )
    if paper.options.get("dry_run"):
        raise InputError(
            f"{settings.input}: these are the results of a dry run; nothing was revoked",
            hint="take the list that it was about.",
        )
    if paper.command not in {"run", "verify"}:
        raise InputError(
            f"{settings.input}: these are the results of bulk-revoke {paper.command}",
            hint="take the list that it was about, or the results of bulk-revoke run.",
        )
    _check_api(settings, action, paper, api)
