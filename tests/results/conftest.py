"""A place for the results of a run, and what starts a journal there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.results_files import starting

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.results_files import Open


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "results.csv"


@pytest.fixture
def start(path: Path) -> Iterator[Open]:
    with starting(path) as start:
        yield start
