"""What the files of ``--exclude`` protect: all that they hold, wherever and however it stands."""

from __future__ import annotations

import csv
import gzip
import io
import random
import re
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import openpyxl
import pytest
import xlsxwriter
from hypothesis import given, settings
from hypothesis import strategies as st

from batch.errors import InputError
from batch.input.exclusion import Exclusion
from batch.input.listing import read_listing
from batch.model import License
from batch.sandbox import Account
from tests.support.builders import THOROUGH, calm, listing
from tests.support.commands import served, settle_in
from tests.support.job_harness import some_ids
from tests.support.results_files import keyed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from batch.model import Listing

CASES = Path(__file__).parents[1] / "cases"
A, B, C, D = some_ids(4, seed=11)


def protecting(listed: Listing, text: str, *, path: Path) -> Exclusion:
    path.write_text(text, encoding="utf-8")
    return Exclusion.read([str(path)], listed)


@pytest.fixture
def protects(tmp_path: Path) -> Callable[[Listing, str], list[int]]:
    """The entries of a listing that a text file protects."""

    def found(listed: Listing, text: str) -> list[int]:
        return sorted(protecting(listed, text, path=tmp_path / "keep.csv").among(listed))

    return found


# IDs, anywhere


@pytest.mark.parametrize(
    "cell",
    [
        A,
        A.upper(),
        f"{{{A}}}",
        f"urn:uuid:{A}",
        A.replace("-", ""),
        f"https://app.example.com/licenses/{A}?tab=1",
        f"https://app.example.com/licenses/%7B{A}%7D",
        f"{A} and {B}",
        f'"{A}\n{B}"',
        f"see {A}.",
        f"id={A}",
        f"\u00a0{A}\u00a0",
    ],
)
@pytest.mark.parametrize("header", ["", "Kunde;Lizenz;Notiz\n", "license_id;x;y\n"])
@pytest.mark.parametrize("column", [0, 2])
def test_a_license_is_protected_wherever_its_id_stands(
    protects: Callable[[Listing, str], list[int]], cell: str, header: str, column: int
) -> None:
    row = ["Acme", "note", "x"]
    row[column] = cell

    assert 0 in protects(listing(A, C), header + ";".join(row) + "\n")
    assert 1 not in protects(listing(A, C), header + ";".join(row) + "\n")


def test_every_sheet_protects_also_one_that_is_hidden(tmp_path: Path) -> None:
    path = str(tmp_path / "keep.xlsx")
    with xlsxwriter.Workbook(path) as book:
        book.add_worksheet("Juli").write_column(0, 0, ["Lizenz", A])
        second = book.add_worksheet("August")
        second.write_column(3, 4, ["ID", B])
        second.set_row(4, None, None, {"hidden": True})
        third = book.add_worksheet("September")
        third.write(0, 0, C)
        third.very_hidden()

    excluded = Exclusion.read([path], listing(A, B, C, D))

    assert sorted(excluded.among(listing(A, B, C, D))) == [0, 1, 2]
    assert excluded.files[0].rows == 3


def test_each_file_is_told_apart(tmp_path: Path) -> None:
    for name, ids in (("one.csv", [A, B]), ("two.csv", [B, C])):
        (tmp_path / name).write_text("\n".join(ids))
    paths = [str(tmp_path / name) for name in ("one.csv", "two.csv")]

    found = Exclusion.read(paths, listing(A, B, C, D)).among(listing(A, B, C, D))

    assert found == {0: (0,), 1: (0, 1), 2: (1,)}


@pytest.mark.parametrize(
    "cell",
    [
        A[:-1],
        A + "0",
        A.replace("-", "\u2011"),
        A.replace("-", "\u2013"),
        A.replace("-", "_"),
        f"license-no-{A}".replace("-", "_"),
        A.replace("-", "\u00ad-", 1),
        A[:9] + "\u0435" + A[10:],
        A[:-1] + "O",
        A.replace("-", " "),
        A[:24] + " " + A[24:],
        A[:33] + " " + A[33:],
        " ".join(A),
        A[:12] + "\u200b" + A[12:],
        A.replace("-", "")[:-1],
        A[:4] + "-" + A[4:],
    ],
)
def test_what_is_nearly_an_id_is_refused_by_its_code_points(
    protects: Callable[[Listing, str], list[int]], cell: str
) -> None:
    with pytest.raises(InputError) as caught:
        protects(listing(A, C), f"id,x\n{B},y\n{cell},z\n")

    message = str(caught.value)
    assert message.startswith("--exclude ")
    assert "keep.csv, row 3  " in message
    assert message.isascii()
    assert "1 cell of it protects" in message


