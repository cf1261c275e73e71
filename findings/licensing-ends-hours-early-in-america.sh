#!/usr/bin/env bash
# licensing 0.54 (Cryptolens for Python): HasNotExpired takes a license for expired hours before its
# end on a computer west of Greenwich: 5 h in Bogotá, 10 h in Honolulu.
#
# The answer of the server holds the end as seconds since 1970. `license.expires` is made of them in
# local time, without a zone, and HasNotExpired takes what it finds there for UTC. Where the clock of
# a server shows UTC, as most do, nothing is seen of it.
#
# Guess: the same end everywhere, as the server counts it.
# Seen, how long before its end:
#   Etc/UTC: 0 h
#   America/Bogota: 5 h
#   Pacific/Honolulu: 10 h
set -euo pipefail
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
python3 -m venv "$home/venv"
"$home/venv/bin/pip" install --quiet licensing==0.54

cat >"$home/ends.py" <<'PYTHON'
import base64, json, os, time
from licensing.methods import Helpers
from licensing.models import LicenseKey, Response

FIELDS = """ProductId ID Key Created Expires Period F1 F2 F3 F4 F5 F6 F7 F8 Notes Block GlobalId Customer
ActivatedMachines TrialActivation MaxNoOfMachines AllowedMachines DataObjects SignDate""".split()

def license_that_ends_in(hours):
    now = int(time.time())
    fields = dict.fromkeys(FIELDS, 0) | {"ActivatedMachines": [], "Created": now, "SignDate": now}
    fields["Expires"] = now + hours * 3600 + 600
    answer = base64.b64encode(json.dumps(fields).encode()).decode()
    return LicenseKey.from_response(Response(answer, "", 0, ""))

early = next(hours for hours in range(24) if Helpers.HasNotExpired(license_that_ends_in(hours)))
print(f"{os.environ['TZ']}: {early} h")
PYTHON
seen=$(for zone in Etc/UTC America/Bogota Pacific/Honolulu; do TZ=$zone "$home/venv/bin/python" "$home/ends.py"; done)
expected="Etc/UTC: 0 h
America/Bogota: 5 h
Pacific/Honolulu: 10 h"
echo "$seen"
[ "$seen" = "$expected" ] || { echo "changed; expected:"; echo "$expected"; exit 1; }
