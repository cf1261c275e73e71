"""Whole runs against a model: random lists, faults, ends and other people, in time that jumps.

Each session has an event loop of its own whose time jumps; the account outlives them all.
"""

from __future__ import annotations

import asyncio
import json
import signal
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from batch.api.circuit_breaker import PATIENCE
from batch.api.retry import FailureLimit
from batch.errors import BulkRevokeError, InterruptedRunError, StoppedError
from batch.host.clock import Clock
from batch.host.lock import Owner
from batch.job import connection, runner
from batch.model import RESTORE, REVOKE, Action, Listing
from batch.reporting.progress import Screen
from batch.results.journal import Journal
from batch.results.manifest import Manifest, manifest_path
from batch.sandbox import TOKEN, Account
from batch.settings import Rate, Settings
from tests.support.builders import THOROUGH
from tests.support.faulty_sandbox import FaultySandbox, Revoked
from tests.support.job_harness import some_ids
from tests.support.results_files import table
from tests.support.virtual_time import VirtualTimeLoop

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from batch.reporting.summary import Report
    from batch.results.output import Earlier

IDS = some_ids(12)
STRANGERS = some_ids(3, seed=1)
OF_ANY = ("504_after", "reset_before", "reset_after", "truncated", "not_json", "204", "wrong_id",
          "hang_after", 500, 503)  # fmt: skip
OF_PATCHES = (409, "not_revoked")
"""Faults that a look would take for the truth: a refusal, and a lie."""


class KilledError(BaseException):
    """The process is gone: nothing of it goes on."""


@dataclass(frozen=True)
class End:
    """How a session ends before its time, if it does.

    Attributes:
        killed_at: It is killed at its so-and-so-manieth line for the results, or None.
        torn: How much of that line still gets to the disk, 0 to 1.
        stopped_at: It is interrupted after so many (virtual) seconds, or None.
    """

    killed_at: int | None = None
    torn: float = 0.0
    stopped_at: float | None = None


@dataclass(slots=True)
class Runner(runner.Runner):
    """A run whose API is a sandbox in the run's own loop."""

    account: Account | None = None
    faults: dict[str, list[str | int]] = field(default_factory=dict)
    end: End = field(default_factory=End)
    patched: list[str] = field(default_factory=list)

    @asynccontextmanager
    async def _api(self, _: Listing, __: Earlier | None) -> AsyncIterator[tuple[str, str]]:
        assert self.account is not None
        async with FaultySandbox(self.account, latency=(0.01, 0.2)) as sandbox:
            for license_id, kinds in self.faults.items():
                for kind in kinds:
                    sandbox.fail(license_id, kind, on="PATCH" if kind in OF_PATCHES else "*")
            try:
                yield sandbox.base_url, TOKEN
            finally:
                await sandbox.settle()
                self.patched.extend(patches_to(sandbox))

    async def _settle(self, *parts: Any) -> Report:  # noqa: ANN401
        if self.end.stopped_at is not None:
            loop = asyncio.get_running_loop()
            reason = InterruptedRunError(signal.SIGINT)
            loop.call_later(self.end.stopped_at, self.client.stop, reason)
        return await runner.Runner._settle(self, *parts)


def patches_to(sandbox: FaultySandbox) -> list[str]:
    return [entry.target for entry in sandbox.log if entry.method == "PATCH"]


@contextmanager
def killing(end: End) -> Iterator[None]:
    """Let the process die at a line of its results, with a part of that line on the disk."""
    lines = 0
    write = Journal._write

    def dying(journal: Journal, data: bytes) -> int:
        nonlocal lines
        lines += 1
        if lines == end.killed_at:
            write(journal, data[: int(len(data) * end.torn)])
            raise KilledError
        if end.killed_at is not None and lines > end.killed_at:
            raise KilledError
        return write(journal, data)

    with patch.object(Journal, "_write", dying):
        yield


