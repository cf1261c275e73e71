"""What a restore takes: the licenses that a run has turned, as its results tell them."""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch.columns import COLUMNS
from batch.errors import InputError, ResultsError
from batch.job.turned import read_turned
from batch.model import Condition, Outcome, RowResult
from batch.results.csv_file import BOOLEANS, Recorded
from batch.results.manifest import SessionRecord, file_sha256, manifest_path
from tests.support.builders import calm, listing
from tests.support.job_harness import some_ids
from tests.support.results_files import HEADER, keyed, look, resumed, started
from tests.support.results_files import manifest as manifest_of

if TYPE_CHECKING:
    from pathlib import Path

    from batch.model import Listing

A, B, C, D, E, F = some_ids(6)
REVOKED = RowResult(Outcome.REVOKED, True, 200, attempts=1)
UNKNOWN = RowResult(Outcome.UNKNOWN, error="no answer", attempts=3)
FAILED = RowResult(Outcome.FAILED, False, 409, "CONFLICT", attempts=1)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "results.csv"


def manifest(path: Path, **more: object) -> None:
    """The manifest of a run with these results."""
    manifest_of(str(path), **more).write(manifest_path(path))


def rows(path: Path, *lines: tuple[str, Outcome, bool | None]) -> None:
    """Results with these licenses, outcomes and ``was_revoked``, from row 2 on."""
    path.write_text(
        HEADER
        + "".join(
            f"{row},{name},,{outcome},,{BOOLEANS[was]},,,,,,\n"
            for row, (name, outcome, was) in enumerate(lines, 2)
        )
    )
    manifest(path)


def chosen(path: Path, *, include_unknown: bool = False) -> list[tuple[int, str, bool]]:
    """Row, license and whether it is in doubt of what a restore takes."""
    turned = read_turned(path, include_unknown=include_unknown)
    return [
        (row, turned.listing.license_id(entry), entry in turned.doubtful)
        for entry, row in enumerate(turned.listing.rows)
    ]


def refused(path: Path, *, include_unknown: bool = False) -> InputError:
    with pytest.raises(InputError) as found:
        read_turned(path, include_unknown=include_unknown)
    return found.value


CERTAIN = {(Outcome.REVOKED, False)}
DOUBTFUL = {
    (Outcome.REVOKED, None),
    (Outcome.UNKNOWN, None),
    (Outcome.UNKNOWN, False),
    (Outcome.PLANNED, None),
    (Outcome.PLANNED, False),
}


@pytest.mark.parametrize("was", [None, True, False])
@pytest.mark.parametrize("outcome", sorted(Outcome))
def test_only_what_the_run_has_turned_is_taken_and_with_consent_what_it_may_have(
    path: Path, outcome: Outcome, was: bool | None
) -> None:
    rows(path, (A, Outcome.REVOKED, False), (B, outcome, was))

    if outcome is Outcome.PLANNED:
        refused(path)
    else:
        taken = [(3, B, False)] if (outcome, was) in CERTAIN else []
        assert chosen(path) == [(2, A, False), *taken]
    is_doubtful = (outcome, was) in DOUBTFUL
    taken = [(3, B, is_doubtful)] if (outcome, was) in CERTAIN | DOUBTFUL else []
    assert chosen(path, include_unknown=True) == [(2, A, False), *taken]


ROWS = st.lists(
    st.tuples(
        st.sampled_from([A, B, C, D, "", "no id"]),
        st.sampled_from([*Outcome]),
        st.sampled_from([None, True, False]),
    ),
    min_size=1,
    max_size=9,
)


@settings(calm, max_examples=150)
@given(ROWS)
def test_each_license_is_taken_once_and_for_a_row_that_says_so(
    tmp_path_factory: pytest.TempPathFactory, lines: list[tuple[str, Outcome, bool | None]]
) -> None:
    path = tmp_path_factory.mktemp("run") / "results.csv"
    rows(path, *lines)

    for include_unknown in (False, True):
        kinds = CERTAIN | DOUBTFUL if include_unknown else CERTAIN
        wanted = {
            name for name, outcome, was in lines if name.count("-") == 4 and (outcome, was) in kinds
        }
        is_journal = any(outcome is Outcome.PLANNED for _, outcome, _ in lines)
        if not wanted or (is_journal and not include_unknown):
            refused(path, include_unknown=include_unknown)
            continue
        found = chosen(path, include_unknown=include_unknown)
        assert sorted(name for _, name, _ in found) == sorted(wanted)
        for row, name, doubt in found:
            assert lines[row - 2][0] == name
            assert lines[row - 2][1:] in (DOUBTFUL if doubt else CERTAIN)


def test_a_license_of_several_rows_is_taken_with_the_first_that_may_be_taken(path: Path) -> None:
    rows(
        path,
        (A, Outcome.UNKNOWN, None),
        (B, Outcome.REVOKED, None),
        (A, Outcome.REVOKED, False),
        (B, Outcome.UNKNOWN, False),
    )

    assert chosen(path) == [(4, A, False)]
    assert [(name, doubt) for _, name, doubt in chosen(path, include_unknown=True)] == [
        (A, True),
        (B, True),
    ]


