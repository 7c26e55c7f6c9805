"""What in scratch nobody needs any more: old units that are linked from nowhere else, and the rest.

A unit that is published has links in the workspace and in DVC's cache, and takes no space of its
own. One that has none was replaced: by other params, another video, another experiment.
"""

import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipeline.training.run_folder import CHECKPOINT, FINISHED
from pipeline.units.receipts import FILES
from pipeline.units.receipts import NAME as RECEIPT
from pipeline.units.scratch import RESERVED, Scratch

DAY = 24 * 3600.0
Kind = Literal["unit", "checkpoint", "leftover"]


@dataclass(frozen=True, slots=True)
class Removable:
    """A folder of scratch that may go."""

    stage: str
    name: str
    """Key of the unit or of the run; of a leftover its own name."""
    kind: Kind
    """``checkpoint`` of a finished run; ``leftover`` of a publication that was killed."""
    folder: Path
    bytes: int


def find_removable(scratch: Scratch, older_than: float, now: float) -> list[Removable]:
    """Return what may go, sorted by stage.

    Args:
        scratch: The scratch store.
        older_than: Seconds for which a unit was neither computed nor published.
        now: The time, seconds since the epoch.
    """
    found = []
    for stage, folder in _folders(scratch):
        kind = _kind(folder, older_than, now)
        if kind is not None:
            found.append(Removable(stage, folder.name, kind, folder, _own_bytes(folder)))
    leftovers = sorted(scratch.assembly.iterdir()) if scratch.assembly.is_dir() else []
    return found + [
        Removable("publish", folder.name, "leftover", folder, _own_bytes(folder))
        for folder in leftovers
    ]


def remove(scratch: Scratch, found: Removable, older_than: float) -> bool:
    """Remove a folder unless somebody has come to need it; tell whether it went.

    Args:
        scratch: The scratch store.
        found: From ``find_removable``.
        older_than: As it was given there.
    """
    lock = found.name if found.kind == "leftover" else f"{found.stage}-{found.name}"
    with scratch.lock(lock):
        leftover = found.kind == "leftover"
        if not leftover and _kind(found.folder, older_than, time.time()) is None:
            return False
        shutil.rmtree(found.folder, ignore_errors=True)
    return True


def _folders(scratch: Scratch) -> Iterator[tuple[str, Path]]:
    """Yield the stage and the folder of every unit and run."""
    for stage in sorted(scratch.folder.iterdir()) if scratch.folder.is_dir() else ():
        if stage.is_dir() and stage.name not in RESERVED:
            for folder in sorted(stage.iterdir()):
                if folder.is_dir():
                    yield stage.name, folder


def _kind(folder: Path, older_than: float, now: float) -> Kind | None:
    """Return what a folder is, if it may go."""
    if (folder / FINISHED).is_file():
        return "checkpoint"
    if (folder / CHECKPOINT).is_file() or not folder.is_dir():
        return None
    # A published unit is marked by its receipt's time; without one, an attempt was interrupted.
    receipt = folder / RECEIPT
    last = (receipt if receipt.is_file() else folder).stat().st_mtime
    linked = any(path.stat().st_nlink > 1 for path in (folder / FILES).rglob("*") if path.is_file())
    return None if linked or now - last < older_than else "unit"


def _own_bytes(folder: Path) -> int:
    """Return the bytes that removing a folder frees."""
    looks = (path.stat() for path in folder.rglob("*") if path.is_file())
    return sum(look.st_size for look in looks if look.st_nlink == 1)
