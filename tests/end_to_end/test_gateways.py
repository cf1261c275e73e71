"""Real gateways between us and the API: they limit, refuse, break off, or answer in its place.

Rows that are marked fail yet, and say with what. Numbers are small where that shows the same: a
gateway that admits ten requests a second needs a minute for what a command has to show.
"""

from __future__ import annotations

import json
import subprocess
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.servers import free_port
from tests.end_to_end.conftest import Command, overheard, wait_until
from tests.end_to_end.test_run import write
from tests.end_to_end.test_terminal import at_a_terminal
from tests.end_to_end.test_together import patched, said, unasked
from tests.end_to_end.test_trouble import revoked
from tests.support.gateways import (
    haproxy,
    haproxy_asking_for_a_certificate,
    httpd,
    nginx,
    nginx_tls,
)
from tests.support.job_harness import some_ids
from tests.support.programs import program

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from _pytest.mark.structures import ParameterSet

    from tests.support.faulty_sandbox import FaultySandbox
    from tests.support.gateways import Gateway, Opened

IDS = some_ids(60)
FEW = IDS[:12]

SOON = 5.0
"""Seconds from the start of a command until it has said what it has to say within two: Python
starts and imports first, on a machine that is busy."""

START = 3.0
"""Seconds that a command needs for its start and its end, on such a machine."""

PAUSE = 7.0
"""Seconds that everybody may wait once, when a gateway first shows that it limits."""


@contextmanager
def behind(
    gateway: Opened, home: Path, ids: list[str], **options: object
) -> Iterator[tuple[FaultySandbox, Gateway]]:
    """A sandbox that holds licenses, and the gateway in front of it."""
    with overheard(ids, **options) as sandbox, gateway(home, sandbox.port) as opened:
        yield sandbox, opened


def rows(table: Mapping[str, Any]) -> list[ParameterSet]:
    """The names of a table; ``fails`` says what still happens where it is not what is right."""
    return [
        pytest.param(
            name,
            marks=[pytest.mark.xfail(raises=AssertionError, reason=row.fails)] if row.fails else [],
        )
        for name, row in table.items()
    ]


# --- they refuse what is too much ---


@dataclass(frozen=True)
class Busy:
    """A gateway that refuses what is too much.

    Attributes:
        gateway: Opens it.
        seconds: How long it needs for sixty requests if it never has to refuse.
        rate: What the command is set to.
        latency: Seconds that the server behind it takes for each request.
        fails: What still happens.
    """

    gateway: Opened
    seconds: float
    rate: str = "none"
    latency: float = 0.02
    fails: str = ""


def limit_req(rate: int, more: str = "") -> Opened:
    """Nginx that admits so many requests a second: 503 without ``Retry-After`` by default."""
    return partial(
        nginx,
        http=f"limit_req_zone $binary_remote_addr zone=z:1m rate={rate}r/s;",
        location=f"limit_req zone=z {more};",
    )


LIMIT_CONN = partial(
    nginx, http="limit_conn_zone $binary_remote_addr zone=z:1m;", location="limit_conn z 4;"
)

# It counts by whole seconds: thirty requests in each, else 403 until three seconds are quiet.
EVASIVE = """
DOSHashTableSize 3097
DOSPageCount 1000
DOSPageInterval 1
DOSSiteCount 30
DOSSiteInterval 1
DOSBlockingPeriod 3
DOSLogDir /nonexistent
"""

BUSY = {
    "limit_req": Busy(
        limit_req(30), 2.0, fails="it is called down, and 20 of 60 are failed or unknown"
    ),
    "limit_req, default rate": Busy(
        limit_req(5, "burst=5 nodelay"), 12.0, rate="45/5s", fails="8 of 60 failed or unknown"
    ),
    "limit_req, 429": Busy(
        limit_req(30, "; limit_req_status 429"), 2.0, fails="it stops after a hundred 429s"
    ),
    "limit_conn": Busy(
        LIMIT_CONN, 2.0, latency=0.13, fails="it is called down, again and again, for a minute"
    ),
    "maxconn": Busy(
        partial(haproxy, defaults="timeout queue 1s", server="maxconn 2"),
        3.0,
        latency=0.1,
        fails="two requests for each license, and it is called down",
    ),
    "mod_qos": Busy(
        partial(httpd, module="qos", rules="QS_SrvMaxConnPerIP 4"),
        2.0,
        latency=0.13,
        fails="it is called down, again and again, and 12 of 60 fail",
    ),
    "mod_evasive": Busy(
        partial(httpd, module="evasive20", rules=EVASIVE),
        2.0,
        fails="it stops with 12 failed: the token may not change licenses",
    ),
}
"""Some refuse by requests in a second, others by connections, and one with a reset."""


