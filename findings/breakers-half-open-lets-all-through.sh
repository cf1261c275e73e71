#!/usr/bin/env bash
# aiobreaker 1.2.0 and purgatory 3.0.1 (Python 3.11): when the time of an open circuit breaker is
# over, all coroutines that ask go through at once. pybreaker 1.4.1 lets one thread through.
#
# The documentation of aiobreaker has it that in the half-open state "the next call" is the trial,
# on whose end depends whether the circuit closes. The state is changed before that call, and the
# half-open state refuses nobody until the first one has ended: with 32 workers a server that is
# barely back gets 32 requests, and as many again after each pause.
#
# Guess: one goes through, the others are refused until it has ended.
# Seen, with 32 at once after the pause, and a server that still fails:
#   aiobreaker: 32 reach the server
#   purgatory: 32 reach the server
#   pybreaker: 1 reach the server
set -euo pipefail
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
python3 -m venv "$home/venv"
"$home/venv/bin/pip" install --quiet aiobreaker==1.2.0 purgatory==3.0.1 pybreaker==1.4.1

seen=$("$home/venv/bin/python" -W ignore - <<'PYTHON'
import asyncio, time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
import aiobreaker, purgatory, pybreaker

PAUSE, WORKERS = 0.3, 32
reached = []

async def request():
    reached.append(1)
    await asyncio.sleep(0.05)
    raise ConnectionError

def request_of_a_thread():
    reached.append(1)
    time.sleep(0.05)
    raise ConnectionError

async def trials(call):
    await asyncio.gather(*(call() for _ in range(WORKERS)), return_exceptions=True)  # it opens
    await asyncio.sleep(PAUSE + 0.1)
    reached.clear()
    await asyncio.gather(*(call() for _ in range(WORKERS)), return_exceptions=True)
    return len(reached)

def trials_of_threads(breaker):
    def call():
        with suppress(Exception):
            breaker.call(request_of_a_thread)

    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(lambda _: call(), range(WORKERS)))
        time.sleep(PAUSE + 0.1)
        reached.clear()
        list(pool.map(lambda _: call(), range(WORKERS)))
    return len(reached)

async def main():
    breaker = aiobreaker.CircuitBreaker(fail_max=5, timeout_duration=timedelta(seconds=PAUSE))
    factory = purgatory.AsyncCircuitBreakerFactory(default_threshold=5, default_ttl=PAUSE)

    async def purgatory_call():
        async with await factory.get_breaker("api"):
            await request()

    print(f"aiobreaker: {await trials(lambda: breaker.call_async(request))} reach the server")
    print(f"purgatory: {await trials(purgatory_call)} reach the server")

asyncio.run(main())
threads = pybreaker.CircuitBreaker(fail_max=5, reset_timeout=PAUSE)
print(f"pybreaker: {trials_of_threads(threads)} reach the server")
PYTHON
)
expected="aiobreaker: 32 reach the server
purgatory: 32 reach the server
pybreaker: 1 reach the server"
echo "$seen"
[ "$seen" = "$expected" ] || { echo "changed; expected:"; echo "$expected"; exit 1; }
