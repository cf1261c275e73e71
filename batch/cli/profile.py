"""Profiles: settings in a TOML file, one table for each command, under the options' names.

A table becomes click's ``default_map``, without what something nearer to the user rules out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from batch.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from click.core import ParameterSource

    from batch.cli.command import GroupedOption


LARGEST = 1 << 20
"""Bytes of a profile that are read; a device would never end."""

NOTIFY = "notify"
"""A profile's key for addresses that are notified. No option: others could read it in the process
list."""

OF_THE_REAL_RUN = frozenset({
    "output", "resume", "overwrite", "report", "log_file", "notify_file", NOTIFY,
})  # fmt: skip
"""Settings for the real run: a trial must not take its place, or notify anybody."""

_TEXT, _TEXTS, _NUMBER, _WHOLE, _SWITCH = (
    "text",
    "a list of texts",
    "a number",
    "a whole number",
    "true or false",
)


RULES_OUT = {
    "quiet": frozenset({"verbose"}),
    "verbose": frozenset({"quiet"}),
    "resume": frozenset({"overwrite"}),
    "overwrite": frozenset({"resume"}),
    "dry_run": OF_THE_REAL_RUN,
    "sandbox": OF_THE_REAL_RUN,
}
"""Switch to the settings that it overrules where these come from farther away (the environment, a
profile). Nothing overrules a dry run or a rehearsal."""


def ruled_out(context: click.Context, *near: ParameterSource) -> frozenset[str]:
    """Return the settings that count no more if they come from a place farther away than these.

    Args:
        context: That of a command whose command line and environment have been read.
        near: The places whose switches are looked at.
    """
    on = (
        name
        for name in RULES_OUT
        if context.params.get(name) and context.get_parameter_source(name) in near
    )
    return frozenset().union(*(RULES_OUT[name] for name in on))


def read(path: str) -> dict[str, Any]:
    """Return the tables of a profile, by the name of their command; nothing of them is checked.

    Raises:
        ConfigError: It cannot be read, or is no TOML.
    """
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


def addresses(table: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the addresses that a table, right or wrong, wants notified."""
    found = table.get(NOTIFY, [])
    return tuple(found) if _fits(found, _TEXTS) else ()


def check(
    path: str, tables: dict[str, Any], commands: Mapping[str, Mapping[str, GroupedOption]]
) -> None:
    """Refuse a profile that is wrong anywhere.

    All tables are checked, also those of other commands: what is wrong with them should not show
    on the day on which they are needed.

    Args:
        path: The profile.
        tables: What `read` has found in it.
        commands: The commands that take a profile, with the options that may stand there.

    Raises:
        ConfigError: File, table and key are named, never a value: it may be a secret that is in the
            wrong place.
    """
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


def _check(where: str, table: dict[str, Any], known: Mapping[str, GroupedOption]) -> None:
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
