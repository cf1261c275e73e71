"""Workbooks: as many programs write them, hidden rows, sheets, limits, damage."""

from __future__ import annotations

import io
import re
import shutil
import struct
import zipfile
from contextlib import nullcontext
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal

import openpyxl
import pytest
import xlsxwriter

from batch.errors import InputError
from batch.input import archive, calamine, table, workbook, xls, xlsx
from batch.input.calamine import Survey, read_columns
from batch.input.listing import read_listing
from batch.input.table import SIZE_LIMIT, NotText, Row, in_digits, shows_digits, text_of
from batch.input.xlsb import date_of, is_date_format
from tests.support.builders import open_table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from openpyxl.worksheet.worksheet import Worksheet

    from batch.input.table import Table

FIXTURES = Path(__file__).parents[1] / "fixtures"
CASES = Path(__file__).parents[1] / "cases"
READABLE = [
    "gnumeric.biff7.xls",
    "gnumeric.ods",
    "gnumeric.xls",
    "gnumeric.xlsx",
    "libreoffice.ods",
    "libreoffice.xls",
    "libreoffice.xlsx",
    "sheetjs.biff5.xls",
    "sheetjs.ods",
    "sheetjs.xls",
    "sheetjs.xlsb",
    "sheetjs.xlsx",
]
ID = "11111111-0000-4000-8000-00000000000"
ODS_ROW = (
    "<table:table-row><table:table-cell><text:p>%s</text:p></table:table-cell></table:table-row>"
)
SHEET = "xl/worksheets/sheet1.xml"
HEAD = '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'


def rows_of(table: Table) -> list[list[str]]:
    rows: list[list[str]] = []
    for block in table.blocks:
        assert block.row == len(rows) + 1
        rows += [list(cells) for cells in zip(*block.columns, strict=True)]
    return rows


def read(path: Path, sheet: str | None = None) -> list[list[str]]:
    with open_table(str(path), sheet=sheet) as table:
        return rows_of(table)


def refusal(path: Path, sheet: str | None = None) -> InputError:
    with pytest.raises(InputError) as caught, open_table(str(path), sheet=sheet) as table:
        rows_of(table)
    assert str(path) in str(caught.value)
    assert caught.value.hint
    return caught.value


def saved(path: Path, fill: Callable[[Worksheet], None]) -> Path:
    """A workbook of one sheet, written by openpyxl."""
    book = openpyxl.Workbook()
    fill(book.worksheets[0])
    book.save(path)
    return path


