"""The end of a run, from the plan, the journal and what was sent."""

from __future__ import annotations

import signal
from contextlib import closing
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from batch.errors import ApiError, BulkRevokeError, InterruptedRunError, StoppedError
from batch.host.clock import Clock
from batch.job.connection import Connection
from batch.job.finish import Finish
from batch.job.plan import make_plan
from batch.model import REVOKE, VERIFY, Action, Outcome, RowResult
from batch.results.journal import Journal
from batch.results.manifest import (
    Manifest,
    SessionRecord,
    file_sha256,
    manifest_path,
    read_manifest,
)
from tests.support.builders import listing
from tests.support.job_harness import some_ids
from tests.support.results_files import look, manifest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from batch.api.retrying_client import RetryingClient
    from batch.reporting.progress import Screen
    from batch.settings import Settings

A, B = some_ids(2)
REVOKED = RowResult(Outcome.REVOKED, True, 200, attempts=1)
FAILED = RowResult(Outcome.FAILED, False, 409, "CONFLICT", "HTTP 409: not now", attempts=1)
NEXT = "bulk-revoke run list.csv --resume"


@dataclass
class Told:
    """A screen on which a person reads what was said, and what was insisted on."""

    said: list[str] = field(default_factory=list)
    insisted: list[str] = field(default_factory=list)

    def say(self, text: str, *, exit_code: int | None = None) -> None:  # noqa: ARG002
        self.said.append(text)

    def insist(self, text: str, *, exit_code: int | None = None) -> None:  # noqa: ARG002
        self.insisted.append(text)

    def redact(self, text: str) -> str:
        return text.replace("secret", "[token]")


@dataclass
class Run:
    """A run over two licenses of which the second session is about to end."""

    path: Path
    action: Action = REVOKE
    revoked: int = 0
    stopped: StoppedError | None = None
    screen: Told = field(default_factory=Told)
    journal: Journal = field(init=False)
    manifest: Manifest = field(init=False)
    connection: Connection = field(init=False)
    finish: Finish = field(init=False)

    def __post_init__(self) -> None:
        listed = listing(A, B)
        plan = make_plan(self.action, listed, look(listed, revoked=range(self.revoked)))
        self.journal = Journal(self.path, listed, plan.was)
        self.journal.create(plan.row_results)
        self.manifest = manifest(str(self.path))
        earlier = SessionRecord("2026-11-24T11:00:00.000Z", "2026-11-24T11:30:00.000Z", 3)
        self.manifest.sessions += [earlier, SessionRecord("2026-11-24T12:00:00.000Z")]
        client = SimpleNamespace(
            stopped=self.stopped,
            rate_limiter=SimpleNamespace(requests=7),
            api=SimpleNamespace(patches=2),
            breaker=SimpleNamespace(throttled=3),
            timeline=SimpleNamespace(started_at="", rows=list),
        )
        self.connection = Connection(
            cast("RetryingClient", client), Clock(), cast("Screen", self.screen)
        )
        self.finish = Finish(
            plan,
            self.journal,
            self.connection,
            cast("Settings", SimpleNamespace(limit=None, missing_ok=False)),
            self.manifest,
            cast("Screen", self.screen),
            "here",
            NEXT,
        )

    @property
    def session(self) -> SessionRecord:
        """This session, as the manifest on the disk has it."""
        written = read_manifest(self.path)
        assert written is not None
        return written.sessions[-1]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "results.csv"


@pytest.fixture
def run(path: Path) -> Iterator[Run]:
    run = Run(path)
    with closing(run.journal):
        yield run


def test_a_run_that_is_done_says_so_once_and_needs_no_next_command(run: Run) -> None:
    run.journal.record((0, REVOKED), (1, REVOKED))

    run.connection.seconds = 3.14159

    report = run.finish.close()

    assert (report.summary.exit_code, report.summary.hint) == (0, "")
    assert report.summary.rate == 2.23
    assert (report.summary.requests, report.summary.patches, report.summary.throttled) == (7, 2, 3)
    assert run.screen.insisted == []
    assert len(run.screen.said) == 1
    assert "no order" not in report.to_all
    assert run.manifest.results["sha256"] == file_sha256(run.path)
    assert run.session.counts == {"revoked": 2}


def test_a_run_that_took_no_time_has_no_rate(run: Run) -> None:
    assert run.finish.close().summary.rate == 0.0


def test_a_run_that_left_something_insists_on_it_and_names_the_next_command(run: Run) -> None:
    run.journal.record((0, REVOKED), (1, FAILED))

    report = run.finish.close()

    assert (report.summary.exit_code, report.summary.hint) == (1, NEXT)
    assert run.screen.said == []
    (text,) = run.screen.insisted
    assert A not in text
    assert f"{B}  failed  HTTP 409: not now" in text
    assert "not now" not in report.to_all


def test_a_stop_counts_only_if_it_left_something_out(path: Path) -> None:
    for settled, code, reason in ((2, 0, ""), (1, 3, "the server [token] is down: wait")):
        path.unlink(missing_ok=True)
        run = Run(path, stopped=StoppedError("the server secret\nis down", hint="wait"))
        with closing(run.journal):
            run.journal.record(*enumerate([REVOKED] * settled))
            report = run.finish.close()

        assert report.summary.exit_code == run.session.exit_code == code
        assert run.session.stopped.replace(r"\n", " ") == reason


