from __future__ import annotations

import getpass
import json
import os
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from batch import __version__
from batch.errors import ResultsError
from batch.formatting import timestamp
from batch.results.manifest import (
    Manifest,
    SessionRecord,
    file_sha256,
    manifest_path,
    new_run_id,
    read_manifest,
    run_id_of,
)
from tests.support.results_files import manifest as manifest_of


def manifest(**more: object) -> Manifest:
    fields: dict[str, object] = {
        "reason": "OPS-1: Zoë's request",
        "options": {"rate": "45/5s", "carry": ["Customer"], "sheet": None},
        "input": {"path": "licenses.csv", "sha256": "0" * 64, "rows": 3, "licenses": 2},
    }
    return manifest_of("licenses.results.csv", **fields | more)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "licenses.results.csv.run.json"


def fail(*_: object, **__: object) -> None:
    raise OSError(5, "I/O error")


def test_the_manifest_stands_beside_the_results() -> None:
    assert manifest_path(Path("/srv/runs/a.csv")) == Path("/srv/runs/a.csv.run.json")


def test_the_manifest_says_who_ran_what_where_and_how(path: Path) -> None:
    session = SessionRecord(
        started_at="2026-11-24T12:00:00.000Z",
        finished_at="2026-11-24T12:01:00.000Z",
        exit_code=1,
        requests=5,
        patches=4,
        throttled=1,
        counts={"revoked": 1, "failed": 1},
        sent_from="2026-11-24T11:58:00.000Z",
        minutes=[[0, 5, 1, 5.5, 0.0]],
    )

    manifest(sessions=[session]).write(path)

    written = json.loads(path.read_text(encoding="utf-8"))
    assert list(written) == [
        "run_id", "command", "api", "reason", "rehearsal", "options", "input", "results",
        "tool", "user", "host", "approved", "directory", "sessions",
    ]  # fmt: skip
    assert written["tool"] == f"bulk-revoke {__version__}"
    assert written["user"]
    assert written["host"]
    assert written["reason"] == "OPS-1: Zoë's request"
    assert written["directory"] == str(Path.cwd())
    assert written["rehearsal"] is False
    assert written["input"]["sha256"] == "0" * 64
    assert written["sessions"] == [
        {
            "started_at": "2026-11-24T12:00:00.000Z",
            "finished_at": "2026-11-24T12:01:00.000Z",
            "exit_code": 1,
            "requests": 5,
            "patches": 4,
            "throttled": 1,
            "counts": {"revoked": 1, "failed": 1},
            "stopped": "",
            "why": "",
            "sent_from": "2026-11-24T11:58:00.000Z",
            "minutes": [[0, 5, 1, 5.5, 0.0]],
        }
    ]


def test_a_session_that_goes_on_has_no_end_and_no_exit_code(path: Path) -> None:
    manifest(sessions=[SessionRecord(started_at="2026-11-24T12:00:00.000Z")]).write(path)

    session = json.loads(path.read_text())["sessions"][0]
    assert (session["finished_at"], session["exit_code"]) == ("", None)


def test_a_person_can_read_it(path: Path) -> None:
    manifest().write(path)

    text = path.read_text(encoding="utf-8")
    assert '\n  "reason": "OPS-1: Zoë\'s request",\n' in text
    assert text.endswith("}\n")


