"""docs/runbook.md shows what the commands really print: it is replayed, block by block.

Its second part takes a month, which passes in `month`; in its third a plan comes back, in
`four_eyes`. Each section of its fourth part is a night of its own: what has gone wrong is arranged
in `NIGHTS`. Time passes `SPEED` times as fast, and a fixed account is served on loopback in the
place of the Cryptlex API.
"""

from __future__ import annotations

import asyncio
import difflib
import io
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click
import pytest

from batch.cli import COMMANDS, cli, run_command
from batch.host import lock
from batch.host.clock import Clock
from batch.sandbox import PRODUCTS, TOKEN, Account, Sandbox
from tests.support.commands import Served, served, settle_in, write
from tests.support.job_harness import some_ids
from tests.support.programs import program
from tests.support.results_files import aged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from batch.sandbox.message import Request, Response

PAGE = (Path(__file__).parents[2] / "docs" / "runbook.md").read_text(encoding="utf-8")

GOOD_DAY, MONTH, FOUR_EYES = "A good day", "A month in between", "Four eyes"
BAD_NIGHTS = "When something went wrong"

EXIT_CODE = "echo $?"

SPEED = 300
"""Seconds of the program's clock in one of this machine's."""

MOST_NOT_REPLAYED = 1
"""Blocks that nothing holds to the truth: a full disk."""

IDS = some_ids(124, seed=4711)
"""The list: rows 2 to 125."""

KEPT, BEFORE = [IDS[30], IDS[95]], IDS[10:14]
"""Licenses of another product, and licenses that are revoked from the start."""

LIFTED_BY_HAND = IDS[58]
LIFTED = [IDS[40], LIFTED_BY_HAND]
"""Licenses whose suspension is lifted within the month: row 42 with a restore, and row 60."""

CUSTOMERS = some_ids(60, seed=815)
"""A list that nobody wants to revoke."""

SENT = [each for each in IDS if each not in BEFORE]
"""What a run without --exclude sends, in its order."""


class Typed(NamedTuple):
    """A command of the page, with what it shows.

    Attributes:
        line: The command line.
        shown: The lines below it; a line ``…`` stands for any lines.
        answer: What is typed when it asks.
    """

    line: str
    shown: list[str]
    answer: str


class Block(NamedTuple):
    """A terminal session of the page; ``not_replayed`` says why nothing holds it to the truth."""

    commands: list[Typed]
    not_replayed: str


def sections(title: str) -> dict[str, list[Block]]:
    """The terminal sessions of a part of the page, by the heading they stand under."""
    part = re.split(r"^## ", PAGE, flags=re.MULTILINE)
    [text] = [each for each in part if each.startswith(f"{title}\n")]
    _, *found = re.split(r"^### ", text, flags=re.MULTILINE)
    return {each.split("\n", 1)[0]: blocks(each) for each in found}


def blocks(text: str) -> list[Block]:
    found = re.findall(
        r"(?:^<!-- not replayed: (.+) -->\n)?^```console\n(.*?)^```$",
        text,
        re.DOTALL | re.MULTILINE,
    )
    return [Block(list(commands(session)), reason) for reason, session in found]


def commands(session: str) -> Iterator[Typed]:
    for each in re.split(r"^\$ ", session, flags=re.MULTILINE)[1:]:
        line, *shown = each.splitlines()
        asked = next((i for i, text in enumerate(shown) if text.startswith("Type ")), None)
        yield Typed(line, shown, "" if asked is None else shown[asked + 1])


BAR = re.compile(
    r"(rehearsal \| )?([a-z]+ing: )?( *\d+%\|.*|[\d,]+ of [\d,]+ (licenses|requests) done, .*)"
)
"""Progress: a terminal shows a bar, and everything else a line from time to time."""


def masked(lines: list[str]) -> list[str]:
    """Lines without what differs from run to run."""
    found = []
    for line in lines:
        text = re.sub(r"\brun [0-9a-f]{8}", "run …", line.rstrip())
        text = re.sub(r"\d\d:\d\d-\d\d:\d\d UTC", "… UTC", text)
        text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "…", text)
        text = re.sub(r"\bby \S+, process \d+", "by …, process …", text)
        text = re.sub(r"\b(for|waiting) \d+(\.\d)? s\b", r"\1 … s", text)
        text = re.sub(r"^ {1,7}(?=\d+( [a-z_]+)?$)", "", text)  # wc and uniq indent as they like
        if not BAR.fullmatch(text):
            found.append(text)
    return found


