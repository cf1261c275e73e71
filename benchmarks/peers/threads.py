"""requests in so many threads, a session for each; with one it is one after another."""

from __future__ import annotations

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import requests

from benchmarks.peers import BODY, HEADERS, arguments, tell

_own = threading.local()


def revoke(url: str) -> int:
    if not hasattr(_own, "session"):
        _own.session = requests.Session()
        _own.session.headers.update(HEADERS)
    status: int = _own.session.patch(url, data=BODY, timeout=30).status_code
    return status


def main() -> None:
    urls, (threads,) = arguments()
    started = time.perf_counter()
    if threads == "1":
        statuses = Counter(map(revoke, urls))
    else:
        with ThreadPoolExecutor(int(threads)) as executor:
            statuses = Counter(executor.map(revoke, urls))
    tell(time.perf_counter() - started, statuses)


if __name__ == "__main__":
    main()
