"""One run at a time for each results file, wherever its runs are.

The lock of `batch.host.lock` is one host's, and knows a file by its path. Where a folder is shared
between hosts, or mounted twice on one (sshfs, gocryptfs), runs do not see each other's. So a run
also claims its results with a small file beside them, ``<results>.lock``, that it alone can make
and that it takes away at its end.

A run that is killed leaves its file behind, and the next one has to tell whether it is at work. In
the same pid namespace of the same boot the process itself shows it. Elsewhere nothing does but the
file: its owner writes a new beat into it every second, and none in `PATIENCE` seconds means that it
is over. Names of hosts prove nothing, there are many of one name.

An owner that was suspended for longer may thus lose its claim while it lives. So it looks before it
writes (`Claim.guard`), and once a second (`Claim.check`).
"""

from __future__ import annotations

import errno
import json
import os
import secrets
import signal
import socket
import stat
import time
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, cast

from batch.errors import BusyError, ResultsError
from batch.formatting import plain
from batch.host.files import creating, draft_of, give_free_name
from batch.host.lock import POLL, RACES, Owner, boot_clock, boot_id, in_turn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from io import FileIO

BEAT = 1.0
"""Seconds between two beats of an owner."""

PATIENCE = 30.0
"""Seconds without a beat after which an owner of whom nothing else is known is over. Longer than
what mounts remember of a file before they look again (sshfs: 20 s)."""

FRESH = PATIENCE / 3
"""Seconds after its last beat in which an owner need not look whether it has still its claim."""

_PUT_BACK = 1.0
"""Seconds in which a file that was taken for another one is back in its place."""

_LARGEST = 4096
"""Bytes of a file that are read; ours are smaller."""

EVERYBODY = 0o666
"""Mode, less what the umask takes: a run of another user has to see whose claim it is."""

_READ = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
_UPDATE = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0)


@dataclass(frozen=True, slots=True)
class Process:
    """A process, as others can find it again.

    Attributes:
        host: Name of its host.
        boot: Which boot of the host, and ``namespace`` which pid namespace; empty where the system
            does not tell. Then nothing is known of any other process.
        namespace: As ``boot``.
        pid: Its number there.
        started: When it was started, in ticks since the boot: numbers are used again.
    """

    host: str
    boot: str
    namespace: str
    pid: int
    started: str

    @classmethod
    def own(cls) -> Process:
        """This process."""
        host, pid = socket.gethostname(), os.getpid()
        with suppress(OSError):
            # Else it is the /proc of another namespace, where numbers mean other processes.
            if str(Path("/proc/self").readlink()) == str(pid):
                namespace = str(Path("/proc/self/ns/pid").readlink())
                return cls(host, boot_id(), namespace, pid, _stat(pid)[1])
        return cls(host, "", "", pid, "")

    def lives(self, seen_by: Process) -> bool | None:
        """Tell whether this process lives; None if ``seen_by`` is in no position to know."""
        here = seen_by.boot, seen_by.namespace
        # Where there is no /proc this is the end: on Windows os.kill would send a Ctrl-C.
        if not all(here) or here != (self.boot, self.namespace):
            return None
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except (OSError, OverflowError):  # somebody else's
            pass
        try:
            state, started = _stat(self.pid)
        except OSError:  # hidden from others (proc(5), "hidepid")
            return None
        return started == self.started and state not in {"Z", "X"}


@dataclass(frozen=True, slots=True)
class _Record:
    """The content of a claim's file without its beat: which claim it is, and whose."""

    claim: str
    owner: dict[str, Any]
    process: Process

    @classmethod
    def of(cls, content: bytes | None) -> _Record | None:
        """Read the content of a file; None if it is not one of ours."""
        with suppress(ValueError, RecursionError):
            match json.loads(content or b""):
                case {
                    "claim": str(claim),
                    "owner": dict(owner),
                    "process": {
                        "host": str(host),
                        "boot": str(boot),
                        "namespace": str(namespace),
                        "pid": int(pid),
                        "started": str(started),
                    },
                } if pid > 0:
                    return cls(claim, owner, Process(host, boot, namespace, pid, started))
        return None

    def __str__(self) -> str:
        try:
            return f"{Owner(**self.owner)}, on {plain(self.process.host)}"
        except TypeError:
            return f"one that does not say which, on {plain(self.process.host)}"


