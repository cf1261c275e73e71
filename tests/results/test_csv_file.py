from __future__ import annotations

import csv
import io
import random
import time
import tracemalloc
from array import array
from contextlib import closing
from statistics import median
from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batch.columns import COLUMNS
from batch.errors import ResultsError
from batch.formatting import cell
from batch.model import Listing, Outcome, RowResult
from batch.results.csv_file import BOOLEANS, Recorded
from tests.support.builders import calm, listing
from tests.support.job_harness import some_ids
from tests.support.results_files import (
    HEADER,
    column,
    keyed,
    look,
    resumed,
    started,
    table,
)

if TYPE_CHECKING:
    from pathlib import Path

A, B, C, D = some_ids(4)
REVOKED = RowResult(Outcome.REVOKED, True, 200, attempts=1)
FAILED = RowResult(Outcome.FAILED, False, 409, "CONFLICT", 'it says "no",\nand why', attempts=2)
UNKNOWN = RowResult(Outcome.UNKNOWN, error="no answer, 3 times", attempts=3)


def line(row: object, name: str, outcome: str, *, was: str = "", sent: object = "") -> str:
    """A line of a results file."""
    return f"{row},{name},,{outcome},,{was},,,,{sent},,\n"


def said(recorded: Recorded) -> list[tuple[int, str, str, bool | None, int]]:
    """Row, ID, outcome, ``was_revoked`` and attempts of each row."""
    return [
        (
            row,
            str(UUID(bytes=recorded.id_bytes(place))) if any(recorded.id_bytes(place)) else "",
            str(recorded.outcome(place)),
            recorded.was_so(place),
            recorded.attempts[place],
        )
        for place, row in enumerate(recorded.rows)
    ]


def test_the_last_line_of_a_row_counts(path: Path) -> None:
    with closing(started(path, listing(A, B, C), look(listing(A, B, C), revoked=[1]))) as journal:
        journal.record((2, FAILED))
        journal.record((0, REVOKED))

    recorded = Recorded.read(path)

    assert said(recorded) == [
        (2, A, "revoked", False, 1),
        (3, B, "already_revoked", True, 0),
        (4, C, "failed", False, 2),
    ]
    assert (len(recorded), recorded.damaged, recorded.size) == (3, 0, path.stat().st_size)
    assert recorded.header == COLUMNS
    assert recorded.keys == []


def test_every_row_knows_where_its_last_line_begins(path: Path) -> None:
    with closing(started(path, listing(A, B, A))) as journal:
        journal.record((1, FAILED))
        journal.record((0, REVOKED))

    recorded = Recorded.read(path)

    content = path.read_bytes()
    lines = [content[start : content.index(b"\n", start)] for start in recorded.offsets]
    assert [text.split(b",")[0] for text in lines] == [b"2", b"3", b"4"]
    assert [text.split(b",")[3] for text in lines] == [b"revoked", b"failed", b"revoked"]


def test_the_cells_of_a_row_are_those_of_its_last_line(path: Path) -> None:
    with closing(started(path, listing(A, B, A))) as journal:
        journal.record((0, REVOKED))

    recorded = Recorded.read(path)

    assert [cells[:4] for cells in recorded.cells([2, 0, 1])] == [
        ["4", A, "", "revoked"], ["2", A, "", "revoked"], ["3", B, "", "planned"],
    ]  # fmt: skip
    path.unlink()
    with pytest.raises(ResultsError, match="cannot be read again"):
        next(recorded.cells([0]))


def test_a_run_has_not_ended_as_long_as_a_row_is_planned(path: Path) -> None:
    with closing(started(path, listing(A, B))) as journal:
        journal.record((0, REVOKED))
        before = Recorded.read(path)
        journal.finish()
    after = Recorded.read(path)

    assert (before.is_journal, before.count(Outcome.PLANNED)) == (True, 1)
    assert (after.is_journal, after.count(Outcome.PLANNED)) == (False, 0)
    assert after.count(Outcome.NOT_ATTEMPTED) == after.count(Outcome.REVOKED) == 1


NAMES = st.sampled_from([*some_ids(6), "no id", "=1+1", "a\nb", '"', " " + A[:20]])
KEYS = st.sampled_from(["K-1", "k-1", "-K2", "a,b", 'say "K"', "K" * 310, "", "two\nlines"])
CARRIED = st.sampled_from(["", "Zoë, 木", 'say "hi"\r\n', "=cmd()", "\0", "plain"])
STATUSES = st.sampled_from([REVOKED, FAILED, UNKNOWN, RowResult(Outcome.NOT_FOUND, None, 404)])


