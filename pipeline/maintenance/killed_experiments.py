"""What killed experiments leave in a project: temporary copies, and refs of DVC in git.

``dvc exp run --temp`` works in a copy below ``.dvc/tmp/exps/standalone`` and keeps the changed
params in ``refs/exps/stash`` (dvc/repo/experiments/refs.py). It removes both at its end, unless it
was killed.
"""

import subprocess
from pathlib import Path

from pipeline.report.git import run_git

COPIES = Path(".dvc/tmp/exps/standalone")
STASH = "refs/exps/stash"


def left_copies(project: Path) -> list[Path]:
    """Return the temporary copies; those of running experiments are among them."""
    folder = project / COPIES
    return sorted(folder.iterdir()) if folder.is_dir() else []


def has_left_stash(project: Path) -> bool:
    """Return whether DVC's stash of experiments exists; queued ones are in another."""
    try:
        return bool(run_git(project, "for-each-ref", STASH).strip())
    except ValueError:
        return False


def remove_stash(project: Path) -> None:
    """Remove DVC's stash of experiments."""
    command = ["git", "update-ref", "-d", STASH]
    subprocess.run(command, cwd=project, capture_output=True, check=True)  # noqa: S603  constant
