"""Filters that narrow the list of licenses, made of what those of a sample have in common.

Pure: from the licenses of a sample to lists that are worth asking for. Nothing here is ever taken
for the state of a license; a list that is narrowed in a wrong way only costs requests. Filters and
their operators: Cryptlex Web API, "Filters".
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from math import inf, log
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from batch.model import License


Fact = tuple[str, str]
"""Something that can be filtered by: a filter's name with its operator, and the value."""

FEWEST_ALIKE = 3
"""Licenses of a sample that have to be alike before a list is made of it."""

WIDER = 0.05
"""Share of a range of times that is added on each side, for licenses that the sample lacks."""

MOST_BATCHES = 50
"""Groups of licenses created together that lists are made for, the largest first."""

APART = 10
"""Two groups are separated by a gap of so many times the mean gap."""


class Span(NamedTuple):
    """Moments of creation, in seconds since 1970, both included."""

    first: float
    last: float

    def __contains__(self, moment: object) -> bool:
        """Tell whether a moment lies within."""
        return isinstance(moment, float | int) and self.first <= moment <= self.last

    def widened(self, seconds: float) -> Span:
        """The same with some seconds more on each side."""
        return Span(self.first - seconds, self.last + seconds)


@dataclass(frozen=True, slots=True)
class Narrowing:
    """A list of licenses, and what can be expected of it.

    Attributes:
        facts: What all of its licenses have; nothing for the whole account.
        made: When they were created, or None for any time.
        members: Licenses of the sample that it is made of, by their places.
        wanted: Licenses that are looked for and that are alike, as far as the sample tells.
        risk: Share of these that it may leave out all the same, 0 to 1.
    """

    facts: frozenset[Fact] = frozenset()
    made: Span | None = None
    members: frozenset[int] = frozenset()
    wanted: float = inf
    risk: float = 0.0

    def filters(self) -> dict[str, tuple[str]]:
        """The filters as a request has them."""
        found = {name: (value,) for name, value in sorted(self.facts)}
        if self.made is not None:
            found["createdAt[gte]"] = (_timestamp(self.made.first),)
            # A license tells six decimals of its moment, the API compares seven.
            found["createdAt[lte]"] = (_timestamp(self.made.last + 1e-6),)
        return found

    def shows(self, license_: License) -> bool:
        """Tell whether a license is on the list."""
        if self.made is not None and license_.created not in self.made:
            return False
        return self.facts <= facts_of(license_)

    def share_of(self, others: Sequence[frozenset[Fact]], years: Span) -> float:
        """Estimate its share of the account, 0 to 1, without asking.

        Args:
            others: What some licenses of the account have, which nobody has asked for.
            years: When the licenses of the account were created, by and large.
        """
        having = sum(self.facts <= each for each in others)
        share = (having + 0.5) / (len(others) + 1) if self.facts else 1.0
        if self.made is not None and years.last > years.first:
            share *= min(1.0, (self.made.last - self.made.first) / (years.last - years.first))
        return share


def facts_of(license_: License) -> frozenset[Fact]:
    """Facts about a license that a list can be narrowed by, the moment of its creation aside."""
    single = {
        "productId": license_.product,
        "resellerId": license_.reseller,
        "organizationId": license_.organization,
        "userId": license_.user,
        "type": license_.type,
        "revoked": _flag(license_.revoked),
        "suspended": _flag(license_.suspended),
    }
    told = (*single.items(), *(("tag[eq]", tag) for tag in license_.tags))
    return frozenset((name, value) for name, value in told if value.replace(",", " ").strip())


def narrowings(
    sample: Sequence[License],
    read: int,
    unread: int,
    made: Sequence[float] = (),
    page: float = inf,
) -> list[Narrowing]:
    """Find lists that would show many of the licenses that are looked for.

    Each group of licenses with one thing in common stands for three lists: one narrowed by that
    thing, one by all that the group has in common, and one by that and the time of its creation.

    Args:
        sample: Licenses that were read by themselves.
        read: How many were asked for, those included that do not exist.
        unread: How many more are looked for.
        made: When each of these was created, in order, where their IDs tell (`moment_of`).
        page: Seconds in which the account grows by a page of licenses, by and large.
    """
    found: dict[tuple[frozenset[Fact], Span | None], Narrowing] = {}

    def add(each: Narrowing) -> None:
        known = found.get((each.facts, each.made))
        if known is None or known.risk > each.risk:
            found[each.facts, each.made] = each

    every = [facts_of(each) for each in sample]
    for facts, span, members in _groups(sample, every):
        if len(members) < FEWEST_ALIKE:
            continue
        wanted = unread * min(len(members), read - 1) / read  # hardly ever is it all of them
        risk = 1 / (len(members) + 2)  # the rule of succession
        shared = frozenset.intersection(*(every[place] for place in members))
        time = span or _span(sample, members)
        add(Narrowing(facts, span, members, wanted, risk if span else 0.0))
        add(Narrowing(shared, span, members, wanted, risk if shared > facts or span else 0.0))
        if time is not None:
            add(Narrowing(shared, time, members, wanted, risk))
    for each in _batches(sample, every, made, page):
        add(each)
    return list(found.values())


