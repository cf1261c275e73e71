"""The end of a run: its exit code, the block that a person reads, the object for a script."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Any

from batch.columns import COLUMNS
from batch.formatting import plain, uncell, without_conditions
from batch.model import DONE, Action, Outcome, parse_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence


LEFT_OUT = frozenset({Outcome.NOT_ATTEMPTED, Outcome.PLANNED, Outcome.UNKNOWN, Outcome.FAILED})
"""Outcomes that a run which ended early leaves behind; without any of them it did not."""

_UNREAD = frozenset({Outcome.UNKNOWN, Outcome.FAILED, Outcome.NOT_ATTEMPTED})
"""Outcomes that say nothing of what a run would do, or of what is."""

MOST_SHOWN = 10
"""Rows that are not done and are shown in the summary."""

MOST_NAMED = 100
"""Rows that are not done and are named in the object of ``--json``."""


@dataclass(frozen=True, slots=True)
class Summary:
    """The end of a run, in the fields that ``--json`` prints.

    Attributes:
        run_id: The run's name.
        command: The command's name.
        exit_code: The exit code that follows from all this.
        api: Base URL.
        started_at: When the command began; UTC, ISO 8601.
        finished_at: When it had come to its end; UTC, ISO 8601.
        rows: Rows with content.
        licenses: Distinct licenses among them.
        counts: Rows by outcome; of a list what it holds.
        requests: Requests sent, all kinds and retries included.
        patches: PATCH requests sent.
        throttled: Answers with status 429.
        seconds: From start to finish, by the clock that those two are read from.
        rate: Requests per second of the time in which requests were sent, of the look and of what
            came after the question: reading, the question, and waiting for another run are left
            out.
        results: Path of the results file; empty where no row of an input is due yet.
        manifest: Path of the manifest; likewise.
        error: What ended it early, without cells and what others say; or empty.
        hint: The next command, or empty.
        not_done: The first rows that are not done, as `undone_row` makes them; None where they are
            not known.
        not_done_rows: All of them.
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
    error: str = field(default="", kw_only=True)
    hint: str
    not_done: Sequence[Mapping[str, Any]] | None = ()
    not_done_rows: int = 0

    def as_json(self) -> dict[str, Any]:
        """The object of ``--json``."""
        return object_of({each.name: getattr(self, each.name) for each in fields(self)})


def object_of(known: Mapping[str, Any]) -> dict[str, Any]:
    """Return the object of ``--json`` for a command, whether or not it came to its end.

    Args:
        known: By the fields of `Summary`; what is empty, or is not there, becomes null.
    """
    values = ((each.name, known.get(each.name)) for each in fields(Summary))
    return {name: None if value == "" else value for name, value in values}


def span(started_at: str, finished_at: str) -> float:
    """Seconds between two timestamps, to the millisecond."""
    began, ended = map(datetime.fromisoformat, (started_at, finished_at))
    return round((ended - began).total_seconds(), 3)


def per_second(requests: int, seconds: float) -> float:
    """Requests per second, as the summary has them."""
    return round(requests / seconds, 2) if seconds else 0.0


def undone_row(cells: Sequence[str]) -> dict[str, Any]:
    """A row that is not done, from its line of the results, for the object of ``--json``.

    A cell that is no license ID may be a license key, and the server may repeat one, in letters of
    any case: neither is in what it returns.
    """
    row = _by_name(cells)
    key, error = uncell(row["license_key"]), uncell(row["error"])
    if key:
        error = re.sub(re.escape(key), "…", error, flags=re.IGNORECASE)
    return {
        "row": int(row["row"]),
        "license_id": row["license_id"] if parse_id(row["license_id"]) else None,
        "outcome": row["outcome"],
        "error": error or None,
    }


_OUTCOME = COLUMNS.index("outcome")
"""Index of that cell: there may be a million rows, of which a few are shown by name."""


def _by_name(cells: Sequence[str]) -> dict[str, str]:
    """The cells of a line of the results by their columns, without details and carried ones."""
    return dict(zip(COLUMNS, cells, strict=False))


