"""Those who are told how a command ends, beside the person who looks: alerts and metrics."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from batch.errors import ConfigError, told
from batch.host.streams import is_watched

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from batch.reporting.alerts import Alerts
    from batch.reporting.summary import Ending, Report


SEEN = frozenset({2, 4, 130})
"""Exit codes of what somebody at a terminal has seen, or done, where no run has begun."""


class Observers:
    """Those who are told how a command ends.

    What fails in telling is said, and changes nothing.

    No dataclass: those take longer to make than the rest of this page.

    Attributes:
        command: The command's name; empty where there is none whose end is told.
        addresses: Addresses that are told.
        notify_file: File with more of them, or None.
        metrics_file: Where the metrics go, or None.
        quiet: Whether nobody is alerted at exit code 0.
        report: What a run that came to its end has said of it, or None.
        resume_command: The command that goes on after a stop, or empty.
        page: Whole path of the page that the run has written, or empty.
        mark: Stands at the beginning of every line that is said, so that none of a rehearsal is
            taken for one of a run.
        redact: Takes secrets out of what is said, once they are known.
        token_expires: When the token expires, as far as it tells; None until it is found.
        started: When the command began, by a clock that nobody sets.
        started_at: The same as a time of day.
        wants_json: Whether an object is printed at the end.
        known: What is known of a command that has no report, by the fields of a `Summary`.
        answer: What is printed in the place of that object, or None.
    """

    def __init__(self) -> None:
        self.command = ""
        self.addresses: tuple[str, ...] = ()
        self.notify_file: str | None = None
        self.metrics_file: str | None = None
        self.quiet = False
        self.report: Report | None = None
        self.resume_command = ""
        self.page = ""
        self.mark = ""
        self.redact: Callable[[str], str] = str
        self.token_expires: datetime | None = None
        self.started = time.monotonic()
        self.started_at = datetime.now(UTC)
        self.wants_json = False
        self.known: dict[str, Any] = {"requests": 0, "patches": 0, "throttled": 0}
        self.answer: dict[str, Any] | None = None
        self._alerts: Alerts | None = None
        self._taken = ""

    def gather(self, command: str, options: Mapping[str, Any], addresses: Sequence[str]) -> None:
        """Learn who is told.

        Args:
            command: The command's name.
            options: Its parameters, as far as they count.
            addresses: Those that its profile names.
        """
        self.addresses = tuple(addresses)
        if options.get("sandbox"):
            from batch.reporting.style import REHEARSAL  # noqa: PLC0415 - --help needs none of it

            self.mark = REHEARSAL
        self.wants_json = bool(options.get("json"))
        self.notify_file = options.get("notify_file")
        # Those of a trial would be taken for those of the real run.
        is_trial = options.get("dry_run") or options.get("sandbox")
        self.metrics_file = None if is_trial else options.get("metrics_file")
        self._spare(_files(options))
        self.command = command

    def _spare(self, paths: Iterable[str]) -> None:
        """Write no metrics into a file that the command uses otherwise, not even when refused."""
        if self.metrics_file and same_file(self.metrics_file, paths):
            self._taken, self.metrics_file = self.metrics_file, None

    @property
    def secrets(self) -> tuple[str, ...]:
        """Secrets in the addresses, which must appear nowhere."""
        return self._alerts.secrets if self._alerts else ()

    @property
    def warning(self) -> str:
        """A warning about the place where the addresses stand, or empty."""
        return self._alerts.warning if self._alerts else ""

    def stand_down(self) -> None:
        """Tell nobody how this command ends."""
        self.addresses, self.notify_file, self.metrics_file = (), None, None

    def check(self, *paths: str | os.PathLike[str]) -> None:
        """Refuse what cannot be told, before anything else is done.

        Args:
            paths: Of what is written beside.

        Raises:
            ConfigError: An address, or the place of the metrics, cannot be used.
        """
        self._spare([os.fspath(path) for path in paths])
        if self._taken:
            raise ConfigError(
                f"{self._taken} is a file that something else is read from or written into",
                option="--metrics-file",
                hint="name another file with --metrics-file.",
            )
        if self.metrics_file is not None:
            from batch.reporting import metrics  # noqa: PLC0415 - --help needs none of all this

            metrics.check(self.metrics_file)
        if self.addresses or self.notify_file:
            from batch.reporting.alerts import Alerts  # noqa: PLC0415

            self._alerts = Alerts.read(self.addresses, self.notify_file)

    def title(self, code: int) -> str:
        """Say on one line how a command without a report has ended; empty without a command."""
        if not self.command:
            return ""
        ends = {2: "refused, no license was changed", 3: "stopped", 4: "not started"}
        return f"bulk-revoke {self.command}: {ends.get(code, 'interrupted')} (exit {code})"

    def notify(self, code: int, title: str, text: str, say: Callable[[str], None]) -> None:
        """Tell how it ended.

        Args:
            code: The exit code.
            title: What happened, on one line; of a run that has a report, that one counts.
            text: What may be said of it to everybody.
            say: Told what could not be told.
        """
        if not (self.command and (self.addresses or self.notify_file or self.metrics_file)):
            return
        if self.report is None and code in SEEN and is_watched():
            return  # whoever has typed it sees what was wrong with it
        from batch.reporting.summary import Ending  # noqa: PLC0415

        if self.report is not None:
            title, _, text = self.report.to_all.partition("\n")
        ending = Ending(
            command=self.command,
            exit_code=code,
            title=title,
            text=text,
            seconds=time.monotonic() - self.started,
            finished_at=time.time(),
            summary=self.report.summary if self.report else None,
            token_expires=self.token_expires.timestamp() if self.token_expires else None,
            page=self.page,
        )
        is_told = code != 0 or not self.quiet
        self._write(ending, say if is_told else _nobody)
        if is_told:
            self._alert(ending, say)

    def _write(self, ending: Ending, say: Callable[[str], None]) -> None:
        if self.metrics_file is None:
            return
        from batch.reporting import metrics  # noqa: PLC0415

        try:
            metrics.check(self.metrics_file)
            metrics.write(self.metrics_file, ending)
        except OSError as cause:
            say(f"warning: --metrics-file {self.metrics_file}: {cause.strerror}")
        except ConfigError as cause:
            if ending.summary is not None:  # else it is what the command was refused for
                say(f"warning: {told(cause)}")

    def _alert(self, ending: Ending, say: Callable[[str], None]) -> None:
        if not (self.addresses or self.notify_file):
            return
        from batch.reporting.alerts import Alerts  # noqa: PLC0415

        alerts = self._alerts
        if alerts is None:
            with suppress(ConfigError):  # it has been told, or what was told came before it
                alerts = Alerts.read(self.addresses, self.notify_file)
        failed = alerts.send(ending) if alerts else ""
        if failed:
            say(f"warning: {failed}")


def _files(options: Mapping[str, Any]) -> list[str]:
    """Every file that a command is told to read, or to write."""
    names = (
        "source", "output", "report", "log_file", "token_file", "ca_file", "notify_file", "config",
        "approved",
    )  # fmt: skip
    single = [options.get(name) for name in names]
    return [path for path in (*single, *(options.get("exclude") or ())) if path]


def same_file(path: str, others: Iterable[str]) -> bool:
    """Tell whether a path leads to one of some files, by whatever links; it need not exist yet."""
    for other in others:
        with suppress(OSError):  # one of them is not there, or the working directory is not
            if os.path.samefile(path, other):  # noqa: PTH121 - pathlib costs --help a tenth
                return True
        with suppress(OSError):
            if os.path.realpath(path) == os.path.realpath(other):
                return True
    return False


def _nobody(_text: str) -> None:
    """Hears nothing."""