@pytest.mark.parametrize("name", rows(BUSY))
def test_a_gateway_that_refuses_what_is_too_much_is_kept_busy_and_no_license_pays_for_it(
    bulk_revoke: Command, tmp_path: Path, name: str
) -> None:
    row = BUSY[name]
    listed = write(tmp_path / "licenses.csv", IDS)
    heard = tmp_path / "said.txt"
    latency = (row.latency, row.latency)
    with (
        behind(row.gateway, tmp_path, IDS, latency=latency) as (sandbox, gateway),
        heard.open("w") as stderr,
    ):
        at = ("--base-url", gateway.base_url, "--rate", row.rate)
        process = bulk_revoke.start("run", listed, *at, *unasked(60), "--json", stderr=stderr)
        wait_until(
            lambda: process.poll() is not None or "is down" in heard.read_text(),
            timeout=2 * row.seconds + PAUSE + START,
        )
        assert "is down" not in heard.read_text()
        summary = json.loads(process.communicate()[0])
        arrived = len(gateway.arrivals())

    assert summary["counts"] == {"revoked": 60}, heard.read_text()
    assert revoked(sandbox) == {*IDS}
    assert max(arrived, summary["requests"]) <= 1.5 * 60
    assert summary["seconds"] <= 2 * row.seconds + PAUSE
    assert process.returncode == 0


# --- they answer in the place of the API ---


@dataclass(frozen=True)
class Foreign:
    """A gateway that answers what the API should.

    Attributes:
        gateway: Opens it.
        says: What the command has to name: why nothing can be done here.
        patches: How many PATCHes may have been sent before that is seen.
        scheme: That of the base URL, where it is another one than the gateway speaks.
        fails: What still happens.
    """

    gateway: Opened
    says: str
    patches: int = 0
    scheme: str = ""
    fails: str = ""


NO_PATCH = 'SecRule REQUEST_METHOD "@streq PATCH" "id:1,phase:1,deny,status:403"'
_TOKEN = "it says that the token may not change licenses"
_GUESS = "it reads every license before it stops, and does not say what was answered"

FOREIGN = {
    "HAProxy denies PATCH": Foreign(
        partial(haproxy, frontend="http-request deny if { method PATCH }"),
        "HTTP 403",
        patches=len(FEW),
        fails=_TOKEN,
    ),
    "mod_security": Foreign(
        partial(httpd, module="security2", rules=f"SecRuleEngine On\n{NO_PATCH}"),
        "HTTP 403",
        patches=len(FEW),
        fails=_TOKEN,
    ),
    "limit_except": Foreign(
        partial(nginx, location="limit_except GET { deny all; }"),
        "HTTP 403",
        patches=len(FEW),
        fails=_TOKEN,
    ),
    "a page for GET": Foreign(
        partial(
            nginx, location='if ($request_method = GET) { return 200 "<html>Sign in</html>"; }'
        ),
        "an HTML page",
        fails="it asks ten times, for ten seconds, before it stops",
    ),
    "no client certificate": Foreign(
        partial(nginx_tls, server="ssl_verify_client on; ssl_client_certificate AUTHORITY;"),
        "HTTP 400",
        fails=_GUESS,
    ),
    "http to a TLS port": Foreign(nginx_tls, "HTTP 400", scheme="http", fails=_GUESS),
}
"""Some let nothing through, others only reading, or only changes."""


@pytest.mark.parametrize("name", rows(FOREIGN))
def test_a_gateway_that_answers_in_the_place_of_the_api_stops_a_run_and_is_named(
    bulk_revoke: Command, tmp_path: Path, name: str
) -> None:
    row = FOREIGN[name]
    listed = write(tmp_path / "licenses.csv", FEW)
    with behind(row.gateway, tmp_path, FEW) as (sandbox, gateway):
        url = gateway.url(row.scheme) if row.scheme else gateway.base_url
        at = ("--base-url", url, *trusted(tmp_path))
        done = bulk_revoke("run", listed, *at, *unasked(), timeout=SOON)
        arrived = [method for method, _ in gateway.arrivals()]

    assert done.returncode == 3, done.stderr
    assert row.says in done.stderr
    assert "in front of the API" in done.stderr or "in its place" in done.stderr
    assert "token" not in done.stderr
    assert arrived.count("PATCH") <= row.patches
    assert arrived.count("GET") <= 3
    assert not patched(sandbox)
    assert not revoked(sandbox)


