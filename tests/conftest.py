"""What all tests share: an event loop whose time jumps, unless a test is about real time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.served import settle_in
from tests.virtual_time import VirtualTimeLoop

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping
    from pathlib import Path


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"virtual": VirtualTimeLoop}


@pytest.fixture
def at_home(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory to work in, a token, and nothing of the developer's own."""
    settle_in(tmp_path, tmp_path_factory.mktemp("locks"), monkeypatch)
