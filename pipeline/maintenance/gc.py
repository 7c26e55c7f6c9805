"""What in scratch is no longer needed: old units without links, checkpoints of finished runs.

A published unit has links in the workspace and in DVC's cache, and takes no space of its own. A
unit without links was replaced: by other params, another video, another experiment.
"""

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipeline.core.units.receipts import FILES, RECEIPT
from pipeline.core.units.scratch import RESERVED, Scratch
from pipeline.maintenance.killed_experiments import left_copies
from pipeline.maintenance.live_commands import live_commands
from pipeline.training.run_folder import CHECKPOINT, RUN_FILES

DAY = 24 * 3600.0
Kind = Literal["unit", "checkpoint", "leftover", "experiment"]


@dataclass(frozen=True, slots=True)
class Removable:
    """Files of scratch that may be removed."""

    stage: str
    name: str
    """Key of the unit; name of a leftover."""
    kind: Kind
    """``checkpoint`` of a finished run, ``leftover`` of a publication that was killed, temporary
    copy of an ``experiment`` that was killed."""
    folder: Path
    bytes: int
    """Bytes that the removal frees."""


def find_removable(scratch: Scratch, older_than: float, now: float) -> list[Removable]:
    """Return what may be removed, sorted by stage.

    Args:
        scratch: The scratch store.
        older_than: Seconds for which a unit was neither computed nor published.
        now: The time, seconds since the epoch.
    """
    found = []
    for stage, folder in _folders(scratch):
        kind = _kind(folder, older_than, now)
        if kind is not None:
            found.append(Removable(stage, folder.name, kind, folder, _own_bytes(folder, kind)))
    leftovers = sorted(scratch.assembly.iterdir()) if scratch.assembly.is_dir() else []
    found += [
        Removable("publish", folder.name, "leftover", folder, _own_bytes(folder, "leftover"))
        for folder in leftovers
    ]
    copies = [] if live_commands(scratch.project) else left_copies(scratch.project)
    return found + [
        Removable("exp", folder.name, "experiment", folder, _own_bytes(folder, "experiment"))
        for folder in copies
    ]


def remove(scratch: Scratch, found: Removable, older_than: float) -> bool:
    """Remove files unless they are needed again; return whether they were removed.

    Args:
        scratch: The scratch store.
        found: From ``find_removable``.
        older_than: As for ``find_removable``.
    """
    if found.kind == "experiment":
        shutil.rmtree(found.folder, ignore_errors=True)
        return True
    lock = found.name if found.kind == "leftover" else f"{found.stage}-{found.name}"
    with scratch.lock(lock):
        if found.kind == "leftover":
            shutil.rmtree(found.folder, ignore_errors=True)
            return True
        if _kind(found.folder, older_than, time.time()) != found.kind:
            return False
        if found.kind == "unit":
            shutil.rmtree(found.folder, ignore_errors=True)
        else:
            for path in _paths(found.folder, found.kind):
                path.unlink(missing_ok=True)
    return True


def _folders(scratch: Scratch) -> Iterator[tuple[str, Path]]:
    """Yield stage and folder of every unit."""
    for stage in sorted(scratch.folder.iterdir()) if scratch.folder.is_dir() else ():
        if stage.is_dir() and stage.name not in RESERVED:
            for folder in sorted(stage.iterdir()):
                if folder.is_dir():
                    yield stage.name, folder


def _kind(folder: Path, older_than: float, now: float) -> Kind | None:
    """Return what may be removed of a folder, if anything."""
    if not folder.is_dir():
        return None
    receipt = folder / RECEIPT
    if not receipt.is_file() and (folder / CHECKPOINT).is_file():
        return None
    # Publication sets the time of the receipt; without a receipt an attempt was interrupted.
    last = (receipt if receipt.is_file() else folder).stat().st_mtime
    if now - last >= older_than and not _is_linked(folder / FILES):
        return "unit"
    return "checkpoint" if (folder / CHECKPOINT).is_file() else None


def _is_linked(files: Path) -> bool:
    return any(path.stat().st_nlink > 1 for path in files.rglob("*") if path.is_file())


def _paths(folder: Path, kind: Kind) -> list[Path]:
    if kind == "checkpoint":
        return [folder / name for name in RUN_FILES if (folder / name).is_file()]
    return [path for path in folder.rglob("*") if path.is_file()]


def _own_bytes(folder: Path, kind: Kind) -> int:
    looks = (path.stat() for path in _paths(folder, kind))
    return sum(look.st_size for look in looks if look.st_nlink == 1)
