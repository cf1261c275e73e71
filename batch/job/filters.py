"""The filters of `list`: what each sends to the server, and its test of a license that comes back.

Pure. A server may ignore a filter, or compare in another way. So every license that comes back is
tested against all filters here. Names and operators: Cryptlex Web API,
"Filters"; sent with an operator where one is documented, and never empty.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import product
from math import inf
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from batch.api.client import says_something
from batch.errors import ConfigError, GuardError
from batch.settings import parse_uuid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    Told = Mapping[str, Any]
    Sent = Mapping[str, Sequence[str]]


TICKS = 10_000_000
"""Ticks in a second: the API's timestamps have seven decimals."""

LONGEST = 2000
"""Characters of one filter in a URL: with several of them it stays below what servers admit."""

MOST_SHOWN = 3
"""Values of one filter that a person is shown."""

_DAY = 86_400 * TICKS
_MOMENT = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d)?)(?:\.(\d{1,9}))?(Z|[+-]\d\d:?\d\d)?", re.ASCII
)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Period(NamedTuple):
    """Moments in ticks since 1970 (UTC), from one until before another; None where it is open.

    Attributes:
        first: The first one.
        before: The one behind the last one.
    """

    first: int | None = None
    before: int | None = None

    def __contains__(self, moment: object) -> bool:
        """Tell whether a moment lies within."""
        return (
            isinstance(moment, int)
            and (self.first is None or self.first <= moment)
            and (self.before is None or moment < self.before)
        )

    def until(self, before: int | None) -> Period:
        """The same, ending earlier if that is earlier."""
        ends = [each for each in (self.before, before) if each is not None]
        return Period(self.first, min(ends, default=None))


_SENSIBLE = Period(0, 253_000_000_000 * TICKS)
"""Up to the year 9987: a day later is still one that can be spelled."""


@dataclass(frozen=True, slots=True)
class Filter:
    """One filter.

    Attributes:
        option: The option that sets it.
        text: What it asks for, for a person.
        sent: What is sent of it: of several mappings each is a list of its own.
        holds: Tells whether it holds of a license object; None where the object does not tell.
        made_before: The moment in ticks since 1970 before which such licenses were made, or None.
        nearly: As ``holds``, whatever the case of letters; None where that makes no difference.
    """

    option: str
    text: str
    sent: Sequence[Sent]
    holds: Callable[[Told], bool | None]
    made_before: int | None = None
    nearly: Callable[[Told], bool | None] | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """The licenses that are asked for: those that meet all filters.

    Attributes:
        filters: None of them means every license of the account.
        made: When they were made, as far as a list can be narrowed by it.
    """

    filters: tuple[Filter, ...]
    made: Period

    def lists(self) -> list[dict[str, Sequence[str]]]:
        """The filters of the lists that together show all of them, the moments of `made` aside."""
        lists = []
        for combination in product(*(each.sent for each in self.filters)):
            together: dict[str, Sequence[str]] = {}
            for each in combination:
                together.update(each)
            lists.append(together)
        return lists

    def matches(self, license_: Told) -> bool:
        """Tell whether all filters hold of a license object.

        Raises:
            GuardError: The object does not tell what is asked for, and all that it tells holds.
        """
        told = [each.holds(license_) for each in self.filters]
        if False in told:
            return False
        for each, holds in zip(self.filters, told, strict=True):
            if holds is None:
                raise GuardError(
                    f"the server does not tell what {each.option} asks for, as of license"
                    f" {license_['id'].lower()}: whether it is meant is not known",
                    hint=f"leave out {each.option}, and choose in the list by other means.",
                )
        return True

    def only_case_differs(self, license_: Told) -> bool:
        """Tell whether all filters would hold if capital letters did not count."""
        return any(each.nearly for each in self.filters) and all(
            (each.nearly or each.holds)(license_) for each in self.filters
        )


def of_ids(option: str, values: Iterable[str], what: str, name: str) -> Filter:
    """A filter of IDs, in any case, such as ``productId``."""
    ids = [parse_uuid(option, each) for each in values]
    sent = [{name: (each,)} for each in ids]
    return Filter(option, f"{what} {_some(ids)}", sent, _text_in(ids, name, str.lower))


