#!/usr/bin/env bash
# LibreOffice 7.4.7 (Debian 12): --convert-to csv writes what the input line would show, and not what
# the cell shows; named with its separators, the same filter writes what the cell shows.
#
# Without a locale, as in a job, the input line is American: 12/06/2027, which is in June, comes out
# as 06/12/2027, and a number shown as 00007 as 7. The options 44,34,76 name a comma, a quote and
# UTF-8, and nothing about dates. Whoever adds them to a job that has run for years swaps the days
# and the months of its dates, and up to the 12th of a month the result looks right.
#
# Guess: as shown in both, and the options change nothing but what they name.
# Seen:
#   csv: 7,06/12/2027,06/12/2027,2027-06-12
#   csv:Text - txt - csv (StarCalc):44,34,76: 00007,12/06/2027,12. June 2027,2027-06-12
set -euo pipefail
command -v soffice >/dev/null || { echo 'needs: apt-get install libreoffice-calc-nogui'; exit 1; }
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
cd "$home"
python3 -m venv venv
venv/bin/pip install --quiet xlsxwriter==3.2.9

venv/bin/python -c '
import datetime, xlsxwriter
with xlsxwriter.Workbook("list.xlsx") as book:
    sheet = book.add_worksheet()
    sheet.write("A1", 7, book.add_format({"num_format": "00000"}))
    for cell, shown in (("B1", "dd/mm/yyyy"), ("C1", "d. mmmm yyyy"), ("D1", "yyyy-mm-dd")):
        sheet.write(cell, datetime.date(2027, 6, 12), book.add_format({"num_format": shown}))'
seen=$(for filter in csv 'csv:Text - txt - csv (StarCalc):44,34,76'; do
    LC_ALL=C soffice "-env:UserInstallation=file://$home/profile" --headless --convert-to "$filter" list.xlsx >log 2>&1
    echo "$filter: $(cat list.csv)"
done)
expected='csv: 7,06/12/2027,06/12/2027,2027-06-12
csv:Text - txt - csv (StarCalc):44,34,76: 00007,12/06/2027,12. June 2027,2027-06-12'
soffice --version
echo "$seen"
[ "$seen" = "$expected" ] || { echo "changed; expected:"; echo "$expected"; exit 1; }
