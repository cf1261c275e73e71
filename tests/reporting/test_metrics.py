from __future__ import annotations

import errno
import math
import os
import re
import stat
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from batch import __version__
from batch.errors import ConfigError
from batch.model import Outcome
from batch.reporting.metrics import LARGEST, check, write
from batch.reporting.summary import Ending
from tests.reporting.test_summary import EXAMPLE
from tests.support.builders import calm, full_disk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batch.reporting.summary import Summary

NOBODY = 65534
NOON = 1_800_000_000.0
DAY = 86_400.0
LAST_SUCCESS = "bulk_revoke_last_success_timestamp_seconds"

WRITTEN = f"""\
# HELP bulk_revoke_last_run_timestamp_seconds When the last run ended, in seconds since 1970.
# TYPE bulk_revoke_last_run_timestamp_seconds gauge
bulk_revoke_last_run_timestamp_seconds{{command="run",name="nightly"}} 1.80000015775e+09
# HELP bulk_revoke_last_run_duration_seconds How long the last run took.
# TYPE bulk_revoke_last_run_duration_seconds gauge
bulk_revoke_last_run_duration_seconds{{command="run",name="nightly"}} 157.25
# HELP bulk_revoke_last_run_exit_code Exit code of the last run: 0 where every row is done.
# TYPE bulk_revoke_last_run_exit_code gauge
bulk_revoke_last_run_exit_code{{command="run",name="nightly"}} 1.0
# HELP bulk_revoke_last_success_timestamp_seconds When a run last ended with exit code 0, \
in seconds since 1970; 0 if none has.
# TYPE bulk_revoke_last_success_timestamp_seconds gauge
bulk_revoke_last_success_timestamp_seconds{{command="run",name="nightly"}} 0.0
# HELP bulk_revoke_last_run_rows Rows of the last run by their outcome; \
NaN where it did not count them.
# TYPE bulk_revoke_last_run_rows gauge
bulk_revoke_last_run_rows{{command="run",name="nightly",outcome="revoked"}} 18.0
bulk_revoke_last_run_rows{{command="run",name="nightly",outcome="already_revoked"}} 10000.0
bulk_revoke_last_run_rows{{command="run",name="nightly",outcome="suspended"}} 0.0
bulk_revoke_last_run_rows{{command="run",name="nightly",outcome="already_suspended"}} 0.0
bulk_revoke_last_run_rows{{command="run",name="nightly",outcome="not_found"}} 1.0
bulk_revoke_last_run_rows{{command="run",name="nightly",outcome="failed"}} 0.0
bulk_revoke_last_run_rows{{command="run",name="nightly",outcome="unknown"}} 1.0
bulk_revoke_last_run_rows{{command="run",name="nightly",outcome="excluded"}} 0.0
bulk_revoke_last_run_rows{{command="run",name="nightly",outcome="invalid"}} 0.0
bulk_revoke_last_run_rows{{command="run",name="nightly",outcome="not_attempted"}} 0.0
bulk_revoke_last_run_rows{{command="run",name="nightly",outcome="planned"}} 0.0
bulk_revoke_last_run_rows{{command="run",name="nightly",outcome="would_revoke"}} 0.0
bulk_revoke_last_run_rows{{command="run",name="nightly",outcome="would_suspend"}} 0.0
bulk_revoke_last_run_rows{{command="run",name="nightly",outcome="would_restore"}} 0.0
bulk_revoke_last_run_rows{{command="run",name="nightly",outcome="verified"}} 0.0
bulk_revoke_last_run_rows{{command="run",name="nightly",outcome="not_revoked"}} 0.0
bulk_revoke_last_run_rows{{command="run",name="nightly",outcome="not_suspended"}} 0.0
bulk_revoke_last_run_rows{{command="run",name="nightly",outcome="restored"}} 0.0
bulk_revoke_last_run_rows{{command="run",name="nightly",outcome="already_restored"}} 0.0
# HELP bulk_revoke_last_run_requests Requests that the last run sent, \
all kinds and retries included.
# TYPE bulk_revoke_last_run_requests gauge
bulk_revoke_last_run_requests{{command="run",name="nightly"}} 30.0
# HELP bulk_revoke_last_run_patches PATCH requests that the last run sent.
# TYPE bulk_revoke_last_run_patches gauge
bulk_revoke_last_run_patches{{command="run",name="nightly"}} 25.0
# HELP bulk_revoke_last_run_throttled Answers with status 429 in the last run.
# TYPE bulk_revoke_last_run_throttled gauge
bulk_revoke_last_run_throttled{{command="run",name="nightly"}} 4.0
# HELP bulk_revoke_build_info 1, labelled with the version that wrote this.
# TYPE bulk_revoke_build_info gauge
bulk_revoke_build_info{{command="run",name="nightly",version="{__version__}"}} 1.0
"""
"""Names, texts and labels are kept: alert rules and dashboards rest on them."""

