"""What an input means: header, columns, IDs, rows, repeats, refusals."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, Unpack

import openpyxl
import pytest
import xlsxwriter
from hypothesis import given, settings
from hypothesis import strategies as st

from batch.columns import COLUMNS
from batch.errors import InputError
from batch.formatting import cell
from batch.input.identifiers import first_ids
from batch.input.listing import read_listing
from batch.input.messages import shown
from batch.model import NO_ID, UNFINISHED, Listing, Outcome, Property, parse_id, parse_ids

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

A, B, C = (f"aaaaaaaa-0000-4000-8000-00000000000{digit}" for digit in "123")
FIXTURES = Path(__file__).parents[1] / "fixtures"
CASES = Path(__file__).parents[1] / "cases"
WHITE = st.text(st.sampled_from(" \t\u00a0\u2007\u202f\u3000"), max_size=3)


class Options(TypedDict, total=False):
    column: str
    carry: Sequence[str]
    skip_invalid: bool
    outcomes: Mapping[Property, Collection[str]]
    by: str
    header_row: int


def listing(text: str, **options: Unpack[Options]) -> Listing:
    return read_listing("-", stdin=io.BytesIO(text.encode()), **options)


def refusal(text: str, **options: Unpack[Options]) -> InputError:
    with pytest.raises(InputError) as caught:
        listing(text, **options)
    assert str(caught.value).startswith("standard input")
    assert caught.value.hint
    return caught.value


def ids(found: Listing) -> list[str]:
    return [found.license_id(entry) for entry in range(len(found))]


# Header and columns


@pytest.mark.parametrize(
    "header",
    ["license_id", "License ID", "LICENCE-ID", "licenseId", "Id", " ID ", "License\u00a0ID"],
)
def test_a_header_that_reads_like_an_id_column_is_taken(header: str) -> None:
    found = listing(f"customer,{header}\nAcme,{A}\n")

    assert ids(found) == [A]
    assert list(found.rows) == [2]
    assert f'column "{header.strip()}" (header in row 1)' in found.title.replace(
        "<U+00A0>", "\u00a0"
    )


def test_license_id_and_licence_id_win_over_id() -> None:
    assert ids(listing(f"id,license id\n{A},{B}\n")) == [B]
    assert ids(listing(f"id,licence id\n{A},{B}\n")) == [B]


def test_a_column_is_named_as_written_or_by_its_number() -> None:
    text = f"2,id\n{A},{B}\n"

    assert ids(listing(text, column="2")) == [B]
    assert ids(listing(text, column="id")) == [B]
    assert ids(listing(text, column="1", header_row=1)) == [A]
    assert ids(listing(f"x,y\n{A},{B}\n", column="2")) == [B]
    assert 'no column "ID"' in str(refusal(text, column="ID"))


@pytest.mark.parametrize("column", ["0", "3", "-1", "x", "", "²"])
def test_a_column_that_is_not_there_is_refused_naming_those_that_are(column: str) -> None:
    error = refusal(f"id,customer\n{A},Acme\n", column=column)

    assert f'no column "{column}"' in str(error)
    assert "Columns seen: id, customer." in str(error)
    assert "--column" in error.hint


@pytest.mark.parametrize(
    ("header", "options"),
    [
        ("License ID,license_id", {}),
        ("license_id,licenceId", {}),
        ("ID,id", {}),
        ("x,x", {"column": "x"}),
    ],
)
def test_two_headers_that_fit_equally_well_are_refused_by_their_names(
    header: str, options: Options
) -> None:
    error = refusal(f"{header}\n{A},{B}\n", **options)

    first, second = header.split(",")
    assert "2 columns may hold the license IDs" in str(error)
    assert f"{first} (column 1), {second} (column 2)" in str(error)
    assert "--header-row 1 --column 1" in error.hint
    assert ids(listing(f"{header}\n{A},{B}\n", header_row=1, column="1")) == [A]
    assert ids(listing(f"{header}\n{A},{B}\n", column="2")) == [B]


def test_columns_without_a_name_at_the_end_are_counted() -> None:
    text = f"customer,,serial,,\nAcme,,{A},,\n"

    assert "Columns seen: customer, (no name), serial, 2 without a name." in str(refusal(text))


def test_one_wrong_cell_is_not_spoken_of_as_several() -> None:
    reads_like = "an ID reads like 23d9646c-34f5-4d37-adeb-f7f77b927bdb"

    assert refusal(f"license_id\n{A}\nnone\n").hint == (
        f"correct it ({reads_like}), or leave it out with --skip-invalid."
    )


def test_no_id_column_is_refused_naming_the_columns() -> None:
    text = f"customer,serial,\nAcme,{A},\n"

    error = refusal(text)

    assert "no license ID column" in str(error)
    assert "Columns seen: customer, serial, (no name)." in str(error)
    assert error.hint == "the license IDs are in column 2: --column 2."
    assert ids(listing(text, column="2")) == [A]


TITLES = ["July", "Licenses of July 2026", "July,,", f"{A}", "#TYPE System.Object", "a,b,c,d,e,f"]


@pytest.mark.parametrize("title", TITLES)
@pytest.mark.parametrize("options", [Options(), Options(column="1"), Options(column="License ID")])
def test_a_title_above_the_header_is_refused_naming_the_columns(
    title: str, options: Options
) -> None:
    text = f"{title}\n\nLicense ID,customer,seats\n{A},Acme,1\n"

    error = refusal(text, **options)

    assert "the header is in row 3" in str(error)
    assert "Columns seen in row 3: License ID, customer, seats." in str(error)
    assert "--header-row 3" in error.hint
    followed: Options = {**options, "header_row": 3}
    found = listing(text, **followed)
    assert (ids(found), list(found.rows), found.blank) == ([A], [4], 1)
    assert '"License ID" (header in row 3; 1 row above it is left out)' in found.title


@pytest.mark.parametrize("title", ["version:v1.0,,", "version:v1.0", "July", "Our\nlicenses,,"])
def test_a_title_above_a_header_of_other_names_is_refused_with_its_way_out(title: str) -> None:
    text = f"{title}\nSerial,Customer,Note\n{A},Acme,\n{B},Zorg,\n"
    row = title.count("\n") + 2

    for options in (Options(), Options(column="1"), Options(column="serial number")):
        error = refusal(text, **options)

        assert f"row 1 looks like a title, and row {row} like the header" in str(error)
        assert f"Columns seen in row {row}: Serial, Customer, Note." in str(error)
        assert f"--header-row {row}" in error.hint
    assert f"--header-row {row} --column 1," in refusal(text).hint
    assert ids(listing(text, header_row=row, column="1")) == [A, B]


@pytest.mark.parametrize("above", ["July 2026,,\n", "July,,\nfor Bob,,\n"])
def test_rows_above_the_first_id_that_may_be_a_header_are_refused_with_its_number(
    above: str,
) -> None:
    text = f"{above}Serial 1,Customer 1,Note 1\n{A},Acme,\n{B},Zorg,\n"
    row = above.count("\n") + 1

    error = refusal(text, column="1")

    assert error.hint.startswith(f"if row {row} is the header: --header-row {row}; else correct")
    assert ids(listing(text, column="1", header_row=row)) == [A, B]


@pytest.mark.parametrize(
    ("header", "options"),
    [("id", {}), ("serial", {"column": "serial"}), ("x", {"column": "1", "header_row": 1})],
)
def test_a_wrong_cell_below_a_header_that_is_sure_is_to_be_corrected(
    header: str, options: Options
) -> None:
    assert refusal(f"{header},n\nx,1\n{A},1\n", **options).hint.startswith("correct it")


def test_a_column_beyond_the_cells_of_the_first_row_is_refused() -> None:
    assert refusal(f"id\n{A},\n", column="2").hint.endswith("in another column: --column 1.")
    assert "row 2: 2 cells" in str(refusal(f"July\nx,{A}\n", column="2"))


@pytest.mark.parametrize("title", ["July\n", "July 2026\n", "July\nfor Bob\n", "#TYPE X.Y\n"])
def test_a_title_above_a_header_with_digits_is_refused_with_its_way_out(title: str) -> None:
    text = f"{title}Serial 1,Customer 1\n{A},Acme\n"
    row = title.count("\n") + 1

    error = refusal(text)

    assert f"if row 1 is a title, say --header-row {row} if row {row} is the header" in error.hint
    assert ids(listing(text, header_row=row, column="1")) == [A]


def test_an_id_above_a_wider_row_is_not_called_a_title() -> None:
    assert "title" not in refusal(f"{A}\n{B},x\n").hint
    assert "2 rows without a license ID" in str(refusal(f"{A},\nx,y\nx,y\n", column="1"))


def test_a_single_wider_row_is_not_called_a_header() -> None:
    text = f"serial,\n{A},\n{B},\nthe end,\nof the list,call Bob\n"

    assert "2 rows without a license ID" in str(refusal(text, column="1"))


def test_a_column_that_is_said_to_have_no_header_is_to_be_named_by_its_number() -> None:
    assert refusal(f"Acme,{A}\n", header_row=0).hint.endswith("in column 2: --column 2.")


@pytest.mark.parametrize("number", [3, 4, 60])
def test_a_row_that_cannot_be_the_header_is_refused(number: int) -> None:
    text = f"July\nid,n\n\n{A},1\n" + "\n" * 30 + f"{B},1\n" * 30

    if number == 4:
        assert ids(listing(text, header_row=number, column="1")) == [B] * 30
    else:
        error = refusal(text, header_row=number)
        assert f"the header cannot be in row {number}" in str(error)
        assert "--header-row" in error.hint


def test_what_stands_above_the_header_may_be_wider_than_it() -> None:
    assert ids(listing(f"a,b,c,d\nid,n\n{A},1\n", header_row=2)) == [A]


def test_without_a_header_a_column_has_no_name() -> None:
    error = refusal(f"{A},x\n", header_row=0, column="id")

    assert "without a header columns have no names" in error.hint
    assert ids(listing(f"{A},x\n{B},y\n", header_row=0, column="1")) == [A, B]


def test_a_header_with_a_digit_is_taken_when_its_row_is_given() -> None:
    text = f"License 2026,n\n{A},1\n"

    error = refusal(text, column="1")

    assert "row 1  License 2026" in str(error)
    assert error.hint.startswith("if row 1 is the header: --header-row 1; else correct")
    assert ids(listing(text, column="1", header_row=1)) == [A]


def test_row_names_are_refused_and_a_header_for_them_is_the_way_out() -> None:
    text = (CASES / "r-write-table-rownames.csv").read_text(encoding="utf-8")

    error = refusal(text)

    assert "every row has one cell more than the header (row 1)" in str(error)
    assert "Are these row names, as R writes them?" in str(error)
    assert "in front of the header" in error.hint
    assert len(ids(listing(f"row,{text}"))) == 3


def test_of_very_many_columns_the_first_are_named() -> None:
    message = str(refusal(",".join(f"c{number}" for number in range(100))))

    assert "c38, c39, …." in message


def test_a_title_above_the_column_that_was_named_is_refused() -> None:
    message = str(refusal(f"July,2\n\nserial,customer\n{A},Acme\n", column="serial"))

    assert "the header is in row 3" in message


@pytest.mark.parametrize("first", ["serial,n\n", ""])
def test_a_cell_that_equals_the_column_number_is_no_header(first: str) -> None:
    assert ids(listing(f"{first}{A},1\n{B},1\n", column="1")) == [A, B]


@pytest.mark.parametrize(("name", "count"), [("nohdr_id", 3), ("nohdr-semicolon-tie", 2)])
def test_the_examples_without_a_header_hold_an_id_in_each_row(name: str, count: int) -> None:
    path = str(CASES / f"{name}.csv")

    with pytest.raises(InputError, match="has no header: row 1 holds data") as caught:
        read_listing(path)

    assert "--column 1." in caught.value.hint
    assert list(read_listing(path, column="1").rows) == list(range(1, count + 1))


def test_the_example_of_a_template_is_read_once_every_remedy_is_followed() -> None:
    path = str(CASES / "template-version-line.csv")

    with pytest.raises(InputError, match="row 1 looks like a title") as first:
        read_listing(path)
    with pytest.raises(InputError, match="no license ID column") as second:
        read_listing(path, header_row=2)
    with pytest.raises(InputError, match="1 row without a license ID") as third:
        read_listing(path, header_row=2, column="1")

    assert "--header-row 2 --column 1" in first.value.hint
    assert "--column 1" in second.value.hint
    assert "--skip-invalid" in third.value.hint
    found = read_listing(path, header_row=2, column="1", skip_invalid=True)
    assert list(found.rows) == [3, 4, 5, 6, 7, 8]
    assert list(found.invalid) == [0]


def test_the_example_of_texts_as_formulas_holds_the_ids() -> None:
    found = read_listing(str(CASES / "json2csv-excelstrings.csv"), carry=["k"])

    assert ids(found)[0] == "3f2504e0-4f89-41d3-9a0c-0305e82c3301"
    assert len(found) == 5
    assert 'column "license_id" (header in row 1)' in found.title


def test_a_single_column_needs_no_header() -> None:
    assert ids(listing(f"{A}\n{B}\n")) == [A, B]
    assert ids(listing(f"whatever\n{A}\n")) == [A]
    assert ids(listing(f",{A},\n,{B},\n")) == [A, B]
    assert "(no header)" in listing(f"{A}\n").title


def test_a_first_row_with_a_digit_in_the_id_column_is_data() -> None:
    assert list(listing(f"{A},Acme\n{B},Zorg\n", column="1").rows) == [1, 2]
    assert list(listing(f"serial,Acme\n{B},Zorg\n", column="1").rows) == [2]


def test_an_id_without_a_digit_is_no_header() -> None:
    letters = "abcdefab-cdef-abcd-efab-cdefabcdefab"

    assert ids(listing(f"{letters}\n{A}\n")) == [letters, A]


def test_data_without_a_header_in_several_columns_is_refused_naming_the_number() -> None:
    error = refusal(f"Acme,{A}\nZorg,{B}\n")

    assert "has no header: row 1 holds data" in str(error)
    assert "--column 2" in error.hint


# Carried columns


def test_carried_columns_come_in_the_order_they_were_asked_for() -> None:
    found = listing(f"id,a,b\n{A},1, x \n{B.upper()} ,2,y\n", carry=["b", "a"])

    assert found.carry == ("b", "a")
    assert found.carried == [(" x ", "1"), ("y", "2")]


def test_without_a_header_columns_are_carried_by_number() -> None:
    assert listing(f"{A},x\n{B},y\n", column="1", carry=["2"]).carried == [("x",), ("y",)]
    assert "has no header" in str(refusal(f"{A},x\n", column="1", carry=["3"]))
    assert "has no header" in str(refusal(f"{A},x\n", column="1", carry=["name"]))


@pytest.mark.parametrize(
    ("header", "beside"),
    [
        ("id,License Key", ["K-1", "", "K-3"]),
        ("id,LICENSE-KEY", ["K-1", "", "K-3"]),
        ("id,key", []),
        ("id,key,license_key", ["x", "x", "x"]),
        ("id,licensekey,License Key", []),
        ("id,note", []),
    ],
)
def test_keys_beside_the_ids_are_kept_if_one_column_has_them(
    header: str, beside: list[str]
) -> None:
    last = ",x" * (header.count(",") - 1)

    found = listing(f"{header}\n{A}, K-1 {last}\n{B},{last}\n{C},K-3{last}\n")

    assert found.keys_beside == beside


def test_a_key_beside_an_id_is_read_as_a_list_of_ours_spells_it() -> None:
    keys = ["=1+1", "-2", "@a", "'b", "K-1"]

    rows = "".join(f"{A},{cell(key)}\n" for key in keys)

    assert listing(f"id,license_key\n{rows}").keys_beside == keys


def test_the_column_of_the_ids_is_none_of_keys_whatever_it_is_called() -> None:
    assert listing(f"license key,note\n{A},x\n", column="license key").keys_beside == []


def test_keys_beside_the_ids_are_parallel_to_the_rows_that_are_taken() -> None:
    rows = f"{A},K-1,x\n\nno id,K-2,x\n{B},K-3,x\n{A},K-4,y\n"

    found = listing(f"id,license_key,a\n{rows}", skip_invalid=True)

    assert found.keys_beside == ["K-1", "K-2", "K-3", "K-4"]
    assert len(found) == 4


def test_what_a_spreadsheet_has_made_of_a_key_beside_an_id_is_no_key(tmp_path: Path) -> None:
    path = tmp_path / "list.xlsx"
    book = openpyxl.Workbook()
    assert book.active is not None
    for row in (("id", "license_key"), (A, 1.5), (B, "0012"), (C, 12)):
        book.active.append(row)
    book.save(path)

    assert read_listing(str(path)).keys_beside == ["", "0012", "12"]


def test_a_carried_column_that_is_missing_or_ambiguous_is_refused() -> None:
    missing = refusal(f"id,a,a\n{A},1,2\n", carry=["b"])
    twice = refusal(f"id,a,a\n{A},1,2\n", carry=["a"])

    assert 'no column "b" to carry.\n  Columns seen: id, a, a.' in str(missing)
    assert '2 columns "a" to carry' in str(twice)


# IDs


@given(st.uuids(), WHITE, WHITE, st.booleans())
def test_an_id_counts_in_any_case_and_with_white_space_around_it(
    license_id: uuid.UUID, before: str, after: str, upper: bool
) -> None:
    text = str(license_id).upper() if upper else str(license_id)

    assert parse_id(before + text + after) == license_id.bytes


@pytest.mark.parametrize(
    "cell",
    [
        "",
        "x",
        A[:-1],
        A + "0",
        A.replace("-", ""),
        "{" + A + "}",
        "urn:uuid:" + A,
        A.replace("a", "g"),
        A + "\u200b",
        "\ufeff" + A,
        A.replace("-", "\u2010"),
        A.replace("1", "\u0661"),
        f"{A}\n{B}",
        f"{A} {B}",
        A[:8] + A[9:] + "-",
        "-" * 36,
    ],
)
def test_nothing_else_is_an_id(cell: str) -> None:
    assert parse_id(cell) is None
    assert parse_ids([A, cell, B]) is None


WRAPPED = [
    "{%s}",
    " {%s} ",
    "urn:uuid:%s",
    "URN:UUID:%s",
    '="{%s}"',
    "https://api.cryptlex.com/v3/licenses/%s",
    "http://example.invalid:8080/a/licenses/%s/activations?page=1#x",
    "https://example.invalid/licenses/%s?tab=a/b",
]


@pytest.mark.parametrize("form", WRAPPED)
@pytest.mark.parametrize("more", [0, 20_000])
def test_an_id_in_braces_a_urn_or_a_link_is_read_and_counted(form: str, more: int) -> None:
    cells = [B] * more + [form % A, form % A.upper()]

    found = listing("id,n\n" + "".join(f"{cell},\n" for cell in cells))

    assert ids(found)[more:] == [A, A]
    assert "(header in row 1; 2 IDs were in braces, a URN or a link)" in found.title


@pytest.mark.parametrize(
    "cell",
    [
        f"{{{A}",
        f"({A})",
        f"urn:{A}",
        f"https://x.invalid/products/{A}",
        f"https://x.invalid/?next=/licenses/{A}",
        f"https://x.invalid/#/licenses/{A}",
        f"https://x.invalid/licenses/{A}0",
        f"https://x.invalid/licenses/{A}/licenses/{B}",
        f"see https://x.invalid/licenses/{A}",
        f"/licenses/{A}",
    ],
)
def test_nothing_else_around_an_id_is_read(cell: str) -> None:
    assert f"row 3  {cell}" in str(refusal(f"id,n\n{B},\n{cell},\n"))


def test_an_id_as_the_text_of_a_formula_is_an_id_like_any_other() -> None:
    found = listing(f'id\n="{A}"\n"=""{B}"""\n')

    assert ids(found) == [A, B]
    assert found.title.endswith("(header in row 1)")


