"""What a sandbox has to know for a rehearsal: the licenses of the input, as they would be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batch.model import Outcome
from batch.sandbox import Account

if TYPE_CHECKING:
    from batch.model import Action, Listing
    from batch.recorded import Recorded


def account_for(action: Action, listing: Listing, recorded: Recorded | None) -> Account:
    """An account with every license of a listing, in the state that the action is there to change.

    Args:
        action: What is wanted of each license.
        listing: The licenses.
        recorded: What earlier sessions of this rehearsal have done, if there were any.
    """
    entries = listing.distinct()
    if listing.keys:
        account = Account.holding_keys(listing.keys[entry] for entry in entries)
        licenses = [account.with_keys([listing.keys[entry]])[0] for entry in entries]
    else:
        account = Account.holding(listing.license_id(entry) for entry in entries)
        licenses = [account.licenses[listing.license_id(entry)] for entry in entries]
    done = {action.done, action.before} - {Outcome.VERIFIED}
    for entry, license_ in zip(entries, licenses, strict=True):
        changed = recorded is not None and recorded.outcome(entry) in done
        license_.revoked = action.wanted if changed else not action.wanted
    return account
