"""What a machine reads of a run: JSON lines; and what `-v` shows of it to a person."""

from __future__ import annotations

import json
import logging
import sys
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from batch.errors import ConfigError
from batch.text import plain, timestamp

if TYPE_CHECKING:
    from collections.abc import Callable

    from batch.progress import Screen

FIELDS = (
    "license_id",
    "row",
    "outcome",
    "attempt",
    "method",
    "http_status",
    "error_code",
    "wait_s",
    "duration_ms",
)
"""What a line may hold besides ``time``, ``level``, ``event``, ``run_id`` and ``message``."""

_logger = logging.getLogger("batch")


class Redactor:
    """Takes a secret out of any text, also where it is escaped as in JSON, a `repr` or a URL."""

    def __init__(self, secret: str = "") -> None:
        # A repr escapes its single quotes only where there are double ones beside them.
        among_quotes = repr("'\"" + secret)[1:-1].removeprefix("\\'\"")
        literals = {json.dumps(secret)[1:-1], repr(secret)[1:-1], among_quotes}
        forms = {secret, quote(secret), quote(secret, safe=""), *literals} - {""}
        self._forms = sorted(forms, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        """Return the text without the secret."""
        for form in self._forms:
            text = text.replace(form, "[token]")
        return text


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
        for name in FIELDS:
            value = getattr(record, name, None)
            if value is not None and value != "":
                line[name] = self._redact(value) if isinstance(value, str) else value
        line["message"] = self._redact(record.getMessage())
        if record.exc_info:
            line["traceback"] = self._redact(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False)


class _LogFile(logging.FileHandler):
    """A log file that may fail while the run goes on: that is said once, and nothing else."""

    def __init__(self, path: str, screen: Screen) -> None:
        super().__init__(path, encoding="utf-8", errors="backslashreplace")
        self._path = path
        self._screen = screen
        self._failed = False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802
        if not self._failed:
            self._failed = True
            self._screen.say(f"warning: --log-file {self._path}: {sys.exception()}; lines are lost")


class _ToScreen(logging.Handler):
    def __init__(self, screen: Screen) -> None:
        super().__init__()
        self._screen = screen

    def emit(self, record: logging.LogRecord) -> None:
        level = "" if record.levelno < logging.WARNING else f"{record.levelname.lower()}: "
        # Redacted before it is cut, so that no half of a secret is left.
        self._screen.say(f"{level}{plain(self._screen.redact(record.getMessage()))}")


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
                f"--log-file {log_file}: {cause.strerror}", hint="name a file that can be written."
            ) from cause
        handler.setFormatter(_JsonLines(run_id, redact))
        _logger.addHandler(handler)
    shown = _ToScreen(screen)
    shown.setLevel(logging.DEBUG if verbose else logging.WARNING)
    _logger.addHandler(shown)
    _logger.propagate = False
    _logger.setLevel(logging.DEBUG if verbose or log_file else logging.WARNING)


def stop() -> None:
    """Close what `start` opened."""
    for handler in list(_logger.handlers):
        _logger.removeHandler(handler)
        with suppress(OSError):  # what a full disk does not take is lost
            handler.close()
