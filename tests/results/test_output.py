from __future__ import annotations

import json
import os
import secrets
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest

from batch.errors import ResultsError
from batch.host import files
from batch.job.plan import make_plan
from batch.job.snapshot import Snapshot
from batch.model import REVOKE, Listing, Outcome, RowResult
from batch.results import output
from batch.results.journal import Journal
from batch.results.manifest import (
    Manifest,
    SessionRecord,
    file_sha256,
    manifest_path,
    read_manifest,
    run_id_of,
)
from batch.settings import Settings
from tests.support.builders import listing
from tests.support.job_harness import some_ids
from tests.support.results_files import column, look, started
from tests.support.results_files import manifest as manifest_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from batch.results.output import Earlier

A, B, C = some_ids(3)
REVOKED = RowResult(Outcome.REVOKED, True, 200, attempts=1)
START, AGAIN = "2026-11-24T12:00:00.000Z", "2026-11-24T13:00:00.000Z"


def manifest(**more: object) -> Manifest:
    return manifest_of("results.csv", **more)


def at(path: Path, **more: object) -> Settings:
    return Settings("licenses.csv", path, **more)  # type: ignore[arg-type]


def begin(
    settings: Settings,
    listed: Listing,
    found: Earlier | None = None,
    *,
    by: Manifest | None = None,
    redact: Callable[[str], str] = str,
) -> Journal:
    """Begin, or go on, as a run does."""
    plan = make_plan(
        REVOKE, listed, Snapshot.nothing(listed), recorded=found.recorded if found else None
    )
    own = found.manifest if found else by or manifest()
    return output.begin(
        settings,
        plan.listing,
        plan.was,
        plan.row_results,
        found,
        own,
        started_at=AGAIN if found else START,
        changes=plan.action.changes,
        redact=redact,
    )


def run(path: Path, *, ended: bool = True) -> None:
    """A run that has left its results and its manifest."""
    listed = listing(A, B)
    own = manifest(sessions=[SessionRecord(START)])
    with closing(started(path, listed, look(listed))) as journal:
        journal.record((0, REVOKED))
        if ended:
            journal.finish()
            own.results["sha256"] = file_sha256(path)
    own.write(manifest_path(path))


def names(path: Path) -> list[str]:
    return sorted(each.name for each in path.parent.iterdir())


def fail(*_: object, **__: object) -> NoReturn:
    raise OSError(5, "I/O error")


@pytest.mark.parametrize(
    ("kind", "remedy"),
    [
        ("file", "--output"),
        ("symlink", "--output"),
        ("dangling symlink", "--output"),
        ("directory", "--output"),
        ("missing directory", "make it"),
        ("file as directory", "make it"),
        ("read-only directory", "--output"),
        ("long name", "--output"),
    ],
)
def test_a_path_that_cannot_become_the_results_is_refused(
    path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, remedy: str
) -> None:
    taken = path
    match kind:
        case "file":
            path.write_text("precious")
        case "symlink":
            (path.parent / "target").write_text("precious")
            path.symlink_to("target")
        case "dangling symlink":
            path.symlink_to("nowhere")
        case "directory":
            path.mkdir()
        case "missing directory":
            taken = path / "results.csv"
        case "file as directory":
            path.write_text("precious")
            taken = path / "results.csv"
        case "read-only directory":
            monkeypatch.setattr(files, "_new", fail)
        case "long name":
            taken = path.with_name("x" * 300)
    before = names(path)

    with pytest.raises(ResultsError) as refused:
        output.check(at(taken))

    assert str(taken) in str(refused.value)
    assert remedy in refused.value.hint
    assert names(path) == before


def test_a_free_path_is_not_touched_by_looking_at_it(path: Path) -> None:
    output.check(at(path))
    output.check(at(path, resume=True))
    output.check(at(path, overwrite=True))

    assert names(path) == []


