#!/usr/bin/env bash
# aniso8601 10.0.1: 2027-06-12T24:00:00Z, the end of 12 June, is read as its start, a day too early.
#
# The time is made first, and 24:00 is 00:00; that it belongs to the next day is forgotten when the
# date is added. A license until the end of the 12th ends with the 11th, and an interval up to the end
# of a day ends before it starts. isodate refuses such a moment; dateutil reads it as the standard says.
#
# Guess: 2027-06-13T00:00:00, or an error.
# Seen:
#   dateutil, 2027-06-12T24:00:00Z: 2027-06-13 00:00:00+00:00
#   aniso8601, 2027-06-12T24:00:00Z: 2027-06-12 00:00:00+00:00
#   aniso8601, 2027-06-12T22:00/24:00: -22 h
#   aniso8601, PT2H/2027-06-12T24:00: from 2027-06-11 22:00:00
set -euo pipefail
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
python3 -m venv "$home/venv"
"$home/venv/bin/pip" install --quiet aniso8601==10.0.1 python-dateutil==2.9.0.post0

seen=$("$home/venv/bin/python" - <<'PYTHON'
import datetime
import aniso8601
from dateutil.parser import isoparse

END = "2027-06-12T24:00:00Z"
print(f"dateutil, {END}:", isoparse(END).astimezone(datetime.timezone.utc))
print(f"aniso8601, {END}:", aniso8601.parse_datetime(END))
start, end = aniso8601.parse_interval("2027-06-12T22:00/24:00")
print("aniso8601, 2027-06-12T22:00/24:00:", f"{(end - start).total_seconds() / 3600:.0f} h")
print("aniso8601, PT2H/2027-06-12T24:00: from", min(aniso8601.parse_interval("PT2H/2027-06-12T24:00")))
PYTHON
)
expected="dateutil, 2027-06-12T24:00:00Z: 2027-06-13 00:00:00+00:00
aniso8601, 2027-06-12T24:00:00Z: 2027-06-12 00:00:00+00:00
aniso8601, 2027-06-12T22:00/24:00: -22 h
aniso8601, PT2H/2027-06-12T24:00: from 2027-06-11 22:00:00"
echo "$seen"
[ "$seen" = "$expected" ] || { echo "changed; expected:"; echo "$expected"; exit 1; }
