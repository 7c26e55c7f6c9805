"""How far every stage has come: what is published, what scratch holds, what failed last."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipeline.base.dvc_files import read_lock
from pipeline.maintenance.dag import DagStage
from pipeline.maintenance.verify import listing_of, read_units
from pipeline.publishing.last_build import Begun, read_begun
from pipeline.training.run_folder import FINISHED, TIMINGS
from pipeline.units.attempts import Attempts
from pipeline.units.entry_log import read_entries
from pipeline.units.receipts import read_receipt
from pipeline.units.scratch import RESERVED, Scratch

State = Literal["done", "open", "failed"]


@dataclass(frozen=True, slots=True)
class Standing:
    """How far one stage has come."""

    name: str
    state: State
    """``done``: published and in dvc.lock, with the units of its last build; whether params or
    inputs have changed since is for ``dvc status`` to say."""
    done: int
    """Units that are whole."""
    total: int | None
    """Units of its out; nothing if it has none, or was never begun."""
    bytes: int
    """Size of its outs in the workspace."""
    error: str
    """Why a unit that is still missing failed last; '' if none did."""


@dataclass(frozen=True, slots=True)
class OpenRun:
    """A training run that has not ended."""

    stage: str
    key: str
    steps: int
    """Steps up to the last checkpoint."""


@dataclass(frozen=True, slots=True)
class Disk:
    """Bytes on the file system of DVC's cache."""

    outs: int
    cache: int
    scratch: int
    """Of scratch alone: what is linked from workspace or cache counts there."""
    free: int


def stand(scratch: Scratch, dag: list[DagStage]) -> list[Standing]:
    """Return how far each stage of the DAG has come."""
    begun, locked = read_begun(scratch), {stage.name for stage in read_lock(scratch.project)}
    errors = {
        entry["key"]: f"{entry['unit']}: {entry['reason']}"
        for entry in read_entries(scratch.failures)
        if {"key", "unit", "reason"} <= entry.keys()
    }
    return [_stand(scratch, stage, begun, stage.name in locked, errors) for stage in dag]


def _stand(
    scratch: Scratch,
    stage: DagStage,
    begun: Mapping[str, Begun],
    locked: bool,
    errors: Mapping[str, str],
) -> Standing:
    project = scratch.project
    listing = listing_of(stage.outs)
    listed = {u.name: u.key for u in read_units(project / listing).values()} if listing else {}
    last = next((begun[out] for out in stage.outs if out in begun), None)
    wanted = last.units if last is not None else listed
    there = all((project / out).exists() for out in stage.outs)
    missing = {} if there and wanted == listed else _missing(scratch, stage.stage, wanted)
    error = next((errors[key] for key in missing.values() if key in errors), "")
    error = error or _running_error(scratch, stage.stage, missing)
    done = there and locked and wanted == listed
    known = listing is not None and (last is not None or (project / listing).is_file())
    return Standing(
        stage.name,
        "done" if done else "failed" if error else "open",
        len(wanted) - len(missing),
        len(wanted) if known else None,
        sum(bytes_below(project / out) for out in stage.outs),
        error,
    )


def _missing(scratch: Scratch, stage: str, units: Mapping[str, str]) -> dict[str, str]:
    """Return the units that scratch does not have whole."""
    folders = {name: scratch.unit_folder(stage, key) for name, key in units.items()}
    return {name: units[name] for name, place in folders.items() if read_receipt(place) is None}


def _running_error(scratch: Scratch, stage: str, missing: Mapping[str, str]) -> str:
    """Return why an attempt at a unit that is not given up yet failed last; '' if none did."""
    for name, key in missing.items():
        if failures := Attempts(scratch.unit_folder(stage, key)).failures:
            return f"{name}: {failures[-1]}"
    return ""


def open_runs(scratch: Scratch) -> list[OpenRun]:
    """Return the training runs in scratch that were not published yet."""
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
    return (folder / FINISHED).exists() or read_receipt(folder) is not None


def disk_use(scratch: Scratch, outs: int, free: int) -> Disk:
    """Return what the project takes on disk.

    Args:
        scratch: The scratch store.
        outs: Bytes of all outs.
        free: Free bytes of the file system.
    """
    objects = scratch.cache / "files"
    own = sum(
        path.stat().st_size
        for path in scratch.folder.rglob("*")
        if path.is_file() and path.stat().st_nlink == 1
    )
    return Disk(outs, bytes_below(objects), own, free)


def bytes_below(place: Path) -> int:
    """Return the size of a file, or of all files below a folder."""
    files = place.rglob("*") if place.is_dir() else [place]
    return sum(path.stat().st_size for path in files if path.is_file())
