"""A model of the API in memory, for looks: an account of any size, and no socket between.

Everything above one request is the real thing: retries, breaker, rate limiter, on the virtual
clock. Half a million licenses are columns of numbers; a `License` is made when it is asked for.
"""

from __future__ import annotations

import asyncio
from array import array
from bisect import bisect_left, bisect_right
from collections import Counter
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from random import Random
from typing import TYPE_CHECKING, TypeVar, cast
from uuid import UUID

from batch.api.circuit_breaker import CircuitBreaker
from batch.api.client import PAGE_SIZE, CryptlexClient
from batch.api.rate_limiter import RateLimiter
from batch.api.retry import RetryPolicy
from batch.api.retrying_client import RetryingClient
from batch.errors import ApiError, BugError, RejectedError
from batch.job.look import Look
from batch.model import License, Page, Property
from tests.support.builders import listing
from tests.support.virtual_time import VirtualTimeLoop, virtual_clock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, MutableSequence, Sequence

    from batch.job.snapshot import Snapshot
    from batch.model import Listing

TICKS = 10_000_000
"""Ticks of the server's clock in a second: it writes moments in seven decimals."""

START = int(datetime(2023, 1, 1, tzinfo=UTC).timestamp()) * TICKS
YEAR = 365 * 86_400 * TICKS

_T = TypeVar("_T")

_WORD = 2**64 - 1


@dataclass(slots=True)
class ModelAccount:
    """Licenses in the order in which they were created.

    A license is a position. What it has of a kind is a number there; 0 stands for nothing.

    Attributes:
        created: When each was created, in ticks since 1970.
        columns: Filter to what each license has of that.
        version7: 1 for each whose ID tells when it was created.
        gone: Those that were deleted.
        seed: Of the IDs.
    """

    created: array[int]
    columns: dict[str, MutableSequence[int]]
    version7: bytearray
    gone: set[int] = field(default_factory=set)
    seed: int = 0

    @classmethod
    def generate(cls, size: int, seed: int = 0) -> ModelAccount:
        """An account as accounts are: four products, 300 resellers for half of it, few revoked."""
        return deepcopy(_generated(size, seed))

    def __len__(self) -> int:
        """Licenses that there ever were."""
        return len(self.created)

    def put(self, positions: Iterable[int], **values: int) -> list[int]:
        """Set what some licenses have, such as ``resellerId=1``, and return them."""
        chosen = list(positions)
        for name, value in values.items():
            column = self.columns[name]
            for position in chosen:
                column[position] = value
        return chosen

    def add(self) -> int:
        """Create a license, with nothing in particular, and return its position."""
        self.created.append(self.created[-1] + TICKS if self.created else START)
        for column in self.columns.values():
            column.append(0)
        self.version7.append(0)
        return len(self) - 1

    def id_bytes(self, position: int) -> bytes:
        """ID of a license; the position is in it."""
        mixed = ((position + 1) * 0x9E3779B97F4A7C15 ^ self.seed * 0xBF58476D1CE4E5B9) & _WORD
        mixed = (mixed ^ mixed >> 31) * 0x94D049BB133111EB & _WORD
        head = mixed >> 16
        if self.version7[position]:
            head = self.created[position] // (TICKS // 1000)
        version = 7 if self.version7[position] else 4
        high = head << 16 | version << 12 | mixed & 0xFFF
        return (high << 64 | 2 << 62 | position).to_bytes(16)

    def id(self, position: int) -> str:
        """The same, as the API writes it."""
        return str(UUID(bytes=self.id_bytes(position)))

    def find(self, license_id: str) -> int | None:
        """Position of a license that there is."""
        wanted = UUID(license_id).bytes
        position = int.from_bytes(wanted[10:])
        if position >= len(self) or position in self.gone or self.id_bytes(position) != wanted:
            return None
        return position

    def license(self, position: int) -> License:
        """A license as the client reads it; its activations are its position."""

        def text(name: str) -> str:
            value = self.columns[name][position]
            return f"{name}-{value}" if value else ""

        tag = text("tag[eq]")
        return License(
            id=self.id(position),
            revoked=bool(self.columns["revoked"][position]),
            suspended=bool(self.columns["suspended"][position]),
            product=text("productId"),
            type=text("type"),
            created=self.created[position] // 10 / 1_000_000,
            activations=position,
            reseller=text("resellerId"),
            organization=text("organizationId"),
            user=text("userId"),
            tags=(tag,) if tag else (),
        )

    def select(self, filters: Mapping[str, Sequence[str]]) -> Sequence[int]:
        """Positions of the licenses that have all of this, oldest first; what is empty is ignored.

        Raises:
            RejectedError: There is no such filter.
        """
        start, stop = 0, len(self)
        found: Sequence[int]
        values = {name: value for name, (value,) in filters.items() if value.strip()}
        if after := values.pop("createdAt[gte]", ""):
            start = bisect_left(self.created, _ticks(after))
        if before := values.pop("createdAt[lte]", ""):
            stop = bisect_right(self.created, _ticks(before))
        found = range(start, stop)
        for name, value in values.items():
            if name not in self.columns:
                raise RejectedError("HTTP 400", status=400, code="BAD_FILTER")
            column, code = self.columns[name], _code(value)
            found = [position for position in found if column[position] == code]
        if self.gone:
            found = [position for position in found if position not in self.gone]
        return found


