"""The comparison of a run's files with those that it saw, by what its manifest says of them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from batch.formatting import plain
from batch.results.manifest import Manifest, file_sha256, manifest_of

if TYPE_CHECKING:
    from collections.abc import Sequence


State = Literal["unchanged", "changed", "missing", "unreadable", "unfinished", "from a pipe"]

NEUTRAL = frozenset({"unchanged", "from a pipe"})
"""States that are no reason to doubt: of what came through a pipe there is no file to compare."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The state of one file of a run, compared with the manifest.

    Attributes:
        what: ``input`` or ``results``.
        path: Where it was looked for.
        state: What was found; ``unfinished`` is a results file whose run has not come to an
            orderly end, so that nothing is known to compare it with.
        expected: Hex SHA-256 in the manifest, or empty.
        found: Hex SHA-256 of the file as it is now, or empty.
    """

    what: str
    path: str
    state: State
    expected: str = ""
    found: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The states of the files of a run, compared with its manifest.

    Attributes:
        run_id: The run's name.
        findings: One for each of its files.
    """

    run_id: str
    findings: Sequence[Finding]

    @property
    def exit_code(self) -> int:
        """1 if a file is not what the run saw, or that cannot be told."""
        return 0 if NEUTRAL.issuperset(each.state for each in self.findings) else 1

    def as_json(self) -> dict[str, Any]:
        """Plain types."""
        files = [asdict(each) for each in self.findings]
        return {"run_id": self.run_id, "exit_code": self.exit_code, "files": files}

    def __str__(self) -> str:
        """Lines for a person, the first of which says it all."""
        bad = sum(each.state not in NEUTRAL for each in self.findings)
        of_run = f"run {self.run_id}"
        verdict = f"input and results are as {of_run} has left them"
        if bad:
            verdict = f"{bad} of {len(self.findings)} files {'is' if bad == 1 else 'are'} NOT"
            verdict += f" as {of_run} has left {'it' if bad == 1 else 'them'}"
        lines = [f"bulk-revoke: {verdict} (exit {self.exit_code})"]
        for each in self.findings:
            lines.append(f"  {each.what:<7}  {each.state:<10}  {plain(each.path)}")
            if each.state == "changed":
                lines.append(f"           sha256 was {each.expected}")
                lines.append(f"           and is now {each.found}")
        return "\n".join(lines)


def compare(results: Path) -> Comparison:
    """Compare the files of a run with its manifest; reads all of them, changes nothing.

    Args:
        results: Its results file, with the manifest beside it.

    Raises:
        ResultsError: There is no manifest, or none that can be read.
    """
    manifest = manifest_of(results)
    return Comparison(manifest.run_id, (_input(manifest), _results(manifest, results)))


def _input(manifest: Manifest) -> Finding:
    given = str(manifest.input.get("path", ""))
    expected = str(manifest.input["sha256"])
    if given == "-":
        return Finding("input", given, "from a pipe", expected)
    return _compared("input", Path(manifest.directory, given), expected)


def _results(manifest: Manifest, results: Path) -> Finding:
    expected = manifest.results.get("sha256", "")
    if not expected:
        return Finding("results", str(results), "unfinished")
    return _compared("results", results, expected)


def _compared(what: str, path: Path, expected: str) -> Finding:
    try:
        found = file_sha256(path)
    except FileNotFoundError:
        return Finding(what, str(path), "missing", expected)
    except (OSError, ValueError):  # no path holds a NUL
        return Finding(what, str(path), "unreadable", expected)
    state: State = "unchanged" if found == expected else "changed"
    return Finding(what, str(path), state, expected, found)
