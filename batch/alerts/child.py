"""The process that delivers: an order comes in, and out goes the number of each address told."""

from __future__ import annotations

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Timer
from typing import Any

from batch.alerts.addresses import Text, parsed

MOST_PARTS = 5  # Apprise waits 5.5 s between two, and some services take money for each
"""Messages that a text becomes at most where a service does not take it in one; else it is cut."""


def _deliver() -> None:
    """Tell every address, and write the number of each that was told."""
    answer = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # a service may print what it likes
    order = json.load(sys.stdin.buffer)
    watchdog = Timer(order["seconds"], os._exit, [1])  # for a parent that was killed
    watchdog.daemon = True
    watchdog.start()
    services = [each for text in order["texts"] for each in parsed(Text(*text))[0]]
    with ThreadPoolExecutor(len(services)) as tellers:
        for at, service in enumerate(services):
            tellers.submit(_tell, service, order["message"], answer, at)
    os._exit(0)  # whatever else goes on


def _tell(service: Any, message: dict[str, Any], answer: int, at: int) -> None:  # noqa: ANN401
    from apprise import Apprise, NotifyBase, NotifyFormat, OverflowMode  # noqa: PLC0415

    # Where Apprise knows of a limit, and the address does not say what to do about it.
    if service.body_maxlen != NotifyBase.body_maxlen and "overflow_mode" not in vars(service):
        fits = len(message["body"]) <= MOST_PARTS * service.body_maxlen
        service.overflow_mode = OverflowMode.SPLIT if fits else OverflowMode.TRUNCATE
    told = Apprise([service], asset=service.asset)
    if told.notify(**message, body_format=NotifyFormat.TEXT, interpret_escapes=False):
        os.write(answer, b"told:%d\n" % at)


if __name__ == "__main__":
    _deliver()
