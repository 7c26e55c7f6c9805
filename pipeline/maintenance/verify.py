"""Is every out still what it was when it was made? Bytes against dvc.lock, digests, receipts, crc.

A file of an out is one inode under three names: in the workspace, in DVC's cache and in the
unit's folder in scratch. A write into one of them, which root can do in spite of mode 0444, is
therefore a write into all, and DVC does not look: it believes a write-protected object.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pipeline.base.dvc_files import FOLDER, LockedStage, files_of, object_path
from pipeline.store.reader import DIGESTS, Store
from pipeline.units.receipts import FILES, FileRecord, Receipt, read_receipt
from pipeline.units.scratch import Scratch

State = Literal["whole", "damaged", "absent", "not committed"]
UNITS = "data/units"
"""Folder of the outs that list units."""

_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that is not what it was."""

    file: str
    """Path relative to the project."""
    unit: str
    """Unit that the file belongs to; '' if none."""
    what: str


@dataclass(frozen=True, slots=True)
class OutReport:
    """What the check of one out found."""

    out: str
    """Path relative to the project."""
    stage: str
    state: State
    """``absent``: not in the workspace; ``not committed``: newer than dvc.lock, as after a kill
    between a stage and DVC's own bookkeeping. Both are for ``dvc repro`` to settle."""
    files: int
    bytes: int
    faults: tuple[Fault, ...]


class Hashes:
    """md5 and sha256 of files, each inode read once."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, int], tuple[str, str]] = {}

    def of(self, path: Path) -> tuple[str, str]:
        """Return md5 and sha256 of a file's bytes."""
        status = path.stat()
        inode = status.st_dev, status.st_ino
        if inode not in self._known:
            both = hashlib.md5(usedforsecurity=False), hashlib.sha256()
            with path.open("rb") as file:
                while block := file.read(_BLOCK):
                    for one in both:
                        one.update(block)
            self._known[inode] = both[0].hexdigest(), both[1].hexdigest()
        return self._known[inode]


@dataclass(frozen=True, slots=True)
class ListedUnit:
    """A unit as the list of its out has it."""

    name: str
    key: str
    digest: str
    files: tuple[str, ...]
    """Paths below the out."""


