#!/usr/bin/env bash
# Python 3.11: a TLS server of asyncio ends a failed handshake without the alert that says why.
#
# OpenSSL has written the alert into the outgoing buffer when the handshake raises, but asyncio's
# protocol closes the connection without sending that buffer. So a client that is refused (an old
# TLS, no client certificate, an unknown host name) sees an end, and a test with such a server
# proves nothing about alerts. A socket that is wrapped by ssl sends it, as nginx and OpenSSL do.
#
# Guess: both servers send the alert.
# Seen:
#   asyncio: UNEXPECTED_EOF_WHILE_READING
#   ssl: SSLV3_ALERT_HANDSHAKE_FAILURE
set -euo pipefail
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
python3 -m venv "$home/venv"
"$home/venv/bin/pip" install --quiet trustme==1.2.1

cat > "$home/try.py" <<'PY'
import asyncio, socket, ssl, threading
import trustme

authority = trustme.CA()
server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
authority.issue_cert("localhost").configure_cert(server)
server.sni_callback = lambda *_: ssl.ALERT_DESCRIPTION_HANDSHAKE_FAILURE


def refusal(port):
    with socket.create_connection(("127.0.0.1", port)) as connection:
        try:
            ssl.create_default_context().wrap_socket(connection, server_hostname="localhost")
        except ssl.SSLError as error:
            return error.reason
        except OSError as error:
            return type(error).__name__


async def with_asyncio():
    async with await asyncio.start_server(lambda *_: None, "127.0.0.1", 0, ssl=server) as serving:
        return await asyncio.to_thread(refusal, serving.sockets[0].getsockname()[1])


def with_ssl():
    def serve():
        connection, _ = listening.accept()
        try:
            server.wrap_socket(connection, server_side=True)
        except ssl.SSLError:
            pass

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=serve).start()
        return refusal(listening.getsockname()[1])


print("asyncio:", asyncio.run(with_asyncio()))
print("ssl:", with_ssl())
PY
seen=$("$home/venv/bin/python" "$home/try.py" 2>/dev/null)
expected="asyncio: UNEXPECTED_EOF_WHILE_READING
ssl: SSLV3_ALERT_HANDSHAKE_FAILURE"
echo "$seen"
[ "$seen" = "$expected" ] || { echo "changed; expected:"; echo "$expected"; exit 1; }
