"""Every exit code: what it is called, what cron mails, who is alerted, what the metrics say.

The mails stand in tests/mails as they are sent, but for what differs from run to run.
"""

from __future__ import annotations

import json
import math
import os
import re
import signal
import socket
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from batch import __version__
from batch.model import Outcome
from tests.end_to_end.conftest import ROOT, TOKEN, Command, overheard, wait_until
from tests.support.job_harness import some_ids
from tests.support.receivers import webhook

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.faulty_sandbox import FaultySandbox
    from tests.support.receivers import Hook

IDS = some_ids(3)
MAILS = ROOT / "tests" / "mails"

LATE = {
    "when it is told": """
from batch.reporting.observers import Observers as place
name = "notify"
""",
    "when its results are in order": """
from batch.job.finish import Finish as place
name = "close"
""",
    "when its lock is given back": """
from batch.job.connection import Connection as place
name = "leave"
""",
}
"""Moments after the end of a run, as the method that is just being called then."""

SIGNAL = """
import os, signal
now = getattr(place, name)
def then(*arguments):
    found = now(*arguments) if name == "close" else None
    os.kill(os.getpid(), signal.SIGTERM)
    return found if name == "close" else now(*arguments)
setattr(place, name, then)
"""

BUG = """
from batch.job.executor import Executor
async def run(*_):
    raise RuntimeError("the moon is full")
Executor.run = run
"""


@dataclass
class Night:
    """A job that nobody watches, and all that it can be known by afterwards.

    Attributes:
        command: Runs it, in its directory.
        api: What it is about.
        hook: Where its alerts go.
    """

    command: Command
    api: FaultySandbox
    hook: Hook
    process: subprocess.Popen[str] = field(init=False)

    def set(self, **more: object) -> None:
        """Write the profile: what every job here has, and more."""
        settings = {
            "yes": True,
            "max_licenses": 3,
            "quiet": True,
            "base_url": self.api.base_url,
            "rate": "none",
            "concurrency": 1,
            "notify": [self.hook.url],
            "metrics_file": "nightly.prom",
            "log_file": "log.jsonl",
        }
        lines = (f"{key} = {json.dumps(value)}" for key, value in (settings | more).items())
        text = "\n".join(["[run]", *lines]) + "\n"
        (self.command.home / "cron.toml").write_text(text, encoding="utf-8")

    def start(self, *more: str, source: str = "licenses.csv", before: str = "") -> None:
        self.process = self.command.start(
            "run", source, "--config", "cron.toml", *more, before=before, stderr=subprocess.STDOUT
        )

    def end(self, timeout: float = 60) -> Ended:
        mail, _ = self.process.communicate(timeout=timeout)
        text = (self.command.home / "nightly.prom").read_text(encoding="utf-8")
        return Ended(self.process.returncode, mail, list(self.hook.received), samples(text))

    def run(self, *more: str, source: str = "licenses.csv", before: str = "") -> Ended:
        self.start(*more, source=source, before=before)
        return self.end()

    def wait_for_a_patch(self) -> None:
        wait_until(lambda: any(entry.method == "PATCH" for entry in list(self.api.log)))


@dataclass
class Ended:
    """How a job ended.

    Attributes:
        code: Its exit code.
        mail: What cron would send: all that it wrote.
        alerts: What the webhook was sent.
        metrics: Value of each sample, by its name or its outcome.
    """

    code: int
    mail: str
    alerts: list[dict[str, Any]]
    metrics: dict[str, float]

    @property
    def masked(self) -> str:
        """The mail without what differs from run to run."""
        text = re.sub(r"\brun [0-9a-f]{8}", "run 7f3a0c1d", self.mail)
        text = re.sub(r"\d\d:\d\d-\d\d:\d\d UTC", "02:15-02:17 UTC", text)
        text = re.sub(r"127\.0\.0\.1:\d+", "api.cryptlex.com", text)
        text = re.sub(r"by \S+, process \d+, since \S+Z", "by root, process 815, since …", text)
        text = re.sub(r'(?:  File ".*"?.*\n(?:    .*\n)*)+', "  …\n", text)
        return re.sub(r"bulk-revoke \d+\.\d+\.\d+", "bulk-revoke 1.2.3", text)


def samples(text: str) -> dict[str, float]:
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            assert (sample.labels["command"], sample.labels["name"]) == ("run", "nightly")
            name = sample.labels.get("outcome") or sample.name.removeprefix("bulk_revoke_")
            found[name] = sample.value
    return found


SLOW = pytest.mark.parametrize("night", [1.0], indirect=True, ids=["slow"])
"""A server that takes a second for each answer, so that something is in flight."""


@pytest.fixture
def night(bulk_revoke: Command, request: pytest.FixtureRequest) -> Iterator[Night]:
    latency = getattr(request, "param", 0.0)
    text = "\n".join(["license_id", *IDS]) + "\n"
    (bulk_revoke.home / "licenses.csv").write_text(text, encoding="utf-8")
    with overheard(IDS, latency=(latency, latency)) as api, webhook() as hook:
        it = Night(bulk_revoke, api, hook)
        it.set()
        yield it