COUNTED = {
    "bulk_revoke_last_run_rows",
    "bulk_revoke_last_run_requests",
    "bulk_revoke_last_run_patches",
    "bulk_revoke_last_run_throttled",
}

NOTHING_TO_DO = replace(EXAMPLE, exit_code=0, counts={}, requests=0, patches=0, throttled=0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "nightly.prom"


def ended(
    code: int = 0,
    at: float = NOON,
    *,
    command: str = "run",
    took: float = 60.0,
    summary: Summary | None = EXAMPLE,
) -> Ending:
    return Ending(
        command=command,
        exit_code=code,
        title="bulk-revoke: how it ended",
        text="what was told",
        seconds=took,
        finished_at=at,
        summary=summary,
    )


@pytest.mark.parametrize("expires", [NOON + 1, 0.0, -5.0])
def test_when_the_token_expires_is_there_where_it_tells_and_else_no_such_series(
    path: Path, expires: float
) -> None:
    name = "bulk_revoke_token_expires_timestamp_seconds"

    write(str(path), replace(ended(), token_expires=expires))
    assert value(path, name) == expires

    write(str(path), ended())
    assert name not in path.read_text(encoding="utf-8")


def series(path: Path) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Every value of a file, by its name and its labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(path.read_text(encoding="utf-8"))
        for sample in family.samples
    }


def value(path: Path, name: str, **labels: str) -> float:
    """The only value of a metric; or that one of them that has these labels as well."""
    [found] = [
        value
        for (metric, its_labels), value in series(path).items()
        if metric == name and labels.items() <= dict(its_labels).items()
    ]
    return found


def names(directory: Path) -> list[str]:
    return sorted(each.name for each in directory.iterdir())


def line(success: object, labels: str = 'command="run",name="nightly"') -> bytes:
    """A former file, with nothing in it but the time of the last success."""
    return f"# TYPE {LAST_SUCCESS} gauge\n{LAST_SUCCESS}{{{labels}}} {success}\n".encode()


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@contextmanager
def read_only(mode: int = 0o555) -> Iterator[Path]:
    """A directory in which this user may not make files; root becomes somebody else for that."""
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        write(str(home / "nightly.prom"), ended())
        home.chmod(mode)
        is_root = os.geteuid() == 0
        if is_root:
            os.seteuid(NOBODY)
        try:
            yield home
        finally:
            if is_root:
                os.seteuid(0)
            home.chmod(0o700)


WRITE = (
    "import sys; from batch.reporting.metrics import write;"
    "from batch.reporting.summary import Ending;"
    "write(sys.argv[1], Ending('run', 2, '', '', 1.0, 2.0))"
)
"""A program that writes the metrics of a run that was refused."""


def python(code: str, *arguments: str, **environment: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, **environment},
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout


# What is written


def test_the_file_says_how_the_run_ended(path: Path) -> None:
    summary = replace(EXAMPLE, throttled=4)

    write(str(path), ended(1, NOON + 157.75, took=157.25, summary=summary))

    assert path.read_text(encoding="utf-8") == WRITTEN


