"""Track files with DVC."""

import subprocess
import sys
from pathlib import Path


def dvc_add(path: Path) -> None:
    """Track a file or folder with ``dvc add``.

    Args:
        path: Path inside the current folder, which is the root of the DVC repository.

    Raises:
        ValueError: If ``dvc add`` fails.
    """
    command = [sys.executable, "-m", "dvc", "add", "--quiet", path.as_posix()]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode != 0:
        raise ValueError(f"{path}: `dvc add` failed: {' '.join(done.stderr.split())}")
