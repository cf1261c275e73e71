"""``bulk-revoke sandbox``: its account holds what a run would read with the same options."""

from __future__ import annotations

import importlib
import re
from typing import TYPE_CHECKING

import openpyxl
import pytest

from batch.cli import cli
from batch.errors import ConfigError
from batch.sandbox import TOKEN
from batch.sandbox.message import Request, Response
from tests.support.job_harness import some_ids

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from batch.sandbox import Account, Sandbox

IDS = some_ids(4)


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Account]:
    """The account of a sandbox that is started with these arguments, and not served."""

    def started(*words: str | Path) -> Account:
        found: list[Account] = []

        async def serve(sandbox: Sandbox) -> None:
            found.append(sandbox.account)

        monkeypatch.setattr(importlib.import_module("batch.cli.sandbox"), "_serve", serve)
        assert cli.main(["sandbox", *map(str, words)], standalone_mode=False) == 0
        return found[0]

    return started


def test_the_account_holds_the_licenses_of_a_list_below_its_title(
    account: Callable[..., Account], tmp_path: Path
) -> None:
    path = tmp_path / "list.csv"
    path.write_text(f"July\n\nOld,New\n{IDS[0]},{IDS[1]}\n{IDS[0]},{IDS[2]}\n,later\n")

    found = account("--licenses", path, "--header-row", "3", "--column", "New")

    assert list(found.licenses) == IDS[1:3]


def test_the_account_holds_what_is_hidden_on_the_sheet_that_is_named(
    account: Callable[..., Account], tmp_path: Path
) -> None:
    book = openpyxl.Workbook()
    book.worksheets[0].append([IDS[0]])
    sheet = book.create_sheet("July")
    for each in IDS[1:]:
        sheet.append([each])
    sheet.row_dimensions[2].hidden = True
    book.save(tmp_path / "list.xlsx")

    found = account("--licenses", tmp_path / "list.xlsx", "--sheet", "July", "--include-hidden")

    assert list(found.licenses) == IDS[1:]


def test_the_account_holds_licenses_with_the_keys_of_a_list(
    account: Callable[..., Account], tmp_path: Path
) -> None:
    path = tmp_path / "list.csv"
    path.write_text("License Key\nK-1\nK-2\nK-1\n\n")

    found = account("--licenses", path, "--by", "key")

    assert [license_.key for license_ in found] == ["K-1", "K-2"]


def test_half_a_million_licenses_are_there_at_once_and_written_whole(
    account: Callable[..., Account], tmp_path: Path
) -> None:
    found = account("--licenses", "500000", "--write", tmp_path / "ids.csv")

    header, *written = (tmp_path / "ids.csv").read_text(encoding="utf-8").splitlines()
    assert header == "license_id"
    assert len(found) == len(written) == len(set(written)) == 500_000
    assert [license_.id for license_ in found.page(0, 3)] == written[:3]
    assert found.find(written[-1]) is found.page(499_999, 500_001)[0]


@pytest.mark.parametrize("number", ["10000000", "9" * 5000])
def test_more_licenses_than_it_can_serve_are_refused(
    account: Callable[..., Account], number: str
) -> None:
    with pytest.raises(ConfigError, match="more licenses") as refusal:
        account("--licenses", number)

    assert refusal.value.option == "--licenses"
    assert len(account("--licenses", "0009999999")) == 9_999_999


def request(path: str, **query: str) -> Request:
    return Request(0.0, "GET", path, "licenses", "", [*query.items()], {}, b"")


@pytest.mark.parametrize(
    ("asked", "answer", "line"),
    [
        (
            request("/v3/licenses", page="2"),
            Response(200, headers={"X-Rate-Limit-Remaining": "7"}),
            "GET  /v3/licenses?page=2  200  7 left",
        ),
        (
            request("/v3/licenses"),
            Response(429, headers={"Retry-After": "3"}),
            "GET  /v3/licenses  429  retry after 3 s",
        ),
        (
            request("/v3/status"),
            Response(0, fault="reset_after"),
            "GET  /v3/status  no answer  fault reset_after",
        ),
        (
            request("/v3/\n" + TOKEN, token=TOKEN),
            Response(404),
            "GET  /v3/\\n[token]?token=[token]  404",
        ),
        (
            request("/v3/licenses", key=",".join(IDS)),
            Response(200),
            f"GET  /v3/licenses?key={','.join(IDS)[:54]}…  200",
        ),
    ],
)
def test_a_request_is_told_on_a_line_without_a_token(
    asked: Request, answer: Response, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    importlib.import_module("batch.cli.sandbox")._tell(asked, answer)

    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3}  (.+)\n", err)[1] == line  # type: ignore[index]
