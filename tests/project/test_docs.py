"""README, docs/reference.md, `--help` and the code say the same."""

from __future__ import annotations

import re
import textwrap
import tomllib
from dataclasses import fields
from pathlib import Path

import click
import pytest
import yaml

import batch
from batch import __version__
from batch.api import base_url
from batch.api.client import PAGE_SIZE
from batch.api.rate_limiter import least_seconds
from batch.cli import COMMANDS, cli, options, run_command
from batch.columns import COLUMNS, DETAILS
from batch.formatting import duration
from batch.model import REVOKE, Outcome
from batch.reporting.summary import Summary, done_outcomes
from batch.settings import Settings

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
REFERENCE = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def section(text: str, title: str) -> str:
    """What stands below a heading, up to the next one of the same level."""
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
    assert found is not None, title
    return found[1]


def first_cells(text: str) -> list[str]:
    """The first cell of each row of the tables in a text, heads and rules left out."""
    rows = [line for line in text.splitlines() if line.startswith("| `")]
    return [re.split(r"(?<!\\)\|", row)[1].strip() for row in rows]


def command(name: str) -> click.Command:
    found = cli.get_command(click.Context(cli), name)
    assert found is not None
    return found


def flags(name: str) -> set[str]:
    """Every spelling of every option of a command that its help shows."""
    return {
        flag
        for parameter in command(name).params
        if isinstance(parameter, click.Option) and not parameter.hidden
        for flag in (*parameter.opts, *parameter.secondary_opts)
    }


