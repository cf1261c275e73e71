"""Figures from the raw data, the bounds that they have to keep, and tables of them.

Ratios are taken round by round, so that what else the machine did falls on both sides, and of them
the median; ``low to high`` is the whole spread.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from benchmarks import act, details, growth, loading, look, pace, start
from benchmarks.measure import ratios, saved
from benchmarks.peers.paced import LIMITERS
from benchmarks.peers.parts import PARTS, PLAIN

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Runs = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Bound:
    """A bound that a figure has to keep.

    Attributes:
        name: What it is about.
        found: The figure.
        limit: What it may be.
        at_least: Whether the limit is the least; else it is the most.
        unit: Behind both.
    """

    name: str
    found: float
    limit: float
    at_least: bool = True
    unit: str = ""

    @property
    def holds(self) -> bool:
        """Tell whether the figure keeps the bound."""
        return self.found >= self.limit if self.at_least else self.found <= self.limit


def runs_of(suite: str, **wanted: object) -> Runs:
    """The runs of a suite with these values."""
    return [
        run
        for run in saved(suite)["runs"]
        if all(run.get(name) == value for name, value in wanted.items())
    ]


def middle(runs: Iterable[dict[str, Any]], measure: str) -> float:
    """The median of a measure."""
    return float(statistics.median(run[measure] for run in runs))


def times(runs: Runs, measure: str, case: str, other: str) -> float:
    """The median of the ratios of two cases."""
    return statistics.median(ratios(runs, measure, case, other))


def bytes_per_license() -> float:
    """Return the bytes that a license adds to the peak memory."""
    few, many = min(growth.COUNTS), max(growth.COUNTS)
    peaks = [middle(runs_of("growth", licenses=count), "peak_mib") for count in (few, many)]
    return (peaks[1] - peaks[0]) * 2**20 / (many - few)


def look_requests(case: str, build: str = look.NOW) -> int:
    """Return the requests of the look at a list."""
    (run,) = runs_of("look", case=case, build=build)
    return int(run["requests"])


def look_share(case: str) -> float:
    """Return the part of the requests of the build before that the look at a list needs."""
    return look_requests(case) / look_requests(case, look.THEN)


def look_cost(one: str, other: str) -> float:
    """Return the median of the ratios of processor time."""
    (run,) = runs_of("look", case="processor time")
    return float(statistics.median(a / b for a, b in zip(run[one], run[other], strict=True)))


def bounds() -> list[Bound]:
    """All that has to hold, with what was found."""
    fast, slow = (runs_of("act", latency=latency) for latency in act.LATENCIES)
    csv, book, inline = (runs_of("loading", kind=kind) for kind in loading.KINDS)
    started = runs_of("start")
    paced = runs_of("pace", client=pace.OURS)
    least = min(run["used"] / pace.bound(run["round_trip"]) for run in paced if is_soak(run))
    ours, peak = act.OURS, middle(case_of(csv, loading.OURS), "peak_mib")
    return [
        Bound("429s in all paced runs", sum(run["refused"] for run in paced), 0, at_least=False),
        Bound("least share of the possible rate, ten minutes", 100 * least, 97, unit=" %"),
        Bound("rate over a bare aiohttp loop's", times(fast, "rate", ours, act.WORKERS), 0.93),
        Bound("rate over one after another, 0 ms", times(fast, "rate", ours, act.SEQUENTIAL), 4),
        Bound("rate over one after another, 50 ms", times(slow, "rate", ours, act.SEQUENTIAL), 40),
        Bound("rate over requests in 20 threads", times(fast, "rate", ours, act.THREADS), 5),
        Bound("rate over xargs and curl", times(fast, "rate", ours, act.XARGS), 30),
        Bound("CSV: time over pandas'", times(csv, "wall", loading.OURS, loading.PANDAS), 1.5,
              at_least=False),
        Bound("CSV: peak memory", peak, 300e6 / 2**20, at_least=False, unit=" MiB"),
        *(
            Bound(f"{kind}: time of openpyxl over ours",
                  times(runs, "wall", loading.OPENPYXL, loading.OURS), 4)
            for kind, runs in zip(loading.KINDS[1:], (book, inline), strict=True)
        ),
        Bound("--help: time over a bare click program's",
              times(started, "cpu_ms", start.HELP, start.BARE), 1.2, at_least=False),
        Bound("--version: time over a bare click program's",
              times(started, "cpu_ms", start.VERSION, start.BARE), 1.2, at_least=False),
        Bound("first request: time over importing click, aiohttp and pandas",
              times(started, "wall_ms", start.FIRST, start.IMPORTS), 1.2, at_least=False),
        *(
            Bound(f"requests of the look over those before: {case}", look_share(case), most,
                  at_least=False)
            for case, most in look.SHARES.items()
        ),
        Bound(f"requests of the look for each license: {look.NOTHING}",
              look_requests(look.NOTHING) / 1_000, 1.062, at_least=False),
        Bound("look: processor time over fetching and parsing the same",
              look_cost("look", "fetching and parsing"), 1.3, at_least=False),
        Bound("a million licenses with a look and details: peak memory",
              middle(runs_of("details", case=details.DETAILS), "peak_mib"), 400, at_least=False,
              unit=" MiB"),
    ]  # fmt: skip


def is_soak(run: dict[str, Any]) -> bool:
    """Tell whether a paced run is one of the long ones."""
    return bool(run["sent"] >= 6000)


def case_of(runs: Runs, name: str) -> Runs:
    """The runs of one case."""
    return [run for run in runs if run["case"] == name]


def tables() -> dict[str, str]:
    """The tables of docs/performance.md, by their names."""
    return {
        "machine": _machine(),
        "bounds": _bounds(),
        **{f"act {latency}": _act(latency) for latency in act.LATENCIES},
        "parts": _parts(),
        "pace": _pace(),
        "soak": _soak(),
        "loading": _loading(),
        "start": _start(),
        "growth": _growth(),
        "look": _look(),
        "look whole": _look_whole(),
    }


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _spread(values: Iterable[float], form: str = ",.0f") -> str:
    found = sorted(values)
    return f"{statistics.median(found):{form}} ({found[0]:{form}} to {found[-1]:{form}})"


def _machine() -> str:
    told = [
        saved(suite)["machine"] for suite in ("act", "parts", "pace", "loading", "start", "growth")
    ]
    dates = sorted({each["date"] for each in told})
    one = told[0]
    own = {"date": "", "code": ""}
    if any(each | own != one | own for each in told):
        raise ValueError("the suites were measured on different machines")
    versions = one["packages"] | one["programs"]
    return (
        f"Measured on {' and '.join(dates)}: {one['processor']}, {one['cores']} cores, "
        f"{one['memory_gib']} GiB, {one['system']}, Python {one['python']}; "
        + ", ".join(f"{name} {number}" for name, number in versions.items())
        + "."
    )


def _bounds() -> str:
    return _table(
        ("what", "found", "bound"),
        [
            (
                each.name,
                f"{each.found:,.3g}{each.unit}",
                f"{'≥' if each.at_least else '≤'} {each.limit:,.3g}{each.unit}",
            )
            for each in bounds()
        ],
    )


def _act(latency: str) -> str:
    runs = runs_of("act", latency=latency)
    rows = []
    for name in act.LATENCIES[latency][2]:
        own = case_of(runs, name)
        faster = ratios(runs, "rate", act.OURS, name)
        rows.append(
            (
                name,
                _spread(run["rate"] for run in own),
                "" if name == act.OURS else _spread(faster, ".2f"),
                f"{middle(own, 'cpu_us'):,.0f}",
                f"{middle(own, 'peak_mib'):,.0f}",
                f"{own[0]['licenses']:,}",
            )
        )
    header = (
        "client", "licenses per second", "ours is so many times as fast", "CPU per license, µs",
        "peak, MiB", "licenses",
    )  # fmt: skip
    return _table(header, rows)


def _parts() -> str:
    runs = runs_of("parts")
    rows = []
    for part in PARTS:
        own = case_of(runs, part)
        over = ratios(runs, "cpu_us", part, PLAIN)
        rows.append((part, f"{middle(own, 'cpu_us'):.1f}", _spread(over, ".3f")))
    return _table(("aiohttp loop", "CPU per request, µs", "times the plain one's"), rows)


def _pace() -> str:
    rows = []
    for server in pace.SERVERS:
        for client in (pace.OURS, *LIMITERS):
            runs = [
                run for run in runs_of("pace", client=client, server=server) if not is_soak(run)
            ]
            runs.sort(key=lambda run: run["round_trip"])
            rows.append(
                (
                    client,
                    server,
                    " / ".join(str(run["refused"]) for run in runs),
                    " / ".join(f"{100 * run['used']:.0f}" for run in runs),
                    " / ".join(str(run["most_in_a_period"]) for run in runs),
                    f"{max(run['longest_stall'] for run in runs):.1f}",
                )
            )
    header = (
        "client", "server", "429s of 600", "% of the allowed rate",
        "most in any 5 s", "longest stall, s",
    )  # fmt: skip
    return _table(header, rows)


def _soak() -> str:
    rows = []
    for run in sorted(
        filter(is_soak, runs_of("pace", client=pace.OURS)),
        key=lambda run: (run["server"], run["round_trip"]),
    ):
        possible = pace.bound(run["round_trip"])
        rows.append(
            (
                run["server"],
                f"{1000 * run['round_trip']:.0f}",
                str(run["refused"]),
                f"{100 * run['used']:.2f}",
                f"{100 * possible:.2f}",
                f"{100 * run['used'] / possible:.2f}",
                str(run["most_in_a_period"]),
                f"{run['longest_stall']:.2f}",
            )
        )
    header = (
        "server", "round trip, ms", "429s of 6,000", "% of the allowed rate", "% possible",
        "% of what is possible", "most in any 5 s", "longest stall, s",
    )  # fmt: skip
    return _table(header, rows)


def _loading() -> str:
    rows = []
    for kind in loading.KINDS:
        runs = runs_of("loading", kind=kind)
        for name in dict.fromkeys(run["case"] for run in sorted(runs, key=lambda run: run["case"])):
            own = case_of(runs, name)
            slower = ratios(runs, "wall", name, loading.OURS)
            rows.append(
                (
                    kind,
                    name,
                    _spread((run["wall"] for run in own), ".2f"),
                    "" if name == loading.OURS else _spread(slower, ".2f"),
                    f"{middle(own, 'cpu'):.2f}",
                    f"{middle(own, 'peak_mib'):,.0f}",
                )
            )
    header = ("file", "reader", "seconds", "times our time", "CPU, s", "peak, MiB")
    return _table(header, rows)


def _start() -> str:
    runs = runs_of("start")
    against = {start.HELP: start.BARE, start.VERSION: start.BARE, start.FIRST: start.IMPORTS}
    rows = []
    for name in (start.BARE, start.HELP, start.VERSION, start.IMPORTS, start.FIRST):
        own = case_of(runs, name)
        other = against.get(name)
        measure = "wall_ms" if name == start.FIRST else "cpu_ms"
        rows.append(
            (
                name,
                _spread(run["wall_ms"] for run in own),
                _spread(run["cpu_ms"] for run in own),
                f"{_spread(ratios(runs, measure, name, other), '.2f')} of {other}" if other else "",
            )
        )
    return _table(("what", "wall time, ms", "CPU, ms", "ratio"), rows)


def _look() -> str:
    def row(case: str) -> tuple[str, ...]:
        (before,), (now,) = (
            runs_of("look", case=case, build=build) for build in (look.THEN, look.NOW)
        )
        share = 100 * now["requests"] / before["requests"]
        return (
            case, f"{before['requests']:,}", f"{now['requests']:,}", f"{now.get('get', 0):,}",
            f"{now.get('list', 0):,}", f"{share:.1f} %",
        )  # fmt: skip

    cases = dict.fromkeys(run["case"] for run in runs_of("look") if "look" not in run)
    header = ("list", "before", "now", "of these GETs", "pages of lists", "share")
    return _table(header, [row(case) for case in cases if not case.startswith("whole run")])


def _look_whole() -> str:
    rows = []
    for case in (look.RESELLER, look.NIGHTLY):
        (before,), (now,) = (
            runs_of("look", case=f"whole run, {case}", build=build)
            for build in (look.THEN, look.NOW)
        )
        rows.append(
            (
                case,
                *(f"{run['requests']:,}" for run in (before, now)),
                *(f"{run['seconds']:,.0f}" for run in (before, now)),
            )
        )
    cost = (
        f"The look of {look.LISTED:,} licenses takes"
        f" {look_cost('look', 'fetching and parsing'):.2f} of the processor time of a bare aiohttp"
        " loop that fetches and parses the same answers; without a server it takes"
        f" {look_cost('look, no server', 'parsing'):.2f} of that of parsing them."
    )
    header = ("list", "requests before", "now", "seconds before", "now")
    return f"{_table(header, rows)}\n\n{cost}"


def _growth() -> str:
    rows = []
    for count in growth.COUNTS:
        own = runs_of("growth", licenses=count)
        rows.append(
            (
                f"{count:,}",
                f"{1e6 * middle(own, 'seconds') / count:,.0f}",
                f"{1e6 * middle(own, 'wall') / count:,.0f}",
                f"{middle(own, 'cpu_us'):,.0f}",
                f"{middle(own, 'peak_mib'):,.0f}",
                str(len(own)),
            )
        )
    header = (
        "licenses", "acting, µs per license", "whole command, µs per license",
        "CPU, µs per license", "peak, MiB", "runs",
    )  # fmt: skip
    grown = f"\n\nA license adds {bytes_per_license():.0f} bytes to the peak."
    return _table(header, rows) + grown
