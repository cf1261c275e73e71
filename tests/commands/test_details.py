"""What results say of each license beside its outcome: what the look saw, as a list spells it."""

from __future__ import annotations

import csv
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from batch.cli import run_command
from batch.columns import COLUMNS, DETAILS, HEADERS
from batch.sandbox import Account
from batch.sandbox.license import TICKS, Customer
from tests.support.commands import Ended, Served, served, write
from tests.support.job_harness import some_ids
from tests.support.programs import program
from tests.support.results_files import long_ago, table

if TYPE_CHECKING:
    from collections.abc import Iterator

IDS = some_ids(10)
RESULTS = "list.results.csv"
NONE = ("",) * len(DETAILS)


@pytest.fixture(autouse=True)
def home(at_home: None) -> None:  # noqa: ARG001 - it comes first
    write("list.csv", [*IDS, IDS[9]])


def customer(company: str) -> Customer:
    return Customer(some_ids(1)[0], "Ada", "Lind", f"ada@{len(company)}.example.com", company)


@pytest.fixture
def api() -> Iterator[Served]:
    """An account in which each company has three licenses or more."""
    account = Account.holding(IDS)
    for place, license_id in enumerate(IDS):
        company = ("=1+1, Inc.", "ACME", "Two\nlines")[place % 3]
        account.licenses[license_id].customer = customer(company)
    with served(account) as api:
        yield api


def details(path: str | Path) -> dict[str, tuple[str, ...]]:
    """The details in a results file, or in a list, by license ID."""
    return {row["license_id"]: tuple(row[name] for name in DETAILS) for row in table(path)}


def listed(api: Served) -> dict[str, tuple[str, ...]]:
    """What a list says of every license of the account."""
    where = ("--base-url", api.base_url, "--rate", "none")
    assert run_command(["list", "--all", "-o", "all.csv", "--overwrite", *where, "-q"]) == 0
    return details("all.csv")


def header(ended: Ended) -> tuple[str, ...]:
    return tuple(ended.rows[0])


def test_every_command_says_of_each_license_what_a_list_says(api: Served) -> None:
    api.turn(IDS[0], revoked=True)
    before = listed(api)
    assert before.keys() == {*IDS}

    commands = [
        ("run", "list.csv", "--dry-run"),
        ("verify", "list.csv"),
        ("suspend", "list.csv", "-o", "suspended.csv"),
        ("restore", "suspended.csv"),
        ("run", "list.csv"),
        ("verify", RESULTS),
        ("restore", RESULTS),
    ]
    for command in commands:
        ended = api.run(*command)
        if "suspended.csv" in command or RESULTS in ended.summary["results"]:
            long_ago(Path(ended.summary["results"]))
        assert header(ended)[len(COLUMNS) :] == DETAILS
        assert header(ended)[: len(COLUMNS)] in HEADERS
        found = details(ended.summary["results"])
        assert found == {each: before[each] for each in found}
        assert len(found) >= 9
    assert {cells[DETAILS.index("company")] for cells in before.values()} == {
        "'=1+1, Inc.", "ACME", "Two\\nlines",
    }  # fmt: skip


def test_a_license_that_expires_at_the_end_of_the_calendar_stops_nothing(api: Served) -> None:
    last = 253_402_300_800 * TICKS - 1  # as .NET spells "never" where it has no null
    api.call(setattr, api.sandbox.account.licenses[IDS[3]], "expires", last)

    tried = api.run("run", "list.csv", "--dry-run", "--report", "page.html")
    ended = api.run("run", "list.csv", "--approved", "list.dry-run.csv")

    end = DETAILS.index("expires_at")
    assert listed(api)[IDS[3]][end] == details(RESULTS)[IDS[3]][end] == "9999-12-31T23:59:59.999Z"
    assert tried.code == ended.code == 0
    assert Path("page.html").exists()


def test_a_rehearsal_has_them_too(api: Served) -> None:
    ended = api.run("run", "list.csv", "--sandbox")

    assert header(ended) == (*COLUMNS, *DETAILS)
    assert all(ended.column("product_id"))
    assert any(ended.column("user_email"))


def test_they_are_on_the_disk_before_anything_is_sent(api: Served) -> None:
    before = listed(api)
    api.fail_all(401, on="PATCH")

    ended = api.run("run", "list.csv")

    assert ended.code == 3
    assert set(ended.column("outcome")) <= {"not_attempted", "failed", "unknown"}
    assert details(RESULTS) == before