@given(st.lists(st.uuids(), max_size=20))
def test_a_whole_column_reads_like_its_cells_one_by_one(column: list[uuid.UUID]) -> None:
    assert parse_ids([str(cell) for cell in column]) == b"".join(cell.bytes for cell in column)


@given(st.lists(st.sampled_from([A, B.upper(), "x" * 36, f" {C}", A[:-1], f"{A}\n", ""])))
def test_the_fast_road_never_takes_what_the_slow_one_does_not(column: list[str]) -> None:
    fast = parse_ids(column)

    if fast is not None:
        assert fast == b"".join(parse_id(cell) or b"?" for cell in column)


def test_the_nil_uuid_is_an_id_and_no_repeat_of_an_invalid_cell() -> None:
    nil = str(uuid.UUID(int=0))
    found = listing(f"id\nx\n{nil}\n{nil}\ny\n", skip_invalid=True)

    assert ids(found)[1] == nil
    assert list(found.first) == [0, 1, 1, 3]


def test_a_number_cell_of_a_workbook_is_no_id(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    for row in (["id"], [1e35], ["1e5"], [A]):
        book.worksheets[0].append(row)
    book.save(tmp_path / "l.xlsx")

    found = read_listing(str(tmp_path / "l.xlsx"), skip_invalid=True)

    assert found.invalid == {0: "1e+35", 1: "1e5"}


# Rows


@pytest.mark.parametrize("extra", ["", ",", ",,  ,"])
def test_row_numbers_are_those_of_a_spreadsheet(extra: str) -> None:
    found = listing(f'\n\nid,note{extra}\n{A},"a\nb"{extra}\n\n , \n{B},c{extra}\n')

    assert list(found.rows) == [4, 7]
    assert found.blank == 4


def test_blank_rows_are_counted_and_an_empty_id_in_a_row_with_content_is_invalid() -> None:
    found = listing(f"id,note\n{A},\n,\n,x\n   ,\t\n{B},\n", skip_invalid=True)

    assert found.blank == 2
    assert found.invalid == {1: ""}
    assert list(found.rows) == [2, 4, 6]


def test_a_row_with_more_cells_than_the_header_is_refused() -> None:
    error = refusal(f"id,customer\n{A},Acme\n{B},Zorg, Inc\n")

    assert "row 3: 3 cells, but the header (row 1) has 2" in str(error)
    assert "The first one too many:  Inc" in str(error)
    assert "quotes" in error.hint


def test_a_wide_row_far_down_is_refused() -> None:
    text = "id,customer\n" + f"{A},Acme\n" * 40_000 + f"{B},Zorg, Inc\n"

    assert "row 40002: 3 cells" in str(refusal(text))


def test_a_wide_row_in_a_file_of_a_single_column_is_refused() -> None:
    assert "row 2: 2 cells, but the first row" in str(refusal(f"{A}\n{B},x\n"))
    assert "row 31: 3 cells" in str(refusal(f",{A},\n" * 30 + f",{A},x\n"))


def test_many_rows_that_end_before_the_column_of_ids_are_invalid_and_no_more() -> None:
    text = f"n,id\nx,{A}\n" + "x\n" * 10_000

    assert "10000 rows without a license ID" in str(refusal(text)).replace(",", "")


def test_cells_too_many_that_are_empty_are_nothing() -> None:
    assert ids(listing(f"id,customer\n{A},Acme,, ,\n" + f"{B},x\n" * 30 + f"{C},x,,\n"))[0] == A


def test_a_note_beside_the_table_of_a_workbook_is_nothing(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    for row in (["id"], [A], [B, None, "call first"]):
        book.worksheets[0].append(row)
    book.save(tmp_path / "l.xlsx")

    assert ids(read_listing(str(tmp_path / "l.xlsx"))) == [A, B]


# Repeats


def test_a_repeated_id_names_its_first_entry() -> None:
    found = listing(f"id\n{A}\n{B}\n{A.upper()}\n {B}\n{A}\n{C}\n")

    assert list(found.first) == [0, 1, 0, 1, 0, 5]
    assert [found.repeats(entry) for entry in range(6)] == [False, False, True, True, True, False]


@settings(deadline=None)  # the first example imports numpy
@given(st.lists(st.integers(0, 3)), st.sets(st.integers(0, 20)))
def test_the_first_entry_is_that_of_a_plain_search(numbers: list[int], invalid: set[int]) -> None:
    invalid = {entry for entry in invalid if entry < len(numbers)}
    # Two halves, so that some IDs share one and not the other.
    keys = [bytes(7) + bytes([number >> 1]) + bytes(7) + bytes([number & 1]) for number in numbers]
    cells = [NO_ID if entry in invalid else key for entry, key in enumerate(keys)]

    seen: dict[bytes, int] = {}
    expected = [
        entry if entry in invalid else seen.setdefault(key, entry) for entry, key in enumerate(keys)
    ]

    assert list(first_ids(b"".join(cells), invalid)) == expected


# Refusals


def test_invalid_cells_are_refused_naming_ten_and_counting_all() -> None:
    cells = ["x", f"{A}\u200b", '"a\nb"', f"\u202e{B}", "1,5", *["y"] * 20]
    text = f"id\n{C}\n" + "".join(f"{cell}\n" for cell in cells).replace("1,5", '"1,5"')

    error = refusal(text)

    assert "25 rows without a license ID (of 26):" in str(error)
    assert "  row 3  x\n" in str(error)
    assert f"  row 4  {A}<U+200B>\n" in str(error)
    assert "  row 5  a<U+000A>b\n" in str(error)
    assert f"  row 6  <U+202E>{B}\n" in str(error)
    assert "  row 12  y\n" in str(error)
    assert "row 13" not in str(error)
    assert "and 15 more" in str(error)
    assert "--skip-invalid" in error.hint


def test_the_example_of_look_alikes_is_refused_showing_every_code_point() -> None:
    with pytest.raises(InputError) as caught:
        read_listing(str(CASES / "lookalikes.csv"))

    cells = [detail.shown for detail in caught.value.details]
    assert cells[0] == "8a67639f<U+2011>7408<U+2011>4f56<U+2011>85aa<U+2011>328f676226e2"
    assert cells[1] == "6a23e238<U+2013>e3b1<U+2013>477f<U+2013>94c0<U+2013>11f1bd38f1f3"
    assert cells[2] == "920fbd01-f400-42<U+0435>3-bf34-7862554017cd"
    assert cells[3] == "83fd989e<U+00AD>-60f2-4040-8362-d53c9efc6d89"
    assert cells[4] == "aa68bfcc-8c92-4344-b161-O3485a1c292b"
    assert caught.value.hint.startswith("they look like IDs that were changed: correct them")
    assert "--skip-invalid" not in caught.value.hint


@pytest.mark.parametrize(
    ("cell", "hint"),
    [
        ("0A2035-E8A2A{}", "they look like license keys: look licenses up by key with --by key "),
        ("10{}", "they look like numbers: name another column with --column NUMBER; or, if"),
        ("Acme Ltd", "they look like text: name another column with --column NUMBER, or look"),
        ("", "the column is empty: name another column with --column NUMBER."),
        (A.replace("-", ""), "they look like IDs that were changed: correct them (an ID reads"),
    ],
)
@pytest.mark.parametrize("skip_invalid", [False, True])
def test_a_column_without_a_single_id_is_no_case_for_leaving_rows_out(
    cell: str, hint: str, skip_invalid: bool
) -> None:
    text = "id,n\n" + "".join(f"{cell.format(10 + n)},x\n" for n in range(50))

    error = refusal(text, skip_invalid=skip_invalid)

    assert "not a single license ID: 50 rows without one:" in str(error)
    assert "and 40 more" in str(error)
    assert error.hint.startswith(hint)
    assert "--skip-invalid" not in error.hint


def test_where_another_column_holds_the_ids_it_is_named() -> None:
    text = f"id,n,serial\n1,x,{A}\n2,y,{B}\n"

    error = refusal(text)

    assert error.hint == "the license IDs seem to be in another column: --column 3."
    assert ids(listing(text, column="3")) == [A, B]


def test_keys_in_the_column_of_ids_are_read_when_the_advice_is_followed() -> None:
    text = "id,n\n0A2035-E8A2A3,x\n0A2035-E8A2A4,x\n"

    by_id = refusal(text)
    by_key = refusal(text, by="key", column="1")

    assert "--by key --column 1;" in by_id.hint
    assert "--header-row 1, another one" in by_key.hint
    assert listing(text, by="key", header_row=1, column="1").keys == [
        "0A2035-E8A2A3", "0A2035-E8A2A4",
    ]  # fmt: skip


def test_invalid_cells_are_kept_where_they_are_to_be_skipped() -> None:
    found = listing(f"id,note\n{A},\nx ,\n{B},\n", skip_invalid=True)

    assert found.invalid == {1: "x "}
    assert len(found) == 3
    assert found.ids[16:32] == NO_ID


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ("a b", "a b"),
        ("a\u00a0b\tc", "a<U+00A0>b<U+0009>c"),
        ("\u200b\ufeff\u2028\U000e0041", "<U+200B><U+FEFF><U+2028><U+E0041>"),
        ("é€😀", "é€😀"),
        ("x" * 300, "x" * 300),
        ("x" * 301, "x" * 300 + "…"),
    ],
)
def test_a_message_shows_what_cannot_be_seen(cell: str, text: str) -> None:
    assert shown(cell) == text


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        ("", {}, "is empty"),
        ("\n \n,,\n", {}, "is empty"),
        ("id,customer\n", {}, "not a single license ID"),
        ("id\nx\n", {"skip_invalid": True}, "not a single license ID"),
        ("id\nx\n", {}, "not a single license ID: 1 row without one:"),
    ],
)
def test_an_input_without_a_single_id_is_refused(text: str, options: Options, said: str) -> None:
    assert said in str(refusal(text, **options))


