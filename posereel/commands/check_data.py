"""Check a real data set and count what it holds.

Reads all annotations and all images once and writes nothing to the folder of
the data set. With --manifest, writes a manifest of the images if there are no
faults; `posereel use-preset` writes that of the pipeline.
"""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from pipeline.importing.survey import Survey

ROWS = {
    "videos": "videos",
    "frames": "frames on disk",
    "missing": "frames missing",
    "unreadable": "unreadable images",
    "labeled": "labeled frames",
    "people": "people",
    "boxes_beyond": "boxes partly outside the image",
}
_SHOWN = 20
"""Faults that the table lists; --json has all."""


def main(
    root: Annotated[Path, typer.Argument(help="Folder of the unpacked archives.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, not tables.")] = False,
    manifest: Annotated[
        Path | None, typer.Option(help="Manifest of the images to write; by default none.")
    ] = None,
) -> None:
    """Check the data set below ROOT; exit with code 1 if the pipeline cannot run on it."""
    from pipeline.core.manifest import write_entries
    from pipeline.dataset.layout import find_data_set_files
    from pipeline.importing.annotations import import_annotations
    from pipeline.importing.survey import survey

    source = find_data_set_files(root)
    with TemporaryDirectory(prefix="check-data-") as scratch:
        import_annotations(source, Path(scratch))
        found = survey(Path(scratch), source.root)
    out = None if found.faults else manifest
    if out:
        write_entries(out, found.manifest)
    if as_json:
        facts = found.facts | {"manifest": out.as_posix() if out else None}
        typer.echo(json.dumps(facts, indent=1))
    else:
        _show(found, Console(width=110))
    if found.faults:
        raise ValueError(
            f"{root}: the pipeline cannot run on it, {len(found.faults)} faults (above)"
        )
    if not as_json:
        wrote = f"wrote {out}" if out else "no faults"
        typer.echo(f"check-data: {wrote}; next: posereel use-preset NAME --root {root}")


def _show(found: "Survey", console: Console) -> None:
    facts = found.facts
    console.print(
        f"{facts['data_set']}, labels {facts['labels']}, sha256 {facts['sha256'][:12]}",
        highlight=False,
    )
    splits: dict[str, Any] = facts["splits"]
    counts = _table("found", *splits)
    for key, name in ROWS.items():
        counts.add_row(name, *(str(split[key]) for split in splits.values()))
    for joint in next(iter(splits.values()))["joints"]:
        counts.add_row(joint, *(str(split["joints"][joint]) for split in splits.values()))
    console.print(counts)
    if facts["skipped"]:
        skipped = _table("skipped", "split", "count", "why")
        for row in facts["skipped"]:
            skipped.add_row(row["what"], row["split"], str(row["count"]), row["why"])
        console.print(skipped)
    for fault in found.faults[:_SHOWN]:
        console.print(f"fault: {fault}", markup=False, highlight=False)
    if len(found.faults) > _SHOWN:
        console.print(f"and {len(found.faults) - _SHOWN} more faults: see --json")


def _table(*columns: str) -> Table:
    table = Table()
    for column in columns:
        table.add_column(column, overflow="fold")
    return table
