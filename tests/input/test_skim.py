"""Rows that are counted as text: as a parser would count them, wherever the bytes are cut."""

from __future__ import annotations

import datetime as dt
import io
import re
import zipfile
from contextlib import suppress
from functools import partial
from itertools import product
from pathlib import Path
from random import Random
from string import ascii_uppercase
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import openpyxl
import pytest
import xlsxwriter
from hypothesis import given, settings
from hypothesis import strategies as st

from batch.errors import InputError
from batch.input import plain, skim, xlsx
from batch.input.plain import _columns
from batch.input.skim import Skimmer

if TYPE_CHECKING:
    from collections.abc import Callable

    from batch.input.calamine import Survey
    from batch.input.skim import Counter

FIXTURES = Path(__file__).parents[1] / "fixtures"
NAMESPACE = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
HEAD = f'<worksheet xmlns="{NAMESPACE}"><sheetData>'
TAIL = "</sheetData></worksheet>"
BLANK = frozenset({"3", "12"})
ROWS = '<row r="%d"><c r="A%d"><v>1</v></c></row>'


class Rows(xlsx._Rows):
    """Notes which rows were left to the parser."""

    def __init__(self, blank: frozenset[str] = BLANK) -> None:
        super().__init__("l.xlsx", "l.xlsx, sheet", set(blank))
        self.parsed: list[str | None] = []

    def take(self, element: ET.Element) -> None:
        if element.tag.endswith("}row"):
            self.parsed.append(element.get("r"))
        super().take(element)


def skimmed(counter: Counter, xml: bytes, size: int = 1) -> None:
    skimmer = Skimmer(counter)
    for at in range(0, len(xml), size):
        skimmer.feed(xml[at : at + size])
    skimmer.close()


def parsed(counter: Counter, xml: bytes) -> None:
    for _, element in ET.iterparse(io.BytesIO(xml), ("end",)):  # noqa: S314 - made up here
        counter.take(element)


def found(count: Callable[[Rows], None], blank: frozenset[str] = BLANK) -> Survey | str:
    """What a sheet holds, or why it is refused."""
    rows = Rows(blank)
    try:
        count(rows)
    except (ET.ParseError, LookupError, ValueError):
        return "not well-formed, or in an encoding that nobody knows"
    except InputError as refusal:
        return str(refusal)
    return rows.survey


def survey(xml: str, blank: frozenset[str] = BLANK) -> Survey:
    rows = Rows(blank)
    skimmed(rows, xml.encode())
    return rows.survey


def left_to_the_parser(xml: str | bytes) -> list[str | None]:
    rows = Rows()
    skimmed(rows, xml.encode() if isinstance(xml, str) else xml)
    return rows.parsed


def part(path: Path, name: str) -> bytes:
    with zipfile.ZipFile(path) as archive:
        return archive.read(name)


