"""What git says about the project's repository; nothing is changed."""

import subprocess
from pathlib import Path


def ask_git(project: Path, *words: str) -> bytes:
    """Return what a git command prints.

    Args:
        project: Folder in which git is asked.
        words: The command's words after ``git``.

    Raises:
        ValueError: If git fails.
    """
    command = ["git", *words]
    done = subprocess.run(command, cwd=project, capture_output=True, check=False)  # noqa: S603
    if done.returncode != 0:
        reason = " ".join(done.stderr.decode(errors="replace").split())
        raise ValueError(f"{project}: git {words[0]}: {reason}; run in a clone with its history")
    return done.stdout
