"""`bulk-revoke list`: which licenses it finds, what it writes, and what can be done with that."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import signal
import stat
import subprocess
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from batch.cli import run_command
from batch.columns import LIST_COLUMNS
from batch.errors import InterruptedRunError
from batch.host import claim, lock
from batch.job.paging import Paging
from batch.results import license_list
from batch.results.license_list import LicenseList
from batch.results.output import set_aside
from batch.sandbox import TOKEN, Account
from batch.sandbox.license import PRODUCTS, TICKS
from tests.support.commands import YES, Ended, Served, served
from tests.support.results_files import table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from batch.sandbox.license import SandboxLicense
    from batch.sandbox.message import Request, Response

pytestmark = pytest.mark.usefixtures("at_home")

OUT = "list.csv"


@pytest.fixture(scope="module")
def account() -> Account:
    return Account.generate(350, seed=3)


@pytest.fixture(scope="module")
def api(account: Account) -> Iterator[Served]:
    with served(account) as found:
        yield found


def ask(api: Served, *options: str) -> Ended:
    """List into `OUT`, as fast as it goes."""
    out, err = io.StringIO(), io.StringIO()
    arguments = ["list", "--base-url", api.base_url, "--rate", "none", "-o", OUT, *options]
    with redirect_stdout(out), redirect_stderr(err):
        code = run_command([*arguments, "--json"])
    return Ended(code, err.getvalue(), json.loads(out.getvalue()))


def listed() -> list[str]:
    return [row["license_id"] for row in table(OUT)]


def counted(account: Account, law: Callable[[SandboxLicense], bool]) -> list[str]:
    """What a count over the whole account finds."""
    return [license_.id for license_ in account if law(license_)]


def at(text: str) -> int:
    """Ticks of a day."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * TICKS


def some(account: Account, attribute: str) -> list[Any]:
    """Two values of an attribute that licenses of the account have."""
    values = dict.fromkeys(getattr(each, attribute) for each in account)
    return [value for value in values if value][:2]


def long_ago(days: int) -> str:
    return f"{datetime.now(UTC) - timedelta(days=days):%Y-%m-%d}"


def cases(account: Account) -> dict[str, tuple[list[str], Callable[[SandboxLicense], bool]]]:
    """Options, and what holds of the licenses that they mean."""
    one, other = some(account, "product")
    sellers = some(account, "reseller")
    first, second = some(account, "customer")
    owners = [each for each in account if each.customer and each.customer.organization]
    assert owners[0].customer is not None
    organization = owners[0].customer.organization
    assert organization is not None
    year, half = long_ago(365), long_ago(180)
    return {
        "product": (["--product", one.id.upper()], lambda it: it.product == one),
        "either product": (
            ["--product", one.id, "--product", other.id],
            lambda it: it.product in {one, other},
        ),
        "reseller": (["--reseller", sellers[0].id], lambda it: it.reseller == sellers[0]),
        "organization": (
            ["--organization", organization.id],
            lambda it: bool(it.customer and it.customer.organization == organization),
        ),
        "user": (
            ["--user", first.id, "--user", second.id],
            lambda it: it.customer in {first, second},
        ),
        "email": (
            ["--email", first.email],
            lambda it: bool(it.customer and it.customer.email == first.email),
        ),
        "companies": (
            ["--company", first.company, "--company", second.company],
            lambda it: bool(it.customer and it.customer.company in {first.company, second.company}),
        ),
        "tag": (["--tag", "oem"], lambda it: "oem" in it.tags),
        "either tag": (
            ["--tag", "oem", "--tag", "pilot"],
            lambda it: bool({"oem", "pilot"} & {*it.tags}),
        ),
        "metadata": (
            ["--metadata", "region=emea", "--metadata", "edition=plus"],
            lambda it: bool({("region", "emea"), ("edition", "plus")} & {*it.metadata}),
        ),
        "created": (
            ["--created-from", year, "--created-to", half],
            lambda it: at(year) <= it.created < at(half) + 86_400 * TICKS,
        ),
        "expires": (
            ["--expires-from", year, "--expires-to", long_ago(-200)],
            lambda it: at(year) <= (it.expires or 0) < at(long_ago(-200)) + 86_400 * TICKS,
        ),
        "expired a year ago": (
            ["--expires-to", year],
            lambda it: 0 < (it.expires or 0) < at(year) + 86_400 * TICKS,
        ),
        "unused": (
            ["--unused-since", half],
            lambda it: it.created < at(half) and (it.last_used or 0) < at(half),
        ),
        "revoked": (["--revoked"], lambda it: it.revoked),
        "not revoked": (["--not-revoked"], lambda it: not it.revoked),
        "suspended": (["--suspended"], lambda it: it.suspended),
        "all": (["--all"], lambda _: True),
        "nothing": (["--tag", "never seen"], lambda _: False),
        "a terminated reseller": (
            ["--reseller", sellers[0].id, "--not-revoked", "--not-suspended"],
            lambda it: it.reseller == sellers[0] and not it.revoked and not it.suspended,
        ),
        "a clean-up": (
            ["--product", one.id, "--product", other.id, "--expires-to", year,
             "--unused-since", half, "--not-revoked"],
            lambda it: it.product in {one, other} and not it.revoked
            and 0 < (it.expires or 0) < at(year) + 86_400 * TICKS
            and it.created < at(half) and (it.last_used or 0) < at(half),
        ),
        "a part of a batch": (
            ["--created-from", year, "--tag", "oem", "--tag", "pilot", "--metadata", "region=emea"],
            lambda it: it.created >= at(year) and bool({"oem", "pilot"} & {*it.tags})
            and ("region", "emea") in it.metadata,
        ),
    }  # fmt: skip


