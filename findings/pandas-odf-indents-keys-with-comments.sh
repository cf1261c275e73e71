#!/usr/bin/env bash
# pandas 3.1.1 with odfpy 1.4.1: a key that has a comment, in an .ods of Gnumeric 1.12.55, begins with
# twelve blanks. The keys without comments do not, nor does one that LibreOffice has saved.
#
# Gnumeric puts white space between elements, and so twelve blanks before a comment, within its cell.
# They are no part of the text; pandas leaves the comment out and takes what is left. Printed, a
# column is aligned to the right, and nothing shows; a look-up finds all keys but those that somebody
# had something to say about.
#
# Guess: the key, or a key with the words of its comment.
# Seen:
#   Gnumeric: ['key-1', '            key-2']
#   LibreOffice: ['key-1', 'key-2']
set -euo pipefail
command -v soffice >/dev/null || { echo 'needs: apt-get install libreoffice-calc-nogui'; exit 1; }
command -v ssconvert >/dev/null || { echo 'needs: apt-get install gnumeric'; exit 1; }
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
cd "$home"
python3 -m venv venv
venv/bin/pip install --quiet pandas==3.1.1 odfpy==1.4.1 xlsxwriter==3.2.9

venv/bin/python -c '
import xlsxwriter
with xlsxwriter.Workbook("list.xlsx") as book:
    sheet = book.add_worksheet()
    sheet.write_column("A1", ["key", "key-1", "key-2"])
    sheet.write_comment("A3", "asked for on Monday")'
ssconvert -T Gnumeric_OpenCalc:odf list.xlsx Gnumeric.ods 2>log
soffice "-env:UserInstallation=file://$home/profile" --headless --convert-to ods list.xlsx >log 2>&1
mv list.ods LibreOffice.ods
seen=$(venv/bin/python -c '
import pandas
for program in ("Gnumeric", "LibreOffice"):
    print(program + ":", list(pandas.read_excel(program + ".ods", engine="odf")["key"]))')
expected="Gnumeric: ['key-1', '            key-2']
LibreOffice: ['key-1', 'key-2']"
echo "$seen"
[ "$seen" = "$expected" ] || { echo "changed; expected:"; echo "$expected"; exit 1; }
