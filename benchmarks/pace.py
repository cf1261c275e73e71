"""Requests with a limit of 50 in 5 seconds: how much of it is used, and how often it is exceeded.

Each client sends to a server of its own over a link of its own, so all cases run at the same time;
at ten requests a second each they hardly need the machine. What is let in is told by nginx: it is
the limit itself (``limit_req``), or stands behind it (HAProxy).
"""

from __future__ import annotations

import itertools
import json
import math
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batch.api.rate_limiter import MARGIN
from benchmarks.inputs import write_ids
from benchmarks.measure import measured, save
from benchmarks.peers.paced import LIMIT, LIMITERS, PERIOD
from benchmarks.servers import HOST, haproxy, link, nginx

if TYPE_CHECKING:
    from collections.abc import Iterator

OURS = "bulk-revoke"
SERVERS = ("HAProxy http_req_rate", "nginx limit_req")
ROUND_TRIPS = (0.0, 0.05, 0.1, 0.2)
"""Mean round trips in seconds; each varies by half of it to either side."""


def bound(round_trip: float) -> float:
    """Return the possible share, of 1, where a slot is held until a period after its response."""
    return PERIOD / (PERIOD + MARGIN + round_trip)


@contextmanager
def served(home: Path, server: str, round_trip: float) -> Iterator[str]:
    """The API behind a limit and a link; yields its URL."""
    log = home / "arrivals"
    limited = server == SERVERS[1]
    with nginx(home, limited=limited, log=log) as port:
        if limited:
            with _linked(port, round_trip) as url:
                yield url
        else:
            with haproxy(home, port) as front, _linked(front, round_trip) as url:
                yield url


@contextmanager
def _linked(port: int, round_trip: float) -> Iterator[str]:
    if not round_trip:
        yield f"http://{HOST}:{port}/v3"
        return
    with link(port, round_trip) as near:
        yield f"http://{HOST}:{near}/v3"


def one(client: str, server: str, round_trip: float, licenses: int) -> dict[str, Any]:
    """Let a client send so many requests, and say what arrived."""
    with tempfile.TemporaryDirectory() as directory:
        home = Path(directory)
        listed = home / "list.csv"
        write_ids(listed, licenses)
        with served(home, server, round_trip) as url:
            told = (
                _ours(home, url, listed, licenses) if client == OURS else _peer(client, url, listed)
            )
        lines = (home / "arrivals").read_text(encoding="ascii").splitlines()
    moments = sorted(float(line.split()[0]) for line in lines if line.endswith(" 200"))
    return {
        "client": client,
        "server": server,
        "round_trip": round_trip,
        **told,
        **_steady(moments),
        "moments": [round(moment - moments[0], 3) for moment in moments],
    }


def _ours(home: Path, url: str, listed: Path, licenses: int) -> dict[str, int]:
    command: list[str | Path] = [
        sys.executable, "-m", "batch", "run", listed, "--base-url", url,
        "--rate", f"{LIMIT}/{PERIOD:.0f}s", "--no-look", "--yes",
        "--max-licenses", str(licenses), "--json", "--quiet",
        "--output", home / "results.csv", "--lock-dir", home,
    ]  # fmt: skip
    told = json.loads(measured(command, directory=home).output)
    return {
        "sent": told["requests"],
        "refused": told["throttled"],
        "done": told["counts"].get("revoked", 0),
    }


def _peer(client: str, url: str, listed: Path) -> dict[str, int]:
    command = (sys.executable, "-m", "benchmarks.peers.paced", url, listed, client)
    statuses = json.loads(measured(command).output)["statuses"]
    return {
        "sent": sum(statuses.values()),
        "refused": statuses.get("429", 0),
        "done": statuses.get("200", 0),
    }


def _steady(moments: list[float]) -> dict[str, Any]:
    """Return figures of the moments, in seconds, at which requests were let in.

    The first period is left out of the share that is used.
    """
    periods = math.floor((moments[-1] - moments[0]) / PERIOD) - 1
    begin, end = moments[0] + PERIOD, moments[0] + PERIOD * (periods + 1)
    steady = [moment for moment in moments if begin <= moment < end]
    first = most = 0
    for last, moment in enumerate(moments):
        while moment - moments[first] >= PERIOD:
            first += 1
        most = max(most, last - first + 1)
    return {
        "used": round(len(steady) / (LIMIT * periods), 4),
        "most_in_a_period": most,
        "longest_stall": round(max(b - a for a, b in itertools.pairwise(steady)), 3),
    }


def main(licenses: int = 600, soak: int = 6000) -> None:
    """Measure, and write ``results/pace.json``.

    Args:
        licenses: Requests of each client in each case.
        soak: Requests of ours in each case of the soak, ten minutes for 6,000.
    """
    cases = [
        (client, server, round_trip, licenses)
        for client in (OURS, *LIMITERS)
        for server in SERVERS
        for round_trip in ROUND_TRIPS
    ]
    cases += [(OURS, server, round_trip, soak) for server in SERVERS for round_trip in ROUND_TRIPS]
    with ThreadPoolExecutor(len(cases)) as executor:
        waiting = []
        for case in cases:
            waiting.append(executor.submit(one, *case))
            time.sleep(1)  # so that their starts do not disturb one another
        runs = [each.result() for each in waiting]
    for run in runs:
        told = {key: value for key, value in run.items() if key != "moments"}
        print(f"  {told}", file=sys.stderr, flush=True)
        if run["sent"] > licenses:
            del run["moments"]  # its figures say it; the file stays small
    save("pace", runs)
