"""The page of a run: the command `report`, and what `run --report` writes at its end."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from batch.cli.command import WithExamples
from batch.cli.options import PATH
from batch.errors import BulkRevokeError, ConfigError, ResultsError, told
from batch.host.streams import say
from batch.reporting.observers import same_file

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


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
    help="Where the page goes; may hold {date}, {time}, {run_id}.  [default: name of RESULTS with"
    " .html, in the working directory]",
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
    from batch.cli.run_page import write  # noqa: PLC0415 - keeps --help short
    from batch.host.files import creating, replacing  # noqa: PLC0415
    from batch.reporting import page  # noqa: PLC0415
    from batch.results.manifest import run_id_of  # noqa: PLC0415
    from batch.settings import output_path  # noqa: PLC0415

    page.check()
    now, run_id = datetime.now(UTC), run_id_of(Path(source))
    place = output_path(output, source, ".html", now=now, run_id=run_id)
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


def planned(
    options: Mapping[str, Any], source: str, run_id: str, *, taken: Sequence[str]
) -> Path | None:
    """The place of the page that a run is to write at its end; None if it is to write none.

    Args:
        options: The command's parameters.
        source: Its input.
        run_id: Its name, which may be a part of that of the page.
        taken: Files that are read, or that something else is written into.

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
    if same_file(str(place), taken):
        raise ConfigError(
            f"{place} is a file that is read, or that something else is written into",
            option="--report",
            hint="name another file with --report.",
        )
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
        what = " is there and is no page of ours" if is_taken else ": its directory does not exist"
        raise ConfigError(
            f"{place}{what}", option=option, hint="name another file, as in run.html."
        )


def write_after(results: Path, place: Path, run_id: str, insist: Callable[[str], None]) -> bool:
    """Write the page of a run that has ended, however it did; what fails is said, and no more.

    Returns:
        Whether the page is there. There is none where the run has left no results.
    """
    from batch.cli.run_page import write  # noqa: PLC0415
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
