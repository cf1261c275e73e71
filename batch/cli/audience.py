"""Who is told how a command ends, beside the person who looks: alerts and metrics."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from batch.cli.levels import is_trial_of_profile, settled
from batch.cli.streams import is_watched
from batch.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import click

    from batch.alerts import Alerts
    from batch.ending import Ending
    from batch.summary import Report

NOTIFY = "notify"
"""A profile's key for addresses that are told. No option: others could read it in the process
list."""


class Audience:
    """Who is told how a command ends. What fails in telling is said, and changes nothing.

    No dataclass: those take longer to make than the rest of this page.

    Attributes:
        command: The command's name; empty where there is none whose end is told.
        notify: Addresses that are told.
        notify_file: File with more of them, or None.
        metrics_file: Where the metrics go, or None.
        quiet: Whether nobody is alerted at exit code 0.
        report: What a run that came to its end has said of it, or None.
        following: The command that goes on after a stop, or empty.
        redact: Takes secrets out of what is said, once they are known.
        started_at: Seconds since 1970, UTC.
    """

    def __init__(self) -> None:
        self.command = ""
        self.notify: tuple[str, ...] = ()
        self.notify_file: str | None = None
        self.metrics_file: str | None = None
        self.quiet = False
        self.report: Report | None = None
        self.following = ""
        self.redact: Callable[[str], str] = str
        self.started_at = time.time()
        self._alerts: Alerts | None = None
        self._taken = ""

    def gather(self, context: click.Context) -> None:
        """Learn from what was parsed of the command line, the environment and the profile."""
        found = context.lookup_default(NOTIFY)
        if isinstance(found, list) and all(isinstance(each, str) for each in found):
            self.notify = () if is_trial_of_profile(context) else tuple(found)
        options = settled(context)
        self.notify_file = options.get("notify_file")
        self.metrics_file = options.get("metrics_file")
        if self.metrics_file and _same(self.metrics_file, _files(options)):
            # Before anything else: a refusal of it is told as well, and must not end in that file.
            self._taken, self.metrics_file = self.metrics_file, None
        self.command = context.command.name or ""

    @property
    def secrets(self) -> tuple[str, ...]:
        """Secrets in the addresses, which must appear nowhere."""
        return self._alerts.secrets if self._alerts else ()

    @property
    def warning(self) -> str:
        """What is dangerous about where the addresses stand, or empty."""
        return self._alerts.warning if self._alerts else ""

    def check(self) -> None:
        """Refuse what cannot be told, before anything else is done.

        Raises:
            ConfigError: An address, or the place of the metrics, cannot be used.
        """
        if self._taken:
            raise ConfigError(
                f"--metrics-file {self._taken}: is a file that something else is read from or"
                " written into",
                hint="name another file with --metrics-file.",
            )
        if self.metrics_file is not None:
            from batch import metrics  # noqa: PLC0415 - --help needs none of all this

            metrics.check(self.metrics_file)
        if self.notify or self.notify_file:
            from batch.alerts import Alerts  # noqa: PLC0415

            self._alerts = Alerts.read(self.notify, self.notify_file)

    def title(self, code: int) -> str:
        """What has become of a command that has no report, on one line; empty without one."""
        if not self.command:
            return ""
        ends = {2: "refused, no license was changed", 3: "stopped", 4: "not started"}
        return f"bulk-revoke {self.command}: {ends.get(code, 'interrupted')} (exit {code})"

    def tell(self, code: int, title: str, text: str, say: Callable[[str], None]) -> None:
        """Tell how it ended.

        Args:
            code: The exit code.
            title: What happened, on one line; of a run that has a report, that one counts.
            text: All that was said of it.
            say: Told what could not be told.
        """
        if not (self.command and (self.notify or self.notify_file or self.metrics_file)):
            return
        if self.report is None and is_watched():
            return  # whoever has typed it sees what was wrong with it
        from batch.ending import Ending  # noqa: PLC0415

        if self.report is not None:
            title, _, text = self.report.text.partition("\n")
        ending = Ending(
            command=self.command,
            exit_code=code,
            title=title,
            text=text,
            started_at=self.started_at,
            finished_at=time.time(),
            summary=self.report.summary if self.report else None,
        )
        told = code != 0 or not self.quiet
        self._write(ending, say if told else _nobody)
        if told:
            self._alert(ending, say)

    def _write(self, ending: Ending, say: Callable[[str], None]) -> None:
        if self.metrics_file is None:
            return
        from batch import metrics  # noqa: PLC0415

        try:
            metrics.check(self.metrics_file)
            metrics.write(self.metrics_file, ending)
        except OSError as cause:
            say(f"warning: --metrics-file {self.metrics_file}: {cause.strerror}")
        except ConfigError as cause:
            if ending.summary is not None:  # else it is what the command was refused for
                say(f"warning: {cause.message}")

    def _alert(self, ending: Ending, say: Callable[[str], None]) -> None:
        if not (self.notify or self.notify_file):
            return
        from batch.alerts import Alerts  # noqa: PLC0415

        alerts = self._alerts
        if alerts is None:
            with suppress(ConfigError):  # it has been told, or what was told came before it
                alerts = Alerts.read(self.notify, self.notify_file)
        failed = alerts.send(ending) if alerts else ""
        if failed:
            say(f"warning: {failed}")


def _files(options: Mapping[str, Any]) -> list[str]:
    """Every file that a command is told to read, or to write."""
    names = ("source", "output", "log_file", "token_file", "ca_file", "notify_file", "config")
    single = [options.get(name) for name in names]
    return [path for path in (*single, *(options.get("exclude") or ())) if path]


def _same(path: str, others: list[str]) -> bool:
    try:
        return os.path.realpath(path) in map(os.path.realpath, others)
    except OSError:  # without a working directory nothing can be written there
        return False


def _nobody(_text: str) -> None:
    """Hears nothing."""
