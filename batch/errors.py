"""What can go wrong, grouped by what happens next.

::

    BulkRevokeError
    ├── ConfigError    an option, a profile or the environment   exit 2, no PATCH was sent
    ├── InputError     the file that lists the licenses          exit 2, no PATCH was sent
    ├── GuardError     the plan breaks a limit, or "no"          exit 2, no PATCH was sent
    ├── ResultsError   the results file, before the run          exit 2, no PATCH was sent
    ├── BusyError      another run holds the lock                exit 4, no PATCH was sent
    ├── StoppedError   the run cannot go on; what was sent is recorded    exit 3
    │   └── InterruptedRunError    a signal                         exit 128 + its number
    └── ApiError       an answer of the server, or none
        ├── TransientError   the same request may be sent again
        │   └── ThrottledError   everybody waits; it does not count as an attempt
        ├── UnconfirmedError a 2xx that does not confirm: read the license back
        ├── RejectedError    this license is refused, or not found; the next one may not be
        └── AccessError      every other request would be refused as well: stop
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from signal import Signals


class BulkRevokeError(Exception):
    """Something that a user is told, with what to do about it.

    Attributes:
        message: What happened, to which file, row and value. One or more lines.
        hint: What to do now, or empty.
        exit_code: The exit code of a command that ends with this error.
    """

    exit_code: int = 2

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class ConfigError(BulkRevokeError):
    """An option, a profile or an environment variable cannot be used."""


class InputError(BulkRevokeError):
    """The input cannot be read, or does not say which licenses are meant."""


class GuardError(BulkRevokeError):
    """The plan violates a limit that the user has set, or the user said no."""


class ResultsError(BulkRevokeError):
    """The results file cannot be used, and nothing has been sent yet."""


class BusyError(BulkRevokeError):
    """Another run on this host talks to the same API, or writes the same results."""

    exit_code = 4


class StoppedError(BulkRevokeError):
    """The run cannot go on; what was sent is recorded."""

    exit_code = 3


class InterruptedRunError(StoppedError):
    """A signal ended the run."""

    def __init__(self, number: Signals) -> None:
        super().__init__(f"interrupted by {number.name}")
        self.exit_code = 128 + number


class ApiError(BulkRevokeError):
    """A request did not bring what was asked for.

    Attributes:
        status: HTTP status, or None where no answer came.
        code: ``error_code`` for the results file: the server's own code where it sent one.
        from_api: Whether the API itself has answered: gateways have no error bodies with a code.
        sent: When the request left, on the rate limiter's clock; its client sets it.
    """

    exit_code = 3

    def __init__(
        self, message: str, *, status: int | None = None, code: str = "", hint: str = ""
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.code = code
        self.from_api = False
        self.sent = 0.0


class TransientError(ApiError):
    """No usable answer: the request may be sent again.

    Attributes:
        arrived: Whether it may have been carried out; False where no connection was made.
    """

    arrived = True


class ThrottledError(TransientError):
    """The server asks everybody to wait: 429, or 503 with a time.

    Attributes:
        retry_after: Seconds it asks for; 0 where it does not say.
        admitted: Requests and seconds that it says it admits, or None.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        code: str,
        retry_after: float,
        admitted: tuple[int, float] | None = None,
    ) -> None:
        super().__init__(message, status=status, code=code)
        self.retry_after = retry_after
        self.admitted = admitted
        # A limiter stands before the API; whoever answers 503 may have passed the request on.
        self.arrived = status != 429


class UnconfirmedError(ApiError):
    """A success that does not say what was asked for: read the license back, send nothing."""


class RejectedError(ApiError):
    """The server refused this request for this license; asking again is pointless."""


class AccessError(ApiError):
    """The server, or what stands in front of it, would answer every request like this."""


def not_the_api(seen: str, *, status: int | None, code: str) -> AccessError:
    """The error that somebody else has answered in the place of the API."""
    return AccessError(
        f"this is not the license API ({seen})",
        status=status,
        code=code,
        hint="is --base-url right, or does a proxy answer in its place?",
    )
