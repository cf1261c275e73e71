"""``bulk-revoke verify``: options in, exit code out."""

from __future__ import annotations

from typing import Any

import click

from batch.cli.grouped import Command
from batch.cli.options import API, INPUT, TELLING, with_options


@click.command(
    name="verify",
    cls=Command,
    short_help="read every license that INPUT lists: is it revoked?",
    epilog="Exit codes: 0 all are revoked, 1 some are not, 2 refused, 3 stopped early, "
    "4 another run is at work, 129/130/143 interrupted.",
)
@click.argument("source", metavar="INPUT")
@with_options(*INPUT, "output", "overwrite", *TELLING, "exclude", "missing-ok", "reason", *API)
@click.pass_context
def command(context: click.Context, /, source: str, **options: Any) -> int:  # noqa: ANN401
    """Read every license that INPUT lists: is it revoked?

    INPUT is what `bulk-revoke run` takes; of a results file the rows are read that it calls
    revoked, already_revoked or unknown. Nothing is changed.
    """
    from batch.cli.perform import perform  # noqa: PLC0415 - keeps --help short
    from batch.model import VERIFY  # noqa: PLC0415

    return perform(context, VERIFY, ".verify.csv", source, options)