def trusted(home: Path) -> tuple[str | Path, ...]:
    """The authority of a gateway that speaks TLS."""
    authority = home / "authority.pem"
    return ("--ca-file", authority) if authority.exists() else ()


# --- they cannot be talked to ---


@dataclass(frozen=True)
class Unreachable:
    """A gateway to which no request gets through.

    Attributes:
        gateway: Opens it.
        says: Words of which the command says one: why.
        hint: What the hint has to name, and, with ``!`` before it, what it must not.
        waits: Whether the command waits for it to get better, where nobody watches it.
        url: The base URL, where it is another one than the gateway's.
        distrusts: Whether its authority is not made known to the command.
        before: What the process of the command does first.
        fails: What still happens.
    """

    gateway: Opened
    says: tuple[str, ...]
    hint: str = ""
    waits: bool = False
    url: str = ""
    distrusts: bool = False
    before: str = ""
    fails: str = ""


# Asking a real resolver would leave this machine.
NO_SUCH_HOST = """
import socket
def getaddrinfo(*arguments, **options):
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
socket.getaddrinfo = getaddrinfo
"""

_MUTE = "not a word, for as long as it waits"
_HINT = "the hint is --ca-file"

UNREACHABLE = {
    "expired": Unreachable(
        partial(nginx_tls, begins=-10, ends=-1), ("expired",), "!--ca-file", fails=_HINT
    ),
    "not valid yet": Unreachable(
        partial(nginx_tls, begins=1, ends=10),
        ("not yet valid", "not valid yet"),
        "!--ca-file",
        waits=True,
        fails="it stops, and the hint is --ca-file",
    ),
    "of another host": Unreachable(
        partial(nginx_tls, name="license.example"),
        ("not valid for", "another host", "does not match"),
        "!--ca-file",
        fails=_HINT,
    ),
    "of an unknown authority": Unreachable(
        nginx_tls, ("not trusted",), "--ca-file", distrusts=True
    ),
    "TLS 1.1": Unreachable(
        partial(nginx_tls, server="ssl_protocols TLSv1.1; ssl_ciphers ALL:@SECLEVEL=0;"),
        ("TLS", "SSL"),
        fails=_MUTE,
    ),
    "a client certificate is demanded": Unreachable(
        haproxy_asking_for_a_certificate, ("certificate",), fails=_MUTE
    ),
    "https to a port without TLS": Unreachable(
        nginx, ("TLS", "SSL"), url="https://127.0.0.1:{port}/v3", fails=_MUTE
    ),
    "a closed port": Unreachable(
        nginx,
        ("refused", "Connect call failed"),
        waits=True,
        url="http://127.0.0.1:{closed}/v3",
        fails=_MUTE,
    ),
    "no such host": Unreachable(
        nginx,
        ("not known", "does not exist", "no such host"),
        waits=True,
        url="https://license.example/v3",
        before=NO_SUCH_HOST,
        fails=_MUTE,
    ),
}


@pytest.mark.parametrize("name", rows(UNREACHABLE))
def test_what_cannot_be_reached_is_said_at_once_and_waited_for_only_where_that_may_help(
    bulk_revoke: Command, tmp_path: Path, name: str
) -> None:
    row = UNREACHABLE[name]
    listed = write(tmp_path / "licenses.csv", FEW)
    with behind(row.gateway, tmp_path, FEW) as (sandbox, gateway):
        url = row.url.format(port=gateway.port, closed=free_port()) or gateway.base_url
        trust = () if row.distrusts else trusted(tmp_path)
        process = bulk_revoke.start(
            "run", listed, "--base-url", url, *unasked(), *trust, before=row.before
        )
        with suppress(subprocess.TimeoutExpired):
            process.wait(SOON)
        is_waiting = process.poll() is None
        process.terminate()
        end = said(process)

    before_the_signal = end.partition("SIGTERM")[0]
    assert any(words in before_the_signal for words in row.says), end
    assert is_waiting is row.waits
    hints = "".join(line for line in end.splitlines() if line.startswith("hint:"))
    assert (row.hint.removeprefix("!") in hints) is not row.hint.startswith("!")
    assert process.returncode == (143 if row.waits else 3)
    assert not sandbox.log


