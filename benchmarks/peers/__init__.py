"""Other clients, each a small program: ``python -m benchmarks.peers.NAME URL FILE ...``.

They send the same PATCH for each license of a file and read the answer; they count what was
refused, and do nothing else: no retry, no check of what the answer says, no results. Each prints
one line of JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

TOKEN = "benchmark-token"  # noqa: S105 - no server asks for it
BODY = b'{"revoked": true}'
HEADERS = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}


def arguments() -> tuple[list[str], list[str]]:
    """URLs of the licenses of the file that is named, and the arguments behind it."""
    url, path, *more = sys.argv[1:]
    ids = Path(path).read_text(encoding="ascii").split()[1:]
    return [f"{url}/licenses/{license_id}" for license_id in ids], more


def tell(seconds: float, statuses: Mapping[int, int]) -> None:
    """Print what was done in so many seconds, by HTTP status."""
    print(json.dumps({"seconds": seconds, "statuses": statuses}))
