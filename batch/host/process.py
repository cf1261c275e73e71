"""Threads and open files that a run needs, seen to before libraries fail for want of them."""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread, stack_size
from typing import TYPE_CHECKING

from batch.errors import ConfigError
from batch.formatting import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

THREADS = 6
"""Threads that a run has beside its own: four of libuv, one that saves, and one that says that it
is at work."""

SMALL_STACK = 256 << 10
"""Bytes of a stack for which there is memory unless there is none at all."""

FILES = 24
"""Files that a run has open beside its connections: input, results, logs, locks, the loop's own."""


def make_room_for(connections: int) -> None:
    """See to it that so many connections can be open at a time.

    A connection for which there is no descriptor fails like one that the server refuses, and would
    be taken for an outage.

    Raises:
        ConfigError: The system does not allow it. Nothing was sent.
    """
    try:
        import resource  # noqa: PLC0415 - there is none on Windows, and no such limit
    except ImportError:
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited, needed = resource.RLIM_INFINITY, connections + FILES
    if soft == unlimited or soft >= needed:
        return
    if hard != unlimited and hard < needed:
        raise ConfigError(
            f"{connections}: needs {needed} open files, and {hard} are allowed",
            option="--concurrency",
            hint=f"lower it to {max(1, hard - FILES)}, or allow more: ulimit -n, LimitNOFILE= of "
            "systemd.",
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


def restrain_libraries() -> None:
    """Refuse where libraries could not do their work; call it before they are imported.

    libuv ends the process by SIGABRT where it cannot start the threads that look host names up
    (libuv/libuv#2296), and OpenBLAS, which comes with numpy, by SIGINT where it cannot start one
    for each core (secretflow/spu#790); nothing here calculates, so one is enough. The libuv in
    uvloop before 0.23 has the kernel start one more, for io_uring, which is not needed either.
    portalocker wants a directory for temporary files, which it does not use here: where none can be
    written its import fails (confident-ai/deepeval#2288).

    Raises:
        ConfigError: No threads are to be had, or keys of TLS cannot be logged. Nothing was sent.
    """
    check_key_log()
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("UV_USE_IO_URING", "0")
    try:
        tempfile.gettempdir()
    except OSError:
        tempfile.tempdir = os.sep
    with _threads(THREADS) as started:
        if started < THREADS:
            raise ConfigError(
                f"only {counted(started, 'thread')} can be started, a run needs {THREADS}: "
                "nothing was sent",
                hint=_more_threads(),
            )


@contextmanager
def _threads(count: int) -> Iterator[int]:
    """Have so many threads while the block runs, or as many as there are, and say how many."""
    over = Event()
    started: list[Thread] = []
    try:
        with suppress(RuntimeError):
            for _ in range(count):
                thread = Thread(target=over.wait, daemon=True)
                thread.start()
                started.append(thread)
        yield len(started)
    finally:
        over.set()
        for thread in started:
            thread.join()


def _more_threads() -> str:
    """Return advice for a system that lets no more threads be started.

    The system gives the same reason for all of it (EAGAIN), but where a smaller thread can be
    started it is not their number.
    """
    usual = stack_size(SMALL_STACK)
    with _threads(1) as smaller:
        stack_size(usual)
    if not smaller:
        return "allow more processes: ulimit -u, TasksMax= of systemd, --pids-limit of a container."
    return (
        "there is no memory for their stacks: allow more (ulimit -v or -d, LimitAS= of systemd), or"
        " smaller ones (ulimit -s 8192, LimitSTACK=8M)."
    )


def check_key_log() -> None:
    """Refuse a log of TLS keys that cannot be written; call it before aiohttp is imported.

    Whatever makes an SSL context opens it (``ssl.create_default_context``), aiohttp as it is
    imported, with an error that does not name it.

    Raises:
        ConfigError: It cannot be written.
    """
    log = os.environ.get("SSLKEYLOGFILE")
    if not log or sys.flags.ignore_environment:  # as Python has it
        return
    try:
        with Path(log).open("ab"):
            pass
    except OSError as cause:
        raise ConfigError(
            f"SSLKEYLOGFILE: {log}: cannot be written: {cause.strerror}",
            hint="unset SSLKEYLOGFILE, or name a file in it that can be written.",
        ) from cause
