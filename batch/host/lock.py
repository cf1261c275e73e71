"""One run at a time: for each API and host, and for each results file.

The lock is the kernel's, on an open file (flock): it ends with its process, however that ends. The
file is never deleted: whoever waits may have it open, and would lock what nobody else can see.

What is in the file is for the next owner: the API admits so many requests per period for an IP
address, so nothing may be sent before a period has passed since the last request of the one before
arrived. One that ends says when that was; one that is killed has said, at most a second before,
when it would be at the latest. All users of the host can write there, so little is believed.
"""

from __future__ import annotations

import json
import os
import stat
import tempfile
import time
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from batch.errors import BusyError, ConfigError
from batch.formatting import duration, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from io import FileIO


LONGEST = 900.0
"""Most seconds that what somebody left in a lock file can hold a run back."""

STALE = 2.0
"""Seconds after its last heartbeat in which a killed owner may still have sent: heartbeats are a
second apart, and one may come late."""

_RUN = Path("/run/lock")
# Not $TMPDIR: a cron job and a login shell must find the same file.
_TEMP = Path("/tmp" if os.name == "posix" else tempfile.gettempdir())  # noqa: S108 - O_NOFOLLOW
_PORTS = {"http": 80, "https": 443}
_SIZE = 512  # always overwritten in place: that takes no new block of a full disk

POLL, RACES = 0.5, 20
"""Seconds between two looks at what another run has, and how often a file may be changed by others
in the moment in which it is taken."""

NAMING = 10
"""How often an empty file is read for the name of its holder, within `POLL` seconds."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Owner:
    """The holder of a lock, as a run that is refused is told; ``started_at`` is in UTC."""

    run_id: str
    command: str
    user: str
    pid: int
    started_at: str

    def __str__(self) -> str:
        """Whatever somebody has put into a file, it cannot reach into the terminal."""
        return plain(
            f"{self.command} {self.run_id} by {self.user}, process {self.pid}, since "
            f"{self.started_at}"
        )


def boot_clock() -> float:
    """Seconds since the host was started: nobody can set them back, and sleep counts."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


def directory(chosen: str | None) -> Path:
    """Return the directory of the lock files: the one that was named, or one that all users share.

    Raises:
        ConfigError: There is no such directory, or it cannot be written.
    """
    # Where only some users can write, root would lock one file and everybody else another. Where
    # all can but this process cannot, it is confined: elsewhere it would be alone with its lock.
    shared = _RUN.is_dir() and _RUN.stat().st_mode & stat.S_IWOTH
    path = Path(chosen) if chosen is not None else _RUN if shared else _TEMP
    if not path.is_dir() or not os.access(path, os.W_OK | os.X_OK):
        raise _unusable(path, "is no directory that can be written")
    return path


def api_name(base_url: str) -> str:
    """File name of the lock for an API: its limit is per address, whatever the path."""
    parts = urlsplit(base_url)
    host = (parts.hostname or "").rstrip(".")
    return _name(f"api {parts.scheme}://{host}:{parts.port or _PORTS[parts.scheme]}".encode())


def results_name(path: Path) -> str:
    """File name of the lock for a results file, by whatever links it is reached."""
    return _name(b"results " + os.fsencode(os.path.normcase(os.path.realpath(path))))


class Lock:
    """A lock that is held, with what the one before left in its file; made by `held`.

    Call `heartbeat` before the first request and every second from then on, and `leave` when the
    last response has been read; where nothing is sent, neither. A run without a limit needs no
    `cooldown`.
    """

    def __init__(
        self, file: FileIO, owner: Owner, timeout: float, clock: Callable[[], float]
    ) -> None:
        self._file, self._clock = file, clock
        self._owner = asdict(owner)
        self._timeout = min(timeout, LONGEST - STALE)
        self._arrived, self._quiet = _left_behind(_read(file), clock(), self._timeout)
        self._write(self._arrived, self._quiet)

    def cooldown(self, period: float) -> float:
        """Seconds from now until a run with such a period may send at all: 0 to `LONGEST`."""
        until = self._arrived + max(self._quiet, period)
        return min(max(0.0, until - self._clock()), LONGEST)

    def heartbeat(self, quiet: float) -> None:
        """Say what holds for the next one were this process killed before the next heartbeat.

        Args:
            quiet: Seconds in which nothing may be sent once its last request has arrived: its
                period, or what is left of a longer pause.

        Raises:
            OSError: The next owner would not know of requests that are sent from now on.
        """
        self._write(self._clock() + self._timeout + STALE, quiet)

    def leave(self, quiet: float) -> None:
        """End with no request on its way; nothing may be sent for ``quiet`` seconds from now."""
        # If it cannot be written, the last heartbeat stands; that holds the next one back longer.
        with suppress(OSError):
            self._write(self._clock(), quiet)

    def close(self) -> None:
        """Let the next one have it."""
        import portalocker  # noqa: PLC0415 - --help needs none of it

        with self._file:
            # Closing alone would leave it locked for as long as a fork of this process lives.
            portalocker.unlock(self._file)

    def _write(self, arrived: float, quiet: float) -> None:
        # What the one before asked for stands: this run may have no limit and not have waited.
        arrived = max(arrived, self._arrived)
        quiet = max(quiet, self._arrived + self._quiet - arrived)
        record = {"boot": boot_id(), "arrived": float(arrived), "quiet": float(quiet)}
        data = json.dumps(record | {"owner": self._owner}).encode()
        if len(data) > _SIZE:
            data = json.dumps(record).encode()
        self._file.seek(0)
        self._file.write(data.ljust(_SIZE))


