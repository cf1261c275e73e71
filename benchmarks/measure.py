"""Whole processes, measured: wall time, processor time, peak memory, and what they print."""

from __future__ import annotations

import json
import os
import platform
import pty
import shutil
import subprocess
import sys
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.peers import TOKEN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

RESULTS = Path(__file__).parent / "results"
_LAUNCH = str(Path(__file__).parent / "launch.py")
ROOT = Path(__file__).parents[1]

_PACKAGES = (
    "aiohttp", "aiolimiter", "click", "numpy", "openpyxl", "orjson", "pandas", "pyrate-limiter",
    "python-calamine", "requests", "uvloop", "XlsxWriter", "yarl",
)  # fmt: skip
PACKAGES = "nginx-light, libnginx-mod-http-echo, haproxy, curl and nodejs"
"""Debian packages with the servers and the clients that are measured."""

_PROGRAMS = (
    ("curl", "--version"),
    ("haproxy", "-v"),
    ("nginx", "-v"),
    ("node", "--version"),
)


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of a finished process.

    Attributes:
        seconds: Wall time from its start to its end.
        cpu: Seconds of processor time, user and system, its children included.
        peak: Peak resident memory in MiB; the largest single process if there were several.
        output: What it printed on standard output.
    """

    seconds: float
    cpu: float
    peak: float
    output: str


class FailedError(Exception):
    """A measured command did not end well."""


def program(name: str) -> str:
    """Path of a program; those of Debian's sbin are found as well."""
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if found is None:
        raise FailedError(f"{name} is missing; what is needed: {PACKAGES}")
    return found


def environment() -> dict[str, str]:
    """Nothing of the user's own, and a token."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": os.environ.get("HOME", "/"),
        "PYTHONPATH": str(ROOT),
        "CRYPTLEX_ACCESS_TOKEN": TOKEN,
    }


def measured(
    command: Sequence[str | Path],
    *,
    stdin: Path | None = None,
    on_terminal: bool = False,
    directory: Path | None = None,
    variables: Mapping[str, str] | None = None,
) -> Cost:
    """Run a command to its end.

    Args:
        command: Program and arguments.
        stdin: What it reads; nothing by default.
        on_terminal: Whether its standard error is a terminal, so that it draws its bar.
        directory: Where it runs.
        variables: Of its environment, beside `environment`.

    Raises:
        FailedError: It ended with another code than 0.
    """
    screen, stderr = pty.openpty() if on_terminal else (-1, subprocess.DEVNULL)
    reading, writing = os.pipe()
    with (stdin or Path(os.devnull)).open("rb") as source:
        process = subprocess.Popen(
            [sys.executable, "-IS", _LAUNCH, str(writing), *map(str, command)],
            stdin=source,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env=environment() | dict(variables or {}),
            cwd=directory,
            pass_fds=(writing,),
        )
    os.close(writing)
    if on_terminal:
        os.close(stderr)
        threading.Thread(target=_drain, args=(screen,), daemon=True).start()
    with os.fdopen(reading) as report:
        output = process.communicate()[0].decode()
        seconds, cpu, peak, code = map(float, report.read().split())
    if code:
        raise FailedError(f"exit code {code:.0f}: {' '.join(map(str, command))[:200]}")
    return Cost(seconds, cpu, peak / 1024, output)


def _drain(screen: int) -> None:
    try:
        while os.read(screen, 65536):
            pass
    except OSError:  # the other side is gone
        os.close(screen)


def interleaved(
    rounds: int, cases: Mapping[str, Callable[[], dict[str, Any]]]
) -> list[dict[str, Any]]:
    """Measure each case once in each round, every round beginning with another one.

    Returns:
        What the cases returned, each with its name (``case``) and its ``round`` (from 0).
    """
    names = list(cases)
    runs = []
    for turn in range(rounds):
        start = turn % len(names)
        for name in names[start:] + names[:start]:
            found = cases[name]()
            runs.append({"case": name, "round": turn, **found})
            told = ", ".join(f"{key} {value}" for key, value in found.items())
            print(f"  {turn + 1}/{rounds} {name}: {told}", file=sys.stderr, flush=True)
    return runs


def ratios(runs: Iterable[Mapping[str, Any]], measure: str, case: str, other: str) -> list[float]:
    """``measure`` of one case over that of another one, round by round."""
    found: dict[str, dict[int, float]] = {case: {}, other: {}}
    for run in runs:
        if run["case"] in found:
            found[run["case"]][run["round"]] = run[measure]
    return [found[case][turn] / found[other][turn] for turn in sorted(found[case])]


def machine() -> dict[str, Any]:
    """Return facts about the machine that was measured on, and the versions in use."""
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "code": _code(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "python": platform.python_version(),
        "packages": {name: found for name in _PACKAGES if (found := _installed(name))},
        "programs": dict(_programs()),
    }


def _code() -> str:
    """The commit that is measured; with a mark, if something has changed since."""
    command = ["git", "describe", "--always", "--dirty"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return said.stdout.strip()


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="ascii").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _programs() -> Iterable[tuple[str, str]]:
    for name, flag in _PROGRAMS:
        said = subprocess.run([program(name), flag], capture_output=True, text=True, check=False)
        first = (said.stdout + said.stderr).splitlines()[0]
        yield name, next(part for part in first.replace("/", " ").split() if "." in part)


def save(suite: str, runs: list[dict[str, Any]]) -> None:
    """Write a suite's raw data, a line for each run."""
    lines = ",\n".join(map(json.dumps, runs))
    text = f'{{"machine": {json.dumps(machine())},\n"runs": [\n{lines}\n]}}\n'
    (RESULTS / f"{suite}.json").write_text(text, encoding="utf-8")


def saved(suite: str) -> dict[str, Any]:
    """The raw data of a suite."""
    found: dict[str, Any] = json.loads((RESULTS / f"{suite}.json").read_text(encoding="utf-8"))
    return found
