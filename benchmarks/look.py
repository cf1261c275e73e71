"""The look in an account of half a million licenses: requests as the server counts them.

Beside it, in the same run, the code before it (`BEFORE`), which read licenses one by one or the
whole account. The server is the sandbox: what is measured here is how many requests are made, and
by which clock; its own speed is of no account. Whole runs go by a clock that is faster, so that
minutes pass in seconds; the processor time is that of the look alone, without a socket, over that
of parsing the same answers.
"""

from __future__ import annotations

import asyncio
import gc
import json
import random
import subprocess
import sys
import tarfile
import tempfile
from array import array
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from threading import Thread
from time import process_time
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from urllib.parse import parse_qsl
from uuid import UUID, uuid4

import aiohttp
import uvloop
from yarl import URL

from batch.api.circuit_breaker import CircuitBreaker
from batch.api.client import PAGE_SIZE, CryptlexClient, filter_query
from batch.api.rate_limiter import RateLimiter
from batch.api.responses import license_from, page_from
from batch.api.retrying_client import RetryingClient
from batch.host.clock import Clock
from batch.job.look import Look
from batch.model import Listing
from batch.sandbox import TOKEN, Account, Sandbox
from batch.sandbox.api import Api
from batch.sandbox.message import Request, Response
from batch.sandbox.query import ids
from benchmarks.measure import ROOT, FailedError, measured, program, save

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence

    from batch.api.retry import Attempts
    from batch.model import License, Page

_T = TypeVar("_T")

BEFORE = "1dfc3a9"
"""The commit before the look that reads narrowed lists."""

NOW, THEN = "this one", "before"

SIZE, SEED = 500_000, 16
CONNECTIONS = 32
RESELLERS = {"3,400": 3_400, "30,000": 30_000, "3,000": 3_000, "5,000": 5_000}
REVOKED, BATCH = 10_500, 2_000
DELETED = 90
"""Licenses of a list that there are no more: 3 %."""

SPEED = 5.0
"""Seconds of the clock of a whole run in one of this machine's."""

LATENCY = (0.02, 0.12)
"""Seconds of a round trip by that clock, least and most."""

ROUNDS = 5


class Case(NamedTuple):
    """A list of licenses in the account.

    Attributes:
        ids: License IDs.
        counted: Whether the server says how many licenses a list has.
    """

    ids: list[str]
    counted: bool = True


RESELLER, NIGHTLY = "3,000 of one reseller that has 3,400", "10,000, all revoked before"
VERSION_7 = "2,000 made within an hour, version 7, and one a year later"
NOTHING = "1,000 with nothing in common"
SHARES = {RESELLER: 0.04, NIGHTLY: 0.052, VERSION_7: 0.045}
"""List to the part of the requests before that its look may need."""

LISTED = 10_000
"""Licenses of the look whose processor time is measured."""


def account() -> Account:
    """The account that all lists are of, as it is at first."""
    return Account.generate(SIZE, seed=SEED, revoked=REVOKED, resellers=RESELLERS, batch=BATCH)


def cases(of: Account) -> dict[str, Case]:
    """The lists."""
    dice = random.Random(SEED)  # noqa: S311 - no secret

    def having(**query: str) -> list[str]:
        return list(ids(of, query.items(), 0))

    sold = {name: having(resellerId=each.id) for name, each in of.resellers.items()}
    everything = list(ids(of, (), 0))
    first, last = of.batch
    batch = [each for each in everything if each[14] == "7" and _within(each, first, last)]
    late = _within_a_year_later(everything, last)
    gone = [str(uuid4()) for _ in range(DELETED)]
    one = dice.sample(sold["3,400"], 3_000)
    two = [*dice.sample(sold["3,000"], 2_100), *dice.sample(sold["5,000"], 3_400)]
    return {
        RESELLER: Case(one),
        "the same, 3 % deleted": Case([*one[DELETED:], *gone]),
        "3,000 of a reseller that has 30,000": Case(dice.sample(sold["30,000"], 3_000)),
        NIGHTLY: Case(dice.sample(having(revoked="true"), 10_000)),
        VERSION_7: Case([*batch, late]),
        "two resellers (of 3,000 and 5,000) and 200 strangers, 5,700 in all": Case(
            [*two, *dice.sample(everything, 200)]
        ),
        NOTHING: Case(dice.sample(everything, 1_000)),
        "3,000 of one reseller, no `Pagination-Count`": Case(one, counted=False),
    }


def _made(license_id: str) -> int:
    """Milliseconds since 1970 in an ID of version 7."""
    return UUID(license_id).int >> 80


def _within(license_id: str, first: int, last: int) -> bool:
    return first // 10_000 - 1 <= _made(license_id) <= last // 10_000 + 1


def _within_a_year_later(everything: Sequence[str], ticks: int) -> str:
    """The first license of version 7 that was made ten months or more after a moment."""
    later = ticks // 10_000 + 300 * 86_400_000
    return next(each for each in everything if each[14] == "7" and _made(each) > later)


# Requests, as the server counts them


