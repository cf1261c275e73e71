"""A thousand licenses to a million: time and memory of the whole command, from start to exit."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

from benchmarks import act
from benchmarks.inputs import write_csv
from benchmarks.measure import interleaved, save
from benchmarks.servers import HOST, nginx

COUNTS = {1_000: 5, 10_000: 5, 100_000: 3, 1_000_000: 1}
"""Licenses to how often they are revoked."""


def main(most: int = 1_000_000) -> None:
    """Measure, and write ``results/growth.json``."""
    runs = []
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        with nginx(home) as port:
            for count, rounds in COUNTS.items():
                if count > most:
                    continue
                listed = home / f"{count}.csv"
                write_csv(listed, count)
                case = partial(act.ours, home, f"http://{HOST}:{port}/v3", listed, count, 32)
                runs += interleaved(rounds, {f"{count:,} licenses": case})
    save("growth", runs)