@pytest.mark.parametrize(
    "text",
    [
        "0A2035-E8A2A3-4D31B7-8FF9C6-81A6CA-539E54",
        "AAAAA-BBBBB-CCCCC-DDDDD-EEEEE",
        "d41d8cd98f00b204e9800998ecf8427e01234567",
        "Acme Analytics GmbH, Zorblat Street 12345 Fnordia",
        "2026-11-24T10:42:34.504Z 2026-11-24T10:42:34.504Z",
        "Kältetechnik Süd – Vertrag 4711 – läuft bis 31.12.2027",  # noqa: RUF001
    ],
)
def test_other_texts_are_not_taken_for_ids(
    protects: Callable[[Listing, str], list[int]], text: str
) -> None:
    assert protects(listing(A, B), f'id,x\n{A},"{text}"\n') == [0]


@pytest.mark.parametrize("error", ["#REF!", "#N/A", "Err:508"])
def test_an_error_is_refused_in_a_column_that_holds_ids_and_in_no_other(
    protects: Callable[[Listing, str], list[int]], error: str
) -> None:
    with pytest.raises(InputError, match=rf"row 3  {error}"):
        protects(listing(A, B), f"{A},1\n{B},2\n{error},3\n")

    assert protects(listing(A, B), f"{A},{error}\n") == [0]


def test_a_formula_that_nobody_has_computed_is_refused_in_a_column_that_holds_ids(
    tmp_path: Path,
) -> None:
    path = tmp_path / "keep.xlsx"
    with xlsxwriter.Workbook(path) as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, [A, 0])
        sheet.write_formula(1, 0, f'="{B}"')
        sheet.write_formula(1, 1, "=1-1")

    with pytest.raises(InputError, match=r"1 cell of it protects(?s:.)*row 2  0$"):
        Exclusion.read([str(path)], listing(A, B))


@pytest.mark.parametrize("text", ["", "\n\n", "  ,\n"])
def test_an_empty_file_is_refused(protects: Callable[[Listing, str], list[int]], text: str) -> None:
    for listed in (listing(A), keyed("K")):
        with pytest.raises(InputError) as caught:
            protects(listed, text)
        assert re.fullmatch(r"--exclude .*keep\.csv is empty\.", str(caught.value))


def test_a_file_without_an_id_is_refused_where_licenses_are_listed_by_id(
    protects: Callable[[Listing, str], list[int]],
) -> None:
    with pytest.raises(InputError, match="not a single license ID"):
        protects(listing(A), "key\nK-1\n")

    assert protects(keyed("K-2"), "key\nK-1\n") == []


# Keys, and what a spreadsheet makes of them


@pytest.mark.parametrize(
    ("key", "cell"),
    [
        ("KEY-1", "key-1"),
        ("KEY-1", "  KEY-1 "),
        ("KEY-1", "'KEY-1"),
        ("KEY-1", '"=""KEY-1"""'),
        ("KEY-1", '="KEY-1"'),
        ("KEY-1", '"KEY-0, KEY-1"'),
        ("KEY-1", "KEY-0|KEY-1"),
        ("00123", "123"),
        ("123", "00123"),
        ("00123", "123.0"),
        ("12E5", "1200000"),
        ("=1+1", "'=1+1"),
        ("1234567890123456", "1234567890123456"),
        ("1234567890123456", "1234567890123450"),
        ("1234567890123456", "1234567890123456.0"),
        ("1234567890123456", "1.23457E+15"),
        ("1234567890123456", "1.234567890123456e+15"),
        ("12345678901234599999", "1.23456789012346e+19"),
        ("219000000000000123456789012", "2.19E+26"),
        (A, A.upper()),
    ],
)
def test_a_key_is_protected_by_whatever_it_may_have_become(
    protects: Callable[[Listing, str], list[int]], key: str, cell: str
) -> None:
    assert protects(keyed("OTHER", key), f"Schlüssel;Kunde\n{cell};Acme\n") == [1]


