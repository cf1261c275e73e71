"""Shells complete commands, options, choices and files, with the lines that README shows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.programs import program

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


BEFORE = {"zsh": "autoload -Uz compinit && compinit -u -D"}
"""What a start-up file holds already where completion is used at all."""


def line_for(shell: str) -> str:
    """The line of README that switches completion on in this shell."""
    [found] = re.findall(rf"^(.*\b{shell}_source\b.*?)(?: *#.*)?$", README, re.MULTILINE)
    assert isinstance(found, str)
    return found


def ask(shell: str, script: str, home: Path) -> list[str]:
    """Run a script in a shell in which completion is switched on, and return its lines."""
    ended = subprocess.run(
        [program(shell), "-c", f"{BEFORE.get(shell, '')}\n{line_for(shell)}\n{script}"],
        cwd=home,
        env={"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout.splitlines()


BASH = """
COMP_WORDS=(bulk-revoke {words}); COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
_bulk_revoke_completion bulk-revoke
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("ver", ["verify"]),
        ("run --max-l", ["--max-licenses"]),
        ("restore --inc", ["--include-unknown"]),
        ("run --by ''", ["id", "key"]),
        ("run --reason li", [""]),
    ],
)
def test_bash_completes(words: str, found: list[str], tmp_path: Path) -> None:
    assert sorted(ask("bash", BASH.format(words=words), tmp_path)) == found


def test_fish_completes(tmp_path: Path) -> None:
    lines = ask("fish", 'complete -C "bulk-revoke run --max-l"', tmp_path)

    assert [line.split("\t")[0] for line in lines] == ["--max-licenses"]


@pytest.mark.parametrize("words", ["run li", "run --token-file li", "run --exclude li"])
def test_where_a_file_is_meant_the_shell_is_told_to_complete_files(
    words: str, tmp_path: Path
) -> None:
    count = words.count(" ") + 1
    asked = f"COMP_WORDS='bulk-revoke {words}' COMP_CWORD={count}"

    [said] = ask("bash", f"{asked} _BULK_REVOKE_COMPLETE=bash_complete bulk-revoke", tmp_path)

    assert said == "file,li"


def test_zsh_takes_its_line_and_completes(tmp_path: Path) -> None:
    asked = "COMP_WORDS='bulk-revoke run --max-l' COMP_CWORD=2 _BULK_REVOKE_COMPLETE=zsh_complete"

    found = ask("zsh", f"print $_comps[bulk-revoke]\n{asked} bulk-revoke", tmp_path)

    assert found[:3] == ["_bulk_revoke_completion", "plain", "--max-licenses"]
