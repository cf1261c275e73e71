"""Whether what was read is still what stands there."""

from __future__ import annotations

from pathlib import Path

import pytest

from batch.job.targets import is_stale, read_targets
from batch.model import REVOKE
from batch.settings import Settings
from tests.support.job_harness import some_ids

IDS = some_ids(3)


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    path = tmp_path / "list.csv"
    path.write_text("\n".join(["license_id", *IDS]) + "\n")
    return path


def settings(listed: Path, **more: object) -> Settings:
    return Settings(input=str(listed), output=Path("results.csv"), **more)  # type: ignore[arg-type]


def test_an_input_that_was_not_touched_is_read_once(listed: Path) -> None:
    task = read_targets(REVOKE, settings(listed), api="sandbox")

    assert not is_stale(task, settings(listed))


@pytest.mark.parametrize("gone", [False, True])
def test_an_input_that_has_changed_meanwhile_is_read_again(listed: Path, gone: bool) -> None:
    task = read_targets(REVOKE, settings(listed), api="sandbox")
    listed.write_text(f"license_id\n{IDS[0]}\n")
    if gone:
        listed.unlink()

    assert is_stale(task, settings(listed))


def test_files_to_exclude_are_read_again_after_a_wait(listed: Path) -> None:
    waiting = settings(listed, exclude=(str(listed),), wait=60.0)
    task = read_targets(REVOKE, waiting, api="sandbox")

    assert task.excluded == {0: (0,), 1: (0,), 2: (0,)}
    assert is_stale(task, waiting)
    assert not is_stale(task, settings(listed, exclude=(str(listed),)))
