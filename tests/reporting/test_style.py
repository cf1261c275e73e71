from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batch.reporting import style
from batch.reporting.style import INDENT, WIDEST, fold, is_coloured, presented
from tests.support.builders import calm

if TYPE_CHECKING:
    from collections.abc import Callable

ID = "23d9646c-34f5-4d37-adeb-f7f77b927bdb"


class Stream:
    """A stream that is a terminal, or is none."""

    def __init__(self, *, terminal: bool) -> None:
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal

    def fileno(self) -> int:
        return -1


TERMINAL, PIPE = Stream(terminal=True), Stream(terminal=False)


@pytest.fixture
def wide(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Makes terminals so many columns wide."""

    def make(columns: int) -> None:
        monkeypatch.setattr(style, "size", lambda _: os.terminal_size((columns, 24)))

    return make


@pytest.fixture
def coloured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "xterm")


@pytest.mark.parametrize(
    ("variables", "on_a_terminal", "elsewhere"),
    [
        ({}, True, False),
        ({"NO_COLOR": "1"}, False, False),
        ({"NO_COLOR": ""}, True, False),
        ({"FORCE_COLOR": "1"}, True, True),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False, False),
        ({"FORCE_COLOR": ""}, True, False),
        ({"TERM": "dumb"}, False, False),
    ],
)
@pytest.mark.usefixtures("coloured")
def test_colours_are_for_terminals_unless_somebody_says_otherwise(
    variables: dict[str, str],
    on_a_terminal: bool,
    elsewhere: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert is_coloured(TERMINAL) is on_a_terminal
    assert is_coloured(PIPE) is elsewhere


@pytest.mark.parametrize(
    ("line", "folded"),
    [
        ("short", ["short"]),
        (
            "error: one two three four five six seven eight nine",
            ["error: one two three four five", "       six seven eight nine"],
        ),
        (
            "others:   3 already revoked, 2 not found, 1 excluded",
            ["others:   3 already revoked, 2", "          not found, 1", "          excluded"],
        ),
        (
            "          Applications notice at their next sync.",
            ["          Applications notice", "          at their next sync."],
        ),
        (
            "bulk-revoke: done (exit 0)   api.cryptlex.com, run 7f3a",
            ["bulk-revoke: done (exit 0)", "  api.cryptlex.com, run 7f3a"],
        ),
        (f"  row 4711  {ID}  unknown", ["  row 4711", f"    {ID}", "    unknown"]),
        (f"again:   bulk-revoke run list.csv {ID}", [f"again:   bulk-revoke run list.csv {ID}"]),
        (
            "report: /home/somebody/July and August.html",
            ["report: /home/somebody/July and August.html"],
        ),
    ],
)
def test_a_line_is_broken_at_blanks_below_what_its_label_is_about(
    line: str, folded: list[str]
) -> None:
    assert fold(line, 30) == folded


@calm
@given(
    st.sampled_from(["", "error: ", "others:   ", " " * INDENT, "  row 5  "]),
    st.lists(st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=20), max_size=30),
    st.integers(35, 120),
)
def test_no_word_is_lost_and_no_line_is_wider_than_it_may_be(
    label: str, words: list[str], columns: int
) -> None:
    folded = fold(label + " ".join(words), columns)

    assert " ".join(folded).split() == [*label.split(), *words]
    assert all(len(line) <= columns for line in folded)


def test_what_is_no_terminal_gets_its_lines_whole(wide: Callable[[int], None]) -> None:
    wide(40)
    text = "hint: " + "word " * 40

    assert presented(text, PIPE, mark="# ") == f"# {text}"
    assert len(presented(text, TERMINAL, mark="# ").split("\n")) > 5


@pytest.mark.parametrize(("columns", "widest"), [(60, 59), (80, 79), (200, WIDEST)])
def test_no_line_is_wider_than_the_terminal_or_than_is_good_to_read(
    wide: Callable[[int], None], columns: int, widest: int
) -> None:
    wide(columns)

    lines = presented("warning: " + "word " * 100, TERMINAL, mark="rehearsal | ").split("\n")

    assert widest - 5 < max(map(len, lines)) <= widest
    assert all(line.startswith("rehearsal | ") for line in lines)


@pytest.mark.parametrize("columns", [1, 5, 12])
def test_no_terminal_is_too_narrow_for_words(wide: Callable[[int], None], columns: int) -> None:
    wide(columns)

    shown = presented("warning: one two", TERMINAL, mark="rehearsal | ")

    assert shown.replace("rehearsal | ", "").split() == ["warning:", "one", "two"]


@pytest.mark.parametrize(
    ("exit_code", "colour"),
    [(0, 32), (1, 31), (2, 31), (3, 31), (4, 31), (129, 33), (130, 33), (143, 33)],
)
@pytest.mark.usefixtures("coloured")
def test_how_a_run_has_ended_is_told_from_across_the_room(
    exit_code: int, colour: int, wide: Callable[[int], None]
) -> None:
    wide(80)

    verdict, rest = presented("done\nerror: x", TERMINAL, exit_code=exit_code).split("\n")

    assert verdict == f"\x1b[{colour}m\x1b[1m\x1b[7m{'done':<79}\x1b[0m"
    assert rest == "\x1b[31m\x1b[1merror:\x1b[0m x"


@pytest.mark.usefixtures("coloured")
def test_a_verdict_that_takes_two_lines_is_one_bar(wide: Callable[[int], None]) -> None:
    wide(21)

    first, second, rest = presented("one two three four five six   x", TERMINAL, exit_code=1).split(
        "\n"
    )

    assert [click.unstyle(each).strip() for each in (first, second)] == [
        "one two three four",
        "five six",
    ]
    assert all(each.startswith("\x1b[31m") for each in (first, second))
    assert rest == "  x"


@pytest.mark.parametrize(
    ("line", "start"),
    [
        ("error: x", "\x1b[31m\x1b[1merror:\x1b[0m"),
        ("warning: x", "\x1b[33m\x1b[1mwarning:\x1b[0m"),
        ("hint: x", "\x1b[36m\x1b[1mhint:\x1b[0m"),
        ("would revoke: 3", "\x1b[1mwould revoke:\x1b[0m"),
        ("Type 3 to revoke these licenses: ", "\x1b[1mType 3 to revoke these licenses: \x1b[0m"),
        ("  row 5: x", "  row 5: x"),
    ],
)
@pytest.mark.usefixtures("coloured")
def test_a_label_tells_what_a_line_is(line: str, start: str) -> None:
    painted = presented(line, TERMINAL)

    assert painted.startswith(start)
    assert click.unstyle(painted) == line
