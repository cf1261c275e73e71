"""The few ratios that every test run measures again, so that none gets worse unnoticed.

Each is processor time of ours over that of somebody else for the same work, both without what a
start costs: the difference of a long run and a short one. Processor time, since test runs share
their machine; a ratio, since machines differ.
"""

from __future__ import annotations

import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import act, loading
from benchmarks.inputs import write_ids
from benchmarks.measure import measured, save
from benchmarks.servers import HOST, nginx

if TYPE_CHECKING:
    from collections.abc import Callable

Costs = dict[str, list[float]]
"""Processor seconds of each round, for little and for much work: ours, and those of others."""

ROUNDS = 5

WORSE = 4 / 3
"""A ratio that has grown by more than this is a regression."""


def acting(home: Path) -> Costs:
    """PATCHes without a limit, over those of a bare aiohttp loop."""
    counts = (2_500, 7_500)  # both too long to be read without pandas
    with nginx(home) as port:
        url = f"http://{HOST}:{port}/v3"
        listed = {count: home / f"{count}.csv" for count in counts}
        for count, path in listed.items():
            write_ids(path, count)
        workers = [sys.executable, "-m", "benchmarks.peers.workers", url]

        def ours(count: int) -> float:
            found = act.ours(home, url, listed[count], count, 32)
            return float(found["cpu_us"] * count / 1e6)

        def others(count: int) -> float:
            return measured([*workers, listed[count], "32"]).cpu

        return _costs(ours, others, counts)


def reading_csv(home: Path) -> Costs:
    """A CSV file, over pandas; the csv module gains more by a faster machine than either does."""
    return _reading(home, "CSV", loading.PANDAS, (10_000, 500_000))


def reading_workbook(home: Path) -> Costs:
    """A workbook, over pandas with calamine."""
    return _reading(home, "workbook, inline strings", loading.CALAMINE, (5_000, 80_000))


RATIOS: dict[str, Callable[[Path], Costs]] = {
    "acting": acting,
    "reading CSV": reading_csv,
    "reading a workbook": reading_workbook,
}
"""Name to what measures a ratio, in a directory of its own."""


def ratio(costs: Costs) -> float:
    """Return the cost of more work, ours over others', each from the least of its rounds."""
    ours_few, ours_many, others_few, others_many = map(min, costs.values())
    return (ours_many - ours_few) / (others_many - others_few)


def _reading(home: Path, kind: str, other: str, counts: tuple[int, int]) -> Costs:
    files: dict[int, Path] = {}
    for count in counts:
        place = home / str(count)
        place.mkdir()
        files[count] = loading.written(place, kind, count)

    def cost(name: str, count: int) -> float:
        return float(loading.read(name, files[count], count)["cpu"])

    return _costs(partial(cost, loading.OURS), partial(cost, other), counts)


def _costs(
    ours: Callable[[int], float], others: Callable[[int], float], counts: tuple[int, int]
) -> Costs:
    few, many = counts
    costs: Costs = {"ours_few": [], "ours_many": [], "others_few": [], "others_many": []}
    for _ in range(ROUNDS):
        for cost, who, count in zip(
            costs.values(), (ours, ours, others, others), (few, many, few, many), strict=True
        ):
            cost.append(round(who(count), 4))
    return costs


def main() -> None:
    """Measure, and write ``results/ratios.json``."""
    runs: list[dict[str, Any]] = []
    for name, measure in RATIOS.items():
        with tempfile.TemporaryDirectory() as home:
            costs = measure(Path(home))
        runs.append({"case": name, **costs})
        print(f"  {name}: {ratio(costs):.3f} {costs}", file=sys.stderr, flush=True)
    save("ratios", runs)
