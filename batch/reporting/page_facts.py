"""The facts of a run that its page shows: counted from its results, row by row, and pure.

Neither a license key nor a server's words are among them, since the page goes to many hands: what
went wrong is said by outcome, status and code, as a log says it.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from batch.columns import DETAILS, names_keys
from batch.formatting import epoch_seconds, in_use_since, uncell
from batch.model import (
    ACTIONS,
    REVOKE,
    UNFINISHED,
    Action,
    Outcome,
    OwnWords,
    Property,
    parse_id,
)
from batch.reporting.summary import done_outcomes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


MOST_NAMES = 20_000
"""Names of products, or customers, that are kept; licenses of later ones are counted together."""

MOST_GROUPS = 20
"""Products, or customers, that are shown one by one."""

MOST_REASONS = 12
"""Reasons that are shown with rows."""

MOST_ROWS = 200
"""Rows that are shown of one reason."""

MOST_TEXTS = 100
"""Reasons that are told apart."""

ELSEWHERE = "see the results file"
"""Why a row is not done, where we have no words of our own."""

OWN_WORDS = frozenset(OwnWords)
"""What may be shown as it stands in the results."""

CAUSES = {
    "timeout": "no answer in time",
    "connection": "no connection",
    "tls": "no secure connection",
    "bad_body": "an answer that is not the API's",
    "wrong_id": "an answer about another license",
    "not_confirmed": "the answer did not confirm it",
    "key_not_found": "no license has this key",
    "key_ambiguous": "more than one license may be meant by this key",
    "forbidden": "the token may not do it",
    "breaker": "the server was down",
}
"""Our own codes, in words."""

SAID = {
    Outcome.NOT_FOUND: "no such license in this account",
    Outcome.INVALID: "the cell holds no license",
    Outcome.NOT_ATTEMPTED: "not sent: the run ended before it",
    Outcome.PLANNED: "planned, and not settled yet",
    Outcome.UNKNOWN: "may have been applied; it is not known how it stands",
    Outcome.NOT_REVOKED: "is not revoked",
    Outcome.NOT_SUSPENDED: "is not suspended",
    Outcome.EXCLUDED: "left alone on purpose",
}
"""What an outcome says by itself of a row that is not done."""

UNREAD = "could not be read"
UNSEEN = "not looked at"
"""What is said of a row that a verify or a dry run could not read, or has not come to."""

_CODE = re.compile(r"[A-Za-z][A-Za-z_]{0,40}")


@dataclass(slots=True)
class Group:
    """The licenses of one product, or of one customer.

    Attributes:
        name: Its name; empty for licenses of which it is not told.
        licenses: All that are meant.
        turned: Those that this is about: turned by the run, or found as they should not be.
        activations: How many activations these had when the run looked.
        lately: How many of these were used in the thirty days before the run.
        seen: Those turned of which the look has seen this.
        unseen: Licenses that it has not seen, and that are turned, or may be.
    """

    name: str
    licenses: int = 0
    turned: int = 0
    activations: int = 0
    lately: int = 0
    seen: int = 0
    unseen: int = 0

    def add(self, other: Group) -> None:
        """Count another one to this one."""
        self.licenses += other.licenses
        self.turned += other.turned
        self.activations += other.activations
        self.lately += other.lately
        self.seen += other.seen
        self.unseen += other.unseen

    @property
    def is_unknown(self) -> bool:
        """Tell whether none of the licenses was seen whose activations would be counted."""
        return self.unseen > 0 and not self.seen


@dataclass(slots=True)
class Groups:
    """Licenses by the name in a column, of which `MOST_NAMES` are kept.

    Attributes:
        named: Groups by their name.
        rest: What comes after `MOST_NAMES` of them.
    """

    named: dict[str, Group] = field(default_factory=dict)
    rest: Group = field(default_factory=lambda: Group(""))

    def of(self, name: str) -> Group:
        """The group of this name, or `rest` if no more names are kept."""
        found = self.named.get(name)
        if found is None:
            if len(self.named) >= MOST_NAMES:
                return self.rest
            found = self.named[name] = Group(name)
        return found

    def largest(self) -> list[Group]:
        """Groups that are shown one by one, the largest first; the one without a name is last."""
        found = sorted(
            self.named.values(), key=lambda each: (not each.name, -each.licenses, each.name)
        )
        return found[:MOST_GROUPS]

    def others(self) -> tuple[int, Group]:
        """The groups that `largest` leaves out: their number, and all of them added up.

        The licenses whose names were not kept (`rest`) are one group more.
        """
        shown = {each.name for each in self.largest()}
        left = [each for name, each in self.named.items() if name not in shown]
        together = replace(self.rest)
        for each in left:
            together.add(each)
        return len(left) + (self.rest.licenses > 0), together


@dataclass(slots=True)
class Reason:
    """The rows that are not done for one reason.

    Attributes:
        outcome: Their outcome.
        text: The reason, in our own words.
        licenses: Licenses among them.
        rows: How many they are.
        first: The first of them: row number, license ID or empty, attempts.
    """

    outcome: Outcome
    text: str
    licenses: int = 0
    rows: int = 0
    first: list[tuple[str, str, str]] = field(default_factory=list)


@dataclass(slots=True)
class Facts:
    """The facts of a run.

    Attributes:
        action: What was wanted of each license.
        done: Outcomes with which a row is done.
        rows: Rows by outcome.
        licenses: Licenses by outcome; those that ``--where`` does not select are left out.
        unselected: Rows that ``--where`` does not select.
        later: Licenses that ``--limit`` has left for later, on purpose.
        reasons: Rows that are not done, by outcome and reason.
        left_alone: Licenses that are excluded, by reason.
        products: By product; None where the results have no such column.
        customers: By customer, likewise.
        total: All licenses that are meant, as a group.
    """

    action: Action
    done: frozenset[Outcome]
    rows: Counter[Outcome] = field(default_factory=Counter)
    licenses: Counter[Outcome] = field(default_factory=Counter)
    unselected: int = 0
    later: int = 0
    reasons: dict[tuple[Outcome, str], Reason] = field(default_factory=dict)
    left_alone: Counter[str] = field(default_factory=Counter)
    products: Groups | None = None
    customers: Groups | None = None
    total: Group = field(default_factory=lambda: Group(""))

    @property
    def meant(self) -> int:
        """Licenses that the run is about, those that are left alone included."""
        return self.licenses.total()

    @property
    def so(self) -> int:
        """Licenses that are as they are to be."""
        return sum(self.licenses[each] for each in {self.action.on_success, self.action.unchanged})

    @property
    def would(self) -> int:
        """Licenses that a dry run would turn, or that a verify has found not to be so."""
        return self.licenses[self.action.in_dry_run]

    @property
    def undone(self) -> int:
        """Licenses that are not done, and were not left for later on purpose."""
        names = self.licenses.keys() - self.done
        return sum(self.licenses[name] for name in names) - self.later

    @property
    def unattempted(self) -> int:
        """Licenses that the run has not come to, and was to come to."""
        return self.licenses[Outcome.NOT_ATTEMPTED] + self.licenses[Outcome.PLANNED] - self.later

    @property
    def open(self) -> dict[str, int]:
        """Licenses of which a dry run or a verify could not say more, by the words for that."""
        counts = self.licenses
        found = {
            UNREAD: counts[Outcome.UNKNOWN] + counts[Outcome.FAILED],
            UNSEEN: self.unattempted,
            "not found": 0 if Outcome.NOT_FOUND in self.done else counts[Outcome.NOT_FOUND],
        }
        return {text: count for text, count in found.items() if count}

    @property
    def is_journal(self) -> bool:
        """Tell whether the run has not come to its end, or not yet."""
        return self.rows[Outcome.PLANNED] > 0


def action_of(run: Mapping[str, Any], changes: Property) -> Action:
    """Return the action of a run.

    Args:
        run: Its manifest.
        changes: The property that its results are about.
    """
    command, options = run["command"], run["options"]
    action = ACTIONS.get(command, REVOKE)
    if action.only_reads or not action.wanted:
        action = action.about(changes)
    return action.dry_run() if options.get("dry_run") else action


def without_keys(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a run as they may be shown: a condition on a column of keys names none.

    A column that is named by its number may be one; and any column, where that of the keys is.
    """
    of_keys = str(options.get("column") or "").strip() if options.get("by") == "key" else ""
    shown = []
    for each in options.get("where") or ():
        column = str(each).partition("=")[0].strip()
        may_hold_keys = names_keys(column) or column.isdigit() or column == of_keys
        may_hold_keys |= of_keys.isdigit()
        shown.append(f"{column}=…" if may_hold_keys else str(each))
    return {**options, "where": shown}


