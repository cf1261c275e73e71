"""What `make demo` begins with: an environment, made quickly, out of packages from the right place.

pip is the real one. What is installed, and uv, are written here, so that nothing is fetched.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
import trustme

from tests.end_to_end.conftest import ROOT

if TYPE_CHECKING:
    from pathlib import Path

UV = """
import json, os, sys, time
if sys.argv[1:] == ["--version"]:
    sys.exit()
told = {name: value for name, value in os.environ.items() if name.startswith(("UV_", "SSL_"))}
with open("told.json", "w") as file:
    json.dump([sys.argv[1:], told], file)
time.sleep(TAKES)
sys.exit(ENDS)
"""

BACKEND = """
import os, shutil

def build_editable(directory, settings=None, metadata=None):
    return os.path.basename(shutil.copy("thing-1-py3-none-any.whl", directory))
"""

PROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "thing"
version = "1"
"""


def write_wheel(place: Path, name: str, version: str, text: str = "") -> None:
    """Write a wheel that holds one module."""
    about = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(place / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{name}.py", text)
        wheel.writestr(
            f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        )
        wheel.writestr(
            f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{about}/RECORD", "")


@dataclass
class Checkout:
    """A project that can be installed, and a place where pip finds uv, or does not.

    Attributes:
        home: Where the project is.
        packages: What pip is told to take packages from.
    """

    home: Path
    packages: Path

    def offer_uv(self, *, ends: int = 0, takes: float = 0.0) -> None:
        """Put a uv there that notes what it is told, and ends so after so many seconds."""
        text = UV.replace("TAKES", str(takes)).replace("ENDS", str(ends))
        write_wheel(self.packages, "uv", "0.5.0", text)

    def make(self, *options: str, **pip: str) -> subprocess.CompletedProcess[str]:
        """Run the program with these options of uv, and with pip told this as well."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PIP_", "UV_", "SSL_"))
        }
        told = {"CONFIG_FILE": os.devnull, "NO_INDEX": "1", "FIND_LINKS": str(self.packages)}
        return subprocess.run(
            [sys.executable, str(ROOT / ".ci" / "make_venv.py"), ".venv", ".", *options],
            cwd=self.home,
            env=kept | {f"PIP_{name}": value for name, value in (told | pip).items()},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    def told(self) -> tuple[list[str], dict[str, str]]:
        """The arguments of uv, and its variables."""
        arguments, variables = json.loads((self.home / "told.json").read_text())
        return arguments, variables

    def has_thing(self) -> bool:
        """Whether the project is installed."""
        command = [str(self.home / ".venv" / "bin" / "python"), "-c", "import thing"]
        return not subprocess.run(command, cwd="/", check=False, capture_output=True).returncode


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    home, packages = tmp_path / "checkout", tmp_path / "packages"
    home.mkdir()
    packages.mkdir()
    (home / "pyproject.toml").write_text(PROJECT, encoding="utf-8")
    (home / "backend.py").write_text(BACKEND, encoding="utf-8")
    write_wheel(home, "thing", "1")
    return Checkout(home, packages)


def test_uv_takes_packages_from_where_pip_does(checkout: Checkout, tmp_path: Path) -> None:
    checkout.offer_uv()
    (tmp_path / "constraints.txt").touch()
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "ca.pem"))

    ended = checkout.make(
        INDEX_URL="http://127.0.0.1:9/simple",
        EXTRA_INDEX_URL="http://127.0.0.1:9/a http://127.0.0.1:9/b",
        CONSTRAINT=str(tmp_path / "constraints.txt"),
        CERT=str(tmp_path / "ca.pem"),
        TIMEOUT="180",
        DISABLE_PIP_VERSION_CHECK="1",
    )

    arguments, variables = checkout.told()
    assert ended.returncode == 0, ended.stdout
    assert {"--no-index", "--editable", "."} <= set(arguments)
    assert variables == {
        "UV_DEFAULT_INDEX": "http://127.0.0.1:9/simple",
        "UV_INDEX": "http://127.0.0.1:9/a http://127.0.0.1:9/b",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "UV_FIND_LINKS": str(checkout.packages),
        "UV_CONSTRAINT": str(tmp_path / "constraints.txt"),
        "SSL_CERT_FILE": str(tmp_path / "ca.pem"),
        "UV_HTTP_TIMEOUT": "180",
    }


def test_what_uv_cannot_be_told_is_left_to_pip(checkout: Checkout) -> None:
    checkout.offer_uv()

    ended = checkout.make(NO_BINARY="other")

    assert ended.returncode == 0, ended.stdout
    assert "uv cannot be told what pip is told: no-binary" in ended.stdout
    assert not (checkout.home / "told.json").exists()
    assert checkout.has_thing()


@pytest.mark.parametrize("has_uv", [False, True])
def test_where_uv_is_not_to_be_had_or_fails_pip_installs(checkout: Checkout, has_uv: bool) -> None:
    if has_uv:
        checkout.offer_uv(ends=2)

    ended = checkout.make()

    assert ended.returncode == 0, ended.stdout
    assert "pip does, and takes longer" in ended.stdout
    assert checkout.has_thing()


def test_where_options_of_uv_are_given_nothing_else_installs(checkout: Checkout) -> None:
    checkout.offer_uv(ends=2)

    ended = checkout.make("--resolution", "lowest-direct")

    assert ended.returncode != 0
    assert "--resolution lowest-direct" in " ".join(checkout.told()[0])
    assert not checkout.has_thing()


def test_where_pip_fails_as_well_make_is_told(checkout: Checkout) -> None:
    (checkout.home / "backend.py").write_text("", encoding="utf-8")

    assert checkout.make().returncode != 0


def test_ten_seconds_never_pass_without_a_word(checkout: Checkout) -> None:
    checkout.offer_uv(takes=6)

    said = checkout.make().stdout.splitlines()
    still = [line for line in said if line.startswith("  still ")]

    assert [line for line in said if line not in still] == [
        "making .venv …",
        "fetching uv, which installs the rest (18 MB) …",
        "installing bulk-revoke and what it needs …",
    ]
    assert "  still installing, for 5 s …" in still  # a busy machine has more to say
