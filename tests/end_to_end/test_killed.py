"""Runs that are killed at random moments, gone on with until they are done, and then restored.

``make soak`` does the same with a thousand seeds.
"""

from __future__ import annotations

import asyncio
import csv
import os
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

import pytest

from batch.model import DONE, SETS, Property
from batch.sandbox import TOKEN, Account
from tests.support.commands import Served, served
from tests.support.faulty_sandbox import states_of
from tests.support.forkserver import Ended, ForkServer, Trouble, forkserver
from tests.support.job_harness import some_ids
from tests.support.results_files import long_ago, table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

SEEDS = int(os.environ.get("BULK_REVOKE_KILLED", "20"))
"""Scenarios; each has a seed of its own, from 0 on."""

SESSIONS = 40
"""Sessions after which a run that has not come to its end is given up."""


@pytest.fixture(scope="module")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForkServer]:
    locks = str(tmp_path_factory.mktemp("locks"))
    with forkserver(
        CRYPTLEX_ACCESS_TOKEN=TOKEN,
        BULK_REVOKE_RUN_LOCK_DIR=locks,
        BULK_REVOKE_SUSPEND_LOCK_DIR=locks,
        BULK_REVOKE_RESTORE_LOCK_DIR=locks,
    ) as server:
        yield server


@dataclass
class Scenario:
    """One account, one list, and what befalls the commands that work on them."""

    home: Path
    forks: ForkServer
    api: Served
    random: Random

    def until_done(self, command: str, source: Path, results: Path) -> Ended:
        """Start a command and go on with it, killed or in trouble many times, until it is done."""
        ended = Ended(1, "")
        for session in range(SESSIONS):
            on_disk, before = settled(results), len(self.api.patches())
            trouble = self._trouble() if session < self.random.randrange(3, 7) else Trouble()
            ended = self.forks.run(
                self.home, command, source, "-o", results, "--resume", "--yes",
                "--max-licenses", "999", "--rate", "none", "--concurrency", "4",
                "--base-url", self.api.base_url, "--missing-ok", "--max-failures", "100%",
                trouble=trouble,
            )  # fmt: skip
            assert ended.code in {0, 1, 2, 3, -9}, ended
            asyncio.run_coroutine_threadsafe(self.api.sandbox.settle(), self.api.loop).result(30)
            again = on_disk & set(self.api.patches()[before:])
            assert not again, "sent again once its row was on disk"
            if ended.code == 0 and "could not be put into its order" not in ended.said:
                return ended
        raise AssertionError(ended)

    def _trouble(self) -> Trouble:
        random = self.random
        kind = random.randrange(8)
        if kind == 0:
            return Trouble(largest_file=random.randrange(2_000, 25_000))
        clock = random.choice((0.0, 0.0, -3600.0, -86400.0))
        if kind in {1, 2, 3}:
            return Trouble(kill_after=random.uniform(0.05, 0.5), clock=clock)
        return Trouble(kill_at=int(2 ** random.uniform(0, 9)), clock=clock)


def settled(results: Path) -> set[str]:
    """IDs of the licenses whose row is on disk as done; the last whole line of a row counts."""
    last: dict[str, tuple[str, str]] = {}
    if results.exists():
        with results.open(newline="", encoding="utf-8") as file:
            whole = [line for line in file if line.endswith("\n")]
        for cells in csv.DictReader(whole):
            last[cells["row"]] = (cells["license_id"], cells["outcome"])
    done = {*map(str, DONE)}
    return {license_id for license_id, outcome in last.values() if outcome in done}


def write_list(path: Path, random: Random, ids: Sequence[str]) -> list[str]:
    """A list in an order of its own, in which some licenses stand twice."""
    cells = [*ids, *random.sample(ids, len(ids) // 10)]
    random.shuffle(cells)
    cells = [cell.upper() if random.random() < 0.1 else cell for cell in cells]
    path.write_text("\n".join(["license_id", *cells]) + "\n")
    return [cell.lower() for cell in cells]


@pytest.mark.parametrize("seed", range(SEEDS))
def test_whatever_kills_a_run_it_ends_as_if_nothing_had_and_can_be_undone(
    tmp_path: Path, forks: ForkServer, seed: int
) -> None:
    random = Random(seed)
    account = Account.generate(random.randrange(40, 200), seed=seed, revoked=0.2)
    known = random.sample(list(account.licenses), random.randrange(20, len(account)))
    strangers = some_ids(random.randrange(3), seed=seed + 1_000_000)
    listed = write_list(tmp_path / "list.csv", random, [*known, *strangers])
    changes = random.choice(list(Property))
    before, untouched = states_of(account)[changes], states_of(account)
    del untouched[changes]
    faults = random.choice((0.0, 0.02, 0.1))
    with served(account, latency=(0.0, 0.02), faults=faults, seed=seed) as api:
        scenario = Scenario(tmp_path, forks, api, random)

        scenario.until_done(
            SETS[changes].command, tmp_path / "list.csv", tmp_path / "list.results.csv"
        )

        rows = table(tmp_path / "list.results.csv")
        turned = {license_id for license_id, is_so in states_of(account)[changes].items() if is_so}
        left_alone = {key for key in known if untouched.get(Property.REVOKED, {}).get(key)}
        assert [row["license_id"] for row in rows] == listed
        assert [int(row["row"]) for row in rows] == list(range(2, len(listed) + 2))
        assert turned == {key for key, was in before.items() if was} | (set(known) - left_alone)
        assert set(api.patches()) <= {key for key in known if not before[key]} - left_alone
        for row in rows:
            assert row["outcome"] == expected(row["license_id"], changes, before, left_alone)
            if row["license_id"] in before:
                assert row[f"was_{changes}"] == str(before[row["license_id"]]).lower()

        if any(row["outcome"] == changes for row in rows):
            long_ago(tmp_path / "list.results.csv")
            scenario.until_done("restore", tmp_path / "list.results.csv", tmp_path / "restored.csv")

        assert states_of(account) == {changes: before, **untouched}


def expected(
    license_id: str, changes: Property, before: dict[str, bool], left_alone: set[str]
) -> str:
    if license_id not in before:
        return "not_found"
    if before[license_id]:
        return f"already_{changes}"
    return "already_revoked" if license_id in left_alone else changes
