"""What it costs to go on with a million rows of which all but a hundred are done."""

from __future__ import annotations

import csv
import hashlib
import json
import re
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path
from threading import Thread

import pytest

from batch.columns import COLUMNS
from tests.end_to_end.conftest import TOKEN, environment

ROWS, LEFT = 1_000_000, 100
MOST_TIMES, MOST_MEMORY = 4, 500 * 1024 * 1024
SAMPLES = 3
SPREAD = 0x9E3779B97F4A7C15F39CC0605CEDC835
"""An odd number: its multiples are all different, and in no order."""

ONE_PASS = """
import csv, sys
with open(sys.argv[1], newline="", encoding="utf-8") as file:
    for _ in csv.reader(file):
        pass
"""


START = "import aiohttp, click, pandas"
"""What a start costs in any case: seconds, where no cache has these compiled."""


class Listener:
    """An API that notes when the first request comes, and refuses the token."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.base_url = f"http://127.0.0.1:{self.socket.getsockname()[1]}/v3"
        self.arrived: list[float] = []
        Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            with connection:
                connection.recv(4096)
                self.arrived.append(time.monotonic())
                connection.sendall(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n")


def prepare(home: Path, base_url: str) -> tuple[Path, Path]:
    """A list, and the results of a run that was stopped just before its end."""
    listed, results = home / "list.csv", home / "results.csv"
    done = "revoked,true,false,200,,,1,2026-11-24T12:00:00.000Z,"
    left = "not_attempted,,false,,,,,,"
    with listed.open("w") as plain, results.open("w") as table:
        plain.write("license_id\n")
        table.write(",".join(COLUMNS) + "\n")
        for number in range(1, ROWS + 1):
            d = f"{number * SPREAD % 2**128:032x}"
            license_id = f"{d[:8]}-{d[8:12]}-{d[12:16]}-{d[16:20]}-{d[20:]}"
            plain.write(f"{license_id}\n")
            state = done if number <= ROWS - LEFT else left
            table.write(f"{number + 1},{license_id},,{state}\n")
    manifest = {
        "run_id": "0badcafe", "command": "run", "api": base_url, "reason": "", "rehearsal": False,
        "options": {}, "input": {"sha256": sha256(listed)}, "results": {"sha256": sha256(results)},
        "sessions": [],
    }  # fmt: skip
    (home / "results.csv.run.json").write_text(json.dumps(manifest))
    return listed, results


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def seconds(program: str, *arguments: Path) -> float:
    """Seconds of a whole process that runs a program."""
    started = time.monotonic()
    subprocess.run([sys.executable, "-c", program, *arguments], check=True)
    return time.monotonic() - started


def peak_memory(process: subprocess.Popen[bytes]) -> int:
    """Wait for a process and return the most memory that it had, in bytes.

    Not what `wait4` says: that counts the test's own memory, which a child has before it begins.
    """
    peak = 0
    while process.poll() is None:
        status = Path(f"/proc/{process.pid}/status").read_text()
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        peak = max(peak, int(found[1]) * 1024 if found else 0)
        time.sleep(0.005)
    return peak


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
def test_going_on_with_a_million_rows_costs_a_few_passes_over_the_file(tmp_path: Path) -> None:
    api = Listener()
    listed, results = prepare(tmp_path, api.base_url)
    passes, starts, ours, peaks = [], [], [], []
    for _ in range(SAMPLES):
        passes.append(seconds(ONE_PASS, results))
        starts.append(seconds(START))
        api.arrived.clear()
        started = time.monotonic()
        with (tmp_path / "said.txt").open("w") as said:
            process = subprocess.Popen(
                [sys.executable, "-m", "batch", "run", listed, "--base-url", api.base_url,
                 "--resume", "-o", results, "--yes", "--max-licenses", "100", "--rate", "none"],
                cwd=tmp_path,
                env=environment(tmp_path, CRYPTLEX_ACCESS_TOKEN=TOKEN),
                stdin=subprocess.DEVNULL,
                stderr=said,
            )  # fmt: skip
        peaks.append(peak_memory(process))
        assert process.returncode == 3, (tmp_path / "said.txt").read_text()
        ours.append(api.arrived[0] - started)
    api.socket.close()

    with results.open(newline="") as file:
        assert sum(1 for _ in csv.reader(file)) == ROWS + 1
    reading = statistics.median(ours) - statistics.median(starts)
    assert reading <= MOST_TIMES * statistics.median(passes), (ours, starts, passes)
    assert max(peaks) <= MOST_MEMORY
