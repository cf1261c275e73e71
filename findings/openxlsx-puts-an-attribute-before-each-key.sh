#!/usr/bin/env bash
# R's openxlsx 4.2.5.2 (Debian 12): each text of a workbook of PyExcelerate 0.13.0 begins with
# xml:space="preserve">, as do those of openpyxl 3.1.5 that end in a blank; Gnumeric's are missing.
#
# All three write texts into the cells, where Excel has a table of texts. Of such a text openxlsx
# takes an attribute as well, and leaves &amp; as it is. Gnumeric 1.12.55 has white space around the
# text's element, and is read without its texts: the header is then an empty row, which is passed
# over, and what is left of the first license becomes the name of the column. None of it is an error.
#
# Guess: the texts, from each of them.
# Seen:
#   PyExcelerate: xml:space="preserve">key, xml:space="preserve">customer, xml:space="preserve">seats
#   PyExcelerate: xml:space="preserve">0012, xml:space="preserve">Meyer &amp; Co , 7
#   PyExcelerate: xml:space="preserve">0013, xml:space="preserve">Schulz, 8
#   openpyxl: key, customer, seats
#   openpyxl: 0012, xml:space="preserve">Meyer &amp; Co , 7
#   openpyxl: 0013, Schulz, 8
#   Gnumeric: 7
#   Gnumeric: 8
set -euo pipefail
command -v ssconvert >/dev/null || { echo 'needs: apt-get install gnumeric'; exit 1; }
command -v Rscript >/dev/null && Rscript -e 'library(openxlsx)' 2>/dev/null ||
    { echo 'needs: apt-get install r-cran-openxlsx'; exit 1; }
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
cd "$home"
python3 -m venv venv
venv/bin/pip install --quiet openpyxl==3.1.5 pyexcelerate==0.13.0

venv/bin/python -c '
import openpyxl, pyexcelerate
rows = [["key", "customer", "seats"], ["0012", "Meyer & Co ", 7], ["0013", "Schulz", 8]]
book = openpyxl.Workbook()
for row in rows:
    book.active.append(row)
book.save("openpyxl.xlsx")
book = pyexcelerate.Workbook()
book.new_sheet("July", data=rows)
book.save("PyExcelerate.xlsx")'
ssconvert -T Gnumeric_Excel:xlsx openpyxl.xlsx Gnumeric.xlsx 2>log
cat >show.R <<'R'
for (writer in c("PyExcelerate", "openpyxl", "Gnumeric")) {
  table <- openxlsx::read.xlsx(paste0(writer, ".xlsx"), sep.names = " ")
  for (row in c(list(names(table)), split(table, seq_len(nrow(table)))))
    cat(writer, ": ", paste(unlist(row), collapse = ", "), "\n", sep = "")
}
R
seen=$(Rscript --vanilla show.R)
expected='PyExcelerate: xml:space="preserve">key, xml:space="preserve">customer, xml:space="preserve">seats
PyExcelerate: xml:space="preserve">0012, xml:space="preserve">Meyer &amp; Co , 7
PyExcelerate: xml:space="preserve">0013, xml:space="preserve">Schulz, 8
openpyxl: key, customer, seats
openpyxl: 0012, xml:space="preserve">Meyer &amp; Co , 7
openpyxl: 0013, Schulz, 8
Gnumeric: 7
Gnumeric: 8'
echo "$seen"
[ "$seen" = "$expected" ] || { echo "changed; expected:"; echo "$expected"; exit 1; }
