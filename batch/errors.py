"""Errors of the package, grouped by what happens next.

::

    BulkRevokeError
    ├── ConfigError    an option, a profile or the environment   exit 2, no PATCH was sent
    ├── InputError     the file that lists the licenses          exit 2, no PATCH was sent
    ├── GuardError     the plan breaks a limit, or "no"          exit 2, no PATCH was sent
    ├── ResultsError   the results file, before the run          exit 2, no PATCH was sent
    ├── BusyError      another run holds the lock                exit 4, no PATCH was sent
    ├── StoppedError   the run cannot go on; what was sent is recorded    exit 3
    │   ├── InterruptedRunError    a signal                         exit 128 + its number
    │   └── BugError               something of which nobody has thought
    └── ApiError       an answer of the server, or none
        ├── TransientError   the same request may be sent again
        │   ├── ThrottledError   everybody waits; it does not count as an attempt
        │   └── ForeignError     somebody in front of the API refuses
        ├── UnconfirmedError a 2xx that does not confirm: read the license back
        ├── RejectedError    this license is refused, or not found; the next one may not be
        └── AccessError      every other request would be refused as well: stop

Whatever else is raised becomes one of them by `meaning_of`.
"""

from __future__ import annotations

from itertools import islice
from signal import SIGINT, Signals
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from batch import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable

_E = TypeVar("_E", bound="BulkRevokeError")


class Detail(NamedTuple):
    """A line below what a refusal says.

    Attributes:
        text: Our own words: a row and its number, a license ID.
        shown: What stands there: a cell, a list of headers.
    """

    text: str
    shown: str = ""


MOST_DETAILS = 10
"""Rows, licenses or cells that a refusal names; the others are counted."""


def first_few(details: Iterable[Detail], total: int) -> list[Detail]:
    """The first of many lines, and below them how many more there are.

    Args:
        details: Lines; no more of them are made than are kept.
        total: How many there are in all.
    """
    lines = list(islice(details, MOST_DETAILS))
    more = total - len(lines)
    return lines + [Detail(f"and {more:,} more")] * (more > 0)


class BulkRevokeError(Exception):
    """Something that a user is told, with what to do about it.

    It is kept in parts, so that `told` can leave out what is not for everybody: a cell, and what a
    server or another program says, may hold a license key.

    Attributes:
        message: What happened, in our own words: files, rows, numbers, license IDs.
        shown: What a cell, a server or another program says of it; or empty.
        about: The error behind this one, or None.
        details: Lines below it.
        consequence: What follows from it, or empty.
        option: The option that it is about, such as ``--rate``; or empty.
        hint: What to do now, or empty.
        exit_code: The exit code of a command that ends with this error.
    """

    exit_code: int = 2

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        option: str = "",
        shown: str = "",
        about: BulkRevokeError | None = None,
        details: Iterable[Detail] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.option = option
        self.shown = shown
        self.about = about
        self.details = tuple(details)
        self.consequence = ""

    def __str__(self) -> str:
        """All of it, for a person who may see the input."""
        return told(self)

    def becomes(self, kind: type[_E]) -> _E:
        """The same in another branch of the tree, with other consequences."""
        return kind(
            self.message,
            hint=self.hint,
            option=self.option,
            shown=self.shown,
            about=self.about,
            details=self.details,
        )


def told(error: BulkRevokeError, *, to_all: bool = False) -> str:
    """Return the text of an error, its hint left out.

    Args:
        error: The error.
        to_all: Whether it goes to a log or to third parties: then no cell is in it, and nothing
            that others have said.
    """
    text = f"{error.option} {error.message}" if error.option else error.message
    if error.shown and not to_all:
        text += f": {error.shown}"
    if error.about is not None:
        text += f" ({told(error.about, to_all=to_all)})"
    if error.consequence:
        text += f"; {error.consequence}"
    lines = [text]
    for detail in error.details:
        hidden = "…" if detail.shown else ""
        lines.append(f"  {detail.text}{hidden if to_all else detail.shown}")
    return "\n".join(lines)


class ConfigError(BulkRevokeError):
    """An option, a profile or an environment variable cannot be used."""


def needs_extra(what: str, library: str, extra: str, cause: BaseException) -> ConfigError:
    """Return the refusal of something for which a library of an extra is missing.

    Args:
        what: What it is, and its verb: ``alerts need``.
        library: Name of the library.
        extra: Name of the extra.
        cause: Why it cannot be imported.
    """
    return ConfigError(
        f"{what} {library}, which cannot be imported: {cause}",
        hint=f"pip install 'bulk-revoke[{extra}]'",
    )


class InputError(BulkRevokeError):
    """The input cannot be read, or does not say which licenses are meant."""


class GuardError(BulkRevokeError):
    """The plan violates a limit that the user has set, or the user said no."""


class ResultsError(BulkRevokeError):
    """The results file cannot be used, and nothing has been sent yet."""


