"""What an operator copies works as it is: samples, profiles, and the page that explains them.

Every command that they show goes through the real command line. What they schedule is run as cron,
systemd or a container would run it, with its paths below a directory of its own and a sandbox in
the place of the API.
"""

from __future__ import annotations

import inspect
import json
import os
import re
import shlex
import shutil
import stat
import subprocess
import sys
import tomllib
import zipfile
from collections import defaultdict
from ctypes.util import find_library
from dataclasses import dataclass
from datetime import datetime, timedelta
from fnmatch import fnmatch
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import uuid4

import click
import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml
from click.core import ParameterSource

from batch import __version__
from batch.api.auth import CREDENTIAL, find_token
from batch.cli import COMMANDS, cli, run_command
from batch.cli.execute import settings_of
from batch.errors import ConfigError
from batch.job.runner import DRAIN
from batch.reporting.alerts import Alerts
from batch.reporting.observers import Observers
from batch.results.manifest import manifest_path
from batch.sandbox import TOKEN, Account
from tests.support.commands import Served, served, settle_in, write
from tests.support.job_harness import some_ids
from tests.support.programs import missing, program
from tests.support.receivers import webhook
from tests.support.results_files import aged, table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from batch.settings import Settings

ROOT = Path(__file__).parents[2]
CONFIGS = sorted((ROOT / "configs").glob("*.toml"))
CRON = ROOT / "samples" / "cron" / "bulk-revoke"
SERVICE = ROOT / "samples" / "systemd" / "bulk-revoke.service"
TIMER = ROOT / "samples" / "systemd" / "bulk-revoke.timer"
QUARANTINE = SERVICE.with_name("bulk-revoke-quarantine@.service")
QUARANTINE_TIMER = SERVICE.with_name("bulk-revoke-quarantine@.timer")
UNITS = [(SERVICE, TIMER), (QUARANTINE, QUARANTINE_TIMER)]
DOCKERFILE = ROOT / "samples" / "container" / "Dockerfile"
KUBERNETES = ROOT / "samples" / "kubernetes" / "bulk-revoke.yaml"
PAGE = ROOT / "docs" / "unattended.md"

PROFILE = "/etc/bulk-revoke/cron.toml"
"""Where the samples have the profile: configs/cron.toml, but for the one in Kubernetes."""

QUARANTINE_PROFILE = "/etc/bulk-revoke/quarantine.toml"

APPROVED_PROFILE = "/etc/bulk-revoke/approved.toml"

INSTANCE = "4711"
"""The instance of the template units."""

PROGRAM = "/usr/local/bin/bulk-revoke"

PLACES = (
    *("/srv/licenses", "/etc/bulk-revoke", "/var/lib/bulk-revoke", "/var/log/bulk-revoke"),
    *("/usr/local/bin", "/run/lock", "/run/secrets/bulk-revoke", "/data"),
)
"""Directories of a host, and of a container, that the samples name."""

IDS = some_ids(12)

SPARE = 30
"""Seconds that are to be left, once a stop has taken as long as it can, to put results in order."""

needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="this is about Linux")
needs_posix = pytest.mark.skipif(os.name == "nt", reason="this is about a shell")


each_unit = pytest.mark.parametrize(("service", "timer"), UNITS, ids=["list", "quarantine"])


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


# What the samples say


def instructions() -> list[dict[str, list[str]]]:
    """The Dockerfile: for each stage its instructions, each with what it was given, in order."""
    stages: list[dict[str, list[str]]] = []
    text = re.sub(r"^\s*#.*\n", "", text_of(DOCKERFILE), flags=re.MULTILINE)
    for line in text.replace("\\\n", " ").splitlines():
        if not line.strip():
            continue
        name, _, given = line.partition(" ")
        if name == "FROM":
            stages.append(defaultdict(list))
        stages[-1][name].append(given.strip())
    return stages


def entrypoint() -> list[str]:
    """What a container runs, before its arguments."""
    found = json.loads(instructions()[-1]["ENTRYPOINT"][-1])
    assert isinstance(found, list)
    return found


def kubernetes(kind: str) -> dict[str, Any]:
    """The one object of a kind in the manifest."""
    [found] = [each for each in yaml.safe_load_all(text_of(KUBERNETES)) if each["kind"] == kind]
    assert isinstance(found, dict)
    return found