def altered(source: Path, target: Path, parts: Mapping[str, str | bytes]) -> Path:
    """A copy of a zip archive with other parts."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, parts.get(name, old.read(name)))
    return target


def with_sheet(target: Path, xml: str) -> Path:
    return altered(FIXTURES / "openpyxl.xlsx", target, {SHEET: xml})


@pytest.mark.parametrize("suffix", ["xlsx", "ods"])
def test_the_name_of_a_sheet_neither_breaks_a_line_nor_turns_it(
    tmp_path: Path, suffix: str
) -> None:
    name, path = "May\u202e", tmp_path / f"list.{suffix}"
    if suffix == "xlsx":
        book = openpyxl.Workbook()
        book.worksheets[0].title = name
        book.worksheets[0].append(["license_id"])
        book.save(path)
    else:
        written = FIXTURES / "libreoffice.ods"
        with zipfile.ZipFile(written) as old, zipfile.ZipFile(path, "w") as new:
            for each in old.namelist():
                part = old.read(each)
                if each == "content.xml":
                    part = re.sub(rb'(<table:table table:name=")', rb"\g<1>" + name.encode(), part)
                new.writestr(each, part)

    with open_table(str(path)) as found:
        assert found.title.startswith(f'{path}, sheet "May\\u202e')
        assert found.title.isprintable()
    with pytest.raises(InputError, match=r"Sheets: \"May\\u202e"):
        read_listing(str(path), sheet="June")


@pytest.mark.parametrize("name", READABLE)
def test_a_sheet_reads_the_same_whichever_program_wrote_it(name: str) -> None:
    rows = read(FIXTURES / name)

    # SheetJS writes dates into ODS as plain numbers, and non-ASCII letters into Excel 5 as "_".
    expires = "46418" if name == "sheetjs.ods" else "2027-01-31"
    assert [row[:5] for row in rows] == [
        ["", "", "", "", ""],
        ["License ID", "Customer", "Seats", "Price", "Expires"],
        [f"{ID}1", "Zorblat GmbH", "5", "1.5", expires],
        [f"{ID}2", "Zorblat GmbH", "5", "1.5", expires],
        [f"{ID}3", "two\nlines", "1234567", "0.1", expires],
        ["", "", "", "", ""],
        ["", "", "", "", ""],
        [f"{ID}4", "hidden", "0", "-2", expires],
        [f"{ID}5", "X & <Y>", "1", "1", expires],
    ]
    assert [row[6].strip().replace("__", "Ä€") for row in rows] == [
        "", "Order", "007", "007", "1e5", "", "", "NaN", "Ä€",
    ]  # fmt: skip
    assert rows[2][5] in {"TRUE", "1"}


@pytest.mark.parametrize("name", READABLE)
def test_hidden_rows_are_told_or_it_is_said_that_they_are_not(name: str) -> None:
    with open_table(str(FIXTURES / name)) as table:
        if name in {"sheetjs.xls", "sheetjs.biff5.xls"}:
            assert table.hidden == ()
            assert "does not say which rows are hidden" in table.warnings[0]
        elif name == "sheetjs.ods":
            assert table.hidden == ()
        else:
            assert table.hidden == (8,)
            assert table.warnings == ()


@pytest.mark.parametrize("name", READABLE)
def test_a_sheet_is_found_by_its_name_then_by_its_number(name: str) -> None:
    other = [["id"], ["22222222-0000-4000-8000-000000000001"]]

    assert read(FIXTURES / name, "August") == other
    assert read(FIXTURES / name, "2") == other
    assert '"July", "August"' in str(refusal(FIXTURES / name, "3"))


def test_a_name_that_is_a_number_is_a_name(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.worksheets[0]["A1"] = "first"
    book.create_sheet("1")["A1"] = "named 1"
    book.save(tmp_path / "l.xlsx")

    assert read(tmp_path / "l.xlsx", "1") == [["named 1"]]
    assert read(tmp_path / "l.xlsx", "2") == [["named 1"]]


@pytest.mark.parametrize("state", ["hidden", "veryHidden"])
def test_the_first_visible_worksheet_is_read_where_none_is_named(
    tmp_path: Path, state: Literal["hidden", "veryHidden"]
) -> None:
    book = openpyxl.Workbook()
    book.worksheets[0].sheet_state = state
    book.create_chartsheet("Chart", 0)
    book.create_sheet("List")["A1"] = "x"
    book.save(tmp_path / "l.xlsx")

    assert read(tmp_path / "l.xlsx") == [["x"]]
    assert '"Sheet", "List"' in str(refusal(tmp_path / "l.xlsx", "Chart"))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("password.xlsx", "protected by a password"),
        ("password.xls", "protected by a password"),
        ("password.ods", "protected by a password"),
        ("sheetjs.biff2.xls", "an Excel file of before 1997"),
        ("sheetjs.html.xls", "an HTML page"),
        ("sheetjs.xml.xls", "an XML document"),
    ],
)
def test_what_cannot_be_read_in_full_is_refused(name: str, said: str) -> None:
    assert said in str(refusal(FIXTURES / name))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"id,name\n", "by its content it is plain text"),
        (b"", "by its content it is plain text"),
        (b"%PDF-1.7", "a PDF document"),
        (b"PK\x03\x04 and no more", "is damaged"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "is damaged"),
    ],
)
@pytest.mark.parametrize("ending", [".xls", ".xlsx", ".ods"])
def test_what_is_no_workbook_is_refused(
    tmp_path: Path, data: bytes, said: str, ending: str
) -> None:
    path = tmp_path / f"l{ending}"
    path.write_bytes(data)

    assert said in str(refusal(path))


def test_a_zip_archive_that_is_no_workbook_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "l.xlsx", "w") as made:
        made.writestr("readme.txt", "hello")

    assert "not a workbook" in str(refusal(tmp_path / "l.xlsx"))


@pytest.mark.parametrize(
    ("source", "name"), [("libreoffice.xlsx", "l.xls"), ("libreoffice.ods", "L.XLSX")]
)
def test_a_workbook_with_the_ending_of_another_is_read(
    tmp_path: Path, source: str, name: str
) -> None:
    shutil.copy(FIXTURES / source, tmp_path / name)

    assert read(tmp_path / name)[1][0] == "License ID"


@pytest.mark.parametrize("name", [n for n in READABLE if "biff" not in n])
def test_a_damaged_workbook_is_refused_and_never_read_in_part(tmp_path: Path, name: str) -> None:
    whole = (FIXTURES / name).read_bytes()
    expected = read(FIXTURES / name)
    path = tmp_path / f"l{Path(name).suffix}"

    for cut in range(1, 40):
        path.write_bytes(whole[: len(whole) * cut // 40])
        try:
            found = read(path)
        except InputError:
            continue
        assert found == expected


@pytest.mark.parametrize(
    ("cells", "text"),
    [
        ('<c r="A1" t="inlineStr"><is><r><t>ab</t></r><r><t>cd</t></r></is></c>', "abcd"),
        ('<c t="inlineStr"><is><t>a&amp;b</t></is></c>', "a&b"),
        ('<c r="A1" t="str"><f>A2</f><v>abc</v></c>', "abc"),
        ('<c r="A1" t="b"><v>0</v></c>', "FALSE"),
        ('<c r="A1"><v>12345678901</v></c>', "12345678901"),
        ('<c r="A1"><v>0.30000000000000004</v></c>', "0.30000000000000004"),
        ('<c r="A1" t="e"><v>#REF!</v></c>', "#REF!"),
        ('<c r="A1" t="e"><f>1/0</f><v>#DIV/0!</v></c>', "#DIV/0!"),
        ('<c r="A1" t="d"><v>2026-11-24</v></c>', "2026-11-24"),
    ],
)
def test_an_xlsx_cell_becomes_the_text_that_is_seen(tmp_path: Path, cells: str, text: str) -> None:
    path = with_sheet(
        tmp_path / "l.xlsx", f'{HEAD}<sheetData><row r="1">{cells}</row></sheetData></worksheet>'
    )

    assert read(path) == [[text]]


@pytest.mark.parametrize(
    "xml",
    [
        f'{HEAD}<sheetData><row><c><v>1</v></c><c><v>2</v></c></row></sheetData></worksheet>',
        (
            f'{HEAD}<dimension ref="A1"/><sheetData><row r="1"><c r="A1"><v>1</v></c>'
            '<c r="B1"><v>2</v></c></row></sheetData></worksheet>'
        ),
        (
            f'{HEAD}<sheetData><row r="1"><c r="B1"><v>2</v></c><c r="A1"><v>1</v></c>'
            '<c r="XFD1" s="0"/><c r="D1" t="inlineStr"><is><t> </t></is></c>'
            '<c r="E1" t="s"/></row></sheetData></worksheet>'
        ),
        HEAD.replace("<worksheet xmlns", "<x:worksheet xmlns:x")
        + '<x:sheetData><x:row r="1"><x:c r="A1"><x:v>1</x:v></x:c><x:c r="B1"><x:v>2</x:v></x:c>'
        "</x:row></x:sheetData></x:worksheet>",
        HEAD.replace("schemas.openxmlformats.org/spreadsheetml/2006", "purl.oclc.org/ooxml/s")
        + '<sheetData><row r="1"><c r="A1"><v>1</v></c><c r="B1"><v>2</v></c></row></sheetData>'
        "</worksheet>",
    ],
    ids=["no references", "a wrong dimension", "blank cells", "a prefix", "strict"],
)  # fmt: skip
def test_an_unusual_xlsx_is_read_in_full(tmp_path: Path, xml: str) -> None:
    assert [row[:2] for row in read(with_sheet(tmp_path / "l.xlsx", xml))] == [["1", "2"]]


def test_shared_strings_that_are_blank_do_not_count_as_content(tmp_path: Path) -> None:
    with xlsxwriter.Workbook(tmp_path / "l.xlsx") as book:
        sheet = book.add_worksheet()
        sheet.write_string(0, 0, "id")
        sheet.write_string(1, 0, "  ")
        sheet.write_string(2, 0, "x")

    assert read(tmp_path / "l.xlsx") == [["id"], [""], ["x"]]


def test_rows_and_columns_are_counted_from_the_corner_of_the_sheet(tmp_path: Path) -> None:
    def fill(sheet: Worksheet) -> None:
        sheet["C5"], sheet["D7"] = "id", "x"

    rows = read(saved(tmp_path / "l.xlsx", fill))

    assert rows == [[""] * 4] * 4 + [["", "", "id", ""], [""] * 4, ["", "", "", "x"]]


@pytest.mark.parametrize(
    ("row", "hidden"),
    [
        ('<row r="1" hidden="1">', (1,)),
        ('<row r="1" hidden="true">', (1,)),
        ('<row r="1" ht="0" customHeight="1">', (1,)),
        ('<row r="1" ht="15" hidden="0">', ()),
    ],
)
def test_a_row_that_is_not_seen_is_hidden(
    tmp_path: Path, row: str, hidden: tuple[int, ...]
) -> None:
    xml = f'{HEAD}<sheetData>{row}<c r="A1"><v>1</v></c></row><row r="2" hidden="1"/></sheetData>'
    path = with_sheet(tmp_path / "l.xlsx", f"{xml}</worksheet>")

    with open_table(str(path)) as table:
        assert table.hidden == hidden


def test_rows_with_an_element_are_seen_where_a_sheet_hides_those_without(tmp_path: Path) -> None:
    xml = (
        f'{HEAD}<sheetFormatPr zeroHeight="1"/><sheetData><row r="1"><c r="A1"><v>1</v></c></row>'
        '<row r="2" hidden="1"><c r="A2"><v>1</v></c></row></sheetData></worksheet>'
    )
    with open_table(str(with_sheet(tmp_path / "l.xlsx", xml))) as table:
        assert table.hidden == (2,)
    with open_table(str(CASES / "hide-unused-rows.xlsx")) as table:
        assert table.hidden == ()


@pytest.mark.parametrize(
    "cell",
    [
        '<c r="A1" t="s"><v>99999</v></c>',
        '<c r="A1" t="n"><v>abc</v></c>',
        '<c r="11"><v>1</v></c>',
        '<c r="A1"><v>1</v>',
        '<c r="A1" t="inlineStr"><is><t>&undeclared;</t></is></c>',
    ],
)
def test_a_cell_that_makes_no_sense_is_a_refusal(tmp_path: Path, cell: str) -> None:
    xml = f'{HEAD}<sheetData><row r="1">{cell}</row></sheetData></worksheet>'

    assert "damaged" in str(refusal(with_sheet(tmp_path / "l.xlsx", xml)))


def test_a_cell_that_calamine_does_not_give_is_a_refusal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(sheet: Worksheet) -> None:
        sheet["A1"], sheet["A2"] = "id", "lost"

    monkeypatch.setattr(calamine, "text_of", lambda value: "" if value == "lost" else value)

    message = str(refusal(saved(tmp_path / "l.xlsx", fill)))

    assert "row 2: 1 cells hold something, but 0 could be read" in message


def test_a_row_that_calamine_does_not_give_is_a_refusal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = calamine._rows
    monkeypatch.setattr(calamine, "_rows", lambda *given: list(rows(*given))[:-1])

    def fill(sheet: Worksheet) -> None:
        sheet["A1"], sheet["A2"] = "id", "lost"

    assert "row 2: 1 cells hold" in str(refusal(saved(tmp_path / "l.xlsx", fill)))


def test_a_character_that_calamine_loses_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calamine, "text_of", lambda v: text_of(v) and f"{text_of(v)}\ufffd")

    assert "row 2: a character could not be read" in str(refusal(FIXTURES / "gnumeric.xls"))


def test_a_panic_of_the_rust_library_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    class PanicException(BaseException):
        pass

    def panic(*_: object) -> None:
        raise PanicException("index out of bounds")

    monkeypatch.setattr(calamine, "_rows", panic)

    assert "index out of bounds" in str(refusal(FIXTURES / "libreoffice.xlsx"))


def test_a_cell_longer_than_a_spreadsheet_can_hold_is_refused(tmp_path: Path) -> None:
    xml = (
        f'{HEAD}<sheetData><row r="1"><c r="A1" t="inlineStr"><is><t>{"x" * 32_768}</t></is></c>'
        "</row></sheetData></worksheet>"
    )

    assert "row 1: a cell is longer" in str(refusal(with_sheet(tmp_path / "l.xlsx", xml)))


@pytest.mark.parametrize("place", ["XFD1048576", "XFE1", "A1048577"])
def test_two_cells_far_apart_are_refused_before_memory_is_spent(tmp_path: Path, place: str) -> None:
    number = re.sub(r"\D", "", place)
    rows = f'<row r="{number}"><c r="{place}"><v>1</v></c></row>'
    path = with_sheet(tmp_path / "l.xlsx", f"{HEAD}<sheetData>{rows}</sheetData></worksheet>")

    assert "spread over" in str(refusal(path))


@pytest.mark.parametrize("cell", ["<v>1</v>", "<f>1</f><v>1</v>"])
def test_a_row_that_no_memory_would_hold_is_refused(tmp_path: Path, cell: str) -> None:
    rows = f'<row r="{10**15}"><c r="A{10**15}">{cell}</c></row>'
    path = with_sheet(tmp_path / "l.xlsx", f"{HEAD}<sheetData>{rows}</sheetData></worksheet>")

    assert "spread over 1,000,000,000,000,000 rows" in str(refusal(path))


def test_an_archive_that_holds_more_than_the_limit_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(archive, "SIZE_LIMIT", 10_000)

    assert "MB once inflated" in str(refusal(FIXTURES / "libreoffice.xlsx"))


def test_an_archive_whose_directory_lies_about_sizes_is_refused(tmp_path: Path) -> None:
    path = altered(FIXTURES / "libreoffice.xlsx", tmp_path / "l.xlsx", {SHEET: bytes(4_000_000)})
    data = path.read_bytes()
    real, told = struct.pack("<I", 4_000_000), struct.pack("<I", 4_000)
    assert data.count(real) == 2
    path.write_bytes(data.replace(real, told))

    assert f"{SHEET} is larger than it says" in str(refusal(path))


@pytest.mark.parametrize("encoding", ["utf-9", "shift_jis"])
def test_a_part_in_an_encoding_that_cannot_be_read_is_refused(
    tmp_path: Path, encoding: str
) -> None:
    xml = f'<?xml version="1.0" encoding="{encoding}"?>{HEAD}<sheetData/></worksheet>'

    assert "is damaged" in str(refusal(with_sheet(tmp_path / "l.xlsx", xml)))


@pytest.mark.parametrize(
    ("source", "lies"),
    [
        ("libreoffice.xlsx", "xl/styles.xml"),
        ("libreoffice.xlsx", "xl/worksheets/sheet2.xml"),
        ("sheetjs.xlsb", "docProps/app.xml"),
        ("libreoffice.ods", "settings.xml"),
    ],
)
def test_no_part_of_an_archive_may_be_larger_than_it_says(
    tmp_path: Path, source: str, lies: str
) -> None:
    path = altered(
        FIXTURES / source, tmp_path / f"l{Path(source).suffix}", {lies: bytes(3_999_999)}
    )
    data = path.read_bytes()
    real, told = struct.pack("<I", 3_999_999), struct.pack("<I", 100)
    assert data.count(real) == 2
    path.write_bytes(data.replace(real, told))

    assert f"{lies} is larger than it says" in str(refusal(path))


ROW = '<row r="%d">%s</row>'
TEXT_CELL = '<c r="%s%d" t="inlineStr"><is><t xml:space="preserve">%s</t></is></c>'


def list_of(cells: dict[int, str]) -> str:
    """A sheet with a cell in column B of some rows."""
    rows = (ROW % (n, TEXT_CELL % ("B", n, text)) for n, text in cells.items())
    return f"{HEAD}<sheetData>{''.join(rows)}</sheetData></worksheet>"


@pytest.fixture
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calamine, "BLOCK_ROWS", 2)
    monkeypatch.setattr(workbook, "BLOCK_ROWS", 2)


@pytest.mark.usefixtures("_small_blocks")
def test_a_sheet_of_many_blocks_is_read_to_its_last_row_with_content(tmp_path: Path) -> None:
    xml = list_of({2: "id", 3: "a", 6: " ", 7: "b", 8: " ", 9: "\t", 12: " "})
    styled = ROW % (13, '<c r="A13" s="1"/>')
    xml = xml.replace("</sheetData>", f"{styled}</sheetData>")
    path = with_sheet(tmp_path / "l.xlsx", xml)

    rows = read(path)

    assert [row[1] for row in rows] == ["", "id", "a", "", "", "", "b"]
    with open_table(str(path)) as table:
        assert [row.number for row in table.head] == [2, 3, 7]


@pytest.mark.usefixtures("_small_blocks")
def test_the_head_of_a_table_is_taken_from_as_many_blocks_as_it_needs(tmp_path: Path) -> None:
    path = with_sheet(tmp_path / "l.xlsx", list_of({n: f"x{n}" for n in range(1, 41)}))

    with open_table(str(path)) as table:
        assert [row.cells for row in table.head] == [["", f"x{n}"] for n in range(1, 21)]
        assert [row[1] for row in rows_of(table)] == [f"x{n}" for n in range(1, 41)]


@pytest.mark.usefixtures("_small_blocks")
def test_errors_stand_where_they_are_in_any_block(tmp_path: Path) -> None:
    rows = "".join(ROW % (n, f'<c r="C{n}" t="e"><v>#REF!</v></c>') for n in (1, 4, 5))
    xml = f"{HEAD}<sheetData>{rows}</sheetData></worksheet>"

    assert [row[2] for row in read(with_sheet(tmp_path / "l.xlsx", xml))] == [
        "#REF!", "", "", "#REF!", "#REF!",
    ]  # fmt: skip


@pytest.mark.usefixtures("_small_blocks")
@pytest.mark.parametrize(
    ("misread", "said"),
    [
        ({"x5": " "}, "row 5: 1 cells hold something, but 0 could be read"),
        ({"": "x"}, "row 4: 0 cells hold something, but 1 could be read"),
    ],
)
def test_a_row_of_any_block_with_other_cells_than_it_has_is_a_refusal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, misread: dict[str, str], said: str
) -> None:
    monkeypatch.setattr(calamine, "text_of", lambda value: misread.get(value, value))
    xml = list_of({n: f"x{n}" for n in (1, 2, 3, 5, 6)})

    assert said in str(refusal(with_sheet(tmp_path / "l.xlsx", xml)))


@pytest.mark.usefixtures("_small_blocks")
def test_a_cell_too_long_is_told_by_its_row_in_any_block(tmp_path: Path) -> None:
    cells = {n: "x" * (32_768 if n == 6 else 32_767) for n in (1, 2, 5, 6, 7)}

    message = str(refusal(with_sheet(tmp_path / "l.xlsx", list_of(cells))))

    assert "row 6: a cell is longer than 32,767 characters" in message


def test_what_calamine_leaves_out_is_missed(tmp_path: Path) -> None:
    path = with_sheet(tmp_path / "l.xlsx", list_of({1: "x"}))
    survey = Survey()
    survey.count(1, 2)
    survey.width = 5
    survey.errors[1] = {5: NotText("#REF!", "an error")}

    with path.open("rb") as handle:
        (block,) = read_columns(handle, "l.xlsx", "July", survey).blocks
        survey.count(9)
        with pytest.raises(InputError, match="row 9: 1 cells hold something, but 0 could be read"):
            list(read_columns(handle, "l.xlsx", "July", survey).blocks)

    assert block.columns == [[""], ["x"], [""], [""], ["#REF!"]]


def test_rows_out_of_order_are_a_refusal_and_blank_ones_are_gaps() -> None:
    rows = [Row(2, ["a"]), Row(3, [" "]), Row(5, ["b", "c"]), Row(6, [" "])]

    assert list(workbook._without_gaps(rows, 2, "l.xlsb")) == [
        ["", ""], ["a", ""], ["", ""], ["", ""], ["b", "c"],
    ]  # fmt: skip
    with pytest.raises(InputError, match="row 5 follows row 5"):
        list(workbook._without_gaps([Row(5, ["a"]), Row(5, ["b"])], 1, "l.xlsb"))


def test_a_large_part_is_inflated_once_before_calamine_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    opening = zipfile.ZipFile.open

    def noted(self: zipfile.ZipFile, info: zipfile.ZipInfo) -> IO[bytes]:
        opened.append(info.filename)
        return opening(self, info)

    path = shutil.copy(FIXTURES / "libreoffice.xlsx", tmp_path)
    plain = with_sheet(tmp_path / "m.xlsx", list_of({1: "x"}))
    monkeypatch.setattr(zipfile.ZipFile, "open", noted)

    read(Path(path))

    assert opened.count("xl/sharedStrings.xml") == 2  # it has an error and a hidden row
    assert opened.count(SHEET) == 2
    opened.clear()
    read(plain)
    assert opened.count(SHEET) == opened.count("xl/styles.xml") == 1
    assert "xl/worksheets/sheet2.xml" in opened


def test_an_encrypted_zip_archive_needs_a_password(tmp_path: Path) -> None:
    data = bytearray((FIXTURES / "libreoffice.xlsx").read_bytes())
    data[data.rindex(b"PK\x01\x02") + 8] |= 1
    path = tmp_path / "l.xlsx"
    path.write_bytes(data)

    assert "password" in str(refusal(path))


def ods(path: Path, table: str, styles: str = "") -> Path:
    names = ("office", "table", "text", "style")
    spaces = " ".join(
        f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"' for name in names
    )
    content = (
        f"<office:document-content {spaces}><office:automatic-styles>{styles}"
        "</office:automatic-styles><office:body><office:spreadsheet>"
        f"{table}</office:spreadsheet></office:body></office:document-content>"
    )
    return altered(FIXTURES / "libreoffice.ods", path, {"content.xml": content})


def one_table(rows: str) -> str:
    return f'<table:table table:name="S">{rows}</table:table>'


def one_cell(cell: str) -> str:
    return one_table(f"<table:table-row>{cell}</table:table-row>")


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ("<text:p> a  b\n c</text:p>", "a b c"),
        ('<text:p>a<text:s text:c="2"/>b<text:tab/>c<text:line-break/>d</text:p>', "a  b\tc\nd"),
        ("<text:p>a<text:span>b<text:span>c</text:span></text:span>d</text:p>", "abcd"),
        ("<text:p>a</text:p><text:p>b</text:p>", "a\nb"),
        ("<office:annotation><text:p>note</text:p></office:annotation><text:p>a</text:p>", "a"),
        ("<text:p>a<office:annotation><text:p>note</text:p></office:annotation></text:p>", "a"),
        (f"<table:table>{ODS_ROW % 'in'}</table:table><text:p>a</text:p>", "a"),
    ],
)  # fmt: skip
def test_an_ods_cell_holds_its_own_text_alone(tmp_path: Path, cell: str, text: str) -> None:
    path = ods(
        tmp_path / "l.ods",
        one_cell(f'<table:table-cell office:value-type="string">{cell}</table:table-cell>'),
    )

    assert read(path) == [[text]]


@pytest.mark.parametrize(
    ("attributes", "text"),
    [
        ('office:value-type="float" office:value="5"', "5"),
        ('office:value-type="percentage" office:value="0.5"', "0.5"),
        ('office:value-type="boolean" office:boolean-value="true"', "TRUE"),
        ('office:value-type="date" office:date-value="2026-11-24"', "2026-11-24"),
        ('office:value-type="date" office:date-value="2026-11-24T10:30:00"', "2026-11-24T10:30:00"),
        ('office:value-type="date" office:date-value="-0044-03-15"', "shown"),
        ('office:value-type="time" office:time-value="PT1H"', "shown"),
        ('office:value-type="string" office:string-value="x"', "shown"),
    ],
)
def test_an_ods_value_is_taken_by_its_type(tmp_path: Path, attributes: str, text: str) -> None:
    cell = f"<table:table-cell {attributes}><text:p>shown</text:p></table:table-cell>"

    assert read(ods(tmp_path / "l.ods", one_cell(cell))) == [[text]]


def test_ods_rows_and_cells_repeat(tmp_path: Path) -> None:
    cell = (
        '<table:table-cell table:number-columns-repeated="2"><text:p>x</text:p></table:table-cell>'
    )
    gap = '<table:covered-table-cell table:number-columns-repeated="2"/>'
    rows = (
        f'<table:table-row table:number-rows-repeated="2">{cell}{gap}{cell}{gap}</table:table-row>'
        '<table:table-row table:number-rows-repeated="3"><table:table-cell/></table:table-row>'
        f"<table:table-header-rows><table:table-row>{cell}</table:table-row>"
        "</table:table-header-rows>"
        '<table:table-row table:number-rows-repeated="1048570"><table:table-cell/>'
        "</table:table-row>"
    )

    assert read(ods(tmp_path / "l.ods", one_table(rows))) == [
        *[["x", "x", "", "", "x", "x"]] * 2,
        *[[""] * 6] * 3,
        ["x", "x", "", "", "", ""],
    ]


def test_ods_rows_that_are_folded_filtered_or_collapsed_are_hidden(tmp_path: Path) -> None:
    cell = "<table:table-cell><text:p>x</text:p></table:table-cell>"
    rows = (
        f"<table:table-row>{cell}</table:table-row>"
        f'<table:table-row table:visibility="filter">{cell}</table:table-row>'
        f'<table:table-row table:visibility="collapse">{cell}</table:table-row>'
        '<table:table-row-group table:display="false"><table:table-row-group>'
        f"<table:table-row>{cell}</table:table-row></table:table-row-group></table:table-row-group>"
        f"<table:table-row>{cell}</table:table-row>"
    )
    with open_table(str(ods(tmp_path / "l.ods", one_table(rows)))) as table:
        assert table.hidden == (2, 3, 4)


def test_an_ods_sheet_whose_style_hides_it_is_not_taken_by_itself(tmp_path: Path) -> None:
    styles = (
        '<style:style style:name="off"><style:table-properties table:display="false"/>'
        "</style:style>"
    )
    tables = f'<table:table table:name="A" table:style-name="off">{ODS_ROW % "a"}</table:table>'

    path = ods(tmp_path / "l.ods", tables + one_table(ODS_ROW % "b"), styles)
    hidden = ods(tmp_path / "m.ods", tables, styles)

    assert read(path) == [["b"]]
    assert 'no visible sheet. Sheets: "A"' in str(refusal(hidden))


def test_an_ods_formula_without_a_result_is_a_refusal_where_its_column_is_used(
    tmp_path: Path,
) -> None:
    cells = (
        f"<table:table-cell><text:p>{ID}1</text:p></table:table-cell>"
        '<table:table-cell table:formula="of:=A2"/>'
    )
    path = str(ods(tmp_path / "l.ods", one_cell(cells)))

    assert len(read_listing(path, column="1")) == 1
    with pytest.raises(InputError, match="row 1: a formula without its result"):
        read_listing(path, column="1", carry=["2"])


@pytest.mark.parametrize(
    ("rows", "columns"), [(1, 16_385), (1_048_577, 1), (1_048_576, 17), (2_000_000_000, 10)]
)
def test_an_ods_that_repeats_beyond_a_sheet_is_refused(
    tmp_path: Path, rows: int, columns: int
) -> None:
    path = ods(
        tmp_path / "l.ods",
        one_table(
            f'<table:table-row table:number-rows-repeated="{rows}"><table:table-cell'
            f' table:number-columns-repeated="{columns}"><text:p>x</text:p></table:table-cell>'
            "</table:table-row>"
        ),
    )

    assert "spread over" in str(refusal(path))


def test_an_xls_sheet_of_impossible_dimensions_is_refused(tmp_path: Path) -> None:
    data = bytearray((FIXTURES / "libreoffice.xls").read_bytes())
    real = struct.pack("<HHIIHH", 0x200, 14, 1, 9, 0, 7)
    assert data.count(real) == 1
    wrong = struct.pack("<HHIIHH", 0x200, 14, 0, 0xFFFFFFFF, 0, 0xFFFF)
    path = tmp_path / "l.xls"
    path.write_bytes(data.replace(real, wrong))

    assert "4,294,967,295 rows" in str(refusal(path))


@pytest.mark.parametrize(
    ("identifier", "code", "date"),
    [
        (14, "", True),
        (0, "", False),
        (2, "", False),
        (164, "yyyy-mm-dd", True),
        (164, "[h]:mm", True),
        (164, '0.00 "days"', False),
        (164, "[Red]0", False),
        (164, "#,##0\\d", False),
        (164, "General", False),
    ],
)
def test_a_number_format_shows_a_date_or_not(identifier: int, code: str, *, date: bool) -> None:
    assert is_date_format(identifier, code) is date


@pytest.mark.parametrize(
    ("serial", "since_1904", "text"),
    [
        (46418, False, "2027-01-31"),
        (44956, True, "2027-01-31"),
        (1, False, "1900-01-01"),
        (59, False, "1900-02-28"),
        (61, False, "1900-03-01"),
        (46418.5, False, "2027-01-31T12:00:00"),
        (0.25, False, "06:00:00"),
        (1e9, False, "1000000000"),
    ],
)
def test_a_serial_number_is_the_date_that_a_spreadsheet_shows(
    serial: float, text: str, *, since_1904: bool
) -> None:
    assert text_of(date_of(serial, since_1904=since_1904)) == text


def test_a_book_without_worksheets_is_refused(tmp_path: Path) -> None:
    path = altered(
        FIXTURES / "libreoffice.xlsx",
        tmp_path / "l.xlsx",
        {"xl/workbook.xml": HEAD.replace("worksheet", "workbook") + "</workbook>"},
    )

    assert "no visible sheet. Sheets: none" in str(refusal(path))


def test_area_and_size_limits_are_those_of_the_contract() -> None:
    assert SIZE_LIMIT == 512 * 1024 * 1024
    assert table.AREA_LIMIT >= table.ROW_LIMIT * 16


def test_an_empty_sheet_has_no_rows(tmp_path: Path) -> None:
    path = saved(tmp_path / "l.xlsx", lambda _: None)

    assert read(path) == []


# What a sheet hides, covers, has not computed


def merged(path: Path) -> Path:
    """A list whose row 4 stands below a merge of the IDs of rows 3 and 4."""
    with xlsxwriter.Workbook(path) as book:
        sheet = book.add_worksheet()
        for row, text in enumerate(["License ID", *(f"{ID}{n}" for n in range(1, 6))]):
            sheet.write_row(row, 0, [text, "note"])
        sheet.merge_range("A3:A4", f"{ID}2")
        sheet.write("A4", f"{ID}3")
        sheet.merge_range("B5:B6", "a merge beside the IDs")
        sheet.write("B6", "covered")
    return path


def test_an_id_that_a_merge_covers_is_hidden(tmp_path: Path) -> None:
    path = str(merged(tmp_path / "l.xlsx"))

    with pytest.raises(InputError, match="a merge covers, where nobody sees it: row 4") as caught:
        read_listing(path)

    assert "--include-hidden" in caught.value.hint
    assert len(read_listing(path, include_hidden=True)) == 5


def test_a_merge_of_the_header_or_of_empty_cells_hides_nothing(tmp_path: Path) -> None:
    with xlsxwriter.Workbook(tmp_path / "l.xlsx") as book:
        sheet = book.add_worksheet()
        sheet.merge_range("A1:A2", "License ID")
        sheet.write("A3", f"{ID}1")
        sheet.merge_range("A4:B5", f"{ID}2")

    assert list(read_listing(str(tmp_path / "l.xlsx")).rows) == [3, 4]


def test_the_case_of_a_value_under_a_merge_is_refused_by_its_row() -> None:
    with pytest.raises(InputError, match="1 license ID stands in cells that a merge covers"):
        read_listing(str(CASES / "value-under-merge.xlsx"))


def test_an_id_in_a_covered_cell_of_an_ods_is_hidden(tmp_path: Path) -> None:
    span = 'table:number-rows-spanned="2" table:number-columns-spanned="1"'
    text = "<text:p>%s</text:p>"
    cells = [
        f"<table:table-cell>{text % 'id'}</table:table-cell>",
        f"<table:table-cell {span}>{text % f'{ID}1'}</table:table-cell>",
        f"<table:covered-table-cell>{text % f'{ID}2'}</table:covered-table-cell>",
        f"<table:covered-table-cell {span}/>",
    ]
    rows = "".join(f"<table:table-row>{cell}</table:table-row>" for cell in cells)
    path = str(ods(tmp_path / "l.ods", one_table(rows)))

    with pytest.raises(InputError, match="a merge covers, where nobody sees it: row 3"):
        read_listing(path)
    assert len(read_listing(path, include_hidden=True)) == 2


def uncomputed(path: Path) -> Path:
    def fill(sheet: Worksheet) -> None:
        sheet.append(["License ID", "Key", "Days"])
        sheet.append([f"{ID}1", "K1", "=1+1"])
        sheet.append([f"{ID}2", '="K"&2', "=1+1"])

    return saved(path, fill)


def test_a_formula_without_its_result_is_a_refusal_where_its_column_is_used(
    tmp_path: Path,
) -> None:
    path = str(uncomputed(tmp_path / "l.xlsx"))

    assert len(read_listing(path)) == 2
    for options, row in (({"carry": ["Days"]}, 2), ({"by": "key"}, 3)):
        with pytest.raises(InputError, match=f"row {row}: a formula without its result") as caught:
            read_listing(path, **options)
        assert "computes it" in caught.value.hint


def test_a_formula_that_another_program_has_computed_is_read(tmp_path: Path) -> None:
    with xlsxwriter.Workbook(tmp_path / "l.xlsx") as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, ["Key", "Days", "Blank"])
        sheet.write_formula(1, 0, '="K"&2', None, "K2")
        sheet.write_formula(1, 1, "=1+1", None, 2)
        sheet.write_formula(1, 2, '=""', None, " ")

    found = read_listing(str(tmp_path / "l.xlsx"), by="key", carry=["Days", "Blank"])

    assert (found.keys, found.carried) == (["K2"], [("2", " ")])


# What a program writes that computes no formulas


def zeros(path: Path) -> Path:
    with xlsxwriter.Workbook(path) as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, ["key", "left"])
        sheet.write_row(1, 0, ["K1", 0])
        sheet.write_formula(2, 0, '="K"&2')
        sheet.write_formula(2, 1, "=1-1")
    return path


def test_the_zero_of_a_formula_is_no_key_and_a_number_in_any_other_column(tmp_path: Path) -> None:
    path = zeros(tmp_path / "l.xlsx")

    refused = key_refusal(path)

    assert "row 3, a formula with the result 0:  0" in str(refused)
    assert "have a spreadsheet program compute all of them" in refused.hint
    found = read_listing(str(path), by="key", skip_invalid=True, carry=["left"])
    assert (found.keys, found.carried) == (["K1", ""], [("0",), ("0",)])


def test_a_sheet_with_an_error_has_zeros_of_formulas_as_well(tmp_path: Path) -> None:
    with xlsxwriter.Workbook(tmp_path / "l.xlsx") as book:
        sheet = book.add_worksheet()
        sheet.write_column(0, 0, ["key", "K1"])
        sheet.write_formula(2, 0, '="K"&2')
        sheet.write_formula(3, 0, "=NA()", None, "#N/A")

    refused = key_refusal(tmp_path / "l.xlsx")

    assert [detail.text.strip() for detail in refused.details] == [
        "row 3, a formula with the result 0:",
        "row 4, an error:",
    ]


@pytest.mark.parametrize("result", ["", "<v/>", "<v></v>", "<v>K2</v>"])
def test_a_formula_for_a_text_has_a_result_where_there_is_a_value(
    tmp_path: Path, result: str
) -> None:
    rows = (
        '<row r="1"><c r="A1" t="inlineStr"><is><t>key</t></is></c></row>'
        '<row r="2"><c r="A2" t="inlineStr"><is><t>K1</t></is></c></row>'
        f'<row r="3"><c r="A3" t="str"><f>"K"&amp;2</f>{result}</c></row>'
    )
    path = with_sheet(tmp_path / "l.xlsx", f"{HEAD}<sheetData>{rows}</sheetData></worksheet>")

    if result:
        assert read_listing(str(path), by="key").keys[0] == "K1"
    else:
        assert "row 3: a formula without its result" in str(key_refusal(path))


@pytest.mark.parametrize("name", ["gnumeric.xls", "gnumeric.biff7.xls"])
def test_a_format_of_an_xls_is_a_date_by_its_code_and_not_by_its_number(name: str) -> None:
    """Gnumeric numbers its formats from 50, and 50 to 58 are dates where nobody defines them."""
    path = str(FIXTURES / "writers" / name)

    with open_table(path, sheet="Keys") as table:
        cells = rows_of(table)

    assert [cells[row][0] for row in (5, 6)] == ["123", "2024-01-02"]


# Keys in cells that are no text


def key_refusal(path: Path, **options: bool) -> InputError:
    with pytest.raises(InputError) as caught:
        read_listing(str(path), by="key", **options)  # type: ignore[arg-type]
    return caught.value


def test_numbers_dates_and_booleans_are_refused_as_keys_by_their_rows() -> None:
    refused = key_refusal(CASES / "number-keys.xlsx")

    assert [detail.text.strip() for detail in refused.details[:9]] == [
        "row 2, a number that is shown in another way:",
        "row 3, a number that is shown in another way:",
        "row 4, a number that is shown in another way:",
        "row 5, a number:",
        "row 6, a number:",
        "row 7, a number:",
        "row 8, a boolean:",
        "row 9, a date:",
        "row 10, a number that is shown in another way:",
    ]
    assert "format the column as text and enter these keys anew" in refused.hint
    found = read_listing(str(CASES / "number-keys.xlsx"), by="key", skip_invalid=True)
    assert found.keys[:12] == [""] * 9 + ["AB_x0041_C", "_x000D_", "lead"]


@pytest.mark.parametrize(
    ("value", "shown_as", "key"),
    [
        (123, None, "123"),
        (0, "0", "0"),
        (999_999_999_999_999, None, "999999999999999"),
        (123, "@", "123"),
        (123, "[Red]0_);(0)", "123"),
        ("0123", "00000", "0123"),
        (1_000_000_000_000_000, None, None),
        (-1, None, None),
        (1.5, None, None),
        (123, "00000", None),
        (123, "0.00", None),
        (123, "#,##0", None),
        (123, "0%", None),
        (123, '"K"0', None),
        (True, None, None),
    ],
)
def test_a_number_is_a_key_where_it_is_shown_by_all_of_its_digits(
    tmp_path: Path, value: str | float, shown_as: str | None, key: str | None
) -> None:
    with xlsxwriter.Workbook(tmp_path / "l.xlsx") as book:
        sheet = book.add_worksheet()
        sheet.write(0, 0, "key")
        sheet.write(1, 0, value, book.add_format({"num_format": shown_as}) if shown_as else None)

    if key is None:
        assert "row 2, a" in str(key_refusal(tmp_path / "l.xlsx"))
    else:
        assert read_listing(str(tmp_path / "l.xlsx"), by="key").keys == [key]


def test_an_error_in_the_column_of_keys_is_refused_and_another_one_is_not(tmp_path: Path) -> None:
    with xlsxwriter.Workbook(tmp_path / "l.xlsx") as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, ["key", "other"])
        for row in (1, 2, 3):
            sheet.write_row(row, 0, [f"K{row}"])
            sheet.write_formula(row, 1, "=1/0", None, "#DIV/0!")
    read_listing(str(tmp_path / "l.xlsx"), by="key")

    refused = str(key_refusal(with_sheet(tmp_path / "m.xlsx", ERROR_AS_KEY)))

    assert "row 2, an error:  #N/A" in refused


ERROR_AS_KEY = (
    f'{HEAD}<sheetData><row r="1"><c r="A1" t="inlineStr"><is><t>key</t></is></c></row>'
    '<row r="2"><c r="A2" t="e"><v>#N/A</v></c></row></sheetData></worksheet>'
)


def test_a_date_that_is_written_as_one_is_refused_as_a_key(tmp_path: Path) -> None:
    xml = ERROR_AS_KEY.replace('t="e"><v>#N/A', 't="d"><v>2026-11-24')

    assert "row 2, a date:  2026-11-24" in str(key_refusal(with_sheet(tmp_path / "m.xlsx", xml)))


def test_carried_numbers_stand_for_their_digits_and_dates_are_iso(tmp_path: Path) -> None:
    values = [0.1, 5, 1_234_567_890_123_456, 1.234567890123457e19, -2.5]
    with xlsxwriter.Workbook(tmp_path / "l.xlsx") as book:
        sheet = book.add_worksheet()
        money = book.add_format({"num_format": "#,##0.00"})
        day = book.add_format({"num_format": "dd.mm.yy"})
        sheet.write_row(0, 0, ["key", "number", "date"])
        for row, value in enumerate(values, 1):
            sheet.write(row, 0, f"K{row}")
            sheet.write(row, 1, value, money)
            sheet.write(row, 2, 46418, day)

    carried = read_listing(str(tmp_path / "l.xlsx"), by="key", carry=["number", "date"]).carried

    assert carried == [
        (text, "2027-01-31")
        for text in ("0.1", "5", "1234567890123456", "12345678901234570000", "-2.5")
    ]


# Gnumeric says that an ODS shows 5 as "5E+00".
@pytest.mark.parametrize("name", [name for name in READABLE if name != "gnumeric.ods"])
def test_numbers_are_keys_whichever_program_wrote_them(name: str) -> None:
    with open_table(str(FIXTURES / name)) as table:
        (block,) = table.blocks

    seats, price, expires = block.columns[2:5]
    assert [type(cell) is str for cell in seats[1:]] == [True] * 8
    assert type(price[2]) is type(expires[2]) is NotText


@pytest.mark.parametrize(
    ("shown", "key"), [("12", "12"), ("0012", None), ("1.2E1", None), ("", "12")]
)
def test_a_number_of_an_ods_is_a_key_where_its_text_is_its_digits(
    tmp_path: Path, shown: str, key: str | None
) -> None:
    rows = ODS_ROW % "key" + (
        '<table:table-row><table:table-cell office:value-type="float" office:value="12">'
        f"<text:p>{shown}</text:p></table:table-cell></table:table-row>"
    )
    path = ods(tmp_path / "l.ods", one_table(rows))

    if key is None:
        assert "row 2, a number that is shown in another way:" in str(key_refusal(path))
    else:
        assert read_listing(str(path), by="key").keys == [key]


def test_keys_entered_anew_as_text_are_read(tmp_path: Path) -> None:
    """Follows the remedy of the refusal to its end."""
    keys = ["00123", "1234567890123456", "2024-01-02", "0.5"]

    def fill(sheet: Worksheet) -> None:
        for row, text in enumerate(["key", *keys], 1):
            cell = sheet.cell(row, 1, text)
            cell.number_format = "@"

    assert read_listing(str(saved(tmp_path / "l.xlsx", fill)), by="key").keys == keys


@pytest.mark.parametrize(
    ("identifier", "code", "digits"),
    [
        (0, "", True),
        (1, "", True),
        (49, "", True),
        (2, "", False),
        (14, "", False),
        (164, "General", True),
        (164, "0;-0;0", True),
        (164, "0;-0;;@", False),
        (164, "##0", True),
        (164, "[$-409]0", True),
        (164, "[h]", False),
        (164, "00", False),
        (164, "0E+00", False),
        (164, "# ?/?", False),
    ],
)
def test_a_number_format_shows_digits_alone_or_not(
    identifier: int, code: str, *, digits: bool
) -> None:
    assert shows_digits(identifier, code) is digits


@pytest.mark.parametrize("text", ["x", "1e400", "#REF!"])
def test_text_is_never_written_in_other_digits(text: str) -> None:
    assert in_digits(text) == text


# Excel 97-2003


def test_texts_of_biff8_are_read_whatever_its_code_page_says() -> None:
    rows = read(CASES / "perl-writeexcel.xls")

    assert "\0" not in "".join("".join(row) for row in rows)
    assert len(read_listing(str(CASES / "perl-writeexcel.xls"))) > 0


@pytest.mark.parametrize(
    "name", ["gnumeric.xls", "gnumeric.biff7.xls", "libreoffice.xls", "sheetjs.xls"]
)
@pytest.mark.parametrize("lost", [f"{ID}2", "Zorblat GmbH", "two\nlines", "1234567"])
def test_a_cell_of_an_xls_that_calamine_does_not_give_is_a_refusal(
    name: str, lost: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calamine, "text_of", lambda v: "" if text_of(v) == lost else text_of(v))

    assert "cells hold something" in str(refusal(FIXTURES / name))


def test_a_list_of_one_column_that_loses_an_id_is_a_refusal_in_xls(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lost = "22222222-0000-4000-8000-000000000001"
    monkeypatch.setattr(calamine, "text_of", lambda v: "" if v == lost else text_of(v))

    error = refusal(FIXTURES / "libreoffice.xls", "August")

    assert "row 2: 1 cells hold something, but 0 could be read" in str(error)


def record(kind: int, data: bytes) -> bytes:
    return struct.pack("<HH", kind, len(data)) + data


def cell_record(kind: int, row: int, column: int, data: bytes, cell_format: int = 0) -> bytes:
    return record(kind, struct.pack("<HHH", row, column, cell_format) + data)


def shared_string(text: str, *, wide: bool = False, runs: int = 0) -> bytes:
    head = struct.pack("<HB", len(text), wide | (8 if runs else 0))
    head += struct.pack("<H", runs) if runs else b""
    return head + text.encode("utf-16-le" if wide else "latin-1") + bytes(4 * runs)


def biff8(cells: bytes, strings: bytes = b"", continued: bytes = b"") -> bytes:
    """The stream of a workbook of one sheet, with one cell format that shows 00000."""
    begin, end = record(0x809, struct.pack("<HH", 0x600, 5) + bytes(12)), record(0x0A, b"")
    code = struct.pack("<HHB", 164, 5, 0) + b"00000"
    formats = record(0x41E, code) + record(0xE0, bytes(20))
    formats += record(0xE0, struct.pack("<HH", 0, 164) + bytes(16))
    table = record(0xFC, bytes(8) + strings) + (record(0x3C, continued) if continued else b"")
    size = len(begin) + len(formats) + len(table) + len(record(0x85, bytes(9))) + len(end)
    sheet = record(0x85, struct.pack("<IBBBB", size, 0, 0, 1, 0) + b"S")
    return begin + formats + sheet + table + end + begin + cells + end


def surveyed(stream: bytes) -> Survey:
    book = xls._Book(stream, "l.xls")
    ((at, _, _),) = book.sheets
    return xls._Surveyor(book).survey(at)


def test_every_kind_of_cell_of_an_xls_is_counted_unless_it_is_blank() -> None:
    double = struct.pack("<d", 1.5)
    rk = struct.pack("<HI", 0, 2)
    cells = [
        cell_record(0x203, 0, 0, double),
        cell_record(0x27E, 0, 1, bytes(4)),
        record(0xBD, struct.pack("<HH", 0, 2) + 2 * rk + struct.pack("<H", 3)),
        cell_record(0xFD, 1, 0, struct.pack("<I", 0)),
        cell_record(0xFD, 1, 1, struct.pack("<I", 1)),
        cell_record(0x204, 2, 0, struct.pack("<HB", 1, 0) + b"x"),
        cell_record(0x204, 2, 1, struct.pack("<HB", 2, 1) + "  ".encode("utf-16-le")),
        cell_record(0x205, 3, 0, b"\1\0"),
        cell_record(0x205, 3, 1, b"\x17\1"),
        cell_record(0x06, 4, 0, double + bytes(6)),
        cell_record(0x06, 4, 1, b"\0\0\0\0\0\0\xff\xff" + bytes(6)),
        record(0x207, struct.pack("<HB", 1, 0) + b"x"),
        cell_record(0x06, 4, 2, b"\0\0\0\0\0\0\xff\xff" + bytes(6)),
        record(0x207, struct.pack("<HB", 1, 0) + b" "),
        cell_record(0x06, 4, 3, b"\3\0\0\0\0\0\xff\xff" + bytes(6)),
        cell_record(0x06, 4, 4, b"\2\0\x07\0\0\0\xff\xff" + bytes(6)),
        cell_record(0x201, 9, 9, b""),
    ]

    found = surveyed(biff8(b"".join(cells), shared_string("x") + shared_string(" \xa0")))

    assert list(found.filled) == [4, 1, 1, 2, 3]
    assert found.errors == {4: {2: "#REF!"}, 5: {5: "#DIV/0!"}}
    assert found.computed == {1: bytearray([0, 0, 0, 0, 1])}
    assert found.width == 5
    assert found.hidden is None


def test_shared_strings_of_an_xls_are_told_apart_across_records() -> None:
    text = shared_string("ab" * 9, wide=True, runs=2)
    cut = text[:-8][:-10] + b""  # within its characters
    continued = b"\0" + b"babab" + text[-8:] + shared_string("") + shared_string("y")
    cells = b"".join(cell_record(0xFD, row, 0, struct.pack("<I", row)) for row in range(4))

    found = surveyed(biff8(cells, shared_string(" ", runs=1) + cut, continued))

    assert list(found.filled) == [0, 1, 0, 1]


@pytest.mark.parametrize("cut", range(1, 24))
def test_a_shared_string_of_an_xls_that_is_cut_short_is_refused(cut: int) -> None:
    strings = shared_string("x" * 10, wide=True)[:-cut]

    with pytest.raises(InputError, match="is damaged") if cut < 23 else nullcontext():
        surveyed(biff8(b"", strings))


def test_a_merge_of_an_xls_covers_all_of_its_cells_but_the_first() -> None:
    areas = struct.pack("<H8H", 2, 2, 3, 0, 0, 0, 0, 1, 2)

    covered = surveyed(biff8(record(0xE5, areas))).covered

    assert [(set(area.rows), set(area.columns)) for area in covered if area.columns] == [
        ({4}, {0}), ({1}, {2}), (set(), {1, 2}),
    ]  # fmt: skip


def test_a_number_of_an_xls_that_is_shown_in_another_way_is_noted() -> None:
    two = struct.pack("<HIHI", 0, 2, 1, 2)
    cells = [
        cell_record(0x203, 0, 0, bytes(8), cell_format=1),
        cell_record(0x27E, 2, 0, bytes(4), cell_format=1),
        cell_record(0x27E, 3, 0, bytes(4), cell_format=0),
        record(0xBD, struct.pack("<HH", 1, 1) + two + struct.pack("<H", 2)),
        cell_record(0x06, 4, 0, struct.pack("<d", 0.1) + bytes(6), cell_format=1),
    ]

    assert surveyed(biff8(b"".join(cells))).formatted == {
        1: bytearray([1, 0, 1, 0, 1]),
        3: bytearray([0, 1]),
    }


BEGIN_CHART, END = record(0x809, struct.pack("<HH", 0x600, 0x20) + bytes(12)), record(0x0A, b"")


def test_a_chart_within_an_xls_sheet_holds_no_cells_of_it() -> None:
    chart = BEGIN_CHART + cell_record(0x203, 5, 5, bytes(8)) + END

    assert list(surveyed(biff8(chart + cell_record(0x203, 0, 0, bytes(8)))).filled) == [1]


def test_an_xls_sheet_that_does_not_end_is_refused() -> None:
    with pytest.raises(InputError, match="it ends within a sheet"):
        surveyed(biff8(cell_record(0x203, 0, 0, bytes(8)))[: -len(END)])


def test_of_an_xls_only_rows_that_hold_something_are_hidden() -> None:
    def row(number: int, flags: int) -> bytes:
        return record(0x208, struct.pack("<H10xI", number, flags))

    rows = row(0, 0x20) + row(1, 0x101) + row(2, 0x120) + row(3, 0)
    cells = b"".join(cell_record(0x203, number, 0, bytes(8)) for number in (1, 2, 3))

    assert surveyed(biff8(rows + cells)).hidden == [3]


def test_state_and_kind_of_an_xls_sheet_are_two_things() -> None:
    begin, end = record(0x809, struct.pack("<HH", 0x600, 5) + bytes(12)), END
    sheets = [(7, 0, 0), (8, 0x41, 0), (70_000, 2, 2)]
    named = [record(0x85, struct.pack("<IBBBB", *each, 1, 0) + b"S") for each in sheets]

    book = xls._Book(begin + b"".join(named) + end, "l.xls")

    assert book.sheets == [(7, 0, 0), (8, 1, 0), (70_000, 2, 2)]


def test_only_what_goes_on_with_shared_strings_is_taken_for_them() -> None:
    begin = record(0x809, struct.pack("<HH", 0x600, 5) + bytes(12))
    blank = record(0xFC, bytes(8) + shared_string(" "))
    other = record(0x86, b"") + record(0x3C, b"\xff\xff\xff")

    for records in (other + blank, blank + other, blank):
        assert xls._Book(begin + records + END, "l.xls").blank_strings == {0}


def test_shared_strings_keep_their_characters_whatever_stands_between_them() -> None:
    def extended(text: str, extension: int) -> bytes:
        return struct.pack("<HBI", len(text), 4, extension) + text.encode() + bytes(extension)

    first = extended("ab", 10)
    second = shared_string("\u03a9\u03a8x", wide=True)
    records = [bytes(8) + first[:-4], first[-4:] + second[:-4], b"\1" + second[-4:]]
    narrow = [bytes(8) + shared_string("\u03a9x\xe9", wide=True)[:-4], b"\0x\xe9"]

    assert list(xls._shared_strings(records)) == ["ab", "\u03a9\u03a8x"]
    assert list(xls._shared_strings(narrow)) == ["\u03a9x\xe9"]


@pytest.mark.parametrize(
    ("version", "data", "text"),
    [
        (0x600, b"\2\0\0ab|", "ab"),
        (0x600, b"\2\0\1a\0b\0|", "ab"),
        (0x600, b"\0\0", ""),
        (0x500, b"\2\0ab|", "ab"),
        (0x500, b"\2\0  |", "  "),
    ],
)
def test_a_string_of_an_xls_is_as_long_as_it_says(version: int, data: bytes, text: str) -> None:
    book = xls._Book(record(0x809, struct.pack("<HH", version, 5)) + END, "l.xls")

    assert book.text(data) == text


def test_a_label_with_formats_is_a_cell_of_an_xls() -> None:
    label = cell_record(0xD6, 0, 0, struct.pack("<HB", 1, 0) + b"x" + bytes(2))

    assert list(surveyed(biff8(label)).filled) == [1]


@pytest.mark.parametrize(
    ("rows", "columns", "refused"), [(2**16, 2**8, False), (2**16 + 1, 1, True), (1, 257, True)]
)
def test_an_xls_sheet_may_be_as_large_as_its_format_allows(
    rows: int, columns: int, *, refused: bool
) -> None:
    dimensions = record(0x200, struct.pack("<IIHHH", 0, rows, 0, columns, 0))

    with pytest.raises(InputError, match="is damaged") if refused else nullcontext():
        surveyed(biff8(dimensions))


def test_an_xls_whose_sheets_are_not_those_that_it_lists_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(xls, "sheet_names", lambda *_: ["one", "two", "three", "four", "five"])

    assert "it lists" in str(refusal(FIXTURES / "gnumeric.xls"))


@pytest.mark.parametrize("error", [OSError, ValueError, IndexError, TypeError, struct.error])
def test_whatever_olefile_fails_with_the_file_is_damaged(
    monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def fail(*_: object) -> None:
        raise error("in the directory")

    monkeypatch.setattr("olefile.OleFileIO.exists", fail)

    assert "is damaged: in the directory" in str(refusal(FIXTURES / "gnumeric.xls"))


def test_a_merge_of_an_xlsb_covers_all_of_its_cells_but_the_first(tmp_path: Path) -> None:
    part = "xl/worksheets/sheet1.bin"
    with zipfile.ZipFile(FIXTURES / "sheetjs.xlsb") as made:
        data = made.read(part)
    merge = b"\xb0\x01\x10" + struct.pack("<IIII", 2, 3, 0, 0)
    path = altered(FIXTURES / "sheetjs.xlsb", tmp_path / "l.xlsb", {part: data + merge})

    with open_table(str(path)) as table:
        assert [area for area in table.covered if area.columns] == [(range(4, 5), range(1))]


def test_the_zero_of_a_formula_of_an_xlsb_is_no_key(tmp_path: Path) -> None:
    part = "xl/worksheets/sheet4.bin"
    source = FIXTURES / "writers" / "sheetjs.xlsb"
    with zipfile.ZipFile(source) as made:
        data = made.read(part)
    zero = b"\x09\x16" + struct.pack("<IIdHI", 0, 0, 0, 0, 0)  # BrtFmlaNum without its tokens
    end = b"\x92\x01\x00"  # BrtEndSheetData
    row = b"\x00\x19" + struct.pack("<I", 10) + bytes(21)
    assert data.count(end) == 1
    path = altered(source, tmp_path / "l.xlsb", {part: data.replace(end, row + zero + end)})

    with pytest.raises(InputError, match="row 11, a formula with the result 0:  0"):
        read_listing(str(path), by="key", sheet="Keys")


# Parts of unusual names


def test_parts_that_are_named_with_backslashes_are_read() -> None:
    assert len(read_listing(str(CASES / "backslash-parts.xlsx"))) == 5


def test_a_workbook_part_of_another_name_is_read() -> None:
    assert len(read_listing(str(CASES / "workbook-part-other-name.xlsx"))) == 5


def test_a_workbook_part_in_another_folder_is_refused_with_the_reason(tmp_path: Path) -> None:
    with zipfile.ZipFile(CASES / "backslash-parts.xlsx") as old:
        parts = {name.replace("\\", "/"): old.read(name) for name in old.namelist()}
    path = tmp_path / "l.xlsx"
    with zipfile.ZipFile(path, "w") as new:
        for name, data in parts.items():
            new.writestr(name.replace("xl/", "book/"), data.replace(b"xl/", b"book/"))

    assert "whose parts are not in the folder xl, but in book" in str(refusal(path))


def zipped(**parts: str) -> archive.Archive:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as made:
        for name, text in parts.items():
            made.writestr(f"{name}.xml", text)
    return archive.Archive(held, "l.xlsx")


def test_number_formats_of_an_xlsx_are_those_of_its_cells() -> None:
    styles = """<styleSheet><numFmts><numFmt numFmtId="164" formatCode="00000"/>
        <other numFmtId="165" formatCode="0"/></numFmts>
        <cellStyleXfs><xf numFmtId="164"/></cellStyleXfs>
        <cellXfs><xf numFmtId="0"><alignment/></xf><xf numFmtId="164"/><xf numFmtId="few"/>
        <xf numFmtId="1"/><xf numFmtId="14"/><xf numFmtId="165"/></cellXfs>
        <dxfs><dxf><numFmt numFmtId="164" formatCode="0"/></dxf></dxfs></styleSheet>"""

    assert xlsx._odd_formats(zipped(styles=styles), "styles.xml") == {"1", "4", "5"}
    assert xlsx._odd_formats(zipped(styles=styles), "") == set()


def test_a_cell_of_an_xlsx_without_its_place_stands_beside_the_one_before(tmp_path: Path) -> None:
    rows = (
        "<row><c><v>1</v></c><c t='e'><v>#REF!</v></c><c><v>2</v></c></row>"
        "<row><c r='B2'><v>3</v></c><c><v>4</v></c></row>"
    )
    path = with_sheet(tmp_path / "l.xlsx", f"{HEAD}<sheetData>{rows}</sheetData></worksheet>")

    assert read(path) == [["1", "#REF!", "2"], ["", "3", "4"]]


def test_cells_without_their_places_begin_again_in_each_row(tmp_path: Path) -> None:
    rows = 2 * "<row><c><v>1</v></c><c><v>2</v></c></row>"
    path = with_sheet(tmp_path / "l.xlsx", f"{HEAD}<sheetData>{rows}</sheetData></worksheet>")

    assert read(path) == [["1", "2"], ["1", "2"]]


@pytest.mark.parametrize("number", ["0", "00", "x", "1.5", "-1", ""])
def test_a_row_of_an_xlsx_with_a_number_that_is_none_is_refused(
    tmp_path: Path, number: str
) -> None:
    rows = f'<row r="{number}"><c r="A1"><v>1</v></c></row>'
    path = with_sheet(tmp_path / "l.xlsx", f"{HEAD}<sheetData>{rows}</sheetData></worksheet>")

    assert f"a row is numbered {number!r}" in str(refusal(path))


def test_a_merge_of_an_xlsx_of_one_cell_covers_nothing(tmp_path: Path) -> None:
    xml = (
        f'{HEAD}<sheetData><row r="1"><c r="A1"><v>1</v></c></row></sheetData>'
        '<mergeCells count="1"><mergeCell ref="A1"/></mergeCells></worksheet>'
    )
    with open_table(str(with_sheet(tmp_path / "l.xlsx", xml))) as table:
        assert list(table.covered) == []


def test_what_is_read_aloud_of_a_cell_is_no_part_of_its_text(tmp_path: Path) -> None:
    aloud = '<rPh sb="0" eb="1"><t>aloud</t></rPh>'
    xml = (
        f'{HEAD}<sheetData><row r="1" hidden="1"><c r="A1" t="inlineStr"><is><t> </t>{aloud}</is>'
        '</c><c r="B1"><v>1</v></c></row></sheetData></worksheet>'
    )
    assert read(with_sheet(tmp_path / "l.xlsx", xml)) == [["", "1"]]


def test_a_number_is_not_taken_for_the_index_of_a_blank_string(tmp_path: Path) -> None:
    parts = {
        SHEET: f'{HEAD}<sheetData><row r="1" hidden="1"><c r="A1"><v>0</v></c>'
        '<c r="B1" t="s"><v>0</v></c><c r="C1" t="s"><v>1</v></c></row></sheetData></worksheet>',
        "xl/sharedStrings.xml": f"{HEAD.replace('worksheet', 'sst')}<si><t> </t>"
        '<rPh sb="0" eb="1"><t>aloud</t></rPh></si><si><t>x</t></si></sst>',
    }
    path = altered(FIXTURES / "libreoffice.xlsx", tmp_path / "l.xlsx", parts)

    assert read(path) == [["0", "", "x"]]


@pytest.mark.parametrize("other", ['theme" Target="/none.xml', 'styles" Target="/none.xml'])
def test_an_xlsx_needs_no_styles_even_where_it_names_some(tmp_path: Path, other: str) -> None:
    named = "xl/_rels/workbook.xml.rels"
    with zipfile.ZipFile(FIXTURES / "openpyxl.xlsx") as archive_:
        rels = archive_.read(named).decode().replace('styles" Target="styles.xml', other)
    assert other in rels
    row = '<row r="1"><c r="A1"><v>1</v></c></row>'
    parts = {SHEET: f"{HEAD}<sheetData>{row}</sheetData></worksheet>", named: rels}

    assert read(altered(FIXTURES / "openpyxl.xlsx", tmp_path / "l.xlsx", parts)) == [["1"]]


def test_an_xlsx_without_the_part_that_names_its_sheets_parts_is_refused(tmp_path: Path) -> None:
    part = "xl/_rels/workbook.xml.rels"
    with (
        zipfile.ZipFile(FIXTURES / "openpyxl.xlsx") as old,
        zipfile.ZipFile(tmp_path / "l.xlsx", "w") as new,
    ):
        for name in old.namelist():
            if name != part:
                new.writestr(name, old.read(name))

    assert f"it has no part {part}" in str(refusal(tmp_path / "l.xlsx"))


def test_a_word_document_that_is_called_xlsx_is_no_workbook(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "l.xlsx", "w") as made:
        made.writestr(
            "_rels/.rels",
            '<Relationships><Relationship Id="a" Type="x/officeDocument" Target="word/document.xml"'
            "/></Relationships>",
        )
        made.writestr("word/document.xml", "<document/>")

    assert "not a workbook" in refusal(tmp_path / "l.xlsx").message


def test_a_document_type_is_refused_in_every_part_that_is_parsed(tmp_path: Path) -> None:
    parts = {
        "xl/worksheets/sheet1.xml": "openpyxl.xlsx",
        "xl/workbook.xml": "openpyxl.xlsx",
        "xl/_rels/workbook.xml.rels": "openpyxl.xlsx",
        "_rels/.rels": "sheetjs.xlsb",
        "content.xml": "libreoffice.ods",
    }
    for part, book in parts.items():
        with zipfile.ZipFile(FIXTURES / book) as archive:
            xml = archive.read(part).decode()
        start = xml.index("<", xml.find("?>") + 1)
        harmless = f"{xml[:start]}<!DOCTYPE a>{xml[start:]}"
        path = tmp_path / book
        altered(FIXTURES / book, path, {part: harmless})

        error = refusal(path)

        assert "a part of it has a document type" in error.message, part
        assert "save it as xlsx or CSV" in error.hint


def test_a_long_prolog_hides_no_document_type(tmp_path: Path) -> None:
    with zipfile.ZipFile(FIXTURES / "libreoffice.ods") as archive:
        declaration, _, rest = archive.read("content.xml").decode().partition("?>")
    comment = f"<!--{5000 * ' '}-->"

    def with_prolog(name: str, prolog: str) -> Path:
        parts: dict[str, str | bytes] = {"content.xml": f"{declaration}?>{prolog}{rest}"}
        return altered(FIXTURES / "libreoffice.ods", tmp_path / name, parts)

    error = refusal(with_prolog("typed.ods", f"{comment}<!DOCTYPE a>"))
    assert "a part of it has a document type" in error.message
    assert read(with_prolog("commented.ods", comment))
