"""Healing of outs: what is damaged goes under all of its names, and comes back with the same bytes.

A damaged inode is shared by workspace, DVC's cache and scratch. As long as one name of it is left,
DVC's run-cache or the unit's folder would bring it back, before or instead of the stage; so all are
dropped first. Then an undamaged object is linked, or pulled from the remote, or the stage's own
command makes the missing units again. dvc.lock is never written.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from pipeline.base.atomic_file import write_file
from pipeline.base.dvc_files import (
    FOLDER,
    LockedStage,
    encode_files,
    files_of,
    md5,
    object_path,
)
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
from pipeline.units.scratch import Scratch

_PROTECTED = 0o444
"""Mode that DVC gives its objects."""


def in_order(stages: Sequence[LockedStage]) -> list[LockedStage]:
    """Return stages so that each comes after those that make its dependencies."""
    makers = {out: stage for stage in stages for out in stage.outs}
    ordered: dict[str, LockedStage] = {}

    def add(stage: LockedStage) -> None:
        if stage.name in ordered:
            return
        for dep in stage.deps:
            # A dependency may be a file inside an out: the clip table of a store.
            for place in (dep, *(parent.as_posix() for parent in Path(dep).parents)):
                if place in makers and makers[place] is not stage:
                    add(makers[place])
        ordered[stage.name] = stage

    for stage in stages:
        add(stage)
    return list(ordered.values())


def heal(scratch: Scratch, stage: LockedStage, reports: Iterable[OutReport]) -> str:
    """Bring the damaged outs of one stage back, with the bytes that dvc.lock names.

    The stages that it depends on must be whole.

    Args:
        scratch: The scratch store.
        stage: The stage.
        reports: What the check found.

    Returns:
        How it was done: ``linked``, ``pulled`` or ``computed``.

    Raises:
        ValueError: If the bytes cannot be had; what was damaged is gone then.
    """
    if is_newer(scratch, stage, Hashes()):
        raise ValueError(f"{stage.name}: its out is newer than dvc.lock; run: dvc repro")
    damaged = [report.out for report in reports if report.state == "damaged"]
    for out in damaged:
        _drop(scratch, stage, out)
    how = "linked"
    if not _link(scratch, stage, damaged):
        how = "pulled"
        if not (_pull(scratch, stage) and _link(scratch, stage, damaged)):
            how = "computed"
            _compute(scratch, stage)
            _link(scratch, stage, damaged)
    left = [fault for report in check_stage(scratch, stage, Hashes()) for fault in report.faults]
    if left:
        raise ValueError(
            f"{stage.name}: {left[0].file}: {left[0].what}, even after it was {how} again: its "
            "code, params or inputs are not those of dvc.lock any more; run: dvc repro"
        )
    return how


def _drop(scratch: Scratch, stage: LockedStage, out: str) -> None:
    """Remove every name of everything that is not what dvc.lock and receipts say."""
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
    _drop_units(scratch, stage)


def _drop_units(scratch: Scratch, stage: LockedStage) -> None:
    """Remove the units of a stage whose files in scratch are not what their receipts say."""
    name, listing, hashes = stage.name.partition("@")[0], listing_of(stage.outs), Hashes()
    for unit in read_units(scratch.project / listing).values() if listing else ():
        with scratch.lock(f"{name}-{unit.key}"):
            folder = scratch.unit_folder(name, unit.key)
            if damaged_file(folder, hashes):
                shutil.rmtree(folder)


def _link(scratch: Scratch, stage: LockedStage, outs: Iterable[str]) -> bool:
    """Make each file of outs one inode in workspace and cache; tell whether all are there.

    What one of the two lost is linked from the other, the list of a folder's files is written
    again from the folder.
    """
    whole = True
    for out in outs:
        place = scratch.project / out
        with scratch.lock(scratch.lock_of_out(place)):
            files = _files(scratch, place, stage.outs[out])
            for file, wanted in files.items():
                path, kept = _below(place, file), object_path(scratch.cache, wanted)
                if not kept.is_file():
                    _keep(path, kept)
                elif not (path.is_file() and path.samefile(kept)):
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.unlink(missing_ok=True)
                    path.hardlink_to(kept)
            whole &= bool(files) and all(_below(place, file).is_file() for file in files)
    return whole


def _files(scratch: Scratch, place: Path, digest: str) -> dict[str, str]:
    """Return the files of an out; none if DVC's list is lost and the folder is not whole."""
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


def _keep(path: Path, kept: Path) -> None:
    """Link a file as an object of DVC's cache, if its bytes are those that the name says."""
    if path.is_file() and Hashes().of(path)[0] == kept.parent.name + kept.name:
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.hardlink_to(path)
        kept.chmod(_PROTECTED)


def _pull(scratch: Scratch, stage: LockedStage) -> bool:
    """Ask DVC's remote for the objects of a stage; tell whether it had them."""
    return _dvc(scratch, "remote", "list").stdout.strip() != "" and (
        _dvc(scratch, "fetch", "--quiet", stage.name).returncode == 0
    )


def _compute(scratch: Scratch, stage: LockedStage) -> None:
    """Run the stage's command, which makes the units that are missing and publishes its out.

    Not through ``dvc repro``: that would rewrite dvc.lock.
    """
    if not stage.command:
        raise ValueError(
            f"{stage.name}: neither DVC's cache nor a remote has its files; dvc pull them, or "
            "take the data set in again: posereel use-preset"
        )
    asked = _dvc(scratch, "status", "--json", stage.name)
    try:
        changes = json.loads(asked.stdout or "{}").get(stage.name, [])
    except ValueError as error:
        raise ValueError(f"dvc status {stage.name}: {' '.join(asked.stderr.split())}") from error
    others = [change for change in changes if "changed outs" not in change]
    if others:
        raise ValueError(
            f"{stage.name}: what was damaged is gone, and cannot be made again as it was: "
            f"{json.dumps(others[0])[:200]}; run: dvc repro"
        )
    done = _python(scratch, *stage.command[1:])
    if done.returncode != 0:
        raise ValueError(f"{stage.name}: {' '.join((done.stderr or done.stdout).split())[-500:]}")


def _below(place: Path, file: str) -> Path:
    return place / file if file else place


def _dvc(scratch: Scratch, *words: str) -> "subprocess.CompletedProcess[str]":
    return _python(scratch, "-m", "dvc", *words)


def _python(scratch: Scratch, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run this Python in the project's folder."""
    command = [sys.executable, *words]
    return subprocess.run(  # noqa: S603
        command, cwd=scratch.project, capture_output=True, text=True, check=False
    )
