"""The geometry of the page's charts: numbers in, boxes out; the template draws them.

Charts are stretched to the width that there is, so no text stands in them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


WIDTH = 1000.0
"""Units from left to right."""

HEIGHT = 100.0
"""Units of the highest bar."""

NARROWEST = 6.0
"""Units of a share that is not nothing: it must be seen."""

MOST_BARS = 120
"""Bars of one chart; a longer session has several minutes in each."""


_FAR = 1_000_000
"""Minutes, two years, after which nothing is drawn."""


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle of a chart.

    Attributes:
        kind: What it stands for; a class of the style sheet.
        x: Left edge.
        width: To the right.
        y: Upper edge, downwards.
        height: Downwards.
    """

    kind: str
    x: float
    width: float
    y: float = 0.0
    height: float = HEIGHT


def shares(parts: Iterable[tuple[str, int]]) -> list[Box]:
    """Boxes side by side, as wide as their numbers say; even the smallest can be seen.

    Args:
        parts: Kind and number of each.
    """
    present = [(kind, number) for kind, number in parts if number > 0]
    total = sum(number for _, number in present)
    widths = [max(NARROWEST, WIDTH * number / total) for _, number in present]
    scale = WIDTH / sum(widths) if widths else 1.0
    boxes, x = [], 0.0
    for (kind, _), width in zip(present, widths, strict=True):
        boxes.append(Box(kind, round(x, 1), round(width * scale, 1)))
        x += width * scale
    return boxes


@dataclass(slots=True)
class Span:
    """A part of a session: one bar.

    Attributes:
        minute: Its first minute, from the session's first request.
        requests: Requests.
        refusals: Answers that refused whatever was sent.
        paused: Seconds of pause.
        down: Seconds in which the server was down.
    """

    minute: int
    requests: int = 0
    refusals: int = 0
    paused: float = 0.0
    down: float = 0.0


@dataclass(frozen=True, slots=True)
class Course:
    """A session over time.

    Attributes:
        step: Minutes in each span.
        spans: All of them, in order, those included in which nothing was.
        boxes: What is drawn: ``request`` and ``refusal`` bars from y = 0 to `HEIGHT`, and below
            them ``pause`` and ``outage`` lanes.
    """

    step: int
    spans: list[Span] = field(default_factory=list)
    boxes: list[Box] = field(default_factory=list)

    @property
    def peak(self) -> int:
        """Most requests in one span."""
        return max((each.requests for each in self.spans), default=0)

    @property
    def total(self) -> Span:
        """All of them together."""
        found = Span(0)
        for each in self.spans:
            found.requests += each.requests
            found.refusals += each.refusals
            found.paused += each.paused
            found.down += each.down
        return found


def course(session: Mapping[str, Any]) -> Course | None:
    """The course of a session of a manifest; None where it has kept none that can be read."""
    minutes = _minutes(session.get("minutes"))
    if not minutes:
        return None
    step = -(-(max(minutes) + 1) // MOST_BARS)
    found = Course(step, [Span(at * step) for at in range(max(minutes) // step + 1)])
    for minute, (requests, refusals, paused, down) in minutes.items():
        span = found.spans[minute // step]
        span.requests += int(requests)
        span.refusals += int(refusals)
        span.paused += paused
        span.down += down
    found.boxes.extend(_boxes(found))
    return found


def _boxes(found: Course) -> Iterable[Box]:
    wide = WIDTH / len(found.spans)
    gap = min(wide * 0.2, 4.0)
    seconds = 60.0 * found.step
    for at, span in enumerate(found.spans):
        x, width = round(at * wide + gap / 2, 2), round(wide - gap, 2)
        high = HEIGHT * span.requests / (found.peak or 1)
        refused = min(high, HEIGHT * span.refusals / (found.peak or 1))
        if high:
            yield Box("request", x, width, round(HEIGHT - high, 2), round(high - refused, 2))
        if refused:
            yield Box("refusal", x, width, round(HEIGHT - refused, 2), round(refused, 2))
        for kind, lasted, y in (("pause", span.paused, 106.0), ("outage", span.down, 116.0)):
            if lasted:
                yield Box(kind, x, round(max(2.0, width * min(1.0, lasted / seconds)), 2), y, 7.0)


def _minutes(rows: object) -> dict[int, Sequence[float]]:
    """The minutes of a manifest; rows that somebody has made unreadable are left out."""
    found: dict[int, Sequence[float]] = {}
    for row in rows if isinstance(rows, list) else ():
        if not isinstance(row, list) or len(row) != 5:
            continue
        if all(type(each) in {int, float} and 0 <= each < 1e9 for each in row) and row[0] < _FAR:
            found[int(row[0])] = row[1:]
    return found
