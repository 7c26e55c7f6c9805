"""Engines: slices, threads, dead workers, the direct engine, ray."""

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from pipeline.core.units.attempts import Attempts
from pipeline.core.units.compute import Job, Outcome, Task
from pipeline.core.units.engines import run_jobs
from pipeline.core.units.key import ROOT
from pipeline.core.units.options import RunOptions, parse_part
from pipeline.core.units.scratch import find_scratch
from tests.pipeline.toy_stage import calls, key_of, make_project, note, run_stage, tree

NAMES = ["a", "b", "c", "d"]
VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "CUDA_VISIBLE_DEVICES")


@pytest.fixture
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Job]:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    scratch = find_scratch(make_project(tmp_path / "repo"))
    return [Job(scratch, "toy", name, key_of(name)) for name in NAMES]


def settings_task() -> Task:
    """Return a task that writes process and settings of the computation."""

    def task(name: str, folder: Path) -> None:
        values = [os.environ.get(variable, "-") for variable in VARIABLES]
        torch = "torch" if "torch" in sys.modules else "-"
        (folder / name).write_text(" ".join([str(os.getpid()), torch, *values]))

    return task


def settings_of(jobs: list[Job]) -> list[list[str]]:
    return [(job.folder / "files" / job.name).read_text().split() for job in jobs]


def ignore(_: Outcome) -> None:
    pass


@pytest.mark.parametrize(("text", "part"), [("0/1", (0, 1)), ("3/4", (3, 4)), ("12/90", (12, 90))])
def test_a_slice_is_parsed(text: str, part: tuple[int, int]) -> None:
    assert parse_part(text) == part


@pytest.mark.parametrize("text", ["", "1", "4/4", "-1/4", "1/0", "a/b", "1/2/3", "1 /4", "²/4"])
def test_an_invalid_slice_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="--units: expected i/n"):
        parse_part(text)


@pytest.mark.parametrize(("units", "workers"), [(0, 1), (15, 1), (32, 2), (64, 4), (999, 4)])
def test_few_small_units_start_few_workers(units: int, workers: int) -> None:
    options = RunOptions(workers=4, threads=2)
    assert options.with_a_worker_per(16, units) == RunOptions(workers=workers, threads=2)


def test_workers_get_threads_and_gpu_and_do_not_import_torch(jobs: list[Job]) -> None:
    options = RunOptions(workers=2, threads=3, devices=("4", "7"))
    seen: list[str] = []
    assert run_jobs(jobs, settings_task, options, lambda done: seen.append(done.job.name)) == []
    assert sorted(seen) == NAMES
    settings = settings_of(jobs)
    assert {line[-1] for line in settings} == {"4", "7"}
    assert all(line[1:-1] == ["-", "3", "3", "3"] for line in settings)
    assert str(os.getpid()) not in {line[0] for line in settings}


