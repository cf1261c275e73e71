#!/usr/bin/env bash
# requests-ratelimiter 0.10.0 (Python 3.11): burst=50 beside per_second=10 sends 500 requests at once.
#
# Its documentation calls burst the "max number of consecutive requests allowed before applying
# per-second rate-limiting". The number is that of seconds whose requests may come together: the
# limit is made of per_second * burst in burst seconds. Before a server that admits 50 in 5 seconds
# one writes 10 and 50, as in the bucket of that server, and sends ten times of what is admitted;
# burst=5 is what was meant.
#
# Guess: as many at once as burst says.
# Seen, in the first half of a second:
#   per_second=10: 10 sent
#   per_second=10, burst=5: 50 sent
#   per_second=10, burst=50: 500 sent
set -euo pipefail
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
python3 -m venv "$home/venv"
"$home/venv/bin/pip" install --quiet requests-ratelimiter==0.10.0 pyrate-limiter==4.5.1 requests==2.34.2

seen=$("$home/venv/bin/python" - <<'PYTHON'
import time
import requests
from requests.adapters import HTTPAdapter
from requests_ratelimiter import LimiterSession

def answered(self, request, **_):
    response = requests.Response()
    response.status_code, response.url, response.request = 200, request.url, request
    response._content = b""
    return response

HTTPAdapter.send = answered  # nothing leaves: what is asked for is when it would

for options in ({"per_second": 10}, {"per_second": 10, "burst": 5}, {"per_second": 10, "burst": 50}):
    session = LimiterSession(**options, max_delay=0.1)
    sent, start = 0, time.monotonic()
    try:
        while time.monotonic() < start + 0.5:
            session.get("http://127.0.0.1/")
            sent += 1
    except requests.exceptions.Timeout:
        pass  # the limiter would wait for longer than max_delay
    print(", ".join(f"{name}={value}" for name, value in options.items()) + f": {sent} sent")
PYTHON
)
expected="per_second=10: 10 sent
per_second=10, burst=5: 50 sent
per_second=10, burst=50: 500 sent"
echo "$seen"
[ "$seen" = "$expected" ] || { echo "changed; expected:"; echo "$expected"; exit 1; }
