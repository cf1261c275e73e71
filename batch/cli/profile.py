"""Profiles: settings in a TOML file, one table for each command, under the options' names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from batch.cli.help import GroupedOption
from batch.cli.precedence import NOTIFY
from batch.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable


LARGEST = 1 << 20
"""Bytes of a profile that are read; a device would never end."""

_TEXT, _TEXTS, _NUMBER, _WHOLE, _SWITCH = (
    "text",
    "a list of texts",
    "a number",
    "a whole number",
    "true or false",
)


def load(context: click.Context, option: click.Parameter, path: str | None) -> str | None:
    """Take the settings of a profile as the defaults of a command; the callback of ``--config``.

    All tables are checked, also those of other commands: what is wrong with them should not show
    on the day on which they are needed.

    Raises:
        ConfigError: It cannot be used. File, table and key are named, never a value: it may be a
            secret that is in the wrong place.
    """
    if path is None or (context.resilient_parsing and context.default_map is not None):
        return path  # or it has been read already
    tables = _read(path)
    own = tables.get(context.command.name or "")
    # Before anything is checked: also of a wrong profile it is known who is to be told.
    context.default_map = own if isinstance(own, dict) else {}
    commands = _commands(context, option)
    for name, table in tables.items():
        if name not in commands:
            raise ConfigError(
                f"{path}: {name}: {'no such table' if isinstance(table, dict) else 'in no table'}",
                hint=meant(name, commands, "tables are"),
            )
        if not isinstance(table, dict):
            raise ConfigError(
                f"{path}: {name}: is no table", hint=f"write [{name}] above its keys."
            )
        _check(f"{path}: [{name}]", table, commands[name])
    return path


def _read(path: str) -> dict[str, Any]:
    import tomllib  # noqa: PLC0415 - --help needs none of it
    from pathlib import Path  # noqa: PLC0415

    try:
        with Path(path).open("rb") as file:
            text = file.read(LARGEST + 1)
        if len(text) > LARGEST:
            raise ConfigError(
                f"{path}: is no profile: it is larger than {LARGEST:,} bytes",
                hint="name another one with --config.",
            )
        return tomllib.loads(text.decode("utf-8-sig"))
    except OSError as cause:
        raise ConfigError(
            f"{path}: the profile cannot be read: {cause.strerror}",
            hint="name another one with --config.",
        ) from cause
    except (ValueError, RecursionError) as cause:  # also what is no UTF-8
        where = cause if isinstance(cause, tomllib.TOMLDecodeError) else "it is no text in UTF-8"
        raise ConfigError(
            f"{path}: is no TOML: {where}", hint='a setting reads like: rate = "45/5s"'
        ) from cause


def _commands(context: click.Context, option: click.Parameter) -> dict[str, list[click.Parameter]]:
    """The parameters of every command that takes a profile, by the command's name."""
    group = context.find_root().command
    commands = [context.command]
    if isinstance(group, click.Group):
        there = (group.get_command(context, name) for name in group.list_commands(context))
        commands = [command for command in there if command is not None]
    return {
        command.name or "": command.params
        for command in commands
        if any(each.name == option.name for each in command.params)
    }


def _check(where: str, table: dict[str, Any], parameters: Iterable[click.Parameter]) -> None:
    known = {
        each.name: each
        for each in parameters
        if isinstance(each, GroupedOption) and each.name and not (each.is_eager or each.only_typed)
    }
    for key, value in table.items():
        if key == NOTIFY:
            problem = "" if _fits(value, _TEXTS) else f"must be {_TEXTS}"
        elif key not in known:
            raise ConfigError(
                f"{where} {key}: no such key", hint=meant(key, [*known, NOTIFY], "keys are")
            )
        else:
            problem = _problem(known[key], value)
        if problem:
            raise ConfigError(f"{where} {key}: {problem}", hint=_as_in(known.get(key)))
    if table.get("yes") and "max_licenses" not in table:
        raise ConfigError(
            f"{where} yes: needs max_licenses beside it: nobody would notice the wrong file",
            hint="max_licenses = 500 is how many licenses it may be at most.",
        )


def _problem(option: GroupedOption, value: object) -> str:
    """Say what is wrong with a value of the right or the wrong type, or return an empty text."""
    kind = _kind(option)
    if not _fits(value, kind) and not (option.number and _fits(value, _WHOLE)):
        return f"must be {kind}" + (" or a whole number" if option.number else "")
    if isinstance(option.type, click.Choice) and value not in option.type.choices:
        return f"must be {' or '.join(option.type.choices)}"
    values = value if isinstance(value, list) else [value]
    if any("\0" in each for each in values if isinstance(each, str)):
        return "holds a NUL"
    try:
        for each in values:
            option.type.convert(each, option, None)
    except click.BadParameter as cause:
        return cause.message.rstrip(".")
    return ""


def _kind(option: GroupedOption) -> str:
    if option.multiple:
        return _TEXTS
    if option.is_bool_flag:
        return _SWITCH
    if isinstance(option.type, click.types.IntParamType):
        return _WHOLE
    return _NUMBER if isinstance(option.type, click.types.FloatParamType) else _TEXT


def _fits(value: object, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == _SWITCH
    if kind == _TEXTS:
        return isinstance(value, list) and all(isinstance(each, str) for each in value)
    wanted: dict[str, type | tuple[type, ...]] = {_TEXT: str, _WHOLE: int, _NUMBER: (int, float)}
    return isinstance(value, wanted.get(kind, ()))


def _as_in(option: GroupedOption | None) -> str:
    """An example of how a value of this kind is written."""
    if option is None:
        return f'as in {NOTIFY} = ["mailto://…", "slack://…"]'
    examples = {
        _TEXT: '"…"',
        _TEXTS: '["…", "…"]',
        _WHOLE: "500",
        _NUMBER: "2.5",
        _SWITCH: "true",
    }
    return f"as in {option.name} = {examples[_kind(option)]}"


def meant(name: str, known: Iterable[str], those: str) -> str:
    """The nearest right name, or all of them."""
    from difflib import get_close_matches  # noqa: PLC0415 - as above

    known = list(known)
    near = get_close_matches(name.lower().replace("-", "_"), known, n=1)
    return f"did you mean {near[0]}?" if near else f"{those} {', '.join(known)}."
