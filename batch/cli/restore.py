"""``bulk-revoke restore``: options in, exit code out."""

from __future__ import annotations

from typing import Any

import click

from batch.cli.grouped import Command
from batch.cli.options import API, OTHER, OUTPUT, PATH, SENDING, TELLING, with_options


@click.command(
    name="restore",
    cls=Command,
    suffix=".restored.csv",
    short_help="approve again what a run revoked, and nothing else",
    epilog="Exit codes: 0 all rows are done, 1 some are not, 2 refused (nothing was sent), "
    "3 stopped early, 4 another run is at work, 129/130/143 interrupted.",
)
@click.argument("source", metavar="RESULTS", type=PATH)
@with_options(
    "include-unknown", *OUTPUT, *TELLING, *SENDING, "missing-ok", "reason", *API, "sandbox", *OTHER
)
@click.pass_context
def command(context: click.Context, /, **_: Any) -> int:  # noqa: ANN401
    """Approve again exactly what a run turned from not revoked to revoked.

    RESULTS is the results file of that run, with its manifest beside it. Users of a restored
    license must activate it again; that does not happen by itself.
    """
    from batch.cli.perform import perform  # noqa: PLC0415 - keeps --help short
    from batch.model import RESTORE  # noqa: PLC0415

    return perform(context, RESTORE)
