"""A plan in numbers and names, as a person is shown it before the question and at a dry run.

Everything is counted in licenses, each once, except the rows of the input: a row that repeats a
license is counted where the rows are.
"""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from dataclasses import dataclass
from heapq import nlargest
from textwrap import wrap
from typing import TYPE_CHECKING

from batch.errors import told
from batch.formatting import counted, duration, plain
from batch.input.header import shown
from batch.input.selection import values_seen
from batch.job.plan import LEFT, LIFTED, Plan
from batch.model import ID_BYTES, Listing, Outcome, Property, RowResult

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from batch.job.snapshot import Snapshot
    from batch.settings import Settings


MOST = 10
"""Products, types or licenses that are named in one place; the rest is counted."""

RECENT = 2 * 86_400.0
"""Seconds since its creation for which a license is pointed out."""

SHARE = 95
"""Per cent of the licenses, all of one product, that make another product look like a mistake."""

WIDTH, INDENT = 80, 10
"""Columns of a terminal, and of the labels at its margin."""

_EARLIER = "done in an earlier session of this run"
_REASONS = {
    Outcome.ALREADY_REVOKED: "already revoked",
    Outcome.ALREADY_SUSPENDED: "already suspended",
    Outcome.ALREADY_RESTORED: "already restored",
    Outcome.REVOKED: _EARLIER,
    Outcome.SUSPENDED: _EARLIER,
    Outcome.RESTORED: _EARLIER,
    Outcome.NOT_FOUND: "not found",
    Outcome.EXCLUDED: "excluded",
    Outcome.UNKNOWN: "could not be read",
    Outcome.FAILED: "could not be looked up",
}
"""Outcome to the reason why nothing is sent for a license."""


@dataclass(frozen=True, slots=True)
class _Words:
    """Words that are said of one action and of no other.

    Attributes:
        columns: Heads of the numbers of each product, as far as they are shown.
        effect: What one activation does, and what several do; empty where they do nothing.
        unseen: What is not known of licenses that nobody has looked at.
        consequences: What follows, for whom; a line each.
    """

    columns: tuple[str, ...]
    effect: tuple[str, ...]
    unseen: str
    consequences: tuple[str, ...]


_WORDS = {
    ("run", Property.REVOKED): _Words(
        columns=("licenses", "current", "expired", "activations"),
        effect=("stops working", "stop working"),
        unseen="it is not known which are revoked already, nor what will stop working",
        consequences=(
            "Applications notice at their next server sync. Restoring a license makes",
            "its users activate again.",
        ),
    ),
    ("suspend", Property.SUSPENDED): _Words(
        columns=("licenses", "current", "expired", "activations"),
        effect=("is told that it is suspended", "are told that they are suspended"),
        unseen="it is not known which are suspended already, nor who will be told",
        consequences=(
            "Applications are told at their next server sync, and stay activated.",
            "Once it is taken back, nobody has to activate again.",
        ),
    ),
    ("restore", Property.SUSPENDED): _Words(
        columns=("licenses", "current", "expired"),
        effect=(),
        unseen="it is not known which are suspended now",
        consequences=("Applications go on at their next server sync; nobody activates again.",),
    ),
    ("restore", Property.REVOKED): _Words(
        columns=("licenses", "current", "expired"),
        effect=(),
        unseen="it is not known which are revoked now",
        consequences=(
            "Users of these licenses must activate again: this does not happen by itself.",
        ),
    ),
}
"""By the command of an action, and what it changes."""


def preview(plan: Plan, settings: Settings, *, place: str, seconds: float, now: float) -> str:
    """Say what is about to happen, where, how fast and with what consequences.

    Args:
        plan: What is about to happen, or would in a dry run.
        settings: How.
        place: Name of the installation.
        seconds: The shortest time it can take.
        now: Seconds since 1970.
    """
    action, affected = plan.action, plan.affected
    words = _WORDS[action.command, action.changes]
    verb = f"{action.verb}:" if action.sends else f"would {action.verb}:"
    others = _others(plan)
    results = _line("results:", str(settings.output))
    lines = _input(plan.listing, now) + _protected(plan)
    if not affected:
        lines += [_line(verb, f"nothing at {place}{_why_nothing(others)}"), results]
        return "\n".join(lines)
    lines.append(_line(verb, f"{counted(len(affected), 'license')} at {place}"))
    if settings.sandbox:
        lines.append(_line("", "A rehearsal: what follows is invented, your account is not asked."))
    lines += _what_stays(plan)
    lines += [_line("others:", _listed(others))] if others else []
    lines += _found(plan, words, now)
    lines += [_line("rate:", f"{_pace(settings)}, at least {duration(seconds)}"), results]
    if not settings.sandbox:
        lines += [_line("", text) for text in words.consequences]
    return "\n".join(lines)


