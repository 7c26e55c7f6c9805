"""Ties a process to the one that started it, so that a killed driver leaves no orphans behind.

DVC drops the lock of a killed ``dvc repro``; a stage that lived on would then meet a second
writer of its out. Linux only (``prctl``, ``/proc``).
"""

import ctypes
import os
import signal
import threading
import time
from pathlib import Path

_SET_PARENT_DEATH_SIGNAL = 1
_GLANCE = 0.1
"""Seconds between two looks at the processes between ``dvc`` and the stage."""
_VARIABLE = "DVC_STAGE"
"""DVC sets it for every command that it runs (dvc/stage/run.py, prepare_kwargs)."""


def die_with_parent() -> None:
    """Ask the kernel to kill this process when the thread that started it ends."""
    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")


class DvcParent:
    """The ``dvc`` process that runs this stage; nothing where a person or scheduler started it.

    DVC runs a command in a shell. Most shells put the stage in their own place, Debian's ``sh``
    does not and outlives ``dvc``: then the kernel's signal to the child of a dead parent is not
    enough, and a thread looks whether ``dvc`` is still there.
    """

    def __init__(self) -> None:
        self._stage = os.environ.get(_VARIABLE)
        if self._stage is None:
            return
        die_with_parent()
        self._line = _line_to_dvc(self._stage)
        if len(self._line) > 1:
            threading.Thread(target=self._die_with_dvc, name="dvc-parent", daemon=True).start()

    def refuse_orphan(self) -> None:
        """Check that ``dvc`` still lives.

        Raises:
            ValueError: If it was killed: nothing waits for the out any more.
        """
        if self._stage is not None and self._is_orphan():
            raise ValueError(
                f"{self._stage}: dvc was killed while this stage ran; nothing was published, "
                "finished units are kept: run dvc repro again"
            )

    def _is_orphan(self) -> bool:
        """Return whether somebody between ``dvc`` and this process has another parent now."""
        children = [os.getpid(), *self._line[:-1]]
        return [_parent(child) for child in children] != self._line

    def _die_with_dvc(self) -> None:
        while not self._is_orphan():
            time.sleep(_GLANCE)
        os.kill(os.getpid(), signal.SIGKILL)


def _line_to_dvc(stage: str) -> list[int]:
    """Return the pids of this process's parent, its parent and so on up to ``dvc``.

    ``dvc`` is the first that was started without the stage's name in its environment.
    """
    line: list[int] = []
    parent = _parent(os.getpid())
    while parent:
        line.append(parent)
        if not _runs(parent, stage):
            break
        parent = _parent(parent)
    return line


def _runs(pid: int, stage: str) -> bool:
    """Return whether DVC started a process as part of a stage's command."""
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False  # It ended, or belongs to another user: nothing that DVC started for us.
    return f"{_VARIABLE}={stage}".encode() in environment.split(b"\0")


def _parent(pid: int) -> int:
    """Return the pid of a process's parent; 0 where the process or its parent is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    return int(stat.rpartition(")")[2].split()[1])
