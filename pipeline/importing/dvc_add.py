"""Track files with DVC."""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory


def dvc_add(path: Path) -> None:
    """Track a file or folder with ``dvc add``.

    Args:
        path: Path inside the current folder, which is the root of the DVC repository.

    Raises:
        ValueError: If ``dvc add`` fails, for example because another process holds DVC's lock.
    """
    # Without --quiet, which suppresses the reason of a failure as well.
    command = [sys.executable, "-m", "dvc", "add", path.as_posix()]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode != 0:
        raise ValueError(f"{path}: `dvc add` failed: {' '.join(done.stderr.split())}")


def move_and_track(made: Path, folder: Path, tracked: str) -> None:
    """Move all files of one folder to another and track one of them with ``dvc add``.

    Files of the same names are replaced. If ``dvc add`` fails, they are restored, so that no file
    differs from what DVC tracks.

    Args:
        made: Folder with the new files, on the file system of ``folder``.
        folder: Folder to move them to.
        tracked: Name of the file or folder to track.

    Raises:
        ValueError: If ``dvc add`` fails.
    """
    names = sorted(entry.name for entry in made.iterdir())
    with TemporaryDirectory(prefix=".replaced-", dir=folder) as scratch:
        replaced = Path(scratch)
        for name in names:
            if (folder / name).exists():
                (folder / name).replace(replaced / name)
            (made / name).replace(folder / name)
        try:
            dvc_add(folder / tracked)
        except BaseException:
            for name in names:
                (folder / name).replace(made / name)
                if (replaced / name).exists():
                    (replaced / name).replace(folder / name)
            raise
