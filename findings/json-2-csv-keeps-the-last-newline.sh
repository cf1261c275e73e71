#!/usr/bin/env bash
# json-2-csv 5.6.0 (Node 20): csv2json keeps the newline at the end of a file as the end of its last cell.
#
# The last character of the text counts as the last one of its cell, whatever it is. Of a list of keys
# only the last one is not found, and only where the file ends as text files do. What json2csv writes
# itself has no newline at its end; nor is anything seen of it where the last cell is a number or quoted.
#
# Guess: AB-2, with and without the newline.
# Seen:
#   no newline at the end: ["AB-1","AB-2"]
#   a newline at the end: ["AB-1","AB-2\n"]
#   a newline, quoted: ["AB-1","AB-2"]
#   a newline, a number: [1,2]
set -euo pipefail
command -v npm >/dev/null || { echo 'needs: Node 20 or later, with npm'; exit 1; }
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
cd "$home"
npm install --silent --no-fund --no-audit json-2-csv@5.6.0 >log 2>&1

seen=$(node - <<'JS'
const { csv2json } = require("json-2-csv");
const values = (csv) => JSON.stringify(csv2json(csv).map((row) => row.value));

console.log(`no newline at the end: ${values("customer,value\nA,AB-1\nB,AB-2")}`);
console.log(`a newline at the end: ${values("customer,value\nA,AB-1\nB,AB-2\n")}`);
console.log(`a newline, quoted: ${values('customer,value\nA,"AB-1"\nB,"AB-2"\n')}`);
console.log(`a newline, a number: ${values("customer,value\nA,1\nB,2\n")}`);
JS
)
expected='no newline at the end: ["AB-1","AB-2"]
a newline at the end: ["AB-1","AB-2\n"]
a newline, quoted: ["AB-1","AB-2"]
a newline, a number: [1,2]'
echo "$seen"
[ "$seen" = "$expected" ] || { echo "changed; expected:"; echo "$expected"; exit 1; }
