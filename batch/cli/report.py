"""The page of a run: the command `report`, and what `run --report` writes at its end."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from batch.cli.command import WithExamples
from batch.cli.options import PATH
from batch.errors import BulkRevokeError, ConfigError, ResultsError, told
from batch.host.streams import say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from typing import BinaryIO

    from batch.reporting.page import File, Step
    from batch.reporting.page_facts import Facts
    from batch.results.manifest import Manifest


@click.command(
    cls=WithExamples,
    name="report",
    short_help="an HTML page of a run, to show, print or attach",
    examples=(
        (
            "of a run, or of a dry run",
            "bulk-revoke report licenses.results.csv -o ticket-4711.html",
        ),
        (
            "again, once it has gone on",
            "bulk-revoke report licenses.results.csv -o ticket-4711.html --overwrite",
        ),
    ),
    epilog="Exit codes: 0 the page is written, 2 refused.",
)
@click.argument("source", metavar="RESULTS", type=PATH)
@click.option(
    "-o",
    "--output",
    metavar="PATH",
    type=PATH,
    help="Where the page goes.  [default: name of RESULTS with .html, in the working directory]",
)
@click.option(
    "--overwrite", is_flag=True, allow_from_autoenv=False, help="Write over a page that is there."
)
def report(source: str, output: str | None, overwrite: bool) -> int:
    """Write an HTML page of a run: what it did, to whom, and what is not done.

    RESULTS is the results file of any command, with its manifest beside it; the run may be over,
    interrupted, or still at work. The page is one file that needs no script and no network, and
    holds no token and no license key.
    """
    from batch.host.files import creating, replacing  # noqa: PLC0415 - keeps --help short
    from batch.reporting import page  # noqa: PLC0415
    from batch.settings import output_path  # noqa: PLC0415

    page.check()
    place = output_path(output, source, ".html", now=datetime.now(UTC), run_id="")
    if overwrite:
        check_place(place, "--output")
    try:
        write(Path(source), place, replacing if overwrite else creating)
    except FileExistsError as cause:
        raise ResultsError(
            f"{place}: exists already",
            hint="name another file with --output; --overwrite writes over a page.",
        ) from cause
    except OSError as cause:
        raise ResultsError(f"{place}: cannot be written: {cause.strerror}") from cause
    say(f"report: {place}")
    return 0


def planned(options: Mapping[str, Any], source: str, run_id: str) -> Path | None:
    """The place of the page that a run is to write at its end; None if it is to write none.

    Raises:
        ConfigError: There could be none: that is said before anything is sent.
    """
    if options.get("report") is None:
        return None
    from batch.reporting import page  # noqa: PLC0415 - only here
    from batch.settings import output_path  # noqa: PLC0415

    page.check()
    now = datetime.now(UTC)
    place = output_path(options["report"], source, "", now=now, run_id=run_id, option="--report")
    check_place(place, "--report")
    return place


def check_place(place: Path, option: str) -> None:
    """Refuse a place for a page where something else stands, or nothing can stand.

    Raises:
        ConfigError: One of both.
    """
    from batch.reporting.page import is_page  # noqa: PLC0415

    try:
        # A device, or a pipe, would be waited for.
        is_taken = place.exists() and not (place.is_file() and is_page(place))
        is_lost = not place.absolute().parent.is_dir()
    except OSError as cause:
        raise ConfigError(f"{place}: cannot be read: {cause.strerror}", option=option) from cause
    if is_taken or is_lost:
        what = "is there and is no page of ours" if is_taken else "its directory does not exist"
        raise ConfigError(
            f"{place}: {what}", option=option, hint="name another file, as in run.html."
        )


def write_after(results: Path, place: Path, run_id: str, insist: Callable[[str], None]) -> bool:
    """Write the page of a run that has ended, however it did; what fails is said, and no more.

    Returns:
        Whether the page is there. There is none where the run has left no results.
    """
    from batch.host.files import replacing  # noqa: PLC0415
    from batch.results.manifest import run_id_of  # noqa: PLC0415

    if run_id_of(results) != run_id:
        return False
    try:
        write(results, place, replacing)
    except BulkRevokeError as cause:
        insist(f"warning: --report {place}: {told(cause)}")
    except OSError as cause:
        insist(f"warning: --report {place}: cannot be written: {cause.strerror}")
    except Exception as bug:  # noqa: BLE001 - how the run ended does not depend on its page
        insist(f"warning: --report {place}: cannot be made ({type(bug).__name__})")
    else:
        return True
    return False


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
    from batch.reporting import page  # noqa: PLC0415
    from batch.reporting.page_facts import action_of, gather, without_keys  # noqa: PLC0415
    from batch.results.csv_file import Recorded  # noqa: PLC0415
    from batch.results.manifest import manifest_path, read_manifest  # noqa: PLC0415

    recorded, manifest = Recorded.read(results), read_manifest(results)
    if manifest is None:
        raise ResultsError(
            f"{results}: has no manifest ({manifest_path(results).name}) beside it",
            hint="name the results file of a run; the manifest has to be moved together with it.",
        )
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
    from batch.reporting.page import File  # noqa: PLC0415
    from batch.results.integrity import compare  # noqa: PLC0415
    from batch.results.manifest import file_sha256, manifest_path  # noqa: PLC0415

    for each in compare(results).findings:
        sha256 = each.found or (file_sha256(results) if each.state == "unfinished" else "")
        state = "as the run saw it" if each.what == "input" else _STATES["unchanged"]
        state = state if each.state == "unchanged" else _STATES[each.state]
        yield File(each.what.capitalize(), each.path, sha256 or each.expected, state)
    beside = manifest_path(results)
    yield File("Manifest", str(beside), file_sha256(beside), "")


def _steps(facts: Facts, manifest: Manifest, results: Path) -> Iterator[Step]:
    """What can be done next, with the commands for it."""
    from batch.cli.resume_command import recorded_command  # noqa: PLC0415
    from batch.reporting.page import Step  # noqa: PLC0415
    from batch.reporting.page_facts import is_open, is_turned  # noqa: PLC0415

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
    from batch.cli.resume_command import recorded_command_about  # noqa: PLC0415
    from batch.model import Property  # noqa: PLC0415
    from batch.reporting.page import Step  # noqa: PLC0415

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
    """What comes after a run, and after a verify that has found something."""
    from batch.cli.resume_command import recorded_command_about  # noqa: PLC0415
    from batch.model import SETS  # noqa: PLC0415
    from batch.reporting.page import Step  # noqa: PLC0415

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
