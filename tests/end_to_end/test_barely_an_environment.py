"""The command in an environment that is barely one, as cron, systemd and containers start it."""

from __future__ import annotations

import hashlib
import json
import os
import pwd
import re
import signal
import stat
import subprocess
import sys
import tempfile
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache, partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from batch.formatting import counted
from batch.results.manifest import manifest_path
from tests.end_to_end.conftest import ROOT, TOKEN, Command, overheard, wait_until
from tests.end_to_end.test_together import patched, side_by_side, unasked
from tests.end_to_end.test_trouble import command_after, revoked
from tests.support.job_harness import some_ids
from tests.support.programs import program
from tests.support.results_files import table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from tests.support.faulty_sandbox import FaultySandbox

LIST = "Kündigungen für Łódź.csv"
RESULTS = "Ergebnis für Łódź.csv"
COLUMN, CARRIED, NAME = "Lizenz-Kennung für Größe", "Kundin·Kunde", "Zoë Ångström, 東京"
REASON = "Rückruf № 7: fällig"
"""Names and texts that ASCII does not have stand in every run: only UTF-8 can spell them."""

PROGRAM = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from batch.cli import main; main()"
"""What the console script does, found by nothing that stands in the environment."""

LAUNCH = """
import os, resource, signal, sys
signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python has ignored it, which outlives exec
os.chdir({home!r})
os.umask({umask})
{before}
os.execve(sys.argv[1], sys.argv[1:], {environ!r})
"""
"""What the process is before it becomes the command: it makes its environment, and nothing else."""

READ_ONLY = """
mount --bind "$0" "$0" && mount -o remount,bind,ro / && test ! -w / && exec "$@"
"""
"""What a shell with mounts of its own does: only one directory can be written."""

READS_ALL = ("--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search")
"""What somebody needs who is to run a Python that stands where only root may read; it lets nobody
write anything (capabilities(7))."""

ANY_LINE = re.compile("bulk-revoke[: ]|error: |hint: |results: |again:   |  ")
"""How each line begins that the command itself says at its end."""


@dataclass(frozen=True)
class Ending:
    """How a run is to end.

    Attributes:
        code: Its exit code.
        licenses: How many it is about.
        strangers: How many more of its list nobody knows.
        options: What makes it end so, beside that.
        latency: Seconds of a round trip.
    """

    code: int
    licenses: int = 6
    strangers: int = 0
    options: tuple[str, ...] = ()
    latency: float = 0.0

    @property
    def ids(self) -> list[str]:
        return some_ids(self.licenses)

    @property
    def listed(self) -> list[str]:
        return [*self.ids, *some_ids(self.strangers, seed=1)]


SUCCEEDS = Ending(0)
FAILS_IN_PART = Ending(1, strangers=1)
IS_REFUSED = Ending(2, options=("--max-licenses", "5"))
IS_STOPPED = Ending(143, licenses=60, options=("--concurrency", "2"), latency=0.1)

MANY_AT_ONCE = Ending(0, licenses=60, latency=0.1)
"""As many requests in flight as there are unless somebody says otherwise."""

LASTS = Ending(0, licenses=30, options=("--concurrency", "2"), latency=0.1)
"""Longer than the second after which the results are forced to the disk for the first time."""

ENDINGS = (SUCCEEDS, FAILS_IN_PART, IS_REFUSED, IS_STOPPED)

WITHOUT_A_WORD = (SUCCEEDS, IS_STOPPED)
"""What a condition is tried with alone that changes nothing of what is said: the whole way, and a
signal. All of them together are tried with every ending."""


