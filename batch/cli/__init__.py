"""The command line; what a command needs is imported when it is called.

``--help`` needs click alone; pandas and aiohttp are imported by the commands that use them.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from batch import __version__
from batch.errors import BugError, ConfigError, meaning_of, told
from batch.host.signals import State, signals
from batch.host.streams import is_watched, let_go_of_streams, open_closed_streams, say
from batch.reporting.observers import Observers

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS = {
    "run": "revoke every license that INPUT lists",
    "suspend": "suspend them instead: undone without a new activation",
    "verify": "read every license: is it revoked, or suspended?",
    "restore": "take back what a run did, and nothing else",
    "list": "licenses that match filters, as a CSV that `run` takes",
    "report": "an HTML page of a run, to show, print or attach",
    "sandbox": "a local license API to rehearse against",
}
"""Name and one line of every command."""


_PLACES = {
    "list": ("list_command", "list_"),
    "report": ("report", "report"),
    "sandbox": ("sandbox", "sandbox"),
}
"""Commands that stand in a module of their own, under a name of it."""


class _Commands(click.Group):
    """The group of commands, each imported when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        module, name = _PLACES.get(cmd_name, ("commands", cmd_name))
        command = getattr(import_module(f"batch.cli.{module}"), name)
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
            raise ConfigError(f"no such command: {name}", hint=hint)
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
    code = run_command(sys.argv[1:])
    signals.enter(State.IGNORE)
    let_go_of_streams()
    sys.exit(code)


class _End(NamedTuple):
    """The end of a command; all texts are empty if it has told that by itself.

    Attributes:
        code: Its exit code.
        text: What went wrong with it.
        to_all: The same, as far as everybody may know it.
        error: The first part of that: what happened.
        hint: What to do now; the command that goes on, where there is one.
    """

    code: int
    text: str = ""
    to_all: str = ""
    error: str = ""
    hint: str = ""


def run_command(arguments: list[str]) -> int:
    """Run one command, tell how it ended to whom it concerns, and return its exit code."""
    observers = Observers()
    try:
        try:
            signals.enter(State.RAISE)
            code = cli.main(
                arguments, prog_name="bulk-revoke", standalone_mode=False, obj=observers
            )
        finally:
            signals.enter(State.OUTLAST)
        end = _End(code if isinstance(code, int) else 0)
    except (Exception, KeyboardInterrupt) as cause:  # noqa: BLE001 - the last resort
        if isinstance(cause, (click.UsageError, ConfigError)):
            observers.wants_json |= "--json" in arguments  # it may stand behind what is wrong
        end = _ended_by(cause, observers, arguments)
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
        _show(each, observers.mark)
    if observers.wants_json:
        _print(_object(end, observers))
    if is_watched():
        observers.notify(end.code, title, end.to_all, warnings.append)
    for each in warnings:
        _show(each, observers.mark)
    return end.code


def _show(text: str, mark: str) -> None:
    from batch.reporting.style import presented  # noqa: PLC0415 - --help needs none of it

    say(presented(text, sys.stderr, mark=mark))


def _object(end: _End, observers: Observers) -> dict[str, Any]:
    """Return what ``--json`` asks for, however the command has ended."""
    if observers.answer is not None and not end.text:
        return observers.answer
    from batch.formatting import timestamp  # noqa: PLC0415 - --help needs none of it
    from batch.reporting.summary import object_of, span  # noqa: PLC0415

    if observers.report is not None:
        known = observers.report.summary.as_json()
    else:
        times = timestamp(observers.started_at), timestamp(datetime.now(UTC))
        known = observers.known | {
            "command": observers.command,
            "started_at": times[0],
            "finished_at": times[1],
            "seconds": span(*times),
        }
    if end.text:
        known |= {"error": end.error, "hint": end.hint}
    known["hint"] = observers.redact(known.get("hint") or "")
    return object_of(known | {"exit_code": end.code})


def _print(found: dict[str, Any]) -> None:
    """Print an object; a reader that is gone does not change how the command ended."""
    import json  # noqa: PLC0415 - as above

    try:
        click.echo(json.dumps(found))
        sys.stdout.flush()
    except OSError as cause:
        say(f"warning: the summary cannot be printed: {cause.strerror}")


def _ended_by(cause: BaseException, observers: Observers, arguments: Sequence[str]) -> _End:
    """From an exception that has ended a command to its exit code, and the words for people."""
    if isinstance(cause, click.exceptions.NoArgsIsHelpError):
        return _End(cause.exit_code, cause.message, cause.message)
    if isinstance(cause, click.UsageError):
        from batch.cli.usage import refusal  # noqa: PLC0415 - --help needs none of it

        name = next((each for each in arguments[:1] if each in COMMANDS), "")
        cause = refusal(cause, f"bulk-revoke {name}".strip())
    is_inside = isinstance(cause, click.Abort)  # click makes it of any interrupt, and of EOFError
    raised = (is_inside and cause.__cause__) or cause
    error = meaning_of(raised)
    if isinstance(raised, KeyboardInterrupt):
        if observers.report is not None:
            return _End(observers.report.summary.exit_code)
        to_all = reason = told(error) + ": nothing was sent" * is_inside
        text = f"\n{to_all}" if is_watched() else to_all  # behind the ^C
    else:
        if isinstance(error, BugError):
            say(observers.redact(_traceback(error)))
            error.hint = "the results file, if there is one, says what was sent."
        hint = f"\nhint: {error.hint}" if error.hint else ""
        reason = told(error, to_all=True)
        text, to_all = (f"error: {each}{hint}" for each in (told(error), reason))
    command = "" if error.exit_code in {2, 4} else observers.resume_command
    again = again_to_all = ""
    if command:
        from batch.formatting import without_conditions  # noqa: PLC0415 - as above

        again, again_to_all = (
            f"\nagain:   {each}" for each in (command, without_conditions(command))
        )
    if command and error.hint:
        reason = f"{reason}: {error.hint}"
    texts = (text + again, to_all + again_to_all, reason, command or error.hint)
    return _End(error.exit_code, *map(observers.redact, texts))


def _traceback(error: BugError) -> str:
    import traceback  # noqa: PLC0415 - a tenth of the time that --help takes

    return "".join(traceback.format_exception(error.__cause__))
