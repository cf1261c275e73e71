from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import AbstractContextManager, ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import batch.host.claim
from batch.errors import BusyError, ResultsError
from batch.host.claim import BEAT, PATIENCE, Claim, Process, held
from batch.host.lock import Owner
from tests.support.builders import full_disk

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.skipif(os.name != "posix", reason="processes, links and modes are POSIX's")

ROOT = Path(__file__).parents[2]
OWNER = Owner("7f3a", "run", "alice", 4242, "2025-07-01T02:15:00.000Z")

ALPHA = Process("alpha", "boot-a", "pid:[1]", 7, "100")
BETA = Process("beta", "boot-b", "pid:[1]", 7, "100")
"""Two hosts, on which the same numbers stand for different processes."""

ELSEWHERE = {
    "another host": BETA,
    "another boot of the same host": replace(ALPHA, boot="boot-b"),
    "another container of the same host": replace(ALPHA, namespace="pid:[2]"),
    "a system that does not tell boots apart": replace(ALPHA, boot=""),
    "a system that does not tell namespaces apart": replace(ALPHA, namespace=""),
}

# Claims what its first argument names until its standard input ends.
PROCESS = """
import sys
from pathlib import Path
from batch.host.claim import held
from batch.host.lock import Owner

owner = Owner("7f3a", "run", "alice", 4242, "2025-07-01T02:15:00.000Z")
with held(Path(sys.argv[1]), owner, wait=None, say=print):
    print("holds", flush=True)
    sys.stdin.read()
"""

# Claims one results file after the other, the file of each of which a dead run has left, as soon
# as all that take part are there; and is alone with each. It takes its time between the moment in
# which it sees that a run is over and the next step: then others may have been quicker.
RACER = """
import os, sys, time
from pathlib import Path
from random import random
from batch.host.claim import Process, held
from batch.host.lock import POLL, Owner

lives = Process.lives
def slow(process, own):
    known = lives(process, own)
    time.sleep(random() * 0.008)
    return known
Process.lives = slow

home, rounds, number, racers = Path(sys.argv[1]), *map(int, sys.argv[2:])
owner = Owner(f"{number}", "run", "alice", os.getpid(), "2025-07-01T02:15:00.000Z")
def sleep(seconds):
    time.sleep(0.0005 if seconds == POLL else seconds)
for turn in range(rounds):
    place = home / f"{turn}"
    (place / f"racer-{number}").touch()
    while len(list(place.glob("racer-*"))) < racers:
        time.sleep(0.0005)
    with held(place / "out.csv", owner, wait=60, say=lambda _: None, sleep=sleep) as claim:
        alone = os.open(place / "alone", os.O_CREAT | os.O_EXCL)
        claim.check()
        time.sleep(0.001)
        claim.check()
        os.close(alone)
        (place / "alone").unlink()
        (place / f"done-{number}").touch()
"""


class Watch:
    """A clock that only goes on while somebody sleeps; something may happen from a moment on."""

    def __init__(self, moment: float = 0.0, meanwhile: Callable[[], None] = lambda: None) -> None:
        self.now = 0.0
        self.slept: list[float] = []
        self.moment, self.meanwhile = moment, meanwhile

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        if self.now >= self.moment:
            self.meanwhile()


def never(seconds: float) -> None:
    raise AssertionError(f"it waits for {seconds} s")


def hold(
    results: Path,
    process: Process | None = None,
    *,
    wait: float | None = None,
    say: Callable[[str], None] = lambda _: None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = never,
) -> AbstractContextManager[Claim]:
    return held(results, OWNER, wait=wait, say=say, process=process, clock=clock, sleep=sleep)


def left_by(results: Path, process: Process) -> Path:
    """The file that a run has left which was killed."""
    with hold(results, process) as claim:
        claim.beat()
        content = claim.path.read_bytes()
    claim.path.write_bytes(content)
    return claim.path


def names(results: Path) -> list[str]:
    return sorted(path.name for path in results.parent.iterdir())