def of_users(option: str, values: Iterable[str]) -> Filter:
    """A filter of the IDs of users."""
    ids = [parse_uuid(option, each) for each in values]
    sent = [{"userId": (each,)} for each in ids]
    holds = _in_user(_text_in(ids, "id", str.lower))
    return Filter(option, f"user {_some(ids)}", sent, holds)


def of_user_texts(option: str, values: Sequence[str], what: str, name: str) -> Filter:
    """A filter of a user's texts, compared as written: ``email`` or ``company``."""
    holds, nearly = (_in_user(_text_in(values, name, fold)) for fold in (str, str.casefold))
    sent = _either(option, f"user.{name}", values)
    return Filter(option, f"{what} {_some(values)}", sent, holds, nearly=nearly)


def of_tags(option: str, values: Sequence[str]) -> Filter:
    """A filter of tags, compared as written: a license has one of them."""

    def has_one(license_: Told, fold: Callable[[str], str]) -> bool | None:
        tags = license_.get("tags", ...)
        if tags is None:
            return False
        if not isinstance(tags, list) or not all(isinstance(each, str) for each in tags):
            return None
        return not set(map(fold, values)).isdisjoint(map(fold, tags))

    holds, nearly = (partial(has_one, fold=fold) for fold in (str, str.casefold))
    sent = _either(option, "tag", values)
    return Filter(option, f"tag {_some(values)}", sent, holds, nearly=nearly)


def of_metadata(option: str, values: Sequence[str]) -> Filter:
    """A filter of metadata, ``NAME=VALUE``: a license has one such entry.

    Raises:
        ConfigError: A value has no name.
    """
    pairs, sent = [], []
    for each in values:
        name, sign, value = each.partition("=")
        if not sign or not says_something(name):
            raise ConfigError(
                "names no entry, or no value to compare with",
                option=option,
                shown=each,
                hint=f"write {option} NAME=VALUE, as in {option} region=emea.",
            )
        pairs.append((name, value))
        asked = {"metadata.key[eq]": (name,)}
        # The API ignores an empty filter.
        sent.append(asked | {"metadata.value[eq]": (value,)} if says_something(value) else asked)

    def has_one(license_: Told, fold: Callable[[str], str]) -> bool | None:
        entries = license_.get("metadata", ...)
        if entries is None:
            return False
        if not isinstance(entries, list) or not all(isinstance(each, dict) for each in entries):
            return None
        wanted = {(fold(name), fold(value)) for name, value in pairs}
        told = ((each.get("key"), each.get("value")) for each in entries)
        texts = (each for each in told if all(isinstance(text, str) for text in each))
        return any((fold(name), fold(value)) in wanted for name, value in texts)

    holds, nearly = (partial(has_one, fold=fold) for fold in (str, str.casefold))
    return Filter(option, f"metadata {_some(values)}", sent, holds, nearly=nearly)


def of_flag(option: str, name: str, value: bool) -> Filter:
    """A filter of ``revoked`` or ``suspended``."""

    def holds(license_: Told) -> bool | None:
        told = license_.get(name)
        return told is value if isinstance(told, bool) else None

    text = name if value else f"not {name}"
    return Filter(option, text, [{name: (str(value).lower(),)}], holds)


def of_moments(
    typed: Mapping[str, str], name: str, period: Period, *, is_sent: bool = True
) -> Filter:
    """A filter of a date of a license; one without such a date is not meant.

    Args:
        typed: The options, and what they were given.
        name: The date.
        period: What they mean.
        is_sent: Whether it is a filter of a list; else the list is narrowed by other means.
    """

    def holds(license_: Told) -> bool | None:
        told = license_.get(name, ...)
        moment = ticks(told)
        return False if told is None else None if moment is None else moment in period

    sent = {}
    if is_sent and period.first is not None:
        sent[f"{name}[gte]"] = (spelled(period.first),)
    if is_sent and period.before is not None:
        sent[f"{name}[lt]"] = (spelled(period.before),)
    verb = next(iter(typed)).strip("-").partition("-")[0]
    limits = (f"{option.rpartition('-')[2]} {value}" for option, value in typed.items())
    return Filter(next(iter(typed)), " ".join((verb, *limits)), [sent], holds)


