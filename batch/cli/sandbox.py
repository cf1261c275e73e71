"""``bulk-revoke sandbox``: a local license API that runs until it is interrupted."""

from __future__ import annotations

import asyncio
import csv
import re
import signal
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from batch.cli.command import WithExamples
from batch.cli.options import with_options
from batch.errors import ConfigError, ResultsError
from batch.formatting import plain
from batch.host.process import check_key_log

if TYPE_CHECKING:
    from batch.sandbox import Account, Sandbox
    from batch.sandbox.message import Request, Response

LONGEST = 60
"""Characters of a path, and of a query, on a line of ``--verbose``."""

DIGITS = 7
"""Of the largest number of licenses: a filter takes memory for each of them."""


@click.command(
    cls=WithExamples,
    short_help="a local license API to rehearse against",
    examples=(
        ("an account of a thousand licenses", "bulk-revoke sandbox"),
        ("one that holds the licenses of a list", "bulk-revoke sandbox --licenses licenses.xlsx"),
        (
            "a large one in which 2 % of the requests go wrong, on any free port",
            "bulk-revoke sandbox --licenses 500000 --faults 2% --port 0",
        ),
    ),
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    metavar="N",
    default=8080,
    show_default=True,
    help="Port on 127.0.0.1; 0 takes any that is free.",
)
@click.option(
    "--licenses",
    metavar="FILE|N",
    default="1000",
    show_default=True,
    help="The account: licenses that FILE lists, or so many invented ones.",
)
@click.option(
    "--write",
    metavar="PATH",
    help="Write the account's license IDs to a CSV file that `bulk-revoke run` takes.",
)
@click.option(
    "--rate",
    metavar="N/SECONDSs",
    default="50/5s",
    show_default=True,
    help="What it admits before it answers 429, or none for no limit.",
)
@click.option(
    "--latency",
    metavar="MIN..MAXms",
    default="20..120ms",
    show_default=True,
    help="Time of a round trip.",
)
@click.option(
    "--faults", metavar="P%", default="0%", show_default=True, help="Requests that go wrong."
)
@click.option(
    "--error-code",
    type=click.Choice(("present", "absent", "null")),
    default="present",
    show_default=True,
    help="The code in error bodies, which the real API does not promise.",
)
@click.option(
    "--throttled-body",
    type=click.Choice(("text", "json")),
    default="text",
    show_default=True,
    help="Body of a 429.",
)
@click.option(
    "--seed",
    type=int,
    metavar="N",
    default=0,
    show_default=True,
    help="Makes account and faults repeatable.",
)
@click.option(
    "-v", "--verbose", is_flag=True, help="Tell on standard error of each request and fault."
)
@with_options("column", "sheet", "header-row", "by", "include-hidden")
def sandbox(
    port: int,
    licenses: str,
    write: str | None,
    rate: str,
    latency: str,
    faults: str,
    error_code: str,
    throttled_body: str,
    seed: int,
    verbose: bool,
    **reading: Any,  # noqa: ANN401
) -> int:
    """Run a license API on 127.0.0.1 that behaves as the Cryptlex Web API does.

    Nothing of it is real. Interrupt it to end it.
    """
    check_key_log()
    from batch.sandbox import Sandbox  # noqa: PLC0415 - keeps --help free of aiohttp
    from batch.settings import Rate  # noqa: PLC0415

    paced = Rate.parse(rate)
    account = _account(licenses, seed, reading)
    if write is not None:
        _write(account, write)
    sandbox = Sandbox(
        account,
        rate=None if paced.limit is None else (paced.limit, paced.period),
        latency=_latency(latency),
        faults=_share(faults),
        seed=seed,
        port=port,
        codes=error_code,
        throttled_body=throttled_body,
        tell=_tell if verbose else None,
    )
    try:
        asyncio.run(_serve(sandbox))
    except OSError as cause:
        raise ConfigError(
            f"{port}: {cause.strerror}",
            option="--port",
            hint="name another one; 0 takes any that is free.",
        ) from cause
    return 0


