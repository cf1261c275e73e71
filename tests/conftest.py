"""What all tests share: an event loop whose time jumps, unless a test is about real time."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from tests.support.builders import calm
from tests.support.commands import settle_in
from tests.support.virtual_time import VirtualTimeLoop

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

pytest_plugins = ("tests.support.isolation",)

settings.register_profile("calm", calm)
settings.load_profile("calm")


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"virtual": VirtualTimeLoop}


@pytest.fixture
def at_home(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory to work in, a token, and nothing of the developer's own."""
    settle_in(tmp_path, tmp_path_factory.mktemp("locks"), monkeypatch)


@pytest.fixture(autouse=True)
def _colours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Words alone, whatever the developer likes; tests of colours ask for them."""
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.delenv("FORCE_COLOR", raising=False)


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    """A command leaves the signals as its process is to end with them; here others come next."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    if hasattr(signal, "SIGHUP"):
        before[signal.SIGHUP] = signal.getsignal(signal.SIGHUP)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
