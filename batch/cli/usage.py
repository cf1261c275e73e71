"""The refusals of click, in the words and the shape of every other refusal."""

from __future__ import annotations

import re

import click
from click.core import ParameterSource

from batch.errors import ConfigError

_EXTRA = re.compile(r"(got unexpected extra arguments?) \((.*)\)", re.DOTALL)

_NO_NUMBER = re.compile(r"is not a valid (?:(integer)|float)(?: range)?")


def refusal(error: click.UsageError, called: str) -> ConfigError:
    """Return what is wrong with a command line, with what to do about it.

    Args:
        error: What click says of it. Its context may be that of the group.
        called: The command as it was called, such as ``bulk-revoke run``.
    """
    page = f"{called} --help"
    message, option, shown = _sentence(error.message), "", ""
    hint = f"{page} shows how it is called."
    match error:
        case click.NoSuchOption():
            message = f"no such option: {error.option_name}"
            near = error.possibilities  # the nearest one first
            hint = f"did you mean {near[0]}?" if near else f"{page} lists the options."
        case click.BadOptionUsage():
            option = error.option_name
            message = message.removeprefix(f"option {option!r} ")
            hint = f"{page} says what it takes."
        case click.MissingParameter(param=click.Parameter() as parameter):
            message, hint = f"{_name(parameter)} is missing", f"{page} shows examples."
        case click.BadParameter(param=click.Parameter() as parameter):
            option = _name(parameter)
            message = _NO_NUMBER.sub(_no_number, _in_range(message, parameter.type))
            hint = f"{page} says what it takes. {origin(error.ctx, option)}".strip()
        case _ if extra := _EXTRA.fullmatch(message):
            message, shown = extra.groups()
            hint = f"a name with blanks needs quotes; {page} shows how it is called."
    return ConfigError(message, option=option, shown=shown, hint=hint)


def origin(context: click.Context | None, option: str) -> str:
    """Say where an option comes from that is refused; empty if that needs no saying."""
    if context is None:
        return ""
    name = option.removeprefix("--").replace("-", "_")
    match context.get_parameter_source(name):
        case ParameterSource.ENVIRONMENT:
            return f"It comes from {context.auto_envvar_prefix}_{name.upper()}."
        case ParameterSource.DEFAULT_MAP:
            return f"It comes from {context.params.get('config')}."
    return ""


def _sentence(message: str) -> str:
    """Begin and end it as our own messages do."""
    return message[:1].lower() + message[1:].rstrip(".")


def _no_number(found: re.Match[str]) -> str:
    return "is no whole number" if found[1] else "is no number"


def _in_range(message: str, of: object) -> str:
    """What click says of a number that is too small or too large, in words."""
    value, is_outside, _ = message.partition(" is not in the range ")
    if not is_outside or not isinstance(of, click.IntRange | click.FloatRange):
        return message
    limits = []
    if of.min is not None:
        limits.append(f"{'more than' if of.min_open else 'at least'} {of.min}")
    if of.max is not None:
        limits.append(f"at most {of.max}")
    return f"{value}: it has to be {' and '.join(limits)}"


def _name(parameter: click.Parameter) -> str:
    if isinstance(parameter, click.Argument):
        return parameter.metavar or parameter.human_readable_name
    return parameter.opts[-1]
