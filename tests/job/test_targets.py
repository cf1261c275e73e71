"""Targets: whether what an input lists is still what stands there."""

from __future__ import annotations

from pathlib import Path

import pytest

from batch.errors import InputError
from batch.job.targets import is_stale, read_targets
from batch.model import REVOKE
from batch.settings import Settings
from tests.support.job_harness import some_ids

A, B, C = some_ids(3)


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    path = tmp_path / "list.csv"
    path.write_text(f"license_id\n{A}\n{B}\n{C}\n")
    return path


def set_to(listed: Path, **more: object) -> Settings:
    return Settings(input=str(listed), output=Path("results.csv"), **more)  # type: ignore[arg-type]


def test_an_input_that_was_not_touched_is_read_once(listed: Path) -> None:
    targets = read_targets(REVOKE, set_to(listed), api="sandbox")

    assert not is_stale(targets, set_to(listed))


@pytest.mark.parametrize("gone", [False, True])
def test_an_input_that_has_changed_meanwhile_is_read_again(listed: Path, gone: bool) -> None:
    targets = read_targets(REVOKE, set_to(listed), api="sandbox")
    listed.write_text(f"license_id\n{A}\n")
    if gone:
        listed.unlink()

    assert is_stale(targets, set_to(listed))


def test_files_to_exclude_are_read_again_after_a_wait(listed: Path) -> None:
    waiting = set_to(listed, exclude=(str(listed),), wait=60.0)
    targets = read_targets(REVOKE, waiting, api="sandbox")

    assert targets.excluded == {0: (0,), 1: (0,), 2: (0,)}
    assert is_stale(targets, waiting)
    assert not is_stale(targets, set_to(listed, exclude=(str(listed),)))


@pytest.mark.parametrize("piped", [{"exclude": ("-",)}, {"approved": "-"}])
def test_what_came_through_a_pipe_is_not_read_again(listed: Path, piped: dict[str, object]) -> None:
    targets = read_targets(REVOKE, set_to(listed), api="sandbox")

    assert not is_stale(targets, set_to(listed, wait=60.0, **piped))
    listed.write_text(f"license_id\n{A}\n")
    with pytest.raises(InputError, match="was changed while another run was waited for") as refused:
        is_stale(targets, set_to(listed, wait=60.0, **piped))
    assert (
        refused.value.hint == "repeat the command: what came through a pipe can be read but once."
    )
