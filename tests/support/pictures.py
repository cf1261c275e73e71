"""The pictures of README and runbook, made anew: ``make pictures``.

Each shows something that is made here and now, with a fixed seed. Beside it stands the digest of
what it was made from, so that a test can tell, on any machine and whatever its fonts, that what
would be shown now is what is shown.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from contextlib import chdir, redirect_stderr
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

from batch import __version__
from batch.cli import run_command
from batch.results.manifest import manifest_path
from tests.support.browser import running
from tests.support.job_harness import some_ids
from tests.support.screens import Shell, svg

if TYPE_CHECKING:
    from collections.abc import Callable

REPOSITORY = Path(__file__).parents[2]
PLACE = REPOSITORY / "docs" / "pictures"
RECORD = PLACE / "pictures.json"
"""For each picture the digest of what it shows, masked, and that of the file."""


class Picture(NamedTuple):
    """A picture.

    Attributes:
        name: Its file in `PLACE`.
        made: Makes what it shows, in an empty directory to work in.
        drawn: Makes the picture of that.
    """

    name: str
    made: Callable[[], str]
    drawn: Callable[[str], bytes]


def masked(text: str) -> str:
    """What is made, without what differs each time: days, times, run IDs, digests, paths."""
    text = re.sub(r"\d\d \w+ 20\d\d, \d\d:\d\d(?: to [^<·]*)?(?: UTC)?", "DAY", text)
    text = re.sub(r"\b[0-9a-f]{64}\b", "DIGEST", text)
    text = re.sub(r"sha256-[\w+/=]+", "DIGEST", text)
    text = re.sub(r"\d\d:\d\d UTC|\d\d:\d\d-\d\d:\d\d", "TIME", text)
    text = re.sub(r"\brun\s[0-9a-f]{8}\b", "RUN", text)
    text = text.replace(str(Path.cwd()), "HOME")
    text = text.replace(f"bulk-revoke {__version__}", "VERSION")
    for run_id in set(re.findall(r"bulk-revoke ([0-9a-f]{8})<", text)):
        text = text.replace(run_id, "RUN")
    return text


def _run_page(*options: str) -> str:
    """The page of a rehearsal: some licenses are protected, some left for later, a row is none."""
    ids = some_ids(420, seed=11)
    Path("licenses.csv").write_text("\n".join(["License ID", *ids, "see Ann", *ids[:9]]) + "\n")
    Path("never.csv").write_text("\n".join(["license_id", *ids[60:74]]) + "\n")
    common = ("--sandbox", "--rate", "none", "--exclude", "never.csv", "--skip-invalid",
              "--reason", "OPS-4711: the July batch leaked", "-o", "run.csv", "-q")  # fmt: skip
    with redirect_stderr(StringIO()) as said:
        code = run_command(["run", "licenses.csv", *common, *options])
        assert code in {0, 1}, said.getvalue()
        _at_noon(manifest_path(Path("run.csv")))
        assert run_command(["report", "run.csv"]) == 0, said.getvalue()
    return Path("run.html").read_text(encoding="utf-8")


def _at_noon(manifest: Path) -> None:
    """Have somebody run it at noon: how long ago a license was used does not depend on the hour."""
    run = json.loads(manifest.read_bytes()) | {"user": "ops", "host": "ops-1"}
    [session] = run["sessions"]
    for name in ("started_at", "finished_at", "sent_from"):
        session[name] = f"{session[name][:10]}T12:00:00.000Z"
    manifest.write_text(json.dumps(run))


def _terminal() -> str:
    """A rehearsal at a terminal, from the command to its end."""
    rows = (REPOSITORY / "samples" / "licenses.csv").read_text().splitlines()
    Path("licenses.csv").write_text("\n".join(rows[:41]) + "\n")
    typed = "bulk-revoke run licenses.csv --sandbox --carry customer"
    shell = Shell.start(
        [sys.executable, "-m", "batch", *typed.split()[1:]],
        (80, 30),
        cwd=Path.cwd(),
        env={"HOME": str(Path.cwd()), "TERM": "xterm-256color", "PYTHONPATH": str(REPOSITORY)},
    )
    shell.show(f"$ \x1b[1m{typed}\x1b[0m\r\n")
    shell.wait_for("Type 40 ")
    shell.type("40\n")
    assert shell.wait() == 0, shell.text()
    return svg(shell.everything(), "A rehearsal at a terminal", columns=80)


def _screenshot(page: str, *, height: int) -> bytes:
    """The upper part of a page, as a browser shows it."""
    place = Path("shown.html")
    place.write_text(page, encoding="utf-8")
    with running() as browser, browser.showing(place, width=1100) as tab:
        return tab.picture(height=height)


PICTURES = (
    Picture("terminal.svg", _terminal, lambda drawn: drawn.encode()),
    Picture(
        "page.png",
        lambda: _run_page("--limit", "395"),
        lambda page: _screenshot(page, height=1240),
    ),
    Picture(
        "plan.png",
        lambda: _run_page("--dry-run"),
        lambda page: _screenshot(page, height=1240),
    ),
)


def sources() -> dict[str, str]:
    """The digest of what each picture would show now."""
    found = {}
    for picture in PICTURES:
        with TemporaryDirectory() as home, chdir(home):
            found[picture.name] = _digest(masked(picture.made()).encode())
    return found


def make() -> None:
    """Make all of them, and write down what of."""
    record = {}
    for picture in PICTURES:
        with TemporaryDirectory() as home, chdir(home):
            shown = picture.made()
            drawn = picture.drawn(shown)
            (PLACE / picture.name).write_bytes(drawn)
            record[picture.name] = {
                "shows": _digest(masked(shown).encode()),
                "file": _digest(drawn),
            }
        sys.stderr.write(f"{picture.name}: {len(drawn):,} bytes\n")
    RECORD.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


if __name__ == "__main__":
    make()
