"""The rules of docs/architecture.md that imports can break."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import batch

ROOMS = (
    "cli", "job", "results", "reporting", "settings", "api", "input", "host",
    "license_object", "formatting", "columns", "errors", "model",
)  # fmt: skip
"""Each may import what stands behind it; `sandbox` stands apart and imports nothing of them."""

DOORS = {
    "aiohttp": {"api", "sandbox"}, "apprise": {"reporting"}, "click": {"cli", "reporting"},
    "jinja2": {"reporting"},
    "olefile": {"input"}, "pandas": {"input"}, "portalocker": {"host"},
    "prometheus_client": {"reporting"}, "python_calamine": {"input"},
    "pythonjsonlogger": {"reporting"}, "tqdm": {"reporting"},
}  # fmt: skip
"""Rooms that know a library; whoever else needs it asks there."""

PACKAGE = Path(batch.__file__).parent
FILES = [path for path in sorted(PACKAGE.rglob("*.py")) if path.stem != "__main__"]


def imported(path: Path) -> set[str]:
    """Dotted names that a file imports, at whatever depth and for whatever purpose."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports what is nearby by dots"
            own = node.module == "batch"
            found |= {f"batch.{each.name}" for each in node.names} if own else {node.module or ""}
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_down_and_through_one_door(path: Path) -> None:
    room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    below = ROOMS[ROOMS.index(room) :] if room in ROOMS else (room,)
    also = {"", "__version__"} if room in ROOMS else set()
    if room in {"cli", "job"}:
        also.add("sandbox")
    for name in imported(path):
        library, _, rest = name.partition(".")
        assert room in DOORS.get(library, {room}), f"{path} imports {library}"
        assert library != "batch" or rest.split(".")[0] in {*below, *also}, name


def test_the_head_of_the_package_names_every_room_in_this_order() -> None:
    listed = [line.split()[0] for line in (batch.__doc__ or "").splitlines() if line[:4] == " " * 4]

    assert listed == list(ROOMS)
    assert {path.stem for path in PACKAGE.iterdir()} - {"__pycache__"} == {
        *ROOMS, "sandbox", "__init__", "__main__",
    }  # fmt: skip
