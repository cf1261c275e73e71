#!/usr/bin/env bash
# tablib 3.10.0: of an .ods of LibreOffice 7.4.7, what follows blank or equal cells moves to the left,
# texts end at a second blank, and numbers are what their format shows. Of an .ods of Gnumeric 1.12.55
# nothing is read, and nothing is said.
#
# Neighbours that are blank or equal are one cell in the file, with a count. tablib does not look at
# the count and fills a row up at its end, so a note stands under "seats". It takes the first piece of
# a cell's text for all of it, and makes numbers of that: 2.5 shown without decimals is 3. Gnumeric
# has white space between its elements; there the first child of the body is not the spreadsheet.
#
# Guess: the rows that were written; pandas reads them from both files.
# Seen:
#   LibreOffice: ['key', 'seats', 'used', 'note']
#   LibreOffice: ['key-1', 5.0, 'paid', '']
#   LibreOffice: ['key-2', 'new', '', '']
#   LibreOffice: ['key ', 7.0, 3.0, 'two ']
#   Gnumeric: 0 rows
set -euo pipefail
command -v soffice >/dev/null || { echo 'needs: apt-get install libreoffice-calc-nogui'; exit 1; }
command -v ssconvert >/dev/null || { echo 'needs: apt-get install gnumeric'; exit 1; }
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
cd "$home"
python3 -m venv venv
venv/bin/pip install --quiet 'tablib[ods]==3.10.0' odfpy==1.4.1 xlsxwriter==3.2.9

venv/bin/python -c '
import xlsxwriter
with xlsxwriter.Workbook("list.xlsx") as book:
    sheet = book.add_worksheet()
    sheet.write_row("A1", ["key", "seats", "used", "note"])
    sheet.write_row("A2", ["key-1", 5, 5, "paid"])
    sheet.write_row("A3", ["key-2", None, None, "new"])
    sheet.write_row("A4", ["key  4", 7, 2.5, "two  blanks"])
    sheet.write("C4", 2.5, book.add_format({"num_format": "0"}))'
soffice "-env:UserInstallation=file://$home/profile" --headless --convert-to ods list.xlsx >log 2>&1
ssconvert -T Gnumeric_OpenCalc:odf list.xlsx gnumeric.ods 2>log
seen=$(venv/bin/python -c '
import tablib

def rows(name):
    return list(tablib.Dataset().load(open(name, "rb"), format="ods", headers=False))

for row in rows("list.ods"):
    print("LibreOffice:", list(row))
print("Gnumeric:", len(rows("gnumeric.ods")), "rows")')
expected="LibreOffice: ['key', 'seats', 'used', 'note']
LibreOffice: ['key-1', 5.0, 'paid', '']
LibreOffice: ['key-2', 'new', '', '']
LibreOffice: ['key ', 7.0, 3.0, 'two ']
Gnumeric: 0 rows"
echo "$seen"
[ "$seen" = "$expected" ] || { echo "changed; expected:"; echo "$expected"; exit 1; }
