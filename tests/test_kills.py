"""SIGKILL of real stages under `dvc`: the next run repeats unfinished units, to the same bytes.

``make test`` kills every target twice; ``make test-kill`` twenty times, and in experiments, and
Ray's actors.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests import killing
from tests.killing import TARGETS, Target
from tests.toy_clone import PYTHON, TOY, Clone

STAGES = ("render", "index", "detect", "crop")
PARAMS = {
    "extract.workers": 2,
    "render.videos": {"train": 5, "val": 1},
    "render.frames": 6,
    "render.label_run": 6,
    "crop.variants": 3,
    "detect.kind": "ground_truth",
}


@dataclass(frozen=True, slots=True)
class Subject:
    """A stage to kill, with what an uninterrupted run of it leaves."""

    name: str
    """As dvc calls it: ``crop@hrnet-train``."""
    outs: tuple[str, ...]
    lock_before: bytes | None
    lock_after: bytes
    files: dict[str, bytes]
    keys: frozenset[str]

    @property
    def stage(self) -> str:
        return self.name.partition("@")[0]


class Project:
    """A clone whose stages are killed.

    Args:
        clone: The clone.
    """

    def __init__(self, clone: Clone) -> None:
        self.clone = clone
        self.cache = clone.folder / ".dvc/cache"
        self.scratch = self.cache / "scratch"
        self.lock = clone.folder / "dvc.lock"

    def places(self, outs: tuple[str, ...]) -> list[Path]:
        return [self.clone.folder / out for out in outs]

    def subject(self, name: str, *outs: str) -> Subject:
        """Run a stage without a kill and return what it left."""
        before = self.lock.read_bytes() if self.lock.exists() else None
        self.clone.run("dvc", "repro", name)
        files = killing.read_tree(*self.places(outs))
        assert files
        keys = {entry["key"] for entry in self.made(name.partition("@")[0])}
        return Subject(name, outs, before, self.lock.read_bytes(), files, frozenset(keys))

    def reset(self, subject: Subject) -> None:
        """Return to the state before the stage ever ran."""
        killing.remove(
            self.scratch / subject.stage,
            self.scratch / "timings.jsonl",
            self.cache / "runs",
            *self.places(subject.outs),
        )
        if subject.lock_before is None:
            killing.remove(self.lock)
        else:
            self.lock.write_bytes(subject.lock_before)

    def made(self, stage: str) -> list[dict[str, str]]:
        """Return the entries of a stage's computed units in the log."""
        log = self.scratch / "timings.jsonl"
        lines = log.read_text().splitlines() if log.exists() else []
        return [entry for entry in map(json.loads, lines) if entry["stage"] == stage]

    def finished(self, stage: str) -> set[str]:
        """Return the keys of a stage's finished units."""
        return {file.parent.name for file in (self.scratch / stage).glob("*/receipt.json")}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    clone = Clone(tmp_path_factory.mktemp("kills") / "clone", PYTHON, *STAGES)
    clone.edit_params(PARAMS)
    clone.commit()
    return Project(clone)


@pytest.fixture(scope="module")
def subjects(project: Project) -> tuple[Subject, ...]:
    render = project.subject("render", "data/raw/synthetic", "data/units/render")
    project.clone.run("dvc", "repro", "detect@train")
    outs = ("data/crops/hrnet/train", "data/clips/hrnet/train.parquet", "data/units/crop")
    crop = project.subject("crop@hrnet-train", *outs)
    return render, crop


