#!/usr/bin/env bash
# openpyxl 3.1.5: where a row of links was deleted there is a row too many when the file is opened
# again. Its key is an address, and the next save writes it into the file for everybody.
#
# Lists that a portal has exported link each key to its page. delete_rows leaves the links in their
# places (its documentation says so of formulas, tables and charts): each key below the row has the
# link of another one, and the last link is on an empty cell. To an empty cell with a link openpyxl
# gives the address as its value; in its read-only mode it does not.
#
# Guess: links go with their cells or are gone, and three rows are left.
# Seen:
#   key-1 -> https://portal.example/1
#   key-3 -> nothing
#   key-4 -> https://portal.example/3
#   https://portal.example/4 -> https://portal.example/4
#   by calamine: key-1 key-3 key-4
#   by calamine, saved again: key-1 key-3 key-4 https://portal.example/4
set -euo pipefail
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
cd "$home"
python3 -m venv venv
venv/bin/pip install --quiet openpyxl==3.1.5 python-calamine==0.9.1

seen=$(venv/bin/python -c '
import openpyxl, python_calamine

def by_calamine():
    rows = python_calamine.CalamineWorkbook.from_path("list.xlsx").get_sheet_by_index(0).to_python()
    return " ".join(row[0] for row in rows)

book = openpyxl.Workbook()
for number in (1, 2, 3, 4):
    cell = book.active.cell(number, 1, f"key-{number}")
    cell.hyperlink = f"https://portal.example/{number}"
book.active.delete_rows(2)
book.save("list.xlsx")
deleted = by_calamine()

book = openpyxl.load_workbook("list.xlsx")
for (cell,) in book.active.iter_rows():
    print(cell.value, "->", cell.hyperlink.target if cell.hyperlink else "nothing")
book.save("list.xlsx")
print("by calamine:", deleted)
print("by calamine, saved again:", by_calamine())')
expected="key-1 -> https://portal.example/1
key-3 -> nothing
key-4 -> https://portal.example/3
https://portal.example/4 -> https://portal.example/4
by calamine: key-1 key-3 key-4
by calamine, saved again: key-1 key-3 key-4 https://portal.example/4"
echo "$seen"
[ "$seen" = "$expected" ] || { echo "changed; expected:"; echo "$expected"; exit 1; }
