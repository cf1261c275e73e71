from __future__ import annotations

import io
import json
import logging
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import batch
from batch import __version__
from batch.api.rate_limiter import RateLimiter
from batch.api.retrying_client import RetryingClient
from batch.errors import (
    AccessError,
    ApiError,
    BulkRevokeError,
    ConfigError,
    Detail,
    InputError,
    StoppedError,
    meaning_of,
    not_the_api,
    told,
)
from batch.host.clock import Clock
from batch.reporting import logs
from batch.reporting.logs import CODES, FIELDS, LONGEST_LINE, Redactor
from batch.reporting.progress import Screen
from tests.support.builders import calm

log = logging.getLogger("batch.tested")

TOKEN = 'a"b\\c/d+e'
ESCAPED = ['a"b\\c/d+e', 'a\\"b\\\\c/d+e', "a%22b%5Cc%2Fd%2Be"]

Start = Callable[..., io.StringIO]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.jsonl"


@pytest.fixture
def start(path: Path) -> Iterator[Start]:
    """Start the log into the file; returns what the screen shows."""

    def start(
        *, log_file: str | None = str(path), verbose: bool = False, token: str = TOKEN
    ) -> io.StringIO:
        stream = io.StringIO()
        logs.start(
            Screen(stream, redact=Redactor(token)),
            run_id="7f3a0001",
            log_file=log_file,
            verbose=verbose,
        )
        return stream

    yield start
    logs.stop()
    logging.getLogger("batch").setLevel(logging.NOTSET)
    logging.getLogger("batch").propagate = True


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]


def test_a_line_holds_the_fields_of_the_contract(path: Path, start: Start) -> None:
    start()
    fields = {
        "license_id": "23d9646c-34f5-4d37-adeb-f7f77b927bdb",
        "row": 4711,
        "outcome": "revoked",
        "attempt": 2,
        "method": "PATCH",
        "http_status": 200,
        "error_code": "CONFLICT",
        "wait_s": 0.5,
        "duration_ms": 120.0,
        "exit_code": 3,
    }

    log.info("row %d", 4711, extra={"event": "settled", **fields})

    (line,) = lines(path)
    time = line.pop("time")
    assert line == {
        "level": "info",
        "event": "settled",
        "run_id": "7f3a0001",
        **fields,
        "message": "row 4711",
    }
    assert list(fields) == list(FIELDS)
    assert len(time) == len("2026-11-24T02:15:03.000Z")


def test_time_is_utc_with_milliseconds(path: Path, start: Start) -> None:
    start()
    record = log.makeRecord(log.name, logging.INFO, "", 0, "message", (), None)
    record.created = 1_795_486_503.25

    log.handle(record)

    assert lines(path)[0]["time"] == "2026-11-24T02:15:03.250Z"


def test_fields_without_a_value_are_left_out_and_zero_is_a_value(path: Path, start: Start) -> None:
    start()

    log.info("message", extra={"http_status": None, "error_code": "", "wait_s": 0, "attempt": 0})

    (line,) = lines(path)
    assert line["event"] == "message"
    assert set(line) == {"time", "level", "event", "run_id", "message", "wait_s", "attempt"}


@pytest.mark.parametrize(
    "text", ["two\nlines", "cr\rlf\n", "\x00\x1b[0m", '"quoted" \\ 木', "\ud800"]
)
def test_whatever_a_message_holds_it_is_one_line_of_json(
    path: Path, start: Start, text: str
) -> None:
    start()

    log.warning("%s", text)
    log.warning("next")

    assert path.read_bytes().count(b"\n") == 2
    assert [line["message"] for line in lines(path)] == [text, "next"]


def test_a_field_has_the_same_type_in_every_line(path: Path, start: Start) -> None:
    start()

    log.info("message", extra={"wait_s": 5, "duration_ms": 120, "license_id": "a", "row": 2})
    log.info("message", extra={"wait_s": 5.5, "duration_ms": 0.1, "license_id": "b", "row": 3})

    for line in lines(path):
        for name in ("wait_s", "duration_ms", "license_id", "row"):
            assert type(line[name]) is FIELDS[name]


def a_bug(secret: str) -> Exception:
    """An exception with a past, each part of which holds a secret."""

    def look_up() -> None:
        try:
            dict[str, str]()[secret]
        except KeyError as cause:
            cause.add_note(secret)
            raise ValueError(secret) from cause

    try:
        look_up()
    except ValueError as bug:
        return bug
    raise AssertionError


