"""A million licenses that are looked at: what their details take of memory, in a dry run."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.measure import ROOT, interleaved, measured, save

if TYPE_CHECKING:
    from collections.abc import Mapping

LICENSES = 1_000_000
DETAILS, NONE = "--details", "--no-details"


def main() -> None:
    """Measure, and write ``results/details.json``."""
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        with subprocess.Popen(
            [
                sys.executable, "-m", "batch", "sandbox", "--licenses", str(LICENSES), "--port",
                "0", "--rate", "none", "--latency", "0ms", "--write", home / "list.csv",
            ],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:  # fmt: skip
            assert process.stdout is not None
            try:
                url = process.stdout.readline().split()[-1]
                cases: Mapping[str, Any] = {
                    each: partial(_dry_run, home, url, each) for each in (DETAILS, NONE)
                }
                save("details", interleaved(1, cases))
            finally:
                process.terminate()


def _dry_run(home: Path, url: str, details: str) -> dict[str, Any]:
    cost = measured(
        [
            sys.executable, "-m", "batch", "run", home / "list.csv", "--dry-run", details,
            "--base-url", url, "--rate", "none", "--quiet", "--output", home / "plan.csv",
            "--lock-dir", home,
        ],
        directory=home,
        variables={"PYTHONPATH": str(ROOT), "CRYPTLEX_ACCESS_TOKEN": "sandbox-token"},
    )  # fmt: skip
    return {
        "licenses": LICENSES,
        "seconds": round(cost.seconds, 1),
        "cpu": round(cost.cpu, 1),
        "peak_mib": round(cost.peak, 1),
    }
