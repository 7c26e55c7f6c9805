"""Find the processes of DVC and of stages that run in a project."""

import os
from dataclasses import dataclass
from pathlib import Path

_PROCESSES = Path("/proc")


@dataclass(frozen=True, slots=True)
class LiveCommand:
    """A running process."""

    pid: int
    command: str


def live_commands(project: Path) -> list[LiveCommand]:
    """Return the processes of ``dvc`` and of stages whose working folder is in a project.

    Processes of other users are not visible. The result is empty on systems without ``/proc``.

    Args:
        project: Folder of the project; temporary copies of experiments are inside it.
    """
    found = []
    root = project.resolve()
    for folder in _PROCESSES.glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
            place = (folder / "cwd").readlink()
        except OSError:
            continue  # The process has ended, or belongs to another user.
        pid = int(folder.name)
        if pid != os.getpid() and place.is_relative_to(root) and _is_run(words):
            found.append(LiveCommand(pid, " ".join(words).strip()))
    return sorted(found, key=lambda one: one.pid)


def _is_run(words: list[str]) -> bool:
    """Return whether a command line is a run of DVC, such as ``dvc exp run``, or of a stage."""
    is_dvc = any(word == "dvc" or word.endswith("/dvc") for word in words[:6])
    runs = {"repro", "run", "queue"} & set(words)
    return (is_dvc and bool(runs)) or any(word.startswith("stages.") for word in words[:6])
