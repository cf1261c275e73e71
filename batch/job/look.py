"""The look: what the server holds before anything is changed. It only reads.

It takes the road that needs fewest requests. Licenses that are listed by ID are read off lists
where that is cheaper (`list_lookup`), and the others one by one. Licenses that are listed by key
have to be looked up in any case, and that is their look (`key_lookup`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from itertools import takewhile
from typing import TYPE_CHECKING, TypeVar
from uuid import UUID

from batch.api.retry import Attempts
from batch.errors import OWN, ApiError, RejectedError, StoppedError, not_the_api, told
from batch.job import row_result
from batch.job.key_lookup import KeyLookup
from batch.job.list_lookup import ListLookup, spread
from batch.job.snapshot import FEWEST, SAMPLE, Snapshot, State
from batch.model import ID_BYTES, License, Listing, Outcome, Property, RowResult

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from batch.api.retrying_client import RetryingClient
    from batch.results.details import Details


_T = TypeVar("_T")

LARGE_SAMPLE = 80
"""Licenses that are read besides the sample before the account is said to know none: where nine in
ten were deleted, the sample alone may miss the rest."""


@dataclass(slots=True)
class Look:
    """One look at the licenses of a listing.

    Attributes:
        listing: The licenses.
        client: What everything is sent through; its ``stopped`` says why the look ended early.
        page_size: Licenses on a full page of a list.
        concurrency: Requests in flight at most.
        expect: Is told how many requests there will be, as far as is known.
        step: Is called after each request, answered or not.
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

        Where an answer cannot be what it should be, such as a license that nobody asked for, the
        client is stopped, and says why.
        """
        self.snapshot.looked = True
        if self.listing.keys:
            await KeyLookup(self, entries, self.page_size).read()
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


def _unread(outcome: Outcome, error: ApiError, what: str) -> RowResult:
    return RowResult(outcome, None, error.status, error.code, f"{what}: {told(error)}")
