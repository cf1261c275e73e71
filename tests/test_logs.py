from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from batch import logs
from batch.errors import ConfigError
from batch.logs import FIELDS, Redactor
from batch.progress import Screen
from tests.builders import calm

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
        redact = Redactor(token)
        logs.start(
            Screen(stream, redact=redact),
            run_id="7f3a0001",
            log_file=log_file,
            verbose=verbose,
            redact=redact,
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
        "duration_ms": 120,
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
    assert tuple(fields) == FIELDS
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


def test_a_traceback_stays_inside_its_line(path: Path, start: Start) -> None:
    start()

    log.error("a bug", exc_info=ZeroDivisionError("unforeseen"))

    (line,) = lines(path)
    assert line["level"] == "error"
    assert line["traceback"].endswith("ZeroDivisionError: unforeseen")


@pytest.mark.parametrize("form", [*ESCAPED, f"{ESCAPED!r}"])
def test_the_token_is_redacted_in_every_form_and_place(path: Path, start: Start, form: str) -> None:
    shown = start(verbose=True)

    log.error("said %s", form, extra={"error_code": form}, exc_info=ValueError(form))
    logs.stop()

    written = path.read_text() + shown.getvalue()
    (line,) = lines(path)
    for escaped in ESCAPED:
        assert escaped not in written
        assert escaped not in str(line)
    assert "[token]" in line["message"]
    assert "[token]" in line["error_code"]
    assert "[token]" in line["traceback"]
    assert "[token]" in shown.getvalue()


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

    assert log_file in refused.value.message
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