@settings(calm, max_examples=80)
@given(st.data())
def test_what_is_written_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("run") / "results.csv"
    if data.draw(st.booleans()):
        listed = keyed("K-0", *data.draw(st.lists(KEYS, max_size=7)))
    else:
        listed = listing(*data.draw(st.lists(NAMES, min_size=1, max_size=8)))
    if data.draw(st.booleans()):
        listed.carry = ("Kundin, alt",)
        listed.carried = [(data.draw(CARRIED),) for _ in range(len(listed))]
    entries = list(listed.distinct())
    revoked = data.draw(st.sets(st.sampled_from(entries))) if entries else set()
    found = dict(zip(entries, some_ids(8, seed=1), strict=False)) if listed.keys else {}

    with closing(started(path, listed, look(listed, revoked=revoked, ids=found))) as journal:
        for entry in data.draw(st.permutations(sorted({*entries} - revoked))):
            journal.record((entry, data.draw(STATUSES)))
        if data.draw(st.booleans()):
            journal.finish()
    recorded = Recorded.read(path)

    last = {int(row["row"]): row for row in table(path)}
    assert recorded.rows == listed.rows
    assert recorded.keys == ([row["license_key"] for row in last.values()] if listed.keys else [])
    assert recorded.belongs_to(listed, list(map(cell, listed.keys))) == ""
    assert recorded.damaged == 0
    for entry, row in enumerate(last.values()):
        first = listed.first[entry]
        name = found.get(first) or ("" if listed.keys else listed.license_id(entry))
        name = "" if entry in listed.invalid else name
        was = None if entry in listed.invalid else first in revoked
        assert said(recorded)[entry][:2] == (listed.rows[entry], name)
        assert said(recorded)[entry][2:] == (row["outcome"], was, int(row["attempts"] or 0))


def saved_again(path: Path, how: str) -> None:
    """What a spreadsheet makes of a file that it opens and saves."""
    rows = list(csv.reader(io.StringIO(path.read_bytes().decode(), newline="")))
    if how == "capitals":
        rows = [
            [text.upper() if text in {"true", "false"} else text for text in row] for row in rows
        ]
    if how == "guards dropped":
        rows = [[text.removeprefix("'") for text in row] for row in rows]
    if how == "sorted":
        rows[1:] = sorted(rows[1:], key=lambda row: (row[3], row[1]))
    if how == "empty cells dropped":
        rows[1:] = [row[:-1] if not row[-1] else row for row in rows[1:]]
    written = io.StringIO()
    csv.writer(
        written,
        quoting=csv.QUOTE_ALL if how == "quoted" else csv.QUOTE_MINIMAL,
        lineterminator="\n" if how == "LF" else "\r\n",
    ).writerows(rows)
    mark = "\ufeff" if how == "byte order mark" else ""
    path.write_bytes((mark + written.getvalue()).encode())


SAVED = [
    "LF", "CRLF", "quoted", "capitals", "sorted", "empty cells dropped", "byte order mark",
    "guards dropped",
]  # fmt: skip
"""Ways in which programs that open a file save it again."""


@pytest.mark.parametrize("how", SAVED)
def test_a_file_that_a_spreadsheet_has_saved_says_the_same(path: Path, how: str) -> None:
    cells = [A, "no id", B, C, A, D]
    with closing(started(path, listing(*cells), look(listing(*cells), revoked=[2]))) as journal:
        journal.record((0, REVOKED))
        journal.record((3, FAILED))
        journal.finish()
    before = said(Recorded.read(path))

    saved_again(path, how)
    recorded = Recorded.read(path)

    assert said(recorded) == before
    assert (recorded.damaged, recorded.size) == (0, path.stat().st_size)
    assert recorded.belongs_to(listing(*cells), []) == ""


