#!/usr/bin/env bash
# frictionless 5.21.0: of a workbook of petl 1.7.30 whose last columns are blank, as "revoked at" is
# in a list of what is to be revoked, the header is dropped and the first license becomes the header.
#
# So that titles above a table are passed over, the first row that is about as wide as the mean row
# is the header. Blank cells at the end count where the sheet says how wide it is. petl writes in
# openpyxl's write-only mode, which does not say it, and some CSVs leave out the commas at the end of a
# row. Nothing is said of it: the table is valid, with one license less.
#
# Guess: the header is the first row, or it is an error that its labels have no cells.
# Seen:
#   petl.xlsx: header key-1 1; key-2 key-3; valid
#   pandas.xlsx: header key seats revoked_at note; key-1 key-2 key-3; valid
#   short.csv: header key-1 1; key-2 key-3; valid
set -euo pipefail
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
cd "$home"
python3 -m venv venv
venv/bin/pip install --quiet 'frictionless[excel]==5.21.0' petl==1.7.30 openpyxl==3.1.5 pandas==2.3.3

venv/bin/python -c '
import pandas, petl
header = ["key", "seats", "revoked_at", "note"]
rows = [[f"key-{number}", number, None, None] for number in (1, 2, 3)]
petl.toxlsx([header, *rows], "petl.xlsx")
pandas.DataFrame(rows, columns=header).to_excel("pandas.xlsx", index=False)'
printf '%s\n' key,seats,revoked_at,note key-1,1 key-2,2 key-3,3 >short.csv
seen=$(venv/bin/python -c '
import frictionless
for name in ("petl.xlsx", "pandas.xlsx", "short.csv"):
    with frictionless.Resource(name) as table:
        keys = " ".join(list(row.values())[0] for row in table.read_rows())
        labels = " ".join(table.header)
    valid = "valid" if frictionless.validate(name).valid else "not valid"
    print(f"{name}: header {labels}; {keys}; {valid}")')
expected="petl.xlsx: header key-1 1; key-2 key-3; valid
pandas.xlsx: header key seats revoked_at note; key-1 key-2 key-3; valid
short.csv: header key-1 1; key-2 key-3; valid"
echo "$seen"
[ "$seen" = "$expected" ] || { echo "changed; expected:"; echo "$expected"; exit 1; }
