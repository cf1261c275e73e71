"""The built package works where the checkout is not."""

from __future__ import annotations

import subprocess
import sys
import venv
import zipfile
from typing import TYPE_CHECKING

from batch import __version__
from tests.end_to_end.conftest import ROOT, environment
from tests.end_to_end.test_run import write
from tests.support.job_harness import some_ids
from tests.support.results_files import table

if TYPE_CHECKING:
    from pathlib import Path


def test_a_wheel_installs_a_command_that_works_outside_the_checkout(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    [wheel] = tmp_path.glob("*.whl")
    # The libraries are this environment's: what is tested is the wheel.
    venv.create(tmp_path / "venv", system_site_packages=False, with_pip=False)
    site = next((tmp_path / "venv" / "lib").glob("python*/site-packages"))
    (site / "libraries.pth").write_text(
        "\n".join(path for path in sys.path if path.endswith("site-packages"))
    )
    pip = [sys.executable, "-m", "pip", "--python", str(tmp_path / "venv" / "bin" / "python")]
    subprocess.run(
        [*pip, "install", "--quiet", "--no-deps", "--no-index", "--force-reinstall", str(wheel)],
        check=True,
        capture_output=True,
    )
    command = str(tmp_path / "venv" / "bin" / "bulk-revoke")
    env = environment(tmp_path)
    del env["PYTHONPATH"]
    write(tmp_path / "licenses.csv", some_ids(5))

    version = subprocess.run(
        [command, "--version"], env=env, check=True, capture_output=True, text=True
    )
    run = subprocess.run(
        [command, "run", "licenses.csv", "--sandbox", "--rate", "none", "--report", "page.html"],
        cwd=tmp_path,
        env=env,
        check=False,
        capture_output=True,
        text=True,
    )

    assert version.stdout == f"bulk-revoke {__version__}\n"
    assert run.returncode == 0, run.stderr
    assert len(table(tmp_path / "licenses.rehearsal.csv")) == 5
    assert "<h1>All 5 licenses are revoked</h1>" in (tmp_path / "page.html").read_text()
    names = zipfile.ZipFile(wheel).namelist()
    assert not [name for name in names if name.startswith(("tests", "benchmarks"))]
