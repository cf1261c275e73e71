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
import re
import sys
import traceback
from contextlib import suppress
from datetime import UTC, datetime
from http import HTTPStatus
from logging.handlers import WatchedFileHandler
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pythonjsonlogger.json import JsonFormatter

from batch import __version__
from batch.errors import BugError, ConfigError, meaning_of
from batch.formatting import plain, timestamp
from batch.host.files import owner_only

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from io import TextIOWrapper

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
        self._forms: list[str] = []
        self.hide(*secrets)

    def hide(self, *secrets: str) -> None:
        """Take these out as well, from now on."""
        forms = {form for secret in secrets for form in _forms(secret)} - {""}
        self._forms = sorted({*self._forms, *forms}, key=len, reverse=True)

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


class _JsonLines(JsonFormatter):
    """Makes a line of the fields that are named here, whatever else a record carries."""

    def __init__(self, run_id: str, redact: Callable[[str], str]) -> None:
        super().__init__(
            "%(asctime)s %(levelname)s %(message)s",
            defaults={"event": "message"},
            static_fields={"run_id": run_id},
            rename_fields={"asctime": "time", "levelname": "level", "exc_info": "traceback"},
            json_ensure_ascii=False,
        )
        self._redact = redact

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: ARG002, N802
        return timestamp(datetime.fromtimestamp(record.created, UTC))

    def formatException(self, ei: Any) -> str:  # noqa: ANN401, N802
        return _told(ei[1])

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        line = {name: log_data[name] for name in ("time", "level", "event", "run_id")}
        line["level"] = line["level"].lower()
        for name, kind in FIELDS.items():
            value = _code(log_data) if name == "error_code" else log_data.get(name)
            if value is not None and value != "":
                line[name] = plain(self._redact(value)) if kind is str else kind(value)
        line["message"] = self._redact(log_data["message"])[:LONGEST_MESSAGE]
        if log_data.get("traceback"):
            # What is nearest to the fault stands at the end.
            line["traceback"] = self._redact(log_data["traceback"])[-LONGEST_TRACEBACK:]
        return line


def _code(fields: Mapping[str, Any]) -> str:
    """The error code in some fields; that of their status where it may be more than a code."""
    code = fields.get("error_code") or ""
    if code in CODES or code in HTTPStatus.__members__ or _CODE.fullmatch(code):
        return code
    status = fields.get("http_status")
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

    Each line is one append. The file may fail while the run goes on: that is said once, and every
    line tries again.
    """

    def __init__(self, path: str, screen: Screen) -> None:
        super().__init__(path, encoding="utf-8", errors="backslashreplace")
        self._path = path
        self._screen = screen
        self._failed = False

    def _open(self) -> TextIOWrapper:
        """Open it; one that is new is readable by its owner alone."""
        return open(
            self.baseFilename, "a", encoding=self.encoding, errors=self.errors, opener=owner_only
        )

    def emit(self, record: logging.LogRecord) -> None:
        try:
            super().emit(record)
        except Exception:  # noqa: BLE001 - opening the file anew raises, and the run goes on
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802
        if not self._failed:
            self._failed = True
            cause = sys.exception()
            reason = getattr(cause, "strerror", None) or type(cause).__name__
            self._screen.say(f"warning: --log-file {self._path}: {reason}; lines are lost")


class _ToScreen(logging.Handler):
    def __init__(self, screen: Screen) -> None:
        super().__init__()
        self._screen = screen

    def emit(self, record: logging.LogRecord) -> None:
        if getattr(record, "event", "") in FRAME:
            return
        text, code = record.getMessage(), _code(vars(record))
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
        handler.setFormatter(_JsonLines(run_id, screen.redact))
        _logger.addHandler(handler)
    shown = _ToScreen(screen)
    shown.setLevel(logging.DEBUG if verbose else logging.WARNING)
    _logger.addHandler(shown)
    _logger.propagate = False
    _logger.setLevel(logging.DEBUG if verbose or log_file else logging.WARNING)


def started(command: str, source: str) -> None:
    """Log that a command begins with an input, which is a path."""
    _logger.info("bulk-revoke %s: %s %s", __version__, command, source, extra={"event": "started"})


def warn_of_token(text: str) -> None:
    """Warn that the token expires soon; nothing, if there is nothing to say."""
    if text:
        _logger.warning("%s", text, extra={"event": "token_expires"})


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