class Counted:
    """The sandbox of an account, and how many requests of each kind it was sent."""

    def __init__(self, *, counted: bool, latency: tuple[float, float] = (0.0, 0.0)) -> None:
        self.found: Counter[str] = Counter()
        self.sandbox = Sandbox(account(), latency=latency)
        answer = self.sandbox.handler

        def handle(request: Request) -> Response:
            self.found["list" if request.resource == "licenses" else request.method.lower()] += 1
            response = answer(request)
            return response if counted else replace(response, headers={})

        self.sandbox.handler = handle


@contextmanager
def served(counted: Counted) -> Iterator[str]:
    """Serve it until the end of the block; yields its URL."""
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(counted.sandbox.__aenter__(), loop).result(30)
        try:
            yield counted.sandbox.base_url
        finally:
            leaving = counted.sandbox.__aexit__(None, None, None)
            asyncio.run_coroutine_threadsafe(leaving, loop).result(30)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)
        loop.close()


def look(home: Path, code: Path, case: Case) -> dict[str, Any]:
    """Let a build look at a list, and say how many requests arrived."""
    counted = Counted(counted=case.counted)
    with served(counted) as url:
        told = _command(home, code, case, url, "--dry-run", "--rate", "none", speed=1.0)
    listed = sum(told["counts"].values())
    if listed != len(case.ids) or counted.found["patch"]:
        raise FailedError(f"not all were looked at: {told}")
    requests = sum(counted.found.values())
    return {"licenses": listed, **counted.found, "requests": requests}


def whole(home: Path, code: Path, case: Case) -> dict[str, Any]:
    """Let a build revoke a list at 45 requests in 5 seconds, and say how long that takes."""
    least, most = LATENCY
    counted = Counted(counted=case.counted, latency=(least / SPEED, most / SPEED))
    with served(counted) as url:
        more = ("--yes", "--max-licenses", str(len(case.ids)), "--rate", "45/5s")
        told = _command(home, code, case, url, *more, speed=SPEED)
    if told["exit_code"] != 0:
        raise FailedError(f"not all were revoked: {told}")
    return {
        "licenses": len(case.ids),
        **counted.found,
        "requests": sum(counted.found.values()),
        "seconds": round(told["seconds"], 1),
    }


def _command(
    home: Path, code: Path, case: Case, url: str, *more: str, speed: float
) -> dict[str, Any]:
    listed = home / "list.csv"
    listed.write_text("\n".join(["license_id", *case.ids]) + "\n", encoding="ascii")
    for each in home.glob("results.csv*"):
        each.unlink()
    cost = measured(
        [
            sys.executable, ROOT / "benchmarks" / "peers" / "hasty.py", str(speed), "run", listed,
            "--base-url", url, *more, "--json", "--quiet", "--output", home / "results.csv",
            "--lock-dir", home,
        ],
        directory=home,
        variables={"PYTHONPATH": str(code), "CRYPTLEX_ACCESS_TOKEN": TOKEN},
    )  # fmt: skip
    told = json.loads(cost.output)
    assert isinstance(told, dict)
    return told


def unpacked(home: Path) -> Path:
    """The code before, in a directory of its own."""
    made = subprocess.run(
        [program("git"), "archive", BEFORE, "batch"], cwd=ROOT, capture_output=True, check=True
    )
    with tarfile.open(fileobj=BytesIO(made.stdout)) as file:
        file.extractall(home, filter="data")
    return home


# Processor time


class Direct:
    """An API without a server: its answers come at once, and are parsed as ever.

    It stands for client, API and rate limiter of a `Look`.

    Attributes:
        asked: What was asked for, in order: the path behind the base URL, and the answer.
    """

    stopped = stranger = None
    introduced = True
    requests = max_attempts = 1

    def __init__(self, of: Account) -> None:
        self.asked: list[tuple[str, Response]] = []
        self.api = self.rate_limiter = self.policy = self
        self._answer = Api(of).handle
        self._known: dict[str, Response] = {}

    async def get(self, license_id: str) -> License:
        """Read one license."""
        license_: License = parsed(*self._ask(f"/licenses/{license_id}"))
        return license_

    async def list(self, filters: Mapping[str, Sequence[str]], *, page: int = 1) -> Page:
        """Read a page of a list."""
        query = f"page={page}&limit={PAGE_SIZE}{filter_query(filters)}"
        found: Page = parsed(*self._ask(f"/licenses?{query}"))
        return found

    async def read(self, request: Callable[[], Awaitable[_T]], _most: int) -> _T:
        """Send a request."""
        return await request()

    async def ask(
        self,
        request: Callable[[], Awaitable[_T]],
        _attempts: Attempts,
        _most: float,
        *,
        patient: bool,
    ) -> _T:
        """Send a request."""
        assert patient
        return await request()

    async def each(
        self, items: Iterable[_T], work: Callable[[_T], Awaitable[object]], _workers: int
    ) -> None:
        """Work on all items, one after another."""
        for item in items:
            await work(item)

    def _ask(self, path: str) -> tuple[str, int, Mapping[str, str], bytes]:
        if path not in self._known:
            place, _, query = path.partition("?")
            request = Request(
                arrived=0.0,
                method="GET",
                path=place,
                resource="licenses" if query else "license",
                license_id="" if query else place.rpartition("/")[2],
                query=parse_qsl(query),
                headers={"Authorization": f"Bearer {TOKEN}"},
                body=b"",
            )
            self._known[path] = self._answer(request)
        found = self._known[path]
        self.asked.append((path, found))
        return path, found.status, found.headers, found.body