def test_the_reference_lists_the_commands_that_exist() -> None:
    listed = [
        re.findall(r"bulk-revoke (\w+)", cell)[0]
        for cell in first_cells(section(REFERENCE, "Commands"))
    ]

    assert listed == list(COMMANDS)
    assert all(f"bulk-revoke {name}" in README for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_reference_lists_the_options_that_exist(name: str) -> None:
    code = re.findall(r"`(-[^`]*)`", section(REFERENCE, f"Options of `{name}`"))
    listed = {flag for text in code for flag in re.findall(r"(?<![\w-])--?[a-z][a-z-]*", text)}

    assert listed == flags(name)


@pytest.mark.parametrize("name", ["run", "sandbox"])
def test_the_reference_gives_the_defaults_that_apply(name: str) -> None:
    options = {
        parameter.opts[-1]: parameter.default
        for parameter in command(name).params
        if isinstance(parameter, click.Option)
        and parameter.show_default is True
        and not parameter.secondary_opts
    }
    rows = section(REFERENCE, f"Options of `{name}`").splitlines()
    for flag, default in options.items():
        [row] = [row for row in rows if re.search(rf"{flag}[ `]", row.split(" | ")[0])]
        text = f"{default:g}" if isinstance(default, float) else str(default)
        assert f"`{text}`" in row.split(" | ")[1]


@pytest.mark.parametrize(
    ("name", "argument"),
    [("run", "INPUT"), ("suspend", "INPUT"), ("verify", "INPUT"), ("restore", "RESULTS")],
)
def test_help_names_the_results_file_as_the_reference_does(
    name: str, argument: str, capsys: pytest.CaptureFixture[str]
) -> None:
    suffix = re.findall(r"`<stem>(\.\w+\.csv)`", section(REFERENCE, f"Options of `{name}`"))[0]

    run_command([name, "--help"])

    shown = " ".join(capsys.readouterr().out.split())
    assert f"[default: name of {argument} with {suffix}, in the working directory]" in shown


@pytest.mark.parametrize("name", COMMANDS)
def test_options_that_readme_shows_exist(name: str) -> None:
    for line in re.findall(rf"bulk-revoke {name} ([^`\n]*)", README):
        used = set(re.findall(r"(?<!\S)--?[a-z][a-z-]*", line))
        assert used <= flags(name) | {"--help"}


def test_the_default_installation_is_the_same_in_both_places() -> None:
    assert options.SAAS == base_url.SAAS


def test_columns_are_those_of_the_code() -> None:
    there_are = (*COLUMNS, *DETAILS)
    listed = first_cells(section(REFERENCE, "The results file"))
    listed = [cell for cell in listed if cell != "column"][: len(there_are)]

    assert [cell.strip("`") for cell in listed] == list(there_are)
    assert all(f"`{column}`" in README for column in there_are)


def test_outcomes_are_those_of_the_code_and_are_called_done_as_there() -> None:
    rows = re.findall(
        r"^\| (`\w+`(?:, `\w+`)*) \|.*\| (yes|no|with `--missing-ok`) \|$", REFERENCE, re.MULTILINE
    )
    listed = {name: done for names, done in rows for name in re.findall(r"\w+", names)}

    assert set(listed) == set(Outcome)
    for name, done in listed.items():
        assert (Outcome(name) in done_outcomes(REVOKE, missing_ok=False)) is (done == "yes")
        assert (Outcome(name) in done_outcomes(REVOKE, missing_ok=True)) is (done != "no")


def test_exit_codes_are_the_same_everywhere() -> None:
    listed = {
        code
        for cell in first_cells(section(REFERENCE, "Exit codes"))
        for code in re.findall(r"\d+", cell)
    }
    epilog = command("run").epilog
    assert epilog is not None

    assert listed == {"0", "1", "2", "3", "4", "129", "130", "143"}
    assert set(re.findall(r"\d+", epilog)) == listed
    assert set(re.findall(r"`(\d+)`", section(README, "Exit codes"))) == listed


def test_the_fields_of_the_summary_are_those_of_the_code() -> None:
    listed = re.findall(r"(?m)^\| `(\w+)` \|", section(REFERENCE, "`--json`"))

    assert listed == [field.name for field in fields(Summary)]


def test_the_list_of_dependencies_gives_the_lower_bounds_that_apply() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    needed = [*project["dependencies"], *extras["fast"], *extras["notify"], *extras["report"]]
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    names = re.findall(r"^- \*\*(.+?)\*\*", section(page, "Dependencies"), re.MULTILINE)

    listed = {bound for name in names for bound in re.findall(r"[\w-]+ ≥ [\d.]+", name.lower())}

    assert listed == {re.sub(r"^([\w-]+)>=([\d.]+),.*", r"\1 ≥ \2", each) for each in needed}


def test_the_changelog_speaks_of_this_version() -> None:
    assert re.search(rf"^## {re.escape(__version__)}\b", CHANGELOG, re.MULTILINE)


@pytest.mark.parametrize(
    "page", ["README.md", *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md")))]
)
def test_links_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", text):
        assert ((ROOT / page).parent / target).exists(), target


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda it: it.name)
def test_tests_that_the_docs_name_exist(page: Path) -> None:
    for name in re.findall(r"`(tests/[\w/]+\.py)`", page.read_text(encoding="utf-8")):
        assert (ROOT / name).exists(), name


def masked(line: str) -> str:
    """A line without what differs from run to run."""
    line = re.sub(r"run [0-9a-f]{8}, \d\d:\d\d-\d\d:\d\d UTC", "run …, … UTC", line)
    return re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "…", line)


def test_the_demo_of_the_readme_is_what_the_demo_prints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    session = section(README.replace("```console\n$ make demo", "## demo", 1), "demo")
    shown = session.split("```")[0].splitlines()[1:]
    demo = Path("build/demo")
    (tmp_path / demo).mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    results, rows = demo / "licenses.results.csv", text_of("samples/licenses.csv").splitlines()
    (demo / "licenses.csv").write_text("\n".join(rows[:61]), encoding="utf-8")

    code = run_command(
        [
            "run",
            str(demo / "licenses.csv"),
            "--sandbox",
            "--yes",
            "--rate",
            "none",
            "-o",
            str(results),
        ]
    )

    rows = [",".join(row.split(",")[:12]) for row in results.read_text().splitlines()[:6]]
    more = ["", "Your own list: .venv/bin/bulk-revoke run LIST.csv --sandbox"]
    printed = [*capsys.readouterr().err.splitlines(), "", *rows, *more]
    assert code == 0
    assert [masked(line) for line in printed if " rate: " not in line] == [
        masked(line) for line in shown if " rate: " not in line
    ]


