#!/usr/bin/env bash
# prometheus-client 0.26.0 (Python 3.11): a file of write_to_textfile has the mode that the umask
# leaves, also where it takes the place of one that all could read.
#
# The function is made for node_exporter's textfile collector, which runs as a user of its own. A
# hardened service (UMask=0077 of systemd) writes a file that the collector cannot read; the
# administrator who then says chmod 644 once has it back for one run: the next one replaces the
# file, mode and all.
#
# Guess: the file is readable for all, or keeps the mode that the former one had.
# Seen:
#   umask 022: 644
#   umask 077: 600
#   umask 077, in the place of a file with 644: 600
set -euo pipefail
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
python3 -m venv "$home/venv"
"$home/venv/bin/pip" install --quiet prometheus-client==0.26.0

mode_after() {
    (
        umask "$1"
        "$home/venv/bin/python" - "$home/job.prom" <<'PYTHON'
import sys
from prometheus_client import CollectorRegistry, Gauge, write_to_textfile

registry = CollectorRegistry()
Gauge("job_last_success_timestamp_seconds", "When it last succeeded.", registry=registry).set(1)
write_to_textfile(sys.argv[1], registry)
PYTHON
    )
    stat -c %a "$home/job.prom"
}
seen="umask 022: $(mode_after 022)"
rm "$home/job.prom"
seen+=$'\n'"umask 077: $(mode_after 077)"
chmod 644 "$home/job.prom"
seen+=$'\n'"umask 077, in the place of a file with 644: $(mode_after 077)"
expected="umask 022: 644
umask 077: 600
umask 077, in the place of a file with 644: 600"
echo "$seen"
[ "$seen" = "$expected" ] || { echo "changed; expected:"; echo "$expected"; exit 1; }