def gather(
    header: Sequence[str], lines: Iterable[Sequence[str]], action: Action, run: Mapping[str, Any]
) -> Facts:
    """Count the rows of a run.

    Args:
        header: The columns of its results; which of them are there differs between versions.
        lines: The cells of each row, in the order of the input; some at its end may be missing.
        action: What it wanted.
        run: Its manifest.
    """
    missing_ok = bool(run["options"].get("missing_ok"))
    facts = Facts(action, done_outcomes(action, missing_ok=missing_ok))
    # Carried columns may have the names of ours.
    has_details = run["results"].get("details") is True
    own = header[: header.index("duplicate_of") + 1 + len(DETAILS) * has_details]
    place = {name: at for at, name in enumerate(own)}
    if has_details:
        facts.products, facts.customers = Groups(), Groups()
    since = in_use_since(_began(run))
    width = len(own)
    for line in lines:
        cells = line if len(line) >= width else [*line, *[""] * (width - len(line))]
        outcome = Outcome(cells[place["outcome"]])
        text = cells[place["error"]]
        facts.rows[outcome] += 1
        if outcome is Outcome.EXCLUDED and text == OwnWords.UNSELECTED:
            facts.unselected += 1
            continue
        is_first = outcome is not Outcome.INVALID and not cells[place["duplicate_of"]]
        facts.licenses[outcome] += is_first
        facts.later += is_first and text == OwnWords.LEFT and outcome is Outcome.NOT_ATTEMPTED
        if outcome not in facts.done:
            _note(facts, outcome, cells, place, is_first=is_first)
        if not is_first:
            continue
        if outcome is Outcome.EXCLUDED:
            facts.left_alone[text if text in OWN_WORDS else SAID[outcome]] += 1
        _classify(facts, outcome, cells, place, since)
    return facts


