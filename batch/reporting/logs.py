"""The log of a run: JSON lines for a machine, and what `-v` shows of it to a person.

Logs travel far, so a line holds nothing but the tool's own words, numbers, license IDs and codes.
What others say is left out, be it a server, an exception or a cell: a license key may be in it. The
results file has it.

Lines stay below `LONGEST_LINE`: Fluent Bit gives a file up that holds a longer one (its manual,
"Tail", ``buffer_max_size``), and Vector drops lines beyond 100 KiB (``max_line_bytes``).
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import time
import traceback
from contextlib import suppress
from datetime import UTC, datetime
from http import HTTPStatus
from logging.handlers import WatchedFileHandler
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from batch import __version__
from batch.errors import BugError, ConfigError, meaning_of
from batch.formatting import plain, timestamp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from batch.reporting.progress import Screen


FIELDS: dict[str, type[str | int | float]] = {
    "license_id": str,
    "row": int,
    "outcome": str,
    "attempt": int,
    "method": str,
    "http_status": int,
    "error_code": str,
    "wait_s": float,
    "duration_ms": float,
    "exit_code": int,
}
"""Fields of a line besides ``time``, ``level``, ``event``, ``run_id``, ``message`` and
``traceback``, and their types: the same in every line; a log store learns them from the first."""

LONGEST_LINE = 32 << 10
"""Bytes of a line, its end included: whatever is in it, it has fewer."""

LONGEST_MESSAGE, LONGEST_TRACEBACK = 1000, 4000
"""Characters, each at most six bytes of JSON."""

CODES = frozenset({
    "bad_body", "breaker", "connection", "forbidden", "key_ambiguous", "key_not_found",
    "not_confirmed", "timeout", "tls", "wrong_id",
})  # fmt: skip
"""Error codes of our own, beside ``http_404`` and the like."""

FRAME = frozenset({"started", "ended"})
"""Events that the screen does not show: who has typed the command reads its end as well."""

_FRAMES, _CHAIN = 30, 5
"""The innermost frames of an exception that are told; exceptions before it, and in a group."""

_CODE = re.compile(r"http_\d{3}|[A-Z]{1,20}(?:_[A-Z]{1,20}){1,5}")

_logger = logging.getLogger("batch")


class Redactor:
    """Takes secrets out of any text, also where it is escaped as in JSON, a `repr` or a URL."""

    def __init__(self, *secrets: str) -> None:
        forms = {form for secret in secrets for form in _forms(secret)} - {""}
        self._forms = sorted(forms, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        """Return the text without the secrets."""
        for form in self._forms:
            text = text.replace(form, "[token]")
        return text


def _forms(secret: str) -> Iterator[str]:
    # A repr escapes its single quotes only where there are double ones beside them.
    yield repr("'\"" + secret)[1:-1].removeprefix("\\'\"")
    yield from (json.dumps(secret)[1:-1], repr(secret)[1:-1])
    yield from (secret, quote(secret), quote(secret, safe=""))


class _JsonLines(logging.Formatter):
    def __init__(self, run_id: str, redact: Callable[[str], str]) -> None:
        super().__init__()
        self._run_id = run_id
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": timestamp(datetime.fromtimestamp(record.created, UTC)),
            "level": record.levelname.lower(),
            "event": getattr(record, "event", "message"),
            "run_id": self._run_id,
        }
        for name, kind in FIELDS.items():
            value = _code(record) if name == "error_code" else getattr(record, name, None)
            if value is not None and value != "":
                line[name] = plain(self._redact(value)) if kind is str else kind(value)
        line["message"] = self._redact(record.getMessage())[:LONGEST_MESSAGE]
        if record.exc_info and record.exc_info[1]:
            # What is nearest to the fault stands at the end.
            line["traceback"] = self._redact(_told(record.exc_info[1]))[-LONGEST_TRACEBACK:]
        return json.dumps(line, ensure_ascii=False)


def _code(record: logging.LogRecord) -> str:
    """The error code of a record; that of its status where it may be more than a code."""
    code = getattr(record, "error_code", None) or ""
    if code in CODES or code in HTTPStatus.__members__ or _CODE.fullmatch(code):
        return code
    status = getattr(record, "http_status", None)
    return f"http_{status}" if code and status else ""


def _told(error: BaseException) -> str:
    """Tell where an exception and those before it came from, without texts: any may hold a key."""
    parts: list[str] = []
    before: BaseException | None = error
    while before is not None and len(parts) < _CHAIN:
        frames = traceback.format_tb(before.__traceback__, limit=-_FRAMES)
        inner = [_told(each) for each in getattr(before, "exceptions", ())[:_CHAIN]]
        parts.append("\n".join([*inner, "".join(frames) + type(before).__qualname__]))
        hidden = None if before.__suppress_context__ else before.__context__
        before = before.__cause__ or hidden
    return "\n".join(reversed(parts))


class _LogFile(WatchedFileHandler):
    """A log file that others may rename, cut back to nothing, or write into as well.

    It may fail while the run goes on: that is said once, and every line tries again.
    """

    _left = -1  # bytes that the file had after our last line, if we have written one

    def __init__(self, path: str, screen: Screen) -> None:
        super().__init__(path, encoding="utf-8")
        self._path = path
        self._screen = screen
        self._failed = False

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = f"{self.format(record)}\n".encode("utf-8", "backslashreplace")
            self._follow()
            self._write(line)
        except Exception:  # noqa: BLE001 - whatever is wrong with a log, the run goes on
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802
        if not self._failed:
            self._failed = True
            cause = sys.exception()
            reason = getattr(cause, "strerror", None) or type(cause).__name__
            self._screen.say(f"warning: --log-file {self._path}: {reason}; lines are lost")

    def _follow(self) -> None:
        """Have the file open that has the name now."""
        if self.stream is None or self.stream.closed:  # it could not be opened, or not be closed
            self.stream = self._open()
            self._statstream()
        elif os.name != "nt":  # there nobody can rename a file that is open
            self.reopenIfNeeded()

    def _statstream(self) -> None:
        super()._statstream()
        self._left = -1

    def _write(self, line: bytes) -> None:
        """Append a line in one piece, so that lines of several processes do not get mixed up."""
        assert self.stream is not None
        number = self.stream.fileno()
        size = os.fstat(number).st_size
        if size not in {0, self._left} and self._is_torn(number):
            line = b"\n" + line
        rest = line
        while rest:  # a second time only where the disk was full: then that is what it says
            rest = rest[os.write(number, rest) :]
        self._left = size + len(line)

    def _is_torn(self, number: int) -> bool:
        """Tell whether the last line has no end, because its writer was killed or its disk full."""
        with suppress(OSError), Path(self.baseFilename).open("rb", buffering=0) as file:
            if os.path.samestat(os.fstat(file.fileno()), os.fstat(number)):
                # Somebody else may just be writing it, on a machine that lets him wait.
                for pause in (0.0, 0.002, 0.05, 0.2):
                    time.sleep(pause)
                    file.seek(-1, os.SEEK_END)
                    if file.read(1) == b"\n":
                        return False
                return True
        return False


class _ToScreen(logging.Handler):
    def __init__(self, screen: Screen) -> None:
        super().__init__()
        self._screen = screen

    def emit(self, record: logging.LogRecord) -> None:
        if getattr(record, "event", "") in FRAME:
            return
        text, code = record.getMessage(), _code(record)
        if record.levelno >= logging.WARNING:
            text = f"{record.levelname.lower()}: {text}"
        elif code and code.replace("http_", "HTTP ") not in text:
            text += f" ({code})"
        # Redacted before it is cut, so that no half of a secret is left.
        self._screen.say(plain(self._screen.redact(text)))


def start(
    screen: Screen,
    *,
    run_id: str,
    log_file: str | None,
    verbose: bool,
    redact: Callable[[str], str],
) -> None:
    """Send what the package logs to the screen and, where one is named, to a file.

    Raises:
        ConfigError: The log file cannot be written.
    """
    stop()
    if log_file is not None:
        try:
            handler = _LogFile(log_file, screen)
        except OSError as cause:
            raise ConfigError(
                f"{log_file}: {cause.strerror}",
                option="--log-file",
                hint="name a file that can be written.",
            ) from cause
        handler.setFormatter(_JsonLines(run_id, redact))
        _logger.addHandler(handler)
    shown = _ToScreen(screen)
    shown.setLevel(logging.DEBUG if verbose else logging.WARNING)
    _logger.addHandler(shown)
    _logger.propagate = False
    _logger.setLevel(logging.DEBUG if verbose or log_file else logging.WARNING)


def started(command: str, source: str) -> None:
    """Log that a command begins with an input, which is a path."""
    _logger.info("bulk-revoke %s: %s %s", __version__, command, source, extra={"event": "started"})


def ended(
    exit_code: int, counts: Mapping[str, int] | None = None, *, cause: BaseException | None = None
) -> None:
    """Log how a command has ended: its rows by outcome, or the kind of what it ended with."""
    level = logging.ERROR if exit_code in {2, 3, 4} else logging.WARNING
    told = [f"{name} {count}" for name, count in (counts or {}).items()]
    error = meaning_of(cause) if cause else None
    bug = error.__cause__ if isinstance(error, BugError) else None
    told += [type(bug or cause).__name__] if cause else []
    _logger.log(
        level if exit_code else logging.INFO,
        "exit code %d%s",
        exit_code,
        f": {', '.join(told)}" if told else "",
        exc_info=bug,
        extra={"event": "ended", "exit_code": exit_code},
    )


def stop() -> None:
    """Close what `start` opened."""
    for handler in list(_logger.handlers):
        _logger.removeHandler(handler)
        with suppress(OSError):  # what a full disk does not take is lost
            handler.close()