def parsed(path: str, status: int, headers: Mapping[str, str], body: bytes) -> Any:  # noqa: ANN401
    """What an answer describes: a page, or a license."""
    if "?" in path:
        return page_from(status, headers, body)
    return license_from(status, headers, body, path.rpartition("/")[2])


def a_look(listing: Listing, client: Any) -> Look:  # noqa: ANN401
    """A look that nobody watches."""
    return Look(
        listing, client, page_size=PAGE_SIZE, concurrency=CONNECTIONS,
        expect=lambda _requests: None, step=lambda: None,
    )  # fmt: skip


async def looked(listing: Listing, url: str) -> None:
    """Look at a list, as a run does."""
    clock = Clock()
    limiter = RateLimiter(None, 5.0, clock)
    api = CryptlexClient(url, TOKEN, limiter, connections=CONNECTIONS)
    async with api:
        client = RetryingClient(api, limiter, CircuitBreaker(limiter, clock), clock)
        await a_look(listing, client).run(listing.distinct())
    assert client.stopped is None


async def fetched(paths: Sequence[str], url: str) -> None:
    """Fetch and parse the same answers in a bare aiohttp loop."""
    todo = iter(paths)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    connector = aiohttp.TCPConnector(limit=CONNECTIONS)

    async def work(session: aiohttp.ClientSession) -> None:
        for path in todo:
            async with session.get(URL(url + path, encoded=True)) as response:
                parsed(path, response.status, response.headers, await response.read())

    async with (
        aiohttp.ClientSession(connector=connector, headers=headers) as session,
        asyncio.TaskGroup() as tasks,
    ):
        for _ in range(CONNECTIONS):
            tasks.create_task(work(session))


def spent(work: Callable[[], object]) -> float:
    """Seconds of processor time that something takes."""
    gc.collect()
    begun = process_time()
    work()
    return round(process_time() - begun, 4)


@contextmanager
def sandbox() -> Iterator[str]:
    """The account in a process of its own; yields its URL."""
    words = ("--port", "0", "--licenses", str(SIZE), "--seed", str(SEED), "--rate", "none")
    with subprocess.Popen(
        [sys.executable, "-m", "batch", "sandbox", *words, "--latency", "0ms"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().split()[-1]
        finally:
            process.terminate()


def processor() -> dict[str, Any]:
    """Seconds of processor time for the nightly list: of the look, and of others' part of it."""
    of = Account.generate(SIZE, seed=SEED)
    dice = random.Random(SEED)  # noqa: S311 - no secret
    revoked = dice.sample(list(ids(of, [("revoked", "true")], 0)), LISTED)
    listing = Listing(
        title="",
        rows=array("I", range(len(revoked))),
        ids=b"".join(UUID(each).bytes for each in revoked),
        first=array("I", range(len(revoked))),
    )
    direct = Direct(of)
    asyncio.run(a_look(listing, direct).run(listing.distinct()))
    answers = list(direct.asked)
    paths = [path for path, _ in answers]

    def only_parsed() -> None:
        for path, each in answers:
            parsed(path, each.status, each.headers, each.body)

    with sandbox() as url:
        works: dict[str, Callable[[], object]] = {
            "look": lambda: uvloop.run(looked(listing, url)),
            "fetching and parsing": lambda: uvloop.run(fetched(paths, url)),
            "look, no server": lambda: uvloop.run(a_look(listing, direct).run(listing.distinct())),
            "parsing": only_parsed,
        }
        for work in works.values():  # the sandbox has made its lists
            work()
        found: dict[str, list[float]] = {name: [] for name in works}
        for _ in range(ROUNDS):
            for name, work in works.items():
                found[name].append(spent(work))
    return {"licenses": len(revoked), "requests": len(paths), **found}


def main() -> None:
    """Measure, and write ``results/look.json``."""
    listed = cases(account())
    runs: list[dict[str, Any]] = []

    def told(run: dict[str, Any]) -> None:
        print(f"  {run}", file=sys.stderr, flush=True)
        runs.append(run)

    with tempfile.TemporaryDirectory() as directory, tempfile.TemporaryDirectory() as old:
        home, builds = Path(directory), {THEN: unpacked(Path(old)), NOW: ROOT}
        for name, case in listed.items():
            for build, code in builds.items():
                told({"case": name, "build": build, **look(home, code, case)})
        for name in (RESELLER, NIGHTLY):
            for build, code in builds.items():
                run = whole(home, code, listed[name])
                told({"case": f"whole run, {name}", "build": build, **run})
    told({"case": "processor time", "build": NOW, **processor()})
    save("look", runs)