@pytest.mark.parametrize("suffix", ["gz", "ods", "xls", "xlsb", "xlsm", "xlsx", "XLSX"])
def test_results_are_written_as_csv_only(path: Path, suffix: str) -> None:
    with pytest.raises(ResultsError, match=f"are written as CSV, not as .{suffix}") as refused:
        output.check(at(path.with_suffix(f".{suffix}")))

    assert ".csv" in refused.value.hint


@pytest.mark.parametrize("left", ["results.csv", "results.csv.run.json"])
def test_results_and_manifests_are_not_written_over(path: Path, left: str) -> None:
    (path.parent / left).write_text("precious")

    with pytest.raises(ResultsError, match=f"{left}: exists already") as refused:
        output.check(at(path))

    assert "--resume" not in refused.value.hint  # which could not go on either
    assert "--overwrite" in refused.value.hint
    output.check(at(path, resume=True))
    output.check(at(path, overwrite=True))


@pytest.mark.parametrize("how", ["resume", "overwrite"])
def test_a_directory_is_no_results_file_whatever_is_wanted(path: Path, how: str) -> None:
    path.mkdir()

    with pytest.raises(ResultsError, match="is a directory"):
        output.check(at(path, **{how: True}))


def test_a_run_that_is_not_resumed_has_no_earlier_sessions(path: Path) -> None:
    assert output.earlier(at(path, resume=True)) is None
    run(path)
    assert output.earlier(at(path)) is None
    assert output.earlier(at(path, overwrite=True)) is None


@pytest.mark.parametrize("ended", [True, False])
def test_a_run_is_gone_on_with_whether_or_not_it_has_ended(path: Path, ended: bool) -> None:
    run(path, ended=ended)

    found = output.earlier(at(path, resume=True))

    assert found is not None
    assert found.manifest.run_id == "0badcafe"
    assert found.recorded.outcome(0) is Outcome.REVOKED
    assert found.recorded.is_journal is not ended


def test_results_that_are_gone_while_the_manifest_says_how_they_ended_are_missed(
    path: Path,
) -> None:
    run(path)
    path.unlink()

    with pytest.raises(ResultsError, match="is missing, but the manifest of run") as refused:
        output.earlier(at(path, resume=True))

    assert "--overwrite" in refused.value.hint
    assert names(path) == ["results.csv.run.json"]


def test_results_that_have_begun_and_are_gone_are_missed(path: Path) -> None:
    begin(at(path), listing(A)).close()
    path.unlink()

    with pytest.raises(ResultsError, match="is missing, but the manifest of run 0badcafe"):
        output.earlier(at(path, resume=True))


def test_a_start_that_was_killed_before_its_results_stood_there_is_begun_again(path: Path) -> None:
    manifest(sessions=[SessionRecord(START)]).write(manifest_path(path))

    assert output.earlier(at(path, resume=True)) is None


def test_results_without_their_manifest_are_not_gone_on_with(path: Path) -> None:
    run(path)
    manifest_path(path).unlink()

    with pytest.raises(ResultsError, match=r"results\.csv\.run\.json is missing") as refused:
        output.earlier(at(path, resume=True))

    assert "--overwrite" in refused.value.hint


def test_results_that_were_changed_since_their_run_ended_are_not_gone_on_with(path: Path) -> None:
    run(path)
    path.write_text(path.read_text().replace("not_attempted", "revoked"))

    with pytest.raises(ResultsError, match="was changed since run 0badcafe ended") as refused:
        output.earlier(at(path, resume=True))

    assert refused.value.hint


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe\0"])
def test_what_is_no_results_file_is_refused_and_no_crash(
    path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None
) -> None:
    run(path)
    if content is None:
        monkeypatch.setattr(Path, "open", fail)
    else:
        path.write_bytes(content)

    with pytest.raises(ResultsError, match=r"cannot be read|is no results file"):
        output.earlier(at(path, resume=True))


SAME = {
    "command": "run",
    "api": "https://api.cryptlex.com/v3",
    "sha256": "0" * 64,
    "mismatch": "",
}


