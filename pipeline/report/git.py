"""What git says about the project's repository; nothing is changed."""

import io
import subprocess
import zipfile
from collections.abc import Sequence
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


def unpack(project: Path, commit: str, paths: Sequence[str], folder: Path) -> None:
    """Write the files of a commit into a folder.

    Args:
        project: A git repository.
        commit: The commit.
        paths: Files and folders that are wanted; those that the commit lacks are left out.
        folder: Where they are written, below their paths.

    Raises:
        ValueError: If git fails.
    """
    # Not tar: its safe extraction came with Python 3.11.4, and Debian 12 has 3.11.2.
    packed = io.BytesIO(ask_git(project, "archive", "--format=zip", "-0", commit))
    with zipfile.ZipFile(packed) as archive:
        wanted = tuple(f"{path}/" for path in paths)
        archive.extractall(
            folder, [name for name in archive.namelist() if f"{name}/".startswith(wanted)]
        )