@pytest.mark.parametrize(
    "ending",
    [
        ended(1),
        ended(0, summary=NOTHING_TO_DO),
        ended(2, summary=None),
        ended(3, summary=replace(EXAMPLE, counts={"planned": 3})),
        ended(130, summary=None),
    ],
)
def test_the_series_are_the_same_however_a_run_ends(path: Path, ending: Ending) -> None:
    other = path.with_name("other") / path.name
    other.parent.mkdir()
    write(str(other), ended())

    write(str(path), ending)

    assert series(path).keys() == series(other).keys()


@pytest.mark.parametrize("outcome", Outcome)
def test_the_rows_of_every_outcome_are_told_apart(path: Path, outcome: Outcome) -> None:
    write(str(path), ended(summary=replace(EXAMPLE, counts={outcome: 7})))

    rows = {
        dict(labels)["outcome"]: count
        for (name, labels), count in series(path).items()
        if name == "bulk_revoke_last_run_rows"
    }
    assert rows == dict.fromkeys(map(str, Outcome), 0) | {outcome: 7}


def test_a_run_that_had_nothing_to_do_has_zeros(path: Path) -> None:
    write(str(path), ended(summary=NOTHING_TO_DO))

    counts = {count for (name, _), count in series(path).items() if name in COUNTED}
    assert counts == {0}


def test_a_run_that_was_refused_has_counted_nothing_and_not_zero(path: Path) -> None:
    write(str(path), ended(2, NOON, took=1.5, summary=None))

    values = series(path)
    uncounted = {name for (name, _), count in values.items() if math.isnan(count)}
    assert uncounted == COUNTED
    assert all(math.isnan(count) for (name, _), count in values.items() if name in COUNTED)
    assert value(path, "bulk_revoke_last_run_exit_code") == 2
    assert value(path, "bulk_revoke_last_run_timestamp_seconds") == NOON
    assert value(path, "bulk_revoke_last_run_duration_seconds") == 1.5


def test_jobs_that_write_into_one_directory_share_no_series(tmp_path: Path) -> None:
    write(str(tmp_path / "nightly.prom"), ended())
    write(str(tmp_path / "weekly.prom"), ended(1))

    nightly, weekly = (series(tmp_path / f"{name}.prom") for name in ("nightly", "weekly"))

    assert not nightly.keys() & weekly.keys()


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("nightly.prom", "nightly"),
        ("a.b.prom", "a.b"),
        (".hidden.prom", ".hidden"),
        ("Müller, nächtlich.prom", "Müller, nächtlich"),
        ('"quoted" \\back\\.prom', '"quoted" \\back\\'),
        ("two\nlines.prom", "two\\nlines"),
        (os.fsdecode(b"latin1-\xe4.prom"), "latin1-\\udce4"),
        ("x" * 250 + ".prom", "x" * 250),
    ],
)
def test_the_label_name_is_the_name_of_the_file(tmp_path: Path, file: str, name: str) -> None:
    write(str(tmp_path / file), ended(command="verify"))

    labels = [dict(labels) for _, labels in series(tmp_path / file)]
    assert {each["name"] for each in labels} == {name}
    assert {each["command"] for each in labels} == {"verify"}


# The last success


def test_the_last_success_survives_the_runs_that_fail(path: Path) -> None:
    write(str(path), ended(0, NOON + 0.125))
    for day, code in enumerate((1, 2, 3, 4, 130), start=1):
        write(str(path), ended(code, NOON + day * DAY, summary=None if code == 2 else EXAMPLE))

        assert value(path, LAST_SUCCESS) == NOON + 0.125
        assert value(path, "bulk_revoke_last_run_timestamp_seconds") == NOON + day * DAY
        assert value(path, "bulk_revoke_last_run_exit_code") == code

    write(str(path), ended(0, NOON + 6 * DAY))

    assert value(path, LAST_SUCCESS) == NOON + 6 * DAY


