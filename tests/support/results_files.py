"""Results files as runs write them, and what is in them."""

from __future__ import annotations

import csv
import hashlib
import json
import os
from array import array
from collections.abc import Callable
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from batch.columns import COLUMNS
from batch.formatting import timestamp
from batch.input.identifiers import first_keys, parse_key
from batch.job.plan import make_plan
from batch.job.snapshot import Snapshot, State
from batch.model import ID_BYTES, NO_ID, REVOKE, Listing, Outcome
from batch.results.journal import Journal
from batch.results.manifest import Manifest, manifest_path

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from batch.job.plan import Plan
    from batch.results.csv_file import Recorded

NOON = datetime(2026, 11, 24, 12, 0, 0, 123456, tzinfo=UTC)
HEADER = ",".join(COLUMNS) + "\n"

Open = Callable[[Listing], Journal]


def table(path: str | Path) -> list[dict[str, str]]:
    """The lines of a results file, each by the names of its columns."""
    with Path(path).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, strict=True))


def column(path: Path, name: str) -> list[str]:
    return [row[name] for row in table(path)]


def keyed(*cells: str) -> Listing:
    """A listing by key with one row for each cell."""
    keys = [parse_key(text) for text in cells]
    invalid = {entry: text for entry, text in enumerate(cells) if not keys[entry]}
    return Listing(
        title="licenses.csv",
        rows=array("I", range(2, 2 + len(cells))),
        ids=NO_ID * len(cells),
        keys=keys,
        first=first_keys(keys, invalid),
        invalid=invalid,
    )


def look(
    listing: Listing,
    *,
    revoked: Collection[int] = (),
    unseen: Collection[int] = (),
    ids: Mapping[int, str] | None = None,
) -> Snapshot:
    """What a look has found: active licenses, but for these entries; for keys their IDs."""
    snapshot = Snapshot.nothing(listing)
    snapshot.looked = True
    for entry in listing.distinct():
        if entry not in unseen:
            snapshot.states[entry] = State.ON if entry in revoked else State.OFF
    for entry, text in (ids or {}).items():
        snapshot.ids[ID_BYTES * entry : ID_BYTES * (entry + 1)] = UUID(text).bytes
    return snapshot


def started(path: Path, listing: Listing, snapshot: Snapshot | None = None) -> Journal:
    """The journal of a run that begins, its plan on the disk."""
    plan = make_plan(REVOKE, listing, snapshot or Snapshot.nothing(listing))
    journal = Journal(path, plan.listing, plan.was, now=lambda: NOON)
    journal.create(plan.row_results)
    return journal


def resumed(
    recorded: Recorded, listing: Listing, snapshot: Snapshot | None = None
) -> tuple[Journal, Plan]:
    """The journal of a run that is gone on with, and what is planned now."""
    plan = make_plan(REVOKE, listing, snapshot or Snapshot.nothing(listing), recorded=recorded)
    journal = Journal(recorded.path, plan.listing, plan.was, now=lambda: NOON)
    journal.resume(recorded, plan.row_results)
    return journal, plan


@contextmanager
def starting(path: Path) -> Iterator[Open]:
    """Open journals with their plans written into them, until the end of the block."""
    opened: list[Journal] = []

    def start(listed: Listing) -> Journal:
        opened.append(started(path, listed))
        return opened[-1]

    yield start
    for journal in opened:
        journal.close()


def manifest(results: str, /, **more: object) -> Manifest:
    """The manifest of a run that has written these results."""
    fields: dict[str, object] = {
        "run_id": "0badcafe",
        "command": "run",
        "api": "https://api.cryptlex.com/v3",
        "reason": "",
        "rehearsal": False,
        "options": {},
        "input": {"path": "licenses.csv", "sha256": "0" * 64},
        "results": {"path": results},
    }
    return Manifest(**fields | more)  # type: ignore[arg-type]


def aged(results: Path, *days: float) -> None:
    """Make the licenses that were suspended, in the order of the rows, be so for so many days.

    Those that no number is left for were suspended now. The manifest goes with it, as if the run
    had written the file like that.
    """
    ages = iter(days)
    rows = table(results)
    for row in rows:
        if row["outcome"] == Outcome.SUSPENDED:
            moment = datetime.now(UTC) - timedelta(days=next(ages, 0))
            row["finished_at"] = timestamp(moment)
    with results.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    path = manifest_path(results)
    kept = json.loads(path.read_bytes())
    kept["results"]["sha256"] = hashlib.sha256(results.read_bytes()).hexdigest()
    path.write_text(json.dumps(kept), encoding="utf-8")


def long_ago(results: Path) -> None:
    """Have a run ended two days ago: nothing that it has sent is still under way."""
    path = manifest_path(results)
    kept = json.loads(path.read_bytes())
    days = timedelta(days=2)
    for session in kept["sessions"]:
        if session["finished_at"]:
            end = datetime.fromisoformat(session["finished_at"])
            session["finished_at"] = (end - days).isoformat()
    path.write_text(json.dumps(kept))
    ended = results.stat().st_mtime - days.total_seconds()
    os.utime(results, (ended, ended))