@dataclass(frozen=True)
class Condition:
    """What an environment lacks, or has too much of.

    Attributes:
        before: Python that the process does before it becomes the command.
        environ: Variables that are set, or taken away where they are None.
        is_empty: Whether no other variables are set.
        is_somebody: Whether it runs as a user whom the user database does not know.
        is_read_only: Whether only its own directory can be written, whoever it is.
        umask: File mode bits that new files do not get.
        is_heard: Whether what it says can be read.
        endings: What it is tried with.
    """

    before: str = ""
    environ: Mapping[str, str | None] = field(default_factory=dict)
    is_empty: bool = False
    is_somebody: bool = False
    is_read_only: bool = False
    umask: int = 0o027
    is_heard: bool = True
    endings: tuple[Ending, ...] = WITHOUT_A_WORD

    def variables(self, home: Path) -> dict[str, str]:
        """The environment of a process with such a directory; all it might leave would be there."""
        usual = {"PATH": os.defpath, "HOME": str(home), "TMPDIR": str(home), "TERM": "xterm"}
        usual |= {"LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"}
        wanted = ({} if self.is_empty else usual) | dict(self.environ)
        place = home.parent
        return {name: text.format(place=place) for name, text in wanted.items() if text is not None}


def locale(*endings: Ending, **variables: str) -> Condition:
    """A locale, with nothing that mends it but Python's own UTF-8 mode (PEP 538, PEP 540)."""
    environ = {"LANG": None, "PYTHONCOERCECLOCALE": "0", **variables}
    return Condition(environ=environ, endings=endings)


def gone(*streams: int) -> str:
    """Streams that are a pipe whose reader is gone."""
    ends = "".join(f"os.dup2(theirs, {stream}); " for stream in streams)
    return f"ours, theirs = os.pipe(); {ends}os.close(ours); os.close(theirs)"


IGNORED = "signal.signal(signal.{}, signal.SIG_IGN)"
BLOCKED = "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})"
GONE = "os.mkdir('gone'); os.chdir('gone'); os.rmdir('../gone')"
FEW_FILES = "resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))"
FEW_PROCESSES = "resource.setrlimit(resource.RLIMIT_NPROC, ({0}, {0}))"
FULL = """
os.set_blocking(2, False)
try:
    while os.write(2, b"." * 100_000):
        pass
except BlockingIOError:
    os.set_blocking(2, True)
"""
"""Standard error is a pipe into which nothing more fits."""

CONDITIONS = {
    "an empty environment": Condition(is_empty=True, endings=ENDINGS),
    "no home": Condition(environ={"HOME": None}),
    "a home that is not there": Condition(environ={"HOME": "/nonexistent"}),
    # The one is locked for everybody who may not read all, the other is a link to itself.
    "a home that is locked": Condition(environ={"HOME": "{place}/locked"}, is_somebody=True),
    "a home that not even root can read": Condition(environ={"HOME": "{place}/loop"}),
    "a user without a name": Condition(is_somebody=True, endings=ENDINGS),
    "neither TERM nor a terminal": Condition(environ={"TERM": None}),
    "closed standard input": Condition("os.close(0)"),
    "empty standard input": Condition("os.dup2(os.open(os.devnull, os.O_RDONLY), 0)"),
    "no reader": Condition(gone(2), is_heard=False, endings=ENDINGS),
    "no reader and ignored SIGPIPE": Condition(
        f"{IGNORED.format('SIGPIPE')}; {gone(1, 2)}", is_heard=False, endings=ENDINGS
    ),
    "closed output": Condition("os.close(1); os.close(2)", is_heard=False, endings=ENDINGS),
    "umask 077": Condition(umask=0o077),
    "umask 022": Condition(umask=0o022),
    "LANG=C": locale(FAILS_IN_PART, IS_REFUSED, LANG="C"),
    "LC_ALL=C": locale(*ENDINGS, LC_ALL="C"),
    "LC_ALL=POSIX": locale(FAILS_IN_PART, IS_REFUSED, LC_ALL="POSIX"),
    "an unknown locale": locale(*ENDINGS, LC_ALL="xx_XX.ISO-8859-1"),
    "a working directory that cannot be written": Condition(
        "os.chdir('../read-only')", is_somebody=True
    ),
    "a working directory that is gone": Condition(GONE),
    "ignored SIGHUP": Condition(IGNORED.format("SIGHUP")),
    "ignored SIGCHLD": Condition(IGNORED.format("SIGCHLD")),
    "blocked SIGTERM": Condition(BLOCKED),
    "few files": Condition(FEW_FILES, endings=(MANY_AT_ONCE, IS_STOPPED)),
    # Itself, and the threads without which it does not begin.
    "few processes": Condition(
        FEW_PROCESSES.format(7), is_somebody=True, endings=(LASTS, IS_STOPPED)
    ),
    "a file system that is read-only": Condition(
        "os.chdir('/')",
        environ={"TMPDIR": "/", "PYTHONDONTWRITEBYTECODE": None},
        is_read_only=True,
        endings=ENDINGS,
    ),
}
"""Each of them alone. How a signal is treated outlives exec, and so does a mask (execve(2))."""

