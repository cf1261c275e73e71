"""What Prometheus, node_exporter and promtool make of the metrics and of the alert rules."""

from __future__ import annotations

import json
import math
import re
import socket
import subprocess
import textwrap
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode
from urllib.request import ProxyHandler, build_opener

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from batch.reporting.metrics import write
from batch.reporting.summary import Ending
from tests.reporting.test_summary import EXAMPLE
from tests.support.programs import program

if TYPE_CHECKING:
    from collections.abc import Iterator

    from batch.reporting.summary import Summary

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "samples" / "prometheus"
RULES = SAMPLES / "bulk-revoke.rules.yml"
RUNBOOK = ROOT / "docs" / "runbook.md"

DAY = 86_400.0

PATIENCE = 60
"""Seconds that a server may take for what it does in one or two on an idle machine."""


def promtool(*arguments: str, stdin: str = "", where: Path = SAMPLES) -> str:
    """What promtool says; a failure if it finds anything wrong."""
    done = subprocess.run(
        [program("promtool"), *arguments],
        cwd=where,
        input=stdin,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def ended(code: int, at: float, command: str = "run", summary: Summary | None = EXAMPLE) -> Ending:
    return Ending(command, code, "title", "text", 60, at, summary)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    return port


def get(port: int, path: str) -> str:
    """What a server on this host answers, with no proxy between."""
    with build_opener(ProxyHandler({})).open(
        f"http://127.0.0.1:{port}{path}", timeout=10
    ) as answer:
        text: str = answer.read().decode()
    return text


@contextmanager
def serving(home: Path, command: list[str], port: int, ready: str) -> Iterator[None]:
    """A server in a process of its own, once it answers; it is gone at the end."""
    log = home / f"{Path(command[0]).name}.log"
    with log.open("w", encoding="utf-8") as said:
        process = subprocess.Popen(command, stdout=said, stderr=said)
    try:
        deadline = time.monotonic() + PATIENCE
        while not answers(port, ready):
            assert process.poll() is None, log.read_text(encoding="utf-8")
            assert time.monotonic() < deadline, log.read_text(encoding="utf-8")
            time.sleep(0.05)
        yield
    finally:
        process.terminate()
        process.wait(timeout=PATIENCE)


def answers(port: int, path: str) -> bool:
    try:
        get(port, path)
    except OSError:
        return False
    return True


@contextmanager
def node_exporter(home: Path, directory: Path) -> Iterator[int]:
    """node_exporter with nothing but its textfile collector."""
    port = free_port()
    command = [
        program("prometheus-node-exporter"),
        "--collector.disable-defaults",
        "--collector.textfile",
        f"--collector.textfile.directory={directory}",
        "--web.disable-exporter-metrics",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with serving(home, command, port, "/"):
        yield port


Values = dict[tuple[str, tuple[tuple[str, str], ...]], float | str]


def values(text: str) -> Values:
    """What a text says of each of our series; NaN as text, so that it is equal to itself."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): (
            "NaN" if math.isnan(sample.value) else sample.value
        )
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name.startswith(("bulk_revoke_", "node_textfile_scrape_error"))
    }


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Where node_exporter looks for files."""
    path = tmp_path / "textfiles"
    path.mkdir()
    return path


# The metrics


@pytest.mark.parametrize(
    ("name", "summary"),
    [("nightly", EXAMPLE), ("nightly", None), ('"quoted" \\back\\', EXAMPLE), ("nächtlich", None)],
)
def test_promtool_finds_nothing_to_improve_in_the_metrics(
    directory: Path, name: str, summary: Summary | None
) -> None:
    path = directory / f"{name}.prom"
    write(str(path), ended(2, 1_800_000_000.5, summary=summary))

    said = promtool("check", "metrics", stdin=path.read_text(encoding="utf-8"))

    assert said == ""


def test_a_real_node_exporter_serves_what_two_files_in_one_directory_say(
    tmp_path: Path, directory: Path
) -> None:
    odd = '"odd" \\näme\n.prom'
    write(str(directory / "nightly.prom"), ended(0, 1_800_000_000.125))
    write(str(directory / "nightly.prom"), ended(2, 1_800_086_400.25, summary=None))
    write(str(directory / odd), ended(1, 1_800_000_001, command="verify"))
    (directory / ".bulk-revoke.0123456789ab.tmp").write_text("a draft that was", encoding="utf-8")

    with node_exporter(tmp_path, directory) as port:
        served = values(get(port, "/metrics"))

    written: Values = {("node_textfile_scrape_error", ()): 0}
    for name in ("nightly.prom", odd):
        written |= values((directory / name).read_text(encoding="utf-8"))
    assert served == written


def test_a_file_is_served_while_it_is_replaced(tmp_path: Path, directory: Path) -> None:
    path = directory / "nightly.prom"
    write(str(path), ended(0, 1_800_000_000))
    series = values(path.read_text(encoding="utf-8")).keys()

    with node_exporter(tmp_path, directory) as port:
        for turn in range(20):
            write(str(path), ended(turn, 1_800_000_000 + turn))
            served = values(get(port, "/metrics"))

            assert served.pop(("node_textfile_scrape_error", ())) == 0
            assert served.keys() == series


# The alert rules


def rules() -> list[dict[str, Any]]:
    [group] = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


def test_promtool_accepts_the_rules() -> None:
    said = promtool("check", "rules", "--lint=all", "--lint-fatal", RULES.name)

    assert f"SUCCESS: {len(rules())} rules found" in said


def test_the_alerts_fire_when_they_should_and_only_then() -> None:
    assert "SUCCESS" in promtool("test", "rules", "bulk-revoke.test.yml")


def test_every_alert_has_been_seen_to_fire() -> None:
    tests = yaml.safe_load((SAMPLES / "bulk-revoke.test.yml").read_text(encoding="utf-8"))["tests"]

    fired = {
        case["alertname"]
        for test in tests
        for case in test["alert_rule_test"]
        if case["exp_alerts"]
    }
    assert fired == {rule["alert"] for rule in rules()}


def test_the_rules_ask_for_metrics_that_are_written(directory: Path) -> None:
    path = directory / "nightly.prom"
    write(str(path), replace(ended(0, 1_800_000_000), token_expires=1_900_000_000))
    written = {name for name, _ in values(path.read_text(encoding="utf-8"))}

    asked = set(re.findall(r"bulk_revoke_\w+", "".join(rule["expr"] for rule in rules())))

    assert asked
    assert asked <= written


def test_every_alert_says_how_bad_it_is_and_what_to_do() -> None:
    for rule in rules():
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert set(rule["annotations"]) == {"summary", "description"}
        assert len(rule["annotations"]["description"]) > 100


def test_the_sections_that_alerts_point_to_exist() -> None:
    headings = set(re.findall(r"^#+ (.*)$", RUNBOOK.read_text(encoding="utf-8"), re.MULTILINE))
    text = " ".join(rule["annotations"]["description"] for rule in rules())

    named = re.findall(r'docs/runbook\.md, "([^"]+)"', text)

    assert len(named) == 4
    assert set(named) <= headings


def test_the_example_of_a_rule_that_names_a_job_works(tmp_path: Path) -> None:
    found = re.search(r"(?:^#   .*\n)+", RULES.read_text(encoding="utf-8"), re.MULTILINE)
    assert found is not None
    example = textwrap.indent(re.sub(r"^#   ", "", found[0], flags=re.MULTILINE), " " * 6)
    (tmp_path / "rules.yml").write_text(f"groups:\n  - name: own\n    rules:\n{example}")
    other = 'bulk_revoke_last_run_timestamp_seconds{command="run", name="weekly"}'
    case = {"alertname": "BulkRevokeNightlyMissing", "eval_time": "26h"}
    labels = {"severity": "critical", "command": "run", "name": "nightly"}
    text = yaml.safe_load(example)[0]["annotations"]
    tests = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": "5m",
        "tests": [
            {
                "interval": "5m",
                "input_series": [{"series": series, "values": "0x400"}],
                "alert_rule_test": [case | {"exp_alerts": alerts}],
            }
            for series, alerts in (
                (other, [{"exp_labels": labels, "exp_annotations": text}]),
                (other.replace("weekly", "nightly"), []),
            )
        ],
    }
    (tmp_path / "test.yml").write_text(json.dumps(tests))

    promtool("check", "rules", "rules.yml", where=tmp_path)
    promtool("test", "rules", "test.yml", where=tmp_path)


# All of it together


@contextmanager
def prometheus(home: Path, target: int) -> Iterator[int]:
    """Prometheus with the rules as they are, looking at a node_exporter every second."""
    port = free_port()
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(RULES)],
        "scrape_configs": [
            {"job_name": "node", "static_configs": [{"targets": [f"127.0.0.1:{target}"]}]}
        ],
    }
    (home / "prometheus.yml").write_text(json.dumps(config))
    command = [
        program("prometheus"),
        f"--config.file={home / 'prometheus.yml'}",
        f"--storage.tsdb.path={home / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with serving(home, command, port, "/-/ready"):
        yield port


def firing(port: int) -> dict[tuple[str, str], str]:
    """Summaries of the alerts that fire, by alert and name of the job."""
    alerts = json.loads(get(port, "/api/v1/alerts"))["data"]["alerts"]
    return {
        (alert["labels"]["alertname"], alert["labels"].get("name", "")): alert["annotations"][
            "summary"
        ]
        for alert in alerts
        if alert["state"] == "firing"
    }


def query(port: int, expression: str) -> list[str]:
    """The values of an expression now."""
    found = json.loads(get(port, f"/api/v1/query?{urlencode({'query': expression})}"))
    return [each["value"][1] for each in found["data"]["result"]]


def test_what_a_run_writes_becomes_the_alerts_that_it_should(
    tmp_path: Path, directory: Path
) -> None:
    program("prometheus")
    now = time.time()
    write(str(directory / "refused.prom"), ended(2, now, summary=None))
    write(str(directory / "busy.prom"), ended(0, now, summary=replace(EXAMPLE, throttled=3)))
    write(str(directory / "late.prom"), ended(0, now - 2 * DAY))
    write(str(directory / "failing.prom"), ended(0, now - 3 * DAY, command="verify"))
    write(str(directory / "failing.prom"), ended(1, now, command="verify"))
    write(str(directory / "fine.prom"), replace(ended(0, now), token_expires=now + 15 * DAY))
    write(str(directory / "token.prom"), replace(ended(0, now), token_expires=now + 13 * DAY))
    write(str(directory / "restored.prom"), ended(0, now - 9 * DAY, command="restore"))
    expected = {
        ("BulkRevokeFailed", "refused"),
        ("BulkRevokeNoSuccess", "refused"),
        ("BulkRevokeThrottled", "busy"),
        ("BulkRevokeTokenExpires", "token"),
        ("BulkRevokeDidNotRun", "late"),
        ("BulkRevokeIncomplete", "failing"),
        ("BulkRevokeNoSuccess", "failing"),
    }

    with node_exporter(tmp_path, directory) as target, prometheus(tmp_path, target) as port:
        deadline = time.monotonic() + PATIENCE
        while not firing(port).keys() >= expected and time.monotonic() < deadline:
            time.sleep(0.2)
        alerts = firing(port)
        uncounted = query(port, 'bulk_revoke_last_run_rows{name="refused"}')
        counted = query(port, "sum by (name) (bulk_revoke_last_run_rows >= 0)")

    host = f"127.0.0.1:{target}"
    assert alerts.keys() == expected
    assert alerts["BulkRevokeNoSuccess", "refused"] == (
        f"bulk-revoke run (refused) on {host} has never done all of its rows"
    )
    assert alerts["BulkRevokeFailed", "refused"] == (
        f"bulk-revoke run (refused) on {host} was refused (exit 2)"
    )
    assert alerts["BulkRevokeNoSuccess", "failing"].startswith(
        f"bulk-revoke verify (failing) on {host} has not done all of its rows for 3d 0h 0m "
    )
    assert set(uncounted) == {"NaN"}
    assert set(counted) == {str(EXAMPLE.rows)}
