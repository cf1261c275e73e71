#!/usr/bin/env bash
# systemd-cron 1.15.19 (Debian 12): a line of a crontab for `nov` runs in October, one for `dec` in
# November, and one for `oct` not at all.
#
# The generator that makes timers of crontabs has a list of the names of months, and October is not
# in it. Numbers are right. A range of weekdays that ends in Sunday is worse off: 6-7 is called
# garbled in the journal, and its timer runs every day. Who has systemd-cron in the place of cron,
# which keeps /etc/cron.d, finds revoked in November what was announced for December.
#
# Guess: a name is its number, and a line that cannot be read makes no timer.
# Seen:
#   0 2 1 oct *: no timer
#   0 2 1 nov *: *-10-1 2:0:00
#   0 2 1 dec *: *-11-1 2:0:00
#   0 2 1 12 *: *-12-1 2:0:00
#   0 2 * * 6-7: *-*-* 2:0:00
#   0 2 * * sat,sun: Sun,Sat *-*-* 2:0:00
set -euo pipefail
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
cd "$home"
apt-get download systemd-cron=1.15.19-5 >log 2>&1
dpkg -x systemd-cron_*.deb unpacked
# The generator reads its tables in fixed places, so this copy has others.
sed "s#/etc/cron\.d#$home/cron.d#; s#/etc/crontab#$home/none#; s#/etc/anacrontab#$home/none#
    s#/var/spool/cron/crontabs#$home/none#; s#/run/crond\.reboot#$home/none#" \
    unpacked/lib/systemd/system-generators/systemd-crontab-generator >generator
mkdir cron.d

timer() {
    rm -rf made
    mkdir made
    echo "$1 root /bin/true" >cron.d/job
    python3 -W ignore generator made 2>log
    sed -n 's/^OnCalendar= *//p' made/cron-job-root-0.timer 2>log || echo 'no timer'
}
seen=
for times in '0 2 1 oct *' '0 2 1 nov *' '0 2 1 dec *' '0 2 1 12 *' '0 2 * * 6-7' '0 2 * * sat,sun'; do
    seen+="$times: $(timer "$times")"$'\n'
done
seen=${seen%$'\n'}
expected='0 2 1 oct *: no timer
0 2 1 nov *: *-10-1 2:0:00
0 2 1 dec *: *-11-1 2:0:00
0 2 1 12 *: *-12-1 2:0:00
0 2 * * 6-7: *-*-* 2:0:00
0 2 * * sat,sun: Sun,Sat *-*-* 2:0:00'
echo "$seen"
[ "$seen" = "$expected" ] || { echo "changed; expected:"; echo "$expected"; exit 1; }
