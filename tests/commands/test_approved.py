"""Only what somebody has approved is sent: a dry run goes out, and comes back."""

from __future__ import annotations

import csv
import hashlib
import shutil
import subprocess
from datetime import datetime
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import pytest
import xlsxwriter
from hypothesis import given, settings
from hypothesis import strategies as st

from batch.sandbox import PRODUCTS, TOKEN, Account
from batch.sandbox.license import YEAR, Customer
from tests.support.builders import THOROUGH, calm
from tests.support.commands import Ended, Served, manifest, served, write
from tests.support.job_harness import some_ids
from tests.support.programs import program
from tests.support.receivers import webhook
from tests.support.results_files import table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from batch.sandbox.license import SandboxLicense

IDS = some_ids(12)
STRANGER = some_ids(1, seed=7)[0]
PLAN = "list.dry-run.csv"
RUN = ("run", "list.csv", "--approved", PLAN)

pytestmark = pytest.mark.usefixtures("at_home")


@pytest.fixture
def api() -> Iterator[Served]:
    write("list.csv", IDS)
    with served(account()) as api:
        yield api


def account(ids: Sequence[str] = IDS) -> Account:
    """An account in which every license expires, and is of one product and one user."""
    found = Account.holding(ids)
    customer = Customer(STRANGER, "Bela", "Eze", "bela.eze@example.com", "Copper")
    for license_ in found:
        license_.customer, license_.product = customer, PRODUCTS[0]
        license_.expires, license_.total_activations = license_.created + 2 * YEAR, 3
    return found


def tried(api: Served, *more: str, command: str = "run") -> None:
    assert api.run(command, "list.csv", "--dry-run", *more).code == 0


def edited(change: Callable[[list[list[str]]], object], path: str = PLAN, to: str = PLAN) -> None:
    """Change the rows of a file, its header the first of them."""
    with Path(path).open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    change(rows)
    with Path(to).open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


def place(name: str, path: str = PLAN) -> int:
    return Path(path).read_text(encoding="utf-8").splitlines()[0].split(",").index(name)


def set_cell(row: int, name: str, value: str) -> None:
    at = place(name)
    edited(lambda rows: rows[row].__setitem__(at, value))


def change(api: Served, license_id: str, **values: Any) -> None:  # noqa: ANN401
    license_ = api.sandbox.account.licenses[license_id]
    for name, value in values.items():
        api.call(setattr, license_, name, value)


def refused(ended: Ended, *words: str) -> bool:
    """Whether it was refused, for this reason, and named the file's option."""
    assert ended.code == 2, ended.err
    assert ended.summary["error"].startswith("--approved "), ended.err
    assert all(word in ended.err for word in words), ended.err
    return True


def test_what_was_struck_out_is_not_sent_and_not_even_read(api: Served) -> None:
    tried(api)
    edited(lambda rows: [rows.pop(7), rows.pop(3)])
    read = len(api.reads())
    api.fail_all(400, on="LIST")

    ended = api.run(*RUN)

    kept = set(IDS) - {IDS[6], IDS[2]}
    assert ended.code == 0
    assert api.revoked() == set(api.patches()) == kept
    assert ended.counts == {"revoked": 10, "excluded": 2}
    assert [row["error"] for row in ended.rows if row["outcome"] == "excluded"] == [
        "not approved"
    ] * 2
    assert set(api.reads()[read:]) & set(IDS) == kept
    assert f"approved: {PLAN}: 10 rows, approves 10 licenses of this list\n" in ended.err
    assert "others:   2 not approved\n" in ended.err


def test_what_was_revoked_already_is_not_taken_for_struck_out(api: Served) -> None:
    change(api, IDS[4], revoked=True)
    tried(api)
    set_cell(8, "outcome", "keep")
    edited(lambda rows: rows.pop(3))

    ended = api.run(*RUN, "--report", "page.html")

    assert ended.counts == {"revoked": 9, "excluded": 3}
    assert f"{PLAN}: 11 rows, approves 9 licenses of this list; 1 other was revoked already\n" in (
        ended.err
    )
    page = Path("page.html").read_text(encoding="utf-8")
    said = "3 licenses not approved (also what the dry run had found revoked already)."
    assert f"Left alone on purpose: {said}" in page


