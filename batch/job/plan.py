"""The plan of what is done with each row: pure, and where every guard is checked."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING

from batch.errors import Detail, GuardError, first_few
from batch.formatting import counted
from batch.job.snapshot import FEWEST, Snapshot, State
from batch.model import DONE, ID_BYTES, Action, Listing, Outcome, OwnWords, RowResult

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from batch.input.approval import Approval
    from batch.input.exclusion import Protected
    from batch.results.csv_file import Recorded


_PLANNED = RowResult(Outcome.PLANNED)
_IN_DOUBT = RowResult(Outcome.PLANNED, error=OwnWords.IN_DOUBT)
LEFT = RowResult(Outcome.NOT_ATTEMPTED, error=OwnWords.LEFT)
LIFTED = RowResult(Outcome.EXCLUDED, error=OwnWords.LIFTED)
_EXCLUDED = RowResult(Outcome.EXCLUDED, error=OwnWords.EXCLUDED)
UNAPPROVED = RowResult(Outcome.EXCLUDED, error=OwnWords.UNAPPROVED)
_UNSELECTED = RowResult(Outcome.EXCLUDED, error=OwnWords.UNSELECTED)
_INVALID_ID = RowResult(Outcome.INVALID, error="the cell holds no license ID")
_INVALID_KEY = RowResult(Outcome.INVALID, error="the cell holds no license key")
_WAS = bytes.maketrans(bytes(State), bytes((0, 2, 1, 0, 0)))
"""Each `State` to the index of its meaning in (None, True, False)."""


@dataclass(frozen=True, slots=True)
class Guards:
    """Limits that a plan may not violate, and how much of it is done today.

    Attributes:
        max_licenses: Most PATCHes that the plan may send, or None.
        expect_licenses: Licenses that the input must list, or None for any number.
        products: Product IDs in lower case that every license must be of; empty for any.
        limit: Most PATCHes that are sent now, the rest being left for later; or None.
        proven_only: Entries that are sent only if the look has read them.
        doubtful: Entries that the run that is taken back may not have turned.
        suspended_only: Whether only licenses that are suspended are sent.
    """

    max_licenses: int | None = None
    expect_licenses: int | None = None
    products: frozenset[str] = frozenset()
    limit: int | None = None
    proven_only: Collection[int] = ()
    doubtful: Collection[int] = ()
    suspended_only: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """The plan of a run: what it is about to do.

    Attributes:
        action: What is wanted of each license.
        listing: The input's entries; where they are listed by key, with the IDs that were found.
        snapshot: What the server holds.
        row_results: How each entry stands before the first PATCH, in input order; None for one that
            stays as an earlier session has left it.
        was: For each entry the index in (None, True, False) of what it was before.
        affected: Entries whose license is sent a PATCH, or would be in a dry run, in input order,
            each license once.
        excluded: Entries, each the first one of its license, that are never touched, with the
            indexes of the files of ``--exclude`` that protect them (no index where a license is
            only not approved).
        exclusion: Those files.
        approval: What the file of ``--approved`` approves; None where there is none.
        unapproved: Entries of licenses that it does not approve, those that are protected as well
            among them; each the first one of its license.
        known: Whether the account knows any of the licenses that the run has looked at in any of
            its sessions; also where there are too few of them to tell.
    """

    action: Action
    listing: Listing
    snapshot: Snapshot
    row_results: list[RowResult | None]
    was: bytearray
    affected: array[int]
    excluded: Mapping[int, Collection[int]] = field(default_factory=dict)
    exclusion: Sequence[Protected] = ()
    known: bool = True
    approval: Approval | None = None
    unapproved: Collection[int] = ()

    @property
    def in_doubt(self) -> frozenset[int]:
        """Entries of `affected` that an earlier session may have sent, not read since."""
        return frozenset(entry for entry in self.affected if self.row_results[entry] is _IN_DOUBT)

    @property
    def left(self) -> int:
        """Rows that ``--limit`` leaves for later."""
        return sum(each is LEFT for each in self.row_results)

    @property
    def licenses_left(self) -> int:
        """Licenses that ``--limit`` leaves for later."""
        results, first = self.row_results, self.listing.first
        return sum(each is LEFT and entry == first[entry] for entry, each in enumerate(results))

    @property
    def to_send(self) -> array[int]:
        """Entries whose license is sent a PATCH; none where the action may not send."""
        return self.affected if self.action.sends else array("I")


def to_look_at(
    listing: Listing, *, excluded: Collection[int], recorded: Recorded | None, missing_ok: bool
) -> array[int]:
    """The entries that a look is for: one for each license that is not excluded and not done."""
    return array(
        "I",
        (
            entry
            for entry in listing.distinct()
            if entry not in excluded and not _is_done(entry, recorded, missing_ok=missing_ok)
        ),
    )


def make_plan(
    action: Action,
    listing: Listing,
    snapshot: Snapshot,
    *,
    excluded: Mapping[int, Collection[int]] | None = None,
    exclusion: Sequence[Protected] = (),
    approval: Approval | None = None,
    recorded: Recorded | None = None,
    missing_ok: bool = False,
    guards: Guards | None = None,
) -> Plan:
    """Decide what becomes of each row.

    Args:
        action: What is wanted of each license.
        listing: The input's entries.
        snapshot: What the server holds; nothing seen, nothing known.
        excluded: As in `Plan`, as far as it is known before the look.
        exclusion: As in `Plan`.
        approval: As in `Plan`.
        recorded: What earlier sessions of this run have recorded, if there were any.
        missing_ok: Whether a license that does not exist is done.
        guards: What the plan may not violate.

    Raises:
        GuardError: The plan violates a guard.
    """
    guards = guards or Guards()
    excluded = {**(excluded or {}), **snapshot.protected}
    if listing.keys:
        listing = replace(listing, ids=_ids(snapshot, recorded))
    unapproved = approval.unapproved(listing) if approval is not None else {}
    excluded = unapproved | excluded
    row_results, affected = _decide(
        action, listing, snapshot, excluded, recorded, guards, missing_ok=missing_ok
    )
    missing = _missing(listing, snapshot, recorded)
    plan = Plan(
        action,
        listing,
        snapshot,
        row_results,
        _was(listing, snapshot, recorded),
        affected,
        excluded,
        exclusion,
        _is_known(snapshot, recorded, missing),
        approval,
        unapproved,
    )
    _check_licenses(plan, guards.expect_licenses)
    _check_excluded(plan)
    _check_account(plan, missing)
    _check_approved(plan)
    _check_products(plan, guards.products)
    _check_changed(plan, is_resumed=recorded is not None)
    _check_number(plan, guards.max_licenses)
    return plan


def _decide(
    action: Action,
    listing: Listing,
    snapshot: Snapshot,
    excluded: Mapping[int, Collection[int]],
    recorded: Recorded | None,
    guards: Guards,
    *,
    missing_ok: bool,
) -> tuple[list[RowResult | None], array[int]]:
    """Return the row results and the entries that are affected, before any guard is checked."""
    row_results: list[RowResult | None] = []
    affected = array("I")
    invalid = _INVALID_KEY if listing.keys else _INVALID_ID
    for entry, first in enumerate(listing.first):
        if entry != first:
            result = row_results[first]
        elif entry in listing.invalid and listing.is_selected(entry):
            result = invalid
        elif _is_done(entry, recorded, missing_ok=missing_ok):
            result = None
        elif not listing.is_selected(entry):
            result = _still_in_doubt(_UNSELECTED, action, entry, recorded)
        elif entry in excluded:
            left_alone = _EXCLUDED if excluded[entry] else UNAPPROVED
            result = _still_in_doubt(left_alone, action, entry, recorded)
        else:
            result = _outlook(action, entry, snapshot, recorded, guards)
            if result.outcome not in {Outcome.PLANNED, action.in_dry_run}:
                pass
            elif guards.limit is None or len(affected) < guards.limit:
                affected.append(entry)
            elif result is _IN_DOUBT:
                result = replace(_IN_DOUBT, outcome=Outcome.UNKNOWN)
            else:
                result = LEFT
        row_results.append(result)
    return row_results, affected


def _is_done(entry: int, recorded: Recorded | None, *, missing_ok: bool) -> bool:
    if recorded is None:
        return False
    outcome = recorded.outcome(entry)
    return outcome in DONE or (missing_ok and outcome is Outcome.NOT_FOUND)


def _outlook(
    action: Action, entry: int, snapshot: Snapshot, recorded: Recorded | None, guards: Guards
) -> RowResult:
    """Return how a license stands that is neither done nor excluded."""
    problem = snapshot.problems.get(entry)
    if problem is not None and (
        problem.outcome is not Outcome.UNKNOWN or not action.sends or entry in guards.proven_only
    ):
        return _still_in_doubt(problem, action, entry, recorded)
    value = snapshot.value(entry)
    repeats = action.repeats and entry not in guards.doubtful
    if value is action.wanted and not repeats:
        is_ours = recorded is not None and _may_have_sent(recorded, entry, action)
        return _seen(action.on_success if is_ours else action.unchanged, value)
    other_counts = action.if_revoked is not None or guards.suspended_only
    if other_counts and (left_alone := _left_alone(action, entry, snapshot)) is not None:
        return _still_in_doubt(left_alone, action, entry, recorded)
    if action.sends:
        return _IN_DOUBT if value is None and _in_doubt(action, entry, recorded) else _PLANNED
    if value is None and snapshot.looked:
        return RowResult(Outcome.NOT_ATTEMPTED, error=OwnWords.UNSEEN)
    return _seen(action.in_dry_run, value)


@cache
def _seen(outcome: Outcome, value: bool | None) -> RowResult:
    """Return the result that all rows with this outcome and value share."""
    return RowResult(outcome, value)


def _left_alone(action: Action, entry: int, snapshot: Snapshot) -> RowResult | None:
    """Return the result of a license that the other property keeps from being sent, if it does.

    It does where it is revoked, or, in a run that goes on from a suspension, not suspended.
    """
    value, has_other = snapshot.value(entry), bool(snapshot.others[entry])
    if action.if_revoked is not None:
        return RowResult(action.if_revoked, value) if has_other else None
    return LIFTED if value is not None and not has_other else None


def _in_doubt(action: Action, entry: int, recorded: Recorded | None) -> bool:
    """Tell whether an earlier session may have changed a license, and has not recorded that."""
    return (
        recorded is not None
        and recorded.outcome(entry) in {Outcome.PLANNED, Outcome.UNKNOWN}
        and recorded.was_so(entry) is not action.wanted
    )


def _still_in_doubt(
    result: RowResult, action: Action, entry: int, recorded: Recorded | None
) -> RowResult:
    """Return a result as it is, or as unknown where an earlier session may have sent something."""
    if recorded is None or not (action.sends and _in_doubt(action, entry, recorded)):
        return result
    if result.outcome is Outcome.NOT_FOUND and recorded.was_so(entry) is None:
        return result  # nobody has ever seen it
    return replace(result, outcome=Outcome.UNKNOWN, error=f"{_IN_DOUBT.error}; {result.error}")


def _may_have_sent(recorded: Recorded, entry: int, action: Action) -> bool:
    """Tell whether it may be an earlier session that has made a license as it should be.

    It was not so at the first look of the run, or nobody had looked; and there was a PATCH for
    it, or a session that would have sent one did not live to tell.
    """
    if recorded.was_so(entry) is action.wanted:
        return False
    return _in_doubt(action, entry, recorded) or recorded.attempts[entry] > 0


def _ids(snapshot: Snapshot, recorded: Recorded | None) -> bytes:
    """The IDs of licenses listed by key: those that the look has found, else the recorded ones."""
    ids = bytearray(snapshot.ids)
    if recorded is not None:
        for start in range(0, len(ids), ID_BYTES):
            if not any(ids[start : start + ID_BYTES]):
                ids[start : start + ID_BYTES] = recorded.ids[start : start + ID_BYTES]
    return bytes(ids)


def _was(listing: Listing, snapshot: Snapshot, recorded: Recorded | None) -> bytearray:
    if recorded is not None:
        return recorded.was
    was = snapshot.states.translate(_WAS)
    for entry, first in enumerate(listing.first):
        if entry != first:
            was[entry] = was[first]
    return was


def _missing(listing: Listing, snapshot: Snapshot, recorded: Recorded | None) -> int:
    """Licenses not found: now, or in an earlier session where nobody has looked at them now."""
    missing = snapshot.states.count(State.MISSING)
    if recorded is not None:
        missing += sum(
            not snapshot.states[entry] and recorded.outcome(entry) is Outcome.NOT_FOUND
            for entry in listing.distinct()
        )
    return missing


def _is_known(snapshot: Snapshot, recorded: Recorded | None, missing: int) -> bool:
    """Tell whether the account knows any license that was looked at, or too few were to tell."""
    known = snapshot.known
    known += sum(each.error_code == "key_ambiguous" for each in snapshot.problems.values())
    if recorded is not None:
        known += recorded.known
    return known > 0 or not missing or missing + snapshot.states.count(State.UNREAD) < FEWEST


def _check_licenses(plan: Plan, expected: int | None) -> None:
    licenses = len(plan.listing.distinct())
    if expected is None or licenses == expected:
        return
    raise GuardError(
        f"{expected}: {plan.listing.title} lists {counted(licenses, 'license')}"
        + " (--where has selected its rows)" * bool(plan.listing.unselected),
        option="--expect-licenses",
        hint="is this the right file, and all of it? If so, correct --expect-licenses.",
    )


def _check_excluded(plan: Plan) -> None:
    if not plan.excluded:
        return
    licenses = plan.listing.distinct()
    if len(licenses) and all(plan.excluded.get(entry) for entry in licenses):
        raise GuardError(
            f"{plan.listing.title}: --exclude protects"
            + (
                " its one license"
                if len(licenses) == 1
                else f" all of its {len(licenses):,} licenses"
            ),
            hint="is one of these files the list itself? Its rows are named with --where. Name"
            f" those that hold what must not be {plan.action.state}, and nothing else.",
        )


def _check_account(plan: Plan, missing: int) -> None:
    if plan.known or plan.action.only_reads:  # a verify says of each row what it is
        return
    raise GuardError(
        f"{plan.listing.title}: the account knows none of these licenses"
        f" ({missing:,} were not found)",
        hint="is it the token of the right account, the right --base-url, the right column?",
    )


def _check_products(plan: Plan, products: frozenset[str]) -> None:
    if not products:
        return
    snapshot, listing = plan.snapshot, plan.listing
    others = [
        entry
        for entry, result in enumerate(plan.row_results)
        if snapshot.states[entry] in {State.OFF, State.ON, State.UNREAD}
        and result not in {_EXCLUDED, UNAPPROVED, LIFTED}
        and snapshot.product(entry) not in products
    ]
    if others:
        raise GuardError(
            f"{listing.title}: {counted(len(others), 'license')}"
            f" {'is' if len(others) == 1 else 'are'} not of the product that --expect-product"
            " names:",
            details=first_few((_of_product(plan, entry) for entry in others), len(others)),
            hint="is this the right file? Take them out of it, or name them with --exclude.",
        )


def _check_approved(plan: Plan) -> None:
    if plan.approval is None:
        return
    licenses = plan.listing.distinct()
    if len(plan.unapproved) == len(licenses) > 0:
        raise GuardError(
            f"{plan.approval.path} approves none of the {counted(len(licenses), 'license')} of"
            f" {plan.listing.title}",
            option="--approved",
            hint="is it a dry run of this list, and of this account?",
        )


def _check_changed(plan: Plan, *, is_resumed: bool) -> None:
    """Refuse licenses that are no longer what somebody has approved, as far as they are sent."""
    sent = {Outcome.PLANNED, plan.action.in_dry_run}
    found = [
        entry
        for entry in sorted(plan.snapshot.changed)
        if (result := plan.row_results[entry]) is LEFT or (result and result.outcome in sent)
    ]
    if plan.approval is None or not found:
        return
    listing, changed = plan.listing, plan.snapshot.changed
    lines = (
        Detail(f"row {listing.rows[entry]}  {listing.license_id(entry)}  ", changed[entry])
        for entry in found
    )
    hint = "make a new dry run, and have it approved; or take"
    hint += f" {'its row' if len(found) == 1 else 'their rows'} out of this file."
    if is_resumed:  # which needs the very file that the run was begun with
        hint = f"name {'it' if len(found) == 1 else 'them'} in a file of --exclude; or make a new"
        hint += " dry run, have it approved, and go on under another --output."
    raise GuardError(
        f"{plan.approval.path}: {counted(len(found), 'license')}"
        f" {'has' if len(found) == 1 else 'have'} changed since the dry run that was approved:",
        option="--approved",
        details=first_few(lines, len(found)),
        hint=hint,
    )


def _of_product(plan: Plan, entry: int) -> Detail:
    """Name a license and its product, or why that is not known."""
    name = f"row {plan.listing.rows[entry]}  {plan.listing.license_id(entry)}  "
    if problem := plan.snapshot.problems.get(entry):
        return Detail(name, problem.error)
    return Detail(f"{name}product {plan.snapshot.product(entry) or 'not told'}")


def _check_number(plan: Plan, most: int | None) -> None:
    if most is not None and len(plan.affected) > most:
        raise GuardError(
            f"{plan.listing.title}: {len(plan.affected):,} licenses would be"
            f" {plan.action.on_success}, --max-licenses allows {most:,}",
            hint="is this the right file? If so, raise --max-licenses.",
        )