TEXTS = [
    "x", "1", "12", "3", "7", "Müller", "𝄞", "a &amp; b",
    "Müller & Söhne", "&quot;x&quot;", "&#65;", "&#32;", "&none;",
    "a>b", "]]>", "two\nlines", "", " ", "\n", "\u00a0", "\u2003x", " x", "x ",
    "\x01", "\ufffe", "\ufeff", "<![CDATA[ x ]]>", "<!-- x -->", "<?x y?>", "&lt;", "#REF!",
]  # fmt: skip
CELLS = [
    '<{p}c r="{a}"><{p}v>{x}</{p}v></{p}c>',
    '<{p}c r="{a}" s="1"><{p}v>{x}</{p}v></{p}c>',
    '<{p}c r="{a}" t="s"><{p}v>{x}</{p}v></{p}c>',
    '<{p}c r="{a}" t="s" s="2">{g}<{p}v>{x}</{p}v>{g}</{p}c>',
    '<{p}c r="{a}" s="2" t="s"><{p}v>12</{p}v></{p}c>',
    '<{p}c r="{a}" t="s"><{p}v>7</{p}v></{p}c>',
    '<{p}c r="{a}" t="s"><{p}v> 3 </{p}v></{p}c>',
    '<{p}c r="{a}" t="n"><{p}v>{x}</{p}v></{p}c>',
    '<{p}c r="{a}" t="b"><{p}v>1</{p}v></{p}c>',
    '<{p}c r="{a}" t="str"><{p}v xml:space="preserve">{x}</{p}v></{p}c>',
    '<{p}c r="{a}" t="str"><{p}f>B1&amp;"x"</{p}f><{p}v>{x}</{p}v></{p}c>',
    '<{p}c r="{a}"><{p}f aca="false">B1</{p}f>{g}<{p}v>{x}</{p}v></{p}c>',
    '<{p}c r="{a}"><{p}f t="shared" ref="A1:A9" si="0"/><{p}v>{x}</{p}v></{p}c>',
    '<{p}c r="{a}"><{p}f t="shared" t="shared">B1</{p}f><{p}v>{x}</{p}v></{p}c>',
    '<{p}c r="{a}"><{p}f>B1</{p}f></{p}c>',
    '<{p}c r="{a}"><{p}f>B1</{p}f><{p}v/></{p}c>',
    '<{p}c r="{a}"><{p}f>{x}</{p}f><{p}v>1</{p}v></{p}c>',
    '<{p}c r="{a}" t="str"><{p}f>B1</{p}f><{p}v></{p}v></{p}c>',
    '<{p}c r="{a}" t="e"><{p}v>{x}</{p}v></{p}c>',
    '<{p}c r="{a}" t="d"><{p}v>2026-11-24</{p}v></{p}c>',
    '<{p}c r="{a}" t="inlineStr"><{p}is><{p}t>{x}</{p}t></{p}is></{p}c>',
    (
        '<{p}c r="{a}" t="inlineStr" s="1">{g}<{p}is>{g}<{p}t xml:space="preserve">{x}</{p}t>{g}'
        "</{p}is>{g}</{p}c>"
    ),
    '<{p}c r="{a}" t="inlineStr"><{p}is><{p}t/></{p}is></{p}c>',
    '<{p}c r="{a}" t="inlineStr"><{p}is><{p}r><{p}t>{x}</{p}t></{p}r></{p}is></{p}c>',
    '<{p}c r="{a}" t="inlineStr"><{p}v>{x}</{p}v></{p}c>',
    '<{p}c r="{a}" t="inlineStr" />',
    '<{p}c r="{a}" s="1"/>',
    '<{p}c r="{a}" s="1" t="s" s="1"/>',
    '<{p}c r="{a}" s="1" t="n" s="1"><{p}v>1</{p}v></{p}c>',
    '<{p}c r="{a}" s="1"></{p}c>',
    '<{p}c r="{a}"><{p}v/></{p}c>',
    '<{p}c r="{a}"><{p}v>1</{p}v><{p}v>{x}</{p}v></{p}c>',
    '<{p}c s="1" r="{a}"><{p}v>{x}</{p}v></{p}c>',
    "<{p}c r='{a}'><{p}v>{x}</{p}v></{p}c>",
    '<{p}c><{p}v>{x}</{p}v></{p}c>',
    '<{p}c r="7"><{p}v>{x}</{p}v></{p}c>',
    '<q:c xmlns:q="u" r="{a}"><q:v>1</q:v></q:c>',
    '<other r="{a}"><{p}v>{x}</{p}v></other>',
    "stray",
    "<!-- <{p}c r='{a}'><{p}v>1</{p}v></{p}c> -->",
]  # fmt: skip
PLAIN = [CELLS[number] for number in (0, 1, 2, 5, 7, 10, 20, 26)]
ATTRIBUTES = [
    "", "", ' spans="1:4"', ' hidden="1"', ' ht="15"', ' ht="0"', ' ht="15" hidden="0"',
    ' hidden="true" ', ' x:dyDescent="0.25"', ' spans="1:4" spans="1:4"', ' a=">"', ' a="/"',
    " a='1'", ' a="&amp;"', " a", ' xmlns="u"',
]  # fmt: skip
BETWEEN = [
    "", "", "", "", "\n  ", "text", "&amp;", "<!-- x -->", "<!-- ", "<![CDATA[", "]]>", "<?a b?>",
    '<{p}row r="2"/>', '<{p}sheetFormatPr zeroHeight="1"/>', '<{p}sheetFormatPr zeroHeight="0"/>',
    "<{p}rowBreaks/>", '<a xmlns="">', "<a>", "</a>", "</{p}sheetData>", "<{p}sheetData>",
    '<{p}row r="5">', "</{p}row>",
]  # fmt: skip
HEADS = [
    '<worksheet xmlns="u"><sheetData>',
    '<?xml version="1.0" encoding="UTF-8"?>\n<worksheet xmlns="u" xmlns:x="w"><sheetData>',
    "<?xml version='1.0' encoding='utf-8'?><worksheet xmlns='u'><sheetData>",
    '<?xml version="1.0" encoding="iso-8859-1"?><worksheet xmlns="u"><sheetData>',
    '<?xml version="1.0" encoding="us-ascii"?><worksheet xmlns="u"><sheetData>',
    '\ufeff<?xml version="1.0"?><worksheet xmlns="u"><sheetData>',
    "<worksheet><sheetData>",
    '<worksheet><a xmlns="u"><sheetData>',
    '<worksheet xmlns="u"><a xmlns=""><sheetData>',
    '<!DOCTYPE worksheet [<!ENTITY none " ">]><worksheet xmlns="u"><sheetData>',
    '<worksheet xmlns="u"><!-- <row r="1"><c r="A1"><v>1</v></c></row> --><sheetData>',
    '<worksheet xmlns="u"><sheetFormatPr zeroHeight="1"/><cols><col min="1"/></cols><sheetData>\n',
    "<row>",
]  # fmt: skip
PREFIXED = '<x:worksheet xmlns:x="u"><x:sheetData>'
NOISE = [
    *"<>&\"'/ =x1", "]]>", "<!--", "-->", "<![CDATA[", "\x01", "\ufffe", "</row>",
    '<row r="9">', ' xmlns="w"', "</c>", "<v>", "</v>", '"', ' hidden="1"',
]  # fmt: skip