@pytest.mark.parametrize(
    ("key", "cell"),
    [
        ("1234567890123456", "1234567890123457"),
        ("1234567890123456", "1234567890123460.0"),
        ("1234567890123456", "123456789012345.0"),
        ("1234567890123456", "1.23459E+15"),
        ("KEY-1", "KEY-11"),
        ("123", "1230"),
    ],
)
def test_another_key_is_not(
    protects: Callable[[Listing, str], list[int]], key: str, cell: str
) -> None:
    assert protects(keyed("OTHER", key), f"Schlüssel;Kunde\n{cell};Acme\n") == []


def test_a_number_of_sixteen_digits_protects_all_keys_that_it_may_have_been(
    tmp_path: Path,
) -> None:
    keys = [f"123456789012345{digit}" for digit in range(10)]
    path = str(tmp_path / "keep.xlsx")
    with xlsxwriter.Workbook(path) as book:
        book.add_worksheet().write_column(0, 0, [1234567890123456, 42])
    listed = keyed(*keys, "1234567890123466", "12345678901234561", "042")

    assert sorted(Exclusion.read([path], listed).among(listed)) == [*range(10), 12]


def test_a_rounded_number_protects_no_less_where_another_one_says_it_more_closely(
    protects: Callable[[Listing, str], list[int]],
) -> None:
    listed = keyed("1290000000000001", "1234567000000000", "1300000000000001")

    assert protects(listed, "1.2E+15\n1.23457E+15\n") == [0, 1]


def test_the_example_of_a_spreadsheet_number_protects_its_key() -> None:
    listed = read_listing(str(CASES / "keys-16-digits.csv"), by="key")

    found = Exclusion.read([str(CASES / "exclude-16-digit-number.xlsx")], listed).among(listed)

    assert [listed.keys[entry] for entry in found] == ["1234567890123456"]


def test_a_license_that_is_listed_by_id_is_protected_by_the_key_that_the_server_tells(
    tmp_path: Path,
) -> None:
    excluded = protecting(listing(A), f"x,y\n{B},\n,00123\n", path=tmp_path / "keep.csv")

    assert excluded.needs_keys
    assert excluded.of_license(License(A, revoked=False, key="123")) == (0,)
    assert excluded.of_license(License(B, revoked=False, key="K")) == (0,)
    assert excluded.of_license(License(A, revoked=False, key="124")) == ()
    assert excluded.of_license(License(A, revoked=False)) == ()


@pytest.mark.parametrize(
    ("text", "needs"),
    [
        (f"{A}\n{B}\n", False),
        (f"Lizenz,Kunde\n{A},x\n", False),
        (f"\n\nLizenz\n\n{A}\n", False),
        (f"Lizenz\n{A}\nK\n", True),
        (f"K-1\n{A}\n", True),
    ],
)
def test_keys_are_needed_where_a_row_names_no_license_by_its_id(
    tmp_path: Path, text: str, needs: bool
) -> None:
    assert protecting(listing(A), text, path=tmp_path / "keep.csv").needs_keys is needs


def test_the_columns_of_results_that_name_no_license_protect_none(tmp_path: Path) -> None:
    results = (
        "row,license_id,license_key,outcome,revoked,was_revoked,http_status,error_code,error,"
        f"attempts,finished_at,duplicate_of,ticket\n4711,{A},,failed,,false,500,,no,5,,12,99\n"
    )

    found = protecting(keyed("4711", "500", "12", "99"), results, path=tmp_path / "keep.csv")

    assert sorted(found.among(keyed("4711", "500", "12", "99"))) == [3]


def test_keys_that_a_results_file_may_have_cut_are_refused(tmp_path: Path) -> None:
    results = f"license_id,license_key,outcome,was_revoked\n,{'K' * 300},failed,\n"

    with pytest.raises(InputError, match="row 2: the license key may have been cut at 300"):
        protecting(keyed("K"), results, path=tmp_path / "keep.csv")


# Lists as people keep them, made up at random

KEYS = [
    "00123", "7", "4711", "1234567890123456", "98765432109876543210", "0000900000000000000017",
    "ABC-1", "abc 2", "=1+1", "O'Neil-5", "K,6", "12E5", "MAR1",
    "0A2035-E8A2A3-4D31B7-8FF9C6-81A6CA-539E54",
]  # fmt: skip
IDS = some_ids(len(KEYS), seed=5)
HEADER: list[str | int | float] = ["Kunde", "License ID", "Schlüssel", "Notiz"]
NOISE = ["", "Acme GmbH", "keep!", "n/a", "31.12.2027", "Ö", "TRUE", "x" * 40]