def test_hidden_rows_are_refused_by_count_and_number_unless_included() -> None:
    path = str(FIXTURES / "libreoffice.xlsx")

    with pytest.raises(InputError) as caught:
        read_listing(path)

    assert 'sheet "July": 1 row with content is hidden or filtered: 8.' in str(caught.value)
    assert "--include-hidden" in caught.value.hint
    found = read_listing(path, sheet="July", include_hidden=True)
    assert list(found.rows) == [3, 4, 5, 8, 9]
    assert found.blank == 3


def test_many_hidden_rows_are_counted_and_the_first_are_named(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    sheet.append(["id"])
    for number in range(2, 22):
        sheet.append([A])
        sheet.row_dimensions[number].hidden = True
    book.save(tmp_path / "l.xlsx")

    with pytest.raises(InputError, match=r"20 rows .* are hidden or filtered: 2, 3, .*, 11, …\."):
        read_listing(str(tmp_path / "l.xlsx"))


# Results of an earlier run


def results(*outcomes: str) -> str:
    rows = (
        f"{number},{uuid.UUID(int=number)},,{outcome},,,,,,,,,'=carried"
        for number, outcome in enumerate(outcomes, 10)
    )
    return "\n".join([",".join((*COLUMNS, "ticket")), *rows, ""])


def test_of_an_earlier_run_only_unfinished_rows_are_taken() -> None:
    found = listing(
        results("revoked", "failed", "unknown", "revoked", "not_attempted", "not_found"),
        carry=["ticket"],
    )

    assert ids(found) == [str(uuid.UUID(int=number)) for number in (11, 12, 14)]
    assert list(found.rows) == [3, 4, 6]
    assert found.left_out == {"revoked": 2, "not_found": 1}
    assert found.carried == [("=carried",)] * 3


def test_the_outcomes_to_take_can_be_chosen() -> None:
    found = listing(results("revoked", "failed"), outcomes={Property.REVOKED: {Outcome.REVOKED}})

    assert ids(found) == [str(uuid.UUID(int=10))]
    assert found.left_out == {"failed": 1}


def test_an_unfinished_journal_is_refused() -> None:
    error = refusal(results("revoked", "planned", "failed"))

    assert "row 3: the run that this file is of has not come to its end" in str(error)
    assert "--resume" in error.hint


def test_results_with_nothing_left_to_do_are_refused() -> None:
    message = str(refusal(results("revoked", "revoked", "not_found")))

    assert "no row of this results file is to be taken: revoked 2 · not_found 1" in message


MARKED = ("license_id", "outcome", "was_revoked")


@pytest.mark.parametrize(
    ("above", "wrong"),
    [
        ("", {"header_row": 0}),
        ("", {"header_row": 2}),
        ("", {"header_row": 4}),
        ("July\n\n", {}),
        ("July\n\n", {"header_row": 0}),
        ("July\n\n", {"header_row": 1}),
        ("July\n\n", {"header_row": 5}),
    ],
)
def test_no_choice_of_the_header_hides_that_a_file_holds_results(
    above: str, wrong: Options
) -> None:
    rows = f"{A},excluded,\n{B},failed,false\n{C},revoked,false\n"
    text = f"{above}{','.join(MARKED)}\n{rows}"
    right = above.count("\n") + 1

    for column in ({}, {"column": "1"}, {"column": MARKED[0]}):
        error = refusal(text, **wrong, **column)

        assert f"the header of a results file is in row {right}" in str(error)
        assert f"--header-row {right}" in error.hint
    assert ids(listing(text, header_row=right)) == [B]


@pytest.mark.parametrize(
    "header", ["row,license_id,outcome", "id,was_revoked", "id,Was Revoked", "id,was_suspended"]
)
def test_a_table_that_only_resembles_results_is_refused(header: str) -> None:
    error = refusal(f"{header}\n{A},{A},excluded\n")

    assert "looks like results of bulk-revoke, but does not have all of" in str(error)
    assert "another header" in error.hint


@pytest.mark.parametrize("outcome", ["already_revoked", "not_attempted", "would_revoke"])
@pytest.mark.parametrize("before", [0, 5000])
def test_a_list_with_an_outcome_of_a_run_and_without_its_header_is_refused(
    outcome: str, before: int
) -> None:
    rows = [f"{A},x\n"] * before + [f"{B},{outcome}\n"]

    error = refusal("id,why\n" + "".join(rows))

    assert f"row {before + 2}: {outcome} is an outcome of bulk-revoke" in str(error)


@pytest.mark.parametrize("change", [str, str.upper, lambda name: f" {name.replace('_', ' ')} "])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_results_are_known_by_three_columns_whatever_stands_beside_them(
    change: Callable[[str], str], order: tuple[int, ...]
) -> None:
    header = ["Note", *(change(MARKED[at]) for at in order), "Outcome of the call"]
    rows = [
        ["n", *((license_id, outcome, "false")[at] for at in order), "x"]
        for license_id, outcome in ((A, "excluded"), (B, " Failed"), (C, "revoked"))
    ]

    found = listing("\n".join(map(",".join, [header, *rows])))

    assert ids(found) == [B]
    assert found.left_out == {"excluded": 1, "revoked": 1}


def test_a_column_that_may_be_the_outcome_as_well_is_refused() -> None:
    header = ",".join(MARKED)

    twice = refusal(f"OUTCOME,{header.upper()}\n")

    assert "2 columns may be the outcome of these results" in str(twice)
    assert ids(listing(f"OUTCOME,{header}\nrevoked,{A},failed,\n")) == [A]


@pytest.mark.parametrize(
    ("outcome", "said"),
    [
        ("would_revoke", "would_revoke is an outcome of a dry run"),
        ("restored", "restored is an outcome of bulk-revoke restore"),
        ("", 'no outcome of a run, so it is not known whether the row is meant: ""'),
        ("fialed", 'no outcome of a run, so it is not known whether the row is meant: "fialed"'),
    ],
)
def test_a_row_that_no_run_has_left_to_do_is_refused(outcome: str, said: str) -> None:
    error = refusal(results("failed", outcome, "failed"))

    assert f"row 3: {said}" in str(error)
    assert error.hint


def test_results_without_the_column_that_names_the_licenses_are_refused() -> None:
    error = refusal(f"{','.join(MARKED)}\n{A},failed,false\n", by="key")

    assert "results without their column license_key" in str(error)


def test_unfinished_is_what_a_run_takes_up_again() -> None:
    assert {"failed", "unknown", "not_attempted"} == UNFINISHED


# Sheets beside the one that is read


def sheets(path: Path, **cells: list[list[str]]) -> str:
    """A workbook; a sheet whose name ends in _ is hidden."""
    with xlsxwriter.Workbook(path) as book:
        for name, rows in cells.items():
            sheet = book.add_worksheet(name)
            for number, row in enumerate(rows):
                sheet.write_row(number, 0, row)
            if name.endswith("_"):
                sheet.hide()
    return str(path)


def test_another_visible_sheet_with_ids_is_refused_by_its_name(tmp_path: Path) -> None:
    path = sheets(
        tmp_path / "l.xlsx",
        EU=[["id"], [A]],
        Notes=[["call Acme first"]],
        US=[["", ""], ["", "x"], ["", f" {B.upper()} "]],
        Old_=[["id"], [C]],
    )

    with pytest.raises(InputError) as caught:
        read_listing(path)

    assert 'beside sheet "EU", sheet "US" holds license IDs too' in str(caught.value)
    assert "--sheet" in caught.value.hint
    assert ids(read_listing(path, sheet="EU")) == [A]
    assert ids(read_listing(path, sheet="4")) == [C]


def test_by_key_another_visible_sheet_with_the_same_header_is_refused(tmp_path: Path) -> None:
    path = sheets(
        tmp_path / "l.xlsx",
        EU=[["Customer", "License Key"], ["x", "K-1"]],
        Other=[["Customer", "Product Key"], ["x", "K-3"]],
        US=[["July"], ["license_key", "Customer"], ["K-2", "x"]],
    )

    with pytest.raises(InputError, match='beside sheet "EU", sheet "US" holds license keys too'):
        read_listing(path, by="key")

    assert read_listing(path, by="key", sheet="EU").keys == ["K-1"]


def test_a_list_by_key_without_a_header_goes_on_nowhere(tmp_path: Path) -> None:
    path = sheets(tmp_path / "l.xlsx", EU=[["K-1"], ["K-2"]], US=[["K-3"]])

    assert read_listing(path, by="key").keys == ["K-1", "K-2"]


def test_a_sheet_beside_the_list_that_cannot_be_read_is_refused_with_a_way_out(
    tmp_path: Path,
) -> None:
    book = openpyxl.Workbook()
    book.worksheets[0].append(["id"])
    book.worksheets[0].append([A])
    book.create_sheet("Notes").append(["far"])
    book["Notes"]["XFD1048576"] = "away"
    book.save(tmp_path / "l.xlsx")

    with pytest.raises(InputError) as caught:
        read_listing(str(tmp_path / "l.xlsx"))

    assert 'sheet "Notes": its cells are spread over' in str(caught.value)
    assert "--sheet" in caught.value.hint
    assert ids(read_listing(str(tmp_path / "l.xlsx"), sheet="1")) == [A]


def test_a_sheet_of_sums_beside_the_list_needs_no_results(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.worksheets[0].append(["id", "=1+1"])
    book.worksheets[0].append([A])
    book.create_sheet("Sums").append(["=1+1"])
    book.save(tmp_path / "l.xlsx")

    assert ids(read_listing(str(tmp_path / "l.xlsx"))) == [A]


def test_the_example_of_a_sheet_for_each_region_is_refused_naming_the_others() -> None:
    with pytest.raises(InputError) as caught:
        read_listing(str(CASES / "sheets-per-region.xlsx"))

    names = [sheet.title for sheet in openpyxl.load_workbook(CASES / "sheets-per-region.xlsx")]
    assert all(f'"{name}"' in str(caught.value) for name in names)


def test_the_example_of_results_with_a_note_column_leaves_out_what_the_results_leave_out() -> None:
    edited, written = (
        read_listing(str(CASES / f"results-{name}.csv"))
        for name in ("with-a-note-column", "as-written")
    )

    assert ids(edited) == ids(written)
    assert edited.left_out == written.left_out
    assert edited.left_out["excluded"] > 0


# The file as a whole


@pytest.mark.parametrize("name", ["l.csv", "L.TXT"])
def test_a_listing_names_its_file_and_the_hash_of_its_bytes(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(f"größe;id\r\n1;{A}\r\n".encode("cp1252"))

    found = read_listing(str(path))

    assert found.title == f'{path}, column "id" (header in row 1)'
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert "cp1252" in found.warnings[0]


def test_the_samples_are_read() -> None:
    samples = Path(__file__).parents[2] / "samples"

    text = read_listing(str(samples / "licenses.csv"), carry=["ticket"])
    book = read_listing(str(samples / "licenses.xlsx"), carry=["ticket"])
    messy = read_listing(str(samples / "messy.csv"), skip_invalid=True)

    assert len(text) == 150
    assert (text.ids, text.rows, text.carried) == (book.ids, book.rows, book.carried)
    assert len(messy.invalid) == 1
    assert messy.blank
    assert any(messy.repeats(entry) for entry in range(len(messy)))


def test_importing_it_is_light() -> None:
    code = (
        "import sys, batch.input.listing; "
        "print(*{'pandas', 'numpy', 'python_calamine', 'openpyxl'} & sys.modules.keys())"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == ""


def test_a_workbook_is_read_without_pandas() -> None:
    path = FIXTURES / "gnumeric.ods"
    code = (
        "import sys; from batch.input.listing import read_listing; "
        f"read_listing({str(path)!r}, sheet='1', include_hidden=True);"
        "print('pandas' in sys.modules)"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "False"