ALL_TOGETHER = Condition(
    "; ".join([
        *(IGNORED.format(name) for name in ("SIGHUP", "SIGPIPE", "SIGCHLD")),
        BLOCKED,
        FEW_FILES,
        FEW_PROCESSES.format(7),
        GONE,
        "os.close(0)",
    ]),
    is_empty=True,
    is_somebody=True,
    is_read_only=True,
    umask=0o077,
    endings=ENDINGS,
)  # fmt: skip
"""All that do not exclude each other."""

_numbers = count(os.getpid() * 64)


@pytest.fixture
def place() -> Iterator[Command]:
    """A directory that everybody can reach, unlike those of pytest; for one directory each."""
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        home.chmod(0o755)
        (home / "locked").mkdir(mode=0)
        (home / "loop").symlink_to("loop")
        (home / "read-only").mkdir()
        command = Command(home)
        try:
            yield command
        finally:
            command.end()


def becoming(uid: int, *more: str) -> tuple[str, ...]:
    """The command that runs another one as this user, who is in no group of anybody's."""
    return (program("setpriv"), f"--reuid={uid}", f"--regid={uid}", "--clear-groups", *more)


@cache
def needed() -> tuple[str, ...]:
    """What somebody needs to run this Python and this checkout: nothing, or to read all files."""
    if os.geteuid():
        pytest.skip("only root can be somebody else")
    probe = (
        f"import os, sys; sys.path.insert(0, {str(ROOT)!r}); import batch.cli; print(os.__file__)"
    )
    for more in ((), READS_ALL):
        run = [*becoming(nameless(), *more), sys.executable, "-c", probe]
        found = subprocess.run(run, capture_output=True, text=True, check=False, cwd="/")
        if found.stdout.strip() == os.__file__:
            return more
    pytest.skip("only root can read this Python")


def nameless() -> int:
    """A user whom the user database does not know, and who has no process yet."""
    while True:
        # Within what a user namespace has, and another one in every worker of a test run.
        uid = 20_000 + next(_numbers) % 40_000
        try:
            pwd.getpwuid(uid)
        except KeyError:
            return uid


@cache
def remounting() -> tuple[str, ...]:
    """The command that runs another one where all is read-only but what comes next to it."""
    own_mounts = (program("unshare"), "--mount", program("sh"), "-c")
    with tempfile.TemporaryDirectory() as here:
        probe = [*own_mounts, READ_ONLY, here, program("true")]
        if os.geteuid() or subprocess.run(probe, check=False, capture_output=True).returncode:
            pytest.skip("only root can mount a file system here")
    return (*own_mounts, READ_ONLY)