def read_units(listing: Path) -> dict[str, ListedUnit]:
    """Return the units that a listing names; none if it is absent or malformed."""
    try:
        content: dict[str, dict[str, Any]] = json.loads(listing.read_bytes())
        return {
            name: ListedUnit(name, unit["key"], unit["digest"], tuple(unit["files"]))
            for name, unit in content.items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def listing_of(outs: Iterable[str]) -> str | None:
    """Return that of a stage's outs which lists the units of another one."""
    return next((out for out in outs if out.startswith(f"{UNITS}/")), None)


def _out_of_units(stage: LockedStage) -> str | None:
    """Return the out of a stage that its units were put together to: its folder, if it has one."""
    others = sorted(out for out in stage.outs if out != listing_of(stage.outs))
    folders = [out for out in others if stage.outs[out].endswith(FOLDER)]
    return next(iter(folders or others), None)


def is_newer(scratch: Scratch, stage: LockedStage, hashes: Hashes) -> bool:
    """Tell whether a stage was published after dvc.lock was written.

    Its list of units then has other bytes and is no link to what DVC keeps. A list that was written
    into, however, still is that link.
    """
    listing = listing_of(stage.outs)
    if listing is None or not (scratch.project / listing).is_file():
        return False
    path = scratch.project / listing
    kept = object_path(scratch.cache, stage.outs[listing])
    same = kept.is_file() and kept.samefile(path)
    return not same and hashes.of(path)[0] != stage.outs[listing] and bool(read_units(path))


def check_stage(scratch: Scratch, stage: LockedStage, hashes: Hashes) -> list[OutReport]:
    """Compare the outs of a stage with everything that was written down about them.

    Args:
        scratch: The scratch store.
        stage: The stage, from ``dvc.lock`` or a ``.dvc`` file.
        hashes: Hashes that are known already.

    Returns:
        A report for each of its outs.
    """
    listing = listing_of(stage.outs)
    units = read_units(scratch.project / listing) if listing else {}
    newer = is_newer(scratch, stage, hashes)
    owner = _out_of_units(stage)
    return [
        _check_out(scratch, stage, out, units if out == owner else {}, newer, hashes)
        for out in sorted(stage.outs)
    ]


def _check_out(
    scratch: Scratch,
    stage: LockedStage,
    out: str,
    units: Mapping[str, ListedUnit],
    newer: bool,
    hashes: Hashes,
) -> OutReport:
    place = scratch.project / out
    owners = {file: unit.name for unit in units.values() for file in unit.files}
    found = {} if newer else _compare(scratch, stage.outs[out], place, hashes)
    faults = [Fault(_join(out, file), owners.get(file, ""), what) for file, what in found.items()]
    faults += [
        Fault(out, name, what) for name, what in _check_units(scratch, stage, place, units, hashes)
    ]
    files = [path for path in paths_of(place) if path.is_file()]
    state: State = "not committed" if newer else "whole" if place.exists() else "absent"
    return OutReport(
        out,
        stage.name,
        "damaged" if faults else state,
        len(files),
        sum(path.stat().st_size for path in files),
        tuple(faults),
    )


def _compare(scratch: Scratch, digest: str, place: Path, hashes: Hashes) -> dict[str, str]:
    """Return what is wrong with the files of an out, by path, against dvc.lock."""
    expected = files_of(scratch.cache, digest)
    if expected is None:
        # In a clone that has pulled nothing both are absent, and nothing is wrong.
        there = place.exists() or object_path(scratch.cache, digest).exists()
        return {"": "DVC's cache lacks the list of its files, or it was changed"} if there else {}
    faults = {}
    for file, wanted in expected.items():
        kept = object_path(scratch.cache, wanted)
        if kept.is_file() and hashes.of(kept)[0] != wanted:
            faults[file] = "its object in DVC's cache has other bytes than dvc.lock says"
        path = place / file if file else place
        if place.exists() and not path.is_file():
            faults[file] = "missing"
        elif place.exists() and hashes.of(path)[0] != wanted:
            faults[file] = "other bytes than dvc.lock says"
    for path in paths_of(place) if digest.endswith(FOLDER) else ():
        if path.relative_to(place).as_posix() not in expected:
            faults[path.relative_to(place).as_posix()] = "does not belong here"
    return faults


def _check_units(
    scratch: Scratch,
    stage: LockedStage,
    place: Path,
    units: Mapping[str, ListedUnit],
    hashes: Hashes,
) -> Iterator[tuple[str, str]]:
    """Yield unit and fault for all that is wrong with units: scratch, digests, checksums."""
    for unit in units.values():
        folder = scratch.unit_folder(stage.name.partition("@")[0], unit.key)
        if bad := damaged_file(folder, hashes):
            yield unit.name, f"{bad} in scratch has other bytes than its receipt says"
        if place.is_dir() and _digest(place, unit, hashes) not in (None, unit.digest):
            yield unit.name, "other bytes than its listed digest"
    if (place / DIGESTS).is_file():
        yield from _check_store(place, units)


def damaged_file(folder: Path, hashes: Hashes) -> str | None:
    """Return a file of a unit in scratch that is not what the unit's receipt says.

    Args:
        folder: The unit's folder.
        hashes: Hashes that are known already.

    Returns:
        Path below the unit's files; nothing if all are right, or the unit is not there.
    """
    receipt = read_receipt(folder)
    for file, record in receipt.files.items() if receipt else ():
        path = folder / FILES / file
        if not path.is_file() or hashes.of(path)[1] != record.sha256:
            return file
    return None


def _digest(place: Path, unit: ListedUnit, hashes: Hashes) -> str | None:
    """Return the digest of a unit's files in an out; nothing if they cannot be told.

    Files that a stage merges from several units (detect's table) belong to none of them.
    """
    start = unit.name + "/"
    files = {file.removeprefix(start): place / file for file in unit.files}
    if not all(path.is_file() for path in files.values()):
        return None
    records = {
        name: FileRecord(hashes.of(path)[1], 0, 0, 0) for name, path in sorted(files.items())
    }
    return Receipt(unit.name, records).digest


def _check_store(place: Path, units: Mapping[str, ListedUnit]) -> Iterator[tuple[str, str]]:
    """Yield the faults that the store's own reader finds: structure, and crc32c of every row."""
    try:
        kind = json.loads((place / "zarr.json").read_bytes())["attributes"]["kind"]
        store = Store(place, kind)
    except (OSError, ValueError, KeyError, TypeError) as error:
        yield "", str(error)
        return
    for name, digest in store.digests.items():
        if units and (name not in units or units[name].digest != digest):
            yield name, f"{DIGESTS} and the list of units disagree"
        try:
            store.verify(name)
        except ValueError as error:
            yield name, str(error)
    store.close()


def paths_of(place: Path) -> list[Path]:
    """Return everything but folders below an out, or the out itself."""
    if place.is_dir():
        return sorted(path for path in place.rglob("*") if path.is_symlink() or not path.is_dir())
    return [place]


def _join(out: str, file: str) -> str:
    return f"{out}/{file}" if file else out
