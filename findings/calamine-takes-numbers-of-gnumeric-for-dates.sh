#!/usr/bin/env bash
# python-calamine 0.9.1: a number in an .xls of Gnumeric 1.12.55 is read as a date of 1900, whatever
# format of its own it has; pandas with engine="calamine" reads the same.
#
# A format of a workbook has a number and a code. The numbers 50 to 58 are dates in some East Asian
# editions of Excel, where no FORMAT record gives a code for them. Gnumeric gives its own formats
# numbers from 50 on, with their codes; calamine looks at the number first in .xls, and at the code
# in .xlsx.
#
# Guess: the code that the file gives counts, as for xlrd and for calamine itself in .xlsx.
# Seen:
#   xlsx by calamine: 123.0
#   xls by calamine: 1900-05-02
#   xls by pandas: 1900-05-02 00:00:00
#   xls by xlrd: 123.0
set -euo pipefail
command -v ssconvert >/dev/null || { echo 'needs: apt-get install gnumeric'; exit 1; }
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
cd "$home"
python3 -m venv venv
venv/bin/pip install --quiet xlsxwriter==3.2.9 python-calamine==0.9.1 xlrd==2.0.2 pandas==2.3.3

venv/bin/python -c '
import xlsxwriter
with xlsxwriter.Workbook("list.xlsx") as book:
    pieces = book.add_format({"num_format": "0\" pcs\""})
    book.add_worksheet().write("A1", 123, pieces)'
ssconvert -T Gnumeric_Excel:excel_biff8 list.xlsx list.xls 2>log
ssconvert -T Gnumeric_Excel:xlsx list.xlsx made.xlsx 2>log

cell() { venv/bin/python -c '
import sys, python_calamine
print(python_calamine.CalamineWorkbook.from_path(sys.argv[1]).get_sheet_by_index(0).to_python()[0][0])' "$1"; }
seen="xlsx by calamine: $(cell made.xlsx)
xls by calamine: $(cell list.xls)
xls by pandas: $(venv/bin/python -c '
import pandas
print(pandas.read_excel("list.xls", engine="calamine", header=None).iat[0, 0])')
xls by xlrd: $(venv/bin/python -c '
import xlrd
print(xlrd.open_workbook("list.xls").sheet_by_index(0).cell_value(0, 0))')"
expected="xlsx by calamine: 123.0
xls by calamine: 1900-05-02
xls by pandas: 1900-05-02 00:00:00
xls by xlrd: 123.0"
echo "$seen"
[ "$seen" = "$expected" ] || { echo "changed; expected:"; echo "$expected"; exit 1; }