@dataclass(frozen=True, slots=True)
class Report:
    """The report of a run that came to its end.

    Attributes:
        summary: To scripts.
        to_all: To people who are not there: the lines of `block` without cells and secrets.
    """

    summary: Summary
    to_all: str


def done_outcomes(action: Action, *, missing_ok: bool) -> frozenset[Outcome]:
    """Outcomes that count as done; in a dry run that is all that could be read."""
    done = frozenset(Outcome) - _UNREAD if action.is_dry_run else DONE
    return done | {Outcome.NOT_FOUND} if missing_ok else done


def exit_code(
    counts: Mapping[Outcome, int],
    rows: int,
    done: frozenset[Outcome],
    *,
    stopped: int | None,
    left: int = 0,
) -> int:
    """The exit code of a run.

    Args:
        counts: Rows by outcome, as the results file holds them.
        rows: Rows of the input; the ledger must balance.
        done: Outcomes that count as done.
        stopped: Exit code of what ended the run early, or None.
        left: Rows that were left for later on purpose.
    """
    if sum(counts.values()) != rows:
        return 3
    if stopped is not None:
        return stopped
    undone = {outcome: count for outcome, count in counts.items() if outcome not in done}
    return 0 if undone in ({}, {Outcome.NOT_ATTEMPTED: left}) else 1


def first_line(summary: Summary, verdict: str, place: str) -> str:
    """The line of a block that says how it ended, where, and when."""
    began, ended = (
        datetime.fromisoformat(moment) for moment in (summary.started_at, summary.finished_at)
    )
    return (
        f"bulk-revoke: {verdict} (exit {summary.exit_code})   {place}, "
        f"run {summary.run_id}, {began:%H:%M}-{ended:%H:%M} UTC"
    )


