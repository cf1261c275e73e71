"""Rows that ``--where`` selects: which are meant, what is refused, and what a person sees of it."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch.errors import InputError, told
from batch.input.listing import read_listing
from batch.input.selection import MOST_VALUES, Selection, values_seen
from batch.model import Condition, Listing
from batch.settings import parse_where
from tests.support.builders import calm
from tests.support.job_harness import some_ids

CASES = Path(__file__).parents[1] / "cases"
IDS = some_ids(4)
A, B, C, D = IDS
ACTION = ("Action=revoke",)


def read(text: str, *where: str, by: str = "id", skip_invalid: bool = False) -> Listing:
    return read_listing(
        "-",
        by=by,
        where=[parse_where(each) for each in where],
        skip_invalid=skip_invalid,
        stdin=io.BytesIO(text.encode()),
    )


def refused(text: str, *where: str, by: str = "id") -> InputError:
    with pytest.raises(InputError) as error:
        read(text, *where, by=by)
    return error.value


def written(header: list[str], *rows: list[str]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows([header, *rows])
    return out.getvalue()


def meant(listing: Listing) -> list[int]:
    """Numbers of the rows that are meant."""
    return [row for entry, row in enumerate(listing.rows) if listing.is_selected(entry)]


def test_rows_that_an_approval_list_keeps_are_not_meant() -> None:
    where = [Condition("Action", "revoke")]

    listing = read_listing(str(CASES / "action-column.csv"), where=where)

    assert meant(listing) == [2, 4, 6]
    assert list(listing.distinct()) == [0, 2, 4]
    assert len(listing) == 6
    assert listing.where == {where[0]: {"revoke": 3, "KEEP": 1, "keep - paid": 1, "Skip": 1}}


SPELLINGS = ("revoke", " revoke ", "revoke\u00a0", "Revoke", "", "keep")
NAMES = (*IDS, A.upper(), "no license", "")


@dataclass(frozen=True)
class Model:
    """What a few lines say of the same rows.

    Attributes:
        selected: Whether each row is meant.
        divided: Rows that contradict the first one of their license.
        invalid: Rows that are meant and hold no license.
    """

    selected: list[bool]
    divided: list[int]
    invalid: list[int]


def model_of(rows: list[tuple[str, str, str]], conditions: dict[int, str], *, by: str) -> Model:
    selected = [all(row[at].strip() == value for at, value in conditions.items()) for row in rows]
    names = [
        name.strip() if by == "key" else name.lower() if name.lower() in IDS else ""
        for name, *_ in rows
    ]
    first: dict[str, int] = {}
    divided, invalid = [], []
    for index, name in enumerate(names):
        if not name:
            invalid += [index] if selected[index] else []
        elif selected[first.setdefault(name, index)] != selected[index]:
            divided.append(index)
    return Model(selected, divided, invalid)


@calm
@given(
    rows=st.lists(
        st.tuples(*map(st.sampled_from, (NAMES, SPELLINGS, ("x", "y")))), min_size=1, max_size=8
    ),
    conditions=st.dictionaries(
        st.sampled_from([1, 2]), st.sampled_from(["revoke", "", "x", "keep"]), min_size=1
    ),
    by=st.sampled_from(["id", "key"]),
    skip_invalid=st.booleans(),
)
def test_what_is_meant_is_what_a_few_lines_say(
    rows: list[tuple[str, str, str]], conditions: dict[int, str], by: str, skip_invalid: bool
) -> None:
    column = "license_key" if by == "key" else "license_id"
    text = written([column, "Action", "Customer"], *map(list, rows))
    where = [f"{('', 'Action', 'Customer')[at]}={value}" for at, value in conditions.items()]
    expected = model_of(rows, conditions, by=by)

    is_nothing = sum(expected.selected) == len(expected.invalid)
    if expected.divided or is_nothing or (expected.invalid and not skip_invalid):
        with pytest.raises(InputError):
            read(text, *where, by=by, skip_invalid=skip_invalid)
        return
    listing = read(text, *where, by=by, skip_invalid=skip_invalid)

    assert [listing.is_selected(entry) for entry in range(len(listing))] == expected.selected
    assert sorted(filter(listing.is_selected, listing.invalid)) == expected.invalid
    licenses = {
        listing.named(entry)
        for entry, is_so in enumerate(expected.selected)
        if is_so and entry not in expected.invalid
    }
    assert sorted(map(listing.named, listing.distinct())) == sorted(licenses)
    for condition, counts in listing.where.items():
        at = ["", "Action", "Customer"].index(condition.column)
        assert counts[condition.value] == sum(row[at].strip() == condition.value for row in rows)
        assert counts.total() == len(rows)


def test_several_conditions_hold_all_at_once() -> None:
    text = written(
        ["license_id", "Action", "Customer"],
        [A, "revoke", "ACME"],
        [B, "revoke", "Other"],
        [C, "keep", "ACME"],
    )

    assert meant(read(text, "Action=revoke", "Customer=ACME")) == [2]


def test_what_is_not_meant_may_hold_anything() -> None:
    text = written(["license_id", "Action"], [A, "revoke"], ["to be told", "keep"], ["", "keep"])

    listing = read(text, *ACTION)

    assert meant(listing) == [2]
    assert listing.invalid == {1: "to be told", 2: ""}
    assert list(listing.distinct()) == [0]


def test_what_is_meant_and_no_license_is_refused_as_ever() -> None:
    text = written(["license_id", "Action"], [A, "revoke"], ["nonsense", "revoke"], ["x", "keep"])

    error = refused(text, *ACTION)

    assert "1 row without a license ID" in str(error)
    assert "row 3  nonsense" in str(error)
    assert "row 4" not in str(error)


def test_a_license_that_is_meant_by_one_row_only_is_refused_with_both() -> None:
    text = written(
        ["license_id", "Action"], [A, "revoke"], [B, "keep"], [A.upper(), "keep"], [B, "revoke"]
    )

    error = refused(text, *ACTION)

    assert f"row 2 is selected, row 4 is not: {A}" in str(error)
    assert f"row 3 is not, row 5 is selected: {B}" in str(error)
    assert "correct or take out one of its rows" in error.hint
    mended = text.replace(f"{A.upper()},keep", f"{A},revoke").replace(f"{B},keep\n", "")
    assert len(read(mended, *ACTION).distinct()) == 2


def test_of_many_contradictions_ten_are_named() -> None:
    ids = some_ids(11)
    rows = [[each, action] for action in ("revoke", "keep") for each in ids]

    error = refused(written(["license_id", "Action"], *rows), *ACTION)

    assert "11 rows contradict" in str(error)
    assert len(error.details) == 11
    assert error.details[-1].text == "and 1 more"


def test_a_key_of_a_contradiction_is_no_part_of_the_message_itself() -> None:
    text = written(["license_key", "Action"], ["K-1", "revoke"], ["K-1", "keep"])

    error = refused(text, *ACTION, by="key")

    assert error.details[0].shown == "K-1"
    assert "K-1" not in error.message + error.details[0].text


def test_where_no_row_is_meant_it_is_said_what_there_is() -> None:
    text = written(["license_id", "Action"], [A, "Revoke"], [B, "keep"], [C, "keep"])

    error = refused(text, *ACTION)

    assert str(error).startswith("--where selects no row of ")
    assert 'Action=revoke; the column holds "Revoke" 1, "keep" 2.' in str(error)
    assert "upper and lower case" in error.hint
    assert "evoke" not in told(error, to_all=True)
    assert meant(read(text, "Action=Revoke")) == [2]


def test_a_column_that_is_not_there_is_refused_with_those_that_are() -> None:
    text = written(["license_id", "Action"], [A, "revoke"])

    error = refused(text, "Actoin=revoke")

    assert 'no column of that name: "Actoin"' in str(error)
    assert "Columns seen: license_id, Action." in str(error)
    assert "name one of these as written, or a column by its number" in error.hint
    assert meant(read(text, "Action=revoke")) == meant(read(text, "2=revoke")) == [2]
    assert "no column" in str(refused(text, "3=revoke"))
    assert "no column" in str(refused(text, "0=revoke"))


def test_of_two_columns_of_one_name_one_is_meant_by_its_number() -> None:
    text = written(["license_id", "Action", "Action"], [A, "revoke", "x"], [B, "x", "revoke"])

    error = refused(text, *ACTION)

    assert "several columns" in str(error)
    assert "by its number: 2 is the first" in error.hint
    assert meant(read(text, "2=revoke")) == [2]
    assert meant(read(text, "3=revoke")) == [3]


def test_without_a_header_a_column_is_meant_by_its_number() -> None:
    text = f"{A},revoke\n{B},keep\n"
    options = {"column": "1", "stdin": io.BytesIO(text.encode())}

    with pytest.raises(InputError) as error:
        read_listing("-", where=[Condition("Action", "revoke")], **options)  # type: ignore[arg-type]
    options["stdin"] = io.BytesIO(text.encode())
    found = read_listing("-", where=[Condition("2", "revoke")], **options)  # type: ignore[arg-type]

    assert "the file has no header: name a column by its number" in error.value.hint
    assert meant(found) == [1]


def test_a_header_with_blanks_around_it_is_found() -> None:
    assert meant(read(f"license_id, Action \n{A}, revoke\n{B},keep\n", *ACTION)) == [2]


def test_a_row_that_ends_early_has_empty_cells() -> None:
    text = f"license_id,Action\n{A}\n{B},keep\n"

    assert meant(read(text, "Action=")) == [2]


def test_blank_rows_are_no_rows() -> None:
    listing = read(f"license_id,Action\n{A},revoke\n,\n\n{B},keep\n", *ACTION)

    assert list(listing.rows) == [2, 5]
    assert listing.blank == 2
    assert listing.where[Condition("Action", "revoke")].total() == 2


HEADER = "row,license_id,license_key,outcome,revoked,was_revoked,http_status,error_code,error"


def test_of_results_a_part_is_taken_by_what_they_carry() -> None:
    text = (
        f"{HEADER},attempts,finished_at,duplicate_of,Customer\n"
        f"2,{A},,failed,,,,,,,,,'=ACME\n"
        f"3,{B},,failed,,,,,,,,,Other\n"
        f"4,{C},,revoked,,,,,,,,,'=ACME\n"
    )

    listing = read(text, "Customer==ACME")

    assert meant(listing) == [2]
    assert list(listing.rows) == [2, 3]
    assert listing.left_out == {"revoked": 1}
    assert listing.where == {Condition("Customer", "=ACME"): {"=ACME": 1, "Other": 1}}


def test_values_are_shown_with_those_first_that_look_like_the_wanted_one() -> None:
    counts = {f"value {n}": 100 - n for n in range(20)} | {"Re-voke": 1, "revoke ": 2, "revoke": 3}

    text = values_seen(counts, "revoke")

    assert text.startswith('"revoke" 3, "revoke " 2, "Re-voke" 1, "value 0" 100, ')
    assert text.count('"') == 2 * MOST_VALUES
    assert text.endswith(f", 13 more values in {sum(range(81, 94)):,} rows")


def test_ten_contradictions_are_all_that_is_named() -> None:
    ids = some_ids(10)
    rows = [[each, action] for action in ("revoke", "keep") for each in ids]

    assert len(refused(written(["license_id", "Action"], *rows), *ACTION).details) == 10


def test_one_contradiction_contradicts() -> None:
    error = refused(written(["license_id", "Action"], [A, "revoke"], [A, "keep"]), *ACTION)

    assert "1 row contradicts an earlier one" in error.message


def test_the_first_column_has_the_number_one() -> None:
    text = written(["Action", "license_id"], ["revoke", A], ["keep", B])

    assert meant(read(text, "1=revoke")) == [2]


def test_a_quote_in_front_of_a_formula_is_one_of_the_list_and_none_of_results() -> None:
    text = written(["license_id", "Note"], [A, "'=1"], [B, "=1"])

    assert meant(read(text, "Note='=1")) == [2]
    assert meant(read(text, "Note==1")) == [3]


def test_a_cell_that_a_row_does_not_reach_is_empty() -> None:
    selection = Selection(
        "l.csv", [Condition("Note", "")], ["license_id", "Note"], 2, in_results=False
    )

    assert selection.add([A])
    assert not selection.add([A, "x"])