def sheet(random: Random) -> bytes:
    """A sheet of a few rows, most of them plain, the whole now and then not well-formed."""
    prefix = random.choice(["", "", "", "x:"])
    gap = random.choice(["", "", "", "\n  ", " "])
    head = PREFIXED if prefix else HEADS[0]
    if not prefix and random.random() < 0.3:
        head = random.choice(HEADS)
    oddity = random.choice([0, 0.02, 0.1, 0.3])
    usual = random.choice(ATTRIBUTES[:5])
    parts = [head]
    for number in range(1, random.randrange(20)):
        parts.append(row(random, number, usual, oddity, prefix, gap))
        if random.random() < oddity / 2:
            parts.append(random.choice(BETWEEN).format(p=prefix))
    text = "".join([*parts, gap, f"</{prefix}sheetData></{prefix}worksheet>"])
    if random.random() < 0.2:
        for _ in range(random.randrange(3)):
            at = random.randrange(len(text))
            text = text[:at] + random.choice(["", *NOISE]) + text[at + random.randrange(4) :]
    if random.random() < 0.03:
        return text.encode().replace(b"t", b"\xff", 1)
    encoding = random.choice(["utf-16", "cp1252"]) if random.random() < 0.05 else "utf-8"
    return text.encode(encoding, "replace")


def row(random: Random, number: int, usual: str, oddity: float, prefix: str, gap: str) -> str:
    def odd() -> bool:
        return random.random() < oddity

    cells = []
    for column in ["A", "B", "C"][: random.randrange(5)]:
        form = random.choice(CELLS if odd() else PLAIN)
        at = random.choice(["Z1", "AA1", "AB1", "BC1", "AAA1", "a1"]) if odd() else f"{column}1"
        text = random.choice(TEXTS) if odd() else random.choice(TEXTS[:8])
        cells.append(form.format(p=prefix, g=gap, a=at, x=text))
    reference = random.choice(["", ' r="x"', ' r="٣"', " r='4'", ' s="1" r="2"', ' r="2"'])
    attributes = reference if odd() else f' r="{number}"'
    attributes += random.choice(ATTRIBUTES) if odd() else usual
    if not cells and random.random() < 0.7:
        return f"{gap}<{prefix}row{attributes}/>"
    inner = "".join(gap + cell for cell in cells)
    return f"{gap}<{prefix}row{attributes}>{inner}{gap}</{prefix}row>"