# Sorted it would say something else: the last line of a row counts.
@pytest.mark.parametrize("how", [how for how in SAVED if how != "sorted"])
def test_a_run_that_goes_on_in_a_file_that_was_saved_again_ends_as_if_it_had_not_been(
    path: Path, how: str
) -> None:
    cells = ["no id", A, B, A, C, D, "=HYPERLINK(1)"]
    carried = [["=1+1", "a,b"], ["'=2", "  "], ['"q"', "007"], ["-3", ""], ["x", "@y"]]
    carried += [["", "1.50"], ["TRUE", "2026-11-29"]]
    listed = listing(*cells, carry=["=Customer", "Note, too"], carried=carried)
    refused = RowResult(Outcome.FAILED, False, 409, "=CODE", "=1+1", attempts=2)

    def ended(saved: bool) -> bytes:
        path.unlink(missing_ok=True)
        with closing(started(path, listed, look(listed, revoked=[4]))) as journal:
            journal.record((1, REVOKED))
            journal.record((2, refused))
        if saved:
            saved_again(path, how)
        journal, _ = resumed(Recorded.read(path), listed, look(listed, revoked=[1, 4]))
        with closing(journal):
            journal.finish()
        return path.read_bytes()

    whole = ended(saved=False)

    assert b"'=1+1" in whole
    assert ended(saved=True) == whole


def test_a_row_that_repeats_another_takes_over_a_guarded_cell(path: Path) -> None:
    """A cut has left it behind, in a file that has lost its guards."""
    listed = listing(A, A, carry=["note"], carried=[["=1"], ["=2"]])
    with closing(started(path, listed, look(listed))) as journal:
        journal.record((0, RowResult(Outcome.FAILED, False, 409, "C", "=1+1", attempts=1)))
    *kept, _ = path.read_text().splitlines(keepends=True)
    path.write_text("".join(kept).replace("'=", "="))

    journal, _ = resumed(Recorded.read(path), listed, None)
    with closing(journal):
        journal.finish()

    assert column(path, "error") == ["'=1+1"] * 2
    assert column(path, "note") == ["'=1", "'=2"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"license_id\n" + A.encode(),
        HEADER.encode().rstrip(),
        HEADER.replace(",", ";").encode(),
        HEADER.replace("\n", "\r").encode() + b"2\r",
        HEADER.encode("utf-16"),
        HEADER.replace("was_revoked", "was").encode(),
        b'"' + HEADER.encode(),
        b"\xff\xfe\0\x01" * 1000,
        b"x" * 200_000 + b"\n",
        b"a\rb\n",
    ],
    ids=range(11),
)
def test_what_is_no_results_file_is_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)

    with pytest.raises(ResultsError, match="is no results file of bulk-revoke") as refused:
        Recorded.read(path)

    assert str(path) in str(refused.value)
    assert refused.value.hint


@pytest.mark.parametrize(
    "header", [HEADER.replace(",", ";"), f"Note,{HEADER}"], ids=["semicolons", "a column in front"]
)
def test_results_that_a_program_has_saved_in_another_way_are_called_that(
    path: Path, header: str
) -> None:
    path.write_text(header)

    with pytest.raises(ResultsError, match="as a run has written it") as refused:
        Recorded.read(path)

    assert "save it with commas" in (refused.value.hint or "")


def test_a_list_is_not_called_results_that_a_program_has_saved(path: Path) -> None:
    path.write_text(f"license_id,customer\n{A},ACME\n")

    with pytest.raises(ResultsError, match=r"is no results file of bulk-revoke$"):
        Recorded.read(path)


def test_what_cannot_be_read_is_refused(path: Path) -> None:
    with pytest.raises(ResultsError, match=r"results\.csv: cannot be read: No such file"):
        Recorded.read(path)
    path.mkdir()
    with pytest.raises(ResultsError, match="cannot be read") as refused:
        Recorded.read(path)

    assert refused.value.hint


