"""A part of a list, or of results, is meant: ``--where``, from the command to the server."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from batch.sandbox import Account
from tests.support.commands import Served, manifest, served
from tests.support.job_harness import some_ids

if TYPE_CHECKING:
    from collections.abc import Iterator

IDS = some_ids(6)
ACTIONS = ("revoke", "KEEP", "revoke", "keep - paid", "revoke", "Skip")
CHOSEN = [IDS[0], IDS[2], IDS[4]]
WHERE = ("--where", "Action=revoke")
RUN = ("run", "list.csv", *WHERE)
RESULTS = "list.results.csv"
NOT_SELECTED = "not selected by --where"


@pytest.fixture(autouse=True)
def home(at_home: None) -> None:  # noqa: ARG001 - it comes first
    decided(*ACTIONS)


def decided(*actions: str) -> None:
    """A list with a decision in each row."""
    rows = zip(IDS, actions, strict=True)
    lines = (f"{license_id},c,{action}\n" for license_id, action in rows)
    Path("list.csv").write_text("license_id,customer,Action\n" + "".join(lines))


@pytest.fixture
def api() -> Iterator[Served]:
    with served(Account.holding(IDS)) as api:
        yield api


def test_what_is_not_selected_is_excluded_and_neither_read_nor_sent(api: Served) -> None:
    api.fail_all(400, on="LIST")

    ended = api.run(*RUN)

    assert ended.code == 0
    assert sorted(api.patches()) == sorted(CHOSEN)
    assert set(api.reads()).isdisjoint({IDS[1], IDS[3], IDS[5]})
    assert ended.column("outcome") == ["revoked", "excluded"] * 3
    assert ended.column("error") == ["", NOT_SELECTED] * 3
    assert ended.column("license_id") == IDS
    assert (ended.summary["rows"], ended.summary["licenses"]) == (6, 3)
    assert "all 3 licenses are revoked (exit 0)" in ended.err
    assert manifest(RESULTS)["options"]["where"] == ["Action=revoke"]


def test_the_plan_shows_what_else_stands_in_the_column(api: Served) -> None:
    decided("revoke", "Revoke", "revoke", "keep", "keep", "keep")

    ended = api.run(*RUN, "--dry-run")

    assert "2 licenses (6 rows: 4 not selected by --where)" in ended.err
    assert 'Action=revoke: 2 of 6 rows. The column holds "revoke" 2, "Revoke" 1,' in ended.err
    assert "others:" not in ended.err
    assert "dry run: 2 of 2 licenses would be revoked" in ended.err


def test_a_row_that_is_not_selected_may_hold_no_license(api: Served) -> None:
    text = Path("list.csv").read_text()
    Path("list.csv").write_text(text.replace(IDS[1], "to be told").replace(IDS[3], ""))

    first = api.run(*RUN, "--limit", "1")
    ended = api.execute(shlex.split(first.summary["hint"])[1:])

    assert (first.code, ended.code) == (0, 0)
    assert ended.column("outcome") == ["revoked", "excluded"] * 3
    assert ended.column("license_id")[1:4] == ["to be told", IDS[2], ""]
    assert "all 3 licenses are revoked (exit 0)" in ended.err


def test_the_command_that_goes_on_selects_the_same_rows(api: Served) -> None:
    pilot = api.run(*RUN, "--limit", "1", "--where", "customer=c")
    words = shlex.split(pilot.summary["hint"])

    ended = api.execute(words[1:])

    assert [words[at + 1] for at, word in enumerate(words) if word == "--where"] == [
        "Action=revoke", "customer=c",
    ]  # fmt: skip
    assert ended.code == 0
    assert ended.counts == {"revoked": 3, "excluded": 3}
    assert sorted(api.patches()) == sorted(CHOSEN)


@pytest.mark.parametrize(
    "other", [(), ("--where", "Action=KEEP"), (*WHERE, "--where", "customer=c")]
)
def test_a_run_is_not_gone_on_with_by_another_selection(
    api: Served, other: tuple[str, ...]
) -> None:
    api.run(*RUN, "--limit", "1")

    refused = api.run("run", "list.csv", "--resume", *other)

    assert refused.code == 2
    assert "its run had another --where" in refused.err
    assert "It was Action=revoke" in refused.err
    assert "repeat it as it was then" in refused.err
    assert api.run(*RUN, "--resume").counts == {"revoked": 3, "excluded": 3}


def test_a_run_of_all_rows_is_not_gone_on_with_by_a_part_of_them(api: Served) -> None:
    api.run("run", "list.csv", "--limit", "1")

    assert "its run had another --where" in api.run(*RUN, "--resume").err


def test_the_order_and_the_spelling_of_conditions_do_not_matter(api: Served) -> None:
    api.run(*RUN, "--where", "customer=c", "--limit", "1")

    ended = api.run(
        "run", "list.csv", "--where", " customer = c ", "--where", "Action=revoke", "--resume"
    )

    assert ended.counts == {"revoked": 3, "excluded": 3}


def test_the_command_that_a_dry_run_names_does_what_it_says(api: Served) -> None:
    tried = api.run(*RUN, "--dry-run")

    ended = api.execute(shlex.split(tried.summary["hint"])[1:])

    assert sorted(api.patches()) == sorted(CHOSEN)
    assert ended.counts == {"revoked": 3, "excluded": 3}


def test_a_profile_takes_conditions_as_a_list(api: Served) -> None:
    Path("profile.toml").write_text('[run]\nwhere = ["Action=revoke", "customer=c"]\n')

    ended = api.run("run", "list.csv", "--config", "profile.toml")

    assert sorted(api.patches()) == sorted(CHOSEN)
    assert ended.counts == {"revoked": 3, "excluded": 3}


def test_what_is_excluded_as_well_is_a_part_of_what_is_selected(api: Served) -> None:
    Path("no.csv").write_text(f"{IDS[0]}\n{IDS[1]}\n")

    ended = api.run(*RUN, "--exclude", "no.csv")

    assert "protects 1 license" in ended.err
    assert ended.column("error") == [
        "listed in --exclude", NOT_SELECTED, "", NOT_SELECTED, "", NOT_SELECTED,
    ]  # fmt: skip


def test_rows_of_the_list_are_kept_by_a_selection_and_not_by_the_list_itself(api: Served) -> None:
    refused = api.run("run", "list.csv", "--exclude", "list.csv")

    assert refused.code == 2
    assert "Its rows are named with --where" in refused.err


def test_a_verify_of_a_part_reads_that_part(api: Served) -> None:
    api.run(*RUN)

    ended = api.run("verify", "list.csv", *WHERE)

    assert ended.code == 0
    assert ended.counts == {"verified": 3, "excluded": 3}
    assert "all 3 licenses are revoked (exit 0)" in ended.err
    assert "where:    Action=revoke: 3 of 6 rows" in ended.err


CUSTOMERS = ("ACME", "=1+1", "ACME", "Other", "ACME", "acme")


@pytest.fixture
def revoked(api: Served) -> Served:
    """All of a list with customers is revoked, its customers carried."""
    decided(*CUSTOMERS)
    assert api.run("run", "list.csv", "--carry", "Action").code == 0
    return api


@pytest.mark.parametrize(
    ("customer", "chosen"), [("ACME", CHOSEN), ("=1+1", [IDS[1]]), ("acme", [IDS[5]])]
)
def test_a_part_of_a_run_is_taken_back_by_what_its_results_carry(
    revoked: Served, customer: str, chosen: list[str]
) -> None:
    ended = revoked.run("restore", RESULTS, "--where", f"Action={customer}")

    assert ended.code == 0
    assert revoked.revoked() == set(IDS) - set(chosen)
    assert ended.counts == {"restored": len(chosen), "excluded": 6 - len(chosen)}
    assert f"where:    Action={customer}: {len(chosen)} of 6 rows" in ended.err


def test_a_restore_of_a_part_goes_on_with_that_part(revoked: Served) -> None:
    pilot = revoked.run("restore", RESULTS, "--where", "Action=ACME", "--limit", "1")

    ended = revoked.execute(shlex.split(pilot.summary["hint"])[1:])

    assert ended.counts == {"restored": 3, "excluded": 3}
    assert revoked.revoked() == set(IDS) - set(CHOSEN)


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ("Action=Acme", 'the column holds "ACME" 3, "acme" 1, "=1+1" 1, "Other" 1'),
        ("Customer=ACME", "Columns seen: row, license_id, "),
    ],
)
def test_a_part_of_results_that_is_not_there_is_refused(
    revoked: Served, condition: str, said: str
) -> None:
    refused = revoked.run("restore", RESULTS, "--where", condition)

    assert refused.code == 2
    assert said in refused.err


def test_a_license_of_which_one_row_is_to_be_restored_is_refused_with_both(api: Served) -> None:
    lines = Path("list.csv").read_text()
    Path("list.csv").write_text(f"{lines}{IDS[0]},c,KEEP\n")
    api.run("run", "list.csv", "--carry", "Action")

    refused = api.run("restore", RESULTS, *WHERE)

    assert refused.code == 2
    assert f"row 2 is selected, row 8 is not: {IDS[0]}" in refused.err


@pytest.mark.parametrize("command", ["run", "verify"])
def test_a_part_of_results_is_taken_by_what_they_carry(api: Served, command: str) -> None:
    api.run("run", "list.csv", "--carry", "Action", "--limit", "1")

    ended = api.run(command, RESULTS, *WHERE, "-o", "part.csv")

    assert {row["license_id"] for row in ended.rows if row["outcome"] != "excluded"} == set(
        CHOSEN if command == "verify" else CHOSEN[1:]
    )
    assert ended.counts["excluded"] == 3


def test_conditions_are_no_part_of_a_log(
    api: Served, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("logs") / "log.jsonl"
    log = ("--log-file", str(path))
    api.run(*RUN, "--limit", "1", *log)
    api.run("run", "list.csv", "--resume", *log)
    api.run("run", "list.csv", "--where", "Action=nothing", "-o", "o.csv", *log)

    text = path.read_text()
    assert text.count('"exit_code": 2') == 2
    assert "Action" not in text


@pytest.mark.parametrize("number", [2, 4, 6])
def test_another_number_of_licenses_than_expected_is_refused(api: Served, number: int) -> None:
    refused = api.run(*RUN, "--expect-licenses", str(number))

    assert refused.code == 2
    assert "lists 3 licenses (--where has selected its rows)" in refused.err
    assert "--expect-licenses" in refused.err
    assert api.run(*RUN, "--expect-licenses", "3").code == 0


def test_licenses_are_expected_before_they_are_excluded_and_each_once(api: Served) -> None:
    Path("no.csv").write_text(f"{IDS[0]}\n")
    Path("list.csv").write_text("license_id\n" + "\n".join([*IDS, IDS[3].upper()]) + "\n")

    assert api.run("run", "list.csv", "--exclude", "no.csv", "--expect-licenses", "5").code == 2
    assert api.run("run", "list.csv", "--exclude", "no.csv", "--expect-licenses", "6").code == 0


@pytest.mark.parametrize(("command", "number"), [("restore", 3), ("verify", 3), ("run", 2)])
def test_of_results_those_licenses_count_that_are_taken(
    api: Served, command: str, number: int
) -> None:
    if command == "run":
        api.fail(IDS[0], 409)
        api.fail(IDS[2], 409)
    api.run(*RUN)

    assert api.run(command, RESULTS, "--expect-licenses", "1", "-o", "o.csv").code == 2
    assert api.run(command, RESULTS, "--expect-licenses", str(number), "-o", "o.csv").code == 0