CASES = list(cases(Account.generate(350, seed=3)))


@pytest.mark.parametrize("name", CASES)
def test_every_license_that_a_count_over_the_account_finds_is_listed_once(
    name: str, api: Served, account: Account
) -> None:
    options, law = cases(account)[name]
    wanted = counted(account, law)
    assert bool(wanted) is (name != "nothing")

    ended = ask(api, *options)

    assert (ended.code, sorted(listed())) == (0, sorted(wanted))
    assert ended.summary["licenses"] == ended.summary["rows"] == len(wanted)


@pytest.mark.parametrize("name", CASES)
def test_a_list_can_be_tried_run_and_taken_back(name: str) -> None:
    account = Account.generate(120, seed=3)
    options, law = cases(account)[name]
    wanted = counted(account, law)
    before = {license_.id for license_ in account if license_.revoked}
    if not wanted:
        return
    with served(account) as api:
        ask(api, *options)
        trial = api.run("run", OUT, "--dry-run")
        ended = api.run("run", OUT)
        assert api.revoked() == before | {*wanted}
        api.run("restore", ended.summary["results"])

    assert trial.counts.get("would_revoke", 0) == len({*wanted} - before)
    assert api.revoked() == before


def test_the_columns_tell_what_the_server_tells(api: Served, account: Account) -> None:
    ask(api, "--all")

    rows = table(OUT)
    assert tuple(rows[0]) == LIST_COLUMNS
    for row, license_ in zip(rows, account, strict=True):
        customer = license_.customer
        organization = customer and customer.organization
        told = license_.as_json()
        assert row == {
            "license_id": license_.id,
            "license_key": license_.key,
            "product_id": license_.product.id,
            "type": license_.type,
            "created_at": told["createdAt"][:23] + "Z",
            "expires_at": told["expiresAt"][:23] + "Z" if license_.expires else "",
            "activations": str(license_.total_activations),
            "last_used_at": told["lastUsedAt"][:23] + "Z" if license_.last_used else "",
            "revoked": str(license_.revoked).lower(),
            "suspended": str(license_.suspended).lower(),
            "user_email": customer.email if customer else "",
            "company": customer.company if customer else "",
            "organization": organization.name if organization else "",
            "reseller": license_.reseller.name if license_.reseller else "",
            "tags": "; ".join(license_.tags),
        }


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_the_file_is_for_its_owner_alone(api: Served) -> None:
    ask(api, "--tag", "oem")

    assert stat.S_IMODE(Path(OUT).stat().st_mode) == 0o600


def test_text_from_outside_is_no_formula_and_breaks_no_line() -> None:
    account = Account.generate(9)
    odd = next(each for each in account if each.customer)
    odd.customer = replace_company(odd, "=1+1\nLtd")
    odd.tags = ("-x", "y")
    with served(account) as api:
        ended = ask(api, "--company", "=1+1\nLtd", "--tag", "-x")

    [row] = table(OUT)
    assert ended.code == 0
    assert (row["company"], row["tags"]) == ("'=1+1\\nLtd", "'-x; y")
    assert len(Path(OUT).read_bytes().splitlines()) == 2


