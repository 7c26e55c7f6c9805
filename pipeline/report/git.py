"""Read from the git repository of the project, without changing it."""

import io
import subprocess
import zipfile
from collections.abc import Sequence
from pathlib import Path


def run_git(project: Path, *words: str) -> bytes:
    """Run a git command and return its output.

    Args:
        project: Folder in which git runs.
        words: Arguments of ``git``.

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
        paths: Files and folders to write; paths that the commit does not contain are skipped.
        folder: Receives the files at the same relative paths.

    Raises:
        ValueError: If git fails.
    """
    # zip, because tarfile has no safe extraction filter before Python 3.11.4.
    packed = io.BytesIO(run_git(project, "archive", "--format=zip", "-0", commit))
    with zipfile.ZipFile(packed) as archive:
        wanted = tuple(f"{path}/" for path in paths)
        archive.extractall(
            folder, [name for name in archive.namelist() if f"{name}/".startswith(wanted)]
        )
