"""Text for files and messages: what comes from outside made safe, and moments spelled one way."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


LONGEST = 300
"""Characters of one text from outside that are kept."""

# Control characters, line and paragraph separators, bidirectional overrides and lone surrogates:
# what breaks a line or shows something else than it is.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}

# Spreadsheets run a cell that begins like this as a formula (OWASP, "CSV Injection").
_FORMULA = re.compile(r"'*[=+\-@]")


_EARLIEST, _LATEST = -62_135_596_800.0, 253_402_300_799.9999
"""The first and the last moment of a `datetime`, in seconds since 1970."""


def epoch_seconds(text: object) -> float | None:
    """Seconds since 1970 of a timestamp with or without fractions; UTC where it names no zone.

    They can always be spelled again: the last moment of .NET, 9999-12-31T23:59:59.9999999Z, would
    else be rounded to the year 10000.
    """
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text)
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (OverflowError, ValueError):
        return None
    return min(max(seconds, _EARLIEST), _LATEST)


def timestamp(moment: datetime) -> str:
    """Spell a moment: UTC, ISO 8601, milliseconds, ``Z``."""
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    return f"{moment.isoformat(timespec='milliseconds')[:-6]}Z"


def in_use_since(now: float) -> float:
    """Moment since which a license has to have been used to count as one in use.

    The beginning of the day (UTC) 30 days ago, so that all that is counted on a day agrees. Both
    are seconds since 1970.
    """
    return (now // 86_400 - 30) * 86_400


def duration(seconds: float) -> str:
    """Spell a time span with its two largest units."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60:02} min"


def counted(number: int, noun: str) -> str:
    """Spell a number with its noun."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def shortened(text: str, most: int) -> str:
    """A text of at most so many characters; an ellipsis stands for the rest."""
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"


def folded(key: str) -> str:
    """A key without what a server may overlook: upper and lower case, and blanks around it."""
    return key.casefold().strip()


def all_folded(keys: Iterable[str]) -> Iterator[str]:
    """Keys `folded`, a million of them in half of the time."""
    return map(str.strip, map(str.casefold, keys))


def without_conditions(command: str) -> str:
    """A command as everybody may see it: the values of ``--where`` are cells of the input."""
    import shlex  # noqa: PLC0415 - --help needs none of it

    words = shlex.split(command)
    for at, word in enumerate(words):
        if words[at - 1] == "--where":
            words[at] = f"{word.partition('=')[0]}=…"
        elif word.startswith("--where="):  # as a column is spelled that begins with a hyphen
            words[at] = f"--where={word.split('=')[1]}=…"
    return shlex.join(words)


def escaped(text: str) -> str:
    """Escape what is not plain text; for text from which a secret may still have to be taken."""
    return text if text.isprintable() else _UNSAFE.sub(_escape, text)


def plain(text: str) -> str:
    """Escape what is not plain text and cut at `LONGEST` characters."""
    return escaped(text[:LONGEST])[:LONGEST]


def cell(text: str) -> str:
    """`plain`, and with a leading ``'`` where a spreadsheet would run it as a formula."""
    safe = plain(text)
    return "'" + safe if _FORMULA.match(safe) else safe


def uncell(text: str) -> str:
    """Return the text that `cell` was given, as far as it was kept."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text[1:]) else text


def _escape(found: re.Match[str]) -> str:
    char = found[0]
    return _NAMED.get(char) or (f"\\x{ord(char):02x}" if ord(char) < 256 else f"\\u{ord(char):04x}")