@dataclass
class Runner:
    """A command in its directory, under some condition.

    Attributes:
        condition: The condition.
        command: What it reads and writes stands in its home.
        uid: Whose process it is.
    """

    condition: Condition
    command: Command
    uid: int

    @property
    def home(self) -> Path:
        return self.command.home

    @property
    def results(self) -> Path:
        return self.home / RESULTS

    @property
    def user(self) -> str:
        """What the manifest calls whoever runs it."""
        with suppress(KeyError):
            return pwd.getpwuid(self.uid).pw_name
        return str(self.uid)

    def options(self, sandbox: FaultySandbox) -> tuple[str | Path, ...]:
        """What is said where the environment says nothing."""
        return (
            "--base-url", sandbox.base_url, "--rate", "none", "--quiet", "--json",
            "--token-file", self.home / "token", "--lock-dir", self.home,
        )  # fmt: skip

    def listing(self, sandbox: FaultySandbox) -> tuple[str | Path, ...]:
        """Arguments that name every file by its whole path."""
        return (
            "run", self.home / LIST, "--output", self.results, *self.options(sandbox),
            "--column", COLUMN, "--carry", CARRIED, "--reason", REASON,
            *unasked(),
        )  # fmt: skip

    def start(self, *arguments: str | Path) -> subprocess.Popen[str]:
        """Start the command, with a standard input that says nothing, and without a terminal."""
        condition = self.condition
        launch = LAUNCH.format(
            home=str(self.home),
            umask=condition.umask,
            before=condition.before,
            environ=condition.variables(self.home),
        )
        process = subprocess.Popen(
            [
                *((*remounting(), str(self.home)) if condition.is_read_only else ()),
                *(sys.executable, "-I", "-S", "-c", launch),
                *(becoming(self.uid, *needed()) if condition.is_somebody else ()),
                *(sys.executable, "-c", PROGRAM, *map(str, arguments)),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            start_new_session=True,
        )
        self.command.started.append(process)
        return process

    def left(self) -> set[str]:
        """What stands in its directory, beside its input and the locks."""
        names = {path.name for path in self.home.iterdir()} - {LIST, "token"}
        return {name for name in names if not re.fullmatch(r"bulk-revoke-\w+\.lock", name)}


def prepared(command: Command, name: str, condition: Condition, ids: Sequence[str]) -> Runner:
    """A directory with a list and a token, which belong to whoever will run the command."""
    if condition.is_somebody:
        needed()  # else this is skipped
    own = command.within(name)
    run = Runner(condition, own, nameless() if condition.is_somebody else os.geteuid())
    lines = [f"{CARRIED},{COLUMN}", *(f'"{NAME}",{license_id}' for license_id in ids)]
    (own.home / LIST).write_text("\n".join(lines) + "\n", encoding="utf-8")
    (own.home / "token").write_text(TOKEN)
    (own.home / "token").chmod(0o600)
    if condition.is_somebody:
        for path in (own.home, *own.home.iterdir()):
            os.chown(path, run.uid, run.uid)
    return run


def ended(process: subprocess.Popen[str], timeout: float = 60) -> tuple[str, str]:
    """What a command has said on standard output and standard error by its end."""
    try:
        return process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        raise AssertionError(process.communicate()) from None


def interrupt(run: Runner, process: subprocess.Popen[str], sandbox: FaultySandbox) -> None:
    """End a run in its middle; a SIGHUP comes first, where it is ignored."""
    wait_until(lambda: len(patched(sandbox)) >= 3 or process.poll() is not None)
    if IGNORED.format("SIGHUP") in run.condition.before:
        process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGTERM)


# --- how it ends ---


