#!/usr/bin/env bash
# xlsx2csv 0.8.6: dates of Gnumeric 1.12.55 come out four years and a day late, and of what openpyxl
# 3.1.5 writes at 16:35:34 the clock says 04:35:34, with nothing that tells it from the morning.
#
# Gnumeric says date1904="0" where others say nothing, and xlsx2csv takes every value but "false"
# for yes. openpyxl gives moments the format `yyyy-mm-dd h:mm:ss`, which is one of 24 hours as it has
# no AM/PM; xlsx2csv makes 12 hours of `h`, and 24 of `hh`. So a license that ended at 16:35 seems to
# have ended at 04:35, and one of Gnumeric's is valid for four years more.
#
# Guess: 2027-06-12 16:35:34 in each of them, as openpyxl reads them.
# Seen:
#   openpyxl: openpyxl reads 2027-06-12 16:35:34, xlsx2csv 2027-06-12 04:35:34
#   XlsxWriter: openpyxl reads 2027-06-12 16:35:34, xlsx2csv 2027-06-12 16:35:34
#   Gnumeric: openpyxl reads 2027-06-12 16:35:34, xlsx2csv 2031-06-13 16:35:34
set -euo pipefail
command -v ssconvert >/dev/null || { echo 'needs: apt-get install gnumeric'; exit 1; }
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
cd "$home"
python3 -m venv venv
venv/bin/pip install --quiet xlsx2csv==0.8.6 openpyxl==3.1.5 xlsxwriter==3.2.9

venv/bin/python -c '
import datetime, openpyxl, xlsxwriter
moment = datetime.datetime(2027, 6, 12, 16, 35, 34)
book = openpyxl.Workbook()
book.active["A1"] = moment
book.save("openpyxl.xlsx")
with xlsxwriter.Workbook("XlsxWriter.xlsx", {"default_date_format": "yyyy-mm-dd hh:mm:ss"}) as book:
    book.add_worksheet().write("A1", moment)'
ssconvert -T Gnumeric_Excel:xlsx XlsxWriter.xlsx Gnumeric.xlsx 2>log
seen=$(for writer in openpyxl XlsxWriter Gnumeric; do
    echo "$writer: openpyxl reads $(venv/bin/python -W ignore -c '
import sys, openpyxl
print(openpyxl.load_workbook(sys.argv[1]).active["A1"].value)' "$writer.xlsx"), xlsx2csv $(venv/bin/xlsx2csv "$writer.xlsx")"
done)
expected="openpyxl: openpyxl reads 2027-06-12 16:35:34, xlsx2csv 2027-06-12 04:35:34
XlsxWriter: openpyxl reads 2027-06-12 16:35:34, xlsx2csv 2027-06-12 16:35:34
Gnumeric: openpyxl reads 2027-06-12 16:35:34, xlsx2csv 2031-06-13 16:35:34"
echo "$seen"
[ "$seen" = "$expected" ] || { echo "changed; expected:"; echo "$expected"; exit 1; }