@settings(max_examples=3000, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    size=st.sampled_from([1, 2, 7, 40, 150, 400]),
    patience=st.sampled_from([20, 300, 10**7]),
)
def test_a_sheet_holds_what_a_parser_finds_in_it(seed: int, size: int, patience: int) -> None:
    xml = sheet(Random(seed))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(skim, "_PATIENCE", patience)

        assert found(lambda rows: skimmed(rows, xml, size)) == found(lambda rows: parsed(rows, xml))


def test_the_sheets_that_are_made_up_are_skipped_in_part() -> None:
    rows, left = 0, 0
    for seed in range(300):
        xml = sheet(Random(seed))
        for count, parser_alone in ((skimmed, False), (parsed, True)):
            counter = Rows()
            with suppress(ET.ParseError, LookupError, ValueError, InputError):
                count(counter, xml)
            rows += len(counter.parsed) * parser_alone
            left += len(counter.parsed) * (not parser_alone)

    assert rows > 1000
    assert left < 0.85 * rows


def plain_row(number: int) -> str:
    return ROWS % (number, number)


def plain_rows(*numbers: int) -> str:
    return "".join(map(plain_row, numbers))


TRAPS = [
    f"<!-- {plain_rows(3, 4)} -->{plain_row(5)}",
    f"<?x {plain_rows(3, 4)} ?>{plain_row(5)}",
    f"<a><![CDATA[{plain_rows(3, 4)}]]></a>{plain_row(5)}",
    f'<a xmlns="">{plain_rows(3, 4)}</a>{plain_row(5)}',
    f"<a xmlns='w'><row xmlns='' r='3'/>{plain_rows(4, 5)}</a>",
    f'<row r="3" xmlns="">{plain_rows(4, 5)}</row>',
    f"</sheetData></worksheet>{plain_rows(3, 4)}",
    plain_row(3).replace("1</v>", "x\uffff</v>"),
    plain_row(3).replace("1</v>", "x\ufffe</v>"),
    plain_row(3).replace("1</v>", "x\x01</v>"),
    plain_row(3).replace("1</v>", "x]]></v>"),
    plain_row(3).replace("1</v>", "&nbsp;</v>"),
    '<row r="3"><c r="A3" s="1" t="s" s="1"/></row>',
    '<row r="3"><c r="A3" t="s" s="1"><v>3</v></c></row>',
    '<row r="3"><c r="A3" s="1" t="s"><v>3</v></c></row>',
    '<row r="3"><c r="A3" t="inlineStr"><is><t/></is></c><c r="B3"><v/></c></row>',
    (
        '<row r="3" ht="15"/><row r="4" hidden="1"/><row r="5" ht="15"><c r="A5"/></row>'
        f'{plain_row(6)}<row r="7" ht="15"><c r="A7"><v>1</v></c></row>'
    ),
    '<row r="0"><c r="A1"><v>1</v></c></row>',
    f'<row r="7"/><row><c r="A9"><v>1</v></c></row>{plain_row(3)}<row><c><v>1</v></c></row>',
    f'<row r="3"/></row>{plain_row(4)}',
]
"""What may follow on two plain rows, and looks plain to a careless eye."""


@pytest.mark.parametrize("trap", TRAPS)
@pytest.mark.parametrize("blank", [frozenset(), BLANK])
def test_what_only_looks_plain_is_judged_by_the_parser(trap: str, blank: frozenset[str]) -> None:
    xml = f"{HEAD}{plain_rows(1, 2)}{trap}{plain_rows(8, 9)}{TAIL}".encode()

    def in_two(rows: Rows) -> None:
        skimmer = Skimmer(rows)
        for data in (*xml.partition(plain_row(2).encode()),):
            skimmer.feed(data)
        skimmer.close()

    expected = found(lambda rows: parsed(rows, xml), blank)
    assert found(lambda rows: skimmed(rows, xml), blank) == expected
    assert found(in_two, blank) == expected


