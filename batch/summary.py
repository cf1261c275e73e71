"""How a run ended: its exit code, the block that a person reads, the object that a script reads."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

from batch.model import DONE, Outcome
from batch.text import plain, uncell

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_REVOKED = frozenset({Outcome.REVOKED, Outcome.ALREADY_REVOKED})

LEFT_OUT = frozenset({Outcome.NOT_ATTEMPTED, Outcome.PLANNED, Outcome.UNKNOWN})
"""Outcomes that a run which ended early leaves behind; without any of them it did not."""

MOST_SHOWN = 10
"""Rows that are not done and are shown in the summary."""


@dataclass(frozen=True, slots=True)
class Summary:
    """How a run ended, in the fields that ``--json`` prints.

    Attributes:
        run_id: The run's name.
        command: The command's name.
        exit_code: The exit code that follows from all this.
        api: Base URL.
        started_at: UTC, ISO 8601.
        finished_at: UTC, ISO 8601.
        rows: Rows with content.
        licenses: Distinct licenses among them.
        counts: Rows by outcome.
        requests: Requests sent, all kinds and retries included.
        patches: PATCH requests sent.
        throttled: Answers with status 429.
        seconds: From the first request to the last answer.
        rate: Requests per second while requests were sent.
        results: Path of the results file.
        manifest: Path of the manifest.
        hint: The next command, or empty.
    """

    run_id: str
    command: str
    exit_code: int
    api: str
    started_at: str
    finished_at: str
    rows: int
    licenses: int
    counts: Mapping[str, int]
    requests: int
    patches: int
    throttled: int
    seconds: float
    rate: float
    results: str
    manifest: str
    hint: str

    def as_json(self) -> dict[str, Any]:
        """Plain types, in the order of the fields."""
        return asdict(self)


def done_outcomes(*, missing_ok: bool) -> frozenset[Outcome]:
    """Outcomes that count as done."""
    return DONE | {Outcome.NOT_FOUND} if missing_ok else DONE


def exit_code(
    counts: Mapping[Outcome, int], rows: int, done: frozenset[Outcome], stopped: int | None
) -> int:
    """The exit code of a run.

    Args:
        counts: Rows by outcome, as the results file holds them.
        rows: Rows of the input; the ledger must balance.
        done: Outcomes that count as done.
        stopped: Exit code of what ended the run early, or None.
    """
    if sum(counts.values()) != rows:
        return 3
    if stopped is not None:
        return stopped
    return 0 if all(outcome in done for outcome in counts) else 1


def block(
    summary: Summary,
    *,
    place: str,
    done: frozenset[Outcome],
    rows: Iterable[Sequence[str]],
    stopped: str,
) -> str:
    """The lines that end a run: what is done, what is not, where it is written, what comes next.

    Args:
        summary: How the run ended.
        place: Name of the installation.
        done: Outcomes that count as done.
        rows: Lines of the results file that are not done, as their cells.
        stopped: Why the run ended early, or empty.
    """
    counted = sum(summary.counts.values())
    settled = sum(count for name, count in summary.counts.items() if Outcome(name) in done)
    missing = max(counted, summary.rows) - settled
    began, ended = (
        datetime.fromisoformat(moment) for moment in (summary.started_at, summary.finished_at)
    )
    lines = [
        (
            f"bulk-revoke: {_verdict(summary, missing)} (exit {summary.exit_code})   {place}, "
            f"run {summary.run_id}, {began:%H:%M}-{ended:%H:%M} UTC"
        )
    ]
    if stopped:
        lines.append(f"  stopped: {stopped}")
    if counted != summary.rows:
        lines.append(f"  the ledger does not balance: {summary.rows:,} rows in, {counted:,} out")
    counts = (f"{name.replace('_', ' ')} {count:,}" for name, count in summary.counts.items())
    lines.append("  " + " · ".join(counts))
    lines += _table(rows, missing)
    lines.append(f"results: {summary.results}")
    if summary.hint:
        lines.append(f"again:   {summary.hint}")
    return "\n".join(lines)


def _verdict(summary: Summary, missing: int) -> str:
    total = summary.rows
    things = "license" if total == summary.licenses else "row"
    things += "" if total == 1 else "s"
    if missing:
        return f"{missing:,} of {total:,} {things} {'is' if missing == 1 else 'are'} NOT revoked"
    state = "revoked" if _REVOKED.issuperset(summary.counts) else "done"
    return f"the one {things} is {state}" if total == 1 else f"all {total:,} {things} are {state}"


def _table(rows: Iterable[Sequence[str]], missing: int) -> list[str]:
    shown = [
        (f"row {cells[0]}", plain(uncell(cells[1])), cells[3], uncell(cells[8]))
        for cells in islice(rows, MOST_SHOWN)
    ]
    widths = [min(36, max(map(len, column))) for column in zip(*shown, strict=True)]
    lines = ["  " + "  ".join(map(str.ljust, texts, widths)).rstrip() for texts in shown]
    left = missing - MOST_SHOWN
    if left > 0:
        lines.append(f"  … and {left:,} more row{'' if left == 1 else 's'}")
    return lines
