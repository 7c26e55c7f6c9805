"""Repair of damaged outputs: delete every hard link of a damaged file, then restore its content.

The workspace, DVC's cache and the scratch folder share one inode per file. If one link of a damaged
inode is left, DVC's run cache or the folder of the unit restores the damage, so all links are
deleted first. The content then comes from an intact copy, from the remote, or from the command of
the stage, which computes the missing units. dvc.lock is never written.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from pipeline.core.atomic_file import write_file
from pipeline.core.dvc_files import (
    FOLDER,
    LockedStage,
    encode_files,
    files_of,
    md5,
    object_path,
)
from pipeline.core.units.scratch import Scratch
from pipeline.maintenance.verify import (
    Hashes,
    OutReport,
    check_stage,
    damaged_file,
    is_newer,
    listing_of,
    paths_of,
    read_units,
)

_PROTECTED = 0o444
"""Mode of objects in DVC's cache."""


def in_order(stages: Sequence[LockedStage]) -> list[LockedStage]:
    """Return the stages in topological order: each one after the stages that it depends on."""
    producers = {out: stage for stage in stages for out in stage.outs}
    ordered: dict[str, LockedStage] = {}

    def add(stage: LockedStage) -> None:
        if stage.name in ordered:
            return
        for dep in stage.deps:
            # A dependency may be a file or folder inside an output.
            for path in (dep, *(parent.as_posix() for parent in Path(dep).parents)):
                if path in producers and producers[path] is not stage:
                    add(producers[path])
        ordered[stage.name] = stage

    for stage in stages:
        add(stage)
    return list(ordered.values())


def repair_stage(scratch: Scratch, stage: LockedStage, reports: Iterable[OutReport]) -> str:
    """Restore the damaged outputs of one stage to the content that dvc.lock records.

    The outputs of the stages that it depends on must be intact.

    Args:
        scratch: The scratch folder.
        stage: The stage.
        reports: Reports of ``check_stage``.

    Returns:
        How the content was restored: ``linked``, ``pulled`` or ``computed``.

    Raises:
        ValueError: If the content cannot be restored; the damaged files are deleted nevertheless.
    """
    if is_newer(scratch, stage, Hashes()):
        raise ValueError(f"{stage.name}: its output is newer than dvc.lock; run: dvc repro")
    damaged = [report.out for report in reports if report.state == "damaged"]
    for out in damaged:
        _delete(scratch, stage, out)
    source = "linked"
    if not _link(scratch, stage, damaged):
        source = "pulled"
        if not (_pull(scratch, stage) and _link(scratch, stage, damaged)):
            source = "computed"
            _compute(scratch, stage)
            _link(scratch, stage, damaged)
    left = [fault for report in check_stage(scratch, stage, Hashes()) for fault in report.faults]
    if left:
        raise ValueError(
            f"{stage.name}: {left[0].file}: {left[0].what}, even after it was {source} again: "
            "code, params or inputs differ from dvc.lock; run: dvc repro"
        )
    return source


def _delete(scratch: Scratch, stage: LockedStage, out: str) -> None:
    """Delete every link of the files whose content differs from dvc.lock or from a receipt."""
    hashes, place, digest = Hashes(), scratch.project / out, stage.outs[out]
    files = files_of(scratch.cache, digest)
    if files is None:
        object_path(scratch.cache, digest).unlink(missing_ok=True)
        files = {}
    with scratch.lock(scratch.lock_of_out(place)):
        for file, wanted in files.items():
            for name in (object_path(scratch.cache, wanted), _below(place, file)):
                if name.is_file() and hashes.of(name)[0] != wanted:
                    name.unlink()
        known = {_below(place, file) for file in files}
        for path in paths_of(place) if files and place.is_dir() else ():
            if path not in known:
                path.unlink()
    _delete_units(scratch, stage)