SPELLINGS: list[Callable[[str], str]] = [
    str, str.upper, "{{{}}}".format, "urn:uuid:{}".format, "x.example/licenses/{}".format,
    lambda it: it.replace("-", ""), " {} ".format, "see {}, please".format, "\t{}".format,
]  # fmt: skip


def id_spelled(draw: Callable[..., Callable[[str], str]], license_id: str) -> str:
    return draw(st.sampled_from(SPELLINGS))(license_id)


def key_spelled(draw: Callable[..., object], key: str, *, is_text: bool) -> str | int | float:
    """A key as a person, or a program on his behalf, has put it into a cell."""
    ways: list[str | int | float] = [key, key.lower(), f" {key}", f"'{key}", f'="{key}"']
    if key.isdigit():
        value = int(key)
        ways += [float(value), f"{float(value)}", f"{value:.10e}" if len(key) > 15 else str(value)]
        if len(str(value)) > 15:
            ways += [f"{str(value)[:15]}{'0' * (len(str(value)) - 15)}", f"{float(value):.5E}"]
    if key == "12E5":
        ways += [1200000, "1.2E+06", 1.2e6]
    chosen = draw(st.sampled_from(ways))
    assert isinstance(chosen, str | int | float)
    return str(chosen) if is_text else chosen


@dataclass(frozen=True)
class Kept:
    """A keep list as it was made up: its file's name and what it is meant to protect."""

    path: str
    protected: frozenset[int]


@st.composite
def keep_lists(draw: Callable[..., object], by_key: bool, folder: str) -> Kept:
    kind = draw(st.sampled_from(["keep.csv", "keep.tsv", "keep.txt.gz", "by-x.xlsx", "by-o.xlsx"]))
    assert isinstance(kind, str)
    is_text = not kind.endswith(".xlsx")
    protected = draw(st.sets(st.integers(0, len(KEYS) - 2), min_size=1, max_size=5))
    assert isinstance(protected, set)
    width = draw(st.integers(1, 4))
    assert isinstance(width, int)
    rows: list[list[str | int | float]] = []
    by_id = {draw(st.sampled_from(sorted(protected)))} if not by_key else set()
    for entry in sorted(protected):
        row: list[str | int | float] = [draw(st.sampled_from(NOISE)) for _ in range(width)]  # type: ignore[misc]
        at = draw(st.integers(0, width - 1))
        named_by_id = entry in by_id or draw(st.booleans())
        row[at] = (  # type: ignore[call-overload]
            id_spelled(draw, IDS[entry])  # type: ignore[arg-type]
            if named_by_id
            else key_spelled(draw, KEYS[entry], is_text=is_text)
        )
        rows.append(row)
    if draw(st.booleans()):
        rows.insert(0, list(HEADER[:width]))
    if draw(st.booleans()):
        rows.insert(0, ["Please never touch these"])
    path = str(Path(folder, kind))
    cut = draw(st.integers(0, len(rows)))
    assert isinstance(cut, int)
    write_rows(path, rows, cut, hidden=bool(draw(st.booleans())))
    return Kept(path, frozenset(protected))


def write_rows(
    path: str, rows: Sequence[Sequence[str | int | float]], cut: int, *, hidden: bool
) -> None:
    """Write a list as programs do; a workbook has a second sheet with the rows from ``cut`` on."""
    sheets = {"A": rows[:cut], "B": rows[cut:]}
    if path.endswith("x.xlsx"):
        with_xlsxwriter(path, sheets, hidden=hidden)
    elif path.endswith("o.xlsx"):
        with_openpyxl(path, sheets, hidden=hidden)
    else:
        text = io.StringIO()
        delimiter = "\t" if path.endswith(".tsv") else ";" if path.endswith(".gz") else ","
        csv.writer(text, delimiter=delimiter, quoting=csv.QUOTE_ALL).writerows(rows)
        data = text.getvalue().encode("utf-16" if hidden else "utf-8")
        Path(path).write_bytes(gzip.compress(data, mtime=0) if path.endswith(".gz") else data)


