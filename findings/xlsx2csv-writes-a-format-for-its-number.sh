#!/usr/bin/env bash
# xlsx2csv 0.8.6: a number whose format has a text with d, h, m, s or y in it is taken for a date, and
# what stands in the CSV is the format, the same in each row.
#
# Serial numbers get their prefix by a format such as "S/N "0, so that they stay numbers. xlsx2csv
# does not pass over what is in quotes. It fills the parts of a date into the format; the digit 0 is
# none of them, so the number is gone, and with it all that told one license from another.
#
# Guess: 1041 and 1042, or "S/N 1041" as a spreadsheet shows it.
# Seen:
#   "S/N "0: "s/n "0, "s/n "0
#   "Key "00000: "key "00000, "key "00000
#   "ID "0: "i06 "0, "i07 "0
#   "No. "0: 1041, 1042
set -euo pipefail
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
cd "$home"
python3 -m venv venv
venv/bin/pip install --quiet xlsx2csv==0.8.6 xlsxwriter==3.2.9

venv/bin/python -c '
import xlsxwriter
with xlsxwriter.Workbook("list.xlsx") as book:
    sheet = book.add_worksheet()
    for row, shown in enumerate(["\"S/N \"0", "\"Key \"00000", "\"ID \"0", "\"No. \"0"]):
        sheet.write(row, 0, shown)
        for column in (1, 2):
            sheet.write(row, column, 1040 + column, book.add_format({"num_format": shown}))'
venv/bin/xlsx2csv list.xlsx list.csv
seen=$(venv/bin/python -c '
import csv
for shown, *cells in csv.reader(open("list.csv", newline="")):
    print(shown + ": " + ", ".join(cells))')
expected='"S/N "0: "s/n "0, "s/n "0
"Key "00000: "key "00000, "key "00000
"ID "0: "i06 "0, "i07 "0
"No. "0: 1041, 1042'
echo "$seen"
[ "$seen" = "$expected" ] || { echo "changed; expected:"; echo "$expected"; exit 1; }
