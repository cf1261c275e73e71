"""The page of a run, made of its files: what they say, and which commands come next."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from batch.cli.resume_command import recorded_command, recorded_command_about
from batch.model import SETS, Property
from batch.reporting import page
from batch.reporting.page import File, Step
from batch.reporting.page_facts import (
    action_of,
    gather,
    is_open,
    is_turned,
    without_keys,
)
from batch.results.csv_file import Recorded
from batch.results.integrity import compare
from batch.results.manifest import file_sha256, manifest_of, manifest_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path
    from typing import BinaryIO

    from batch.reporting.page_facts import Facts
    from batch.results.manifest import Manifest


def write(
    results: Path, place: Path, writing: Callable[[Path], AbstractContextManager[BinaryIO]]
) -> None:
    """Make the page of a results file.

    Args:
        results: The file, with its manifest beside it.
        place: Where the page goes.
        writing: Opens the place; what is there appears whole.

    Raises:
        ConfigError: Jinja2 is not there.
        OSError: The page cannot be written.
        ResultsError: The results, or their manifest, cannot be read.
    """
    recorded, manifest = Recorded.read(results), manifest_of(results)
    manifest.options = without_keys(manifest.options)
    run = asdict(manifest)
    action = action_of(run, recorded.changes)
    facts = gather(recorded.header, recorded.cells(range(len(recorded))), action, run)
    text = page.render(
        page.Source(
            facts=facts,
            run=run,
            files=list(_files(results)),
            steps=list(_steps(facts, manifest, results)),
            made_at=datetime.now(UTC),
        )
    )
    with writing(place) as file:
        file.write(text.encode(errors="replace"))


_STATES = {
    "unchanged": "as the run has left it",
    "changed": "changed since the run",
    "missing": "not there any more",
    "unreadable": "cannot be read",
    "unfinished": "the run has not come to its end",
    "from a pipe": "came through a pipe",
}


def _files(results: Path) -> Iterator[File]:
    for each in compare(results).findings:
        sha256 = each.found or (file_sha256(results) if each.state == "unfinished" else "")
        state = "as the run saw it" if each.what == "input" else _STATES["unchanged"]
        state = state if each.state == "unchanged" else _STATES[each.state]
        yield File(each.what.capitalize(), each.path, sha256 or each.expected, state)
    beside = manifest_path(results)
    yield File("Manifest", str(beside), file_sha256(beside), "")


def _steps(facts: Facts, manifest: Manifest, results: Path) -> Iterator[Step]:
    """The steps that can be taken next, with their commands."""
    action, is_trial = facts.action, facts.action.is_dry_run
    if manifest.rehearsal:
        yield Step("Nothing has to be taken back", "A rehearsal has changed no license.", "")
        return
    if is_trial or is_open(facts):
        again = recorded_command(manifest, dry_run=is_trial)
        limit = manifest.options.get("limit")
        if limit and not is_trial and manifest.sessions[-1].exit_code not in {0, 1}:
            again += f" --limit {limit}"
        if manifest.directory:
            again = f"cd {shlex.quote(manifest.directory)} && {again}"
        asks = f"It looks again, and asks before anything is {action.state}."
        yield (
            Step("Carry it out", asks, again)
            if is_trial
            else Step("Go on with it", "What is done is not sent again.", again)
        )
    if is_turned(facts):
        yield _taking_back(facts, manifest, results)
    if not is_trial and action.wanted:
        yield _checking(facts, manifest, results)


def _taking_back(facts: Facts, manifest: Manifest, results: Path) -> Step:
    action = facts.action
    price = (
        "Their users have to activate again: that does not happen by itself."
        if action.changes is Property.REVOKED
        else "Nobody has to activate again."
    )
    return Step(
        "Take it back",
        f"It approves again exactly what this run has {action.state}, and nothing else. {price}",
        recorded_command_about("restore", results, manifest),
    )


def _checking(facts: Facts, manifest: Manifest, results: Path) -> Step:
    """The step after a run, or after a verify that has found something."""
    action = facts.action
    if action.only_reads and facts.would:
        other = SETS[action.changes]
        return Step(
            f"{other.verb.capitalize()} what is not {action.state}",
            "It takes the licenses that were found otherwise, looks again, and asks first.",
            recorded_command_about(other.command, results, manifest),
        )
    return Step(
        "See whether it is still so",
        f"It reads every license, changes nothing, and says which are not {action.state}.",
        recorded_command_about("verify", results, manifest),
    )
