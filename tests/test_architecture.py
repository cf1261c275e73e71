"""The rules of docs/architecture.md that imports can break."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import batch

PACKAGE = Path(batch.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))

DOORS = {
    "pandas": {"tables"},
    "python_calamine": {"tables"},
    "aiohttp": {"client", "sandbox"},
    "click": {"cli"},
    "portalocker": {"lock"},
    "tqdm": {"progress"},
    "apprise": {"alerts"},
    "prometheus_client": {"metrics"},
}
"""Each library has one door; whoever needs it asks there."""

BELOW = {
    "model": set(),
    "errors": set(),
    "clock": set(),
    "text": set(),
    "sandbox": set(),
    "columns": {"model"},
    "seen": {"model"},
    "tables": {"errors"},
    "source": {"columns", "errors", "model", "tables", "text"},
    "retry": {"errors"},
    "address": {"errors"},
    "replace": set(),
    "lock": {"errors", "text"},
    "token": {"errors", "text"},
    "settings": {"address", "errors", "retry"},
    "recorded": {"columns", "errors", "model", "source"},
    "results": {"columns", "model", "recorded", "replace", "text"},
    "ledger": {"columns", "model"},
    "manifest": {"errors", "replace"},
    "revoked": {"errors", "manifest", "model", "recorded", "text"},
    "inputs": {"errors", "keys", "manifest", "model", "revoked", "settings", "source"},
    "destination": {
        "errors", "manifest", "plan", "recorded", "replace", "results", "settings", "text",
    },
    "preview": {"model", "plan", "seen", "settings", "text"},
    "question": {"errors"},
    "progress": {"clock", "text"},
    "logs": {"errors", "progress", "text"},
    "summary": {"model", "text"},
    "ending": {"summary"},
    "alerts": {"ending", "errors", "token"},
    "metrics": {"ending", "errors", "model", "replace", "text"},
    "unchanged": {"errors", "manifest", "text"},
    "interrupts": {"errors", "progress", "sender"},
    "gate": {"clock"},
    "answers": {"errors", "model", "text"},
    "client": {"address", "answers", "errors", "gate", "model"},
    "health": {"clock", "errors", "gate", "retry"},
    "sender": {"client", "clock", "errors", "gate", "health", "retry"},
    "keys": {"errors", "model", "text"},
    "look": {"client", "errors", "keys", "model", "retry", "seen", "sender", "verdict"},
    "plan": {"errors", "model", "recorded", "seen", "source", "text"},
    "verdict": {"errors", "model", "retry"},
    "job": {"errors", "model", "retry", "sender", "verdict"},
    "rehearsal": {"model", "recorded", "sandbox"},
}  # fmt: skip
"""What the lower floors of the house may import of the package; arrows run one way."""

TOP = {"__init__", "__main__", "cli", "closing", "phases", "session"}
"""What wires the others together and may import any of them."""


def room(path: Path) -> str:
    """The module or subpackage of the package that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    """Dotted names that a file imports, at whatever depth and for whatever purpose."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            module = node.module or ""
            found |= {
                f"{module}.{alias.name}" if module == "batch" else module for alias in node.names
            }
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_library_has_one_door(path: Path) -> None:
    for name in imports(path):
        library = name.split(".")[0]
        assert room(path) in DOORS.get(library, {room(path)}), f"{path} imports {library}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_arrows_run_one_way(path: Path) -> None:
    if room(path) in TOP:
        return
    below = BELOW[room(path)]
    rooms = {name.split(".")[1] for name in imports(path) if name.startswith("batch.")}
    assert rooms - {room(path), "__version__"} <= below


def test_the_road_map_names_every_room() -> None:
    rooms = {room(path) for path in MODULES} - {"__init__", "__main__", "py"}

    assert batch.__doc__ is not None
    missing = {name for name in rooms if name not in batch.__doc__}
    assert not missing
