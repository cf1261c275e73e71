"""Workbooks: as many programs write them, hidden rows, sheets, limits, damage."""

from __future__ import annotations

import re
import shutil
import struct
import zipfile
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal

import openpyxl
import pytest
import xlsxwriter

from batch.errors import InputError
from batch.input import archive, calamine, table, workbook
from batch.input.calamine import Survey, read_columns
from batch.input.table import SIZE_LIMIT, Row, text_of
from batch.input.xlsb import date_of, is_date_format
from tests.support.builders import open_table

if TYPE_CHECKING:
    from collections.abc import Callable

    from openpyxl.worksheet.worksheet import Worksheet

    from batch.input.table import Table

FIXTURES = Path(__file__).parents[1] / "fixtures"
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


def altered(source: Path, target: Path, parts: dict[str, str | bytes]) -> Path:
    """A copy of a zip archive with other parts."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, parts.get(name, old.read(name)))
    return target


def with_sheet(target: Path, xml: str) -> Path:
    return altered(FIXTURES / "openpyxl.xlsx", target, {SHEET: xml})


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
        ("openpyxl.xlsx", 'sheet "July", row 9: a formula without its result'),
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


def test_rows_that_a_sheet_hides_by_default_are_hidden(tmp_path: Path) -> None:
    xml = (
        f'{HEAD}<sheetFormatPr zeroHeight="1"/><sheetData><row r="1" ht="15"><c r="A1"><v>1</v></c>'
        '</row><row r="2"><c r="A2"><v>1</v></c></row></sheetData></worksheet>'
    )  # fmt: skip
    with open_table(str(with_sheet(tmp_path / "l.xlsx", xml))) as table:
        assert table.hidden == (2,)


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
    monkeypatch.setattr(calamine, "text_of", lambda value: f"{value}\ufffd" if value else "")

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


def test_what_calamine_leaves_out_is_missed_unless_it_may_be_blank(tmp_path: Path) -> None:
    path = with_sheet(tmp_path / "l.xlsx", list_of({1: "x"}))
    survey = Survey()
    survey.add(1, 2)
    survey.add(1, 5, error="#REF!")
    survey.add(9, 1, maybe_blank=True)

    with path.open("rb") as handle:
        (block,) = read_columns(handle, "l.xlsx", "July", survey).blocks
        survey.add(9, 1)
        with pytest.raises(InputError, match="row 9: 2 cells hold something, but 0 could be read"):
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
    monkeypatch.setattr(zipfile.ZipFile, "open", noted)

    read(Path(path))

    assert opened.count(SHEET) == opened.count("xl/sharedStrings.xml") == 1
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


def test_an_ods_formula_without_a_result_is_a_refusal(tmp_path: Path) -> None:
    path = ods(tmp_path / "l.ods", one_cell('<table:table-cell table:formula="of:=A2"/>'))

    assert "row 1: a formula without its result" in str(refusal(path))


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