def replace_company(license_: SandboxLicense, company: str) -> Any:  # noqa: ANN401
    assert license_.customer is not None
    return license_.customer._replace(company=company)


def test_values_with_a_comma_are_asked_for_one_by_one() -> None:
    account = Account.generate(40)
    meant = [each for each in account if each.customer][:3]
    for license_, company in zip(meant, ("Roe, Inc.", "Poe", "Inc."), strict=True):
        license_.customer = replace_company(license_, company)
    with served(account) as api:
        ended = ask(api, "--company", "Roe, Inc.", "--company", "Poe")

    assert ended.code == 0
    assert sorted(listed()) == sorted(each.id for each in meant[:2])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "no filter is given"),
        (["--all", "--revoked"], "--all and filters exclude each other"),
        (["--tag", ""], "--tag is empty"),
        (["--company", " , "], "--company is empty"),
        (["--metadata", "region"], "--metadata names no entry"),
        (["--product", "Draftwright"], "--product Draftwright is no ID"),
        (["--created-from", "yesterday"], "--created-from yesterday is no date"),
        (["--created-from", "2026-02-30"], "--created-from 2026-02-30 is no date"),
        (["--created-to", "9999-12-31"], "--created-to 9999-12-31 is no date"),
        (
            ["--created-from", "2026-02-01", "--created-to", "2026-01-31"],
            "2026-01-31 is before --created-from 2026-02-01\nhint: swap",
        ),
        (["--revoked", "--not-revoked"], "--revoked and --not-revoked exclude each other\nhint: "),
        (["--not-suspended", "--suspended"], "--suspended and --not-suspended exclude each other"),
        (["--all", "--tag", "x"], "exclude each other\nhint: leave out --all"),
        (["--unused-since", "2999-01-01"], "is not over yet"),
        (["--all", "-o", "-"], "a list goes into a file"),
        (["--all", "-o", "list.xlsx"], "written as CSV"),
        (["--all", "-o", "nowhere/list.csv"], "no such directory"),
    ],
)
def test_what_would_not_narrow_the_list_as_it_was_meant_is_refused(
    options: list[str], said: str, api: Served
) -> None:
    requests = api.sandbox.requests

    ended = ask(api, *options)

    assert ended.code == 2
    assert said in ended.err
    assert api.sandbox.requests == requests
    assert not list(Path().iterdir())


def test_it_has_to_be_said_where_the_list_goes(api: Served) -> None:
    err = io.StringIO()
    with redirect_stderr(err):
        code = run_command(["list", "--all", "--base-url", api.base_url])

    assert code == 2
    assert "--output is missing" in err.getvalue()


def test_nothing_is_written_over(api: Served) -> None:
    Path(OUT).write_text("mine", encoding="utf-8")

    refused = ask(api, "--tag", "oem")
    ended = ask(api, "--tag", "oem", "--overwrite")

    assert (refused.code, ended.code) == (2, 0)
    [old] = Path().glob(f"{OUT}.bak-*")
    assert old.read_text(encoding="utf-8") == "mine"
    assert listed()


def change_answers(api: Served, change: Callable[[Any], Any]) -> None:
    """Let the server tell something else of its licenses."""
    handler = api.sandbox.api

    def handle(request: Request) -> Response:
        response = handler(request)
        if request.resource != "licenses":
            return response
        told = [change(each) for each in json.loads(response.body)]
        return replace(response, body=json.dumps(told).encode())

    api.sandbox.api = handle


@pytest.mark.parametrize(
    ("lacking", "options"),
    [
        ("lastUsedAt", ["--unused-since", "2026-01-01"]),
        ("tags", ["--tag", "oem"]),
        ("expiresAt", ["--expires-from", "2020-01-01"]),
        ("metadata", ["--metadata", "region=emea"]),
        ("suspended", ["--not-suspended"]),
        ("user", ["--company", "Roe"]),
        ("productId", ["--product", "63dfd63e-ed71-4f84-9236-02ee0ddb062c"]),
    ],
)
def test_a_license_of_which_the_server_does_not_tell_what_is_asked_for_is_a_refusal(
    lacking: str, options: list[str]
) -> None:
    account = Account.generate(300)
    sold = next(each for each in account if each.customer)
    sold.customer = replace_company(sold, "Roe")
    with served(account) as api:
        change_answers(api, lambda told: {k: v for k, v in told.items() if k != lacking})
        ended = ask(api, *options)

    assert ended.code == 2
    assert f"the server does not tell what {options[0]} asks for" in ended.err
    assert not list(Path().iterdir())


