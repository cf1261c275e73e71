"""How a command ended, told to those who were not there: in an alert, in a metric."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from batch.summary import Summary


@dataclass(frozen=True, slots=True)
class Ending:
    """How a command ended, whether or not it came to sending anything.

    Attributes:
        command: The command's name, such as ``run``.
        exit_code: Its exit code.
        title: What happened, on one line, without secrets.
        text: What a person was told at the end, without secrets. One or more lines.
        seconds: How long it took, from its start, by a clock that nobody sets.
        finished_at: Seconds since 1970, UTC.
        summary: What was counted; None where it was refused, or ended without an orderly end.
    """

    command: str
    exit_code: int
    title: str
    text: str
    seconds: float
    finished_at: float
    summary: Summary | None = None