def _code(value: str) -> int:
    return value == "true" if value in {"true", "false"} else int(value.rpartition("-")[2])


def _ticks(moment: str) -> int:
    seconds, _, fraction = moment.removesuffix("Z").partition(".")
    assert moment.endswith("Z")
    assert len(fraction) == 7
    at = datetime.fromisoformat(seconds).replace(tzinfo=UTC)
    return round(at.timestamp()) * TICKS + int(fraction)


@lru_cache(maxsize=4)
def _generated(size: int, seed: int) -> ModelAccount:
    random = Random(seed)

    def draws(kind: str) -> array[int]:
        drawn = array(kind)
        drawn.frombytes(random.randbytes(size * drawn.itemsize))
        return drawn

    def rare(percent: int) -> bytearray:
        return bytearray(
            random.randbytes(size).translate(bytes(100 * at < 256 * percent for at in range(256)))
        )

    gap = 3 * YEAR // max(1, size)
    return ModelAccount(
        created=array("q", [START + at * gap + by % gap for at, by in enumerate(draws("I"))]),
        columns={
            "productId": bytearray(random.randbytes(size).translate(bytes([1, 2, 3, 4] * 64))),
            "type": bytearray(random.randbytes(size).translate(bytes([1, 2, 3, 3] * 64))),
            "revoked": rare(5),
            "suspended": rare(3),
            "resellerId": array("I", [at % 2 and 100 + at % 300 for at in draws("H")]),
            "organizationId": array("I", [at % 3 // 2 and 1 + at % 50_000 for at in draws("I")]),
            "userId": array("I", [1 + at % 100_000 for at in draws("I")]),
            "tag[eq]": bytearray(size),
        },
        version7=bytearray(size),
        seed=seed,
    )


class ModelApi:
    """An honest server and the client of single requests to it; others are subclasses.

    Attributes:
        asked: How often each thing was asked for: the ID, or the filters and the page.
        tries: Requests, repetitions after an error not counted.
        requests: All requests.
    """

    def __init__(self, account: ModelAccount, *, page_size: int = PAGE_SIZE) -> None:
        self.account = account
        self.page_size = page_size
        self.asked: Counter[tuple[str, ...]] = Counter()
        self.tries = self.requests = 0
        self.rate_limiter: RateLimiter
        self._failed: set[tuple[str, ...]] = set()
        self._lists: dict[tuple[str, ...], Sequence[int]] = {}

    async def get(self, license_id: str) -> License:
        return await self._answer((license_id,), lambda: self.one(license_id))

    async def list(self, filters: Mapping[str, Sequence[str]], *, page: int = 1) -> Page:
        for values in filters.values():
            assert values
            assert all(value.strip(" ,") for value in values), "an empty filter is ignored"
        what = (*(f"{name}={','.join(filters[name])}" for name in sorted(filters)), str(page))
        return await self._answer(what, lambda: self.page(filters, page))

    async def _answer(self, what: tuple[str, ...], answer: Callable[[], _T]) -> _T:
        sent = await self.rate_limiter.acquire()
        self.requests += 1
        self.tries += what not in self._failed
        self.asked[what] += 1
        self._failed.discard(what)
        try:
            await self.on_the_way()
            found = answer()
            await self.on_the_way()
        except ApiError as error:
            error.sent = sent
            error.from_api = True
            self._failed.add(what)
            raise
        finally:
            self.rate_limiter.release()
        return found

    async def on_the_way(self) -> None:
        """Wait as long as a request, or its answer, takes."""

    def one(self, license_id: str) -> License:
        """Answer the request for a license."""
        position = self.account.find(license_id)
        if position is None:
            raise RejectedError("HTTP 404", status=404, code="LICENSE_NOT_FOUND")
        return self.account.license(position)

    def page(self, filters: Mapping[str, Sequence[str]], number: int) -> Page:
        """Answer the request for a page of a list."""
        key = tuple(f"{name}={filters[name][0]}" for name in sorted(filters))
        if key not in self._lists:
            self._lists[key] = self.account.select(filters)
        found = self._lists[key]
        here = found[(number - 1) * self.page_size : number * self.page_size]
        return Page([self.account.license(at) for at in here], self.total(len(found)))

    def total(self, there_are: int) -> int | None:
        """``Pagination-Count`` of a list that has so many."""
        return there_are

    @property
    def pages(self) -> int:
        """Different pages of lists that were asked for."""
        return sum(1 for what in self.asked if what[-1].isdigit())


class Uncounted(ModelApi):
    """A server without ``Pagination-Count``."""

    def total(self, there_are: int) -> None:
        del there_are


@dataclass
class ModelLook:
    """A look at a model of the API.

    Attributes:
        steps: Requests that were reported.
        expected: Requests that there would be in all, each time that was told.
        behind: Requests that were reported beyond those that were expected then, at most.
    """

    api: ModelApi
    listing: Listing
    client: RetryingClient
    look: Look
    steps: int = 0
    expected: list[int] = field(default_factory=list)
    behind: int = 0

    @property
    def snapshot(self) -> Snapshot:
        return self.look.snapshot

    def expect(self, left: int) -> None:
        assert left >= 0
        self.expected.append(self.steps + left)

    def step(self) -> None:
        self.steps += 1
        self.behind = max(self.behind, self.steps - self.expected[-1])

    async def run(self) -> None:
        await self.look.run(self.listing.distinct())


def look_at(
    api: ModelApi,
    ids: Sequence[str],
    *,
    page_size: int = PAGE_SIZE,
    concurrency: int = 32,
    needs_each: bool = True,
    changes: Property = Property.REVOKED,
    max_attempts: int = 5,
    seed: int = 0,
) -> ModelLook:
    """Look at licenses on a loop of its own, until the look ends."""

    async def run() -> ModelLook:
        def expect(left: int) -> None:
            watch.expect(left)

        def step() -> None:
            watch.step()

        random, clock = Random(seed), virtual_clock()
        api.rate_limiter = RateLimiter(None, 5.0, clock, jitter=random.random)
        client = RetryingClient(
            cast("CryptlexClient", api),
            api.rate_limiter,
            CircuitBreaker(api.rate_limiter, clock),
            clock,
            policy=RetryPolicy(max_attempts=max_attempts),
            jitter=random.random,
        )
        look = Look(
            listing(*ids),
            client,
            page_size=page_size,
            concurrency=concurrency,
            expect=expect,
            step=step,
            changes=changes,
            needs_each=needs_each,
        )
        watch = ModelLook(api, look.listing, client, look)
        await watch.run()
        if isinstance(client.stopped, BugError) and client.stopped.__cause__ is not None:
            raise client.stopped.__cause__
        return watch

    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(run())
