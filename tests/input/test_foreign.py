"""Formats that are not read: known by name or content, and the way from each to a CSV."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import subprocess
import zipfile
from pathlib import Path

import pytest

from batch.errors import InputError
from batch.input.file import open_tables
from batch.input.foreign import FORMATS, Foreign
from batch.input.listing import read_listing
from tests.support.builders import packed
from tests.support.job_harness import some_ids

IDS = some_ids(3)
REFERENCE = Path(__file__).parents[2] / "docs" / "reference.md"


def refusal(path: Path) -> InputError:
    with pytest.raises(InputError) as refused, open_tables(str(path)) as tables:
        tables.read(tables.choose(None))
    return refused.value


def known(ending: str) -> Foreign:
    return next(each for each in FORMATS if ending in each.endings)


def assert_refused(error: InputError, by: Foreign, evidence: str) -> None:
    assert f"is {by.name}, by its {evidence}" in error.message
    assert error.hint == by.remedy
    assert [detail.text for detail in error.details] == [by.beware]


@pytest.mark.parametrize(
    "ending",
    [".dbf", ".sav", ".dta", ".parquet", ".numbers", ".json", ".pdf", ".docx", ".zip", ".7z",
     ".mdb", ".accdb", ".sqlite", *(each for one in FORMATS for each in one.endings)],
)  # fmt: skip
def test_a_format_that_is_not_read_is_known_by_its_ending(tmp_path: Path, ending: str) -> None:
    for name in (f"list{ending}", f"LIST{ending.upper()}"):
        (tmp_path / name).write_bytes(b"license_id\n")

        assert_refused(refusal(tmp_path / name), known(ending), "name")


def test_a_document_that_is_a_directory_is_known_as_well(tmp_path: Path) -> None:
    (tmp_path / "list.numbers").mkdir()

    assert_refused(refusal(tmp_path / "list.numbers"), known(".numbers"), "name")


STARTS = [
    (b"$FL2@(#) SPSS DATA FILE", ".sav"), (b"$FL3@(#) SPSS", ".sav"),
    (b"<stata_dta><header><release>118", ".dta"), (b"PAR1\x15\x04", ".parquet"),
    (b"%PDF-1.7\n", ".pdf"), (b"{\\rtf1\\ansi", ".rtf"), (b"7z\xbc\xaf\x27\x1c\x00\x04", ".7z"),
    (b"\x00\x01\x00\x00Standard Jet DB\x00", ".mdb"),
    (b"\x00\x01\x00\x00Standard ACE DB\x00", ".mdb"),
    (b"SQLite format 3\x00\x10\x00", ".sqlite"),
    (b'[{"id": "x"}]', ".json"), (b'{"id": "x"}\n{"id": "y"}\n', ".json"),
    (b'\xef\xbb\xbf \r\n[\n  {\n    "id"', ".json"), (b'["x", "y"]', ".json"),
    ('[{"id": 1}]'.encode("utf-16"), ".json"),
]  # fmt: skip


@pytest.mark.parametrize(("start", "ending"), STARTS)
@pytest.mark.parametrize("name", ["l.csv", "l.txt", "l.xlsx", "l.xls", "l.ods", "list", "l.data"])
def test_a_format_that_is_not_read_is_known_by_its_first_bytes(
    tmp_path: Path, start: bytes, ending: str, name: str
) -> None:
    (tmp_path / name).write_bytes(start)

    assert_refused(refusal(tmp_path / name), known(ending), "content")


@pytest.mark.parametrize(("start", "ending"), STARTS)
def test_it_is_known_where_it_is_compressed_too(tmp_path: Path, start: bytes, ending: str) -> None:
    (tmp_path / "l.csv.gz").write_bytes(packed(start))

    assert_refused(refusal(tmp_path / "l.csv.gz"), known(ending), "content")


@pytest.mark.parametrize(
    "text",
    ["{ID}", '"{ID}"', "[id]\nID", "$FL\nID", "{id}\nID", "PAR\nID", "7z\nID", "[ID]"],
)
def test_a_list_that_only_begins_alike_is_text(tmp_path: Path, text: str) -> None:
    (tmp_path / "l.csv").write_text(text.replace("ID", IDS[0]), encoding="utf-8")

    with open_tables(str(tmp_path / "l.csv")) as tables:
        assert tables.read(tables.choose(None))


def test_every_ending_stands_in_the_reference() -> None:
    table = REFERENCE.read_text(encoding="utf-8").partition("| beware |")[2].partition("\n\n")[0]
    told = re.findall(r"`(\.\w+)`", "".join(line.split("|")[1] for line in table.split("\n")[2:]))

    assert sorted(told) == sorted(ending for each in FORMATS for ending in each.endings)


# From the refusal to its end


def followed(hint: str, folder: Path, command: int = 0) -> list[str]:
    """The IDs of a list that was made with one of the commands of a hint."""
    found = list(re.finditer(r"(sqlite3|jq) .*?> list\.csv", hint))[command]
    if not shutil.which(found[1]):
        pytest.skip(f"{found[1]} is not here")
    subprocess.run(["sh", "-c", found[0]], cwd=folder, check=True)
    return ids_in(folder / "list.csv")


def ids_in(path: Path, column: str | None = None) -> list[str]:
    listed = read_listing(str(path), column=column)
    return [listed.license_id(entry) for entry in listed.distinct()]


def test_a_list_comes_out_of_sqlite(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "list.sqlite") as made:
        made.execute("CREATE TABLE licenses (id TEXT, customer TEXT)")
        made.executemany("INSERT INTO licenses VALUES (?, 'a')", [(each,) for each in IDS])
    made.close()

    assert followed(refusal(tmp_path / "list.sqlite").hint, tmp_path) == IDS


def test_a_list_comes_out_of_json(tmp_path: Path) -> None:
    path = tmp_path / "list.json"
    path.write_text(json.dumps([{"id": each} for each in IDS]))
    assert followed(refusal(path).hint, tmp_path) == IDS

    path.write_text("".join(json.dumps({"id": each}) + "\n" for each in IDS))
    assert followed(refusal(path).hint, tmp_path, command=1) == IDS


def test_a_list_that_calc_has_made_of_dbase_is_read_as_the_refusal_says(tmp_path: Path) -> None:
    rows = "".join(f"{each},00123\n" for each in IDS)
    (tmp_path / "list.csv").write_text(f'"ID,C,36","CODE,C,10"\n{rows}')
    (tmp_path / "list.dbf").write_bytes(b"\x03")

    found = re.search(r"--column (\S+)\.$", refusal(tmp_path / "list.dbf").hint)

    assert found
    assert ids_in(tmp_path / "list.csv", column=found[1]) == IDS


def test_a_list_comes_out_of_an_archive(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "list.zip", "w") as made:
        made.writestr("july.csv", "\n".join(IDS))

    assert "unpack it, and name the file in it" in refusal(tmp_path / "list.zip").hint
    with zipfile.ZipFile(tmp_path / "list.zip") as opened:
        opened.extractall(tmp_path)
    assert ids_in(tmp_path / "july.csv") == IDS