def pod() -> dict[str, Any]:
    found = kubernetes("CronJob")["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert isinstance(found, dict)
    return found


def container() -> dict[str, Any]:
    [found] = pod()["containers"]
    assert isinstance(found, dict)
    return found


def mounts() -> dict[str, str]:
    """Where the volumes of the pod are, by their names."""
    return {each["name"]: each["mountPath"] for each in container()["volumeMounts"]}


# The commands that are shown


def shown_in(text: str) -> list[list[str]]:
    """The commands of bulk-revoke in a text, each as the words that a shell would make of it."""
    text = text.replace("\\\n", " ")
    begin = re.compile(rf"(?<![\w.-])bulk-revoke(?= (?:{'|'.join(COMMANDS)})(?: |$))", re.MULTILINE)
    return [
        shlex.split(
            re.split(r"\s*(?:;|\||&&|\s#\s|$)", text[found.start() :], flags=re.MULTILINE)[0]
        )
        for found in begin.finditer(text)
    ]


def instance(text: str) -> str:
    """A template unit as systemd reads it for its instance."""
    return text.replace("%i", INSTANCE)


def all_commands() -> dict[str, list[list[str]]]:
    """Every command that samples, profiles and the page show, by the file it stands in."""
    scripts = "\n".join(re.findall(r"^```sh\n(.*?)^```", text_of(PAGE), re.DOTALL | re.MULTILINE))
    found = {
        str(path.relative_to(ROOT)): shown_in(text)
        for path, text in {
            **{path: text_of(path) for path in (*CONFIGS, CRON, SERVICE, TIMER, DOCKERFILE)},
            **{path: instance(text_of(path)) for path in (QUARANTINE, QUARANTINE_TIMER)},
            PAGE: scripts,
            KUBERNETES: text_of(KUBERNETES),
        }.items()
    }
    found[str(KUBERNETES.relative_to(ROOT))].append([*entrypoint(), *container()["args"]])
    return found


class Understood(NamedTuple):
    """What the real command line makes of a command."""

    settings: Settings
    options: dict[str, Any]
    sources: dict[str, ParameterSource | None]


def understood(words: Sequence[str], profile: Path) -> Understood:
    """Parse a command, and make settings of it; the profiles are other files here."""
    name, *arguments = words[1:]
    there = {
        PROFILE: profile,
        QUARANTINE_PROFILE: ROOT / "configs" / "quarantine.toml",
        APPROVED_PROFILE: ROOT / "configs" / "approved.toml",
    }
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    arguments = [str(there.get(word, word)) for word in arguments]
    above = click.Context(
        cli, info_name="bulk-revoke", auto_envvar_prefix="BULK_REVOKE", obj=Observers()
    )
    context = command.make_context(name, arguments, parent=above)
    options = dict(context.params)
    options["config"] = next((word for word in words if word in there), options["config"])
    settings = settings_of(options.pop("source"), ".results.csv", options, "7f3a0c1d")
    sources = {each: context.get_parameter_source(each) for each in options}
    return Understood(settings, options, sources)


@pytest.fixture
def profile_in_kubernetes(tmp_path: Path) -> Path:
    path = tmp_path / "in-kubernetes.toml"
    path.write_text(kubernetes("ConfigMap")["data"]["cron.toml"], encoding="utf-8")
    return path


@pytest.fixture(autouse=True)
def nothing_of_the_developers_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    settle_in(tmp_path_factory.mktemp("work"), tmp_path_factory.mktemp("locks"), monkeypatch)
    for name in ("RUN", "SUSPEND", "VERIFY", "RESTORE", "LIST"):
        monkeypatch.delenv(f"BULK_REVOKE_{name}_LOCK_DIR")


def test_every_place_shows_commands() -> None:
    shown = all_commands()

    assert {place for place, commands in shown.items() if not commands} == {
        str(path.relative_to(ROOT)) for path in (TIMER, QUARANTINE_TIMER, DOCKERFILE)
    }
    assert len(shown["docs/unattended.md"]) >= 4


@pytest.mark.parametrize(
    ("place", "words"),
    [(place, words) for place, commands in all_commands().items() for words in commands],
    ids=lambda it: it if isinstance(it, str) else it[1],
)
def test_every_command_that_is_shown_is_one_that_the_program_takes(
    place: str, words: list[str], profile_in_kubernetes: Path
) -> None:
    if words[1] == "sandbox":
        command = cli.get_command(click.Context(cli), "sandbox")
        assert command is not None
        command.make_context("sandbox", words[2:])
        return
    profile = profile_in_kubernetes if "kubernetes" in place else ROOT / "configs" / "cron.toml"
    if place.startswith("configs"):
        words = [str(ROOT / word) if word.startswith("configs/") else word for word in words]

    _, options, _ = understood(words, profile)

    if not place.startswith("configs"):
        # Nobody is in a directory of his own there, nor has he a home.
        for path in paths_of(words, options):
            assert path.startswith("/"), path


def paths_of(words: Sequence[str], options: Mapping[str, Any]) -> list[str]:
    """Every file that a command reads or writes."""
    command = cli.get_command(click.Context(cli), words[1])
    assert command is not None
    named = [
        each.name
        for each in command.params
        if isinstance(each.type, click.Path) and each.name in options
    ]
    values = [options[name or ""] for name in named]
    several = [value if isinstance(value, tuple) else (value,) for value in values]
    found = [each for value in several for each in value if each is not None]
    assert found
    return [words[2], *found]


def test_what_root_tries_by_hand_leaves_nothing_where_the_job_writes() -> None:
    # A log that is root's is one that the job cannot append to.
    executor = understood(scheduled()["container"], ROOT / "configs" / "cron.toml").options
    jobs_own = {str(Path(executor[name]).parent) for name in ("output", "log_file")}
    by_hand = [words for words in all_commands()["docs/unattended.md"] if "-o" in words]
    assert len(by_hand) == 5

    for words in by_hand:
        options = understood(words, ROOT / "configs" / "cron.toml").options
        written = [options[name] for name in ("output", "log_file") if options[name]]

        assert not jobs_own & {str(Path(path).parent) for path in written}


def docker_run() -> str:
    """The command that the page shows for a container, on one line."""
    [found] = re.findall(r"^docker run (?:.*\\\n)*.*$", text_of(PAGE), re.MULTILINE)
    return str(found).replace("\\\n", "")


def scheduled() -> dict[str, list[str]]:
    """The commands that run when nobody is there."""
    [executor] = cron_jobs(text_of(CRON))
    return {
        "cron": shown_in(executor.command)[0],
        "systemd": shown_in(read_unit(text_of(SERVICE))["ExecStart"][0])[0],
        "quarantine": shown_in(instance(read_unit(text_of(QUARANTINE))["ExecStart"][0]))[0],
        "container": next(
            each for each in all_commands()["docs/unattended.md"] if "-o" not in each
        ),
        "kubernetes": [*entrypoint(), *container()["args"]],
    }


@pytest.mark.parametrize("how", ["cron", "systemd", "quarantine", "container", "kubernetes"])
def test_what_is_scheduled_asks_nobody_and_has_a_limit(
    how: str, profile_in_kubernetes: Path
) -> None:
    profile = profile_in_kubernetes if how == "kubernetes" else ROOT / "configs" / "cron.toml"

    settings, options, _ = understood(scheduled()[how], profile)

    assert settings.yes
    assert settings.max_licenses == 500
    assert settings.resume
    assert not any((settings.dry_run, settings.sandbox, settings.limit, settings.overwrite))
    assert settings.look
    assert options["quiet"]
    assert "{date}" in options["output"]
    is_quarantine = how == "quarantine"
    assert settings.older_than == (30 * 86_400 if is_quarantine else None)
    assert settings.input == f"/srv/licenses/{INSTANCE if is_quarantine else 'revoke'}.csv"
    assert settings.base_url == "https://api.cryptlex.com/v3"


# Profiles


@pytest.mark.parametrize("name", ["run", "verify", "restore"])
@pytest.mark.parametrize("path", CONFIGS, ids=lambda it: it.name)
def test_what_a_profile_sets_is_what_counts(path: Path, name: str) -> None:
    set_there = tomllib.loads(text_of(path)).get(name, {})

    _, options, sources = understood(
        ["bulk-revoke", name, "/srv/licenses/revoke.csv", "--config", str(path)], path
    )

    for key, value in set_there.items():
        assert options[key] == value
        assert sources[key] is ParameterSource.DEFAULT_MAP
    assert {key for key, it in sources.items() if it is ParameterSource.DEFAULT_MAP} == {*set_there}


def test_the_rehearsal_of_the_sandbox_profile_runs_there_and_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CRYPTLEX_ACCESS_TOKEN")
    monkeypatch.chdir(tmp_path)
    profile = ROOT / "configs" / "sandbox.toml"
    words = shown_in(text_of(profile))[0]
    (tmp_path / "samples").symlink_to(ROOT / "samples")
    (tmp_path / "configs").symlink_to(ROOT / "configs")

    revoked = run_command([*words[1:], "--rate", "none"])
    restored = run_command(
        ["restore", "licenses.rehearsal.csv", "--config", str(profile), "--rate", "none"]
    )

    assert (revoked, restored) == (0, 0)
    assert {row["outcome"] for row in table("licenses.rehearsal.csv")} == {"revoked"}
    [approved] = tmp_path.glob("licenses.rehearsal.*.csv")
    assert {row["outcome"] for row in table(approved)} == {"restored"}


def test_on_premise_every_command_begins_at_the_rate_that_the_vendors_chart_admits() -> None:
    text = text_of(ROOT / "configs" / "on-premise.toml")

    assert {table["rate"] for table in tomllib.loads(text).values()} == {"45/5s"}
    for setting in ("rateLimit", "ipWhitelist", "realIpHeader"):
        assert setting in text


def test_the_verify_of_the_sandbox_profile_asks_the_sandbox_that_is_started_for_it() -> None:
    profile = ROOT / "configs" / "sandbox.toml"
    [_, words] = shown_in(text_of(profile))
    command = cli.get_command(click.Context(cli), "sandbox")
    assert command is not None

    serving = command.make_context("sandbox", words[2:]).params
    settings = understood(["bulk-revoke", "verify", "x.csv", "--config", str(profile)], profile)[0]

    assert settings.base_url == f"http://127.0.0.1:{serving['port']}/v3"
    assert (ROOT / serving["licenses"]).exists()


# A host of one's own


@dataclass
class Host:
    """A directory that holds what the samples expect on a host, and an API on loopback.

    Attributes:
        root: The directory; PLACES are below it.
        api: What answers in the place of the Cryptlex API.
    """

    root: Path
    api: Served

    def there(self, path: str) -> Path:
        return Path(f"{self.root}{path}")

    def placed(self, text: str) -> str:
        """A text with the host's directories in the place of the real ones."""
        return re.sub(rf"(?<![\w/.-])(?={'|'.join(PLACES)})", str(self.root), text)

    def install(self, profile: str, name: str = "cron.toml", **more: object) -> None:
        """Put program, list, token and profile in their places."""
        for place in PLACES:
            self.there(place).mkdir(parents=True, exist_ok=True)
        program = self.there(PROGRAM)
        program.write_text(
            f"#!{sys.executable}\n"
            "import sys\n"
            "sys.dont_write_bytecode = True\n"
            f"sys.path.insert(0, {str(ROOT)!r})\n"
            "from batch.cli import main\n"
            "main()\n",
            encoding="utf-8",
        )
        program.chmod(0o755)
        write(str(self.there("/srv/licenses/revoke.csv")), IDS)
        for file, content in {
            "token": TOKEN,
            name: "\n".join(
                [
                    self.placed(profile),
                    f"base_url = {json.dumps(self.api.base_url)}",
                    'rate = "none"',
                    *(f"{key} = {json.dumps(value)}" for key, value in more.items()),
                ]
            ),
        }.items():
            path = self.there(f"/etc/bulk-revoke/{file}")
            path.write_text(f"{content}\n", encoding="utf-8")
            path.chmod(0o600)

    def files(self, place: str) -> dict[str, Path]:
        return {path.name: path for path in self.there(place).iterdir()}


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    with served(Account.holding(IDS), rate=None) as api:
        yield Host(tmp_path, api)


# cron


class Executor(NamedTuple):
    """A line of a file for /etc/cron.d, as crontab(5) reads it.

    Attributes:
        when: Five fields.
        user: Whose job it is.
        command: What the shell is given.
        stdin: What the command is given.
        environment: What stands above it.
    """

    when: list[str]
    user: str
    command: str
    stdin: str
    environment: dict[str, str]


def cron_jobs(text: str) -> list[Executor]:
    environment: dict[str, str] = {}
    found = []
    for line in map(str.strip, text.splitlines()):
        if not line or line.startswith("#"):
            continue
        if setting := re.fullmatch(r"(\w+)\s*=\s*(?:\"(.*)\"|'(.*)'|(.*))", line):
            environment[setting[1]] = next(
                each for each in setting.groups()[1:] if each is not None
            )
            continue
        *when, user, rest = line.split(None, 6)
        command, *stdin = (part.replace(r"\%", "%") for part in re.split(r"(?<!\\)%", rest))
        found.append(Executor(when, user, command, "\n".join(stdin), dict(environment)))
    return found


def test_cron_takes_the_file() -> None:
    text = text_of(CRON)
    [executor] = cron_jobs(text)
    limits = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 7)]

    # cron(8): a name with a dot is passed over, and so is a last line without an end.
    assert re.fullmatch(r"[\w-]+", CRON.name)
    assert text.endswith("\n")
    assert stat.S_IMODE(CRON.stat().st_mode) & 0o133 == 0
    for value, (least, most) in zip(executor.when, limits, strict=True):
        assert value == "*" or least <= int(value) <= most
    # From midnight to four is where the changes to and from daylight saving time are.
    assert int(executor.when[1]) >= 4
    assert executor.user == "bulk-revoke"
    assert executor.environment["MAILTO"]
    # What the mail says of its text is what the job writes, whatever the host's locale.
    assert executor.environment["CONTENT_TYPE"].endswith("charset=utf-8")
    assert executor.environment["LANG"] == "C.UTF-8"
    assert executor.stdin == ""
    assert "%" not in executor.command