@pytest.mark.parametrize(
    "text",
    [
        "\n",
        "\0\0\0\0\n",
        "rubbish\n",
        line("", B, "revoked"),
        line("x", B, "revoked"),
        line(-1, B, "revoked"),
        line(99_999_999_999, B, "revoked"),
        line("9" * 5000, B, "revoked"),
        line(3, B, "undone"),
        line(3, B, "revo\0ked"),
        line(3, B, "revoked", was="perhaps"),
        line(3, B, "revoked", sent="many"),
        line(3, B, "revoked", sent=-1),
        line(3, B, "revoked", sent=2**32),
        line(3, A, "revoked"),
        line(3, A[:18] + B[18:], "revoked"),
        line(3, B[:18] + A[18:], "revoked"),
        line(3, "", "revoked"),
        line(3, "K", "revoked"),
        line(3, B, "revoked")[:-1] + line(3, B, "revoked"),
        f"3,{B},,revoked,,,,,\n",
        f'3,{B},,revoked,,,,,"open,1,,\n',
        f'3,{B},,revoked,,,,,,1,"open\n',
        f'3,{B},,revoked,,,,,"x",1,,,3,{B},,revoked\n',
        f"3,{B},,revoked,,,,,a\rb,1,,\n",
        f"3,{B},,revoked,,,,,\0,1,,\n",
        f"3,{B},K-1,revoked,,,,,,1,,\n",
        f'3,{B},,revoked,,,,,"{"x" * 200_000}",1,,\n',
    ],
    ids=range(28),
)
def test_a_line_that_cannot_be_right_is_left_out_and_counted(path: Path, text: str) -> None:
    around = line(2, A, "revoked", was="false", sent=1), line(4, C, "failed", sent=2)
    plan = [line(2, A, "planned"), line(3, B, "planned", sent=7), line(4, C, "planned")]
    path.write_text("".join([HEADER, *plan, around[0], text, around[1]]), newline="")

    recorded = Recorded.read(path)

    assert said(recorded) == [
        (2, A, "revoked", None, 1),
        (3, B, "planned", None, 7),
        (4, C, "failed", None, 2),
    ]
    assert recorded.damaged == 1
    assert recorded.size == path.stat().st_size


def test_a_quote_that_closes_in_a_later_line_makes_no_row_of_several(path: Path) -> None:
    plan = line(2, A, "planned") + line(3, B, "planned")
    path.write_text(f'{HEADER}{plan}3,{B},,revoked,,,,,"open\nclose",1,,\n')

    recorded = Recorded.read(path)

    assert said(recorded) == [(2, A, "planned", None, 0), (3, B, "planned", None, 0)]
    assert recorded.damaged == 2