class BusyError(BulkRevokeError):
    """Another run on this host talks to the same API, or one anywhere writes the same results."""

    exit_code = 4


class StoppedError(BulkRevokeError):
    """The run cannot go on; what was sent is recorded."""

    exit_code = 3


class InterruptedRunError(StoppedError):
    """A signal ended the run."""

    def __init__(self, number: Signals) -> None:
        super().__init__(f"interrupted by {number.name}")
        self.exit_code = 128 + number


class BugError(StoppedError):
    """A bug of this program; its cause is the exception that nobody has thought of."""

    def __init__(self, bug: BaseException) -> None:
        super().__init__(
            f"a bug in bulk-revoke {__version__}: {type(bug).__name__}", shown=str(bug)
        )
        self.__cause__ = bug


def meaning_of(cause: BaseException) -> BulkRevokeError:
    """Return the error with which a command ends, whatever has ended it.

    Args:
        cause: What was raised. A KeyboardInterrupt may have the number of its signal with it.

    Returns:
        ``cause`` itself, if it is one of ours; else an error whose cause it is.
    """
    error: BulkRevokeError
    match cause:
        case BulkRevokeError():
            return cause
        case KeyboardInterrupt(args=(Signals() as number,)):
            error = InterruptedRunError(number)
        case KeyboardInterrupt():
            error = InterruptedRunError(SIGINT)
        case OSError():  # such as standard output that is gone or full
            error = StoppedError(cause.strerror or str(cause))
        case _:
            error = BugError(cause)
    error.__cause__ = cause
    return error


class ApiError(BulkRevokeError):
    """A request failed.

    Attributes:
        status: HTTP status, or None where no answer came.
        code: ``error_code`` for the results file: the server's own code where it sent one.
        from_api: Whether the API itself has answered: gateways have no error bodies with a code.
        arrived: Whether the request may have been carried out; False where no connection was made,
            or where it was refused.
        sent: When the request left, on the rate limiter's clock; its client sets it.
    """

    exit_code = 3
    arrived = False

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: str = "",
        hint: str = "",
        shown: str = "",
        about: BulkRevokeError | None = None,
    ) -> None:
        super().__init__(message, hint=hint, shown=shown, about=about)
        self.status = status
        self.code = code
        self.from_api = False
        self.sent = 0.0


class TransientError(ApiError):
    """No usable answer: the request may be sent again.

    Attributes:
        is_load: Whether it may mean that too much was sent, if others are answered meanwhile.
        lasting: Whether it is hardly an outage, such as a name that does not exist: somebody who
            is there need not wait for it.
    """

    arrived = True
    is_load = False
    lasting = False


class ThrottledError(TransientError):
    """The server asks everybody to wait: 429, or 503 with a time.

    Attributes:
        retry_after: Seconds it asks for; where it does not say 0, or all of its window if that is
            longer than five minutes.
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
        shown: str = "",
    ) -> None:
        super().__init__(message, status=status, code=code, shown=shown)
        self.retry_after = retry_after
        self.admitted = admitted
        # A limiter stands before the API; whoever answers 503 may have passed the request on.
        self.arrived = status != 429


class ForeignError(TransientError):
    """Somebody in front of the API has answered: it is about neither the token nor the license."""


class HeldBackError(Exception):
    """A request was not sent after all, since by now the server is down."""


class UnconfirmedError(ApiError):
    """A success that does not confirm the change: read the license back, send nothing.

    Attributes:
        updated: When the license was changed last by this answer, in seconds since 1970, or None.
    """

    arrived = True
    updated: float | None = None


class RejectedError(ApiError):
    """The server refused this request for this license; asking again is pointless."""


class AccessError(ApiError):
    """The server, or what stands in front of it, would answer every request like this."""


OWN = (TransientError, RejectedError, UnconfirmedError)
"""Errors that are about one request; every other one may succeed."""


def in_front(seen: ApiError, *, reached: bool, changes: bool = False) -> AccessError:
    """The error that something in front of the API lets nothing through, or no changes.

    Args:
        seen: What was answered.
        reached: Whether the API has been reached before.
        changes: Whether that was only by requests that change nothing.
    """
    if not reached and seen.status is not None and (seen.status < 400 or seen.status == 404):
        return not_the_api(seen)
    return AccessError(
        "something in front of the API refuses" + " changes" * changes,
        status=seen.status,
        code=seen.code,
        about=seen,
        hint="a proxy, a gateway or a firewall has to let GET and PATCH through; "
        "is --base-url right?",
    )


def not_the_api(seen: ApiError | None) -> AccessError:
    """The error that somebody else answers in the place of the API.

    Args:
        seen: What was answered, if anything was.
    """
    return AccessError(
        "this is not the license API",
        status=seen.status if seen else None,
        code=seen.code if seen else "bad_body",
        about=seen,
        hint="is --base-url right, or does a proxy answer in its place?",
    )