def run_as_cron(host: Host, command: str = "") -> subprocess.CompletedProcess[str]:
    """Run the job, or another command in its place, in the environment that cron gives it."""
    [executor] = cron_jobs(host.placed(text_of(CRON)))
    home = host.there("/var/lib/bulk-revoke")
    given = {
        "HOME": str(home),
        "LOGNAME": executor.user,
        "SHELL": "/bin/sh",
        "PATH": "/usr/bin:/bin",
    }
    environment = given | executor.environment
    return subprocess.run(
        [environment["SHELL"], "-c", command or executor.command],
        cwd=home,
        env=environment,
        input=executor.stdin,
        capture_output=True,
        encoding="utf-8",
        check=False,
        umask=0o022,
        timeout=60,
    )


@needs_posix
def test_the_cron_job_revokes_the_list_and_no_mail_is_sent(host: Host) -> None:
    host.install(text_of(ROOT / "configs" / "cron.toml"), lock_dir=str(host.there("/run/lock")))

    first = run_as_cron(host)
    sent = host.api.patches()
    second = run_as_cron(host)

    for ended in (first, second):
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert host.api.revoked() == set(IDS)
    assert sorted(sent) == sorted(IDS)
    assert host.api.patches() == sent
    results = host.files("/var/lib/bulk-revoke")
    days = [name for name in results if re.fullmatch(r"\d{4}-\d\d-\d\d\.csv", name)]
    assert {*results} == {name for day in days for name in (day, f"{day}.run.json")}
    assert {row["outcome"] for row in table(results[min(days)])} == {"revoked"}
    # The umask of the line: nobody else is to read any of it.
    logs = host.files("/var/log/bulk-revoke")
    assert len(logs) == 1
    written = [*results.values(), *logs.values()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in written} == {0o600}


