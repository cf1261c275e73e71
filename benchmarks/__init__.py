"""The cost of the tool, beside what people would use instead: ``python -m benchmarks``.

act      requests without a limit: licenses per second, against other clients
parts    the cost of parts of the HTTP client
pace     requests with a limit: how much of it is used, and how often it is exceeded
loading  a million rows read, as CSV and as a workbook
start    from the command to its first output, and to its first request
growth   a thousand licenses to a million: time and memory for each
ratios   the few of them that every test run measures again

Servers are nginx and HAProxy, never our own sandbox. Rounds are interleaved, so that what else the
machine does falls on everybody alike; every single run is kept in ``results/``. docs/performance.md
is what `report` makes of them.
"""
