"""A plan in numbers and names, as a person is shown it before the question and at a dry run.

Everything is counted in licenses, each once, except the rows of the input: a row that repeats a
license is counted where the rows are.
"""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from heapq import nlargest
from itertools import chain
from math import inf
from typing import TYPE_CHECKING

from batch.columns import names_keys
from batch.errors import told
from batch.formatting import counted, duration, in_use_since, plain, shortened
from batch.input.messages import shown
from batch.input.selection import values_seen
from batch.job.plan import LEFT, LIFTED, UNAPPROVED, Plan
from batch.model import ID_BYTES, Condition, Listing, Outcome, Property, RowResult
from batch.reporting.style import WIDEST, fold

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from batch.job.snapshot import Snapshot
    from batch.settings import Settings


MOST = 10
"""Products, types or licenses that are named in one place; the rest is counted."""

STEPS = (1, 2, 3, 5, MOST)
"""How many are named of each kind, as long as there is room on the terminal."""

FEWEST = 2
"""Values of a column that are shown however little room there is: the one that is meant, and what
looks most like it."""

LONGEST_NAME = 20
"""Characters of a name that are shown beside a license."""

SHORTEST_NAME = 6
"""Characters below which no part of a name says anything."""

PRODUCT = 38
"""Columns of a product ID, its margin included."""

QUESTION = 2
"""Lines of a terminal that the question and its answer take."""

RECENT = 2 * 86_400.0
"""Seconds since its creation for which a license is pointed out."""

