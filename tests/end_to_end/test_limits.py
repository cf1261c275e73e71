"""Servers that count requests in their own way, with real sockets in real time."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.request import Request, urlopen

import pytest

from batch.api.client import filter_query
from batch.input.identifiers import LONGEST_KEY
from batch.job.key_lookup import LONGEST_QUERY, KeyAnswers, batches
from tests.end_to_end.conftest import TOKEN, Command, serving
from tests.end_to_end.test_run import write
from tests.support.gateways import haproxy, nginx
from tests.support.job_harness import some_ids

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.gateways import Gateway, Opened

IDS = some_ids(150)

LIMITING: dict[str, Opened] = {
    "haproxy": partial(
        haproxy,
        frontend="""stick-table type ip size 1k expire 30s store http_req_rate(5s)
  http-request track-sc0 src
  http-request deny deny_status 429 if { sc_http_req_rate(0) gt 50 }""",
    ),
    "nginx": partial(
        nginx,
        http="limit_req_zone $binary_remote_addr zone=licenses:1m rate=10r/s;",
        location="limit_req zone=licenses burst=49 nodelay; limit_req_status 429;",
    ),
}
"""Gateways that admit fifty requests in five seconds."""


@pytest.mark.parametrize("name", [*LIMITING])
def test_a_real_limiter_refuses_none_of_fifty_in_five_seconds(
    bulk_revoke: Command, tmp_path: Path, name: str
) -> None:
    listed = write(tmp_path / "licenses.csv", IDS)
    with (
        serving(tmp_path, "--licenses", listed, "--rate", "none", "--latency", "0..60ms") as api,
        LIMITING[name](tmp_path, api.port) as gateway,
    ):
        done = bulk_revoke(
            "run", listed, "--base-url", gateway.base_url, "--rate", "50/5s",
            "--yes", "--max-licenses", "150", "--quiet", "--json",
        )  # fmt: skip

    summary = json.loads(done.stdout)
    assert summary["counts"] == {"revoked": 150}
    assert summary["throttled"] == 0
    assert summary["patches"] == 150
    assert summary["requests"] == 152  # two pages of the list were enough for the look
    assert summary["seconds"] < 20


def listed_at(gateway: Gateway, query: str) -> list[dict[str, Any]]:
    """What a list with these filters answers; another status than 200 is an HTTPError."""
    url = f"{gateway.base_url}/licenses?page=1&limit=100{query}"
    request = Request(url, headers={"Authorization": f"Bearer {TOKEN}"})  # noqa: S310
    with urlopen(request, timeout=10) as answer:  # noqa: S310 - http to loopback
        found: list[dict[str, Any]] = json.load(answer)
        return found


def longest_requests(key: str) -> list[list[str]]:
    """Keys of the longest requests that there are: many beside this one, and one alone."""
    keys = [key, *(f"{at:03}" + "\u00e9" * 7 for at in range(200)), "\u00e9" * LONGEST_KEY]
    requests = [[keys[entry] for entry in batch] for batch in batches(keys, range(len(keys)), 200)]
    return [requests[0], requests[-1]]


@pytest.mark.parametrize("name", [*LIMITING])
def test_the_longest_request_for_keys_is_accepted_by_real_servers(
    tmp_path: Path, name: str
) -> None:
    listed = write(tmp_path / "licenses.csv", IDS[:3])
    with (
        serving(tmp_path, "--licenses", listed, "--rate", "none") as api,
        LIMITING[name](tmp_path, api.port) as gateway,
    ):
        held = listed_at(gateway, "")
        many, alone = map(KeyAnswers, longest_requests(held[1]["key"]))

        assert listed_at(gateway, filter_query(many.filters())) == [held[1]]
        assert listed_at(gateway, filter_query(alone.filters())) == []

    assert len(many.keys) > 100
    for lookup in (many, alone):
        assert LONGEST_QUERY - 100 < len(filter_query(lookup.filters())) < LONGEST_QUERY + 20
