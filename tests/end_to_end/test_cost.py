"""What a run costs in memory and a start in time; ratios within one run, never absolute times."""

from __future__ import annotations

import compileall
import statistics
import sys
from typing import TYPE_CHECKING

from benchmarks.measure import measured
from benchmarks.start import BARE_CLICK, CONSOLE_SCRIPT, output
from tests.end_to_end.conftest import ROOT, TOKEN, imported_by, serving
from tests.end_to_end.test_run import write
from tests.support.job_harness import some_ids

if TYPE_CHECKING:
    from pathlib import Path


def test_memory_hardly_grows_with_the_number_of_licenses(tmp_path: Path) -> None:
    peaks = []
    for count in (2_000, 20_000):  # shorter ones are read without pandas
        listed = write(tmp_path / f"{count}.csv", some_ids(count))
        with serving(tmp_path, "--licenses", listed, "--rate", "none", "--latency", "0ms") as api:
            command = (
                sys.executable, "-m", "batch", "run", listed, "--base-url", api.base_url,
                "--rate", "none", "--quiet", "--yes", "--max-licenses", str(count),
                "--lock-dir", tmp_path,
            )  # fmt: skip
            token = {"CRYPTLEX_ACCESS_TOKEN": TOKEN}
            peaks.append(measured(command, directory=tmp_path, variables=token).peak)

    assert peaks[1] - peaks[0] < 10


def test_help_costs_hardly_more_than_a_bare_click_program() -> None:
    # As pip does when it installs it; a checkout may have been told to write none.
    compileall.compile_dir(ROOT / "batch", quiet=2)
    ratios: list[float] = []
    for rounds in (21, 41, 61):  # a busy machine is measured again, and longer
        bare: list[float] = []
        ours: list[float] = []
        for _ in range(rounds):
            bare.append(output(BARE_CLICK, "--help")["cpu_ms"])
            ours.append(output(CONSOLE_SCRIPT, "run", "--help")["cpu_ms"])
        ratios.append(statistics.median(ours[1:]) / statistics.median(bare[1:]))
        if ratios[-1] <= 1.2:
            break

    assert ratios[-1] <= 1.2, ratios


def test_help_and_version_import_nothing_heavy(tmp_path: Path) -> None:
    calls = (
        "run_command(['run', '--help']); run_command(['list', '--help']);run_command(['--version'])"
    )

    assert imported_by(calls, tmp_path, ["pandas", "numpy", "aiohttp", "tqdm", "asyncio"]) == ""
