"""The command line; what a command needs is imported when it is called.

``--help`` needs click alone; pandas and aiohttp are imported by the commands that use them.
"""

from __future__ import annotations

import io
import sys
from importlib import import_module
from typing import NamedTuple

import click

from batch import __version__
from batch.errors import BulkRevokeError, StoppedError, bug_found, told
from batch.host.signals import (
    admit_signals,
    ignore_signals,
    number_of,
    outlast_signals,
    raise_at_signals,
)
from batch.host.streams import is_watched, let_go_of_streams, open_closed_streams, say
from batch.reporting.observers import Observers

COMMANDS = {
    "run": "revoke every license that INPUT lists",
    "verify": "read every license that INPUT lists: is it revoked?",
    "restore": "approve again what a run revoked, and nothing else",
    "sandbox": "a local license API to rehearse against",
}
"""Name and one line of every command."""


class _Commands(click.Group):
    """The group of commands, each imported when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        module = "sandbox" if cmd_name == "sandbox" else "commands"
        command = getattr(import_module(f"batch.cli.{module}"), cmd_name)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Name the nearest right command; click does not see those that are not imported yet."""
        name = args[0]
        if name not in COMMANDS and not (name.startswith("-") or ctx.resilient_parsing):
            from batch.cli.profile import meant  # noqa: PLC0415 - only here

            hint = meant(name, COMMANDS, "commands are")
            raise click.UsageError(f"No such command {name!r}.\nhint: {hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=_Commands,
    name="bulk-revoke",
    context_settings={
        "help_option_names": ["--help", "-h"],
        "auto_envvar_prefix": "BULK_REVOKE",
        "max_content_width": 100,
    },
    epilog="bulk-revoke COMMAND --help tells the options of a command.",
)
@click.version_option(__version__, message="%(prog)s %(version)s")
def cli() -> None:
    """Revoke thousands of Cryptlex licenses from a spreadsheet.

    Exactly those that it lists, below the rate limit, with a line on disk for every row.
    """


def main() -> None:
    """Run the command line and end the process with the exit code of docs/reference.md."""
    open_closed_streams()
    raise_at_signals()
    code = run_command(sys.argv[1:])
    ignore_signals()
    let_go_of_streams()
    sys.exit(code)


class _End(NamedTuple):
    """The end of a command; both texts are empty if it has told that by itself.

    Attributes:
        code: Its exit code.
        text: What went wrong with it.
        to_all: The same, as far as everybody may know it.
    """

    code: int
    text: str = ""
    to_all: str = ""


def run_command(arguments: list[str]) -> int:
    """Run one command, tell how it ended to whom it concerns, and return its exit code."""
    observers = Observers()
    try:
        end = _run(arguments, observers)
        outlast_signals()
    except KeyboardInterrupt as late:  # while it was found out what to say
        outlast_signals()
        number = number_of(late)
        text = f"interrupted by {number.name}"
        end = _End(128 + number, text, text)
    title = observers.title(end.code) if end.text else ""
    warnings: list[str] = []
    if is_watched():
        said = [end.text]
    else:
        # A mail has no screen around it: it has to say by itself what has become of the run. And
        # nobody may read it: then those who are told must not wait for it.
        said = [title, end.text]
        observers.notify(end.code, title, end.to_all, warnings.append)
    for each in filter(None, said):
        say(each)
    if is_watched():
        observers.notify(end.code, title, end.to_all, warnings.append)
    for each in warnings:
        say(each)
    return end.code


def _run(arguments: list[str], observers: Observers) -> _End:
    """Run one command."""
    try:
        admit_signals()
        code = cli.main(arguments, prog_name="bulk-revoke", standalone_mode=False, obj=observers)
        return _End(code if isinstance(code, int) else 0)
    except click.ClickException as usage:
        shown = io.StringIO()
        usage.show(shown)
        text = shown.getvalue().rstrip("\n")
        end = _End(usage.exit_code, text, text)
    except BulkRevokeError as error:
        end = _refused(error)
    except (click.Abort, KeyboardInterrupt) as ended:
        end = _interrupted(ended.__cause__ or ended, observers)
    except OSError as cause:  # standard output is gone or full
        end = _refused(StoppedError(cause.strerror or str(cause)))
    except Exception as bug:  # noqa: BLE001 - the last resort of a command line
        end = _bug(bug, observers)
    again = ""
    if end.text and observers.resume_command and end.code not in {2, 4}:
        again = f"\nagain:   {observers.resume_command}"
    return _End(end.code, *(observers.redact(text + again) for text in end[1:]))


def _refused(error: BulkRevokeError) -> _End:
    hint = f"\nhint: {error.hint}" if error.hint else ""
    texts = (f"error: {told(error, to_all=to_all)}{hint}" for to_all in (False, True))
    return _End(error.exit_code, *texts)


def _interrupted(cause: BaseException, observers: Observers) -> _End:
    if not isinstance(cause, KeyboardInterrupt):  # click takes any EOFError for one
        return _bug(cause, observers)
    if observers.report is not None:
        return _End(observers.report.summary.exit_code)
    number = number_of(cause)
    text = f"interrupted by {number.name}: nothing was sent"
    # Behind the ^C.
    return _End(128 + number, f"\n{text}" if is_watched() else text, text)


def _bug(bug: BaseException, observers: Observers) -> _End:
    import traceback  # noqa: PLC0415 - a tenth of the time that --help takes

    say(observers.redact("".join(traceback.format_exception(bug))))
    error = bug_found(bug)
    error.hint = "the results file, if there is one, says what was sent."
    return _refused(error)
