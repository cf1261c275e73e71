"""Reading a list page by page, so that nothing is left out that was there all the time.

A page begins at the moment of creation at which the one before has ended, and not at a number: a
license that is deleted, or does not match any more, moves no other one out of sight. When a license
was made never changes; so each page shows all that was there between two moments, whatever happens
before and behind them. What a page shows once more is known by its ID.

Two things are read by the numbers of pages instead, which do move: more licenses of one moment than
fit on a page, and the lists of a server that neither sorts nor filters by that moment. They are
read again until two readings show the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from math import ceil
from typing import TYPE_CHECKING, Any

from batch.errors import StoppedError
from batch.job.filters import TICKS, Period, spelled, ticks

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from batch.api.retrying_client import RetryingClient
    from batch.model import ToldPage

    Filters = Mapping[str, Sequence[str]]


MARGIN = 60 * TICKS
"""A list ends with the licenses made so many ticks after its start: clocks differ. Without an end,
new licenses might keep it going for ever."""

OVERLAP = TICKS // 100
"""Ticks before the last license of a page at which the next one begins: a server may round what it
is asked for."""

ROUNDED = TICKS
"""Ticks before the moment asked for at which a page may begin: a server may look at whole seconds
only, or at milliseconds."""

MOST_READINGS = 10
"""Readings by number after which a list that never shows the same twice is given up."""

MOST_IN_VAIN = 3
"""Full pages one after another that show nothing more."""


class _OddError(Exception):
    """The server neither sorts nor filters by the moment of creation."""


@dataclass(slots=True)
class Paging:
    """Reads lists, one page after another.

    Attributes:
        client: Sends the requests.
        made: When the licenses that are wanted were made.
        now: The present time in ticks since 1970.
        take: Takes each license object that a page shows; not all of them are wanted, and the same
            one may come again.
        expect: Told how many requests are left, where the server tells.
        step: Called after each request.
    """

    client: RetryingClient
    made: Period
    now: Callable[[], int]
    take: Callable[[Mapping[str, Any]], object]
    expect: Callable[[int], object] = int
    step: Callable[[], object] = int
    _end: int | None = field(init=False, default=None)
    _filters: Filters = field(init=False, default_factory=dict)
    _shown: set[bytes] = field(init=False, default_factory=set)
    _largest: int = field(init=False, default=0)
    _total: int | None = field(init=False, default=None)

    async def read(self, filters: Filters) -> tuple[int, int] | None:
        """Read all pages of a list.

        Returns:
            How many licenses it has shown, and how many the server counts now, if these are not
            the same; None if they are, or the server does not say.

        Raises:
            StoppedError: The list cannot be read whole; and what `RetryingClient.read` raises.
        """
        self._begin(filters)
        try:
            await self._by_moment(filters)
        except _OddError:
            await self._by_number(filters, self.made)
        if self._total is None:
            return None
        total = (await self._page(filters, self.made)).total
        return None if total in {None, len(self._shown)} else (len(self._shown), total or 0)

    def _begin(self, filters: Filters) -> None:
        self._filters, self._shown, self._total = filters, set(), None

    async def _by_moment(self, filters: Filters) -> None:
        """Read on from the moment of the last license that a page shows.

        Raises:
            _OddError: That is not possible here.
        """
        position = first = self.made.first
        while True:
            page = await self._page(filters, Period(first, self.made.before))
            last = _last_moment(page, first)
            self._note(page)
            if last is not None and (position is None or last > position):
                position = last
                first = max(last - OVERLAP, self.made.first or 0)
            elif position is None or len(page.licenses) < max(1, self._largest):
                return  # there was room left: this is all that is there from this moment on
            elif first is not None and first > position:  # it was asked for what is behind that
                raise _OddError
            else:
                # Without the filters: to what was made then nothing is added, but licenses may
                # come to match, or cease to. With them, it is seen what the server counts.
                moment = Period(first, position + 1)
                await self._by_number({}, moment)
                if filters:
                    await self._reading(filters, moment)
                first = position + 1

    async def _by_number(self, filters: Filters, made: Period) -> None:
        """Read a list by the numbers of its pages, until two readings show the same.

        If a license was moved to a page that was read already, one on that page is gone; then the
        next reading does not show the one that is gone.
        """
        before = None
        for _ in range(MOST_READINGS):
            seen = await self._reading(filters, made)
            if seen == before:
                return
            before = seen
        raise StoppedError(
            f"the list was read {MOST_READINGS} times and was never the same twice",
            hint="try again when fewer licenses are changed; or narrow it by more filters.",
        )

    async def _reading(self, filters: Filters, made: Period) -> set[bytes]:
        """Read the pages 1, 2, 3 … up to one with room left; return the IDs.

        Raises:
            StoppedError: The server shows the same again and again, whatever the number.
        """
        seen: set[bytes] = set()
        number, in_vain = 1, 0
        while True:
            page = await self._page(filters, made, number)
            self._note(page, is_counted=filters == self._filters)
            found = {_id(each) for each in page.licenses}
            # If a full one shows nothing more, licenses may have moved to later ones.
            in_vain = in_vain + 1 if found <= seen else 0
            seen |= found
            if len(page.licenses) < max(1, self._largest):
                return seen
            if in_vain == MOST_IN_VAIN:
                if page.total is not None and page.total <= len(seen):
                    return seen
                raise StoppedError(
                    f"page {number} of the list shows only what earlier pages have shown: it"
                    " cannot be read whole",
                    hint="is a cache or a gateway in the way that leaves out the query?",
                )
            number += 1

    async def _page(self, filters: Filters, made: Period, number: int = 1) -> ToldPage:
        query = dict(filters)
        made = made.until(self._end)
        if made.first is not None:
            query["createdAt[gte]"] = (spelled(made.first),)
        if made.before is not None:
            query["createdAt[lt]"] = (spelled(made.before),)
        request = partial(self.client.api.told, query, page=number)
        page = await self.client.read(request, self.client.policy.max_attempts)
        if self._end is None:
            said = 0 if page.at is None else int(page.at) * TICKS
            self._end = max(said, self.now()) + MARGIN
        self._largest = max(self._largest, len(page.licenses))
        if self._total is None and page.total is not None:
            self._total = page.total
            # Each page shows one license again, the last one nothing else; then they are counted.
            self.expect(ceil((page.total - 1) / max(len(page.licenses) - 1, 1)) + 2)
        self.step()
        return page

    def _note(self, page: ToldPage, *, is_counted: bool = True) -> None:
        for each in page.licenses:
            self.take(each)
        if is_counted:
            self._shown.update(map(_id, page.licenses))


def _last_moment(page: ToldPage, first: int | None) -> int | None:
    """When the last license of a page was made; None for an empty page.

    Raises:
        _OddError: They are not in this order, or some were made well before the moment asked for.
    """
    moments = [ticks(each.get("createdAt")) for each in page.licenses]
    if not moments:
        return None
    in_order = [each for each in moments if each is not None]
    if (
        len(in_order) < len(moments)
        or (first is not None and in_order[0] < first - ROUNDED)
        or any(one > other for one, other in pairwise(in_order))
    ):
        raise _OddError
    return in_order[-1]


def _id(license_: Mapping[str, Any]) -> bytes:
    return bytes.fromhex(license_["id"].replace("-", ""))
