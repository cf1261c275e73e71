"""A token that expires within two weeks: who hears of it, and how."""

from __future__ import annotations

import base64
import io
import json
import time
from contextlib import redirect_stderr
from pathlib import Path

import pytest

from batch.cli import run_command
from batch.reporting.progress import Screen
from batch.sandbox import Account
from batch.sandbox.api import Api
from tests.support.commands import YES, Served, served, write
from tests.support.job_harness import some_ids

pytestmark = pytest.mark.usefixtures("at_home")

IDS = some_ids(3)
DAY = 86_400
METRIC = 'bulk_revoke_token_expires_timestamp_seconds{command="run",name="job"}'


def token(expires: float) -> str:
    claims = base64.urlsafe_b64encode(json.dumps({"exp": int(expires)}).encode()).decode()
    return f"e30.{claims.rstrip('=')}.none"


def run(api: Served, *more: str) -> tuple[int, str, str]:
    """Run a list with the token of a file: exit code, what is said, and the metrics."""
    err = io.StringIO()
    with redirect_stderr(err):
        code = run_command(
            ["run", "list.csv", "--base-url", api.base_url, "--rate", "none", *YES,
             "--token-file", "token", "--metrics-file", "job.prom", *more]
        )  # fmt: skip
    return code, err.getvalue(), Path("job.prom").read_text(encoding="utf-8")


def ended_with(expires: float, *more: str) -> tuple[int, str, str]:
    """The same, with a token that expires then."""
    write("list.csv", IDS)
    write("token", (), header=token(expires))
    account = Account.holding(IDS)
    scopes = frozenset({"license:read", "license:write"})
    with served(account) as api:
        api.sandbox.api = Api(account, {token(expires): scopes}).handle
        return run(api, *more)


def test_it_is_said_and_logged_and_stands_in_the_metrics() -> None:
    expires = time.time() + 9.5 * DAY

    code, said, metrics = ended_with(expires, "--log-file", "log.jsonl")

    lines = [json.loads(line) for line in Path("log.jsonl").read_text().splitlines()]
    assert code == 0
    assert "warning: the access token expires in 9 days, at 20" in said
    assert [each["level"] for each in lines if each["event"] == "token_expires"] == ["warning"]
    assert float(metrics.partition(METRIC)[2].split()[0]) == int(expires)


def test_a_quiet_run_that_is_done_says_nothing_and_its_metrics_do() -> None:
    code, said, metrics = ended_with(time.time() + DAY, "--quiet")

    assert (code, said) == (0, "")
    assert METRIC in metrics


def test_a_token_that_lasts_is_not_spoken_of() -> None:
    code, said, metrics = ended_with(time.time() + 15 * DAY)

    assert (code, "token expires" in said) == (0, False)
    assert METRIC in metrics


def test_a_run_that_is_refused_since_it_has_expired_says_when_in_its_metrics() -> None:
    expires = time.time() - DAY

    code, said, metrics = ended_with(expires)

    assert code == 2
    assert "the access token expired 24 h 00 min ago" in said
    assert float(metrics.partition(METRIC)[2].split()[0]) == int(expires)


def test_of_a_token_that_was_exchanged_on_the_way_the_new_one_counts() -> None:
    soon, later = time.time() + DAY, time.time() + 90 * DAY
    write("list.csv", IDS)
    write("token", (), header=token(soon))
    account = Account.holding(IDS)
    with served(account) as api:
        api.sandbox.api = Api(account, {token(later): frozenset({"license:write"})}).handle
        handle = api.sandbox.api

        def exchanged(request: object) -> object:
            write("token", (), header=token(later))
            return handle(request)  # type: ignore[arg-type]

        api.sandbox.api = exchanged  # type: ignore[assignment]
        code, _, metrics = run(api)

    assert code == 0
    assert float(metrics.partition(METRIC)[2].split()[0]) == int(later)


def test_at_a_terminal_it_is_said_only_where_the_token_would_not_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Screen, "is_terminal", True)

    code, said, _ = ended_with(time.time() + DAY)

    assert (code, "token expires" in said) == (0, False)