def test_it_is_replaced_as_a_whole(path: Path) -> None:
    manifest(reason="a" * 10_000).write(path)
    with path.open(encoding="utf-8") as reader:
        manifest(reason="short").write(path)
        old = json.load(reader)

    assert len(old["reason"]) == 10_000
    assert json.loads(path.read_text())["reason"] == "short"
    assert [each.name for each in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize(("where", "name"), [(os, "fsync"), (Path, "replace")])
def test_where_it_cannot_be_written_the_old_one_stands(
    path: Path, monkeypatch: pytest.MonkeyPatch, where: object, name: str
) -> None:
    manifest(reason="old").write(path)
    monkeypatch.setattr(where, name, fail)

    with pytest.raises(OSError, match="I/O error"):
        manifest(reason="new").write(path)

    assert json.loads(path.read_text())["reason"] == "old"
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_what_json_cannot_spell_leaves_nothing_behind(path: Path) -> None:
    with pytest.raises(TypeError):
        manifest(options={"output": path}).write(path)

    assert list(path.parent.iterdir()) == []


def test_it_is_on_the_disk_before_it_takes_the_old_ones_place(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    replace = Path.replace

    def noted(self: Path, target: Path) -> Path:
        steps.append("replace")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", lambda _: steps.append("fsync"))
    monkeypatch.setattr(Path, "replace", noted)
    manifest().write(path)

    assert steps == ["fsync", "replace", "fsync"]


def test_a_directory_that_cannot_be_synced_is_no_failure(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.open

    def refuse_directories(name: str | Path, flags: int, *more: int) -> int:
        if Path(name).is_dir():
            raise PermissionError(13, "Permission denied")
        return real(name, flags, *more)

    monkeypatch.setattr(os, "open", refuse_directories)
    manifest().write(path)

    assert path.exists()


@pytest.mark.skipif(os.name != "posix", reason="file modes")
@pytest.mark.parametrize("umask", [0, 0o022, 0o077])
@pytest.mark.parametrize("mode", [0o600, 0o640])
def test_it_is_for_its_owner_alone_unless_its_owner_wants_it_otherwise(
    path: Path, umask: int, mode: int
) -> None:
    before = os.umask(umask)
    try:
        manifest().write(path)
        assert path.stat().st_mode & 0o777 == 0o600
        path.chmod(mode)
        manifest().write(path)
    finally:
        os.umask(before)

    assert path.stat().st_mode & 0o777 == mode


def test_a_file_name_that_is_no_text_can_be_written_down(path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.csv")

    manifest(input={"path": name}).write(path)

    assert json.loads(path.read_text(encoding="utf-8"))["input"]["path"] == name


@pytest.mark.parametrize("error", [KeyError("uid"), OSError("no entry"), ImportError("pwd")])
def test_a_user_without_a_name_is_named_by_number(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def nameless() -> str:
        raise error

    monkeypatch.setattr(getpass, "getuser", nameless)

    assert manifest().user == (str(os.getuid()) if hasattr(os, "getuid") else "")


@pytest.mark.skipif(os.name != "posix", reason="passwd")
def test_a_user_without_environment_or_passwd_entry_is_named_by_number(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000)

    assert manifest().user == "4000000"


def test_where_the_working_directory_is_gone_none_is_named(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "cwd", fail)

    manifest().write(path)

    assert json.loads(path.read_text(encoding="utf-8"))["directory"] == ""


def test_a_moment_is_written_in_utc_with_milliseconds() -> None:
    moment = datetime(2026, 11, 24, 1, 2, 3, 456789, tzinfo=timezone(timedelta(hours=2)))

    assert timestamp(moment) == "2026-11-23T23:02:03.456Z"
    assert timestamp(datetime(2026, 1, 1, tzinfo=UTC)) == "2026-01-01T00:00:00.000Z"


def test_runs_have_names_of_their_own() -> None:
    names = {new_run_id() for _ in range(100)}

    assert len(names) == 100
    assert all(len(name) == 8 and int(name, 16) >= 0 for name in names)


def test_a_digest_is_that_of_the_files_bytes(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"abc")

    assert file_sha256(tmp_path / "file") == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )


def results_of(path: Path) -> Path:
    return path.with_name(path.name.removesuffix(".run.json"))


def changed(path: Path, change: dict[str, object], *, without: str = "") -> None:
    """Write a manifest in which something is other than it should be."""
    manifest(sessions=[SessionRecord("2026-11-24T12:00:00.000Z")]).write(path)
    data = json.loads(path.read_bytes()) | change
    data.pop(without, None)
    path.write_text(json.dumps(data))


def test_what_is_written_is_read_back(path: Path) -> None:
    sessions = [SessionRecord("2026-11-24T12:00:00.000Z", exit_code=3, counts={"failed": 1})]
    written = manifest(sessions=[*sessions, SessionRecord("2026-11-24T13:00:00.000Z")])
    written.write(path)

    assert read_manifest(results_of(path)) == written


def test_a_results_file_without_a_manifest_has_none(path: Path) -> None:
    assert read_manifest(results_of(path)) is None
    assert run_id_of(results_of(path)) == ""


def test_a_run_is_named_by_its_manifest(path: Path) -> None:
    manifest().write(path)

    assert run_id_of(results_of(path)) == "0badcafe"


def test_what_a_later_version_has_added_does_no_harm(path: Path) -> None:
    start = "2026-11-24T12:00:00.000Z"
    changed(path, {"colour": "red", "sessions": [{"started_at": start, "colour": "red"}]})

    assert read_manifest(results_of(path)) == manifest(sessions=[SessionRecord(start)])


@pytest.mark.parametrize("name", ["tool", "user", "host", "directory"])
def test_who_and_where_may_be_missing(path: Path, name: str) -> None:
    changed(path, {}, without=name)

    assert run_id_of(results_of(path)) == "0badcafe"


@pytest.mark.parametrize(
    "name",
    [
        "run_id", "command", "api", "reason", "rehearsal", "options", "input", "results",
        "sessions",
    ],
)  # fmt: skip
def test_a_manifest_that_lacks_something_is_none(path: Path, name: str) -> None:
    changed(path, {}, without=name)

    with pytest.raises(ResultsError, match="is no manifest of bulk-revoke"):
        read_manifest(results_of(path))


@pytest.mark.parametrize(
    "change",
    [
        {"input": None},
        {"input": []},
        {"input": {}},
        {"input": {"sha256": 5}},
        {"results": None},
        {"results": "results.csv"},
        {"options": None},
        {"options": ["dry_run"]},
        {"sessions": None},
        {"sessions": 5},
        {"sessions": ["now"]},
        {"sessions": [{}]},
        {"run_id": 5},
        {"run_id": None},
        {"directory": 5},
        {"command": ["run"]},
        {"options": {"carry": 5}},
        {"options": {"where": [["Customer=ACME"]]}},
        {"reason": ["a", "b"]},
        {"rehearsal": 0},
        {"results": {"path": 1.5}},
        {"results": {"sha256": None}},
        {"sessions": [{"started_at": "", "requests": "5"}]},
        {"sessions": [{"started_at": "", "requests": True}]},
        {"sessions": [{"started_at": "", "finished_at": [""]}]},
        {"sessions": [{"started_at": "", "exit_code": "0"}]},
    ],
)
def test_a_manifest_with_something_else_in_it_is_none(
    path: Path, change: dict[str, object]
) -> None:
    changed(path, change)

    with pytest.raises(ResultsError) as refused:
        read_manifest(results_of(path))

    assert str(refused.value) == f"{path}: is no manifest of bulk-revoke"
    assert refused.value.hint
    assert run_id_of(results_of(path)) == ""


@pytest.mark.parametrize(
    "content", [b"", b"{", b"null", b"[]", b'"text"', b"\xff\xfe", b'{"sessions": []}']
)
def test_a_file_of_another_kind_is_no_manifest(path: Path, content: bytes) -> None:
    path.write_bytes(content)

    with pytest.raises(ResultsError, match="is no manifest of bulk-revoke"):
        read_manifest(results_of(path))


def test_a_manifest_that_cannot_be_read_is_refused_with_the_reason(path: Path) -> None:
    path.mkdir()

    with pytest.raises(ResultsError, match=r"run\.json: cannot be read: Is a directory"):
        read_manifest(results_of(path))
    assert run_id_of(results_of(path)) == ""


def test_each_minute_of_a_session_is_one_line_and_is_read_back(path: Path) -> None:
    minutes: list[list[float]] = [[0, 540, 0, 0, 0], [3, 12, 1, 5.5, 40.2]]
    session = SessionRecord(started_at="now", sent_from="before", minutes=minutes)
    reason = "see [\n 1,\n 2\n]"

    manifest(sessions=[session], reason=reason).write(path)

    lines = path.read_text(encoding="utf-8").splitlines()
    assert [line.strip() for line in lines if ", 12, " in line] == ["[3, 12, 1, 5.5, 40.2]"]
    found = read_manifest(path.with_name("licenses.results.csv"))
    assert found is not None
    assert found.sessions == [session]
    assert found.reason == reason


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (["", "", ""], ""),
        (["", "ticket 1"], "ticket 1"),
        (["ticket 11", "ticket 1", ""], "ticket 11; ticket 1"),
        (["ticket 1; and more", "ticket 2", "ticket 1; and more", "ticket 2"],
         "ticket 1; and more; ticket 2"),
    ],
)  # fmt: skip
def test_why_a_run_was_begun_and_why_it_was_gone_on_with_are_kept(
    given: list[str], kept: str
) -> None:
    record = manifest(reason="")

    for each in given:
        record.add_reason(each)

    assert record.reason == kept