PACKAGE = ROOT / "batch"
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
FOLDED = ("README.md", "CONTRIBUTING.md", "docs/architecture.md", "docs/decisions.md")
"""Pages that are read in a terminal and in a diff as well."""


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def shell_lines(page: str) -> str:
    """A page with its folded command lines on one line each."""
    return re.sub(r" \\\n +", " ", text_of(page))


def slugs(text: str) -> set[str]:
    """What the headings of a page are called in links to them."""
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", FOLDED)
def test_lines_can_be_read_without_scrolling(page: str) -> None:
    lines = text_of(page).splitlines()
    if page == "README.md":  # a row of a table cannot be folded
        lines = [line for line in lines if not re.match(r"\||row,|\d+,", line)]

    assert [line for line in lines if len(line) >= 120] == []


@pytest.mark.parametrize(
    "page",
    [
        *("README.md", "CONTRIBUTING.md"),
        *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md"))),
    ],
)
def test_links_lead_to_a_heading_that_exists(page: str) -> None:
    for target, heading in re.findall(r"\]\((?!https?:)([^)#]*)#([^)]+)\)", text_of(page)):
        there = (ROOT / page).parent / target if target else ROOT / page
        assert heading in slugs(there.read_text(encoding="utf-8")), f"{target}#{heading}"


def test_architecture_names_the_rooms_that_exist_in_the_order_of_their_imports() -> None:
    rooms = re.findall(r"^- `(\w+/?)`: ", section(ARCHITECTURE, "The rooms"), re.MULTILINE)
    head = [line.split()[0] for line in (batch.__doc__ or "").splitlines() if line[:4] == " " * 4]

    assert [name.rstrip("/") for name in rooms] == head
    assert all((PACKAGE / name).is_dir() is name.endswith("/") for name in rooms)


def test_architecture_names_every_module_of_every_room() -> None:
    rooms = section(ARCHITECTURE, "The rooms")
    items = re.findall(r"^- `(\w+)/`: (.+(?:\n  .+)*)", rooms, re.MULTILINE)
    assert items
    for room, described in items:
        modules = {path.stem for path in (PACKAGE / room).glob("*.py")} - {"__init__"}
        assert set(re.findall(r"`([a-z_]+)`", described)) == modules, room


@pytest.mark.parametrize("page", FOLDED[1:])
def test_files_that_a_developer_is_sent_to_exist_with_the_names_in_them(page: str) -> None:
    named = re.findall(r"`([\w./-]+\.(?:py|md|toml|yaml))(?::? ([\w.]+))?`", text_of(page))
    for file, name in named:
        places = [ROOT / file, PACKAGE / file, PACKAGE / "reporting" / file]
        [found, *_] = [place for place in places if place.exists()] or [None]
        assert found, file
        code = found.read_text(encoding="utf-8")
        for part in filter(None, name.split(".")):
            assert re.search(rf"^\s*(async def |def |class )?{part}\b", code, re.MULTILINE), name


