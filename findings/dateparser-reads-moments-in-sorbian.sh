#!/usr/bin/env bash
# dateparser 1.5.0: of the moment 20270612T043534Z, ISO 8601 without separators, the time of day and
# the Z are read as "43534 days ago" in Lower Sorbian, which is in 1908.
#
# That form is what calendars (iCalendar), AWS and many file names use. No parser of moments takes it;
# so the languages are tried one after the other, and in Lower Sorbian a Z is short for days. The date
# is not looked at, and a moment at midnight is now. Without the Z there is no answer, and none with
# languages=["en"].
#
# Guess: 2027-06-12 04:35:34 UTC as with separators; or else no answer.
# Seen, on 2027-03-31 at noon:
#   2027-06-12T04:35:34Z: 2027-06-12 04:35:34+00:00
#   20270612T043534Z: 1908-01-21 12:00:00, language dsb
#   20270612T000000Z: 2027-03-31 12:00:00, language dsb
#   20270612T043534: None
#   20270612T043534Z, English: None
set -euo pipefail
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
python3 -m venv "$home/venv"
"$home/venv/bin/pip" install --quiet dateparser==1.5.0

seen=$(TZ=UTC "$home/venv/bin/python" -W ignore - <<'PYTHON'
import datetime
from dateparser.date import DateDataParser

def read(text, languages=None):
    noon = datetime.datetime(2027, 3, 31, 12)
    data = DateDataParser(languages=languages, settings={"RELATIVE_BASE": noon}).get_date_data(text)
    return f"{data.date_obj}, language {data.locale}" if data.locale == "dsb" else data.date_obj

print("2027-06-12T04:35:34Z:", read("2027-06-12T04:35:34Z"))
print("20270612T043534Z:", read("20270612T043534Z"))
print("20270612T000000Z:", read("20270612T000000Z"))
print("20270612T043534:", read("20270612T043534"))
print("20270612T043534Z, English:", read("20270612T043534Z", ["en"]))
PYTHON
)
expected="2027-06-12T04:35:34Z: 2027-06-12 04:35:34+00:00
20270612T043534Z: 1908-01-21 12:00:00, language dsb
20270612T000000Z: 2027-03-31 12:00:00, language dsb
20270612T043534: None
20270612T043534Z, English: None"
echo "$seen"
[ "$seen" = "$expected" ] || { echo "changed; expected:"; echo "$expected"; exit 1; }