def assert_ended(
    run: Runner, ending: Ending, sandbox: FaultySandbox, *, has_last_words: bool = False
) -> None:
    """Server, results, manifest and directory are as the exit code says.

    A run that still has something to say has still claimed its results.
    """
    really = revoked(sandbox)
    assert sorted(patched(sandbox)) == sorted(really), "each is sent once"
    if ending.code == 2:
        assert not really
        assert run.left() == set()
        return
    claim = {f"{RESULTS}.lock"} if has_last_words else set()
    assert run.left() - claim == {RESULTS, manifest_path(run.results).name}
    rows = table(run.results)
    assert [row["license_id"] for row in rows] == ending.listed
    assert {row["license_id"] for row in rows if row["outcome"] == "revoked"} == really
    assert {row[CARRIED] for row in rows} == {NAME}
    assert {row["was_revoked"] for row in rows[: ending.licenses]} == {"false"}
    outcomes = Counter(row["outcome"] for row in rows)
    if ending.code == 143:
        assert outcomes.keys() == {"revoked", "not_attempted"}
    else:
        assert outcomes == Counter(revoked=ending.licenses) + Counter(not_found=ending.strangers)
    manifest = json.loads(manifest_path(run.results).read_text(encoding="utf-8"))
    assert (manifest["user"], manifest["reason"]) == (run.user, REASON)
    assert manifest["input"]["path"] == str(run.home / LIST)
    assert manifest["results"]["sha256"] == hashlib.sha256(run.results.read_bytes()).hexdigest()
    (session,) = manifest["sessions"]
    assert (session["exit_code"], session["counts"]) == (ending.code, outcomes)
    for path in (run.results, manifest_path(run.results)):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def assert_said(run: Runner, ending: Ending, out: str, err: str) -> None:
    """One block that says it, and nothing else; at exit code 0 not even that."""
    lines = err.splitlines()
    foreign = [line for line in lines if not ANY_LINE.match(line)]
    assert foreign == []
    assert json.loads(out)["exit_code"] == ending.code
    if ending.code == 2:
        assert "6 licenses would be revoked, --max-licenses allows 5" in err
        assert f'error: {run.home / LIST}, column "{COLUMN}"' in err
        assert lines[-1].startswith("hint: ")
        return
    if ending.code == 0:
        assert err == ""
        return
    rows = table(run.results)
    undone = [row for row in rows if row["outcome"] != "revoked"]
    verb = "is" if len(undone) == 1 else "are"
    assert err.startswith(
        f"bulk-revoke: {len(undone)} of {counted(len(rows), 'license')} {verb} NOT revoked"
        f" (exit {ending.code})"
    )
    tried = [row["row"] for row in undone if row["outcome"] != "not_attempted"]
    assert [line.split()[1] for line in lines if line.startswith("  row ")] == tried
    assert f"results: {run.results}" in lines
    assert ("  stopped: interrupted by SIGTERM" in lines) is (ending.code == 143)
    assert ("again:   bulk-revoke run " in err) is (ending.code == 143)


def assert_ends(command: Command, condition: Condition, ending: Ending, *, goes_on: bool) -> None:
    """Run the command under a condition, to an end."""
    run = prepared(command, str(ending.code), condition, ending.listed)
    latency = (ending.latency, ending.latency)
    with overheard(ending.ids, latency=latency) as sandbox:
        process = run.start(*run.listing(sandbox), *ending.options)
        if ending.code == 143:
            interrupt(run, process, sandbox)
        out, err = ended(process)

        assert process.returncode == ending.code, err
        assert_ended(run, ending, sandbox)
        if condition.is_heard:
            assert_said(run, ending, out, err)
        if goes_on and ending.code == 143:
            again = run.start(*command_after(err), "--concurrency", "32")
            assert ended(again)[1] == ""
            assert again.returncode == 0
            assert revoked(sandbox) == set(ending.ids)
            assert len(patched(sandbox)) == len(ending.ids)


@pytest.mark.parametrize("condition", CONDITIONS.values(), ids=CONDITIONS)
def test_a_run_ends_as_it_does_anywhere_in(place: Command, condition: Condition) -> None:
    side_by_side(
        *(partial(assert_ends, place, condition, each, goes_on=False) for each in condition.endings)
    )


@pytest.mark.parametrize("is_heard", [True, False])
def test_a_run_ends_as_it_does_anywhere_where_all_of_that_comes_together(
    place: Command, is_heard: bool
) -> None:
    silent = replace(
        ALL_TOGETHER, before=f"{ALL_TOGETHER.before}; os.close(1); os.close(2)", is_heard=False
    )
    condition = ALL_TOGETHER if is_heard else silent

    side_by_side(
        *(partial(assert_ends, place, condition, each, goes_on=is_heard) for each in ENDINGS)
    )


# --- what only one of them brings about ---


def refused(run: Runner, *arguments: str | Path) -> str:
    """Run a command that is refused before it has sent anything, and return what it says."""
    with overheard(SUCCEEDS.ids) as sandbox:
        process = run.start(*arguments, *run.options(sandbox))
        out, err = ended(process)

    assert process.returncode == 2, err
    assert json.loads(out)["error"] in err
    assert [line for line in err.splitlines() if not ANY_LINE.match(line)] == []
    assert err.splitlines()[-1].startswith("hint: ")
    assert not patched(sandbox)
    assert run.left() == set()
    return err


