"""The pictures of README and runbook show what would be shown now."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest

from batch import __version__
from tests.support.pictures import PICTURES, PLACE, RECORD, masked, sources

ROOT = Path(__file__).parents[2]
RECORDED = json.loads(RECORD.read_bytes())


@pytest.mark.usefixtures("at_home")
def test_what_they_were_made_from_is_what_is_made_now() -> None:
    now = sources()

    old = [name for name, digest in now.items() if RECORDED[name]["shows"] != digest]
    assert old == [], "make pictures makes them anew; look at them"


@pytest.mark.parametrize("name", [each.name for each in PICTURES])
def test_they_are_the_files_that_were_made_and_small(name: str) -> None:
    data = (PLACE / name).read_bytes()

    assert hashlib.sha256(data).hexdigest() == RECORDED[name]["file"]
    assert len(data) < 150_000


def test_pages_show_pictures_that_are_made_and_say_in_words_what_is_on_them() -> None:
    shown = set()
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for words, target in re.findall(
            r"!\[([^\]]*)\]\(([^)]*pictures/[^)]*)\)", page.read_text()
        ):
            assert len(words) > 20
            shown.add(Path(target).name)

    assert shown == {each.name for each in PICTURES} == set(RECORDED)


def test_what_differs_each_time_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    one, other = (
        f"<title>bulk-revoke {run}</title> {run} {tmp_path} {digest * 64} {day} UTC, {__version__}"
        for run, digest, day in (
            ("0badcafe", "0", "02 May 2026, 10:00"),
            ("12345678", "a", "30 June 2027, 23:59"),
        )
    )

    assert masked(one) == masked(other)
    assert masked("<p>1</p>") != masked("<p>2</p>")
