#!/usr/bin/env bash
# any-date-parser 2.2.4 (Node 20): 31/12/2027 is 12 January 2027 where months come first, as they do
# by default on an American system: of a day that can be no month the first digit is dropped.
#
# A pattern of month, day and year may begin anywhere in the text, and finds 1/12/2027 in it. Only
# where what is left is no month, as of 30/06, the next pattern has its turn, which has the day first.
# So a column of European dates is read in three ways, and none of them is invalid. With en-GB the
# same happens to American dates.
#
# Guess: invalid, or each day first where it can be no month.
# Seen:
#   12/06/2027, en-US: 2027-12-06
#   13/06/2027, en-US: 2027-03-06
#   30/06/2027, en-US: 2027-06-30
#   25/12/2027, en-US: 2027-05-12
#   31/12/2027, en-US: 2027-01-12
#   31/12/2027, en-GB: 2027-12-31
#   12/25/2027, en-GB: 2027-02-12
set -euo pipefail
command -v npm >/dev/null || { echo 'needs: Node 20 or later, with npm'; exit 1; }
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
cd "$home"
npm install --silent --no-fund --no-audit any-date-parser@2.2.4 >log 2>&1

seen=$(TZ=UTC node --input-type=module - <<'JS'
import parser from "any-date-parser";

function read(text, locale) {
  const date = parser.fromString(text, locale);
  console.log(`${text}, ${locale}: ${date.invalid ?? date.toISOString().slice(0, 10)}`);
}

for (const text of ["12/06/2027", "13/06/2027", "30/06/2027", "25/12/2027", "31/12/2027"]) read(text, "en-US");
for (const text of ["31/12/2027", "12/25/2027"]) read(text, "en-GB");
JS
)
expected="12/06/2027, en-US: 2027-12-06
13/06/2027, en-US: 2027-03-06
30/06/2027, en-US: 2027-06-30
25/12/2027, en-US: 2027-05-12
31/12/2027, en-US: 2027-01-12
31/12/2027, en-GB: 2027-12-31
12/25/2027, en-GB: 2027-02-12"
echo "$seen"
[ "$seen" = "$expected" ] || { echo "changed; expected:"; echo "$expected"; exit 1; }
