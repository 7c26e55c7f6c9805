"""Units from DVC's cache: what an earlier run published need not be computed in a fresh clone.

``dvc.lock`` names the objects of the out and of its listing as they were last published; the
listing says which files belong to each unit, and their digest.
"""

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.core.dvc_files import (
    FOLDER,
    files_of,
    md5,
    object_path,
    read_lock,
    read_object,
)
from pipeline.core.units.key import Unit
from pipeline.core.units.plan import Plan
from pipeline.core.units.receipts import FILES, RECEIPT, read_receipt, seal
from pipeline.core.units.scratch import Scratch

_Fetch = Callable[[Unit, Mapping[str, Any], Path], None]
"""Puts the files of a unit, as the listing has it, into an empty folder."""


def restore_units(scratch: Scratch, plan: Plan, units: Sequence[Unit]) -> list[str]:
    """Take units from the objects of DVC's cache into scratch.

    A unit is restored only if the listing has its very key, all of its objects are in the cache
    and their content has the listed digest.

    Args:
        scratch: The scratch store.
        plan: The plan of the stage.
        units: Units of the plan that scratch lacks.

    Returns:
        Names of the units that were restored.
    """
    if not units:
        return []
    digest, listed = _locked_hashes(scratch, plan.out, plan.listing)
    known = read_object(scratch.cache, listed)
    fetch = _fetch_from(scratch, plan, digest)
    if not isinstance(known, dict) or fetch is None:
        return []
    restored = []
    for unit in units:
        entry = known.get(unit.name)
        if isinstance(entry, dict) and entry.get("key") == unit.key:
            with scratch.lock(f"{plan.stage}-{unit.key}"):
                if _restore(scratch.unit_folder(plan.stage, unit.key), unit, entry, fetch):
                    restored.append(unit.name)
    return restored


def drop_damaged_objects(scratch: Scratch, folder: Path) -> list[Path]:
    """Remove objects of DVC's cache that should hold a unit's files but hold something else.

    DVC trusts an object that is write-protected, and would link a damaged one into the next out.

    Args:
        scratch: The scratch store.
        folder: Folder of a complete unit, computed again after a file of it was found changed.

    Returns:
        The objects that were removed.
    """
    receipt = read_receipt(folder)
    removed = []
    for file in receipt.files if receipt else ():
        digest = md5((folder / FILES / file).read_bytes())
        path = object_path(scratch.cache, digest)
        if path.is_file() and md5(path.read_bytes()) != digest:
            path.unlink()
            removed.append(path)
    return removed


def _fetch_from(scratch: Scratch, plan: Plan, digest: str) -> _Fetch | None:
    """Return what fetches units from the objects of an out; nothing if these are incomplete."""
    if plan.single_file is not None:
        path = object_path(scratch.cache, digest)
        if not path.is_file() or md5(path.read_bytes()) != digest:
            return None
        return partial(_cut, plan.single_file.cut, path)
    paths = files_of(scratch.cache, digest) if digest.endswith(FOLDER) else None
    return None if paths is None else partial(_link, scratch, paths)


def _cut(
    cut: Callable[[Path, str, Path], None],
    out: Path,
    unit: Unit,
    _entry: Mapping[str, Any],
    folder: Path,
) -> None:
    cut(out, unit.name, folder)


def _link(
    scratch: Scratch, paths: Mapping[str, str], unit: Unit, entry: Mapping[str, Any], folder: Path
) -> None:
    place = unit.name if unit.place is None else unit.place
    for file in entry["files"]:
        target = folder / Path(file).relative_to(place)
        if ".." in target.parts:
            raise ValueError(f"{file}: leads out of the unit")
        target.parent.mkdir(parents=True, exist_ok=True)
        os.link(object_path(scratch.cache, paths[file]), target)


def _restore(folder: Path, unit: Unit, entry: Mapping[str, Any], fetch: _Fetch) -> bool:
    if read_receipt(folder) is not None:
        return True
    shutil.rmtree(folder / FILES, ignore_errors=True)
    (folder / FILES).mkdir(parents=True)
    try:
        fetch(unit, entry, folder / FILES)
        if seal(folder, unit.name).digest == entry.get("digest"):
            return True
    except (OSError, KeyError, TypeError, ValueError):
        # The objects were not pulled, or are damaged: the unit is computed.
        pass
    # The checkpoints of an interrupted training, which are in the same folder, stay.
    (folder / RECEIPT).unlink(missing_ok=True)
    shutil.rmtree(folder / FILES)
    with suppress(OSError):
        folder.rmdir()
    return False


def _locked_hashes(scratch: Scratch, *outs: Path) -> list[str]:
    """Return the hash that dvc.lock has for each out; '' where it has none."""
    try:
        stages = read_lock(scratch.project)
    except ValueError:
        stages = []  # A damaged file is reported by DVC; without it, units are computed.
    locked = {path: digest for stage in stages for path, digest in stage.outs.items()}
    paths = [os.path.relpath(out.absolute(), scratch.project) for out in outs]
    return [locked.get(Path(path).as_posix(), "") for path in paths]
