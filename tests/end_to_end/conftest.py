"""The command in its own process, against servers in processes of their own, in real time."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TextIO
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import pytest

from tests.support.job_harness import holding

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence

    from tests.support.faulty_sandbox import FaultySandbox

ROOT = Path(__file__).parents[2]
TOKEN = "sandbox-token"


def environment(home: Path, **more: str) -> dict[str, str]:
    """Nothing of the developer's own: no proxies, no settings, no home, no locks."""
    locks = {
        f"BULK_REVOKE_{name}_LOCK_DIR": str(home)
        for name in ("RUN", "SUSPEND", "VERIFY", "RESTORE", "LIST")
    }
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "PYTHONPATH": str(ROOT),
        "NO_COLOR": "1",  # words alone, also on a terminal
        "PYTHONDONTWRITEBYTECODE": "1",  # where a disk is full, half a file would be left
        **locks,
        **more,
    }


def python_arguments(before: str = "") -> list[str]:
    """What makes Python the command, in a process that does ``before``, which is Python, first."""
    return ["-c", f"{before}\nfrom batch.cli import main\nmain()"] if before else ["-m", "batch"]


def imported_by(calls: str, home: Path, suspects: Sequence[str]) -> str:
    """Those modules among some, in one text, that a process has imported after calls.

    Args:
        calls: Python, in which ``run_command`` is the command line.
        home: Of whoever calls.
        suspects: Names of modules.
    """
    code = (
        f"import sys; from batch.cli import run_command; {calls};"
        f"print(*(each for each in {list(suspects)!r} if each in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(home),
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout.splitlines()[-1]


@dataclass
class Command:
    """Runs bulk-revoke in a directory of its own, as somebody with a token and no terminal."""

    home: Path
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def within(self, name: str) -> Command:
        """The same in a new directory."""
        home = self.home / name
        home.mkdir()
        return Command(home, self.started)

    def end(self) -> None:
        """End what a test that has failed has left running."""
        for process in self.started:
            if process.returncode is None:
                process.kill()
                process.communicate()

    def start(
        self,
        *arguments: str | Path,
        stdin: BinaryIO | int = subprocess.DEVNULL,
        stderr: TextIO | int = subprocess.PIPE,
        before: str = "",
        variables: Mapping[str, str] | None = None,
    ) -> subprocess.Popen[str]:
        """Start the command, in a process that does ``before``, which is Python, first."""
        process = subprocess.Popen(
            [sys.executable, *python_arguments(before), *map(str, arguments)],
            cwd=self.home,
            env=environment(self.home, CRYPTLEX_ACCESS_TOKEN=TOKEN, **(variables or {})),
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            start_new_session=True,
        )
        self.started.append(process)
        return process

    def __call__(
        self,
        *arguments: str | Path,
        timeout: float = 60,
        stdin: BinaryIO | int = subprocess.DEVNULL,
    ) -> subprocess.CompletedProcess[str]:
        process = self.start(*arguments, stdin=stdin)
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise AssertionError(process.communicate()) from None
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)


@pytest.fixture
def bulk_revoke(tmp_path: Path) -> Iterator[Command]:
    command = Command(tmp_path)
    yield command
    command.end()


@dataclass
class Api:
    """A sandbox in a process of its own."""

    base_url: str

    @property
    def port(self) -> int:
        port = urlsplit(self.base_url).port
        assert port is not None
        return port

    def revoked(self) -> set[str]:
        """IDs of the licenses that are revoked, of the first hundred."""
        request = Request(  # noqa: S310 - http to loopback
            f"{self.base_url}/licenses?limit=100", headers={"Authorization": f"Bearer {TOKEN}"}
        )
        with urlopen(request, timeout=10) as answer:  # noqa: S310
            return {license_["id"] for license_ in json.load(answer) if license_["revoked"]}


@contextmanager
def serving(home: Path, *arguments: str | Path) -> Iterator[Api]:
    """A sandbox with these arguments, until the end of the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", "batch", "sandbox", "--port", "0", *map(str, arguments)],
        cwd=home,
        env=environment(home, PYTHONUNBUFFERED="1"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found is not None
        yield Api(found[0])
    finally:
        process.terminate()
        process.communicate(timeout=10)


@contextmanager
def overheard(ids: Sequence[str], **options: object) -> Iterator[FaultySandbox]:
    """A sandbox in a thread of this process, until the end of the block: its log can be read."""
    sandbox = holding(ids, **options)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def do(work: Coroutine[Any, Any, object]) -> None:
        asyncio.run_coroutine_threadsafe(work, loop).result(timeout=10)

    try:
        do(sandbox.__aenter__())
        try:
            yield sandbox
        finally:
            do(sandbox.__aexit__(None, None, None))
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def wait_until(so: Callable[[], object], timeout: float = 30) -> None:
    """Return once something is so."""
    deadline = time.monotonic() + timeout
    while not so():
        assert time.monotonic() < deadline, "it never came about"
        time.sleep(0.02)