def ended(path: Path, listed: Listing, *settled: tuple[int, RowResult], ids: bool = False) -> None:
    found = {0: A, 1: B} if ids else None
    with closing(started(path, listed, look(listed, ids=found))) as journal:
        for entry, result in settled:
            journal.record((entry, result))
        journal.finish()
    manifest(path, results={"path": str(path), "sha256": file_sha256(path)})


def test_a_restore_lists_what_it_takes_as_an_input_does(path: Path) -> None:
    ended(path, listing(A, B, A, "no id", C), (0, REVOKED), (1, FAILED), (4, REVOKED))

    turned = read_turned(path, include_unknown=False)
    listed = turned.listing

    assert listed.title == f"{path}, run 0badcafe"
    assert list(listed.rows) == [2, 6]
    assert [listed.license_id(entry) for entry in range(2)] == [A, C]
    assert list(listed.first) == [0, 1]
    assert listed.left_out == {"failed": 1, "invalid": 1}
    assert listed.warnings == ()
    assert listed.sha256 == file_sha256(path)
    assert (listed.keys, turned.doubtful) == ([], frozenset())
    assert turned.manifest.run_id == "0badcafe"
    assert turned.late.licenses == 0


def test_licenses_that_were_listed_by_key_are_restored_by_their_ids(path: Path) -> None:
    ended(path, keyed("K1", "K2", "K1"), (0, REVOKED), (1, FAILED), ids=True)

    listed = read_turned(path, include_unknown=False).listing

    assert chosen(path) == [(2, A, False)]
    assert listed.keys == []
    assert listed.left_out == {"failed": 1}


def test_what_is_left_out_is_counted_and_what_may_be_meant_is_said(path: Path) -> None:
    rows(
        path,
        (A, Outcome.REVOKED, False),
        (B, Outcome.UNKNOWN, False),
        (C, Outcome.REVOKED, None),
        (D, Outcome.REVOKED, True),
        (F, Outcome.REVOKED, True),
        (E, Outcome.ALREADY_REVOKED, True),
    )

    listed = read_turned(path, include_unknown=False).listing

    assert listed.left_out == {
        "unknown": 1, "unknown before": 1, "revoked": 2, "already_revoked": 1,
    }  # fmt: skip
    (warning,) = listed.warnings
    assert warning == (
        "2 rows may have been turned by that run as well, and are left out: --include-unknown"
        " reads and takes them"
    )


def test_a_single_row_that_is_left_out_is_said_too(path: Path) -> None:
    rows(path, (A, Outcome.REVOKED, False), (B, Outcome.UNKNOWN, None))

    listed = read_turned(path, include_unknown=False).listing

    assert [text.split(":")[0] for text in listed.warnings] == [
        "1 row may have been turned by that run as well, and is left out"
    ]
    assert read_turned(path, include_unknown=True).listing.warnings == ()


AGO = "2026-11-24T12:00:00.000Z"


@pytest.mark.parametrize(
    ("results", "licenses"),
    [
        ([RowResult(Outcome.REVOKED, True, 200, attempts=1)], 0),
        ([RowResult(Outcome.REVOKED, True, 200, attempts=2)], 1),
        ([RowResult(Outcome.REVOKED, True, 200, attempts=2), UNKNOWN], 2),
        ([FAILED, UNKNOWN, REVOKED], 1),
    ],
)
def test_what_was_sent_again_or_got_no_answer_may_still_be_carried_out(
    path: Path, results: list[RowResult], licenses: int
) -> None:
    ended(path, listing(A, B, C), *enumerate(results))
    manifest(path, sessions=[SessionRecord(AGO, AGO)])

    late = read_turned(path, include_unknown=True).late

    assert late.licenses == licenses
    assert late.until == datetime.fromisoformat(AGO).timestamp() + 90


def test_what_is_not_selected_is_not_waited_for(path: Path) -> None:
    listed = listing(A, B, carry=["Customer"], carried=[("ACME",), ("Other",)])
    twice = RowResult(Outcome.REVOKED, True, 200, attempts=2)
    ended(path, listed, (0, replace(twice, attempts=1)), (1, twice))
    manifest(path, sessions=[SessionRecord(AGO, AGO)])
    where = (Condition("Customer", "ACME"),)

    assert read_turned(path, include_unknown=False, where=where).late.licenses == 0
    assert read_turned(path, include_unknown=False).late.licenses == 1


def test_a_run_that_was_killed_has_ended_with_what_it_wrote_last(path: Path) -> None:
    started(path, listing(A, B)).close()
    manifest(path, sessions=[SessionRecord(AGO, AGO), SessionRecord(AGO)])
    os.utime(path, (2e9, 2e9))

    late = read_turned(path, include_unknown=True).late

    assert late.licenses == 2
    assert late.until == 2e9 + 90


