"""The scripts of `findings` are listed, tell of themselves, and can be run as they are."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

FINDINGS = Path(__file__).parents[2] / "findings"
SCRIPTS = sorted(each.name for each in FINDINGS.glob("*.sh"))


def test_each_finding_is_listed_once_and_in_order() -> None:
    page = (FINDINGS / "README.md").read_text(encoding="utf-8")

    assert re.findall(r"^\| \[(.*?)\]\(\1\) \|", page, re.MULTILINE) == SCRIPTS


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_finding_tells_what_was_guessed_and_seen_and_runs_without_the_product(name: str) -> None:
    text = (FINDINGS / name).read_text(encoding="utf-8")
    head, code = text.split("set -euo pipefail\n")

    assert re.search(r"^# Guess: .+", head, re.MULTILINE)
    assert re.search(r"^# Seen.*:\n#   .+", head, re.MULTILINE)
    assert all(each.startswith("#") for each in head.splitlines())
    assert "changed; expected:" in code
    assert "import batch" not in code
    assert os.access(FINDINGS / name, os.X_OK)
    subprocess.run(["bash", "-n", FINDINGS / name], check=True)
