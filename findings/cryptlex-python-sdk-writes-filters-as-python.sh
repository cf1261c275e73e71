#!/usr/bin/env bash
# cryptlex-python-sdk 1.0.3 (httpx 0.28.1, Python 3.11): a filter with an operator is sent as the
# text of a Python dictionary: createdAt={'gte': '…'} instead of createdAt[gte]=….
#
# The client is generated of the API's published description, and has a type for such a filter with
# a to_dict(), which goes into the query as it is. A plain value is right. No error tells of it: a
# server that compares keys with that text knows none of them, one that ignores filters it cannot
# read lists the whole account, and either list looks like the one that was asked for.
#
# Guess: the operator goes into the brackets that the API has for it.
# Seen by a server on loopback:
#   created_at gte: createdAt={'gte': '2026-01-01T00:00:00Z'}
#   key in: key={'in': 'KEY-1,KEY-2'}
#   key: key=KEY-1
set -euo pipefail
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
python3 -m venv "$home/venv"
"$home/venv/bin/pip" install --quiet cryptlex-python-sdk==1.0.3 httpx==0.28.1

seen=$("$home/venv/bin/python" - <<'PYTHON'
import threading, urllib.parse
from http.server import BaseHTTPRequestHandler, HTTPServer
from cryptlex_web_api_client.api.licenses import getv3licenses
from cryptlex_web_api_client.client import AuthenticatedClient
from cryptlex_web_api_client.models.getv_3_licenses_created_at_type_1 import Getv3LicensesCreatedAtType1
from cryptlex_web_api_client.models.getv_3_licenses_key_type_1 import Getv3LicensesKeyType1

class Server(BaseHTTPRequestHandler):
    def do_GET(self):
        queries.append(urllib.parse.unquote_plus(self.path.partition("?")[2]))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"[]")

    def log_message(self, *_):
        pass

queries = []
server = HTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = AuthenticatedClient(base_url=f"http://127.0.0.1:{server.server_port}", token="token")
since, keys = Getv3LicensesCreatedAtType1(), Getv3LicensesKeyType1()
since["gte"], keys["in"] = "2026-01-01T00:00:00Z", "KEY-1,KEY-2"
getv3licenses.sync(client=client, created_at=since)
getv3licenses.sync(client=client, key=keys)
getv3licenses.sync(client=client, key="KEY-1")
for name, query in zip(("created_at gte", "key in", "key"), queries, strict=True):
    print(f"{name}: {query}")
PYTHON
)
expected="created_at gte: createdAt={'gte': '2026-01-01T00:00:00Z'}
key in: key={'in': 'KEY-1,KEY-2'}
key: key=KEY-1"
echo "$seen"
[ "$seen" = "$expected" ] || { echo "changed; expected:"; echo "$expected"; exit 1; }