def with_xlsxwriter(
    path: str, sheets: Mapping[str, Sequence[Sequence[str | int | float]]], *, hidden: bool
) -> None:
    with xlsxwriter.Workbook(path) as book:
        padded = book.add_format({"num_format": "0000000"})
        for name, rows in sheets.items():
            sheet = book.add_worksheet(name)
            for number, row in enumerate(rows):
                for at, cell in enumerate(row):
                    if isinstance(cell, str):
                        sheet.write_string(number, at, cell)
                    else:
                        sheet.write_number(number, at, cell, padded)
        if hidden:
            sheet.hide()


def with_openpyxl(
    path: str, sheets: Mapping[str, Sequence[Sequence[str | int | float]]], *, hidden: bool
) -> None:
    book = openpyxl.Workbook()
    book.remove(book.worksheets[0])
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append([f"{cell}" if isinstance(cell, str) else cell for cell in row])
        for cell in (cell for row in sheet.iter_rows() for cell in row):
            if cell.data_type == "f":  # a text that looks like a formula
                cell.data_type = "s"
    sheet.sheet_state = "hidden" if hidden else "visible"
    book.save(path)


@settings(calm, max_examples=200)
@given(st.data(), st.booleans())
def test_whatever_a_keep_list_names_is_protected_and_nothing_else(
    data: st.DataObject, by_key: bool
) -> None:
    listed = keyed(*KEYS) if by_key else listing(*IDS)
    with tempfile.TemporaryDirectory() as folder:
        kept = data.draw(keep_lists(by_key, folder))

        excluded = Exclusion.read([kept.path], listed)

    found = set(excluded.among(listed))
    for entry, (license_id, key) in enumerate(zip(IDS, KEYS, strict=True)):
        if excluded.of_license(License(license_id, revoked=False, key=key)):
            found.add(entry)
    assert found == kept.protected
    assert UUID(IDS[-1]).bytes not in excluded.files[0].ids
    assert re.fullmatch(r"\d+", str(excluded.files[0].rows))


# The same through the whole command: what arrives at the server counts

OUTCOMES = ["revoked", "already_revoked", "failed", "unknown", "not_attempted", "excluded"]


@st.composite
def lists(draw: Callable[..., object], by_key: bool, folder: str) -> tuple[str, frozenset[int]]:
    """A list, and the entries of `IDS` that it asks to revoke."""
    entries = sorted(draw(st.sets(st.integers(0, len(IDS) - 1), min_size=6)))  # type: ignore[call-overload]
    names = KEYS if by_key else IDS
    is_results = bool(draw(st.booleans()))
    if not is_results:
        header = ["Notiz", "license_key" if by_key else "license_id"]
        table = [header, *(["n", names[entry]] for entry in entries)]
        wanted = frozenset(entries)
    else:
        outcomes = [str(draw(st.sampled_from(OUTCOMES))) for _ in entries]
        columns = draw(st.permutations(["row", *MARKS, "license_key", "Notiz", "Outcome of call"]))
        spelled = draw(st.sampled_from([str, str.upper, lambda name: name.replace("_", " ")]))
        cells = [
            {"license_id": IDS[entry], "license_key": KEYS[entry], "outcome": outcome, "row": "7"}
            for entry, outcome in zip(entries, outcomes, strict=True)
        ]
        table = [[spelled(name) for name in columns]]  # type: ignore[operator, attr-defined]
        table += [[row.get(name, "x") for name in columns] for row in cells]  # type: ignore[attr-defined]
        left = {"failed", "unknown", "not_attempted"}
        wanted = frozenset(e for e, o in zip(entries, outcomes, strict=True) if o in left)
    path = str(Path(folder, str(draw(st.sampled_from(["list.txt", "list.tsv", "l-o.xlsx"])))))
    write_rows(path, table, len(table), hidden=bool(draw(st.booleans())))
    return path, wanted


MARKS = ["license_id", "outcome", "was_revoked"]


