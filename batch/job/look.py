"""The look: what the server holds before anything is changed. It only reads.

It takes the road that needs fewest requests. Licenses that are listed by ID are read off lists
where that is cheaper (`list_lookup`), and the others one by one. Licenses that are listed by key
have to be looked up in any case, and that is their look; a key that did not come back with others
is asked for alone.
"""

from __future__ import annotations

from array import array
from collections import deque
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, takewhile
from typing import TYPE_CHECKING, TypeVar
from uuid import UUID

from batch.api.retry import Attempts
from batch.errors import (
    OWN,
    ApiError,
    RejectedError,
    StoppedError,
    not_the_api,
    told,
)
from batch.job import row_result
from batch.job.key_lookup import KeyLookup, batches, cannot_ask
from batch.job.list_lookup import SAMPLE, ListLookup, spread
from batch.job.snapshot import FEWEST, Snapshot, State
from batch.model import ID_BYTES, License, Listing, Outcome, Page, Property, RowResult

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence

    from batch.api.retrying_client import RetryingClient
    from batch.results.details import Details


_T = TypeVar("_T")

LARGE_SAMPLE = 80
"""Licenses that are read besides the sample before it is said that the account knows none: of a
list of which nine in ten were deleted the sample may hold no other."""


@dataclass(slots=True)
class Look:
    """One look at the licenses of a listing.

    Attributes:
        listing: The licenses.
        client: What everything is sent through; its ``stopped`` says why the look ended early.
        page_size: Licenses on a full page of a list.
        concurrency: Requests in flight at most.
        expect: Is told how many requests there will be, as far as is known.
        step: Is told of every request that was answered.
        protects: As in `Snapshot`.
        compares: As in `Snapshot`.
        changes: As in `Snapshot`.
        details: As in `Snapshot`.
        needs_each: Whether something has to be said of each license, even if none is known.
        snapshot: What was found so far.
    """

    listing: Listing
    client: RetryingClient
    page_size: int
    concurrency: int
    expect: Callable[[int], None]
    step: Callable[[], None]
    protects: Callable[[License], tuple[int, ...]] | None = None
    compares: Callable[[License], str] | None = None
    changes: Property = Property.REVOKED
    details: Details | None = None
    needs_each: bool = True
    snapshot: Snapshot = field(init=False)
    _readable: bool = False

    def __post_init__(self) -> None:
        self.snapshot = Snapshot.nothing(
            self.listing,
            self.protects,
            compares=self.compares,
            changes=self.changes,
            details=self.details,
        )

    async def run(self, entries: Sequence[int]) -> Snapshot:
        """Look at these entries, each the first one of its license.

        What is found of an entry counts only if it was asked for. An entry that a stop left out
        stays unseen, and so do most where the account seems to know none of them.

        Raises:
            StoppedError: The answers cannot be what they should be, such as a license that nobody
                asked for.
        """
        self.snapshot.looked = True
        if self.listing.keys:
            await self._look_up(entries)
        else:
            await self._read(entries)
        if self.client.rate_limiter.requests:
            self._prove()
        return self.snapshot

    async def _read(self, entries: Sequence[int]) -> None:
        """Read licenses by their IDs: what lists do not show cheaper, one by one."""
        self.expect(len(entries))
        if len(entries) > 1:
            entries = await ListLookup(self, entries).read()
        if len(entries) > SAMPLE and not self.needs_each:
            await self.each(spread(entries, LARGE_SAMPLE), self.get)
            entries = [] if self._knows_none else self.snapshot.unseen(entries)
        self.expect(len(entries))
        await self.each(entries, self.get)

    @property
    def _knows_none(self) -> bool:
        """Tell whether not one of the licenses that were looked at is known, and there are some."""
        return self.snapshot.states.count(State.MISSING) >= FEWEST and not self.snapshot.known

    def _prove(self) -> None:
        """Stop the run if nothing that was answered shows that the API is there at all."""
        if not (self.client.introduced or self.client.stopped):
            error = not_the_api(self.snapshot.off or self.client.stranger)
            self.client.stop(error.becomes(StoppedError))

    async def each(
        self,
        items: Iterable[_T],
        work: Callable[[_T], Awaitable[object]],
        most: int | None = None,
    ) -> None:
        """Work on all items, until all are done, the run is stopped, or the token may not read.

        Args:
            items: What there is to do; taken one by one.
            work: Does one of them.
            most: Items in work at a time; as many as requests may be in flight by default.
        """
        todo = takewhile(lambda _: not self.snapshot.off, items)
        await self.client.each(todo, work, self.concurrency if most is None else most)

    async def read(
        self, request: Callable[[], Awaitable[_T]], attempts: Attempts | None = None
    ) -> _T:
        """Send a request, and count it; with ``attempts`` once, whatever goes wrong."""
        try:
            if attempts is None:
                answer = await self.client.read(request, self.client.policy.max_attempts)
            else:
                answer = await self.client.ask(request, attempts, 0, patient=True)
        except ApiError:
            self.step()
            raise
        self.step()  # not where a stop came before it was sent
        self._readable = True
        return answer

    async def get(self, entry: int) -> License | None:
        """Read one license and return it, or take down why it cannot be read."""
        request = partial(self.client.api.get, self.listing.license_id(entry))
        try:
            found = await self.read(request)
        except OWN as error:
            self._unread(entry, error)
            return None
        self.snapshot.note(entry, found)
        return found

    def _unread(self, entry: int, error: ApiError) -> None:
        if isinstance(error, RejectedError) and error.status == 404:
            self._readable = True
            self.snapshot.problem(entry, State.MISSING, row_result.not_found(Attempts(), error))
        elif self._forbids(error):
            self.snapshot.off = error
        else:
            result = _unread(Outcome.UNKNOWN, error, "it cannot be read")
            self.snapshot.problem(entry, State.UNREAD, result)

    def _forbids(self, error: ApiError) -> bool:
        """Tell whether an error means that the token may not read.

        Once it has read something, a 403 is about one license.
        """
        return isinstance(error, RejectedError) and error.status == 403 and not self._readable

    async def _look_up(self, entries: Sequence[int]) -> None:
        """Look licenses up by their keys, as far as a request can ask for them."""
        askable = array("I")
        for entry in entries:
            if why := cannot_ask(self.listing.keys[entry]):
                self.snapshot.problem(entry, State.UNREAD, RowResult(Outcome.FAILED, error=why))
            else:
                askable.append(entry)
        await _Keys(self, askable, self.page_size).look_up()

    def settle(self, entry: int, found: License | RowResult) -> None:
        """Take down what a key stands for: a license, or why there is none."""
        if isinstance(found, RowResult):
            missing = found.outcome is Outcome.NOT_FOUND
            self.snapshot.problem(entry, State.MISSING if missing else State.UNREAD, found)
        else:
            self.snapshot.ids[ID_BYTES * entry : ID_BYTES * (entry + 1)] = UUID(found.id).bytes
            self.snapshot.note(entry, found)

    def not_looked_up(self, entries: Iterable[int], error: ApiError) -> None:
        """Take down that keys cannot be looked up, and why."""
        if self._forbids(error):
            self.snapshot.off = error
        for entry in entries:
            self.settle(entry, _unread(Outcome.FAILED, error, "its key cannot be looked up"))


