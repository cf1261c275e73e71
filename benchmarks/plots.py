"""The plots of docs/performance.md, from the raw data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib as mpl

from benchmarks import act, growth, loading, pace
from benchmarks.figures import case_of, is_soak, middle, runs_of
from benchmarks.measure import ROOT
from benchmarks.peers.paced import LIMITERS

mpl.use("svg")
from matplotlib import pyplot as plt

if TYPE_CHECKING:
    from collections.abc import Callable

PLACE = ROOT / "docs" / "performance"
_OURS, _OTHERS = "#1f6f8b", "#b9c4c9"


def draw_all() -> None:
    """Draw each of them into ``docs/performance/``."""
    plt.rcParams.update(
        {
            "svg.hashsalt": "bulk-revoke",  # the same data give the same file
            "svg.fonttype": "none",
            "font.size": 9,
            "axes.spines.top": False,
            "axes.spines.right": False,
        }
    )
    PLACE.mkdir(exist_ok=True)
    for draw in (_act, _pace, _loading, _growth):
        _drawn(draw)


def _drawn(draw: Callable[[], Any]) -> None:
    figure = draw()
    path = PLACE / f"{draw.__name__.strip('_')}.svg"
    figure.savefig(path, bbox_inches="tight", metadata={"Date": None})
    plt.close(figure)


def _bars(axes: Any, values: dict[str, float], form: str) -> None:  # noqa: ANN401
    names = list(reversed(values))
    widths = [values[name] for name in names]
    colours = [_OURS if name == act.OURS else _OTHERS for name in names]
    bars = axes.barh(names, widths, color=colours)
    axes.bar_label(bars, [f" {width:{form}}" for width in widths])
    axes.margins(x=0.18)


def _act() -> Any:  # noqa: ANN401
    figure, both = plt.subplots(1, 2, figsize=(10, 2.8), layout="constrained")
    for axes, (latency, (_, connections, names)) in zip(both, act.LATENCIES.items(), strict=True):
        runs = runs_of("act", latency=latency)
        rates = {name: middle(case_of(runs, name), "rate") for name in names}
        _bars(axes, rates, ",.0f")
        axes.set_title(f"licenses per second, {latency} latency, {connections} connections")
    return figure


def _pace() -> Any:  # noqa: ANN401
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3), layout="constrained")
    trips = [1000 * each for each in pace.ROUND_TRIPS]
    left.plot(
        trips, [100 * pace.bound(each) for each in pace.ROUND_TRIPS],
        color="black", linestyle=":", label="possible",
    )  # fmt: skip
    for server, marker in zip(pace.SERVERS, "os", strict=True):
        runs = sorted(
            filter(is_soak, runs_of("pace", client=pace.OURS, server=server)),
            key=lambda run: run["round_trip"],
        )
        left.plot(
            trips, [100 * run["used"] for run in runs], marker, color=_OURS, label=server,
            fillstyle="none" if marker == "s" else "full",
        )  # fmt: skip
    left.set(title="share of the allowed rate, ten minutes", xlabel="round trip, ms", ylabel="%")
    left.set_ylim(90, 100)
    left.legend(frameon=False)
    refused = {
        client: sum(run["refused"] for run in runs_of("pace", client=client) if not is_soak(run))
        for client in (pace.OURS, *LIMITERS)
    }
    _bars(right, refused, ",d")
    right.set_title(f"429s of {600 * len(trips) * len(pace.SERVERS):,} requests")
    return figure


def _loading() -> Any:  # noqa: ANN401
    figure, all_axes = plt.subplots(1, 3, figsize=(12, 1.6), layout="constrained")
    for axes, kind in zip(all_axes, loading.KINDS, strict=True):
        runs = runs_of("loading", kind=kind)
        seconds = {
            name: middle(case_of(runs, name), "wall")
            for name in sorted({run["case"] for run in runs})
        }
        _bars(axes, seconds, ".1f")
        axes.set_title(f"{kind}, a million rows: seconds")
    return figure


def _growth() -> Any:  # noqa: ANN401
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 2.8), layout="constrained")
    counts = list(growth.COUNTS)
    runs = [runs_of("growth", licenses=count) for count in counts]
    for measure, label, marker in (
        ("wall", "whole command", "s-"), ("seconds", "acting alone", "o-")
    ):  # fmt: skip
        left.plot(
            counts,
            [1e6 * middle(own, measure) / count for own, count in zip(runs, counts, strict=True)],
            marker, color=_OURS, label=label, fillstyle="none" if marker == "s-" else "full",
        )  # fmt: skip
    left.set(title="µs per license", xscale="log", xlabel="licenses")
    left.set_ylim(bottom=0)
    left.legend(frameon=False)
    right.plot(counts, [middle(own, "peak_mib") for own in runs], "o-", color=_OURS)
    right.set(title="peak memory, MiB", xscale="log", xlabel="licenses")
    right.set_ylim(bottom=0)
    return figure
