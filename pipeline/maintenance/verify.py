"""Check outputs for damage: compare their content with dvc.lock, digests, receipts and checksums.

A file of an output is one inode with three hard links: in the workspace, in DVC's cache and in the
unit's folder in scratch. A write to one of them, which root can do despite mode 0444, changes all
three. DVC does not notice, because it trusts write-protected objects.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pipeline.core.dvc_files import FOLDER, LockedStage, files_of, object_path
from pipeline.core.store.reader import DIGESTS, Store
from pipeline.core.units.receipts import FILES, FileRecord, Receipt, read_receipt
from pipeline.core.units.scratch import Scratch

State = Literal["intact", "damaged", "absent", "not committed"]
UNITS = "data/units"
"""Folder of the outputs that list units."""

_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Fault:
    """One difference from the recorded content."""

    file: str
    """Path relative to the project."""
    unit: str
    """Unit of the file; '' if it belongs to none."""
    what: str


@dataclass(frozen=True, slots=True)
class OutReport:
    """Result of the check of one output."""

    out: str
    """Path relative to the project."""
    stage: str
    state: State
    """``absent``: not in the workspace; ``not committed``: newer than dvc.lock, for example after
    a kill between the end of a stage and DVC's commit. ``dvc repro`` resolves both."""
    files: int
    bytes: int
    faults: tuple[Fault, ...]


class Hashes:
    """MD5 and SHA-256 of files; every inode is read once."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, int], tuple[str, str]] = {}

    def of(self, path: Path) -> tuple[str, str]:
        """Return the MD5 and the SHA-256 of a file."""
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
    """A unit in the list of an output."""

    name: str
    key: str
    digest: str
    files: tuple[str, ...]
    """Paths below the output."""


def read_units(listing: Path) -> dict[str, ListedUnit]:
    """Return the units of a listing; none if it is missing or malformed."""
    try:
        content: dict[str, dict[str, Any]] = json.loads(listing.read_bytes())
        return {
            name: ListedUnit(name, unit["key"], unit["digest"], tuple(unit["files"]))
            for name, unit in content.items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def listing_of(outs: Iterable[str]) -> str | None:
    """Return the output of a stage that lists the units of another output."""
    return next((out for out in outs if out.startswith(f"{UNITS}/")), None)


def _out_of_units(stage: LockedStage) -> str | None:
    """Return the output that consists of the units: the folder, if the stage has one."""
    others = sorted(out for out in stage.outs if out != listing_of(stage.outs))
    folders = [out for out in others if stage.outs[out].endswith(FOLDER)]
    return next(iter(folders or others), None)


def is_newer(scratch: Scratch, stage: LockedStage, hashes: Hashes) -> bool:
    """Return whether a stage was published after dvc.lock was written.

    Its list of units then differs from dvc.lock and is not a link to an object of DVC's cache. A
    list that was damaged by a write is still such a link.
    """
    listing = listing_of(stage.outs)
    if listing is None or not (scratch.project / listing).is_file():
        return False
    path = scratch.project / listing
    kept = object_path(scratch.cache, stage.outs[listing])
    same = kept.is_file() and kept.samefile(path)
    return not same and hashes.of(path)[0] != stage.outs[listing] and bool(read_units(path))


def check_stage(scratch: Scratch, stage: LockedStage, hashes: Hashes) -> list[OutReport]:
    """Compare the outputs of a stage with all records of their content.

    Args:
        scratch: The scratch store.
        stage: The stage, from ``dvc.lock`` or a ``.dvc`` file.
        hashes: Hashes of files that were read before.

    Returns:
        One report per output.
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
    state: State = "not committed" if newer else "intact" if place.exists() else "absent"
    return OutReport(
        out,
        stage.name,
        "damaged" if faults else state,
        len(files),
        sum(path.stat().st_size for path in files),
        tuple(faults),
    )


def _compare(scratch: Scratch, digest: str, place: Path, hashes: Hashes) -> dict[str, str]:
    """Return the differences of an output from dvc.lock, by file."""
    expected = files_of(scratch.cache, digest)
    if expected is None:
        # In a clone before `dvc pull` both are absent, which is no fault.
        exists = place.exists() or object_path(scratch.cache, digest).exists()
        return {"": "the list of its files in DVC's cache is missing or damaged"} if exists else {}
    faults = {}
    for file, wanted in expected.items():
        kept = object_path(scratch.cache, wanted)
        if kept.is_file() and hashes.of(kept)[0] != wanted:
            faults[file] = "its object in DVC's cache differs from dvc.lock"
        path = place / file if file else place
        if place.exists() and not path.is_file():
            faults[file] = "missing"
        elif place.exists() and hashes.of(path)[0] != wanted:
            faults[file] = "differs from dvc.lock"
    for path in paths_of(place) if digest.endswith(FOLDER) and place.exists() else ():
        if path.relative_to(place).as_posix() not in expected:
            faults[path.relative_to(place).as_posix()] = "is not in dvc.lock"
    return faults


def _check_units(
    scratch: Scratch,
    stage: LockedStage,
    place: Path,
    units: Mapping[str, ListedUnit],
    hashes: Hashes,
) -> Iterator[tuple[str, str]]:
    """Yield unit and fault for every difference in scratch, digests and checksums."""
    for unit in units.values():
        folder = scratch.unit_folder(stage.name.partition("@")[0], unit.key)
        if bad := damaged_file(folder, hashes):
            yield unit.name, f"{bad} in scratch differs from its receipt"
        if place.is_dir() and _digest(place, unit, hashes) not in (None, unit.digest):
            yield unit.name, "differs from its listed digest"
    if (place / DIGESTS).is_file():
        yield from _check_store(place, units)


def damaged_file(folder: Path, hashes: Hashes) -> str | None:
    """Return a file of a unit in scratch that differs from the receipt of the unit.

    Args:
        folder: The unit's folder.
        hashes: Hashes of files that were read before.

    Returns:
        Path below the files of the unit; None if all files are intact or the unit does not exist.
    """
    receipt = read_receipt(folder)
    for file, record in receipt.files.items() if receipt else ():
        path = folder / FILES / file
        if not path.is_file() or hashes.of(path)[1] != record.sha256:
            return file
    return None


def _digest(place: Path, unit: ListedUnit, hashes: Hashes) -> str | None:
    """Return the digest of the files of a unit in an output; None if a file is missing.

    A file that a stage merges from several units, such as the table of detect, has no unit.
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
    """Yield the faults that the reader of the store finds: structure, and CRC-32C of every row."""
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
    """Return all files and links below an output, or the output itself."""
    if place.is_dir():
        return sorted(path for path in place.rglob("*") if path.is_symlink() or not path.is_dir())
    return [place]


def _join(out: str, file: str) -> str:
    return f"{out}/{file}" if file else out
