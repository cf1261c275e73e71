"""What all tests share: an event loop whose time jumps, unless a test is about real time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.virtual_time import VirtualTimeLoop

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"virtual": VirtualTimeLoop}