def test_the_same_command_api_and_input_are_the_same_run(path: Path) -> None:
    run(path)
    found = output.earlier(at(path, resume=True))
    assert found is not None

    output.check_same_run(found, at(path), **SAME)


@pytest.mark.parametrize(
    ("change", "options", "why"),
    [
        ({"command": "verify"}, {}, "that is a run of bulk-revoke run"),
        ({"api": "sandbox"}, {}, "that run is about https://api.cryptlex.com/v3, this one about"),
        (
            {"sha256": "1" * 64},
            {},
            "its run had another input, or that file was changed since: licenses.csv",
        ),
        ({"mismatch": "row 3 is another"}, {}, "is read in another way than then: row 3 is"),
        ({}, {"dry_run": True}, "that was a dry run"),
    ],
)
def test_a_run_about_something_else_is_not_gone_on_with(
    path: Path, change: dict[str, str], options: dict[str, object], why: str
) -> None:
    run(path)
    found = output.earlier(at(path, resume=True))
    assert found is not None
    found = replace(found, manifest=manifest(options=options))

    with pytest.raises(ResultsError) as refused:
        output.check_same_run(found, at(path), **SAME | change)

    assert str(refused.value).startswith(f"{path}: --resume cannot go on with it: ")
    assert why in str(refused.value)
    assert "--resume" in refused.value.hint


def test_manifest_and_plan_are_on_the_disk_before_anything_is_sent(path: Path) -> None:
    begin(at(path), listing(A, B)).close()

    found = read_manifest(path)
    assert found is not None
    assert column(path, "outcome") == ["planned", "planned"]
    assert [(each.started_at[-1], each.exit_code) for each in found.sessions] == [("Z", None)]
    assert names(path) == ["results.csv", "results.csv.run.json"]


def test_going_on_adds_a_session_and_keeps_the_results(path: Path) -> None:
    run(path)
    found = output.earlier(at(path, resume=True))

    with closing(begin(at(path, resume=True), listing(A, B), found)) as journal:
        journal.record((1, REVOKED))

    own = read_manifest(path)
    assert own is not None
    assert [each.started_at for each in own.sessions] == [START, AGAIN]
    assert "sha256" not in own.results
    assert column(path, "outcome")[-3:] == ["not_attempted", "planned", "revoked"]
    assert names(path) == ["results.csv", "results.csv.run.json"]


def test_secrets_are_taken_out_of_what_is_written(path: Path) -> None:
    begin(at(path), listing(A, "secret"), redact=lambda text: text.replace("secret", "***")).close()

    assert column(path, "license_id") == [A, "***"]


def test_overwriting_keeps_the_old_results_under_the_moment_they_were_begun(path: Path) -> None:
    run(path)
    old, old_manifest = path.read_bytes(), manifest_path(path).read_bytes()

    begin(at(path, overwrite=True), listing(C)).close()

    kept = path.with_name("results.csv.bak-20261124T120000Z")
    assert kept.read_bytes() == old
    assert manifest_path(kept).read_bytes() == old_manifest
    assert column(path, "license_id") == [C]
    assert len(names(path)) == 4


def test_whatever_often_something_is_set_aside_nothing_is_written_over(path: Path) -> None:
    for number in range(4):
        run(path)
        path.write_text(f"{number}")
        output.set_aside(path)
    path.with_name("results.csv.bak-20261124T120000Z-5.run.json").touch()
    run(path)
    output.set_aside(path)

    kept = [name for name in names(path) if not name.endswith(".json")]
    stem = "results.csv.bak-20261124T120000Z"
    assert kept == [stem, f"{stem}-2", f"{stem}-3", f"{stem}-4", f"{stem}-6"]
    assert [path.with_name(name).read_text() for name in kept[:4]] == ["0", "1", "2", "3"]