def test_closed_standard_input_is_an_empty_list(place: Command) -> None:
    run = prepared(place, "closed", Condition("os.close(0)"), SUCCEEDS.ids)

    err = refused(run, "run", "-", *unasked())

    assert "error: standard input is empty" in err


def test_without_a_terminal_nobody_is_asked(place: Command) -> None:
    run = prepared(place, "unasked", Condition(environ={"TERM": None}), SUCCEEDS.ids)

    err = refused(run, "run", run.home / LIST, "--column", COLUMN)

    assert "error: there is no terminal to ask on" in err
    assert "--yes" in err


def test_a_working_directory_that_cannot_be_written_takes_no_results(place: Command) -> None:
    condition = CONDITIONS["a working directory that cannot be written"]
    run = prepared(place, "here", condition, SUCCEEDS.ids)

    err = refused(run, "run", run.home / LIST, "--column", COLUMN, *unasked())

    results = f"{Path(LIST).stem}.results.csv"
    assert f"error: {results}: cannot be written: Permission denied" in err
    assert "--output" in err
    assert not any((place.home / "read-only").iterdir())


def test_where_the_working_directory_is_gone_no_name_means_anything(place: Command) -> None:
    condition = CONDITIONS["a working directory that is gone"]
    run = prepared(place, "here", condition, SUCCEEDS.ids)

    no_place_for_results = refused(run, "run", run.home / LIST, "--column", COLUMN, *unasked())
    no_list = refused(run, "run", LIST, "--output", run.results, "--column", COLUMN, *unasked())

    for err in (no_place_for_results, no_list):
        assert "error: the working directory cannot be used: No such file or directory" in err
        assert "--output" in err


def test_a_working_directory_that_goes_away_meanwhile_is_not_missed(place: Command) -> None:
    run = prepared(place, "here", Condition("os.mkdir('own'); os.chdir('own')"), LASTS.ids)
    with overheard(LASTS.ids, latency=(LASTS.latency, LASTS.latency)) as sandbox:
        process = run.start(*run.listing(sandbox), *LASTS.options)
        wait_until(lambda: patched(sandbox))
        (run.home / "own").rmdir()
        assert process.poll() is None
        out, err = ended(process)

    assert process.returncode == 0, err
    assert_ended(run, LASTS, sandbox)
    assert_said(run, LASTS, out, err)


def test_who_does_not_read_holds_up_nothing_but_the_last_words(place: Command) -> None:
    def unread(ending: Ending) -> None:
        run = prepared(place, str(ending.code), Condition(FULL), ending.listed)
        manifest = manifest_path(run.results)
        with overheard(ending.ids, latency=(ending.latency, ending.latency)) as sandbox:
            process = run.start(*run.listing(sandbox), *ending.options)
            if ending.code == 143:
                interrupt(run, process, sandbox)
            if ending.code == 2:
                wait_until(lambda: sandbox.requests)
            else:
                wait_until(
                    lambda: manifest.exists() and '"exit_code": null' not in manifest.read_text()
                )
                assert_ended(run, ending, sandbox, has_last_words=True)
            if ending.code == 0:
                assert process.wait(timeout=20) == 0
            out, err = ended(process)

        assert process.returncode == ending.code
        assert_ended(run, ending, sandbox)
        assert_said(run, ending, out, err.lstrip("."))

    side_by_side(*(partial(unread, each) for each in ENDINGS))


@pytest.mark.parametrize("closed", [(2,), (0, 1, 2)])
def test_a_name_that_is_no_text_is_refused_like_any_other_where_nobody_listens(
    place: Command, closed: tuple[int, ...]
) -> None:
    before = "; ".join(f"os.close({stream})" for stream in closed)
    run = prepared(place, "closed", Condition(before), SUCCEEDS.ids)

    process = run.start("run", os.fsdecode(b"\xff.csv"), "--sandbox")
    ended(process)

    assert process.returncode == 2
    assert run.left() == set()


