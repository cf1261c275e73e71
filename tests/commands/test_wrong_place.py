"""The wrong account, and what answers in the place of the API: nothing is sent there."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from batch.errors import StoppedError
from batch.sandbox import Account
from batch.sandbox.message import Response
from tests.support.commands import Served, served, write
from tests.support.job_harness import bench, holding, some_ids

if TYPE_CHECKING:
    from collections.abc import Iterator

IDS = some_ids(8)
STRANGERS = some_ids(12, seed=7)
RUN = ("run", "list.csv")
CASES = Path(__file__).parents[1] / "cases"
CRON = Path(__file__).parents[2] / "configs" / "cron.toml"


@pytest.fixture(autouse=True)
def home(at_home: None) -> None:  # noqa: ARG001 - it comes first
    write("list.csv", IDS)


@pytest.fixture
def api() -> Iterator[Served]:
    with served(Account.holding(IDS)) as api:
        yield api


# The wrong account


@pytest.mark.parametrize("more", [(), ("--missing-ok",), ("--dry-run",), ("--limit", "2")])
@pytest.mark.parametrize("by", ["id", "key"])
def test_where_none_of_five_licenses_is_known_the_run_is_refused(
    api: Served, by: str, more: tuple[str, ...]
) -> None:
    write("list.csv", STRANGERS[:5], header=f"license_{by}")

    ended = api.run(*RUN, "--by", by, *more)

    assert ended.code == 2
    assert "the account knows none of these licenses (5 were not found)" in ended.err
    assert api.patches() == []


def test_a_long_list_of_keys_of_another_account_is_refused_after_a_sample(api: Served) -> None:
    write("list.csv", [f"KEY-{number}" for number in range(990)], header="license_key")

    ended = api.run(*RUN, "--by", "key", "--missing-ok")

    assert ended.code == 2
    assert "the account knows none of these licenses (20 were not found)" in ended.err
    assert api.patches() == []
    assert api.sandbox.requests == 10 + 20


@pytest.mark.parametrize("known", [0, 1])
def test_four_strangers_or_one_license_that_is_known_may_be_right(api: Served, known: int) -> None:
    write("list.csv", [*STRANGERS[: 4 + known], *IDS[:known]])

    ended = api.run(*RUN, "--missing-ok")

    assert ended.code == 0
    assert ended.counts["not_found"] == 4 + known


def test_a_night_over_the_wrong_account_is_refused_by_the_profile_that_is_shipped(
    api: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = CRON.read_text(encoding="utf-8")
    text = text.replace("/var/lib/bulk-revoke/", "").replace("\nlog_file =", "\n# log_file =")
    Path("cron.toml").write_text(text)
    monkeypatch.setenv("BULK_REVOKE_CONFIG", "cron.toml")

    ended = api.ask("run", CASES / "leaked-batch.csv")

    assert ended.code == 2
    assert api.patches() == []


@pytest.mark.parametrize("more", [(), ("--missing-ok",)])
@pytest.mark.parametrize("by", ["id", "key"])
def test_a_verify_of_the_wrong_account_is_never_fine(
    api: Served, by: str, more: tuple[str, ...]
) -> None:
    strangers = STRANGERS if by == "id" else [f"KEY-{number}" for number in range(50)]
    write("list.csv", strangers, header=f"license_{by}")

    ended = api.run("verify", "list.csv", "--by", by, *more)

    assert ended.code == 1
    assert ended.counts == {"not_found": len(strangers)}
    assert "the account knows none of these licenses" in ended.err


def test_what_an_earlier_session_has_seen_counts(api: Served) -> None:
    write("list.csv", [*IDS[:2], *STRANGERS])
    api.fail(IDS[0], 409)
    assert api.run(*RUN, "--limit", "1").code == 1
    for license_id in IDS[:2]:  # somebody deletes them meanwhile
        api.call(api.sandbox.account.remove, license_id)
    api.fail_all(400, on="LIST")

    ended = api.run(*RUN, "--resume", "--missing-ok")

    assert ended.code == 0
    assert ended.counts == {"not_found": 14}


def test_what_an_earlier_session_has_seen_of_keys_counts() -> None:
    keys = [f"KEY-{number}" for number in range(30)]
    account = Account.holding_keys(keys)
    write("list.csv", keys, header="license_key")
    with served(account) as api:
        assert api.run(*RUN, "--by", "key", "--limit", "1").code == 0
        for license_id in list(account.licenses):  # all are deleted
            api.call(account.remove, license_id)

        ended = api.run(*RUN, "--by", "key", "--resume")

        lookups = api.sandbox.requests - len(api.patches())
    assert lookups == 1 + 1 + 29  # together, together again, and each alone
    assert ended.code == 1
    assert ended.counts == {"revoked": 1, "not_found": 29}


def test_a_license_that_many_rows_name_is_one_in_every_session(api: Served) -> None:
    write("list.csv", STRANGERS[:1] * 6)
    assert api.run(*RUN).counts == {"not_found": 6}

    ended = api.run(*RUN, "--resume")

    assert ended.code == 1
    assert ended.counts == {"not_found": 6}


def test_those_that_an_earlier_session_did_not_find_are_counted(api: Served) -> None:
    write("list.csv", STRANGERS[:5])
    assert api.run(*RUN, "--no-look").counts == {"not_found": 5}

    ended = api.run(*RUN, "--resume", "--missing-ok")

    assert ended.code == 2
    assert "the account knows none of these licenses (5 were not found)" in ended.err


def test_keys_that_several_licenses_share_are_known() -> None:
    account = Account.holding(IDS)
    for license_ in list(account)[:6]:
        license_.key = "SHARED"
    write("list.csv", ["SHARED", *STRANGERS[:5]], header="license_key")
    with served(account) as api:
        ended = api.run(*RUN, "--by", "key")

    assert ended.code == 1
    assert ended.counts == {"failed": 1, "not_found": 5}


# What is no API


@pytest.mark.parametrize("more", [(), ("--dry-run",)])
@pytest.mark.parametrize("by", ["id", "key"])
def test_a_look_that_shows_no_api_stops_the_run(
    api: Served, by: str, more: tuple[str, ...]
) -> None:
    api.fail_all("html_200", on="GET")
    api.fail_all("html_200", on="LIST")
    write("list.csv", IDS, header=f"license_{by}")

    ended = api.run(*RUN, "--by", by, "--max-attempts", "2", *more)

    assert ended.code == 3
    assert "this is not the license API" in ended.err
    assert "an HTML page" in ended.err
    assert api.patches() == []


def test_a_maintenance_page_is_not_asked_for_every_license() -> None:
    many = some_ids(500)
    write("list.csv", many)
    with served(Account.holding(many)) as api:
        api.fail_all("html_200", on="*")
        assert api.run(*RUN).code == 3
        assert len(api.reads()) < 300


def test_a_gateway_that_forbids_reading_is_no_token_without_that_scope(api: Served) -> None:
    api.fail_all("html_403", on="GET")
    api.fail_all("html_403", on="LIST")

    ended = api.run(*RUN)

    assert ended.code == 3
    assert "something in front of the API refuses (HTTP 403, an HTML page" in ended.err
    assert api.patches() == []


@pytest.mark.parametrize("fault", ["no_code", "null_code"])
@pytest.mark.parametrize("known", [0, 7])
def test_a_404_of_the_api_needs_no_code(api: Served, fault: str, known: int) -> None:
    write("list.csv", [STRANGERS[0], *IDS[:known]])
    api.fail_all(fault, on="GET")

    ended = api.run(*RUN)

    assert ended.code == 1
    assert ended.counts.get("revoked", 0) == known
    assert ended.rows[0]["outcome"] == "not_found"
    assert ended.rows[0]["error_code"] == "http_404"


@pytest.mark.parametrize("fault", ["no_code", "null_code"])
def test_without_a_look_the_api_shows_itself_by_its_list(api: Served, fault: str) -> None:
    write("list.csv", [STRANGERS[0], *IDS])
    api.fail_all(fault, on="PATCH")

    ended = api.run(*RUN, "--no-look", "--concurrency", "1")

    assert ended.code == 1
    assert ended.counts == {"revoked": 8, "not_found": 1}
    # A 404 without a code may be that of a gateway: is the license there?
    assert api.reads() == ["/v3/licenses", STRANGERS[0]]


def test_a_gateway_that_knows_no_such_path_is_no_api(api: Served) -> None:
    # A prefix that is not there: every path is answered like this, with a message and no code.
    body = json.dumps({"message": "no Route matched with those values"}).encode()
    api.call(setattr, api.sandbox, "api", lambda _request: Response(404, body))

    for more in ((), ("--no-look",)):
        ended = api.run(*RUN, *more, "-o", f"{len(more)}.csv")
        assert ended.code == 3
        assert "this is not the license API" in ended.err
        assert "revoked" not in ended.counts if ended.has_results else True


async def test_a_stop_while_the_api_is_asked_to_show_itself_calls_no_license_missing() -> None:
    async with holding(IDS[:1]) as sandbox, bench(sandbox, STRANGERS[:1]) as run:
        sandbox.fail_all("no_code", on="PATCH")
        sandbox.fail_all("hang_before", on="LIST")
        running = asyncio.create_task(run.run())
        await asyncio.sleep(1)
        run.executor.client.stop(StoppedError("enough"))
        row_results = await running

    assert [result.outcome for result in row_results.values()] == ["failed"]
    assert "before it was known who says this" in row_results[STRANGERS[0]].error
