"""Engines: which processes compute the units of a stage, and what happens when one dies.

A worker is a slot that computes one unit at a time. Each local slot has a ProcessPoolExecutor of
its own with a single process, so that the death of a process is the fault of one known unit.
multiprocessing.Pool is not used anywhere: it loses the task of a killed worker and hangs.
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

from pipeline.base.errors import skip_final_collection
from pipeline.units.attempts import LIMIT
from pipeline.units.compute import Job, Outcome, Task, compute, compute_or_raise
from pipeline.units.options import MakeTask, RunOptions
from pipeline.units.parent import die_with_parent
from pipeline.units.threads import limit_threads

_DEATHS = 3
"""Workers that may die in a row before any of them has begun a unit."""


class Slot(Protocol):
    """One worker."""

    def submit(self, job: Job) -> "Future[Outcome]":
        """Begin an attempt at a unit."""

    def restart(self) -> None:
        """Replace a worker that died."""

    def close(self) -> None:
        """Let the worker go."""


def run_jobs(
    jobs: Sequence[Job],
    make_task: MakeTask,
    options: RunOptions,
    report: Callable[[Outcome], None],
) -> list[Outcome]:
    """Compute units, each up to three times; the failure of one does not stop the others.

    Units whose attempts keep being interrupted come last and in a process of their own: if it is
    they that kill their process, this one survives to say so.

    Args:
        jobs: The units.
        make_task: Makes the task.
        options: Engine, workers, threads.
        report: Called for every unit that is finished or given up.

    Returns:
        The last outcome of every unit that was given up.

    Raises:
        RuntimeError: If workers die before they begin a unit.
    """
    if options.engine == "direct":
        _run_directly(jobs, make_task, options, report)
        return []
    shaky = [job for job in jobs if job.attempts.interrupted >= LIMIT]
    steady = [job for job in jobs if job not in shaky]
    failed: list[Outcome] = []
    for group, count in ((steady, options.workers), (shaky, 1)):
        if group:
            slots = _slots(make_task, options, min(count, len(group)), alone=group is shaky)
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
        from pipeline.units.ray_engine import make_ray_slots  # noqa: PLC0415  ray is an extra

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
                raise RuntimeError(f"{job.stage}: worker processes die before they begin a unit")
            if outcome is None or not _settled(outcome):
                waiting.append(job)
                continue
            report(outcome)
            if outcome.failure is not None:
                failed.append(outcome)
    return failed


def _outcome(future: "Future[Outcome]", slot: Slot, job: Job, before: int) -> Outcome | None:
    """Return how an attempt ended; nothing if its worker died without having begun it."""
    try:
        return future.result()
    except BrokenProcessPool:
        slot.restart()
    if job.attempts.interrupted == before:
        return None
    reason = "its worker process was killed, by the system's lack of memory or by someone"
    job.attempts.fail(reason)
    return Outcome(job, failure=reason)


def _settled(outcome: Outcome) -> bool:
    return outcome.failure is None or len(outcome.job.attempts.failures) >= LIMIT


class _InProcess:
    """This process itself."""

    def __init__(self, make_task: MakeTask, options: RunOptions) -> None:
        limit_threads(options.threads)
        self.task = make_task()
        limit_threads(options.threads)

    def submit(self, job: Job) -> "Future[Outcome]":
        future: Future[Outcome] = Future()
        future.set_result(compute(job, self.task))
        return future

    def restart(self) -> None:
        """Do nothing: this process is alive."""

    def close(self) -> None:
        """Do nothing."""


class _ProcessSlot:
    """A process of this machine, spawned; dies with this one."""

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
            # It died while it had nothing to do.
            self.restart()
            return self._pool.submit(_compute_in_worker, job, self._recipe, self._threads)

    def restart(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._pool = self._start()

    def close(self) -> None:
        # It ends beside what follows: it has nothing to do and holds no lock.
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
    """Make this worker's task, once."""
    make_task: MakeTask = pickle.loads(recipe)  # noqa: S301
    task = make_task()
    limit_threads(threads)
    return task


def _compute_in_worker(job: Job, recipe: bytes, threads: int) -> Outcome:
    return compute(job, _task(recipe, threads))