def test_a_server_that_ignores_filters_costs_requests_and_nothing_else(account: Account) -> None:
    with served(account) as api:
        handler = api.sandbox.api

        def handle(request: Request) -> Response:
            kept = [each for each in request.query if each[0] in {"page", "limit"}]
            return handler(replace(request, query=kept))

        api.sandbox.api = handle
        ended = ask(api, "--tag", "oem", "--not-revoked", "--created-to", long_ago(200))

    last = at(long_ago(200)) + 86_400 * TICKS
    assert ended.code == 0
    assert listed() == counted(
        account, lambda it: "oem" in it.tags and not it.revoked and it.created < last
    )


def test_what_others_make_change_and_delete_meanwhile_hides_and_doubles_nothing() -> None:
    account = Account.generate(650, seed=5)
    before = counted(account, lambda it: not it.revoked)
    shown: list[str] = []
    touched: set[str] = set()
    made = iter(Account.generate(100, seed=6))

    with served(account) as api:
        handler = api.sandbox.api

        def handle(request: Request) -> Response:
            for license_id in shown[:7]:
                touched.add(license_id)
                account.remove(license_id)
            for license_id in shown[7:20]:
                touched.add(license_id)
                account.licenses[license_id].revoked = True
            newest = next(made)
            newest.created = int(time.time() * TICKS)
            account.add(newest)
            response = handler(request)
            shown[:] = [
                each["id"] for each in json.loads(response.body) if each["id"] not in touched
            ]
            return response

        api.sandbox.api = handle
        ended = ask(api, "--not-revoked")

    assert len(touched) > 100
    assert ended.code == 1  # the server counts less at the end than it has shown
    assert len(listed()) == len({*listed()})
    assert {*before} - touched <= {*listed()}


def test_a_count_that_differs_is_said_and_the_list_is_written() -> None:
    with served(Account.generate(150)) as api:
        handler = api.sandbox.api

        def handle(request: Request) -> Response:
            response = handler(request)
            return replace(response, headers={**response.headers, "Pagination-Count": "151"})

        api.sandbox.api = handle
        ended = ask(api, "--all", "-q")

    assert ended.code == ended.summary["exit_code"] == 1
    assert "the server counts 151 licenses, and has shown 150" in ended.err
    assert len(listed()) == 150


def test_pages_that_are_smaller_than_was_asked_for_leave_nothing_out() -> None:
    for options in ({"page_limit": 30}, {"page_limit": 1, "pagination": False}):
        small = Account.generate(65, seed=1)
        with served(small, **options) as api:
            ended = ask(api, "--all", "--overwrite")

        assert (ended.code, listed()) == (0, [each.id for each in small])


@pytest.mark.parametrize("pagination", [True, False])
def test_licenses_of_one_moment_are_all_listed(pagination: bool) -> None:
    account = Account.generate(420, seed=2)
    licenses = list(account)
    for license_ in licenses[100:350]:
        license_.created = licenses[100].created
    with served(account, pagination=pagination) as api:
        ended = ask(api, "--not-revoked")

    assert ended.code == 0
    assert sorted(listed()) == sorted(each.id for each in licenses if not each.revoked)


@pytest.mark.parametrize(
    "options",
    [
        ["--product", PRODUCTS[0].id, "--product", PRODUCTS[1].id],
        ["--unused-since", long_ago(180)],
        ["--product", PRODUCTS[0].id, "--unused-since", long_ago(180)],
    ],
)
def test_nothing_is_doubted_of_licenses_of_one_moment_that_filters_tell_apart(
    options: list[str],
) -> None:
    account = Account.generate(900, seed=2)
    licenses = list(account)
    for license_ in licenses[:800]:
        license_.created = licenses[0].created
    with served(account) as api:
        ended = ask(api, *options)

    assert listed()
    assert ended.code == 0


