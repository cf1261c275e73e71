"""The sandbox of a rehearsal: an account that knows the licenses of the input."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batch.sandbox import Account, Sandbox
from batch.settings import SAAS_LIMIT, SAAS_PERIOD

if TYPE_CHECKING:
    from batch.model import Action, Listing
    from batch.results.csv_file import Recorded
    from batch.settings import Rate


LATENCY = (0.02, 0.12)
"""Seconds of a round trip: those of a service on another continent."""


def sandbox_for(action: Action, listing: Listing, recorded: Recorded | None, rate: Rate) -> Sandbox:
    """Return the sandbox of a rehearsal, not yet begun.

    Args:
        action: What is wanted of each license.
        listing: The licenses.
        recorded: What earlier sessions of this rehearsal have done, if there were any.
        rate: What is sent; where it has a limit, the sandbox has that of the vendor.
    """
    limit = None if rate.limit is None else (SAAS_LIMIT, SAAS_PERIOD)
    return Sandbox(_account(action, listing, recorded), rate=limit, latency=LATENCY)


def _account(action: Action, listing: Listing, recorded: Recorded | None) -> Account:
    """An account with every license of a listing, each as the action is there to change it."""
    entries = listing.distinct()
    if listing.keys:
        account = Account.holding_keys(listing.keys[entry] for entry in entries)
        licenses = [account.with_keys([listing.keys[entry]])[0] for entry in entries]
    else:
        account = Account.holding(listing.license_id(entry) for entry in entries)
        licenses = [account.licenses[listing.license_id(entry)] for entry in entries]
    done = {action.on_success, action.unchanged}
    for entry, license_ in zip(entries, licenses, strict=True):
        changed = recorded is not None and recorded.outcome(entry) in done
        if listing.suspended_at is not None:
            license_.suspended = True
        setattr(license_, action.changes, action.wanted if changed else not action.wanted)
    return account
