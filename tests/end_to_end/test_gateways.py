"""Real gateways between us and the API: they limit, refuse, break off, or answer in its place.

Numbers are small where that shows the same: a gateway that admits ten requests a second needs a
minute for what a command has to show.
"""

from __future__ import annotations

import json
import signal
import subprocess
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import pytest

from benchmarks.servers import HOST, free_port
from tests.end_to_end.conftest import Command, overheard, wait_until
from tests.end_to_end.test_limits import LIMITING
from tests.end_to_end.test_run import write
from tests.end_to_end.test_terminal import at_a_terminal
from tests.end_to_end.test_together import Process, patched, said, unasked
from tests.end_to_end.test_trouble import called_revoked, revoked
from tests.support.builders import THOROUGH
from tests.support.gateways import (
    express,
    haproxy,
    haproxy_asking_for_a_certificate,
    httpd,
    installed_from_npm,
    nginx,
    nginx_tls,
    squid,
    stunnel,
    tinyproxy,
    varnish,
)
from tests.support.job_harness import some_ids
from tests.support.programs import program
from tests.support.results_files import long_ago

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.faulty_sandbox import FaultySandbox
    from tests.support.gateways import Gateway, Opened

IDS = some_ids(60)
FEW = IDS[:12]

SOON = 5.0
"""Seconds from the start of a command until it has said what it has to say within two: Python
starts and imports first, on a machine that is busy."""

START = 8.0
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


# --- they refuse what is too much ---


@dataclass(frozen=True)
class Busy:
    """A gateway that refuses what is too much.

    Attributes:
        gateway: Opens it.
        seconds: How long it needs for them all if it never has to refuse.
        licenses: How many there are.
        rate: What the command is set to.
        latency: Seconds that the server behind it takes for each request.
        pauses: How many it may take: a second one where the first guess is doubled too early.
    """

    gateway: Opened
    seconds: float
    licenses: int = 60
    rate: str = "none"
    latency: float = 0.02
    pauses: int = 1


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


def counting(most: int, seconds: int, then: str) -> Opened:
    """HAProxy that admits so many in so many seconds, what it refuses included."""
    counted = f"""timeout tarpit 500ms
  stick-table type ip size 1k expire 30s store http_req_rate({seconds}s)
  http-request track-sc0 src
  http-request {then} if {{ sc_http_req_rate(0) gt {most} }}"""
    return partial(haproxy, frontend=counted)


THROTTLE = """if (vsthrottle.is_denied(client.identity, 20, 2s)) {
    return (synth(429, "Too Many Requests"));
  }"""

BUSY = {
    "limit_req": Busy(limit_req(20), 3.0),
    "limit_req, default rate": Busy(limit_req(5, "burst=5 nodelay"), 6.0, 30, rate="45/5s"),
    "limit_req, 429": Busy(
        limit_req(12, "burst=2 nodelay; limit_req_status 429"), 2.5, 30, pauses=2
    ),
    "limit_req, 503 that asks to wait": Busy(
        limit_req(12, "burst=2 nodelay; add_header Retry-After 1 always"), 2.5, 30, pauses=2
    ),
    "limit_conn": Busy(LIMIT_CONN, 2.0, latency=0.13),
    "limit_conn, 429": Busy(
        partial(nginx, **{**LIMIT_CONN.keywords, "server": "limit_conn_status 429;"}),
        2.25,
        30,
        latency=0.3,
        pauses=2,
    ),
    "maxconn": Busy(
        partial(haproxy, defaults="timeout queue 1s", server="maxconn 2"), 3.0, latency=0.1
    ),
    "http_req_rate, 503": Busy(counting(50, 5, "deny deny_status 503"), 6.0),
    "tarpit": Busy(counting(20, 2, "tarpit"), 3.0, 30),
    "tarpit, 429": Busy(counting(20, 2, "tarpit deny_status 429"), 3.0, 30),
    "vsthrottle": Busy(partial(varnish, receive=THROTTLE), 3.0, 30),
    "mod_qos": Busy(partial(httpd, module="qos", rules="QS_SrvMaxConnPerIP 4"), 2.0, latency=0.13),
    "mod_evasive": Busy(partial(httpd, module="evasive20", rules=EVASIVE), 2.0),
}
"""Some refuse by requests in a second, others by connections, and one with a reset."""


