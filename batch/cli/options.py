"""The one table of options: names, type, default, help and the group they are shown in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import click

from batch.cli.grouped import GroupedOption

if TYPE_CHECKING:
    from collections.abc import Callable

SAAS = "https://api.cryptlex.com/v3"
"""As in `batch.address`, which takes longer to import than this page to show."""

_F = TypeVar("_F", bound="Callable[..., Any]")


_POSITIVE = click.IntRange(min=1)
_SECONDS = click.FloatRange(min=0, min_open=True, max=3600)
_FLAG: dict[str, Any] = {"is_flag": True}


class Entry(NamedTuple):
    """One option of the table.

    Attributes:
        group: Where the help page shows it.
        names: As on the command line, the long one last.
        attributes: As click takes them.
    """

    group: str
    names: tuple[str, ...]
    attributes: dict[str, Any]


def _option(group: str, *names: str, **attributes: Any) -> Entry:  # noqa: ANN401
    return Entry(group, names, attributes)


OPTIONS = {
    entry.names[-1].split("/")[0].removeprefix("--"): entry
    for entry in (
        _option(
            "Input",
            "-c",
            "--column",
            metavar="NAME",
            help="Column of the license IDs or keys: its header as written, else its number.",
        ),
        _option(
            "Input",
            "--sheet",
            metavar="NAME|NUMBER",
            help="Worksheet; by default the first visible one.",
        ),
        _option(
            "Input",
            "--by",
            type=click.Choice(["id", "key"]),
            default="id",
            show_default=True,
            help="What the column holds: license IDs, or license keys that are looked up.",
        ),
        _option(
            "Input",
            "--include-unknown",
            **_FLAG,
            help="Take rows too that the run may have turned; they are read first.",
        ),
        _option(
            "Input",
            "--carry",
            metavar="NAME",
            multiple=True,
            help="Copy this input column into the results. Repeatable.",
        ),
        _option(
            "Input",
            "--skip-invalid",
            **_FLAG,
            help="Leave out rows whose cell holds no license ID, instead of refusing the input.",
        ),
        _option(
            "Input",
            "--include-hidden",
            **_FLAG,
            help="Take hidden and filtered rows like any other.",
        ),
        _option(
            "Output",
            "-o",
            "--output",
            metavar="PATH",
            help="Results file; may hold {date}, {time} (UTC) and {run_id}."
            "  [default: INPUT's name with .results.csv, in the working directory]",
        ),
        _option(
            "Output",
            "--resume",
            **_FLAG,
            help="Go on with the run whose results stand there; if none do, start.",
        ),
        _option(
            "Output",
            "--overwrite",
            **_FLAG,
            allow_from_autoenv=False,
            help="Start again; the old results are kept under another name.",
        ),
        _option("Output", "--json", **_FLAG, help="Print the summary as one JSON object."),
        _option("Output", "--log-file", metavar="PATH", help="Append JSON lines to this file."),
        _option("Output", "-v", "--verbose", **_FLAG, help="Show every attempt."),
        _option("Output", "-q", "--quiet", **_FLAG, help="Show nothing at exit 0, else one block."),
        _option(
            "Safety",
            "--dry-run",
            **_FLAG,
            help="Stop after the plan: read, show and write down, send no PATCH.",
        ),
        _option(
            "Safety",
            "-y",
            "--yes",
            **_FLAG,
            allow_from_autoenv=False,
            help="Do not ask; only together with --max-licenses.",
        ),
        _option(
            "Safety",
            "--max-licenses",
            type=_POSITIVE,
            metavar="N",
            help="Refuse if more than N PATCH requests would be sent.",
        ),
        _option(
            "Safety",
            "--limit",
            type=_POSITIVE,
            metavar="N",
            help="Send N PATCH requests at most and leave the rest to --resume: a pilot.",
        ),
        _option(
            "Safety",
            "--max-failures",
            metavar="N|P%",
            default="20%",
            show_default=True,
            help="Stop when more licenses than this fail (a share: at least 10), or the first 20.",
        ),
        _option(
            "Safety", "--missing-ok", **_FLAG, help="Licenses that do not exist count as done."
        ),
        _option(
            "Safety",
            "--exclude",
            metavar="FILE",
            multiple=True,
            help="Never touch the licenses that this file lists; read like INPUT. Repeatable.",
        ),
        _option(
            "Safety",
            "--expect-product",
            metavar="UUID",
            multiple=True,
            help="Refuse if any license is of another product. Repeatable.",
        ),
        _option(
            "Safety",
            "--look/--no-look",
            default=True,
            show_default="look",
            help="Whether to ask first what the server holds.",
        ),
        _option(
            "Safety", "--reason", metavar="TEXT", default="", help="Why; kept in the manifest."
        ),
        _option(
            "API",
            "--base-url",
            metavar="URL",
            default=SAAS,
            show_default=True,
            help="Another installation, version included.",
        ),
        _option(
            "API",
            "--token-file",
            metavar="PATH",
            help="File that holds the access token; else CRYPTLEX_ACCESS_TOKEN, else "
            "cryptlex-access-token in $CREDENTIALS_DIRECTORY.",
        ),
        _option(
            "API",
            "--ca-file",
            metavar="PATH",
            help="Authorities to trust instead of the system's, as PEM.",
        ),
        _option(
            "API",
            "--rate",
            metavar="N/SECONDSs",
            default="45/5s",
            show_default=True,
            help="Requests in any such window, or none for no limit.",
        ),
        _option(
            "API",
            "--concurrency",
            type=click.IntRange(1, 1000),
            metavar="N",
            default=32,
            show_default=True,
            help="Requests in flight at most.",
        ),
        _option(
            "API",
            "--timeout",
            type=_SECONDS,
            metavar="S",
            default=30.0,
            show_default=True,
            help="Seconds for one attempt.",
        ),
        _option(
            "API",
            "--max-attempts",
            type=click.IntRange(1, 100),
            metavar="N",
            default=5,
            show_default=True,
            help="Attempts for one license, the first included.",
        ),
        _option(
            "API",
            "--wait",
            metavar="[DURATION]",
            is_flag=False,
            flag_value="1h",
            help="Wait for another run on this host, --wait=15m or an hour, instead of refusing.",
        ),
        _option(
            "API",
            "--lock-dir",
            metavar="PATH",
            help="Where runs on this host lock each other out.  [default: /run/lock, else /tmp]",
        ),
        _option(
            "API",
            "--sandbox",
            **_FLAG,
            help="Rehearse: a sandbox in this process that knows the input's licenses; "
            "no token, no question.",
        ),
    )
}
"""Every option by its long name: its group, its names and click's attributes."""


INPUT = ("column", "sheet", "by", "carry", "skip-invalid", "include-hidden")
OUTPUT = ("output", "resume", "overwrite")
TELLING = ("json", "log-file", "verbose", "quiet")
SENDING = ("dry-run", "yes", "max-licenses", "limit", "max-failures", "exclude", "expect-product")
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
"""Options that several commands have, in the order in which help pages show them."""


def with_options(*names: str) -> Callable[[_F], _F]:
    """Give a command function these options of the table, in this order."""

    def decorate(function: _F) -> _F:
        for name in reversed(names):
            group, flags, attributes = OPTIONS[name]
            function = click.option(*flags, cls=GroupedOption, group=group, **attributes)(function)
        return function

    return decorate