@pytest.mark.parametrize("content", [None, "{", '{"sessions": []}'])
def test_without_a_readable_manifest_the_moment_is_that_of_the_last_change(
    path: Path, content: str | None
) -> None:
    path.write_text("precious")
    moment = datetime(2026, 9, 21, 13, 13, 20, tzinfo=UTC).timestamp()
    os.utime(path, (moment, moment))
    if content is not None:
        manifest_path(path).write_text(content)

    output.set_aside(path)

    assert path.with_name("results.csv.bak-20260921T131320Z").read_text() == "precious"


@pytest.mark.parametrize("sessions", [[], [SessionRecord("yesterday")], [SessionRecord(5)]])  # type: ignore[arg-type]
def test_a_run_whose_start_is_not_known_is_no_obstacle(
    path: Path, sessions: list[SessionRecord]
) -> None:
    manifest(sessions=sessions).write(manifest_path(path))

    output.set_aside(path)

    assert len(names(path)) == 1
    assert names(path)[0].startswith("results.csv.bak-2")


def test_where_nothing_stands_nothing_is_set_aside(path: Path) -> None:
    output.set_aside(path)

    assert names(path) == []


@pytest.mark.parametrize("which", ["results.csv", "results.csv.run.json"])
def test_what_cannot_be_set_aside_whole_stands_as_it_was(
    path: Path, monkeypatch: pytest.MonkeyPatch, which: str
) -> None:
    run(path)
    rename = Path.rename

    def refused(self: Path, target: Path) -> Path:
        return fail() if self.name == which else rename(self, target)

    monkeypatch.setattr(Path, "rename", refused)
    with pytest.raises(ResultsError, match="cannot be renamed: I/O error") as failed:
        output.set_aside(path)

    assert "--output" in failed.value.hint
    assert names(path) == ["results.csv", "results.csv.run.json"]


def test_the_manifest_of_a_start_that_came_to_nothing_is_kept_as_well(path: Path) -> None:
    manifest(run_id="orphan", sessions=[SessionRecord(START)]).write(manifest_path(path))

    begin(at(path, resume=True), listing(A)).close()

    kept = path.with_name("results.csv.bak-20261124T120000Z.run.json")
    assert json.loads(kept.read_bytes())["run_id"] == "orphan"
    assert run_id_of(path) == "0badcafe"
    assert column(path, "license_id") == [A]


@pytest.mark.parametrize("kind", ["results", "symlink"])
def test_what_has_appeared_meanwhile_is_not_touched(path: Path, kind: str) -> None:
    if kind == "results":
        run(path)
    else:
        path.symlink_to("nowhere")
    before = {name: untouched(path.parent / name) for name in names(path)}

    with pytest.raises(ResultsError, match="it has appeared meanwhile") as refused:
        begin(at(path), listing(C))

    assert "nothing was sent" in refused.value.hint
    assert {name: untouched(path.parent / name) for name in names(path)} == before


def untouched(path: Path) -> tuple[int, ...]:
    """What changes with a file or a link, but not when it was read last."""
    found = path.lstat()
    return found.st_mode, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


@pytest.mark.parametrize("error", [OSError(28, "No space left"), KeyboardInterrupt()])
def test_going_on_that_cannot_be_written_leaves_the_manifest_as_it_was(
    path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    run(path)
    before = {name: (path.parent / name).read_bytes() for name in names(path)}
    found = output.earlier(at(path, resume=True))

    def broken(*_: object) -> None:
        raise error

    monkeypatch.setattr(Journal, "resume", broken)
    with pytest.raises((ResultsError, KeyboardInterrupt)):
        begin(at(path, resume=True), listing(A, B), found)

    assert {name: (path.parent / name).read_bytes() for name in names(path)} == before


@pytest.mark.parametrize("step", ["manifest", "results"])
@pytest.mark.parametrize("error", [OSError(28, "No space left"), KeyboardInterrupt()])
def test_a_start_that_cannot_be_written_leaves_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch, step: str, error: BaseException
) -> None:
    def broken(*_: object) -> None:
        raise error

    if step == "manifest":
        monkeypatch.setattr(Manifest, "write", broken)
    else:
        monkeypatch.setattr(Journal, "create", broken)
    expected = ResultsError if isinstance(error, OSError) else KeyboardInterrupt

    with pytest.raises(expected) as refused:
        begin(at(path), listing(A))

    assert names(path) == []
    if isinstance(refused.value, ResultsError):
        assert str(refused.value) == f"{path}: cannot be written: No space left"
        assert "nothing was sent" in refused.value.hint


