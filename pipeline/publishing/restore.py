"""Units from DVC's cache: what an earlier run published need not be computed in a fresh clone.

``dvc.lock`` names the objects of the out and of its listing as they were last published; the
listing says which files are whose, and their digest.
"""

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.publishing.dvc_cache import (
    FOLDER,
    files_of,
    md5,
    object_path,
    read_lock,
    read_object,
)
from pipeline.units.key import Unit
from pipeline.units.receipts import FILES, Receipt, read_receipt, seal
from pipeline.units.scratch import Scratch


def restore_units(
    scratch: Scratch, stage: str, out: Path, listing: Path, units: Sequence[Unit]
) -> list[str]:
    """Link units from the objects of DVC's cache into scratch.

    A unit comes back only if the listing has its very key, all of its objects are in the cache
    and their content has the listed digest.

    Args:
        scratch: The scratch store.
        stage: The stage.
        out: The stage's out.
        listing: The stage's second out.
        units: Units that scratch lacks.

    Returns:
        Names of the units that came back.
    """
    if not units:
        return []
    digest, listed = _locked_hashes(scratch, out, listing)
    known = read_object(scratch.cache, listed)
    paths = files_of(scratch.cache, digest) if digest.endswith(FOLDER) else None
    if not isinstance(known, dict) or paths is None:
        return []
    restored = []
    for unit in units:
        entry = known.get(unit.name)
        if isinstance(entry, dict) and entry.get("key") == unit.key:
            with scratch.lock(f"{stage}-{unit.key}"):
                if _restore(scratch, scratch.unit_folder(stage, unit.key), unit, entry, paths):
                    restored.append(unit.name)
    return restored


def published_object(scratch: Scratch, out: Path) -> Path | None:
    """Return the object of DVC's cache that holds an out of one file as it was last published.

    Args:
        scratch: The scratch store.
        out: The out, a file.

    Returns:
        The object; nothing if ``dvc.lock`` has no such out, or the object is absent or damaged.
    """
    (digest,) = _locked_hashes(scratch, out)
    path = object_path(scratch.cache, digest)
    return path if path.is_file() and md5(path.read_bytes()) == digest else None


def drop_damaged_objects(scratch: Scratch, folder: Path) -> list[Path]:
    """Remove objects of DVC's cache that should hold a unit's files but hold something else.

    DVC trusts an object that is write-protected, and would link a damaged one into the next out.

    Args:
        scratch: The scratch store.
        folder: Folder of a whole unit, computed again after a file of it was found changed.

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


def _restore(
    scratch: Scratch, folder: Path, unit: Unit, entry: dict[str, Any], paths: Mapping[str, str]
) -> bool:
    if read_receipt(folder) is not None:
        return True
    place = unit.name if unit.place is None else unit.place
    shutil.rmtree(folder / FILES, ignore_errors=True)
    try:
        for file in entry["files"]:
            target = folder / FILES / Path(file).relative_to(place)
            if ".." in target.parts:
                return False
            target.parent.mkdir(parents=True, exist_ok=True)
            os.link(object_path(scratch.cache, paths[file]), target)
        receipt: Receipt = seal(folder, unit.name)
    except (OSError, KeyError, TypeError, ValueError):
        # Not pulled, or not what it should be: the unit is computed.
        shutil.rmtree(folder, ignore_errors=True)
        return False
    if receipt.digest != entry.get("digest"):
        shutil.rmtree(folder)
        return False
    return True


def _locked_hashes(scratch: Scratch, *outs: Path) -> list[str]:
    """Return the hash that dvc.lock has for each out; '' where it has none."""
    locked = {path: digest for s in read_lock(scratch.project) for path, digest in s.outs.items()}
    paths = [os.path.relpath(out.absolute(), scratch.project) for out in outs]
    return [locked.get(Path(path).as_posix(), "") for path in paths]
