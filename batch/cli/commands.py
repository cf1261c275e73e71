"""The commands that talk to the server: options in, exit code out.

They differ in the `Action` that they hand on, and in the options that make sense for it.
"""

from __future__ import annotations

from typing import Any

import click
from click.core import ParameterSource

from batch.cli.command import Command
from batch.cli.options import API, INPUT, OTHER, OUTPUT, PATH, SENDING, TELLING, with_options
from batch.errors import ConfigError
from batch.host.streams import say
from batch.reporting.observers import Observers

_SENT = (
    "Exit codes: 0 all rows are done, 1 some are not, 2 refused (nothing was sent), "
    "3 stopped early, 4 another run is at work, 129/130/143 interrupted."
)

_OF_LISTS = (
    *INPUT, *OUTPUT, *TELLING, *SENDING, "missing-ok", "look", "reason", *API, "sandbox", *OTHER,
)  # fmt: skip
"""Options of what sends a PATCH for each license of a list."""


@click.command(
    name="run",
    cls=Command,
    suffix=".results.csv",
    short_help="revoke every license that INPUT lists",
    examples=(
        ("what would happen: nothing is sent", "bulk-revoke run licenses.xlsx --dry-run"),
        (
            "five of them, and after a look at the results the rest",
            "bulk-revoke run licenses.xlsx --limit 5",
        ),
        ("", "bulk-revoke run licenses.xlsx --resume"),
        (
            "by a scheduler, which nobody can ask",
            "bulk-revoke run list.csv --yes --max-licenses 500 --quiet",
        ),
    ),
    epilog=_SENT,
)
@click.argument("source", metavar="INPUT", type=PATH)
@with_options(*_OF_LISTS, "older-than")
@click.pass_context
def run(context: click.Context, /, **_: Any) -> int:  # noqa: ANN401
    """Revoke every license that INPUT lists.

    INPUT is a CSV file (.csv .tsv .txt, each also .gz), a workbook (.xlsx .xlsm .xls .xlsb .ods),
    the results file of an earlier run, or - for CSV on standard input. Of the results of `suspend`
    those are revoked that are suspended still. Before anything is sent, INPUT is read and checked
    as a whole, and the server is asked what it holds.
    """
    from batch.cli.execute import perform  # noqa: PLC0415 - keeps --help short
    from batch.model import REVOKE  # noqa: PLC0415

    return perform(context, REVOKE)


@click.command(
    name="suspend",
    cls=Command,
    suffix=".results.csv",
    short_help="suspend every license that INPUT lists",
    examples=(
        ("what would happen: nothing is sent", "bulk-revoke suspend licenses.xlsx --dry-run"),
        (
            "suspend them, and keep why",
            'bulk-revoke suspend licenses.xlsx --reason "contract 4711 has ended"',
        ),
        (
            "a month later: revoke those that are suspended still",
            "bulk-revoke run licenses.results.csv --older-than 30d",
        ),
    ),
    epilog=_SENT,
)
@click.argument("source", metavar="INPUT", type=PATH)
@with_options(*_OF_LISTS)
@click.pass_context
def suspend(context: click.Context, /, **_: Any) -> int:  # noqa: ANN401
    """Suspend every license that INPUT lists, instead of revoking it.

    INPUT is what `bulk-revoke run` takes. Applications are told that their license is suspended;
    no activation is lost, so `bulk-revoke restore` undoes it without anybody having to activate
    again. A license that is revoked already is left alone.
    """
    from batch.cli.execute import perform  # noqa: PLC0415 - keeps --help short
    from batch.model import SUSPEND  # noqa: PLC0415

    return perform(context, SUSPEND)


@click.command(
    name="verify",
    cls=Command,
    suffix=".verify.csv",
    short_help="read every license that INPUT lists: is it revoked, or suspended?",
    examples=(
        ("are they revoked?", "bulk-revoke verify licenses.xlsx"),
        ("is everything still as a run has left it?", "bulk-revoke verify licenses.results.csv"),
        (
            "are the files those of the run? No server is asked",
            "bulk-revoke verify licenses.results.csv --manifest",
        ),
    ),
    epilog="Exit codes: 0 all are revoked (suspended), 1 some are not, 2 refused, 3 stopped early, "
    "4 another run is at work, 129/130/143 interrupted.",
)
@click.argument("source", metavar="INPUT", type=PATH)
@with_options(
    "manifest",
    *INPUT,
    "suspended",
    "output",
    "details",
    "overwrite",
    "report",
    *TELLING,
    "exclude",
    "expect-licenses",
    "missing-ok",
    "reason",
    *API,
    *OTHER,
)
@click.pass_context
def verify(context: click.Context, /, *, manifest: bool, suspended: bool, **_: object) -> int:
    """Read every license that INPUT lists: is it revoked, or suspended?

    INPUT is what `bulk-revoke run` takes. Of a results file all rows are read but those that are
    excluded or invalid, and compared with what its run was to do. Nothing is changed.
    """
    if manifest:
        return _compare(context)
    from batch.cli.execute import perform  # noqa: PLC0415 - keeps --help short
    from batch.model import VERIFY, Property  # noqa: PLC0415

    return perform(context, VERIFY.about(Property.SUSPENDED) if suspended else VERIFY)


def _compare(context: click.Context) -> int:
    """Say whether the files of a run are still those that it saw."""
    from pathlib import Path  # noqa: PLC0415 - as above

    from batch.results.integrity import compare  # noqa: PLC0415

    observers = context.ensure_object(Observers)
    observers.stand_down()  # no run ends here
    for parameter in context.command.params:
        given = context.get_parameter_source(parameter.name or "") is ParameterSource.COMMANDLINE
        if given and parameter.name not in {"source", "manifest", "json", "quiet", "config"}:
            raise ConfigError(
                f"only compares files, {parameter.opts[-1]} has no meaning there",
                option="--manifest",
                hint="leave out one of them.",
            )
    options = context.params
    found = compare(Path(options["source"]))
    observers.answer = found.as_json()
    if found.exit_code or not options["quiet"]:
        say(str(found))
    return found.exit_code


@click.command(
    name="restore",
    cls=Command,
    suffix=".restored.csv",
    short_help="take back what a run did, and nothing else",
    examples=(
        (
            "what would be taken back: nothing is sent",
            "bulk-revoke restore licenses.results.csv --dry-run",
        ),
        (
            "a part of it, by a column that the run was told to --carry",
            "bulk-revoke restore licenses.results.csv --where Customer=ACME",
        ),
        ("all of it", "bulk-revoke restore licenses.results.csv -o restored.csv"),
    ),
    epilog=_SENT,
)
@click.argument("source", metavar="RESULTS", type=PATH)
@with_options(
    "where",
    "include-unknown",
    *OUTPUT,
    *TELLING,
    *SENDING,
    "missing-ok",
    "reason",
    *API,
    "sandbox",
    *OTHER,
)
@click.pass_context
def restore(context: click.Context, /, **_: Any) -> int:  # noqa: ANN401
    """Take back exactly what a run did: approve again what it revoked or suspended.

    RESULTS is the results file of that run, with its manifest beside it. Users of a license that
    was revoked must activate it again; that does not happen by itself.
    """
    from batch.cli.execute import perform  # noqa: PLC0415 - keeps --help short
    from batch.model import RESTORE  # noqa: PLC0415

    return perform(context, RESTORE)
