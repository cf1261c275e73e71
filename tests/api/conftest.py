"""Authorities that tests of several modules trust, or do not."""

from __future__ import annotations

import pytest

from tests.support.tls import Trust


@pytest.fixture(scope="module")
def trust(tmp_path_factory: pytest.TempPathFactory) -> Trust:
    return Trust(tmp_path_factory.mktemp("trust"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Trust:
    """Another authority."""
    return Trust(tmp_path_factory.mktemp("stranger"))
