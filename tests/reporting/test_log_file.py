"""The file of --log-file: rotated, shared, cut off and shipped; and what is never in it."""

from __future__ import annotations

import grp
import gzip
import io
import json
import logging
import os
import pwd
import re
import stat
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from aiohttp import web

from batch import __version__
from batch.api import retrying_client
from batch.reporting import logs
from batch.reporting.logs import FIELDS, Redactor
from batch.reporting.progress import Screen
from batch.results.journal import Journal
from batch.sandbox import TOKEN, Account
from batch.sandbox.api import error
from batch.sandbox.message import Response
from tests.end_to_end.conftest import Command, wait_until
from tests.support.builders import full_disk
from tests.support.commands import Served, served, write
from tests.support.faults import FAULTS
from tests.support.faulty_sandbox import FaultySandbox
from tests.support.forkserver import Trouble, forkserver
from tests.support.job_harness import bench, some_ids
from tests.support.programs import program

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from batch.model import RowResult
    from batch.sandbox.faults import Fault

log = logging.getLogger("batch.tested")

SAMPLE = Path(__file__).parents[2] / "samples" / "logrotate" / "bulk-revoke"

ALWAYS = {"time": str, "level": str, "event": str, "run_id": str, "message": str}
"""Fields of every line, and their types."""

needs_posix = pytest.mark.skipif(os.name == "nt", reason="nobody can rename a file that is open")


@dataclass
class Log:
    """A log that is being written to, by this process.

    Attributes:
        path: Its file.
        shown: What the screen shows.
    """

    path: Path
    shown: io.StringIO = field(default_factory=io.StringIO)

    def start(self, *, verbose: bool = False) -> None:
        logs.start(
            Screen(self.shown, redact=Redactor(TOKEN)),
            run_id="7f3a0001",
            log_file=str(self.path),
            verbose=verbose,
        )

    @property
    def handler(self) -> logging.FileHandler:
        """What writes it."""
        handlers = logging.getLogger("batch").handlers
        (handler,) = (each for each in handlers if isinstance(each, logging.FileHandler))
        return handler

    @property
    def rows(self) -> list[int]:
        """The row of every line, in their order."""
        return rows(self.path)


@pytest.fixture
def logged(tmp_path: Path) -> Iterator[Log]:
    logged = Log(tmp_path / "logs" / "run.jsonl")
    logged.path.parent.mkdir()
    logged.start()
    yield logged
    logs.stop()
    logging.getLogger("batch").setLevel(logging.NOTSET)
    logging.getLogger("batch").propagate = True


def say(*numbers: int) -> None:
    """Log a line for each row."""
    for row in numbers:
        log.info("row", extra={"row": row})


def parsed(*paths: Path) -> list[dict[str, Any]]:
    """All lines of some files, each of which is JSON to its end."""
    found = []
    for path in paths:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        assert b"\0" not in content
        *whole, rest = content.split(b"\n")
        assert rest == b""
        found += [json.loads(line) for line in whole]
    assert all(isinstance(line, dict) for line in found)
    return found


def rows(*paths: Path) -> list[int]:
    return [line["row"] for line in parsed(*paths)]


# Rotation


@needs_posix
@pytest.mark.parametrize("created", [False, True])
def test_after_a_rename_lines_go_into_a_new_file(logged: Log, created: bool) -> None:
    say(1, 2)
    renamed = logged.path.rename(logged.path.with_name("run.jsonl.1"))
    if created:
        logged.path.touch(mode=0o600)
    inode = logged.path.stat().st_ino if created else None

    say(3, 4)

    assert (rows(renamed), logged.rows) == ([1, 2], [3, 4])
    assert inode in {None, logged.path.stat().st_ino}


@needs_posix
@pytest.mark.parametrize("umask", [0, 0o022, 0o077])
def test_a_new_file_is_for_its_owner_alone_and_one_that_is_there_stays_as_it_is(
    tmp_path: Path, umask: int
) -> None:
    made, there = tmp_path / "made.jsonl", tmp_path / "there.jsonl"
    there.touch()
    there.chmod(0o640)

    before = os.umask(umask)
    try:
        for path in (made, there):
            Log(path).start()
            say(1)
            logs.stop()
    finally:
        os.umask(before)

    assert [stat.S_IMODE(path.stat().st_mode) for path in (made, there)] == [0o600, 0o640]


