"""A copy of the project whose DAG is small enough for tests."""

import copy
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[1]
PYTHON = Path(sys.executable).parent
"""Folder of the ``python`` that runs the tests."""
TOY: dict[str, Any] = {
    "extract.workers": 1,
    "train.threads": 1,
    "render.videos": {"train": 2, "val": 1},
    "render.frames": 3,
    "render.height": 160,
    "render.width": 200,
    "render.label_run": 1,
    "render.label_step": 2,
    "flow.updates": 1,
    "train_jmpose.layers": 1,
    "report.pictures": 1,
} | {
    f"train_{head}.{name}": value
    for head in ("jmpose", "vremd")
    for name, value in (("steps", 2), ("milestones", []), ("warm_up", 1), ("batch", 2))
}
"""Params of a DAG that runs in seconds: three videos, two training steps."""


class Clone:
    """A copy of the project's tracked and untracked, not ignored files in a new repository.

    Args:
        folder: Folder of the copy.
        python: Folder with a command ``python`` for the stages, see ``tests.warm_python``.
        stages: Stages to keep in dvc.yaml; all if empty.
    """

    def __init__(self, folder: Path, python: Path, *stages: str) -> None:
        self.folder = folder
        self._python = python
        for name in self.git("ls-files", "--cached", "--others", "--exclude-standard", at=ROOT):
            if (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name)
        (folder / "dvc.lock").unlink(missing_ok=True)
        self._cut_dag(stages)
        self.git("init", "--quiet", "--initial-branch=main")
        self.commit()

    def _cut_dag(self, stages: Sequence[str]) -> None:
        if not stages:
            return
        yaml = YAML()
        dag = yaml.load((self.folder / "dvc.yaml").read_text())
        for name in list(dag["stages"]):
            if name not in stages:
                del dag["stages"][name]
        yaml.dump(dag, self.folder / "dvc.yaml")

    def copy(self, folder: Path) -> "Clone":
        """Copy the repository to another folder; hard links within it are preserved."""
        subprocess.run(["cp", "--archive", str(self.folder), str(folder)], check=True)
        return self.at(folder)

    def at(self, folder: Path, python: Path | None = None) -> "Clone":
        """Return a ``Clone`` object for an existing copy, with another ``python`` if given."""
        other = copy.copy(self)
        other.folder = folder
        if python is not None:
            other._python = python
        return other

    def git_clone(self, folder: Path) -> "Clone":
        """Clone the repository with git, as a teammate does."""
        self.git("clone", "--quiet", str(self.folder), str(folder))
        return self.at(folder)

    def git(self, *arguments: str, at: Path | None = None) -> list[str]:
        """Run git in this folder, or in another one, and return the lines that it prints."""
        done = subprocess.run(
            ["git", *arguments], cwd=at or self.folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    def commit(self) -> None:
        """Commit all files that git does not ignore."""
        self.git("add", "--all")
        author = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
        self.git(*author, "commit", "--quiet", "--allow-empty", "--message=test")

    def run(self, *arguments: str, **environment: str) -> str:
        """Run a Python module, which must succeed, and return its output."""
        done = self._call(*arguments, **environment)
        assert done.returncode == 0, f"{arguments}:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        return done.stdout + done.stderr

    def run_failing(self, *arguments: str, **environment: str) -> str:
        """Run a Python module, which must fail, and return its output."""
        done = self._call(*arguments, **environment)
        assert done.returncode != 0, f"{arguments}:\n{done.stdout[-4000:]}"
        return done.stdout + done.stderr

    def _call(self, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", *arguments],
            cwd=self.folder,
            capture_output=True,
            text=True,
            env=self.environment() | environment,
            check=False,
        )

    def environment(self) -> dict[str, str]:
        """Return an environment whose PATH starts with the ``python`` of the stages."""
        path = os.pathsep.join([str(self._python), os.environ["PATH"]])
        return os.environ | {"OMP_NUM_THREADS": "1", "PATH": path}

    def edit_params(self, changes: dict[str, Any]) -> None:
        """Set params in params.yaml by dotted names, which must exist."""
        yaml = YAML()
        values = yaml.load((self.folder / "params.yaml").read_text())
        for name, value in changes.items():
            *path, last = name.split(".")
            section = values
            for part in path:
                section = section[part]
            assert last in section, name
            section[last] = value
        yaml.dump(values, self.folder / "params.yaml")
