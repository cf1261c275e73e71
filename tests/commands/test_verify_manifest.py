"""``bulk-revoke verify --manifest``: are the files of a run still those that it saw?"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from batch.cli import run_command
from batch.results.manifest import file_sha256, manifest_path
from tests.support.commands import settle_in, write
from tests.support.job_harness import some_ids

if TYPE_CHECKING:
    from batch.results.integrity import State

IDS = some_ids(3)
RESULTS = Path("licenses.rehearsal.csv")


@pytest.fixture(autouse=True)
def rehearsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A run that has come to its end; returns the path of its input."""
    settle_in(tmp_path, tmp_path, monkeypatch)
    source = write("licenses.csv", IDS)
    assert run_command(["run", source, "--sandbox", "--rate", "none", "--quiet"]) == 0
    return source


def states(capsys: pytest.CaptureFixture[str], *more: str, code: int) -> dict[str, State]:
    """What is said of each file."""
    found = compared(capsys, *more, code=code)
    return {each["what"]: each["state"] for each in found["files"]}


def compared(capsys: pytest.CaptureFixture[str], *more: str, code: int) -> dict[str, Any]:
    capsys.readouterr()
    assert run_command(["verify", "--manifest", str(RESULTS), "--json", *more]) == code
    found = json.loads(capsys.readouterr().out)
    assert isinstance(found, dict)
    assert found["exit_code"] == code
    return found


def test_files_that_nobody_has_touched_are_unchanged(
    rehearsed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = compared(capsys, code=0)

    assert found["run_id"] == json.loads(manifest_path(RESULTS).read_text())["run_id"]
    assert [(each["what"], each["state"], each["found"]) for each in found["files"]] == [
        ("input", "unchanged", file_sha256(Path(rehearsed))),
        ("results", "unchanged", file_sha256(RESULTS)),
    ]


def test_another_working_directory_makes_no_difference(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    home = Path.cwd()
    (home / "elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")

    assert run_command(["verify", "--manifest", str(home / RESULTS)]) == 0
    assert f"unchanged   {home / 'licenses.csv'}" in capsys.readouterr().err


@pytest.mark.parametrize("what", ["input", "results"])
def test_one_byte_is_a_change(
    rehearsed: str, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = Path(rehearsed) if what == "input" else RESULTS
    before = file_sha256(path)
    path.write_bytes(path.read_bytes().replace(IDS[1].encode(), IDS[1].upper().encode(), 1))

    found = compared(capsys, code=1)

    [changed] = [each for each in found["files"] if each["state"] != "unchanged"]
    assert (changed["what"], changed["state"]) == (what, "changed")
    assert (changed["expected"], changed["found"]) == (before, file_sha256(path))


@pytest.mark.parametrize("what", ["input", "results"])
def test_a_file_that_is_gone_is_missing(
    rehearsed: str, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (Path(rehearsed) if what == "input" else RESULTS).unlink()

    assert states(capsys, code=1)[what] == "missing"


def test_a_file_that_is_none_is_unreadable(
    rehearsed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path(rehearsed).unlink()
    Path(rehearsed).mkdir()

    assert states(capsys, code=1)["input"] == "unreadable"


def test_a_run_that_has_not_come_to_its_end_has_nothing_to_compare_with(
    capsys: pytest.CaptureFixture[str],
) -> None:
    manifest = json.loads(manifest_path(RESULTS).read_text())
    del manifest["results"]["sha256"]
    manifest_path(RESULTS).write_text(json.dumps(manifest))

    assert states(capsys, code=1) == {"input": "unchanged", "results": "unfinished"}


def test_of_what_came_through_a_pipe_there_is_no_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reader, writer = os.pipe()
    os.write(writer, "\n".join(["license_id", *IDS]).encode())
    os.close(writer)
    with open(reader) as piped:  # noqa: PTH123
        monkeypatch.setattr("sys.stdin", piped)
        assert run_command(["run", "-", "--sandbox", "--rate", "none", "-o", "piped.csv"]) == 0
    capsys.readouterr()

    assert run_command(["verify", "--manifest", "piped.csv"]) == 0
    assert "from a pipe" in capsys.readouterr().err


def test_without_a_manifest_it_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    manifest_path(RESULTS).unlink()

    assert run_command(["verify", "--manifest", str(RESULTS)]) == 2
    assert f"error: {RESULTS}: has no manifest" in capsys.readouterr().err


def test_quiet_speaks_only_of_a_change(rehearsed: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["verify", "--manifest", str(RESULTS), "--quiet"]
    capsys.readouterr()

    assert run_command(arguments) == 0
    assert capsys.readouterr() == ("", "")
    Path(rehearsed).write_text("other\n")
    assert run_command(arguments) == 1
    said = capsys.readouterr().err
    assert said.startswith("bulk-revoke: 1 of 2 files is NOT as run ")
    assert f"sha256 was {json.loads(manifest_path(RESULTS).read_text())['input']['sha256']}" in said


def test_neither_a_token_nor_a_server_nor_a_lock_is_needed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("CRYPTLEX_ACCESS_TOKEN")
    monkeypatch.setenv("BULK_REVOKE_VERIFY_LOCK_DIR", "/nowhere")
    before = {path: path.read_bytes() for path in Path().iterdir()}

    assert run_command(["verify", "--manifest", str(RESULTS)]) == 0
    assert {path: path.read_bytes() for path in Path().iterdir()} == before


@pytest.mark.parametrize("more", [("--rate", "none"), ("-o", "x.csv"), ("--missing-ok",)])
def test_what_has_no_meaning_for_files_is_refused(
    more: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["verify", "--manifest", str(RESULTS), *more]) == 2
    assert "has no meaning there" in capsys.readouterr().err


def test_paths_of_others_are_shown_without_control_characters(
    capsys: pytest.CaptureFixture[str],
) -> None:
    manifest = json.loads(manifest_path(RESULTS).read_text())
    manifest["input"]["path"] = "/srv/\x1b[2Jlist\n.csv"
    manifest_path(RESULTS).write_text(json.dumps(manifest))

    assert run_command(["verify", "--manifest", str(RESULTS)]) == 1
    said = capsys.readouterr().err
    assert "\x1b" not in said
    assert "/srv/\\x1b[2Jlist\\n.csv" in said
