"""The look: what the server holds before anything is changed. It only reads.

It takes the road that needs fewest requests. Licenses that are listed by ID are read one by one, or
a hundred at a time from the unfiltered list of the whole account, where that has fewer pages than
there are licenses to read. Pages shift while others create and delete licenses: an ID that was not
on them is read by itself, and nothing is ever inferred from its absence. Licenses that are listed
by key have to be looked up in any case, and that is their look.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from dataclasses import dataclass, field
from functools import partial
from itertools import takewhile
from typing import TYPE_CHECKING, TypeVar
from uuid import UUID

from batch.api.retry import Attempts
from batch.errors import (
    ApiError,
    RejectedError,
    StoppedError,
    TransientError,
    UnconfirmedError,
    not_the_api,
    told,
)
from batch.job import row_result
from batch.job.key_lookup import KeyLookup, batches, cannot_ask
from batch.job.snapshot import Snapshot, State
from batch.model import ID_BYTES, License, Listing, Outcome, Page, RowResult

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence

    from batch.api.retrying_client import RetryingClient


_T = TypeVar("_T")

OWN = (TransientError, RejectedError, UnconfirmedError)
"""Errors that are about what was asked for, and not about every other request as well."""


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
        snapshot: What was found so far.
    """

    listing: Listing
    client: RetryingClient
    page_size: int
    concurrency: int
    expect: Callable[[int], None]
    step: Callable[[], None]
    protects: Callable[[License], tuple[int, ...]] | None = None
    snapshot: Snapshot = field(init=False)
    _readable: bool = False

    def __post_init__(self) -> None:
        self.snapshot = Snapshot.nothing(self.listing, self.protects)

    async def run(self, entries: Sequence[int]) -> Snapshot:
        """Look at these entries, each the first one of its license.

        What is found of an entry counts only if it was asked for. An entry that a stop left out
        stays unseen.

        Raises:
            StoppedError: The answers cannot be what they should be, such as a license that nobody
                asked for.
        """
        self.snapshot.looked = True
        if self.listing.keys:
            await self._look_up(entries)
        else:
            self.expect(len(entries))
            unread = entries if len(entries) < 2 else await _AccountPages(self, entries).read()
            await self.each(unread, self.get)
        if entries:
            self._prove()
        return self.snapshot

    def _prove(self) -> None:
        """Stop the run if nothing that was answered shows that the API is there at all."""
        if not (self.client.introduced or self.client.stopped):
            error = not_the_api(self.snapshot.off or self.client.stranger)
            self.client.stop(error.becomes(StoppedError))

    async def each(self, items: Iterable[_T], work: Callable[[_T], Awaitable[None]]) -> None:
        """Work on all items, until all are done, the run is stopped, or the token may not read."""
        todo = takewhile(lambda _: not self.snapshot.off, items)
        await self.client.each(todo, work, self.concurrency)

    async def read(
        self, request: Callable[[], Awaitable[_T]], attempts: Attempts | None = None
    ) -> _T:
        """Send a request, and count it; with ``attempts`` once, whatever goes wrong."""
        try:
            if attempts is None:
                answer = await self.client.read(request, self.client.policy.max_attempts)
            else:
                answer = await self.client.ask(request, attempts, 0)
        finally:
            self.step()
        self._readable = True
        return answer

    async def get(self, entry: int) -> None:
        """Read one license, or take down why it cannot be read."""
        request = partial(self.client.api.get, self.listing.license_id(entry))
        try:
            found = await self.read(request)
        except OWN as error:
            self._unread(entry, error)
        else:
            self.snapshot.note(entry, found)

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
        """Look licenses up by their keys, as many at a time as a URL holds."""
        askable = array("I")
        for entry in entries:
            if why := cannot_ask(self.listing.keys[entry]):
                self.snapshot.problem(entry, State.UNREAD, RowResult(Outcome.FAILED, error=why))
            else:
                askable.append(entry)
        # One less than a page holds: only keys that licenses share take a second page.
        requests = list(batches(self.listing.keys, askable, self.page_size - 1))
        self.expect(len(requests))
        await self.each(requests, self._look_up_some)

    async def _look_up_some(self, entries: Sequence[int]) -> None:
        keys = [self.listing.keys[entry] for entry in entries]
        lookup = KeyLookup(keys)
        try:
            pages = await self._fill(lookup)
        except OWN as error:
            if self._forbids(error):
                self.snapshot.off = error
            for entry in entries:
                result = _unread(Outcome.FAILED, error, "its key cannot be looked up")
                self.snapshot.problem(entry, State.UNREAD, result)
            return
        if pages > 1 and len(entries) > 1:
            # Pages shift while others write, and something may have slipped through between them.
            for half in (entries[: len(entries) // 2], entries[len(entries) // 2 :]):
                await self._look_up_some(half)
            return
        for entry, key in zip(entries, keys, strict=True):
            found = lookup.found(key)
            if isinstance(found, RowResult):
                missing = found.outcome is Outcome.NOT_FOUND
                self.snapshot.problem(entry, State.MISSING if missing else State.UNREAD, found)
            else:
                self.snapshot.ids[ID_BYTES * entry : ID_BYTES * (entry + 1)] = UUID(found.id).bytes
                self.snapshot.note(entry, found)

    async def _fill(self, lookup: KeyLookup) -> int:
        """Read all that the server has for some keys, and return how many pages that took."""
        number = 0
        while True:
            number += 1
            page = await self.read(partial(self.client.api.list, lookup.filters(), page=number))
            news = lookup.add(page.licenses)
            if len(page.licenses) < self.page_size:
                return number
            if not news:
                raise StoppedError(
                    f"page {number} of the licenses for some keys repeats the pages before it",
                    hint="list the licenses by their IDs instead.",
                )


@dataclass(slots=True)
class _AccountPages:
    """The pages of the whole account, read until nothing asked for is missing."""

    look: Look
    entries: Sequence[int]
    _order: array[int] = field(init=False)
    _left: int = field(init=False)
    _spare: Iterator[int] = field(init=False)
    _last: Page | None = None
    _given_up: bool = False

    def __post_init__(self) -> None:
        self._order = array("I", sorted(self.entries, key=self._id))
        self._left = len(self.entries)
        self._spare = reversed(self.entries)

    async def read(self) -> list[int]:
        """Read pages as long as that is cheaper; the entries that are still to be read.

        It is given up for good when a page cannot be read, and when it has cost as many requests
        as reading the licenses one by one.
        """
        await self._pages([1])
        first = self._last
        if first is not None and first.total is not None:
            pages = -(-first.total // self.look.page_size)
            if pages - 1 < self._left:
                self.look.expect(pages - 1)
                await self._pages(range(2, pages + 1))
        elif first is not None:
            await self._until_the_last()
        unread = [entry for entry in self.entries if not self.look.snapshot.states[entry]]
        self.look.expect(len(unread))
        return unread

    async def _until_the_last(self) -> None:
        """Read pages up to one that is not full: the last, where the account's size is not told."""
        for number in range(2, len(self.entries) + 1):
            last = self._last
            if last is None or len(last.licenses) < self.look.page_size or not self._left:
                return
            await self._pages([number])

    async def _pages(self, numbers: Iterable[int]) -> None:
        """Read pages, until nothing is missing or it is given up."""
        is_wanted = takewhile(lambda _: self._left and not self._given_up, numbers)
        await self.look.each(is_wanted, self._page)

    async def _page(self, number: int) -> None:
        """Take down what one page says of the licenses that are looked for."""
        self._last = None
        client, attempts = self.look.client, Attempts()
        request = partial(client.api.list, {}, page=number)
        for _ in range(client.policy.max_attempts):
            try:
                self._last = await self.look.read(request, attempts)
            except TransientError:
                await client.rest(attempts)
                await self._read_another_way()
            except OWN:
                break
            else:
                for license_ in self._last.licenses:
                    self._take(license_)
                return
            if self._given_up or self.look.snapshot.off:
                return
        self._given_up = True

    async def _read_another_way(self) -> None:
        """Read a license by itself: that waits until the server is well, if it is not the list."""
        for entry in self._spare:
            if not self.look.snapshot.states[entry]:
                await self.look.get(entry)
                return

    def _take(self, license_: License) -> None:
        wanted = UUID(license_.id).bytes
        place = bisect_left(self._order, wanted, key=self._id)
        if place == len(self._order) or self._id(entry := self._order[place]) != wanted:
            return
        self._left -= not self.look.snapshot.states[entry]
        self.look.snapshot.note(entry, license_)

    def _id(self, entry: int) -> bytes:
        return self.look.listing.ids[ID_BYTES * entry : ID_BYTES * (entry + 1)]


def _unread(outcome: Outcome, error: ApiError, what: str) -> RowResult:
    return RowResult(outcome, None, error.status, error.code, f"{what}: {told(error)}")