@pytest.mark.parametrize("name", ["nightly.prom", '"quoted" \\back\\.prom', "two\nlines.prom"])
def test_a_success_is_found_again_whatever_the_file_is_called(tmp_path: Path, name: str) -> None:
    write(str(tmp_path / name), ended(0, NOON))
    write(str(tmp_path / name), ended(1, NOON + DAY))

    assert value(tmp_path / name, LAST_SUCCESS) == NOON


def test_a_job_that_has_never_succeeded_says_so(path: Path) -> None:
    for day in range(3):
        write(str(path), ended(1, NOON + day * DAY))

        assert value(path, LAST_SUCCESS) == 0


def test_a_success_of_one_command_is_none_of_another(path: Path) -> None:
    write(str(path), ended(0, NOON, command="run"))
    write(str(path), ended(1, NOON + DAY, command="verify"))

    assert {dict(labels)["command"] for _, labels in series(path)} == {"verify"}
    assert value(path, LAST_SUCCESS) == 0


def test_a_success_of_one_job_is_none_of_another(path: Path) -> None:
    write(str(path.with_name("weekly.prom")), ended(0, NOON))
    path.write_bytes(path.with_name("weekly.prom").read_bytes())

    write(str(path), ended(1, NOON + DAY))

    assert value(path, LAST_SUCCESS) == 0


def test_a_success_by_a_clock_that_was_set_back_since_is_none_of_the_future(path: Path) -> None:
    write(str(path), ended(0, NOON + 3650 * DAY))
    write(str(path), ended(1, NOON))
    assert value(path, LAST_SUCCESS) == NOON

    write(str(path), ended(1, NOON + DAY))

    assert value(path, LAST_SUCCESS) == NOON


@pytest.mark.parametrize(
    "former",
    [
        b"",
        b"\0\0\0\0",
        b"PK\x03\x04\xff\xfe",
        b"<html>Not found</html>\n",
        b"node_load1 0.5\n",
        f"{LAST_SUCCESS} 1.7e+09\n".encode(),
        line(NOON, labels=""),
        line(NOON, labels='command="run"'),
        line(NOON, labels='command="run",name="weekly"'),
        line(NOON, labels='command="run",name="nightly",host="a"'),
        line(NOON, labels='command="run",name="nightly'),
        line(NOON, labels='a="b", ="x"'),
        line("yesterday"),
        line(""),
        line("NaN"),
        line("+Inf"),
        line("-Inf"),
        line(-NOON),
        line("9" * 5000),
        line(NOON) + line(NOON - 1),
        line(NOON) + b'half_a_line{name="x',
        line(NOON) + b"\xff\n",
        line(NOON) + b"#" * LARGEST,
        WRITTEN.encode()[:-30],
    ],
)
def test_a_former_file_that_is_none_of_ours_is_as_if_there_were_none(
    path: Path, former: bytes
) -> None:
    path.write_bytes(former)

    write(str(path), ended(1))

    assert value(path, LAST_SUCCESS) == 0
    assert value(path, "bulk_revoke_last_run_exit_code") == 1


def test_a_file_of_our_form_is_one_of_ours(path: Path) -> None:
    path.write_bytes(line(NOON - DAY) + b"#" * (LARGEST - len(line(NOON - DAY))))

    write(str(path), ended(1))

    assert value(path, LAST_SUCCESS) == NOON - DAY


PIECES = st.sampled_from(
    [LAST_SUCCESS, "# HELP ", "# TYPE ", "{", "}", "=", ",", '"', "\\", "\n", " ", "\t", "1e3", "é"]
)


@calm
@given(st.binary(max_size=200) | st.lists(PIECES, max_size=30).map("".join))
def test_no_former_file_keeps_the_new_one_from_being_written(former: bytes | str) -> None:
    with tempfile.TemporaryDirectory() as home:
        path = Path(home) / "nightly.prom"
        path.write_bytes(former if isinstance(former, bytes) else former.encode())

        write(str(path), ended(1))

        assert value(path, "bulk_revoke_last_run_exit_code") == 1


