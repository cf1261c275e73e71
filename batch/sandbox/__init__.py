"""A license API on loopback that behaves as the Cryptlex Web API v3 does.

It serves rehearsals and demonstrations. It imports nothing else of the package, so that a mistaken
idea of the API cannot be made twice and cancel itself out.

The modules, in the order a request meets them:

- `server`: `Sandbox`, its port, and the way of a request through it
- `limiter`: the rate limit in front of the API
- `faults`: requests that go wrong at random
- `api`: what the API answers, error bodies with and without a code
- `query`: filters, order and pages of a list
- `account`: the licenses
- `invented`: those that a seed invents, computed when they are asked for
- `permutation`: numbers that look drawn at random, and lead back to where they come from
- `license`: one license, and the license object
- `message`: a request and a response, as all of these see them

`limiter`, `faults` and `api` are handlers, one behind another: each makes a `message.Response` of a
`message.Request`. The response also says how it is delivered. So whoever wants other things to go
wrong puts a handler of his own between them; `tests/support/faulty_sandbox.py` does.

::

    async with Sandbox(Account.generate(1000), rate=(50, 5.0), faults=0.02) as sandbox:
        ...  # a client talks to sandbox.base_url with the token sandbox-token
"""

from batch.sandbox.account import Account
from batch.sandbox.api import TOKEN
from batch.sandbox.license import PRODUCTS, SandboxLicense
from batch.sandbox.server import Sandbox

__all__ = ["PRODUCTS", "TOKEN", "Account", "Sandbox", "SandboxLicense"]
