"""What a machine reads of a run: JSON lines; and what `-v` shows of it to a person."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from batch.errors import ConfigError

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
    """Takes a secret out of any text."""

    def __init__(self, secret: str = "") -> None:
        self._secret = secret

    def __call__(self, text: str) -> str:
        """Return the text without the secret."""
        return text.replace(self._secret, "[token]") if self._secret else text


class _JsonLines(logging.Formatter):
    def __init__(self, run_id: str, redact: Callable[[str], str]) -> None:
        super().__init__()
        self._run_id = run_id
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC)
        line: dict[str, Any] = {
            "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "event": getattr(record, "event", "message"),
            "run_id": self._run_id,
        }
        for name in FIELDS:
            value = getattr(record, name, None)
            if value is not None and value != "":
                line[name] = value
        line["message"] = record.getMessage()
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return self._redact(json.dumps(line, ensure_ascii=False))


class _ToScreen(logging.Handler):
    def __init__(self, screen: Screen) -> None:
        super().__init__()
        self._screen = screen

    def emit(self, record: logging.LogRecord) -> None:
        level = "" if record.levelno < logging.WARNING else f"{record.levelname.lower()}: "
        self._screen.say(f"{level}{record.getMessage()}")


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
    shown = _ToScreen(screen)
    shown.setLevel(logging.DEBUG if verbose else logging.WARNING)
    _logger.addHandler(shown)
    _logger.propagate = False
    _logger.setLevel(logging.DEBUG if verbose or log_file else logging.WARNING)
    if log_file is not None:
        try:
            handler = logging.FileHandler(log_file, encoding="utf-8", errors="backslashreplace")
        except OSError as cause:
            raise ConfigError(f"--log-file {log_file}: {cause.strerror}") from cause
        handler.setFormatter(_JsonLines(run_id, redact))
        _logger.addHandler(handler)


def stop() -> None:
    """Close what `start` opened."""
    for handler in list(_logger.handlers):
        _logger.removeHandler(handler)
        handler.close()