@pytest.mark.parametrize(
    "head",
    [
        '<?xml version="1.0" encoding="us-ascii"?><worksheet xmlns="u"><sheetData>',
        '<worksheet xmlns="u"><!-- ',
        '<worksheet xmlns="u"><?x ',
        '<worksheet xmlns="u"><a xmlns="">',
        '<!DOCTYPE worksheet [<!ENTITY x "y">]><worksheet xmlns="u"><sheetData>',
        "<worksheet><sheetData>",
        "<y:worksheet><sheetData>",
        "",
    ],
)
@pytest.mark.parametrize("end", [TAIL, f" -->{TAIL}", f" ?>{TAIL}", f"</a>{TAIL}", ""])
def test_a_head_may_keep_rows_from_being_plain(head: str, end: str) -> None:
    row = plain_row(3).replace("1</v>", "Ä</v>")
    xml = f"{head}{plain_rows(1, 2)}{row}{plain_row(4)}{end.removeprefix('</sheetData>')}".encode()

    assert found(lambda rows: skimmed(rows, xml)) == found(lambda rows: parsed(rows, xml))


def test_rows_behind_the_end_of_their_namespace_are_none() -> None:
    xml = f'<worksheet><a xmlns="u">{plain_rows(1, 2, 3)}</a>{plain_rows(4, 5)}</worksheet>'

    assert survey(xml).filled == dict.fromkeys((1, 2, 3), 1)


@pytest.mark.parametrize(
    "head",
    [
        f"\ufeff{HEAD}",
        f'\ufeff<?xml version="1.0" encoding="utf-8"?>\r\n{HEAD}',
        f"<?xml version='1.0' encoding='UTF-8' standalone='yes'?>{HEAD}",
        HEAD.replace("<sheetData>", "<rowBreaks/>\n<sheetData>\n  "),
    ],
)
def test_no_head_that_programs_write_keeps_rows_from_being_skipped(head: str) -> None:
    rows = "\n".join(map(plain_row, range(1, 6))) if head[-1] == " " else plain_rows(*range(1, 6))

    assert left_to_the_parser(head + rows + TAIL) == ["1", "2"]


def test_a_sheet_that_grows_with_each_row_costs_no_pattern_for_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[int] = []
    columns = plain._columns

    def noted(width: int) -> str:
        made.append(width)
        return columns(width)

    monkeypatch.setattr(plain, "_columns", noted)
    names = ascii_uppercase
    rows = "".join(f'<row r="{n}"><c r="{at}1"><v>1</v></c></row>' for n, at in enumerate(names))
    counter = Rows()

    skimmed(counter, (HEAD + rows + TAIL).encode(), 500)

    assert counter.survey.width == 26
    assert len(made) < 8


def test_attributes_that_differ_in_each_row_are_not_kept_without_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(xlsx, "_MOST_ATTRIBUTES", 2)
    rows = [plain_row(n).replace(">", f' ht="{n % 4 + 1}">', 1) for n in range(1, 13)]

    assert len(left_to_the_parser(HEAD + "".join(rows) + TAIL)) == 8
    assert survey(HEAD + "".join(rows) + TAIL).filled == dict.fromkeys(range(1, 13), 1)


STRINGS = [
    *["<{p}si>{g}<{p}t>{x}</{p}t>{g}</{p}si>"] * 6,
    '<{p}si><{p}t xml:space="preserve">{x}</{p}t></{p}si>',
    '<{p}si><{p}t>{x}</{p}t><{p}phoneticPr fontId="1" type="noConversion"/></{p}si>',
    "<{p}si><{p}t/></{p}si>",
    "<{p}si/>",
    "<{p}si><{p}r><{p}t>{x}</{p}t></{p}r><{p}r><{p}t> </{p}t></{p}r></{p}si>",
    "<{p}si><{p}t>{x}</{p}t><{p}rPh><{p}t>{x}</{p}t></{p}rPh></{p}si>",
    "<{p}t>{x}</{p}t>",
]


def blank_strings(count: Callable[[xlsx._Strings], None]) -> set[str] | None:
    strings = xlsx._Strings()
    try:
        count(strings)
    except ET.ParseError:
        return None
    return strings.blank


