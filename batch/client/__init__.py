"""The Cryptlex Web API over HTTP; the only place that knows aiohttp, the sandbox apart.

========  ==================================================================
api       one request in, one license, one page or one error out
exchange  how a request is sent exactly once, and what its failure means
========  ==================================================================
"""

from batch.client.api import LARGEST_BODY, PAGE_SIZE, CryptlexClient, filter_query
from batch.client.exchange import tls_context

__all__ = ["LARGEST_BODY", "PAGE_SIZE", "CryptlexClient", "filter_query", "tls_context"]