def test_what_follows_a_line_that_is_too_long_is_read(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("batch.results.csv_file._LONGEST", 300)
    monkeypatch.setattr("batch.results.csv_file._CHUNK", 60)
    lines = [line(row, name, "planned") for row, name in enumerate([A, B, C, D], 2)]
    path.write_text("".join([HEADER, lines[0], "x" * 5000, "\n", *lines[1:]]))

    recorded = Recorded.read(path)

    assert [name for _, name, *_ in said(recorded)] == [A, B, C, D]
    assert (recorded.damaged, recorded.size) == (1, path.stat().st_size)
    assert recorded.offsets[3] == recorded.size - len(lines[3])


def test_bytes_that_are_no_text_do_no_harm_where_they_say_nothing(path: Path) -> None:
    path.write_bytes(HEADER.encode() + f"2,{A},,failed,,,,,".encode() + b"caf\xe9\x80,1,,\n")

    assert said(Recorded.read(path)) == [(2, A, "failed", None, 1)]


def test_a_torn_last_line_is_dropped(path: Path) -> None:
    text = HEADER + line(2, A, "planned")
    path.write_text(text + line(2, A, "revoked", sent=1)[:-1])

    recorded = Recorded.read(path)

    assert said(recorded) == [(2, A, "planned", None, 0)]
    assert (recorded.size, recorded.damaged) == (len(text), 0)


def test_where_a_line_stands_says_nothing(path: Path) -> None:
    path.write_text(
        HEADER
        + line(9, C, "planned", was="true", sent=3)
        + line(2, A, "revoked", was="false", sent=1)
        + line(5, B, "failed", was="false")
        + line(9, C, "unknown", sent=4)
    )

    assert said(Recorded.read(path)) == [
        (2, A, "revoked", False, 1),
        (5, B, "failed", False, 0),
        (9, C, "unknown", True, 4),
    ]


def test_was_revoked_comes_from_the_first_line(path: Path) -> None:
    path.write_text(
        HEADER
        + line(2, A, "planned", was="false")
        + line(3, B, "planned")
        + line(2, A, "revoked", was="true")
        + line(3, B, "revoked", was="true")
    )

    assert [was for *_, was, _ in said(Recorded.read(path))] == [False, None]


def test_what_is_left_of_a_long_invalid_cell_is_no_id(path: Path) -> None:
    listed = listing(A + " " * 300 + "x", B)
    started(path, listed).close()

    recorded = Recorded.read(path)

    assert said(recorded)[0] == (2, "", "invalid", None, 0)
    assert recorded.belongs_to(listed, []) == ""


@settings(calm, max_examples=150)
@given(st.data())
def test_a_block_of_zeros_never_makes_a_row_say_what_it_did_not(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("run") / "results.csv"
    listed = listing(A, B, C, A, D)
    with closing(started(path, listed, look(listed, revoked=[2]))) as journal:
        for entry in data.draw(st.permutations([0, 1, 4])):
            journal.record((entry, data.draw(STATUSES)))
    content = bytearray(path.read_bytes())
    start = data.draw(st.integers(len(HEADER), len(content)))
    end = data.draw(st.integers(start, len(content)))
    rows: dict[int, list[tuple[str, str, str, str]]] = {}
    for row in table(path):
        facts = row["license_id"], row["outcome"], row["was_revoked"], row["attempts"] or "0"
        rows.setdefault(int(row["row"]), []).append(facts)

    content[start:end] = bytes(end - start)
    path.write_bytes(content)
    recorded = Recorded.read(path)

    for number, name, outcome, was, sent in said(recorded):
        assert (name, outcome, BOOLEANS[was], str(sent)) in rows[number]
    is_whole = set(recorded.rows) == set(rows)
    assert (recorded.belongs_to(listed, []) == "") is is_whole
    if b"\0" in content[: content.rfind(b"\n") + 1]:
        assert recorded.damaged


def test_a_damaged_line_of_the_plan_is_noticed(path: Path) -> None:
    started(path, listing(A, B, C)).close()
    path.write_bytes(path.read_bytes().replace(B.encode(), bytes(36)))

    recorded = Recorded.read(path)

    assert (len(recorded), recorded.damaged) == (2, 1)
    assert recorded.belongs_to(listing(A, B, C), []) == "it has 2 rows, the input 3 or others"


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (listing(A, B), "it has 3 rows, the input 2 or others"),
        (listing(A, B, C, first_row=3), "it has 3 rows, the input 3 or others"),
        (listing(A, C, B), "row 3 is about another license in it"),
        (listing(A, B, "no id"), "row 4 is about another license in it"),
        (keyed(A, B, C), "it lists licenses by their IDs"),
    ],
)
def test_results_belong_to_the_rows_and_licenses_they_are_of(
    path: Path, other: Listing, why: str
) -> None:
    started(path, listing(A, B, C)).close()

    recorded = Recorded.read(path)

    assert recorded.belongs_to(listing(A, B, C), []) == ""
    assert recorded.belongs_to(other, list(map(cell, other.keys))) == why


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (keyed("K1", "two\nlines", "=K2", "K3"), ""),
        (keyed("K1", "two\nlines", "=K2", "k3"), "row 5 is about another license in it"),
        (listing(A, "two\nlines", B, C), "it lists licenses by their keys"),
    ],
)
def test_results_by_key_belong_to_the_keys_they_are_of(
    path: Path, other: Listing, why: str
) -> None:
    listed = keyed("K1", "two\nlines", "=K2", "K3")
    started(path, listed, look(listed, ids={0: A, 2: B, 3: C})).close()

    recorded = Recorded.read(path)

    assert recorded.belongs_to(other, list(map(cell, other.keys))) == why


FIRST_HALF, SECOND_HALF = A[:18] + "-0000-000000000000", "00000000-0000-0000" + A[18:]


@pytest.mark.parametrize("name", [A, FIRST_HALF, SECOND_HALF])
def test_the_id_of_a_key_may_be_found_by_a_later_session_and_is_not_lost_again(
    path: Path, name: str
) -> None:
    listed = keyed("K1", "K2", "K3")
    started(path, listed, look(listed, unseen=[0, 1], ids={2: C})).close()
    journal, _ = resumed(Recorded.read(path), listed, look(listed, ids={0: name}))
    with closing(journal):
        journal.record((0, UNKNOWN))
        journal.record((2, FAILED))

    recorded = Recorded.read(path)

    assert said(recorded) == [
        (2, name, "unknown", None, 3),
        (3, "", "planned", None, 0),
        (4, C, "failed", False, 2),
    ]
    assert recorded.keys == ["K1", "K2", "K3"]
    assert recorded.damaged == 0


def test_another_key_for_the_same_row_is_left_out(path: Path) -> None:
    key_line = f"2,{A},K1,planned,,,,,,,,\n"
    path.write_text(
        HEADER
        + key_line
        + key_line.replace("K1", "K2").replace("planned", "revoked")
        + key_line.replace("K1", "").replace("planned", "revoked")
    )

    recorded = Recorded.read(path)

    assert said(recorded) == [(2, A, "planned", None, 0)]
    assert (recorded.damaged, recorded.keys) == (2, ["K1"])


