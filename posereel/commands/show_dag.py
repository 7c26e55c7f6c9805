"""Draw the stages of dvc.yaml and their order as SVG.

Reads: dvc.yaml, through `dvc dag`. The items of a matrix are one box. An arrow that a longer path
implies is left out.
"""

from pathlib import Path
from typing import Annotated

import typer


def main(
    out: Annotated[Path, typer.Option(help="SVG to write.")] = Path("dag.svg"),
) -> None:
    """Write the picture of the DAG to OUT."""
    from pipeline.core.atomic_file import write_file
    from posereel.dag_picture import draw_dag, read_graph

    graph = read_graph(Path())
    write_file(out, draw_dag(graph).encode())
    typer.echo(f"show-dag: {len(graph)} stages in {out}")
