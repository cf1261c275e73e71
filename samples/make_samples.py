"""Write the sample inputs again: ``python samples/make_samples.py``.

licenses.csv   150 licenses of three products, with the ticket that asks for their revocation
licenses.xlsx  the same
messy.csv      what people really send: semicolons, a byte order mark, blank rows, repeats, odd
               white space, mixed case, and one cell that holds no license ID

All companies are invented. The same bytes come out every time (xlsx: with the same XlsxWriter).
"""

# ruff: noqa: INP001 - a script

from __future__ import annotations

import csv
import datetime as dt
import random
import uuid
from pathlib import Path

import xlsxwriter

HERE = Path(__file__).parent
HEADER = ("license_id", "customer", "product", "expires", "reason", "ticket")
NAMES = ("Zorblat", "Quibbleworks", "Fnordia", "Plonkton", "Wibblesoft", "Grumblethorpe", "Snizzle")
FORMS = ("GmbH", "Ltd", "Inc.", "S.A.", "& Sons")
PRODUCTS = ("Studio Pro", "Studio Server", "Render Add-on")
REASONS = ("chargeback", "contract ended", "key leaked", "replaced")


def rows() -> list[tuple[str, ...]]:
    """The 150 rows below the header."""
    chance = random.Random(20261124)  # noqa: S311 - samples are no secrets
    made: list[tuple[str, ...]] = []
    for _ in range(150):
        license_id = uuid.UUID(int=chance.getrandbits(128), version=4)
        customer = f"{chance.choice(NAMES)} {chance.choice(FORMS)}"
        expires = dt.date(2027, 1, 1) + dt.timedelta(days=chance.randrange(700))
        ticket = f"SUP-{chance.randrange(4000, 4999)}"
        reason = chance.choice(REASONS)
        product = chance.choice(PRODUCTS)
        made.append((str(license_id), customer, product, expires.isoformat(), reason, ticket))
    return made


def write_csv(table: list[tuple[str, ...]]) -> None:
    """The plain list."""
    with (HERE / "licenses.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([HEADER, *table])


def write_xlsx(table: list[tuple[str, ...]]) -> None:
    """The plain list as a workbook."""
    with xlsxwriter.Workbook(HERE / "licenses.xlsx") as book:
        book.set_properties({"created": dt.datetime(2026, 11, 24, tzinfo=dt.UTC)})
        sheet = book.add_worksheet("Licenses")
        for number, row in enumerate([HEADER, *table]):
            sheet.write_row(number, 0, row)
        sheet.set_column(0, 0, 38)


def write_messy(table: list[tuple[str, ...]]) -> None:
    """A list that has been through several hands."""
    lines = ["", "License ID;Customer;Note", ";;"]
    for number, (license_id, customer, *_) in enumerate(table[:20]):
        cell = (license_id, license_id.upper(), f" {license_id}\t", f"\u00a0{license_id}")[
            number % 4
        ]
        lines.append(f'{cell};{customer};"agreed; by phone"')
        if number % 7 == 6:
            lines += ["", ";;  "]
    lines.append(f"{table[0][0]};{table[0][1]};again")
    lines.append("ask Petra for this one;Fnordia Ltd;")
    text = "\r\n".join(lines) + "\r\n"
    (HERE / "messy.csv").write_bytes(text.encode("utf-8-sig"))


if __name__ == "__main__":
    TABLE = rows()
    write_csv(TABLE)
    write_xlsx(TABLE)
    write_messy(TABLE)
