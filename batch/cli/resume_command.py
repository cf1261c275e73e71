"""The command that comes next, spelled for a shell."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from batch.cli.options import API, OTHER
from batch.model import SETS
from batch.settings import IN_BRACES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from batch.model import Action
    from batch.results.manifest import Manifest


ONCE = frozenset({"source", "output", "resume", "overwrite", "limit", "dry_run"})
"""Parameters that the command which goes on does not repeat as they were."""

OF_A_PLAN = ONCE - {"limit"} | {"report"}
"""The same for the command that carries out what a dry run says: the plan's page stays."""

OF_THE_PLACE = frozenset({
    "json", "lock_dir", "log_file", "metrics_file", "notify_file", "quiet", "verbose",
})  # fmt: skip
"""Parameters that the environment sets for the place where a command runs, whatever it does."""


OF_ITS_RESULTS = frozenset(
    name.replace("-", "_") for name in ("by", "exclude", "missing-ok", *API, *OTHER)
)
"""Parameters of a verify that hold for the run of its results; the others are about its input."""


def resume_command(context: click.Context, action: Action, source: str, results: Path) -> str:
    """Spell the command that comes next.

    After a run it goes on with that, and after a dry run it is the run itself; after a verify it is
    a run, or a suspend, of the licenses that were found otherwise.
    """
    if action.only_reads:
        return _command_for(context, SETS[action.changes].command, results)
    once = OF_A_PLAN if action.is_dry_run else ONCE
    words = ["bulk-revoke", context.command.name or "", _operand(source)]
    words += _repeated(context, lambda name: name not in once)
    return shlex.join([*words, *([] if action.is_dry_run else _going_on(str(results)))])


def run_command_of(context: click.Context, listed: Path) -> str:
    """Spell the command that shows what a run would do with a list."""
    return _command_for(context, "run", listed, "--dry-run")


def recorded_command(manifest: Manifest, *, dry_run: bool) -> str:
    """Spell the command that goes on with a recorded run, or carries out a dry run.

    A manifest has all settings, wherever they came from, so this names more of them than
    `resume_command`.
    """
    source, results = str(manifest.input.get("path", "")), manifest.results.get("path", "")
    once = OF_A_PLAN if dry_run else ONCE
    words = ["bulk-revoke", manifest.command, _operand(source)]
    words += _recorded(manifest.command, manifest, lambda name: name not in once)
    return shlex.join([*words, *([] if dry_run else _going_on(results))])


def recorded_command_about(command: str, path: Path, manifest: Manifest) -> str:
    """Spell a command about the results of a run, with those of its settings that still apply."""
    words = ["bulk-revoke", command, str(path.absolute())]
    wanted = OF_ITS_RESULTS - {"exclude", "by"}
    return shlex.join(words + _recorded(command, manifest, lambda name: name in wanted))


def _recorded(name: str, manifest: Manifest, wants: Callable[[str], bool]) -> list[str]:
    """Spell the options of a command that a manifest has other values for than their defaults."""
    from batch.cli import commands  # noqa: PLC0415 - it imports this module, when it is called

    words = []
    command = getattr(commands, name, None)
    for parameter in command.params if isinstance(command, click.Command) else ():
        value = manifest.options.get(parameter.name or "")
        is_off = value is False and parameter.default is not True
        if not wants(parameter.name or "") or is_off or value in (None, "", [], ()):
            continue
        if value != parameter.default:
            for each in value if isinstance(value, (list, tuple)) else (value,):
                words += _spelled(parameter, each)
    return words


def _command_for(context: click.Context, command: str, path: Path, *more: str) -> str:
    """Spell a command about the file that another one has written."""
    words = ["bulk-revoke", command, _operand(str(path)), *more]
    return shlex.join(words + _repeated(context, lambda name: name in OF_ITS_RESULTS))


def _repeated(context: click.Context, wants: Callable[[str], bool]) -> list[str]:
    """Spell those options of a command that the next command has to have as well."""
    words = []
    for parameter in context.command.params:
        name = parameter.name or ""
        if not (wants(name) and _is_said(context, name)):
            continue
        values = context.params[name]
        for value in values if isinstance(values, tuple) else (values,):
            words += _spelled(parameter, value)
    return words


def _is_said(context: click.Context, name: str) -> bool:
    """Tell whether a setting has to be repeated: a profile is named, and speaks for itself."""
    source = context.get_parameter_source(name)
    from_environment = source is ParameterSource.ENVIRONMENT and name not in OF_THE_PLACE
    return source is ParameterSource.COMMANDLINE or from_environment


def _going_on(results: str) -> list[str]:
    """Spell what makes a command go on with its results.

    A word in braces would be filled in. Only a name that was made of the input's has one, and the
    same name is made of it again.
    """
    named = [] if IN_BRACES.search(results) else ["-o", _operand(results)]
    return ["--resume", *named]


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