@pytest.mark.parametrize("name", BUSY)
def test_a_gateway_that_refuses_what_is_too_much_is_kept_busy_and_no_license_pays_for_it(
    bulk_revoke: Command, tmp_path: Path, name: str
) -> None:
    keep_busy(bulk_revoke, tmp_path, BUSY[name])


def keep_busy(bulk_revoke: Command, home: Path, row: Busy) -> None:
    """Revoke licenses behind a gateway: all of them with few requests, and soon.

    One of three tries has to be soon: what a gateway refuses depends on the millisecond, and the
    machine is shared. With a clock of its own each has to be (``tests/api/test_overload.py``).
    """
    bound = 2 * row.seconds + row.pauses * PAUSE
    took: list[float] = []
    while not took or min(took) > bound:
        assert len(took) < 3, took
        took.append(seconds_behind(bulk_revoke, home / str(len(took)), row, bound))


def seconds_behind(bulk_revoke: Command, home: Path, row: Busy, bound: float) -> float:
    """How long licenses took behind a gateway, from the first PATCH let through to the last."""
    home.mkdir()
    ids = IDS[: row.licenses]
    listed = write(home / "licenses.csv", ids)
    heard = home / "said.txt"
    latency = (row.latency, row.latency)
    with (
        behind(row.gateway, home, ids, latency=latency) as (sandbox, gateway),
        heard.open("w") as stderr,
    ):
        at = ("--base-url", gateway.base_url, "--rate", row.rate, *trusted(home))
        to = ("--output", home / "results.csv")
        process = bulk_revoke.start("run", listed, *at, *to, *unasked(60), "--json", stderr=stderr)
        wait_until(
            lambda: process.poll() is not None or "is down" in heard.read_text(),
            timeout=2 * bound + START,
        )
        assert "is down" not in heard.read_text()
        summary = json.loads(process.communicate()[0])
        arrived = len(gateway.arrivals())

    assert summary["counts"] == {"revoked": len(ids)}, heard.read_text()
    assert called_revoked(home / "results.csv") == revoked(sandbox) == {*ids}
    assert max(arrived, summary["requests"]) <= 1.5 * len(ids)
    assert process.returncode == 0
    times = [entry.time for entry in sandbox.log if entry.method == "PATCH"]
    return max(times) - min(times)


@pytest.mark.skipif(THOROUGH == 1, reason="takes 45 s; part of `make soak`")
@pytest.mark.parametrize("name", ["the API's own", *LIMITING])
def test_without_a_rate_a_limit_of_fifty_in_five_seconds_is_met_25_times_in_400_licenses_at_most(
    bulk_revoke: Command, tmp_path: Path, name: str
) -> None:
    ids = some_ids(400)
    listed = write(tmp_path / "licenses.csv", ids)
    own = None if name in LIMITING else (50, 5.0)
    with (
        overheard(ids, rate=own, latency=(0.0, 0.06)) as sandbox,
        LIMITING.get(name, nginx)(tmp_path, sandbox.port) as gateway,
    ):
        done = bulk_revoke(
            "run", listed, "--base-url", gateway.base_url, "--rate", "none", *unasked(400),
            "--quiet", "--json",
        )  # fmt: skip
        refusals = sum(status == 429 for _, status in gateway.arrivals())

    summary = json.loads(done.stdout)
    assert summary["counts"] == {"revoked": 400}
    assert revoked(sandbox) == {*ids}
    assert refusals <= 25
    assert summary["seconds"] <= 1.2 * 40 + PAUSE


# `RateLimit` headers of three drafts, and those from before there was one.
EXPRESS_HEADERS = ("draft-6", "draft-7", "draft-8", "legacy")


@pytest.fixture(scope="session")
def node_modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return installed_from_npm(tmp_path_factory.mktemp("npm"))


@pytest.mark.parametrize("headers", EXPRESS_HEADERS)
def test_a_limiter_of_express_is_kept_busy_whatever_headers_it_has(
    bulk_revoke: Command, tmp_path: Path, node_modules: Path, headers: str
) -> None:
    is_legacy = headers == "legacy"
    said_by = {"legacyHeaders": is_legacy, "standardHeaders": False if is_legacy else headers}
    options = json.dumps({"windowMs": 1000, "limit": 20, **said_by})
    limiting = partial(express, modules=node_modules, options=options)

    keep_busy(bulk_revoke, tmp_path, Busy(limiting, 1.5, 30))