def started(results: Path) -> subprocess.Popen[str]:
    """A process that has claimed the results."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROCESS, str(results)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "holds\n"
    return process


@pytest.fixture
def results(tmp_path: Path) -> Path:
    return tmp_path / "out.csv"


@pytest.fixture(autouse=True)
def _no_beat(monkeypatch: pytest.MonkeyPatch) -> None:
    """None comes unless a test says so."""
    monkeypatch.setattr(batch.host.claim, "BEAT", 3600.0)


# Who may have them


def test_results_are_claimed_by_a_file_beside_them_for_as_long_as_the_block_runs(
    results: Path,
) -> None:
    with hold(results, ALPHA):
        assert names(results) == ["out.csv.lock"]
        found = json.loads((results.parent / "out.csv.lock").read_bytes())
        assert found["owner"] == {
            "run_id": "7f3a",
            "command": "run",
            "user": "alice",
            "pid": 4242,
            "started_at": "2025-07-01T02:15:00.000Z",
        }
        assert found["process"] == {
            "host": "alpha",
            "boot": "boot-a",
            "namespace": "pid:[1]",
            "pid": 7,
            "started": "100",
        }

    assert names(results) == []


@pytest.mark.parametrize("reason", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_whatever_ends_the_block_lets_the_next_one_in(
    results: Path, reason: type[BaseException]
) -> None:
    with pytest.raises(reason), hold(results):
        raise reason

    assert names(results) == []
    with hold(results):
        pass


def test_who_is_refused_is_told_at_once_who_has_them_and_where(results: Path) -> None:
    with hold(results), pytest.raises(BusyError) as refused, hold(results):
        pass

    assert refused.value.exit_code == 4
    assert str(refused.value) == (
        f"{results}.lock: another run is at work: run 7f3a by alice, process 4242, since"
        f" 2025-07-01T02:15:00.000Z, on {Process.own().host}"
    )
    assert refused.value.hint == "--wait waits until it has ended."


def test_another_process_that_lives_is_seen_and_one_that_was_killed_holds_up_nobody(
    results: Path,
) -> None:
    with started(results) as process:
        with pytest.raises(BusyError), hold(results):
            pass
        process.send_signal(signal.SIGSTOP)
        with pytest.raises(BusyError), hold(results):
            pass

        process.kill()
        # Nobody has asked yet how it ended: it is there still, as a zombie.
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert names(results) == ["out.csv.lock"]
        with hold(results):
            pass

    with started(results) as process:
        process.kill()
    assert names(results) == ["out.csv.lock"]
    with hold(results) as claim:
        claim.check()
    assert names(results) == []


def test_another_process_that_has_got_the_same_number_since_is_not_taken_for_the_owner(
    results: Path,
) -> None:
    left_by(results, replace(Process.own(), started="1"))

    with hold(results):
        pass


def test_who_waits_for_them_gets_them_and_says_so_once(results: Path) -> None:
    said: list[str] = []
    with ExitStack() as first:
        first.enter_context(hold(results))
        watch = Watch(2.5, first.close)
        with hold(results, wait=60, say=said.append, clock=watch, sleep=watch.sleep):
            pass

    assert len(watch.slept) == 5
    assert len(said) == 1
    assert said[0].endswith("waiting until it has ended, 1 min 00 s at most")


def test_who_has_waited_long_enough_is_refused(results: Path) -> None:
    watch = Watch()

    with hold(results), pytest.raises(BusyError, match="waited 10 s for it"):
        hold(results, wait=10, clock=watch, sleep=watch.sleep).__enter__()


# Where the owner cannot be seen


@pytest.mark.parametrize("other", ELSEWHERE.values(), ids=ELSEWHERE)
def test_a_run_elsewhere_that_gives_no_sign_of_life_is_over(results: Path, other: Process) -> None:
    left_by(results, other)
    said: list[str] = []
    watch = Watch()

    with hold(results, ALPHA, say=said.append, clock=watch, sleep=watch.sleep) as claim:
        claim.check()

    assert sum(watch.slept) == PATIENCE
    (text,) = said
    assert text == (
        f"{results}.lock: made by run 7f3a by alice, process 4242, since 2025-07-01T02:15:00.000Z,"
        f" on {other.host}; waiting 30 s to see whether it is at work"
    )
    assert names(results) == []


@pytest.mark.parametrize("other", ELSEWHERE.values(), ids=ELSEWHERE)
def test_a_run_elsewhere_that_beats_is_at_work(results: Path, other: Process) -> None:
    with hold(results, other) as owner:
        watch = Watch(29, owner.beat)

        with (
            pytest.raises(BusyError, match=f"another run is at work: .*, on {other.host}"),
            hold(results, ALPHA, clock=watch, sleep=watch.sleep),
        ):
            pass

        assert sum(watch.slept) == 29
        owner.check()


def test_a_run_elsewhere_that_ends_while_it_is_watched_is_not_waited_for(results: Path) -> None:
    with ExitStack() as first:
        first.enter_context(hold(results, BETA))
        watch = Watch(2, first.close)
        with hold(results, ALPHA, clock=watch, sleep=watch.sleep):
            pass

    assert sum(watch.slept) == 2


def test_who_waits_for_a_run_elsewhere_gets_them_when_that_has_ended(results: Path) -> None:
    said: list[str] = []
    with ExitStack() as first:
        owner = first.enter_context(hold(results, BETA))

        def meanwhile() -> None:
            if watch.now < 20:
                owner.beat()
            else:
                first.close()

        watch = Watch(0, meanwhile)
        with hold(results, ALPHA, wait=60, say=said.append, clock=watch, sleep=watch.sleep):
            pass

    assert sum(watch.slept) == 20
    assert [text.partition("waiting ")[2] for text in said] == [
        "30 s to see whether it is at work",
        "until it has ended, 1 min 00 s at most",
    ]


def test_nothing_is_asked_about_numbers_of_processes_that_may_mean_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def forbidden(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(os, "kill", forbidden)  # on Windows it would send a Ctrl-C
    nowhere = replace(Process.own(), boot="", namespace="")

    assert nowhere.lives(nowhere) is None
    assert ALPHA.lives(BETA) is None


def test_a_process_that_is_hidden_from_this_one_is_judged_by_its_beat(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own = Process.own()
    assert own.lives(own) is True

    def hidden(_: int) -> tuple[str, str]:
        raise FileNotFoundError

    monkeypatch.setattr(batch.host.claim, "_stat", hidden)
    assert own.lives(own) is None


def test_where_proc_is_that_of_another_namespace_no_process_is_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "getpid", lambda: 1)

    own = Process.own()

    assert (own.boot, own.namespace) == ("", "")
    assert own.lives(own) is None


# What stands there


@pytest.mark.parametrize(
    "content",
    [
        b"4242\n",
        b"{}",
        b"[" * 4000,
        b"\xff\xfe\0",
        b'{"claim": "1", "owner": {}, "process": {}}',
        json.dumps({"claim": "1", "owner": {}, "process": asdict(replace(ALPHA, pid=0))}).encode(),
    ],
)
def test_a_file_that_is_not_ours_is_refused_and_left_alone(results: Path, content: bytes) -> None:
    path = results.parent / "out.csv.lock"
    path.write_bytes(content)

    with pytest.raises(ResultsError, match="was not made by this tool") as refused, hold(results):
        pass

    assert str(path) in str(refused.value)
    assert refused.value.exit_code == 2
    assert path.read_bytes() == content
    assert names(results) == ["out.csv.lock"]


@pytest.mark.parametrize("kind", ["directory", "pipe", "link", "link to nothing"])
def test_what_is_no_file_is_refused_and_left_alone(results: Path, kind: str) -> None:
    path = results.parent / "out.csv.lock"
    match kind:
        case "directory":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case "link":
            path.symlink_to(left_by(results.with_name("other.csv"), Process.own()))
        case _:
            path.symlink_to("nothing")
    before = names(results), path.lstat().st_ino

    with pytest.raises(ResultsError, match=r"out\.csv\.lock: cannot be used: ") as refused:
        hold(results).__enter__()

    assert "name another place with --output" in refused.value.hint
    assert (names(results), path.lstat().st_ino) == before


def test_a_file_whose_maker_was_killed_before_he_wrote_is_taken_if_nobody_writes_it(
    results: Path,
) -> None:
    path = results.parent / "out.csv.lock"
    path.touch()
    watch = Watch()
    with hold(results, ALPHA, clock=watch, sleep=watch.sleep):
        pass
    assert sum(watch.slept) == PATIENCE

    content = left_by(results, BETA).read_bytes()
    path.write_bytes(b"")

    def write() -> None:
        path.write_bytes(content)

    watch = Watch(5, write)
    with pytest.raises(BusyError), hold(results, ALPHA, clock=watch, sleep=watch.sleep):
        pass


def test_what_somebody_wrote_there_cannot_reach_into_the_terminal(results: Path) -> None:
    with hold(results) as owner:
        found = json.loads(owner.path.read_bytes())
        found["owner"]["user"] = found["process"]["host"] = "\033[2Jeve"
        owner.path.write_text(json.dumps(found))

        with pytest.raises(BusyError) as refused, hold(results):
            pass
        found["owner"] = {"name": "eve"}
        owner.path.write_text(json.dumps(found))
        with pytest.raises(BusyError, match="one that does not say which, on "), hold(results):
            pass

    assert "\033" not in str(refused.value)


def test_a_disk_without_room_is_a_refusal(results: Path) -> None:
    with full_disk(), pytest.raises(ResultsError, match="File too large") as refused, hold(results):
        pass

    assert "nothing was sent" in refused.value.hint
    assert names(results) == []


def test_where_no_thread_is_to_be_had_nothing_is_claimed(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    with pytest.raises(ResultsError, match="can't start new thread"), hold(results):
        pass

    assert names(results) == []


def test_where_files_have_one_name_only_results_are_claimed_all_the_same(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(*_: object) -> None:
        raise OSError(errno.EPERM, "no links")

    monkeypatch.setattr(os, "link", link)
    left_by(results, replace(Process.own(), started="1"))

    with hold(results) as claim:
        claim.beat()
        claim.check()
        with pytest.raises(BusyError), hold(results):
            pass

    assert names(results) == []


def test_a_file_that_was_made_although_the_answer_is_that_there_is_one_is_the_own(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = os.link

    def lost(*arguments: Any) -> None:  # noqa: ANN401
        link(*arguments)
        raise FileExistsError

    monkeypatch.setattr(os, "link", lost)
    with hold(results) as claim:
        claim.check()


# Several that take the place of a dead one


def test_of_those_that_find_a_dead_one_at_once_one_has_them_at_a_time(tmp_path: Path) -> None:
    rounds, racers = 60, 2
    for turn in range(rounds):
        (tmp_path / f"{turn}").mkdir()
        left_by(tmp_path / f"{turn}" / "out.csv", replace(Process.own(), started="1"))

    processes = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, *map(str, (tmp_path, rounds, number, racers))],
            cwd=ROOT,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(racers)
    ]
    try:
        ends = [process.communicate(timeout=120)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()

    assert [process.returncode for process in processes] == [0] * racers, ends
    for turn in range(rounds):
        assert sorted(path.name for path in (tmp_path / f"{turn}").iterdir()) == [
            *(f"done-{number}" for number in range(racers)),
            *(f"racer-{number}" for number in range(racers)),
        ]


def test_who_sees_in_time_that_another_was_quicker_does_not_touch_its_file(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left_by(results, replace(Process.own(), started="1"))
    lives = Process.lives
    with ExitStack() as stack, monkeypatch.context() as patch:

        def late(own: Process, seen_by: Process) -> bool | None:
            patch.setattr(Process, "lives", lives)
            stack.enter_context(hold(results))
            patch.setattr(Path, "rename", forbidden)
            return lives(own, seen_by)

        def forbidden(*_: object) -> None:
            raise AssertionError

        patch.setattr(Process, "lives", late)
        with pytest.raises(BusyError), hold(results):
            pass


def test_who_takes_the_file_of_one_that_was_quicker_for_the_dead_one_gives_it_back(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = left_by(results, replace(Process.own(), started="1"))
    rename = Path.rename
    with ExitStack() as stack:
        quicker: list[Claim] = []

        def late(own: Path, target: Path) -> Path:
            monkeypatch.setattr(Path, "rename", rename)
            quicker.append(stack.enter_context(hold(results)))
            return rename(own, target)

        monkeypatch.setattr(Path, "rename", late)
        with pytest.raises(BusyError), hold(results):
            pass

        quicker[0].check()
        assert names(results) == [path.name]


def test_a_dead_one_that_beats_at_the_last_moment_keeps_its_claim(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rename = Path.rename
    with hold(results, BETA) as owner:

        def late(own: Path, target: Path) -> Path:
            monkeypatch.setattr(Path, "rename", rename)
            owner.beat()
            return rename(own, target)

        monkeypatch.setattr(Path, "rename", late)
        watch = Watch(PATIENCE + 1, owner.beat)
        with pytest.raises(BusyError), hold(results, ALPHA, clock=watch, sleep=watch.sleep):
            pass

        owner.check()


# What the owner notices


def overtaken(results: Path, stack: ExitStack) -> tuple[Claim, Watch, Claim]:
    """An owner that was suspended, its clock, and the one that took its place meanwhile."""
    slow, watch = Watch(), Watch()
    owner = stack.enter_context(hold(results, BETA, clock=slow, sleep=slow.sleep))
    other = stack.enter_context(hold(results, ALPHA, clock=watch, sleep=watch.sleep))
    slow.now += PATIENCE
    return owner, slow, other


def test_an_owner_that_was_taken_for_dead_notices_it_and_takes_nothing_away(
    results: Path,
) -> None:
    with ExitStack() as stack:
        owner, _, other = overtaken(results, stack)
        before = other.path.read_bytes()

        for notices in (owner.check, owner.guard):
            with pytest.raises(OSError, match=r"out\.csv\.lock was made anew") as lost:
                notices()
            assert "run 7f3a by alice" in str(lost.value.strerror)
            assert str(lost.value.strerror).endswith(", on alpha")
        with pytest.raises(ResultsError, match="are not this run's any more") as refused:
            owner.require()
        assert "nothing was sent" in refused.value.hint
        owner.beat()
        owner.close()

        assert other.path.read_bytes() == before
        other.check()


def test_nothing_is_written_by_one_that_may_have_been_taken_for_dead(results: Path) -> None:
    with ExitStack() as stack:
        owner, _, _ = overtaken(results, stack)

        with pytest.raises(OSError, match="made anew"):
            owner.guard()


def test_an_owner_that_has_beaten_a_moment_ago_need_not_look(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = Watch()
    with hold(results, clock=watch, sleep=watch.sleep) as owner:
        watch.now += PATIENCE
        owner.guard()
        owner.beat()

        def forbidden(_: Path) -> None:
            raise AssertionError

        with monkeypatch.context() as patch:
            patch.setattr(batch.host.claim, "_read", forbidden)
            watch.now += BEAT
            owner.guard()


def test_an_owner_whose_file_was_deleted_notices_it_and_does_not_make_it_again(
    results: Path,
) -> None:
    watch = Watch()
    with hold(results, clock=watch, sleep=watch.sleep) as owner:
        content = owner.path.read_bytes()
        owner.path.unlink()
        with pytest.raises(FileNotFoundError):
            owner.beat()
        watch.now += PATIENCE
        for _ in range(2):
            owner.guard()  # it is nobody else's: what is settled may still be written down
            with pytest.raises(OSError, match=r"out\.csv\.lock is gone from its place"):
                owner.check()
        assert names(results) == []

        owner.path.write_bytes(content)
        with pytest.raises(OSError, match="is gone"):  # others may have come and gone meanwhile
            owner.check()


def put_back_meanwhile(owner: Claim, watch: Watch) -> None:
    """Take the file of an owner away, until somebody waits."""
    aside = owner.path.rename(owner.path.with_name("aside"))

    def put_back() -> None:
        aside.rename(owner.path)

    watch.meanwhile = put_back


def test_a_file_that_somebody_puts_back_at_once_is_not_missed(results: Path) -> None:
    watch = Watch()
    with hold(results, clock=watch, sleep=watch.sleep) as owner:
        put_back_meanwhile(owner, watch)

        owner.check()


def test_a_file_that_is_put_back_as_its_owner_ends_is_taken_away_all_the_same(
    results: Path,
) -> None:
    watch = Watch()
    with hold(results, clock=watch, sleep=watch.sleep) as owner:
        put_back_meanwhile(owner, watch)

    assert names(results) == []


def test_every_beat_is_another_one_and_as_long_as_the_one_before(results: Path) -> None:
    with hold(results) as owner:
        seen = [owner.path.read_bytes()]
        for _ in range(11):
            owner.beat()
            seen.append(owner.path.read_bytes())

    assert len(set(seen)) == len(seen)
    assert len({len(content) for content in seen}) == 1


def test_an_owner_beats_by_itself_and_leaves_signals_to_the_main_thread(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch.host.claim, "BEAT", 0.001)
    masks: list[set[signal.Signals]] = []
    beat = Claim.beat

    def noted(own: Claim) -> None:
        masks.append({*signal.pthread_sigmask(signal.SIG_BLOCK, ())})  # type: ignore[arg-type]
        beat(own)

    monkeypatch.setattr(Claim, "beat", noted)
    with hold(results) as owner:
        seen: set[bytes] = set()
        deadline = time.monotonic() + 30
        while len(seen) < 3:
            seen.add(owner.path.read_bytes())
            assert time.monotonic() < deadline

    assert {signal.SIGINT, signal.SIGTERM, signal.SIGHUP} <= masks[0]
    assert names(results) == []
    assert "claim" not in {thread.name for thread in threading.enumerate()}
