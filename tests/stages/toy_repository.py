"""A DVC repository with the toy stage, which tests copy together with its hard links."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pipeline import toy_stage

NAMES = ["bonn/v0", "bonn/v1", "street/v0"]
OUT = "data/toy/train"
LISTING = "data/units/toy/train.json"
SHARD = "c.0.0.0"


def dvc(project: Path, *arguments: str) -> str:
    """Run DVC in a project, which must succeed, and return its output."""
    command = [sys.executable, "-m", "dvc", *arguments]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def make_repository(folder: Path) -> Path:
    """Make a repository whose only stage has run and is committed to DVC's cache."""
    folder.mkdir()
    dvc(folder, "init", "--no-scm", "--quiet")
    core = "[core]\n    no_scm = true\n    analytics = false\n"
    (folder / ".dvc/config").write_text(core + "[cache]\n    type = hardlink\n")
    command = f"python {toy_stage.__file__} . {' '.join(NAMES)}"
    (folder / "params.yaml").write_text("toy: {a: 1}\n")
    (folder / "dvc.yaml").write_text(
        f"stages:\n  toy:\n    cmd: {command}\n    params: [toy]\n    outs: [{OUT}, {LISTING}]\n"
    )
    (folder / "calls.log").touch()
    dvc(folder, "repro", "--quiet")
    return folder


def copy_repository(source: Path, target: Path) -> Path:
    """Copy a repository and preserve its hard links."""
    subprocess.run(["cp", "--archive", str(source), str(target)], check=True)
    (target / "calls.log").write_text("")
    return target


def isolate_dvc(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Separate DVC's caches and configuration from those of the user."""
    bin_folder = Path(sys.executable).parent
    monkeypatch.setenv("PATH", f"{bin_folder}{os.pathsep}{os.environ['PATH']}")
    for name in ("DVC_SITE_CACHE_DIR", "DVC_GLOBAL_CONFIG_DIR", "DVC_SYSTEM_CONFIG_DIR"):
        monkeypatch.setenv(name, str(folder / name.lower()))


def damage(path: Path) -> None:
    """Flip one bit of a file in place, despite its read-only mode."""
    path.chmod(0o644)
    with path.open("r+b") as file:
        content = bytearray(file.read())
        content[5] ^= 1
        file.seek(0)
        file.write(content)
    path.chmod(0o444)