def _groups(
    sample: Sequence[License], every: Sequence[frozenset[Fact]]
) -> Iterator[tuple[frozenset[Fact], Span | None, frozenset[int]]]:
    """The groups of a sample: licenses that share a fact, or were created close together."""
    having: dict[Fact, set[int]] = defaultdict(set)
    for place, facts in enumerate(every):
        for fact in facts:
            having[fact].add(place)
    for fact, places in sorted(having.items()):
        yield frozenset({fact}), None, frozenset(places)
    moments = sorted(each.created for each in sample if each.created is not None)
    for span in clusters(moments):
        places = {place for place, each in enumerate(sample) if each.created in span}
        yield frozenset(), span.widened(WIDER * (span.last - span.first)), frozenset(places)


def _batches(
    sample: Sequence[License],
    every: Sequence[frozenset[Fact]],
    made: Sequence[float],
    page: float,
) -> Iterator[Narrowing]:
    """Lists of licenses that were created close together, which their IDs tell (UUID version 7)."""
    told = [moment_of(UUID(each.id).int >> 64) for each in sample]
    apart = [
        abs(each.created - moment)
        for each, moment in zip(sample, told, strict=True)
        if each.created is not None and moment is not None
    ]
    if not apart:
        return
    sizes = {
        span: bisect_right(made, span.last) - bisect_left(made, span.first)
        for span in clusters(made, 2 * page)  # a list more costs a page, and spares two
    }
    for span, wanted in sorted(sizes.items(), key=lambda each: -each[1])[:MOST_BATCHES]:
        if wanted < FEWEST_ALIKE:
            break
        members = frozenset(place for place, moment in enumerate(told) if moment in span)
        exact = span.widened(max(apart) + 1)
        yield Narrowing(frozenset(), exact, members, wanted)
        if len(members) >= FEWEST_ALIKE:
            shared = frozenset.intersection(*(every[place] for place in members))
            yield Narrowing(shared, exact, members, wanted, 1 / (len(members) + 2))


def clusters(moments: Sequence[float], widest: float = inf) -> list[Span]:
    """Cut moments, which are in order, where the gaps between them are large.

    Args:
        moments: In seconds.
        widest: Seconds that a gap may have at most, whatever the others are.
    """
    if not moments:
        return []
    mean = (moments[-1] - moments[0]) / len(moments)
    # Of random moments the widest gap is that times the logarithm of their number.
    most = min(widest, mean * max(APART, 3 * log(len(moments))))
    cuts = [after for after, (one, other) in enumerate(pairwise(moments), 1) if other - one > most]
    if not cuts:
        return [Span(moments[0], moments[-1])]
    bounds = [0, *cuts, len(moments)]
    parts = (moments[start:stop] for start, stop in pairwise(bounds))
    return [span for part in parts for span in clusters(part, widest)]


def _span(sample: Sequence[License], members: Iterable[int]) -> Span | None:
    """When some licenses of a sample were created, by and large; None if that is not told."""
    moments = [moment for place in members if (moment := sample[place].created) is not None]
    if not moments:
        return None
    span = Span(min(moments), max(moments))
    return span.widened(WIDER * (span.last - span.first))


def moment_of(head: int) -> float | None:
    """When a license was created, in seconds since 1970, where its ID tells: UUIDs of version 7.

    Source: RFC 9562, section 5.7.

    Args:
        head: The first 64 bits of its ID.
    """
    return (head >> 16) / 1000 if head >> 12 & 15 == 7 else None


def _flag(value: bool | None) -> str:
    return "" if value is None else str(value).lower()


def _timestamp(moment: float) -> str:
    """A moment as the API writes them, in seven decimals."""
    at = datetime.fromtimestamp(min(max(moment, 0.0), 253_402_300_799.0), UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S.%f}0Z"
