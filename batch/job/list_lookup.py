"""Reading licenses off lists, a hundred a request, where that is cheaper than one by one.

A few of the licenses are read by themselves; what these have in common narrows lists (`narrowing`).
The first page of a list tells its size, and so whether it pays to read the others. What no list has
shown is left over: nothing is inferred from absence, a filter, or a count, so that a server which
ignores a filter, shifts its pages or lies about the count can only make it dearer, and that within
a bound.
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left
from dataclasses import dataclass, field
from functools import partial
from itertools import count, takewhile
from math import ceil, inf
from typing import TYPE_CHECKING, TypeVar

from batch.api.retry import Attempts
from batch.errors import OWN, TransientError
from batch.job.key_lookup import batches, cannot_ask
from batch.job.narrowing import Fact, Narrowing, Span, facts_of, moment_of, narrowings
from batch.job.snapshot import SAMPLE
from batch.model import ID_BYTES

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence

    from batch.api.client import CryptlexClient
    from batch.job.look import Look
    from batch.model import License, Page


_T = TypeVar("_T")

SLACK, SLACK_SHARE = 12, 0.05
"""Requests that lists may cost beyond the licenses that they show, and for each license."""

UNTOLD = 0.9
"""Pages of the account for each license that is looked for, where nothing tells its size: reading
it all is the last thing that is tried."""

UNSURE = 2
"""Factor for the estimate of what other lists would cost: it comes from a small sample."""

GOLDEN = 0.618_033_988_749_895
"""Multiples of it, without their whole part, are spread evenly (Weyl)."""


@dataclass(slots=True, eq=False)
class _List:
    """A list that may be read, and what it has cost and shown so far.

    Attributes:
        narrowing: What narrows it.
        size: Pages that it has, as far as the server tells; else None.
        asked: Whether its first page was asked for.
        done: Whether there is nothing more to be had of it.
        whole: Whether it was read to its end.
        cost: Requests, repetitions after an error not counted.
        shown: Licenses that were looked for, and not seen before.
        barren: Pages in a row that have shown none of them, up to the last one.
        last: Its last page that has come, or None.
    """

    narrowing: Narrowing
    size: int | None = None
    asked: bool = False
    done: bool = False
    whole: bool = False
    cost: int = 0
    shown: int = 0
    barren: int = 0
    last: Page | None = None

    def page(self, api: CryptlexClient, number: int) -> Callable[[], Awaitable[Page]]:
        """Return what reads one of its pages, counted from 1."""
        return partial(api.list, self.narrowing.filters(), page=number)

    def measure(self, page_size: int) -> None:
        """Tell by its first page how long it is."""
        if self.last is None:
            return
        licenses, total = len(self.last.licenses), self.last.total
        if total is not None and licenses:
            # A server may put fewer on a page than it is asked for.
            self.size = ceil(total / min(licenses, page_size))
            self.whole = self.size <= 1
        else:
            self.whole = licenses < page_size
        self.done = self.whole

    @property
    def loss(self) -> int:
        """Requests that this list has cost, less the licenses that it has shown; 0 at least."""
        return max(0, self.cost - self.shown)


@dataclass(slots=True, eq=False)
class _KeyList(_List):
    """The licenses of keys, as many on each page as can be asked for together.

    Attributes:
        batches: The keys of each page.
    """

    batches: Sequence[list[str]] = ()

    def page(self, api: CryptlexClient, number: int) -> Callable[[], Awaitable[Page]]:
        """Return what reads one of its pages, counted from 1."""
        return partial(api.list, {"key[in]": self.batches[number - 1]})

    def measure(self, page_size: int) -> None:  # noqa: ARG002 - it is known
        """Tell how long it is."""
        self.size = len(self.batches)
        self.done = self.shown == 0


@dataclass(slots=True, eq=False)
class _Sample:
    """Licenses that were read by themselves.

    Attributes:
        read: How many licenses were asked for.
        unread: How many more were still to be read then.
        found: The licenses that exist.
    """

    read: int
    unread: int
    found: list[License] = field(default_factory=list)


@dataclass(slots=True)
class ListLookup:
    """The licenses of a look, read off lists until none is missing, or lists do not pay any more.

    Attributes:
        look: What everything is read and taken down through.
        entries: The licenses that are looked for.
    """

    look: Look
    entries: Sequence[int]
    _order: array[int] = field(init=False)
    _heads: array[int] = field(init=False)
    _left: int = field(init=False)
    _account: _List = field(init=False)
    _tried: list[_List] = field(default_factory=list)
    _others: list[frozenset[Fact]] = field(default_factory=list)
    _oldest: float = inf
    _ill: bool = False
    _spare: Iterator[int] = field(init=False)

    def __post_init__(self) -> None:
        import numpy as np  # noqa: PLC0415 - `--help` must not wait for it

        entries = np.array(self.entries, np.uint32)
        heads = np.frombuffer(heads_of(self.look.listing.ids), np.uint64)[entries]
        order = np.argsort(heads, kind="stable")
        self._order = array("I", entries[order].tobytes())
        self._heads = array("Q", heads[order].tobytes())
        self._left = len(self.entries)
        self._account = _List(Narrowing())
        self._spare = reversed(self.entries)

    async def read(self) -> array[int]:
        """Read lists as long as that is cheaper; the entries that are still to be read."""
        account = self._account
        await self._ask(account)
        if account.last is not None:
            page = account.last.licenses
            self._others = [facts_of(each) for each in page]
            self._oldest = min(
                (one.created for one in page if one.created is not None), default=inf
            )
            pages, is_told = self._pages(account), account.size is not None or account.shown
            if not account.done and is_told and pages <= SAMPLE and pages < self._left:
                await self._read_on(account)
            await self._by_keys()
            while self._goes_on and self._left > SAMPLE and await self._round():
                pass
        return self._unread()

    @property
    def _goes_on(self) -> bool:
        return not (self._ill or self.look.client.stopped or self.look.snapshot.off)

    def _unread(self) -> array[int]:
        return self.look.snapshot.unseen(self.entries)

    async def _by_keys(self) -> None:
        """Look licenses up by the keys that stand beside their IDs."""
        keys = self.look.listing.keys_beside
        if not keys or self._left <= SAMPLE:
            return
        asked = [e for e in self._unread() if keys[e] and not cannot_ask(keys[e])]
        together = [
            [*dict.fromkeys(keys[entry] for entry in batch)]
            for batch in batches(keys, asked, self.look.page_size - 1)
            if len(batch) > 1
        ]
        if together:
            # No sample tells which licenses are on it.
            beside = _KeyList(Narrowing(frozenset({("key[in]", "")})), batches=together)
            await self._ask(beside)
            if not beside.done:
                await self._read_on(beside)

    async def _round(self) -> bool:
        """Read a sample and the lists that it leads to; tell whether that has saved requests."""
        sample = await self._sample()
        lists = [_List(each) for each in self._narrowings(sample)]
        if not self._account.done:
            lists.append(self._account)
        gained = 0
        while self._goes_on and self._left:
            best = self._best([each for each in lists if not each.done], sample)
            if best is None or self._slack(best) < 1:
                break
            before = best.shown - best.cost
            await (self._read_on(best) if best.asked else self._ask(best))
            gained += best.shown - best.cost - before
        return gained > 0

    async def _sample(self) -> _Sample:
        """Read some licenses by themselves."""
        entries = spread(self._unread(), SAMPLE)
        sample = _Sample(len(entries), self._left - len(entries))

        async def get(entry: int) -> None:
            if (found := await self.look.get(entry)) is not None:
                sample.found.append(found)

        await self.look.each(entries, get)
        self._count()
        return sample

    def _narrowings(self, sample: _Sample) -> list[Narrowing]:
        states = self.look.snapshot.states
        moments = (
            moment_of(head)
            for head, entry in zip(self._heads, self._order, strict=True)
            if not states[entry]
        )
        made = [moment for moment in moments if moment is not None]  # in order, as the IDs are
        page = inf
        if made and self._account.size and made[-1] > self._oldest:
            page = (made[-1] - self._oldest) / self._account.size
        return narrowings(sample.found, sample.read, sample.unread, made, page)

    def _best(self, lists: Sequence[_List], sample: _Sample) -> _List | None:
        """Choose the list with which the look is cheapest; None if that is without any.

        The licenses that a list does not show are reckoned to be read in the cheapest other way:
        one by one, off the whole account, or off the next best list.
        """
        there = self._left * len(sample.found) / sample.read
        shown = {each: min(self._wanted(each, sample), there) for each in lists}
        pages = {each: self._pages(each) for each in lists}
        costs = {each: pages[each] + shown[each] * each.narrowing.risk for each in lists}
        prices = {each: costs[each] / shown[each] for each in lists if shown[each]}
        cheapest = sorted(prices, key=prices.__getitem__)[:2]
        whole = pages.get(self._account, inf)

        def total(each: _List) -> float:
            left = there - shown[each] * (1 - each.narrowing.risk)
            if each is self._account or not shown[each]:
                return costs[each] + left
            others = min((prices[other] for other in cheapest if other is not each), default=1.0)
            return costs[each] + min(left, whole, left * UNSURE * others)

        # The best of many guesses looks better than it is.
        pay = [
            each for each in lists if each is self._account or pages[each] * UNSURE < shown[each]
        ]
        best = min(pay, key=total, default=None)
        return best if best is not None and total(best) < there else None

    def _wanted(self, each: _List, sample: _Sample) -> float:
        """Estimate how many licenses a list would show that are looked for and not seen yet."""
        narrowing = each.narrowing
        if not narrowing.members:
            return narrowing.wanted
        done = [other.narrowing for other in self._tried if other.whole]
        left = sum(
            not any(other.shows(sample.found[place]) for other in done)
            for place in narrowing.members
        )
        return narrowing.wanted * left / len(narrowing.members)

    def _pages(self, each: _List) -> float:
        """Pages that a list has yet to be read; estimated where nobody has told."""
        if each.size is not None:
            return each.size - each.cost
        account = self._account
        whole = self._left / account.shown if account.shown else UNTOLD * self._left
        if account.size is not None:
            whole = account.size
        if each is account:
            return whole
        made = each.narrowing.made
        years = Span(self._oldest, made.last if made else inf)
        return max(1.0, whole * each.narrowing.share_of(self._others, years))

    def _slack(self, each: _List) -> float:
        """Requests that a list may still lose: all lists together may lose so many, see `SLACK`."""
        lost = sum(other.loss for other in self._tried if other is not each)
        return SLACK_SHARE * len(self.entries) + SLACK - lost

    async def _ask(self, each: _List) -> None:
        """Read the first page of a list, which tells how long it is."""
        each.asked = True
        self._tried.append(each)
        self.look.expect(1 + self._left)
        await self._read_pages(each, [1])
        each.measure(self.look.page_size)

    async def _read_on(self, each: _List) -> None:
        """Read the other pages of a list, until nothing is missing or it does not pay."""
        if each.size is not None:
            others = max(0, self._left - each.narrowing.wanted)
            self.look.expect(each.size - 1 + int(others))
            await self._read_pages(each, spread(range(2, each.size + 1)))
            each.whole = each.cost >= each.size and not each.done
        else:
            number = 1
            while not each.done and self._left and self._pays(each):
                number += 1
                self.look.expect(1 + self._left)
                await self._read_pages(each, [number])
                each.whole = each.last is not None and (
                    len(each.last.licenses) < self.look.page_size
                )
                each.done |= each.whole
        each.done = True
        self.look.expect(self._left)

    def _pays(self, each: _List) -> bool:
        if each.size is None:
            is_over = each.barren >= min(SAMPLE, self._left)
        else:
            is_over = each.size - each.cost > self._left
        return self._goes_on and not is_over and each.cost + 1 - each.shown <= self._slack(each)

    async def _read_pages(self, each: _List, numbers: Iterable[int]) -> None:
        """Read pages of a list, several at a time, while that pays."""
        there_are = (number for number in numbers if each.size is None or number <= each.size)
        is_wanted = takewhile(
            lambda _: self._left and not each.done and self._pays(each), there_are
        )
        # Not so many in flight that it is too late once it is seen that they show nothing.
        most = max(1, min(self.look.concurrency, int(self._slack(each) / 2)))
        await self.look.each(is_wanted, partial(self._page, each), most)

    async def _page(self, each: _List, number: int) -> None:
        """Take down what one page says of the licenses that are looked for."""
        each.cost += 1
        each.last = None
        client, attempts = self.look.client, Attempts()
        request = each.page(client.api, number)
        for _ in range(client.policy.max_attempts):
            try:
                page = await self.look.read(request, attempts)
            except TransientError:
                await client.rest(attempts)
                await self._read_another_way()
            except OWN as error:
                each.done = True
                self._ill |= error.status != 400  # that may be about its filters
                return
            else:
                each.last = page
                if each is self._account and page.total is not None:
                    self.look.snapshot.account_total = page.total
                new = self._take(page.licenses)
                each.shown += new
                each.barren = 0 if new else each.barren + 1
                if each.size is not None and not page.licenses:
                    each.size = min(each.size, number - 1)
                return
            if each.done or not self._goes_on:
                return
        each.done = self._ill = True  # so are the others, by and large

    async def _read_another_way(self) -> None:
        """Read a license by itself: that waits until the server is well, if it is not the list."""
        for entry in self._spare:
            if not self.look.snapshot.states[entry]:
                await self.look.get(entry)
                self._count()
                return

    def _count(self) -> None:
        """Count anew the licenses that are left, after some were read by themselves."""
        self._left = len(self._unread())

    def _take(self, licenses: Sequence[License]) -> int:
        """Note those licenses of a page that are looked for; return how many of them are new."""
        heads, order, ids = self._heads, self._order, self.look.listing.ids
        states, note = self.look.snapshot.states, self.look.snapshot.note
        shown = bytes.fromhex("".join([each.id for each in licenses]).replace("-", ""))
        last, new = len(heads), 0
        for start, head, license_ in zip(count(0, ID_BYTES), heads_of(shown), licenses):
            place = bisect_left(heads, head)
            while place < last and heads[place] == head:
                entry = order[place]
                at = ID_BYTES * entry
                if ids[at : at + ID_BYTES] == shown[start : start + ID_BYTES]:
                    new += not states[entry]
                    note(entry, license_)
                    break
                place += 1
        self._left -= new
        return new


def heads_of(ids: bytes) -> array[int]:
    """Return the first 64 bits of each ID: few share them, if any."""
    heads = array("Q", ids)[::2]
    if sys.byteorder == "little":
        heads.byteswap()
    return heads


def spread(items: Sequence[_T], most: int | None = None) -> list[_T]:
    """Return some or all of the items, in an order in which any first few are spread over all.

    Args:
        items: To choose from.
        most: How many at most; all of them by default.
    """
    if most is not None:
        step = max(1.0, len(items) / most)
        items = [items[int(place * step)] for place in range(min(most, len(items)))]
    order = sorted(range(len(items)), key=lambda place: place * GOLDEN % 1)
    return [items[place] for place in order]
