"""``bulk-revoke run``: options in, exit code out."""

from __future__ import annotations

import os
import sys
from functools import partial
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from batch.cli.options import Command, with_options
from batch.errors import BulkRevokeError, ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from batch.manifest import Manifest
    from batch.plan import Plan
    from batch.progress import Screen
    from batch.settings import Settings
    from batch.summary import Summary

OF_THE_INPUT = frozenset(
    {"source", "output", "column", "sheet", "carry", "skip_invalid", "include_hidden"}
)
"""Parameters that are about this input, and not about the results file that is taken up again."""


@click.command(
    cls=Command,
    short_help="revoke every license that INPUT lists",
    epilog="Exit codes: 0 all rows are done, 1 some are not, 2 refused (nothing was sent), "
    "3 stopped early, 129/130/143 interrupted.",
)
@click.argument("source", metavar="INPUT")
@with_options(
    "column",
    "sheet",
    "carry",
    "skip-invalid",
    "include-hidden",
    "output",
    "json",
    "log-file",
    "verbose",
    "quiet",
    "yes",
    "max-licenses",
    "max-failures",
    "missing-ok",
    "look",
    "reason",
    "base-url",
    "token-file",
    "ca-file",
    "rate",
    "concurrency",
    "timeout",
    "max-attempts",
    "sandbox",
)
@click.pass_context
def command(context: click.Context, /, source: str, **options: Any) -> int:  # noqa: ANN401
    """Revoke every license that INPUT lists.

    INPUT is a CSV file (.csv .tsv .txt, each also .gz), a workbook (.xlsx .xlsm .xls .xlsb .ods),
    the results file of an earlier run, or - for CSV on standard input. It is read and checked as
    a whole before anything is sent.
    """
    from batch import logs, phases  # noqa: PLC0415 - keeps --help free of pandas and aiohttp
    from batch.manifest import new_run_id  # noqa: PLC0415
    from batch.progress import Screen  # noqa: PLC0415
    from batch.settings import find_token  # noqa: PLC0415

    run_id = new_run_id()
    settings = _settings(source, options, run_id)
    token, warning = ("", "") if settings.sandbox else find_token(options["token_file"], os.environ)
    redact = logs.Redactor(token)
    screen = Screen(quiet=options["quiet"], redact=redact)
    if warning:
        screen.say(f"warning: {warning}")
    logs.start(
        screen,
        run_id=run_id,
        log_file=options["log_file"],
        verbose=options["verbose"],
        redact=redact,
    )
    try:
        summary = phases.run(
            settings,
            token,
            screen,
            paper=partial(_paper, settings, options, run_id),
            again=_again(context, settings.output),
            redact=redact,
        )
    except BulkRevokeError as refusal:
        refusal.message = redact(refusal.message)
        raise
    finally:
        logs.stop()
    if options["json"]:
        _print(summary, screen)
    return summary.exit_code


def _print(summary: Summary, screen: Screen) -> None:
    """Print what ``--json`` asks for; a reader that is gone does not change how the run ended."""
    import json  # noqa: PLC0415

    try:
        click.echo(json.dumps(summary.as_json()))
        sys.stdout.flush()
    except OSError as cause:
        screen.insist(f"warning: the summary cannot be printed: {cause.strerror}")


def _settings(source: str, options: Mapping[str, Any], run_id: str) -> Settings:
    """Check what can be checked before anything is read.

    Raises:
        ConfigError: An option, or two together, make no sense.
    """
    from datetime import UTC, datetime  # noqa: PLC0415

    from batch.address import check_base_url  # noqa: PLC0415
    from batch.settings import Rate, Settings, output_path, parse_failures  # noqa: PLC0415

    if options["yes"] and options["max_licenses"] is None:
        raise ConfigError(
            "--yes without --max-licenses: nobody would notice the wrong file",
            hint="say with --max-licenses how many licenses it may be at most.",
        )
    if options["quiet"] and options["verbose"]:
        raise ConfigError("--quiet and --verbose exclude each other")
    if options["log_file"] and os.path.realpath(options["log_file"]) == os.path.realpath(source):
        raise ConfigError(f"--log-file {options['log_file']}: is the input")
    rate = Rate.parse(options["rate"])
    base_url = check_base_url(options["base_url"])
    if not options["sandbox"]:
        rate.check(base_url)
    return Settings(
        input=source,
        output=output_path(
            options["output"],
            source,
            ".rehearsal.csv" if options["sandbox"] else ".results.csv",
            now=datetime.now(UTC),
            run_id=run_id,
        ),
        column=options["column"],
        sheet=options["sheet"],
        carry=options["carry"],
        skip_invalid=options["skip_invalid"],
        include_hidden=options["include_hidden"],
        base_url=base_url,
        rate=rate,
        concurrency=options["concurrency"],
        timeout=options["timeout"],
        max_attempts=options["max_attempts"],
        ca_file=options["ca_file"],
        failures=parse_failures(options["max_failures"]),
        max_licenses=options["max_licenses"],
        yes=options["yes"],
        missing_ok=options["missing_ok"],
        sandbox=options["sandbox"],
        reason=options["reason"],
    )


def _paper(settings: Settings, options: Mapping[str, Any], run_id: str, plan: Plan) -> Manifest:
    """Make the manifest of a run; no option holds a secret, the token is never one."""
    from batch.manifest import Manifest  # noqa: PLC0415
    from batch.phases import SANDBOX  # noqa: PLC0415

    return Manifest(
        run_id=run_id,
        command="run",
        api=SANDBOX if settings.sandbox else settings.base_url,
        reason=settings.reason,
        rehearsal=settings.sandbox,
        options=dict(options),
        input={
            "path": settings.input,
            "sha256": plan.listing.sha256,
            "taken": plan.listing.title,
            "rows": len(plan.listing),
            "licenses": len(plan.to_send),
        },
        results={"path": str(settings.output)},
    )


def _again(context: click.Context, results: Path) -> str:
    """Spell the command that takes up what a run leaves undone: the results file is its input."""
    import shlex  # noqa: PLC0415

    path = str(results)
    words = ["bulk-revoke", "run", f"./{path}" if path.startswith("-") else path]
    for parameter in context.command.params:
        name = parameter.name or ""
        given = context.get_parameter_source(name) is ParameterSource.COMMANDLINE
        if name in OF_THE_INPUT or not given:
            continue
        value = context.params[name]
        if value is True:
            words.append(parameter.opts[-1])
        elif value is False:
            words.append(parameter.secondary_opts[-1])
        else:
            words += (
                [f"{parameter.opts[-1]}={value}"]
                if str(value).startswith("-")
                else [
                    parameter.opts[-1],
                    str(value),
                ]
            )
    return shlex.join(words)