def test_a_start_whose_results_stand_already_can_be_gone_on_with(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Manifest.write

    def full(own: Manifest, to: Path) -> None:
        if "begun" in own.results:
            fail()
        write(own, to)

    with monkeypatch.context() as patched:
        patched.setattr(Manifest, "write", full)
        with pytest.raises(ResultsError, match="cannot be written: I/O error"):
            begin(at(path), listing(A))

    assert names(path) == ["results.csv", "results.csv.run.json"]
    assert output.earlier(at(path, resume=True)) is not None


def test_going_on_that_cannot_be_written_leaves_results_and_manifest(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(path)
    before = path.read_bytes()
    found = output.earlier(at(path, resume=True))
    monkeypatch.setattr(Journal, "resume", fail)

    with pytest.raises(ResultsError, match="cannot be written: I/O error"):
        begin(at(path, resume=True), listing(A, B), found)

    assert path.read_bytes() == before
    assert run_id_of(path) == "0badcafe"


def test_going_on_that_fails_halfway_can_be_gone_on_with_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = listing(A, B)
    own = manifest(sessions=[SessionRecord(START)])
    with closing(started(path, listed, look(listed))) as journal:
        for entry in (0, 1):
            journal.record((entry, RowResult(Outcome.FAILED, http_status=500)))
        journal.finish()
    own.results["sha256"] = file_sha256(path)
    own.write(manifest_path(path))
    before = {name: (path.parent / name).read_bytes() for name in names(path)}
    found = output.earlier(at(path, resume=True))
    write = Journal._write

    def full(journal: Journal, data: bytes) -> int:
        if journal._size > len(before["results.csv"]):
            raise OSError(28, "No space left")
        return write(journal, data)

    with monkeypatch.context() as patched:
        patched.setattr(Journal, "_write", full)
        with pytest.raises(ResultsError, match="No space left"):
            begin(at(path, resume=True), listed, found)

    assert {name: (path.parent / name).read_bytes() for name in names(path)} == before
    assert output.earlier(at(path, resume=True)) is not None


@pytest.mark.parametrize("other", [b"precious\n" * 1000, b"small\n"])
def test_another_file_that_is_put_there_while_going_on_begins_is_left_alone(
    path: Path, monkeypatch: pytest.MonkeyPatch, other: bytes
) -> None:
    run(path, ended=False)
    found = output.earlier(at(path, resume=True))
    sync = Journal.sync

    def replaced(journal: Journal) -> None:
        path.with_name("new.csv").write_bytes(other)
        path.with_name("new.csv").replace(path)
        sync(journal)

    monkeypatch.setattr(Journal, "sync", replaced)
    with pytest.raises(ResultsError):
        begin(at(path, resume=True), listing(A, B), found)

    assert path.read_bytes() == other


def test_a_results_file_that_vanishes_before_it_is_gone_on_with_keeps_its_manifest(
    path: Path,
) -> None:
    run(path)
    before = manifest_path(path).read_bytes()
    found = output.earlier(at(path, resume=True))
    path.unlink()

    with pytest.raises(ResultsError, match="cannot be written: No such file"):
        begin(at(path, resume=True), listing(A, B), found)

    assert not path.exists()
    assert names(path) == ["results.csv.run.json"]
    assert manifest_path(path).read_bytes() == before


def test_looking_whether_a_file_can_be_made_leaves_none(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secrets, "token_hex", lambda _: "there")
    draft = path.with_name(".bulk-revoke.there.tmp")
    draft.write_text("precious")

    with pytest.raises(ResultsError, match="cannot be written: File exists"):
        output.check(at(path))

    assert draft.read_text() == "precious"
