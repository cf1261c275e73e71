"""What a run is set to, checked before anything is read or sent; and where the token comes from."""

from __future__ import annotations

import math
import os
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

from batch.address import SAAS, is_saas
from batch.errors import ConfigError
from batch.retry import FailureLimit

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

SAAS_LIMIT, SAAS_PERIOD = 50, 5.0
"""Requests and seconds that the vendor admits for an IP address (Cryptlex, "Rate limits")."""

TOKEN_VARIABLE = "CRYPTLEX_ACCESS_TOKEN"  # noqa: S105 - a name
CREDENTIAL = "cryptlex-access-token"
"""File name of the token in ``$CREDENTIALS_DIRECTORY``, where systemd puts credentials."""


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
                f"--rate {text}: is no rate",
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
                f"--rate {self}: the Cryptlex API admits {SAAS_LIMIT} requests in any "
                f"{SAAS_PERIOD:.0f} s and may blacklist the address of who exceeds that",
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
        f"--max-failures {text}: is neither a number nor a percentage",
        hint="write 10, or 20% for a share of the planned requests.",
    )


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that was set for a run, token excluded.

    Attributes:
        input: Path of the input, or ``-``.
        output: Path of the results file.
        column: Header or number of the ID column, or None to find it.
        sheet: Name or number of the worksheet, or None for the first visible one.
        carry: Input columns to copy into the results.
        skip_invalid: Whether rows without an ID are left out instead of refused.
        include_hidden: Whether hidden and filtered rows are taken like any other.
        base_url: Up to and including the version, without a slash at the end.
        rate: Pace of everything that is sent.
        concurrency: Requests in flight at most.
        timeout: Seconds for one attempt.
        max_attempts: Attempts for one license, the first included.
        ca_file: PEM file of the authorities to trust, or None for the system's.
        failures: When the run stops because too much fails.
        max_licenses: Most PATCHes that the plan may send, or None.
        yes: Whether not to ask.
        missing_ok: Whether licenses that do not exist count as done.
        sandbox: Whether the API is the sandbox, in this process.
        reason: Why, for the manifest.
    """

    input: str
    output: Path
    column: str | None = None
    sheet: str | None = None
    carry: tuple[str, ...] = ()
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
    missing_ok: bool = False
    sandbox: bool = False
    reason: str = ""


def output_path(
    template: str | None, source: str, suffix: str, *, now: datetime, run_id: str
) -> Path:
    """Where the results go: what the user named, or ``<stem><suffix>`` in the working directory.

    ``{date}``, ``{time}`` (both UTC) and ``{run_id}`` are filled in.
    """
    if template is None:
        name = "stdin" if source == "-" else Path(source).name
        name = name[:-3] if name.lower().endswith(".gz") else name
        return Path(Path(name).stem + suffix)
    values = {"date": f"{now:%Y-%m-%d}", "time": f"{now:%H%M%S}", "run_id": run_id}
    return Path(re.sub(r"\{(date|time|run_id)\}", lambda found: values[found[1]], template))


def find_token(token_file: str | None, environ: Mapping[str, str]) -> tuple[str, str]:
    """Find the access token: the file, else the environment, else systemd's credential.

    Returns:
        The token, and a warning (empty if there is none).

    Raises:
        ConfigError: There is no token, or it is not one.
    """
    if token_file is not None:
        return _read_token(Path(token_file))
    if token := environ.get(TOKEN_VARIABLE, "").strip():
        return _check_token(token, TOKEN_VARIABLE), ""
    # Set but empty, it would mean the working directory.
    credential = Path(environ.get("CREDENTIALS_DIRECTORY") or os.devnull) / CREDENTIAL
    if credential.is_file():
        return _read_token(credential)
    raise ConfigError(
        "no access token",
        hint=f"set {TOKEN_VARIABLE}, or name a file with --token-file; "
        "--sandbox rehearses without one.",
    )


def _read_token(path: Path) -> tuple[str, str]:
    try:
        token = path.read_text(encoding="utf-8").strip()
        mode = path.stat().st_mode
    except (OSError, UnicodeDecodeError) as cause:
        reason = cause.strerror if isinstance(cause, OSError) else "is not text"
        raise ConfigError(
            f"{path}: the access token cannot be read: {reason}",
            hint="name a file that holds nothing but the token with --token-file.",
        ) from cause
    readable = bool(mode & stat.S_IROTH) and os.name == "posix"
    warning = f"{path}: others can read the token (chmod 600 {path})" if readable else ""
    return _check_token(token, str(path)), warning


def _check_token(token: str, where: str) -> str:
    if not re.fullmatch(r"[\x21-\x7e]{1,16384}", token):
        raise ConfigError(
            f"{where}: holds no access token",
            hint="a token is one line of letters, digits and signs, without blanks.",
        )
    return token
