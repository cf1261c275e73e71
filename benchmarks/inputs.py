"""Inputs made up for measuring: license IDs, and lists of four columns."""

from __future__ import annotations

import csv
import random
import uuid
from typing import TYPE_CHECKING

import xlsxwriter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HEADER = ("license_id", "customer", "email", "expires")


def license_ids(count: int) -> list[str]:
    """So many different license IDs, the same ones each time."""
    dice = random.Random(count)  # noqa: S311 - no secret
    return [str(uuid.UUID(int=dice.getrandbits(128), version=4)) for _ in range(count)]


def write_ids(path: Path, count: int) -> None:
    """A list of license IDs below its header, and nothing else."""
    path.write_text("\n".join(["license_id", *license_ids(count)]) + "\n", encoding="ascii")


def rows(count: int) -> Iterator[tuple[str, str, str, str]]:
    """Rows below `HEADER`, as many."""
    for number, license_id in enumerate(license_ids(count)):
        date = f"20{26 + number % 9}-{number % 12 + 1:02}-{number % 28 + 1:02}"
        yield license_id, f"Customer {number:,}", f"person{number}@example.com", date


def write_csv(path: Path, count: int) -> None:
    """A CSV file of four columns; the customer is quoted, since it holds a comma."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(HEADER)
        writer.writerows(rows(count))


def write_workbook(path: Path, count: int, *, shared: bool) -> None:
    """A workbook of four columns of text.

    Args:
        path: Where to.
        count: Rows below the header.
        shared: Whether its strings are shared, as Excel writes them; else they stand inline.
    """
    book = xlsxwriter.Workbook(path, {"constant_memory": not shared})
    sheet = book.add_worksheet("licenses")
    sheet.write_row(0, 0, HEADER)
    for number, cells in enumerate(rows(count), 1):
        for column, text in enumerate(cells):
            sheet.write_string(number, column, text)
    book.close()
