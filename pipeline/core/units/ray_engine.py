"""The ray engine: Ray Core actors as workers, on the cluster at RAY_ADDRESS or on this machine."""

import io
import os
import pickle
import sys
from collections.abc import Iterator
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from importlib import import_module
from types import FunctionType
from typing import Any

from pipeline.core.units.compute import Job, Outcome, Task, compute
from pipeline.core.units.key import ROOT
from pipeline.core.units.options import MakeTask, RunOptions
from pipeline.core.units.threads import limit_threads

_STARTS = 3
"""Attempts to start a cluster."""


def make_ray_slots(make_task: MakeTask, options: RunOptions, count: int) -> Iterator["_RaySlot"]:
    """Yield workers that are Ray actors.

    Args:
        make_task: Makes the stage's task.
        options: Threads and GPUs of each worker.
        count: Number of workers.

    Raises:
        ValueError: If ray is not installed, or no cluster starts.
    """
    try:
        import ray  # noqa: PLC0415  an extra
    except ImportError as error:
        raise ValueError(
            "extract.engine: ray is not installed; install the extra (uv pip install ray) or set "
            "extract.engine to local"
        ) from error
    if not ray.is_initialized():
        _join_cluster(ray)
    for _ in range(count):
        yield _RaySlot(ray, make_task, options)


def _join_cluster(ray: Any) -> None:  # noqa: ANN401
    """Join the cluster at RAY_ADDRESS, or start one on this machine."""
    # Workers import the project from its folder: a cluster shares the file system.
    if os.environ.get("RAY_ADDRESS"):
        ray.init(runtime_env={"env_vars": {"PYTHONPATH": str(ROOT)}}, log_to_driver=False)
        return
    # The processes of a new cluster inherit this environment. A runtime_env would start an agent
    # and additional workers.
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)
    # By default Ray sends usage statistics to its developers.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # By default Ray runs its workers at niceness 15.
    os.environ.setdefault("RAY_worker_niceness", "0")
    _start_cluster(ray)


def _start_cluster(ray: Any) -> None:  # noqa: ANN401
    """Start a cluster; Ray waits 30 seconds for its node, which a busy machine may exceed."""
    faults: list[Exception] = []
    while len(faults) < _STARTS:
        try:
            ray.init(log_to_driver=False, include_dashboard=False)
        except Exception as error:
            faults.append(error)
            ray.shutdown()
        else:
            return
    raise ValueError(
        f"extract.engine ray: a cluster did not start on this machine ({faults[-1]}); stop "
        "other work on it, set RAY_ADDRESS to a running cluster, or set extract.engine to local"
    ) from faults[-1]


class _Pickler(pickle.Pickler):
    """Pickles objects of a stage by the module's name, because `__main__` of an actor is Ray's."""

    def reducer_override(self, value: Any) -> Any:  # noqa: ANN401
        spec = sys.modules["__main__"].__spec__
        defined = isinstance(value, type | FunctionType) and value.__module__ == "__main__"
        return (_find, (spec.name, value.__qualname__)) if defined and spec else NotImplemented


def _find(module: str, name: str) -> object:
    return getattr(import_module(module), name)


def _pickled(make_task: MakeTask) -> bytes:
    stream = io.BytesIO()
    _Pickler(stream).dump(make_task)
    return stream.getvalue()


class _Worker:
    """State of an actor."""

    def __init__(self, recipe: bytes, threads: int) -> None:
        self._recipe, self._threads = recipe, threads
        self._task: Task | None = None

    def compute(self, job: Job) -> Outcome:
        # Not in the constructor, whose exceptions Ray reports as the death of the actor.
        if self._task is None:
            make_task: MakeTask = pickle.loads(self._recipe)  # noqa: S301
            self._task = make_task()
            limit_threads(self._threads)
        return compute(job, self._task)


class _RaySlot:
    """One actor."""

    def __init__(self, ray: Any, make_task: MakeTask, options: RunOptions) -> None:  # noqa: ANN401
        self._ray = ray
        self._recipe = _pickled(make_task)
        self._options = options
        self._actor = self._start()

    def _start(self) -> Any:  # noqa: ANN401
        options = self._options
        remote = self._ray.remote(num_cpus=options.threads, num_gpus=options.gpus)(_Worker)
        # The driver restarts it and counts the attempts; retries by Ray would hide them.
        return remote.options(max_restarts=0, max_task_retries=0).remote(
            self._recipe, options.threads
        )

    def submit(self, job: Job) -> "Future[Outcome]":
        future: Future[Outcome] = Future()

        def settle(answer: "Future[Outcome]") -> None:
            error = answer.exception()
            if isinstance(error, self._ray.exceptions.RayActorError):
                future.set_exception(BrokenProcessPool(str(error)))
            elif error is not None:
                # The exception of the actor; Ray wraps it in a text with its stack.
                future.set_exception(getattr(error, "cause", None) or error)
            else:
                future.set_result(answer.result())

        self._actor.compute.remote(job).future().add_done_callback(settle)
        return future

    def restart(self) -> None:
        self._actor = self._start()

    def close(self) -> None:
        self._ray.kill(self._actor)
