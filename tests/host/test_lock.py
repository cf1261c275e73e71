from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import re
import signal
import stat
import subprocess
import sys
import tempfile
import time
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import portalocker
import pytest
from hypothesis import given
from hypothesis import strategies as st

import batch.host.lock
from batch.errors import BulkRevokeError, BusyError, ConfigError
from batch.host.lock import (
    LONGEST,
    STALE,
    Lock,
    Owner,
    api_name,
    boot_clock,
    directory,
    held,
    results_name,
)
from tests.support.builders import calm, full_disk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from io import FileIO

pytestmark = pytest.mark.skipif(os.name != "posix", reason="locks, links and modes are POSIX's")

API = "api.cryptlex.com"
OWNER = Owner("7f3a", "verify", "alice", 4242, "2025-07-01T02:15:00.000Z")
NOBODY = 65534
TIMEOUT = 30.0

as_root = pytest.mark.skipif(
    os.name == "posix" and os.geteuid() != 0, reason="only root can be somebody else"
)

# Holds the lock that is its first argument, once it is told to on its standard input, until that
# ends; and does meanwhile what it is told there. It says what happens, a line each.
PROCESS = """
import os, subprocess, sys, time
from pathlib import Path
import portalocker
from batch.errors import BulkRevokeError
from batch.host.lock import Owner, held

def tell(text):
    print(text, flush=True)

path, wait, user = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
if user:
    os.setuid(user)
owner = Owner("7f3a", "run", "alice", os.getpid(), "2025-07-01T02:15:00.000Z")
patience = {
    "wait": None if wait == "none" else float(wait),
    "timeout": 30.0,
    "say": lambda text: tell("waits"),
    "what": "api.cryptlex.com",
    "sleep": lambda seconds: time.sleep(seconds / 50),
}

def hold(lock):
    tell("holds")
    for line in sys.stdin:
        order, *seconds = line.split()
        if order == "spawn":
            child = subprocess.Popen(["sleep", "60"], close_fds=False)
            tell(child.pid)
        elif order == "count":
            counter = path.with_suffix(".count")
            for _ in range(20):
                seen = int(counter.read_text())
                time.sleep(0.001)
                counter.write_text(str(seen + 1))
            tell("counted")
        else:
            getattr(lock, order)(*map(float, seconds))
            tell(order)

tell("is ready")
sys.stdin.readline()
try:
    with held(path, owner, **patience) as lock:
        hold(lock)
except BulkRevokeError as refused:
    tell(type(refused).__name__)
    sys.exit(refused.exit_code)
"""

# Leaves the block while a fork of it lives on.
FORKED = """
import os, signal, sys
from pathlib import Path
from batch.host.lock import Owner, held

def hold():
    owner = Owner("7f3a", "run", "alice", os.getpid(), "")
    return held(Path(sys.argv[1]), owner, wait=None, timeout=30, say=print, what="")

with hold():
    child = os.fork()
    if child == 0:
        signal.pause()
try:
    with hold():
        print("held again")
finally:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
"""

ROOT = Path(__file__).parents[2]