def agree(printed: list[str], shown: list[str]) -> bool:
    """Whether the page shows what was printed; its lines ``…`` stand for one line or more."""
    pattern = "".join(
        "(?:.*\n)+" if line == "…" else f"{re.escape(line)}\n" for line in masked(shown)
    )
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in masked(printed))) is not None


OF_THE_STAGE = re.compile(
    r" --(?:base-url https://api\.cryptlex\.com/v3|concurrency 1|timeout 2\.0)(?= |$)", re.MULTILINE
)
"""What the command that comes next repeats of the environment that stands for the real API."""


@dataclass
class Desk:
    """Somebody with a list, a token and a terminal; the API is served on loopback.

    Attributes:
        home: Where the token is, and the directory with the list.
        api: What answers in the place of the Cryptlex API.
        monkeypatch: Sets what a command finds.
        capsys: Has what it prints.
        locks: Where the next command locks; None for a place where nobody was before.
        code: Exit code of the last command.
    """

    home: Path
    api: Served
    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]
    locks: Path | None = None
    code: int = 0
    _places: Iterator[int] = field(default_factory=lambda: iter(range(1000)))

    def type(self, command: Typed) -> list[str]:
        """Run a command of the page, and return the lines that its terminal shows."""
        if command.line == EXIT_CODE:
            printed, self.code = str(self.code), 0
            return [printed]
        line = command.line.replace("https://api.cryptlex.com/v3", self.api.base_url)
        words = [os.path.expanduser(each) for each in shlex.split(command.line)]  # noqa: PTH111
        if words[0] != "bulk-revoke":
            ended = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False)
            self.code, text = ended.returncode, ended.stdout + ended.stderr
        else:
            text = self._revoke(words[1:], command.answer)
        text = text.replace(str(self.home), "/home/ada")
        text = text.replace(self.api.base_url, "https://api.cryptlex.com/v3")
        text = text.replace(f"127.0.0.1:{self.api.sandbox.port}", "api.cryptlex.com")
        return OF_THE_STAGE.sub("", text).splitlines()

    def _revoke(self, arguments: list[str], answer: str) -> str:
        locks = self.locks or self.home / "locks" / str(next(self._places))
        locks.mkdir(parents=True, exist_ok=True)
        for name in ("RUN", "SUSPEND", "VERIFY", "RESTORE"):
            self.monkeypatch.setenv(f"BULK_REVOKE_{name}_LOCK_DIR", str(locks))
        self.monkeypatch.setattr(
            "batch.job.runner.open_terminal", lambda: io.StringIO(f"{answer}\n")
        )
        self.monkeypatch.setattr("batch.job.runner.tell", lambda text: _tell(text, answer))
        self.monkeypatch.setattr("batch.cli.is_watched", lambda: True)
        self.capsys.readouterr()
        self.code = run_command(arguments)
        printed = self.capsys.readouterr()
        return printed.out + printed.err


def _tell(text: str, answer: str) -> None:
    """Write on the terminal what is said, and what is typed when it is a question."""
    print(text, *([answer] if text.startswith("Type ") else []), sep="\n", file=sys.stderr)  # noqa: T201


@pytest.fixture
def desk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Desk]:
    work = tmp_path / "4711"
    work.mkdir()
    settle_in(work, tmp_path, monkeypatch)
    monkeypatch.delenv("CRYPTLEX_ACCESS_TOKEN")
    monkeypatch.setenv("HOME", str(tmp_path))
    token = tmp_path / ".cryptlex-token"
    token.write_text(f"{TOKEN}\n", encoding="utf-8")
    token.chmod(0o600)
    lines = (f"{license_id},R-{1000 + row}" for row, license_id in enumerate(IDS, 2))
    write("reseller.csv", lines, header="License ID,Order")
    write("customers.csv", CUSTOMERS)

    async def sleep(seconds: float) -> None:
        await asyncio.sleep(seconds / SPEED)

    clock = (lambda: time.monotonic() * SPEED, sleep)
    monkeypatch.setattr(Clock.__init__, "__defaults__", clock)
    # The sandbox of a rehearsal goes by another clock: its limit would be met, its answers late.
    monkeypatch.setattr("batch.job.rehearsal.Sandbox", lambda account, **_: Sandbox(account))
    with served(account()) as api:
        for name in ("RUN", "SUSPEND", "VERIFY", "RESTORE"):
            monkeypatch.setenv(f"BULK_REVOKE_{name}_BASE_URL", api.base_url)
            # Only so is it the same from run to run how far a run has come.
            monkeypatch.setenv(f"BULK_REVOKE_{name}_CONCURRENCY", "1")
            monkeypatch.setenv(f"BULK_REVOKE_{name}_TIMEOUT", "2")
        yield Desk(tmp_path, api, monkeypatch, capsys)