@needs_posix
def test_the_mail_of_the_cron_job_names_the_command_that_goes_on(host: Host) -> None:
    host.install(text_of(ROOT / "configs" / "cron.toml"), lock_dir=str(host.there("/run/lock")))
    host.api.fail(IDS[3], 409, on="PATCH")

    failed = run_as_cron(host)
    [again] = re.findall(r"^again: +(.*)$", failed.stderr, re.MULTILINE)
    left = set(IDS) - host.api.revoked()
    going_on = run_as_cron(host, again)

    assert failed.returncode == 1
    assert failed.stderr.startswith(f"bulk-revoke: 1 of {len(IDS)} licenses is NOT revoked")
    assert left == {IDS[3]}
    assert (going_on.returncode, going_on.stderr) == (0, "")
    assert host.api.revoked() == set(IDS)


# systemd


def systemd_analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program("systemd-analyze"), *map(str, arguments)],
        env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "TZ": "JST-9"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def read_unit(text: str) -> dict[str, list[str]]:
    """The settings of a unit, each with the values that it is given, in their order."""
    found = defaultdict(list)
    for line in text.replace("\\\n", " ").splitlines():
        if setting := re.fullmatch(r"([A-Za-z]+)=(.*)", line):
            found[setting[1]].append(setting[2].strip())
    return dict(found)


def seconds(span: str) -> float:
    """A time span of systemd with one unit, in seconds."""
    found = re.fullmatch(r"(\d+)(s|min|h)", span)
    assert found is not None, span
    return int(found[1]) * {"s": 1, "min": 60, "h": 3600}[found[2]]


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """All units, with a program that exists here in the place of the one that they name."""
    for path in (path for unit in UNITS for path in unit):
        text = text_of(path).replace(PROGRAM, sys.executable)
        (tmp_path / path.name).write_text(text, encoding="utf-8")
    return tmp_path


@needs_linux
@each_unit
def test_systemd_takes_the_units_without_a_word(units: Path, service: Path, timer: Path) -> None:
    options = ("--man=no", "--recursive-errors=no")

    ended = systemd_analyze("verify", *options, units / service.name, units / timer.name)
    misspelled = (units / service.name).read_text().replace("\nUMask=", "\nUmask=")
    (units / service.name).write_text(misspelled)
    noticed = systemd_analyze("verify", *options, units / service.name)

    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert "Umask" in noticed.stderr


@needs_linux
@pytest.mark.parametrize("service", [SERVICE, QUARANTINE], ids=lambda it: it.stem)
def test_the_service_is_confined_as_far_as_it_can_work(units: Path, service: Path) -> None:
    # What is left of ten: it talks to the network (0.5 + 0.3 + 0.2), by any address (0.2) …
    ended = systemd_analyze(
        "security", "--offline=true", "--no-pager", "--threshold=12", units / service.name
    )

    assert ended.returncode == 0, ended.stdout


@needs_linux
@each_unit
def test_the_timer_starts_the_service_every_night(service: Path, timer: Path) -> None:
    clock, unit = read_unit(text_of(timer)), read_unit(text_of(service))
    [when] = clock["OnCalendar"]

    # A host in another time zone tells both times.
    ended = systemd_analyze("calendar", "--iterations=8", when)

    found = re.findall(r"\(in UTC\): \w+ ([\d-]+ 0[23]:15:00) UTC", ended.stdout)
    nights = [datetime.fromisoformat(each) for each in found]
    assert len(nights) == 8
    assert {later - night for night, later in pairwise(nights)} == {timedelta(days=1)}
    assert clock["Persistent"] == ["yes"]
    assert clock["WantedBy"] == ["timers.target"]
    assert "Unit" not in clock
    assert timer.stem == service.stem
    # At the start of the host, a night that was missed is made up for once there is a network.
    assert unit["After"] == unit["Wants"] == ["network-online.target"]


@each_unit
def test_no_start_is_left_over_from_the_night_before(service: Path, timer: Path) -> None:
    unit, clock = read_unit(text_of(service)), read_unit(text_of(timer))
    between = 24 * 3600 - seconds(clock["RandomizedDelaySec"][0])

    assert seconds(unit["StartLimitIntervalSec"][0]) < between
    # Each start may wait for an hour (exit 4), and then rests; all fit in the interval.
    rest, starts = seconds(unit["RestartSec"][0]), int(unit["StartLimitBurst"][0])
    assert starts * (3600 + rest) < seconds(unit["StartLimitIntervalSec"][0])


@pytest.mark.parametrize(
    ("code", "fails", "starts_again"),
    [
        (0, False, False),
        (1, True, False),
        (2, True, False),
        (3, True, True),
        (4, True, True),
        (129, False, False),
        (130, False, False),
        (143, False, False),
        (137, True, True),
        (203, True, False),  # systemd.exec(5): the program cannot be started
        (243, True, False),  # … a credential is missing
    ],
)
def test_what_systemd_makes_of_an_exit_code(code: int, fails: bool, starts_again: bool) -> None:
    # systemd.service(5): what succeeds is not started again on-failure, nor is what is excepted.
    unit = read_unit(text_of(SERVICE))
    assert unit["Type"] == ["oneshot"]
    assert unit["Restart"] == ["on-failure"]

    failed = code not in {0, *map(int, unit["SuccessExitStatus"][0].split())}
    excepted = code in set(map(int, unit["RestartPreventExitStatus"][0].split()))

    assert failed is fails
    assert (failed and not excepted) is starts_again


def unlike(one: Path, other: Path) -> set[str]:
    """The settings that differ between two units."""
    units = [read_unit(text_of(path)) for path in (one, other)]
    names = set[str]().union(*units)
    return {name for name in names if units[0].get(name) != units[1].get(name)}


def test_the_quarantine_is_confined_and_started_again_as_the_other_service_is() -> None:
    assert unlike(SERVICE, QUARANTINE) == {"Description", "ExecStart", "User"}
    assert unlike(TIMER, QUARANTINE_TIMER) == {"Description", "OnCalendar"}
    # systemd.exec(5): a dynamic user is called like its unit. Both services write into what is his.
    assert read_unit(text_of(QUARANTINE))["User"] == [SERVICE.stem]


def test_the_profile_of_the_quarantine_is_as_careful_as_the_one_of_cron() -> None:
    there, here = (
        tomllib.loads(text_of(ROOT / "configs" / f"{name}.toml"))["run"]
        for name in ("quarantine", "cron")
    )

    assert there.pop("older_than") == "30d"
    del here["output"]  # it stands in the unit
    assert there == here


def longest_stop(settings: Settings) -> float:
    """Seconds from SIGTERM to the end, results in order excluded."""
    alert = inspect.signature(Alerts.send).parameters["seconds"].default
    assert isinstance(alert, float | int)
    return settings.timeout + settings.timeout * DRAIN + alert


def test_a_stop_is_given_the_time_that_it_takes(profile_in_kubernetes: Path) -> None:
    [stop] = re.findall(r"--stop-timeout (\d+) ", docker_run())
    host_profile = ROOT / "configs" / "cron.toml"
    given = {
        "systemd": (seconds(read_unit(text_of(SERVICE))["TimeoutStopSec"][0]), host_profile),
        "quarantine": (seconds(read_unit(text_of(QUARANTINE))["TimeoutStopSec"][0]), host_profile),
        "container": (int(stop), host_profile),
        "kubernetes": (pod()["terminationGracePeriodSeconds"], profile_in_kubernetes),
    }

    for how, (time, profile) in given.items():
        needed = longest_stop(understood(scheduled()[how], profile).settings)

        assert needed == 105
        assert time >= needed + SPARE, how
        assert f"{time:.0f} s" in text_of(PAGE)
    for path in (SERVICE, DOCKERFILE, KUBERNETES):
        assert " 105" in text_of(path)


