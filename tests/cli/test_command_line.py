from __future__ import annotations

import csv
import json
import os
import signal
import socket
import stat
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
import xlsxwriter

from batch.cli import run_command, usage
from batch.columns import COLUMNS, DETAILS
from batch.errors import told
from batch.host.signals import State, signals
from tests.support.job_harness import some_ids

TOKEN = "0123456789abcdef.token"
IDS = some_ids(3)
FIXTURES = Path(__file__).parents[1] / "fixtures"


@pytest.fixture(autouse=True)
def home(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("CRYPTLEX_ACCESS_TOKEN", "CREDENTIALS_DIRECTORY", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CRYPTLEX_ACCESS_TOKEN", TOKEN)
    monkeypatch.setenv("BULK_REVOKE_RUN_LOCK_DIR", str(tmp_path_factory.mktemp("locks")))
    Path("good.csv").write_text("license_id\n" + "\n".join(IDS) + "\n")
    return tmp_path


@pytest.fixture
def api() -> Iterator[str]:
    """The base URL of an API that must not get a single connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/v3"
        with pytest.raises(BlockingIOError):
            listener.accept()


Refuse = Callable[..., str]


@pytest.fixture
def refusal(api: str, capsys: pytest.CaptureFixture[str]) -> Refuse:
    """Run a command that must be refused, and return what it says."""

    def run(*arguments: str) -> str:
        before = sorted(path.name for path in Path().iterdir())
        code = run_command(["run", "--base-url", api, *arguments])
        captured = capsys.readouterr()
        assert code == 2
        assert captured.out == ""
        assert TOKEN not in captured.err
        assert sorted(path.name for path in Path().iterdir()) == before
        return captured.err

    return run


def yes(*arguments: str) -> tuple[str, ...]:
    return (*arguments, "--yes", "--max-licenses", "100")


def cells(*rows: str) -> str:
    return "\n".join(rows) + "\n"


BAD_TEXT = {
    "an empty file": ("", ["bad.csv", "empty"]),
    "a header alone": ("license_id\n", ["bad.csv", "not a single license ID"]),
    "no ID column": (
        cells("customer,order", "A,1"),
        ["no license ID column", "customer", "order", "--column"],
    ),
    "two ID columns": (
        cells("license_id,License ID", f"{IDS[0]},{IDS[1]}"),
        ["license_id", "License ID", "--column"],
    ),
    "a title above the table": (
        cells("Licenses to revoke", "license_id,customer", f"{IDS[0]},A"),
        ["Licenses to revoke"],
    ),
    "a cell that holds no ID": (
        cells("license_id", IDS[0], "not-an-id", IDS[1]),
        ["bad.csv", "row 3", "not-an-id", "--skip-invalid"],
    ),
    "an unquoted comma": (
        cells("license_id,customer", f"{IDS[0]},A", f"{IDS[1]},Miller, Inc."),
        ["bad.csv", "row 3"],
    ),
    "a quote that never closes": (
        cells("license_id,customer", f"{IDS[0]},A", f'{IDS[1]},"B'),
        ["bad.csv", "row 3", "quote"],
    ),
    "thirty megabytes on one line": ("license_id\n" + "x" * 30_000_000, ["bad.csv", "line 2"]),
    "an HTML page": ("<!DOCTYPE html><html><body>Sign in</body></html>", ["bad.csv", "HTML"]),
}


@pytest.mark.parametrize("case", BAD_TEXT)
def test_a_bad_text_file_is_refused_with_row_value_and_remedy(refusal: Refuse, case: str) -> None:
    text, said = BAD_TEXT[case]
    Path("bad.csv").write_text(text)

    message = refusal("bad.csv", *yes())

    for words in said:
        assert words in message
    assert "hint: " in message


def test_binary_junk_is_refused(refusal: Refuse) -> None:
    Path("bad.csv").write_bytes(os.urandom(5000) + b"\0")

    assert "bad.csv" in refusal("bad.csv", *yes())


@pytest.mark.parametrize("name", ["missing.csv", "missing.xlsx", "."])
def test_a_file_that_is_none_is_refused(refusal: Refuse, name: str) -> None:
    assert name in refusal(name, *yes())


@pytest.mark.parametrize("suffix", ["xlsx", "xls", "ods", "xlsb"])
@pytest.mark.parametrize(
    "content", [b"<html><body>Sign in</body></html>", b"PK\x03\x04rubbish", b"x"]
)
def test_a_workbook_that_is_none_is_refused(refusal: Refuse, suffix: str, content: bytes) -> None:
    Path(f"bad.{suffix}").write_bytes(content)

    message = refusal(f"bad.{suffix}", *yes())

    assert f"bad.{suffix}" in message
    assert "hint: " in message


def test_a_sheet_that_does_not_exist_is_refused_with_those_that_do(refusal: Refuse) -> None:
    with xlsxwriter.Workbook("book.xlsx") as book:
        for name in ("July", "August"):
            book.add_worksheet(name).write_column(0, 0, ["license_id", *IDS])

    message = refusal("book.xlsx", "--sheet", "June", *yes())

    assert all(name in message for name in ("June", "July", "August"))


def test_a_workbook_that_inflates_without_end_is_refused(refusal: Refuse) -> None:
    with zipfile.ZipFile("bomb.xlsx", "w", zipfile.ZIP_DEFLATED, compresslevel=9) as bomb:
        bomb.writestr("[Content_Types].xml", "<Types/>")
        with bomb.open("xl/worksheets/sheet1.xml", "w", force_zip64=True) as sheet:
            for _ in range(600):
                sheet.write(b"<" * 1_000_000)

    assert "bomb.xlsx" in refusal("bomb.xlsx", *yes())


@pytest.mark.parametrize("rate", ["", "fast", "0/5s", "45/0s", "45", "45/5", "-1/5s", "1e3/5s"])
def test_a_rate_that_is_none_is_refused(refusal: Refuse, rate: str) -> None:
    assert "--rate" in refusal("good.csv", "--rate", rate, *yes())


@pytest.mark.parametrize("rate", ["none", "51/5s", "11/1s", "100/10s"])
def test_more_than_the_saas_admits_is_refused(refusal: Refuse, rate: str) -> None:
    message = refusal("good.csv", "--base-url", "https://api.cryptlex.com/v3", "--rate", rate)

    assert "blacklist" in message


def test_plain_http_to_another_host_is_refused(refusal: Refuse) -> None:
    message = refusal("good.csv", "--base-url", "http://licenses.example.com/v3", *yes())

    assert "in the clear" in message


def test_more_licenses_than_the_maximum_are_refused(refusal: Refuse) -> None:
    message = refusal("good.csv", "--yes", "--max-licenses", "2", "--no-look")

    assert "3 licenses" in message
    assert "allows 2" in message


def test_without_a_token_nothing_starts(refusal: Refuse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CRYPTLEX_ACCESS_TOKEN")

    assert "CRYPTLEX_ACCESS_TOKEN" in refusal("good.csv", *yes())


@pytest.mark.parametrize("output", ["missing/out.csv", ".", "/proc/out.csv"])
def test_results_that_cannot_be_written_are_refused(refusal: Refuse, output: str) -> None:
    message = refusal("good.csv", "-o", output, *yes())

    assert output in message


@pytest.mark.parametrize(
    ("command", "named"),
    [("run", "INPUT"), ("suspend", "INPUT"), ("verify", "INPUT"), ("restore", "RESULTS")],
)
def test_a_command_without_its_file_says_that_it_is_missing(
    command: str, named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code = run_command([command])

    assert code == 2
    assert capsys.readouterr().err == (
        f"bulk-revoke {command}: refused, no license was changed (exit 2)\n"
        f"error: {named} is missing\n"
        f"hint: bulk-revoke {command} --help shows examples.\n"
    )


@pytest.mark.parametrize(
    "arguments",
    [("--concurrency", "0"), ("--timeout", "0"), ("--max-attempts", "0"),
     ("--max-licenses", "0"), ("--bogus",), ("--ca-file", "missing.pem"),
     ("--token-file", "missing"), ("--log-file", "missing/log")],
)  # fmt: skip
def test_an_option_that_makes_no_sense_is_refused(
    refusal: Refuse, arguments: tuple[str, ...]
) -> None:
    assert arguments[0] in refusal("good.csv", *yes(), *arguments)


PAGE = "bulk-revoke run --help"


@pytest.mark.parametrize(
    ("arguments", "error", "hint"),
    [
        (["--zzz"], "no such option: --zzz", f"{PAGE} lists the options."),
        (["--zzz=secret"], "no such option: --zzz", f"{PAGE} lists the options."),
        (["--coloumn", "1"], "no such option: --coloumn", "did you mean --column?"),
        (["-x"], "no such option: -x", f"{PAGE} lists the options."),
        (["--column"], "--column requires an argument", f"{PAGE} says what it takes."),
        (["--json=1"], "--json does not take a value", f"{PAGE} says what it takes."),
        (["--timeout", "soon"], "--timeout 'soon' is no number", f"{PAGE} says what it takes."),
        (["--limit", "1.5"], "--limit '1.5' is no whole number", f"{PAGE} says what it takes."),
        (["--limit", "0"], "--limit 0: it has to be at least 1", f"{PAGE} says what it takes."),
        (
            ["--concurrency", "0"],
            "--concurrency 0: it has to be at least 1 and at most 1000",
            f"{PAGE} says what it takes.",
        ),
        (
            ["--timeout", "0"],
            "--timeout 0.0: it has to be more than 0 and at most 3600",
            f"{PAGE} says what it takes.",
        ),
        (["--by", "x"], "--by 'x' is not one of 'id', 'key'", f"{PAGE} says what it takes."),
        (
            ["2.csv", "3.csv"],
            "got unexpected extra arguments: 2.csv 3.csv",
            f"a name with blanks needs quotes; {PAGE} shows how it is called.",
        ),
    ],
)
def test_what_click_refuses_looks_like_every_other_refusal(
    refusal: Refuse, arguments: list[str], error: str, hint: str
) -> None:
    assert refusal("good.csv", *arguments).splitlines() == [
        "bulk-revoke run: refused, no license was changed (exit 2)",
        f"error: {error}",
        f"hint: {hint}",
    ]


def test_a_bad_value_says_where_it_comes_from(
    refusal: Refuse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BULK_REVOKE_RUN_TIMEOUT", "soon")

    assert refusal("good.csv").endswith(
        f"hint: {PAGE} says what it takes. It comes from BULK_REVOKE_RUN_TIMEOUT.\n"
    )


def test_a_number_with_a_largest_value_alone_has_to_be_at_most_that() -> None:
    option = click.Option(["--most"], type=click.IntRange(max=5))
    with pytest.raises(click.BadParameter) as refused:
        option.type.convert("6", option, None)

    assert told(usage.refusal(refused.value, "")) == "--most 6: it has to be at most 5"


def test_help_names_the_half_of_a_switch_that_holds(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["run", "--help"]) == 0

    said = " ".join(capsys.readouterr().out.split())
    assert "[default: details]" in said
    assert "[default: look]" in said


def test_without_a_command_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command([]) == 2
    assert capsys.readouterr().err.startswith("Usage: bulk-revoke [OPTIONS] COMMAND")


@pytest.mark.parametrize(
    ("typed", "near"), [("rnu", "run"), ("Verify", "verify"), ("restor", "restore"), ("xyz", None)]
)
def test_a_mistyped_command_is_refused_with_the_nearest_right_one(
    typed: str, near: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    code = run_command([typed, "good.csv"])

    said = capsys.readouterr().err
    assert code == 2
    assert said.startswith(f"error: no such command: {typed}\n")
    meant = (
        f"did you mean {near}?"
        if near
        else "commands are run, suspend, verify, restore, list, report, sandbox."
    )
    assert said.endswith(f"\nhint: {meant}\n")


def test_an_environment_variable_sets_an_option_but_never_yes(
    refusal: Refuse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BULK_REVOKE_RUN_MAX_LICENSES", "2")
    monkeypatch.setenv("BULK_REVOKE_RUN_RATE", "garbage")

    assert "garbage" in refusal("good.csv")
    monkeypatch.setenv("BULK_REVOKE_RUN_YES", "1")
    assert "BULK_REVOKE_RUN_YES: sets no option" in refusal("good.csv")


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("EXLUDE", "did you mean BULK_REVOKE_RUN_EXCLUDE?"),
        ("MAX_LICENSE", "did you mean BULK_REVOKE_RUN_MAX_LICENSES?"),
        ("CONFIG", "--config comes from BULK_REVOKE_CONFIG"),
        ("OVERWRITE", "--overwrite has to be typed"),
        ("ZZZZ", "--help says which ones do"),
    ],
)
def test_a_variable_that_sets_nothing_is_refused_with_the_right_one(
    refusal: Refuse, monkeypatch: pytest.MonkeyPatch, name: str, remedy: str
) -> None:
    monkeypatch.setenv(f"BULK_REVOKE_RUN_{name}", "2")

    said = refusal("good.csv")

    assert f"error: BULK_REVOKE_RUN_{name}: sets no option" in said
    assert remedy in said


def test_a_rehearsal_needs_no_token_and_no_answer(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CRYPTLEX_ACCESS_TOKEN")

    code = run_command(["run", "good.csv", "--sandbox", "--rate", "none", "--json"])

    captured = capsys.readouterr()
    assert code == 0
    assert json.loads(captured.out)["counts"] == {"revoked": 3}
    with Path("good.rehearsal.csv").open(newline="") as file:
        assert [row["outcome"] for row in csv.DictReader(file)] == ["revoked"] * 3


def test_quiet_says_nothing_about_a_success(capsys: pytest.CaptureFixture[str]) -> None:
    code = run_command(["run", "good.csv", "--sandbox", "--rate", "none", "--quiet"])

    assert code == 0
    assert capsys.readouterr() == ("", "")


def test_what_was_skipped_is_not_done(capsys: pytest.CaptureFixture[str]) -> None:
    Path("some.csv").write_text(cells("license_id", IDS[0], "nonsense", IDS[1]))

    code = run_command(["run", "some.csv", "--sandbox", "--rate", "none", "--skip-invalid"])

    assert code == 1
    assert "invalid 1" in capsys.readouterr().err


def test_the_start_says_which_header_was_given_and_what_stood_above_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("some.csv").write_text(cells("July,", "serial,who", f"{{{IDS[0]}}},me"))

    code = run_command(
        ["run", "some.csv", "--sandbox", "--rate", "none", "--header-row", "2", "--column", "1"]
    )

    said = capsys.readouterr().err
    assert code == 0
    assert 'column "serial" (header in row 2; 1 row above it is left out; 1 ID was in' in said


def test_carried_columns_stand_behind_the_others() -> None:
    Path("some.csv").write_text(cells("license_id,ticket,who", f"{IDS[0]},=1+1,me"))

    run_command(["run", "some.csv", "--sandbox", "--rate", "none", "--carry", "ticket", "-q"])

    lines = Path("some.rehearsal.csv").read_text().splitlines()
    assert lines[0].endswith(",duplicate_of," + ",".join([*DETAILS, "ticket"]))
    assert lines[1].endswith(",'=1+1")


@pytest.mark.parametrize("bug", [ZeroDivisionError("unforeseen"), EOFError("a file ended")])
def test_a_bug_is_called_one(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, bug: Exception
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise bug

    monkeypatch.setattr("batch.job.runner.make_plan", broken)

    assert run_command(["run", "good.csv", "--sandbox"]) == 3
    assert "a bug in bulk-revoke" in capsys.readouterr().err


def test_results_have_the_rights_that_the_user_gives_to_new_files() -> None:
    before = os.umask(0o077)
    try:
        run_command(["run", "good.csv", "--sandbox", "--rate", "none", "--quiet"])
    finally:
        os.umask(before)

    for name in ("good.rehearsal.csv", "good.rehearsal.csv.run.json"):
        assert stat.S_IMODE(Path(name).stat().st_mode) == 0o600


@pytest.mark.parametrize("name", ["out.xlsx", "out.csv.gz", "out.ODS"])
def test_results_are_not_called_what_they_are_not(refusal: Refuse, name: str) -> None:
    assert name in refusal("good.csv", "-o", name, *yes())


def test_the_token_is_in_no_refusal(refusal: Refuse) -> None:
    Path("mixed-up.csv").write_text(f"license_id\n{TOKEN}\n")

    refusal("mixed-up.csv", *yes())


def test_an_earlier_results_file_is_read_whatever_it_carries(
    capsys: pytest.CaptureFixture[str],
) -> None:
    header = ",".join([*COLUMNS, "License ID"])
    Path("earlier.csv").write_text(f"{header}\n2,{IDS[0]},,failed,,,,,,1,,,{IDS[0]}\n")

    code = run_command(
        ["run", "earlier.csv", "--sandbox", "--rate", "none", "--column", "License ID"]
    )

    assert code == 0, capsys.readouterr().err


def test_a_signal_between_the_end_and_its_telling_is_told_like_any_other(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    enter = signals.enter

    def interrupted(state: State) -> None:
        if state is State.OUTLAST:
            signal.raise_signal(signal.SIGTERM)
        enter(state)

    monkeypatch.setattr(signals, "enter", interrupted)

    assert run_command(["run", "missing.csv", "--sandbox"]) == 143
    again = "bulk-revoke run missing.csv --sandbox --resume -o missing.rehearsal.csv"
    assert capsys.readouterr().err.splitlines() == [
        "rehearsal | bulk-revoke run: interrupted (exit 143)",
        "rehearsal | interrupted by SIGTERM",
        f"rehearsal | again:   {again}",
    ]
