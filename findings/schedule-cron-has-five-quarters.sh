#!/usr/bin/env bash
# Schedule::Cron 1.05 (Perl, Debian 12): `*/3` of the months is January, March, June, September and
# December, five times a year; `*/2` of the days of a month is the 1st, 2nd, 4th, 6th …
#
# A star becomes the range 0-12 or 0-31 before steps are counted, and the 0 a 1 afterwards. Every
# cron counts from 1 there: the 1st, 3rd, 5th …, and January, April, July and October. For minutes,
# hours and weekdays there is no difference, and 1-12/3 is as in cron. A line that moves from a
# crontab into a Perl daemon is so carried out in other months, and once more.
#
# Guess: as in cron, whose manual the module's documentation repeats.
# Seen, months of a year and days of a January:
#   0 2 1 */3 *: 01 03 06 09 12
#   0 2 1 1-12/3 *: 01 04 07 10
#   0 2 */2 1 *: 01 02 04 06 08 10 12 14 16 18 20 22 24 26 28 30
#   0 2 */10 1 *: 01 10 20 30
set -euo pipefail
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
cd "$home"
apt-get download libschedule-cron-perl=1.05-1 libtime-parsedate-perl >log 2>&1
for package in *.deb; do dpkg -x "$package" unpacked; done

seen=$(TZ=UTC perl -Iunpacked/usr/share/perl5 -e '
use strict;
use POSIX qw(strftime);
use Schedule::Cron;
my $cron = Schedule::Cron->new(sub {});
my ($start, $end) = (1798761600, 1830297600);    # 2027-01-01T00:00:00Z, a year later
for ("0 2 1 */3 *|%m", "0 2 1 1-12/3 *|%m", "0 2 */2 1 *|%d", "0 2 */10 1 *|%d") {
    my ($line, $shown) = split /\|/;
    my ($time, @found) = ($cron->get_next_execution_time($line, $start));
    while ($time < $end) {
        push @found, strftime($shown, gmtime $time);
        $time = $cron->get_next_execution_time($line, $time);
    }
    print "$line: @found\n";
}')
expected='0 2 1 */3 *: 01 03 06 09 12
0 2 1 1-12/3 *: 01 04 07 10
0 2 */2 1 *: 01 02 04 06 08 10 12 14 16 18 20 22 24 26 28 30
0 2 */10 1 *: 01 10 20 30'
echo "$seen"
[ "$seen" = "$expected" ] || { echo "changed; expected:"; echo "$expected"; exit 1; }
