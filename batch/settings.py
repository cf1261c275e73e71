"""Settings of a run, checked before anything is read or sent."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

from batch.api.base_url import SAAS, is_saas
from batch.api.retry import FailureLimit
from batch.errors import ConfigError
from batch.model import Condition

if TYPE_CHECKING:
    from datetime import datetime


SAAS_LIMIT, SAAS_PERIOD = 50, 5.0
"""Requests and seconds that the vendor admits for an IP address (Cryptlex, "Rate limits")."""


IN_BRACES = re.compile(r"\{(\w+)\}")
"""A word in the name of an output that is filled in."""


@dataclass(frozen=True, slots=True)
class Rate:
    """Requests in any window, everything that the process sends together.

    Attributes:
        limit: Requests in a window, or None for no limit.
        period: Length of the window in seconds.
    """

    limit: int | None
    period: float

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``45/5s`` or ``none``.

        Raises:
            ConfigError: It is neither.
        """
        if text.strip().lower() == "none":
            return cls(None, SAAS_PERIOD)
        found = re.fullmatch(r"\s*(\d{1,9})\s*/\s*(\d{1,6}(?:\.\d{1,3})?)\s*s\s*", text)
        if found is None or int(found[1]) == 0 or float(found[2]) == 0:
            raise ConfigError(
                f"{text} is no rate",
                option="--rate",
                hint="write requests per seconds, as in 45/5s, or none for no limit.",
            )
        return cls(int(found[1]), float(found[2]))

    def check(self, base_url: str) -> None:
        """Refuse what the vendor's own installation may punish with a blacklisted address.

        Raises:
            ConfigError: More than 50 requests could fall into 5 seconds.
        """
        if not is_saas(base_url):
            return
        windows = math.ceil(SAAS_PERIOD / self.period)
        if self.limit is None or self.limit * windows > SAAS_LIMIT:
            raise ConfigError(
                f"{self}: the Cryptlex API admits {SAAS_LIMIT} requests in any "
                f"{SAAS_PERIOD:.0f} s and may blacklist the address of who exceeds that",
                option="--rate",
                hint="45/5s leaves a tenth to whatever else runs behind this address.",
            )

    def __str__(self) -> str:
        """As `parse` reads it."""
        return "none" if self.limit is None else f"{self.limit}/{self.period:.9g}s"


def parse_failures(text: str) -> FailureLimit:
    """Read ``--max-failures``: a number of licenses, or ``20%`` of the planned ones.

    Raises:
        ConfigError: It is neither.
    """
    found = re.fullmatch(r"\s*(\d{1,9}(?:\.\d{1,6})?)\s*%\s*", text)
    if found and float(found[1]) <= 100:
        return FailureLimit(percent=float(found[1]))
    if re.fullmatch(r"\s*\d{1,9}\s*", text):
        return FailureLimit(count=int(text))
    raise ConfigError(
        f"{text} is neither a number nor a percentage",
        option="--max-failures",
        hint="write 10, or 20% for a share of the planned requests.",
    )


SANDBOX = "sandbox"
"""Name that stands in a rehearsal where a run names its API."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that was set for a run, token excluded.

    Attributes:
        input: Path of the input, or ``-``.
        output: Path of the results file.
        column: Header or number of the ID column, or None to find it.
        header_row: Number of the header's row, 0 if there is none, or None to find it.
        sheet: Name or number of the worksheet, or None for the first visible one.
        carry: Input columns to copy into the results.
        where: Conditions that all hold in the rows that are meant; none where all rows are.
        skip_invalid: Whether rows without an ID are left out instead of refused.
        include_hidden: Whether hidden and filtered rows, and IDs in cells that a merge covers, are
            taken like any other.
        base_url: Up to and including the version, without a slash at the end.
        rate: Pace of everything that is sent.
        concurrency: Requests in flight at most.
        timeout: Seconds for one attempt.
        max_attempts: Attempts for one license, the first included.
        ca_file: PEM file of the authorities to trust, or None for the system's.
        failures: When the run stops because too much fails.
        max_licenses: Most PATCHes that the plan may send, or None.
        yes: Whether not to ask.
        details: Whether the results say what the look saw of each license.
        missing_ok: Whether licenses that do not exist count as done.
        by: What the input lists licenses by: ``id`` or ``key``.
        exclude: Files with licenses that are never touched.
        approved: Results of a dry run that say which licenses may be touched, or None for all.
        expect_licenses: Licenses that the input must list, or None for any number.
        products: Product IDs in lower case that every license must be of; empty for any.
        limit: Most PATCHes that are sent now, or None.
        look: Whether the server is asked what it holds before anything is sent.
        dry_run: Whether it ends with the plan.
        resume: Whether to go on with the run that stands at ``output``.
        overwrite: Whether to start again where something stands at ``output``.
        include_unknown: Restore: whether to take rows too of which it is not known that this run
            has turned them.
        older_than: Seconds that must have passed since a license of a suspension was suspended, or
            None.
        wait: Seconds to wait for another run on this host, or None to refuse at once.
        lock_dir: Where the locks are, or None for where they are by default.
        sandbox: Whether the API is the sandbox, in this process.
        reason: Why, for the manifest.
    """

    input: str
    output: Path
    column: str | None = None
    header_row: int | None = None
    sheet: str | None = None
    carry: tuple[str, ...] = ()
    where: tuple[Condition, ...] = ()
    skip_invalid: bool = False
    include_hidden: bool = False
    base_url: str = SAAS
    rate: Rate = field(default_factory=lambda: Rate(45, 5.0))
    concurrency: int = 32
    timeout: float = 30.0
    max_attempts: int = 5
    ca_file: str | None = None
    failures: FailureLimit = field(default_factory=FailureLimit)
    max_licenses: int | None = None
    yes: bool = False
    details: bool = True
    missing_ok: bool = False
    sandbox: bool = False
    reason: str = ""
    by: str = "id"
    exclude: tuple[str, ...] = ()
    approved: str | None = None
    expect_licenses: int | None = None
    products: frozenset[str] = frozenset()
    limit: int | None = None
    look: bool = True
    dry_run: bool = False
    resume: bool = False
    overwrite: bool = False
    include_unknown: bool = False
    older_than: float | None = None
    wait: float | None = None
    lock_dir: str | None = None

    @property
    def api(self) -> str:
        """Base URL of what everything is sent to; in a rehearsal the name of the sandbox."""
        return SANDBOX if self.sandbox else self.base_url


