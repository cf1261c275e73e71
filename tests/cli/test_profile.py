"""Settings from a profile, from the environment and from the command line, and which one counts."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click
import pytest
from click.core import ParameterSource

from batch.cli import cli, options, run_command
from batch.cli.command import Command, GroupedOption
from batch.cli.list_command import FILTERS
from batch.reporting.observers import Observers
from batch.sandbox import Account
from tests.support.commands import YES, served, settle_in, write
from tests.support.job_harness import some_ids

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMANDS = ("run", "suspend", "verify", "restore", "list")
LICENSE = "23d9646c-34f5-4d37-adeb-f7f77b927bdb"


def command(name: str) -> Command:
    found = cli.get_command(click.Context(cli), name)
    assert isinstance(found, Command)
    return found


def options_of(name: str) -> Iterator[GroupedOption]:
    """The options of a command that can be set from elsewhere, in their order."""
    for parameter in command(name).params:
        typed = {"config", "manifest", "all"}
        if isinstance(parameter, GroupedOption) and parameter.name not in typed:
            yield parameter


EVERY = [(name, option.name or "") for name in COMMANDS for option in options_of(name)]
"""Every command with every option of it."""


class Values(NamedTuple):
    """Three values of an option that differ, as each place spells them and as they arrive."""

    profile: tuple[str, Any]
    environment: tuple[str, Any]
    line: tuple[list[str], Any]


def values_for(option: GroupedOption) -> Values:
    name = option.opts[-1]
    if option.is_bool_flag:
        off = option.secondary_opts[-1:] or [name]
        return Values(("true", True), ("false", False), (off, not option.secondary_opts))
    if option.multiple:
        between = ":" if option.type is options.PATH else "\nand "
        return Values(
            ('["a", "b c"]', ("a", "b c")),
            (f"d{between}e", ("d", "e" if between == ":" else "and e")),
            ([name, "f", name, "g"], ("f", "g")),
        )
    if isinstance(option.type, click.Choice):
        return Values(('"key"', "key"), ("id", "id"), ([name, "key"], "key"))
    if isinstance(option.type, click.types.IntParamType):
        return Values(("7", 7), ("8", 8), ([name, "9"], 9))
    if isinstance(option.type, click.types.FloatParamType):
        return Values(("1.5", 1.5), ("2.5", 2.5), ([name, "3.5"], 3.5))
    return Values(('"a b"', "a b"), ("c d", "c d"), ([f"{name}=e f"], "e f"))


class Set(NamedTuple):
    """What an option was set to, and by whom."""

    value: Any
    source: ParameterSource | None


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "home"
    home.mkdir()
    settle_in(home, tmp_path, monkeypatch)
    return home


def default_of(option: GroupedOption) -> object:
    """What the table says an option is where nobody sets it."""
    own = {each.names[-1].split("/")[0].removeprefix("--"): each for each in FILTERS}
    attributes = (own if option.group == "Filters" else options.OPTIONS)[
        (option.name or "").replace("_", "-")
    ].attributes
    nothing = False if option.is_bool_flag else () if option.multiple else None
    return attributes.get("default", nothing)


def parsed(name: str, *arguments: str) -> click.Context:
    group = cli.make_context("bulk-revoke", [name], obj=Observers())
    source = [] if name == "list" else ["licenses.csv"]
    return command(name).make_context(name, [*source, *arguments], parent=group)


def given(name: str, key: str, *arguments: str) -> Set:
    context = parsed(name, *arguments)
    return Set(context.params[key], context.get_parameter_source(key))


def profile(*lines: str, name: str = "profile.toml") -> str:
    Path(name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return name


@pytest.mark.parametrize(("name", "key"), EVERY, ids=[f"{name} {key}" for name, key in EVERY])
@pytest.mark.usefixtures("home")
def test_the_command_line_wins_over_the_environment_over_the_profile_over_the_default(
    name: str, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    [option] = [each for each in options_of(name) if each.name == key]
    values = values_for(option)
    variable = f"BULK_REVOKE_{name.upper()}_{key.upper()}"
    monkeypatch.delenv(variable, raising=False)
    beside = ["max_licenses = 5"] if key == "yes" else []
    with_profile = ("--config", profile(f"[{name}]", f"{key} = {values.profile[0]}", *beside))

    default = given(name, key)
    of_profile = given(name, key, *with_profile)
    of_environment = None
    if option.allow_from_autoenv:
        monkeypatch.setenv(variable, values.environment[0])
        of_environment = given(name, key, *with_profile)
    of_line = given(name, key, *with_profile, *values.line[0])

    profiled, in_environment, on_line = (value for _, value in values)
    if option.adds_up:
        in_environment += profiled
        on_line += in_environment
    assert default == (default_of(option), ParameterSource.DEFAULT)
    assert of_profile == (profiled, ParameterSource.DEFAULT_MAP)
    if option.allow_from_autoenv:
        assert of_environment == (in_environment, ParameterSource.ENVIRONMENT)
    assert of_line == (on_line, ParameterSource.COMMANDLINE)


def test_only_what_must_be_meant_now_cannot_come_from_the_environment() -> None:
    never = {key for name in COMMANDS for key in shut(name)}

    assert never == {"yes", "overwrite"}


def shut(name: str) -> set[str]:
    return {each.name or "" for each in options_of(name) if not each.allow_from_autoenv}


@pytest.mark.parametrize("name", COMMANDS)
def test_help_says_which_environment_variable_sets_what(name: str) -> None:
    group = cli.make_context("bulk-revoke", [name], obj=Observers())
    wide = click.Context(command(name), info_name=name, parent=group, terminal_width=300)

    page = command(name).get_help(wide)

    [rule] = re.findall(rf"^  BULK_REVOKE_{name.upper()}_<OPTION> +(.*)$", page, re.MULTILINE)
    [excepted] = re.findall(r"\(not (.*?)\)", rule)
    typed = {each.removeprefix("--").replace("-", "_") for each in excepted.split(", ")}
    assert typed == shut(name) | {"verify": {"manifest"}, "list": {"all"}}.get(name, set())
    assert f"BULK_REVOKE_{name.upper()}_LOG_FILE sets --log-file" in rule
    assert re.search(r"^  BULK_REVOKE_CONFIG +Sets --config", page, re.MULTILINE)
    assert "CRYPTLEX_ACCESS_TOKEN" in page


@pytest.mark.usefixtures("home")
def test_the_environment_can_name_the_profile_and_the_command_line_another_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BULK_REVOKE_CONFIG", profile("[run]", "limit = 7", name="one.toml"))
    other = profile("[run]", "limit = 8", name="other.toml")

    assert given("run", "limit").value == 7
    assert given("run", "limit", "--config", other).value == 8


@pytest.mark.usefixtures("home")
def test_nothing_is_read_from_the_working_directory_by_itself() -> None:
    for name in ("bulk-revoke.toml", ".bulk-revoke.toml", "profile.toml", "config.toml"):
        profile("[run]", "limit = 7", name=name)

    assert given("run", "limit") == (None, ParameterSource.DEFAULT)


@pytest.mark.usefixtures("home")
def test_a_command_takes_its_own_table_and_no_other() -> None:
    both = profile("[run]", "limit = 7", "[restore]", "limit = 8")

    assert given("run", "limit", "--config", both).value == 7
    assert given("restore", "limit", "--config", both).value == 8
    assert given("verify", "reason", "--config", both).source is ParameterSource.DEFAULT


@pytest.mark.parametrize("key", ["column", "sheet", "max_failures"])
@pytest.mark.usefixtures("home")
def test_what_may_be_a_number_needs_no_quotes(key: str) -> None:
    path = profile("[run]", f"{key} = 3")

    assert given("run", key, "--config", path).value == "3"


WRONG = {
    "unknown key": (["[run]", "max_licences = 5"], "[run] max_licences", "max_licenses"),
    "key with hyphens": (["[run]", "max-licenses = 5"], "[run] max-licenses", "max_licenses"),
    "key of another command": (["[verify]", "limit = 5"], "[verify] limit", "keys are "),
    "a profile in a profile": (["[run]", 'config = "x"'], "[run] config", "keys are "),
    "the token": (["[run]", 'token = "x"'], "[run] token", "token_file"),
    "unknown table": (["[runs]", "limit = 5"], "runs: no such table", "did you mean run?"),
    "table of a command without": (["[sandbox]", "port = 1"], "sandbox: no such", "tables are run"),
    "no table": (["pace = 5"], "pace: in no table", "tables are run, suspend, verify, restore"),
    "a command that is no table": (["run = 5"], "run: is no table", "[run]"),
    "two tables deep": (["[run.limit]", "x = 5"], "[run] limit: must be a whole number", "= 500"),
    "text for a number": (["[run]", 'limit = "5"'], "[run] limit: must be a whole", "limit = 500"),
    "number for text": (["[run]", "reason = 5"], "[run] reason: must be text$", 'reason = "…"'),
    "half a license": (["[run]", "limit = 5.5"], "[run] limit: must be a whole number", "500"),
    "a number for a switch": (["[run]", "quiet = 1"], "[run] quiet: must be true", "quiet = true"),
    "a switch for a number": (["[run]", "limit = true"], "[run] limit: must be a whole", "500"),
    "a switch for text": (["[run]", "column = true"], "column: must be text or a whole", '"…"'),
    "a text for a list": (["[run]", 'carry = "a"'], "[run] carry: must be a list", '["…", "…"]'),
    "a list of numbers": (["[run]", "carry = [1]"], "[run] carry: must be a list of texts", "["),
    "out of range": (["[run]", "concurrency = 0"], "[run] concurrency: 0 is not in", "500"),
    "a number for files": (["[run]", "exclude = 5"], "[run] exclude: must be a list", '["…", "…"]'),
    "a number for a file": (["[run]", "metrics_file = 5"], "metrics_file: must be text", '"…"'),
    "text for a switch": (["[run]", 'sandbox = "yes"'], "[run] sandbox: must be true", "= true"),
    "no choice": (["[run]", 'by = "name"'], "[run] by: must be id or key", '"…"'),
    "notify as text": (["[run]", 'notify = "x"'], "[run] notify: must be a list", "slack://"),
    "yes without a maximum": (["[run]", "yes = true"], "[run] yes: needs max_licenses", "= 500"),
    "another command's table": (["[restore]", "limits = 5"], "[restore] limits", "limit"),
    "no TOML": (["[run", "limit = 5"], "is no TOML", "rate ="),
    "a key twice": (["[run]", "limit = 5", "limit = 6"], "is no TOML", "rate ="),
}
"""Profiles that are refused, what the message names, and what the hint does."""


@pytest.mark.parametrize("case", WRONG)
@pytest.mark.usefixtures("home")
def test_a_wrong_profile_is_refused_with_file_key_and_remedy(
    case: str, capsys: pytest.CaptureFixture[str]
) -> None:
    lines, named, remedy = WRONG[case]
    path = profile(*lines)
    source = write("licenses.csv", [LICENSE])

    code = run_command(["run", source, "--sandbox", "--config", path])

    said = capsys.readouterr().err
    assert code == 2
    [message] = re.findall(r"^rehearsal \| error: (.*)$", said, re.MULTILINE)
    [hint] = re.findall(r"^rehearsal \| hint: (.*)$", said, re.MULTILINE)
    assert message.startswith(f"{path}: ")
    assert named in f"{message}$"
    assert remedy in hint
    assert sorted(each.name for each in Path().iterdir()) == [source, path]


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"\xff\xfe\x00", "no text in UTF-8"), (b"a" * 9, "Expected '='"), (b"a=" + b"[" * 9999, "")],
)
@pytest.mark.usefixtures("home")
def test_what_is_no_toml_is_refused(
    content: bytes, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("profile.toml").write_bytes(content)

    assert run_command(["run", "licenses.csv", "--config", "profile.toml"]) == 2
    err = capsys.readouterr().err
    assert "error: profile.toml: is no TOML" in err
    assert said in err


@pytest.mark.parametrize("path", ["missing.toml", "."])
@pytest.mark.usefixtures("home")
def test_a_profile_that_cannot_be_read_is_refused(
    path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["run", "licenses.csv", "--config", path]) == 2
    assert f"error: {path}: the profile cannot be read" in capsys.readouterr().err


@pytest.mark.usefixtures("home")
def test_a_value_that_may_be_a_secret_is_in_no_message(capsys: pytest.CaptureFixture[str]) -> None:
    path = profile("[run]", 'token = "hush-hush"', "notify = [5]")

    assert run_command(["run", "licenses.csv", "--config", path]) == 2
    assert "hush" not in capsys.readouterr().err


@pytest.mark.usefixtures("home")
def test_a_byte_order_mark_does_no_harm() -> None:
    Path("profile.toml").write_bytes(b"\xef\xbb\xbf[run]\r\nlimit = 7\r\n")

    assert given("run", "limit", "--config", "profile.toml").value == 7


@pytest.mark.usefixtures("home")
def test_a_yes_of_the_profile_is_one() -> None:
    source = write("licenses.csv", [LICENSE])
    path = profile("[run]", "yes = true", "max_licenses = 5")

    with served(Account.holding([LICENSE])) as api:
        ended = api.ask("run", source, "--config", path)

        assert ended.code == 0
        assert api.revoked() == {LICENSE}


@pytest.mark.parametrize(
    ("where", "origin"),
    [("environment", "It comes from BULK_REVOKE_RUN_RATE."), ("profile", "It comes from p.toml.")],
)
@pytest.mark.usefixtures("home")
def test_an_option_that_is_refused_names_where_it_comes_from(
    where: str,
    origin: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    more = []
    if where == "environment":
        monkeypatch.setenv("BULK_REVOKE_RUN_RATE", "often")
    else:
        more = ["--config", profile("[run]", 'rate = "often"', name="p.toml")]

    code = run_command(["run", "licenses.csv", *more])

    assert code == 2
    assert re.search(rf"^hint: .*{re.escape(origin)}$", capsys.readouterr().err, re.MULTILINE)


@pytest.mark.usefixtures("home")
def test_the_command_that_goes_on_names_the_profile_wherever_that_came_from(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write("licenses.csv", [LICENSE, "0f8fad5b-d9cb-469f-a165-70867728950e"])
    monkeypatch.setenv("BULK_REVOKE_CONFIG", profile("[run]", "sandbox = true", "limit = 1"))

    assert run_command(["run", source]) == 0
    [again] = re.findall(r"^rehearsal \| again: +(.*)$", capsys.readouterr().err, re.MULTILINE)
    assert again == (
        f"bulk-revoke run {source} --config profile.toml --resume -o licenses.rehearsal.csv"
    )


CRON = (
    "yes = true",
    "max_licenses = 5",
    'output = "nightly.csv"',
    "resume = true",
    "quiet = true",
    'log_file = "log.jsonl"',
    'metrics_file = "nightly.prom"',
)
"""What a nightly run has in its profile."""


@pytest.mark.parametrize("trial", ["--dry-run", "--sandbox"])
@pytest.mark.usefixtures("home")
def test_a_trial_of_a_profile_takes_the_place_of_nothing_that_is_for_the_real_run(
    trial: str,
) -> None:
    source = write("licenses.csv", [LICENSE])
    Path("told").write_text("json://127.0.0.1:9/file\n", encoding="utf-8")
    path = profile("[run]", *CRON[:-3], *CRON[-2:], 'notify_file = "told"',
                   'notify = ["json://127.0.0.1:9/list"]')  # fmt: skip

    with served(Account.holding([LICENSE])) as api:
        ended = api.ask("run", source, "--config", path, trial)

        assert ended.code == 0
        assert "not delivered" not in ended.err  # nobody was told in vain
        assert api.patches() == []
    made = {each.name for each in Path().iterdir()} - {source, path, "told"}
    stem = {"--dry-run": "licenses.dry-run.csv", "--sandbox": "licenses.rehearsal.csv"}[trial]
    assert made == {stem, f"{stem}.run.json"}


@pytest.mark.usefixtures("home")
def test_what_the_command_line_says_beside_a_trial_stays() -> None:
    source = write("licenses.csv", [LICENSE])
    path = profile("[run]", *CRON)

    more = ["-o", "own.csv", "--log-file", "own.jsonl"]

    assert run_command(["run", source, "--config", path, "--sandbox", *more]) == 0
    assert Path("own.csv").exists()
    assert Path("own.jsonl").exists()
    assert not Path("log.jsonl").exists()


@pytest.mark.parametrize("trial", ["--dry-run", "--sandbox"])
@pytest.mark.usefixtures("home")
def test_a_trial_is_no_success_in_the_metrics_whoever_asks_for_them(trial: str) -> None:
    source = write("licenses.csv", [LICENSE])

    with served(Account.holding([LICENSE])) as api:
        assert api.ask("run", source, trial, "--metrics-file", "a.prom").code == 0
    assert not Path("a.prom").exists()


@pytest.mark.usefixtures("home")
def test_a_profile_of_rehearsals_says_for_itself_where_they_go() -> None:
    source = write("licenses.csv", [LICENSE])

    assert run_command(["run", source, "--config", profile("[run]", "sandbox = true", *CRON)]) == 0
    assert {"nightly.csv", "log.jsonl"} <= {each.name for each in Path().iterdir()}


@pytest.mark.parametrize(
    ("setting", "argument", "on", "off"),
    [
        ("quiet = true", "--verbose", "verbose", "quiet"),
        ("verbose = true", "--quiet", "quiet", "verbose"),
        ("resume = true", "--overwrite", "overwrite", "resume"),
        ("overwrite = true", "--resume", "resume", "overwrite"),
    ],
)
@pytest.mark.usefixtures("home")
def test_of_two_that_exclude_each_other_the_one_on_the_command_line_counts(
    setting: str, argument: str, on: str, off: str
) -> None:
    found = parsed("run", "--config", profile("[run]", setting), argument).params

    assert found[on] is True
    assert not found[off]


REAL = ("output = 'p.csv'", "resume = true", "log_file = 'p.jsonl'", "notify_file = 'p'")
NOT_SET = {"output": None, "resume": False, "log_file": None, "notify_file": None}


@pytest.mark.parametrize(
    ("line", "environment", "settings", "found"),
    [
        (["--dry-run"], {}, REAL, NOT_SET),
        (["--sandbox"], {"OUTPUT": "e.csv", "RESUME": "true"}, REAL, NOT_SET),
        ([], {"DRY_RUN": "true", "OUTPUT": "e.csv"}, REAL, NOT_SET | {"output": "e.csv"}),
        (["-o", "l.csv"], {"SANDBOX": "true"}, REAL, NOT_SET | {"output": "l.csv"}),
        (["--dry-run"], {"SANDBOX": "true", "LOG_FILE": "e.jsonl"}, REAL, NOT_SET),
        ([], {"DRY_RUN": "false", "OUTPUT": "e.csv"}, ["resume = true"], {"resume": True}),
        (["--resume"], {}, ["dry_run = true"], {"resume": True, "dry_run": True}),
        ([], {"OUTPUT": "e.csv"}, ["sandbox = true", *REAL], {"output": "e.csv", "resume": True}),
        ([], {"VERBOSE": "true"}, ["quiet = true"], {"quiet": False, "verbose": True}),
        (["--quiet"], {"VERBOSE": "true"}, [], {"quiet": True, "verbose": False}),
        ([], {"QUIET": "true", "VERBOSE": "true"}, [], {"quiet": True, "verbose": True}),
        (["--overwrite"], {"RESUME": "true"}, [], {"overwrite": True, "resume": False}),
    ],
)
@pytest.mark.usefixtures("home")
def test_a_switch_rules_out_what_contradicts_it_in_every_place_farther_away(
    line: list[str],
    environment: dict[str, str],
    settings: list[str],
    found: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(f"BULK_REVOKE_RUN_{name}", value)

    context = parsed("run", "--config", profile("[run]", *settings), *line)

    assert {name: context.params[name] for name in found} == found


@pytest.mark.parametrize(("trial", "notified"), [(None, ("json://x",)), ("--sandbox", ())])
@pytest.mark.usefixtures("home")
def test_a_trial_notifies_nobody_whom_the_profile_names(
    trial: str | None, notified: tuple[str, ...]
) -> None:
    more = [trial] if trial else []

    context = parsed("run", "--config", profile("[run]", "notify = ['json://x']"), *more)

    assert context.ensure_object(Observers).addresses == notified


@pytest.mark.usefixtures("home")
def test_a_dry_run_of_a_profile_is_taken_back_by_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = profile("[run]", "dry_run = true")

    assert run_command(["run", "licenses.csv", "--config", path, "--resume"]) == 2
    assert "--resume and --dry-run exclude each other" in capsys.readouterr().err


@pytest.mark.parametrize("pair", ["quiet verbose", "resume overwrite", "resume dry_run"])
@pytest.mark.usefixtures("home")
def test_two_in_one_profile_that_exclude_each_other_are_refused(
    pair: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = profile("[run]", *(f"{name} = true" for name in pair.split()))

    assert run_command(["run", "licenses.csv", "--config", path]) == 2
    assert "exclude each other" in capsys.readouterr().err


@pytest.mark.usefixtures("home")
def test_what_is_excluded_in_one_place_is_not_let_in_by_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept = some_ids(3)
    source = write("licenses.csv", [LICENSE, *kept])
    files = [write(f"never {at}.csv", [each]) for at, each in enumerate(kept)]
    path = profile("[run]", f'exclude = ["{files[0]}"]')
    monkeypatch.setenv("BULK_REVOKE_RUN_EXCLUDE", files[1])

    with served(Account.holding([LICENSE, *kept])) as api:
        ended = api.run("run", source, "--config", path, "--exclude", files[2])

        assert ended.code == 0
        assert api.revoked() == {LICENSE}
    assert ended.counts == {"revoked": 1, "excluded": 3}


@pytest.mark.usefixtures("home")
def test_the_command_that_goes_on_repeats_what_the_environment_has_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept = some_ids(2)
    source = write("licenses.csv", [LICENSE, *kept])
    monkeypatch.setenv("BULK_REVOKE_RUN_EXCLUDE", write("never.csv", kept[:1]))
    monkeypatch.setenv("BULK_REVOKE_RUN_MAX_ATTEMPTS", "3")
    monkeypatch.setenv("BULK_REVOKE_RUN_MISSING_OK", "true")
    monkeypatch.setenv("BULK_REVOKE_RUN_SKIP_INVALID", "false")
    monkeypatch.setenv("BULK_REVOKE_RUN_LOG_FILE", "../log.jsonl")

    with served(Account.holding([LICENSE, *kept])) as api:
        monkeypatch.setenv("BULK_REVOKE_RUN_BASE_URL", api.base_url)
        first = api.execute(["run", source, "--rate", "none", "--limit", "1", *YES])
        hint = shlex.split(first.summary["hint"])
        for name in ("EXCLUDE", "MAX_ATTEMPTS", "MISSING_OK", "SKIP_INVALID", "BASE_URL"):
            monkeypatch.delenv(f"BULK_REVOKE_RUN_{name}")
        second = api.execute(hint[1:])

        assert (first.code, second.code) == (0, 0)
        assert api.revoked() == {LICENSE, kept[1]}
    assert "--log-file" not in hint  # that is a matter of the place
    assert "--missing-ok" in hint
    assert "--skip-invalid" not in hint


@pytest.mark.usefixtures("home")
def test_a_variable_that_holds_nothing_takes_nothing_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = profile("[run]", 'expect_product = ["63dfd63e-ed71-4f84-9236-02ee0ddb062c"]')
    monkeypatch.setenv("BULK_REVOKE_RUN_EXPECT_PRODUCT", " ")

    found = given("run", "expect_product", "--config", path)

    assert found.source is ParameterSource.DEFAULT_MAP


@pytest.mark.parametrize(
    "key", ["output", "log_file", "token_file", "ca_file", "metrics_file", "lock_dir", "reason"]
)
@pytest.mark.usefixtures("home")
def test_a_nul_is_in_no_setting(key: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = profile("[run]", f'{key} = "a\\u0000b"')

    assert run_command(["run", "licenses.csv", "--config", path]) == 2
    assert f"error: {path}: [run] {key}: holds a NUL" in capsys.readouterr().err


@pytest.mark.usefixtures("home")
def test_a_profile_without_end_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["run", "licenses.csv", "--config", "/dev/zero"]) == 2
    assert "error: /dev/zero: is no profile" in capsys.readouterr().err


@pytest.mark.usefixtures("home")
def test_a_profile_that_comes_through_a_pipe_is_read_once() -> None:
    reader, writer = os.pipe()
    os.write(writer, b'[run]\nmetrics_file = "nightly.prom"\n')
    os.close(writer)
    try:
        code = run_command(
            ["run", "x.csv", "--config", f"/dev/fd/{reader}", "--max-licenses", "many"]
        )
    finally:
        os.close(reader)

    assert code == 2
    assert "exit_code" in Path("nightly.prom").read_text(encoding="utf-8")


@pytest.mark.usefixtures("home")
def test_a_comparison_of_files_has_to_be_typed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = profile("[verify]", "manifest = true")

    assert run_command(["verify", "licenses.csv", "--config", path]) == 2
    assert "[verify] manifest: no such key" in capsys.readouterr().err
    monkeypatch.setenv("BULK_REVOKE_VERIFY_MANIFEST", "true")
    assert run_command(["verify", "licenses.csv"]) == 2
    assert "--manifest has to be typed" in capsys.readouterr().err


@pytest.mark.usefixtures("home")
def test_a_value_that_click_refuses_names_where_it_comes_from(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BULK_REVOKE_RUN_LIMIT", "many")

    assert run_command(["run", "licenses.csv"]) == 2
    assert "It comes from BULK_REVOKE_RUN_LIMIT." in capsys.readouterr().err
