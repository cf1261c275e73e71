"""Formats that are not read, and how a list in one of them becomes a CSV.

Each has traps of its own on the way, and none of them shows in the CSV. So the refusal names them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath

from batch.errors import Detail, InputError


@dataclass(frozen=True, slots=True)
class Foreign:
    """A format that is not read.

    Attributes:
        name: The format, as a message has it.
        endings: How names of such files end, in lower case.
        remedy: How to get a CSV out of one.
        beware: What may be lost or added on the way.
        starts: First bytes of such a file, where they are unmistakable.
    """

    name: str
    endings: tuple[str, ...]
    remedy: str
    beware: str
    starts: tuple[bytes, ...] = ()

    def refusal(self, title: str, evidence: str) -> InputError:
        """The refusal of a file; ``evidence`` is what gives it away, its name or its content."""
        return InputError(
            f"{title} is {self.name}, by its {evidence}: such a file is not read.",
            details=[Detail(self.beware)],
            hint=self.remedy,
        )


_FROM_TEXT = "copy its table into a spreadsheet with cells formatted as text; save that as CSV."
_TEXT_BEWARE = (
    "A hyphen may have become a dash there, and text whose deletion was tracked may be copied too."
)

# Sources. dBASE: "Data File Header Structure for the dBASE Version 7 Table File" (a deleted record
# begins with an asterisk; the Python library dbf 0.99 exports it), LibreOffice Calc 7.4 (the
# header ID,C,36), and the 15 digits of a spreadsheet: Microsoft support, KB 269370. SPSS: PSPP
# developers' guide, "System File Format" (numbers are 64-bit floats, "$FL2" and "$FL3"). Stata:
# [D] Data types, [D] import delimited (nolabel), [P] File formats .dta. Parquet: file format 1.0
# ("PAR1"), pandas User Guide, "Nullable integer data type". Numbers: numbers-parser 4.22 (15
# digits). JSON: RFC 8259, 6; jq 1.7 manual, "Identity". PDF: ISO 32000-1, 7.5.2, 14.8.2.3 (page
# content order). Word: ECMA-376 Part 1, 17.13.5 (deleted content stays). RTF: specification 1.9.1.
# 7-Zip: 7zFormat.txt. Access: files as it writes them, in msaccessdb 1.0; mdbtools 1.0,
# src/libmdb/data.c (8-4-4-16 digits). SQLite: "Database File Format" (the first bytes),
# "Write-Ahead Logging" ("The WAL File").
FORMATS = (
    Foreign(
        "a dBASE table",
        (".dbf",),
        "open it in LibreOffice Calc, save it as CSV, and name the column as Calc does, such as"
        " --column ID,C,36.",
        "Deleted records stay in such a file with a mark, and a program that does not know the mark"
        " brings them back. A number of more than 15 digits is rounded by a spreadsheet.",
    ),
    Foreign(
        "an SPSS file",
        (".sav", ".zsav"),
        'write a CSV with "pspp-convert list.sav list.csv", or in SPSS with File > Export > CSV.',
        "It keeps 15 digits of a number: a longer key was rounded when the file was made. Labels"
        " may be written in the place of values.",
        (b"$FL2", b"$FL3"),
    ),
    Foreign(
        "a Stata file",
        (".dta",),
        'write a CSV in Stata with "export delimited using list.csv, nolabel".',
        "It keeps 7 digits of a number, 9 of a long and 15 of a double: a longer key was rounded"
        " when the file was made. Without nolabel, labels are written in the place of values.",
        (b"<stata_dta>",),
    ),
    Foreign(
        "a Parquet file",
        (".parquet",),
        "write a CSV with duckdb -c \"COPY (SELECT * FROM 'list.parquet') TO 'list.csv'\".",
        "With pandas a numeric key in a column with gaps gets a decimal point, and is rounded if it"
        " has more than 15 digits.",
        (b"PAR1",),
    ),
    Foreign(
        "a Numbers document",
        (".numbers",),
        "in Numbers, choose File > Export To > CSV with a file for each table, and name the file of"
        " the one that is meant.",
        "A number of more than 15 digits is rounded.",
    ),
    Foreign(
        "JSON",
        (".json", ".jsonl", ".ndjson"),
        "write the license IDs alone with jq -r '.[].id' list.json > list.csv, or with"
        " jq -r .id list.json > list.csv where each line is an object of its own.",
        "A numeric key of more than 15 digits is rounded by jq before 1.7, by JavaScript and by"
        " spreadsheets.",
    ),
    Foreign(
        "a PDF document",
        (".pdf",),
        "ask for the file that it was made from.",
        "What is copied from it is in the order in which it was drawn: IDs break at the end of a"
        " line, and what is at the top and the foot of a page stands between the rows.",
        (b"%PDF-",),
    ),
    Foreign("a Word document", (".docx", ".doc"), _FROM_TEXT, _TEXT_BEWARE),
    Foreign("an RTF document", (".rtf",), _FROM_TEXT, _TEXT_BEWARE, (b"{\\rtf",)),
    Foreign(
        "a zip file",
        (".zip",),
        "unpack it, and name the file in it that is meant.",
        "Each file in it is a list of its own.",
    ),
    Foreign(
        "a 7-Zip archive",
        (".7z",),
        'unpack it with "7z x", and name the file in it that is meant.',
        "Each file in it is a list of its own.",
        (b"7z\xbc\xaf\x27\x1c",),
    ),
    Foreign(
        "an Access database",
        (".mdb", ".accdb"),
        "in Access, export the table with External Data > Text File; elsewhere write a CSV with"
        " mdb-export list.mdb licenses > list.csv.",
        "A linked table is not in the file, and a query leaves out the rows that it does not"
        " select. mdb-export leaves a hyphen out of a Replication ID.",
        (b"\x00\x01\x00\x00Standard Jet DB", b"\x00\x01\x00\x00Standard ACE DB"),
    ),
    Foreign(
        "an SQLite database",
        (".sqlite", ".sqlite3", ".db"),
        'write a CSV with sqlite3 -header -csv list.sqlite "SELECT id FROM licenses" > list.csv.',
        "The newest rows may stand in the file -wal beside it, which has to be copied with it. IDs"
        " that are stored as bytes come out unreadable, and not all programs store them in the same"
        " order: have them written by the program that stored them.",
        (b"SQLite format 3\0",),
    ),
)

BY_NAME = {known.name: known for known in FORMATS}


def by_ending(path: str) -> Foreign | None:
    """The format that a file's name promises, if it is one that is not read."""
    name = PurePath(path).name.lower()
    return next((known for known in FORMATS if name.endswith(known.endings)), None)