def block(
    summary: Summary,
    action: Action,
    *,
    place: str,
    done: frozenset[Outcome],
    licenses: Mapping[Outcome, int],
    rows: Iterable[Sequence[str]],
    stopped: str,
    left: int = 0,
    unselected: int = 0,
    to_all: bool = False,
    whose: Callable[[Sequence[str]], str] = lambda _: "",
) -> str:
    """The lines that end a run: what is done, what is not, where it is written, what comes next.

    Licenses are counted, and rows beside them where these are more.

    Args:
        summary: How the run ended.
        action: What was wanted of each license.
        place: Name of the installation.
        done: Outcomes that count as done.
        licenses: Licenses by outcome, and rows that hold none.
        rows: Lines of the results file that are not done, as their cells.
        stopped: Why the run ended early, or empty.
        left: Licenses that were left for later on purpose.
        unselected: Rows that ``--where`` does not select, and that nobody means.
        to_all: Whether it goes to third parties: without cells, and what servers have said.
        whose: Tells of such a line whose license it is, as far as that is known.
    """
    tally = _Tally(summary, licenses, done, unselected)
    lines = [first_line(summary, _verdict(tally, action, left), place)]
    if stopped:
        lines.append(f"  stopped: {stopped}")
    written = sum(summary.counts.values())
    if written != summary.rows:
        lines.append(f"  the ledger does not balance: {summary.rows:,} rows in, {written:,} out")
    counts = (
        f"{name.replace('_', ' ')} {_amount(licenses.get(Outcome(name), 0), count)}"
        for name, count in summary.counts.items()
    )
    lines.append("  " + " · ".join(counts))
    tried = tally.undone_rows - summary.counts.get(Outcome.NOT_ATTEMPTED, 0)
    if tried:
        lines += _table(rows, tried, to_all=to_all, whose=whose)
    lines.append(f"results: {summary.results}")
    if summary.hint:
        command = without_conditions(summary.hint) if to_all else summary.hint
        lines.append(f"{'again:   ' if action.sends else 'next:    '}{command}")
    elif summary.exit_code == 1 and Outcome.NOT_FOUND in summary.counts.keys() - done:
        lines.append("hint:    licenses that do not exist count as done with --missing-ok")
    elif _is_repeated(summary, action) and action.wanted:
        lines.append(f"hint:    whether they still are {action.state}, bulk-revoke verify tells")
    return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class _Tally:
    """The part of a run that is done, in licenses and in rows.

    Attributes:
        summary: How the run ended.
        licenses: Licenses by outcome, and rows that hold none.
        done: Outcomes that count as done.
        unselected: Rows that ``--where`` does not select.
    """

    summary: Summary
    licenses: Mapping[Outcome, int]
    done: frozenset[Outcome]
    unselected: int

    @property
    def invalid(self) -> int:
        """Rows that hold no license, where that is not as it should be."""
        return 0 if Outcome.INVALID in self.done else self.summary.counts.get(Outcome.INVALID, 0)

    @property
    def missing(self) -> int:
        """Licenses that are not done."""
        there = {name: n for name, n in self.licenses.items() if name is not Outcome.INVALID}
        settled = sum(count for name, count in there.items() if name in self.done)
        return max(sum(there.values()), self.summary.licenses) - settled

    @property
    def undone_rows(self) -> int:
        """Rows that are not done, those without a license included."""
        counts = self.summary.counts
        settled = sum(count for name, count in counts.items() if Outcome(name) in self.done)
        return max(sum(counts.values()), self.summary.rows) - settled

    @property
    def listed(self) -> int:
        """Rows that hold a license which is meant."""
        counts = self.summary.counts
        return self.summary.rows - self.unselected - counts.get(Outcome.INVALID, 0)

    def of_all(self, some: int, rows: int) -> str:
        """So many of all licenses; in brackets the same in rows, where these are others."""
        total, listed = self.summary.licenses, self.listed
        text = f"{some:,} of {total:,} license{'' if total == 1 else 's'}"
        return text if (some, total) == (rows, listed) else f"{text} ({rows:,} of {listed:,} rows)"

    def all(self) -> str:
        """All licenses, and all rows where these are more."""
        total, listed = self.summary.licenses, self.listed
        text = "the one license" if total == 1 else f"all {total:,} licenses"
        return text if total == listed else f"{text} ({listed:,} rows)"


def _amount(licenses: int, rows: int) -> str:
    return f"{rows:,}" if rows == licenses else f"{licenses:,} ({rows:,} rows)"


def _verdict(tally: _Tally, action: Action, left: int) -> str:
    text = _what_became(tally, action, left)
    if not tally.invalid:
        return text
    rows = "1 row holds" if tally.invalid == 1 else f"{tally.invalid:,} rows hold"
    return f"{text}, {rows} no license"


def _is_repeated(summary: Summary, action: Action) -> bool:
    """Tell whether earlier sessions have done all of it: what became of it since is not known."""
    return action.sends and not summary.requests and not summary.exit_code


def _what_became(tally: _Tally, action: Action, left: int) -> str:
    summary, licenses, missing = tally.summary, tally.licenses, tally.missing
    total = summary.licenses
    if action.is_dry_run:
        would = action.in_dry_run
        text = tally.of_all(licenses.get(would, 0), summary.counts.get(would, 0))
        untried = licenses.get(Outcome.NOT_ATTEMPTED, 0) - left
        unread = missing - left - untried
        more = f", {unread:,} could not be read" if unread > 0 else ""
        more += f", {untried:,} not looked at" if untried > 0 else ""
        return f"dry run: {text} would be {action.state}{more}"
    if missing and missing == left == licenses.get(Outcome.NOT_ATTEMPTED):
        done = action.on_success
        count = licenses.get(done, 0)
        text = tally.of_all(count, summary.counts.get(done, 0))
        return f"{text} {'is' if count == 1 else 'are'} {action.state}, {left:,} left for later"
    if missing:
        return _not_done(tally, action)
    if lost := tally.undone_rows - tally.invalid:  # the ledger does not balance
        verb = "is" if lost == 1 else "are"
        return f"{lost:,} of {summary.rows:,} rows {verb} NOT {action.state}"
    if _is_repeated(summary, action):
        were = "was" if total == 1 else "were"
        return f"{tally.all()} {were} done in earlier sessions, and nothing was asked now"
    so = {action.on_success, action.unchanged, Outcome.INVALID}
    if summary.counts.get(Outcome.EXCLUDED) == tally.unselected:
        so.add(Outcome.EXCLUDED)
    state = action.state if so.issuperset(summary.counts) else "done"
    return f"{tally.all()} {'is' if total == 1 else 'are'} {state}"


