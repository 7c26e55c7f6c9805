"""Publication: the units of a stage become its outs, by hardlinks, all at once."""

import json
import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from pipeline.core.atomic_file import write_file
from pipeline.core.publishing.replace_outs import replace_outs
from pipeline.core.store.reader import DIGESTS, group_attributes
from pipeline.core.store.shards import encode_json, group_metadata
from pipeline.core.units.key import Unit
from pipeline.core.units.parent import DvcParent
from pipeline.core.units.plan import Plan
from pipeline.core.units.receipts import FILES, Receipt, mark_used
from pipeline.core.units.scratch import Scratch

FinishedUnits = Mapping[str, tuple[Unit, Receipt]]
"""Every unit of an out with its receipt, by name, sorted."""


def publish(scratch: Scratch, plan: Plan, units: FinishedUnits, parent: DvcParent) -> None:
    """Replace the outs of a stage by its units.

    Args:
        scratch: The scratch store.
        plan: The plan.
        units: All of its units.
        parent: Checked right before the outs are replaced.

    Raises:
        ValueError: If two units have a file of the same name, or ``dvc`` was killed.
    """
    unit_folders = {
        name: scratch.unit_folder(plan.stage, unit.key) for name, (unit, _) in units.items()
    }
    files = {name: folder / FILES for name, folder in unit_folders.items()}
    if plan.single_file is None:
        write_out = partial(_write_folder, plan, units, files)
    else:
        write_out = partial(plan.single_file.merge, files)
    further = {out: partial(write, files) for out, write in plan.further.items()}
    listing = {plan.listing: partial(_write_listing, units)}
    replace_outs(scratch, {plan.out: write_out, **further, **listing}, parent)
    for folder in unit_folders.values():
        mark_used(folder)


def _write_folder(
    plan: Plan, units: FinishedUnits, files: Mapping[str, Path], target: Path
) -> None:
    target.mkdir()
    for name, (unit, receipt) in units.items():
        place = name if unit.place is None else unit.place
        _link_files(files[name], receipt, target / place)
    if plan.kind is not None:
        _write_groups(target, plan.kind, {name: found.digest for name, (_, found) in units.items()})
    if plan.finish is not None:
        plan.finish(target)


def _write_listing(units: FinishedUnits, path: Path) -> None:
    """Write key, content digest and files of every unit."""
    content: dict[str, object] = {}
    for name, (unit, receipt) in units.items():
        place = name if unit.place is None else unit.place
        files = sorted((Path(place) / file).as_posix() for file in receipt.files)
        content[name] = {"key": unit.key, "digest": receipt.digest, "files": files}
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
