"""Index tables of a data set: videos, their frames on disk and the labeled people.

Reads: the annotation files, the frame manifest and, if the annotations lack the image size, the
header of the first frame of each video.
Writes: data/index/{videos,frames,people}.parquet, sorted.
Params: ``index`` (currently empty), ``data``.
"""

from pathlib import Path
from typing import Annotated

import typer

from pipeline.core.data_set import read_data_set
from pipeline.core.errors import one_line
from pipeline.core.manifest import read_manifest
from pipeline.core.params import Section, read_section
from pipeline.core.tables.parquet import write_table
from pipeline.core.tables.schemas import FRAMES, PEOPLE, VIDEOS
from pipeline.dataset.index import index_data_set

app = typer.Typer(add_completion=False)


class Index(Section):
    """Parameters of this stage (none)."""


@app.command()
@one_line
def main(
    data: Annotated[Path, typer.Option(help="Folder of all outs.")] = Path("data"),
    params: Annotated[Path, typer.Option(help="Params file.")] = Path("params.yaml"),
) -> None:
    """Write sorted tables of videos, frames and people from annotations and manifest."""
    read_section(params, "index", Index)
    source, out = read_data_set(params), data / "index"
    index = index_data_set(
        Path(source.annotations), read_manifest(Path(source.manifest)), Path(source.root)
    )
    for name, frame, schema in (
        ("videos", index.videos, VIDEOS),
        ("frames", index.frames, FRAMES),
        ("people", index.people, PEOPLE),
    ):
        write_table(out / f"{name}.parquet", frame, schema)
    typer.echo(
        f"index: {len(index.videos)} videos, {len(index.frames)} frames "
        f"({int(index.frames['labelled'].sum())} labeled), {len(index.people)} people in {out}"
    )


if __name__ == "__main__":
    app()
