"""The command line: ``python -m benchmarks [SUITE ...]``; all of them by default."""

from __future__ import annotations

import sys

import click

from benchmarks import act, details, growth, loading, look, pace, parts, ratios, report, start
from benchmarks.figures import bounds

SUITES = {
    "start": start.main,
    "act": act.main,
    "parts": parts.main,
    "growth": growth.main,
    "details": details.main,
    "loading": loading.main,
    "ratios": ratios.main,
    "look": look.main,
    "pace": pace.main,
}


@click.command()
@click.argument("suites", nargs=-1, type=click.Choice([*SUITES, "report"]))
def main(suites: tuple[str, ...]) -> None:
    """Measure SUITES (all: about an hour), and write results/, docs/performance.md and its plots.

    With "report" alone nothing is measured.
    """
    for name in suites or SUITES:
        if name in SUITES:
            print(f"{name}:", file=sys.stderr)
            SUITES[name]()
    report.write()
    for each in bounds():
        told = f"{each.name}: {each.found:,.3g}{each.unit}"
        print(f"{'holds' if each.holds else 'FAILS'}  {told}")
    if not all(each.holds for each in bounds()):
        sys.exit(1)


if __name__ == "__main__":
    main()
