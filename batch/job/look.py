"""The look: what the server holds before anything is changed. It only reads.

It takes the road that needs fewest requests. Licenses that are listed by ID are read one by one, or
a hundred at a time from the unfiltered list of the whole account, where that has fewer pages than
there are licenses to read. Pages shift while others create and delete licenses: an ID that was not
on them is read by itself, and nothing is ever inferred from its absence. Licenses that are listed
by key have to be looked up in any case, and that is their look.
"""

from __future__ import annotations

import asyncio
from array import array
from bisect import bisect_left
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, TypeVar
from uuid import UUID

from batch.api.retry import Attempts
from batch.api.retrying_client import HaltedError
from batch.errors import (
    AccessError,
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
        """Work on all items, some at a time, until all are done or the run is stopped."""
        todo = iter(items)

        async def worker() -> None:
            for item in todo:
                if self.client.stopped or self.snapshot.off:
                    return
                await self.heed(work(item))

        async with asyncio.TaskGroup() as workers:
            for _ in range(self.concurrency):
                workers.create_task(worker())

    async def heed(self, work: Awaitable[None]) -> None:
        """Do some work, and stop the run for what concerns all of it."""
        try:
            await work
        except StoppedError as reason:
            self.client.stop(reason)
        except AccessError as error:
            self.client.stop(error.becomes(StoppedError))
        except (HaltedError, asyncio.CancelledError):
            if self.client.stopped is None:
                raise

    async def counted(self, reading: Awaitable[_T]) -> _T:
        """Await a request, and count it; raises what it raises."""
        try:
            answer = await reading
        finally:
            self.step()
        self._readable = True
        return answer

    async def get(self, entry: int) -> None:
        """Read one license, or take down why it cannot be read."""
        request = partial(self.client.api.get, self.listing.license_id(entry))
        try:
            found = await self._read(request)
        except OWN as error:
            self._unread(entry, error)
        else:
            self.snapshot.note(entry, found)

    async def _read(self, request: Callable[[], Awaitable[_T]]) -> _T:
        return await self.counted(self.client.read(request, self.client.policy.max_attempts))

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
            page = await self._read(partial(self.client.api.list, lookup.filters(), page=number))
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
        first = await self._page(1)
        if first is not None and first.total is not None:
            pages = -(-first.total // self.look.page_size)
            if pages - 1 < self._left:
                self.look.expect(pages - 1)
                await self.look.each(range(2, pages + 1), self._one_of_many)
        elif first is not None:
            await self._until_the_last(first)
        unread = [entry for entry in self.entries if not self.look.snapshot.states[entry]]
        self.look.expect(len(unread))
        return unread

    async def _until_the_last(self, page: Page | None) -> None:
        """Read pages up to one that is not full: the last, where the account's size is not told."""
        for number in range(2, len(self.entries) + 1):
            if page is None or len(page.licenses) < self.look.page_size or not self._left:
                return
            page = await self._page(number)

    async def _one_of_many(self, number: int) -> None:
        if self._left and not self._given_up:
            await self._page(number)

    async def _page(self, number: int) -> Page | None:
        """Take down what one page says of the licenses that are looked for; None if it cannot."""
        pages: list[Page] = []
        await self.look.heed(self._read(number, pages))
        for page in pages:
            for license_ in page.licenses:
                self._take(license_)
        return pages[0] if pages else None

    async def _read(self, number: int, pages: list[Page]) -> None:
        client, attempts = self.look.client, Attempts()
        request = partial(client.api.list, {}, page=number)
        for _ in range(client.policy.max_attempts):
            try:
                pages.append(await self.look.counted(client.read_once(request, attempts)))
            except TransientError:
                await client.rest(attempts)
                await self._read_another_way()
            except OWN:
                break
            else:
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