@dataclass(slots=True)
class _Keys:
    """The keys of a listing, asked for as many at a time as a URL and a page hold.

    A page that is shorter than was asked for proves nothing, since a server may put fewer licenses
    on a page than it is asked for. So a key that did not come back is asked for once more, alone
    (after all the others, where an answer held no license). Where an answer was cut short, all of
    its keys are asked for again, fewer at a time: of a key that came back there may be a second
    license.

    Attributes:
        page_size: Licenses on a full page, as far as the server has shown.
    """

    look: Look
    entries: Sequence[int]
    page_size: int
    _todo: deque[list[int]] = field(init=False)
    _absent: list[int] = field(default_factory=list)
    _left: int = 0
    _largest: int = 0

    def __post_init__(self) -> None:
        # One less than a page holds: only keys that licenses share fill it.
        self._todo = deque(batches(self.look.listing.keys, self.entries, self.page_size - 1))

    async def look_up(self) -> None:
        """Ask until every key is settled, the run is stopped, or the token may not read."""
        self._expect(len(self._todo))
        while self._todo and self._goes_on:
            await self.look.each(self._taken(), self._ask)
        if not (self._largest or self.look.needs_each):
            await self._alone(self._absent[:: len(self._absent) // SAMPLE + 1])
            if not self._largest and self.look.snapshot.states.count(State.MISSING) >= FEWEST:
                return
        await self._alone(self._absent)

    def _taken(self) -> Iterator[list[int]]:
        while self._todo:
            yield self._todo.popleft()

    @property
    def _goes_on(self) -> bool:
        return not (self.look.client.stopped or self.look.snapshot.off)

    async def _alone(self, entries: Sequence[int]) -> None:
        """Ask alone for keys of which nothing is known yet."""
        unseen = self.look.snapshot.unseen(entries)
        if unseen and self._goes_on:
            self._expect(len(unseen))
            await self.look.each(unseen, self._ask_alone)

    def _expect(self, more: int) -> None:
        """Tell of requests that will be needed besides those that are known of."""
        self._left += more
        self.look.expect(self._left)

    async def _ask(self, entries: Sequence[int]) -> None:
        """Ask for some keys with one request, and alone for those that did not come back."""
        if len(entries) == 1:
            await self._ask_alone(entries[0])
            return
        lookup = self._lookup(entries)
        try:
            page = await self._page(lookup, 1)
            is_cut = await self._is_cut(page, lookup)
        except OWN as error:
            self.look.not_looked_up(entries, error)
            return
        if is_cut:
            self._ask_for_fewer(entries, len(page.licenses))
            return
        keys = self.look.listing.keys
        if not page.licenses:
            self._absent.extend(entries)
            return
        back = [entry for entry in entries if lookup.holds(keys[entry])]
        absent = [entry for entry in entries if not lookup.holds(keys[entry])]
        if absent:
            self._expect(len(absent))
        for asked, entry in enumerate(absent, 1):
            # A page that had fewer licenses than another one was not cut at its end.
            if await self._ask_alone(entry, lookup) and len(page.licenses) == self._largest:
                self._expect(asked - len(absent))
                self._ask_for_fewer([*back, *absent[asked:]], len(page.licenses))
                return
        for entry in back:
            self.look.settle(entry, lookup.found(keys[entry]))

    async def _is_cut(self, page: Page, lookup: KeyLookup) -> bool:
        """Tell whether the first page for some keys is not all that the server has for them."""
        if len(page.licenses) >= self.page_size:
            return True
        if page.total is None or page.total <= len(page.licenses):
            return False
        # A count that is not true would cost a request for each key.
        self._expect(1)
        return bool((await self._page(lookup, 2)).licenses)

    def _ask_for_fewer(self, entries: Sequence[int], came: int) -> None:
        """Have keys asked for again, fewer at a time, since their page was full with ``came``."""
        before = len(self._todo)
        most = (len(entries) + 1) // 2
        if came < self.page_size and came == self._largest:
            self.page_size = came
            most = came
            entries = [*entries, *chain.from_iterable(self._todo)]
            self._todo.clear()
        most = max(1, min(most, self.page_size - 1))
        self._todo.extend(batches(self.look.listing.keys, entries, most))
        self._expect(len(self._todo) - before)

    async def _ask_alone(self, entry: int, before: KeyLookup | None = None) -> bool:
        """Read all that the server has for one key, settle it, and tell whether it came back.

        Args:
            entry: The key's entry.
            before: What came back when it was asked for with others.
        """
        key = self.look.listing.keys[entry]
        lookup = self._lookup([entry])
        number = 1
        try:
            page = await self._page(lookup, number)
            while page.licenses and (
                len(page.licenses) >= self.page_size or (page.total or 0) > lookup.count
            ):
                number += 1
                self._expect(1)
                page = await self._page(lookup, number)
        except OWN as error:
            self.look.not_looked_up([entry], error)
            return False
        if page.total and not lookup.count:
            why = "the server counts licenses with this key, and shows none"
            self.look.settle(entry, RowResult(Outcome.FAILED, error_code="bad_body", error=why))
        else:
            lacking = before if before and not lookup.count else lookup
            self.look.settle(entry, lacking.found(key))
        return lookup.holds(key)

    def _lookup(self, entries: Iterable[int]) -> KeyLookup:
        return KeyLookup([self.look.listing.keys[entry] for entry in entries])

    async def _page(self, lookup: KeyLookup, number: int) -> Page:
        """Read a page of what the server has for some keys."""
        request = partial(self.look.client.api.list, lookup.filters(), page=number)
        try:
            page = await self.look.read(request)
        finally:
            self._left -= 1
        self._largest = max(self._largest, len(page.licenses))
        if not lookup.add(page.licenses) and page.licenses:
            raise StoppedError(
                f"page {number} of the licenses for some keys repeats the pages before it",
                hint="list the licenses by their IDs instead.",
            )
        return page


def _unread(outcome: Outcome, error: ApiError, what: str) -> RowResult:
    return RowResult(outcome, None, error.status, error.code, f"{what}: {told(error)}")
