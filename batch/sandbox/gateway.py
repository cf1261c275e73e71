"""What a request goes through, from its arrival to its answer.

A request travels for half of the latency and arrives. It is written down, meets an outage if
there is one, is counted by the limiter, and meets a fault: a scripted one or one of chance. The
API decides on its answer, the change is applied, and the answer travels back for the other half.
What has arrived is carried out, also when the client does not wait for the answer.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from batch.sandbox.chance import NO_DRAW, Chance, Draw
from batch.sandbox.faults import Fault
from batch.sandbox.license import TICKS, timestamp
from batch.sandbox.limiter import Limiter, Verdict, period_name, quota_exceeded
from batch.sandbox.log import Entry, Log
from batch.sandbox.message import Call, Reply
from batch.sandbox.script import NO_ORDER, Order, Script

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aiohttp import web

    from batch.sandbox.api import Api
    from batch.sandbox.wire import Wire


@dataclass(slots=True)
class Gateway:
    """Leads requests to the API, with everything that may befall them on the way.

    Attributes:
        api: Decides on the answers.
        prefix: What stands before ``/licenses`` in a path.
        log: Where requests are written down.
        limiter: Counts them, or None.
        latency: Least and most seconds of a round trip.
        faults: Share of requests that go wrong by chance, 0 to 1.
        kinds: What is drawn for those.
        chance: Draws latencies and faults, or None where nothing is left to chance.
        lateness: Seconds between a client's giving up and a ``late`` change.
        wall_clock: The present time in seconds since 1970.
        script: The faults that were ordered.
        outage: What every request meets, or None.
        requests: How many have arrived.
        count_429: How many of them were turned away by the limiter.
    """

    api: Api
    prefix: str
    log: Log
    limiter: Limiter | None
    latency: tuple[float, float]
    faults: float
    kinds: Sequence[Order]
    chance: Chance | None
    lateness: float
    wall_clock: Callable[[], float]
    script: Script = field(default_factory=Script)
    outage: Order | None = None
    requests: int = 0
    count_429: int = 0
    _window: tuple[float, str] = (0.0, "")

    async def serve(self, request: web.BaseRequest, wire: Wire) -> web.StreamResponse:
        """Answer a request, in whatever way it is to be answered."""
        call = self._call(request, await request.read())
        draw = NO_DRAW if self.chance is None else self.chance.draw(call.method, call.target)
        await self._travel(draw.there)

        now = asyncio.get_running_loop().time()
        entry = Entry(now, call.method, call.target)
        self.requests += 1
        self.log.append(entry)
        order, verdict = self._meet(call, draw, now)
        entry.fault = order.name

        reply = self.api.answer(call)
        change = reply.change
        if change is not None and order.fault.applied:
            change.apply()
            entry.applied = True
        reply = self._finish(order.fault.reshape(reply), order, verdict)
        await self._travel(draw.back)
        if order.fault.answered:
            entry.status = reply.status
        response = await order.fault.deliver(wire, reply)
        if change is not None and order.fault.late:
            await asyncio.sleep(self.lateness)
            change.apply()
            entry.applied = True
        return response

    def _call(self, request: web.BaseRequest, body: bytes) -> Call:
        path = request.path
        resource, license_id = "", ""
        if path.startswith(self.prefix + "/"):
            head, _, tail = path[len(self.prefix) + 1 :].partition("/")
            if head in {"licenses", "status"} and not tail and not path.endswith("/"):
                resource = head
            elif head == "licenses" and tail and "/" not in tail:
                resource, license_id = "license", tail.lower()
        query = list(request.query.items()) if request.query_string else []
        return Call(request.method, path, resource, license_id, query, request.headers, body)

    async def _travel(self, chance: float) -> None:
        """Let half a round trip pass."""
        least, most = self.latency
        if most > 0:
            await asyncio.sleep((least + chance * (most - least)) / 2)

    def _meet(self, call: Call, draw: Draw, now: float) -> tuple[Order, Verdict | None]:
        """What befalls this request, `NO_ORDER` for nearly all, and what the limiter said."""
        if self.outage is not None:
            return self.outage, None
        verdict = None if self.limiter is None else self.limiter.admit(now)
        if verdict is not None and not verdict.admitted:
            self.count_429 += 1
            return self._turned_away(verdict.ends - now), verdict
        scripted = self.script.next(call.operation, call.license_id)
        if scripted is not None:
            return scripted, verdict
        if draw.fault < self.faults:
            return self.kinds[int(draw.kind * len(self.kinds))], verdict
        return NO_ORDER, verdict

    def _turned_away(self, wait: float) -> Order:
        assert self.limiter is not None
        reply = quota_exceeded(self.limiter.limit, self.limiter.period, wait)
        return Order("", Fault("turned away by the limiter", reshape=lambda _: reply), {})

    def _finish(self, reply: Reply, order: Order, verdict: Verdict | None) -> Reply:
        """Add the headers of the limiter and those of the fault."""
        headers = dict(reply.headers)
        if verdict is not None and reply.from_api and reply.status != 429:
            headers.update(self._quota(verdict))
        headers.update(order.headers)
        return replace(reply, headers=headers)

    def _quota(self, verdict: Verdict) -> dict[str, str]:
        """The headers of the limiter; the end of a window is told the same way throughout it."""
        assert self.limiter is not None
        if verdict.ends != self._window[0]:
            wait = verdict.ends - asyncio.get_running_loop().time()
            self._window = verdict.ends, timestamp(int((self.wall_clock() + wait) * TICKS))
        return {
            "X-Rate-Limit-Limit": period_name(self.limiter.period),
            "X-Rate-Limit-Remaining": str(verdict.remaining),
            "X-Rate-Limit-Reset": self._window[1],
        }