def test_a_traceback_says_where_and_never_what(path: Path, start: Start) -> None:
    shown = start(verbose=True)
    other = logging.StreamHandler(io.StringIO())  # it leaves what it has told with the record
    logging.getLogger("batch").handlers.insert(0, other)

    log.error("a bug", exc_info=a_bug("0A2035-E8A2A3"))
    log.error("many", exc_info=ExceptionGroup("0A2035-E8A2A3", [a_bug("0A2035-E8A2A3")]))

    for line in lines(path):
        assert line["level"] == "error"
        assert "dict[str, str]()[secret]" in line["traceback"]
        assert "KeyError\n" in line["traceback"]
        assert "test_logs.py" in line["traceback"]
    assert lines(path)[0]["traceback"].endswith("\nValueError")
    assert lines(path)[1]["traceback"].endswith("\nValueError\nExceptionGroup")
    assert "0A2035" not in path.read_text() + shown.getvalue()


def test_an_exception_that_another_one_hides_is_not_told(path: Path, start: Start) -> None:
    start()
    bug = a_bug("secret")
    bug.__cause__ = None

    log.error("a bug", exc_info=bug)

    assert "KeyError" not in lines(path)[0]["traceback"]


def descend(depth: int) -> None:
    if depth % 2:  # so that no two lines are the same, which would be told in one
        descend(depth + 1)
    descend(depth + 1)


def test_whatever_a_line_holds_a_log_shipper_takes_it(path: Path, start: Start) -> None:
    start()
    worst = "\ud800\x00" * 1_000_000
    too_deep: BaseException | None = None
    try:
        descend(0)
    except RecursionError as bug:
        too_deep = bug
    many = ExceptionGroup("", [type("木" * 2000, (Exception,), {})() for _ in range(50)])

    log.error("%s", worst, exc_info=too_deep, extra=dict.fromkeys(("license_id", "outcome"), worst))
    log.error("%s", "木" * 100_000, exc_info=many)

    written = path.read_bytes().splitlines(keepends=True)
    assert len(written) == len(lines(path)) == 2
    assert max(map(len, written)) < LONGEST_LINE
    assert "descend(depth + 1)\n" in lines(path)[0]["traceback"]
    assert lines(path)[0]["traceback"].endswith("\nRecursionError")
    assert lines(path)[1]["traceback"].endswith("\nExceptionGroup")
    assert lines(path)[0]["message"].startswith("\ud800\x00")


HTTP_503 = ApiError("HTTP 503", status=503, shown="KEY")


@pytest.mark.parametrize(
    ("error", "own"),
    [
        (HTTP_503, "HTTP 503"),
        (HTTP_503.becomes(StoppedError), "HTTP 503"),
        (
            AccessError("the token is not accepted", about=HTTP_503),
            "the token is not accepted (HTTP 503)",
        ),
        (not_the_api(HTTP_503).becomes(StoppedError), "this is not the license API (HTTP 503)"),
        (meaning_of(KeyError("KEY")), f"a bug in bulk-revoke {__version__}: KeyError"),
        (
            InputError("3 rows without an ID:", details=[Detail("row 4  ", "KEY"), Detail("…")]),
            "3 rows without an ID:\n  row 4  …\n  …",
        ),
        (ConfigError("5: is no rate", option="--rate"), "--rate 5: is no rate"),
    ],
)
def test_what_others_say_and_what_stands_in_cells_is_left_out(
    error: BulkRevokeError, own: str
) -> None:
    assert told(error, to_all=True) == own
    assert told(error) == str(error)
    assert ("KEY" in told(error)) is (error.option == "")


def test_the_reason_of_a_stop_is_logged_without_what_others_have_said(
    path: Path, start: Start
) -> None:
    shown = start(verbose=True)
    client = RetryingClient(*[None] * 4)  # type: ignore[arg-type]
    client.rate_limiter = RateLimiter(None, 5.0, Clock())

    client.stop(not_the_api(HTTP_503).becomes(StoppedError))

    [line] = lines(path)
    assert line["message"] == "stopping: this is not the license API (HTTP 503)"
    assert "KEY" not in shown.getvalue()


@pytest.mark.parametrize(
    ("code", "logged"),
    [
        ("LICENSE_NOT_FOUND", "LICENSE_NOT_FOUND"),
        ("CONFLICT", "CONFLICT"),
        ("http_502", "http_502"),
        ("timeout", "timeout"),
        ("0A2035-E8A2A3-24BE11", "http_409"),
        ("ABCDEF", "http_409"),
        ("plain", "http_409"),
        ("KEY_0A2035", "http_409"),
        ("LICENSE_NOT_FOUND: 0A2035", "http_409"),
        ("A" * 21 + "_B", "http_409"),
        ("A_B_C_D_E_F_G", "http_409"),
        ("http_502-0A2035", "http_409"),
        ("", None),
    ],
)
def test_only_what_looks_like_an_error_code_is_logged_as_one(
    path: Path, start: Start, code: str, logged: str | None
) -> None:
    shown = start(verbose=True)

    log.info("failed", extra={"error_code": code, "http_status": 409})

    assert lines(path)[0].get("error_code") == logged
    assert shown.getvalue() == (f"failed ({logged})\n" if logged else "failed\n")


