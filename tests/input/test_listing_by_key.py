"""What an input means that lists licenses by their keys."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, Unpack

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch.columns import COLUMNS
from batch.errors import InputError
from batch.formatting import LONGEST, cell
from batch.input.identifiers import LONGEST_KEY, Keys, first_keys, is_left_behind, parse_key
from batch.input.listing import read_listing
from batch.model import NO_ID
from tests.support.builders import calm

if TYPE_CHECKING:
    from collections.abc import Sequence

    from batch.model import Listing

A, B, C = "0A2035-E8A2A3", "7c9e-66FF", "PROMO-2026-X"
ID = "aaaaaaaa-0000-4000-8000-000000000001"
CASES = Path(__file__).parents[1] / "cases"
PRINTABLE = st.text(st.characters(categories=["L", "M", "N", "P", "S", "Zs", "Co"]), max_size=60)
"""Any text without control characters; Co: for private use, as icon fonts do."""
KEYS = PRINTABLE.map(str.strip).filter(
    lambda key: bool(key) and not is_left_behind(key) and not key.startswith('="')
)
COMMA = "sep=,\n"
"""So that the delimiter is not guessed from a handful of rows full of quotes and semicolons."""


class Options(TypedDict, total=False):
    column: str
    carry: Sequence[str]
    skip_invalid: bool
    header_row: int


def listing(text: str, by: str = "key", **options: Unpack[Options]) -> Listing:
    return read_listing("-", by=by, stdin=io.BytesIO(text.encode()), **options)


def refusal(text: str, by: str = "key", **options: Unpack[Options]) -> InputError:
    with pytest.raises(InputError) as caught:
        listing(text, by, **options)
    assert str(caught.value).startswith("standard input")
    assert caught.value.hint
    return caught.value


# Header and columns


@pytest.mark.parametrize("header", ["license_key", "License Key", "LICENSE-KEY", "Key", " key "])
def test_a_header_that_reads_like_a_key_column_is_taken(header: str) -> None:
    found = listing(f"id,{header}\n{ID},{A}\n")

    assert found.keys == [A]
    assert list(found.rows) == [2]
    assert f'column "{header.strip()}" (header in row 1)' in found.title


def test_license_key_wins_over_key() -> None:
    assert listing(f"key,license key\n{A},{B}\n").keys == [B]


def test_licenses_are_listed_by_id_unless_asked_otherwise() -> None:
    text = f"key,id\n{A},{ID}\n"

    found = read_listing("-", stdin=io.BytesIO(text.encode()))

    assert found.license_id(0) == ID
    assert found.keys == []


def test_a_column_of_keys_is_named_as_written_then_by_its_number() -> None:
    text = f"key,serial\n{A},{B}\n"

    assert listing(text, column="serial").keys == [B]
    assert listing(text, column="1").keys == [A]
    assert 'no column "Key"' in str(refusal(text, column="Key"))


def test_two_headers_that_may_hold_the_keys_are_refused() -> None:
    message = str(refusal(f"License Key,license_key\n{A},{B}\n"))

    assert "2 columns may hold the license keys" in message


def test_a_title_above_the_header_of_keys_is_refused() -> None:
    assert "the header is in row 2" in str(refusal(f"July,\nkey,customer\n{A},Acme\n"))


def test_a_single_column_of_keys_needs_no_header() -> None:
    assert listing(f"{A}\n{B}\n").keys == [A, B]
    assert "(no header)" in listing(f"{A}\n").title


def test_a_first_row_with_a_digit_in_the_column_of_keys_is_data() -> None:
    assert list(listing(f"{A},Acme\n{B},Zorg\n", column="1").rows) == [1, 2]


@pytest.mark.parametrize(
    ("text", "column"),
    [
        (f"whatever\n{A}\n", None),
        (f"whatever,Acme\n{A},Zorg\n", "1"),
        (f"'whatever\n{A}\n", None),
        (f"abcdefab-cdef-abcd-efab-cdefabcdefab\n{A}\n", None),
    ],
)
def test_a_first_row_that_may_hold_a_key_is_refused_until_it_is_said_what_it_is(
    text: str, column: str | None
) -> None:
    options = Options(column=column) if column else Options()

    error = refusal(text, **options)

    assert "row 1 may be the header, and it may hold a license key" in str(error)
    assert error.hint == (
        "say which row is the header: --header-row 1, another one if this is a title, or"
        " --header-row 0 if there is none."
    )
    header: Options = {**options, "header_row": 1}
    assert listing(text, **header).keys == [A]
    if not text.startswith("'"):
        none: Options = {**options, "header_row": 0}
        assert list(listing(text, **none).rows) == [1, 2]


@pytest.mark.parametrize(
    ("text", "options"),
    [
        (f"key\n{A}\n", {}),
        (f"Key,n\n{A},1\n", {"column": "1"}),
        (f"serial,n\n{A},1\n", {"column": "serial"}),
        (f",n\n{A},1\n", {"column": "1"}),
    ],
)
def test_a_header_that_is_known_named_or_empty_is_no_key(text: str, options: Options) -> None:
    assert listing(text, **options).keys == [A]


def test_a_title_above_keys_is_left_out_when_the_row_of_the_header_is_given() -> None:
    text = f"Our customers\n\nserial,seats\n{A},x\n"

    error = refusal(text, column="1")

    assert error.hint == (
        "say which is the header: --header-row 3, or --header-row 1; --header-row 0 if there is"
        " none."
    )
    assert listing(text, column="1", header_row=3).keys == [A]


def test_a_row_with_a_digit_is_not_called_a_header_since_those_above_would_be_left_out() -> None:
    text = "PROMO-X,\nPROMO-2,Acme\nPROMO-3,Zorg\n"

    error = refusal(text, column="1")

    assert "row 1 may be the header, and it may hold a license key: PROMO-X" in str(error)
    assert listing(text, column="1", header_row=0).keys == ["PROMO-X", "PROMO-2", "PROMO-3"]


def test_row_names_before_keys_are_refused_and_a_header_for_them_is_the_way_out() -> None:
    rows = f'"1","{A}",1.5\n"2","{B}",NA\n'

    error = refusal(f'"license_key","n"\n{rows}')

    assert "every row has one cell more than the header (row 1)" in str(error)
    assert listing(f'"row","license_key","n"\n{rows}').keys == [A, B]


def test_a_title_above_two_columns_is_not_taken_for_the_header_of_row_names() -> None:
    text = f"#TYPE X.Y\nKey 2,Order 1\n{A},1\n{B},2\n"

    assert "row names" not in str(refusal(text, header_row=1))
    assert "--header-row 2 if row 2 is the header" in refusal(text, header_row=1).hint
    assert listing(text, header_row=2, column="1").keys == [A, B]


def test_no_key_column_is_refused_naming_the_columns() -> None:
    error = refusal(f"customer,serial\nAcme,{A}\n")

    assert "no license key column.\n  Columns seen: customer, serial." in str(error)
    assert error.hint == "name it with --column."


@pytest.mark.parametrize(
    ("by", "header", "hint"),
    [
        ("id", "License Key", 'key with --by key --column "License Key".'),
        ("id", "license\u00a0key", "key with --by key --column 2."),
        ("key", "License ID", 'ID with --by id --column "License ID".'),
    ],
)
def test_where_only_the_other_column_is_found_its_road_is_shown(
    by: str, header: str, hint: str
) -> None:
    error = refusal(f"customer,{header}\nAcme,x\n", by)

    assert error.hint == f"name it with --column, or look licenses up by {hint}"


# Keys


@calm
@given(st.lists(st.tuples(KEYS, st.text(" \t\u00a0\u2007\u3000", max_size=3))))
def test_a_key_of_any_printable_text_arrives_as_it_was_written(rows: list[tuple[str, str]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL)
    writer.writerows([("license key", "customer"), *((f"{w}{key}{w}", "Acme") for key, w in rows)])
    writer.writerow((A, "Zorg"))

    assert listing(COMMA + text.getvalue()).keys == [*(key for key, _ in rows), A]


@pytest.mark.parametrize(
    "key",
    ["1e5", "12E4567", "5E-12", "NaN", "None", "007", "TRUE", "+1", "=A1", "a'b", "a,b", "-"],
)
def test_a_key_is_never_retyped(key: str) -> None:
    assert listing(f'key,n\n"{key}",1\n').keys == [key]


@pytest.mark.parametrize(
    ("cell", "key"),
    [
        ('="0012"', "0012"),
        (' ="0012" ', "0012"),
        ('=""', ""),
        ('="a""b"', 'a"b'),
        ('="a"&"b"', '="a"&"b"'),
        ('="2.19E+26"', ""),
    ],
)
def test_a_text_as_a_formula_is_the_text(cell: str, key: str) -> None:
    assert parse_key(cell) == key


@pytest.mark.parametrize(
    "cell",
    ["2.19E+26", "1,23457E+15", "1E+20", "1e+20", "-1.5E+20", "1.5E-05", "'0012", "'x", "#N/A",
     "#REF!", "Err:502"],
)  # fmt: skip
@pytest.mark.parametrize("others", [[A, B], []])
def test_what_a_spreadsheet_leaves_behind_is_refused_by_its_row(
    cell: str, others: list[str]
) -> None:
    rows = "".join(f'"{key}",1\n' for key in [*others, cell])

    error = refusal(f"key,n\n{rows}")

    assert f"  row {len(others) + 2}  {cell}" in str(error)
    assert error.hint.startswith("a spreadsheet has written 2.19E+26, #N/A or a leading '")
    assert ("--skip-invalid" in error.hint) == bool(others)
    if others:
        assert len(listing(f"key,n\n{rows}", skip_invalid=True).invalid) == 1


@pytest.mark.parametrize(
    ("name", "rows", "corrections"),
    [
        ("keys-excel-saved", [2, 3], {"1.23457E+15": "1234570000000001", "2.19E+26": "219"}),
        ("apostrophe-key", [2, 3], {"'0012345": "0012345", "'KEY-3": "KEY-3"}),
    ],
)
def test_the_examples_of_keys_that_a_spreadsheet_changed_are_read_once_corrected(
    name: str, rows: list[int], corrections: dict[str, str]
) -> None:
    text = (CASES / f"{name}.csv").read_text(encoding="utf-8")

    error = refusal(text)

    shown = [f"row {row}  {cell}" for row, cell in zip(rows, corrections, strict=True)]
    assert [detail.text + detail.shown for detail in error.details] == shown
    for wrong, right in corrections.items():
        text = text.replace(wrong, right)
    assert listing(text).keys[: len(rows)] == list(corrections.values())


def test_the_example_of_keys_as_formulas_holds_the_keys() -> None:
    assert read_listing(str(CASES / "equals-quoted.csv"), by="key").keys == [
        "0012345", "KEY-3", "KEY-4",
    ]  # fmt: skip


def test_the_example_without_a_header_has_a_key_in_each_row() -> None:
    found = read_listing(str(CASES / "nohdr_key.csv"), by="key", column="1")

    assert found.keys == ["AAAA-1111", "BBBB-2222", "CCCC-3333"]
    assert list(found.rows) == [1, 2, 3]
    assert "column 1 (no header)" in found.title


def test_text_cells_of_a_workbook_are_keys_as_they_are(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    for row in (["key"], ["0012"], ["1e5"], [f"\u00a0{A} "]):
        book.worksheets[0].append(row)
    book.save(tmp_path / "l.xlsx")

    assert read_listing(str(tmp_path / "l.xlsx"), by="key").keys == ["0012", "1e5", A]


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \t\u00a0",
        "a\nb",
        "a\rb",
        "a\tb",
        "a\x00b",
        "a\x7fb",
        "a\x85b",
        "a\u2028b",
        "a\u2029b",
        "\u202eab",
        "a\ud800",
        "x" * (LONGEST_KEY + 1),
    ],
)
def test_what_no_line_or_url_can_hold_is_no_key(text: str) -> None:
    assert parse_key(text) == ""
    assert not Keys().add_all([A, text])


def test_the_longest_key_is_counted_without_the_white_space_around_it() -> None:
    key = "x" * LONGEST_KEY

    assert parse_key(f"  {key} ") == key


@given(st.lists(KEYS.map(lambda key: f" {key}"), max_size=20))
def test_a_whole_column_reads_like_its_cells_one_by_one(cells: list[str]) -> None:
    fast, slow = Keys(), Keys()

    assert fast.add_all(cells)
    assert all(slow.add(text) for text in cells)
    assert fast.keys() == slow.keys()


def test_of_a_column_with_a_cell_that_is_no_key_none_is_taken_at_once() -> None:
    keys = Keys()

    assert not keys.add_all([A, "", B])

    assert keys.keys() == []


def test_the_license_of_a_key_has_no_id_yet() -> None:
    found = listing(f"key,n\n{A},\n,x\n{B},\n", skip_invalid=True)

    assert found.ids == NO_ID * 3


# Rows and repeats


def test_a_repeated_key_is_exactly_the_same() -> None:
    found = listing(f"key\n{A}\n{B}\n{A.lower()}\n {A} \n{B}\n{A}\n")

    assert found.keys == [A, B, A.lower(), A, B, A]
    assert list(found.first) == [0, 1, 2, 0, 1, 0]
    assert list(found.distinct()) == [0, 1, 2]


def test_forms_of_a_letter_that_look_alike_are_different_keys() -> None:
    assert list(listing("key\n\u00e9-1\ne\u0301-1\n").first) == [0, 1]


@given(st.lists(st.sampled_from(["a", "b", "A"])), st.sets(st.integers(0, 20)))
def test_the_first_key_is_that_of_a_plain_search(keys: list[str], invalid: set[int]) -> None:
    expected = [
        entry
        if entry in invalid
        else next(e for e, k in enumerate(keys) if k == key and e not in invalid)
        for entry, key in enumerate(keys)
    ]

    assert list(first_keys(keys, invalid)) == expected


def test_blank_rows_are_counted_and_rows_with_an_empty_key_are_kept_apart() -> None:
    found = listing(
        f"key,note\n{A},\n,\n,x\n   ,\t\n\x1f,y\n{A},\n", skip_invalid=True, carry=["note"]
    )

    assert found.blank == 2
    assert found.keys == [A, "", "", A]
    assert found.invalid == {1: "", 2: "\x1f"}
    assert list(found.first) == [0, 1, 2, 0]
    assert list(found.rows) == [2, 4, 6, 7]
    assert found.carried == [("",), ("x",), ("y",), ("",)]


def test_keys_of_many_blocks_stay_beside_their_rows_whatever_is_between() -> None:
    keys = [f"K{number}" for number in range(40_000)]
    text = "key,n\n" + "".join(f"{key},{key}\n" for key in keys).replace("K20000,", ",")

    found = listing(text, skip_invalid=True, carry=["n"])

    assert found.invalid == {20_000: ""}
    assert found.keys == [*keys[:20_000], "", *keys[20_001:]]
    assert list(found.rows) == list(range(2, 40_002))
    assert found.carried == [(key,) for key in keys]


def test_a_leading_quote_is_refused_unless_a_results_file_has_put_it_there() -> None:
    assert "  row 2  '=x" in str(refusal(f"key,n\n'=x,1\n{A},2\n"))
    assert listing(results(("", "=x", "failed"))).keys == ["=x"]


# Refusals


def test_where_no_row_has_a_key_none_is_called_the_header() -> None:
    assert refusal('"1\n2",x\n"3\n4",y\n', column="1").hint.startswith("correct them")


def test_rows_without_a_key_are_refused_showing_what_cannot_be_seen() -> None:
    error = refusal(f'key,n\n{A},\n,x\n"a\nb",\n\u202e{B},\n{"y" * 1001},\n')

    assert "4 rows without a license key (of 5):" in str(error)
    assert "  row 3  (empty)\n" in str(error)
    assert "  row 4  a<U+000A>b\n" in str(error)
    assert f"  row 5  <U+202E>{B}\n" in str(error)
    assert f"  row 6  {'y' * 300}…" in str(error)
    assert error.hint == (
        "correct them (a key is one line of at most 1,000 characters),"
        " or leave them out with --skip-invalid."
    )


@pytest.mark.parametrize(
    ("text", "options"), [("key,customer\n", {}), ("key,n\n,x\n", {"skip_invalid": True})]
)
def test_an_input_without_a_single_key_is_refused(text: str, options: Options) -> None:
    assert "not a single license key" in str(refusal(text, **options))


def test_a_column_of_keys_that_is_read_for_ids_is_refused_showing_the_road() -> None:
    error = refusal(f"License Key\n{A}\n", by="id")

    assert "not a single license ID: 1 row without one" in str(error)
    assert error.hint == "look licenses up by key with --by key."
    assert listing(f"License Key\n{A}\n").keys == [A]


@pytest.mark.parametrize(("by", "name"), [("id", ID), ("key", A)])
def test_a_wrong_cell_in_a_file_without_a_header_is_to_be_corrected(by: str, name: str) -> None:
    error = refusal(f'{name}\n"a\nb"\n', by)

    assert "  row 2  a<U+000A>b" in str(error)
    assert error.hint.startswith("correct it")


# Results of an earlier run


def results(*rows: tuple[str, str, str]) -> str:
    """A results file from ID, key and outcome of each row."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow((*COLUMNS, "serial"))
    for number, (license_id, key, outcome) in enumerate(rows, 10):
        writer.writerow([number, license_id, cell(key), outcome, *[""] * 8, "x"])
    return text.getvalue()


