"""A command of ours: its options in groups, where each setting comes from, and its help page."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from batch.cli import profile
from batch.errors import BulkRevokeError, ConfigError
from batch.reporting.observers import Observers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


_RULED_OUT = "batch.cli: what the command line rules out"
"""Key, in a context's ``meta``, of the settings that are not taken from the environment."""


class GroupedOption(click.Option):
    """An option that belongs to a group of the help page.

    Args:
        group: Its heading.
        number: Whether a profile may give it as a whole number as well as in quotes.
        only_typed: Whether it is one for the command line alone.
        is_output: Whether it names the results, which else have a name after the command's input.
        adds_up: Whether the values of all places count together.
    """

    def __init__(
        self,
        *args: Any,  # noqa: ANN401
        group: str,
        number: bool = False,
        only_typed: bool = False,
        is_output: bool = False,
        adds_up: bool = False,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        kwargs.setdefault("allow_from_autoenv", not only_typed)
        super().__init__(*args, **kwargs)
        self.group = group
        self.number = number
        self.only_typed = only_typed
        self.is_output = is_output
        self.adds_up = adds_up

    def consume_value(
        self, ctx: click.Context, opts: Mapping[str, Any]
    ) -> tuple[Any, ParameterSource]:
        """Take the value of the nearest place, or of all places."""
        value, source = super().consume_value(ctx, opts)
        if self.adds_up:
            in_profile = ctx.lookup_default(self.name or "")
            places = (
                opts.get(self.name or ""),
                self.value_from_envvar(ctx),
                in_profile if isinstance(in_profile, list) else (),  # else it is refused
            )
            value = tuple(dict.fromkeys(each for values in places for each in values or ()))
        return value, source

    def resolve_envvar_value(self, ctx: click.Context) -> str | None:
        """Leave out what the command line rules out, and what is blank.

        Nothing but blanks would else take away what a profile says.
        """
        if self.name in ctx.meta.get(_RULED_OUT, ()):
            return None
        found = super().resolve_envvar_value(ctx)
        return found if found and found.strip() else None

    def value_from_envvar(self, ctx: click.Context) -> Any:  # noqa: ANN401
        """Take each line as a value of an option that may be repeated: a blank is a part of it.

        Files have a colon between them, as in ``PATH``.
        """
        found = self.resolve_envvar_value(ctx)
        if found is None or not self.multiple or isinstance(self.type, click.Path):
            return super().value_from_envvar(ctx)
        return tuple(filter(None, map(str.strip, found.splitlines())))

    def get_help_extra(self, ctx: click.Context) -> click.types.OptionHelpExtra:
        """Without the range: who leaves it is told. And the results have a name in each command."""
        extra = super().get_help_extra(ctx)
        extra.pop("range", None)
        if self.is_output and isinstance(ctx.command, Command):
            extra["default"] = ctx.command.output
        return extra


class WithExamples(click.Command):
    """A command whose help page shows how it is typed.

    Args:
        examples: What each is for, empty for one that belongs to the one before; and the command
            as it is typed.
    """

    def __init__(self, *args: Any, examples: Sequence[tuple[str, str]], **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(*args, **kwargs)
        self.examples = examples

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write what the command does, and the examples; a line of these is never wrapped."""
        super().format_help_text(ctx, formatter)
        with formatter.section("Examples"):
            for purpose, typed in self.examples:
                comment = f"  # {purpose}\n" if purpose else ""
                formatter.write(f"{comment}  {typed}\n")


class Command(WithExamples):
    """A command whose options are shown in groups, and whose end is told to its observers.

    Args:
        suffix: With which the name of its results file ends where no other is given.
    """

    def __init__(self, *args: Any, suffix: str, **kwargs: Any) -> None:  # noqa: ANN401
        super().__init__(*args, **kwargs)
        self.suffix = suffix

    @property
    def output(self) -> str:
        """The place of its results where nothing else is said, in words."""
        source = next(each for each in self.params if isinstance(each, click.Argument))
        return f"name of {source.metavar} with {self.suffix}, in the working directory"

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write one section for each group, in the order of the table."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None and isinstance(parameter, click.Option):
                group = parameter.group if isinstance(parameter, GroupedOption) else "Other"
                sections.setdefault(group, []).append(record)
        for group, records in sections.items():
            with formatter.section(group):
                formatter.write_dl(records)
        with formatter.section("Environment"):
            formatter.write_dl(self._variables(ctx))

    def _variables(self, ctx: click.Context) -> list[tuple[str, str]]:
        """List environment variables and what they set: a rule, and what it does not hold for."""
        options = [each for each in self.get_params(ctx) if isinstance(each, GroupedOption)]
        never = [each.opts[-1] for each in options if not (each.allow_from_autoenv or each.envvar)]
        excepted = f" (not {', '.join(never)})" if never else ""
        prefix = ctx.auto_envvar_prefix
        between = {":": "colon", ";": "semicolon"}[os.pathsep]
        rule = (
            f"Each option{excepted}; {prefix}_LOG_FILE sets --log-file. Of several values each"
            f" stands on a line of its own, of several files a {between} between them."
        )
        return [
            (f"{prefix}_<OPTION>", rule),
            *((str(each.envvar), f"Sets {each.opts[-1]}.") for each in options if each.envvar),
            ("CRYPTLEX_ACCESS_TOKEN", "The access token."),
        ]

    def _check_environment(self, ctx: click.Context) -> None:
        """Refuse a variable that looks like an option and is none: it would be without effect."""
        if ctx.auto_envvar_prefix is None:
            return
        prefix = f"{ctx.auto_envvar_prefix}_"
        options = [each for each in self.get_params(ctx) if isinstance(each, click.Option)]
        known = {f"{prefix}{each.name}".upper(): each for each in options}
        for variable in os.environ:
            option = known.get(variable)
            if not variable.startswith(prefix) or (option and option.allow_from_autoenv):
                continue
            if option is None:
                from difflib import get_close_matches  # noqa: PLC0415 - --help needs none of it

                names = [each.removeprefix(prefix) for each in known]
                near = get_close_matches(variable.removeprefix(prefix), names, n=1)
                hint = f"did you mean {prefix}{near[0]}?" if near else "--help says which ones do."
            elif option.envvar:
                hint = f"{option.opts[-1]} comes from {option.envvar}."
            else:
                hint = f"{option.opts[-1]} has to be typed; unset the variable."
            raise ConfigError(f"{variable}: sets no option", hint=hint)

    def _refuse_both(self, given: Sequence[str]) -> None:
        """Refuse a choice and its opposite, where neither is the default: the later one would win.

        Args:
            given: The command line.
        """
        typed = set(given[: given.index("--")] if "--" in given else given)
        for each in self.params:
            if isinstance(each, click.Option) and each.default is None and each.secondary_opts:
                one, other = each.opts[-1], each.secondary_opts[-1]
                if {one, other} <= typed:
                    raise ConfigError(
                        f"{one} and {other} exclude each other",
                        hint="leave out one; or both, if either is meant.",
                    )

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401
        """Say of an option that is refused where it comes from, if not from the command line."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as interrupt:
            raise click.Abort from interrupt  # of which click makes no empty line
        except BulkRevokeError as error:
            from batch.cli.usage import origin  # noqa: PLC0415 - --help needs none of it

            if place := origin(ctx, error.option):
                error.hint = f"{error.hint} {place}".strip()
            raise

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse with the profile, and find out who is to be told how it ends.

        Both are known also where something else is wrong, by a parse that takes anything.
        """
        # A shell completes a word, or somebody wants to read this page: that need not take longer.
        if ctx.resilient_parsing or args in (["--help"], ["-h"]):
            return super().parse_args(ctx, args)
        observers = ctx.ensure_object(Observers)
        given = tuple(args)
        try:
            self._take_profile(ctx, self._parse_anything(ctx, given))
            rest = super().parse_args(ctx, args)
            self._check_environment(ctx)
            self._refuse_both(given)
        except (click.UsageError, BulkRevokeError):
            self._gather(observers, self._parse_anything(ctx, given))
            raise
        self._gather(observers, ctx)
        return rest

    def _parse_anything(self, ctx: click.Context, args: Sequence[str]) -> click.Context:
        """Parse what can be parsed, with the profile if it is known already."""
        lenient = click.Context(
            self,
            parent=ctx.parent,
            info_name=ctx.info_name,
            resilient_parsing=True,
            ignore_unknown_options=True,
            allow_extra_args=True,
            default_map=ctx.default_map,
        )
        super().parse_args(lenient, list(args))
        return lenient

    def _take_profile(self, ctx: click.Context, near: click.Context) -> None:
        """Make defaults of the profile's settings that nothing nearer to the user rules out.

        Args:
            ctx: Gets the defaults, also those of a profile that is refused: it is known then who
                is to be told.
            near: Knows the settings of the command line and of the environment.

        Raises:
            ConfigError: The profile cannot be used.
        """
        line, environment = ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT
        ctx.meta[_RULED_OUT] = profile.ruled_out(near, line)
        path = near.params.get("config")
        if path is None:
            return
        tables = profile.read(path)
        table = tables.get(self.name or "")
        if isinstance(table, dict):
            dropped = profile.ruled_out(near, line, environment)
            ctx.default_map = {key: table[key] for key in table if key not in dropped}
        group = ctx.find_root().command
        assert isinstance(group, click.Group)
        commands = (group.get_command(ctx, name) for name in group.list_commands(ctx))
        takers = (command for command in commands if isinstance(command, Command))
        profile.check(path, tables, {each.name or "": each.settable() for each in takers})

    def settable(self) -> dict[str, GroupedOption]:
        """Return the options that a profile may set, by their names."""
        return {
            each.name: each
            for each in self.params
            if isinstance(each, GroupedOption)
            and each.name
            and not (each.only_typed or each.name == "config")
        }

    def _gather(self, observers: Observers, ctx: click.Context) -> None:
        notified = profile.addresses(ctx.default_map or {})
        observers.gather(self.name or "", ctx.params, notified)