def test_a_start_may_take_as_long_as_the_list() -> None:
    assert read_unit(text_of(SERVICE))["TimeoutStartSec"] == ["infinity"]


@pytest.mark.parametrize(("how", "service"), [("systemd", SERVICE), ("quarantine", QUARANTINE)])
def test_what_the_service_writes_is_what_it_may_write(how: str, service: Path) -> None:
    unit = read_unit(text_of(service))
    words = scheduled()[how]
    options = understood(words, ROOT / "configs" / "cron.toml").options
    [lock] = re.findall(r"BULK_REVOKE_RUN_LOCK_DIR=(\S+)", "\n".join(unit["Environment"]))

    assert unit["ProtectSystem"] == ["strict"]
    assert str(Path(options["output"]).parent) == f"/var/lib/{unit['StateDirectory'][0]}"
    assert str(Path(options["log_file"]).parent) == f"/var/log/{unit['LogsDirectory'][0]}"
    assert unit["StateDirectoryMode"] == unit["LogsDirectoryMode"] == ["0700"]
    assert unit["ReadWritePaths"] == [lock]
    assert unit["ProtectHome"] == ["yes"]
    # /home, /root and /run/user are hidden from it, /tmp is its own.
    hidden = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")  # noqa: S108 - that is the point
    assert not [path for path in paths_of(words, options) if path.startswith(hidden)]


# What the service may call, as systemd.exec(5) spells it, put upon a process that then becomes it.
CONFINED = """
import ctypes, json, os, sys

ALLOW, DENY, EQUAL, MASKED = 0x7FFF0000, 0x00050001, 4, 7  # DENY: with EPERM
WRITE, EXECUTE = 2, 4

class Argument(ctypes.Structure):
    _fields_ = [("at", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64),
                ("b", ctypes.c_uint64)]

calls, families, no_new_code = json.loads(sys.argv[1])
seccomp = ctypes.CDLL("libseccomp.so.2")
seccomp.seccomp_init.restype = ctypes.c_void_p
context = ctypes.c_void_p(seccomp.seccomp_init(DENY))

def allow(name, *arguments):
    number = seccomp.seccomp_syscall_resolve_name(name.encode())
    if number < 0:
        return  # another architecture's
    given = (Argument * len(arguments))(*arguments)
    code = seccomp.seccomp_rule_add_array(context, ALLOW, number, len(arguments), given)
    assert code == 0, (name, code)

for name in calls:
    if name == "socket":
        for family in families:
            allow(name, Argument(0, EQUAL, family, 0))
    elif name == "mmap" and no_new_code:
        allow(name, Argument(2, MASKED, EXECUTE, 0))
        allow(name, Argument(2, MASKED, WRITE, 0))
    elif name in {"mprotect", "pkey_mprotect"} and no_new_code:
        allow(name, Argument(2, MASKED, EXECUTE, 0))
    else:
        allow(name)
assert seccomp.seccomp_load(context) == 0
os.execv(sys.argv[2], sys.argv[2:])
"""

FAMILIES = {"AF_UNIX": 1, "AF_INET": 2, "AF_INET6": 10, "AF_NETLINK": 16}


def calls_in(group: str) -> set[str]:
    """The system calls of a group such as ``@system-service``."""
    ended = systemd_analyze("syscall-filter", group)
    assert ended.returncode == 0, ended.stderr
    names = [line.strip() for line in ended.stdout.splitlines()[1:]]
    single = {name for name in names if name and name[0] not in "#@"}
    return single.union(*(calls_in(name) for name in names if name.startswith("@")))


def confined(unit: Mapping[str, list[str]]) -> list[str]:
    """A command that confines the process that it then becomes as the unit says."""
    if find_library("seccomp") is None:
        missing("libseccomp.so.2", "libseccomp2")
    allowed: set[str] = set()
    for line in unit["SystemCallFilter"]:
        groups = set[str]().union(*map(calls_in, line.lstrip("~").split()))
        allowed = allowed - groups if line.startswith("~") else allowed | groups
    families = [FAMILIES[name] for name in unit["RestrictAddressFamilies"][0].split()]
    no_new_code = unit["MemoryDenyWriteExecute"] == ["yes"]
    told = json.dumps([sorted(allowed), families, no_new_code])
    return [sys.executable, "-c", CONFINED, told]


def run_as_service(host: Host, unit: Mapping[str, list[str]]) -> subprocess.CompletedProcess[str]:
    """Run what the unit starts with what systemd gives it, and may call what it may call."""
    credentials = host.root / "credentials"
    credentials.mkdir(mode=0o700, exist_ok=True)
    for each in unit["LoadCredential"]:
        name, path = each.split(":")
        copy = credentials / name
        copy.unlink(missing_ok=True)
        copy.write_bytes(host.there(path).read_bytes())
        copy.chmod(0o400)
    environment = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "LANG": "C.UTF-8",
        "LOGNAME": "bulk-revoke",
        "CREDENTIALS_DIRECTORY": str(credentials),
        "STATE_DIRECTORY": str(host.there("/var/lib/bulk-revoke")),
        "LOGS_DIRECTORY": str(host.there("/var/log/bulk-revoke")),
        "INVOCATION_ID": "5f95da48a47c43c68b6a3f06e3cb6f92",
    }
    for line in unit["Environment"]:
        for setting in shlex.split(line.replace("%d", str(credentials))):
            name, _, value = setting.partition("=")
            environment[name] = host.placed(value)
    [start] = unit["ExecStart"]
    return subprocess.run(
        [*confined(unit), *shlex.split(host.placed(start))],
        cwd="/",
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        check=False,
        umask=int(unit["UMask"][0], 8),
        timeout=60,
    )


@pytest.fixture
def service_host(host: Host) -> Host:
    host.install(text_of(ROOT / "configs" / "cron.toml"))
    return host


@needs_linux
def test_the_service_revokes_the_list_within_its_confinement(service_host: Host) -> None:
    host, unit = service_host, read_unit(text_of(SERVICE))
    with webhook() as hook:
        host.there("/etc/bulk-revoke/notify").write_text(f"{hook.url}\n")

        ended = run_as_service(host, unit)

    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert host.api.revoked() == set(IDS)
    assert hook.received == []
    results, logs = (host.files(f"/var/{each}/bulk-revoke") for each in ("lib", "log"))
    assert len(results) == 2
    assert len(logs) == 1
    written = [*results.values(), *logs.values()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in written} == {0o600}
    # There it would meet whoever runs it in a terminal.
    assert len(host.files("/run/lock")) == 2


