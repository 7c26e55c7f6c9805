"""Publishing: the units of a stage become its DVC out, by hardlinks, all at once."""

import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pipeline.base.atomic_file import write_file
from pipeline.store.reader import DIGESTS, group_attributes
from pipeline.store.shards import encode_json, group_metadata
from pipeline.units.key import Unit
from pipeline.units.parent import DvcParent
from pipeline.units.receipts import FILES, Receipt, mark_used
from pipeline.units.scratch import Scratch

Finish = Callable[[Path], None]
"""Adds a stage's own files to the assembled out; may not write into files that are there."""


def publish(
    scratch: Scratch,
    stage: str,
    out: Path,
    listing: Path,
    kind: str | None,
    units: Mapping[str, tuple[Unit, Receipt]],
    finish: Finish | None,
    parent: DvcParent,
) -> None:
    """Replace the out by the units, and the listing by theirs.

    The new out is put together in scratch and renamed, so that nobody ever sees half of it.

    Args:
        scratch: The scratch store.
        stage: The stage.
        out: The out's folder.
        listing: The stage's second out, a JSON file.
        kind: Kind of store, or nothing if the out is no store.
        units: Every unit of the out with its receipt, by name.
        finish: See ``Finish``.
        parent: Checked right before the out is replaced.

    Raises:
        ValueError: If two units have a file of the same name, or ``dvc`` was killed.
    """
    name = scratch.lock_of_out(out)
    with scratch.lock(name):
        assembled = scratch.assembly / name
        _remove(assembled)
        assembled.mkdir(parents=True)
        for unit, receipt in units.values():
            folder = scratch.unit_folder(stage, unit.key)
            place = unit.name if unit.place is None else unit.place
            _link_files(folder / FILES, receipt, assembled / place)
            mark_used(folder)
        if kind is not None:
            _write_groups(assembled, kind, {n: units[n][1].digest for n in sorted(units)})
        if finish is not None:
            finish(assembled)
        parent.refuse_orphan()
        _remove(out)
        assembled.rename(out)
        write_listing(listing, units)


def write_listing(path: Path, units: Mapping[str, tuple[Unit, Receipt]]) -> None:
    """Write a stage's second out: key, content digest and files of every unit.

    Args:
        path: ``data/units/<stage>/<name>.json``.
        units: Every unit of the out with its receipt, by name.
    """
    content: dict[str, object] = {}
    for name, (unit, receipt) in sorted(units.items()):
        place = name if unit.place is None else unit.place
        files = sorted((Path(place) / file).as_posix() for file in receipt.files)
        content[name] = {"key": unit.key, "digest": receipt.digest, "files": files}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, json.dumps(content, indent=1, sort_keys=True).encode() + b"\n")


def _link_files(source: Path, receipt: Receipt, target: Path) -> None:
    for file in receipt.files:
        place = target / file
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source / file, place)
        except FileExistsError as error:
            raise ValueError(
                f"unit {receipt.name!r}: another unit has a file {file} too; give them places "
                "of their own"
            ) from error


def _write_groups(root: Path, kind: str, digests: Mapping[str, str]) -> None:
    write_file(root / "zarr.json", encode_json(group_metadata(group_attributes(kind))))
    for video in sorted({name.partition("/")[0] for name in digests}):
        write_file(root / video / "zarr.json", encode_json(group_metadata({})))
    write_file(root / DIGESTS, json.dumps(digests, indent=1).encode() + b"\n")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def refuse_bad_names(units: Sequence[Unit]) -> None:
    """Check that names are unique and that no unit reaches outside the out.

    Raises:
        ValueError: If one does.
    """
    seen: set[str] = set()
    for unit in units:
        parts = [*unit.name.split("/"), *(unit.place or ".").split("/")]
        bad = {"", ".."} & set(parts) or any("\0" in part for part in parts)
        if bad or "." in unit.name.split("/") or unit.name in seen:
            raise ValueError(f"unit {unit.name!r}: expected a unique, relative name; rename it")
        seen.add(unit.name)
