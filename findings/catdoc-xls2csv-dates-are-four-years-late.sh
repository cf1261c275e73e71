#!/usr/bin/env bash
# catdoc 0.95 (Debian 12): xls2csv writes each date of an .xls of xlwt 1.3.0 four years and a day too late.
#
# A workbook counts its days from 1900 or, as on old Macintoshes, from 1904. The record DATEMODE
# says which by 0 or 1; xlwt, Gnumeric and LibreOffice write it into each file. For xls2csv it is
# enough that the record is there: it counts from 1904. A list whose licenses end in June 2027 ends
# in June 2031.
#
# Guess: the date that the cell shows, since the record says 0.
# Seen:
#   xlrd: date system 0, 2027-06-12
#   xls2csv: 2031-06-13
#   xls2csv, counted from 1904: 2027-06-12
set -euo pipefail
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
cd "$home"
apt-get download catdoc >log 2>&1
dpkg -x catdoc_*.deb unpacked
printf '%s_path=%s\n' charset "$home/unpacked/usr/share/catdoc" map "$home/unpacked/usr/share/catdoc" >.catdocrc
python3 -m venv venv
venv/bin/pip install --quiet xlwt==1.3.0 xlrd==2.0.2

venv/bin/python -c '
import datetime, xlwt
for name, from_1904 in (("list.xls", False), ("mac.xls", True)):
    book = xlwt.Workbook()
    book.dates_1904 = from_1904
    sheet = book.add_sheet("July")
    sheet.write(0, 0, datetime.date(2027, 6, 12), xlwt.easyxf(num_format_str="D-MMM-YY"))
    book.save(name)'
cell() { HOME="$home" unpacked/usr/bin/xls2csv -q0 -f %Y-%m-%d "$1" | head -n 1; }
seen="xlrd: $(venv/bin/python -c '
import xlrd
book = xlrd.open_workbook("list.xls")
cell = book.sheet_by_index(0).cell_value(0, 0)
print(f"date system {book.datemode}, {xlrd.xldate_as_datetime(cell, book.datemode):%Y-%m-%d}")')
xls2csv: $(cell list.xls)
xls2csv, counted from 1904: $(cell mac.xls)"
expected="xlrd: date system 0, 2027-06-12
xls2csv: 2031-06-13
xls2csv, counted from 1904: 2027-06-12"
echo "$seen"
[ "$seen" = "$expected" ] || { echo "changed; expected:"; echo "$expected"; exit 1; }
