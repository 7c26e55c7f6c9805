"""Make a preset the current params.yaml and take in the data set it needs.

A preset of a real data set copies the annotation files to data/raw/<name>/annotations, writes
frames.manifest over every frame on disk, puts the detections beside them and tracks the folder with
`dvc add`. The frames stay where they are: stages read them below `data.root`.
"""

import shutil
from pathlib import Path
from typing import Annotated

import typer
from ruamel.yaml import YAML

from pipeline.failures import one_line
from pipeline.layout import find_annotations, find_frames
from pipeline.manifest import write_manifest
from pipeline.tracking import track

app = typer.Typer(add_completion=False)


@app.command()
@one_line
def main(
    name: Annotated[str, typer.Argument(help="A file of presets/, without .yaml.")],
    root: Annotated[Path | None, typer.Option(help="Folder of the real data set.")] = None,
    detections: Annotated[
        Path | None, typer.Option(help="COCO-result boxes, used in place of a detector.")
    ] = None,
    params: Annotated[Path, typer.Option(help="Params file to write.")] = Path("params.yaml"),
) -> None:
    """Write params.yaml from presets/NAME.yaml and take in the data set below ROOT."""
    preset = Path("presets") / f"{name}.yaml"
    if not preset.is_file():
        known = sorted(file.stem for file in Path("presets").glob("*.yaml"))
        raise ValueError(f"{name}: expected a preset, one of {known}")
    yaml = YAML()
    yaml.width = 4096
    values = yaml.load(preset.read_text(encoding="utf-8"))
    synthetic = values["data"]["name"] == "synthetic"
    if synthetic != (root is None):
        wants = "takes no --root: its data set is rendered" if synthetic else "needs --root DIR"
        raise ValueError(f"{name}: this preset {wants}")
    if root is not None:
        values["data"]["root"] = root.resolve().as_posix()
        if detections is not None:
            values["detect"]["kind"] = "file"
        _take_in(Path(values["data"]["annotations"]).parent, root, detections)
    yaml.dump(values, params)
    typer.echo(f"use_preset: {params} is now {preset}; next: dvc repro")


def _take_in(folder: Path, root: Path, detections: Path | None) -> None:
    """Fill data/raw/<name> and track it with DVC."""
    annotations = find_annotations(root)
    files = [file for split in annotations.values() for file in split]
    frames = find_frames(root, files)
    if detections is not None and not detections.is_file():
        raise ValueError(f"{detections}: expected a COCO-result JSON file, found nothing")
    if folder.exists():
        shutil.rmtree(folder)
    for split, members in annotations.items():
        (folder / "annotations" / split).mkdir(parents=True)
        for file in members:
            shutil.copyfile(file, folder / "annotations" / split / file.name)
    write_manifest(folder / "frames.manifest", root, frames)
    boxes = detections.read_bytes() if detections else b"[]\n"
    (folder / "detections.json").write_bytes(boxes)
    track(folder)
    typer.echo(f"use_preset: {len(files)} annotation files, {len(frames)} frames in {folder}")


if __name__ == "__main__":
    app()
