"""Programs of Debian packages that some tests need: skipped where one is missing, but not in CI."""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest

PACKAGES = {
    "apache2": "apache2-bin",
    "chromium": "chromium",
    "fish": "fish",
    "gcc": "gcc libc6-dev",
    "haproxy": "haproxy",
    "logrotate": "logrotate",
    "nginx": "nginx-light",
    "prometheus": "prometheus",
    "prometheus-node-exporter": "prometheus-node-exporter",
    "promtool": "prometheus",
    "node": "nodejs",
    "npm": "npm",
    "setpriv": "util-linux",
    "soffice": "libreoffice-calc-nogui",
    "stunnel4": "stunnel4",
    "systemd-analyze": "systemd",
    "unshare": "util-linux",
    "varnishd": "varnish",
    "zsh": "zsh",
}
"""The package of each program whose name is another one, or that a machine may not have."""


def program(name: str) -> str:
    """The path of a program, without which a test is skipped, or fails where all must be there."""
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    return found or missing(name, PACKAGES.get(name, name))


def missing(what: str, package: str) -> NoReturn:
    """Skip a test that needs a package; fail where all of them must be there."""
    if os.environ.get("BULK_REVOKE_REQUIRE_SERVERS"):
        pytest.fail(f"{what} is missing: apt-get install {package}")
    pytest.skip(f"{what} is missing: apt-get install {package}")
