"""Debian's Chromium, driven by its DevTools protocol over a pipe: what a page looks and acts like.

A library would bring browsers of its own, or a driver; what is needed here are a dozen calls.
"""

from __future__ import annotations

import base64
import json
import os
import select
import subprocess
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from tests.support.programs import program

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--hide-scrollbars", "--remote-debugging-pipe",
)  # fmt: skip

PATIENCE = 30.0
"""Seconds for one answer."""


@dataclass
class Browser:
    """A running browser; it is asked one thing at a time.

    Attributes:
        to_browser: Where requests are written, each ended by a NUL.
        from_browser: Where answers and events are read.
        events: Those that have come meanwhile.
    """

    to_browser: int
    from_browser: int
    events: list[dict[str, Any]] = field(default_factory=list)
    _number: int = 0
    _rest: bytes = b""

    def ask(self, method: str, session: str | None = None, /, **params: Any) -> dict[str, Any]:  # noqa: ANN401
        """Call a method of the protocol, and return its result."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if session is not None:
            message["sessionId"] = session
        os.write(self.to_browser, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + PATIENCE
        while True:
            answer = self._next(deadline)
            if answer.get("id") != self._number:
                self.events.append(answer)
                continue
            assert "error" not in answer, (method, answer["error"])
            result = answer["result"]
            assert isinstance(result, dict)
            return result

    def wait_for(self, method: str, session: str) -> None:
        """Return once an event has come."""
        deadline = time.monotonic() + PATIENCE
        seen = 0
        while True:
            for event in self.events[seen:]:
                if (event.get("method"), event.get("sessionId")) == (method, session):
                    return
            seen = len(self.events)
            self.events.append(self._next(deadline))

    def _next(self, deadline: float) -> dict[str, Any]:
        while b"\0" not in self._rest:
            left = deadline - time.monotonic()
            ready, _, _ = select.select([self.from_browser], [], [], max(0.0, left))
            assert ready, "the browser does not answer"
            data = os.read(self.from_browser, 1 << 20)
            assert data, "the browser is gone"
            self._rest += data
        text, _, self._rest = self._rest.partition(b"\0")
        message = json.loads(text)
        assert isinstance(message, dict)
        return message

    @contextmanager
    def showing(self, file: Path, *, width: int = 1280, dark: bool = False) -> Iterator[Tab]:
        """A tab with a file in it, until the end of the block."""
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.events.clear()
        tab = Tab(self, session)
        for domain in ("Page", "Runtime", "Log", "Network"):
            tab.ask(f"{domain}.enable")
        tab.ask(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=900, deviceScaleFactor=1, mobile=width < 600,
        )  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        tab.ask("Emulation.setEmulatedMedia", features=[scheme])
        tab.ask("Page.navigate", url=file.absolute().as_uri())
        self.wait_for("Page.loadEventFired", session)
        try:
            yield tab
        finally:
            self.ask("Target.closeTarget", targetId=target)


@dataclass
class Tab:
    """A page that is shown."""

    browser: Browser
    session: str

    def ask(self, method: str, **params: Any) -> dict[str, Any]:  # noqa: ANN401
        return self.browser.ask(method, self.session, **params)

    def evaluate(self, expression: str) -> Any:  # noqa: ANN401
        """The value of an expression of JavaScript, awaited, in the page; its policy is heeded."""
        found = self.ask(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    @property
    def requests(self) -> list[str]:
        """Every address that was asked for, the page's own among them."""
        return [
            event["params"]["request"]["url"]
            for event in self.browser.events
            if event.get("method") == "Network.requestWillBeSent"
        ]

    @property
    def complaints(self) -> list[str]:
        """What stands on the console."""
        kinds = ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown")
        return [json.dumps(e) for e in self.browser.events if e.get("method") in kinds]

    def picture(self, *, height: int | None = None) -> bytes:
        """A PNG of the whole page, or of its first so many pixels."""
        size = self.ask("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "scale": 1}
        clip["height"] = min(height or size["height"], size["height"])
        data = self.ask("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)["data"]
        return base64.b64decode(data)

    def printed(self) -> bytes:
        """The page as PDF, on A4."""
        paper = {"paperWidth": 8.27, "paperHeight": 11.69, "preferCSSPageSize": True}
        return base64.b64decode(self.ask("Page.printToPDF", printBackground=True, **paper)["data"])


@contextmanager
def running() -> Iterator[Browser]:
    """A browser with an empty profile, until the end of the block."""
    chromium = program("chromium")
    with TemporaryDirectory(ignore_cleanup_errors=True) as home:
        theirs, ours = os.pipe()
        mine, other = os.pipe()
        # The browser reads at 3 and writes at 4, whatever the numbers of the pipes are here.
        script = f'exec "$@" 3<&{theirs} 4>&{other}'
        process = subprocess.Popen(
            ["bash", "-c", script, "bash", chromium, *FLAGS, f"--user-data-dir={home}"],
            pass_fds=(theirs, other),
            env={"PATH": os.environ["PATH"], "HOME": home},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs)
        os.close(other)
        browser = Browser(ours, mine)
        try:
            browser.ask("Browser.getVersion")
            yield browser
            with suppress(AssertionError):
                browser.ask("Browser.close")
        finally:
            os.close(ours)
            os.close(mine)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