def test_an_odd_code_without_a_status_is_not_logged(path: Path, start: Start) -> None:
    start()

    log.info("failed", extra={"error_code": "0A2035"})

    assert "error_code" not in lines(path)[0]


def test_every_code_of_our_own_is_one(path: Path, start: Start) -> None:
    start()
    sources = [
        file.read_text(encoding="utf-8")
        for file in Path(batch.__file__).parent.rglob("*.py")
        if "sandbox" not in file.parts
    ]

    # Those of failed connections stand behind their messages, in pairs.
    used = {"timeout", "connection"}
    used |= {code for text in sources for code in re.findall(r'code ?= ?"(\w+)"', text)}
    for code in sorted(used):
        log.info("failed", extra={"error_code": code, "http_status": 200})

    assert [line["error_code"] for line in lines(path)] == sorted(used)
    assert used == CODES


def test_the_screen_shows_a_code_once(start: Start) -> None:
    shown = start(verbose=True)

    log.debug("PATCH: HTTP 503", extra={"error_code": "http_503", "http_status": 503})
    log.debug("PATCH: HTTP 409", extra={"error_code": "CONFLICT", "http_status": 409})
    log.warning("down (HTTP 503)", extra={"error_code": "SERVICE_DOWN", "http_status": 503})

    assert shown.getvalue().splitlines() == [
        "PATCH: HTTP 503",
        "PATCH: HTTP 409 (CONFLICT)",
        "warning: down (HTTP 503)",
    ]


def test_a_command_is_framed_by_its_start_and_its_end(path: Path, start: Start) -> None:
    shown = start(verbose=True)

    logs.started("run", "list.csv")
    logs.ended(1, {"revoked": 18, "unknown": 2})

    begun, done = lines(path)
    assert (begun["event"], begun["level"]) == ("started", "info")
    assert begun["message"].endswith(": run list.csv")
    assert __version__ in begun["message"]
    assert (done["event"], done["level"], done["exit_code"]) == ("ended", "warning", 1)
    assert done["message"] == "exit code 1: revoked 18, unknown 2"
    assert shown.getvalue() == ""


@pytest.mark.parametrize(
    ("code", "level"),
    [
        (0, "info"), (1, "warning"), (2, "error"), (3, "error"), (4, "error"), (129, "warning"),
        (130, "warning"), (143, "warning"),
    ],
)  # fmt: skip
def test_the_level_of_an_end_says_whether_somebody_has_to_look(
    path: Path, start: Start, code: int, level: str
) -> None:
    start()

    logs.ended(code)

    (line,) = lines(path)
    assert (line["level"], line["exit_code"]) == (level, code)
    assert line["message"] == f"exit code {code}"


def test_a_command_that_ends_with_an_exception_names_its_kind(path: Path, start: Start) -> None:
    start()

    logs.ended(2, cause=InputError("row 3  0A2035-E8A2A3"))
    logs.ended(130, cause=KeyboardInterrupt())
    logs.ended(3, cause=a_bug("0A2035-E8A2A3"))

    refused, interrupted, broken = lines(path)
    assert refused["message"] == "exit code 2: InputError"
    assert interrupted["message"] == "exit code 130: KeyboardInterrupt"
    assert broken["message"] == "exit code 3: ValueError"
    assert "traceback" not in refused | interrupted
    assert "look_up" in broken["traceback"]
    assert "0A2035" not in path.read_text()


def test_what_else_a_record_carries_is_in_no_line(path: Path, start: Start) -> None:
    start()

    log.info("row", stack_info=True, extra={"row": 2, "license_key": "0A2035", "error": "0A2035"})
    log.info({"license_key": "0A2035"})

    for line in lines(path):
        assert set(line) <= {"time", "level", "event", "run_id", "row", "message"}
    assert "0A2035" not in path.read_text()


def test_levels_are_those_that_log_stores_know(path: Path, start: Start) -> None:
    start()

    for level in (log.debug, log.info, log.warning, log.error):
        level("message")

    assert [line["level"] for line in lines(path)] == ["debug", "info", "warning", "error"]


@pytest.mark.parametrize("form", [*ESCAPED, f"{ESCAPED!r}"])
def test_the_token_is_redacted_in_every_form_and_place(path: Path, start: Start, form: str) -> None:
    shown = start(verbose=True)

    log.error("said %s", form, extra={"license_id": form, "error_code": form, "http_status": 401})
    logs.stop()

    written = path.read_text() + shown.getvalue()
    (line,) = lines(path)
    for escaped in ESCAPED:
        assert escaped not in written
        assert escaped not in str(line)
    assert "[token]" in line["message"]
    assert "[token]" in line["license_id"]
    assert line["error_code"] == "http_401"
    assert "[token]" in shown.getvalue()