SHARE = 95
"""Per cent of the licenses, all of one product, that make another product look like a mistake."""

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
        consequences: What follows, for whom.
    """

    columns: tuple[str, ...]
    effect: tuple[str, ...]
    unseen: str
    consequences: str


_WORDS = {
    ("run", Property.REVOKED): _Words(
        columns=("licenses", "current", "expired", "activations"),
        effect=("stops working", "stop working"),
        unseen="it is not known which are revoked already, nor what will stop working",
        consequences="Applications notice at their next server sync. Restoring a license makes its "
        "users activate again.",
    ),
    ("suspend", Property.SUSPENDED): _Words(
        columns=("licenses", "current", "expired", "activations"),
        effect=("is suspended", "are suspended"),
        unseen="it is not known which are suspended already, nor who will be told",
        consequences="Applications are told at their next server sync, and stay activated. Once it "
        "is taken back, nobody has to activate again.",
    ),
    ("restore", Property.SUSPENDED): _Words(
        columns=("licenses", "current", "expired"),
        effect=(),
        unseen="it is not known which are suspended now",
        consequences="Applications go on at their next server sync; nobody activates again.",
    ),
    ("restore", Property.REVOKED): _Words(
        columns=("licenses", "current", "expired"),
        effect=(),
        unseen="it is not known which are revoked now",
        consequences="Users of these licenses must activate again: this does not happen by itself.",
    ),
}
"""By the command of an action, and what it changes."""


_Part = Callable[[int], list[str]]
"""Lines of a preview, in which at most so many of a kind are named."""


def preview(
    plan: Plan,
    settings: Settings,
    *,
    place: str,
    seconds: float,
    now: float,
    warning: str = "",
    columns: int = WIDEST,
    lines: float = inf,
) -> str:
    """Say what is about to happen, where, how fast and with what consequences.

    Args:
        plan: What is about to happen, or would in a dry run.
        settings: How.
        place: Name of the installation.
        seconds: The shortest time it can take.
        now: Seconds since 1970.
        warning: What is to be known beside the plan, or empty.
        columns: Characters of a line.
        lines: Lines into which it must fit together with the question.
    """
    parts = list(_parts(plan, settings, columns, place=place, seconds=seconds, now=now))
    parts += [_always(f"warning: {warning}")] if warning else []
    blocks = [part(0) for part in parts]
    for most in STEPS if lines < inf else (MOST,):
        for at, part in enumerate(parts):
            more = [*blocks[:at], part(most), *blocks[at + 1 :]]
            if _height(more, columns) + QUESTION <= lines:
                blocks = more
    return "\n".join(chain.from_iterable(blocks))


def _height(parts: Iterable[list[str]], columns: int) -> int:
    """Lines that some parts take on a terminal."""
    return sum(len(fold(line, columns)) for part in parts for line in part)


def _parts(
    plan: Plan, settings: Settings, columns: int, *, place: str, seconds: float, now: float
) -> Iterator[_Part]:
    action, affected = plan.action, plan.affected
    words = _WORDS[action.command, action.changes]
    verb = f"{action.verb}:" if action.sends else f"would {action.verb}:"
    others = _others(plan)
    yield from map(_always, _input(plan.listing, now))
    yield from _where(plan.listing)
    yield from _protected(plan, columns)
    yield from _approved(plan, columns, settings)
    results = _always(_line("results:", str(settings.output)))
    if not affected:
        yield _always(_line(verb, f"nothing at {place}{_why_nothing(others)}"))
        yield results
        return
    share = "" if settings.sandbox else _share(plan)
    yield _always(_line(verb, f"{counted(len(affected), 'license')} at {place}{share}"))
    if settings.sandbox:
        yield _always(_line("", "What follows is invented: your account is not asked."))
    yield from map(_always, _what_stays(plan))
    if others:
        yield _always(_line("others:", _listed(others)))
    yield from _found(plan, words, now, columns)
    least = f", at least {duration(seconds)}" if seconds >= 1 else ""
    yield _always(_line("rate:", f"{_pace(settings)}{least}"))
    yield results
    if not settings.sandbox:
        yield _always(_line("", words.consequences))


def _always(line: str) -> _Part:
    """A line that stands there however little room there is."""
    return lambda _most: [line]


def _some(head: str, rows: Sequence[str], total: int) -> _Part:
    """A head, below it as many rows as there is room for, and how many more there are.

    Args:
        head: The first line.
        rows: The first of the rows.
        total: How many there are in all.
    """

    def lines(most: int) -> list[str]:
        more = total - min(most, len(rows))
        return [head, *rows[:most], *[f"  and {more:,} more"] * (0 < more < total)]

    return lines


def taken(plan: Plan) -> str:
    """Say what a verify is about, which has no plan to decide on."""
    lines = [_line("input:", plan.listing.title), *_left_out(plan.listing)]
    for part in (*_where(plan.listing), *_protected(plan, WIDEST)):
        lines += part(MOST)
    if not plan.known:
        lines.append("warning: the account knows none of these licenses: is it the right one?")
    return "\n".join(lines)


def _input(listing: Listing, now: float) -> list[str]:
    """Lines about the input: how many licenses, and how many rows where that differs."""
    licenses = len(listing.distinct())
    return [
        _line("input:", listing.title),
        _line("", f"{counted(licenses, 'license')}{_aside(listing, licenses)}"),
        *_suspended(listing, now),
        *_left_out(listing),
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


def _where(listing: Listing) -> Iterator[_Part]:
    """The values in each column of ``--where``, and how many rows that selects."""
    for condition, counts in listing.where.items():
        yield partial(_values, condition, counts)


def _values(condition: Condition, counts: Counter[str], most: int) -> list[str]:
    rows = f"{counts[condition.value]:,} of {counted(counts.total(), 'row')}"
    values = values_seen(counts, condition.value, max(FEWEST, most))
    return [_line("where:", f"{shown(str(condition))}: {rows}. The column holds {values}")]


def _protected(plan: Plan, columns: int) -> Iterator[_Part]:
    """The licenses that each file of ``--exclude`` protects; if none, it may be the wrong file."""
    for index, file in enumerate(plan.exclusion):
        entries = sorted(entry for entry, by in plan.excluded.items() if index in by)
        what = f"{plain(file.path)}: {counted(file.rows, 'row')}, protects"
        if not entries:
            yield _always(f"warning: --exclude {what} no license of this list")
            continue
        head = _line("exclude:", f"{what} {counted(len(entries), 'license')}")
        rows = _named(plan, columns, ((entry, "") for entry in entries[:MOST]))
        yield _some(head, rows, len(entries))


def _approved(plan: Plan, columns: int, settings: Settings) -> Iterator[_Part]:
    """The licenses that ``--approved`` approves, and those that are used more since then."""
    approval, listing = plan.approval, plan.listing
    if approval is None:
        return
    ids = {entry: _id_bytes(listing, entry) for entry in listing.distinct()}
    count = sum(map(any, ids.values())) - len(plan.unapproved)
    others = len(approval.places) - sum(each in approval.places for each in ids.values())
    what = f"{plain(approval.path)}: {counted(approval.rows, 'row')}, approves"
    what += f" {counted(count, 'license')} of this list"
    if others > 0:
        what += f"; {others:,} more {'is' if others == 1 else 'are'} not in it"
    if so := sum(each in approval.unchanged for each in ids.values()):
        what += f"; {so:,} {'other was' if so == 1 else 'others were'} {plan.action.state} already"
    yield _always(_line("approved:", what))
    now = plan.snapshot.activations
    grown = [
        (entry, f"{then:,}, now {now[entry]:,}")
        for entry in plan.affected
        if (then := approval.activations_of(ids[entry])) is not None and now[entry] > then
    ]
    if grown and not settings.sandbox:
        head = f"more activations than then: {counted(len(grown), 'license')}"
        yield _some(_line("", head), _named(plan, columns, grown[:MOST]), len(grown))


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
    return result.error if result in {LIFTED, UNAPPROVED} else _REASONS.get(result.outcome, "")


def _why_nothing(others: Counter[str]) -> str:
    if not others:
        return ""
    alike = len(others) == 1 and others.total() > 1
    return f": {'all ' if alike else ''}{_listed(others)}"


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{count:,} {reason}" for reason, count in counts.most_common())


def _what_stays(plan: Plan) -> list[str]:
    """A line on licenses that a restore leaves suspended (or revoked): it turns one property."""
    if plan.action.wanted:
        return []
    count = sum(map(plan.snapshot.others.__getitem__, plan.affected))
    if not count:
        return []
    verbs = ("is", "stays") if count == 1 else ("are", "stay")
    other = plan.action.changes.other
    return [_line("", f"{count:,} of them {verbs[0]} {other} as well, and {verbs[1]} so")]


def _share(plan: Plan) -> str:
    """Say how much of the account that is, where its size is known."""
    total = plan.snapshot.account_total
    if total is None:
        return ""
    if len(plan.affected) >= total:
        return f": {len(plan.affected):,} of {total:,}, your whole account"
    return f"; the account has {total:,}"


def _found(plan: Plan, words: _Words, now: float, columns: int) -> Iterator[_Part]:
    """What the look has seen of the licenses that are to be sent."""
    snapshot = plan.snapshot
    known = array("I", (entry for entry in plan.affected if snapshot.value(entry) is not None))
    unseen = len(plan.affected) - len(known)
    if unseen:
        yield _always(_line("not seen:", _why_unseen(plan, unseen)))
        yield _always(_line("", words.unseen))
    if not known:
        return
    yield from map(_always, _who(plan, known, now))
    products = _by_product(snapshot, known, now)
    if words.effect:
        yield _activations(plan, known, words, unseen, columns)
    yield partial(_table, snapshot, products, words.columns, columns)
    yield _always(_line("by type:", _by_type(snapshot, known)))
    yield from _look_twice(plan, known, products, now, columns)
    yield from _contradicted(plan, columns)


def _who(plan: Plan, entries: array[int], now: float) -> list[str]:
    """Lines on licenses that are in use, and on those whose applications will never notice."""
    snapshot = plan.snapshot
    last_used = snapshot.last_used
    since = in_use_since(now)
    lately = sum(last_used[entry] >= since for entry in entries)
    lines = [_line("in use:", f"{lately:,} in the last 30 days")]
    groups = (
        (snapshot.organizations_of(entries), "organization"),
        (snapshot.resellers_of(entries), "reseller"),
    )
    whose = ", ".join(counted(number, name) for number, name in groups if number)
    if whose:
        lines[0] += f"; of {whose}"
    never = snapshot.never_notice(entries)
    if never:
        verb = "has" if never == 1 else "have"
        lines.append(
            _line("", f"{never:,} {verb} no limit to the grace period, and may never notice")
        )
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


def _table(
    snapshot: Snapshot,
    products: dict[int, list[int]],
    columns: Sequence[str],
    room: int,
    most: int,
) -> list[str]:
    if not most:
        return [_line("by product:", counted(len(products), "product"))]
    rows = [(f"  {_told(snapshot.product_ids[at])}", sums) for at, sums in products.items()]
    if more := rows[most:]:
        sums = [sum(numbers) for numbers in zip(*(sums for _, sums in more), strict=True)]
        rows[most:] = [(f"  and {counted(len(more), 'more product')}", sums)]
    texts = [columns, *([f"{number:,}" for number in sums[: len(columns)]] for _, sums in rows)]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    labels = ["by product:", *(label for label, _ in rows)]
    width = max(SHORTEST_NAME, min(PRODUCT, room - sum(widths) - 2 * len(widths)))
    return [
        f"{shortened(label, width):<{width}}  {'  '.join(map(str.rjust, numbers, widths))}"
        for label, numbers in zip(labels, texts, strict=True)
    ]


def _by_type(snapshot: Snapshot, entries: array[int]) -> str:
    types = Counter(map(snapshot.types.__getitem__, entries)).most_common()
    parts = [f"{_told(snapshot.type_names[kind])} {count:,}" for kind, count in types[:MOST]]
    if more := types[MOST:]:
        parts.append(f"{counted(len(more), 'more type')} {sum(count for _, count in more):,}")
    return ", ".join(parts)


def _activations(
    plan: Plan, entries: array[int], words: _Words, unseen: int, columns: int
) -> _Part:
    activations = plan.snapshot.activations
    total = sum(map(activations.__getitem__, entries))
    if not total:
        return _always(_line("activations:", "none known of" if unseen else "none"))
    with_some = sum(activations[entry] > 0 for entry in entries)
    most = nlargest(min(MOST, with_some), entries, key=activations.__getitem__)
    amount = f"{'at least ' if unseen else ''}{total:,} {words.effect[total != 1]}"
    width = len(f"{activations[most[0]]:,}")
    notes = [(entry, f"{activations[entry]:>{width},}") for entry in most]
    return _some(_line("activations:", amount), _named(plan, columns, notes), with_some)


def _contradicted(plan: Plan, columns: int) -> Iterator[_Part]:
    """Licenses beside whose ID the list has the key of another one."""
    contradicted = plan.snapshot.contradicted
    found = sorted(contradicted.intersection(plan.affected)) if contradicted else []
    if not found:
        return
    verb = "has" if len(found) == 1 else "have"
    head = (
        f"warning: {counted(len(found), 'license')} {verb} another key than the list has beside "
        "the ID: was a column sorted by itself? The ID counts"
    )
    rows = _named(plan, columns, ((entry, "") for entry in found[:MOST]))
    yield _some(head, rows, len(found))


def _look_twice(
    plan: Plan, entries: array[int], products: dict[int, list[int]], now: float, columns: int
) -> Iterator[_Part]:
    """The licenses that may have got into the list by mistake."""
    snapshot = plan.snapshot
    main, (count, *_) = next(iter(products.items()))
    if 100 * count >= SHARE * len(entries):
        strangers = [entry for entry in entries if snapshot.products[entry] != main]
        if strangers:
            rows = _named(plan, columns, ((entry, "") for entry in strangers[:MOST]))
            yield _some("look twice: of another product than nearly all", rows, len(strangers))
    recent = array("I", (entry for entry in entries if now - snapshot.created[entry] < RECENT))
    if recent:
        notes = (
            (entry, f"{duration(max(0.0, now - snapshot.created[entry]))} ago")
            for entry in nlargest(MOST, recent, key=snapshot.created.__getitem__)
        )
        head = "look twice: created in the last two days"
        yield _some(head, _named(plan, columns, notes), len(recent))


def _named(plan: Plan, columns: int, notes: Iterable[tuple[int, str]]) -> list[str]:
    """A line for each of some licenses: its row, its ID (never its key), a note, whose it is."""
    listing = plan.listing
    rows = [(f"row {listing.rows[entry]}", entry, note) for entry, note in notes]
    width = max(len(row) for row, *_ in rows)
    lines = []
    for row, entry, note in rows:
        line = f"  {row:<{width}}  {_id(listing, entry)}  {note}".rstrip()
        room = columns - len(line) - 2
        customer = shortened(_customer(plan, entry), room) if room >= SHORTEST_NAME else ""
        lines.append(f"{line}  {customer}".rstrip())
    return lines


def _customer(plan: Plan, entry: int) -> str:
    """Name of whom a license belongs to: a column that is carried, else what the server says."""
    listing = plan.listing
    carried = listing.carried[entry] if listing.carried else ()
    return whose(listing.carry, carried, plan.snapshot.customer(entry))


def whose(carry: Sequence[str], carried: Sequence[str], otherwise: str) -> str:
    """Name that is shown beside a license.

    Args:
        carry: Columns that are carried; the first that says anything counts, but no license keys.
        carried: What the license has in them.
        otherwise: Whose it is as the server says.
    """
    for column, text in zip(carry, carried, strict=False):
        if text.strip() and not names_keys(column):
            return shortened(plain(text), LONGEST_NAME)
    return shortened(otherwise, LONGEST_NAME)


def _id(listing: Listing, entry: int) -> str:
    """The ID of a license; empty where it is listed by its key and was not looked up."""
    return listing.license_id(entry) if any(_id_bytes(listing, entry)) else ""


def _id_bytes(listing: Listing, entry: int) -> bytes:
    return bytes(listing.ids[ID_BYTES * entry : ID_BYTES * (entry + 1)])


def _told(name: str) -> str:
    return plain(name) or "not told"


def _pace(settings: Settings) -> str:
    rate = settings.rate
    if rate.limit is None:
        return f"no limit, {settings.concurrency} at a time"
    return f"{rate.limit} requests in any {rate.period:.9g} s"


def _line(label: str, text: str) -> str:
    return f"{label:<9} {text}"