def test_an_account_that_is_listed_in_no_order_is_listed_whole() -> None:
    account = Account.holding([each.id for each in Account.generate(250)], seed=4)
    with served(account) as api:
        ended = ask(api, "--all")

    assert ended.code == 0
    assert sorted(listed()) == sorted(each.id for each in account)


def test_the_same_page_for_ever_is_no_list() -> None:
    with served(Account.generate(300), pagination=False) as api:
        handler = api.sandbox.api
        api.sandbox.api = lambda request: handler(replace(request, query=[("limit", "100")]))
        ended = ask(api, "--all")

    assert ended.code == 3
    assert "shows only what earlier pages have shown" in ended.err
    assert not list(Path().iterdir())


def test_trouble_costs_time_and_no_license(account: Account) -> None:
    with served(account) as api:
        for kind in ("reset_after", "truncated", 503):
            api.fail_all(kind, times=1)
        ended = ask(api, "--all")

    assert (ended.code, listed()) == (0, [each.id for each in account])


def test_a_token_that_may_not_read_leaves_no_file(account: Account) -> None:
    with served(account, tokens={TOKEN: frozenset({"license:write"})}) as api:
        ended = ask(api, "--all")

    assert ended.code == 3
    assert "the token may not read licenses" in ended.err
    assert "no list was written" in ended.err
    assert not list(Path().iterdir())


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no such signal")
def test_a_list_that_is_interrupted_leaves_no_file(account: Account) -> None:
    with served(account, latency=(0.1, 0.1)) as api:
        process = subprocess.Popen(
            [sys.executable, "-m", "batch", "list", "--all", "-o", OUT, "--base-url", api.base_url],
            stderr=subprocess.PIPE,
            text=True,
        )
        while not api.sandbox.requests and process.poll() is None:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)

    assert process.returncode == 130
    assert "no list was written" in said
    assert not list(Path().iterdir())


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no such signal")
def test_a_list_that_is_killed_leaves_nothing_of_any_license(account: Account) -> None:
    with served(account, latency=(0.1, 0.1)) as api:
        process = subprocess.Popen(
            [sys.executable, "-m", "batch", "list", "--all", "-o", OUT, "--base-url", api.base_url]
        )
        while api.sandbox.requests < 3 and process.poll() is None:
            time.sleep(0.02)
        process.kill()
        process.wait()

        assert [each.name for each in Path().iterdir()] == [f"{OUT}.lock"]
        assert ask(api, "--all").code == 0
    assert [each.name for each in Path().iterdir()] == [OUT]