class Process:
    """A process of its own that wants a lock."""

    def __init__(self, path: Path, wait: str = "none", *, user: int = 0) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", PROCESS, str(path), wait, str(user)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._says() == "is ready"

    def is_told(self, *orders: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.writelines(f"{order}\n" for order in orders)
        self._process.stdin.flush()

    def wants(self, *orders: str) -> str:
        """What it says at first when it wants the lock; what to do then can be said before."""
        self.is_told("go", *orders)
        return self._says()

    def does(self, order: str) -> str:
        """What it says to an order."""
        self.is_told(order)
        return self._says()

    def hears_no_more(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()

    def ends(self) -> int:
        """Its exit code, once it has nothing left to do."""
        self.hears_no_more()
        return self._process.wait(timeout=30)

    def is_killed(self) -> None:
        self._process.kill()
        self._process.wait(timeout=30)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.is_killed()
        with contextlib.suppress(BrokenPipeError), self._process:
            pass

    def _says(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


class Watch:
    """A clock that only goes on while somebody sleeps."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        self.now = now
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def hold(
    path: Path,
    clock: Callable[[], float] = boot_clock,
    *,
    owner: Owner = OWNER,
    wait: float | None = None,
    timeout: float = TIMEOUT,
    say: Callable[[str], None] = lambda _: None,
    sleep: Callable[[float], None] = time.sleep,
) -> AbstractContextManager[Lock]:
    return held(
        path,
        owner,
        wait=wait,
        timeout=timeout,
        say=say,
        what=API,
        clock=clock,
        sleep=sleep,
    )


def refusal(path: Path) -> BulkRevokeError:
    """What somebody is told who cannot have a lock."""
    with pytest.raises(BulkRevokeError) as caught, hold(path):
        pass
    return caught.value


def cooldown(path: Path, clock: Callable[[], float], period: float = 5.0) -> float:
    """What the next owner has to wait."""
    with hold(path, clock) as lock:
        return lock.cooldown(period)


def record(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_bytes())
    return found


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bulk-revoke.lock"


@pytest.fixture
def shared() -> Iterator[Path]:
    """A directory like /tmp, in which everybody can make files."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o1777)
        yield Path(name)


# Which lock


@pytest.mark.parametrize(
    "url",
    [
        "https://api.cryptlex.com/v3",
        "https://api.cryptlex.com",
        "https://api.cryptlex.com/v4/",
        "https://API.Cryptlex.com/v3",
        "HTTPS://api.cryptlex.com/v3",
        "https://api.cryptlex.com:443/v3",
        "https://api.cryptlex.com./v3",
    ],
)
def test_one_address_of_an_api_is_one_lock_in_every_version_of_the_tool(url: str) -> None:
    digest = hashlib.sha256(b"api https://api.cryptlex.com:443").hexdigest()

    assert api_name(url) == f"bulk-revoke-{digest[:16]}.lock"


def test_another_scheme_host_or_port_is_another_lock() -> None:
    urls = [
        "https://api.cryptlex.com/v3",
        "https://cryptlex.example.com/v3",
        "https://api.cryptlex.com:8443/v3",
        "http://127.0.0.1:8443/v3",
        "http://127.0.0.1/v3",
        "https://127.0.0.1/v3",
        "http://[::1]:8443/v3",
        "http://[::1]/v3",
    ]

    assert len({api_name(url) for url in urls}) == len(urls)


def test_one_results_file_is_one_lock_by_whatever_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.mkdir()
    link.symlink_to(real)
    monkeypatch.chdir(real)

    names = {
        results_name(path)
        for path in [
            Path("july.csv"),
            real / "july.csv",
            link / "july.csv",
            real / ".." / "link" / "july.csv",
        ]
    }

    assert len(names) == 1
    assert names != {results_name(tmp_path / "july.csv")}
    assert names != {results_name(real / "august.csv")}


def test_a_results_file_whose_name_is_no_text_has_a_lock(tmp_path: Path) -> None:
    name = results_name(tmp_path / os.fsdecode(b"j\xfcli.csv"))

    assert re.fullmatch(r"bulk-revoke-[0-9a-f]{16}\.lock", name)
    assert name != results_name(tmp_path / "july.csv")


# Where


@pytest.mark.parametrize(
    ("mode", "place"), [(0o1777, "run"), (0o777, "run"), (0o755, "temp"), (0o775, "temp")]
)
def test_locks_are_where_every_user_can_make_them(
    mode: int, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("run", "temp"):
        (tmp_path / name).mkdir()
    (tmp_path / "run").chmod(mode)
    monkeypatch.setattr(batch.host.lock, "_RUN", tmp_path / "run")
    monkeypatch.setattr(batch.host.lock, "_TEMP", tmp_path / "temp")

    assert directory(None) == tmp_path / place


def test_where_everybody_can_make_locks_but_this_process_it_makes_none_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = tmp_path / "run"
    shared.mkdir()
    shared.chmod(0o1777)
    monkeypatch.setattr(batch.host.lock, "_RUN", shared)
    monkeypatch.setattr(batch.host.lock, "_TEMP", tmp_path)
    monkeypatch.setattr(os, "access", lambda path, _: Path(path) != shared)

    with pytest.raises(ConfigError, match="can be written") as refused:
        directory(None)

    assert "--lock-dir" in refused.value.hint


def test_where_there_is_no_directory_for_locks_the_one_for_temporary_files_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch.host.lock, "_RUN", tmp_path / "none")
    monkeypatch.setattr(batch.host.lock, "_TEMP", tmp_path)

    assert directory(None) == tmp_path


def test_a_variable_of_the_environment_does_not_move_the_locks(tmp_path: Path) -> None:
    said = subprocess.run(
        [sys.executable, "-c", "from batch.host.lock import _TEMP; print(_TEMP)"],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert said.stdout == "/tmp\n"  # noqa: S108 - the place itself


def test_locks_are_where_the_user_says(tmp_path: Path) -> None:
    assert directory(str(tmp_path)) == tmp_path


@pytest.mark.parametrize("name", ["none", "file"])
def test_locks_are_not_made_where_there_is_no_directory(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch(0o777)

    with pytest.raises(ConfigError, match=name) as caught:
        directory(str(tmp_path / name))

    assert "--lock-dir" in caught.value.hint
    assert caught.value.exit_code == 2


# One at a time


def test_while_one_process_holds_it_another_one_is_refused(path: Path) -> None:
    with Process(path) as first:
        assert first.wants() == "holds"

        with Process(path) as second:
            assert second.wants() == "BusyError"
            assert second.ends() == 4


def test_who_is_refused_is_told_who_holds_it_and_how_to_wait(path: Path) -> None:
    with hold(path):
        busy = refusal(path)

    assert isinstance(busy, BusyError)
    assert str(busy) == (
        "api.cryptlex.com: another run on this host is at work: "
        "verify 7f3a by alice, process 4242, since 2025-07-01T02:15:00.000Z"
    )
    assert "--wait" in busy.hint


def test_a_lock_is_free_as_soon_as_its_process_is_killed(path: Path) -> None:
    with Process(path) as first:
        assert first.wants() == "holds"
        first.is_killed()

        with Process(path) as second:
            assert second.wants() == "holds"


def test_a_lock_does_not_pass_to_the_programs_that_its_process_starts(path: Path) -> None:
    with Process(path) as first:
        assert first.wants() == "holds"
        child = int(first.does("spawn"))
        first.is_killed()

        try:
            with hold(path):
                pass
        finally:
            os.kill(child, signal.SIGKILL)


def test_a_lock_does_not_stay_with_a_fork_of_its_process(path: Path) -> None:
    said = subprocess.run(
        [sys.executable, "-c", FORKED, str(path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )

    assert said.stdout == "held again\n"


@pytest.mark.parametrize(
    "reason", [ValueError, KeyboardInterrupt, SystemExit, asyncio.CancelledError]
)
def test_whatever_ends_the_block_lets_the_next_one_in(
    reason: type[BaseException], path: Path
) -> None:
    with pytest.raises(reason), hold(path):
        raise reason

    with hold(path):
        pass


def test_who_waits_for_it_gets_it_and_says_so_once(path: Path) -> None:
    said: list[str] = []
    watch = Watch()
    with ExitStack() as first:
        first.enter_context(hold(path))

        def sleep(seconds: float) -> None:
            watch.sleep(seconds)
            if watch.slept == [0.5, 0.5, 0.5]:
                first.close()

        with hold(path, watch, wait=3600, say=said.append, sleep=sleep):
            pass

    assert watch.slept == [0.5, 0.5, 0.5]
    assert len(said) == 1
    assert "verify 7f3a by alice, process 4242" in said[0]
    assert "1 h 00 min at most" in said[0]


def test_who_has_waited_long_enough_is_told_how_long_that_was(path: Path) -> None:
    watch = Watch()

    with hold(path), pytest.raises(BusyError) as caught:
        hold(path, watch, wait=60.2, sleep=watch.sleep).__enter__()

    assert 60.2 <= sum(watch.slept) < 60.7
    assert "verify 7f3a by alice" in str(caught.value)
    assert "waited 1 min 00 s" in str(caught.value)
    assert "--wait" in caught.value.hint
    assert caught.value.exit_code == 4


def test_two_that_wait_are_served_one_after_the_other(path: Path) -> None:
    counter = path.with_suffix(".count")
    counter.write_text("0")
    with Process(path) as first, Process(path, "60") as second, Process(path, "60") as third:
        assert first.wants() == "holds"
        assert [each.wants("count") for each in (second, third)] == ["waits", "waits"]
        second.hears_no_more()
        third.hears_no_more()
        assert counter.read_text() == "0"

        assert [each.ends() for each in (first, second, third)] == [0, 0, 0]

    assert counter.read_text() == "40"


def test_of_three_that_come_at_once_none_disturbs_another(path: Path) -> None:
    counter = path.with_suffix(".count")
    counter.write_text("0")
    with ExitStack() as stack:
        processes = [stack.enter_context(Process(path, "60")) for _ in range(3)]

        for each in processes:
            each.is_told("go", "count")
            each.hears_no_more()
        ended = [each.ends() for each in processes]

    assert ended == [0, 0, 0]
    assert counter.read_text() == "60"


# What the next one has to wait


def test_the_first_of_all_need_not_wait(path: Path) -> None:
    assert cooldown(path, Watch()) == 0


@pytest.mark.parametrize(("quiet", "period", "seconds"), [(5, 5, 5), (5, 60, 60), (60, 5, 60)])
def test_after_a_good_end_the_longer_of_both_periods_passes(
    quiet: int, period: int, seconds: int, path: Path
) -> None:
    watch = Watch()
    with hold(path, watch) as lock:
        lock.heartbeat(quiet)
        lock.leave(quiet)

    assert cooldown(path, watch, period) == seconds


def test_time_that_has_passed_since_is_not_waited_for_again(path: Path) -> None:
    watch = Watch()
    with hold(path, watch) as lock:
        lock.leave(5)
    watch.now += 3

    with hold(path, watch) as lock:
        assert lock.cooldown(5) == 2
        watch.now += 1.5
        assert lock.cooldown(5) == 0.5
        watch.now += 60
        assert lock.cooldown(5) == 0


@pytest.mark.parametrize(("quiet", "period", "seconds"), [(5, 5, 5), (5, 60, 60), (60, 5, 60)])
def test_after_one_that_did_not_end_well_a_time_out_passes_as_well(
    quiet: int, period: int, seconds: int, path: Path
) -> None:
    watch = Watch()
    with hold(path, watch) as lock:
        lock.heartbeat(quiet)
        watch.now += 1
        lock.heartbeat(quiet)
        watch.now += 0.5

    assert cooldown(path, watch, period) == TIMEOUT + STALE + seconds - 0.5


def test_what_a_killed_process_may_have_sent_is_waited_for(path: Path) -> None:
    with Process(path) as first:
        assert first.wants() == "holds"
        before = boot_clock()
        assert first.does("heartbeat 5") == "heartbeat"
        after = boot_clock()
        first.is_killed()

    with hold(path) as lock:
        asked = boot_clock()
        seconds = lock.cooldown(5)
        told = boot_clock()

    promised = TIMEOUT + STALE + 5
    assert before + promised - told <= seconds <= after + promised - asked


def test_the_time_out_is_that_of_the_one_before(path: Path) -> None:
    watch = Watch()
    with hold(path, watch, timeout=100) as lock:
        lock.heartbeat(5)

    assert cooldown(path, watch) == 100 + STALE + 5


def test_one_that_has_sent_nothing_leaves_what_it_found(path: Path) -> None:
    watch = Watch()
    with hold(path, watch) as lock:
        lock.leave(60)
    watch.now += 10
    with hold(path, watch):
        pass

    assert cooldown(path, watch) == 50


def test_one_that_was_killed_before_it_sent_anything_leaves_nothing(path: Path) -> None:
    watch = Watch(now=3.0)
    with hold(path, watch):
        pass

    assert cooldown(path, watch, 60) == 0


def test_one_that_did_not_wait_leaves_what_is_left_of_it(path: Path) -> None:
    watch = Watch()
    with hold(path, watch) as lock:
        lock.heartbeat(60)
    watch.now += 1
    with hold(path, watch, timeout=0) as unlimited:
        unlimited.heartbeat(0)
        unlimited.leave(0)

    assert cooldown(path, watch, 5) == TIMEOUT + STALE + 60 - 1
    assert cooldown(path, watch, 100) == TIMEOUT + STALE + 100 - 1


def test_a_longer_time_out_than_can_be_asked_for_is_not_taken_for_nonsense(path: Path) -> None:
    watch = Watch()
    with hold(path, watch, timeout=5000) as lock:
        lock.heartbeat(5)

    assert cooldown(path, watch) == LONGEST


def test_setting_the_time_back_changes_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with hold(path) as lock:
        lock.leave(60)
    monkeypatch.setattr(time, "time", lambda: 0.0)
    monkeypatch.setattr(time, "time_ns", lambda: 0)

    assert 30 < cooldown(path, boot_clock, 60) <= 60


@pytest.mark.skipif(not hasattr(time, "CLOCK_BOOTTIME"), reason="sleep is not counted here")
def test_the_clock_goes_on_while_the_machine_sleeps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "clock_gettime", {time.CLOCK_BOOTTIME: 12.5}.__getitem__)

    assert boot_clock() == 12.5


def test_where_no_clock_counts_sleep_one_that_cannot_be_set_is_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(time, "CLOCK_BOOTTIME", raising=False)
    monkeypatch.setattr(time, "monotonic", lambda: 12.5)

    assert boot_clock() == 12.5


@pytest.mark.parametrize("arrived", [0.0, 1_000_000.0, 9_000_000.0])
def test_after_another_boot_one_period_passes(arrived: float, path: Path) -> None:
    with hold(path, Watch()):
        pass
    found = record(path) | {"boot": "5e1d0b30-0000-4000-8000-000000000000", "arrived": arrived}
    path.write_text(json.dumps(found | {"quiet": 100.0}))
    watch = Watch()

    with hold(path, watch) as lock:
        watch.now += 1
        assert lock.cooldown(5) == 4


def test_where_boots_have_no_id_times_are_taken_as_they_are(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch.host.lock, "boot_id", str)
    watch = Watch()
    with hold(path, watch) as lock:
        lock.leave(60)

    assert record(path)["boot"] == ""
    assert cooldown(path, watch) == 60


# What others may have written

NONSENSE = [
    b"{",
    b"null",
    b"5",
    b'"text"',
    b"[]",
    b"{}",
    b" ",
    b"\x00" * 512,
    b"\xff" * 512,
    b"[" * 512,
    b"9" * 512,
    b"x" * 1_000_000,
    b"[" * 1_000_000,
    b'{"boot": "' + b"x" * 1_000_000,
]


@pytest.mark.parametrize("content", NONSENSE, ids=lambda content: repr(content[:12]))
def test_after_nonsense_a_period_and_a_time_out_pass(content: bytes, path: Path) -> None:
    path.write_bytes(content)
    watch = Watch()

    with hold(path, watch) as lock:
        watch.now += 1
        assert lock.cooldown(5) == 5 + TIMEOUT - 1
    watch.now += 1
    assert cooldown(path, watch) == 5 + TIMEOUT - 2


def test_nonsense_that_goes_too_deep_is_nonsense_as_well(path: Path) -> None:
    path.write_bytes(b"[" * 512)
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(300)
    try:
        assert cooldown(path, Watch()) == 5 + TIMEOUT
    finally:
        sys.setrecursionlimit(before)


@pytest.mark.parametrize(
    "value", ['"5"', "null", "true", "[5.0]", "{}", "NaN", "-1e300", "5" * 400]
)
@pytest.mark.parametrize("name", ["arrived", "quiet"])
def test_what_is_no_time_is_nonsense(name: str, value: str, path: Path) -> None:
    with hold(path, Watch()):
        pass
    text = json.dumps(record(path) | {name: "here"})
    path.write_text(text.replace('"here"', value))

    assert cooldown(path, Watch()) == 5 + TIMEOUT


@pytest.mark.parametrize("change", [{"boot": 5}, {"boot": None}, {"arrived": 1_000_901.0}])
def test_a_boot_that_is_no_text_or_a_moment_still_to_come_is_nonsense(
    change: dict[str, object], path: Path
) -> None:
    with hold(path, Watch()):
        pass
    path.write_text(json.dumps(record(path) | change))

    assert cooldown(path, Watch()) == 5 + TIMEOUT


@pytest.mark.parametrize("name", ["boot", "arrived", "quiet"])
def test_a_record_with_a_hole_is_nonsense(name: str, path: Path) -> None:
    with hold(path, Watch()):
        pass
    found = record(path)
    del found[name]
    path.write_text(json.dumps(found))

    assert cooldown(path, Watch()) == 5 + TIMEOUT


@pytest.mark.parametrize("value", ["1e300", "901.0", "Infinity"])
def test_nobody_is_held_back_for_longer_than_a_quarter_of_an_hour(value: str, path: Path) -> None:
    watch = Watch()
    with hold(path, watch) as lock:
        lock.leave(5)
    text = json.dumps(record(path) | {"quiet": "here"})
    path.write_text(text.replace('"here"', value))

    assert cooldown(path, watch) == LONGEST
    watch.now += 60
    assert cooldown(path, watch) == LONGEST - 60


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.floats(999_000, 1_002_000),
    st.floats(0, 2000),
    st.text(max_size=5),
    st.lists(st.floats(), max_size=2),
)


@calm
@given(
    arrived=VALUES,
    quiet=VALUES,
    boot=st.sampled_from(["this", "another", None]),
    period=st.floats(0, 10_000),
    passed=st.floats(0, 2000),
)
def test_a_cooldown_is_never_negative_nor_endless_nor_shorter_than_promised(
    arrived: object, quiet: object, boot: str | None, period: float, passed: float
) -> None:
    boots = {"this": batch.host.lock.boot_id(), "another": "another", None: None}
    watch = Watch()
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "lock"
        path.write_text(json.dumps({"boot": boots[boot], "arrived": arrived, "quiet": quiet}))

        with hold(path, watch) as lock:
            watch.now += passed
            seconds = lock.cooldown(period)

    until = watch.now - passed + period
    if boot == "this" and isinstance(arrived, float) and isinstance(quiet, float):
        honest = -LONGEST <= arrived <= 1_000_000 + LONGEST and quiet >= 0
        until = arrived + max(min(quiet, LONGEST), period) if honest else until + TIMEOUT
    assert 0 <= seconds <= LONGEST
    assert seconds >= min(until - watch.now, LONGEST) - 1e-6


@calm
@given(
    quiet=st.floats(0, LONGEST),
    period=st.floats(0, 10_000),
    alive=st.floats(0, 1),
    passed=st.floats(0, 2000),
    well=st.booleans(),
)
def test_no_request_leaves_within_a_period_after_one_of_the_run_before(
    quiet: float, period: float, alive: float, passed: float, well: bool
) -> None:
    watch = Watch()
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "lock"
        with hold(path, watch) as lock:
            lock.heartbeat(quiet)
            watch.now += alive
            arrived = watch.now if well else watch.now + TIMEOUT
            if well:
                lock.leave(quiet)
        watch.now += passed

        seconds = cooldown(path, watch, period)

    assert 0 <= seconds <= LONGEST
    assert watch.now + seconds >= min(arrived + max(quiet, period), watch.now + LONGEST) - 1e-6


@pytest.mark.parametrize(
    "content",
    [
        *NONSENSE,
        b'{"owner": 5}',
        b'{"owner": null}',
        b'{"owner": []}',
        b'{"owner": "alice"}',
        b'{"owner": {"run_id": "7f3a"}}',
        b'{"owner": {"run_id": 1, "command": 2, "user": 3, "pid": 4, "started_at": 5, "x": 6}}',
    ],
    ids=lambda content: repr(content[:30]),
)
def test_a_lock_is_held_whatever_is_in_its_file(content: bytes, path: Path) -> None:
    with hold(path):
        path.write_bytes(content)
        busy = refusal(path)

    assert isinstance(busy, BusyError)
    assert str(busy).endswith("at work: it does not say which")


def test_what_somebody_wrote_there_cannot_reach_into_the_terminal(path: Path) -> None:
    owner = {
        "run_id": "\x1b[2J",
        "command": {"\n": "\r"},
        "user": "\u202emoc",
        "pid": "x" * 150,
        "started_at": "\udc80",
    }
    with hold(path):
        path.write_text(json.dumps({"owner": owner}))
        busy = refusal(path)

    assert "by" in str(busy)
    assert str(busy).isprintable()


# The file


def test_the_file_is_made_once_with_all_the_room_it_needs(path: Path) -> None:
    with hold(path) as lock:
        made, sizes = path.stat(), {path.stat().st_size}
        lock.heartbeat(123.456)
        sizes.add(path.stat().st_size)
        lock.leave(7)
        sizes.add(path.stat().st_size)

    assert sizes == {512}
    assert path.stat().st_ino == made.st_ino


def test_a_holder_that_has_not_written_its_name_yet_is_given_the_time(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hold(path):
        named = path.read_bytes()
        path.write_bytes(b"")
        monkeypatch.setattr("batch.host.lock.time.sleep", lambda _: path.write_bytes(named))
        busy = refusal(path)

    assert "does not say" not in str(busy)
    assert ", process " in str(busy)


def test_a_name_that_is_too_long_for_the_file_costs_nothing_but_itself(path: Path) -> None:
    watch = Watch()
    owner = Owner("7f3a", "run", "\U0001f600" * 200, 4242, "")

    with hold(path, watch, owner=owner) as lock:
        lock.leave(60)
        assert path.stat().st_size == 512
        assert str(refusal(path)).endswith("it does not say which")

    assert cooldown(path, watch) == 60


def test_everybody_can_use_the_file_whatever_the_umask(path: Path) -> None:
    before = os.umask(0o077)
    try:
        with hold(path):
            pass
    finally:
        os.umask(before)

    assert stat.S_IMODE(path.stat().st_mode) == 0o666


def test_a_file_whose_maker_was_killed_before_he_opened_it_to_all_is_opened_later(
    path: Path,
) -> None:
    path.touch(0o600)

    with hold(path):
        pass

    assert stat.S_IMODE(path.stat().st_mode) == 0o666


@as_root
def test_one_user_waits_for_another_in_a_directory_of_all(shared: Path) -> None:
    path = shared / "bulk-revoke.lock"
    with Process(path, user=NOBODY) as somebody, Process(path) as root:
        assert somebody.wants() == "holds"
        assert root.wants() == "BusyError"
        assert path.stat().st_uid == NOBODY


@as_root
@pytest.mark.parametrize(("owner", "user"), [(NOBODY, 0), (0, NOBODY)])
def test_one_user_uses_the_file_that_another_one_made(owner: int, user: int, shared: Path) -> None:
    path = shared / "bulk-revoke.lock"
    with Process(path, user=owner) as first:
        assert first.wants("leave 60") == "holds"
        assert first.ends() == 0

    with Process(path, user=user) as second:
        assert second.wants() == "holds"

    assert 30 < cooldown(path, boot_clock) <= 60
    assert path.stat().st_uid == owner


@as_root
def test_a_file_that_another_user_keeps_for_himself_is_refused(shared: Path) -> None:
    path = shared / "bulk-revoke.lock"
    path.touch(0o600)

    with Process(path, user=NOBODY) as process:
        assert process.wants() == "ConfigError"
        assert process.ends() == 2


@as_root
def test_a_directory_that_cannot_be_written_is_refused(shared: Path) -> None:
    shared.chmod(0o755)
    code = (
        "import os, sys\n"
        "from batch.errors import ConfigError\n"
        "from batch.host.lock import directory\n"
        f"os.setuid({NOBODY})\n"
        "try:\n"
        "    directory(sys.argv[1])\n"
        "except ConfigError as refused:\n"
        "    print(refused.hint)\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", code, str(shared)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )

    with Process(shared / "bulk-revoke.lock", user=NOBODY) as process:
        assert process.wants() == "ConfigError"
    assert "--lock-dir" in said.stdout


def make_link(path: Path) -> None:
    target = path.with_name("precious")
    target.write_text("precious")
    path.symlink_to(target)


def make_dangling_link(path: Path) -> None:
    path.symlink_to(path.with_name("precious"))


def make_hard_link(path: Path) -> None:
    target = path.with_name("precious")
    target.write_text("precious")
    target.chmod(0o600)
    path.hardlink_to(target)


def make_fifo(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize(
    "make", [make_link, make_dangling_link, make_hard_link, make_fifo, Path.mkdir]
)
def test_what_is_no_file_of_its_own_is_refused_and_left_alone(
    make: Callable[[Path], None], path: Path
) -> None:
    make(path)
    target = path.with_name("precious")
    before = target.stat() if target.exists() else None

    error = refusal(path)

    assert isinstance(error, ConfigError)
    assert str(path) in str(error)
    assert "--lock-dir" in error.hint
    assert error.exit_code == 2
    assert target.exists() == (before is not None)
    if before is not None:
        assert target.read_text() == "precious"
        assert target.stat().st_mode == before.st_mode


def test_where_the_system_follows_links_what_they_lead_to_is_left_alone(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "O_NOFOLLOW")
    make_link(path)

    error = refusal(path)

    assert isinstance(error, ConfigError)
    assert path.read_text() == "precious"


def test_without_its_directory_nothing_is_locked(path: Path) -> None:
    error = refusal(path / "bulk-revoke.lock")

    assert isinstance(error, ConfigError)
    assert "No such file or directory" in str(error)


def test_where_files_cannot_be_locked_nobody_goes_on_unlocked(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lock(*_: object) -> None:
        raise portalocker.LockException from OSError(37, "No locks available")

    monkeypatch.setattr(portalocker, "lock", lock)

    error = refusal(path)

    assert isinstance(error, ConfigError)
    assert "No locks available" in str(error)


def test_who_cannot_say_that_it_holds_the_lock_does_not_go_on(path: Path) -> None:
    with full_disk():
        error = refusal(path)

    assert isinstance(error, ConfigError)
    with hold(path):
        pass


def test_a_heartbeat_that_cannot_be_written_is_an_error_and_the_one_before_stands(
    path: Path,
) -> None:
    watch = Watch()
    with hold(path, watch) as lock:
        lock.heartbeat(5)
        watch.now += 1
        with full_disk():
            with pytest.raises(OSError, match="File too large"):
                lock.heartbeat(5)
            lock.leave(5)

    assert cooldown(path, watch) == TIMEOUT + STALE + 5 - 1


# Races


def test_a_file_that_is_there_is_opened_without_asking_to_make_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.touch()
    asked: list[int] = []
    real = os.open

    def spy(name: Path, flags: int, *more: int) -> int:
        asked.append(flags)
        return real(name, flags, *more)

    monkeypatch.setattr(os, "open", spy)

    with hold(path):
        pass

    assert len(asked) == 1
    assert not asked[0] & os.O_CREAT


@pytest.mark.parametrize(("times", "outcome"), [(1, "had"), (3, "had"), (10**6, "refused")])
def test_a_file_that_others_make_and_delete_meanwhile_is_tried_again_but_not_for_ever(
    times: int, outcome: str, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = times
    real = os.open

    def raced(name: Path, flags: int, *more: int) -> int:
        nonlocal left
        if flags & os.O_CREAT or left == 0:
            return real(name, flags, *more)
        left -= 1
        name.touch()
        raise FileNotFoundError

    monkeypatch.setattr(os, "open", raced)

    try:
        with hold(path):
            outcome_seen = "had"
    except ConfigError:
        outcome_seen = "refused"

    assert outcome_seen == outcome


@pytest.mark.parametrize("make", [Path.touch, str])
def test_a_file_that_is_deleted_before_it_is_locked_is_not_taken_for_the_lock(
    make: Callable[[Path], object], path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, deleted = portalocker.lock, False

    def late(file: FileIO, flags: portalocker.LockFlags) -> None:
        nonlocal deleted
        if not deleted:
            deleted = True
            path.unlink()
            make(path)
        real(file, flags)

    monkeypatch.setattr(portalocker, "lock", late)

    with hold(path):
        assert isinstance(refusal(path), BusyError)
