"""The token is exchanged while a run goes on: its file is read again, and the run with it."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from batch.api.auth import CREDENTIAL
from batch.cli import run_command
from batch.sandbox import TOKEN, Account
from batch.sandbox.api import Api, error
from tests.support.commands import YES, Served, served, write
from tests.support.job_harness import some_ids

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batch.sandbox.message import Request, Response

IDS = some_ids(12)
SCOPES = frozenset({"license:read", "license:write"})
NEW = "the-second-token"


class Tokens(dict[str, frozenset[str]]):
    """What the server admits; after ``last`` requests the old token is admitted no more.

    Attributes:
        last: Requests that still may have the old token.
        content: What the file of the token holds from then on.
        path: The file of the token.
    """

    last, content, path = 1000, NEW, Path("secrets", "token")

    def get(self, token: str, _default: object = None) -> frozenset[str] | None:  # type: ignore[override]
        self.last -= 1
        if self.last == 0:
            self.pop(TOKEN)
            self.path.write_text(self.content, encoding="utf-8")
        return super().get(token)


@pytest.fixture
def tokens(at_home: None, monkeypatch: pytest.MonkeyPatch) -> Tokens:  # noqa: ARG001 - it comes first
    write("list.csv", IDS)
    Path("secrets").mkdir()
    Tokens.path.write_text(TOKEN, encoding="utf-8")
    Tokens.path.chmod(0o600)
    monkeypatch.setenv("CRYPTLEX_ACCESS_TOKEN", "another-one")
    return Tokens({TOKEN: SCOPES, NEW: SCOPES})


@pytest.fixture
def api(tokens: Tokens) -> Iterator[Served]:
    # Some requests are on their way when the token is exchanged.
    account = Account.holding(IDS)
    with served(account, latency=(0.02, 0.05)) as api:
        api.sandbox.api = Api(account, tokens).handle
        yield api


def run(api: Served, *more: str) -> tuple[int, list[str], str]:
    """Run the list: the exit code, the outcomes, and what was said."""
    ended = api.run("run", "list.csv", "--token-file", "secrets/token", *more)
    return ended.code, ended.column("outcome") if ended.has_results else [], ended.err


@pytest.mark.parametrize("last", [1, 2, 8], ids=["at first", "in the look", "between PATCHes"])
def test_a_run_goes_on_with_the_token_that_its_file_holds_now(
    api: Served, tokens: Tokens, last: int
) -> None:
    tokens.last = last

    code, outcomes, said = run(api, "--concurrency", "6")

    assert (code, outcomes) == (0, ["revoked"] * 12)
    assert api.revoked() == set(IDS)
    assert said.count("its file holds another one, which is used from now on") == 1


def test_the_credential_of_systemd_is_read_again_as_well(
    api: Served, tokens: Tokens, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens.last, tokens.path = 3, Path("secrets", CREDENTIAL)
    tokens.path.write_text(TOKEN, encoding="utf-8")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "secrets")
    monkeypatch.delenv("CRYPTLEX_ACCESS_TOKEN")

    code = run_command(["run", "list.csv", "--base-url", api.base_url, "--rate", "none", *YES])

    assert code == 0
    assert api.revoked() == set(IDS)


def of_no_use() -> str:
    claims = json.dumps({"scope": ["license:read"]}).encode()
    return f"e30.{base64.urlsafe_b64encode(claims).decode().rstrip('=')}.none"


@pytest.mark.parametrize("content", [TOKEN, "", "unknown-token", of_no_use()])
def test_without_another_token_that_is_of_use_the_run_stops(
    api: Served, tokens: Tokens, content: str
) -> None:
    tokens.last, tokens.content = 8, content
    tokens[of_no_use()] = SCOPES

    code, outcomes, said = run(api, "--concurrency", "1")

    assert code == 3
    assert outcomes.count("revoked") == 12 - outcomes.count("failed") - outcomes.count(
        "not_attempted"
    )
    assert len(api.revoked()) == outcomes.count("revoked")
    assert outcomes.count("failed") == 1
    assert "stopped: the token is not accepted (HTTP 401" in said
    assert ("its file holds another one" in said) is (content == "unknown-token")


def test_the_new_token_stands_in_no_log_and_no_message(api: Served, tokens: Tokens) -> None:
    def told(request: Request) -> Response:
        """Repeat to whoever wants to revoke a license what he was sent."""
        answer = behind(request)
        return (
            answer if answer.change is None else error(409, "X", request.headers["Authorization"])
        )

    tokens.last, behind = 3, api.sandbox.api
    api.sandbox.api = told

    _, outcomes, said = run(api, "-v", "--log-file", "secrets/log.jsonl")

    assert outcomes == ["failed"] * 12
    results = Path("list.results.csv").read_text(encoding="utf-8")
    log = Path("secrets/log.jsonl").read_text(encoding="utf-8")
    assert '"event": "token_exchanged"' in log
    assert "Bearer [token]" in results
    for secret in (TOKEN, NEW):
        assert secret not in said + results + log
