#!/usr/bin/env bash
# Apprise 2.3.0 (Python 3.11): `python -m apprise.cli …` delivers nothing and exits with 0.
#
# A job that runs its tools by the interpreter of their environment (`python -m …`, so that no PATH
# is needed) finds that `python -m apprise` does not exist, and that `python -m apprise.cli` does:
# it only imports the module. Nothing is sent, nothing is said, and the exit code is that of success.
# The console script `apprise` in the same environment sends.
#
# Guess: `python -m apprise` is the command, or `python -m apprise.cli` is, or both fail.
# Seen, with a receiver on loopback:
#   python -m apprise: exit 1, 0 received
#   python -m apprise.cli: exit 0, 0 received
#   apprise: exit 0, 1 received
set -euo pipefail
home=$(mktemp -d)
trap 'kill "$receiver" 2>/dev/null || true; rm -rf "$home"' EXIT
python3 -m venv "$home/venv"
"$home/venv/bin/pip" install --quiet apprise==2.3.0

"$home/venv/bin/python" - "$home" <<'PYTHON' &
import pathlib, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

home = pathlib.Path(sys.argv[1])

class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        with (home / "received").open("a") as file:
            file.write("one\n")
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass

server = HTTPServer(("127.0.0.1", 0), Receiver)
server.timeout = 60
(home / "port.new").write_text(str(server.server_port))
(home / "port.new").rename(home / "port")
server.serve_forever()
PYTHON
receiver=$!
for _ in $(seq 100); do [ -e "$home/port" ] && break; sleep 0.1; done

try() {
    : >"$home/received"
    local code=0
    env -u http_proxy -u HTTP_PROXY HOME="$home" timeout 30 "$@" --title t --body b \
        "json://127.0.0.1:$(cat "$home/port")" >/dev/null 2>&1 || code=$?
    echo "exit $code, $(wc -l <"$home/received") received"
}
seen="python -m apprise: $(try "$home/venv/bin/python" -m apprise)
python -m apprise.cli: $(try "$home/venv/bin/python" -m apprise.cli)
apprise: $(try "$home/venv/bin/apprise")"
expected="python -m apprise: exit 1, 0 received
python -m apprise.cli: exit 0, 0 received
apprise: exit 0, 1 received"
echo "$seen"
[ "$seen" = "$expected" ] || { echo "changed; expected:"; echo "$expected"; exit 1; }