@needs_posix
def test_a_file_that_was_deleted_is_made_anew(logged: Log) -> None:
    say(1)
    logged.path.unlink()

    say(2)

    assert logged.rows == [2]


def test_after_a_cut_lines_go_on_at_the_start(logged: Log) -> None:
    say(1, 2)
    os.truncate(logged.path, 0)

    say(3, 4)

    assert logged.rows == [3, 4]


def gone(path: Path) -> Callable[[], object]:
    elsewhere = path.parent.rename(path.parent.with_name("elsewhere"))
    return lambda: elsewhere.rename(path.parent)


def a_directory(path: Path) -> Callable[[], object]:
    path.rename(path.with_name("run.jsonl.1"))
    path.mkdir()
    return path.rmdir


def a_loop(path: Path) -> Callable[[], object]:
    path.rename(path.with_name("run.jsonl.1"))
    path.symlink_to(path)  # such a path cannot even be looked at
    return path.unlink


@needs_posix
@pytest.mark.parametrize("spoil", [gone, a_directory, a_loop])
def test_a_file_that_cannot_be_opened_again_is_said_once_and_tried_again(
    logged: Log,
    spoil: Callable[[Path], Callable[[], object]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    say(1)
    repair = spoil(logged.path)
    say(*range(2, 50))
    repair()

    say(50, 51)
    stream = logged.handler.stream
    say(52)

    assert logged.rows[-3:] == [50, 51, 52]
    assert logged.handler.stream is stream
    assert re.fullmatch(
        rf"warning: --log-file {re.escape(str(logged.path))}: [A-Z][\w ]+; lines are lost\n",
        logged.shown.getvalue(),
    )
    assert capsys.readouterr() == ("", "")


def test_a_line_that_cannot_be_made_ends_nothing(logged: Log) -> None:
    log.info("row", extra={"row": "no number"})
    say(3)

    assert logged.rows == [3]
    assert "ValueError; lines are lost" in logged.shown.getvalue()
    assert "no number" not in logged.shown.getvalue()


# Whole lines


class Noting(io.FileIO):
    """A file that keeps what each write to the system is given."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "ab")
        self.written: list[bytes] = []

    def write(self, content: Any) -> int:  # noqa: ANN401 - whatever is a buffer
        self.written.append(bytes(content))
        return super().write(content)


def test_a_line_is_one_write(logged: Log) -> None:
    stream = logged.handler.stream
    assert stream is not None
    noting = Noting(logged.path)
    buffered = io.BufferedWriter(noting)
    logged.handler.setStream(io.TextIOWrapper(buffered, stream.encoding, stream.errors))
    stream.close()

    say(1)
    log.info("\x00" * 1000)
    log.error("\x00" * 1000, exc_info=type("木" * 2000, (Exception,), {})())
    say(2)

    assert b"".join(noting.written) == logged.path.read_bytes()
    assert [line[-2:] for line in noting.written] == [b"}\n"] * 4
    assert len(noting.written[1]) > 6000
    assert len(noting.written[2]) > io.DEFAULT_BUFFER_SIZE


@needs_posix
def test_what_a_full_disk_did_not_take_is_said_once_and_cuts_no_line(logged: Log) -> None:
    say(1)
    with full_disk(logged.path.stat().st_size + 10):
        say(*range(2, 300))

    say(300, 301)

    written = logged.rows
    assert written[:2] == [1, 2]
    assert written[-2:] == [300, 301]
    assert written == sorted(set(written))
    assert logged.shown.getvalue() == (
        f"warning: --log-file {logged.path}: File too large; lines are lost\n"
    )


WRITER = """
import io, logging, sys
from batch.reporting import logs
from batch.reporting.progress import Screen

logs.start(Screen(io.StringIO()), run_id=sys.argv[2], log_file=sys.argv[1], verbose=False)
log = logging.getLogger("batch.writer")
for row in range(300):
    if row % 100 == 0:
        print(flush=True)
        sys.stdin.readline()
    log.info("\\x00" * (row * 7 % 1000), extra={"row": row})
"""
"""Writes a hundred lines for each that it reads."""


@needs_posix
def test_processes_that_share_a_file_lose_no_line_while_it_is_renamed(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), f"run {number}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )
        for number in range(3)
    ]
    renamed: list[Path] = []
    try:
        for _ in range(3):
            for writer in writers:
                assert writer.stdout is not None
                writer.stdout.readline()
            for writer in writers:
                assert writer.stdin is not None
                writer.stdin.write(b"\n")
                writer.stdin.flush()
            wait_until(lambda: path.exists() and path.stat().st_size > 100_000)
            renamed.append(path.rename(path.with_name(f"run.jsonl.{len(renamed) + 1}")))
        for writer in writers:
            writer.wait(timeout=60)
    finally:
        for writer in writers:
            writer.kill()
            writer.communicate()

    lines = parsed(*renamed, *([path] if path.exists() else []))
    assert len(lines) == 900
    for number in range(3):
        own = [line["row"] for line in lines if line["run_id"] == f"run {number}"]
        assert own == list(range(300))


# logrotate


@dataclass
class Rotation:
    """A run whose log is rotated as a configuration says."""

    home: Path
    path: Path
    process: subprocess.Popen[str]

    def settled(self) -> list[int]:
        """Rows that are settled by what the files say that there are, in their order."""
        kept = sorted(self.path.parent.glob(f"{self.path.name}*"), key=len_of_name, reverse=True)
        return [line["row"] for line in parsed(*kept) if line["event"] == "settled"]

    def has_settled(self, count: int) -> bool:
        return self.path.exists() and len(self.settled()) >= count

    def rotate(self) -> None:
        subprocess.run(
            [
                program("logrotate"),
                "--force",
                "--state",
                str(self.home / "state"),
                str(self.home / "conf"),
            ],
            check=True,
            capture_output=True,
        )

    def names(self) -> set[str]:
        return {path.name for path in self.path.parent.iterdir()}


def len_of_name(path: Path) -> tuple[int, str]:
    """Sorts ``run.jsonl.2.gz`` behind ``run.jsonl.1``, and that behind ``run.jsonl``."""
    return len(path.name), path.name


COUNT = 300
IDS = some_ids(COUNT)


@contextmanager
def rotating(home: Path, config: str, **options: Any) -> Iterator[tuple[Rotation, Served]]:  # noqa: ANN401
    """A run that settles one license after another, until its end."""
    path = home / "logs" / "run.jsonl"
    path.parent.mkdir()
    (home / "conf").write_text(config)
    (home / "conf").chmod(0o600)
    command = Command(home)
    with ExitStack() as stack:
        api = stack.enter_context(served(Account.holding(IDS), **options))
        stack.callback(command.end)
        process = command.start(
            "run", write(str(home / "list.csv"), IDS), "--base-url", api.base_url,
            "--rate", "none", "--concurrency", "1", "--yes", "--max-licenses", str(COUNT),
            "--log-file", path, "--quiet",
        )  # fmt: skip
        yield Rotation(home, path, process), api
        _, err = process.communicate(timeout=60)
        assert (process.returncode, err) == (0, "")


def sample(home: Path) -> str:
    """The sample, for the path of a test and whoever runs it."""
    text = SAMPLE.read_text(encoding="utf-8")
    user, group = pwd.getpwuid(os.getuid()).pw_name, grp.getgrgid(os.getgid()).gr_name
    for old, new in (
        ("/var/log/bulk-revoke/*.jsonl", str(home / "logs" / "*.jsonl")),
        ("# su bulk-revoke bulk-revoke", f"su {user} {group}"),
    ):
        assert old in text
        text = text.replace(old, new)
    return text


def test_the_sample_for_logrotate_loses_no_line_of_a_run(tmp_path: Path) -> None:
    program("logrotate")
    with rotating(tmp_path, sample(tmp_path), latency=(0.004, 0.008)) as (run, _):
        for count in (COUNT // 4, COUNT // 2):
            wait_until(partial(run.has_settled, count))
            run.rotate()
            assert run.process.poll() is None

    assert run.names() == {"run.jsonl", "run.jsonl.1", "run.jsonl.2.gz"}
    assert run.settled() == list(range(2, COUNT + 2))


def test_copytruncate_loses_no_line_while_a_run_is_silent(tmp_path: Path) -> None:
    # Between its copy and its cut logrotate forces the copy to the disk; what is written meanwhile
    # is lost (logrotate(8), "copytruncate"). So the run waits, as a server asks it to.
    program("logrotate")
    assert sample(tmp_path).count("\n    nocreate\n") == 1
    config = sample(tmp_path).replace("nocreate", "copytruncate")
    with rotating(tmp_path, config) as (run, api):
        api.fail(IDS[COUNT // 2], "503_retry_after", retry_after=5)
        wait_until(lambda: run.path.exists() and b'"paused"' in run.path.read_bytes())
        before = len(run.settled())
        run.rotate()
        assert run.process.poll() is None
        assert run.path.read_bytes() == b""

    assert run.names() == {"run.jsonl", "run.jsonl.1"}
    assert 0 < len(rows_of(run.path.with_name("run.jsonl.1"))) == before < COUNT
    assert run.settled() == list(range(2, COUNT + 2))


def rows_of(path: Path) -> list[int]:
    return [line["row"] for line in parsed(path) if line["event"] == "settled"]


# Shippers


def test_every_line_of_runs_that_are_killed_can_be_shipped(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path / "run.jsonl"
    listed = write(str(tmp_path / "list.csv"), some_ids(150))
    locks = str(tmp_path_factory.mktemp("locks"))
    environment = {"CRYPTLEX_ACCESS_TOKEN": TOKEN, "BULK_REVOKE_RUN_LOCK_DIR": locks}
    codes = []
    with (
        served(Account.holding(some_ids(150)), latency=(0.0, 0.01), faults=0.06, seed=3) as api,
        forkserver(**environment) as forks,
    ):
        for kill_at in (60, 150, 60, 100, None):
            ended = forks.run(
                tmp_path, "run", listed, "--resume", "--yes", "--max-licenses", "150", "--rate",
                "none", "--concurrency", "8", "--max-failures", "100%", "--base-url", api.base_url,
                "--log-file", path, trouble=Trouble(kill_at=kill_at),
            )  # fmt: skip
            codes.append(ended.code)

    lines = parsed(path)
    assert codes == [-9, -9, -9, -9, 0]
    assert len({line["run_id"] for line in lines}) == 1
    assert [line["event"] for line in lines].count("started") == 5
    assert [line["exit_code"] for line in lines if line["event"] == "ended"] == [0]
    assert (lines[0]["event"], lines[-1]["event"]) == ("started", "ended")
    for line in lines:
        assert {name: type(line[name]) for name in ALWAYS} == ALWAYS
        for name in line.keys() - ALWAYS.keys():
            assert type(line[name]) is FIELDS[name]
        assert line["level"] in {"debug", "info", "warning", "error"}
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"])
    assert {name for line in lines for name in line} >= {
        "license_id", "row", "outcome", "attempt", "method", "http_status", "error_code",
        "duration_ms", "exit_code",
    }  # fmt: skip


# What is never in a log

KEYS = [
    "0A2035-E8A2A3-24BE11-5F60C2", "plain-key", "PLAINKEY", "with,comma", "ten percent %25&=",
    'quo"ted', "größer", "12345678901234567890", "back\\slash",
]  # fmt: skip
CELLS = ["ACME GmbH, Ms. Miller", "not-a-license", "l\u0131cense\u200b-id", "0A2035E8A2A324BE"]
SECRETS = (*KEYS, *CELLS, TOKEN)
SPOKEN = "\n".join(
    form(secret) for secret in SECRETS for form in (str, repr, json.dumps, quote, str.lower)
)
"""What somebody says who knows all of them."""

KEPT = some_ids(len(KEYS), seed=7)


def nothing_of(secrets: Sequence[str], text: str) -> None:
    """No secret stands in a text, in whatever spelling."""
    for secret in secrets:
        for form in (secret, json.dumps(secret)[1:-1], repr(secret)[1:-1], quote(secret)):
            assert form.lower() not in text.lower()


def holding_keys() -> Account:
    licenses = zip(Account.holding(KEPT), KEYS, strict=True)
    return Account(replace(license_, key=key) for license_, key in licenses)


def saying(status: int, code: str = KEYS[0], **headers: str) -> Fault:
    """An error of the API that repeats all it knows."""
    said = error(status, code, SPOKEN, field=KEYS[0])
    return lambda _response: replace(said, headers=headers)


def answering(body: bytes, status: int = 200, **headers: str) -> Fault:
    return lambda _response: Response(status, body, headers=headers)


def about_another(response: Response) -> Response:
    if response.status != 200:
        return response
    named = json.loads(response.body)
    for each in named if isinstance(named, list) else [named]:
        each["id"] = KEYS[0]
    return replace(response, body=json.dumps(named).encode(), change=None)


async def half_a_head(
    request: web.BaseRequest, _response: Response, *, ends: bytes
) -> web.StreamResponse:
    """Close the connection in the middle of the head of an answer."""
    transport = request.transport
    if transport is not None:
        transport.write(b"HTTP/1.1 200 %s\r\nX-Key: %s\r\n" % (ends, KEYS[0].encode()))
        transport.close()
    return web.Response()


def breaking_off(ends: bytes) -> Fault:
    return lambda _response: Response(200, deliver=partial(half_a_head, ends=ends))


CONFIDING: dict[str, Fault] = {
    **{
        f"says {status}": saying(status)
        for status in (400, 401, 403, 404, 407, 408, 409, 410, 422, 429, 451, 500, 502, 503, 504)
    },
    "says 404 with a code": saying(404, "LICENSE_NOT_FOUND"),
    "says 503 and for how long": saying(503, **{"Retry-After": "2"}),
    "says 429 and for how long": saying(429, **{"Retry-After": "2"}),
    "says 429 and for too long": saying(429, **{"Retry-After": "9999"}),
    "redirects": answering(b"", 302, Location=f"/v3/licenses?key[in]={KEYS[0]}"),
    "is text": answering(SPOKEN.encode()),
    "is other JSON": answering(json.dumps({"message": SPOKEN}).encode()),
    "is about another license": about_another,
    "breaks off": breaking_off(KEYS[0].encode()),
    "is no HTTP": breaking_off(b"\x00" + KEYS[0].encode()),
}


@pytest.fixture
def confiding(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sandbox can have these faults as well."""
    for name, fault in CONFIDING.items():
        monkeypatch.setitem(FAULTS, name, fault)


@pytest.mark.usefixtures("confiding")
@pytest.mark.parametrize(("on", "times"), [("PATCH", 3), ("*", None)])
@pytest.mark.parametrize("kind", CONFIDING)
async def test_what_a_server_says_is_in_no_log(
    logged: Log, kind: str, on: str, times: int | None
) -> None:
    logged.start(verbose=True)
    sandbox = FaultySandbox(holding_keys())
    sandbox.fail_all(kind, times=times, on=on)

    async with sandbox, bench(sandbox, KEPT, concurrency=4) as run:
        await run.run()

    lines = parsed(logged.path)
    assert [line for line in lines if line["event"] == "attempt" and "error_code" in line]
    assert len(logged.shown.getvalue().splitlines()) == len(lines)
    for line in lines:
        if line["event"] == "attempt" and "http_status" in line:
            assert line["message"].endswith(f": HTTP {line['http_status']}")
    nothing_of(SECRETS, logged.path.read_text(encoding="utf-8"))
    nothing_of(SECRETS, logged.shown.getvalue())


@pytest.mark.usefixtures("confiding")
@pytest.mark.parametrize(
    ("kind", "event", "status", "message"),
    [
        (
            "says 503", "breaker_open", 503,
            "the server is down: next try in 5 s, one at a time (HTTP 503)",
        ),
        (
            "breaks off", "breaker_open", None,
            "the server is down: next try in 5 s, one at a time (the connection failed)",
        ),
        ("says 429 and for how long", "paused", 429, r"nothing is sent for \d+\.\d s (HTTP 429)"),
        ("says 503 and for how long", "paused", 503, r"nothing is sent for \d+\.\d s (HTTP 503)"),
        ("says 401", "stopping", None, "stopping: the token is not accepted (HTTP 401)"),
    ],
)  # fmt: skip
async def test_what_happens_is_logged_in_words_and_fields(
    logged: Log, kind: str, event: str, status: int | None, message: str
) -> None:
    sandbox = FaultySandbox(holding_keys())
    sandbox.fail_all(kind)

    async with sandbox, bench(sandbox, KEPT, concurrency=4) as run:
        await run.run()

    line = next(line for line in parsed(logged.path) if line["event"] == event)
    assert re.fullmatch(re.sub(r"[()?]", r"\\\g<0>", message), line["message"])
    assert line.get("http_status") == status
    assert line["level"] == "warning"
    if event != "stopping":
        assert line["error_code"] == (f"http_{status}" if status else "connection")
        assert line["wait_s"] > 0
    assert f"warning: {line['message']}\n" in logged.shown.getvalue()


@dataclass
class Place:
    """A sandbox with the licenses of `KEYS`, and somebody who logs whatever there is to be."""

    api: Served
    log: Path

    def run(self, *arguments: str) -> tuple[int, str]:
        """The exit code, and what was said before the end was told."""
        ended = self.api.run("run", *arguments, "-v", "--log-file", self.log, "--max-attempts", "2")
        return ended.code, re.split(r"(?m)^(?:bulk-revoke|error): ", ended.err)[0]

    def events(self) -> list[str]:
        return [line["event"] for line in parsed(self.log)]


@pytest.fixture
def place(
    at_home: None,  # noqa: ARG001 - it comes first
    confiding: None,  # noqa: ARG001
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Place]:
    with served(holding_keys()) as api:
        yield Place(api, tmp_path_factory.mktemp("logs") / "run.jsonl")


def quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"'


def test_a_run_by_key_logs_no_key(place: Place) -> None:
    listed = write("keys.csv", map(quoted, [*KEYS, "0A2035-MISSING"]), header="key")
    place.api.fail_all("says 500", times=1, on="LIST")
    place.api.fail(KEPT[0], "says 409")
    place.api.fail(KEPT[1], "says 404 with a code")
    place.api.fail(KEPT[3], "breaks off")

    code, said = place.run(listed, "--by", "key")

    lines = parsed(place.log)
    refused = {line["license_id"]: line for line in lines if line["event"] == "settled"}[KEPT[1]]
    assert code == 1
    assert {line["license_id"] for line in lines if "license_id" in line} == set(KEPT)
    assert (refused["row"], refused["error_code"]) == (3, "LICENSE_NOT_FOUND")
    nothing_of([*SECRETS, "0A2035-MISSING"], place.log.read_text(encoding="utf-8"))
    nothing_of([*SECRETS, "0A2035-MISSING"], said)


@pytest.mark.parametrize("kind", ["says 403", "says 400", "says 401", "is text"])
def test_a_look_up_that_is_refused_logs_no_key(place: Place, kind: str) -> None:
    listed = write("keys.csv", map(quoted, KEYS), header="key")
    place.api.fail_all(kind, on="LIST")

    code, said = place.run(listed, "--by", "key")

    assert code in {1, 3}
    assert "attempt" in place.events()
    nothing_of(SECRETS, place.log.read_text(encoding="utf-8"))
    nothing_of(SECRETS, said)


def test_cells_that_are_left_out_are_not_logged(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrying_client, "LATE", 0.1)
    listed = write("list.csv", map(quoted, [*KEPT, *CELLS]))
    place.api.fail(KEPT[0], "says 422")
    place.api.fail(KEPT[1], "is about another license")

    code, said = place.run(listed, "--skip-invalid")

    assert code == 1
    assert "settled" in place.events()
    nothing_of(SECRETS, place.log.read_text(encoding="utf-8"))
    nothing_of(SECRETS, said)


def test_an_input_that_is_refused_is_not_logged(place: Place) -> None:
    listed = write("list.csv", map(quoted, [*KEPT, *CELLS]))

    code, said = place.run(listed)

    begun, ended = parsed(place.log)
    assert code == ended["exit_code"] == 2
    assert begun["message"].endswith(": run list.csv")
    nothing_of(SECRETS, place.log.read_text(encoding="utf-8"))
    nothing_of(SECRETS, said)


def test_a_bug_is_logged_without_what_it_was_about(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = Journal.record

    def record_and_fail(journal: Journal, *row_results: tuple[int, RowResult]) -> None:
        record(journal, *row_results)
        raise KeyError(SPOKEN)

    monkeypatch.setattr(Journal, "record", record_and_fail)
    listed = write("keys.csv", map(quoted, KEYS), header="key")

    code, said = place.run(listed, "--by", "key", "--concurrency", "1")

    (bug,) = [line for line in parsed(place.log) if line["event"] == "bug"][:1]
    (stopping,) = [line for line in parsed(place.log) if line["event"] == "stopping"]
    assert code == 3
    assert bug["traceback"].endswith("KeyError")
    assert "raise KeyError(SPOKEN)" in bug["traceback"]
    assert stopping["message"] == f"stopping: a bug in bulk-revoke {__version__}: KeyError"
    nothing_of(SECRETS, place.log.read_text(encoding="utf-8"))
    nothing_of(SECRETS, said)
