"""Servers that are not ours: nginx answers like the API, nginx and HAProxy limit, a link delays."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.measure import FailedError, program

if TYPE_CHECKING:
    from collections.abc import Iterator

HOST = "127.0.0.1"

_LICENSE = {
    "key": "BENCH0-$license", "revoked": True, "suspended": False, "totalActivations": 2,
    "totalDeactivations": 0, "subscriptionInterval": "P1Y",
    "subscriptionStartTrigger": "creation", "fingerprintMatchingStrategy": "fuzzy",
    "allowedActivations": 5, "allowedDeactivations": 10, "type": "node-locked",
    "allowedFloatingClients": 0, "serverSyncGracePeriod": 2595000, "serverSyncInterval": 3600,
    "leaseDuration": 0, "expiresAt": "2027-01-31T09:15:00.1234567Z", "allowVmActivation": True,
    "userLocked": False, "productId": "63dfd63e-ed71-4f84-9236-02ee0ddb062c", "user": None,
    "allowedCountries": [], "disallowedCountries": [], "allowedIpAddresses": [],
    "disallowedIpAddresses": [], "metadata": [], "tags": [], "id": "$license",
    "createdAt": "2026-01-31T09:15:00.1234567Z", "updatedAt": "2026-11-24T09:15:00.1234567Z",
}  # fmt: skip
"""The documented license object (Cryptlex Web API, "Licenses"), 0.9 KB with an ID in it."""

_NGINX = """
{modules}
daemon off;
pid {home}/nginx.pid;
error_log {home}/error.log;
worker_processes 1;
events {{ worker_connections 4096; }}
http {{
  log_format arrival '$msec $status';
  access_log {log};
  client_body_temp_path {home}/body;
  proxy_temp_path {home}/proxy;
  fastcgi_temp_path {home}/fastcgi;
  uwsgi_temp_path {home}/uwsgi;
  scgi_temp_path {home}/scgi;
  keepalive_requests 1000000000;
  limit_req_zone $binary_remote_addr zone=licenses:1m rate=10r/s;
  limit_req_status 429;
  server {{
    listen {host}:{port};
    default_type application/json;
    location ~ "^/v3/licenses/(?<license>[0-9a-f-]{{36}})$" {{
      {answer}
    }}
    location @license {{ return 200 '{license}'; }}
  }}
}}
"""

_ECHO = "/usr/lib/nginx/modules/ngx_http_echo_module.so"

_HAPROXY = """
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend limited
  bind {host}:{port}
  stick-table type ip size 1k expire 30s store http_req_rate(5s)
  http-request track-sc0 src
  http-request deny deny_status 429 if {{ sc_http_req_rate(0) gt 50 }}
  default_backend api
backend api
  server api {host}:{upstream}
"""


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server((HOST, 0)) as free:
        port: int = free.getsockname()[1]
        return port


@contextmanager
def nginx(
    home: Path, *, latency: float = 0.0, limited: bool = False, log: Path | None = None
) -> Iterator[int]:
    """The API as nginx answers it: every PATCH with a license that echoes the ID.

    Args:
        home: A directory for what it writes.
        latency: Seconds before each answer; others are not kept waiting.
        limited: Whether it admits 50 requests at once and 10 per second (``limit_req``).
        log: Where it notes moment and status of each request, if anywhere.
    """
    port = free_port()
    answer = f"return 200 '{json.dumps(_LICENSE)}';"
    if latency:
        answer = f"echo_sleep {latency}; echo_exec @license;"
    elif limited:  # `return` would come before the limit
        answer = "limit_req zone=licenses burst=49 nodelay; try_files /none @license;"
    config = _NGINX.format(
        modules=f"load_module {_ECHO};" if latency else "",
        home=home,
        host=HOST,
        port=port,
        log=f"{log} arrival" if log else "off",
        answer=answer,
        license=json.dumps(_LICENSE),
    )
    path = home / "nginx.conf"
    path.write_text(config, encoding="utf-8")
    with listening([program("nginx"), "-c", str(path)], port):
        yield port


@contextmanager
def haproxy(home: Path, upstream: int) -> Iterator[int]:
    """HAProxy in front of a port: more than 50 requests in its window of 5 s are refused."""
    port = free_port()
    config = home / "haproxy.conf"
    config.write_text(_HAPROXY.format(host=HOST, port=port, upstream=upstream), encoding="utf-8")
    with listening([program("haproxy"), "-f", str(config)], port):
        yield port


@contextmanager
def link(upstream: int, round_trip: float) -> Iterator[int]:
    """A port that leads to another one, with a mean round trip of so many seconds (`link`)."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.link", str(port), str(upstream), str(round_trip)]
    with listening(command, port):
        yield port


@contextmanager
def listening(command: list[str], port: int, output: Path | None = None) -> Iterator[None]:
    """A server in a process of its own: it listens on its port until the end of the block.

    What it prints is kept in the file ``output``, if anywhere.
    """
    with (output or Path(os.devnull)).open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL)
    try:
        _wait_for(port, process)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=10)


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex((HOST, port)) == 0:
                return
        if process.poll() is not None:
            break
        time.sleep(0.05)
    raise FailedError(f"no server came up: {process.args!r}")