@settings(calm, max_examples=20 * THOROUGH)
@given(st.data(), st.booleans())
def test_no_license_that_is_protected_or_left_out_is_ever_sent_a_patch(
    data: st.DataObject, by_key: bool
) -> None:
    account = Account.holding(IDS)
    for license_, key in zip(account, KEYS, strict=True):
        license_.key = key
    with (
        tempfile.TemporaryDirectory() as folder,
        tempfile.TemporaryDirectory() as locks,
        pytest.MonkeyPatch.context() as patch,
    ):
        settle_in(Path(folder), Path(locks), patch)
        source, wanted = data.draw(lists(by_key, folder))
        kept = data.draw(keep_lists(by_key, folder))
        with served(account) as api:
            ended = api.run(
                "run", source, "--by", "key" if by_key else "id", "--exclude", kept.path
            )

            arrived = {IDS.index(license_id) for license_id in api.patches()}
    assert arrived == (wanted - kept.protected if ended.code == 0 else set()), ended.err
    assert ended.code == 0 or not wanted - kept.protected, ended.err


# What is quick says the same


def test_ids_that_share_their_first_half_are_told_apart(
    protects: Callable[[Listing, str], list[int]],
) -> None:
    twin = A[:-1] + ("0" if A[-1] != "0" else "1")

    assert protects(listing(A, twin), twin) == [1]


def test_a_separator_of_units_in_a_cell_is_white_space(
    protects: Callable[[Listing, str], list[int]], tmp_path: Path
) -> None:
    text = f"note\nsee\x1fthere\x1f{A}\nK-1\n"

    assert protects(listing(A, B), text) == [0]
    assert protecting(listing(A, B), text, path=tmp_path / "k.csv").files[0].nameless == 1


@pytest.mark.parametrize("text", [f"#REF!\n{A}\n{B}\n", f"#REF!\n{A}\n#REF!\n"])
def test_an_error_above_ids_is_named_by_its_row(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError) as refused:
        protecting(listing(A, B), text, path=tmp_path / "keep.csv")

    assert "keep.csv, row 1" in refused.value.details[0].text
    assert len(refused.value.details) == 1


def test_an_error_is_refused_only_in_a_column_that_names_licenses_by_key(tmp_path: Path) -> None:
    path = tmp_path / "keep.csv"

    with pytest.raises(InputError, match="not known which license"):
        protecting(keyed("K-1", "K-2"), "Key,Note\nk-1,x\n#REF!,y\n", path=path)
    assert protecting(keyed("K-1", "K-2"), "Key,Note\nK-1,#REF!\n", path=path).files[0].rows == 2


def test_a_key_of_the_list_that_is_nearly_an_id_is_no_doubt(tmp_path: Path) -> None:
    key = A[:-1]
    path = tmp_path / "keep.csv"

    found = protecting(keyed(key, "K-2"), key.upper(), path=path)

    assert list(found.among(keyed(key, "K-2"))) == [0]
    with pytest.raises(InputError, match="not known which license"):
        protecting(keyed("K-1"), key, path=path)


# What it costs, in processor time: the machine may be shared

ROWS = 200_000
LISTS = {
    "IDs": ("id", "license_id", "{id}"),
    "links": ("id", "link", "https://app.example.com/licenses/{id}"),
    "keys": ("key", "license_key", "{key}"),
}


@pytest.mark.parametrize("kind", LISTS)
def test_a_file_of_a_tenth_of_the_rows_costs_at_most_half_of_reading_the_list(
    tmp_path: Path, kind: str
) -> None:
    by, header, cell = LISTS[kind]
    numbers = random.Random(0)
    rows = [
        {"id": str(UUID(int=numbers.getrandbits(128))),
         "key": "-".join(f"{numbers.getrandbits(24):06X}" for _ in range(6))}
        for _ in range(ROWS)
    ]  # fmt: skip
    listed, kept = tmp_path / "list.csv", tmp_path / "keep.csv"
    listed.write_text(
        f"license_{by},customer,country\n"
        + "".join(f"{row[by]},Customer {at},AT\n" for at, row in enumerate(rows))
    )
    few = numbers.sample(rows, ROWS // 10)
    kept.write_text(f"{header}\n" + "".join(cell.format_map(row) + "\n" for row in few))
    reading, excluding = [], []
    for _ in range(5):
        began = time.process_time()
        listing = read_listing(str(listed), by=by)
        between = time.process_time()
        protected = Exclusion.read([str(kept)], listing).among(listing)
        reading.append(between - began)
        excluding.append(time.process_time() - between)

    assert len(protected) == ROWS // 10
    assert min(excluding) < min(reading) / 2