def _not_done(tally: _Tally, action: Action) -> str:
    """Say how many licenses are not as they are to be, and how many a verify could not read."""
    counts, missing, rows = tally.summary.counts, tally.missing, tally.undone_rows - tally.invalid
    unread = unread_rows = 0
    if action.only_reads:
        unread = sum(tally.licenses.get(name, 0) for name in _UNREAD)
        unread_rows = sum(counts.get(name, 0) for name in _UNREAD)
    only_stopped = unread == tally.licenses.get(Outcome.NOT_ATTEMPTED, 0)
    why = "not looked at" if only_stopped else "could not be read"
    if 0 < missing == unread:
        verb = ("was " if unread == 1 else "were ") * only_stopped
        return f"{tally.of_all(unread, unread_rows)} {verb}{why}"
    text = tally.of_all(missing - unread, rows - unread_rows)
    more = f", {unread:,} {why}" if unread else ""
    return f"{text} {'is' if missing - unread == 1 else 'are'} NOT {action.state}{more}"


def _table(
    rows: Iterable[Sequence[str]],
    undone: int,
    *,
    to_all: bool,
    whose: Callable[[Sequence[str]], str],
) -> list[str]:
    """Lines on the first of the rows that were tried in vain; how many others there are is counted.

    Rows that were not attempted say nothing but that.
    """
    tried = (cells for cells in rows if cells[_OUTCOME] != Outcome.NOT_ATTEMPTED)
    shown = []
    for cells in islice(tried, MOST_SHOWN):
        row = _by_name(cells)
        texts = _for_all(row) if to_all else _for_who_ran(row, whose(cells))
        shown.append((f"row {row['row']}", *texts))
    widths = [min(36, max(map(len, column))) for column in zip(*shown, strict=True)]
    lines = ["  " + "  ".join(map(str.ljust, texts, widths)).rstrip() for texts in shown]
    more = undone - len(shown)
    if shown and more > 0:
        lines.append(f"  … and {more:,} more row{'' if more == 1 else 's'}")
    return lines


def _for_who_ran(row: Mapping[str, str], customer: str) -> tuple[str, str, str]:
    aside = f" ({customer})" if customer else ""
    error = f"{uncell(row['error'])}{aside}".lstrip()
    return plain(uncell(row["license_id"])), row["outcome"], error


def _for_all(row: Mapping[str, str]) -> tuple[str, str, str]:
    """Return the parts of a row for everybody: its cell only where it is a license ID."""
    name = row["license_id"] if parse_id(row["license_id"]) else "…"
    status = row["http_status"]
    return name, row["outcome"], f"HTTP {status}" if status else ""


@dataclass(frozen=True, slots=True)
class Ending:
    """The end of a command, whether or not it came to sending anything.

    Attributes:
        command: The command's name, such as ``run``.
        exit_code: Its exit code.
        title: What happened, on one line, without secrets.
        text: What a person was told at the end, without secrets. One or more lines.
        seconds: How long it took, from its start, by a clock that nobody sets.
        finished_at: Seconds since 1970, UTC.
        summary: What was counted; None where it was refused, or ended without an orderly end.
        token_expires: When its token expires, in seconds since 1970; None where that is not known.
        page: Whole path of the page of the run, or empty where there is none.
    """

    command: str
    exit_code: int
    title: str
    text: str
    seconds: float
    finished_at: float
    summary: Summary | None = None
    token_expires: float | None = None
    page: str = ""
