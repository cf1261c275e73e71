"""A license API on loopback that behaves as the Cryptlex Web API v3 does.

It serves demonstrations, rehearsals and tests. It imports nothing else of the package, so that
a mistaken idea of the API cannot be made twice and cancel itself out.

The modules, in the order a request meets them:

- `server`: `Sandbox`, its port, what a request goes through up to its answer, and the log
- `limiter`: the rate limit in front of the API
- `faults`: whether this request is to go wrong, and the ways in which it can
- `api`: what the API answers, filters and pages of a list, and the change that an answer reports
- `account`: the licenses
- `message`: a request and an answer, as all of these see them
- `wire`: how an answer reaches the client, or fails to

::

    async with Sandbox(Account.generate(1000), rate=(50, 5.0)) as sandbox:
        sandbox.fail(license_id, "reset_after")
        ...  # a client talks to sandbox.base_url with the token sandbox-token
        assert sandbox.revoked[license_id]
"""

from batch.sandbox.account import PRODUCTS, Account, SandboxLicense
from batch.sandbox.faults import FAULTS, SURVIVABLE, Fault, http_date
from batch.sandbox.limiter import FixedWindow, Limiter, Verdict
from batch.sandbox.server import TOKEN, Entry, Log, Sandbox

__all__ = [
    "FAULTS",
    "PRODUCTS",
    "SURVIVABLE",
    "TOKEN",
    "Account",
    "Entry",
    "Fault",
    "FixedWindow",
    "Limiter",
    "Log",
    "Sandbox",
    "SandboxLicense",
    "Verdict",
    "http_date",
]
