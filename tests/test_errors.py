"""The meaning of whatever ends a command."""

from __future__ import annotations

import signal

import pytest

from batch import __version__
from batch.errors import BugError, BusyError, InputError, StoppedError, meaning_of, told

BUG = f"a bug in bulk-revoke {__version__}: "


@pytest.mark.parametrize(
    ("cause", "code", "text"),
    [
        (KeyboardInterrupt(signal.SIGTERM), 143, "interrupted by SIGTERM"),
        (KeyboardInterrupt(), 130, "interrupted by SIGINT"),
        (KeyboardInterrupt("twice"), 130, "interrupted by SIGINT"),
        (OSError(28, "No space left on device"), 3, "No space left on device"),
        (OSError("gone"), 3, "gone"),
        (ValueError("row 5 0A2035-E8A2A3"), 3, f"{BUG}ValueError: row 5 0A2035-E8A2A3"),
        (EOFError(), 3, f"{BUG}EOFError"),
    ],
)
def test_whatever_is_raised_has_an_exit_code_and_a_text(
    cause: BaseException, code: int, text: str
) -> None:
    error = meaning_of(cause)

    assert isinstance(error, StoppedError)
    assert (error.exit_code, told(error)) == (code, text)
    assert error.__cause__ is cause
    assert meaning_of(error) is error


@pytest.mark.parametrize("error", [InputError("no list"), BusyError("not now")])
def test_an_error_of_ours_means_itself(error: InputError | BusyError) -> None:
    assert meaning_of(error) is error
    assert error.__cause__ is None


def test_what_a_bug_says_is_not_for_everybody() -> None:
    assert told(BugError(ValueError("0A2035-E8A2A3")), to_all=True) == f"{BUG}ValueError"
