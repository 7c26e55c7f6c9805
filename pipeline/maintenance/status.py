"""Progress of every stage: published outputs, finished units, last errors, disk use."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipeline.core.dvc_files import read_lock
from pipeline.core.publishing.last_build import LastBuild, read_last_builds
from pipeline.core.units.attempts import Attempts
from pipeline.core.units.entry_log import read_entries
from pipeline.core.units.receipts import read_receipt
from pipeline.core.units.scratch import RESERVED, Scratch
from pipeline.maintenance.dag import DagStage
from pipeline.maintenance.verify import listing_of, read_units
from pipeline.training.run_folder import TIMINGS

State = Literal["done", "open", "failed"]


@dataclass(frozen=True, slots=True)
class StageStatus:
    """Progress of one stage."""

    name: str
    state: State
    """``done``: published and in dvc.lock, with the units of its last build. Whether params or
    inputs have changed since then, ``dvc status`` shows."""
    done: int
    """Number of finished units."""
    total: int | None
    """Number of units of its output; None if it has no units or was never started."""
    bytes: int
    """Size of its outputs in the workspace."""
    error: str
    """Last error of a missing unit; '' if there was none."""


@dataclass(frozen=True, slots=True)
class OpenRun:
    """An unfinished training run."""

    stage: str
    key: str
    steps: int
    """Number of steps until the last checkpoint."""


@dataclass(frozen=True, slots=True)
class Disk:
    """Bytes on the file system of DVC's cache."""

    outs: int
    cache: int
    scratch: int
    """Files in scratch without links in the workspace or in DVC's cache."""
    free: int


def stage_status(scratch: Scratch, dag: list[DagStage]) -> list[StageStatus]:
    """Return the progress of each stage of the DAG."""
    builds, locked = read_last_builds(scratch), {stage.name for stage in read_lock(scratch.project)}
    errors = {
        entry["key"]: f"{entry['unit']}: {entry['reason']}"
        for entry in read_entries(scratch.failures)
        if {"key", "unit", "reason"} <= entry.keys()
    }
    return [_status_of(scratch, stage, builds, stage.name in locked, errors) for stage in dag]


def _status_of(
    scratch: Scratch,
    stage: DagStage,
    builds: Mapping[str, LastBuild],
    locked: bool,
    errors: Mapping[str, str],
) -> StageStatus:
    project = scratch.project
    listing = listing_of(stage.outs)
    listed = {u.name: u.key for u in read_units(project / listing).values()} if listing else {}
    last = next((builds[out] for out in stage.outs if out in builds), None)
    wanted = last.units if last is not None else listed
    exists = all((project / out).exists() for out in stage.outs)
    missing = {} if exists and wanted == listed else _missing(scratch, stage.stage, wanted)
    error = next((errors[key] for key in missing.values() if key in errors), "")
    error = error or _running_error(scratch, stage.stage, missing)
    done = exists and locked and wanted == listed
    known = listing is not None and (last is not None or (project / listing).is_file())
    return StageStatus(
        stage.name,
        "done" if done else "failed" if error else "open",
        len(wanted) - len(missing),
        len(wanted) if known else None,
        sum(bytes_below(project / out) for out in stage.outs),
        error,
    )


def _missing(scratch: Scratch, stage: str, units: Mapping[str, str]) -> dict[str, str]:
    """Return the units without a finished folder in scratch."""
    folders = {name: scratch.unit_folder(stage, key) for name, key in units.items()}
    return {name: units[name] for name, folder in folders.items() if read_receipt(folder) is None}


def _running_error(scratch: Scratch, stage: str, missing: Mapping[str, str]) -> str:
    """Return the last error of a unit that will be tried again; '' if there was none."""
    for name, key in missing.items():
        if failures := Attempts(scratch.unit_folder(stage, key)).failures:
            return f"{name}: {failures[-1]}"
    return ""


def open_runs(scratch: Scratch) -> list[OpenRun]:
    """Return the training runs in scratch that are not published yet."""
    runs = []
    for file in sorted(scratch.folder.glob(f"*/*/{TIMINGS}")):
        folder = file.parent
        if folder.parent.name not in RESERVED and not _is_finished(folder):
            last = file.read_text(encoding="utf-8").rstrip("\n").rpartition("\n")[2]
            step = last.partition(",")[0]
            steps = int(step) if step.isdecimal() else 0
            runs.append(OpenRun(folder.parent.name, folder.name, steps))
    return runs


def _is_finished(folder: Path) -> bool:
    return read_receipt(folder) is not None


def disk_use(scratch: Scratch, outs: int, free: int) -> Disk:
    """Return the disk use of the project.

    Args:
        scratch: The scratch store.
        outs: Bytes of all outputs.
        free: Free bytes on the file system.
    """
    objects = scratch.cache / "files"
    own = sum(
        path.stat().st_size
        for path in scratch.folder.rglob("*")
        if path.is_file() and path.stat().st_nlink == 1
    )
    return Disk(outs, bytes_below(objects), own, free)


def bytes_below(path: Path) -> int:
    """Return the size of a file, or of all files below a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file())