def _delete_units(scratch: Scratch, stage: LockedStage) -> None:
    """Delete the units of a stage whose files in scratch differ from their receipts."""
    name, listing, hashes = stage.name.partition("@")[0], listing_of(stage.outs), Hashes()
    for unit in read_units(scratch.project / listing).values() if listing else ():
        with scratch.lock(f"{name}-{unit.key}"):
            folder = scratch.unit_folder(name, unit.key)
            if damaged_file(folder, hashes):
                shutil.rmtree(folder)


def _link(scratch: Scratch, stage: LockedStage, outs: Iterable[str]) -> bool:
    """Hard-link each file of the outputs between workspace and cache; return whether all exist.

    A file that is missing on one side is linked from the other side. A missing list of the files of
    a folder is written again from the folder.
    """
    complete = True
    for out in outs:
        place = scratch.project / out
        with scratch.lock(scratch.lock_of_out(place)):
            files = _files(scratch, place, stage.outs[out])
            for file, wanted in files.items():
                path, cached = _below(place, file), object_path(scratch.cache, wanted)
                if not cached.is_file():
                    _add_to_cache(path, cached)
                elif not (path.is_file() and path.samefile(cached)):
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.unlink(missing_ok=True)
                    path.hardlink_to(cached)
            complete &= bool(files) and all(_below(place, file).is_file() for file in files)
    return complete


def _files(scratch: Scratch, place: Path, digest: str) -> dict[str, str]:
    """Return the files of an output; none if both DVC's list and the folder are incomplete."""
    files = files_of(scratch.cache, digest)
    if files is None and place.is_dir():
        hashes = Hashes()
        found = {p.relative_to(place).as_posix(): hashes.of(p)[0] for p in paths_of(place)}
        content = encode_files(found)
        if md5(content) + FOLDER == digest:
            listed = object_path(scratch.cache, digest)
            listed.parent.mkdir(parents=True, exist_ok=True)
            write_file(listed, content)
            listed.chmod(_PROTECTED)
            return found
    return files or {}


def _add_to_cache(path: Path, cached: Path) -> None:
    """Link a file into DVC's cache, if its MD5 is the name of the object."""
    if path.is_file() and Hashes().of(path)[0] == cached.parent.name + cached.name:
        cached.parent.mkdir(parents=True, exist_ok=True)
        cached.hardlink_to(path)
        cached.chmod(_PROTECTED)


def _pull(scratch: Scratch, stage: LockedStage) -> bool:
    """Fetch the objects of a stage from DVC's remote; return whether that succeeded."""
    return _dvc(scratch, "remote", "list").stdout.strip() != "" and (
        _dvc(scratch, "fetch", "--quiet", stage.name).returncode == 0
    )


def _compute(scratch: Scratch, stage: LockedStage) -> None:
    """Run the command of the stage, which computes missing units and publishes the output.

    ``dvc repro`` is not used, because it rewrites dvc.lock.
    """
    if not stage.command:
        raise ValueError(
            f"{stage.name}: its files are neither in DVC's cache nor on a remote; run dvc pull, "
            "or import the data set again: posereel use-preset"
        )
    status = _dvc(scratch, "status", "--json", stage.name)
    try:
        changes = json.loads(status.stdout or "{}").get(stage.name, [])
    except ValueError as error:
        raise ValueError(f"dvc status {stage.name}: {' '.join(status.stderr.split())}") from error
    others = [change for change in changes if "changed outs" not in change]
    if others:
        raise ValueError(
            f"{stage.name}: the damaged files were deleted and cannot be restored: "
            f"{json.dumps(others[0])[:200]}; run: dvc repro"
        )
    done = _python(scratch, *stage.command[1:])
    if done.returncode != 0:
        raise ValueError(f"{stage.name}: {' '.join((done.stderr or done.stdout).split())[-500:]}")


def _below(out: Path, file: str) -> Path:
    return out / file if file else out


def _dvc(scratch: Scratch, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return _python(scratch, "-m", "dvc", *arguments)


def _python(scratch: Scratch, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run this Python interpreter in the folder of the project."""
    command = [sys.executable, *arguments]
    return subprocess.run(  # noqa: S603
        command, cwd=scratch.project, capture_output=True, text=True, check=False
    )
