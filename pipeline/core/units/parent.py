"""Death of a process with its parent, so that a killed driver leaves no orphans.

DVC removes the lock of a killed ``dvc repro``. A stage that survived would then write its out at
the same time as the next run. Linux only (``prctl``, ``/proc``).
"""

import ctypes
import os
import signal
import threading
import time
from pathlib import Path

_SET_PARENT_DEATH_SIGNAL = 1
_GLANCE = 0.1
"""Seconds between two checks of the processes between ``dvc`` and the stage."""
_VARIABLE = "DVC_STAGE"
"""DVC sets it for every command that it runs (dvc/stage/run.py, prepare_kwargs)."""


def die_with_parent() -> None:
    """Ask the kernel to kill this process when the thread that started it ends."""
    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")


class DvcParent:
    """The ``dvc`` process that runs this stage, if any; a person or scheduler may run it instead.

    DVC runs a command in a shell. Most shells replace themselves by the command. Debian's ``sh``
    does not, and survives ``dvc``. The kernel's signal to the child of a dead parent is not enough
    then, so a thread checks whether ``dvc`` is alive.
    """

    def __init__(self) -> None:
        self._stage = os.environ.get(_VARIABLE)
        if self._stage is None:
            return
        die_with_parent()
        self._line = _line_to_dvc(self._stage)
        if len(self._line) > 1:
            threading.Thread(target=self._die_with_dvc, name="dvc-parent", daemon=True).start()

    def check_alive(self) -> None:
        """Check that ``dvc`` is alive.

        Raises:
            ValueError: If it was killed.
        """
        if self._stage is not None and self._is_orphan():
            raise ValueError(
                f"{self._stage}: dvc was killed while this stage ran; nothing was published, "
                "finished units are kept: run dvc repro again"
            )

    def _is_orphan(self) -> bool:
        """Return whether a process between ``dvc`` and this one has a new parent."""
        children = [os.getpid(), *self._line[:-1]]
        return [_parent(child) for child in children] != self._line

    def _die_with_dvc(self) -> None:
        while not self._is_orphan():
            time.sleep(_GLANCE)
        os.kill(os.getpid(), signal.SIGKILL)


def _line_to_dvc(stage: str) -> list[int]:
    """Return the pids of the ancestors of this process up to ``dvc``, nearest first.

    ``dvc`` is the first one without the stage's name in its environment.
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
        return False  # It ended, or belongs to another user, so DVC did not start it.
    return f"{_VARIABLE}={stage}".encode() in environment.split(b"\0")


def _parent(pid: int) -> int:
    """Return the pid of the parent of a process; 0 if one of them has ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    return int(stat.rpartition(")")[2].split()[1])
