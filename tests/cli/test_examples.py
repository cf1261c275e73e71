"""The examples of the help pages: each of them works as it is typed."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import xlsxwriter

from batch.cli import COMMANDS, run_command
from batch.sandbox import Account
from tests.support.commands import YES, Served, served, settle_in
from tests.support.job_harness import some_ids

if TYPE_CHECKING:
    from collections.abc import Iterator

IDS = some_ids(7)
SETS_UP = {
    "run": (),
    "suspend": (),
    "verify": ("run licenses.xlsx",),
    "restore": ("run licenses.xlsx --carry Customer",),
    "list": (),
    "report": ("run licenses.xlsx",),
    "sandbox": (),
}
"""What has been done before the examples of a command are typed."""


@pytest.fixture(autouse=True)
def home(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle_in(tmp_path, tmp_path_factory.mktemp("locks"), monkeypatch)
    with xlsxwriter.Workbook("licenses.xlsx") as book:
        sheet = book.add_worksheet("July")
        sheet.write_row(0, 0, ["License ID", "Customer"])
        for row, license_id in enumerate(IDS, start=1):
            sheet.write_row(row, 0, [license_id, "ACME" if row % 2 else "Other"])
    Path("list.csv").write_text("\n".join(["license_id", *IDS]) + "\n")


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """A server that every command takes for the API."""
    with served(Account.holding(IDS)) as api:
        for command in ("RUN", "SUSPEND", "VERIFY", "RESTORE", "LIST"):
            monkeypatch.setenv(f"BULK_REVOKE_{command}_BASE_URL", api.base_url)
            monkeypatch.setenv(f"BULK_REVOKE_{command}_RATE", "none")
        yield api


def page(command: str, capsys: pytest.CaptureFixture[str]) -> str:
    run_command([command, "--help"])
    return capsys.readouterr().out


def examples(text: str) -> list[list[str]]:
    """The commands that a help page shows, as a shell takes them apart."""
    [shown] = re.findall(r"(?ms)^Examples:\n(.*?)^$", text)
    lines = shown.splitlines()
    assert all(line.startswith(("  # ", "  bulk-revoke ")) for line in lines)
    return [shlex.split(line)[1:] for line in lines if "#" not in line]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_example_works_as_it_is_typed(
    command: str, api: Served, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nobody_comes(_: object) -> None:
        """Serve until now."""

    monkeypatch.setattr("batch.cli.sandbox._serve", nobody_comes)
    for before in SETS_UP[command]:
        assert run_command([*shlex.split(before), *YES]) == 0
    typed = examples(page(command, capsys))

    for arguments in typed:
        asks = arguments[0] in {"run", "suspend", "restore"} and "--yes" not in arguments
        code = run_command([*arguments, *YES] if asks else arguments)
        assert code == 0, (arguments, capsys.readouterr().err)

    assert 2 <= len(typed) <= 4
    assert {arguments[0] for arguments in typed} <= {command, "run"}
    assert all(each in IDS for each in api.patches())


@pytest.mark.parametrize("command", COMMANDS)
def test_help_fits_on_eighty_columns(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for width, most in (("80", 80), ("200", 100)):
        monkeypatch.setenv("COLUMNS", width)
        assert max(map(len, page(command, capsys).splitlines())) <= most
