"""From the command to its first output, and to its first request."""

from __future__ import annotations

import compileall
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.inputs import write_csv
from benchmarks.measure import ROOT, environment, interleaved, measured, save

HELP, VERSION, BARE = "--help", "--version", "a bare click program"
FIRST, IMPORTS = "first request, 100 rows", "import click, aiohttp, pandas"

BARE_CLICK = """
import click
@click.command()
@click.option("--name")
def main(name): "A program with one option."
main()
"""
CONSOLE_SCRIPT = "from batch.cli import main; main()"
_IMPORTS = "import click, aiohttp, pandas, os; os._exit(0)"


def output(program: str, *arguments: str) -> dict[str, Any]:
    """A Python program that prints something and ends."""
    cost = measured([sys.executable, "-c", program, *arguments])
    return {"wall_ms": round(cost.seconds * 1e3, 1), "cpu_ms": round(cost.cpu * 1e3, 1)}


def first_request(home: Path, listed: Path) -> dict[str, Any]:
    """From the start of a run to the moment at which its first request is there."""
    arrived: list[float] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                arrived.append(time.perf_counter())

        listener = threading.Thread(target=accept)
        listener.start()
        started = time.perf_counter()
        process = subprocess.Popen(
            [
                sys.executable, "-c", CONSOLE_SCRIPT, "run", listed,
                "--yes", "--max-licenses", "100", "--base-url", f"http://127.0.0.1:{server.getsockname()[1]}/v3",
                "--output", home / "results.csv", "--lock-dir", home, "--quiet",
            ],
            env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        listener.join(timeout=60)
        process.kill()
        _, _, usage = os.wait4(process.pid, 0)
    process.returncode = -9
    return {
        "wall_ms": round((arrived[0] - started) * 1e3, 1),
        "cpu_ms": round((usage.ru_utime + usage.ru_stime) * 1e3, 1),
    }


def main(rounds: int = 25) -> None:
    """Measure, and write ``results/start.json``."""
    compileall.compile_dir(ROOT / "batch", quiet=2)  # as pip does when it installs it
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        listed = home / "list.csv"
        write_csv(listed, 100)
        runs = interleaved(
            rounds,
            {
                BARE: partial(output, BARE_CLICK, "--help"),
                HELP: partial(output, CONSOLE_SCRIPT, "run", "--help"),
                VERSION: partial(output, CONSOLE_SCRIPT, "--version"),
                IMPORTS: partial(output, _IMPORTS),
                FIRST: partial(first_request, home, listed),
            },
        )
    save("start", runs)
