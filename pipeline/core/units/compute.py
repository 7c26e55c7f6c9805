"""Computation of one unit: lock, count the attempt, write, seal, log the time."""

import shutil
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pipeline.core.units.attempts import Attempts
from pipeline.core.units.entry_log import append_entry
from pipeline.core.units.receipts import FILES, RECEIPT, check, seal
from pipeline.core.units.scratch import Scratch


class Task(Protocol):
    """Computes units of a stage; created once per process, because it holds the networks."""

    def __call__(self, name: str, folder: Path) -> None:
        """Write all files of the unit ``name`` into the empty folder ``folder``."""


@dataclass(frozen=True, slots=True)
class Job:
    """A unit to compute."""

    scratch: Scratch
    stage: str
    name: str
    key: str

    @property
    def folder(self) -> Path:
        """The unit's folder in scratch."""
        return self.scratch.unit_folder(self.stage, self.key)

    @property
    def attempts(self) -> Attempts:
        """Its attempts so far."""
        return Attempts(self.folder)


@dataclass(frozen=True, slots=True)
class Outcome:
    """Result of one attempt."""

    job: Job
    bytes: int = 0
    failure: str | None = None
    """Why it failed; None if the unit is complete."""


def compute(job: Job, task: Task) -> Outcome:
    """Make one attempt at a unit, unless another process has just finished it.

    Args:
        job: The unit.
        task: The task.

    Returns:
        The outcome; an exception is a failure, counted on disk.
    """
    try:
        return compute_or_raise(job, task)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        job.attempts.fail(reason)
        return Outcome(job, failure=reason)


def compute_or_raise(job: Job, task: Task) -> Outcome:
    """Make one attempt at a unit, see ``compute``; an exception of the task is raised.

    Args:
        job: The unit.
        task: The task.
    """
    with job.scratch.lock(f"{job.stage}-{job.key}"):
        receipt = check(job.folder)
        if receipt is not None:
            return Outcome(job, receipt.bytes)
        job.attempts.start()
        begin = time.perf_counter()
        files = _emptied(job.folder)
        task(job.name, files)
        receipt = seal(job.folder, job.name)
        _log(job, time.perf_counter() - begin, receipt.bytes)
        job.attempts.clear()
        return Outcome(job, receipt.bytes)


def _emptied(folder: Path) -> Path:
    """Return the unit's folder of files after deleting what an interrupted attempt left."""
    (folder / RECEIPT).unlink(missing_ok=True)
    files = folder / FILES
    if files.exists():
        shutil.rmtree(files)
    files.mkdir(parents=True)
    return files


def _log(job: Job, seconds: float, size: int) -> None:
    entry = {
        "stage": job.stage,
        "unit": job.name,
        "key": job.key,
        "seconds": round(seconds, 3),
        "bytes": size,
        "host": socket.gethostname(),
        "finished": round(time.time(), 3),
    }
    append_entry(job.scratch.timings, entry)
