"""The cost of parts of aiohttp, in processor time per request: why `batch.api` avoids some."""

from __future__ import annotations

import json
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.inputs import write_ids
from benchmarks.measure import interleaved, measured, save
from benchmarks.peers.parts import PARTS
from benchmarks.servers import HOST, nginx


def cost(url: str, listed: Path, part: str) -> dict[str, Any]:
    """Send a request for each license of a file."""
    command = (sys.executable, "-m", "benchmarks.peers.parts", url, listed, "32", part)
    return {"cpu_us": round(json.loads(measured(command).output)["cpu_us"], 1)}


def main(rounds: int = 11, licenses: int = 8_000) -> None:
    """Measure, and write ``results/parts.json``."""
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        listed = home / "list.csv"
        write_ids(listed, licenses)
        with nginx(home) as port:
            url = f"http://{HOST}:{port}/v3"
            runs = interleaved(rounds, {part: partial(cost, url, listed, part) for part in PARTS})
    save("parts", runs)