@contextmanager
def held(
    path: Path,
    owner: Owner,
    *,
    wait: float | None,
    timeout: float,
    say: Callable[[str], None],
    what: str,
    clock: Callable[[], float] = boot_clock,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Lock]:
    """Hold a lock while the block runs.

    Args:
        path: The lock file: a name of `api_name` or `results_name` in `directory`.
        owner: Who this is, for those that are refused meanwhile.
        wait: Seconds to wait for another owner; None to refuse at once.
        timeout: Seconds from sending a request to giving it up; as late it may still arrive.
        say: Told once that and for whom it waits.
        what: What is locked, for messages: a host, a results file.
        clock: As `boot_clock`.
        sleep: Waits for so many seconds.

    Raises:
        BusyError: Another run holds it.
        ConfigError: The file cannot be used, so nothing is locked.
    """

    def take() -> Lock:
        try:
            return _take(path, what, lambda file: Lock(file, owner, timeout, clock))
        except OSError as cause:
            raise _unusable(path, f"cannot be used: {cause.strerror}") from cause

    with closing(in_turn(take, wait=wait, say=say, clock=clock, sleep=sleep)) as lock:
        yield lock


def in_turn(
    take: Callable[[], _T],
    *,
    wait: float | None,
    say: Callable[[str], None],
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> _T:
    """Take a lock, or a claim, as soon as the run that has it has ended.

    ``take`` takes it, or raises BusyError; the other arguments are those of `held`.

    Raises:
        BusyError: Another run has it.
    """
    start, said = clock(), False
    while True:
        try:
            return take()
        except BusyError as busy:
            if wait is None:
                raise
            if (waited := clock() - start) >= wait:
                raise BusyError(
                    f"{busy}; waited {duration(waited)} for it",
                    hint="see what that process does, or wait longer with --wait.",
                ) from busy
            if not said:
                say(f"{busy}; waiting until it has ended, {duration(wait)} at most")
                said = True
        sleep(min(POLL, wait))


def _take(path: Path, what: str, make: Callable[[FileIO], Lock]) -> Lock:
    import portalocker  # noqa: PLC0415 - as above

    for _ in range(RACES):
        with ExitStack() as stack:
            try:
                file = stack.enter_context(_open(path))
                _check(file.fileno(), path)
                portalocker.lock(file, portalocker.LOCK_EX | portalocker.LOCK_NB)
            except FileExistsError:
                continue
            except portalocker.AlreadyLocked as cause:
                raise BusyError(
                    f"{what}: another run on this host is at work: {_named(file)}",
                    hint="--wait waits until it has ended.",
                ) from cause
            except portalocker.LockException as cause:
                raise _unusable(path, f"cannot be locked: {cause.__cause__}") from cause
            # If somebody has deleted it, the next run will find another one.
            if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.lstat()):
                lock = make(file)
                stack.pop_all()
                return lock
    raise _unusable(path, "is replaced all the time")


def _open(path: Path) -> FileIO:
    """Open the lock file, through no link, or make it; FileExistsError if another was quicker."""
    flags = os.O_RDWR | getattr(os, "O_NOFOLLOW", 0)
    try:
        # Not O_CREAT yet: with it, Linux refuses somebody else's file in a directory like /tmp
        # (proc(5), "protected_regular").
        descriptor = os.open(path, flags)
    except FileNotFoundError:
        descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o666)
    return os.fdopen(descriptor, "r+b", buffering=0)


def _check(descriptor: int, path: Path) -> None:
    """Refuse a file in which writing could do harm, and let everybody use it."""
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise _unusable(path, "is no regular file")
    if status.st_nlink > 1:
        raise _unusable(path, "is a hard link to another file")
    # Each time: its maker may have been killed just before this.
    if os.name == "posix" and status.st_uid == os.geteuid():
        os.fchmod(descriptor, 0o666)


def _read(file: FileIO) -> Any:  # noqa: ANN401 - whatever somebody has written there
    """Return the JSON value of a lock file: ``b""`` if it is empty, None if it cannot be read."""
    data = file.read(_SIZE)
    try:
        return json.loads(data) if data else data
    except (ValueError, RecursionError):
        return None


def _left_behind(record: object, now: float, timeout: float) -> tuple[float, float]:
    """Return when the previous owner's last request has arrived, and the seconds of quiet then."""
    match record:
        case b"":
            return now - LONGEST, 0.0
        case {"boot": str(boot)} if boot != boot_id():
            return now, 0.0
        case {"boot": str(), "arrived": float(arrived), "quiet": float(quiet)} if (
            -LONGEST <= arrived <= now + LONGEST and quiet >= 0
        ):
            return arrived, min(quiet, LONGEST)
    return now + timeout, 0.0


def _named(file: FileIO) -> str:
    """Name the holder of a lock, as far as its file says so.

    A holder writes its name just after it has locked the file, so an empty one is read again.
    """
    with suppress(OSError, KeyError, TypeError):  # on Windows a locked file cannot be read
        for _ in range(NAMING):
            if (record := _read(file)) != b"":
                return str(Owner(**record["owner"]))
            time.sleep(POLL / NAMING)
    return "it does not say which"


def _name(thing: bytes) -> str:
    return f"bulk-revoke-{sha256(thing).hexdigest()[:16]}.lock"


def boot_id() -> str:
    """Return what tells this boot of this host from every other, or an empty text."""
    with suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
    return ""


def _unusable(path: Path, reason: str) -> ConfigError:
    return ConfigError(
        f"{path}: {reason}, so no other run can be kept away",
        hint="name a directory that all users of this host share with --lock-dir.",
    )
