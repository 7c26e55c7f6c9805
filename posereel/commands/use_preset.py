"""Write params.yaml from a preset and import its data set.

For a real data set the command writes one annotation file per video to data/raw/<name>/annotations,
frames.manifest with every frame on disk, and the detections, and tracks the folder with `dvc add`.
The frames are not copied: stages read them below `data.root`.
"""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer
from ruamel.yaml import YAML

from pipeline.importing.dvc_add import move_and_track
from pipeline.importing.presets import find_preset

if TYPE_CHECKING:
    from pipeline.dataset.layout import DataSetFiles


def main(
    name: Annotated[str, typer.Argument(help="A file of presets/, without .yaml.")],
    root: Annotated[Path | None, typer.Option(help="Folder of the real data set.")] = None,
    detections: Annotated[
        Path | None, typer.Option(help="Boxes in COCO result format, instead of a detector.")
    ] = None,
    params: Annotated[Path, typer.Option(help="Params file to write.")] = Path("params.yaml"),
) -> None:
    """Write params.yaml from presets/NAME.yaml and import the data set below ROOT."""
    from pipeline.dataset.layout import find_data_set_files

    preset = find_preset(name)
    yaml = YAML()
    yaml.width = 4096
    values = yaml.load(preset.read_text(encoding="utf-8"))
    synthetic = values["data"]["name"] == "synthetic"
    if synthetic != (root is None):
        reason = "takes no --root: its data set is rendered" if synthetic else "needs --root DIR"
        raise ValueError(f"{name}: this preset {reason}")
    if root is not None:
        source = find_data_set_files(root)
        values["data"]["root"] = source.root.resolve().as_posix()
        if detections is not None:
            values["detect"]["kind"] = "file"
        _import_data_set(Path(values["data"]["annotations"]).parent, source, detections)
    yaml.dump(values, params)
    typer.echo(f"use-preset: {params} is now {preset}; next: dvc repro")


def _import_data_set(folder: Path, source: "DataSetFiles", detections: Path | None) -> None:
    """Write data/raw/<name> completely or not at all, and track it with DVC."""
    from pipeline.core.manifest import write_manifest
    from pipeline.dataset.layout import find_frames
    from pipeline.importing.annotations import check_release_format, import_annotations

    if detections is not None and not detections.is_file():
        raise ValueError(f"{detections}: expected a JSON file in COCO result format, found nothing")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".import-", dir=folder.parent) as scratch:
        made = Path(scratch) / folder.name
        files = import_annotations(source, made / "annotations")
        check_release_format(folder.name, made / "annotations")
        frames = find_frames(source.root, files)
        write_manifest(made / "frames.manifest", source.root, frames)
        boxes = detections.read_bytes() if detections else b"[]\n"
        (made / "detections.json").write_bytes(boxes)
        move_and_track(Path(scratch), folder.parent, folder.name)
    typer.echo(f"use-preset: {len(files)} videos, {len(frames)} frames in {folder}")