@dataclass
class World:
    """An account and a directory, and all the commands that work on them."""

    home: Path
    account: Account
    patched: list[str] = field(default_factory=list)

    def session(
        self,
        action: Action,
        source: Path,
        results: Path,
        *,
        end: End | None = None,
        faults: dict[str, list[str | int]] | None = None,
        **more: Any,  # noqa: ANN401
    ) -> int:
        """Run one session, and return its exit code; -9 if it was killed."""
        loop = VirtualTimeLoop()
        run = Runner(
            action=action,
            settings=Settings(
                input=str(source), output=results, base_url="http://127.0.0.1:1/v3",
                rate=Rate(None, 5.0), concurrency=3, timeout=5.0, yes=True, max_licenses=999,
                resume=True, lock_dir=str(self.home), failures=FailureLimit(percent=100), **more,
            ),
            token=TOKEN,
            screen=Screen(quiet=True, stream=(self.home / "said.txt").open("a")),
            owner=Owner("0badcafe", action.command, "me", 1, "2026-11-24T12:00:00.000Z"),
            manifest=lambda listing: manifest(action, source, listing),
            resume_command="",
            clock=Clock(now=loop.time),
            account=self.account,
            faults=faults or {},
            end=end or End(),
            patched=self.patched,
        )  # fmt: skip
        with patch.object(connection, "new_event_loop", lambda: loop), killing(run.end):
            code = 0
            try:
                code = run.run().summary.exit_code
            except* BulkRevokeError as errors:
                code = errors.exceptions[0].exit_code  # type: ignore[union-attr]
            except* KilledError:
                code = -9
            finally:
                run.screen.stream.close()
        return code

    def others_turn(self, changes: dict[str, bool]) -> None:
        for license_id, revoked in changes.items():
            self.account.licenses[license_id].revoked = revoked


def manifest(action: Action, source: Path, listing: Listing) -> Manifest:
    return Manifest(
        run_id="0badcafe", command=action.command, api="http://127.0.0.1:1/v3", reason="",
        rehearsal=False, options={}, input={"path": str(source), "sha256": listing.sha256},
        results={},
    )  # fmt: skip


@contextmanager
def world(revoked: frozenset[str]) -> Iterator[World]:
    with TemporaryDirectory() as home:
        yield World(Path(home), Account.holding(IDS, revoked=sorted(revoked)))


ends = st.builds(
    End,
    killed_at=st.none() | st.integers(1, 20),
    torn=st.floats(0, 1),
    stopped_at=st.none() | st.floats(0, 8),
)
some = st.frozensets(st.sampled_from(IDS))
changes = st.dictionaries(st.sampled_from(IDS), st.booleans(), max_size=6)
faults = st.dictionaries(
    st.sampled_from(IDS), st.lists(st.sampled_from(OF_ANY + OF_PATCHES), max_size=2), max_size=8
)