OTHERS = (": Conflict.", ": Unauthorized.", ": the moon is full")
"""What servers and exceptions say: it may hold a key, and an alert goes to third parties."""


def check(ended: Ended, mail: str, *, code: int, kind: str) -> None:
    """What a mail, an alert and the metrics say of one ending is the same."""
    assert ended.code == code
    assert ended.masked == (MAILS / f"{mail}.txt").read_text(encoding="utf-8")
    lines = ended.mail.rstrip("\n").split("\n")
    title = next(line for line in lines if re.search(rf"\(exit {code}\)", line))
    told = lines[lines.index(title) + 1 :]
    for said in OTHERS:
        told = [line.replace(said, "") for line in told]
    told = [re.sub(r"^(  row .*) \([^()]+\)$", r"\1", line) for line in told]  # whose it is
    told = [re.sub(r"^(  row .*  )the token is .*\((HTTP 401)\)$", r"\1\2", line) for line in told]
    assert ended.alerts == [
        {
            "version": "1.0",
            "title": title,
            "message": "\n".join([*told, f"host: {socket.gethostname()}"]),
            "attachments": [],
            "type": kind,
        }
    ]
    assert ended.metrics["last_run_exit_code"] == code
    assert (ended.metrics["last_success_timestamp_seconds"] > 0) is (code == 0)
    assert abs(ended.metrics["last_run_timestamp_seconds"] - time.time()) < 600
    assert TOKEN not in ended.mail + str(ended.alerts)


def counted(ended: Ended) -> dict[str, float]:
    """Rows by outcome in the metrics, where there are any."""
    return {name: ended.metrics[name] for name in Outcome if ended.metrics[name] != 0}


def test_exit_0_is_no_mail_and_no_alert_but_a_metric(night: Night) -> None:
    ended = night.run()

    assert (ended.code, ended.mail, ended.alerts) == (0, "", [])
    assert ended.metrics["last_run_exit_code"] == 0
    assert ended.metrics["last_success_timestamp_seconds"] > 0
    assert counted(ended) == {"revoked": 3}


def test_exit_0_is_told_where_nobody_asked_for_quiet(night: Night) -> None:
    night.set(quiet=False)

    ended = night.run()

    check_title = [each["title"] for each in ended.alerts]
    assert ended.code == 0
    assert [each["type"] for each in ended.alerts] == ["success"]
    assert check_title[0].startswith("bulk-revoke: all 3 licenses are revoked (exit 0)")
    assert check_title[0] in ended.mail


def test_nothing_to_do_is_a_success_with_zeros(night: Night) -> None:
    night.run()
    before = night.run("--overwrite")

    assert before.code == 0
    assert counted(before) == {"already_revoked": 3}
    assert before.metrics["last_run_patches"] == 0


def test_exit_1_some_are_not_done(night: Night) -> None:
    night.api.fail(IDS[1], 409, on="PATCH")

    ended = night.run()

    check(ended, "1", code=1, kind="warning")
    assert counted(ended) == {"revoked": 2, "failed": 1}


def test_exit_2_the_list_is_missing(night: Night) -> None:
    ended = night.run(source="missing.csv")

    check(ended, "2", code=2, kind="failure")
    assert all(math.isnan(ended.metrics[outcome]) for outcome in Outcome)


def test_exit_2_the_list_is_too_long(night: Night) -> None:
    night.set(max_licenses=2)

    check(night.run(), "2-guard", code=2, kind="failure")
    assert not any(entry.method == "PATCH" for entry in night.api.log)


def test_exit_2_the_command_is_misspelled(night: Night) -> None:
    ended = night.run("--max-licences", "5")

    check(ended, "2-usage", code=2, kind="failure")
    assert "--max-licenses" in ended.mail


def test_exit_2_the_profile_is_wrong(night: Night) -> None:
    night.set(max_licences=5)

    check(night.run(), "2-profile", code=2, kind="failure")


def test_exit_3_the_token_is_refused_at_once(night: Night) -> None:
    night.api.fail_all(401)

    check(night.run(), "3-token", code=3, kind="failure")
    assert not any(entry.method == "PATCH" for entry in night.api.log)


def test_exit_3_the_token_is_refused_on_the_way(night: Night) -> None:
    night.api.fail(IDS[1], 401, on="PATCH")

    ended = night.run()

    check(ended, "3", code=3, kind="failure")
    assert counted(ended) == {"revoked": 1, "failed": 1, "not_attempted": 1}


def test_exit_3_a_bug(night: Night) -> None:
    ended = night.run(before=BUG)

    check(ended, "3-bug", code=3, kind="failure")
    manifest = json.loads((night.command.home / "licenses.results.csv.run.json").read_text())
    [session] = manifest["sessions"]
    assert session["exit_code"] == 3
    assert session["finished_at"]
    assert (
        session["stopped"] == f"a bug in bulk-revoke {__version__}: RuntimeError: the moon is full"
    )
    assert session["counts"] == {"planned": 3}


