"""``bulk-revoke verify``: options in, exit code out."""

from __future__ import annotations

from typing import Any

import click
from click.core import ParameterSource

from batch.cli.audience import Audience
from batch.cli.grouped import Command
from batch.cli.options import API, INPUT, OTHER, PATH, TELLING, with_options
from batch.cli.streams import say
from batch.errors import ConfigError


@click.command(
    name="verify",
    cls=Command,
    suffix=".verify.csv",
    short_help="read every license that INPUT lists: is it revoked?",
    epilog="Exit codes: 0 all are revoked, 1 some are not, 2 refused, 3 stopped early, "
    "4 another run is at work, 129/130/143 interrupted.",
)
@click.argument("source", metavar="INPUT", type=PATH)
@with_options(
    "manifest",
    *INPUT,
    "output",
    "overwrite",
    *TELLING,
    "exclude",
    "missing-ok",
    "reason",
    *API,
    *OTHER,
)
@click.pass_context
def command(context: click.Context, /, *, manifest: bool, **_: Any) -> int:  # noqa: ANN401
    """Read every license that INPUT lists: is it revoked?

    INPUT is what `bulk-revoke run` takes; of a results file all rows are read but those that are
    excluded or invalid. Nothing is changed.
    """
    if manifest:
        return _compare(context)
    from batch.cli.perform import perform  # noqa: PLC0415 - keeps --help short
    from batch.model import VERIFY  # noqa: PLC0415

    return perform(context, VERIFY)


def _compare(context: click.Context) -> int:
    """Say whether the files of a run are still those that it saw."""
    import json  # noqa: PLC0415 - as above
    from pathlib import Path  # noqa: PLC0415

    from batch.unchanged import compare  # noqa: PLC0415

    context.ensure_object(Audience).stand_down()  # no run ends here
    for parameter in context.command.params:
        given = context.get_parameter_source(parameter.name or "") is ParameterSource.COMMANDLINE
        if given and parameter.name not in {"source", "manifest", "json", "quiet", "config"}:
            raise ConfigError(
                f"--manifest only compares files, {parameter.opts[-1]} has no meaning there",
                hint="leave out one of them.",
            )
    options = context.params
    found = compare(Path(options["source"]))
    if options["json"]:
        click.echo(json.dumps(found.as_json()))
    if found.exit_code or not options["quiet"]:
        say(str(found))
    return found.exit_code
