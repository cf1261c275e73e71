"""What the first signal does, and what the second one, in each state of a command."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING

import pytest

from batch.errors import StoppedError, meaning_of
from batch.host.signals import State, signals, stopped_by_signals

if TYPE_CHECKING:
    from collections.abc import Sequence

NUMBERS = [
    signal.Signals[name] for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]
EVERY = pytest.mark.parametrize("number", NUMBERS)


class EndedError(Exception):
    """The process would have ended at once."""


@pytest.fixture(autouse=True)
def _no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    def end(code: int) -> None:
        raise EndedError(code)

    monkeypatch.setattr(os, "_exit", end)


@EVERY
def test_an_interrupt_carries_the_number_of_its_signal(number: signal.Signals) -> None:
    signals.enter(State.RAISE)

    with pytest.raises(KeyboardInterrupt) as raised:
        signal.raise_signal(number)

    assert meaning_of(raised.value).exit_code == 128 + number
    assert str(meaning_of(raised.value)) == f"interrupted by {number.name}"


def test_what_an_interrupt_tidies_up_is_not_interrupted_but_can_be_ended() -> None:
    signals.enter(State.RAISE)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGTERM)

    signal.raise_signal(signal.SIGTERM)
    with pytest.raises(EndedError, match="143"):
        signal.raise_signal(signal.SIGTERM)


@EVERY
def test_the_first_one_drains_and_the_second_one_ends_at_once(number: signal.Signals) -> None:
    heard: list[signal.Signals] = []
    signals.enter(State.DRAIN, heard.append)

    signal.raise_signal(number)

    assert heard == [number]
    with pytest.raises(EndedError, match=str(128 + signal.SIGTERM)):
        signal.raise_signal(signal.SIGTERM)
    assert heard == [number]


@pytest.mark.parametrize(("words", "said"), [("", b"\n"), ("not known", b"\nnot known\n")])
@pytest.mark.parametrize(("is_watched", "is_ready"), [(True, True), (True, False), (False, True)])
def test_last_words_are_for_a_person_and_never_waited_for(
    monkeypatch: pytest.MonkeyPatch, words: str, said: bytes, is_watched: bool, is_ready: bool
) -> None:
    written: list[bytes] = []
    monkeypatch.setattr("batch.host.streams.is_watched", lambda: is_watched)
    monkeypatch.setattr("select.select", lambda *_: ([], [2] * is_ready, []))
    monkeypatch.setattr(os, "write", lambda _, text: written.append(text))
    signals.enter(State.DRAIN, last_words=words)

    signal.raise_signal(signal.SIGTERM)
    with pytest.raises(EndedError):
        signal.raise_signal(signal.SIGTERM)

    assert written == [said] * (is_watched and is_ready)


@EVERY
def test_what_is_done_outlasts_the_first_one_and_not_the_second(number: signal.Signals) -> None:
    signals.enter(State.OUTLAST)

    signal.raise_signal(number)

    with pytest.raises(EndedError, match=str(128 + number)):
        signal.raise_signal(number)


def test_each_state_has_a_first_one_of_its_own() -> None:
    for state in (State.DRAIN, State.OUTLAST, State.OUTLAST):
        signals.enter(state)
        signal.raise_signal(signal.SIGTERM)


@EVERY
def test_once_the_exit_code_is_known_nothing_changes_it(number: signal.Signals) -> None:
    signals.enter(State.IGNORE)

    assert signal.getsignal(number) is signal.SIG_IGN


@pytest.mark.parametrize("state", State)
def test_what_was_ignored_at_the_start_stays_ignored(state: State) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)

    signals.enter(state)
    signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGTERM)

    assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="there are no masks")
def test_what_was_blocked_at_the_start_is_heard() -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    signal.raise_signal(signal.SIGTERM)
    try:
        with pytest.raises(KeyboardInterrupt):
            signals.enter(State.RAISE)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@pytest.mark.parametrize("is_stuck", [True, False])
@pytest.mark.parametrize(
    ("number", "told", "again"),
    [
        (signal.SIGINT, "stopping", "Ctrl-C"),
        (signal.SIGTERM, "stopping (SIGTERM)", "a signal"),
    ],
)
def test_a_run_is_stopped_on_its_loop_and_ended_also_where_the_loop_is_stuck(
    number: signal.Signals, told: str, again: str, is_stuck: bool
) -> None:
    stopped: list[StoppedError] = []
    said: list[str] = []
    before: list[int] = []

    async def run() -> None:
        with stopped_by_signals(stopped.append, said.append, lambda: "waiting for 3 requests"):
            signal.raise_signal(number)
            if not is_stuck:
                await asyncio.sleep(0)
            before.extend(each.exit_code for each in stopped)
            signal.raise_signal(number)

    with pytest.raises(EndedError, match=str(128 + number)):
        asyncio.run(run())

    assert before == ([] if is_stuck else [128 + number])
    assert said == [f"{told}: waiting for 3 requests; {again} once more ends at once"]


@pytest.mark.parametrize(
    ("is_last", "fails", "raised"), [(False, False, 1), (True, False, 0), (True, True, 1)]
)
def test_only_after_a_good_end_that_is_the_last_an_interrupt_is_raised_no_more(
    is_last: bool, fails: bool, raised: int
) -> None:
    async def run() -> None:
        with stopped_by_signals(lambda _: None, lambda _: None, str, is_last=is_last):
            if fails:
                raise ValueError

    def went() -> Sequence[type]:
        try:
            signal.raise_signal(signal.SIGTERM)
        except KeyboardInterrupt as interrupt:
            return [type(interrupt)]
        return []

    try:
        asyncio.run(run())
    except ValueError:
        assert fails
    assert len(went()) == raised