def test_a_tunnel_that_limits_nothing_changes_nothing(bulk_revoke: Command, tmp_path: Path) -> None:
    keep_busy(bulk_revoke, tmp_path, Busy(stunnel, 0.0))


@pytest.mark.parametrize("name", ["tarpit", "mod_qos"])
def test_what_was_revoked_behind_a_limiter_is_taken_back_behind_it_and_nothing_else(
    bulk_revoke: Command, tmp_path: Path, name: str
) -> None:
    row, ids = BUSY[name], IDS[:30]
    listed = write(tmp_path / "licenses.csv", ids)
    before = {*ids[::10]}
    with behind(row.gateway, tmp_path, ids, latency=(row.latency,) * 2) as (sandbox, gateway):
        for each in before:
            sandbox.account.licenses[each].revoked = True
        at = ("--base-url", gateway.base_url, "--rate", row.rate, *unasked(60))
        run = bulk_revoke("run", listed, *at)
        assert revoked(sandbox) == {*ids}
        long_ago(tmp_path / "licenses.results.csv")
        restored = bulk_revoke("restore", "licenses.results.csv", *at)
        left = revoked(sandbox)

    assert (run.returncode, restored.returncode) == (0, 0), run.stderr + restored.stderr
    assert left == before


# --- they answer in the place of the API ---


@dataclass(frozen=True)
class Foreign:
    """A gateway that answers what the API should.

    Attributes:
        gateway: Opens it.
        says: What the command has to name: why nothing can be done here.
        patches: How many PATCHes may have been sent before that is seen.
        scheme: That of the base URL, where it is another one than the gateway speaks.
    """

    gateway: Opened
    says: str
    patches: int = 0
    scheme: str = ""


NO_PATCH = 'SecRule REQUEST_METHOD "@streq PATCH" "id:1,phase:1,deny,status:403"'

FOREIGN = {
    "HAProxy denies PATCH": Foreign(
        partial(haproxy, frontend="http-request deny if { method PATCH }"),
        "HTTP 403",
        patches=len(FEW),
    ),
    "mod_security": Foreign(
        partial(httpd, module="security2", rules=f"SecRuleEngine On\n{NO_PATCH}"),
        "HTTP 403",
        patches=len(FEW),
    ),
    "limit_except": Foreign(
        partial(nginx, location="limit_except GET { deny all; }"),
        "HTTP 403",
        patches=len(FEW),
    ),
    "a page for GET": Foreign(
        partial(
            nginx, location='if ($request_method = GET) { return 200 "<html>Sign in</html>"; }'
        ),
        "an HTML page",
    ),
    "no client certificate": Foreign(
        partial(nginx_tls, server="ssl_verify_client on; ssl_client_certificate AUTHORITY;"),
        "HTTP 400",
    ),
    "http to a TLS port": Foreign(nginx_tls, "HTTP 400", scheme="http"),
}
"""Some let nothing through, others only reading, or only changes."""


@pytest.mark.parametrize("name", FOREIGN)
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
    """

    gateway: Opened
    says: tuple[str, ...]
    hint: str = ""
    waits: bool = False
    url: str = ""
    distrusts: bool = False
    before: str = ""


# Asking a real resolver would leave this machine.
NO_SUCH_HOST = """
import socket
def getaddrinfo(*arguments, **options):
    raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
socket.getaddrinfo = getaddrinfo
"""


UNREACHABLE = {
    "expired": Unreachable(partial(nginx_tls, begins=-10, ends=-1), ("expired",), "!--ca-file"),
    "not valid yet": Unreachable(
        partial(nginx_tls, begins=1, ends=10),
        ("not yet valid", "not valid yet"),
        "!--ca-file",
        waits=True,
    ),
    "of another host": Unreachable(
        partial(nginx_tls, name="license.example"),
        ("not valid for", "another host", "does not match"),
        "!--ca-file",
    ),
    "of an unknown authority": Unreachable(
        nginx_tls, ("not trusted",), "--ca-file", distrusts=True
    ),
    "TLS 1.1": Unreachable(
        partial(nginx_tls, server="ssl_protocols TLSv1.1; ssl_ciphers ALL:@SECLEVEL=0;"),
        ("TLS", "SSL"),
    ),
    "a client certificate is demanded": Unreachable(
        haproxy_asking_for_a_certificate, ("certificate",)
    ),
    "https to a port without TLS": Unreachable(
        nginx, ("TLS", "SSL"), url="https://127.0.0.1:{port}/v3"
    ),
    "a closed port": Unreachable(
        nginx,
        ("refused", "Connect call failed"),
        waits=True,
        url="http://127.0.0.1:{closed}/v3",
    ),
    "no such host": Unreachable(
        nginx,
        ("there is no such name",),
        waits=True,
        url="https://license.example/v3",
        before=NO_SUCH_HOST,
    ),
}


def before_long(process: Process) -> tuple[bool, str]:
    """Whether a command goes on for longer than it may be silent, and all that it has said."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(SOON)
    is_waiting = process.poll() is None
    process.terminate()
    return is_waiting, said(process)


