"""A million rows of four columns, read: from the start of the process to the end of reading.

Ours is the read phase of ``run``: every cell checked, repeated licenses found, the index built.
Others make a data frame of texts and do nothing with it.
"""

from __future__ import annotations

import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.inputs import write_csv, write_workbook
from benchmarks.measure import interleaved, measured, save

if TYPE_CHECKING:
    from collections.abc import Callable

OURS = "bulk-revoke"
PANDAS, CALAMINE, OPENPYXL = "pandas", "pandas, calamine", "pandas, openpyxl"
BLOCKS, ONE_COLUMN = "pandas, blocks of objects", "the same, one column"
CONVERTERS, CSV_MODULE = "pandas, converters", "csv module"
KINDS = ("CSV", "workbook", "workbook, inline strings")

_OURS = """
import sys
from pathlib import Path
from batch.job.targets import read_targets
from batch.model import REVOKE
from batch.settings import Settings
task = read_targets(
    REVOKE, Settings(input=sys.argv[1], output=Path("results.csv"), base_url=""), api=""
)
assert len(task.listing) == int(sys.argv[2])
"""
_PANDAS = """
import sys
import pandas
assert len(pandas.{call}) == int(sys.argv[2])
"""
_ROAD = """
import sys
import pandas
rows = 0
for block in pandas.read_csv(
    sys.argv[1], dtype=object, na_filter=False, chunksize=16_384, usecols={columns}
):
    rows += len([block[name].tolist() for name in block][0])
assert rows == int(sys.argv[2])
"""
_CSV_MODULE = """
import csv, sys
with open(sys.argv[1], newline="", encoding="utf-8") as file:
    assert sum(1 for _ in csv.reader(file)) == int(sys.argv[2]) + 1
"""
_PROGRAMS = {
    OURS: _OURS,
    PANDAS: _PANDAS.format(call="read_csv(sys.argv[1], dtype=str)"),
    BLOCKS: _ROAD.format(columns=None),
    ONE_COLUMN: _ROAD.format(columns=["license_id"]),
    CONVERTERS: _PANDAS.format(
        call="read_csv(sys.argv[1], converters=dict.fromkeys(range(4), str))"
    ),
    CSV_MODULE: _CSV_MODULE,
    CALAMINE: _PANDAS.format(call='read_excel(sys.argv[1], dtype=str, engine="calamine")'),
    OPENPYXL: _PANDAS.format(call='read_excel(sys.argv[1], dtype=str, engine="openpyxl")'),
}


def read(name: str, path: Path, rows: int) -> dict[str, Any]:
    """Read a file in a process of its own."""
    cost = measured([sys.executable, "-c", _PROGRAMS[name], path, str(rows)])
    return {
        "rows": rows,
        "wall": round(cost.seconds, 3),
        "cpu": round(cost.cpu, 3),
        "peak_mib": round(cost.peak, 1),
    }


def written(home: Path, kind: str, rows: int) -> Path:
    """A file of this kind with so many rows below its header."""
    path = home / ("list.csv" if kind == "CSV" else "list.xlsx")
    if kind == "CSV":
        write_csv(path, rows)
    else:
        write_workbook(path, rows, shared=kind == "workbook")
    return path


def cases(kind: str, path: Path, rows: int) -> dict[str, Callable[[], dict[str, Any]]]:
    """Return the readers of files of this kind, by name."""
    roads = (OURS, PANDAS, BLOCKS, ONE_COLUMN, CONVERTERS, CSV_MODULE)
    names = roads if kind == "CSV" else (OURS, CALAMINE, OPENPYXL)
    return {name: partial(read, name, path, rows) for name in names}


def main(rows: int = 1_000_000) -> None:
    """Measure, and write ``results/loading.json``."""
    runs: list[dict[str, Any]] = []
    for kind in KINDS:
        with tempfile.TemporaryDirectory() as directory:
            path = written(Path(directory), kind, rows)
            rounds = 7 if kind == "CSV" else 3
            found = interleaved(rounds, cases(kind, path, rows))
            runs += [{"kind": kind, **run} for run in found]
    save("loading", runs)