def test_names_that_architecture_gives_stand_in_the_code() -> None:
    code = "\n".join(path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py"))
    code += " ".join(path.stem for path in PACKAGE.rglob("*.py"))
    page, _ = ARCHITECTURE.split("## Dependencies")
    for name in re.findall(r"`([A-Za-z_]\w+(?:\.(?!py`)[a-z_]\w+)?)`", page):
        assert all(re.search(rf"\b{part}\b", code) for part in name.split(".")), name


@pytest.mark.parametrize("page", FOLDED)
def test_make_targets_that_a_page_names_exist(page: str) -> None:
    [targets] = re.findall(r"^\.PHONY: (.*)$", text_of("Makefile"), re.MULTILINE)
    named = re.findall(r"(?:`|^)make ([a-z][a-z-]*)", text_of(page), re.MULTILINE)

    assert set(named) <= set(targets.split())
    assert page != "CONTRIBUTING.md" or set(named) == set(targets.split())


def test_contributing_is_one_screen_and_names_rooms_that_exist() -> None:
    page = text_of("CONTRIBUTING.md")

    assert len(page.splitlines()) <= 45
    [room] = re.findall(r"pytest tests/(\w+)", page)
    assert (PACKAGE / room).is_dir()
    [test] = re.findall(r"pytest -k (\w+)", page)
    assert f"def test_{test}" in Path(__file__).read_text(encoding="utf-8")


def test_a_commit_is_checked_by_what_make_lint_runs_and_needs_no_network() -> None:
    [repository] = yaml.safe_load(text_of(".pre-commit-config.yaml"))["repos"]
    [hook] = repository["hooks"]

    assert repository["repo"] == "local"
    assert (hook["entry"], hook["language"], hook["pass_filenames"]) == (
        "make lint",
        "system",
        False,
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_options_on_folded_lines_of_readme_exist(name: str) -> None:
    for line in re.findall(rf"^ *bulk-revoke {name} (.*)", shell_lines("README.md"), re.MULTILINE):
        assert set(re.findall(r"(?<!\S)--?[a-z][a-z-]*", line)) <= flags(name)


def test_the_first_run_of_readme_is_what_it_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first = section(README, "A first run").split("```console\n")[1].split("```")[0]
    made, typed, *shown = first.splitlines()
    assert made == "$ head -n 4 samples/licenses.csv > first.csv"
    lines = text_of("samples/licenses.csv").splitlines(keepends=True)[:4]
    (tmp_path / "first.csv").write_text("".join(lines), encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    code = run_command(typed.removeprefix("$ bulk-revoke ").split())

    pattern = "".join(
        "(?:.*\n)+" if line == "…" else f"{re.escape(masked(line))}\n" for line in shown
    )
    printed = "".join(f"{masked(line)}\n" for line in capsys.readouterr().err.splitlines())
    assert code == 0
    assert len(first.splitlines()) <= 10
    assert re.fullmatch(pattern, printed)


def test_the_block_of_a_nightly_job_is_the_one_that_the_command_says() -> None:
    [block] = re.findall(
        r"^   ```\n(   bulk-revoke: .*?)^   ```$",
        section(README, "A first real run"),
        re.DOTALL | re.MULTILINE,
    )

    assert textwrap.dedent(block) in text_of(
        "docs/unattended.md"
    )  # held there by what is really said


def test_the_time_that_readme_gives_is_what_the_default_rate_takes() -> None:
    told = section(README, "How long 3,000 licenses take")
    default = Settings("list.csv", Path("results.csv")).rate

    def least(requests: int) -> str:
        return duration(least_seconds(default.limit, default.period, requests))

    def number(text: str) -> int:
        return int(text.replace(",", ""))

    for account, requests, seconds in re.findall(
        r"^\| ([\d,]+)[^|]* \| ([\d,]+) \| (.+) \|$", told, re.MULTILINE
    ):
        assert number(requests) == min(-(-number(account) // PAGE_SIZE), 3000)
        assert seconds == least(3000 + number(requests))
    sums = re.findall(r"([\d,]+)(?: licenses)? take ([\dhmins ]+[a-z])", told.split("|\n\n")[1])
    assert len(sums) == 3
    assert all(seconds == least(number(licenses)) for licenses, seconds in sums)
    assert f"take {least(3000)} at the least" in told.replace("\n", " ")
    assert f"at most {default.limit} requests" in told.replace("\n", " ")
