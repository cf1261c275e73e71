"""Licenses that are never to be touched."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import xlsxwriter

from batch.sandbox import TOKEN, Account
from tests.support.commands import Served, served, write
from tests.support.job_harness import some_ids

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

IDS = some_ids(12)
STRANGER = some_ids(1, seed=7)[0]
RUN = ("run", "list.csv")


@pytest.fixture(autouse=True)
def home(at_home: None) -> None:  # noqa: ARG001 - it comes first
    write("list.csv", IDS)


@pytest.fixture
def api() -> Iterator[Served]:
    with served(Account.holding(IDS)) as api:
        yield api


def as_text(ids: list[str]) -> str:
    return write("no.csv", ids)


def as_workbook(ids: list[str]) -> str:
    with xlsxwriter.Workbook("no.xlsx") as book:
        book.add_worksheet().write_column(0, 0, ["License ID", *map(str.upper, ids)])
    return "no.xlsx"


def as_results(ids: list[str]) -> str:
    write("no.csv", ids)
    with served(Account.holding(ids[:1])) as other:
        assert other.run("run", "no.csv").counts == {"revoked": 1, "not_found": len(ids) - 1}
    return "no.results.csv"


@pytest.mark.parametrize("make", [as_text, as_workbook, as_results])
def test_a_license_that_is_excluded_is_never_touched(
    api: Served, make: Callable[[list[str]], str]
) -> None:
    path = make([IDS[2], IDS[5], STRANGER])
    write("list.csv", [*IDS, IDS[2]])

    ended = api.run(*RUN, "--exclude", path)

    assert ended.code == 0
    assert sorted(api.patches()) == sorted(set(IDS) - {IDS[2], IDS[5]})
    assert ended.counts == {"revoked": 10, "excluded": 3}
    assert ended.column("outcome")[2] == ended.column("outcome")[12] == "excluded"
    assert {row["was_revoked"] for row in ended.rows if row["outcome"] == "excluded"} == {""}


def test_a_journal_excludes_what_it_has_planned_as_well(api: Served) -> None:
    write("other.csv", IDS[:4])
    other = api.run("run", "other.csv", "--limit", "1").summary["results"]
    Path(other).write_text(Path(other).read_text().replace("not_attempted", "planned"))

    ended = api.run(*RUN, "--exclude", other)

    assert ended.counts == {"revoked": 8, "excluded": 4}
    assert api.revoked() == {IDS[0], *IDS[4:]}


def test_a_row_without_a_license_excludes_nothing_and_does_not_stand_in_the_way(
    api: Served,
) -> None:
    write("other.csv", [IDS[0], "nonsense"])
    other = api.run("run", "other.csv", "--skip-invalid").summary["results"]
    api.turn(IDS[0], revoked=False)

    ended = api.run(*RUN, "--exclude", other)

    assert ended.counts == {"revoked": 11, "excluded": 1}
    assert IDS[0] not in api.revoked()


def test_every_file_to_exclude_counts(api: Served) -> None:
    write("one.csv", IDS[:2])
    write("two.csv", IDS[1:3])

    ended = api.run(*RUN, "--exclude", "one.csv", "--exclude", "two.csv")

    assert ended.counts == {"revoked": 9, "excluded": 3}
    assert api.revoked() == set(IDS[3:])


def test_a_license_that_is_excluded_is_not_even_read(api: Served) -> None:
    write("one.csv", IDS[:2])
    api.fail_all(400, on="LIST")

    api.run(*RUN, "--exclude", "one.csv")

    assert set(api.reads()) & set(IDS) == set(IDS[2:])


def test_a_license_that_is_listed_by_id_is_excluded_by_the_key_that_the_server_knows(
    api: Served,
) -> None:
    key = api.sandbox.account.licenses[IDS[3]].key
    Path("no.csv").write_text(f"Kunde;Schlüssel\nAcme;{key}\n;{STRANGER}\n")

    ended = api.run(*RUN, "--exclude", "no.csv")

    assert ended.column("outcome")[3] == "excluded"
    assert api.revoked() == set(IDS) - {IDS[3]}
    assert f"exclude:  no.csv: 2 rows, protects 1 license\n  row 5  {IDS[3]}  " in ended.err


def test_a_license_of_which_the_key_is_not_known_is_not_sent_where_keys_are_excluded(
    api: Served,
) -> None:
    api.fail_all(400, on="LIST")
    api.fail(IDS[3], 409, on="GET", times=None)
    Path("no.csv").write_text(f"Kunde;Schlüssel\nAcme;K-1\n;{STRANGER}\n")

    ended = api.run(*RUN, "--exclude", "no.csv")

    assert ended.column("outcome")[3] == "unknown"
    assert api.revoked() == set(IDS) - {IDS[3]}


def test_a_token_that_may_not_read_is_not_enough_where_keys_are_excluded() -> None:
    Path("no.csv").write_text(f"Kunde;Schlüssel\nAcme;K-1\n;{STRANGER}\n")
    with served(Account.holding(IDS), tokens={TOKEN: frozenset({"license:write"})}) as api:
        ended = api.run(*RUN, "--exclude", "no.csv")

    assert ended.code == 3
    assert "license:read" in ended.err


def test_each_file_says_what_it_protects_and_one_that_protects_nothing_is_a_warning(
    api: Served,
) -> None:
    write("one.csv", IDS[:11])
    write("two.csv", [STRANGER])

    for command in (RUN, ("verify", "list.csv")):
        said = api.run(*command, "--exclude", "one.csv", "--exclude", "two.csv").err
        assert "exclude:  one.csv: 11 rows, protects 11 licenses" in said
        assert f"  row 11  {IDS[9]}\n  and 1 more\n" in said
        assert "warning: --exclude two.csv: 1 row, protects no license of this list" in said


def test_files_that_protect_every_license_are_refused(api: Served) -> None:
    write("one.csv", IDS[:6])
    write("two.csv", IDS[6:])

    for command in (RUN, ("verify", "list.csv")):
        ended = api.run(*command, "--exclude", "one.csv", "--exclude", "two.csv")
        assert ended.code == 2
        assert "--exclude protects all of its 12 licenses" in ended.err
        assert api.reads() == []


def test_a_keep_list_in_the_second_sheet_of_a_workbook_is_heeded(api: Served) -> None:
    with xlsxwriter.Workbook("no.xlsx") as book:
        book.add_worksheet("Legende").write(0, 0, "Diese Kunden bleiben")
        sheet = book.add_worksheet("Kunden")
        sheet.write_column(0, 1, ["Lizenz", IDS[2], f"{{{IDS[5].upper()}}}"])
        sheet.hide()

    ended = api.run(*RUN, "--exclude", "no.xlsx")

    assert api.revoked() == set(IDS) - {IDS[2], IDS[5]}
    assert "exclude:  no.xlsx: 3 rows, protects 2 licenses" in ended.err
