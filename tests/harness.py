"""A job against a sandbox, wired as a run wires it, with its statuses in memory."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING
from uuid import UUID

from batch.client import CryptlexClient
from batch.gate import Gate
from batch.health import Health
from batch.job import Job
from batch.model import REVOKE, Status
from batch.retry import FailureLimit, RetryPolicy
from batch.sandbox import TOKEN, Account, Sandbox
from tests.virtual_time import virtual_clock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence


def some_ids(count: int, seed: int = 0) -> list[str]:
    random = Random(seed)
    return [str(UUID(int=random.getrandbits(128), version=4)) for _ in range(count)]


@dataclass
class Bench:
    """A job and the sandbox it works on.

    ``statuses`` maps a license ID to the status that was recorded for it.
    """

    sandbox: Sandbox
    ids: Sequence[str]
    job: Job
    client: CryptlexClient
    gate: Gate
    statuses: dict[str, Status] = field(default_factory=dict)

    async def run(self) -> dict[str, Status]:
        await self.job.run(range(len(self.ids)))
        await self.sandbox.settle()
        return self.statuses

    def patches(self, license_id: str) -> int:
        """How many PATCHes have arrived for a license."""
        return sum(
            entry.method == "PATCH" and entry.target == license_id for entry in self.sandbox.log
        )


@asynccontextmanager
async def bench(
    sandbox: Sandbox,
    ids: Sequence[str],
    *,
    token: str = TOKEN,
    rate: tuple[int, float] | None = None,
    concurrency: int = 32,
    patience: float = 5.0,
    max_attempts: int = 5,
    failures: FailureLimit | None = None,
    seed: int = 0,
) -> AsyncIterator[Bench]:
    clock = virtual_clock()
    random = Random(seed)
    limit, period = rate or (None, 5.0)
    gate = Gate(limit, period, clock, jitter=random.random)
    statuses: dict[str, Status] = {}

    def record(entry: int, status: Status) -> None:
        assert ids[entry] not in statuses, "a license is settled once"
        statuses[ids[entry]] = status

    client = CryptlexClient(
        sandbox.base_url, token, gate, timeout=patience, connections=concurrency
    )
    job = Job(
        action=REVOKE,
        license_id=lambda entry: ids[entry],
        record=record,
        client=client,
        gate=gate,
        health=Health(gate, clock),
        clock=clock,
        planned=len(ids),
        policy=RetryPolicy(max_attempts=max_attempts),
        failure_limit=failures or FailureLimit(percent=100),
        concurrency=concurrency,
        drain=1.5 * patience,
        jitter=random.random,
    )
    async with client:
        yield Bench(sandbox, ids, job, client, gate, statuses)


def holding(ids: Sequence[str], **options: object) -> Sandbox:
    """A sandbox that knows these licenses, none of them revoked."""
    return Sandbox(Account.holding(ids), **options)  # type: ignore[arg-type]
