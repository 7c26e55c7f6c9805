"""Pack finished units into a file, or add those of a file.

Machines without a common file system compute slices (`--units i/n`). Each packs
its units; one unpacks all files, and `dvc repro` publishes them. Units are
verified; units that exist are never overwritten.
"""

from pathlib import Path
from typing import Annotated, Literal

import typer


def main(
    action: Annotated[Literal["pack", "unpack"], typer.Argument(help="pack or unpack.")],
    archive: Annotated[Path, typer.Argument(help="A tar file.")],
    stage: Annotated[
        list[str] | None, typer.Option(help="Pack the units of this stage; repeatable.")
    ] = None,
) -> None:
    """Write the finished units of this machine to ARCHIVE, or add those of ARCHIVE."""
    from pipeline.core.units.scratch import find_scratch
    from pipeline.maintenance.unit_archive import pack_units, unpack_units

    scratch = find_scratch(Path())
    if action == "pack":
        packed = pack_units(scratch, archive, stage or [])
        size = archive.stat().st_size / 1e6
        typer.echo(f"units: wrote {archive}: {len(packed)} units, {size:.1f} MB")
        return
    found = unpack_units(scratch, archive)
    typer.echo(f"units: {len(found.added)} units added, {len(found.known)} were there")