def account() -> Account:
    """The account: the list is of one product, but for two licenses."""
    found = Account.holding([*IDS, *CUSTOMERS], seed=7, revoked=BEFORE)
    for license_ in found:
        license_.product = PRODUCTS[2 if license_.id in KEPT else 0]
    return found


def month(desk: Desk) -> Iterator[None]:
    """A month passes between day 1 and day 31; one license is lifted by hand meanwhile."""
    write("keep.csv", (f"{each},R-{1002 + IDS.index(each)}" for each in KEPT), "License ID,Order")
    yield
    yield
    desk.api.turn(LIFTED_BY_HAND, suspended=False)
    yield
    suspended = desk.api.suspended()
    aged(Path("reseller.results.csv"), *[30.01] * len(IDS))
    yield
    assert desk.api.suspended() == suspended
    yield
    assert desk.api.revoked().isdisjoint({*LIFTED, *KEPT})
    yield
    yield
    assert desk.api.revoked() == set(BEFORE)
    assert desk.api.suspended() == suspended
    yield


def four_eyes(desk: Desk) -> Iterator[None]:
    """A plan comes back with two rows fewer and semicolons; meanwhile a license was sold on."""
    write("keep.csv", (f"{each},R-{1002 + IDS.index(each)}" for each in KEPT), "License ID,Order")
    yield
    rows = Path("reseller.dry-run.csv").read_text(encoding="utf-8").splitlines()
    left = [row.replace(",", ";") for row in rows if not row.endswith(("R-1042", "R-1060"))]
    Path("approved.csv").write_text("\n".join([*left, ""]), encoding="utf-8")
    sold = desk.api.sandbox.account.licenses[IDS[1]]
    assert sold.customer
    buyer = sold.customer._replace(email="grace.hopper@example.com")
    desk.api.call(setattr, sold, "customer", buyer)
    yield
    assert desk.api.patches() == []
    yield


# The nights. Each says what is so before the blocks of its section: every ``yield`` is one block.


def interrupted(desk: Desk) -> Iterator[None]:
    """Ctrl-C while a license is being revoked; then the run is gone on with."""
    with interrupt_at(desk, SENT[46]):
        yield
    yield


def killed(desk: Desk) -> Iterator[None]:
    """The process is killed while it waits for an answer."""
    desk.locks = desk.home
    desk.api.fail(SENT[46], "hang_after")
    ended = subprocess.Popen(
        [
            *(sys.executable, "-m", "batch", "run", "reseller.csv", "--reason", "ticket 4711"),
            *("--yes", "--max-licenses", "1000", "--rate", "none", "--timeout", "30"),
            *("--token-file", str(desk.home / ".cryptlex-token")),
        ],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        stderr=subprocess.PIPE,
    )
    with ended:
        wait_until(lambda: SENT[46] in desk.api.patches() or ended.poll() is not None)
        ended.kill()
        assert ended.wait() == -signal.SIGKILL, ended.communicate()
    # The next run begins at once, and what it has to wait for is over when it has looked.
    killed_at, read = lock.boot_clock(), len(desk.api.reads())
    desk.monkeypatch.setitem(
        lock.held.__wrapped__.__kwdefaults__,  # type: ignore[attr-defined]
        "clock",
        lambda: killed_at + (3600 if len(desk.api.reads()) > read else 0),
    )
    yield
    yield
    yield


def refused_token(desk: Desk) -> Iterator[None]:
    desk.api.fail(SENT[46], 401)
    yield
    yield


def outage(desk: Desk) -> Iterator[None]:
    for license_id in SENT[46:]:
        desk.api.fail(license_id, 503, times=None, on="*")
    yield
    desk.api.heal()
    yield


def too_many_failures(desk: Desk) -> Iterator[None]:
    for license_id in SENT[:40]:
        desk.api.fail(license_id, 409, times=None)
    yield
    desk.api.heal()
    yield


