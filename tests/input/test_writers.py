"""What many programs write is read for what it is: tests/fixtures/README.md names them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from batch.errors import InputError
from batch.input.exclusion import Exclusion
from batch.input.listing import read_listing
from batch.input.table import BOOLEAN, DATE, ERROR, FORMATTED, NOT_COMPUTED, NUMBER, ZERO, NotText
from tests.support.builders import open_table
from tests.support.results_files import keyed

CASES = Path(__file__).parents[1] / "cases"
WRITERS = Path(__file__).parents[1] / "fixtures" / "writers"
ID = "11111111-0000-4000-8000-00000000000"


@dataclass(frozen=True)
class Book:
    """What a workbook of four sheets holds where it is not as the others are.

    Attributes:
        name: The file.
        keys: Row of the sheet "Keys" to its text, or to the kind of what is no text.
        days: What the formula "=1+1" is that was written without its result.
        hidden: Whether the file says that row 5 of "Hidden" is hidden.
        covered: Whether an ID is still in row 4 of "Merged", and said to be covered.
    """

    name: str
    keys: dict[int, str] = field(default_factory=dict)
    days: str = ZERO
    hidden: bool = True
    covered: bool = True

    @property
    def path(self) -> str:
        return str(WRITERS / self.name)


KEYS = {
    2: "0012345", 3: "123456789012345", 4: NUMBER, 5: NUMBER, 6: FORMATTED, 7: DATE, 8: BOOLEAN,
    9: ERROR, 10: "K-10",
}  # fmt: skip
REFUSED = {NUMBER, FORMATTED, DATE, BOOLEAN, ERROR, ZERO}
BOOKS = [
    Book("exceljs.xlsx", days=NOT_COMPUTED.kind, covered=False),
    Book("gnumeric.biff7.xls"),
    Book("gnumeric.ods", {3: FORMATTED, 9: "#N/A"}, covered=False),
    Book("gnumeric.xls"),
    Book("gnumeric.xlsx"),
    Book("libreoffice.ods", {8: FORMATTED}),
    Book("libreoffice.xls", {10: ZERO}),
    Book("libreoffice.xlsx"),
    Book("openpyxl.xlsx", days=NOT_COMPUTED.kind, covered=False),
    Book("openxlsx.xlsx", {6: DATE, 10: NOT_COMPUTED.kind}, days=NOT_COMPUTED.kind),
    Book("perl.xls"),
    Book("perl.xlsx"),
    Book("poi.xls"),
    Book("sheetjs.biff5.xls", {7: FORMATTED}, days="", hidden=False, covered=False),
    Book("sheetjs.ods", {6: "123", 7: "45293", 9: ""}, hidden=False, covered=False),
    Book("sheetjs.xls", {7: FORMATTED}, days="", hidden=False),
    Book("sheetjs.xlsb", days=""),
    Book("sheetjs.xlsx", days=NOT_COMPUTED.kind),
    Book("xlsxwriter.xlsx"),
]
every_book = pytest.mark.parametrize("book", BOOKS, ids=lambda book: book.name)


def refusal(path: str, **options: object) -> InputError:
    with pytest.raises(InputError) as caught:
        read_listing(path, **options)  # type: ignore[arg-type]
    assert caught.value.hint
    return caught.value


def column(path: str, sheet: str, index: int) -> dict[int, str]:
    """Row numbers from 2 on to the text of a cell, or to the kind of what is no text."""
    with open_table(path, sheet=sheet) as table:
        return {
            row: cell.kind if isinstance(cell, NotText) else cell
            for block in table.blocks
            for row, cell in enumerate(block.columns[index], block.row)
            if row > 1
        }


@every_book
def test_a_cell_is_the_text_that_was_written_or_known_for_no_text(book: Book) -> None:
    assert column(book.path, "Keys", 0) == KEYS | book.keys


@every_book
def test_what_is_no_text_is_refused_as_a_key_by_its_row(book: Book) -> None:
    kinds = KEYS | book.keys

    refused = str(refusal(book.path, by="key", sheet="Keys"))

    if NOT_COMPUTED.kind in kinds.values():
        assert f"row 10: {NOT_COMPUTED.kind}" in refused
        return
    for row, kind in kinds.items():
        assert (f"row {row}, {kind}:" in refused) is (kind in REFUSED)
    found = read_listing(book.path, by="key", sheet="Keys", skip_invalid=True)
    kept = [kind for kind in kinds.values() if kind not in REFUSED | {"", "#N/A"}]
    assert [key for key in found.keys if key] == kept


@every_book
def test_a_formula_without_its_result_is_never_a_key(book: Book) -> None:
    refused = str(refusal(book.path, by="key", sheet="Keys", column="Days"))

    if book.days == NOT_COMPUTED.kind:
        assert f"row 2: {book.days}" in refused
    elif book.days == ZERO:
        assert f"row 2, {ZERO}:  0" in refused
    else:  # the program has dropped the formula
        assert column(book.path, "Keys", 1)[2] == ""


@every_book
def test_a_hidden_row_is_refused_below_blank_ones(book: Book) -> None:
    if book.hidden:
        assert "1 row with content is hidden or filtered: 5" in str(
            refusal(book.path, sheet="Hidden")
        )
    found = read_listing(book.path, sheet="Hidden", include_hidden=True)

    assert list(found.rows) == [4, 5, 6]
    assert [found.named(entry) for entry in range(3)] == [f"{ID}{n}" for n in (1, 2, 3)]


@every_book
def test_an_id_that_a_merge_covers_is_refused_or_was_dropped_by_the_program(book: Book) -> None:
    if book.covered:
        assert "1 license ID stands in cells that a merge covers" in str(
            refusal(book.path, sheet="Merged")
        )
        assert list(read_listing(book.path, sheet="Merged", include_hidden=True).rows) == [2, 3, 4]
    elif book.name == "sheetjs.biff5.xls":  # the format had no merges, so the cell is seen
        assert list(read_listing(book.path, sheet="Merged").rows) == [2, 3, 4]
    else:
        assert list(read_listing(book.path, sheet="Merged").rows) == [2, 3]
        assert column(book.path, "Merged", 0).get(4, "") == ""


@every_book
def test_rows_with_content_are_visible_where_unused_ones_are_hidden(book: Book) -> None:
    assert list(read_listing(book.path, sheet="Unused").rows) == [2, 3]


@every_book
def test_other_visible_sheets_with_ids_are_refused_by_their_names(book: Book) -> None:
    refused = str(refusal(book.path, include_hidden=True))

    assert '"Merged"' in refused
    assert '"Unused"' in refused
    assert '"Keys"' not in refused


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("pandas.merged-index.xlsx", {}, "row 3  (empty)"),
        ("polars.xlsx", {"by": "key"}, f"row 2, {FORMATTED}:  12345"),
        ("polars.xlsx", {"by": "key"}, f"row 3, {NUMBER}:  1234567890123456"),
        ("exceljs.csv", {"by": "key"}, "row 9  #N/A"),
        ("sheetjs.csv", {"by": "key"}, "row 3  1.23457E+14"),
        ("libreoffice.csv", {"by": "key"}, r"row 5  1.23456789012346E+019"),
        ("gnumeric.txt", {"by": "key"}, "row 9  #N/A"),
        ("r.numbers.csv", {"by": "key"}, r"row 3  1e+05"),
        ("r.na.csv", {}, "row 4  NA"),
        ("r.row-names.tsv", {}, "Are these row names, as R writes them"),
        ("r.spaces.txt", {}, "row 2: 2 cells, but the header"),
        ("r.escaped-quotes.csv", {"by": "key"}, "row 2: by its quotes it goes on over 2 lines"),
        ("mariadb.quotes.csv", {"column": "2"}, "row 1: by its quotes it goes on over 3 lines"),
        ("psql.quotes.tsv", {"column": "2"}, "row 3: by its quotes it goes on over 2 lines"),
        ("sqlite3.quotes.tsv", {}, "row 4: by its quotes it goes on over 2 lines"),
        ("mariadb.batch.tsv", {}, "row 4  NULL"),
        ("mariadb.table.txt", {}, "the header is in row 2"),
        ("mariadb.tsv", {"column": "1"}, r"row 3  \N"),
        ("psql.copy.tsv", {"column": "1"}, r"row 3  \N"),
        ("psql.aligned.txt", {}, "row 2  -----"),
        ("psql.unaligned.txt", {}, "row 4  (2 rows)"),
        ("sqlite3.null.csv", {}, "row 4  NULL"),
        ("sqlite3.quote.txt", {}, "Columns seen: 'license_id', 'license_key'"),
    ],
)  # fmt: skip
def test_what_a_program_writes_in_the_place_of_an_id_or_key_is_refused(
    name: str, options: dict[str, str], said: str
) -> None:
    assert said in str(refusal(str(WRITERS / name), **options))


@pytest.mark.parametrize(
    "name",
    [
        "pandas.csv",
        "pandas.tsv",
        "pandas.xlsx",
        "polars.csv",
        "psql.copy.csv",
        "r.csv2.csv",
        "r.row-names.csv",
        "r.tsv",
        "r.utf-16.csv",
        "sqlite3.csv",
        "sqlite3.list.txt",
        "sqlite3.tsv",
    ],
)
def test_a_list_by_id_is_read_whatever_quotes_delimiter_and_encoding_it_has(name: str) -> None:
    found = read_listing(str(WRITERS / name), carry=["active"])

    assert list(found.rows) == [2, 3]
    assert [found.named(entry) for entry in range(2)] == [f"{ID}1", f"{ID}2"]
    assert found.carried[0][0] in {"TRUE", "True", "true", "t", "1"}
    assert found.warnings == ()


@pytest.mark.parametrize(
    "name",
    [
        "results.exceljs.xlsx",
        "results.gnumeric.ods",
        "results.libreoffice.xls",
        "results.pandas.xlsx",
        "results.polars.csv",
        "results.r.csv",
        "results.sheetjs.xls",
        "results.sqlite3.tsv",
    ],
)
def test_results_that_another_program_has_saved_again_leave_out_the_same_rows(name: str) -> None:
    expected = read_listing(str(CASES / "results-as-written.csv"))

    found = read_listing(str(WRITERS / name))

    assert (found.rows, found.ids, found.left_out) == (
        expected.rows, expected.ids, expected.left_out,
    )  # fmt: skip
    assert expected.left_out["excluded"] > 0


@every_book
def test_a_keep_list_with_an_error_among_its_keys_is_refused(book: Book) -> None:
    listed = keyed("0012345", "1234567890123456", "K-10")

    if book.name == "sheetjs.ods":  # the program has dropped the error
        assert sorted(Exclusion.read([book.path], listed).among(listed)) == [0, 1, 2]
    else:
        with pytest.raises(InputError, match="row 9  #N"):
            Exclusion.read([book.path], listed)


@pytest.mark.parametrize(
    ("name", "protected"),
    [
        ("libreoffice.xls", None),
        ("mariadb.batch.tsv", ["0012345", "1234567890123456"]),
        ("mariadb.table.txt", ["0012345", "1234567890123456"]),
        ("mariadb.tsv", ["0012345", "1234567890123456"]),
        ("polars.xlsx", ["0012345", "1234567890123456", "1234567890123459"]),
        ("psql.aligned.txt", ["0012345", "1234567890123456"]),
        ("psql.copy.tsv", ["0012345", "1234567890123456"]),
        ("r.numbers.csv", ["100000"]),
        ("r.escaped-quotes.csv", None),
        ("sqlite3.list.txt", ["0012345", "1234567890123456"]),
    ],
)
def test_a_keep_list_protects_the_keys_that_a_program_has_made_numbers_of(
    name: str, protected: list[str] | None
) -> None:
    keys = ["0012345", "1234567890123456", "1234567890123459", "100000", "OTHER"]
    listed = keyed(*keys)

    if protected is None:
        with pytest.raises(InputError):
            Exclusion.read([str(WRITERS / name)], listed)
        return
    found = Exclusion.read([str(WRITERS / name)], listed).among(listed)
    assert {keys[entry] for entry in found} == set(protected)


@pytest.mark.parametrize("name", ["mariadb.csv", "psql.tuples.txt"])
def test_a_list_without_a_header_is_read_where_its_column_is_named(name: str) -> None:
    for options in ({}, {"by": "key"}):
        assert "--column" in refusal(str(WRITERS / name), **options).hint
    by_id = read_listing(str(WRITERS / name), column="1")
    by_key = read_listing(str(WRITERS / name), by="key", column="2")

    assert [by_id.named(entry) for entry in range(2)] == [f"{ID}1", f"{ID}2"]
    assert list(by_id.rows) == list(by_key.rows) == [1, 2]
    assert by_key.keys == ["0012345", "K-2"]


@pytest.mark.parametrize(
    ("name", "keys"),
    [
        ("polars.quoted.csv", ["0012345", "K-2"]),
        ("psql.copy.csv", ["0012345", "K-2"]),
        ("sqlite3.list.txt", ["0012345", "K-2"]),
        # A text is a key exactly as written, and a null has no spelling of its own.
        ("mariadb.batch.tsv", ["0012345", "K-2", "NULL"]),
    ],
)
def test_keys_of_text_keep_their_zeros(name: str, keys: list[str]) -> None:
    assert read_listing(str(WRITERS / name), by="key").keys == keys


def test_the_files_are_those_that_are_tested_and_described() -> None:
    source = Path(__file__).read_text(encoding="utf-8")
    described = (WRITERS.parent / "README.md").read_text(encoding="utf-8")
    made = {path.name for path in WRITERS.iterdir()}
    scripts = {"Poi.java", "javascript.cjs", "make.sh", "perl.pl", "python.py", "r.R"}

    assert scripts <= made
    for name in made - scripts:
        assert f'"{name}"' in source
        assert name.split(".")[name.startswith("results.")] in described
        assert (WRITERS / name).stat().st_size < 12 * 1024
