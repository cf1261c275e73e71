"""The access token: where it comes from, and what it tells about itself."""

from __future__ import annotations

import base64
import json
import os
import re
import stat
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from batch.api.base_url import is_saas
from batch.errors import ConfigError, GuardError
from batch.formatting import duration, timestamp

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


TOKEN_VARIABLE = "CRYPTLEX_ACCESS_TOKEN"  # noqa: S105 - a name
CREDENTIAL = "cryptlex-access-token"
"""File name of the token in ``$CREDENTIALS_DIRECTORY``, where systemd puts credentials."""

SHORTEST = 8
"""Characters of a token; those of Cryptlex have hundreds. A shorter one is a slip, and hidden
wherever it stands it would make holes into every message."""

WRITE = "license:write"
"""The scope that a PATCH needs. No document says whether it includes reading: it is taken to."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_VENDORS_HOST = re.compile(r"(?:[a-z0-9-]+\.)+cryptlex\.com")

_JWT = re.compile(r"[\w-]+\.([\w-]+)\.[\w-]+", re.ASCII)


class Found(NamedTuple):
    """An access token, and where it was found.

    Attributes:
        token: The token.
        warning: A warning about its file; empty if there is none.
        file: The file that holds it, or None where it came from elsewhere.
    """

    token: str
    warning: str = ""
    file: Path | None = None


def find_token(
    token_file: str | None, environ: Mapping[str, str], prompt: Callable[[], str] | None
) -> Found:
    """Find the access token: the file, else the environment, else systemd's credential.

    Args:
        token_file: Path of a file that holds nothing else, or None.
        environ: The environment.
        prompt: Asks for the token where there is none, or None to ask nobody. It returns what
            was typed, or raises GuardError where there is nobody to ask.

    Raises:
        ConfigError: There is no token, or it is not one.
    """
    if token_file is not None:
        return _read_token(Path(token_file))
    if token := environ.get(TOKEN_VARIABLE, "").strip():
        return Found(_well_formed(token, TOKEN_VARIABLE))
    # Set but empty, it would mean the working directory.
    credential = Path(environ.get("CREDENTIALS_DIRECTORY") or os.devnull) / CREDENTIAL
    if credential.is_file():
        return _read_token(credential)
    if prompt is not None:
        with suppress(GuardError):
            if token := prompt().strip():
                return Found(_well_formed(token, "what was typed"))
    raise ConfigError(
        "no access token: nothing was sent",
        hint=f"set {TOKEN_VARIABLE}, name a file with --token-file, or type it on a terminal; "
        "bulk-revoke run --sandbox rehearses without one.",
    )


def _read_token(path: Path) -> Found:
    try:
        token = path.read_text(encoding="utf-8").strip()
        mode = path.stat().st_mode
    except (OSError, UnicodeDecodeError) as cause:
        if _claims(str(path)):
            raise ConfigError(
                "names no file: it is a token itself",
                option="--token-file",
                hint="write it into a file that nobody else can read, and name that. It may stand"
                " in a log by now: a new one is safer.",
            ) from None
        reason = cause.strerror if isinstance(cause, OSError) else "is not text"
        raise ConfigError(
            f"{path}: the access token cannot be read: {reason}",
            hint="name a file that holds nothing but the token with --token-file.",
        ) from cause
    readable = bool(mode & stat.S_IROTH) and os.name == "posix"
    warning = f"{path}: others can read the token (chmod 600 {path})" if readable else ""
    return Found(_well_formed(token, str(path)), warning, path)


def _well_formed(token: str, where: str) -> str:
    if len(token) < SHORTEST or not re.fullmatch(r"[\x21-\x7e]{1,16384}", token):
        raise ConfigError(
            f"{where} holds no access token",
            hint="a token is one line of letters, digits and signs, without blanks, "
            f"{SHORTEST} at the least; was it copied as a whole?",
        )
    return token


class TokenFile:
    """The file of a token, for when the server does not accept what it held: secrets are rotated.

    Args:
        first: The token that was found in it.
        path: The file.
        check: Raises ConfigError for a token that is of no use.
        hide: Told of every new token before anybody else is: it must appear nowhere.
    """

    def __init__(
        self, first: str, path: Path, *, check: Callable[[str], None], hide: Callable[[str], None]
    ) -> None:
        self._tried = {first}
        self._path = path
        self._check = check
        self._hide = hide

    def another(self) -> str | None:
        """Read the file again, and return its token; None if it is not new, or of no use."""
        try:
            if not self._path.is_file():
                return None  # reading a pipe again could wait for ever
            token = _read_token(self._path).token
            self._check(token)
        except (ConfigError, OSError):
            return None
        if token in self._tried:
            return None
        self._tried.add(token)
        self._hide(token)
        return token


@dataclass(frozen=True, slots=True)
class TokenFacts:
    """Facts that a token tells about itself.

    Attributes:
        audience: Hosts of the vendor that it is for, such as ``api.eu.cryptlex.com``; empty if it
            does not tell.
        expires: When it expires, in UTC; None if it does not tell.
        scopes: What it may do, such as ``license:write``; None if it does not tell.
    """

    expires: datetime | None = None
    scopes: frozenset[str] | None = None
    audience: frozenset[str] = frozenset()


def facts(token: str) -> TokenFacts:
    """Read the claims of a token that is a JWT (RFC 7519); any other text tells nothing.

    The signature is not checked: whether to believe the token is the server's business. Never
    raises.
    """
    claims = _claims(token)
    return TokenFacts(
        _moment(claims.get("exp")), _scopes(claims.get("scope")), _audience(claims.get("aud"))
    )


def check_token(token: str, *, needs: str, base_url: str, now: datetime) -> None:
    """Refuse a token that the server is sure to refuse.

    Args:
        token: The access token; one that tells nothing passes.
        needs: The scope without which nothing can be done, ``license:write`` or ``license:read``.
        base_url: Where it will be sent. Only hosts of the vendor are compared with its audience:
            what an installation on premise writes there is not published.
        now: The present, with its time zone.

    Raises:
        ConfigError: It has expired, lacks the scope, or is for another host of the vendor.
    """
    known = facts(token)
    if known.expires is not None and known.expires <= now:
        age = _span(now - known.expires)
        raise ConfigError(
            f"the access token expired {age} ago, at {timestamp(known.expires)}",
            hint="make a new one in the Cryptlex dashboard.",
        )
    if known.scopes is not None and known.scopes.isdisjoint({needs, WRITE}):
        raise ConfigError(
            f"the access token lacks the scope {needs}",
            hint=f"make one with the scope {needs} in the Cryptlex dashboard.",
        )
    host = urlsplit(base_url).hostname or ""
    if known.audience and is_saas(base_url) and host.rstrip(".") not in known.audience:
        meant = ", ".join(sorted(known.audience))
        raise ConfigError(
            f"the access token is for {meant}, and not for {host}",
            hint="US and EU have accounts and tokens of their own: name the right one with "
            f"--base-url https://{min(known.audience)}/v3, or take a token of the other.",
        )


SOON = timedelta(days=14)
"""Before a token expires, when its end is first spoken of: time for a holiday and a colleague."""


def soon_warning(token: str, *, now: datetime) -> str:
    """Say that a token expires within `SOON`.

    Args:
        token: The access token.
        now: The present, with its time zone.

    Returns:
        A sentence; empty if it lasts longer, or does not tell.
    """
    expires = facts(token).expires
    if expires is None or expires - now > SOON:
        return ""
    left = _span(expires - now)
    return f"the access token expires in {left}, at {timestamp(expires)}: make a new one in time"


def _span(time: timedelta) -> str:
    return f"{time.days:,} days" if time.days >= 2 else duration(time.total_seconds())


def expiry_warning(token: str, *, end: datetime) -> str:
    """Say that a token expires before the run is over.

    Args:
        token: The access token.
        end: When the run is expected to end, with its time zone.

    Returns:
        A sentence; empty if it lasts as long, or does not tell.
    """
    expires = facts(token).expires
    if expires is None or expires >= end:
        return ""
    early = _span(end - expires)
    return (
        f"the access token expires at {timestamp(expires)}, {early} before the expected end of "
        "the run, which would stop then"
    )


def _claims(token: str) -> dict[str, Any]:
    found = _JWT.fullmatch(token)
    if found is None:
        return {}
    try:
        payload = base64.urlsafe_b64decode(found[1] + "=" * (-len(found[1]) % 4))
        claims = json.loads(payload.decode("utf-8"))
    except (ValueError, RecursionError):
        return {}
    return claims if isinstance(claims, dict) else {}


def _moment(claim: object) -> datetime | None:
    """The moment that so many seconds after 1970 are, if they are a number."""
    if isinstance(claim, bool) or not isinstance(claim, int | float):
        return None
    try:
        return _EPOCH + timedelta(seconds=claim)
    except (OverflowError, ValueError):
        return None


def _scopes(claim: object) -> frozenset[str] | None:
    """The scopes in a list, or in a text with blanks between them (RFC 8693, section 4.2)."""
    if isinstance(claim, str):
        return frozenset(claim.split())
    if isinstance(claim, list) and all(isinstance(scope, str) for scope in claim):
        return frozenset(claim)
    return None


def _audience(claim: object) -> frozenset[str]:
    """The vendor's hosts in a text or a list of texts, each a host name or a URL."""
    hosts = set()
    for text in claim if isinstance(claim, list) else [claim]:
        if isinstance(text, str):
            with suppress(ValueError):  # such as a bracket that is not closed
                host = urlsplit(text if "://" in text else f"//{text}").hostname or ""
                hosts.add(host.rstrip("."))
    return frozenset(filter(_VENDORS_HOST.fullmatch, hosts))