def parse_duration(text: str) -> float:
    """Read ``--wait``: seconds, as in ``90``, ``90s``, ``15m``, ``1h`` or ``1h30m``.

    Raises:
        ConfigError: It is no time span.
    """
    found = re.fullmatch(r"(?:(\d{1,4})h)?(?:(\d{1,5})m)?(?:(\d{1,6})s?)?", text.strip().lower())
    if found is None or not any(found.groups()):
        raise ConfigError(
            f"{text} is no time span",
            option="--wait",
            hint="write --wait=15m or --wait=1h; --wait alone, behind the input, is one hour.",
        )
    hours, minutes, seconds = (int(group or 0) for group in found.groups())
    return float(hours * 3600 + minutes * 60 + seconds)


def parse_age(text: str) -> float:
    """Read ``--older-than``, as in ``30d``, ``2w`` or ``12h``; in seconds.

    Raises:
        ConfigError: It is no such time span.
    """
    found = re.fullmatch(r"(\d{1,4})([hdw])", text.strip().lower())
    if found is None:
        raise ConfigError(
            f"{text} is no time span", option="--older-than", hint="write 30d, 2w or 12h."
        )
    return float(found[1]) * {"h": 3600.0, "d": 86_400.0, "w": 604_800.0}[found[2]]


def parse_where(text: str) -> Condition:
    """Read ``--where``: ``COLUMN=VALUE``, white space around either left out.

    The column ends at the first ``=``; one that has such a sign in its header goes by its number.

    Raises:
        ConfigError: No column is named.
    """
    column, sign, value = text.partition("=")
    if not sign or not column.strip():
        raise ConfigError(
            "names no column, or no value to compare with",
            option="--where",
            shown=text,
            hint="write --where COLUMN=VALUE, as in --where Action=revoke.",
        )
    return Condition(column.strip(), value.strip())


def parse_product(text: str) -> str:
    """Read ``--expect-product``, as `parse_uuid` does."""
    return parse_uuid("--expect-product", text, "product ID")


def parse_uuid(option: str, text: str, what: str = "ID") -> str:
    """Read an ID of the vendor's: a UUID, in any case.

    Args:
        option: The option that it was given to.
        text: What was given.
        what: What it is called.

    Raises:
        ConfigError: It is none.
    """
    found = text.strip().lower()
    if not re.fullmatch(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", found):
        raise ConfigError(
            f"{text} is no {what}",
            option=option,
            hint="it reads like 63dfd63e-ed71-4f84-9236-02ee0ddb062c, and stands in the dashboard.",
        )
    return found


def output_path(
    template: str | None,
    source: str,
    suffix: str,
    *,
    now: datetime,
    run_id: str,
    option: str = "--output",
) -> Path:
    """Return the path of the results: as named, or ``<stem><suffix>`` in the working directory.

    ``{date}``, ``{time}`` (both UTC) and ``{run_id}`` are filled in.

    Raises:
        ConfigError: Another word stands in braces; every night would write into that one file.
    """
    if template is None:
        name = "stdin" if source == "-" else Path(source).name
        name = name[:-3] if name.lower().endswith(".gz") else name
        return Path(Path(name).stem + suffix)
    values = {"date": f"{now:%Y-%m-%d}", "time": f"{now:%H%M%S}", "run_id": run_id}
    filled = re.sub(r"\{(date|time|run_id)\}", lambda found: values[found[1]], template)
    if unknown := IN_BRACES.search(filled):
        raise ConfigError(
            f"{template}: {unknown[0]} stands for nothing",
            option=option,
            hint="there are {date}, {time} and {run_id}.",
        )
    return Path(filled)
