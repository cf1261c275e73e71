"""An executor, or a look, against a sandbox: wired as a run wires it, its findings in memory."""

from __future__ import annotations

from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING
from uuid import UUID

from batch.api.circuit_breaker import CircuitBreaker
from batch.api.client import PAGE_SIZE, CryptlexClient
from batch.api.rate_limiter import RateLimiter
from batch.api.retry import FailureLimit, RetryPolicy
from batch.api.retrying_client import RetryingClient
from batch.job.executor import Executor
from batch.job.look import Look
from batch.model import REVOKE, License, Outcome, RowResult
from batch.sandbox import TOKEN, Account
from tests.support.faulty_sandbox import FaultySandbox
from tests.support.virtual_time import virtual_clock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from batch.job.snapshot import Snapshot
    from batch.model import Listing


def some_ids(count: int, seed: int = 0) -> list[str]:
    random = Random(seed)
    return [str(UUID(int=random.getrandbits(128), version=4)) for _ in range(count)]


def state_of(license_: License) -> tuple[str, bool | None]:
    """What every answer about a license tells."""
    return license_.id, license_.revoked


@dataclass
class Bench:
    """An executor and the sandbox it works on.

    ``row_results`` maps a license ID to the result that was recorded for it.
    """

    sandbox: FaultySandbox
    ids: Sequence[str]
    executor: Executor
    api: CryptlexClient
    rate_limiter: RateLimiter
    row_results: dict[str, RowResult] = field(default_factory=dict)
    settled: list[int] = field(default_factory=list)

    async def run(self) -> dict[str, RowResult]:
        await self.executor.run(range(len(self.ids)))
        await self.sandbox.settle()
        return self.row_results

    def patches(self, license_id: str) -> int:
        """How many PATCHes have arrived for a license."""
        return sum(
            entry.method == "PATCH" and entry.target == license_id for entry in self.sandbox.log
        )


def sending(
    sandbox: FaultySandbox,
    token: str,
    rate: tuple[int, float] | None,
    concurrency: int,
    patience: float,
    max_attempts: int,
    seed: int,
) -> RetryingClient:
    """What sends to a sandbox, wired as a session wires it, on the clock of the running loop."""
    clock = virtual_clock()
    random = Random(seed)
    limit, period = rate or (None, 5.0)
    rate_limiter = RateLimiter(limit, period, clock, jitter=random.random)
    api = CryptlexClient(
        sandbox.base_url, token, rate_limiter, timeout=patience, connections=concurrency
    )
    return RetryingClient(
        api,
        rate_limiter,
        CircuitBreaker(rate_limiter, clock),
        clock,
        policy=RetryPolicy(max_attempts=max_attempts),
        jitter=random.random,
    )


@asynccontextmanager
async def bench(
    sandbox: FaultySandbox,
    ids: Sequence[str],
    *,
    token: str = TOKEN,
    rate: tuple[int, float] | None = None,
    concurrency: int = 32,
    patience: float = 5.0,
    max_attempts: int = 5,
    failures: FailureLimit | None = None,
    seed: int = 0,
    is_grown: bool = False,
) -> AsyncIterator[Bench]:
    client = sending(sandbox, token, rate, concurrency, patience, max_attempts, seed)
    if is_grown:  # as many in flight as there are workers, as after a while
        client.rate_limiter._width = concurrency
    row_results: dict[str, RowResult] = {}
    settled: list[int] = []

    def record(noted: Sequence[tuple[int, RowResult]]) -> None:
        for entry, result in noted:
            before = row_results.get(ids[entry])
            assert before is None or before.outcome is Outcome.UNKNOWN, "it is settled once"
            row_results[ids[entry]] = result

    executor = Executor(
        action=REVOKE,
        license_id=lambda entry: ids[entry],
        record=record,
        settled=lambda noted: settled.extend(entry for entry, _ in noted),
        client=client,
        planned=len(ids),
        failure_limit=failures or FailureLimit(percent=100),
        concurrency=concurrency,
        drain=1.5 * patience,
    )
    async with client.api:
        yield Bench(sandbox, ids, executor, client.api, client.rate_limiter, row_results, settled)


@dataclass
class Watch:
    """A look and the sandbox that it looks at.

    ``expected`` holds how many requests there would be in all, each time that was told, and
    ``steps`` how many were counted.
    """

    sandbox: FaultySandbox
    listing: Listing
    look: Look
    client: RetryingClient
    expected: list[int] = field(default_factory=list)
    steps: int = 0

    async def run(self) -> Snapshot:
        snapshot = await self.look.run(self.listing.distinct())
        await self.sandbox.settle()
        return snapshot


def kinds(sandbox: FaultySandbox) -> dict[str, int]:
    """How many requests of each kind have arrived: ``GET`` of one license, ``LIST``, others."""
    return dict(
        Counter(
            "LIST" if entry.target.endswith("/licenses") else entry.method for entry in sandbox.log
        )
    )


@asynccontextmanager
async def looking(
    sandbox: FaultySandbox,
    listing: Listing,
    *,
    token: str = TOKEN,
    rate: tuple[int, float] | None = None,
    concurrency: int = 32,
    patience: float = 5.0,
    max_attempts: int = 5,
    seed: int = 0,
) -> AsyncIterator[Watch]:
    client = sending(sandbox, token, rate, concurrency, patience, max_attempts, seed)

    def expect(left: int) -> None:
        watch.expected.append(watch.steps + left)

    def step() -> None:
        watch.steps += 1

    look = Look(
        listing, client, page_size=PAGE_SIZE, concurrency=concurrency, expect=expect, step=step
    )
    watch = Watch(sandbox, listing, look, client)
    async with client.api:
        yield watch


def holding(ids: Sequence[str], **options: object) -> FaultySandbox:
    """A sandbox that knows these licenses, none of them revoked."""
    return FaultySandbox(Account.holding(ids), **options)  # type: ignore[arg-type]