@given(
    revoked=some,
    listed=st.lists(st.sampled_from([*IDS, *STRANGERS]), min_size=1, max_size=20),
    excluded=st.frozensets(st.sampled_from(IDS), max_size=3),
    others_before=changes,
    others_after=changes,
    sessions=st.lists(
        st.tuples(ends, faults, st.none() | st.integers(1, 5), st.booleans()), max_size=4
    ),
    restores=st.lists(st.tuples(ends, faults, st.none() | st.integers(1, 5)), max_size=3),
)
@settings(max_examples=12 * THOROUGH, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_run_and_its_restore_are_the_identity_on_what_others_did_not_touch(
    revoked: frozenset[str],
    listed: list[str],
    excluded: frozenset[str],
    others_before: dict[str, bool],
    others_after: dict[str, bool],
    sessions: list[tuple[End, dict[str, list[str | int]], int | None, bool]],
    restores: list[tuple[End, dict[str, list[str | int]], int | None]],
) -> None:
    assume(not excluded.issuperset(listed))  # that is refused
    with world(revoked) as it:
        source, results, restored = (
            it.home / name for name in ("list.csv", "results.csv", "restored.csv")
        )
        source.write_text("\n".join(["license_id", *listed]) + "\n")
        never = it.home / "never.csv"
        never.write_text("\n".join(["license_id", *excluded]) + "\n")
        exclude = (str(never),) if excluded else ()
        it.others_turn(others_before)
        before = dict(Revoked(it.account))

        for end, kinds, limit, looks in sessions:
            it.session(
                REVOKE, source, results, end=end, faults=kinds, limit=limit, exclude=exclude,
                look=looks or not results.exists(),
            )  # fmt: skip
        code = it.session(REVOKE, source, results, missing_ok=True, exclude=exclude)

        rows = table(results)
        assert code == 0
        assert [row["license_id"] for row in rows] == listed
        assert [int(row["row"]) for row in rows] == list(range(2, len(listed) + 2))
        for row in rows:
            check(row, before, excluded)
        targets = set(listed) - excluded - set(STRANGERS)
        known = set(it.patched) - set(STRANGERS)  # without a look nobody knows that they are
        assert known <= targets - {key for key in targets if before[key]}
        assert dict(Revoked(it.account)) == before | dict.fromkeys(targets, True)

        it.others_turn(others_after)
        it.patched.clear()
        if any(row["outcome"] == "revoked" for row in rows):
            for end, kinds, limit in restores:
                it.session(RESTORE, results, restored, end=end, faults=kinds, limit=limit)
            assert it.session(RESTORE, results, restored) == 0

        ours = {row["license_id"] for row in rows if row["outcome"] == "revoked"}
        assert set(it.patched) <= ours
        untouched = set(IDS) - set(others_after)
        assert {key: Revoked(it.account)[key] for key in untouched} == {
            key: before[key] for key in untouched
        }
        assert all(Revoked(it.account)[key] is False for key in ours)


def test_a_license_that_a_killed_session_may_have_sent_stays_in_doubt_until_it_is_read() -> None:
    with world(frozenset()) as it:
        source, results = it.home / "list.csv", it.home / "results.csv"
        source.write_text("\n".join(["license_id", *IDS]) + "\n")
        it.session(REVOKE, source, results, end=End(killed_at=1))
        sent = set(it.patched)

        it.session(REVOKE, source, results, look=False, limit=1)

        in_doubt = {row["license_id"] for row in table(results) if row["outcome"] == "unknown"}
        assert sent - {row["license_id"] for row in table(results) if row["outcome"] == "revoked"}
        assert in_doubt == set(IDS) - {IDS[0]}
        assert it.session(REVOKE, source, results) == 0
        assert {row["outcome"] for row in table(results)} == {"revoked"}
        assert it.session(RESTORE, results, it.home / "restored.csv") == 0
        assert not any(Revoked(it.account).values())


def check(row: dict[str, str], before: dict[str, bool], excluded: frozenset[str]) -> None:
    """One line of the results says what the model knows."""
    license_id = row["license_id"]
    if license_id in STRANGERS:
        assert (row["outcome"], row["was_revoked"]) == ("not_found", "")
    elif license_id in excluded:
        assert (row["outcome"], row["was_revoked"]) == ("excluded", "")
    elif before[license_id]:
        assert (row["outcome"], row["was_revoked"]) == ("already_revoked", "true")
    else:
        assert (row["outcome"], row["was_revoked"]) == ("revoked", "false")


@pytest.mark.parametrize("kind", ["refuse", "hang_before", 503])
def test_a_server_that_is_gone_for_longer_than_the_patience_costs_no_row(
    kind: str | int, monkeypatch: pytest.MonkeyPatch
) -> None:
    began: list[Callable[[], object]] = []

    @asynccontextmanager
    async def failing(run: Runner, *_: object) -> AsyncIterator[tuple[str, str]]:
        assert run.account is not None
        async with FaultySandbox(run.account, latency=(0.5, 0.5)) as sandbox:
            loop = asyncio.get_running_loop()
            began.append(lambda: loop.call_later(0.8, sandbox.outage, kind))
            yield sandbox.base_url, TOKEN
            run.patched.extend(patches_to(sandbox))

    settle = Runner._settle

    async def acting(run: Runner, *parts: Any) -> Report:  # noqa: ANN401
        began[-1]()
        return await settle(run, *parts)

    with world(frozenset(IDS[:2])) as it:
        source, results = it.home / "list.csv", it.home / "results.csv"
        source.write_text("\n".join(["license_id", *IDS]) + "\n")
        before = dict(Revoked(it.account))
        with monkeypatch.context() as patched:
            patched.setattr(Runner, "_api", failing)
            patched.setattr(Runner, "_settle", acting)
            code = it.session(REVOKE, source, results)
        outcomes = {row["outcome"] for row in table(results)}
        sent = list(it.patched)

        assert code == StoppedError.exit_code
        assert outcomes <= {"already_revoked", "revoked", "unknown", "not_attempted"}
        assert "not_attempted" in outcomes
        done = {row["license_id"] for row in table(results) if row["outcome"] == "revoked"}

        [stopped] = sessions(results)
        assert it.session(REVOKE, source, results) == 0

        again = it.patched[len(sent) :]
        assert not done & set(again)
        assert all(Revoked(it.account).values())
        assert it.session(RESTORE, results, it.home / "restored.csv") == 0
        assert dict(Revoked(it.account)) == before
        assert sum(row[1] for row in stopped["minutes"]) == stopped["requests"] > 0
        assert PATIENCE - 60 < sum(row[4] for row in stopped["minutes"]) < PATIENCE + 120
        assert all(sum(row[3:]) < 62 for row in stopped["minutes"])
        assert stopped["sent_from"] <= stopped["finished_at"]


def sessions(results: Path) -> list[dict[str, Any]]:
    """The sessions of a run, as its manifest has them."""
    found = json.loads(manifest_path(results).read_bytes())["sessions"]
    assert isinstance(found, list)
    return found
