"""The command that comes next, spelled for a shell."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from click.core import ParameterSource

if TYPE_CHECKING:
    from pathlib import Path

    import click

    from batch.model import Action


ONCE = frozenset({"source", "output", "resume", "overwrite", "limit", "dry_run"})
"""Parameters that the command which goes on does not repeat as they were."""

OF_THE_PLACE = frozenset({
    "json", "lock_dir", "log_file", "metrics_file", "notify_file", "quiet", "verbose",
})  # fmt: skip
"""Parameters of which the environment speaks for the place where a command runs, and not for what
it does."""


def resume_command(context: click.Context, action: Action, source: str, results: Path) -> str:
    """Spell the command that goes on with what is undone, or that does what a dry run says.

    Empty for a command that changes nothing.
    """
    if not (action.sends or action.is_dry_run):
        return ""
    once = ONCE - {"limit"} if action.is_dry_run else ONCE
    words = ["bulk-revoke", context.command.name or "", _operand(source)]
    for parameter in context.command.params:
        name = parameter.name or ""
        if name in once or not _is_said(context, name):
            continue
        values = context.params[name]
        for value in values if isinstance(values, tuple) else (values,):
            words += _spelled(parameter, value)
    going_on = [] if action.is_dry_run else ["--resume", "-o", _operand(str(results))]
    return shlex.join([*words, *going_on])


def _is_said(context: click.Context, name: str) -> bool:
    """Tell whether a setting has to be repeated: a profile is named, and speaks for itself."""
    source = context.get_parameter_source(name)
    from_environment = source is ParameterSource.ENVIRONMENT and name not in OF_THE_PLACE
    return source is ParameterSource.COMMANDLINE or from_environment


def _operand(path: str) -> str:
    return f"./{path}" if path.startswith("-") and path != "-" else path


def _spelled(parameter: click.Parameter, value: object) -> list[str]:
    if value is True:
        return [parameter.opts[-1]]
    if value is False:
        return parameter.secondary_opts[-1:]
    if parameter.name == "wait" or str(value).startswith("-"):
        return [f"{parameter.opts[-1]}={value}"]
    return [parameter.opts[-1], str(value)]
