"""The end of the last run of a job, as a file that Prometheus reads.

The file is one for the textfile collector of node_exporter. It holds gauges, and but for one always
the same series, so that no alert rule depends on one that comes and goes:

    bulk_revoke_last_run_timestamp_seconds      when the run ended
    bulk_revoke_last_run_duration_seconds       from its start, by a clock that nobody sets
    bulk_revoke_last_run_exit_code              as in docs/reference.md
    bulk_revoke_last_success_timestamp_seconds  when a run last ended with exit code 0; 0: never
    bulk_revoke_last_run_rows                   rows by their label ``outcome``, every outcome
    bulk_revoke_last_run_requests               requests sent, all kinds and retries included
    bulk_revoke_last_run_patches                PATCH requests sent
    bulk_revoke_last_run_throttled              answers with status 429
    bulk_revoke_token_expires_timestamp_seconds when the token of the last run expires
    bulk_revoke_build_info                      1, with the version as a label

Names, units and types follow Prometheus' own pages (prometheus.io/docs/practices/naming, and
"Batch jobs" in …/practices/instrumentation: last success, last end and run time, all of them
gauges). What was counted in a run is no counter, it starts again with the next.

All have the labels ``command`` and ``name``, the file's name without ``.prom``: the collector puts
the files of a directory together, and reports a failure where two of them hold the same series.

**A run that has no summary**, since it was refused or had no orderly end, has counted nothing, and
that is not nothing to do. Its counts are NaN, which Prometheus has for a value where 0 would be
misleading: the series go on, none of them is above or below anything, and a graph has a gap. A sum
over them is NaN too; ``bulk_revoke_last_run_rows >= 0`` leaves them out. A run that had nothing to
do has zeros.

**Before the first success** its time is 0 and not absent, so that "not for 50 hours" is true of a
job that has failed since it was set up.

**When a token expires** is not known of one that is no JWT, or has no ``exp``; nor where a run was
refused before it had one. Then there is no such series: a token that never expires is nothing to
warn of, and a run that was refused is told by its exit code.

**One file is one job.** Whoever writes last replaces all of it, as with any file that a command
writes; a success is taken over only from the same command. So a verify that is given the file of a
nightly run does not hide for how long that run has failed: the run's series vanish, and there is an
alert for that in samples/prometheus. Were both kept, a verify that somebody tried once would be
missed every day from then on.
"""

from __future__ import annotations

import math
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from batch import __version__
from batch.errors import ConfigError
from batch.formatting import escaped
from batch.host.files import replacing, try_out
from batch.model import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping

    from prometheus_client import CollectorRegistry

    from batch.reporting.summary import Ending


SUFFIX = ".prom"
"""The textfile collector reads no other files (node_exporter, collector/textfile.go)."""

MODE = 0o644
"""node_exporter runs as a user of its own, and metrics hold no secret."""

LARGEST = 64 * 1024
"""Bytes of a former file that are read; a larger one is not ours."""

_SUCCESS = "bulk_revoke_last_success_timestamp_seconds"

# Two versions of this tool may write into one directory, and before its version 1.8 node_exporter
# silently drops a series whose metric has another text than in a file that it has read before
# (prometheus/node_exporter, pull request 2962). So a text that was once released stays.
_COUNTED = {
    "requests": "Requests that the last run sent, all kinds and retries included.",
    "patches": "PATCH requests that the last run sent.",
    "throttled": "Answers with status 429 in the last run.",
}

_SHARING = ("PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir")
"""Environment variables: where the processes of a web service keep their gauges. Ours do not belong
there."""


def check(path: str) -> None:
    """Refuse a place where metrics cannot go, before anything else is done.

    Raises:
        ConfigError: Nothing was written.
    """
    try:
        path.encode()
        problem, hint = _problem(Path(path))
    except UnicodeEncodeError:
        # Seen with node_exporter 1.5: the panic of its mtime metric ends the whole process.
        problem = "is not UTF-8"
        hint = "give it another name: node_exporter crashes when it comes to such a file."
    except (OSError, ValueError) as cause:  # a name from a profile may hold a NUL
        problem = f"cannot be written: {getattr(cause, 'strerror', None) or cause}"
        hint = "name a file in a directory where this user may make files."
    if problem:
        raise ConfigError(f"{path}: {problem}", option="--metrics-file", hint=hint)


