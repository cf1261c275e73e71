#!/usr/bin/env bash
# LibreOffice 7.4.7 (Debian 12): a workbook saved as .xls by --convert-to holds 0 in the place of
# each text that a formula gave, where the source has the results stored.
#
# LibreOffice takes over stored results without computing them again, and its .xls writer then puts
# a numeric 0 into the FORMULA record of a text. .xlsx and .ods made of the same file are right. Who
# opens the .xls in LibreOffice sees nothing of it, since that computes it; xlrd, calamine and
# Gnumeric read the 0. A column of keys made by =A2&"-"&B2 is a column of zeros.
#
# Guess: the texts, as in .xlsx and .ods.
# Seen:
#   ods: ['K-10', 'abc', 2.0]
#   xlsx: ['K-10', 'abc', 2.0]
#   xls: [0.0, 0.0, 2.0]
#   xls by xlrd: [0.0, 0.0, 2.0]
#   xls by LibreOffice: K-10 abc 2
set -euo pipefail
command -v soffice >/dev/null || { echo 'needs: apt-get install libreoffice-calc-nogui'; exit 1; }
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
cd "$home"
python3 -m venv venv
venv/bin/pip install --quiet xlsxwriter==3.2.9 python-calamine==0.9.1 xlrd==2.0.2

venv/bin/python -c '
import xlsxwriter
with xlsxwriter.Workbook("list.xlsx") as book:
    sheet = book.add_worksheet()
    sheet.write_formula("A1", "=\"K-\"&10", None, "K-10")
    sheet.write_formula("A2", "=LOWER(\"ABC\")", None, "abc")
    sheet.write_formula("A3", "=1+1", None, 2)'
convert() { soffice "-env:UserInstallation=file://$home/profile" --headless --convert-to "$1" --outdir "$2" "$3" >log 2>&1; }
for format in ods xlsx xls; do convert "$format" made list.xlsx; done
convert csv shown made/list.xls

cells() { venv/bin/python -c '
import sys, python_calamine
rows = python_calamine.CalamineWorkbook.from_path(sys.argv[1]).get_sheet_by_index(0).to_python()
print([row[0] for row in rows])' "made/list.$1"; }
seen="ods: $(cells ods)
xlsx: $(cells xlsx)
xls: $(cells xls)
xls by xlrd: $(venv/bin/python -c '
import xlrd
print(xlrd.open_workbook("made/list.xls").sheet_by_index(0).col_values(0))')
xls by LibreOffice: $(tr '\n' ' ' <shown/list.csv | sed 's/ $//')"
expected="ods: ['K-10', 'abc', 2.0]
xlsx: ['K-10', 'abc', 2.0]
xls: [0.0, 0.0, 2.0]
xls by xlrd: [0.0, 0.0, 2.0]
xls by LibreOffice: K-10 abc 2"
soffice --version
echo "$seen"
[ "$seen" = "$expected" ] || { echo "changed; expected:"; echo "$expected"; exit 1; }
