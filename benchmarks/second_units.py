"""Units that sleep for one second, to measure the overhead of engines.

A unit sleeps and writes one small array. Unlike computing, sleeping takes the same time on a shared
machine, so the remaining time is that of the engine: starting processes, imports, locks, receipts
and publishing.
"""

import hashlib
import time
from pathlib import Path
from typing import Literal

import numpy as np

from pipeline.core.publishing.build import BuildSummary, build
from pipeline.core.store.shards import write_array
from pipeline.core.units.compute import Task
from pipeline.core.units.key import Unit
from pipeline.core.units.options import RunOptions, parse_part
from pipeline.core.units.plan import Plan

SECONDS = 1.0
SHAPE = (16, 64, 64)


def write_second(name: str, folder: Path) -> None:
    """Sleep, then write the array of a unit, which depends on its name only."""
    time.sleep(SECONDS)
    seed = int.from_bytes(name.encode(), "little")
    values = np.random.default_rng(seed).standard_normal(SHAPE).astype(np.float16)
    write_array(folder, [values], rows=SHAPE[0], row_shape=SHAPE[1:], dtype="float16")


def make_task() -> Task:
    """Return the task for a process."""
    return write_second


def names_of(count: int) -> list[str]:
    """Return the names of the units."""
    return [f"{video:06d}/v0" for video in range(count)]


def make_project(folder: Path) -> Path:
    """Create a folder with the DVC config that the scratch store needs."""
    (folder / ".dvc").mkdir(parents=True)
    (folder / ".dvc" / "config").write_text("[cache]\n    type = hardlink\n", encoding="utf-8")
    return folder


def build_units(
    project: Path,
    count: int,
    *,
    engine: Literal["local", "ray"] = "local",
    workers: int = 1,
    part: str = "",
) -> BuildSummary:
    """Build the units with an engine.

    Args:
        project: Result of ``make_project``.
        count: Number of units.
        engine: ``local`` or ``ray``.
        workers: Number of worker processes.
        part: Slice ``i/n``, which publishes nothing; empty for all units.
    """
    return build(
        Plan(
            stage="second",
            modules=[],
            out=project / "data/second",
            listing=project / "data/units/second.json",
            kind="flow",
            units=[
                Unit(name, hashlib.sha256(name.encode()).hexdigest(), int(2 * np.prod(SHAPE)))
                for name in names_of(count)
            ],
            make_task=make_task,
            run=RunOptions(engine=engine, workers=workers, part=parse_part(part) if part else None),
        )
    )