@pytest.mark.parametrize("name", UNREACHABLE)
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
        is_waiting, end = before_long(process)

    before_the_signal = end.partition("SIGTERM")[0]
    assert any(words in before_the_signal for words in row.says), end
    assert is_waiting is row.waits
    hints = "".join(line for line in end.splitlines() if line.startswith("hint:"))
    assert (row.hint.removeprefix("!") in hints) is not row.hint.startswith("!")
    assert process.returncode == (143 if row.waits else 3)
    assert not sandbox.log


AT_A_TERMINAL = {
    "expired": UNREACHABLE["expired"],
    "no such host": UNREACHABLE["no such host"],
}


@pytest.mark.parametrize("name", AT_A_TERMINAL)
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


# --- proxies lead there, or do not ---


@dataclass(frozen=True)
class Proxy:
    """A proxy that the environment names, with a login.

    Attributes:
        gateway: Opens it.
        says: What the command has to say of it; nothing if it lets everything through.
        url: Where the command wants to go; ``{port}`` is that of an API.
        waits: Whether the command waits for it to get better.
    """

    gateway: Opened
    says: str = ""
    url: str = "https://license.example:{port}/v3"
    waits: bool = False


def with_login(answer: str) -> Opened:
    """Squid that demands a login, and asks a program about it that always answers the same."""
    return partial(
        squid,
        rules=f"""auth_param basic program /usr/bin/env sed -u s/.*/{answer}/
acl known proxy_auth REQUIRED
http_access deny !known""",
    )


_CLOSED = "https://license.example:{closed}/v3"

_REFUSES = "refuses to connect to license.example:{{port}} (HTTP {})"

PROXIES = {
    "squid": Proxy(with_login("OK")),
    "squid, another login": Proxy(with_login("ERR"), _REFUSES.format(407)),
    "squid, no CONNECT": Proxy(
        partial(squid, rules="http_access deny CONNECT"),
        _REFUSES.format(403),
    ),
    "squid, a closed port": Proxy(
        squid, "cannot connect to license.example:{closed} (HTTP 503)", url=_CLOSED, waits=True
    ),
    # It says 407 to nobody but who brings no login.
    "tinyproxy, another login": Proxy(
        partial(tinyproxy, rules="BasicAuth somebody else"),
        _REFUSES.format(401),
    ),
    "tinyproxy, no CONNECT": Proxy(
        partial(tinyproxy, rules="ConnectPort 1"),
        _REFUSES.format(403),
    ),
    # A name that it had to ask for would leave this machine.
    "tinyproxy, a closed port": Proxy(
        tinyproxy,
        "cannot connect to 0.0.0.0:{closed} (HTTP 500)",
        url="https://0.0.0.0:{closed}/v3",
        waits=True,
    ),
}


@pytest.mark.parametrize("name", PROXIES)
def test_a_proxy_that_does_not_lead_to_the_api_is_named_and_its_password_is_not(
    bulk_revoke: Command, tmp_path: Path, name: str
) -> None:
    row = PROXIES[name]
    listed = write(tmp_path / "licenses.csv", FEW)
    (tmp_path / "proxy").mkdir()
    with (
        behind(partial(nginx_tls, name="license.example"), tmp_path, FEW) as (sandbox, api),
        row.gateway(tmp_path / "proxy", api.port) as proxy,
    ):
        ports = {"port": api.port, "closed": free_port()}
        url = row.url.format(**ports)
        named = {"HTTPS_PROXY": f"http://operator:hush-hush@{HOST}:{proxy.port}"}
        at = ("--base-url", url, *trusted(tmp_path), *unasked())
        process = bulk_revoke.start("run", listed, *at, variables=named)
        is_waiting, end = before_long(process)

    before = end.partition("SIGTERM")[0]
    assert row.says.format(**ports) in before
    assert (f"the proxy {HOST}:{proxy.port} " in before) is bool(row.says)
    assert ("HTTPS_PROXY" in end) is bool(row.says and not row.waits)
    assert "hush" not in end
    assert is_waiting is row.waits
    assert process.returncode == (143 if row.waits else 3 if row.says else 0)
    assert revoked(sandbox) == (set() if row.says else {*FEW})
    assert bool(sandbox.log) is not bool(row.says)


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


