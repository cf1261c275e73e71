"""The command in its own process, against servers in processes of their own, in real time."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from urllib.request import Request, urlopen

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
TOKEN = "sandbox-token"


def environment(home: Path, **more: str) -> dict[str, str]:
    """Nothing of the developer's own: no proxies, no settings, no home."""
    return {"PATH": os.environ["PATH"], "HOME": str(home), "PYTHONPATH": str(ROOT), **more}


@dataclass
class Command:
    """Runs bulk-revoke in a directory of its own, as somebody with a token and no terminal."""

    home: Path

    def start(
        self,
        *arguments: str | Path,
        stdin: BinaryIO | int = subprocess.DEVNULL,
        stderr: int = subprocess.PIPE,
    ) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "batch", *map(str, arguments)],
            cwd=self.home,
            env=environment(self.home, CRYPTLEX_ACCESS_TOKEN=TOKEN),
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            start_new_session=True,
        )

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
def bulk_revoke(tmp_path: Path) -> Command:
    return Command(tmp_path)


@dataclass
class Api:
    """A sandbox in a process of its own."""

    base_url: str

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
