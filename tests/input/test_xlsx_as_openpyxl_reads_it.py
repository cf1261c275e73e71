"""Sheets made up at random are read as openpyxl reads them, a library that shares nothing with us.

``FUZZ_SHEETS=20000 pytest -o faulthandler_timeout=0`` tries that many, in about ten minutes.
"""

from __future__ import annotations

import io
import os
import zipfile
from itertools import product
from random import Random
from typing import TYPE_CHECKING, Any, cast
from xml.sax.saxutils import escape

import openpyxl
from hypothesis import given, settings
from hypothesis import strategies as st

from batch.input.table import NOT_COMPUTED, NotText, in_digits, text_of
from batch.input.workbook import read_sheet, sheets_of

if TYPE_CHECKING:
    from batch.input.table import Table, Value

SHEETS = int(os.environ.get("FUZZ_SHEETS", "100"))
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"
SHOWN_BY_DIGITS = ("General", "0", "@")
FORMATS = (*SHOWN_BY_DIGITS, "00000", "0.00", "yyyy-mm-dd", '"K"0')
COLUMNS = ("A", "B", "C", "Z", "AA", "AB")
TEXTS = ("id", "Müller & <Söhne>", "𝄞", "007", "1e5", " x ", "two\nlines", "a>b]]", "TRUE")
BLANKS = ("", " ", "\t")
NUMBERS = ("0", "5", "123", "45293", "999999999999999", "1234567890123456", "0.5", "-7", "1.5E+19")


def shared_strings(random: Random) -> str:
    """Strings in one piece, in runs, with how they are read aloud, and blank ones."""
    made = []
    for text in random.sample([*TEXTS, *BLANKS], len(TEXTS) + len(BLANKS)):
        inner = f'<t xml:space="preserve">{escape(text)}</t>'
        if random.random() < 0.2:
            inner = f"<r>{inner}</r><r><rPr><b/></rPr><t>!</t></r>"
        elif random.random() < 0.2:
            inner += '<rPh sb="0" eb="1"><t>aloud</t></rPh><phoneticPr fontId="1"/>'
        made.append(f"<si>{inner}</si>")
    return f'<sst xmlns="{MAIN}">{"".join(made)}</sst>'


def cell(random: Random, place: str) -> str:
    """A cell of one of the kinds that programs write."""
    style = random.choice(["", f' s="{random.randrange(len(FORMATS))}"'])
    at = f'<c r="{place}"{style}'
    text = escape(random.choice(TEXTS * 3 + BLANKS))
    number = random.choice(NUMBERS)
    kinds = (
        f"{at}/>",
        f'{at} t="s"><v>{random.randrange(len(TEXTS) + len(BLANKS))}</v></c>',
        f'{at} t="inlineStr"><is><t xml:space="preserve">{text}</t></is></c>',
        f'{at} t="inlineStr"><is><r><t>a</t></r><r><t xml:space="preserve">{text}</t></r></is></c>',
        f'{at} t="str"><f>B1&amp;""</f><v xml:space="preserve">{text or " "}</v></c>',
        f'{at} t="b"><v>1</v></c>',
        f'{at} t="e"><v>#REF!</v></c>',
        f"<c r='{place}'><f>A1*2</f><v>{number}</v></c>",
        f'<c r="{place}"><f>A1*2</f>{random.choice(["", "<v/>", "<v></v>"])}</c>',
        f'<c r="{place}" t="str"><f>A1*2</f></c>',
    )
    # A number that a format shows as a date is one that stands for a date.
    as_number = f"{at}><v>45293</v></c>" if 's="5"' in at else f"{at}><v>{number}</v></c>"
    return random.choice([*kinds, as_number, as_number, kinds[1], kinds[2]])


def sheet(random: Random) -> str:
    """A sheet with gaps, hidden rows, merges, and a dimension that may lie."""
    gap = random.choice(["", "", "\n  "])
    rows, number = [], 0
    for _ in range(random.randrange(1, 12)):
        number += random.choice([1, 1, 1, 1, 2, 5])
        attributes = random.choice(
            ["", "", "", ' hidden="1"', ' spans="1:3"', ' ht="15"', ' hidden="false"']
        )
        places = [c for c in COLUMNS if random.random() < 0.5]
        cells = gap.join(cell(random, f"{column}{number}") for column in places)
        rows.append(f'<row r="{number}"{attributes}>{gap}{cells}</row>')
    merges = random.sample(["A1:A3", "A5:B6", "B8:AA8", "Z2:AB4"], random.randrange(4))
    merged = "".join(f'<mergeCell ref="{area}"/>' for area in merges)
    dimension = random.choice(["", '<dimension ref="A1"/>', '<dimension ref="B2:C900"/>'])
    format_ = random.choice(["", '<sheetFormatPr defaultRowHeight="15" zeroHeight="1"/>'])
    return (
        f'<worksheet xmlns="{MAIN}">{dimension}{format_}<sheetData>{gap.join(rows)}</sheetData>'
        f"{f'<mergeCells>{merged}</mergeCells>' if merged else ''}</worksheet>"
    )