@contextmanager
def giving_up(home: Path, times: int) -> Iterator[tuple[FaultySandbox, tuple[str, ...]]]:
    """Give up on four licenses, so many times each; and the options of who is in front of that."""
    slow = partial(nginx, location=f"proxy_read_timeout {1000 // SPEED}ms;")
    with behind(slow, home, FEW, lateness=LATE / SPEED) as (sandbox, gateway):
        for each in FEW[:4]:
            sandbox.fail(each, "late", times=times)
        yield sandbox, ("--base-url", gateway.base_url, "--rate", "none", *unasked())


def wait_for_what_is_late(sandbox: FaultySandbox) -> None:
    wait_until(lambda: all(entry.applied for entry in sandbox.log if entry.fault == "late"))


def test_what_the_server_does_after_its_gateway_has_given_up_is_seen_and_can_be_taken_back(
    bulk_revoke: Command, tmp_path: Path
) -> None:
    listed = write(tmp_path / "licenses.csv", FEW)
    with giving_up(tmp_path, times=2) as (sandbox, at):
        run = bulk_revoke.start(
            "run", listed, *at, "--max-attempts", "2", "--json", variables=in_a_hurry()
        )
        out, err = run.communicate(timeout=40)
        # Whatever the run has made of it: what is late must not come after the restore.
        wait_for_what_is_late(sandbox)
        verified = bulk_revoke("verify", "licenses.results.csv", *at[:4])
        long_ago(tmp_path / "licenses.results.csv")
        restored = bulk_revoke("restore", "licenses.results.csv", "--include-unknown", *at)
        left = revoked(sandbox)

    assert json.loads(out)["counts"] == {"revoked": 12}, err
    assert run.returncode == 0
    assert verified.returncode == 0, verified.stderr
    assert restored.returncode == 0, restored.stderr
    assert not left


def test_what_is_carried_out_after_its_repetition_does_not_outlast_a_restore(
    bulk_revoke: Command, tmp_path: Path
) -> None:
    listed = write(tmp_path / "licenses.csv", FEW)
    with giving_up(tmp_path, times=1) as (sandbox, at):
        run = bulk_revoke.start("run", listed, *at, variables=in_a_hurry())
        run.communicate(timeout=40)
        early = [entry.applied for entry in sandbox.log if entry.fault == "late"]
        restore = bulk_revoke.start("restore", "licenses.results.csv", *at, variables=in_a_hurry())
        _, said = restore.communicate(timeout=40)
        wait_for_what_is_late(sandbox)
        left = revoked(sandbox)

    assert early == [False] * 4
    assert (run.returncode, restore.returncode) == (0, 0), said
    assert "requests of that run for 4 licenses may still be carried out: waiting" in said
    assert not left


def test_a_restore_that_is_stopped_while_it_waits_for_its_run_touches_nothing(
    bulk_revoke: Command, tmp_path: Path
) -> None:
    listed = write(tmp_path / "licenses.csv", FEW)
    with overheard(FEW) as sandbox:
        at = ("--base-url", sandbox.base_url, *unasked())
        sandbox.fail(FEW[0], 500, times=1)
        assert bulk_revoke("run", listed, *at).returncode == 0
        before = len(sandbox.log)
        restore = bulk_revoke.start("restore", "licenses.results.csv", *at)
        assert restore.stderr is not None
        said = restore.stderr.readline()
        while said and "may still be carried out" not in said:
            said = restore.stderr.readline()
        restore.send_signal(signal.SIGINT)
        _, rest = restore.communicate(timeout=20)
        requests = len(sandbox.log) - before

    assert "requests of that run for 1 license may still be carried out: waiting" in said
    assert (restore.returncode, requests) == (130, 0), rest
    assert "nothing was sent" in rest


# --- they remember, and the server behind them has changed ---


def test_a_restore_behind_a_cache_takes_everything_back(
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
    assert restored.returncode == 0, restored.stderr
    assert not left
