"""The page of a run: its facts as one HTML file that asks for nothing and runs nothing.

Jinja2 fills the template and escapes whatever it is given. The style sheet is the only one that
the page's policy admits, by its digest; there is no ``style`` attribute and no script.
"""

from __future__ import annotations

import base64
import hashlib
import re
import shlex
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from batch.api.base_url import label
from batch.errors import needs_extra
from batch.formatting import counted, duration, epoch_seconds, plain
from batch.formatting import escaped as control_escaped
from batch.model import Outcome, OwnWords, Property
from batch.reporting import charts
from batch.reporting.page_facts import (
    MOST_REASONS,
    MOST_ROWS,
    UNREAD,
    UNSEEN,
    Facts,
    Group,
    Groups,
    headline,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from jinja2 import Environment

MOST_SESSIONS = 12
"""Sessions that are shown, the last ones."""

_TEMPLATES = Path(__file__).parent

MEANINGS = {
    Outcome.REVOKED: ("good", "revoked in this run, and confirmed by the server"),
    Outcome.ALREADY_REVOKED: ("calm", "was revoked before; nothing was sent"),
    Outcome.SUSPENDED: ("good", "suspended in this run, and confirmed by the server"),
    Outcome.ALREADY_SUSPENDED: ("calm", "was suspended before; nothing was sent"),
    Outcome.RESTORED: ("good", "approved again in this run, and confirmed by the server"),
    Outcome.ALREADY_RESTORED: ("calm", "was approved again before; nothing was sent"),
    Outcome.VERIFIED: ("good", "read, and as it should be"),
    Outcome.WOULD_REVOKE: ("plan", "would be revoked; nothing was sent"),
    Outcome.WOULD_SUSPEND: ("plan", "would be suspended; nothing was sent"),
    Outcome.WOULD_RESTORE: ("plan", "would be approved again; nothing was sent"),
    Outcome.NOT_REVOKED: ("bad", "is not revoked"),
    Outcome.NOT_SUSPENDED: ("bad", "is not suspended"),
    Outcome.EXCLUDED: ("kept", "left alone on purpose"),
    Outcome.NOT_ATTEMPTED: ("idle", "not sent"),
    Outcome.PLANNED: ("idle", "planned, and not settled yet"),
    Outcome.UNKNOWN: ("warn", "may have been applied; it is not known how it stands"),
    Outcome.NOT_FOUND: ("warn", "no such license in this account"),
    Outcome.INVALID: ("warn", "the row holds no license"),
    Outcome.FAILED: ("bad", "refused by the server, or not applied"),
}
"""Outcomes in the order in which they are shown: tone and meaning."""

MEANINGS_OF_READING = {
    Outcome.NOT_ATTEMPTED: f"{UNSEEN}, or left for later",
    Outcome.UNKNOWN: UNREAD,
    Outcome.FAILED: UNREAD,
}
"""Their meanings where nothing was to be changed."""

OPTIONS = (
    "by", "column", "sheet", "header_row", "where", "older_than", "carry", "skip_invalid",
    "include_hidden", "include_unknown", "suspended", "exclude", "expect_licenses",
    "expect_product", "max_licenses", "limit", "max_failures", "missing_ok", "rate", "concurrency",
    "timeout", "max_attempts",
)  # fmt: skip
"""Options that say what a run was to do, and how."""

_MARKS = re.compile("[\u061c\u200b\u200e\u200f\ufeff]")
"""Characters that turn the direction of text, or cannot be seen, beside those of `plain`."""


@dataclass(frozen=True, slots=True)
class File:
    """A file of a run.

    Attributes:
        what: Its name for a person, such as ``Manifest``.
        path: Its path.
        sha256: Its hex digest now; empty where it cannot be read.
        state: Whether it is as the run has left it.
    """

    what: str
    path: str
    sha256: str
    state: str


@dataclass(frozen=True, slots=True)
class Step:
    """Something that can be done next.

    Attributes:
        title: Its aim.
        text: Its consequences.
        command: The command, as it is typed; or empty.
    """

    title: str
    text: str
    command: str


@dataclass(frozen=True, slots=True)
class Source:
    """All that a page is made from.

    Attributes:
        facts: What its results say.
        run: Its manifest.
        files: Its files.
        steps: What can be done next.
        made_at: When the page is made.
    """

    facts: Facts
    run: Mapping[str, Any]
    files: Sequence[File]
    steps: Sequence[Step]
    made_at: datetime


def check() -> None:
    """Refuse to begin what could not be shown at its end.

    Raises:
        ConfigError: Jinja2 is not installed.
    """
    _environment()


def is_page(path: Path) -> bool:
    """Tell whether a file is a page of ours, which may be written over.

    Raises:
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        return b'<meta name="generator" content="bulk-revoke">' in file.read(2000)


def render(source: Source) -> str:
    """Return the page."""
    environment = _environment()
    style = environment.get_template("page.css").render().strip() + "\n"
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return environment.get_template("page.html.j2").render(
        **_shown(source), style=style, style_digest=digest
    )


def _environment() -> Environment:
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415
    except (ImportError, OSError) as cause:
        raise needs_extra("a report needs", "Jinja2", "report", cause) from cause
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {
        "inert": inert,
        "escaped": escaped,
        "number": lambda number: number if isinstance(number, str) else f"{number:,}",
        "lasting": duration,
        "share": share,
        "moment": moment,
        "words": lambda text: str(text).replace("_", " "),
    }
    return environment


def inert(text: object) -> str:
    """Text from outside as it is shown: without what turns or hides a part of it, and not long."""
    return escaped(plain(str(text)))


def escaped(text: str) -> str:
    """Escape what turns or hides a part of a text of any length."""
    return _MARKS.sub(lambda found: f"\\u{ord(found[0]):04x}", control_escaped(text))


def share(part: int, whole: int) -> str:
    """Spell a share as a percentage: 0 % is none, and 100 % is all."""
    if not part or not whole:
        return "0 %"
    percent = 100 * part / whole
    if percent < 0.1:
        return "< 0.1 %"
    if part < whole and percent > 99.9:
        return "> 99.9 %"
    return f"{percent:.1f} %" if part < whole else "100 %"


def moment(text: object, form: str = "%d %B %Y, %H:%M UTC") -> str:
    """Spell a timestamp for people; empty where there is none."""
    seconds = epoch_seconds(text)
    return "" if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime(form)


def span(start: object, end: object) -> str:
    """Spell the time from one timestamp to another; where the second is missing, the first."""
    began, ended = moment(start), moment(end)
    if not began or not ended or began == ended:
        return began or ended
    is_same_day = moment(start, "%d %B %Y") == moment(end, "%d %B %Y")
    start_of_it = moment(start, "%d %B %Y, %H:%M")
    return f"{start_of_it} to {moment(end, '%H:%M UTC') if is_same_day else ended}"


def _shown(source: Source) -> dict[str, Any]:
    """The names that the template knows."""
    facts, run = source.facts, source.run
    options = run["options"]
    otherwise = {} if facts.action.sends else MEANINGS_OF_READING
    outcomes = [
        (name, tone, otherwise.get(name, text), facts.licenses[name], facts.rows[name])
        for name, (tone, text) in MEANINGS.items()
        if facts.rows[name]
    ]
    reasons = sorted(facts.reasons.values(), key=lambda each: -each.rows)
    return {
        "headline": headline(facts),
        "facts": facts,
        "action": facts.action,
        "kinds": list(_kinds(source)),
        "run": run,
        "place": "sandbox" if run["rehearsal"] else label(str(run["api"])),
        "approved": _approved(run),
        "options": list(_options(options)),
        "figures": _figures(facts),
        "outcomes": outcomes,
        "outcome_bar": charts.shares((tone, licenses) for _, tone, _, licenses, _ in outcomes),
        "reasons": reasons,
        "unapproved": OwnWords.UNAPPROVED,
        "only_later": {each.text for each in reasons} == {OwnWords.LEFT},
        "most_reasons": MOST_REASONS,
        "most_rows": MOST_ROWS,
        "tables": [
            _table("By customer", "Customer", facts.customers, facts.total),
            _table("By product", "Product", facts.products, facts.total),
        ],
        "activations_are": activations_are(facts),
        "turned_are": turned_are(facts),
        "sessions": _sessions(run),
        "session_count": len(run["sessions"]),
        "files": source.files,
        "steps": source.steps,
        "made_at": f"{source.made_at:%d %B %Y, %H:%M UTC}",
        "began": _first(run, "started_at"),
        "ended": _last(run, "finished_at"),
        "span": span,
        "counted": counted,
        "chart_width": charts.WIDTH,
    }


def _kinds(source: Source) -> Iterator[tuple[str, str, str]]:
    """Kinds of runs that have changed nothing, or not come to their end; none for any other run.

    Yields:
        Name of a kind, what it means, and words from elsewhere about it.
    """
    run, action = source.run, source.facts.action
    if run["rehearsal"]:
        name = "Rehearsal of a dry run" if action.is_dry_run else "Rehearsal"
        yield name, "It ran against a sandbox. No license of any account was touched.", ""
    elif action.is_dry_run:
        text = "This is what would happen. Nothing was sent, no license was changed."
        yield "Dry run", text, ""
    last = run["sessions"][-1] if run["sessions"] else {}
    if stopped := STOPPED.get(last.get("exit_code")):
        yield stopped, _left_by(source.facts), str(last.get("why", ""))
    elif source.facts.is_journal or not last.get("finished_at"):
        text = "The run has not come to its end, or not yet. The numbers are those of its journal."
        yield "Unfinished", text, ""


def _left_by(facts: Facts) -> str:
    """Say how many licenses a run that was stopped has not come to."""
    if facts.action.sends:
        count, what = facts.undone, "done"
    else:
        count, what = facts.unattempted, "looked at"
    return f"{counted(count, 'license')} {'is' if count == 1 else 'are'} not {what}."


def _approved(run: Mapping[str, Any]) -> tuple[str, str] | None:
    """Path and SHA-256 of the file that has approved the run, where the manifest names one."""
    found = run["approved"]
    return (str(found.get("path", "")), str(found.get("sha256", ""))) if found else None


def _options(options: Mapping[str, Any]) -> Iterator[str]:
    for name in OPTIONS:
        value = options.get(name)
        if value in (None, False, "", [], ()) or (name, value) == ("by", "id"):
            continue
        flag = f"--{name.replace('_', '-')}"
        for each in value if isinstance(value, (list, tuple)) else (value,):
            yield flag if each is True else f"{flag} {shlex.quote(str(each))}"
    if options.get("look") is False:
        yield "--no-look"


def _figures(facts: Facts) -> list[tuple[str, int | str, str]]:
    """The numbers that stand at the top: name, number, tone."""
    action = facts.action
    found: list[tuple[str, int | str, str]] = [("licenses", facts.meant, "")]
    if action.is_dry_run:
        found.append((f"would be {action.state}", facts.would, "plan"))
    else:
        found.append((str(action.state), facts.so, "good"))
    if action.only_reads:
        found.append((f"not {action.state}", facts.would, "bad" if facts.would else ""))
    if action.sends:
        found.append(("not done", facts.undone, "bad" if facts.undone else ""))
    else:
        found += [(text, count, "bad") for text, count in facts.open.items()]
    if facts.later:
        found.append(("left for later", facts.later, ""))
    if facts.products is not None and (words := activations_are(facts)):
        of_these = "of these licenses were used in the 30 days before"
        for text, number in ((words, facts.total.activations), (of_these, facts.total.lately)):
            least = f"at least {number:,}" if facts.total.unseen else number
            found.append((text, "not known" if facts.total.is_unknown else least, ""))
    return found


def activations_are(facts: Facts) -> str:
    """Say what becomes of the activations in the table; empty where nothing does."""
    action = facts.action
    if action.only_reads:
        return "activations that still work"
    if not action.wanted:
        return ""
    if action.changes is Property.SUSPENDED:  # they stay activated
        return f"activations that {'would be' if action.is_dry_run else 'were'} suspended"
    return f"activations that {'would stop' if action.is_dry_run else 'stopped'} working"


def turned_are(facts: Facts) -> str:
    """Name the licenses that have a number of their own beside that of all, see `Group.turned`."""
    action = facts.action
    if action.is_dry_run:
        return f"would be {action.state}"
    return f"not {action.state}" if action.only_reads else f"{action.state} now"


def _table(title: str, head: str, groups: Groups | None, total: Group) -> dict[str, Any] | None:
    if groups is None:
        return None
    shown = groups.largest()
    others, together = groups.others()
    most = max((each.licenses for each in shown), default=1)
    rows = [(each, charts.WIDTH * each.licenses / most) for each in shown]
    return {"title": title, "head": head, "rows": rows, "others": others, "together": together,
            "total": total}  # fmt: skip


def _first(run: Mapping[str, Any], name: str) -> str:
    return str(run["sessions"][0].get(name, "")) if run["sessions"] else ""


def _last(run: Mapping[str, Any], name: str) -> str:
    return str(run["sessions"][-1].get(name, "")) if run["sessions"] else ""


def _sessions(run: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The last sessions: number, how each ended, and its course."""
    numbered = list(enumerate(run["sessions"], 1))[-MOST_SESSIONS:]
    return [
        {"number": at, "ending": _ending(each), "course": charts.course(each), **each}
        for at, each in numbered
    ]


ENDINGS = {
    0: "finished, all rows done",
    1: "finished, some rows not done",
    2: "refused",
    3: "stopped early",
    129: "ended by a hangup (SIGHUP)",
    130: "interrupted (SIGINT)",
    143: "terminated (SIGTERM)",
}
"""Exit codes in words."""

STOPPED: Mapping[object, str] = {
    3: "Stopped early",
    129: "Hung up",
    130: "Interrupted",
    143: "Terminated",
}
"""Exit codes of runs that did not come to their end, in short."""


def _ending(session: Mapping[str, Any]) -> str:
    code = session.get("exit_code")
    if code is None:
        return "without an orderly end, or still at work"
    text = ENDINGS.get(code, "ended")
    return f"{text} (exit {code})"