def test_a_row_without_a_key_among_keys_is_known_by_its_id(path: Path) -> None:
    path.write_text(
        HEADER
        + f"2,{A},K1,planned,,,,,,,,\n"
        + line(3, B, "planned")
        + line(3, C, "revoked")
        + line(3, B, "failed")
    )

    recorded = Recorded.read(path)

    assert said(recorded) == [(2, A, "planned", None, 0), (3, B, "failed", None, 0)]
    assert recorded.damaged == 1


def test_keys_may_begin_anywhere_in_a_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("batch.results.csv_file._CHUNK", 64)
    listed = keyed(*[""] * 20, *(f"K{number}" for number in range(30)), *[""] * 20)
    started(path, listed).close()

    assert Recorded.read(path).keys == listed.keys


@pytest.mark.parametrize("size", [1, 7, 100, 1000])
def test_it_does_not_matter_how_much_is_read_at_a_time(
    path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    with closing(started(path, listing(A, B, "no id", C, A))) as journal:
        journal.record((3, FAILED))
        journal.record((0, REVOKED))
    before = Recorded.read(path)

    monkeypatch.setattr("batch.results.csv_file._CHUNK", size)
    again = Recorded.read(path)

    assert said(again) == said(before)
    assert (again.offsets, again.size) == (before.offsets, before.size)


@pytest.mark.parametrize("end", [b"\n", b""])
def test_an_endless_line_costs_neither_memory_nor_the_rows_around_it(
    path: Path, end: bytes
) -> None:
    with path.open("wb") as file:
        file.write((HEADER + line(2, A, "planned") + line(3, B, "planned")).encode())
        for _ in range(100):
            file.write(bytes(1 << 20))
        file.write(end + line(3, B, "revoked", sent=1).encode())

    tracemalloc.start()
    try:
        recorded = Recorded.read(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    outcome = ("revoked", None, 1) if end else ("planned", None, 0)
    assert said(recorded) == [(2, A, "planned", None, 0), (3, B, *outcome)]
    assert recorded.damaged == 1
    assert recorded.size == path.stat().st_size
    assert recorded.offsets[1] == (
        recorded.size - len(line(3, B, "revoked", sent=1))
        if end
        else len(HEADER + line(2, A, "planned"))
    )
    assert peak < 30_000_000


def many(path: Path, count: int, *, settled: float) -> None:
    """A journal of so many rows, a part of them settled in the order of the answers."""
    numbers = random.Random(0)
    ids = [str(UUID(int=numbers.getrandbits(128))) for _ in range(count)]
    order = list(range(int(count * settled)))
    for start in range(0, len(order), 32):
        window = order[start : start + 32]
        numbers.shuffle(window)
        order[start : start + 32] = window
    end = ",true,false,200,,,1,2026-11-24T12:00:00.123Z,\n"
    with path.open("w", newline="") as file:
        file.write(HEADER)
        file.writelines(
            f"{row},{id_text},,planned,,false,,,,,,\n" for row, id_text in enumerate(ids, 2)
        )
        file.writelines(f"{entry + 2},{ids[entry]},,revoked{end}" for entry in order)


@pytest.mark.parametrize("settled", [0.0, 1.0])
def test_reading_costs_at_most_two_and_a_half_times_what_the_csv_module_takes(
    path: Path, settled: float
) -> None:
    many(path, 60_000, settled=settled)
    ratios = []
    Recorded.read(path)

    for _ in range(5):
        began = time.process_time()
        with path.open(newline="", encoding="utf-8") as file:
            rows = sum(1 for _ in csv.reader(file))
        between = time.process_time()
        recorded = Recorded.read(path)
        ratios.append((time.process_time() - between) / (between - began))

    assert rows == 60_001 + int(60_000 * settled)
    assert (len(recorded), recorded.damaged) == (60_000, 0)
    assert median(ratios) < 2.5


def test_a_row_takes_about_35_bytes(path: Path) -> None:
    many(path, 60_000, settled=0)
    Recorded.read(path)

    tracemalloc.start()
    try:
        recorded = Recorded.read(path)
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert held < 60_000 * 42
    assert peak < 60_000 * 42 + 5_000_000
    assert recorded.rows == array("I", range(2, 60_002))
