"""The plan of a stage: its outs, and the units that they consist of.

Each stage with units has a function ``plan`` with the parameters of its command; the command builds
the plan that it returns. Other commands read plans to learn keys without computing anything.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from pipeline.core.units.key import Unit
from pipeline.core.units.options import MakeTask, RunOptions

UnitFolders = Mapping[str, Path]
"""Folder with the files of every unit, by the unit's name, sorted by name."""


@dataclass(frozen=True, slots=True)
class SingleFile:
    """How units are stored in an out that is one file."""

    merge: Callable[[UnitFolders, Path], None]
    """Writes the out from the files of all units."""
    cut: Callable[[Path, str, Path], None]
    """Writes the files of one unit, from the out and the unit's name, into a folder."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a stage makes."""

    stage: str
    """Name of the stage."""
    modules: Sequence[str]
    """Modules whose code the keys digest; a package means all of its modules."""
    out: Path
    """Folder or file that the stage publishes, replaced as a whole."""
    listing: Path
    """The stage's second out, ``data/units/<stage>/<name>.json``: key and digest of each unit."""
    units: Sequence[Unit]
    """All units of the out."""
    make_task: MakeTask
    """Makes the task, in each process that computes."""
    run: RunOptions
    """Engine, workers, threads, slice."""
    kind: str | None = None
    """Kind of store that the out is; ``None`` if it is no store."""
    single_file: SingleFile | None = None
    """``None`` if the out is a folder of the units' files."""
    finish: Callable[[Path], None] | None = None
    """Adds the stage's own files, such as a table, to the new out before it is published. It may
    not write into files that are there."""
    further: Mapping[Path, Callable[[UnitFolders, Path], None]] = field(default_factory=dict)
    """Writers of the further outs of the stage, by the out's path. A writer gets the files of all
    units and the path to write to."""


def no_task() -> NoReturn:
    """Stand in for the task of a plan without units.

    Raises:
        RuntimeError: Always.
    """
    raise RuntimeError("a plan without units needs no task")
