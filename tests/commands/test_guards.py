"""Every way to be refused: exit code 2 or 4, no PATCH, nothing on the disk, and what to do now."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from batch.api.base_url import SAAS
from batch.sandbox import PRODUCTS, Account
from tests.support.commands import Served, served, write
from tests.support.job_harness import some_ids

IDS = some_ids(6)
OWN, OTHER = PRODUCTS[:2]
RESULTS = "list.results.csv"
ELSEWHERE = "http://localhost:{port}/v3"
"""The same server under another name: what gets there by mistake is seen."""

Prepare = Callable[[Served, pytest.MonkeyPatch], object]


@pytest.fixture(autouse=True)
def home(at_home: None, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001 - it comes first
    write("list.csv", IDS)

    def no_terminal(*_: object, **__: object) -> None:
        raise OSError(6, "No such device or address")

    monkeypatch.setattr("batch.host.terminal.open", no_terminal, raising=False)


@pytest.fixture
def api() -> Iterator[Served]:
    """An account with a license of another product than all others."""
    account = Account.holding(IDS)
    for license_ in account:
        license_.product = OWN
    account.licenses[IDS[2]].product = OTHER
    with served(account) as api:
        yield api


@dataclass(frozen=True)
class Case:
    """A command that is to be refused.

    Attributes:
        arguments: The command.
        said: Words of the refusal.
        prepare: What has happened before.
        hint: Whether there is a remedy to name.
        code: The exit code.
    """

    arguments: tuple[str, ...]
    said: str
    prepare: Prepare = lambda _api, _monkeypatch: None
    hint: bool = True
    code: int = 2


def has_run(*arguments: str, then: Callable[[], object] = lambda: None) -> Prepare:
    """A command has come to its end, and then something happened to its files."""

    def prepare(api: Served, _monkeypatch: pytest.MonkeyPatch) -> None:
        assert api.run(*arguments).code in {0, 1}
        then()

    return prepare


def all_of(*steps: Prepare) -> Prepare:
    def prepare(api: Served, monkeypatch: pytest.MonkeyPatch) -> None:
        for step in steps:
            step(api, monkeypatch)

    return prepare


def file(path: str, text: str = "") -> Prepare:
    return lambda _api, _monkeypatch: Path(path).write_text(text)


def edited(path: str, old: str, new: str) -> Callable[[], object]:
    def edit() -> None:
        text = Path(path).read_text()
        assert old in text
        Path(path).write_text(text.replace(old, new, 1))

    return edit


def torn() -> None:
    """The run was killed: its results are a journal, and its manifest tells of no end."""
    path = Path(f"{RESULTS}.run.json")
    manifest = json.loads(path.read_text())
    del manifest["results"]["sha256"]
    path.write_text(json.dumps(manifest))
    edited(RESULTS, "not_attempted", "planned")()


def rewritten() -> None:
    write("list.csv", IDS[1:])


def removed(path: str) -> Callable[[], object]:
    return lambda: Path(path).unlink()


def jwt(**claims: object) -> Prepare:
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    token = f"eyJhbGciOiJub25lIn0.{payload}.c2lnbmF0dXJl"
    return lambda _api, monkeypatch: monkeypatch.setenv("CRYPTLEX_ACCESS_TOKEN", token)


RUN = ("run", "list.csv")
A_RUN = has_run(*RUN)
A_PILOT = has_run(*RUN, "--limit", "2")

UNASKED = {
    "a file to exclude is empty": Case(
        (*RUN, "--exclude", "no.csv"), "no.csv is empty", file("no.csv")
    ),
    "a file to exclude lists nothing": Case(
        (*RUN, "--exclude", "no.csv"), "not a single license ID", file("no.csv", "license_id\n")
    ),
    "a file to exclude holds what is nearly an ID": Case(
        (*RUN, "--exclude", "no.csv"),
        "no.csv, row 3",
        file("no.csv", f"license_id\n{IDS[0]}\n{IDS[1][:-1]}\n"),
    ),
    "what is nearly an ID is excluded although the input may hold such": Case(
        (*RUN, "--skip-invalid", "--exclude", "no.csv"),
        IDS[1][:-1],
        file("no.csv", f"license_id\n{IDS[0]}\n{IDS[1][:-1]}\n"),
    ),
    "the list itself is excluded": Case(
        (*RUN, "--exclude", "list.csv"), "--exclude protects all of its 6 licenses"
    ),
    "a row without an ID is excluded, and nobody is to look": Case(
        (*RUN, "--no-look", "--exclude", "no.csv"),
        "--exclude needs to look at the licenses",
        file("no.csv", f"license_id\n{IDS[0]}\nKEY-1\n"),
    ),
    "results stand there already": Case(RUN, "exists already", file(RESULTS, "precious")),
    "a manifest stands there already": Case(
        RUN, "exists already", file(f"{RESULTS}.run.json", "precious")
    ),
    "a link to nowhere stands there": Case(
        RUN, "exists already", lambda _api, _monkeypatch: Path(RESULTS).symlink_to("nowhere")
    ),
    "results of a verify stand there already": Case(
        (*RUN, "-o", "list.verify.csv"), "exists already", has_run("verify", "list.csv")
    ),
    "results of a run stand where a dry run's are to go": Case(
        (*RUN, "--dry-run", "-o", RESULTS), "exists already", A_RUN
    ),
    "a column that is not there": Case((*RUN, "--where", "Action=revoke"), "no column"),
    "a condition without a column": Case((*RUN, "--where", "=revoke"), "names no column"),
    "a condition without a value": Case((*RUN, "--where", "Action"), "names no column"),
    "a part that has no row": Case((*RUN, "--where", "1=no ID"), "selects no row of"),
    "to go on with another part": Case(
        (*RUN, "--resume", "--where", f"license_id={IDS[3]}"),
        "its run had another --where",
        A_PILOT,
    ),
    "the input was changed since": Case(
        (*RUN, "--resume"),
        "was changed since",
        has_run(*RUN, then=rewritten),
    ),
    "the run was about another input": Case(
        ("run", "other.csv", "--resume", "-o", RESULTS),
        "its run had another input",
        all_of(A_RUN, lambda _api, _monkeypatch: write("other.csv", IDS[1:])),
    ),
    "the run's input is read in another way": Case(
        (*RUN, "--resume", "--column", "new"),
        "read in another way",
        all_of(
            file(
                "list.csv",
                "\n".join(["old,new", *map(",".join, zip(IDS, IDS[::-1], strict=True))]) + "\n",
            ),
            has_run(*RUN, "--column", "old"),
        ),
    ),
    "the run was about another API": Case(
        (*RUN, "--resume", "--base-url", ELSEWHERE),
        f"about {ELSEWHERE}",
        A_RUN,
    ),
    "the run was another command": Case(
        (*RUN, "--resume", "-o", "list.verify.csv"),
        "bulk-revoke verify",
        has_run("verify", "list.csv"),
    ),
    "the run was a dry run": Case(
        (*RUN, "--resume", "-o", "list.dry-run.csv"), "dry run", has_run(*RUN, "--dry-run")
    ),
    "the run was a rehearsal": Case(
        (*RUN, "--resume", "-o", "list.rehearsal.csv"), "about sandbox", has_run(*RUN, "--sandbox")
    ),
    "the run's manifest is missing": Case(
        (*RUN, "--resume"), "is missing", has_run(*RUN, then=removed(f"{RESULTS}.run.json"))
    ),
    "the run's results are missing": Case(
        (*RUN, "--resume"), "is missing, but", has_run(*RUN, then=removed(RESULTS))
    ),
    "the run's manifest is none": Case(
        (*RUN, "--resume"), "is no manifest", all_of(A_RUN, file(f"{RESULTS}.run.json", "{}"))
    ),
    "the run's results were edited": Case(
        (*RUN, "--resume"), "was changed since", has_run(*RUN, then=edited(RESULTS, "true", ""))
    ),
    "the input is the results of a rehearsal": Case(
        ("run", "list.rehearsal.csv"), "rehearsal", has_run(*RUN, "--sandbox")
    ),
    "the input of a verify is the results of a rehearsal": Case(
        ("verify", "list.rehearsal.csv"), "rehearsal", has_run(*RUN, "--sandbox")
    ),
    "the input is the results of a restore": Case(
        ("run", "list.results.restored.csv"),
        "bulk-revoke restore",
        all_of(A_RUN, has_run("restore", RESULTS)),
    ),
    "the input is the journal of a run": Case(
        ("run", RESULTS, "-o", "new.csv"),
        "has not come to its end",
        has_run(*RUN, "--limit", "2", then=torn),
    ),
    "the input is the results of a run that is done": Case(
        ("run", RESULTS, "-o", "new.csv"), "no row of this results file", A_RUN
    ),
    "the input is the results of a dry run": Case(
        ("run", "list.dry-run.csv"), "dry run", has_run(*RUN, "--dry-run")
    ),
    "what is to be restored was at another API": Case(
        ("restore", RESULTS, "--base-url", ELSEWHERE),
        f"about {ELSEWHERE}",
        A_RUN,
    ),
    "what is to be restored was a dry run": Case(
        ("restore", "list.dry-run.csv"), "the results of a dry run", has_run(*RUN, "--dry-run")
    ),
    "what is to be restored was a verify": Case(
        ("restore", "list.verify.csv"), "bulk-revoke verify", has_run("verify", "list.csv")
    ),
    "what is to be restored was a restore": Case(
        ("restore", "list.results.restored.csv"),
        "bulk-revoke restore",
        all_of(A_RUN, has_run("restore", RESULTS)),
    ),
    "what is to be restored was a rehearsal": Case(
        ("restore", "list.rehearsal.csv"), "about sandbox", has_run(*RUN, "--sandbox")
    ),
    "what is to be restored is a plain list": Case(("restore", "list.csv"), "manifest"),
    "what is to be restored has lost its manifest": Case(
        ("restore", RESULTS), "manifest", has_run(*RUN, then=removed(f"{RESULTS}.run.json"))
    ),
    "what is to be restored was not brought to its end": Case(
        ("restore", RESULTS), "has not come to its end", has_run(*RUN, "--limit", "2", then=torn)
    ),
    "what is to be restored is missing": Case(("restore", "no.csv"), "no.csv"),
    "nothing was turned that could be restored": Case(
        ("restore", "again.csv"),
        "no license",
        all_of(A_RUN, has_run(*RUN, "-o", "again.csv")),
    ),
    "the directory of the locks is missing": Case((*RUN, "--lock-dir", "missing"), "missing"),
    "the token has expired": Case(RUN, "expired", jwt(exp=1_000_000_000)),
    "the token may not write": Case(RUN, "license:write", jwt(scope=["license:read"])),
    "the token may not write what is to be restored": Case(
        ("restore", RESULTS), "license:write", all_of(A_RUN, jwt(scope=["license:read"]))
    ),
    "the token may not even read": Case(
        ("verify", "list.csv"), "license:read", jwt(scope=["product:read"])
    ),
    "the token is for another host of the vendor": Case(
        (*RUN, "--base-url", SAAS, "--rate", "45/5s"),
        "is for api.eu.cryptlex.com, and not for api.cryptlex.com",
        # Whatever is sent all the same stays on this machine.
        all_of(
            jwt(aud="https://api.eu.cryptlex.com/v3"),
            lambda _api, monkeypatch: monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9"),
        ),
    ),
    "to say nothing and everything": Case(
        (*RUN, "-q", "-v"), "--quiet and --verbose exclude each other", hint=False
    ),
    "to go on and start again": Case(
        (*RUN, "--resume", "--overwrite"), "exclude each other", hint=False
    ),
    "to go on with what sends nothing": Case(
        (*RUN, "--resume", "--dry-run"), "exclude each other", hint=False
    ),
    "to expect a product and not look": Case(
        (*RUN, "--no-look", "--expect-product", OWN.id), "leave out --no-look", hint=False
    ),
    "to look up keys and not look": Case(
        (*RUN, "--no-look", "--by", "key"), "leave out --no-look", hint=False
    ),
    "to put the input aside": Case(
        (*RUN, "--overwrite", "-o", "./list.csv"), "is a file that is read"
    ),
    "to put aside what is excluded": Case(
        (*RUN, "--overwrite", "-o", "no.csv", "--exclude", "no.csv"),
        "is a file that is read",
        file("no.csv", f"license_id\n{IDS[0]}\n"),
    ),
    "to go on in the results that are to be restored": Case(
        ("restore", RESULTS, "--resume", "-o", RESULTS), "is a file that is read", A_RUN
    ),
    "to write a log into the input": Case(
        (*RUN, "--log-file", "./list.csv"), "--log-file ./list.csv"
    ),
    "to write a log into the results": Case(
        (*RUN, "--log-file", f"./{RESULTS}"), "where the results go"
    ),
    "to write a log into the manifest": Case(
        (*RUN, "--resume", "--log-file", f"{RESULTS}.run.json"),
        "where the results go",
        A_PILOT,
    ),
    "to write a log into the input by another name": Case(
        (*RUN, "--log-file", "hard.jsonl"),
        "--log-file hard.jsonl",
        lambda _api, _monkeypatch: Path("hard.jsonl").hardlink_to("list.csv"),
    ),
    "an exclude list that is not there": Case(
        (*RUN, "--exclude", "never.csv"), "--exclude never.csv: no such file"
    ),
    "results of elsewhere to verify": Case(
        ("verify", RESULTS, "--base-url", ELSEWHERE), f"this verify is about {ELSEWHERE}", A_RUN
    ),
    "results of elsewhere to go on with": Case(
        ("run", RESULTS, "--base-url", ELSEWHERE, "-o", "other.csv"),
        f"this run is about {ELSEWHERE}",
        A_RUN,
    ),
    "a results name with a word that stands for nothing": Case(
        (*RUN, "-o", "{{day}}.csv"), "{{day}} stands for nothing"
    ),
    "to write results to standard output": Case((*RUN, "-o", "-"), "results go into a file"),
    "an exclusion without a name": Case((*RUN, "--exclude", ""), '--exclude "" names no file'),
    "to write metrics into the log": Case(
        (*RUN, "--log-file", "a.prom", "--metrics-file", "./a.prom"), "--metrics-file ./a.prom"
    ),
    "to write a log into the addresses": Case(
        (*RUN, "--log-file", "told", "--notify-file", "told"),
        "--log-file told",
        file("told", "json://127.0.0.1:9/\n"),
    ),
    "a limit of none": Case((*RUN, "--limit", "0"), "--limit"),
    "a restore's limit of none": Case(("restore", RESULTS, "--limit", "0"), "--limit"),
    "a time-out that is no number": Case((*RUN, "--timeout", "nan"), "--timeout nan"),
    "a time that is none": Case((*RUN, "--wait=soon"), "--wait soon"),
    "a product that is none": Case((*RUN, "--expect-product", "Draftwright"), "--expect-product"),
    "failures that are none": Case((*RUN, "--max-failures", "101%"), "--max-failures"),
    "a limit for what sends nothing": Case(("verify", "list.csv", "--limit", "2"), "--limit"),
}
"""Refusals that need no look at the server: it is not even asked."""

LOOKED = {
    "more licenses than the maximum": Case((*RUN, "--max-licenses", "5"), "allows 5"),
    "a limit of more licenses than the maximum": Case(
        (*RUN, "--max-licenses", "4", "--limit", "5"), "allows 4"
    ),
    "more licenses than the maximum where something stands there": Case(
        (*RUN, "--overwrite", "--max-licenses", "3"), "allows 3", A_PILOT
    ),
    "a dry run of more licenses than the maximum": Case(
        (*RUN, "--max-licenses", "5", "--dry-run"), "allows 5"
    ),
    "more to restore than the maximum": Case(
        ("restore", RESULTS, "--max-licenses", "5"), "allows 5", A_RUN
    ),
    "more licenses than expected": Case((*RUN, "--expect-licenses", "5"), "lists 6 licenses"),
    "fewer licenses than expected": Case((*RUN, "--expect-licenses", "1000"), "lists 6 licenses"),
    "another number to restore than expected": Case(
        ("restore", RESULTS, "--expect-licenses", "5"), "lists 6 licenses", A_RUN
    ),
    "another number to verify than expected": Case(
        ("verify", "list.csv", "--expect-licenses", "5"), "lists 6 licenses"
    ),
    "a license of another product": Case((*RUN, "--expect-product", OWN.id), IDS[2]),
    "a dry run with a license of another product": Case(
        (*RUN, "--expect-product", OWN.id, "--dry-run"), IDS[2]
    ),
    "a revoked license of another product": Case(
        (*RUN, "--expect-product", OWN.id),
        IDS[2],
        lambda api, _monkeypatch: api.turn(IDS[2], revoked=True),
    ),
    "a license of another product to restore": Case(
        ("restore", RESULTS, "--expect-product", OWN.id), IDS[2], A_RUN
    ),
    "a license of another product in the rest of a run": Case(
        (*RUN, "--resume", "--expect-product", OTHER.id), IDS[4], A_PILOT
    ),
}
"""Refusals that only a look at the server can tell."""


def unreadable(api: Served, _monkeypatch: pytest.MonkeyPatch) -> None:
    api.fail_all(400, on="LIST")
    api.fail(IDS[4], 400, times=None, on="GET")


LOOKED["a license whose product cannot be read"] = Case(
    (*RUN, "--expect-product", OWN.id, "--expect-product", OTHER.id), IDS[4], unreadable
)


def refused(api: Served, case: Case, monkeypatch: pytest.MonkeyPatch) -> int:
    """Run the command of a case; how many requests it has cost."""
    case.prepare(api, monkeypatch)
    before = len(api.reads())

    port = api.sandbox.port
    ended = api.run(*(argument.format(port=port) for argument in case.arguments))

    assert ended.code == case.code, ended.err
    assert not ended.has_results
    assert case.said.format(port=port) in ended.err
    assert ("hint: " in ended.err) is case.hint
    return len(api.reads()) - before


@pytest.mark.parametrize("case", UNASKED)
def test_what_can_be_refused_without_asking_the_server_is(
    api: Served, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    assert refused(api, UNASKED[case], monkeypatch) == 0


@pytest.mark.parametrize("case", LOOKED)
def test_a_plan_that_breaks_a_guard_sends_nothing(
    api: Served, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    assert refused(api, LOOKED[case], monkeypatch) > 0