class Claim:
    """Results that are claimed for this process; made by `held`.

    Args:
        path: The file that claims them.
        owner: Who this is, for runs that are refused meanwhile.
        process: This process.
        clock: As `boot_clock`.
        sleep: Waits for so many seconds.
    """

    def __init__(
        self,
        path: Path,
        owner: Owner,
        process: Process,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        self.path = path
        self._record = _Record(secrets.token_hex(8), asdict(owner), process)
        self._clock, self._sleep = clock, sleep
        self._beats = 0
        self._last = clock()
        self._lost, self._is_taken = "", False
        self._over = Event()
        self._thread = Thread(target=self._keep, name="claim", daemon=True)

    def make(self) -> bool:
        """Make the file; False where there is one already.

        Raises:
            OSError: There is none.
        """
        self._last = self._clock()
        try:
            with creating(self.path, EVERYBODY) as file:
                file.write(self._content)
        except FileExistsError:
            # Also a link that was made, but whose answer got lost on its way (NFS).
            return self._is_own(_read(self.path))
        return True

    def keep(self) -> None:
        """Begin to say every second that this process lives.

        Raises:
            RuntimeError: No thread is to be had.
        """
        self._thread.start()

    def beat(self) -> None:
        """Say that this process lives, unless the claim is lost.

        Raises:
            OSError: It could not be said.
        """
        now = self._clock()
        with os.fdopen(os.open(self.path, _UPDATE), "r+b", buffering=0) as file:
            # What is open is the own file and stays so, whoever takes its name meanwhile.
            if self._is_own(_content(file)):
                self._beats += 1
                file.seek(0)
                file.write(self._content)
                self._last = now

    def check(self) -> None:
        """Look whether the results are still claimed for this process.

        Raises:
            OSError: They may be another run's by now, and nothing may be written to them any more.
        """
        self._find_out()
        if self._lost:
            raise OSError(errno.EBUSY, self._lost)

    def guard(self) -> None:
        """Look, where needed, whether another run may be writing: call it before each write.

        A claim that is gone is nobody else's: what is settled may still be written down.

        Raises:
            OSError: Another run has claimed the results.
        """
        if self._clock() - self._last > FRESH:
            self._find_out()
        if self._is_taken:
            raise OSError(errno.EBUSY, self._lost)

    def _find_out(self) -> None:
        if not self._lost and not self._is_own(content := self._look()):
            self._lost, self._is_taken = _lost(self.path, content), content is not None

    def require(self) -> None:
        """Do the same as `check`, before anything is sent.

        Raises:
            ResultsError: As `check`.
        """
        try:
            self.check()
        except OSError as cause:
            raise ResultsError(
                f"the results are not this run's any more: {cause.strerror}",
                hint="nothing was sent; see what the other run does, and start again.",
            ) from cause

    def close(self) -> None:
        """Let the next one have them."""
        self._over.set()
        if self._thread.ident is not None:
            self._thread.join()
        with suppress(OSError):
            if not self._lost and self._is_own(content := self._look()):
                _take_away(self.path, cast("bytes", content))

    def _look(self) -> bytes | None:
        content = _read(self.path)
        if content is None:
            self._sleep(_PUT_BACK)
            content = _read(self.path)
        return content

    def _keep(self) -> None:
        if hasattr(signal, "pthread_sigmask"):  # the main thread is the one that waits for them
            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        while not self._over.wait(BEAT):
            with suppress(OSError):  # whoever asks is told by `check`
                self.beat()

    @property
    def _content(self) -> bytes:
        # Of one length: a reader may see the beginning of one beat and the end of another.
        record = asdict(self._record) | {"beat": f"{self._beats:010}"}
        return json.dumps(record).encode()

    def _is_own(self, content: bytes | None) -> bool:
        return _Record.of(content) == self._record


@contextmanager
def held(
    results: Path,
    owner: Owner,
    *,
    wait: float | None,
    say: Callable[[str], None],
    process: Process | None = None,
    clock: Callable[[], float] = boot_clock,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Claim]:
    """Claim a results file while the block runs.

    Args:
        results: The results file.
        owner: Who this is, for those that are refused meanwhile.
        wait: Seconds to wait for another owner; None to refuse as soon as it is known to live.
        say: Told once that and for whom it waits, and once that it watches for a beat.
        process: This process; None to ask the system.
        clock: As `boot_clock`.
        sleep: Waits for so many seconds.

    Raises:
        BusyError: Another run has claimed it.
        ResultsError: The file cannot be made, or is not one of ours.
    """
    path = results.with_name(f"{results.name}.lock")
    own = process or Process.own()
    claim = Claim(path, owner, own, clock, sleep)
    watched: list[str] = []

    def lives(found: _Record | None, seen: bytes) -> bool:
        known = found.process.lives(own) if found else None
        if known is not None:
            return known
        if not watched:
            watched.append(
                f"{path}: made by {found or 'a run that did not come to say which'}; waiting"
                f" {PATIENCE:.0f} s to see whether it is at work"
            )
            say(watched[0])
        return _beats(path, seen, sleep)

    def take() -> Claim:
        try:
            _make(claim, lives)
        except OSError as cause:
            raise ResultsError(
                f"{path}: cannot be used: {cause.strerror}, so no other run can be kept away",
                hint="name another place with --output; nothing was sent.",
            ) from cause
        return claim

    in_turn(take, wait=wait, say=say, clock=clock, sleep=sleep)
    try:
        try:
            claim.keep()
        except RuntimeError as cause:
            raise ResultsError(f"{path}: cannot be kept: {cause}; nothing was sent") from cause
        yield claim
    finally:
        claim.close()


def _make(claim: Claim, lives: Callable[[_Record | None, bytes], bool]) -> None:
    """Make the file of a claim, in the place of one whose owner is over.

    Raises:
        BusyError: The owner lives.
        ResultsError: There is a file that is not ours.
        OSError: It cannot be made.
    """
    path = claim.path
    for _ in range(RACES):
        seen = _read(path)
        if seen is None:
            if claim.make():
                return
            continue
        found = _Record.of(seen)
        if seen and found is None:
            raise ResultsError(
                f"{path}: was not made by this tool, so it is not known who writes the results",
                hint="see whose it is, and move it away; or name another place with --output.",
            )
        if lives(found, seen):
            raise BusyError(
                f"{path}: another run is at work: {found or 'it does not say which'}",
                hint="--wait waits until it has ended.",
            )
        _take_away(path, seen)
    raise ResultsError(
        f"{path}: is replaced all the time, so no other run can be kept away",
        hint="name another place with --output; nothing was sent.",
    )


def _beats(path: Path, seen: bytes, sleep: Callable[[float], None]) -> bool:
    """Watch whether another beat comes."""
    # Looks are counted and not seconds: this host may be suspended meanwhile.
    for _ in range(int(PATIENCE / POLL)):
        sleep(POLL)
        if (now := _read(path)) != seen:
            return now is not None
    return False


def _take_away(path: Path, content: bytes) -> None:
    """Remove a file with this content; if several processes try, one of them succeeds.

    Raises:
        OSError: It is still there.
    """
    if _read(path) != content:
        return
    aside = draft_of(path)
    try:
        path.rename(aside)
    except FileNotFoundError:
        return  # another one was quicker
    try:
        # That one may have made its own since; it gets it back.
        if _read(aside) != content:
            with suppress(FileExistsError):
                give_free_name(aside, path)
    finally:
        with suppress(FileNotFoundError):
            aside.unlink()


def _read(path: Path) -> bytes | None:
    """Return the content of a file, or None where there is none."""
    try:
        descriptor = os.open(path, _READ)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        return _content(file)


def _content(file: FileIO) -> bytes:
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        raise OSError(errno.EINVAL, "is no regular file")
    return file.read(_LARGEST) or b""


def _lost(path: Path, content: bytes | None) -> str:
    """Return why a claim is lost."""
    if content is None:
        return f"{path} is gone from its place"
    return f"{path} was made anew by another run: {_Record.of(content)}"


def _stat(pid: int) -> tuple[str, str]:
    """Return the state of a process and when it was started (proc_pid_stat(5), fields 3 and 22)."""
    text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    fields = text.rpartition(")")[2].split()
    return fields[0], fields[19]