def test_of_an_earlier_run_the_keys_of_unfinished_rows_are_taken() -> None:
    found = listing(
        results((ID, A, "revoked"), (ID, B, "failed"), ("", C, "unknown")), column="serial"
    )

    assert found.keys == [B, C]
    assert list(found.rows) == [3, 4]
    assert found.left_out == {"revoked": 1}
    assert 'column "license_key" (header in row 1)' in found.title


@calm
@given(st.lists(KEYS, min_size=1))
def test_a_key_survives_the_way_through_a_results_file(keys: list[str]) -> None:
    assert listing(COMMA + results(*(("", key, "failed") for key in keys))).keys == keys


@pytest.mark.parametrize("start", ["x", "="])
def test_a_key_that_a_results_file_may_have_cut_is_refused(start: str) -> None:
    whole, longer = (start + "y" * (length - len(start)) for length in (LONGEST - 1, LONGEST + 1))

    error = refusal(results(("", whole, "failed"), ("", longer, "failed")), skip_invalid=True)

    assert listing(results(("", whole, "failed"), ("", longer, "revoked"))).keys == [whole]
    assert "row 3: the license key may have been cut at 300 characters" in str(error)
    assert "own input" in error.hint


@pytest.mark.parametrize(
    ("by", "row", "road"),
    [
        ("id", ("", A, "failed"), "look licenses up by key with --by key, or leave"),
        ("key", (ID, "", "failed"), "look licenses up by ID with --by id, or leave"),
    ],
)
def test_results_that_name_licenses_otherwise_are_refused_showing_the_road(
    by: str, row: tuple[str, str, str], road: str
) -> None:
    error = refusal(results((ID, A, "failed"), row), by)

    assert "1 row without a license" in str(error)
    assert "row 3  (empty)" in str(error)
    assert error.hint.startswith(road)


def test_an_edited_results_file_with_a_wrong_id_is_to_be_corrected() -> None:
    error = refusal(results(("x", A, "failed")), by="id")

    assert error.hint.startswith("correct it (an ID reads like ")


def test_a_journal_is_refused_where_not_all_its_rows_are_wanted() -> None:
    message = str(refusal(results((ID, A, "failed"), (ID, B, "planned"))))

    assert "row 3: the run that this file is of has not come to its end" in message
