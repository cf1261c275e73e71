#!/usr/bin/env bash
# Apache 2.4.71 (Debian 12): ProxyPass with retry=60 asks a server that refused the last connection
# again with the next request. Only a member of a balancer is left alone for the 60 seconds.
#
# The documentation says of retry, whose default is 60, that no requests are forwarded to a server in
# the error state until the time is over, and that is the known minute of 503 after a short restart.
# A server that stands behind ProxyPass alone is never put into that state: its 503 ends with the
# outage itself, and every request until then is an attempt to connect.
#
# Guess: 503 for a minute in both cases, or another member for that long.
# Seen, once the server is up again, with retry=60 everywhere:
#   alone: 10 of 10 requests reach it
#   beside another member of a balancer: 0 of 10 requests reach it
set -euo pipefail
modules=/usr/lib/apache2/modules
[ -e "$modules/mod_proxy_http.so" ] || { echo 'needs: apt-get install apache2-bin'; exit 1; }
home=$(mktemp -d)
chmod 755 "$home"
cd "$home"
started=()
trap 'kill "${started[@]}" $(cat pid 2>/dev/null) 2>/dev/null || true; rm -rf "$home"' EXIT

# Makes a server that answers with its name; without a port it says which one is free.
cat >server.py <<'PYTHON'
import sys, socket
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Server(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(sys.argv[2].encode())

    def log_message(self, *_):
        pass

if len(sys.argv) == 1:
    places = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
    print(*(place.getsockname()[1] for place in places))
else:
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Server).serve_forever()
PYTHON
read -r gateway first second < <(python3 server.py)
serve() {
    timeout 60 python3 server.py "$1" "$2" &
    started+=($!)
    for _ in $(seq 100); do curl -s --noproxy '*' -o got "127.0.0.1:$1/" && break; sleep 0.1; done
}
{
    for module in mpm_event authz_core proxy proxy_http proxy_balancer slotmem_shm lbmethod_byrequests; do
        echo "LoadModule ${module}_module $modules/mod_$module.so"
    done
    echo "ServerRoot $home
PidFile $home/pid
DefaultRuntimeDir $home
ErrorLog $home/log
ServerName localhost
Listen 127.0.0.1:$gateway
User nobody
Group nogroup
ProxyPass /alone http://127.0.0.1:$first retry=60
<Proxy balancer://two>
    BalancerMember http://127.0.0.1:$first retry=60
    BalancerMember http://127.0.0.1:$second retry=60
</Proxy>
ProxyPass /two balancer://two"
} >httpd.conf

reach() {
    local count=0
    for _ in $(seq 10); do
        [ "$(curl -s --noproxy '*' "127.0.0.1:$gateway/$1/")" = first ] && count=$((count + 1))
    done
    echo "$count of 10 requests reach it"
}
serve "$second" second
apache2 -f "$home/httpd.conf" -k start
for _ in $(seq 100); do [ -e pid ] && break; sleep 0.1; done
for path in alone two; do reach "$path" >got; done # the first server is down
serve "$first" first
seen="alone: $(reach alone)
beside another member of a balancer: $(reach two)"
expected='alone: 10 of 10 requests reach it
beside another member of a balancer: 0 of 10 requests reach it'
apache2 -v | head -1
echo "$seen"
[ "$seen" = "$expected" ] || { echo "changed; expected:"; echo "$expected"; exit 1; }