def test_a_signal_with_the_last_answer_leaves_no_file(
    api: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def read(paging: Paging, _: object) -> None:
        paging.client.stop(InterruptedRunError(signal.SIGTERM))

    monkeypatch.setattr(Paging, "read", read)

    ended = ask(api, "--all")

    assert ended.code == 143
    assert not list(Path().iterdir())


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no such signal")
def test_a_signal_while_the_list_takes_the_place_of_another_one_changes_nothing(
    api: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(path: Path) -> None:
        set_aside(path)
        signal.raise_signal(signal.SIGTERM)

    Path(OUT).write_text("mine", encoding="utf-8")
    monkeypatch.setattr(license_list, "set_aside", interrupted)

    ended = ask(api, "--tag", "oem", "--overwrite")

    assert ended.code == 0
    assert listed()


def test_another_run_against_the_same_api_is_not_disturbed(api: Served) -> None:
    owner = lock.Owner("0badcafe", "run", "me", 1, "")
    path = Path(os.environ["BULK_REVOKE_LIST_LOCK_DIR"]) / lock.api_name(api.base_url)
    requests = api.sandbox.requests
    with lock.held(path, owner, wait=None, timeout=1, say=print, what="it"):
        ended = ask(api, "--all")

    assert ended.code == 4
    assert "another run on this host is at work" in ended.err
    assert (api.sandbox.requests, list(Path().iterdir())) == (requests, [])


@pytest.mark.parametrize("wherever_it_runs", [True, False])
def test_results_of_a_run_at_work_are_not_set_aside(wherever_it_runs: bool, api: Served) -> None:
    owner = lock.Owner("0badcafe", "run", "me", 1, "")
    Path(OUT).write_text("its rows", encoding="utf-8")
    path = Path(os.environ["BULK_REVOKE_LIST_LOCK_DIR"]) / lock.results_name(Path(OUT))
    with (
        claim.held(Path(OUT), owner, wait=None, say=print)
        if wherever_it_runs
        else lock.held(path, owner, wait=None, timeout=1, say=print, what="it")
    ):
        ended = ask(api, "--all", "--overwrite")

    assert ended.code == 4
    assert [each.name for each in Path().iterdir()] == [OUT]
    assert Path(OUT).read_text(encoding="utf-8") == "its rows"


def test_a_disk_that_takes_no_more_leaves_no_file(
    api: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: LicenseList) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(LicenseList, "flush", full)

    ended = ask(api, "--all")

    assert ended.code == 3
    assert f"{OUT}: cannot be written: No space left on device" in ended.err
    assert not list(Path().iterdir())


def test_what_is_put_there_meanwhile_is_not_replaced(
    api: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    flush = LicenseList.flush

    def meanwhile(lines: LicenseList) -> None:
        Path(OUT).write_text("mine", encoding="utf-8")
        flush(lines)

    monkeypatch.setattr(LicenseList, "flush", meanwhile)

    ended = ask(api, "--all")

    assert ended.code == 2
    assert "it has appeared meanwhile" in ended.err
    assert Path(OUT).read_text(encoding="utf-8") == "mine"


def test_no_token_stands_in_the_file(account: Account) -> None:
    odd = next(each for each in account if each.customer)
    customer, odd.customer = odd.customer, replace_company(odd, f"x {TOKEN}")
    with served(account) as api:
        ended = ask(api, "--all")
    odd.customer = customer

    assert ended.code == 0
    assert TOKEN not in Path(OUT).read_text(encoding="utf-8")


def test_a_log_names_no_filter(api: Served) -> None:
    ended = ask(api, "--company", "Secret Ltd", "--log-file", "log.jsonl", "-v")

    events = [json.loads(line) for line in Path("log.jsonl").read_text().splitlines()]
    assert ended.code == 0
    assert "Secret" not in Path("log.jsonl").read_text(encoding="utf-8")
    assert [each["event"] for each in events] == ["started", *["attempt"] * 2, "ended"]
    assert events[-1]["message"] == "exit code 0: listed 0, listed_revoked 0, listed_suspended 0"


def test_an_empty_list_is_a_list_and_no_command_comes_next(api: Served) -> None:
    ended = ask(api, "--tag", "never seen")

    assert ended.code == 0
    assert "0 licenses are listed" in ended.err
    assert "next:" not in ended.err
    assert Path(OUT).read_text(encoding="utf-8") == ",".join(LIST_COLUMNS) + "\n"


def test_what_is_said_is_what_was_asked_for_and_the_command_that_comes_next(api: Served) -> None:
    ended = ask(api, "--tag", "oem", "--not-revoked", "--created-to", "2030-01-31")

    assert "  tag oem\n  created to 2030-01-31\n  not revoked\n" in ended.err
    assert ended.summary["hint"] == (
        f"bulk-revoke run {OUT} --dry-run --base-url {api.base_url} --rate none"
    )
    assert f"next:    {ended.summary['hint']}" in ended.err


def test_what_differs_in_capital_letters_alone_is_counted_and_not_listed() -> None:
    account = Account.generate(30)
    first, second = [each for each in account if each.customer][:2]
    first.customer = replace_company(first, "Acme Inc")
    second.customer = replace_company(second, "ACME Inc")

    with served(account) as api:
        handler = api.sandbox.api

        def whatever_the_case(request: Request) -> Response:
            """As a server whose database does not tell them apart."""
            kept = [each for each in request.query if not each[0].startswith("user.")]
            return handler(replace(request, query=kept))

        api.sandbox.api = whatever_the_case
        ended = ask(api, "--company", "Acme Inc")

    assert listed() == [first.id]
    assert "not listed: 1 license of which all of this holds but for capital letters" in ended.err


def test_a_blank_in_a_variable_is_a_part_of_the_value(
    api: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BULK_REVOKE_LIST_COMPANY", "Acme Inc\nRoe, Ltd\n")

    assert "  company Acme Inc or Roe, Ltd\n" in ask(api).err


def test_a_server_that_takes_no_such_filter_is_told_with_what_to_do(account: Account) -> None:
    with served(account) as api:
        api.fail_all(400)
        ended = ask(api, "--tag", "oem")

    assert ended.code == 3
    assert "leave out one after the other" in ended.err


def test_a_list_whose_claim_is_lost_is_not_put_there(
    api: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(_: object) -> None:
        raise OSError(errno.EEXIST, "another run has claimed them")

    monkeypatch.setattr(claim.Claim, "check", lost)

    ended = ask(api, "--all")

    assert ended.code == 2
    assert "another run has claimed them" in ended.err
    assert not Path(OUT).exists()


def test_no_value_of_a_filter_is_broken_at_a_hyphen(api: Served) -> None:
    ids = [f"{n}bcdefab-cdef-4abc-8def-abcdefabcdef" for n in range(4)]

    ended = ask(api, *(word for each in ids for word in ("--product", each)))

    assert all(each in ended.err for each in ids)


def test_the_next_command_reaches_the_same_api_in_the_same_way(api: Served) -> None:
    Path("token").write_text(TOKEN, encoding="utf-8")
    Path("token").chmod(0o600)
    Path("p.toml").write_text('[list]\ntag = ["oem"]\n', encoding="utf-8")

    ended = ask(api, "--token-file", "token", "--config", "p.toml", "--overwrite", "--timeout", "9")

    assert ended.summary["hint"] == (
        f"bulk-revoke run {OUT} --dry-run --base-url {api.base_url} --token-file token --rate none"
        " --timeout 9.0 --config p.toml"
    )


def test_the_metrics_say_how_it_ended(api: Served) -> None:
    ended = ask(api, "--tag", "oem", "--metrics-file", "list.prom")

    metrics = Path("list.prom").read_text(encoding="utf-8")
    labels = '{command="list",name="list"}'
    assert f"bulk_revoke_last_run_exit_code{labels} 0.0" in metrics
    assert f"bulk_revoke_last_run_requests{labels} {ended.summary['requests']}.0" in metrics
    assert f"bulk_revoke_last_run_patches{labels} 0.0" in metrics


@pytest.mark.parametrize("option", ["--log-file", "--token-file", "--metrics-file"])
def test_a_list_does_not_take_the_place_of_another_file_of_the_command(
    option: str, api: Served
) -> None:
    Path("other.prom").write_text(TOKEN, encoding="utf-8")

    ended = ask(api, "--all", option, "other.prom", "-o", "other.prom", "--overwrite")

    assert ended.code == 2
    assert Path("other.prom").read_text(encoding="utf-8") == TOKEN


def test_quiet_is_quiet(api: Served) -> None:
    assert ask(api, "--tag", "oem", "-q").err == ""


def test_a_profile_has_a_table_for_it(api: Served) -> None:
    Path("p.toml").write_text('[list]\ntag = ["oem"]\nrevoked = false\n', encoding="utf-8")

    ended = ask(api, "--config", "p.toml")

    assert ended.code == 0
    assert {row["revoked"] for row in table(OUT)} == {"false"}
    assert all("oem" in row["tags"] for row in table(OUT))


def test_a_profile_cannot_say_all(api: Served) -> None:
    Path("p.toml").write_text("[list]\nall = true\n", encoding="utf-8")

    assert ask(api, "--config", "p.toml").code == 2


def test_the_pace_is_kept(account: Account) -> None:
    with served(account, rate=(50, 5.0)) as paced:
        ended = ask(paced, "--all", "--rate", "45/5s")

        assert ended.code == 0
        assert paced.sandbox.count_429 == 0


def test_a_spreadsheet_reads_the_file_as_one_row_for_each_license(api: Served) -> None:
    ended = ask(api, "--all")

    with Path(OUT).open(newline="", encoding="utf-8") as file:
        assert len(list(csv.reader(file))) == ended.summary["licenses"] + 1


def test_a_part_of_a_list_can_be_run_by_its_columns(api: Served) -> None:
    ask(api, "--all")
    trial = api.execute(
        ["run", OUT, "--dry-run", "--where", "revoked=true", "--base-url", api.base_url,
         "--rate", "none", *YES]
    )  # fmt: skip

    assert trial.counts.keys() == {"already_revoked", "excluded"}