def test_a_row_that_repeats_a_license_has_those_of_the_license(api: Served) -> None:
    ended = api.run("run", "list.csv")

    *_, first, second = ended.rows
    assert second["duplicate_of"] == first["row"]
    assert all(first[name] == second[name] for name in DETAILS)
    assert first["user_email"]


@pytest.mark.parametrize("option", ["--no-look", "--no-details"])
def test_without_a_look_or_where_nobody_wants_them_there_are_none(api: Served, option: str) -> None:
    ended = api.run("run", "list.csv", option, "--carry", "license_id")

    assert (ended.code, header(ended)) == (0, COLUMNS)
    with Path(RESULTS).open(encoding="utf-8", newline="") as file:
        assert next(csv.reader(file)) == [*COLUMNS, "license_id"]


def test_a_token_that_may_not_read_leaves_none(api: Served) -> None:
    api.fail_all(403, on="GET")
    api.fail_all(403, on="LIST")

    ended = api.run("run", "list.csv")

    assert (ended.code, header(ended)) == (0, COLUMNS), ended.err


def test_what_was_not_looked_at_has_none(api: Served) -> None:
    write("keep.csv", IDS[:2])

    api.run("run", "list.csv", "--exclude", "keep.csv")

    found = details(RESULTS)
    assert [found[each] == NONE for each in IDS] == [True] * 2 + [False] * 8


def test_a_resumed_run_keeps_those_of_rows_that_it_does_not_look_at_again(api: Served) -> None:
    api.run("run", "list.csv", "--limit", "4")
    before = details(RESULTS)
    for each in IDS:
        api.call(setattr, api.sandbox.account.licenses[each], "customer", customer("Renamed"))

    ended = api.run("run", "list.csv", "--resume")

    assert ended.code == 0
    now, company = details(RESULTS), DETAILS.index("company")
    assert {each: now[each] for each in IDS[:4]} == {each: before[each] for each in IDS[:4]}
    assert {now[each][company] for each in IDS[4:]} == {"Renamed"}
    *_, first, second = ended.rows
    assert all(first[name] == second[name] for name in DETAILS)


@pytest.mark.parametrize("option", ["--no-look", "--no-details", "--details"])
@pytest.mark.parametrize("carry", [(), ("--carry", "license_id")])
def test_a_resumed_run_leaves_the_form_of_the_file_as_it_is(
    api: Served, option: str, carry: tuple[str, ...]
) -> None:
    api.run("run", "list.csv", "--limit", "4", *carry)
    before, first = details(RESULTS), Path(RESULTS).read_text().splitlines()[0]

    ended = api.run("run", "list.csv", "--resume", option, *carry)

    assert (ended.code, ended.counts) == (0, {"revoked": 11})
    assert Path(RESULTS).read_text().splitlines()[0] == first
    assert details(RESULTS) == before


def test_a_run_that_goes_on_with_a_file_without_them_adds_none(api: Served) -> None:
    api.run("run", "list.csv", "--limit", "4", "--no-details")

    ended = api.run("run", "list.csv", "--resume")

    assert (ended.code, header(ended), ended.counts) == (0, COLUMNS, {"revoked": 11})


def test_what_is_gone_meanwhile_keeps_those_that_were_seen(api: Served) -> None:
    api.run("run", "list.csv", "--limit", "4")
    before = details(RESULTS)
    api.call(api.sandbox.account.remove, IDS[6])

    ended = api.run("run", "list.csv", "--resume")

    assert ended.counts == {"revoked": 10, "not_found": 1}
    assert details(RESULTS) == before


CARRIED = "license_id,company,Customer\n" + "".join(
    f"{each},{'own' if place < 4 else 'other'},{'a' if place < 6 else 'b'}\n"
    for place, each in enumerate(IDS)
)