@settings(max_examples=1000, deadline=None)
@given(seed=st.integers(0, 2**32), size=st.sampled_from([1, 7, 60, 1000]))
def test_strings_are_blank_where_a_parser_finds_no_text(seed: int, size: int) -> None:
    random = Random(seed)
    prefix, gap = random.choice(["", "", "x:"]), random.choice(["", "", "\n"])
    strings = [
        random.choice(STRINGS).format(
            p=prefix, g=gap, x=random.choice(TEXTS[:8] if random.random() < 0.8 else TEXTS)
        )
        for _ in range(random.randrange(15))
    ]
    root = (
        random.choice(['sst xmlns="u"', 'sst xmlns:x="u"', "sst"]) if random.random() < 0.1 else ""
    )
    root = root or ('sst xmlns:x="u"' if prefix else 'sst xmlns="u"')
    xml = f"<{root}>{''.join(gap + string for string in strings)}</sst>".encode()

    blank = blank_strings(lambda strings: skimmed(strings, xml, size))

    assert blank == blank_strings(lambda strings: parsed(strings, xml))


def test_a_plain_string_is_no_work_for_the_parser() -> None:
    seen = []

    class Strings(xlsx._Strings):
        def take(self, element: ET.Element) -> None:
            seen.append(element.tag)
            super().take(element)

    strings = Strings()
    certain = '<si><t>x &amp; Ä</t></si><si><t>東京</t><phoneticPr fontId="1"/></si>' * 50
    certain += '<si><t>a</t><phoneticPr fontId="1" type="noConversion"/></si>'
    skimmed(strings, f'<sst xmlns="u">{certain}<si><t> </t></si>{certain}</sst>'.encode(), 100)

    assert seen == ["{u}t", "{u}si"] * 2 + ["{u}sst"]
    assert strings.blank == {"101"}


def with_openpyxl(path: Path, *, write_only: bool) -> None:
    book = openpyxl.Workbook(write_only=write_only)
    sheet = book.create_sheet("List", 0)
    for row in LIST:
        sheet.append(row)
    book.save(path)


def with_xlsxwriter(path: Path, *, constant_memory: bool) -> None:
    with xlsxwriter.Workbook(path, {"constant_memory": constant_memory}) as book:
        sheet = book.add_worksheet()
        bold = book.add_format({"bold": True, "num_format": "yyyy-mm-dd"})
        for number, row in enumerate(LIST):
            for column, value in enumerate(row):
                sheet.write(number, column, value, bold if column == 4 else None)


FIRST = ["1", "2"]
"""The rows that tell how wide the sheet is, and what their attributes mean."""

LIST: list[tuple[str | float | bool | dt.date | None, ...]] = [
    ("id", "customer", "seats", "paid", "expires", "note"),
    *[(f"id {n}", "Müller & <Söhne>", n / 4, True, dt.date(2027, 1, 31), "x") for n in range(9)],
    *[(f"id {n}", None, n, False, dt.date(2027, 1, 31), "two\nlines") for n in range(9)],
]


@pytest.mark.parametrize(
    "write",
    [
        partial(with_openpyxl, write_only=False),
        partial(with_openpyxl, write_only=True),
        partial(with_xlsxwriter, constant_memory=False),
        partial(with_xlsxwriter, constant_memory=True),
    ],
    ids=["openpyxl", "openpyxl write-only", "xlsxwriter", "xlsxwriter constant-memory"],
)
def test_only_the_first_rows_of_a_plain_list_is_left_to_the_parser(
    tmp_path: Path, write: Callable[[Path], None]
) -> None:
    write(tmp_path / "l.xlsx")

    assert left_to_the_parser(part(tmp_path / "l.xlsx", "xl/worksheets/sheet1.xml")) == FIRST


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("libreoffice.xlsx", ["2", "3", "8"]),
        ("gnumeric.xlsx", ["2", "3", "8", "9"]),
        ("sheetjs.xlsx", ["2", "3", "5", "8", "9"]),
    ],
)
def test_only_unusual_rows_of_other_programs_are_left_to_the_parser(
    name: str, rows: list[str]
) -> None:
    # Row 8 is hidden; SheetJS marks a row with line breaks; row 9 has a cell that begins blank.
    assert left_to_the_parser(part(FIXTURES / name, "xl/worksheets/sheet1.xml")) == rows


