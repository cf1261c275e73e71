"""Requests without a limit: licenses per second, processor time and memory, against other clients.

The tool runs as a whole, with its bar on a terminal, its retries ready, every answer checked, every
row recorded, and its lock; the rate limiter is off (``--rate none``) and there is no look. Its rate
is that of its own ``seconds``: from the first request to the last. Others measure themselves in the
same way; what starts a process for each license is measured from outside.
"""

from __future__ import annotations

import json
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.inputs import license_ids, write_ids
from benchmarks.measure import FailedError, interleaved, measured, save
from benchmarks.peers import BODY, HEADERS
from benchmarks.servers import HOST, nginx

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

OURS, WORKERS, GATHER = "bulk-revoke", "aiohttp, workers", "aiohttp, gather"
FETCH, CURL = "Node fetch (undici)", "curl --parallel"
THREADS, SEQUENTIAL, XARGS = "requests, 20 threads", "requests, one by one", "xargs -P 20 curl"

LATENCIES = {
    "0 ms": (0.0, 32, {
        OURS: 20_000, WORKERS: 20_000, GATHER: 20_000, FETCH: 20_000, CURL: 20_000,
        THREADS: 4_000, SEQUENTIAL: 4_000, XARGS: 1_000,
    }),
    "50 ms": (0.05, 64, {
        OURS: 6_000, WORKERS: 6_000, GATHER: 6_000, FETCH: 6_000, CURL: 6_000,
        THREADS: 1_500, SEQUENTIAL: 150, XARGS: 600,
    }),
}  # fmt: skip
"""Latency to its seconds, the connections of those that can have any number of them, and how many
licenses each case is given: so many that it takes some seconds."""


def ours(home: Path, url: str, listed: Path, licenses: int, connections: int) -> dict[str, Any]:
    """The whole command, from its start to its exit."""
    results = home / "results.csv"
    for each in home.glob("results.csv*"):
        each.unlink()
    cost = measured(
        [
            sys.executable, "-m", "batch", "run", listed, "--base-url", url, "--rate", "none",
            "--concurrency", str(connections), "--no-look", "--yes",
            "--max-licenses", str(licenses), "--output", results, "--json",
            "--lock-dir", home,
        ],
        on_terminal=True,
        directory=home,
    )  # fmt: skip
    summary = json.loads(cost.output)
    if summary["counts"] != {"revoked": licenses} or summary["patches"] != licenses:
        raise FailedError(f"not all were revoked: {summary}")
    return _run(licenses, summary["seconds"], cost.cpu, cost.peak, cost.seconds)


def peer(
    command: Sequence[str], url: str, listed: Path, licenses: int, *more: str
) -> dict[str, Any]:
    """A client that tells its own seconds."""
    cost = measured([*command, url, listed, *more])
    told = json.loads(cost.output)
    if told["statuses"] != {"200": licenses}:
        raise FailedError(f"not all were answered: {told}")
    return _run(licenses, told["seconds"], cost.cpu, cost.peak, cost.seconds)


def outside(command: Sequence[str], given: Path, licenses: int) -> dict[str, Any]:
    """A client that prints the status of each answer, three digits a line."""
    cost = measured(command, stdin=given)
    if cost.output != "200\n" * licenses:
        raise FailedError(f"not all were answered by {command[0]}")
    return _run(licenses, cost.seconds, cost.cpu, cost.peak, cost.seconds)


def _run(licenses: int, seconds: float, cpu: float, peak: float, wall: float) -> dict[str, Any]:
    return {
        "licenses": licenses,
        "seconds": round(seconds, 3),
        "rate": round(licenses / seconds, 1),
        "cpu_us": round(cpu / licenses * 1e6, 1),
        "peak_mib": round(peak, 1),
        "wall": round(wall, 3),
    }


def cases(
    home: Path, port: int, connections: int, licenses: dict[str, int]
) -> dict[str, Callable[[], dict[str, Any]]]:
    """Return functions that measure, by name, each with so many licenses."""
    url = f"http://{HOST}:{port}/v3"
    headers = [f'header = "{name}: {value}"' for name, value in HEADERS.items()]
    curl = [*headers, 'request = "PATCH"', f"data = {json.dumps(BODY.decode())}", "silent",
            'output = "/dev/null"', r'write-out = "%{http_code}\n"']  # fmt: skip
    (home / "one.curl").write_text("\n".join(curl) + "\n")
    found: dict[str, Callable[[], dict[str, Any]]] = {}
    module = [sys.executable, "-m"]
    for name, count in licenses.items():
        listed = home / f"{count}.csv"
        write_ids(listed, count)
        urls = [f"{url}/licenses/{each}" for each in license_ids(count)]
        program = {
            WORKERS: [*module, "benchmarks.peers.workers"],
            GATHER: [*module, "benchmarks.peers.gather"],
            FETCH: ["node", str(Path(__file__).parent / "peers" / "fetch.mjs")],
            THREADS: [*module, "benchmarks.peers.threads"],
            SEQUENTIAL: [*module, "benchmarks.peers.threads"],
        }.get(name)
        workers = {THREADS: "20", SEQUENTIAL: "1"}.get(name, str(connections))
        if name == OURS:
            found[name] = partial(ours, home, url, listed, count, connections)
        elif program is not None:
            found[name] = partial(peer, program, url, listed, count, workers)
        elif name == CURL:
            given = home / "all.curl"
            blocks = [f'url = "{each}"\noutput = "/dev/null"' for each in urls]
            given.write_text("\n".join([*curl, *blocks]) + "\n")
            command = ["curl", "-q", "--parallel", "--parallel-max", str(connections), "-K", "-"]
            found[name] = partial(outside, command, given, count)
        else:
            given = home / "urls"
            given.write_text("\n".join(urls) + "\n")
            command = ["xargs", "-P", "20", "-n", "1", "curl", "-q", "-K", str(home / "one.curl")]
            found[name] = partial(outside, command, given, count)
    return found


def main(rounds: int = 7, share: float = 1.0) -> None:
    """Measure, and write ``results/act.json``.

    Args:
        rounds: How often each case is measured.
        share: Of the licenses that each case is given; less for a trial.
    """
    runs: list[dict[str, Any]] = []
    for latency, (seconds, connections, licenses) in LATENCIES.items():
        with tempfile.TemporaryDirectory() as directory:
            home = Path(directory)
            given = {name: max(10, int(count * share)) for name, count in licenses.items()}
            with nginx(home, latency=seconds) as port:
                measure = cases(home, port, connections, given)
                told = {"latency": latency, "connections": connections}
                runs += [told | run for run in interleaved(rounds, measure)]
    save("act", runs)