def test_what_is_approved_beyond_the_list_is_said_before_what_was_revoked_already(
    api: Served,
) -> None:
    change(api, IDS[4], revoked=True)
    tried(api)
    write("part.csv", IDS[:6])

    ended = api.run("run", "part.csv", "--approved", PLAN)

    assert ended.counts == {"revoked": 5, "excluded": 1}
    said = "approves 5 licenses of this list; 6 more are not in it; 1 other was revoked already\n"
    assert said in ended.err


def test_its_path_and_digest_stand_in_the_manifest_and_on_the_page(api: Served) -> None:
    tried(api)

    ended = api.run(*RUN, "--report", "page.html")

    sha256 = hashlib.sha256(Path(PLAN).read_bytes()).hexdigest()
    assert manifest(ended.summary["results"])["approved"] == {"path": PLAN, "sha256": sha256}
    page = Path("page.html").read_text(encoding="utf-8")
    assert "Approved by" in page
    assert sha256 in page


def test_an_alert_names_what_has_approved_it(api: Served) -> None:
    tried(api)
    sha256 = hashlib.sha256(Path(PLAN).read_bytes()).hexdigest()
    with webhook() as hook:
        Path("notify").write_text(hook.url, encoding="utf-8")
        Path("notify").chmod(0o600)

        api.run(*RUN, "--notify-file", "notify")

    [message] = hook.received
    assert f"\napproved: {PLAN} (SHA-256 {sha256})\n" in message["message"]


def as_it_is(rows: list[list[str]]) -> None:
    """Nobody has changed anything."""


def upside_down(rows: list[list[str]]) -> None:
    rows[1:] = rows[:0:-1]


def with_columns_in_front(rows: list[list[str]]) -> None:
    for number, row in enumerate(rows):
        row[:0] = ["OK?", "row number"] if not number else ["yes", str(90 - number)]


def with_notes_at_the_end(rows: list[list[str]]) -> None:
    for number, row in enumerate(rows):
        row.append("Note" if not number else "no objection" * (number == 2))


def with_columns_rearranged(rows: list[list[str]]) -> None:
    order = list(range(len(rows[0])))
    Random(4).shuffle(order)
    rows[:] = [[row[at] for at in order] for row in rows]


def in_capitals(rows: list[list[str]]) -> None:
    rows[1:] = [[cell.upper() for cell in row] for row in rows[1:]]


def with_the_day_alone(rows: list[list[str]]) -> None:
    at = rows[0].index("expires_at")
    for row in rows[1:]:
        row[at] = row[at][:10]


EDITS = [
    as_it_is, upside_down, with_columns_in_front, with_notes_at_the_end, with_columns_rearranged,
    in_capitals, with_the_day_alone,
]  # fmt: skip


@pytest.mark.parametrize("edit", EDITS, ids=lambda it: it.__name__)
def test_a_file_that_was_gone_through_approves_what_is_left_in_it(
    api: Served, edit: Callable[[list[list[str]]], object]
) -> None:
    tried(api)
    edited(lambda rows: rows.pop(5))
    edited(edit)

    ended = api.run(*RUN)

    assert ended.counts == {"revoked": 11, "excluded": 1}
    assert api.revoked() == set(IDS) - {IDS[4]}