@pytest.mark.parametrize(
    "cell",
    [
        # Apache POI, as its cells are given a style last; Open XML SDK; a helper column.
        '<c r="A%d" t="s" s="1"><v>0</v></c>',
        '<c r="A%d" s="1" t="str"><f>UPPER(B1)&amp;"x"</f><v>X</v></c>',
        '<c r="A%d"><f t="shared" ref="A2:A9" si="0">B1*2</f><v>4</v></c><c r="B1" s="4" />',
        '<c r="A%d"><v>1</v></c><c r="B1" t="inlineStr"><is><t></t></is></c><c r="C1"><v/></c>',
        '<c r="A%d" t="inlineStr"><is><t xml:space="preserve">&lt;a&gt; &apos;b&apos;</t></is></c>',
        '<c r="A%d" t="s"><v>12</v></c><c r="B1"><v>1</v></c>',
        '<c r="A%d" t="inlineStr" s="1"><is><t>x</t></is></c><c r="B1" t="s" s="1"/>',
        '<c r="A%d" t="n" s="1"><v>1</v></c><c r="B1" t="str"><v /></c>',
    ],
)
def test_what_programs_write_is_skipped(cell: str) -> None:
    rows = "".join(f'<row r="{n}" spans="1:4">{cell % n}</row>' for n in range(1, 6))

    assert left_to_the_parser(HEAD + rows + TAIL) == FIRST
    assert survey(HEAD + rows + TAIL).filled == dict.fromkeys(range(1, 6), 1)


def test_names_with_a_prefix_are_skipped_as_well() -> None:
    xml = f'<x:worksheet xmlns:x="{NAMESPACE}"><x:sheetData>'
    for number in range(1, 4):
        xml += f'<x:row r="{number}"><x:c r="A{number}"><x:v>1</x:v></x:c></x:row>'

    assert left_to_the_parser(f"{xml}</x:sheetData></x:worksheet>") == FIRST


def test_hidden_rows_are_skipped_and_told() -> None:
    rows = "".join(f'<row r="{n}" hidden="1"><c r="A{n}"><v>1</v></c></row>' for n in range(1, 5))
    xml = f'{HEAD}{rows}<row r="5" hidden="1"/>{ROWS % (6, 6)}{TAIL}'

    assert survey(xml).hidden == [1, 2, 3, 4]
    assert left_to_the_parser(xml) == [*FIRST, "6"]


def test_what_hides_rows_by_default_holds_for_rows_that_are_skipped() -> None:
    rows = [ROWS % (n, n) for n in range(1, 7)]
    hides, shows = (f'<sheetFormatPr zeroHeight="{value}"/>' for value in (1, 0))
    xml = HEAD + "".join([*rows[:2], hides, *rows[2:4], shows, *rows[4:]]) + TAIL

    assert survey(xml).hidden == [3, 4]


def test_a_sheet_is_as_wide_as_its_widest_row_wherever_that_stands() -> None:
    cells = ["A", "B", "A", "Z", "B", "AA", "ZZ", "AAA", "C"]
    rows = "".join(f'<row r="1"><c r="{name}1"><v>1</v></c></row>' for name in cells)

    assert survey(HEAD + rows + TAIL).width == 703
    assert len(left_to_the_parser(HEAD + rows + TAIL)) == 7


@pytest.mark.parametrize(
    "width", [0, 1, 2, 25, 26, 27, 28, 52, 53, 701, 702, 703, 728, 1379, 16384]
)
def test_columns_are_told_from_those_beyond(width: int) -> None:
    names = ["".join(name).lstrip() for name in product(f" {ascii_uppercase}", repeat=3)]
    ordered = sorted(
        {name for name in names if " " not in name and name}, key=lambda n: (len(n), n)
    )

    taken = [name for name in ordered if re.fullmatch(_columns(width), name)]

    assert taken == ordered[:width]


def test_a_row_that_does_not_end_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(skim, "_PATIENCE", 1000)
    counter = Rows()
    skimmer = Skimmer(counter)

    for data in (f'{HEAD}<row r="1">', '<c r="A1"><v>1</v></c>' * 100, f"</row>{TAIL}"):
        skimmer.feed(data.encode())

        assert len(skimmer._rest) <= 1000
    skimmer.close()
    assert counter.survey.filled == {1: 100}