AT_A_TERMINAL = {
    "expired": replace(UNREACHABLE["expired"], fails=""),
    "no such host": UNREACHABLE["no such host"],
}


@pytest.mark.parametrize("name", rows(AT_A_TERMINAL))
def test_somebody_at_a_terminal_is_not_kept_waiting_for_what_only_a_human_can_mend(
    tmp_path: Path, name: str
) -> None:
    row = AT_A_TERMINAL[name]
    listed = write(tmp_path / "licenses.csv", FEW)
    with behind(row.gateway, tmp_path, FEW) as (sandbox, gateway):
        at = ("--base-url", row.url or gateway.base_url, *trusted(tmp_path))
        with at_a_terminal(tmp_path, "run", listed, *at, before=row.before) as terminal:
            code = terminal.finish(timeout=10)

    assert code == 3
    assert any(words in terminal.seen for words in row.says)
    assert not sandbox.log


# --- they give up, and the server behind them does not ---

SPEED = 20
"""How many seconds pass for the command in one second: all of this would take two minutes."""

LATE = 50.0
"""Seconds until a server has done what its gateway has given up."""


def in_a_hurry() -> dict[str, str]:
    """Variables of a process whose clocks go fast, and whose waits are as much shorter."""
    shown = subprocess.run(
        [program("faketime"), "-m", "-f", f"+0 x{SPEED}", "env"],
        capture_output=True,
        text=True,
        check=True,
    )
    told = dict(line.split("=", 1) for line in shown.stdout.splitlines() if "=" in line)
    return {name: told[name] for name in ("LD_PRELOAD", "FAKETIME")}


@pytest.mark.xfail(raises=AssertionError, reason="4 of 12 are failed, and then revoked for good")
def test_what_the_server_does_after_its_gateway_has_given_up_is_seen_and_can_be_taken_back(
    bulk_revoke: Command, tmp_path: Path
) -> None:
    listed = write(tmp_path / "licenses.csv", FEW)
    slow = partial(nginx, location=f"proxy_read_timeout {1000 // SPEED}ms;")
    with behind(slow, tmp_path, FEW, lateness=LATE / SPEED) as (sandbox, gateway):
        at = ("--base-url", gateway.base_url, "--rate", "none", *unasked())
        for each in FEW[:4]:
            sandbox.fail(each, "late", times=2)
        run = bulk_revoke.start(
            "run", listed, *at, "--max-attempts", "2", "--json", variables=in_a_hurry()
        )
        out, err = run.communicate(timeout=40)
        wait_until(lambda: revoked(sandbox) == {*FEW})  # whatever the run has made of it
        restored = bulk_revoke("restore", "licenses.results.csv", *at)
        left = revoked(sandbox)

    assert json.loads(out)["counts"] == {"revoked": 12}, err
    assert run.returncode == 0
    assert restored.returncode == 0, restored.stderr
    assert not left


# --- they remember, and the server behind them has changed ---


@pytest.mark.xfail(raises=AssertionError, reason="12 are already_restored, exit 0, and all revoked")
def test_a_restore_behind_a_cache_takes_everything_back_or_says_that_it_could_not(
    bulk_revoke: Command, tmp_path: Path
) -> None:
    listed = write(tmp_path / "licenses.csv", FEW)
    remembering = partial(
        nginx,
        http=f"proxy_cache_path {tmp_path}/cache keys_zone=licenses:1m;",
        location="proxy_cache licenses; proxy_cache_valid 200 30s;",
    )
    with behind(remembering, tmp_path, FEW) as (sandbox, gateway):
        at = ("--base-url", gateway.base_url, "--rate", "none", *unasked())
        run = bulk_revoke("run", listed, *at)
        revoked_before = revoked(sandbox)
        restored = bulk_revoke("restore", "licenses.results.csv", *at)
        left = revoked(sandbox)

    assert (run.returncode, revoked_before) == (0, {*FEW})
    assert restored.returncode != 0 or not left