async def _serve(sandbox: Sandbox) -> None:
    from batch.sandbox import TOKEN  # noqa: PLC0415

    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    with suppress(NotImplementedError):  # Windows
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, ended.set)
    async with sandbox:
        click.echo(
            f"sandbox with {len(sandbox.account):,} licenses at {sandbox.base_url}\n"
            "try it in another terminal, which licenses there are and what becomes of them:\n"
            f"  CRYPTLEX_ACCESS_TOKEN={TOKEN} \\\n"
            f"    bulk-revoke list --all -o sandbox.csv --base-url {sandbox.base_url}\n"
            f"  CRYPTLEX_ACCESS_TOKEN={TOKEN} \\\n"
            f"    bulk-revoke run sandbox.csv --base-url {sandbox.base_url}"
        )
        await ended.wait()


def _tell(request: Request, response: Response) -> None:
    """Print a line on a request: when, what, its answer, what went wrong, what the limit leaves."""
    from batch.sandbox import TOKEN  # noqa: PLC0415

    query = "&".join(f"{name}={value}" for name, value in request.query)
    query = plain(f"?{query}" if query else "").replace(TOKEN, "[token]")
    path = plain(request.path).replace(TOKEN, "[token]")
    words = [
        f"{datetime.now(UTC):%H:%M:%S.%f}"[:-3],
        request.method,
        path[:LONGEST] + (query if len(query) <= LONGEST else query[: LONGEST - 1] + "…"),
        str(response.status or "no answer"),
    ]
    if response.fault:
        words.append(f"fault {response.fault}")
    if remaining := response.headers.get("X-Rate-Limit-Remaining"):
        words.append(f"{remaining} left")
    if wait := response.headers.get("Retry-After"):
        words.append(f"retry after {wait} s")
    with suppress(OSError):  # nobody reads it any more
        click.echo("  ".join(words), err=True)


def _account(licenses: str, seed: int, reading: dict[str, Any]) -> Account:
    """An account that holds what `bulk-revoke run` would read with the same options, or invented.

    Rows that hold no license, or that ``--where`` would leave out, are for that command to refuse.
    """
    from batch.input.listing import read_listing  # noqa: PLC0415
    from batch.sandbox import Account  # noqa: PLC0415

    if licenses.isascii() and licenses.isdigit():
        if len(licenses.lstrip("0")) > DIGITS:
            raise ConfigError(
                "more licenses than it can serve",
                option="--licenses",
                hint=f"at most {10**DIGITS - 1:,}.",
            )
        return Account.generate(int(licenses), seed=seed)
    listing = read_listing(licenses, skip_invalid=True, **reading)
    if listing.keys:
        return Account.holding_keys((listing.keys[e] for e in listing.distinct()), seed=seed)
    return Account.holding((listing.license_id(e) for e in listing.distinct()), seed=seed)


def _write(account: Account, path: str) -> None:
    try:
        with open(path, "x", encoding="utf-8", newline="") as file:  # noqa: PTH123
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["license_id"])
            writer.writerows([license_id] for license_id in account.licenses)
    except OSError as cause:
        raise ResultsError(f"{path}: {cause.strerror}", option="--write") from cause


def _latency(text: str) -> tuple[float, float]:
    found = re.fullmatch(r"(\d{1,6})(?:\.\.(\d{1,6}))?ms", text.strip())
    least = int(found[1]) / 1000 if found else 0.0
    most = int(found[2] or found[1]) / 1000 if found else -1.0
    if least > most:
        raise ConfigError(
            f"{text} is no span of time", option="--latency", hint="as in 20..120ms, or 50ms."
        )
    return least, most


def _share(text: str) -> float:
    found = re.fullmatch(r"(\d{1,3}(?:\.\d{1,6})?)%", text.strip())
    if found is None or float(found[1]) > 100:
        raise ConfigError(f"{text} is no share", option="--faults", hint="as in 2%.")
    return float(found[1]) / 100
