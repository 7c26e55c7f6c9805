"""A stage that computes nothing of value, for the tests of builds: run as a script or imported.

Every unit is an array that depends on its name alone. A line in ``calls.log`` tells when a unit
begins and ends. A name says how the unit behaves: ``killer`` kills its process, ``mortal`` does so
the first time, ``faulty`` raises, ``flaky`` does so the first two times, ``slow`` takes long.
"""

import argparse
import hashlib
import os
import signal
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from pipeline.core.publishing.build import BuildSummary, build
from pipeline.core.store.shards import write_array
from pipeline.core.units.key import Unit
from pipeline.core.units.options import RunOptions
from pipeline.core.units.plan import Plan

ROWS = 12


def make_project(folder: Path, link_type: str = "hardlink") -> Path:
    """Make a folder that looks like a DVC repository."""
    (folder / ".dvc").mkdir(parents=True)
    (folder / ".dvc/config").write_text(f"[cache]\n    type = {link_type}\n")
    return folder


def key_of(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def units_of(names: list[str]) -> list[Unit]:
    return [Unit(name, key_of(name), estimate=10_000) for name in names]


def note(log: Path, event: str, name: str) -> None:
    with log.open("a") as file:
        file.write(f"{event} {name} {os.getpid()}\n")


def calls(log: Path, event: str = "begin") -> list[str]:
    """Return the units that began, or ended, in order."""
    lines = log.read_text().splitlines() if log.exists() else []
    return [line.split()[1] for line in lines if line.split()[0] == event]


class ToyTask:
    """Writes the array of a unit row by row; cannot be made where its log is a folder."""

    def __init__(self, log: Path) -> None:
        if log.is_dir():
            raise ValueError(f"{log}: expected a file, found a folder; remove it")
        self.log = log

    def __call__(self, name: str, folder: Path) -> None:
        note(self.log, "begin", name)
        tries = calls(self.log).count(name)
        if name.startswith("killer") or (name.startswith("mortal") and tries == 1):
            os.kill(os.getpid(), signal.SIGKILL)
        if name.startswith("faulty") or (name.startswith("flaky") and tries < 3):
            raise RuntimeError(f"cannot do {name}")
        rows = _rows(name, 40 if name.startswith("slow") else 1)
        write_array(folder, rows, rows=ROWS, row_shape=(4, 100), dtype="float16")
        note(self.log, "end", name)


def _rows(name: str, effort: int) -> Iterator[np.ndarray]:
    seed = int.from_bytes(name.encode(), "little")
    for row in range(ROWS):
        generator = np.random.default_rng([seed, row])
        for _ in range(effort * 10):
            values = generator.normal(size=(1, 4, 100))
        yield values.astype(np.float16)


def plan_of(
    project: Path, names: list[str], *, options: RunOptions | None = None, kind: str = "flow"
) -> Plan:
    """Return the plan of the toy stage in a project."""
    return Plan(
        stage="toy",
        modules=[],
        out=project / "data/toy/train",
        listing=project / "data/units/toy/train.json",
        kind=kind,
        units=units_of(names),
        make_task=partial(ToyTask, project / "calls.log"),
        run=options or RunOptions(),
    )


def run_stage(
    project: Path, names: list[str], *, options: RunOptions | None = None, kind: str = "flow"
) -> BuildSummary:
    """Build the toy stage in a project."""
    return build(plan_of(project, names, options=options, kind=kind))


def tree(folder: Path) -> dict[str, bytes]:
    """Return the bytes of every file below a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("project", type=Path)
    parser.add_argument("--engine", default="local")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("names", nargs="+")
    arguments = parser.parse_args()
    run_stage(
        arguments.project,
        arguments.names,
        options=RunOptions(engine=arguments.engine, workers=arguments.workers),
    )
