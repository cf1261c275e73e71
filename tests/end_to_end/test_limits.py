"""Servers that count requests in their own way, with real sockets in real time."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.request import Request, urlopen

import pytest

from batch.api.client import filter_query
from batch.input.identifiers import LONGEST_KEY
from batch.job.key_lookup import LONGEST_QUERY, KeyLookup, batches
from benchmarks.servers import free_port, haproxy, listening
from tests.end_to_end.conftest import TOKEN, Command, serving
from tests.end_to_end.test_run import write
from tests.support.job_harness import some_ids
from tests.support.programs import program

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

IDS = some_ids(150)

NGINX = """
daemon off;
pid {home}/nginx.pid;
error_log {home}/error.log;
events {{}}
http {{
  access_log {home}/access.log;
  client_body_temp_path {home}/body;
  proxy_temp_path {home}/proxy;
  fastcgi_temp_path {home}/fastcgi;
  uwsgi_temp_path {home}/uwsgi;
  scgi_temp_path {home}/scgi;
  limit_req_zone $binary_remote_addr zone=licenses:1m rate=10r/s;
  limit_req_status 429;
  server {{
    listen 127.0.0.1:{port};
    location / {{
      limit_req zone=licenses burst=49 nodelay;
      proxy_pass http://{upstream};
    }}
  }}
}}
"""


@contextmanager
def in_front(name: str, home: Path, upstream: str) -> Iterator[int]:
    """The limiting server in front of an API, on a free port."""
    if name == "haproxy":
        with haproxy(home, int(upstream.rpartition(":")[2])) as port:
            yield port
        return
    port = free_port()
    config = home / "nginx.conf"
    config.write_text(NGINX.format(port=port, upstream=upstream, home=home))
    with listening([program(name), "-c", str(config)], port):
        yield port


@pytest.mark.parametrize("name", ["haproxy", "nginx"])
def test_a_real_limiter_refuses_none_of_fifty_in_five_seconds(
    bulk_revoke: Command, tmp_path: Path, name: str
) -> None:
    program(name)
    listed = write(tmp_path / "licenses.csv", IDS)
    with (
        serving(tmp_path, "--licenses", listed, "--rate", "none", "--latency", "0..60ms") as api,
        in_front(name, tmp_path, api.base_url.split("/")[2]) as port,
    ):
        done = bulk_revoke(
            "run", listed, "--base-url", f"http://127.0.0.1:{port}/v3", "--rate", "50/5s",
            "--yes", "--max-licenses", "150", "--quiet", "--json",
        )  # fmt: skip

    summary = json.loads(done.stdout)
    assert summary["counts"] == {"revoked": 150}
    assert summary["throttled"] == 0
    assert summary["patches"] == 150
    assert summary["requests"] == 152  # two pages of the list were enough for the look
    assert summary["seconds"] < 20


def listed_at(port: int, query: str) -> list[dict[str, Any]]:
    """What a list with these filters answers; another status than 200 is an HTTPError."""
    url = f"http://127.0.0.1:{port}/v3/licenses?page=1&limit=100{query}"
    request = Request(url, headers={"Authorization": f"Bearer {TOKEN}"})
    with urlopen(request, timeout=10) as answer:  # noqa: S310 - http to loopback
        found: list[dict[str, Any]] = json.load(answer)
        return found


def longest_requests(key: str) -> list[list[str]]:
    """Keys of the longest requests that there are: many beside this one, and one alone."""
    keys = [key, *(f"{at:03}" + "\u00e9" * 7 for at in range(200)), "\u00e9" * LONGEST_KEY]
    requests = [[keys[entry] for entry in batch] for batch in batches(keys, range(len(keys)), 200)]
    return [requests[0], requests[-1]]


@pytest.mark.parametrize("name", ["haproxy", "nginx"])
def test_the_longest_request_for_keys_is_accepted_by_real_servers(
    tmp_path: Path, name: str
) -> None:
    program(name)
    listed = write(tmp_path / "licenses.csv", IDS[:3])
    with (
        serving(tmp_path, "--licenses", listed, "--rate", "none") as api,
        in_front(name, tmp_path, api.base_url.split("/")[2]) as port,
    ):
        held = listed_at(port, "")
        many, alone = map(KeyLookup, longest_requests(held[1]["key"]))

        assert listed_at(port, filter_query(many.filters())) == [held[1]]
        assert listed_at(port, filter_query(alone.filters())) == []

    assert len(many.keys) > 100
    for lookup in (many, alone):
        assert LONGEST_QUERY - 100 < len(filter_query(lookup.filters())) < LONGEST_QUERY + 20