def _problem(place: Path) -> tuple[str, str]:
    """Say what is wrong with a path, and what to do; both empty if it can be used."""
    if place.is_dir():
        return "is a directory", f"name a file in it, such as {place / 'nightly.prom'}."
    if place.suffix != SUFFIX:
        hint = "node_exporter's textfile collector reads no other files: nightly.prom, for example."
        return f"does not end in {SUFFIX}", hint
    if not place.parent.is_dir():
        hint = "make it first; it is what node_exporter has as --collector.textfile.directory."
        return f"no such directory: {place.parent}", hint
    with suppress(FileNotFoundError):
        place.lstat()  # fails for a name that is too long
    try_out(place)
    return "", ""


def write(path: str, ending: Ending) -> None:
    """Replace the file as a whole; a reader sees the old one or the new one.

    Everybody may read it, whatever the umask. A symbolic link is replaced, not followed. The
    collector passes over the draft, whose name does not end in ``.prom``.

    Raises:
        OSError: The old file, if any, stands as it was.
    """
    for variable in _SHARING:  # the library looks for it once, as it is imported
        os.environ.pop(variable, None)
    from prometheus_client import CollectorRegistry, generate_latest  # noqa: PLC0415 - for --help

    place = Path(path)
    labels = {"command": ending.command, "name": escaped(place.stem)}
    success = ending.finished_at if ending.exit_code == 0 else _success(place, labels, ending)
    registry = CollectorRegistry()
    _fill(registry, ending, labels, success)
    with replacing(place) as file:
        Path(file.name).chmod(MODE)
        file.write(generate_latest(registry))


def _success(place: Path, labels: Mapping[str, str], ending: Ending) -> float:
    """Read from the former file when this command last succeeded.

    Returns:
        Seconds since 1970; 0 where no such file of this command can be read.
    """
    from prometheus_client.parser import text_string_to_metric_families  # noqa: PLC0415

    try:
        if not place.is_file():
            return 0.0  # reading a pipe would wait for whoever writes into it
        with place.open("rb") as file:
            former = file.read(LARGEST + 1)
        if len(former) > LARGEST:
            return 0.0
        [found] = [
            sample.value
            for family in text_string_to_metric_families(former.decode())
            for sample in family.samples
            if sample.name == _SUCCESS and sample.labels == labels
        ]
    except Exception:  # noqa: BLE001 - a file that is not ours makes the parser fail in many ways
        return 0.0
    # A clock that was set back since then must not keep an alert silent until it is that late.
    return min(found, ending.finished_at) if 0 < found < math.inf else 0.0


def _fill(
    registry: CollectorRegistry, ending: Ending, labels: Mapping[str, str], success: float
) -> None:
    """Register all gauges, in the order in which a person wants to read them.

    Args:
        registry: Where they are registered.
        ending: How the command ended.
        labels: Labels that all of them have.
        success: When the command last succeeded, in seconds since 1970; 0 for never.
    """
    from prometheus_client import Gauge  # noqa: PLC0415 - as in `write`

    def gauge(name: str, text: str, value: float) -> None:
        Gauge(name, text, labels, registry=registry).labels(**labels).set(value)

    gauge(
        "bulk_revoke_last_run_timestamp_seconds",
        "When the last run ended, in seconds since 1970.",
        ending.finished_at,
    )
    gauge("bulk_revoke_last_run_duration_seconds", "How long the last run took.", ending.seconds)
    gauge(
        "bulk_revoke_last_run_exit_code",
        "Exit code of the last run: 0 where every row is done.",
        ending.exit_code,
    )
    gauge(
        _SUCCESS,
        "When a run last ended with exit code 0, in seconds since 1970; 0 if none has.",
        success,
    )
    if ending.token_expires is not None:
        gauge(
            "bulk_revoke_token_expires_timestamp_seconds",
            "When the access token of the last run expires, in seconds since 1970.",
            ending.token_expires,
        )
    summary = ending.summary
    rows = Gauge(
        "bulk_revoke_last_run_rows",
        "Rows of the last run by their outcome; NaN where it did not count them.",
        [*labels, "outcome"],
        registry=registry,
    )
    for outcome in Outcome:
        count = summary.counts.get(outcome, 0) if summary else math.nan
        rows.labels(**labels, outcome=outcome).set(count)
    for name, text in _COUNTED.items():
        gauge(f"bulk_revoke_last_run_{name}", text, getattr(summary, name) if summary else math.nan)
    Gauge(
        "bulk_revoke_build_info",
        "1, labelled with the version that wrote this.",
        [*labels, "version"],
        registry=registry,
    ).labels(**labels, version=__version__).set(1)
