"""A sandbox on a thread of its own, and commands that are run against it within the process.

A command makes its own event loop, so whatever it talks to needs another thread.
"""

from __future__ import annotations

import asyncio
import csv
import hashlib
import io
import json
import os
from collections import Counter
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field, fields
from datetime import datetime
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any, TypeVar

from batch.cli import run_command
from batch.columns import COLUMNS, HEADERS
from batch.reporting.summary import Summary
from batch.results.manifest import manifest_path
from batch.sandbox import TOKEN, Account
from tests.support.faulty_sandbox import FaultySandbox
from tests.support.results_files import table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import pytest

    from tests.support.faulty_sandbox import Entry

_T = TypeVar("_T")

REFUSED = {2, 4}
"""Exit codes of a command that has sent nothing and left nothing behind."""

YES = ("--yes", "--max-licenses", "1000")


@dataclass(frozen=True)
class Ended:
    """How a command ended.

    Attributes:
        code: Its exit code.
        err: What it said on standard error.
        summary: What ``--json`` printed.
    """

    code: int
    err: str
    summary: dict[str, Any]

    @property
    def has_results(self) -> bool:
        """Whether it has begun results; else nothing was sent, or there was nothing to do."""
        return self.summary["results"] is not None

    @property
    def counts(self) -> dict[str, int]:
        counts = self.summary["counts"]
        assert isinstance(counts, dict)
        return counts

    @property
    def rows(self) -> list[dict[str, str]]:
        """The lines of its results file."""
        return table(self.summary["results"])

    def column(self, name: str) -> list[str]:
        """One column of its results file."""
        return [row[name] for row in self.rows]


@dataclass
class Served:
    """A sandbox that is being served; everything it is told or asked goes by its own thread."""

    sandbox: FaultySandbox
    loop: asyncio.AbstractEventLoop = field(repr=False)

    @property
    def base_url(self) -> str:
        return self.sandbox.base_url

    def call(self, function: Callable[..., _T], *arguments: Any, **options: Any) -> _T:  # noqa: ANN401
        """Call something on the sandbox's thread, and wait for what it returns."""

        async def called() -> _T:
            return function(*arguments, **options)

        return asyncio.run_coroutine_threadsafe(called(), self.loop).result(10)

    def fail(self, license_id: str, kind: str | int, **options: Any) -> None:  # noqa: ANN401
        self.call(self.sandbox.fail, license_id, kind, **options)

    def fail_all(self, kind: str | int, **options: Any) -> None:  # noqa: ANN401
        self.call(self.sandbox.fail_all, kind, **options)

    def heal(self) -> None:
        self.call(self.sandbox.heal)

    def turn(self, *ids: str, **properties: bool) -> None:
        """Somebody else revokes or suspends licenses, or takes that back."""
        for license_id in ids:
            license_ = self.sandbox.account.licenses[license_id]
            for name, value in properties.items():
                self.call(setattr, license_, name, value)

    def revoked(self) -> set[str]:
        """IDs of the licenses that are revoked now."""
        return {license_id for license_id, is_so in self.sandbox.revoked.items() if is_so}

    def suspended(self) -> set[str]:
        """IDs of the licenses that are suspended now."""
        return {license_.id for license_ in self.sandbox.account if license_.suspended}

    def patches(self) -> list[str]:
        """License IDs of the PATCHes that arrived, in their order."""
        return [entry.target for entry in self._log() if entry.method == "PATCH"]

    def reads(self) -> list[str]:
        """License IDs, or paths, of the GETs that arrived, in their order."""
        return [entry.target for entry in self._log() if entry.method == "GET"]

    def _log(self) -> list[Entry]:
        return self.call(list, self.sandbox.log)

    def run(self, command: str, source: str | Path, *more: str | Path) -> Ended:
        """Run a command as somebody who has said yes beforehand; the later of two options counts.

        What is a law for all of them is checked for each.
        """
        said = () if command == "verify" else YES
        return self.ask(command, source, *said, *more)

    def ask(self, command: str, source: str | Path, *more: str | Path) -> Ended:
        """The same, but nobody has said yes."""
        here = ("--base-url", self.base_url, "--rate", "none")
        return self.execute([command, *map(str, (source, *here, *more))])

    def execute(self, arguments: Sequence[str]) -> Ended:
        """Run exactly these arguments, and ``--json``."""
        files, patches = _files(), self.patches()
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            code = run_command([*arguments, "--json"])
        ended = Ended(code, err.getvalue(), json.loads(out.getvalue()))
        sent = self.patches()[len(patches) :]
        secret = os.environ["CRYPTLEX_ACCESS_TOKEN"]
        assert secret not in ended.err + out.getvalue() + "".join(map(repr, _files().values()))
        _assert_whole(ended)
        if not ended.has_results:
            assert sent == []
            assert _files() == files
            return ended
        assert code not in REFUSED
        rehearsal = manifest(ended.summary["results"])["rehearsal"]
        assert len(sent) == (0 if rehearsal else ended.summary["patches"])
        _assert_balance(ended)
        _assert_kept(files, Path(ended.summary["results"]))
        sent_for = set(map(str.lower, sent))
        assert sent_for <= {row["license_id"] for row in ended.rows if row["attempts"]}
        return ended