def of_unused(option: str, since: int, typed: str) -> Filter:
    """A filter of licenses made before a moment and not used since, if they ever were.

    Args:
        option: The option.
        since: The moment, in ticks since 1970.
        typed: The same, as it was given.
    """
    before = Period(before=since)

    def holds(license_: Told) -> bool | None:
        made, used = ticks(license_.get("createdAt")), license_.get("lastUsedAt", ...)
        if made is not None and made not in before:
            return False
        used_at = ticks(used)
        if used_at is not None and used_at not in before:
            return False
        return None if made is None or (used is not None and used_at is None) else True

    text = f"made before {typed} and not used since"
    return Filter(option, text, [{}], holds, made_before=since)


def ticks(moment: object) -> int | None:
    """Ticks since 1970 of a timestamp, UTC where it names no zone; None if it is none."""
    found = _MOMENT.fullmatch(moment) if isinstance(moment, str) else None
    if found is None:
        return None
    day, time, fraction, zone = found.groups()
    try:
        at = datetime.fromisoformat(f"{day}T{time}{zone or 'Z'}")
    except ValueError:
        return None
    return (at - _EPOCH) // timedelta(seconds=1) * TICKS + int((fraction or "0").ljust(7, "0")[:7])


def spelled(moment: int) -> str:
    """Ticks since 1970 as the API writes them: ISO 8601, UTC, seven decimals, ``Z``."""
    seconds, fraction = divmod(moment, TICKS)
    return f"{_EPOCH + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S}.{fraction:07d}Z"


def parse_moment(option: str, text: str) -> tuple[int, int]:
    """Read a date, or a date with its time, UTC where it names no zone.

    Returns:
        In ticks since 1970: when it begins, and when it is over. A date is a whole day.

    Raises:
        ConfigError: It is neither.
    """
    text = text.strip()
    is_day = _DATE.fullmatch(text)
    moment = ticks(f"{text}T00:00:00Z" if is_day else text)
    if moment is None or moment not in _SENSIBLE:
        raise ConfigError(
            f"{text} is no date",
            option=option,
            hint="write 2026-01-31, or 2026-01-31T12:00:00Z; in UTC where no zone is named.",
        )
    return moment, moment + (_DAY if is_day else 1)


def ticks_of(moment: datetime) -> int:
    """Ticks since 1970 of a moment with its zone."""
    return (moment - _EPOCH) // timedelta(microseconds=1) * (TICKS // 1_000_000)


def _some(values: Sequence[str]) -> str:
    """Spell alternatives: the first few, and how many more there are."""
    more = len(values) - MOST_SHOWN
    if more <= 1:
        return " or ".join(values)
    return f"{' or '.join(values[:MOST_SHOWN])} or {more:,} more"


def _text_in(
    values: Iterable[str], name: str, fold: Callable[[str], str] = str
) -> Callable[[Told], Any]:
    """Return what tells whether a property is one of some texts, once both are folded."""
    wanted = frozenset(map(fold, values))

    def holds(told: Told) -> bool | None:
        value = told.get(name, ...)
        if value is None:
            return False
        if not isinstance(value, str):
            return None
        return fold(value) in wanted

    return holds


def _in_user(holds: Callable[[Told], Any]) -> Callable[[Told], Any]:
    """Return what asks the same of the user of a license; without one it does not hold."""

    def of_license(license_: Told) -> bool | None:
        user = license_.get("user", ...)
        if user is None:
            return False
        found: bool | None = holds(user) if isinstance(user, dict) else None
        return found

    return of_license


def _either(option: str, name: str, values: Sequence[str]) -> list[Sent]:
    """The lists that show every license with one of several texts: as few as possible.

    A value with a comma has a list of its own: among others it would be read as two.
    """
    for each in values:
        if not says_something(each):
            raise ConfigError(
                "is empty: the API ignores an empty filter and returns every license",
                option=option,
                hint="say what it is, or leave it out.",
            )
    alone = [each for each in values if "," in each]
    lists, length = [[each] for each in alone], inf
    for each in values:
        if each in alone:
            continue
        length += len(quote(each, safe="")) + 1
        if length > LONGEST:
            lists.append([])
            length = len(quote(each, safe=""))
        lists[-1].append(each)
    return [
        {f"{name}[in]": tuple(each)} if len(each) > 1 else {f"{name}[eq]": tuple(each)}
        for each in lists
    ]
