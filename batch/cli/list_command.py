"""The command `list`: filters in, a CSV of licenses out."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from batch.cli.command import Command
from batch.cli.options import API, OTHER, PATH, TELLING, option, with_entries, with_options
from batch.errors import ConfigError
from batch.reporting.observers import Observers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from batch.job.filters import Asked, Filter, Period


_filter = partial(option, "Filters")
_output = partial(option, "Output")
_several: dict[str, Any] = {"multiple": True}

FILTERS = (
    _filter("--product", metavar="UUID", **_several, help="Of this product."),
    _filter("--reseller", metavar="UUID", **_several, help="Sold by this reseller."),
    _filter("--organization", metavar="UUID", **_several, help="Of this organization."),
    _filter("--user", metavar="UUID", **_several, help="Of this user."),
    _filter("--email", metavar="TEXT", **_several, help="Of the user with this e-mail address."),
    _filter("--company", metavar="TEXT", **_several, help="Of users of this company."),
    _filter("--tag", metavar="TEXT", **_several, help="With this tag."),
    _filter(
        "--metadata", metavar="NAME=VALUE", **_several, help="With this entry in its metadata."
    ),
    _filter("--created-from", metavar="DATE", help="Made on this day (UTC), or later."),
    _filter("--created-to", metavar="DATE", help="Made on this day, or earlier."),
    _filter("--expires-from", metavar="DATE", help="Expires on this day, or later."),
    _filter("--expires-to", metavar="DATE", help="Expires by the end of this day."),
    _filter(
        "--unused-since",
        metavar="DATE",
        help="Made before this day, and not used since, if ever.",
    ),
    _filter("--revoked/--not-revoked", default=None, help="Is revoked, or is not."),
    _filter("--suspended/--not-suspended", default=None, help="Is suspended, or is not."),
    _filter(
        "--all",
        is_flag=True,
        only_typed=True,
        help="Every license of the account: needed where there is no filter.",
    ),
)
"""All filters have to hold; of an option that is given twice either value may."""

WRITING = (
    _output(
        "-o",
        "--output",
        metavar="PATH",
        type=PATH,
        help="Needed: where the list goes, as CSV; may hold {date}, {time} (UTC) and {run_id}.",
    ),
    _output(
        "--overwrite",
        is_flag=True,
        allow_from_autoenv=False,
        help="Write it anew; what stands there is kept under another name.",
    ),
)


@click.command(
    name="list",
    cls=Command,
    suffix=".csv",
    short_help="licenses that match filters, as a CSV that `run` takes",
    examples=(
        ("of one customer", 'bulk-revoke list --company "ACME Ltd" -o acme.csv'),
        (
            "expired by the end of January, and not revoked yet",
            "bulk-revoke list --expires-to 2026-01-31 --not-revoked -o expired.csv",
        ),
        (
            "all of the account, each night under another name",
            "bulk-revoke list --all -o licenses-{date}.csv",
        ),
    ),
    epilog="Exit codes: 0 the list is written, 1 it is, but the server counts others, 2 refused, "
    "3 stopped early, 4 another run is at work, 129/130/143 interrupted.",
)
@with_entries(*FILTERS, *WRITING)
@with_options(*TELLING, *(name for name in API if name != "concurrency"), *OTHER)
@click.pass_context
def list_(context: click.Context, /, **_: Any) -> int:  # noqa: ANN401
    """Write a CSV of the licenses that match all filters.

    Nothing is changed: read the file, and give it to `bulk-revoke run` or `suspend`. An option that
    is given twice admits either value. Text is compared as written, capital letters included. DATE
    is 2026-01-31, or a moment such as 2026-01-31T12:00:00Z.
    """
    return _perform(context)


def _perform(context: click.Context) -> int:
    """Run the command from its options to its exit code.

    Raises:
        BulkRevokeError: It was refused, or stopped: there is no list.
    """
    from batch.host.process import make_room_for, restrain_libraries  # noqa: PLC0415

    restrain_libraries()
    from batch.cli.execute import (  # noqa: PLC0415 - keeps --help short
        ended,
        logged,
        owner_of,
        prepare,
        settings_of,
    )
    from batch.cli.resume_command import run_command_of  # noqa: PLC0415
    from batch.job.lister import Lister  # noqa: PLC0415
    from batch.reporting import logs  # noqa: PLC0415
    from batch.results.manifest import new_run_id  # noqa: PLC0415

    options = dict(context.params)
    observers = context.ensure_object(Observers)
    observers.quiet = options["quiet"]
    asked = asked_for(options, now=datetime.now(UTC))
    _check_output(options["output"])
    run_id = new_run_id()
    settings = settings_of("", "", options, run_id)
    observers.known |= {"run_id": run_id, "api": settings.base_url}
    observers.check(settings.output)
    make_room_for(1)
    token, screen, another_token = prepare(
        observers, settings, options, run_id, needs="license:read"
    )
    with logged("list", str(settings.output)):
        lister = Lister(
            asked=asked,
            settings=settings,
            token=token,
            screen=screen,
            owner=owner_of(run_id, "list", observers.started_at),
            next_command=run_command_of(context, settings.output),
            another_token=another_token,
        )
        summary = ended(lister, observers)
        logs.ended(summary.exit_code, summary.counts)
    return summary.exit_code


def _check_output(path: str | None) -> None:
    """Refuse a list that goes nowhere, or that somebody may take a part of for the whole."""
    if path is None:
        raise ConfigError(
            "is missing", option="--output", hint="say where the list goes, as in -o licenses.csv."
        )
    if path == "-":
        raise ConfigError(
            "-: a list goes into a file, so that nobody takes a part of it for the whole",
            option="--output",
            hint="name a file, read it, and give it to the next command.",
        )


def asked_for(options: Mapping[str, Any], *, now: datetime) -> Asked:
    """Make the filters of the options.

    Args:
        options: The command's parameters.
        now: The present time.

    Raises:
        ConfigError: One cannot be used; there is none, and ``--all`` is not there; or both are.
    """
    from batch.job.filters import Asked, Period, of_flag, of_moments  # noqa: PLC0415 - as above

    found = _of_texts(options)
    made, expires = _period(options, "created"), _period(options, "expires")
    if made != Period():
        typed = _typed(options, "created_from", "created_to")
        found.append(of_moments(typed, "createdAt", made, is_sent=False))
    if expires != Period():
        typed = _typed(options, "expires_from", "expires_to")
        found.append(of_moments(typed, "expiresAt", expires))
    if options["unused_since"] is not None:
        since = _unused_since(options["unused_since"], now)
        found.append(since)
        made = made.until(since.made_before)
    for name in ("revoked", "suspended"):
        if (value := options[name]) is not None:
            found.append(of_flag(f"--{name}" if value else f"--not-{name}", name, value))
    if found and options["all"]:
        raise ConfigError(
            "and filters exclude each other",
            option="--all",
            hint="leave out --all; or the filters, if every license of the account is meant.",
        )
    if not found and not options["all"]:
        raise ConfigError(
            "no filter is given: that would be every license of the account",
            hint="--all says that this is meant; --help lists the filters.",
        )
    return Asked(tuple(found), made)


def _of_texts(options: Mapping[str, Any]) -> list[Filter]:
    """Make the filters that may be given several times."""
    from batch.job import filters as make  # noqa: PLC0415 - as above

    makers: dict[str, Callable[[str, Sequence[str]], Filter]] = {
        "product": partial(make.of_ids, what="product", name="productId"),
        "reseller": partial(make.of_ids, what="reseller", name="resellerId"),
        "organization": partial(make.of_ids, what="organization", name="organizationId"),
        "user": make.of_users,
        "email": partial(make.of_user_texts, what="e-mail", name="email"),
        "company": partial(make.of_user_texts, what="company", name="company"),
        "tag": make.of_tags,
        "metadata": make.of_metadata,
    }
    return [
        maker(f"--{name}", tuple(dict.fromkeys(options[name])))
        for name, maker in makers.items()
        if options[name]
    ]


def _period(options: Mapping[str, Any], name: str) -> Period:
    """Make a period of a pair of options; both of its days belong to it."""
    from batch.job.filters import Period, parse_moment  # noqa: PLC0415 - as above

    start, end = options[f"{name}_from"], options[f"{name}_to"]
    first = None if start is None else parse_moment(f"--{name}-from", start)[0]
    before = None if end is None else parse_moment(f"--{name}-to", end)[1]
    if first is not None and before is not None and first >= before:
        raise ConfigError(
            f"{end} is before --{name}-from {start}",
            option=f"--{name}-to",
            hint="swap the two; of a period the earlier day comes first.",
        )
    return Period(first, before)


def _typed(options: Mapping[str, Any], *names: str) -> dict[str, str]:
    """Options as they are typed, and what they were given; those that were not are left out."""
    given = ((f"--{name.replace('_', '-')}", options[name]) for name in names)
    return {option: value.strip() for option, value in given if value is not None}


def _unused_since(text: str, now: datetime) -> Filter:
    from batch.job.filters import of_unused, parse_moment, ticks_of  # noqa: PLC0415 - as above

    option = "--unused-since"
    since, _ = parse_moment(option, text)
    if since > ticks_of(now):
        raise ConfigError(
            f"{text} is not over yet: every license would be unused since then",
            option=option,
            hint="name a day that is over.",
        )
    return of_unused(option, since, text.strip())