@pytest.mark.parametrize("at_first", [True, False])
def test_columns_that_look_like_them_are_carried_for_themselves(
    api: Served, at_first: bool
) -> None:
    """Eight carried columns of the same names, in a file without details, are no details."""
    cells = [f"{name}!" for name in DETAILS]
    lines = [",".join(["license_id", *DETAILS]), *(",".join([each, *cells]) for each in IDS)]
    Path("list.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    carry = [part for name in DETAILS for part in ("--carry", name)]
    before = carry if at_first else []
    api.run("run", "list.csv", "--limit", "4", "--no-details", *before)
    api.run("run", "list.csv", "--limit", "2", "--resume", *carry)

    ended = api.run("run", "list.csv", "--resume", *carry)

    assert (ended.code, ended.counts) == (0, {"revoked": 10})
    assert header(ended) == (*COLUMNS, *DETAILS)
    assert set(details(RESULTS).values()) == {tuple(cells)}


def test_a_part_of_a_run_is_taken_back_by_its_company(api: Served) -> None:
    api.run("run", "list.csv")
    long_ago(Path(RESULTS))

    ended = api.run("restore", RESULTS, "--where", "company=ACME")

    assert ended.code == 0
    assert {*IDS} - api.revoked() == {*IDS[1::3]}


def test_a_name_that_a_carried_column_has_too_is_refused_and_its_number_taken(api: Served) -> None:
    Path("list.csv").write_text(CARRIED, encoding="utf-8")
    api.run("run", "list.csv", "--carry", "company", "--carry", "Customer")
    long_ago(Path(RESULTS))

    refused = api.run("restore", RESULTS, "--where", "company=ACME")
    ended = api.run("restore", RESULTS, "--where", f"{len(COLUMNS) + len(DETAILS) + 1}=own")

    assert (refused.code, "several columns of that name" in refused.err) == (2, True)
    assert "18 is the first" in refused.err
    assert ended.code == 0
    assert {*IDS} - api.revoked() == {*IDS[:4]}


def test_what_was_carried_is_carried_on_beside_what_is_looked_up_anew(api: Served) -> None:
    Path("list.csv").write_text(CARRIED, encoding="utf-8")
    api.run("run", "list.csv", "--limit", "4", "--carry", "company")
    before = listed(api)

    api.run("run", RESULTS, "--carry", "company", "-o", "again.csv")

    with Path("again.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    at = len(COLUMNS)
    assert rows[0] == [*COLUMNS, *DETAILS, "company"]
    assert {row[1]: tuple(row[at : at + len(DETAILS)]) for row in rows[1:]} == {
        each: before[each] for each in IDS[4:]
    }
    assert {row[-1] for row in rows[1:]} == {"other"}


def reordered(rows: list[list[str]]) -> list[list[str]]:
    return [row[::-1] for row in rows]


def with_a_column_in_front(rows: list[list[str]]) -> list[list[str]]:
    return [["note", *rows[0]], *(["", *row] for row in rows[1:])]


@pytest.mark.parametrize("change", [reordered, with_a_column_in_front, list])
def test_results_that_were_rearranged_are_results_still(api: Served, change: object) -> None:
    assert callable(change)
    api.run("run", "list.csv", "--limit", "4")
    with Path(RESULTS).open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    with Path("changed.txt").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(change(rows))

    some = api.run("run", "changed.txt", "--where", "company=ACME", "-o", "part.csv")
    rest = api.run("run", "changed.txt", "-o", "rest.csv")

    assert (some.code, some.counts) == (0, {"revoked": 2, "excluded": 5})
    assert (rest.code, rest.counts) == (0, {"revoked": 5, "already_revoked": 2})
    assert api.revoked() == {*IDS}


def test_a_number_of_activations_protects_no_key(api: Served) -> None:
    api.run("run", "list.csv", "--dry-run")
    numbers = {row["activations"] for row in table("list.dry-run.csv")}
    Path("keys.csv").write_text("\n".join(["license key", *sorted(numbers), "X-1", ""]))

    ended = api.run("verify", "keys.csv", "--by", "key", "--exclude", "list.dry-run.csv")

    assert "excluded" not in ended.counts
    assert ended.counts["not_found"] == len(numbers) + 1


def test_what_libreoffice_has_saved_again_is_restored(api: Served, tmp_path: Path) -> None:
    api.turn(IDS[0], revoked=True)
    api.run("run", "list.csv")
    long_ago(Path(RESULTS))
    subprocess.run(
        [
            program("soffice"), f"-env:UserInstallation=file://{tmp_path}/office", "--headless",
            "--convert-to", "csv:Text - txt - csv (StarCalc):44,34,76,1,,0,false,true,false",
            "--outdir", str(tmp_path / "saved"), RESULTS,
        ],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    shutil.copyfile(tmp_path / "saved" / RESULTS, RESULTS)

    part = api.run("restore", RESULTS, "--where", "company=ACME", "-o", "part.csv")
    rest = api.run("restore", RESULTS)

    assert (part.code, rest.code) == (0, 0)
    assert api.revoked() == {IDS[0]}