def some_failures(desk: Desk) -> Iterator[None]:
    desk.api.fail(SENT[20], 409)
    desk.api.fail(SENT[70], 500, times=None, on="*")
    desk.api.fail(SENT[50], 404)  # it is deleted after the look
    yield
    desk.api.heal()
    desk.api.call(desk.api.sandbox.account.remove, SENT[50])
    yield


def another_run(desk: Desk) -> Iterator[None]:
    desk.locks = desk.home
    owner = lock.Owner("5b0c1f2e", "run", "grace", 40721, "2026-11-24T01:02:03.456Z")
    with lock.held(
        desk.home / lock.api_name(desk.api.base_url),
        owner,
        wait=None,
        timeout=1,
        say=print,
        what="",
    ):
        yield


def throttled(desk: Desk) -> Iterator[None]:
    desk.api.fail(SENT[46], 429, retry_after=5)
    yield


def wrong_file(desk: Desk) -> Iterator[None]:
    with interrupt_at(desk, CUSTOMERS[17]):
        yield
    yield


def never_noticed(desk: Desk) -> Iterator[None]:
    """Two licenses of the list have an unlimited grace period, and so has one that is not on it."""
    for name in ("curl", "jq"):
        program(name)
    unlimited = {IDS[0], IDS[70], CUSTOMERS[0]}
    desk.api.turn(IDS[0], revoked=True)
    answer = desk.api.sandbox.api

    def handle(request: Request) -> Response:
        response = answer(request)
        found = json.loads(response.body)
        for each in found if isinstance(found, list) else [found]:
            if each.get("id") in unlimited:
                each["serverSyncGracePeriod"] = -1
        return replace(response, body=json.dumps(found).encode())

    desk.api.sandbox.api = handle
    yield
    [script] = re.findall(r"^```sh\n(: > never.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    assert (desk.type(Typed(script, [], "")), desk.code) == ([], 0)
    assert set(Path("never.txt").read_text(encoding="utf-8").split()) == unlimited
    yield


def saved_by_a_spreadsheet(desk: Desk) -> Iterator[None]:
    pilot(desk)
    results = Path("reseller.results.csv")
    results.write_bytes(results.read_bytes().replace(b"\n", b"\r\n").replace(b"false", b"FALSE"))
    yield
    yield
    yield


def no_manifest(desk: Desk) -> Iterator[None]:
    pilot(desk)
    Path("reseller.results.csv.run.json").unlink()
    yield


def no_look(desk: Desk) -> Iterator[None]:
    assert desk.api.patches() == []
    yield
    yield


def not_the_api(desk: Desk) -> Iterator[None]:
    desk.api.fail_all("html_404")
    yield


NIGHTS: dict[str, Callable[[Desk], Iterator[None]]] = {
    "Somebody pressed Ctrl-C, or the window was closed": interrupted,
    "The process was killed, or the machine went down": killed,
    "The token was refused in the middle (exit 3)": refused_token,
    "The server was down (exit 3)": outage,
    "Too many failures (exit 3)": too_many_failures,
    "Some rows failed (exit 1)": some_failures,
    "Another run holds the lock (exit 4)": another_run,
    "A 429 appears": throttled,
    "The wrong file was run": wrong_file,
    "An application runs on although its license is revoked": never_noticed,
    "The results file was opened and saved in a spreadsheet": saved_by_a_spreadsheet,
    "The manifest is missing": no_manifest,
    "`was_revoked` is empty": no_look,
    "“This is not the license API”": not_the_api,
}


def pilot(desk: Desk) -> None:
    """Five licenses are revoked, and the rest is left for later."""
    line = "bulk-revoke run reseller.csv --token-file ~/.cryptlex-token --limit 5"
    desk.type(Typed(line, [], "5"))
    assert desk.code == 0


def interrupt_at(desk: Desk, license_id: str) -> ExitStack:
    """Ctrl-C while a license waits for its answer; the change is applied."""
    desk.api.fail(license_id, "hang_after")

    def press() -> None:
        wait_until(lambda: license_id in desk.api.patches())
        os.kill(os.getpid(), signal.SIGINT)

    hand = threading.Thread(target=press)
    hand.start()
    pressed = ExitStack()
    pressed.callback(hand.join, 10)
    return pressed


def wait_until(so: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not so():
        assert time.monotonic() < deadline, "it never came about"
        time.sleep(0.01)


def replay(desk: Desk, found: list[Block], night: Iterator[None] | None = None) -> None:
    """Type what the blocks show, in their order, and compare what is printed."""
    for block in found:
        if block.not_replayed:
            continue
        if night is not None:
            next(night)
        for command, resume_command in zip(
            block.commands, [*block.commands[1:], None], strict=True
        ):
            printed = desk.type(command)
            if not agree(printed, command.shown):
                differ = difflib.unified_diff(
                    masked(command.shown), masked(printed), "the page", "the command", lineterm=""
                )
                pytest.fail("\n".join([f"$ {command.line}", *differ]), pytrace=False)
            told = re.search(r"\(exit (\d+)\)", "\n".join(command.shown))
            if told:
                assert desk.code == int(told[1]), command.line
            elif resume_command is None or resume_command.line != EXIT_CODE:
                assert desk.code == 0, f"{command.line}: the page does not show the exit code"
    for _ in night or ():
        pytest.fail("the night has more blocks than the page")


@pytest.mark.parametrize(
    ("shown", "fits"),
    [
        (["a", "b", "c"], True),
        (["a", "…", "c"], True),
        (["…", "c"], True),
        (["a", "…"], True),
        (["a", "c"], False),
        (["a", "b"], False),
        (["a", "b", "…", "c"], False),
    ],
)
def test_dots_stand_for_at_least_one_line(shown: list[str], fits: bool) -> None:
    assert agree(["a", "b", "c"], shown) is fits


def test_a_good_day_goes_as_the_page_shows_it(desk: Desk) -> None:
    replay(desk, [block for found in sections(GOOD_DAY).values() for block in found])

    assert desk.api.revoked() == set(BEFORE)
    assert {*KEPT, *CUSTOMERS, *BEFORE}.isdisjoint(desk.api.patches())


def test_a_month_goes_as_the_page_shows_it(desk: Desk) -> None:
    suspended_before = desk.api.suspended()

    replay(desk, [block for found in sections(MONTH).values() for block in found], month(desk))

    assert desk.api.suspended() == suspended_before
    assert desk.api.revoked() == set(BEFORE)
    assert {*KEPT, *CUSTOMERS, *BEFORE}.isdisjoint(desk.api.patches())


def test_a_plan_is_approved_as_the_page_shows_it(desk: Desk) -> None:
    found = [block for each in sections(FOUR_EYES).values() for block in each]

    replay(desk, found, four_eyes(desk))

    struck = {IDS[1], IDS[40], IDS[58]}
    assert desk.api.revoked() == set(IDS) - struck - set(KEPT)
    assert {*KEPT, *CUSTOMERS, *BEFORE, *struck}.isdisjoint(desk.api.patches())


@pytest.mark.parametrize("title", NIGHTS)
def test_a_night_goes_as_the_page_shows_it(desk: Desk, title: str) -> None:
    replay(desk, sections(BAD_NIGHTS)[title], NIGHTS[title](desk))

    assert desk.api.revoked().isdisjoint(CUSTOMERS)


def test_what_is_not_replayed_is_little_and_says_why() -> None:
    found = {
        title: each
        for part in (GOOD_DAY, MONTH, FOUR_EYES, BAD_NIGHTS)
        for title, each in sections(part).items()
    }
    left_out = [block for each in found.values() for block in each if block.not_replayed]

    assert len(left_out) <= MOST_NOT_REPLAYED
    assert PAGE.count("```console\n") == sum(map(len, found.values()))
    replayed = {
        title
        for title, each in sections(BAD_NIGHTS).items()
        if any(not block.not_replayed for block in each)
    }
    assert replayed == set(NIGHTS)


def test_options_that_the_page_names_exist() -> None:
    commands = [cli.get_command(click.Context(cli), name) for name in COMMANDS]
    flags = {
        flag
        for each in commands
        if each
        for option in each.params
        for flag in (*option.opts, *option.secondary_opts)
    }
    code = re.findall(r"`([^`\n]+)`|^\$ (bulk-revoke .*)$", PAGE, re.MULTILINE)
    words = [word.split("=")[0] for pair in code for word in " ".join(pair).split()]

    assert {word for word in words if word.startswith("--")} <= flags


def test_links_within_the_page_lead_to_a_heading() -> None:
    titles = re.findall(r"^##+ (.+)$", PAGE, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}

    links = re.findall(r"\]\(#([^)]+)\)", PAGE)

    assert links
    assert set(links) <= anchors
