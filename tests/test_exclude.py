"""Licenses that are never to be touched."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import xlsxwriter

from batch.sandbox import Account
from tests.harness import some_ids
from tests.served import Served, served, write

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
