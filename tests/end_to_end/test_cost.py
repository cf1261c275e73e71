"""What a run costs in memory and a start in time; ratios within one run, never absolute times."""

from __future__ import annotations

import compileall
import os
import statistics
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.end_to_end.conftest import ROOT, TOKEN, environment, serving
from tests.end_to_end.test_run import write
from tests.harness import some_ids

if TYPE_CHECKING:
    from pathlib import Path

MEGABYTE = 1024

BARE_CLICK = """
import click
@click.command()
@click.option("--name")
def main(name): "A program with one option."
main()
"""

CONSOLE_SCRIPT = "from batch.cli import main; main()"


def peak_memory(home: Path, *arguments: str | Path) -> int:
    """Peak resident memory of a finished run of the command, in KiB."""
    process = subprocess.Popen(
        [sys.executable, "-m", "batch", *map(str, arguments)],
        cwd=home,
        env=environment(home, CRYPTLEX_ACCESS_TOKEN=TOKEN),
        stdin=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_maxrss


def test_memory_hardly_grows_with_the_number_of_licenses(tmp_path: Path) -> None:
    peaks = []
    for count in (1_000, 20_000):
        listed = write(tmp_path / f"{count}.csv", some_ids(count))
        with serving(tmp_path, "--licenses", listed, "--rate", "none", "--latency", "0ms") as api:
            options = ("--base-url", api.base_url, "--rate", "none", "--quiet", "--yes")
            peaks.append(
                peak_memory(tmp_path, "run", listed, *options, "--max-licenses", str(count))
            )

    assert peaks[1] - peaks[0] < 10 * MEGABYTE


def processor_time(home: Path, *arguments: str) -> float:
    """Seconds of processor time that a Python program takes from its start to its end."""
    process = subprocess.Popen(
        [sys.executable, *arguments], env=environment(home), stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_utime + usage.ru_stime


def test_help_costs_hardly_more_than_a_bare_click_program(tmp_path: Path) -> None:
    # As pip does when it installs it; a checkout may have been told to write none.
    compileall.compile_dir(ROOT / "batch", quiet=2)
    bare: list[float] = []
    ours: list[float] = []
    for _ in range(21):
        bare.append(processor_time(tmp_path, "-c", BARE_CLICK, "--help"))
        ours.append(processor_time(tmp_path, "-c", CONSOLE_SCRIPT, "run", "--help"))

    assert statistics.median(ours[1:]) <= 1.2 * statistics.median(bare[1:])


def test_help_and_version_import_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys; from batch.cli import run_command;"
        "run_command(['run', '--help']); run_command(['--version']);"
        "print(*sorted({'pandas', 'numpy', 'aiohttp', 'tqdm', 'asyncio'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(tmp_path),
        check=True,
        capture_output=True,
        text=True,
    )

    assert done.stdout.splitlines()[-1] == ""