@needs_linux
def test_who_is_to_be_told_is_told_by_the_service_and_no_path_that_is_gone(
    service_host: Host,
) -> None:
    host, unit = service_host, read_unit(text_of(SERVICE))
    host.api.fail(IDS[3], 409, on="PATCH")
    with webhook() as hook:
        host.there("/etc/bulk-revoke/notify").write_text(f"{hook.url}\n")

        ended = run_as_service(host, unit)

    assert ended.returncode == 1
    [told] = hook.received
    assert told["title"].startswith(f"bulk-revoke: 1 of {len(IDS)} licenses is NOT revoked")
    assert "credentials" not in told["message"] + ended.stderr


def suspended(host: Host) -> Path:
    """Suspend the list, and put the results with their manifest where the quarantine finds them."""
    host.install(text_of(ROOT / "configs" / "quarantine.toml"), "quarantine.toml")
    host.api.turn(*IDS, suspended=False)
    ended = host.api.run("suspend", write("list.csv", IDS), "--lock-dir", host.there("/run/lock"))
    assert ended.counts == {"suspended": len(IDS)}
    results = host.there(f"/srv/licenses/{INSTANCE}.csv")
    for made, place in (
        (Path(ended.summary["results"]), results),
        (Path(ended.summary["manifest"]), manifest_path(results)),
    ):
        shutil.copy(made, place)
    return results


LONG_AGO = "1999-12-31"


def next_night(host: Host) -> None:
    """A day passes: what was written in this night is no file of today."""
    for name, path in host.files("/var/lib/bulk-revoke").items():
        path.rename(path.with_name(re.sub(r"\d{4}-\d\d-\d\d", LONG_AGO, name)))


@needs_linux
def test_the_quarantine_revokes_on_the_thirtieth_night_what_was_not_lifted(host: Host) -> None:
    unit, results = read_unit(instance(text_of(QUARANTINE))), suspended(host)
    (lifted,), patches = IDS[:1], len(host.api.patches())
    host.api.turn(lifted, suspended=False)
    with webhook() as hook:
        host.there("/etc/bulk-revoke/notify").write_text(f"{hook.url}\n")

        aged(results, *[29.9] * len(IDS))
        early = run_as_service(host, unit)
        left_behind, revoked_early = host.files("/var/lib/bulk-revoke"), host.api.revoked()
        aged(results, *[30.1] * len(IDS))
        due = run_as_service(host, unit)
        once_more = run_as_service(host, unit)
        next_night(host)
        later = run_as_service(host, unit)

    for ended in (early, due, once_more, later):
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert (left_behind, revoked_early, hook.received) == ({}, set(), [])
    assert host.api.revoked() == {*IDS} - {lifted}
    assert len(host.api.patches()) == patches + len(IDS) - 1
    names = [name for name in host.files("/var/lib/bulk-revoke") if name.endswith(".csv")]
    assert len(names) >= 2
    assert all(re.fullmatch(rf"{INSTANCE}-\d{{4}}-\d\d-\d\d\.csv", name) for name in names)
    assert len(host.files("/var/log/bulk-revoke")) == 1


@needs_linux
def test_the_night_after_one_that_failed_revokes_what_is_left(host: Host) -> None:
    unit, results = read_unit(instance(text_of(QUARANTINE))), suspended(host)
    aged(results, *[30.1] * len(IDS))
    host.api.fail(IDS[3], 409, on="PATCH")
    host.there("/etc/bulk-revoke/notify").write_text("json://127.0.0.1:9/\n")

    failed = run_as_service(host, unit)
    left = {*IDS} - host.api.revoked()
    next_night(host)
    later = run_as_service(host, unit)

    assert (failed.returncode, left) == (1, {IDS[3]})
    assert (later.returncode, later.stderr) == (0, "")
    assert host.api.revoked() == {*IDS}


@needs_linux
def test_what_is_taken_back_is_lifted_as_well_or_the_next_night_revokes_it_again(
    host: Host,
) -> None:
    unit, results = read_unit(instance(text_of(QUARANTINE))), suspended(host)
    aged(results, *[30.1] * len(IDS))
    host.there("/etc/bulk-revoke/notify").write_text("json://127.0.0.1:9/\n")
    run_as_service(host, unit)
    host.api.turn(IDS[0], IDS[1], revoked=False)
    host.api.turn(IDS[1], suspended=False)
    next_night(host)

    ended = run_as_service(host, unit)

    assert ended.returncode == 0
    assert host.api.revoked() == {*IDS} - {IDS[1]}


@needs_linux
@pytest.mark.parametrize(
    "forbidden",
    [
        "import mmap; mmap.mmap(-1, 4096, prot=7)",
        "import socket; socket.socket(socket.AF_PACKET, socket.SOCK_RAW)",
        "import os; os.chown('.', -1, -1)",
    ],
)
def test_the_confinement_of_these_tests_is_one(forbidden: str) -> None:
    prefix = confined(read_unit(text_of(SERVICE)))

    harmless, refused = (
        subprocess.run([*prefix, sys.executable, "-c", each], check=False, capture_output=True)
        for each in ("import socket; socket.socket()", forbidden)
    )

    assert harmless.returncode == 0, harmless.stderr
    assert refused.returncode == 1


# The container


def copied() -> list[str]:
    """What the build takes from the checkout."""
    return [
        source
        for stage in instructions()
        for given in stage.get("COPY", [])
        if not given.startswith("--from")
        for source in given.split()[:-1]
    ]


def is_ignored(path: str) -> bool:
    """Whether .dockerignore keeps a path out of the build: the last line that fits counts."""
    ignored = False
    for line in text_of(DOCKERFILE.with_name("Dockerfile.dockerignore")).splitlines():
        pattern = line.strip()
        if not pattern or pattern.startswith("#"):
            continue
        bare = pattern.lstrip("!")
        above = [path, *(str(each) for each in Path(path).parents)][:-1] if "/" in path else [path]
        inside = bare.removeprefix("**/")
        fits = [fnmatch(Path(each).name if bare != inside else each, inside) for each in above]
        if any(fits):
            ignored = not pattern.startswith("!")
    return ignored


def image_environment() -> dict[str, str]:
    """What ENV of the last stage sets."""
    pairs = [shlex.split(given) for given in instructions()[-1]["ENV"]]
    return dict(each.split("=", 1) for words in pairs for each in words)


