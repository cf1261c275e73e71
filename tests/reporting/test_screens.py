"""The screens of a run, as they stand on terminals of several widths; they are kept as files.

``BULK_REVOKE_SCREENS=write pytest tests/reporting/test_screens.py`` writes them anew: read the
difference before you commit it.
"""

from __future__ import annotations

import io
import os
from contextlib import redirect_stderr
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import tqdm.std

from batch.cli import run_command
from batch.host.clock import Clock
from batch.host.terminal import confirm
from batch.job.preview import preview
from batch.model import REVOKE, Outcome
from batch.reporting import style
from batch.reporting.progress import Progress, Screen
from batch.reporting.style import ERASE, REHEARSAL, presented
from batch.reporting.summary import block, done_outcomes
from tests.job.test_preview import DRY_RUN, NOW, SETTINGS, full
from tests.reporting.test_summary import EXAMPLE, LEFT

if TYPE_CHECKING:
    from collections.abc import Callable

    from batch.model import Action
    from batch.reporting.summary import Summary

SCREENS = Path(__file__).parent / "screens"
WIDTHS = (60, 80, 200)
WRITES = os.environ.get("BULK_REVOKE_SCREENS") == "write"


class Terminal(io.StringIO):
    """A terminal; `Screen` asks how wide it is."""

    def isatty(self) -> bool:
        return True


def asked(action: Action = REVOKE, mark: str = "") -> str:
    """What is asked about, and the question."""
    terminal = Terminal()
    screen = Screen(terminal, mark=mark)
    settings = replace(SETTINGS, sandbox=bool(mark))
    text = preview(
        full(action),
        settings,
        place="sandbox" if mark else "api.cryptlex.com",
        seconds=334,
        now=NOW,
        columns=screen.size.columns,
        lines=screen.size.lines,
    )
    screen.say(text)
    if action.sends:
        confirm(2997, action.verb, io.StringIO("2997\n"), screen.insist)
    return terminal.getvalue()


def bar(trouble: str = "", failed: int = 0, mark: str = "") -> str:
    """The bar after a minute, with a third of 3,000 licenses done."""
    terminal, now = Terminal(), [0.0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tqdm.std, "time", lambda: now[0])
        screen = Screen(terminal, mark=mark)
        clock = Clock(now=lambda: now[0])
        progress = Progress(screen, clock, 3000, phase="revoking", trouble=lambda: trouble)
        for _ in range(100):
            now[0] += 1.12
            progress.step(10)
        progress.step(0, failed=failed)
        progress.tick()
        shown = terminal.getvalue().split("\r")[-1]
        progress.close()
    return f"{shown}\n"


def ended(summary: Summary, *, stopped: str = "", mark: str = "") -> str:
    """The last lines of a run."""
    terminal = Terminal()
    counts = {Outcome(name): count for name, count in summary.counts.items()}
    text = block(
        summary,
        REVOKE,
        place="sandbox" if mark else "api.cryptlex.com",
        done=done_outcomes(REVOKE, missing_ok=False),
        licenses=counts,
        rows=LEFT,
        stopped=stopped,
        whose=lambda cells: {"4711": "ACME Ltd"}.get(cells[0], ""),
    )
    Screen(terminal, mark=mark).insist(text, exit_code=summary.exit_code)
    return terminal.getvalue()


def refused() -> str:
    """What a refusal says; it is folded here, since the command does not see a terminal."""
    with redirect_stderr(io.StringIO()) as said:
        assert run_command(["run", "licenses.csv", "--rate", "500/5s", "--sandbox=x"]) == 2
    lines = [line for line in said.getvalue().splitlines() if not line.startswith("bulk-revoke")]
    text = "\n".join(
        [
            *lines,
            'error: licenses.xlsx, sheet "July": 2 licenses are not of the product that is named:',
            "  row 32  139f377e-9ff4-4892-8121-730c9f7e26fb  product c2a91d3f-4e68-4b07-8f15",
            "hint: is this the right file? Take them out of it, or name them with --exclude.",
        ]
    )
    return presented(text, Terminal()) + "\n"


SUCCESS = replace(
    EXAMPLE, rows=3000, licenses=3000, exit_code=0, hint="", counts={"revoked": 2960,
    "already_revoked": 40},
)  # fmt: skip
STOPPED = replace(
    EXAMPLE, exit_code=130, counts={"revoked": 1000, "unknown": 1, "not_attempted": 9019}
)
SCENES: dict[str, Callable[[], str]] = {
    "question": asked,
    "dry-run": lambda: asked(DRY_RUN),
    "rehearsal": lambda: asked(mark=REHEARSAL) + bar(mark=REHEARSAL)
    + ended(replace(SUCCESS, results="licenses.rehearsal.csv"), mark=REHEARSAL),
    "bar": lambda: bar() + bar(failed=12),
    "pause": lambda: bar("waiting 12 s"),
    "outage": lambda: bar("the server is down, next try in 38 s", failed=3),
    "stopping": lambda: bar("stopping: waiting for 3 requests"),
    "stopped": lambda: ended(STOPPED, stopped="interrupted by SIGINT"),
    "success": lambda: ended(SUCCESS),
    "failure": lambda: ended(EXAMPLE),
    "refusal": refused,
}  # fmt: skip


@pytest.mark.parametrize("columns", WIDTHS)
@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.usefixtures("at_home")
def test_a_screen_is_as_it_was_last_looked_at(
    scene: str, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = 60 if columns == 200 else 24
    monkeypatch.setattr(style, "size", lambda _: os.terminal_size((columns, lines)))
    kept = SCREENS / f"{scene}-{columns}.txt"

    shown = SCENES[scene]().replace(ERASE, "")

    if WRITES:
        kept.write_text(shown, encoding="utf-8")
    assert shown == kept.read_text(encoding="utf-8")
    whole = [line for line in shown.splitlines() if not line.lstrip("rehasl |").startswith("ag")]
    assert max(map(len, whole)) <= min(columns, 80)


def test_no_screen_is_kept_that_nobody_looks_at() -> None:
    assert {path.name for path in SCREENS.iterdir()} == {
        f"{scene}-{columns}.txt" for scene in SCENES for columns in WIDTHS
    }