def saved_as(path: str, kind: str, home: Path) -> str:
    """Open a file in LibreOffice and save it in another format."""
    subprocess.run(
        [
            program("soffice"), f"-env:UserInstallation=file://{home}/office", "--headless",
            "--convert-to", kind, "--outdir", str(home / "saved"), path,
        ],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    saved = home / "saved" / f"{Path(path).stem}.{kind.partition(':')[0]}"
    shutil.copyfile(saved, f"back{saved.suffix}")
    return f"back{saved.suffix}"


SEMICOLONS = "csv:Text - txt - csv (StarCalc):59,34,76,1,,1031,false,true"


@pytest.mark.parametrize("kinds", [("csv",), (SEMICOLONS,), ("xlsx",), ("ods",), ("xlsx", "csv")])
def test_what_libreoffice_has_saved_approves_the_same(
    api: Served, kinds: Sequence[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    tried(api)
    edited(lambda rows: rows.pop(5))
    path = PLAN
    for kind in kinds:
        path = saved_as(path, kind, tmp_path_factory.mktemp("office"))

    ended = api.run("run", "list.csv", "--approved", path)

    assert ended.counts == {"revoked": 11, "excluded": 1}
    assert IDS[4] not in api.revoked()


def test_a_workbook_with_real_dates_and_numbers_is_compared_by_the_moment(api: Served) -> None:
    tried(api)
    rows = table(PLAN)
    with xlsxwriter.Workbook("back.xlsx", {"default_date_format": "dd.mm.yyyy hh:mm"}) as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, [*rows[0]])
        for number, row in enumerate(rows, 1):
            sheet.write_row(number, 0, [*row.values()])
            moment = datetime.fromisoformat(row["expires_at"].removesuffix("Z"))
            sheet.write_datetime(number, place("expires_at"), moment)
            sheet.write_number(number, place("activations"), int(row["activations"]))
            sheet.write_number(number, 0, int(row["row"]))
    expires = api.sandbox.account.licenses[IDS[3]].expires
    assert expires
    change(api, IDS[3], expires=expires + 2 * 10**7)

    stale = api.run("run", "list.csv", "--approved", "back.xlsx")
    change(api, IDS[3], expires=expires)
    ended = api.run("run", "list.csv", "--approved", "back.xlsx")

    assert refused(stale, f"row 5  {IDS[3]}  expires ")
    assert ended.counts == {"revoked": 12}


@pytest.mark.parametrize("more", [(), ("--wait",)])
def test_an_approval_can_come_through_a_pipe(
    api: Served, more: Sequence[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tried(api)
    edited(lambda rows: rows.pop(5))

    with Path(PLAN).open(encoding="utf-8") as piped:
        monkeypatch.setattr("sys.stdin", piped)
        ended = api.run("run", "list.csv", "--approved", "-", *more)

    assert ended.counts == {"revoked": 11, "excluded": 1}


# What has become of a license since


def to_another_product(license_: SandboxLicense) -> dict[str, Any]:
    del license_
    return {"product": PRODUCTS[2]}


def to_another_user(license_: SandboxLicense) -> dict[str, Any]:
    assert license_.customer
    return {"customer": license_.customer._replace(email="ada@example.com")}


def to_nobody(license_: SandboxLicense) -> dict[str, Any]:
    del license_
    return {"customer": None}


def to_a_later_expiry(license_: SandboxLicense) -> dict[str, Any]:
    assert license_.expires
    return {"expires": license_.expires + 10**7}


def to_no_expiry(license_: SandboxLicense) -> dict[str, Any]:
    del license_
    return {"expires": None}


CHANGES: dict[Callable[[SandboxLicense], dict[str, Any]], str] = {
    to_another_product: f"product {PRODUCTS[0].id}, now {PRODUCTS[2].id}",
    to_another_user: "user bela.eze@example.com, now ada@example.com",
    to_nobody: "user bela.eze@example.com, now none",
    to_a_later_expiry: "expires ",
    to_no_expiry: ", now never",
}


@pytest.mark.parametrize("what", CHANGES, ids=lambda it: it.__name__)
@pytest.mark.parametrize("more", ["", "--no-details", "--limit 1", "--dry-run -o x.csv"])
def test_a_license_that_has_changed_since_is_a_refusal_that_says_how(
    api: Served, what: Callable[[SandboxLicense], dict[str, Any]], more: str
) -> None:
    tried(api)
    change(api, IDS[3], **what(api.sandbox.account.licenses[IDS[3]]))

    ended = api.run(*RUN, *more.split())

    assert refused(ended, "1 license has changed since the dry run", f"row 5  {IDS[3]}  ")
    assert CHANGES[what] in ended.err


def test_ten_that_have_changed_are_named_and_the_others_counted(api: Served) -> None:
    tried(api)
    for license_id in IDS:
        change(api, license_id, product=PRODUCTS[1])

    ended = api.run(*RUN)

    assert refused(ended, "12 licenses have changed", "  and 2 more\n")
    assert ended.err.count(", now ") == 10


def struck_out() -> None:
    edited(lambda rows: rows.pop(4))


def excluded() -> None:
    write("no.csv", [IDS[3]])


@pytest.mark.parametrize("how", [struck_out, excluded])
def test_what_has_become_of_a_license_that_is_not_sent_refuses_nothing(
    api: Served, how: Callable[[], None]
) -> None:
    tried(api)
    write("no.csv", [STRANGER])
    how()
    change(api, IDS[3], product=PRODUCTS[1])

    ended = api.run(*RUN, "--exclude", "no.csv")

    assert ended.counts == {"revoked": 11, "excluded": 1}


def test_what_is_revoked_by_now_or_gone_refuses_nothing(api: Served) -> None:
    tried(api)
    change(api, IDS[3], revoked=True, product=PRODUCTS[1])
    api.call(api.sandbox.account.remove, IDS[5])

    ended = api.run(*RUN)

    assert ended.counts == {"revoked": 10, "already_revoked": 1, "not_found": 1}


def test_what_is_no_reason_to_ask_again_refuses_nothing(api: Served) -> None:
    tried(api)
    expires = api.sandbox.account.licenses[IDS[3]].expires
    assert expires
    change(api, IDS[3], expires=expires - YEAR, tags=("x",), total_activations=0)

    assert api.run(*RUN).counts == {"revoked": 12}


def test_more_activations_than_then_are_said(api: Served) -> None:
    tried(api)
    change(api, IDS[3], total_activations=7)

    ended = api.run(*RUN)

    assert "more activations than then: 1 license\n" in ended.err
    assert f"  row 5  {IDS[3]}  3, now 7  Copper\n" in ended.err
    assert ended.counts == {"revoked": 12}


def test_a_license_that_cannot_be_read_is_not_sent(api: Served) -> None:
    tried(api)
    api.fail_all(400, on="LIST")
    api.fail(IDS[3], 409, on="GET", times=None)

    ended = api.run(*RUN)

    assert ended.column("outcome")[3] == "unknown"
    assert api.revoked() == set(IDS) - {IDS[3]}


def test_a_token_that_may_not_read_is_not_enough() -> None:
    write("list.csv", IDS)
    with served(account()) as api:
        tried(api)
    with served(account(), tokens={TOKEN: frozenset({"license:write"})}) as api:
        Path(f"{PLAN}.run.json").unlink()
        ended = api.run(*RUN)

    assert ended.code == 3
    assert "license:read" in ended.err


# A license in several rows


@pytest.mark.parametrize("row", [3, 13])
@pytest.mark.parametrize("how", ["taken out", "marked"])
def test_a_license_that_is_struck_out_in_one_of_its_rows_is_not_approved(
    api: Served, row: int, how: str
) -> None:
    write("list.csv", [*IDS, IDS[2].upper(), IDS[0]])
    tried(api)
    if how == "taken out":
        edited(lambda rows: rows.pop(row))
    else:
        set_cell(row, "outcome", "no")

    ended = api.run(*RUN)

    assert api.revoked() == set(IDS) - {IDS[2]}
    assert ended.counts == {"revoked": 12, "excluded": 2}


def test_a_license_that_was_marked_in_one_row_stays_so_when_the_list_has_it_once(
    api: Served,
) -> None:
    write("list.csv", [*IDS, IDS[2]])
    tried(api)
    set_cell(13, "outcome", "no")
    write("list.csv", IDS)

    ended = api.run(*RUN)

    assert api.revoked() == set(IDS) - {IDS[2]}
    assert ended.counts == {"revoked": 11, "excluded": 1}


def test_a_license_of_which_the_first_row_was_taken_out_stays_so_when_the_list_has_it_once(
    api: Served,
) -> None:
    write("list.csv", [*IDS, IDS[2]])
    tried(api)
    edited(lambda rows: rows.pop(3))
    write("list.csv", IDS)

    ended = api.run(*RUN)

    assert api.revoked() == set(IDS) - {IDS[2]}
    assert ended.counts == {"revoked": 11, "excluded": 1}


def test_a_license_that_the_list_names_more_often_by_now_in_other_rows_is_approved(
    api: Served,
) -> None:
    tried(api)
    write("list.csv", [STRANGER, IDS[2], *IDS[:5]])

    ended = api.run(*RUN)

    assert api.revoked() == set(IDS[:5])
    assert ended.counts == {"revoked": 6, "excluded": 1}


# What cannot be told


def test_a_cell_without_an_id_is_a_refusal_that_names_it(api: Served) -> None:
    tried(api)
    set_cell(4, "license_id", IDS[3][:-1])
    set_cell(6, "license_id", "")
    edited(lambda rows: rows.append([*[""] * (len(rows[0]) - 1), "approved: J. Smith"]))

    ended = api.run(*RUN)

    assert refused(
        ended, f"row 5, license_id: {IDS[3][:-1]}\n", "row 7, license_id: (empty)\n",
        "row 14, license_id: (empty)\n", "3 cells",
    )  # fmt: skip


def test_a_row_of_the_dry_run_that_never_had_an_id_is_none(api: Served) -> None:
    write("list.csv", [*IDS, "nonsense"])
    tried(api, "--skip-invalid")

    ended = api.run(*RUN, "--skip-invalid")

    assert ended.counts == {"revoked": 12, "invalid": 1}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("expires_at", "06/12/2027 04:35"),
        ("expires_at", "46185.19137"),
        ("row", "x"),
        ("product_id", "#N/A"),
        ("user_email", "#REF!"),
    ],
)
def test_a_cell_that_cannot_be_read_is_a_refusal_that_names_it(
    api: Served, name: str, value: str
) -> None:
    tried(api)
    set_cell(4, name, value)

    assert refused(api.run(*RUN), f"row 5, {name}: {value}\n")


def test_a_row_that_is_hidden_is_neither_approved_nor_struck_out(api: Served) -> None:
    tried(api)
    rows = table(PLAN)
    with xlsxwriter.Workbook("back.xlsx") as book:
        sheet = book.add_worksheet()
        for number, row in enumerate([[*rows[0]], *([*row.values()] for row in rows)]):
            sheet.write_row(number, 0, row)
        sheet.set_row(4, None, None, {"hidden": True})

    ended = api.run("run", "list.csv", "--approved", "back.xlsx")

    assert refused(ended, "1 row with content is hidden or filtered: 5.")


@pytest.mark.parametrize("saved", ["", "xlsx", "ods"])
@pytest.mark.parametrize(("look", "counts"), [("font_strikeout", None), ("bold", 12)])
def test_a_workbook_in_which_a_row_is_struck_through_is_refused(
    api: Served,
    look: str,
    counts: int | None,
    saved: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    tried(api)
    rows = table(PLAN)
    with xlsxwriter.Workbook("plan.xlsx") as book:
        sheet, marked = book.add_worksheet(), book.add_format({look: True})
        for number, row in enumerate([[*rows[0]], *([*row.values()] for row in rows)]):
            sheet.write_row(number, 0, row, marked if number == 4 else None)
    home = tmp_path_factory.mktemp("office")
    path = saved_as("plan.xlsx", saved, home) if saved else "plan.xlsx"

    ended = api.run("run", "list.csv", "--approved", path)

    if counts is None:
        assert refused(ended, "strikes text through")
    else:
        assert ended.counts == {"revoked": counts}


def test_a_second_sheet_with_licenses_is_refused(api: Served) -> None:
    tried(api)
    rows = table(PLAN)
    with xlsxwriter.Workbook("back.xlsx") as book:
        for name, part in (("approved", rows[:6]), ("rejected", rows[6:])):
            sheet = book.add_worksheet(name)
            for number, row in enumerate([[*rows[0]], *([*row.values()] for row in part)]):
                sheet.write_row(number, 0, row)

    ended = api.run("run", "list.csv", "--approved", "back.xlsx")

    assert refused(ended, 'sheet "rejected" holds license IDs too', "one sheet")
    assert "--sheet" not in ended.err


def test_a_row_that_is_wider_than_the_header_is_refused(api: Served) -> None:
    tried(api)
    edited(lambda rows: rows[4].append("Copper Inc"))

    assert refused(api.run(*RUN), "row 5: has more cells than the header")


def test_another_file_is_refused_for_what_it_is(api: Served) -> None:
    tried(api, "--no-details", "-o", "bare.csv")
    tried(api, command="suspend")
    Path(PLAN).rename("suspend.csv")
    Path(f"{PLAN}.run.json").unlink()
    tried(api)
    write("other.csv", [STRANGER])
    edited(lambda rows: rows.insert(0, ["Approved by J. Smith"]), to="title.csv")
    edited(lambda rows: [row.__setitem__(3, "no") for row in rows[1:]], to="nothing.csv")
    edited(lambda rows: rows.__delitem__(slice(1, None)), to="header.csv")
    edited(lambda rows: rows[2].__setitem__(3, "would_suspend"), to="mixed.csv")
    reasons = {
        "list.csv": "does not begin with the header of a dry run's results",
        "missing.csv": "no such file",
        "bare.csv": "lacks product_id, expires_at, activations, user_email",
        "suspend.csv": "is about another property of the licenses than revoked",
        "title.csv": "does not begin with the header",
        "nothing.csv": "nothing.csv approves nothing: no license in its 12 rows is would_revoke",
        "header.csv": "approves nothing",
        "mixed.csv": "would_suspend is what another command would do",
    }
    for path, reason in reasons.items():
        assert refused(api.run("run", "list.csv", "--approved", path), reason), path

    assert refused(
        api.run("run", "other.csv", "--approved", PLAN), f"{PLAN} approves none of the 1 license"
    )


def test_a_dry_run_without_details_says_how_to_make_one(api: Served) -> None:
    tried(api, "--no-details")

    ended = api.run(*RUN)

    assert refused(ended)
    assert "bulk-revoke run … --dry-run without --no-details" in ended.summary["hint"]


def test_a_manifest_that_is_beside_it_counts(api: Served) -> None:
    tried(api)
    Path(f"{PLAN}.run.json").rename("kept.json")
    api.run("run", "list.csv", "--sandbox", "--dry-run", "-o", "invented.csv")
    with served(account()) as other:
        tried(other, "-o", "elsewhere.csv")
    done = api.run("run", "list.csv", "--approved", PLAN, "--dry-run", "-o", "again.csv")
    assert done.code == 0

    assert refused(api.run("run", "list.csv", "--approved", "invented.csv"), "a rehearsal")
    assert refused(
        api.run("run", "list.csv", "--approved", "elsewhere.csv"),
        "that dry run was about http",
    )


@pytest.mark.parametrize("more", [("run",), ("verify",)])
def test_a_manifest_that_is_of_no_dry_run_of_this_command_is_a_refusal(
    api: Served, more: Sequence[str]
) -> None:
    tried(api)
    api.run(*more, "list.csv", "-o", "other.csv")
    api.turn(*IDS, revoked=False)
    shutil.copyfile("other.csv.run.json", f"{PLAN}.run.json")

    assert refused(api.run(*RUN), f"its manifest is that of bulk-revoke {more[0]}\n")


def test_a_rehearsal_takes_an_approval_and_compares_nothing(api: Served) -> None:
    tried(api)
    edited(lambda rows: rows.pop(5))

    ended = api.run(*RUN, "--sandbox")

    assert ended.counts == {"revoked": 11, "excluded": 1}
    assert api.patches() == []


def test_it_needs_the_look_and_takes_no_part_of_its_own_results(api: Served) -> None:
    tried(api)

    blind = api.run(*RUN, "--no-look")
    over = api.run(*RUN, "--dry-run")

    assert blind.code == over.code == 2
    assert "--approved needs to look at the licenses: leave out --no-look" in blind.err
    assert f"{PLAN} is a file that is read" in over.err


def test_the_results_of_a_dry_run_are_no_list_and_the_option_is_named(api: Served) -> None:
    tried(api)
    beside = api.run("run", PLAN)
    Path(f"{PLAN}.run.json").unlink()

    alone = api.run("run", PLAN, "-o", "x.csv")

    assert beside.code == alone.code == 2
    assert "--approved" in beside.summary["hint"]
    assert "--approved" in alone.summary["hint"]


def test_a_column_of_the_same_name_that_was_carried_is_told_from_that_of_the_run(
    api: Served,
) -> None:
    write("list.csv", (f"{each},x@example.com" for each in IDS), "license_id,user_email")
    tried(api, "--carry", "user_email")
    edited(with_columns_in_front)
    at = place("type")
    edited(lambda rows: [row.pop(at) for row in rows], to="apart.csv")

    apart = api.run("run", "list.csv", "--approved", "apart.csv")
    ended = api.run(*RUN)

    assert refused(apart, "2 columns may be the user_email of these results")
    assert ended.counts == {"revoked": 12}


# With other options


def test_it_holds_beside_the_other_guards(api: Served) -> None:
    write("list.csv", [f"{each},{'ab'[at % 2]}" for at, each in enumerate(IDS)], "license_id,group")
    tried(api)
    edited(lambda rows: [rows.pop(1), rows.pop(1)])
    write("no.csv", IDS[:4])

    ended = api.run(
        *RUN, "--exclude", "no.csv", "--where", "group=a", "--expect-licenses", "6",
        "--max-licenses", "4", "--limit", "3", "--expect-product", PRODUCTS[0].id,
    )  # fmt: skip

    assert ended.code == 0
    assert api.revoked() == {IDS[4], IDS[6], IDS[8]}
    assert [row["error"] for row in ended.rows[:5]] == [
        "listed in --exclude", "not selected by --where", "listed in --exclude",
        "not selected by --where", "",
    ]  # fmt: skip
    assert ended.counts == {"revoked": 3, "excluded": 8, "not_attempted": 1}


def test_a_run_is_gone_on_with_by_the_same_approval_alone(api: Served) -> None:
    tried(api)
    edited(lambda rows: rows.pop(5))
    pilot = api.run(*RUN, "--limit", "2")
    shutil.copyfile(PLAN, "same.csv")
    edited(lambda rows: rows.pop(5), to="other.csv")

    without = api.run("run", "list.csv", "--resume")
    other = api.run("run", "list.csv", "--approved", "other.csv", "--resume")
    change(api, IDS[0], product=PRODUCTS[2])  # it is done
    rest = api.run("run", "list.csv", "--approved", "same.csv", "--resume")

    assert pilot.counts == {"revoked": 2, "excluded": 1, "not_attempted": 9}
    assert without.code == other.code == 2
    assert "its run had another --approved, or that file was changed since" in without.err
    assert rest.counts == {"revoked": 11, "excluded": 1}
    assert IDS[4] not in api.patches()


def test_a_license_that_has_changed_is_left_out_of_a_run_that_is_gone_on_with(api: Served) -> None:
    tried(api)
    api.run(*RUN, "--limit", "2")
    change(api, IDS[5], product=PRODUCTS[2])

    stale = api.run(*RUN, "--resume")
    write("no.csv", [IDS[5]])
    ended = api.run(*RUN, "--resume", "--exclude", "no.csv")

    assert refused(stale, "1 license has changed")
    assert stale.summary["hint"].startswith("name it in a file of --exclude; or ")
    assert ended.counts == {"revoked": 11, "excluded": 1}
    assert api.revoked() == set(IDS) - {IDS[5]}


def test_a_run_without_an_approval_is_not_gone_on_with_by_one(api: Served) -> None:
    tried(api)
    api.run("run", "list.csv", "--limit", "2")

    ended = api.run(*RUN, "--resume")

    assert ended.code == 2
    assert "its run had another --approved" in ended.err


def test_the_command_that_goes_on_names_the_approval(api: Served) -> None:
    tried(api)

    ended = api.run(*RUN, "--limit", "2")

    assert f"--approved {PLAN}" in ended.summary["hint"]


def test_licenses_that_are_listed_by_key_are_approved_by_the_id_that_is_found(api: Served) -> None:
    keys = [api.sandbox.account.licenses[each].key for each in IDS]
    write("list.csv", [*keys, "no-such-key", keys[3]], "license_key")
    tried(api, "--by", "key")
    edited(lambda rows: [rows.pop(14), rows.pop(2)])

    ended = api.run(*RUN, "--by", "key")

    assert api.revoked() == set(IDS) - {IDS[1], IDS[3]}
    assert ended.counts == {"revoked": 10, "excluded": 3, "not_found": 1}
    assert "approves 10 licenses of this list" in ended.err


def test_a_product_is_not_asked_of_what_is_not_approved(api: Served) -> None:
    change(api, IDS[1], product=PRODUCTS[2])
    keys = [api.sandbox.account.licenses[each].key for each in IDS]
    write("list.csv", keys, "license_key")
    tried(api, "--by", "key")
    edited(lambda rows: rows.pop(2))

    ended = api.run(*RUN, "--by", "key", "--expect-product", PRODUCTS[0].id)

    assert ended.counts == {"revoked": 11, "excluded": 1}


def test_a_key_that_stands_for_a_changed_license_is_a_refusal(api: Served) -> None:
    keys = [api.sandbox.account.licenses[each].key for each in IDS]
    write("list.csv", keys, "license_key")
    tried(api, "--by", "key")
    change(api, IDS[1], customer=None)

    ended = api.run(*RUN, "--by", "key", "--expect-product", PRODUCTS[0].id)

    assert refused(ended, f"row 3  {IDS[1]}  user ")


@pytest.mark.parametrize("command", ["run", "suspend"])
def test_a_restore_takes_back_what_was_approved(api: Served, command: str) -> None:
    api.run(command, "list.csv")
    results = "list.results.csv"
    api.run("restore", results, "--dry-run", "-o", PLAN)
    edited(lambda rows: rows.pop(5))

    ended = api.run("restore", results, "--approved", PLAN)

    assert ended.counts == {"restored": 11, "excluded": 1}
    assert api.revoked() | api.suspended() == {IDS[4]}


def test_a_suspension_needs_the_dry_run_of_one(api: Served) -> None:
    tried(api)
    tried(api, "-o", "suspend.csv", command="suspend")

    other = api.run("suspend", "list.csv", "--approved", PLAN)
    ended = api.run("suspend", "list.csv", "--approved", "suspend.csv")

    assert refused(other, "is about another property of the licenses than suspended")
    assert ended.counts == {"suspended": 12}


def test_a_scheduled_run_sends_what_came_back_and_nothing_before_that(api: Served) -> None:
    text = (Path(__file__).parents[2] / "configs" / "approved.toml").read_text(encoding="utf-8")
    for place_ in ("/srv/licenses", "/var/log/bulk-revoke"):
        text = text.replace(place_, str(Path.cwd()))
    Path("approved.toml").write_text(text.replace("log_file", "# log_file"), encoding="utf-8")
    tried(api)
    scheduled = ("--config", "approved.toml", "-o", "4711.csv")

    early = api.ask("run", "list.csv", *scheduled)
    edited(lambda rows: rows.pop(5), to="approved.csv")
    due = api.ask("run", "list.csv", *scheduled)
    again = api.ask("run", "list.csv", *scheduled)

    assert refused(early, "approved.csv: no such file")
    assert due.counts == again.counts == {"revoked": 11, "excluded": 1}
    assert sorted(api.patches()) == sorted(set(IDS) - {IDS[4]})


# By chance


FEW = IDS[:5]


def strike(struck: Sequence[tuple[int, str]]) -> tuple[set[int], set[int]]:
    """Take rows out of the plan, and mark others; the numbers of these and of those."""
    with Path(PLAN).open(encoding="utf-8") as file:
        size = sum(1 for _ in file)
    gone = {row for row, how in struck if how == "out" and row < size}
    marked = {row: how for row, how in struck if how != "out" and row < size and row not in gone}
    for row, how in marked.items():
        set_cell(row, "outcome", how)

    def take_out(rows: list[list[str]]) -> None:
        rows[:] = [row for number, row in enumerate(rows) if number not in gone]

    edited(take_out)
    return gone, set(marked)


def left_in(listed: Sequence[str], gone: set[int], marked: set[int], *, alike: bool) -> set[str]:
    """Licenses of a list, each in a row of its own, of which no row was taken out or marked.

    That a later one of several rows is gone can only be told by the list that had it.
    """
    found = set()
    for license_id in listed:
        own = [number for number, each in enumerate(listed, 1) if each == license_id]
        if not (gone & set(own if alike else own[:1]) or marked & set(own)):
            found.add(license_id)
    return found


@settings(calm, max_examples=25 * THOROUGH)
@given(
    listed=st.lists(st.sampled_from(FEW), min_size=1, max_size=8),
    revoked=st.sets(st.sampled_from(FEW)),
    struck=st.lists(st.tuples(st.integers(1, 8), st.sampled_from(["out", "", "no", "excluded"]))),
    edit=st.sampled_from(EDITS),
    become=st.dictionaries(st.sampled_from(FEW), st.sampled_from([*CHANGES]), max_size=2),
    turned=st.dictionaries(st.sampled_from(FEW), st.booleans(), max_size=2),
    again=st.one_of(st.none(), st.lists(st.sampled_from(FEW), min_size=1, max_size=8)),
)
def test_nothing_is_sent_that_was_not_approved_and_every_refusal_has_its_reason(
    listed: list[str],
    revoked: set[str],
    struck: list[tuple[int, str]],
    edit: Callable[[list[list[str]]], object],
    become: dict[str, Callable[[SandboxLicense], dict[str, Any]]],
    turned: dict[str, bool],
    again: list[str] | None,
) -> None:
    for each in Path().glob("list.*"):
        each.unlink()
    write("list.csv", listed)
    with served(account(FEW)) as api:
        api.turn(*revoked, revoked=True)
        tried(api)
        gone, marked = strike(struck)
        edited(edit)
        approved = left_in(listed, gone, marked, alike=again is None) - revoked
        for license_id, what in become.items():
            change(api, license_id, **what(api.sandbox.account.licenses[license_id]))
        for license_id, is_so in turned.items():
            api.turn(license_id, revoked=is_so)
        write("list.csv", again or listed)
        due = (approved & set(again or listed)) - api.revoked()

        ended = api.run(*RUN)

        assert set(api.patches()) <= due
        if ended.code == 0:
            assert again or set(api.patches()) == due
            # A second later cannot be told where a spreadsheet has kept the day alone.
            is_lost = edit is with_the_day_alone
            told = {key for key, to in become.items() if not (is_lost and to is to_a_later_expiry)}
            assert again or not due & told
        elif "changed since" in ended.err:
            assert refused(ended)
            assert due & become.keys()
        else:
            assert refused(ended, "approves no")
            assert again or not approved
