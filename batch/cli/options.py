"""The one table of options: names, type, default, help and the group they are shown in."""

from __future__ import annotations

from functools import cache, partial
from math import isnan
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from batch.cli.command import GroupedOption

if TYPE_CHECKING:
    from collections.abc import Callable


SAAS = "https://api.cryptlex.com/v3"
"""As in `batch.api.base_url`, which takes longer to import than this page to show."""

_F = TypeVar("_F", bound="Callable[..., Any]")

PATH = click.Path(readable=False)
"""A file that a shell completes; what is wrong with it is told by whoever opens it."""


class _Span(click.FloatRange):
    """A range in which ``nan`` does not lie, which is neither below it nor above it."""

    def convert(
        self,
        value: Any,  # noqa: ANN401
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> float:
        """Read a number."""
        found: float = super().convert(value, param, ctx)
        if isnan(found):
            self.fail(f"{value} is no number.", param, ctx)
        return found


_POSITIVE = click.IntRange(min=1)
_SECONDS = _Span(min=0, min_open=True, max=3600)
_FLAG: dict[str, Any] = {"is_flag": True}


class Entry(NamedTuple):
    """One option of the table.

    Attributes:
        group: Where the help page shows it.
        names: As on the command line, the long one last.
        attributes: As `GroupedOption` takes them.
    """

    group: str
    names: tuple[str, ...]
    attributes: dict[str, Any]


def option(group: str, *names: str, **attributes: Any) -> Entry:  # noqa: ANN401
    """Make an entry of a group of the help page."""
    return Entry(group, names, attributes)


_input, _output, _safety, _api, _other = (
    partial(option, group) for group in ("Input", "Output", "Safety", "API", "Other")
)

OPTIONS = {
    entry.names[-1].split("/")[0].removeprefix("--"): entry
    for entry in (
        _input(
            "-c",
            "--column",
            metavar="NAME",
            number=True,
            help="Column of the license IDs or keys: its header as written, or its number.",
        ),
        _input(
            "--sheet",
            metavar="NAME|NUMBER",
            number=True,
            help="Worksheet; by default the first visible one.",
        ),
        _input(
            "--header-row",
            type=click.IntRange(min=0),
            metavar="N",
            help="Row of the header, as a spreadsheet counts; rows above it are left out. 0: there"
            " is none.",
        ),
        _input(
            "--where",
            metavar="COLUMN=VALUE",
            multiple=True,
            help="Take only rows with this value in this column. Repeatable: all must hold.",
        ),
        _input(
            "--by",
            type=click.Choice(["id", "key"]),
            default="id",
            show_default=True,
            help="What the column holds: license IDs, or license keys that are looked up.",
        ),
        _input(
            "--include-unknown",
            **_FLAG,
            help="Take rows too that the run may have turned; they are read first.",
        ),
        _input(
            "--older-than",
            metavar="AGE",
            help="Of the results of `suspend` only rows of at least this age: 30d, 2w, 12h.",
        ),
        _input(
            "--suspended",
            **_FLAG,
            help="Ask whether they are suspended; of results of `suspend` that is asked anyway.",
        ),
        _input(
            "--manifest",
            **_FLAG,
            only_typed=True,
            help="INPUT is a results file: see whether it, and the input of its run, were changed"
            " since. No server is asked.",
        ),
        _input(
            "--carry",
            metavar="NAME",
            multiple=True,
            help="Copy this input column into the results. Repeatable.",
        ),
        _input(
            "--skip-invalid",
            **_FLAG,
            help="Leave out rows whose cell holds no license ID, instead of refusing the input.",
        ),
        _input(
            "--include-hidden",
            **_FLAG,
            help="Take hidden and filtered rows, and IDs in cells that a merge covers, like any"
            " other.",
        ),
        _output(
            "-o",
            "--output",
            metavar="PATH",
            type=PATH,
            is_output=True,
            help="Results file; may hold {date}, {time} (UTC) and {run_id}.",
        ),
        _output(
            "--resume",
            **_FLAG,
            help="Go on with the run whose results stand there; if none do, start.",
        ),
        _output(
            "--overwrite",
            **_FLAG,
            allow_from_autoenv=False,
            help="Start again; the old results are kept under another name.",
        ),
        _output(
            "--details/--no-details",
            default=True,
            show_default=True,
            help="Whether the results have columns on each license: customer, expiry and use.",
        ),
        _output("--json", **_FLAG, help="Print the summary as one JSON object."),
        _output(
            "--report",
            metavar="PATH",
            type=PATH,
            help="Write a page of the run as well, as HTML; may hold {date}, {time}, {run_id}.",
        ),
        _output("--log-file", metavar="PATH", type=PATH, help="Append JSON lines to this file."),
        _output("-v", "--verbose", **_FLAG, help="Show every attempt."),
        _output("-q", "--quiet", **_FLAG, help="Show nothing at exit 0, else one block."),
        _output(
            "--notify-file",
            metavar="PATH",
            type=PATH,
            help="Tell the addresses in this file how it ended (Apprise); at exit 0 not with -q.",
        ),
        _output(
            "--metrics-file",
            metavar="PATH",
            type=PATH,
            help="Write how it ended to this file, for Prometheus (name.prom).",
        ),
        _safety(
            "--dry-run",
            **_FLAG,
            help="Stop after the plan: read, show and write down, send no PATCH.",
        ),
        _safety(
            "-y",
            "--yes",
            **_FLAG,
            allow_from_autoenv=False,
            help="Do not ask; only together with --max-licenses.",
        ),
        _safety(
            "--max-licenses",
            type=_POSITIVE,
            metavar="N",
            help="Refuse if more than N PATCH requests would be sent.",
        ),
        _safety(
            "--limit",
            type=_POSITIVE,
            metavar="N",
            help="Send N PATCH requests at most and leave the rest to --resume: a pilot.",
        ),
        _safety(
            "--max-failures",
            metavar="N|P%",
            number=True,
            default="20%",
            show_default=True,
            help="Stop when more licenses than this fail (with P%, more than 10 in any case), or"
            " when all of the first 20 do.",
        ),
        _safety("--missing-ok", **_FLAG, help="Licenses that do not exist count as done."),
        _safety(
            "--exclude",
            metavar="FILE",
            type=PATH,
            multiple=True,
            adds_up=True,
            help="Never touch what this file names, by ID or key, in any cell. Repeatable.",
        ),
        _safety(
            "--approved",
            metavar="FILE",
            type=PATH,
            help="Touch only what these results of a dry run, gone through by somebody, approve.",
        ),
        _safety(
            "--expect-licenses",
            type=_POSITIVE,
            metavar="N",
            help="Refuse unless the input lists exactly N different licenses.",
        ),
        _safety(
            "--expect-product",
            metavar="UUID",
            multiple=True,
            help="Refuse if any license is of another product. Repeatable.",
        ),
        _safety(
            "--look/--no-look",
            default=True,
            show_default=True,
            help="Whether to ask first what the server holds.",
        ),
        _safety("--reason", metavar="TEXT", default="", help="Why; kept in the manifest."),
        _api(
            "--base-url",
            metavar="URL",
            default=SAAS,
            show_default=True,
            help="Another installation (EU, on premise), version included.",
        ),
        _api(
            "--token-file",
            metavar="PATH",
            type=PATH,
            help="File that holds the access token; else CRYPTLEX_ACCESS_TOKEN, else "
            "cryptlex-access-token in $CREDENTIALS_DIRECTORY.",
        ),
        _api(
            "--ca-file",
            metavar="PATH",
            type=PATH,
            help="Authorities to trust instead of the system's, as PEM.",
        ),
        _api(
            "--rate",
            metavar="N/SECONDSs",
            default="45/5s",
            show_default=True,
            help="Requests in any such window, on premise as well, or none for no limit.",
        ),
        _api(
            "--concurrency",
            type=click.IntRange(1, 1000),
            metavar="N",
            default=32,
            show_default=True,
            help="Requests in flight at most.",
        ),
        _api(
            "--timeout",
            type=_SECONDS,
            metavar="S",
            default=30.0,
            show_default=True,
            help="Seconds for one attempt.",
        ),
        _api(
            "--max-attempts",
            type=click.IntRange(1, 100),
            metavar="N",
            default=5,
            show_default=True,
            help="Attempts for one license (for one page of a list), the first included.",
        ),
        _api(
            "--wait",
            metavar="[DURATION]",
            is_flag=False,
            flag_value="1h",
            help="Wait for another run on this host, --wait=15m or an hour, instead of refusing.",
        ),
        _api(
            "--lock-dir",
            metavar="PATH",
            type=PATH,
            help="Where runs on this host lock each other out.  [default: /run/lock, else /tmp]",
        ),
        _api(
            "--sandbox",
            **_FLAG,
            help="Rehearse: a sandbox in this process that knows the input's licenses; "
            "no token, no lock; it asks at a terminal only, and --yes alone is enough.",
        ),
        _other(
            "--config",
            metavar="FILE",
            type=PATH,
            envvar="BULK_REVOKE_CONFIG",
            allow_from_autoenv=False,
            help="Profile (TOML): a table for each command, keys as the options with _ for -.",
        ),
    )
}
"""Every option by its long name: its group, its names and click's attributes."""


INPUT = (
    "column",
    "sheet",
    "header-row",
    "where",
    "by",
    "carry",
    "skip-invalid",
    "include-hidden",
)
OUTPUT = ("output", "details", "resume", "overwrite", "report")
TELLING = ("json", "log-file", "verbose", "quiet", "notify-file", "metrics-file")
SENDING = (
    "dry-run",
    "yes",
    "max-licenses",
    "limit",
    "max-failures",
    "exclude",
    "approved",
    "expect-licenses",
    "expect-product",
)
API = (
    "base-url",
    "token-file",
    "ca-file",
    "rate",
    "concurrency",
    "timeout",
    "max-attempts",
    "wait",
    "lock-dir",
)
OTHER = ("config",)
"""Options that several commands have, in the order in which help pages show them."""


def with_entries(*entries: Entry) -> Callable[[_F], _F]:
    """Give a command function these options, in this order."""
    return _with([_option(entry) for entry in entries])


def with_options(*names: str) -> Callable[[_F], _F]:
    """Give a command function these options of the table, in this order.

    Commands share them: to make them anew for each costs --help a twentieth.
    """
    return _with([_of_the_table(name) for name in names])


@cache
def _of_the_table(name: str) -> GroupedOption:
    return _option(OPTIONS[name])


def _option(entry: Entry) -> GroupedOption:
    group, flags, attributes = entry
    return GroupedOption(flags, group=group, **attributes)


def _with(options: list[GroupedOption]) -> Callable[[_F], _F]:
    def decorate(function: _F) -> _F:
        # As `click.option` does, which makes one of its own each time.
        vars(function).setdefault("__click_params__", []).extend(reversed(options))
        return function

    return decorate
