"""Units from DVC's cache: what an earlier run published need not be computed in a fresh clone.

``dvc.lock`` names the objects of the out and of its listing as they were last published; the
listing says which files are whose, and their digest.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.receipts import FILES, Receipt, read_receipt, seal
from pipeline.scratch import Scratch
from pipeline.units import Unit


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
    hashes = _locked_outs(scratch.project / "dvc.lock")
    known = _read_object(scratch, hashes.get(_relative(scratch, listing)))
    objects = _read_object(scratch, hashes.get(_relative(scratch, out)))
    if not isinstance(known, dict) or not isinstance(objects, list):
        return []
    paths = {entry.get("relpath"): entry.get("md5") for entry in objects if isinstance(entry, dict)}
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
    digest = _locked_outs(scratch.project / "dvc.lock").get(_relative(scratch, out), "")
    path = _object_path(scratch, digest)
    return path if path.is_file() and _md5(path.read_bytes()) == digest else None


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
        digest = _md5((folder / FILES / file).read_bytes())
        path = _object_path(scratch, digest)
        if path.is_file() and _md5(path.read_bytes()) != digest:
            path.unlink()
            removed.append(path)
    return removed


def _restore(
    scratch: Scratch, folder: Path, unit: Unit, entry: dict[str, Any], paths: dict[Any, Any]
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
            os.link(_object_path(scratch, paths[file]), target)
        receipt: Receipt = seal(folder, unit.name)
    except (OSError, KeyError, TypeError, ValueError):
        # Not pulled, or not what it should be: the unit is computed.
        shutil.rmtree(folder, ignore_errors=True)
        return False
    if receipt.digest != entry.get("digest"):
        shutil.rmtree(folder)
        return False
    return True


def _relative(scratch: Scratch, path: Path) -> str:
    return Path(os.path.relpath(path.absolute(), scratch.project)).as_posix()


def _locked_outs(path: Path) -> dict[str, str]:
    """Return the hash of every out in a dvc.lock, by path; nothing if there is none to read."""
    try:
        content = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
        stages = content["stages"].values()
        return {out["path"]: out["md5"] for stage in stages for out in stage.get("outs", ())}
    except (OSError, YAMLError, KeyError, TypeError, AttributeError):
        return {}


def _object_path(scratch: Scratch, digest: str) -> Path:
    return scratch.cache / "files" / "md5" / digest[:2] / digest[2:]


def _read_object(scratch: Scratch, digest: str | None) -> object:
    """Return the JSON content of an object whose bytes are those that its name says."""
    try:
        content = _object_path(scratch, str(digest)).read_bytes()
        return json.loads(content) if _md5(content) == str(digest).partition(".")[0] else None
    except (OSError, ValueError):
        return None


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
