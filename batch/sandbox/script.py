"""Faults that are ordered for certain requests, as opposed to those that happen by chance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from batch.sandbox.faults import NO_FAULT, Fault, fault
from batch.sandbox.message import OPERATIONS


class Order(NamedTuple):
    """A fault, as one request meets it.

    Attributes:
        name: Its name, for the log.
        fault: What it does.
        headers: Header fields of the answer.
    """

    name: str
    fault: Fault
    headers: dict[str, str]


NO_ORDER = Order("", NO_FAULT, {})
"""For a request that nothing is to happen to."""


def order(kind: str | int, retry_after: int | str | None = None) -> Order:
    """Order a fault.

    Args:
        kind: Its name, or an HTTP status.
        retry_after: Whole seconds, or an HTTP-date, for the header ``Retry-After``.

    Raises:
        ValueError: There is no such fault.
    """
    found = fault(kind)
    headers = found.headers
    if retry_after is not None:
        headers = headers | {"Retry-After": str(retry_after)}
    return Order(str(kind), found, headers)


@dataclass(slots=True)
class _Standing:
    """An order with the number of requests that it still is for; None for any number."""

    order: Order
    times: int | None


class Script:
    """Orders by operation and license; the oldest order that still stands is met first.

    Operations are ``PATCH`` and ``GET`` (of one license), ``LIST``, ``STATUS``, ``OTHER``, and
    ``*`` for all of them. An order for a certain license comes before one for any.
    """

    def __init__(self) -> None:
        self._standing: dict[tuple[str, str], list[_Standing]] = {}

    def add(self, target: str, what: Order, *, times: int | None, on: str) -> None:
        """Order a fault for the next ``times`` requests to ``target``; an empty one means any.

        Raises:
            ValueError: There is no such operation, or ``times`` is below 1.
        """
        if on != "*" and on not in OPERATIONS:
            raise ValueError(f"no such operation: {on!r}; use *, {', '.join(OPERATIONS)}")
        if times is not None and times < 1:
            raise ValueError(f"times must be 1 or more, or None for always, not {times}")
        self._standing.setdefault((on, target), []).append(_Standing(what, times))

    def clear(self) -> None:
        """Drop every order."""
        self._standing.clear()

    def next(self, operation: str, target: str) -> Order | None:
        """The order that this request meets, or None; it is used up by that."""
        if not self._standing:
            return None
        for place in ((operation, target), ("*", target), (operation, ""), ("*", "")):
            if queue := self._standing.get(place):
                first = queue[0]
                if first.times is not None:
                    first.times -= 1
                    if first.times == 0:
                        del queue[0]
                return first.order
        return None