def taken(plan: Plan) -> str:
    """Say what a verify is about, which has no plan to decide on."""
    lines = [_line("input:", plan.listing.title), *_left_out(plan.listing), *_where(plan.listing)]
    lines += _protected(plan)
    if not plan.known:
        lines.append("warning: the account knows none of these licenses: is it the right one?")
    return "\n".join(lines)


def _input(listing: Listing, now: float) -> list[str]:
    """Return lines on what was read: licenses, and rows only where their number is another."""
    licenses = len(listing.distinct())
    return [
        _line("input:", listing.title),
        _line("", f"{counted(licenses, 'license')}{_aside(listing, licenses)}"),
        *_suspended(listing, now),
        *_left_out(listing),
        *_where(listing),
    ]


def _suspended(listing: Listing, now: float) -> list[str]:
    """Return a line on how long ago the licenses of a suspension were suspended."""
    if listing.suspended_at is None:
        return []
    first, last = (now - moment for moment in listing.suspended_at)
    if first < last:  # no row tells
        return [_line("", "suspended; when, the results do not tell")]
    spans = dict.fromkeys((_span(last), _span(first)))
    return [_line("", f"suspended {' to '.join(spans)} ago")]


def _span(seconds: float) -> str:
    days = int(seconds // 86_400)
    return counted(days, "day") if days else duration(max(0.0, seconds))


def _left_out(listing: Listing) -> list[str]:
    if not listing.left_out:
        return []
    left_out = ", ".join(f"{count:,} {name}" for name, count in listing.left_out.items())
    return [_line("", f"left out, by their outcome in the earlier run: {left_out}")]


def _where(listing: Listing) -> list[str]:
    """Return lines on what stands in the columns of ``--where``, and what that selects."""
    lines = []
    for condition, counts in listing.where.items():
        rows = f"{counts[condition.value]:,} of {counted(counts.total(), 'row')}"
        values = values_seen(counts, condition.value)
        text = f"{shown(str(condition))}: {rows}. The column holds {values}"
        label, *more = wrap(text, WIDTH - INDENT, break_long_words=False, break_on_hyphens=False)
        lines += [_line("where:", label), *(_line("", each) for each in more)]
    return lines


def _protected(plan: Plan) -> list[str]:
    """Return lines on what each file of ``--exclude`` protects.

    One that protects nothing may be the wrong one: there is a warning.
    """
    lines = []
    for index, file in enumerate(plan.exclusion):
        entries = sorted(entry for entry, by in plan.excluded.items() if index in by)
        told = f"{plain(file.path)}: {counted(file.rows, 'row')}, "
        if not entries:
            lines.append(f"warning: --exclude {told}protects no license of this list")
            continue
        lines.append(_line("exclude:", f"{told}protects {counted(len(entries), 'license')}:"))
        lines += _named(plan.listing, ((entry, "") for entry in entries[:MOST]))
        if len(entries) > MOST:
            lines.append(f"  and {len(entries) - MOST:,} more")
    return lines


def _aside(listing: Listing, licenses: int) -> str:
    """Return what there is beside licenses, each once, in brackets; empty if there is nothing."""
    unselected, blank = sum(listing.unselected), listing.blank
    invalid = sum(map(listing.is_selected, listing.invalid))
    repeated = len(listing) - unselected - invalid - licenses
    rows = f"{counted(len(listing), 'row')}: " if repeated or invalid or unselected else ""
    parts = []
    if unselected:
        parts.append(f"{unselected:,} not selected by --where")
    if repeated:
        parts.append(f"{repeated:,} {'repeats' if repeated == 1 else 'repeat'} a license")
    if invalid:
        verbs = ("holds", "is") if invalid == 1 else ("hold", "are")
        what = "key" if listing.keys else "ID"
        parts.append(f"{invalid:,} {verbs[0]} no license {what} and {verbs[1]} skipped")
    if blank:
        parts.append(f"{counted(blank, 'blank row')} not counted")
    return f" ({rows}{'; '.join(parts)})" if parts else ""


def _others(plan: Plan) -> Counter[str]:
    """The licenses that nothing is sent for, by the reason."""
    found = Counter(
        _reason(result)
        for entry, (first, result) in enumerate(
            zip(plan.listing.first, plan.row_results, strict=True)
        )
        if entry == first and plan.listing.is_selected(entry)
    )
    del found[""]
    return found


def _reason(result: RowResult | None) -> str:
    """Return why nothing is sent for a license; empty if something is, or if its row holds none."""
    if result is None:
        return _EARLIER
    if result.outcome is Outcome.NOT_ATTEMPTED:
        return LEFT.error if result is LEFT else f"not attempted ({result.error})"
    return LIFTED.error if result is LIFTED else _REASONS.get(result.outcome, "")


def _why_nothing(others: Counter[str]) -> str:
    if not others:
        return ""
    alike = len(others) == 1 and others.total() > 1
    return f": {'all ' if alike else ''}{_listed(others)}"


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{count:,} {reason}" for reason, count in counts.most_common())


def _what_stays(plan: Plan) -> list[str]:
    """Return a line on licenses of a restore that have the other property, which it leaves."""
    if plan.action.wanted:
        return []
    count = sum(map(plan.snapshot.others.__getitem__, plan.affected))
    if not count:
        return []
    verbs = ("is", "stays") if count == 1 else ("are", "stay")
    other = plan.action.changes.other
    return [_line("", f"{count:,} of them {verbs[0]} {other} as well, and {verbs[1]} so")]


def _found(plan: Plan, words: _Words, now: float) -> list[str]:
    """Return lines on what the look says of the licenses that are sent."""
    snapshot = plan.snapshot
    known = array("I", (entry for entry in plan.affected if snapshot.value(entry) is not None))
    unseen = len(plan.affected) - len(known)
    lines = []
    if unseen:
        lines += [_line("not seen:", _why_unseen(plan, unseen)), _line("", words.unseen)]
    if known:
        products = _by_product(snapshot, known, now)
        if words.effect:
            lines += _activations(plan, known, words, unseen)
        lines += _table(snapshot, products, words.columns)
        lines.append(_line("by type:", _by_type(snapshot, known)))
        lines += _look_twice(plan, known, products, now)
        lines += _contradicted(plan)
    return lines


def _why_unseen(plan: Plan, count: int) -> str:
    snapshot = plan.snapshot
    if not snapshot.looked:
        return "nothing was looked at (--no-look):"
    if snapshot.off and count == len(plan.affected):
        return f"nothing could be looked at ({plain(told(snapshot.off)).rstrip('.')}):"
    return f"{count:,} could not be read and will be sent all the same:"


def _by_product(snapshot: Snapshot, entries: array[int], now: float) -> dict[int, list[int]]:
    """Licenses, current ones, expired ones and activations by product, most licenses first."""
    found: defaultdict[int, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    products, expires, activations = snapshot.products, snapshot.expires, snapshot.activations
    for entry in entries:
        sums = found[products[entry]]
        sums[0] += 1
        sums[2 if expires[entry] <= now else 1] += 1
        sums[3] += activations[entry]
    return dict(sorted(found.items(), key=lambda item: -item[1][0]))


def _table(snapshot: Snapshot, products: dict[int, list[int]], columns: Sequence[str]) -> list[str]:
    rows = [(f"  {_told(snapshot.product_ids[at])}", sums) for at, sums in products.items()]
    if more := rows[MOST:]:
        sums = [sum(numbers) for numbers in zip(*(sums for _, sums in more), strict=True)]
        rows[MOST:] = [(f"  and {counted(len(more), 'more product')}", sums)]
    texts = [columns, *([f"{number:,}" for number in sums[: len(columns)]] for _, sums in rows)]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    labels = ["by product:", *(label for label, _ in rows)]
    return [
        f"{label:<38}  {'  '.join(map(str.rjust, numbers, widths))}"
        for label, numbers in zip(labels, texts, strict=True)
    ]


def _by_type(snapshot: Snapshot, entries: array[int]) -> str:
    types = Counter(map(snapshot.types.__getitem__, entries)).most_common()
    parts = [f"{_told(snapshot.type_names[kind])} {count:,}" for kind, count in types[:MOST]]
    if more := types[MOST:]:
        parts.append(f"{counted(len(more), 'more type')} {sum(count for _, count in more):,}")
    return ", ".join(parts)


def _activations(plan: Plan, entries: array[int], words: _Words, unseen: int) -> list[str]:
    activations = plan.snapshot.activations
    total = sum(map(activations.__getitem__, entries))
    if not total:
        return [_line("activations:", "none known of" if unseen else "none")]
    most = nlargest(MOST + 1, entries, key=activations.__getitem__)
    complete = len(most) <= MOST or not activations[most[MOST]]
    which = "the licenses that have them" if complete else "the licenses with most of them"
    amount = f"{'at least ' if unseen else ''}{total:,} {words.effect[total != 1]}"
    width = len(f"{activations[most[0]]:,}")
    notes = [
        (entry, f"{number:>{width},} activation{'' if number == 1 else 's'}")
        for entry in most[:MOST]
        if (number := activations[entry])
    ]
    return [_line("activations:", f"{amount}; {which}:"), *_named(plan.listing, notes)]


def _contradicted(plan: Plan) -> list[str]:
    """Licenses beside whose ID the list has the key of another one."""
    contradicted = plan.snapshot.contradicted
    found = sorted(contradicted.intersection(plan.affected)) if contradicted else []
    if not found:
        return []
    verb = "has" if len(found) == 1 else "have"
    lines = [
        f"warning: {counted(len(found), 'license')} {verb} another key than the list has",
        "         beside the ID: was a column sorted by itself? The ID counts:",
        *_named(plan.listing, ((entry, "") for entry in found[:MOST])),
    ]
    if len(found) > MOST:
        lines.append(f"  and {len(found) - MOST:,} more")
    return lines


def _look_twice(
    plan: Plan, entries: array[int], products: dict[int, list[int]], now: float
) -> list[str]:
    """The licenses that may have got into the list by mistake."""
    snapshot = plan.snapshot
    main, (count, *_) = next(iter(products.items()))
    strangers: list[int] = []
    if 100 * count >= SHARE * len(entries):
        strangers = [entry for entry in entries if snapshot.products[entry] != main]
    recent = array("I", (entry for entry in entries if now - snapshot.created[entry] < RECENT))
    if not (strangers or recent):
        return []
    notes = [(entry, f"product {_told(snapshot.product(entry))}") for entry in strangers[:MOST]]
    notes += [
        (entry, f"created {duration(max(0.0, now - snapshot.created[entry]))} ago")
        for entry in nlargest(MOST, recent, key=snapshot.created.__getitem__)
    ]
    lines = ["look twice:", *_named(plan.listing, notes)]
    if len(strangers) > MOST:
        lines.append(f"  and {len(strangers) - MOST:,} more of other products")
    if len(recent) > MOST:
        lines.append(f"  and {len(recent) - MOST:,} more created in the last two days")
    return lines


def _named(listing: Listing, notes: Iterable[tuple[int, str]]) -> list[str]:
    """A line for each of some licenses: its row, its ID (never its key) and what is said of it."""
    rows = [(f"row {listing.rows[entry]}", entry, note) for entry, note in notes]
    width = max(len(row) for row, *_ in rows)
    return [
        f"  {row:<{width}}  {_id(listing, entry)}  {note}".rstrip() for row, entry, note in rows
    ]


def _id(listing: Listing, entry: int) -> str:
    """The ID of a license; empty where it is listed by its key and was not looked up."""
    known = any(listing.ids[ID_BYTES * entry : ID_BYTES * (entry + 1)])
    return listing.license_id(entry) if known else ""


def _told(name: str) -> str:
    return plain(name) or "not told"


def _pace(settings: Settings) -> str:
    rate = settings.rate
    if rate.limit is None:
        return f"no limit, {settings.concurrency} at a time"
    return f"{rate.limit} requests in any {rate.period:.9g} s"


def _line(label: str, text: str) -> str:
    return f"{label:<9} {text}"
