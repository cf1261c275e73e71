"""The sandbox of a rehearsal."""

from __future__ import annotations

import pytest

from batch.job.rehearsal import sandbox_for
from batch.model import REVOKE
from batch.sandbox.message import Request
from batch.settings import Rate
from tests.support.builders import listing
from tests.support.job_harness import some_ids


@pytest.mark.parametrize(("rate", "statuses"), [("45/5s", {401, 429}), ("none", {401})])
def test_it_has_the_limit_of_the_vendor_unless_none_is_asked_for(
    rate: str, statuses: set[int]
) -> None:
    sandbox = sandbox_for(REVOKE, listing(*some_ids(1)), None, Rate.parse(rate))
    request = Request(0.0, "GET", "/v3/licenses", "licenses", "", (), {}, b"")

    assert {sandbox.handler(request).status for _ in range(51)} == statuses
