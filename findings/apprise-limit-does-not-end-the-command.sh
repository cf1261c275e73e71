#!/usr/bin/env bash
# apprise 2.3.0 (Python 3.11): `apprise --limit 2` does not end where one service hangs and another was told.
#
# Where nobody was told the status is TIMEOUT, and the command ends its process five seconds after
# the limit (cli.py: _force_exit). Where somebody was told the status is PARTIAL: that is passed
# over, and the interpreter waits at its exit for the thread that hangs, for as long as that does.
#
# Guess: the command ends a few seconds after the limit, whatever its services do.
# Seen:
#   one hangs: ended with 5
#   one hangs, one is told: still running after 20 s
set -euo pipefail
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
python3 -m venv "$home/venv"
"$home/venv/bin/pip" install --quiet apprise==2.3.0

# Answers at /told; at any other path it sends a byte of its answer each second, without an end.
cat >"$home/server.py" <<'PYTHON'
import sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Hook(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0" if self.path == "/told" else "100000")
        self.end_headers()
        while self.path != "/told":
            self.wfile.write(b".")
            time.sleep(1)

    def log_message(self, *arguments):
        pass

server = ThreadingHTTPServer(("127.0.0.1", 0), Hook)
print(server.server_port, flush=True)
server.serve_forever()
PYTHON
python3 "$home/server.py" >"$home/port" 2>/dev/null &
server=$!
trap 'kill "$server"; rm -rf "$home"' EXIT
until [ -s "$home/port" ]; do sleep 0.1; done
at=json://127.0.0.1:$(cat "$home/port")

ends() {
    local code=0
    HOME="$home" timeout --signal KILL 20 "$home/venv/bin/apprise" --limit 2 --body text "$@" >/dev/null 2>&1 || code=$?
    if [ "$code" = 137 ]; then echo "still running after 20 s"; else echo "ended with $code"; fi
}
seen="one hangs: $(ends "$at/hangs")
one hangs, one is told: $(ends "$at/hangs" "$at/told")"
expected="one hangs: ended with 5
one hangs, one is told: still running after 20 s"
echo "$seen"
[ "$seen" = "$expected" ] || { echo "changed; expected:"; echo "$expected"; exit 1; }
