"""The command line: one module per command, imported when it is called.

``--help`` needs click alone; pandas and aiohttp are imported by the commands that use them.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from importlib import import_module

import click

from batch import __version__
from batch.cli.streams import let_go_of_streams, open_closed_streams, say
from batch.errors import BulkRevokeError

COMMANDS = {
    "run": "revoke every license that INPUT lists",
    "verify": "read every license that INPUT lists: is it revoked?",
    "restore": "approve again what a run revoked, and nothing else",
    "sandbox": "a local license API to rehearse against",
}
"""Name and one line of every command; each has a module of its own name here."""


class _Commands(click.Group):
    """The group of commands, each imported when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        command = import_module(f"batch.cli.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=_Commands,
    name="bulk-revoke",
    context_settings={
        "help_option_names": ["-h", "--help"],
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
    code = run_command(sys.argv[1:])
    let_go_of_streams()
    sys.exit(code)


def run_command(arguments: list[str]) -> int:
    """Run one command, tell what went wrong with it, and return its exit code."""
    try:
        code = cli.main(arguments, prog_name="bulk-revoke", standalone_mode=False)
    except click.ClickException as usage:
        with suppress(OSError):
            usage.show()
        return usage.exit_code
    except BulkRevokeError as error:
        say(f"error: {error.message}")
        if error.hint:
            say(f"hint: {error.hint}")
        return error.exit_code
    except (click.Abort, KeyboardInterrupt) as ended:
        return _interrupted(ended)
    except OSError as cause:  # standard output is gone or full
        say(f"error: {cause.strerror}")
        return 3
    except Exception as bug:  # noqa: BLE001 - the last resort of a command line
        return _bug(bug)
    return code if isinstance(code, int) else 0


def _interrupted(ended: BaseException) -> int:
    if isinstance(ended.__cause__, EOFError):  # click takes any for the end of an answer
        return _bug(ended.__cause__)
    say("interrupted: nothing was sent")
    return 130


def _bug(bug: BaseException) -> int:
    import traceback  # noqa: PLC0415 - a tenth of the time that --help takes

    say("".join(traceback.format_exception(bug)))
    say(
        f"error: a bug in bulk-revoke {__version__}: {type(bug).__name__}: {bug}\n"
        "hint: the results file, if there is one, says what was sent."
    )
    return 3