def workbook(random: Random) -> bytes:
    """A workbook of one such sheet."""
    codes = "".join(
        f'<numFmt numFmtId="{164 + index}" formatCode="{escape(code, {chr(34): "&quot;"})}"/>'
        for index, code in enumerate(FORMATS)
    )
    formats = "".join(f'<xf numFmtId="{164 + index}"/>' for index in range(len(FORMATS)))
    names = {"worksheet": "worksheets/sheet1.xml"}
    names |= {name: f"{name}.xml" for name in ("styles", "sharedStrings")}
    related = "".join(
        f'<Relationship Id="r{index}" Type="{OFFICE}/{kind}" Target="{target}"/>'
        for index, (kind, target) in enumerate(names.items())
    )
    types = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    overrides = {"workbook": "sheet.main", "styles": "styles", "sharedStrings": "sharedStrings"}
    parts = {
        "[Content_Types].xml": (
            '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
            '<Default Extension="rels"'
            ' ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
            f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{types}.worksheet+xml"/>'
            + "".join(
                f'<Override PartName="/xl/{name}.xml" ContentType="{types}.{kind}+xml"/>'
                for name, kind in overrides.items()
            )
            + "</Types>"
        ),
        "_rels/.rels": (
            f'<Relationships xmlns="{PACKAGE}"><Relationship Id="r1"'
            f' Type="{OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>'
        ),
        "xl/workbook.xml": (
            f'<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}"><sheets>'
            '<sheet name="S" sheetId="1" r:id="r0"/></sheets></workbook>'
        ),
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{PACKAGE}">{related}</Relationships>',
        "xl/styles.xml": (
            f'<styleSheet xmlns="{MAIN}"><numFmts>{codes}</numFmts>'
            "<fonts><font/></fonts><fills><fill><patternFill/></fill></fills>"
            "<borders><border/></borders>"
            f'<cellStyleXfs><xf numFmtId="0"/></cellStyleXfs><cellXfs>{formats}</cellXfs>'
            '<cellStyles><cellStyle name="Normal" xfId="0"/></cellStyles></styleSheet>'
        ),
        "xl/sharedStrings.xml": shared_strings(random),
        "xl/worksheets/sheet1.xml": sheet(random),
    }
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as made:
        for name, xml in parts.items():
            made.writestr(name, xml)
    return packed.getvalue()


def ours(data: bytes) -> tuple[Table, dict[tuple[int, int], str]]:
    """The table and its cells with content, by row and column counted from 1."""
    (found,) = sheets_of(io.BytesIO(data), "l.xlsx", "a zip archive")
    table = read_sheet(found, "l.xlsx", "")
    return table, {
        (row, column): text
        for block in table.blocks
        for column, cells in enumerate(block.columns, 1)
        for row, text in enumerate(cells, block.row)
        if text.strip()
    }


def theirs(data: bytes) -> dict[Any, tuple[str, bool]]:
    """The text of each cell with content, and whether it must not be taken for a key."""
    book, formulas = (
        openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=only)
        for only in (True, False)
    )
    for each in (book, formulas):
        each.worksheets[0].reset_dimensions()
    cells: dict[Any, tuple[str, bool]] = {}
    for row, formula_row in zip(book.worksheets[0], formulas.worksheets[0], strict=True):
        for found, formula in zip(row, formula_row, strict=True):
            if found.value is None and formula.data_type == "f":
                cells[formula.row, formula.column] = (NOT_COMPUTED, True)
            elif found.value is not None:
                text = text_of(cast("Value", found.value))
                is_odd = found.data_type == "n" and found.number_format not in SHOWN_BY_DIGITS
                is_odd = is_odd or found.data_type == "e" or isinstance(text, NotText)
                is_odd = is_odd or (formula.data_type == "f" and text == "0")
                if text.strip():
                    cells[found.row, found.column] = (in_digits(text), is_odd)
    return cells


@settings(max_examples=SHEETS, deadline=None)
@given(seed=st.integers(0, 2**48))
def test_a_sheet_holds_what_openpyxl_finds_in_it(seed: int) -> None:
    data = workbook(Random(seed))

    table, cells = ours(data)

    expected = theirs(data)
    assert {
        at: (in_digits(text), isinstance(text, NotText)) for at, text in cells.items()
    } == expected
    sheet = openpyxl.load_workbook(io.BytesIO(data)).worksheets[0]
    hidden = {row for row, at in sheet.row_dimensions.items() if at.hidden}
    assert table.hidden == tuple(sorted(hidden & {row for row, _ in expected}))
    covered = {
        (row, column + 1)
        for area in table.covered
        for row, column in product(area.rows, area.columns)
    }
    assert covered == {
        at
        for area in sheet.merged_cells.ranges
        for at in product(
            range(area.min_row, area.max_row + 1), range(area.min_col, area.max_col + 1)
        )
        if at != (area.min_row, area.min_col)
    }