def check_kill(project: Project, subject: Subject, target: Target, seed: int, log: Path) -> None:
    """Kill a target in ``dvc repro`` once and check the run after it."""
    project.reset(subject)
    # Every second kill with a shell between dvc and the stage; both subjects meet both.
    shell = None if (seed + seed // 2) % 2 else killing.forking_shell(log.with_name("shell"))
    running = killing.start(project.clone, log, "repro", subject.name, shell=shell)
    killing.kill(running, project.scratch, subject.stage, target, seed)
    finished = project.finished(subject.stage)
    if target == "worker":
        # The stage survives it: the unit is tried again, at once.
        assert running.returncode == 0, log.read_text()
        assert finished == subject.keys
    else:
        assert running.returncode != 0
        # The worker of the last unit may finish it before the death of dvc or of the stage
        # reaches the worker; the group dies at once, while it is stopped.
        assert finished < subject.keys if target == "group" else finished <= subject.keys
        # No orphan went on: every process is gone, and none of them has published.
        assert not killing.read_tree(*project.places(subject.outs))
        killing.remove(project.scratch / "timings.jsonl")
        project.clone.run("dvc", "repro", subject.name)
        finished = subject.keys - finished
    assert Counter(entry["key"] for entry in project.made(subject.stage)) == Counter(finished)
    assert killing.read_tree(*project.places(subject.outs)) == subject.files
    assert project.lock.read_bytes() == subject.lock_after


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_a_killed_run_goes_on_with_the_units_that_were_not_whole(
    project: Project,
    subjects: tuple[Subject, ...],
    target: Target,
    kills: int,
    tmp_path: Path,
) -> None:
    for seed in range(kills):
        subject = subjects[seed % len(subjects)]
        check_kill(project, subject, target, seed, tmp_path / "log")


@pytest.mark.slow
def test_a_unit_whose_workers_are_all_killed_ends_in_the_table_and_the_others_are_kept(
    project: Project, subjects: tuple[Subject, ...], tmp_path: Path
) -> None:
    subject, log = subjects[0], tmp_path / "log"
    project.reset(subject)
    running = killing.start(project.clone, log, "repro", subject.name)
    victim, kills = killing.kill_every_worker_of_one_unit(running, project.scratch, subject.stage)
    assert running.returncode != 0
    assert kills >= 3
    printed = log.read_text()
    assert re.search(r"/\S+ +3  its worker process was killed", printed)
    assert "render: 1 of 6 units failed (table above), nothing was published" in printed
    assert project.finished(subject.stage) == subject.keys - {victim}
    assert not (project.clone.folder / subject.outs[0]).exists()
    project.clone.run("dvc", "repro", subject.name)
    assert killing.read_tree(*project.places(subject.outs)) == subject.files


@pytest.fixture
def ray(project: Project) -> Iterator[None]:
    """The units of the project's stages are computed by Ray actors on this machine."""
    pytest.importorskip("ray", reason="ray has no wheel for this Python")
    project.clone.edit_params({"extract.engine": "ray"})
    yield
    project.clone.edit_params({"extract.engine": "local"})


@pytest.mark.kill
@pytest.mark.slow
@pytest.mark.usefixtures("ray")
@pytest.mark.parametrize("seed", range(3))
def test_a_killed_ray_actor_is_replaced_and_the_run_goes_on(
    project: Project, subjects: tuple[Subject, ...], seed: int, tmp_path: Path
) -> None:
    check_kill(project, subjects[seed % 2], "worker", seed, tmp_path / "log")


def lock_of_the_experiment(project: Project) -> bytes:
    """Return the dvc.lock of the only experiment that there is."""
    (name,) = project.clone.git("for-each-ref", "--format=%(refname)", "refs/exps/*/*/*")
    return "\n".join([*project.clone.git("show", f"{name}:dvc.lock"), ""]).encode()


@pytest.mark.kill
@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--temp",)], ids=["workspace", "temp"])
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("seed", range(3))
def test_a_killed_experiment_goes_on_with_the_units_that_were_not_whole(
    project: Project,
    subjects: tuple[Subject, ...],
    target: Target,
    seed: int,
    options: tuple[str, ...],
    tmp_path: Path,
) -> None:
    subject, log = subjects[seed % 2], tmp_path / "log"
    project.reset(subject)
    project.clone.commit()
    project.clone.run("dvc", "exp", "remove", "--all-commits", "--quiet")
    command = ("exp", "run", *options, subject.name)
    running = killing.start(project.clone, log, *command)
    killing.kill(running, project.scratch, subject.stage, target, seed)
    finished = project.finished(subject.stage)
    if target == "worker":
        assert running.returncode == 0, log.read_text()
    else:
        killing.remove(project.scratch / "timings.jsonl")
        # A killed experiment leaves the workspace on a commit of its own.
        project.clone.git("checkout", "--force", "--quiet", "main")
        project.clone.run("dvc", *command)
        finished = subject.keys - finished
    assert Counter(entry["key"] for entry in project.made(subject.stage)) == Counter(finished)
    assert lock_of_the_experiment(project) == subject.lock_after
    if not options:
        assert killing.read_tree(*project.places(subject.outs)) == subject.files


SYSTEM_STAGES: dict[str, tuple[Target, str]] = {
    "train@fuse": ("stage", "data/runs/fuse"),
    "predict@fuse": ("dvc", "data/predictions/fuse"),
    "evaluate@fuse": ("group", "data/evaluation/fuse"),
    "report": ("stage", "data/report/index.html"),
}
"""Target of the kill and output of the stages after the caches."""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, python: Path) -> Clone:
    """Return a clone whose whole DAG has run once."""
    clone = Clone(tmp_path_factory.mktemp("finished") / "clone", python)
    clone.edit_params(TOY)
    clone.run("dvc", "repro")
    return clone.at(clone.folder, PYTHON)


@pytest.mark.slow
@pytest.mark.parametrize("name", SYSTEM_STAGES)
def test_a_kill_in_a_stage_of_a_system_or_in_the_report_changes_no_byte(
    finished: Clone, name: str, tmp_path: Path
) -> None:
    target, out = SYSTEM_STAGES[name]
    stage = name.partition("@")[0]
    lock = finished.folder / "dvc.lock"
    tracked = [finished.folder / "data/metrics", finished.folder / out]
    before, locked = killing.read_tree(*tracked), lock.read_text()
    for seed in range(2):
        # What the stage has made is forgotten, so that it starts from nothing.
        killing.remove(
            finished.folder / out,
            finished.folder / ".dvc/cache/runs",
            finished.folder / f".dvc/cache/scratch/{stage}",
        )
        lock.write_text(without_stage(locked, name))
        running = killing.start(finished, tmp_path / "log", "repro", "--single-item", name)
        killing.kill_in_stage(running, stage, target, seed)
        finished.run("dvc", "repro", "--quiet")
        assert killing.read_tree(*tracked) == before
        # The stage is now the last one of the file.
        assert YAML(typ="safe").load(lock) == YAML(typ="safe").load(locked)
        assert not list(finished.folder.rglob("*.partial"))


def without_stage(lock: str, name: str) -> str:
    """Return the content of a dvc.lock without one stage."""
    yaml = YAML()
    content = yaml.load(lock)
    del content["stages"][name]
    text = StringIO()
    yaml.dump(content, text)
    return text.getvalue()
