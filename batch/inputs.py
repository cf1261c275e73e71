"""What a command is about: the licenses of its input, and those that are never to be touched."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from batch import manifest, source
from batch.errors import ConfigError, InputError, ResultsError
from batch.keys import folded
from batch.model import ID_BYTES, UNFINISHED, Outcome
from batch.revoked import read_revoked
from batch.source.refusals import shown

if TYPE_CHECKING:
    from batch.manifest import Manifest
    from batch.model import Action, Listing
    from batch.settings import Settings

_OF_RESULTS = {
    "run": UNFINISHED,
    "verify": frozenset({Outcome.REVOKED, Outcome.ALREADY_REVOKED, Outcome.UNKNOWN}),
}
"""Which rows a command takes where its input is the results file of an earlier run."""


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """Licenses and what is known of them before anybody is asked.

    Attributes:
        listing: The input's entries.
        excluded: Entries, each the first one of its license, that are never touched.
        doubtful: Entries that are touched only if they were read before.
    """

    listing: Listing
    excluded: frozenset[int]
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
    return Task(listing, _excluded(listing, settings), frozenset(doubtful))


def taken(listing: Listing) -> str:
    """Say what was read, where no preview does."""
    said = f"input:    {listing.title}"
    if listing.left_out:
        left_out = ", ".join(f"{count:,} {name}" for name, count in listing.left_out.items())
        said += f"\n          left out, by their outcome in the earlier run: {left_out}"
    return said


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
    if paper.command != "run":
        raise InputError(
            f"{settings.input}: these are the results of bulk-revoke {paper.command}",
            hint="take the list that it was about, or the results of bulk-revoke run.",
        )
    _check_api(settings, action, paper, api)


def _excluded(listing: Listing, settings: Settings) -> frozenset[int]:
    """The entries whose license some file of ``--exclude`` lists."""
    if not settings.exclude:
        return frozenset()
    never: set[str | bytes] = set()
    for path in settings.exclude:
        try:
            others = source.read(
                path,
                by=settings.by,
                include_hidden=settings.include_hidden,
                outcomes=source.ALL_LICENSES,
            )
        except InputError as refusal:
            refusal.message = f"--exclude {refusal.message}"
            raise
        unread = {name: n for name, n in others.left_out.items() if name != Outcome.INVALID}
        if unread:
            raise InputError(
                f"--exclude {path}: these outcomes are not known: {', '.join(map(shown, unread))}",
                hint="is it the results file as it was written? Give it back its outcomes.",
            )
        never |= {_license(others, entry) for entry in others.distinct()}
        # A list of keys without a header may begin with one that looks like a header.
        never.add(folded(others.header))
    return frozenset(entry for entry in listing.distinct() if _license(listing, entry) in never)


def _license(listing: Listing, entry: int) -> str | bytes:
    """What a license is told apart by; keys without regard to case, which is the safe side."""
    if listing.keys:
        return folded(listing.keys[entry])
    return listing.ids[ID_BYTES * entry : ID_BYTES * (entry + 1)]
