"""Ties a process to the one that started it, so that a killed driver leaves no orphans behind.

DVC drops the lock of a killed ``dvc repro``; a stage that lived on would then meet a second
writer of its out. Linux only (``prctl``).
"""

import ctypes
import os
import signal

_SET_PARENT_DEATH_SIGNAL = 1


def die_with_parent() -> None:
    """Ask the kernel to kill this process when the thread that started it ends."""
    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")


class DvcParent:
    """The ``dvc`` process that runs this stage; nothing where a person or scheduler started it."""

    def __init__(self) -> None:
        self._parent = os.getppid()
        # DVC sets DVC_STAGE for every command that it runs (dvc/stage/run.py, prepare_kwargs).
        self._stage = os.environ.get("DVC_STAGE")
        if self._stage is not None:
            die_with_parent()

    def refuse_orphan(self) -> None:
        """Check that ``dvc`` still lives.

        Raises:
            ValueError: If it was killed: nothing waits for the out any more.
        """
        if self._stage is not None and os.getppid() != self._parent:
            raise ValueError(
                f"{self._stage}: dvc was killed while this stage ran; nothing was published, "
                "finished units are kept: run dvc repro again"
            )