def test_one_worker_is_the_driver_with_the_same_threads(
    jobs: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    torch = SimpleNamespace(set_num_threads=asked.append)
    monkeypatch.setitem(sys.modules, "torch", torch)
    run_jobs(jobs, settings_task, RunOptions(threads=2), ignore)
    assert {line[0] for line in settings_of(jobs)} == {str(os.getpid())}
    assert set(asked) == {2}


def test_every_unit_is_finished_once_and_reported(jobs: list[Job]) -> None:
    seen: list[str] = []
    run_jobs(jobs[:2], settings_task, RunOptions(), lambda done: seen.append(done.job.name))
    before = settings_of(jobs[:2])
    run_jobs(jobs, settings_task, RunOptions(workers=2), lambda done: seen.append(done.job.name))
    assert settings_of(jobs[:2]) == before
    assert sorted(seen) == sorted(NAMES + NAMES[:2])
    assert all(job.attempts.failures == [] and job.attempts.interrupted == 0 for job in jobs)


def dying_recipe() -> Task:
    os.kill(os.getpid(), signal.SIGKILL)
    return settings_task()


def test_the_direct_engine_computes_in_this_process_and_raises_the_error_of_the_task(
    jobs: list[Job],
) -> None:
    def make_task() -> Task:
        def task(name: str, folder: Path) -> None:
            if name == "b":
                raise ValueError("b: expected something else")
            (folder / name).write_text(str(os.getpid()))

        return task

    seen: list[str] = []
    with pytest.raises(ValueError, match="b: expected something else"):
        run_jobs(
            jobs, make_task, RunOptions(engine="direct"), lambda done: seen.append(done.job.name)
        )
    assert seen == ["a"]
    assert (jobs[0].folder / "files/a").read_text() == str(os.getpid())
    assert Attempts(jobs[1].folder).failures == ["ValueError: b: expected something else"]


def test_workers_that_die_before_a_unit_starts_end_the_run(jobs: list[Job]) -> None:
    with pytest.raises(RuntimeError, match="toy: worker processes die before they start a unit"):
        run_jobs(jobs, dying_recipe, RunOptions(workers=2), ignore)
    assert all(job.attempts.failures == [] for job in jobs)


def unusable_recipe() -> Task:
    raise ValueError("data/weights/hrnet.safetensors: cut short")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_task_that_cannot_be_created_fails_the_stage(jobs: list[Job], workers: int) -> None:
    with pytest.raises(ValueError, match="cut short"):
        run_jobs(jobs, unusable_recipe, RunOptions(workers=workers), ignore)


def test_attempts_are_counted_on_disk(tmp_path: Path) -> None:
    attempts = Attempts(tmp_path / "toy" / "key")
    assert (attempts.failures, attempts.interrupted) == ([], 0)
    attempts.start()
    assert Attempts(tmp_path / "toy" / "key").interrupted == 1
    attempts.fail("OSError: no\nspace")
    attempts.start()
    assert (attempts.failures, attempts.interrupted) == (["OSError: no space"], 1)
    attempts.clear()
    assert (attempts.failures, attempts.interrupted) == ([], 0)


class Reference:
    """Stands in for what an actor's method returns."""

    def __init__(self, call: Callable[[], Any]) -> None:
        self._call = call

    def future(self) -> "Future[Any]":
        future: Future[Any] = Future()
        try:
            future.set_result(self._call())
        except Exception as error:
            future.set_exception(error)
        return future


def fake_ray(log: list[str], deaths: int) -> ModuleType:
    """A module with the part of ray that the engine uses; its actors live in this process."""

    class RayActorError(Exception):
        pass

    class Actor:
        def __init__(self, worker: Any) -> None:  # noqa: ANN401
            self.compute = SimpleNamespace(remote=self._remote)
            self._worker = worker

        def _remote(self, job: Job) -> Reference:
            return Reference(lambda: self._call(pickle.loads(pickle.dumps(job))))  # noqa: S301

        def _call(self, job: Job) -> Outcome:
            if log.count("death") < deaths:
                log.append("death")
                job.attempts.start()
                raise RayActorError
            return self._worker.compute(job)

    def remote(**resources: int) -> Callable[[type], Any]:
        log.append(f"resources {resources}")

        def wrap(kind: type) -> Any:  # noqa: ANN401
            make = SimpleNamespace(remote=lambda *args: Actor(kind(*args)))
            return SimpleNamespace(options=lambda **_: make)

        return wrap

    ray = ModuleType("ray")
    members = {
        "exceptions": SimpleNamespace(RayActorError=RayActorError),
        "is_initialized": lambda: False,
        "init": lambda **_: log.append("init"),
        "kill": lambda _: log.append("kill"),
        "remote": remote,
    }
    for name, value in members.items():
        setattr(ray, name, value)
    return ray


def test_ray_actors_compute_the_units_and_a_dead_one_is_replaced(
    jobs: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    log: list[str] = []
    monkeypatch.setenv("PYTHONPATH", "")
    monkeypatch.setitem(sys.modules, "ray", fake_ray(log, deaths=1))
    options = RunOptions(engine="ray", workers=2, threads=3).on("cuda")
    assert run_jobs(jobs, settings_task, options, ignore) == []
    assert len(settings_of(jobs)) == 4
    assert log[:2] == ["init", "resources {'num_cpus': 3, 'num_gpus': 1}"]
    assert log.count("death") == 1
    assert sum(line.startswith("resources") for line in log) == 3
    assert log.count("kill") == 2


def test_a_unit_that_kills_every_ray_actor_fails(
    jobs: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", "")
    monkeypatch.setitem(sys.modules, "ray", fake_ray([], deaths=99))
    failed = run_jobs(jobs[:1], settings_task, RunOptions(engine="ray"), ignore)
    assert [outcome.job.name for outcome in failed] == ["a"]
    assert len(jobs[0].attempts.failures) == 3


def test_a_cluster_that_starts_too_slowly_is_restarted_three_times(
    jobs: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    log: list[str] = []

    def init(**_: object) -> None:
        log.append("init")
        if len(log) < starts:
            raise RuntimeError("the node timed out")

    ray = fake_ray([], deaths=0)
    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(ray, "shutdown", lambda: None, raising=False)
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.setenv("PYTHONPATH", "")
    starts = 3
    assert run_jobs(jobs, settings_task, RunOptions(engine="ray"), ignore) == []
    starts, log[:] = 99, []
    with pytest.raises(ValueError, match=r"not start .* \(the node timed out\); stop other"):
        run_jobs(jobs, settings_task, RunOptions(engine="ray"), ignore)
    assert log == ["init"] * 3


def test_without_ray_the_error_names_the_cure(
    jobs: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ValueError, match="ray is not installed; install the extra"):
        run_jobs(jobs, settings_task, RunOptions(engine="ray"), ignore)


MORTAL = [*NAMES, "mortal"]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What the plain loop publishes: one process, and no worker dies."""
    project = make_project(tmp_path_factory.mktemp("alone") / "repo")
    note(project / "calls.log", "begin", "mortal")  # as if its first attempt were over
    run_stage(project, MORTAL)
    return tree(project / "data")


def test_processes_and_slices_survive_a_killed_worker_and_publish_the_same_bytes(
    tmp_path: Path, alone: dict[str, bytes]
) -> None:
    for name, parts in (("whole", [None]), ("sliced", [(0, 2), (1, 2), None])):
        project = make_project(tmp_path / name)
        for part in parts:
            run_stage(project, MORTAL, options=RunOptions(workers=2, part=part))
        assert tree(project / "data") == alone
        assert sorted(calls(project / "calls.log")) == [*MORTAL, "mortal"]


RAY_STAGE = [sys.executable, "-m", "tests.pipeline.toy_stage", "--engine=ray", "--workers=2"]
"""As dvc starts a stage: what it defines is in `__main__`, which is Ray's own in an actor."""


def run_under_ray(project: Path, names: list[str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*RAY_STAGE, str(project), *names], cwd=ROOT, capture_output=True, text=True, check=False
    )


@pytest.mark.slow
def test_a_task_that_no_ray_actor_can_create_is_an_error_with_its_cause(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="ray has no wheel for this Python")
    project = make_project(tmp_path / "repo")
    (project / "calls.log").mkdir()
    done = run_under_ray(project, NAMES)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last == f"ValueError: {project}/calls.log: expected a file, found a folder; remove it"


@pytest.mark.slow
def test_ray_survives_a_killed_actor_and_publishes_the_same_bytes(
    tmp_path: Path, alone: dict[str, bytes]
) -> None:
    pytest.importorskip("ray", reason="ray has no wheel for this Python")
    project = make_project(tmp_path / "repo")
    done = run_under_ray(project, MORTAL)
    assert done.returncode == 0, done.stderr
    assert tree(project / "data") == alone
    assert sorted(calls(project / "calls.log")) == [*MORTAL, "mortal"]