def _began(run: Mapping[str, Any]) -> float:
    """When a run began, in seconds since 1970; for ever ago where that cannot be told."""
    first = (run["sessions"] or [{}])[0]
    return epoch_seconds(first.get("started_at")) or float("-inf")


def _classify(
    facts: Facts,
    outcome: Outcome,
    cells: Sequence[str],
    place: Mapping[str, int],
    since: float,
) -> None:
    """Count a license by its product and its customer."""
    action = facts.action
    counted = action.on_success if action.sends else action.in_dry_run
    one = Group("", licenses=1, turned=outcome is counted)
    if facts.products is not None and facts.customers is not None:
        is_seen = any(cells[place[name]] for name in DETAILS)
        one.seen = one.turned and is_seen
        one.unseen = not is_seen and (one.turned or _may_count(action, outcome, cells, place))
        if one.turned:
            number = cells[place["activations"]]
            one.activations = int(number) if number.isascii() and number.isdigit() else 0
            used = epoch_seconds(cells[place["last_used_at"]])
            one.lately = used is not None and used >= since
        facts.products.of(uncell(cells[place["product_id"]])).add(one)
        names = (cells[place[name]] for name in ("company", "organization", "user_email"))
        facts.customers.of(uncell(next(filter(None, names), ""))).add(one)
    facts.total.add(one)


def _may_count(
    action: Action, outcome: Outcome, cells: Sequence[str], place: Mapping[str, int]
) -> bool:
    """Tell whether a license may belong to those that are counted, but nobody could tell."""
    if action.sends or outcome is Outcome.UNKNOWN:
        return outcome is Outcome.UNKNOWN
    is_left = cells[place["error"]] == OwnWords.LEFT
    return outcome is Outcome.FAILED or (outcome is Outcome.NOT_ATTEMPTED and not is_left)


def _note(
    facts: Facts,
    outcome: Outcome,
    cells: Sequence[str],
    place: Mapping[str, int],
    *,
    is_first: bool,
) -> None:
    """Count a row that is not done to its reason."""
    text = reason_of(
        outcome,
        cells[place["error"]],
        cells[place["error_code"]],
        cells[place["http_status"]],
        sends=facts.action.sends,
    )
    if len(facts.reasons) >= MOST_TEXTS:  # a server may invent a code for every license
        text = text if (outcome, text) in facts.reasons else ELSEWHERE
    reason = facts.reasons.setdefault((outcome, text), Reason(outcome, text))
    reason.rows += 1
    reason.licenses += is_first
    if len(reason.first) < MOST_ROWS:
        name = cells[place["license_id"]]
        shown = name if parse_id(name) and outcome is not Outcome.INVALID else ""
        reason.first.append((cells[place["row"]], shown, cells[place["attempts"]]))


