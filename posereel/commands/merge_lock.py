"""Merge dvc.lock by stages, as a merge driver of git.

Git calls it where .gitattributes says so, after this command in each clone:

    git config merge.dvc-lock.driver "posereel merge-lock %O %A %B %P"

Two branches that ran different stages merge without a conflict. The record of
a stage that reads results of both branches is dropped; `dvc repro` runs it. A
stage that both branches ran differently is a conflict, between git's markers.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer


def main(
    base: Annotated[Path, typer.Argument(help="Version of the common ancestor, %O.")],
    ours: Annotated[Path, typer.Argument(help="Version of this branch, %A; gets the result.")],
    theirs: Annotated[Path, typer.Argument(help="Version of the merged branch, %B.")],
    path: Annotated[str, typer.Argument(help="Path of the file, %P.")] = "dvc.lock",
) -> None:
    """Merge THEIRS into OURS; exit with code 1 on a conflict."""
    from pipeline.core.atomic_file import write_file
    from pipeline.maintenance.merge_lock import merge_locks

    if not path.endswith("dvc.lock"):
        # A file that a stage writes: with another dvc.lock, the stage writes it again.
        return
    merge = merge_locks(*(file.read_text(encoding="utf-8") for file in (base, ours, theirs)))
    write_file(ours, merge.text.encode())
    for name in merge.dropped:
        sys.stderr.write(f"merge-lock: {name} reads results of both branches; run: dvc repro\n")
    if merge.conflicts:
        raise ValueError(
            f"{path}: both branches ran {', '.join(merge.conflicts)} with different inputs; keep "
            "one side of every conflict in the file, git add it, then run: dvc checkout "
            "--allow-missing && dvc repro"
        )