def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    hadolint = shutil.which("hadolint", path=str(Path(sys.executable).parent))
    assert hadolint is not None

    ended = subprocess.run(
        [hadolint, "--disable-ignore-pragma", "--failure-threshold", "ignore", DOCKERFILE],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (ended.returncode, ended.stdout) == (0, "")


def test_the_image_is_built_from_nothing_but_the_package(tmp_path: Path) -> None:
    sources = copied()
    for source in sources:
        kept = [path for path in files_of(source) if not is_ignored(path)]
        assert kept, source
        for path in kept:
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / path, tmp_path / path)
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", "dist"]

    subprocess.run(build, cwd=tmp_path, check=True, capture_output=True)

    [wheel] = (tmp_path / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as opened:
        names = opened.namelist()
        told = {
            Path(name).name: opened.read(name).decode() for name in names if ".dist-info/" in name
        }
    extras = set(re.findall(r"^Provides-Extra: (\S+)$", told["METADATA"], re.MULTILINE))
    [wanted] = re.findall(r"'\.\[([\w,]+)\]'", "\n".join(instructions()[0]["RUN"]))
    assert set(wanted.split(",")) == {"fast", "notify"}
    assert set(wanted.split(",")) <= extras
    assert f"{entrypoint()[0]} = batch.cli:main" in told["entry_points.txt"]
    assert "LICENSE" in told
    assert {name for name in names if name.endswith(".py")} == {
        path for path in files_of("batch") if path.endswith(".py")
    }


def files_of(source: str) -> list[str]:
    """The files of the checkout that a source of COPY names."""
    path = ROOT / source
    if path.is_file():
        return [source]
    return sorted(str(each.relative_to(ROOT)) for each in path.rglob("*") if each.is_file())


@pytest.mark.parametrize(
    ("path", "ignored"),
    [
        ("batch/cli/run.py", False),
        ("pyproject.toml", False),
        ("batch/cli/__pycache__/run.cpython-313.pyc", True),
        (".git/config", True),
        (".venv/bin/python", True),
        ("licenses.csv", True),
        ("token", True),
    ],
)
def test_only_the_package_gets_into_the_build(path: str, ignored: bool) -> None:
    assert is_ignored(path) is ignored


def test_both_stages_are_of_one_python_and_it_is_a_tested_one() -> None:
    first, last = (stage["FROM"][0] for stage in instructions())
    project = tomllib.loads(text_of(ROOT / "pyproject.toml"))["project"]

    assert first == f"{last} AS build"
    found = re.fullmatch(r"python:(3\.\d+)-slim-[a-z]+", last)
    assert found is not None
    assert f"Programming Language :: Python :: {found[1]}" in project["classifiers"]
    [label] = re.findall(r'base\.name="docker\.io/library/([^"]+)"', instructions()[-1]["LABEL"][0])
    assert label == last
    assert f'image.licenses="{project["license"]}"' in instructions()[-1]["LABEL"][0]


def test_the_image_runs_as_nobody_in_particular_and_hears_signals(
    capsys: pytest.CaptureFixture[str],
) -> None:
    last = instructions()[-1]

    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", last["USER"][0])
    assert last["STOPSIGNAL"] == ["SIGTERM"]
    assert entrypoint() == ["bulk-revoke"]  # a list: a shell would keep the signal to itself
    user, group = last["USER"][0].split(":")
    assert last["RUN"] == [f"install -d -o {user} -g {group} -m 0700 /data"]
    assert last["WORKDIR"] == json.loads(last["VOLUME"][0]) == ["/data"]
    # Whatever the venv has, no file of it is the user's.
    assert last["COPY"] == ["--from=build /opt/bulk-revoke /opt/bulk-revoke"]
    assert image_environment()["PATH"].split(":")[0] == "/opt/bulk-revoke/bin"
    assert run_command(json.loads(last["CMD"][0])) == 0
    assert "Usage: bulk-revoke" in capsys.readouterr().out


def test_the_venv_of_the_image_is_copied_to_where_it_was_made() -> None:
    # A venv knows where it is: its scripts name its Python by a whole path.
    [run] = instructions()[0]["RUN"]
    made = re.findall(r"-m venv --without-pip (\S+)", run)

    subprocess.run(["sh", "-n", "-c", run], check=True)
    assert made == ["/opt/bulk-revoke"]
    assert f"--python {made[0]}/bin/python install" in run


def test_a_container_locks_where_it_is_told_to_and_says_so_for_every_command() -> None:
    environment = image_environment()

    locks = {
        environment[f"BULK_REVOKE_{name}_LOCK_DIR"]
        for name in ("RUN", "SUSPEND", "VERIFY", "RESTORE", "LIST")
    }

    assert locks == {"/run/lock"}
    shown = docker_run()
    assert "--volume /run/lock:/run/lock " in shown
    # What the profile writes is written on the host.
    written = understood(scheduled()["container"], ROOT / "configs" / "cron.toml").options
    for path in (written["output"], written["log_file"]):
        assert f"--volume {Path(path).parent}:{Path(path).parent} " in shown


# Kubernetes


def oldest() -> str:
    """The oldest Kubernetes that the sample says it is for, such as ``1.29``."""
    [found] = re.findall(r"Kubernetes (1\.\d+) or later", text_of(KUBERNETES))
    return str(found)


def versions() -> list[str]:
    """Versions of Kubernetes whose schemas are at hand, in their order."""
    schemas = Path(kubernetes_validate.__file__).with_name("kubernetes-json-schema")
    found = {match[1] for each in schemas.iterdir() if (match := re.match(r"v(1\.\d+)", each.name))}
    return sorted(found, key=lambda each: int(each.split(".")[1]))


def fits(version: str) -> bool:
    try:
        for each in yaml.safe_load_all(text_of(KUBERNETES)):
            kubernetes_validate.validate(each, version, strict=True)
    except kubernetes_validate.ValidationError:
        return False
    return True


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_manifest_is_valid_from_the_version_that_it_names_and_from_no_earlier_one() -> None:
    known = versions()

    valid = [version for version in known if fits(version)]

    assert valid == known[known.index(oldest()) :]
    assert oldest() in text_of(PAGE)


def test_what_the_manifest_refers_to_is_there() -> None:
    objects = list(yaml.safe_load_all(text_of(KUBERNETES)))
    names = {(each["kind"], each["metadata"]["name"]) for each in objects}
    volumes = {each["name"]: each for each in pod()["volumes"]}
    namespaces = {each["metadata"].get("namespace") for each in objects[1:]}

    assert namespaces == {kubernetes("Namespace")["metadata"]["name"]}
    assert ("PersistentVolumeClaim", volumes["results"]["persistentVolumeClaim"]["claimName"]) in (
        names
    )
    assert ("ConfigMap", volumes["profile"]["configMap"]["name"]) in names
    assert ("Secret", volumes["secret"]["secret"]["secretName"]) in names
    # The list is made by the command in the file's head, and a run without one is refused and told.
    listed = volumes["list"]["configMap"]
    assert listed["optional"] is True
    assert f"create configmap {listed['name']} " in text_of(KUBERNETES)
    assert {*mounts()} == {*volumes}
    [file] = re.findall(r"--from-file=(\S+\.csv) ", text_of(KUBERNETES))
    [profile] = kubernetes("ConfigMap")["data"]
    _, source, _, config = container()["args"]
    assert source == f"{mounts()['list']}/{file}"
    assert config == f"{mounts()['profile']}/{profile}"
    assert container()["image"].endswith(f"/bulk-revoke:{__version__}")


def test_how_many_ids_a_config_map_holds_is_what_is_said() -> None:
    held = 1 << 20  # bytes of all values together (Kubernetes, "ConfigMaps": 1 MiB)
    header, row = b"license_id\n", f"{uuid4()}\n".encode()
    most = f"{(held - len(header)) // len(row):,} IDs below the header"

    for text in (text_of(KUBERNETES), text_of(PAGE)):
        assert f"holds 1 MiB, and so does a Secret: {most}" in text or f"1 MiB**: {most}" in text


def test_the_pod_may_do_nothing_that_it_need_not_do() -> None:
    # "Restricted" in kubernetes.io/docs/concepts/security/pod-security-standards, and more.
    everybody, own = pod()["securityContext"], container()["securityContext"]
    user = f"{everybody['runAsUser']}:{everybody['runAsGroup']}"

    assert everybody["runAsNonRoot"] is True
    assert user == instructions()[-1]["USER"][0]
    assert everybody["fsGroup"] == everybody["runAsGroup"]
    assert everybody["seccompProfile"] == {"type": "RuntimeDefault"}
    assert own["allowPrivilegeEscalation"] is False
    assert own["readOnlyRootFilesystem"] is True
    assert own["capabilities"] == {"drop": ["ALL"]}
    assert pod()["automountServiceAccountToken"] is False
    assert kubernetes("Namespace")["metadata"]["labels"] == {
        "pod-security.kubernetes.io/enforce": "restricted"
    }
    [mode] = [each["secret"]["defaultMode"] for each in pod()["volumes"] if "secret" in each]
    assert mode & 0o007 == 0
    assert not [each for each in container()["env"] if "valueFrom" in each]
    assert "envFrom" not in container()


@pytest.mark.parametrize(
    ("code", "action"),
    [(1, "FailJob"), (2, "FailJob"), (3, "Count"), (4, "Count"), (137, "Count"), (143, "Count")],
)
def test_what_kubernetes_makes_of_an_exit_code(code: int, action: str) -> None:
    spec = kubernetes("CronJob")["spec"]["jobTemplate"]["spec"]
    rules = [rule for rule in spec["podFailurePolicy"]["rules"] if "onExitCodes" in rule]

    fitting = [rule["action"] for rule in rules if code in rule["onExitCodes"]["values"]]

    assert (fitting or ["Count"])[0] == action
    assert {rule["onExitCodes"]["containerName"] for rule in rules} == {container()["name"]}
    assert {rule["onExitCodes"]["operator"] for rule in rules} == {"In"}
    assert pod()["restartPolicy"] == "Never"
    assert 1 <= spec["backoffLimit"] <= 3


def test_a_drained_node_is_no_failure() -> None:
    spec = kubernetes("CronJob")["spec"]["jobTemplate"]["spec"]

    # The first rule that fits counts, and a run that is drained ends with an exit code as well.
    first = spec["podFailurePolicy"]["rules"][0]

    assert first["action"] == "Ignore"
    assert first["onPodConditions"] == [{"type": "DisruptionTarget", "status": "True"}]


def test_one_night_is_over_before_the_next_begins() -> None:
    spec = kubernetes("CronJob")["spec"]

    [executor] = cron_jobs(f"{spec['schedule']} user command")
    assert executor.when[2:] == ["*", "*", "*"]
    assert spec["timeZone"] == "Etc/UTC"
    assert spec["concurrencyPolicy"] == "Forbid"
    limits = spec["startingDeadlineSeconds"] + spec["jobTemplate"]["spec"]["activeDeadlineSeconds"]
    # Also so that {date}, which is UTC, stays the same from the first pod to the last.
    assert int(executor.when[1]) * 3600 + limits < 24 * 3600


def test_the_profile_in_kubernetes_is_as_careful_as_the_one_of_cron() -> None:
    there = tomllib.loads(kubernetes("ConfigMap")["data"]["cron.toml"])["run"]
    here = tomllib.loads(text_of(ROOT / "configs" / "cron.toml"))["run"]
    of_the_place = {"output", "log_file", "wait", "rate"}

    assert {*there} ^ {*here} <= of_the_place
    assert {key: there[key] for key in {*there} - of_the_place} == {
        key: here[key] for key in {*here} - of_the_place
    }


def test_what_a_pod_writes_is_on_a_volume() -> None:
    writable = {
        each["mountPath"] for each in container()["volumeMounts"] if not each.get("readOnly")
    }
    there = tomllib.loads(kubernetes("ConfigMap")["data"]["cron.toml"])["run"]
    environment = image_environment()

    written = {
        str(Path(there["output"]).parent),
        environment["BULK_REVOKE_RUN_LOCK_DIR"],
        environment["HOME"],
        "/tmp",  # noqa: S108 - the pod's own
    }

    assert writable == written


def test_the_token_of_the_manifest_is_none() -> None:
    [(name, token)] = kubernetes("Secret")["stringData"].items()

    assert name == CREDENTIAL
    with pytest.raises(ConfigError, match="holds no access token"):
        find_token(None, {"CRYPTLEX_ACCESS_TOKEN": token}, None)


def run_as_pod(host: Host, secret: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run the container of the CronJob with its environment, its mounts below a directory."""
    where = mounts()["secret"]
    [mode] = [each["secret"]["defaultMode"] for each in pod()["volumes"] if "secret" in each]
    for name, content in secret.items():
        path = host.there(where) / name
        path.unlink(missing_ok=True)
        path.write_text(content, encoding="utf-8")
        path.chmod(mode)
    environment = image_environment() | {each["name"]: each["value"] for each in container()["env"]}
    environment = {name: host.placed(value) for name, value in environment.items()}
    environment["PATH"] = f"{host.there(PROGRAM).parent}:/usr/bin:/bin"
    return subprocess.run(
        [*entrypoint(), *map(host.placed, container()["args"])],
        executable=host.there(PROGRAM),
        cwd=host.placed(instructions()[-1]["WORKDIR"][0]),
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=60,
    )


@needs_posix
def test_the_pod_revokes_the_list_once_it_has_a_token_and_a_list(host: Host) -> None:
    host.install(kubernetes("ConfigMap")["data"]["cron.toml"].replace('rate = "45/5s"', ""))
    listed = host.there("/srv/licenses/revoke.csv")
    away = listed.rename(host.root / "list.csv")

    without_token = run_as_pod(host, kubernetes("Secret")["stringData"])
    without_list = run_as_pod(host, {CREDENTIAL: TOKEN})
    away.rename(listed)
    ended = run_as_pod(host, {CREDENTIAL: TOKEN})

    assert (without_token.returncode, without_list.returncode) == (2, 2)
    assert "holds no access token" in without_token.stderr
    assert "no such file" in without_list.stderr
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert host.api.revoked() == set(IDS)
    assert len(host.files("/run/lock")) == 2
    assert len([name for name in host.files("/data") if name.endswith(".csv")]) == 1
