"""``bulk-revoke run``: options in, exit code out."""

from __future__ import annotations

from typing import Any

import click

from batch.cli.grouped import Command
from batch.cli.options import API, INPUT, OTHER, OUTPUT, PATH, SENDING, TELLING, with_options


@click.command(
    name="run",
    cls=Command,
    suffix=".results.csv",
    short_help="revoke every license that INPUT lists",
    epilog="Exit codes: 0 all rows are done, 1 some are not, 2 refused (nothing was sent), "
    "3 stopped early, 4 another run is at work, 129/130/143 interrupted.",
)
@click.argument("source", metavar="INPUT", type=PATH)
@with_options(
    *INPUT, *OUTPUT, *TELLING, *SENDING, "missing-ok", "look", "reason", *API, "sandbox", *OTHER
)
@click.pass_context
def command(context: click.Context, /, **_: Any) -> int:  # noqa: ANN401
    """Revoke every license that INPUT lists.

    INPUT is a CSV file (.csv .tsv .txt, each also .gz), a workbook (.xlsx .xlsm .xls .xlsb .ods),
    the results file of an earlier run, or - for CSV on standard input. It is read and checked as
    a whole, and the server is asked what it holds, before anything is sent.
    """
    from batch.cli.perform import perform  # noqa: PLC0415 - keeps --help short
    from batch.model import REVOKE  # noqa: PLC0415

    return perform(context, REVOKE)
