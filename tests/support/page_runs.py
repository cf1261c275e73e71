"""Runs for pages: results files and manifests of any size, as runs write them, without a run."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import asdict
from html import unescape
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any
from uuid import UUID

from batch.columns import COLUMNS, DETAILS
from batch.model import Outcome, Property
from batch.results.manifest import SessionRecord, file_sha256, manifest_path
from tests.support.results_files import manifest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

BEGAN = "2026-11-24T02:15:07.000Z"
PRODUCTS = [str(UUID(int=Random(seed).getrandbits(128), version=4)) for seed in range(3)]
MINUTES: list[list[float]] = [
    [0, 512, 0, 0, 0], [1, 539, 3, 5.6, 0], [2, 540, 0, 0, 0], [3, 88, 0, 0, 51.2],
    [4, 31, 0, 0, 48.8], [5, 538, 0, 0, 0], [6, 540, 0, 0, 0], [7, 260, 0, 0, 0],
]  # fmt: skip


def text_of_page(path: str | Path) -> str:
    """A page without its tags."""
    return unescape(re.sub(r"<[^>]*>", "", Path(path).read_text(encoding="utf-8")))


def write_run(
    path: Path,
    rows: Iterable[Mapping[str, object]],
    *,
    changes: Property = Property.REVOKED,
    details: bool = True,
    carry: Sequence[str] = (),
    **more: Any,  # noqa: ANN401
) -> Path:
    """Write the results of a run, and its manifest; what a row does not say is empty."""
    columns = [each.replace("revoked", changes) for each in COLUMNS]
    header = [*columns, *(DETAILS if details else ()), *carry]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, header, lineterminator="\n", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    session = SessionRecord(
        started_at=BEGAN,
        finished_at="2026-11-24T02:22:31.000Z",
        exit_code=1,
        requests=3048,
        patches=2961,
        throttled=3,
        sent_from="2026-11-24T02:15:09.000Z",
        minutes=MINUTES,
    )
    fields = {
        "user": "ops", "host": "ops-1", "directory": str(path.parent), "sessions": [session],
        "input": {"path": "leaked.xlsx", "sha256": "0" * 64,
                  "taken": 'leaked.xlsx, sheet "July", column "License ID" (header in row 1)'},
        "options": {"rate": "45/5s", "max_failures": "20%", "look": True},
    } | more  # fmt: skip
    made = manifest(str(path), **fields)
    made.results |= {"sha256": file_sha256(path), "details": details}
    manifest_path(path).write_text(json.dumps(asdict(made)), encoding="utf-8")
    return path


def some_rows(count: int, seed: int = 0) -> Iterator[dict[str, object]]:
    """Rows of a run that has revoked most of its licenses: every 60th is not done."""
    random = Random(seed)
    for at in range(count):
        row: dict[str, object] = {
            "row": at + 2,
            "license_id": str(UUID(int=random.getrandbits(128), version=4)),
            "outcome": Outcome.REVOKED, "revoked": "true", "was_revoked": "false",
            "http_status": 200, "attempts": 1, "finished_at": BEGAN,
            "product_id": PRODUCTS[min(2, int(random.expovariate(1.2)))],
            "type": "node-locked", "activations": int(random.expovariate(0.4)),
            "company": f"Customer {1 + int(random.paretovariate(0.9)) % 400}",
        }  # fmt: skip
        if random.random() < 0.3:
            row["last_used_at"] = f"2026-{random.randint(8, 11):02}-{random.randint(1, 23):02}"
        if at % 60 == 7:
            kind = random.choice(_TROUBLE)
            row |= kind
        elif at % 60 == 9:
            row |= {"outcome": Outcome.ALREADY_REVOKED, "was_revoked": "true", "attempts": ""}
        yield row


_TROUBLE: tuple[dict[str, object], ...] = (
    {"outcome": Outcome.FAILED, "revoked": "false", "http_status": 409,
     "error_code": "LICENSE_LOCKED", "error": "HTTP 409: The license AAAA-BBBB is locked."},
    {"outcome": Outcome.UNKNOWN, "revoked": "", "http_status": "", "error_code": "timeout",
     "error": "no answer to 5 attempts", "attempts": 5},
    {"outcome": Outcome.NOT_FOUND, "revoked": "", "http_status": 404, "attempts": "",
     "error_code": "http_404", "error": "no such license in this account"},
)  # fmt: skip
