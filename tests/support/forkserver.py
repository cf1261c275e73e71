"""Commands in processes of their own, without the second that importing costs each of them.

Started as ``python -m tests.support.forkserver`` it reads an order a line, forks, runs the command
in the child and says how that ended. An order may let the child be killed: after so many seconds,
or at its own so-and-so-manieth step towards the disk or the server.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Trouble:
    """What befalls a command.

    Attributes:
        kill_after: Seconds after which it is killed (SIGKILL), or None.
        kill_at: Its step at which it is killed, counted from 1, or None.
        largest_file: Bytes that no file may exceed, or None: a full disk.
        clock: Seconds by which its wall clock is wrong.
    """

    kill_after: float | None = None
    kill_at: int | None = None
    largest_file: int | None = None
    clock: float = 0.0


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code, or minus the signal; and what it said."""

    code: int
    said: str


@dataclass
class ForkServer:
    """The parent of the commands."""

    process: subprocess.Popen[str]
    environment: dict[str, str] = field(default_factory=dict)

    def run(self, home: Path, *arguments: object, trouble: Trouble | None = None) -> Ended:
        """Run one command in a directory, to its end."""
        order = {
            "home": str(home),
            "arguments": [str(argument) for argument in arguments],
            "environment": self.environment,
            "trouble": asdict(trouble or Trouble()),
        }
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        (home / "said.txt").write_text("")  # it may be killed before it makes one
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        code = int(self.process.stdout.readline())
        return Ended(code, (home / "said.txt").read_text())


@contextmanager
def forkserver(**environment: str) -> Iterator[ForkServer]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.forkserver"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield ForkServer(process, environment)
    finally:
        process.communicate(timeout=30)


def _serve() -> None:
    import pandas as pd  # noqa: F401, PLC0415 - what takes time is imported once

    import batch.cli.execute  # noqa: PLC0415
    import batch.job.runner  # noqa: F401, PLC0415

    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            _run(order)
        sys.stdout.write(f"{_wait(child, order['trouble']['kill_after'])}\n")
        sys.stdout.flush()


def _wait(child: int, kill_after: float | None) -> int:
    deadline = time.monotonic() + (120.0 if kill_after is None else kill_after)
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() >= deadline:
            os.kill(child, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.001)


def _run(order: dict[str, Any]) -> None:
    from batch.cli import run_command  # noqa: PLC0415

    code = 70
    try:
        os.setsid()
        os.chdir(order["home"])
        os.environ.update(order["environment"])
        said = os.open("said.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        null = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((null, 0), (said, 1), (said, 2)):
            os.dup2(source, target)
        sys.stdin, sys.stdout = open(0), open(1, "w")  # noqa: SIM115
        sys.stderr = open(2, "w")  # noqa: SIM115
        _befall(Trouble(**order["trouble"]))
        code = run_command(order["arguments"])
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def _befall(trouble: Trouble) -> None:
    sys.dont_write_bytecode = True  # half a file of it would be everybody's trouble
    if trouble.largest_file is not None:
        import resource  # noqa: PLC0415

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (trouble.largest_file, trouble.largest_file))
    if trouble.clock:
        _set_clock(trouble.clock)
    if trouble.kill_at is not None:
        _die_at(trouble.kill_at)


def _set_clock(wrong: float) -> None:
    from batch.job import finish  # noqa: PLC0415
    from batch.results import journal, output  # noqa: PLC0415

    now = time.time

    class Wrong(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Self:
            return cls.fromtimestamp(now() + wrong, tz)

    time.time = lambda: now() + wrong
    for module in (finish, output, journal):
        module.datetime = Wrong  # type: ignore[attr-defined]


def _die_at(step: int) -> None:
    """Count every step towards the disk and the server, before and after it is done."""
    from batch.api.client import CryptlexClient  # noqa: PLC0415
    from batch.results.journal import Journal  # noqa: PLC0415

    steps = 0

    def count() -> None:
        nonlocal steps
        steps += 1
        if steps == step:
            os.kill(os.getpid(), signal.SIGKILL)

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401
            count()
            result = function(*arguments, **options)
            count()
            return result

        return call

    request = CryptlexClient._request

    async def counted_request(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401
        count()
        try:
            return await request(*arguments, **options)
        finally:
            count()

    CryptlexClient._request = counted_request  # type: ignore[method-assign]
    Journal._write = counted(Journal._write)  # type: ignore[method-assign]
    Path.rename = counted(Path.rename)  # type: ignore[method-assign]
    Path.replace = counted(Path.replace)  # type: ignore[method-assign]
    Path.unlink = counted(Path.unlink)  # type: ignore[method-assign]
    os.link = counted(os.link)
    os.fsync = counted(os.fsync)


if __name__ == "__main__":
    _serve()