@contextmanager
def served(account: Account, **options: Any) -> Iterator[Served]:  # noqa: ANN401
    """Serve an account until the end of the block."""
    loop = asyncio.new_event_loop()
    thread = Thread(target=loop.run_forever)
    thread.start()
    sandbox = FaultySandbox(account, **options)
    try:
        asyncio.run_coroutine_threadsafe(sandbox.__aenter__(), loop).result(10)
        try:
            yield Served(sandbox, loop)
        finally:
            leaving = sandbox.__aexit__(None, None, None)
            asyncio.run_coroutine_threadsafe(leaving, loop).result(10)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


def settle_in(home: Path, locks: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory to work in, a token, and nothing of the developer's own."""
    monkeypatch.chdir(home)
    for name in list(os.environ):
        if name.startswith("BULK_REVOKE_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    monkeypatch.setenv("CRYPTLEX_ACCESS_TOKEN", TOKEN)
    for command in ("RUN", "SUSPEND", "VERIFY", "RESTORE", "LIST"):
        monkeypatch.setenv(f"BULK_REVOKE_{command}_LOCK_DIR", str(locks))


def write(path: str, cells: Iterable[str], header: str = "license_id") -> str:
    """A list with one column."""
    Path(path).write_text("\n".join([header, *cells]) + "\n", encoding="utf-8")
    return path


def manifest(path: str | Path) -> dict[str, Any]:
    """The manifest of a results file."""
    found = json.loads(manifest_path(Path(path)).read_text(encoding="utf-8"))
    assert isinstance(found, dict)
    return found


def _files() -> dict[str, bytes]:
    """What stands in the working directory."""
    return {path.name: path.read_bytes() for path in Path().iterdir() if path.is_file()}


def _assert_kept(before: dict[str, bytes], results: Path) -> None:
    """Nothing that stood there is lost, and nothing is left over."""
    own = {results.name, manifest_path(results).name}
    now = _files()
    old = {name: now[name] for name in now if name.startswith(f"{results.name}.bak-")}
    pages = {name for name in now if name.endswith(".html")}
    assert now.keys() <= before.keys() | own | old.keys() | pages
    for name, content in before.items():
        if name not in own | pages:
            assert now[name] == content
        elif old.keys() - before.keys():
            assert content in old.values()


def _assert_whole(ended: Ended) -> None:
    """The object says as much of a refusal as is known of it."""
    summary = ended.summary
    began, over = (
        datetime.fromisoformat(summary[f"{name}_at"]) for name in ("started", "finished")
    )
    assert list(summary) == [each.name for each in fields(Summary)]
    assert summary["exit_code"] == ended.code
    assert summary["seconds"] == round((over - began).total_seconds(), 3) >= 0
    if ended.code in REFUSED:
        assert summary["error"] is not None
        assert summary["patches"] == 0


def _assert_balance(ended: Ended) -> None:
    """Rows in are rows out, and summary, results and manifest tell the same."""
    summary, rows = ended.summary, ended.rows
    results = Path(summary["results"])
    told = manifest(results)
    session = told["sessions"][-1]
    source = Path(told["input"]["path"])

    assert tuple(rows[0])[: len(COLUMNS)] in HEADERS
    assert len(rows) == summary["rows"] == told["input"]["rows"]
    _assert_in_order(rows, source)
    assert Counter(row["outcome"] for row in rows) == Counter(summary["counts"])
    for name in ("counts", "exit_code", "patches", "requests", "started_at", "finished_at"):
        assert session[name] == summary[name]
    assert ended.code == summary["exit_code"]
    assert (told["run_id"], told["command"]) == (summary["run_id"], summary["command"])
    outcomes = {(int(row["row"]), row["outcome"]) for row in rows}
    assert {(each["row"], each["outcome"]) for each in summary["not_done"]} <= outcomes
    assert len(summary["not_done"]) == min(100, summary["not_done_rows"])
    assert told["results"]["sha256"] == _sha256(results)
    assert told["input"]["sha256"] == _sha256(source)
    assert Path(summary["manifest"]) == manifest_path(results)


def _assert_in_order(rows: list[dict[str, str]], source: Path) -> None:
    """Every row stands once, in the order of the source; and all of them, if it is a plain list."""
    numbers = [int(row["row"]) for row in rows]
    assert numbers == sorted(set(numbers))
    if source.suffix != ".csv":
        return
    with source.open(newline="", encoding="utf-8") as file:
        lines = list(csv.reader(file))
    if tuple(lines[0][: len(COLUMNS)]) not in HEADERS:
        assert len(rows) == len(lines) - 1
    left = iter([{cell.strip() for cell in line} | {line[0].strip().lower()} for line in lines[1:]])
    for row in rows:
        names = {row["license_id"], row["license_key"].removeprefix("'")} - {""}
        assert not names or any(names & cells for cells in left)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