def test_a_former_file_that_cannot_be_read_is_replaced(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(str(path), ended(0))
    opened = Path.open

    def guarded(self: Path, mode: str = "r") -> object:
        if self == path:
            raise PermissionError(errno.EACCES, "Permission denied")
        return opened(self, mode)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", guarded)
        write(str(path), ended(1))

    assert value(path, LAST_SUCCESS) == 0
    assert value(path, "bulk_revoke_last_run_exit_code") == 1


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
def test_a_pipe_in_the_place_of_the_file_makes_nobody_wait(path: Path) -> None:
    os.mkfifo(path)

    python(WRITE, str(path))

    assert value(path, "bulk_revoke_last_run_exit_code") == 2


# How it is written


@pytest.mark.skipif(os.name != "posix", reason="no modes")
def test_everybody_can_read_it_before_it_is_there(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.write_bytes(b"")
    path.chmod(0o600)
    put_in_place: list[tuple[str, int]] = []
    renamed = Path.replace

    def noted(self: Path, target: Path) -> Path:
        put_in_place.append((self.name, stat.S_IMODE(self.stat().st_mode)))
        return renamed(self, target)

    monkeypatch.setattr(Path, "replace", noted)
    with umask(0o077):
        write(str(path), ended())

    [(draft, mode)] = put_in_place
    assert mode == 0o644
    assert not draft.endswith(".prom")
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert names(path.parent) == [path.name]


@pytest.mark.skipif(os.name != "posix", reason="no modes")
def test_nobody_else_can_write_it(path: Path) -> None:
    with umask(0):
        write(str(path), ended())

    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_a_reader_sees_the_old_file_or_the_new_one_and_never_a_part(path: Path) -> None:
    whole = set()
    for code in (0, 1):
        write(str(path), ended(code))
        whole.add(path.read_bytes())
    seen: list[bytes] = []
    is_over = threading.Event()

    def read() -> None:
        while not is_over.is_set():
            seen.append(path.read_bytes())

    reader = threading.Thread(target=read)
    reader.start()
    for turn in range(100):
        write(str(path), ended(turn % 2))
    is_over.set()
    reader.join()

    assert set(seen) == whole


@pytest.mark.skipif(os.name != "posix", reason="no limits")
def test_a_full_disk_leaves_the_old_file(path: Path) -> None:
    write(str(path), ended(0))
    before = path.read_bytes()

    with full_disk(), pytest.raises(OSError, match="too large"):
        write(str(path), ended(1))

    assert path.read_bytes() == before
    assert names(path.parent) == [path.name]


@pytest.mark.skipif(os.name != "posix", reason="no modes")
def test_a_directory_that_may_not_be_written_leaves_the_old_file() -> None:
    with read_only() as home:
        before = (home / "nightly.prom").read_bytes()

        with pytest.raises(PermissionError):
            write(str(home / "nightly.prom"), ended(1))

        assert names(home) == ["nightly.prom"]
        assert (home / "nightly.prom").read_bytes() == before


def test_a_directory_that_has_gone_is_an_os_error(path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write(str(path.parent / "gone" / path.name), ended())


@pytest.mark.skipif(os.name != "posix", reason="no symbolic links for everybody")
def test_a_link_is_replaced_and_what_it_points_to_is_left_alone(path: Path) -> None:
    target = path.with_name("target")
    target.write_bytes(line(NOON))
    path.symlink_to(target)

    write(str(path), ended(1, NOON + DAY))

    assert target.read_bytes() == line(NOON)
    assert not path.is_symlink()
    assert value(path, LAST_SUCCESS) == NOON


def test_the_library_is_loaded_only_where_metrics_are_written(path: Path) -> None:
    code = (
        "import sys; from batch.reporting.metrics import check; check(sys.argv[1]);"
        "print('prometheus_client' in sys.modules)"
    )

    assert python(code, str(path)) == "False\n"


@pytest.mark.parametrize("variable", ["PROMETHEUS_MULTIPROC_DIR", "prometheus_multiproc_dir"])
@pytest.mark.parametrize("is_there", [True, False])
def test_settings_of_web_services_with_many_processes_change_nothing(
    path: Path, variable: str, is_there: bool
) -> None:
    shared = path.with_name("shared")
    if is_there:
        shared.mkdir()

    python(WRITE, str(path), **{variable: str(shared)})

    assert not shared.exists() or names(shared) == []
    assert value(path, "bulk_revoke_last_run_exit_code") == 2


# Where it may go


def refusal(path: str) -> tuple[str, str]:
    with pytest.raises(ConfigError) as refused:
        check(path)
    assert refused.value.exit_code == 2
    return str(refused.value), refused.value.hint


def test_a_place_is_accepted_and_left_as_it_is(path: Path) -> None:
    check(str(path))
    assert names(path.parent) == []

    path.write_bytes(b"old")
    check(str(path))

    assert path.read_bytes() == b"old"
    assert names(path.parent) == [path.name]


def test_a_name_without_a_directory_stands_in_the_working_directory(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(path.parent)

    check("nightly.prom")
    write("nightly.prom", ended())

    assert names(path.parent) == ["nightly.prom"]


@pytest.mark.parametrize(
    "name",
    [
        "nightly",
        "nightly.txt",
        "nightly.PROM",
        "nightly.prom.bak",
        "nightly.prom~",
        ".prom",
        "prom",
    ],
)
def test_a_file_that_the_collector_would_pass_over_is_refused(tmp_path: Path, name: str) -> None:
    place = tmp_path / name

    assert refusal(str(place)) == (
        f"--metrics-file {place}: does not end in .prom",
        "node_exporter's textfile collector reads no other files: nightly.prom, for example.",
    )


@pytest.mark.parametrize("name", ["metrics", "metrics.prom"])
def test_a_directory_is_refused(tmp_path: Path, name: str) -> None:
    place = tmp_path / name
    place.mkdir()

    assert refusal(str(place)) == (
        f"--metrics-file {place}: is a directory",
        f"name a file in it, such as {place}/nightly.prom.",
    )


@pytest.mark.parametrize("kind", ["missing", "file"])
def test_a_directory_that_does_not_exist_is_refused(tmp_path: Path, kind: str) -> None:
    parent = tmp_path / "metrics"
    if kind == "file":
        parent.write_bytes(b"")

    assert refusal(str(parent / "nightly.prom")) == (
        f"--metrics-file {parent}/nightly.prom: no such directory: {parent}",
        "make it first; it is what node_exporter has as --collector.textfile.directory.",
    )


@pytest.mark.skipif(os.name != "posix", reason="no modes")
@pytest.mark.parametrize("mode", [0o555, 0o000])
def test_a_directory_that_may_not_be_written_is_refused(mode: int) -> None:
    with read_only(mode) as home:
        assert refusal(str(home / "nightly.prom")) == (
            f"--metrics-file {home}/nightly.prom: cannot be written: Permission denied",
            "name a file in a directory where this user may make files.",
        )


def test_a_name_at_which_node_exporter_crashes_is_refused(tmp_path: Path) -> None:
    place = os.fsdecode(os.fsencode(tmp_path) + b"/n\xe4chtlich.prom")

    assert refusal(place) == (
        f"--metrics-file {place}: is not UTF-8",
        "give it another name: node_exporter crashes when it comes to such a file.",
    )


@pytest.mark.parametrize(
    ("name", "reason"), [("x" * 300, "File name too long"), ("a\0b", "embedded null")]
)
def test_a_name_that_no_file_can_have_is_refused(tmp_path: Path, name: str, reason: str) -> None:
    message, _ = refusal(f"{tmp_path}/{name}.prom")

    assert re.search(rf"\.prom: cannot be written: (stat: )?{reason}", message)
    assert names(tmp_path) == []