def test_exit_4_another_run_is_at_work(night: Night) -> None:
    night.api.fail_all("hang_before", on="PATCH")
    other = Night(night.command, night.api, night.hook)
    other.start("-o", "other.csv", "--metrics-file", "other.prom")
    wait_until(lambda: len(night.api.log) > 0)

    ended = night.run()

    check(ended, "4", code=4, kind="failure")
    other.process.kill()
    other.process.communicate()


@SLOW
@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT, signal.SIGTERM])
def test_a_signal_settles_what_is_in_flight(night: Night, number: signal.Signals) -> None:
    night.start()
    night.wait_for_a_patch()
    night.process.send_signal(number)

    ended = night.end()

    check(ended, str(128 + number), code=128 + number, kind="failure")
    assert counted(ended) == {"revoked": 1, "not_attempted": 2}


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_nothing_was_sent_yet_is_told_as_well(
    night: Night, number: signal.Signals
) -> None:
    night.process = night.command.start(
        "run", "-", "--config", "cron.toml", stdin=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    wait_until(lambda: is_reading(night.process.pid))
    night.process.send_signal(number)

    ended = night.end()

    assert list(night.api.log) == []
    check(ended, f"{128 + number}-early", code=128 + number, kind="failure")


def is_reading(pid: int) -> bool:
    """Whether a process waits for its standard input."""
    found = Path(f"/proc/{pid}/syscall").read_text(encoding="ascii").split()
    return found[:2] == ["0", "0x0"]  # read(0, …)


@pytest.mark.parametrize("code", [0, 1])
def test_an_alert_that_fails_changes_nothing(night: Night, code: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    night.set(notify=[f"json://user:hush-hush@127.0.0.1:{port}/"], quiet=code > 0)
    if code:
        night.api.fail(IDS[1], 409, on="PATCH")

    ended = night.run()

    assert ended.code == code
    assert "warning: 1 of 1 alerts was not delivered: json" in ended.mail
    assert "hush" not in ended.mail + (night.command.home / "log.jsonl").read_text()


@SLOW
@pytest.mark.parametrize("quiet", [False, True])
def test_metrics_that_cannot_be_written_change_nothing(night: Night, quiet: bool) -> None:
    gone = night.command.home / "metrics"
    gone.mkdir()
    night.set(quiet=quiet)
    night.start("--metrics-file", "metrics/nightly.prom")
    night.wait_for_a_patch()
    gone.rmdir()

    mail, _ = night.process.communicate(timeout=60)

    assert night.process.returncode == 0
    warned = "warning: --metrics-file metrics/nightly.prom: no such directory" in mail
    assert warned is not quiet
    assert quiet is (mail == "")


@pytest.mark.parametrize("moment", LATE)
def test_a_signal_after_the_end_changes_nothing(night: Night, moment: str) -> None:
    night.api.fail(IDS[1], 409, on="PATCH")

    ended = night.run(before=LATE[moment] + SIGNAL)

    check(ended, "1", code=1, kind="warning")


def test_a_signal_after_a_refusal_changes_nothing(night: Night) -> None:
    ended = night.run(source="missing.csv", before=LATE["when it is told"] + SIGNAL)

    check(ended, "2", code=2, kind="failure")


def test_a_second_signal_after_the_end_ends_at_once(night: Night) -> None:
    with webhook(manner="silent") as nobody:
        night.set(notify=[nobody.url], quiet=False)
        night.start()
        assert nobody.called.wait(30)
        for _ in range(2):
            night.process.send_signal(signal.SIGTERM)
            time.sleep(0.2)

        mail, _ = night.process.communicate(timeout=10)

    assert night.process.returncode == 143
    assert "all 3 licenses are revoked (exit 0)" in mail


def test_who_is_told_does_not_wait_for_a_reader_of_standard_error(night: Night) -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writer, b" " * 4096)
    os.set_blocking(writer, True)
    with open(writer, "w") as stuck:  # noqa: PTH123
        night.process = night.command.start(
            "run", "missing.csv", "--config", "cron.toml", stderr=stuck
        )
    try:
        wait_until(lambda: night.hook.received)
        assert (night.command.home / "nightly.prom").exists()
    finally:
        os.close(reader)
    night.process.communicate(timeout=30)


def test_the_docs_show_a_mail_for_every_exit_code_as_it_is() -> None:
    page = (ROOT / "docs" / "unattended.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    shown = [text for language, text in blocks if not language]
    mails = {path.stem: path.read_text(encoding="utf-8") for path in MAILS.glob("*.txt")}

    codes = [next(name for name, text in mails.items() if text == each) for each in shown]

    assert [code.split("-")[0] for code in codes] == ["1", "2", "3", "4", "143"]


def test_every_mail_is_one_that_is_sent() -> None:
    source = Path(__file__).read_text(encoding="utf-8")

    for path in MAILS.glob("*.txt"):
        code = path.stem.split("-")[0]
        assert f'"{path.stem}"' in source or int(code) > 128, path.name
