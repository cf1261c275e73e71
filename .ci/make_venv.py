"""Make a virtual environment with this checkout in it: ``make_venv.py .venv '.[dev]'``.

Options of ``uv pip install`` may follow; then it is uv or nobody.

uv installs in a fraction of the time that pip takes. pip brings it, from wherever pip is told to
take packages from, and uv is told the same; what uv cannot be told, or cannot do, pip does.

Needs Python alone, and pip in it or in `ensurepip`.
"""

from __future__ import annotations

import ast
import importlib.util
import os
import subprocess
import sys
import time
from pathlib import Path

TOLD_EVERY = 5.0
"""Seconds between two lines that say what is being done."""

UV = "uv>=0.5,<1"

PASSED_ON = {
    "index-url": ("UV_DEFAULT_INDEX", " "),
    "extra-index-url": ("UV_INDEX", " "),
    "find-links": ("UV_FIND_LINKS", ","),
    "constraint": ("UV_CONSTRAINT", " "),
    "trusted-host": ("UV_INSECURE_HOST", " "),
    "cert": ("SSL_CERT_FILE", " "),
    "client-cert": ("SSL_CLIENT_CERT", " "),
    "proxy": ("ALL_PROXY", " "),
    "timeout": ("UV_HTTP_TIMEOUT", " "),
    "default-timeout": ("UV_HTTP_TIMEOUT", " "),
}
"""Settings of pip: the variable by which uv is told the same, and what is between two values."""

ABOUT_PIP_ALONE = {
    "break-system-packages", "cache-dir", "config-file", "disable-pip-version-check", "log",
    "no-cache-dir", "no-color", "no-compile", "no-input", "no-python-version-warning",
    "no-warn-script-location", "progress-bar", "quiet", "require-virtualenv", "retries",
    "root-user-action", "verbose", "yes",
}  # fmt: skip
"""Settings of pip that change neither what is installed nor from where."""


def main(place: Path, target: str, *options: str) -> None:
    """Make the environment, or complete it, and install ``target`` into it, editable."""
    if sys.version_info < (3, 11):
        sys.exit(
            f"Python 3.11 or later is needed, and {sys.executable} is {sys.version.split()[0]};"
            " name another one: make PYTHON=python3.12 …"
        )
    python = place / ("Scripts" if os.name == "nt" else "bin") / "python"
    if not runs(python, "-c", "pass"):
        say(f"making {place} …")
        # Without pip: unpacking it there takes longer than all else.
        done = run("making it", sys.executable, "-m", "venv", "--clear", "--without-pip", place)
        if done:
            sys.exit(done)
    # Begun now, since pip takes a while to say it.
    told = subprocess.Popen(
        [*map(str, pip(python)), "config", "list"], stdout=subprocess.PIPE, text=True
    )
    has_uv = runs(python, "-m", "uv", "--version")
    if not has_uv:
        say("fetching uv, which installs the rest (18 MB) …")
        # Where there is no wheel of it, pip would start to compile it.
        fetch = ("install", "--quiet", "--only-binary=:all:", UV)
        has_uv = not run("fetching uv", *pip(python), *fetch)
    settings = parsed(told.communicate()[0])
    name = target.replace(".", "bulk-revoke", 1)
    say(f"installing {name} and what it needs …")
    done = with_uv(python, target, settings, options) if has_uv else 1
    if done and not options:
        say(f"uv cannot install {name} here; pip does, and takes longer …")
        done = run("installing", *pip(python), "install", "--editable", target)
    sys.exit(done)


def with_uv(python: Path, target: str, settings: dict[str, str], options: tuple[str, ...]) -> int:
    """Install with uv, told what pip is told; its exit code, 0 if it is done."""
    if unknown := settings.keys() - PASSED_ON.keys() - ABOUT_PIP_ALONE - {"no-index"}:
        say(f"uv cannot be told what pip is told: {', '.join(sorted(unknown))}")
        return 1
    told = {
        name: between.join(settings[key].split())
        for key, (name, between) in PASSED_ON.items()
        if key in settings
    }
    # As pip does: the best version of all places, and not of the first that has any.
    told["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    no_index = settings.get("no-index", "").lower() in {"1", "true", "yes", "on", "t", "y"}
    return run(
        "installing",
        *(python, "-m", "uv", "pip", "install", "--quiet", "--python", python),
        *(("--no-index",) if no_index else ()),
        *options,
        *("--editable", target),
        env=told | os.environ,
    )


def parsed(listed: str) -> dict[str, str]:
    """Parse the output of ``pip config list`` into values by name; the nearer place counts."""
    found: dict[str, dict[str, str]] = {"global": {}, "install": {}, ":env:": {}}
    for line in listed.splitlines():
        key, _, value = line.partition("=")
        section, _, name = key.rpartition(".")
        if section in found:
            found[section][name] = str(ast.literal_eval(value))
    return found["global"] | found["install"] | found[":env:"]


def pip(python: Path) -> tuple[str | Path, ...]:
    """The pip that installs into an environment: that of this Python, or else one of its own."""
    if importlib.util.find_spec("pip"):
        return (sys.executable, "-m", "pip", "--python", python)
    if not runs(python, "-m", "pip", "--version"):
        say("unpacking pip …")
        if run("unpacking pip", python, "-m", "ensurepip"):
            sys.exit(f"{sys.executable} has neither pip nor ensurepip (Debian: python3-venv)")
    return (python, "-m", "pip")


def runs(*command: str | Path) -> bool:
    """Tell whether a program is there and works."""
    try:
        return not subprocess.run([*map(str, command)], capture_output=True, check=False).returncode
    except OSError:
        return False


def run(doing: str, *command: str | Path, env: dict[str, str] | None = None) -> int:
    """Run a program, and say now and then that it still does; its exit code."""
    begun = time.monotonic()
    with subprocess.Popen([*map(str, command)], env=env) as process:
        while True:
            try:
                return process.wait(TOLD_EVERY)
            except subprocess.TimeoutExpired:
                say(f"  still {doing}, for {time.monotonic() - begun:.0f} s …")
            except KeyboardInterrupt:
                process.wait()
                sys.exit(130)


def say(text: str) -> None:
    """Write a line at once: what is started next writes its own."""
    print(text, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
