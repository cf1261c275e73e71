#!/usr/bin/env bash
# APScheduler 3.11.3 (Python 3.11): from_crontab takes `jan-dec/3` for every month, `mon-fri/2` for
# every weekday, and `mon#1` for every Monday. With numbers the step counts.
#
# The pattern for names has no end, so whatever stands behind a name that fits is passed over
# without an error; the pattern for numbers ends where the text does. A list that is to be revoked
# once in three months is revoked each month.
#
# Guess: a step counts after names as after numbers, and what is not known (#1) is refused.
# Seen, in the first quarter of 2027:
#   0 2 1 1-12/3 *: 1 time
#   0 2 1 jan-dec/3 *: 3 times
#   0 2 * * mon-fri/2: 64 times
#   0 2 * * mon#1: 13 times
#   0 2 * * 0#1: refused
set -euo pipefail
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
python3 -m venv "$home/venv"
"$home/venv/bin/pip" install --quiet apscheduler==3.11.3

seen=$("$home/venv/bin/python" - <<'PYTHON'
from datetime import datetime, timezone
from apscheduler.triggers.cron import CronTrigger

def times(line):
    try:
        trigger = CronTrigger.from_crontab(line, timezone=timezone.utc)
    except ValueError:
        return "refused"
    count, last, now = 0, None, datetime(2027, 1, 1, tzinfo=timezone.utc)
    while (now := trigger.get_next_fire_time(last, now)) < datetime(2027, 4, 1, tzinfo=timezone.utc):
        count, last = count + 1, now
    return f"{count} time{'s' if count > 1 else ''}"

for line in ("0 2 1 1-12/3 *", "0 2 1 jan-dec/3 *", "0 2 * * mon-fri/2", "0 2 * * mon#1", "0 2 * * 0#1"):
    print(f"{line}: {times(line)}")
PYTHON
)
expected="0 2 1 1-12/3 *: 1 time
0 2 1 jan-dec/3 *: 3 times
0 2 * * mon-fri/2: 64 times
0 2 * * mon#1: 13 times
0 2 * * 0#1: refused"
echo "$seen"
[ "$seen" = "$expected" ] || { echo "changed; expected:"; echo "$expected"; exit 1; }