def reason_of(outcome: Outcome, error: str, code: str, status: str, *, sends: bool = True) -> str:
    """Why a row is not done, in our own words: a server's may hold a license key.

    Args:
        outcome: Its outcome.
        error: What the results say of it.
        code: The code of the last attempt, or empty.
        status: The HTTP status of the last attempt, or empty.
        sends: Whether the run was to change anything.
    """
    if error in OWN_WORDS:
        return error
    cause = CAUSES.get(code, "")
    if outcome is Outcome.NOT_ATTEMPTED and not sends:
        return f"{UNSEEN}: the run ended before it"
    if outcome in SAID and (outcome is not Outcome.UNKNOWN) and code != "key_not_found":
        return SAID[outcome]
    if not cause and status.isascii() and status.isdigit():
        cause = f"HTTP {status[:3]}"
        if _CODE.fullmatch(code) and not code.startswith("http"):
            cause += f", {code}"
    if outcome is Outcome.UNKNOWN or (outcome is Outcome.FAILED and not sends):
        said = SAID[outcome] if sends else UNREAD
        return f"{said}: {cause}" if cause else said
    return cause or ELSEWHERE


def headline(facts: Facts) -> str:
    """Say in one sentence what has happened."""
    action, total = facts.action, facts.meant
    if action.is_dry_run:
        text = f"{_of(facts.would, total)} would be {action.state}"
        return "; ".join([text, *_otherwise(facts), *_open(facts), *_later(facts)])
    if action.only_reads:
        return _of_verify(facts)
    begun = "So far " if facts.is_journal else ""
    if facts.so == total > 0:
        return f"{_all(total)} {action.state}"
    verb = "is" if facts.so == 1 else "are"
    text = f"{begun}{_of(facts.so, total)} {verb} {action.state}"
    rest = facts.undone
    parts = [f"{rest:,} {'is' if rest == 1 else 'are'} not"] * (rest > 0)
    return "; ".join([text, *parts, *_later(facts), *_otherwise(facts)])


_SETTLED_OTHERWISE = (
    (Outcome.EXCLUDED, "is left alone", "are left alone"),
    (Outcome.NOT_FOUND, "does not exist", "do not exist"),
    (Outcome.ALREADY_REVOKED, "is revoked already", "are revoked already"),
    (Outcome.ALREADY_SUSPENDED, "is suspended already", "are suspended already"),
    (Outcome.ALREADY_RESTORED, "is restored already", "are restored already"),
)
"""Outcomes with which a license is done, and not as it was to be."""


def _otherwise(facts: Facts) -> list[str]:
    """Count licenses that are done, and yet were not turned, by the reason."""
    action = facts.action
    wanted = set() if action.is_dry_run else {action.on_success, action.unchanged}
    found = []
    for outcome, one, more in _SETTLED_OTHERWISE:
        count = facts.licenses[outcome] if outcome in facts.done - wanted else 0
        if count:
            found.append(f"{count:,} {one if count == 1 else more}")
    return found


def _of_verify(facts: Facts) -> str:
    action, total, drift = facts.action, facts.meant, facts.would
    if facts.so == total > 0:
        return f"{_all(total)} {action.state}"
    verb = "is" if facts.so == 1 else "are"
    text = f"{_of(facts.so, total)} {verb} {action.state}"
    parts = [f"{drift:,} {'is' if drift == 1 else 'are'} not"] * (drift > 0)
    return "; ".join([text, *parts, *_open(facts), *_otherwise(facts)])


def _open(facts: Facts) -> list[str]:
    return [f"{count:,} {text}" for text, count in facts.open.items()]


def _later(facts: Facts) -> list[str]:
    verb = "is" if facts.later == 1 else "are"
    return [f"{facts.later:,} {verb} left for later"] * (facts.later > 0)


def _of(some: int, total: int) -> str:
    return f"{some:,} of {total:,} license{'' if total == 1 else 's'}"


def _all(total: int) -> str:
    return "The one license is" if total == 1 else f"All {total:,} licenses are"


def is_turned(facts: Facts) -> bool:
    """Tell whether the run has changed anything that can be taken back."""
    action = facts.action
    return action.sends and action.wanted and facts.licenses[action.on_success] > 0


def is_open(facts: Facts) -> bool:
    """Tell whether another session would have something to do."""
    return facts.action.sends and not (UNFINISHED | {Outcome.PLANNED}).isdisjoint(facts.rows)
