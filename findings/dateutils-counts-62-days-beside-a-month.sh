#!/usr/bin/env bash
# dateutils 0.4.10 (Debian 12): from 31 January to 1 March are 1 month and 62 days for dateutils.ddiff.
#
# A month after the 31st is the 28th of February, as dateutils.dadd says, and a day after that is the
# 1st. In months and days the first days of March come out so for each start on a 30th or 31st: a term
# of a year and a month and a day is shown as 1 y 1 m 62 d. Two days later it is 1 y 1 m 0 d. The days
# alone are right.
#
# Guess: 1 month and 1 day.
# Seen, from 2027-01-31:
#   a month later: 2027-02-28
#   to 2027-03-01: 29 days, 1 m 62 d
#   to 2027-03-02: 30 days, 1 m 63 d
#   to 2027-03-03: 31 days, 1 m 0 d
#   from 2026-01-31 to 2027-03-01: 394 days, 1 y 1 m 62 d
set -euo pipefail
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
cd "$home"
apt-get download dateutils >log 2>&1
dpkg -x dateutils_*.deb unpacked

ddiff() { unpacked/usr/bin/dateutils.ddiff "$@"; }
term() { echo "to $1: $(ddiff -f '%d days' 2027-01-31 "$1"), $(ddiff -f '%m m %d d' 2027-01-31 "$1")"; }
seen="a month later: $(unpacked/usr/bin/dateutils.dadd 2027-01-31 +1mo)
$(term 2027-03-01)
$(term 2027-03-02)
$(term 2027-03-03)
from 2026-01-31 to 2027-03-01: $(ddiff -f '%d days' 2026-01-31 2027-03-01), $(ddiff -f '%y y %m m %d d' 2026-01-31 2027-03-01)"
expected="a month later: 2027-02-28
to 2027-03-01: 29 days, 1 m 62 d
to 2027-03-02: 30 days, 1 m 63 d
to 2027-03-03: 31 days, 1 m 0 d
from 2026-01-31 to 2027-03-01: 394 days, 1 y 1 m 62 d"
echo "$seen"
[ "$seen" = "$expected" ] || { echo "changed; expected:"; echo "$expected"; exit 1; }
