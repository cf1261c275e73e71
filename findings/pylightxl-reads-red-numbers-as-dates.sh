#!/usr/bin/env bash
# pylightxl 1.61: a number in red, `[Red]0`, is read as a date, and one shown as "5 seats" as midnight.
#
# Whether a cell holds a date is told by counting the letters of its number format: where d, y, h and s
# are not outnumbered by 0, # and ?, it is a moment, be they in a color or in a text between quotes. So
# 5 is a day of 1900, or 0 hours of one, and decimals make a number of it again. The standard has colors
# in brackets and texts in quotes, for which no letter stands for a part of a date; openpyxl reads 5 each
# time.
#
# Guess: 5 each time.
# Seen:
#   0: 5
#   [Red]0: '1900/01/04'
#   [Red]0.0: 5
#   [Blue]0: 5
#   0" seats": '00:00:00'
#   0" days": '1900/01/04 00:00:00'
#   0.00" seats": 5
set -euo pipefail
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
cd "$home"
python3 -m venv venv
venv/bin/pip install --quiet pylightxl==1.61 xlsxwriter==3.2.9

seen=$(venv/bin/python - <<'PYTHON'
import pylightxl, xlsxwriter

FORMATS = ["0", "[Red]0", "[Red]0.0", "[Blue]0", '0" seats"', '0" days"', '0.00" seats"']
with xlsxwriter.Workbook("list.xlsx") as book:
    sheet = book.add_worksheet("July")
    for row, number_format in enumerate(FORMATS):
        sheet.write(row, 0, number_format)
        sheet.write(row, 1, 5, book.add_format({"num_format": number_format}))

for number_format, value in pylightxl.readxl("list.xlsx").ws("July").rows:
    print(f"{number_format}: {value!r}")
PYTHON
)
expected="0: 5
[Red]0: '1900/01/04'
[Red]0.0: 5
[Blue]0: 5
0\" seats\": '00:00:00'
0\" days\": '1900/01/04 00:00:00'
0.00\" seats\": 5"
echo "$seen"
[ "$seen" = "$expected" ] || { echo "changed; expected:"; echo "$expected"; exit 1; }
