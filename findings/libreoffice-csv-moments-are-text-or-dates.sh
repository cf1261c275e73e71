#!/usr/bin/env bash
# LibreOffice 7.4.7 (Debian 12): of two spellings of one moment in a CSV, --convert-to xlsx makes a
# date of 2027-06-12T04:35:34, and leaves 2027-06-12T04:35:34Z and an offset as text.
#
# So a file of timestamps in UTC, written as ISO 8601 has it, comes back from a spreadsheet as it
# went, while one without the Z comes back as a number of days, and one of a mixture as both.
#
# Guess: dates, all of them.
# Seen:
#   2027-06-12T04:35:34: datetime
#   2027-06-12T04:35:34.086: datetime
#   2027-06-12T04:35:34Z: str
#   2027-06-12T04:35:34.086Z: str
#   2027-06-12T04:35:34+00:00: str
set -euo pipefail
command -v soffice >/dev/null || { echo 'needs: apt-get install libreoffice-calc-nogui'; exit 1; }
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
cd "$home"
python3 -m venv venv
venv/bin/pip install --quiet openpyxl==3.1.5

printf '%s\n' 2027-06-12T04:35:34 2027-06-12T04:35:34.086 2027-06-12T04:35:34Z 2027-06-12T04:35:34.086Z \
    2027-06-12T04:35:34+00:00 >list.csv
soffice "-env:UserInstallation=file://$home/profile" --headless --convert-to xlsx --outdir made list.csv >log 2>&1
seen=$(venv/bin/python -c '
import openpyxl
lines = open("list.csv").read().split()
cells = [row[0] for row in openpyxl.load_workbook("made/list.xlsx").active.iter_rows()]
for line, cell in zip(lines, cells, strict=True):
    print(f"{line}: {type(cell.value).__name__}")')
soffice --version
echo "$seen"
expected="2027-06-12T04:35:34: datetime
2027-06-12T04:35:34.086: datetime
2027-06-12T04:35:34Z: str
2027-06-12T04:35:34.086Z: str
2027-06-12T04:35:34+00:00: str"
[ "$seen" = "$expected" ] || { echo "changed; expected:"; echo "$expected"; exit 1; }