def test_no_half_of_a_secret_is_left_where_a_text_is_cut(path: Path, start: Start) -> None:
    shown = start(verbose=True, token="0A2035" * 20)

    log.info("%s", "x" * 250 + "0A2035" * 20, extra={"license_id": "x" * 250 + "0A2035" * 20})
    log.info("%s", "x" * 950 + "0A2035" * 20)

    assert "0A2035" not in path.read_text() + shown.getvalue()


def test_several_secrets_are_taken_out() -> None:
    redact = Redactor("first", "sec/ond")
    redact.hide("", "first-and-longer")

    assert redact("first first-and-longer sec%2Fond") == "[token] [token] [token]"


SECRETS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=8)


@calm
@example("0000000'", "", '"')
@given(SECRETS, st.text(max_size=5), st.text(max_size=5))
def test_no_secret_survives_plain_or_as_json_or_as_a_literal(
    secret: str, before: str, after: str
) -> None:
    redact = Redactor(secret)

    for spell in (str, json.dumps, repr):
        assert redact(spell(before + secret + after)).find("[token]") >= 0
        assert secret not in redact(spell(before + secret + after)).replace("[token]", "")


@pytest.mark.parametrize("secret", ["back\\slash", "ends\\", 'quo"te', "per%cent", "a/b+c", "it's"])
@pytest.mark.parametrize("spell", [str, json.dumps, repr, quote, quote_plus])
def test_no_part_of_a_secret_is_left_beside_its_mark(
    secret: str, spell: Callable[[str], str]
) -> None:
    assert Redactor(secret)(spell(secret)).strip("'\"") == "[token]"


def test_without_a_secret_nothing_is_redacted() -> None:
    assert Redactor("")("some text") == "some text"
    assert Redactor()("some text") == "some text"


@pytest.mark.parametrize("token", ['"', ":", "e", "{"])
def test_a_token_that_json_is_made_of_does_not_break_a_line(
    path: Path, start: Start, token: str
) -> None:
    start(token=token)

    log.info('a "message": {}')

    assert token not in lines(path)[0]["message"].replace("[token]", "")


def test_the_screen_gets_warnings_and_with_verbose_everything(path: Path, start: Start) -> None:
    for verbose, shown in ((False, "warning: careful\n"), (True, "detail\nwarning: careful\n")):
        stream = start(verbose=verbose)
        log.debug("detail")
        log.warning("careful")
        assert stream.getvalue() == shown

    assert [line["message"] for line in lines(path)] == ["detail", "careful"] * 2


def test_without_a_log_file_nothing_is_written(path: Path, start: Start) -> None:
    stream = start(log_file=None)

    log.info("detail")

    assert not path.exists()
    assert stream.getvalue() == ""


def test_a_log_file_is_appended_to(path: Path, start: Start) -> None:
    path.write_text('{"message": "earlier"}\n')
    start()

    log.info("now")

    assert [line["message"] for line in lines(path)] == ["earlier", "now"]


def test_starting_twice_writes_every_line_once(path: Path, start: Start) -> None:
    first = start()
    second = start()

    log.warning("once")

    assert len(lines(path)) == 1
    assert (first.getvalue(), second.getvalue()) == ("", "warning: once\n")


def test_stopping_closes_what_was_opened(path: Path, start: Start) -> None:
    start()
    (handler,) = (
        each
        for each in logging.getLogger("batch").handlers
        if isinstance(each, logging.FileHandler)
    )
    stream = handler.stream

    logs.stop()
    log.warning("too late")

    assert stream is not None
    assert stream.closed
    assert logging.getLogger("batch").handlers == []
    assert path.read_text() == ""


@pytest.mark.parametrize("kind", ["directory", "missing directory"])
def test_a_log_file_that_cannot_be_opened_is_refused(path: Path, start: Start, kind: str) -> None:
    path.mkdir()
    log_file = str(path if kind == "directory" else path / "missing" / "log")

    with pytest.raises(ConfigError, match="--log-file") as refused:
        start(log_file=log_file)

    assert log_file in str(refused.value)
    assert refused.value.hint
    assert logging.getLogger("batch").handlers == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_log_file_that_fails_later_is_said_once_and_ends_nothing(
    start: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    stream = start(log_file="/dev/full")

    for _ in range(100):
        log.info("detail")
    logs.stop()

    assert stream.getvalue().count("\n") == 1
    assert "warning: --log-file /dev/full" in stream.getvalue()
    assert "No space left" in stream.getvalue()
    assert capsys.readouterr() == ("", "")


def test_a_screen_that_is_gone_does_not_keep_the_log_from_being_written(
    path: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    start(verbose=True).close()

    log.warning("still here")

    assert lines(path)[0]["message"] == "still here"
