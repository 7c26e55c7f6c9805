"""The installation makes `posereel` a command and a package in every folder."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from posereel.install import install

ROOT = Path(__file__).resolve().parents[2]
SHOW = "import posereel, models, stages; print(posereel.__path__[0])"


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """Return a virtual environment without libraries and with a copy of the package installed."""
    folder = tmp_path / "an environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    packages = next(folder.glob("lib/python*/site-packages"))
    checkout(tmp_path / "installed")
    install(tmp_path / "installed", folder / "bin/python", folder / "bin", packages)
    return folder


def checkout(folder: Path) -> Path:
    """Make a small checkout whose program prints its folder and its arguments."""
    for name in ("posereel", "models", "stages"):
        (folder / name).mkdir(parents=True)
        shutil.copyfile(ROOT / name / "__init__.py", folder / name / "__init__.py")
    program = "import posereel, sys\nprint(posereel.__path__[0], *sys.argv[1:])\n"
    (folder / "posereel/__main__.py").write_text(program)
    return folder


def run(folder: Path, *command: str | Path) -> str:
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [str(word) for word in command],
        cwd=folder,
        env=variables,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_the_command_runs_and_the_package_imports_in_any_folder(
    environment: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    # A user's project may have a package of the same name, which must not be imported.
    (elsewhere / "models").mkdir(parents=True)
    (elsewhere / "models/__init__.py").write_text("raise RuntimeError('not ours')\n")
    installed = tmp_path / "installed/posereel"
    assert run(elsewhere, environment / "bin/posereel", "a b", "-c") == f"{installed} a b -c"
    assert run(tmp_path, environment / "bin/python", "-c", SHOW) == str(installed)


def test_a_checkout_in_the_current_folder_takes_precedence(
    environment: Path, tmp_path: Path
) -> None:
    other = checkout(tmp_path / "other")
    expected = str(other / "posereel")
    assert run(other, environment / "bin/posereel") == expected
    assert run(other, environment / "bin/python", "-m", "posereel") == expected
    assert run(other, environment / "bin/python", "-c", SHOW) == expected
