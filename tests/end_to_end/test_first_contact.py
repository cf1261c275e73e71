"""A server that cannot be reached: what is said of it and when, and whether it is waited for."""

from __future__ import annotations

import json
import re
import socket
import ssl
import threading
import time
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import TYPE_CHECKING

import pytest

from tests.end_to_end.conftest import Command, wait_until
from tests.end_to_end.test_run import write
from tests.end_to_end.test_terminal import Terminal, at_a_terminal
from tests.support.job_harness import some_ids
from tests.support.tls import Trust

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

IDS = some_ids(3)
NOWHERE = "https://licenses.example.invalid/v3"
NO_SUCH_NAME = """
import socket, sys

def getaddrinfo(*_, **__):
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

socket.getaddrinfo = getaddrinfo
sys.modules["uvloop"] = None  # it asks the system itself
"""
YES = ("--yes", "--max-licenses", "3")
PROMPT = 10.0
"""Seconds in which a run at a terminal gives up what waiting cannot mend, its start included."""


@contextmanager
def listening(context: ssl.SSLContext | None = None) -> Iterator[int]:
    """A port: with a context of TLS it gets as far as the handshake, without one it is silent."""

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            assert context is not None
            with suppress(OSError), context.wrap_socket(connection, server_side=True) as tls:
                tls.recv(4096)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve)
        if context is not None:
            thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            if context is not None:
                server.shutdown(socket.SHUT_RDWR)
                thread.join()


@contextmanager
def alerting(home: Path) -> Iterator[str]:
    """A base URL whose server ends every handshake with an alert, and whose authority is named."""
    context = Trust(home).server("localhost")
    context.sni_callback = lambda *_: ssl.ALERT_DESCRIPTION_INTERNAL_ERROR
    with listening(context) as port:
        yield f"https://localhost:{port}/v3"


def finish_promptly(terminal: Terminal) -> None:
    began = time.monotonic()
    assert terminal.finish() == 3
    assert time.monotonic() - began < PROMPT


@pytest.mark.parametrize("command", ["run", "verify"])
def test_a_name_that_does_not_exist_stops_a_run_at_a_terminal(tmp_path: Path, command: str) -> None:
    listed = write(tmp_path / "licenses.csv", IDS)
    with at_a_terminal(
        tmp_path, command, listed, "--base-url", NOWHERE, before=NO_SUCH_NAME
    ) as terminal:
        finish_promptly(terminal)

    assert "no address of licenses.example.invalid:443 (there is no such name)" in terminal.seen
    assert "is the host in --base-url right?" in terminal.seen
    assert "failed 0" not in terminal.seen
    assert command == "verify" or not list(tmp_path.glob("*.results*"))


def test_an_alert_stops_a_run_at_a_terminal(tmp_path: Path) -> None:
    listed = write(tmp_path / "licenses.csv", IDS)
    with (
        alerting(tmp_path) as url,
        at_a_terminal(
            tmp_path, "run", listed, "--base-url", url, "--ca-file", tmp_path / "authority.pem"
        ) as terminal,
    ):
        finish_promptly(terminal)

    assert "ends the TLS handshake (internal error)" in terminal.seen
    assert "nothing was sent" in terminal.seen


@contextmanager
def waiting(process: subprocess.Popen[str], home: Path) -> Iterator[dict[str, str]]:
    """The line of the log that says what is in the way, while the command goes on."""
    log = home / "log.jsonl"
    wait_until(lambda: log.exists() and '"unreachable"' in log.read_text(encoding="utf-8"))
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    [said] = [line for line in lines if line["event"] == "unreachable"]
    started = datetime.fromisoformat(lines[0]["time"])
    # The rest is what it takes to begin on a host that is busy.
    assert (datetime.fromisoformat(said["time"]) - started).total_seconds() < 2 + 3
    assert process.poll() is None
    yield said
    assert process.stderr is not None
    # It is shown after it is logged.
    end = threading.Timer(PROMPT, process.kill)
    end.start()
    assert f"warning: {said['message']}\n" in iter(process.stderr.readline, "")
    end.cancel()
    process.kill()


def test_the_same_are_waited_for_where_nobody_is_there(
    bulk_revoke: Command, tmp_path: Path
) -> None:
    listed = write(tmp_path / "licenses.csv", IDS)
    logged = ("--log-file", tmp_path / "log.jsonl")
    process = bulk_revoke.start(
        "run", listed, *YES, "--base-url", NOWHERE, *logged, before=NO_SUCH_NAME
    )
    with waiting(process, tmp_path) as said:
        assert "there is no such name" in said["message"]
        assert "is the host in --base-url right?" in said["message"]
        assert said["error_code"] == "connection"

    home = bulk_revoke.within("alert")
    with alerting(home.home) as url:
        process = home.start(
            "run", listed, *YES, "--base-url", url, "--ca-file", home.home / "authority.pem",
            "--log-file", home.home / "log.jsonl",
        )  # fmt: skip
        with waiting(process, home.home) as said:
            assert "ends the TLS handshake (internal error)" in said["message"]
            assert said["error_code"] == "tls"


@pytest.mark.parametrize("look", ["--look", "--no-look"])
def test_a_server_that_says_nothing_is_named(
    bulk_revoke: Command, tmp_path: Path, look: str
) -> None:
    listed = write(tmp_path / "licenses.csv", IDS)
    with listening() as port:
        process = bulk_revoke.start(
            "run", listed, *YES, look, "--base-url", f"https://127.0.0.1:{port}/v3",
            "--log-file", tmp_path / "log.jsonl",
        )  # fmt: skip
        with waiting(process, tmp_path) as said:
            assert re.match(rf"no connection to 127\.0\.0\.1:{port} yet", said["message"])


def test_a_refused_connection_is_waited_for_at_a_terminal_as_well(tmp_path: Path) -> None:
    listed = write(tmp_path / "licenses.csv", IDS)
    with at_a_terminal(tmp_path, "run", listed, "--base-url", "http://127.0.0.1:9/v3") as terminal:
        terminal.wait_for("no answer yet: no connection to 127.0.0.1:9")
        terminal.wait_for("is the port in --base-url right?")
        terminal.wait_for("looking: 0/3, no answer yet")
        until = time.monotonic() + 2
        while time.monotonic() < until:
            assert terminal.read()
        assert terminal.process.poll() is None
        assert "failed" not in terminal.seen