def test_where_no_thread_can_be_started_nothing_is_sent(place: Command) -> None:
    condition = Condition(FEW_PROCESSES.format(1), is_somebody=True)
    run = prepared(place, "here", condition, SUCCEEDS.ids)

    err = refused(run, "run", run.home / LIST, "--column", COLUMN, *unasked())

    assert "only 0 threads can be started" in err
    assert "hint: allow more processes: ulimit -u" in err


STACK = "resource.setrlimit(resource.RLIMIT_STACK, ({0}, {0}))"
MEMORY = "resource.setrlimit(resource.RLIMIT_AS, ({0}, {0}))"


@pytest.mark.parametrize(
    "before",
    [STACK.format(1 << 46), f"{STACK.format(1 << 30)}; {MEMORY.format(2 << 30)}"],
    ids=["a stack that fits nowhere", "little memory"],
)
def test_where_there_is_no_memory_for_threads_nobody_is_sent_to_look_for_processes(
    place: Command, before: str
) -> None:
    run = prepared(place, "here", Condition(before), SUCCEEDS.ids)

    err = refused(run, "run", run.home / LIST, "--column", COLUMN, *unasked())

    assert "can be started, a run needs 6" in err
    for limit in ("ulimit -v", "ulimit -s"):
        assert limit in err
    assert "ulimit -u" not in err


@pytest.mark.parametrize("command", ["run", "verify", "sandbox"])
def test_where_the_keys_of_tls_cannot_be_logged_nothing_is_sent(
    place: Command, command: str
) -> None:
    log = "/nonexistent/keys.log"
    run = prepared(place, "here", Condition(environ={"SSLKEYLOGFILE": log}), SUCCEEDS.ids)
    arguments = ("--port", "0") if command == "sandbox" else (run.home / LIST, "--sandbox")
    only = arguments[:1] if command == "verify" else arguments

    process = run.start(command, *only)
    _, err = ended(process)

    assert process.returncode == 2, err
    assert f"error: SSLKEYLOGFILE: {log}: cannot be written: No such file or directory" in err
    hint = err.splitlines()[-1].removeprefix("rehearsal | ")
    assert hint.startswith("hint: unset SSLKEYLOGFILE")
    assert run.left() == set()


def test_the_keys_of_tls_are_logged_where_they_can_be(place: Command) -> None:
    log = place.home / "keys.log"
    run = prepared(place, "here", Condition(environ={"SSLKEYLOGFILE": str(log)}), SUCCEEDS.ids)

    process = run.start("run", run.home / LIST, "--column", COLUMN, "--sandbox", "-o", run.results)
    _, err = ended(process)

    assert process.returncode == 0, err
    assert log.exists()


def test_a_run_that_gets_no_more_threads_stops_and_can_be_gone_on_with(place: Command) -> None:
    ending = Ending(3, licenses=60, latency=0.1, options=("--concurrency", "2"))
    run = prepared(place, "here", Condition(is_somebody=True), ending.ids)
    with overheard(ending.ids, latency=(ending.latency, ending.latency)) as sandbox:
        process = run.start(*run.listing(sandbox), *ending.options)
        # The thread that saves is started after a second.
        wait_until(lambda: patched(sandbox))
        limit = [program("prlimit"), f"--pid={process.pid}", "--nproc=1:1"]
        subprocess.run([*becoming(run.uid), *limit], check=True)
        _, err = ended(process)
        really = revoked(sandbox)
        again = run.start(*command_after(err), "--concurrency", "32")
        ended(again)

    assert process.returncode == 3, err
    assert "  stopped: the results cannot be saved: can't start new thread" in err.splitlines()
    assert [line for line in err.splitlines() if not ANY_LINE.match(line)] == []
    assert 0 < len(really) < len(ending.ids)
    assert again.returncode == 0
    assert revoked(sandbox) == set(ending.ids)
    assert len(patched(sandbox)) == len(ending.ids)
