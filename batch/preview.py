"""What a person is shown before the question."""

from __future__ import annotations

from typing import TYPE_CHECKING

from batch.text import counted, duration

if TYPE_CHECKING:
    from batch.plan import Plan
    from batch.settings import Settings


def preview(plan: Plan, settings: Settings, *, place: str, seconds: float) -> str:
    """Say what is about to happen, where, how fast and with what consequences.

    Args:
        plan: What is about to happen.
        settings: How.
        place: Name of the installation.
        seconds: The shortest time it can take.
    """
    listing = plan.listing
    invalid = len(listing.invalid)
    repeated = len(listing) - invalid - len(plan.to_send)
    lines = [f"input:    {listing.title}"]
    lines.append(
        f"          {counted(len(listing), 'row')}{_aside(listing.blank, repeated, invalid)}"
    )
    if listing.left_out:
        left_out = ", ".join(f"{count:,} {name}" for name, count in listing.left_out.items())
        lines.append(f"          left out, by their outcome in the earlier run: {left_out}")
    lines += [
        f"revoke:   {counted(len(plan.to_send), 'license')} at {place}",
        f"rate:     {_pace(settings)}, at least {duration(seconds)}",
        f"results:  {settings.output}",
    ]
    if not settings.sandbox:
        lines += [
            "          Applications notice at their next server sync. Restoring a license makes",
            "          its users activate again.",
        ]
    return "\n".join(lines)


def _pace(settings: Settings) -> str:
    rate = settings.rate
    if rate.limit is None:
        return f"no limit, {settings.concurrency} at a time"
    return f"{rate.limit} requests in any {rate.period:.9g} s"


def _aside(blank: int, repeated: int, invalid: int) -> str:
    parts = []
    if repeated:
        parts.append(f"{repeated:,} {'repeats' if repeated == 1 else 'repeat'} a license")
    if invalid:
        verbs = ("holds", "is") if invalid == 1 else ("hold", "are")
        parts.append(f"{invalid:,} {verbs[0]} no license ID and {verbs[1]} skipped")
    if blank:
        parts.append(f"{blank:,} blank {'one' if blank == 1 else 'ones'} not counted")
    return f" ({'; '.join(parts)})" if parts else ""
