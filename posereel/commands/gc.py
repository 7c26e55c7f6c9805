"""Remove old units and checkpoints from the scratch folder.

Reads: the scratch folder next to DVC's cache. Published units are kept: they share their inodes
with the workspace and the cache and take no space. ``dvc gc`` removes objects of DVC's cache.
"""

import json
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from pipeline.core.units.scratch import find_scratch
from pipeline.maintenance.gc import DAY, Removable, find_removable, remove
from pipeline.maintenance.killed_experiments import STASH, has_left_stash, remove_stash
from pipeline.maintenance.live_commands import live_commands


def main(
    older_than: Annotated[float, typer.Option(min=0, help="Days without use.")] = 14,
    yes: Annotated[
        bool, typer.Option("--yes", help="Remove them; otherwise only list them.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """List unused folders of scratch; remove them with --yes."""
    scratch = find_scratch(Path())
    scratch.check_idle()
    with scratch.exclusive():
        found = find_removable(scratch, older_than * DAY, time.time())
        removed = [one for one in found if yes and remove(scratch, one, older_than * DAY)]
        stash = has_left_stash(scratch.project) and not live_commands(scratch.project)
        if stash and yes:
            remove_stash(scratch.project)
    if as_json:
        typer.echo(json.dumps(_summary(removed if yes else found, removed=yes), indent=1))
        return
    if stash:
        typer.echo(f"exp: {STASH}, the stash of killed experiments")
    shown = removed if yes else found
    for (stage, kind), members in sorted(_grouped(shown).items()):
        typer.echo(f"{stage}: {len(members)} {kind}s, {_size(members) / 1e6:.1f} MB")
    verb = "removed" if yes else "would remove (--yes does)"
    typer.echo(f"gc: {verb} {len(shown)} folders, {_size(shown) / 1e6:.1f} MB in {scratch.folder}")


def _grouped(found: Sequence[Removable]) -> dict[tuple[str, str], list[Removable]]:
    groups: dict[tuple[str, str], list[Removable]] = defaultdict(list)
    for one in found:
        groups[one.stage, one.kind].append(one)
    return groups


def _size(found: Sequence[Removable]) -> int:
    return sum(one.bytes for one in found)


def _summary(found: Sequence[Removable], *, removed: bool) -> dict[str, object]:
    rows = [
        {"stage": one.stage, "name": one.name, "kind": one.kind, "bytes": one.bytes}
        for one in found
    ]
    return {"removed": removed, "bytes": _size(found), "folders": rows}
