"""What can go wrong, grouped by what happens next.

::

    BulkRevokeError
    ├── ConfigError    an option, a profile or the environment   exit 2, no PATCH was sent
    ├── InputError     the file that lists the licenses          exit 2, no PATCH was sent
    ├── GuardError     the plan breaks a limit, or "no"          exit 2, no PATCH was sent
    ├── ResultsError   the results file, before the run          exit 2, no PATCH was sent
    ├── StoppedError   the run cannot go on                      exit 3, what is in flight is settled
    └── ApiError       an answer of the server, or none
        ├── TransientError   the same request may be sent again
        ├── RejectedError    this license is refused, or not found; the next one may not be
        └── AccessError      every other request would be refused as well: stop
"""

from __future__ import annotations

from typing import ClassVar


class BulkRevokeError(Exception):
    """Something that a user is told, with what to do about it.

    Attributes:
        message: What happened, to which file, row and value. One or more lines.
        hint: What to do now, or empty.
        exit_code: The exit code of a command that ends with this error.
    """

    exit_code: ClassVar[int] = 2

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


class StoppedError(BulkRevokeError):
    """The run cannot go on; what was sent is recorded."""

    exit_code = 3


class ApiError(BulkRevokeError):
    """A request did not bring what was asked for.

    Attributes:
        status: HTTP status, or None where no answer came.
        code: ``error_code`` for the results file: the server's own code where it sent one.
        retry_after: Seconds the server asks to wait, or None where it does not say.
    """

    exit_code = 3

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: str = "",
        retry_after: float | None = None,
        hint: str = "",
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.code = code
        self.retry_after = retry_after


class TransientError(ApiError):
    """No usable answer: the request may have been carried out, and may be sent again."""


class RejectedError(ApiError):
    """The server refused this request for this license; asking again is pointless."""


class AccessError(ApiError):
    """The server, or what stands in front of it, would answer every request like this."""
