from __future__ import annotations

import csv
import io
import unicodedata
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch.formatting import LONGEST, cell, duration, epoch_seconds, plain, timestamp, uncell
from tests.support.builders import calm

# Characters that need care, and a few others; `characters` has lone surrogates as well.
SPECIAL = "'=+-@\n\r\t\x00\x0b\x0c\x1b\x85\x9f\u2028\u2029\u202e\u2066\ud800\udfff\",;\\a\u6728 "
TEXTS = st.text(st.sampled_from(SPECIAL), max_size=40) | st.text(st.characters(), max_size=40)
LONG_TEXTS = st.builds(lambda text, times: text * times, TEXTS, st.integers(1, 100))


NEPAL = timezone(timedelta(hours=5, minutes=45))
LONDON = timezone(timedelta(0), "GMT")


@pytest.mark.parametrize(
    ("moment", "spelled"),
    [
        (datetime(2026, 11, 24, tzinfo=UTC), "2026-11-24T00:00:00.000Z"),
        (datetime(2026, 11, 24, 12, 0, 59, 999999, tzinfo=UTC), "2026-11-24T12:00:59.999Z"),
        (datetime(2026, 11, 24, 1, 30, tzinfo=NEPAL), "2026-11-23T19:45:00.000Z"),
        (datetime(2026, 11, 24, 1, tzinfo=LONDON), "2026-11-24T01:00:00.000Z"),
    ],
)  # fmt: skip
def test_a_moment_is_spelled_in_utc_whatever_zone_it_was_told_in(
    moment: datetime, spelled: str
) -> None:
    assert timestamp(moment) == spelled


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ("9999-12-31T23:59:59.9999999Z", "9999-12-31T23:59:59.999Z"),
        ("9999-12-31T23:59:59.9999999-12:00", "9999-12-31T23:59:59.999Z"),
        ("0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00.000Z"),
    ],
)
def test_a_moment_at_either_end_of_the_calendar_can_be_spelled_again(
    text: str, spelled: str
) -> None:
    seconds = epoch_seconds(text)

    assert seconds is not None
    assert timestamp(datetime.fromtimestamp(seconds, UTC)) == spelled


@calm
@given(TEXTS | LONG_TEXTS)
def test_what_is_read_back_is_what_was_kept(text: str) -> None:
    assert uncell(cell(text)) == plain(text)


def is_unsafe(char: str) -> bool:
    """Whether it is a control character, a line break, a surrogate or a bidirectional override."""
    overrides = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
    return (
        unicodedata.category(char) in {"Cc", "Zl", "Zp", "Cs"}
        or unicodedata.bidirectional(char) in overrides
    )


def test_every_unsafe_character_is_escaped_and_only_those() -> None:
    unsafe = [char for char in map(chr, range(0x110000)) if is_unsafe(char)]

    assert len(unsafe) == 65 + 2 + 2048 + 9
    assert all(cell(f"a{char}b").isascii() and len(plain(char)) > 1 for char in unsafe)
    assert all(plain(chr(code)) == chr(code) for code in range(0x3000) if not is_unsafe(chr(code)))


@calm
@given(TEXTS | LONG_TEXTS)
def test_nothing_unsafe_survives(text: str) -> None:
    safe = cell(text)

    assert not any(map(is_unsafe, safe))
    assert safe.encode().decode() == safe


@calm
@given(TEXTS | LONG_TEXTS)
def test_a_text_has_300_characters_at_most_also_when_it_is_escaped(text: str) -> None:
    assert len(plain(text)) <= LONGEST
    assert len(cell(text)) <= LONGEST + 1


@calm
@given(st.text(st.characters(exclude_categories=["C", "Z"]), max_size=LONGEST))
def test_plain_text_stays_as_it_is(text: str) -> None:
    assert plain(text) == text


@calm
@given(TEXTS)
def test_making_a_text_plain_twice_is_making_it_plain_once(text: str) -> None:
    assert plain(plain(text)) == plain(text)


@pytest.mark.parametrize("start", list("=+-@"))
@pytest.mark.parametrize("quotes", ["", "'", "'''"])
def test_the_start_of_a_formula_gets_exactly_one_quote(start: str, quotes: str) -> None:
    text = f"{quotes}{start}HYPERLINK(1)"

    assert cell(text) == "'" + text
    assert uncell(cell(text)) == text


@pytest.mark.parametrize("text", ["", "'", "'quoted'", "a=b", "1-2", " =1", "''", "O'Neill @ work"])
def test_what_is_no_formula_gets_no_quote(text: str) -> None:
    assert cell(text) == text
    assert uncell(text) == text


@pytest.mark.parametrize("start", ["\t=1", "\r=1", "\n=1", "\x00=1"])
def test_a_control_character_before_a_formula_keeps_it_from_running(start: str) -> None:
    assert cell(start).startswith("\\")


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("a\nb\r\tc", r"a\nb\r\tc"),
        ("\x00\x1b[31m\x85", r"\x00\x1b[31m\x85"),
        ("\u2028\u202e\ud800", r"\u2028\u202e\ud800"),
        ("naïve 木 😀\u00a0", "naïve 木 😀\u00a0"),
    ],
)
def test_a_character_that_is_not_plain_is_written_by_its_code(text: str, safe: str) -> None:
    assert plain(text) == safe


def test_a_text_of_control_characters_alone_is_cut_as_it_is_shown() -> None:
    assert plain("\x00" * 1000) == r"\x00" * 75


@calm
@given(st.lists(TEXTS, min_size=2, max_size=5))
def test_a_line_of_cells_is_one_physical_line(texts: list[str]) -> None:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(map(cell, texts))

    written = line.getvalue()

    assert written.splitlines() == [written[:-1]]
    assert next(csv.reader([written])) == [cell(text) for text in texts]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.4, "0 s"),
        (1, "1 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (60, "1 min 00 s"),
        (61, "1 min 01 s"),
        (3599.4, "59 min 59 s"),
        (3599.9, "1 h 00 min"),
        (3600, "1 h 00 min"),
        (7199, "1 h 59 min"),
        (86_400, "24 h 00 min"),
        (36_000_000, "10,000 h 00 min"),
    ],
)
def test_a_time_span_is_spelled_with_its_two_largest_units(seconds: float, text: str) -> None:
    assert duration(seconds) == text
