"""Engines: the processes that compute the units of a stage, and the recovery when one dies.

A slot computes one unit at a time. Each local slot has its own ProcessPoolExecutor with a single
process, so that the death of a process can be attributed to one unit. multiprocessing.Pool is not
used anywhere: it loses the task of a killed worker and hangs.
"""

import multiprocessing
import os
import pickle
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from functools import cache
from typing import Protocol

from pipeline.core.errors import skip_final_collection
from pipeline.core.units.attempts import LIMIT
from pipeline.core.units.compute import Job, Outcome, Task, compute, compute_or_raise
from pipeline.core.units.options import MakeTask, RunOptions
from pipeline.core.units.parent import die_with_parent
from pipeline.core.units.threads import limit_threads

_DEATHS = 3
"""Consecutive workers that may die before they start a unit."""


class Slot(Protocol):
    """One worker."""

    def submit(self, job: Job) -> "Future[Outcome]":
        """Start an attempt at a unit."""

    def restart(self) -> None:
        """Replace a dead worker."""

    def close(self) -> None:
        """Release the worker."""


def run_jobs(
    jobs: Sequence[Job],
    make_task: MakeTask,
    options: RunOptions,
    report: Callable[[Outcome], None],
) -> list[Outcome]:
    """Compute units, each up to three times; the failure of one does not stop the others.

    Units with several interrupted attempts are computed last and in a separate process: if they
    kill their process, the driver survives and reports it.

    Args:
        jobs: The units.
        make_task: Makes the task.
        options: Engine, workers, threads.
        report: Called for every unit that is finished or has failed.

    Returns:
        The last outcome of every failed unit.

    Raises:
        RuntimeError: If workers die before they start a unit.
    """
    if options.engine == "direct":
        _run_directly(jobs, make_task, options, report)
        return []
    suspect = [job for job in jobs if job.attempts.interrupted >= LIMIT]
    others = [job for job in jobs if job not in suspect]
    failed: list[Outcome] = []
    for group, count in ((others, options.workers), (suspect, 1)):
        if group:
            slots = _slots(make_task, options, min(count, len(group)), alone=group is suspect)
            try:
                failed += _drain(group, slots, report)
            finally:
                for slot in slots:
                    slot.close()
    return failed


def _run_directly(
    jobs: Sequence[Job],
    make_task: MakeTask,
    options: RunOptions,
    report: Callable[[Outcome], None],
) -> None:
    slot = _InProcess(make_task, options)
    for job in jobs:
        try:
            report(compute_or_raise(job, slot.task))
        except Exception as error:
            job.attempts.fail(f"{type(error).__name__}: {error}")
            raise


def _slots(make_task: MakeTask, options: RunOptions, count: int, *, alone: bool) -> list[Slot]:
    if options.engine == "ray":
        from pipeline.core.units.ray_engine import make_ray_slots  # noqa: PLC0415  ray is an extra

        return list(make_ray_slots(make_task, options, count))
    if options.workers == 1 and not alone:
        return [_InProcess(make_task, options)]
    return [_ProcessSlot(make_task, options, index) for index in range(count)]


def _drain(
    jobs: Sequence[Job], slots: Sequence[Slot], report: Callable[[Outcome], None]
) -> list[Outcome]:
    waiting, free = deque(jobs), list(slots)
    running: dict[Future[Outcome], tuple[Slot, Job, int]] = {}
    failed: list[Outcome] = []
    deaths = 0
    while waiting or running:
        while waiting and free:
            slot, job = free.pop(), waiting.popleft()
            before = job.attempts.interrupted
            running[slot.submit(job)] = (slot, job, before)
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            slot, job, before = running.pop(future)
            free.append(slot)
            outcome = _outcome(future, slot, job, before)
            deaths = deaths + 1 if outcome is None else 0
            if deaths >= _DEATHS:
                raise RuntimeError(f"{job.stage}: worker processes die before they start a unit")
            if outcome is None or not _settled(outcome):
                waiting.append(job)
                continue
            report(outcome)
            if outcome.failure is not None:
                failed.append(outcome)
    return failed


def _outcome(future: "Future[Outcome]", slot: Slot, job: Job, before: int) -> Outcome | None:
    """Return the outcome of an attempt; None if its worker died before it started."""
    try:
        return future.result()
    except BrokenProcessPool:
        slot.restart()
    if job.attempts.interrupted == before:
        return None
    reason = "its worker process was killed, by the kernel for lack of memory or by a user"
    job.attempts.fail(reason)
    return Outcome(job, failure=reason)


def _settled(outcome: Outcome) -> bool:
    return outcome.failure is None or len(outcome.job.attempts.failures) >= LIMIT


class _InProcess:
    """The driver itself."""

    def __init__(self, make_task: MakeTask, options: RunOptions) -> None:
        limit_threads(options.threads)
        self.task = make_task()
        limit_threads(options.threads)

    def submit(self, job: Job) -> "Future[Outcome]":
        future: Future[Outcome] = Future()
        future.set_result(compute(job, self.task))
        return future

    def restart(self) -> None:
        """Do nothing: the driver is alive."""

    def close(self) -> None:
        """Do nothing."""


class _ProcessSlot:
    """A spawned process of this machine, which dies with the driver."""

    def __init__(self, make_task: MakeTask, options: RunOptions, index: int) -> None:
        self._recipe = pickle.dumps(make_task)
        self._threads = options.threads
        devices = options.devices
        self._device = devices[index % len(devices)] if devices else None
        self._pool = self._start()

    def _start(self) -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            max_workers=1,
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_prepare_worker,
            initargs=(os.getpid(), self._threads, self._device),
        )

    def submit(self, job: Job) -> "Future[Outcome]":
        try:
            return self._pool.submit(_compute_in_worker, job, self._recipe, self._threads)
        except BrokenProcessPool:
            # The process died while it was idle.
            self.restart()
            return self._pool.submit(_compute_in_worker, job, self._recipe, self._threads)

    def restart(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._pool = self._start()

    def close(self) -> None:
        # No need to wait: the process is idle and holds no lock.
        self._pool.shutdown(wait=False, cancel_futures=True)


def _prepare_worker(driver: int, threads: int, device: str | None) -> None:
    die_with_parent()
    if os.getppid() != driver:
        os._exit(1)
    skip_final_collection()
    if device is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = device
    limit_threads(threads)


@cache
def _task(recipe: bytes, threads: int) -> Task:
    """Create the task of this worker, once."""
    make_task: MakeTask = pickle.loads(recipe)  # noqa: S301
    task = make_task()
    limit_threads(threads)
    return task


def _compute_in_worker(job: Job, recipe: bytes, threads: int) -> Outcome:
    return compute(job, _task(recipe, threads))