def test_the_journal_of_a_run_that_has_not_ended_needs_consent(path: Path) -> None:
    listed = listing(A, B, C, D)
    with closing(started(path, listed, look(listed, revoked=[3]))) as journal:
        journal.record((0, REVOKED))
    manifest(path)

    error = refused(path)

    assert "run 0badcafe has not come to its end: 2 rows may or may not" in str(error)
    assert "--include-unknown" in error.hint
    assert chosen(path, include_unknown=True) == [(2, A, False), (3, B, True), (4, C, True)]


def test_a_license_that_a_killed_second_session_was_to_send_again_is_in_doubt(path: Path) -> None:
    listed = listing(A, B)
    ended(path, listed, (0, REVOKED), (1, FAILED))
    resumed(Recorded.read(path), listed, look(listed))[0].close()

    assert "1 row may or may not" in str(refused(path))
    assert chosen(path, include_unknown=True) == [(2, A, False), (3, B, True)]


def test_results_that_were_changed_count_as_they_are_and_that_is_said(path: Path) -> None:
    ended(path, listing(A, B), (0, REVOKED), (1, REVOKED))
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:2]))

    listed = read_turned(path, include_unknown=False).listing

    assert chosen(path) == [(2, A, False)]
    assert listed.warnings == (f"{path} was changed since its run ended; what it says now counts",)


def test_results_in_another_order_are_all_taken(path: Path) -> None:
    ended(path, listing(A, B, C), (0, REVOKED), (1, FAILED), (2, REVOKED))
    header, *lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([header, *reversed(lines)]))

    assert chosen(path) == [(2, A, False), (4, C, False)]


def test_lines_that_cannot_be_read_are_not_restored_and_that_is_said(path: Path) -> None:
    ended(path, listing(A, B, C), (0, REVOKED), (1, REVOKED), (2, REVOKED))
    path.write_bytes(path.read_bytes().replace(B.encode(), bytes(36)))

    listed = read_turned(path, include_unknown=False).listing

    assert chosen(path) == [(2, A, False), (4, C, False)]
    assert listed.warnings[0] == f"1 line of {path} cannot be read, and is left out"


def test_damaged_lines_are_counted(path: Path) -> None:
    ended(path, listing(A, B, C), (0, REVOKED), (1, REVOKED), (2, REVOKED))
    content = path.read_bytes()
    path.write_bytes(content.replace(B.encode(), bytes(36)).replace(C.encode(), bytes(36)))

    listed = read_turned(path, include_unknown=False).listing

    assert listed.warnings[0] == f"2 lines of {path} cannot be read, and are left out"


def test_results_of_which_no_line_can_be_read_are_refused(path: Path) -> None:
    ended(path, listing(A, B), (0, REVOKED), (1, REVOKED))
    path.write_text(path.read_text().replace("false", "falsch"))

    error = refused(path)

    assert str(error) == f"{path}: not one of its 2 lines can be read"
    assert error.hint


@pytest.mark.parametrize(
    ("outcome", "was"), [(Outcome.FAILED, False), (Outcome.ALREADY_REVOKED, True)]
)
def test_a_run_that_has_turned_nothing_is_refused(
    path: Path, outcome: Outcome, was: bool | None
) -> None:
    rows(path, (A, outcome, was))

    error = refused(path)

    assert str(error) == (f"{path}: run 0badcafe has turned no license from not revoked to revoked")
    assert error.hint == "there is nothing to restore."


@pytest.mark.parametrize(("outcome", "was"), [(Outcome.UNKNOWN, False), (Outcome.REVOKED, None)])
def test_a_run_that_may_have_turned_something_is_not_said_to_have_turned_nothing(
    path: Path, outcome: Outcome, was: bool | None
) -> None:
    rows(path, (A, outcome, was))

    error = refused(path)

    assert str(error) == (
        f"{path}: it is not known of any license that run 0badcafe has turned it from not revoked"
        " to revoked"
    )
    assert "--include-unknown" in error.hint


def test_with_consent_too_a_run_may_have_turned_nothing(path: Path) -> None:
    rows(path, ("", Outcome.UNKNOWN, None), (A, Outcome.FAILED, False))

    assert refused(path, include_unknown=True).hint == "there is nothing to restore."


def test_results_without_a_manifest_are_refused(path: Path) -> None:
    rows(path, (A, Outcome.REVOKED, False))
    manifest_path(path).unlink()

    error = refused(path)

    assert "its manifest results.csv.run.json is missing" in str(error)
    assert error.hint


@pytest.mark.parametrize("command", ["verify", "restore"])
def test_results_of_another_command_are_refused(path: Path, command: str) -> None:
    rows(path, (A, Outcome.REVOKED, False))
    manifest(path, command=command)

    error = refused(path)

    assert f"these are the results of bulk-revoke {command}, which has nothing to" in str(error)
    assert error.hint


def test_results_that_are_gone_are_refused_and_no_crash(path: Path) -> None:
    manifest(path)

    with pytest.raises(ResultsError, match="cannot be read: No such file"):
        read_turned(path, include_unknown=False)


def test_what_is_no_results_file_is_refused(path: Path) -> None:
    manifest(path)
    path.write_text(",".join(COLUMNS[:-1]) + "\n")

    with pytest.raises(ResultsError, match="is no results file"):
        read_turned(path, include_unknown=False)