@pytest.mark.parametrize(
    ("action", "revoked", "code", "hint"),
    [
        (REVOKE.dry_run(), 1, 0, NEXT),
        (REVOKE.dry_run(), 2, 0, ""),
        (VERIFY, 1, 1, NEXT),
        (VERIFY, 2, 0, ""),
    ],
)
@pytest.mark.parametrize("stopped", [False, True])
def test_what_only_reads_names_the_next_command_if_it_has_found_something_to_do(
    path: Path, action: Action, revoked: int, code: int, hint: str, stopped: bool
) -> None:
    run = Run(path, action, revoked, StoppedError("enough") if stopped else None)
    with closing(run.journal):
        if stopped:
            run.journal.record((0, RowResult(Outcome.NOT_ATTEMPTED)))
        summary = run.finish.close().summary

    assert summary.exit_code == (3 if stopped else code)
    assert summary.hint == ("" if stopped else hint)


def test_a_verify_that_has_found_nothing_to_revoke_names_no_command(path: Path) -> None:
    run = Run(path, VERIFY, 2)
    with closing(run.journal):
        run.journal.record((0, RowResult(Outcome.NOT_FOUND)))
        summary = run.finish.close().summary

    assert (summary.exit_code, summary.hint) == (1, "")


def test_the_words_of_a_server_are_for_the_manifest_and_for_nobody_else(path: Path) -> None:
    about = ApiError("HTTP 409", shown="not now")
    run = Run(path, stopped=StoppedError("it refuses", about=about))
    with closing(run.journal):
        report = run.finish.close()

    assert "not now" in run.session.stopped
    assert run.session.why == "it refuses (HTTP 409)"
    assert "not now" in run.screen.insisted[0]
    assert "it refuses" in report.to_all
    assert "not now" not in report.to_all


def test_results_that_may_be_another_runs_are_left_alone_and_so_is_their_manifest(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.journal.record((0, REVOKED), (1, REVOKED))
    written = run.path.read_bytes()

    def taken() -> None:
        raise OSError(16, "another run has them")

    monkeypatch.setattr(run.journal, "check", taken)
    report = run.finish.close()

    assert report.summary.exit_code == 3
    assert run.path.read_bytes() == written
    assert not manifest_path(run.path).exists()
    assert len(run.screen.insisted) == 3


def test_results_that_somebody_else_has_written_into_are_no_end(run: Run) -> None:
    run.journal.record((0, REVOKED), (1, REVOKED))
    with run.path.open("ab") as file:
        file.write(b"2,somebody else's\n")

    report = run.finish.close()

    assert report.summary.exit_code == 3
    assert "sha256" not in run.manifest.results
    assert "could not be put into its order" in run.screen.insisted[0]
    for text in (run.screen.insisted[1], report.to_all):
        assert "still the journal of the run" in text
    assert "somebody else has written into the results" in run.session.stopped
    assert run.screen.said == []


def test_a_disk_that_is_full_at_the_end_costs_the_order_and_not_the_result(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    run.journal.record((0, REVOKED), (1, REVOKED))

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(run.journal, "finish", full)
    report = run.finish.close()

    assert report.summary.exit_code == 0
    assert run.session.counts == {"revoked": 2}
    assert "sha256" not in run.manifest.results
    assert "still the journal of the run" in run.screen.insisted[-1]


@pytest.mark.parametrize("other", [b"something else", None])
def test_what_was_put_into_the_place_of_the_results_is_renamed_and_not_replaced(
    run: Run, other: bytes | None
) -> None:
    run.journal.record((0, REVOKED), (1, REVOKED))
    run.path.unlink()
    if other is not None:
        run.path.write_bytes(other)

    report = run.finish.close()

    kept = [each.read_bytes() for each in run.path.parent.glob("results.csv.other-0badcafe-2")]
    assert kept == ([other] if other else [])
    assert bool(run.screen.insisted) is (other is not None)
    assert report.summary.exit_code == 0
    assert run.manifest.results["sha256"] == file_sha256(run.path)


def test_a_manifest_that_cannot_be_written_is_a_warning(run: Run) -> None:
    run.journal.record((0, REVOKED), (1, REVOKED))
    manifest_path(run.path).mkdir()

    assert run.finish.close().summary.exit_code == 0
    assert "cannot be written" in run.screen.insisted[0]


def test_a_run_that_is_given_up_says_why_unless_it_had_ended(run: Run) -> None:
    run.journal.record((0, REVOKED))

    run.finish.give_up(InterruptedRunError(signal.SIGTERM))
    given_up = run.session
    run.finish.give_up(BulkRevokeError("something else"))

    assert given_up.exit_code == InterruptedRunError(signal.SIGTERM).exit_code
    assert given_up.counts == {"revoked": 1, "planned": 1}
    assert given_up.stopped
    assert run.session == given_up
