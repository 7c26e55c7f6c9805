"""Measure what each part of a trained head does.

Reads: the caches of val_gt, data/index, the ground truth and data/runs/<system>.
Writes: data/liveness/<system>.json, which git tracks and the report shows.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer


def main(
    system: Annotated[
        str, typer.Argument(help="A system whose folder has a parts.py; all of them by default.")
    ] = "",
    markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown.")] = False,
    data: Annotated[Path, typer.Option(help="Folder of all outputs.")] = Path("data"),
    params: Annotated[Path, typer.Option(help="Params file.")] = Path("params.yaml"),
) -> None:
    """Replace each part of SYSTEM at test time and write the change of mean AP on val_gt."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from models.head_parts.lookup import systems_with_parts
    from pipeline.core.atomic_file import write_file
    from pipeline.report.liveness import COLUMNS, liveness_rows
    from posereel.liveness import measure_system

    folder = data / "liveness"
    folder.mkdir(parents=True, exist_ok=True)
    measured = {}
    for name in [system] if system else systems_with_parts():
        measured[name] = measure_system(name, data, params)
        values = {part: asdict(effect) for part, effect in measured[name].items()}
        text = json.dumps(values, indent=1, allow_nan=False) + "\n"
        write_file(folder / f"{name}.json", text.encode())
    table = Table(box=box.MARKDOWN if markdown else box.HEAVY_HEAD)
    for column in COLUMNS:
        table.add_column(column, justify="left" if column in COLUMNS[:2] else "right")
    for row in liveness_rows(measured):
        table.add_row(*row)
    Console(width=110).print(table)
    typer.echo(f"liveness: wrote {', '.join(f'{folder / name}.json' for name in measured)}")
