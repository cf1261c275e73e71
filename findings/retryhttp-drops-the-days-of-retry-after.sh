#!/usr/bin/env bash
# retryhttp 1.5.0 (Python 3.11): a Retry-After that is a date is waited for without its days: of one
# that is 24 hours and 30 seconds ahead 30 seconds are left, of one that is 24 hours ahead nothing.
#
# The wait is the `seconds` of a timedelta, which are those beside its days. A daily quota names such
# a date, and is asked again at once, until the attempts are used up. As a number of seconds the same
# is right: it is more than wait_max, and the fallback counts.
#
# Guess: more than wait_max (120 s), so the fallback (here 5 s), as for the number.
# Seen:
#   30 s, as a date: 30 s
#   1 h, as a date: 5 s
#   24 h, as a date: 0 s
#   24 h and 30 s, as a date: 30 s
#   24 h and 30 s, as a number: 5 s
set -euo pipefail
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
python3 -m venv "$home/venv"
"$home/venv/bin/pip" install --quiet retryhttp==1.5.0 tenacity==9.2.1 httpx==0.28.1

seen=$("$home/venv/bin/python" - <<'PYTHON'
import time
from email.utils import formatdate
import httpx, tenacity
from retryhttp import wait_retry_after

def wait(retry_after):
    request = httpx.Request("GET", "http://127.0.0.1/")
    response = httpx.Response(429, headers={"Retry-After": retry_after}, request=request)
    state = tenacity.RetryCallState(None, None, (), {})
    state.outcome = tenacity.Future(1)
    state.outcome.set_exception(httpx.HTTPStatusError("429", request=request, response=response))
    return f"{wait_retry_after(fallback=tenacity.wait_fixed(5))(state):.0f} s"

def date_in(seconds):
    time.sleep(1 - time.time() % 1)  # dates are whole seconds
    return formatdate(time.time() + seconds + 1, usegmt=True)

DAY = 24 * 3600
for name, seconds in (("30 s", 30), ("1 h", 3600), ("24 h", DAY), ("24 h and 30 s", DAY + 30)):
    print(f"{name}, as a date: {wait(date_in(seconds))}")
print(f"24 h and 30 s, as a number: {wait(str(DAY + 30))}")
PYTHON
)
expected="30 s, as a date: 30 s
1 h, as a date: 5 s
24 h, as a date: 0 s
24 h and 30 s, as a date: 30 s
24 h and 30 s, as a number: 5 s"
echo "$seen"
[ "$seen" = "$expected" ] || { echo "changed; expected:"; echo "$expected"; exit 1; }
