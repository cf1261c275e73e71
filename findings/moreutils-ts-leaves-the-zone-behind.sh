#!/usr/bin/env bash
# moreutils 0.67 (Debian 12): `ts -r` takes the moments of rsyslog, `2027-06-12T04:35:34.123456+00:00`,
# for local time: four hours wrong in New York, with the "+00:00" left behind the result.
#
# Its pattern for ISO 8601 ends with the fraction and perhaps a Z, and what it does not match stays in
# the line. Without a fraction another pattern takes the sign and two digits of the zone, so the hour is
# right and a ":00" is left; with a Z and no fraction nothing is changed. rsyslog of Debian 12 writes
# the first form into its files. By the manual TZ counts only where a date names no zone.
#
# Guess: 2027-06-12 00:35:34 -0400 for each.
# Seen, TZ=America/New_York ts -r '%F %T %z':
#   2027-06-12T04:35:34.123456+00:00 done: 2027-06-12 04:35:34 -0400+00:00 done
#   2027-06-12T04:35:34.123456Z done: 2027-06-12 00:35:34 -0400 done
#   2027-06-12T04:35:34+00:00 done: 2027-06-12 00:35:34 -0400:00 done
#   2027-06-12T04:35:34Z done: 2027-06-12T04:35:34Z done
set -euo pipefail
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
cd "$home"
apt-get download moreutils libtimedate-perl libtime-duration-perl >log 2>&1
for package in *.deb; do dpkg -x "$package" unpacked; done

again() {
  TZ=America/New_York PERL5LIB="$home/unpacked/usr/share/perl5" perl unpacked/usr/bin/ts -r '%F %T %z' <<<"$1"
}
seen=$(for zone in .123456+00:00 .123456Z +00:00 Z; do
  line="2027-06-12T04:35:34$zone done"
  echo "$line: $(again "$line")"
done)
expected="2027-06-12T04:35:34.123456+00:00 done: 2027-06-12 04:35:34 -0400+00:00 done
2027-06-12T04:35:34.123456Z done: 2027-06-12 00:35:34 -0400 done
2027-06-12T04:35:34+00:00 done: 2027-06-12 00:35:34 -0400:00 done
2027-06-12T04:35:34Z done: 2027-06-12T04:35:34Z done"
echo "$seen"
[ "$seen" = "$expected" ] || { echo "changed; expected:"; echo "$expected"; exit 1; }
