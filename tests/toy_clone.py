"""A clone of the project with a DAG small enough for tests, and what its stages open."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

ROOT = Path(__file__).resolve().parents[1]

AUDIT = """
import json, os, sys
log = os.environ["POSEREEL_TEST_OPENED"]
def hook(event, arguments):
    if event == "open" and isinstance(arguments[0], (str, bytes)):
        path = os.path.abspath(os.fsdecode(arguments[0]))
        if path.startswith(os.environ["POSEREEL_TEST_CLONE"] + os.sep):
            line = json.dumps([sys.orig_argv[1:], path, str(arguments[1])])
            flags = os.O_CREAT | os.O_APPEND | os.O_WRONLY
            descriptor = os.open(log + "." + str(os.getpid()), flags)
            os.write(descriptor, line.encode() + b"\\n")
            os.close(descriptor)
if len(sys.orig_argv) > 2 and sys.orig_argv[1] == "-m" and sys.orig_argv[2].startswith("stages."):
    sys.addaudithook(hook)
"""


def clone(folder: Path) -> Path:
    """Clone the project's working tree, what git tracks or would, into an empty repository."""
    listed = git(ROOT, "ls-files", "--cached", "--others", "--exclude-standard").splitlines()
    for name in listed:
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    (folder / "dvc.lock").unlink(missing_ok=True)
    git(folder, "init", "--quiet", "--initial-branch=main")
    commit(folder)
    return folder


def commit(folder: Path) -> None:
    """Commit all that git does not ignore."""
    git(folder, "add", "--all")
    who = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
    git(folder, *who, "commit", "--quiet", "--allow-empty", "--message=test")


def git(folder: Path, *arguments: str) -> str:
    """Run git and return what it prints."""
    done = subprocess.run(
        ["git", *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def run(folder: Path, *arguments: str, opened: Path | None = None) -> str:
    """Run a Python module in the clone and return what it prints; it must succeed."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "random"}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    if opened is not None:
        hooks = opened.with_name("hooks")
        hooks.mkdir(exist_ok=True)
        (hooks / "sitecustomize.py").write_text(AUDIT)
        environment |= {
            "PYTHONPATH": str(hooks),
            "POSEREEL_TEST_OPENED": str(opened),
            "POSEREEL_TEST_CLONE": str(folder),
        }
    command = [sys.executable, "-m", *arguments]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, f"{arguments}:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout + done.stderr


def edit_params(folder: Path, changes: dict[str, Any]) -> None:
    """Set dotted params in the clone's params.yaml."""
    yaml = YAML()
    values = yaml.load((folder / "params.yaml").read_text())
    for name, value in changes.items():
        *path, last = name.split(".")
        section = values
        for part in path:
            section = section[part]
        assert last in section, name
        section[last] = value
    yaml.dump(values, folder / "params.yaml")


def opened_by_stage(opened: Path, folder: Path) -> dict[str, set[str]]:
    """Return the files below the clone that each command opened, relative to it."""
    found: dict[str, set[str]] = {}
    for log in opened.parent.glob(f"{opened.name}.*"):
        for line in log.read_text().splitlines():
            command, path, _ = json.loads(line)
            found.setdefault(" ".join(command[1:]), set()).add(str(Path(path).relative_to(folder)))
    return found
