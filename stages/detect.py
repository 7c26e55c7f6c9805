"""Person boxes of a split: from the annotations, from a file or from a detector.

Reads: data/index; for ``val`` also the detection file, or the detector's weights and the frames in
``data.root``.
Writes: data/boxes/<split>.parquet and data/units/detect/<split>.json.
Params: ``detect``, and ``crop.key_frames`` for the frames to process. ``data`` and ``extract`` set
paths and resources and do not change the results.

``train`` and ``val_gt`` always use the annotated boxes. A unit is a video processed by a detector.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import pandas as pd
import typer
from pydantic import ConfigDict, Field

from pipeline.core.data_set import DataSet, read_data_set
from pipeline.core.errors import one_line
from pipeline.core.frames.video_frames import KeyFrames, VideoFrames, key_positions, videos_of_split
from pipeline.core.networks.devices import device_type
from pipeline.core.params import OUT_OF_KEY, Section, read_section
from pipeline.core.publishing.build import build
from pipeline.core.tables.parquet import read_table, write_table
from pipeline.core.tables.schemas import BOXES, FRAMES, PEOPLE, VIDEOS
from pipeline.core.units.key import Unit
from pipeline.core.units.plan import Plan, SingleFile, UnitFolders, no_task
from pipeline.core.units.receipts import hash_file
from pipeline.core.units.run_time import read_extract
from pipeline.detection.coco_results import read_boxes
from pipeline.detection.detections import (
    Detector,
    DetectTask,
    count_omitted,
    ground_truth_boxes,
)
from pipeline.detection.units import STAGE, TABLE, plan_units

app = typer.Typer(add_completion=False)
Kind = Literal["ground_truth", "file", "torchvision", "transformers", "hog"]


class Detect(Section):
    """Parameters of this stage."""

    kind: Kind
    """``ground_truth``: annotated boxes. ``file``: COCO results in ``data.detections``.
    ``torchvision`` and ``transformers`` (RT-DETR, D-FINE): networks with ``weights``. ``hog``:
    OpenCV's detector, which needs no weights."""
    variant: str
    """Network of kind ``torchvision``: ``tiny`` (the project's own) or a torchvision model name."""
    weights: Annotated[str, OUT_OF_KEY]
    """safetensors file, or a folder for ``transformers``; its content is part of the key."""
    score_min: Annotated[float, Field(ge=0, le=1)]
    """Minimum score of a detection; 0.2 in the public code."""
    batch: Annotated[int, Field(ge=1), OUT_OF_KEY]
    """Frames per forward pass; a separate part of the key."""


class KeyFrameChoice(Section):
    """The parameter of the section ``crop`` that this stage reads."""

    model_config = ConfigDict(extra="ignore")

    key_frames: KeyFrames


@dataclass(frozen=True, slots=True)
class MakeDetectTask:
    """Creates the task of a worker; each worker loads its own detector."""

    params: Detect
    device: str
    frames: Mapping[str, VideoFrames]
    positions: Mapping[str, list[int]]

    def __call__(self) -> DetectTask:
        """Load the detector.

        Raises:
            ValueError: If the weights do not match the network.
        """
        return DetectTask(
            _load_detector(self.params, self.device),
            self.frames,
            self.positions,
            batch=self.params.batch,
            score_min=self.params.score_min,
            source=self.params.kind,
        )


def plan(split: Literal["train", "val", "val_gt"], units: str, data: Path, params: Path) -> Plan:
    """Return the plan for one split. Annotated boxes and boxes of a file have no units.

    Args:
        split: Split of the boxes.
        units: Slice ``i/n`` of the units to compute; "" for all.
        data: Folder of all outs.
        params: The params file.
    """
    section = read_section(params, STAGE, Detect)
    engine, run = read_extract(params, units)
    source = read_data_set(params)
    found: list[Unit] = []
    single_file = TABLE
    if split == "val" and section.kind not in ("ground_truth", "file"):
        key_frames = read_section(params, "crop", KeyFrameChoice).key_frames
        detection = _detection(section, device_type(engine.device), data, source, key_frames)
        found = _plan_units(detection)
    else:
        detection = None
        table = _read_boxes(section, split, data, source)
        single_file = SingleFile(partial(_write_boxes, table), TABLE.cut)
    return Plan(
        stage=STAGE,
        modules=[f"stages.{STAGE}"],
        out=data / "boxes" / f"{split}.parquet",
        listing=data / "units" / STAGE / f"{split}.json",
        units=found,
        make_task=detection or no_task,
        run=run.on(detection.device) if detection else run,
        single_file=single_file,
    )


def _read_boxes(section: Detect, split: str, data: Path, source: DataSet) -> pd.DataFrame:
    """Return annotated boxes, or those of the detection file."""
    own = "train" if split == "train" else "val"
    videos, frames, people = (
        table[table["split"] == own]
        for table in (
            read_table(data / "index" / "videos.parquet", VIDEOS),
            read_table(data / "index" / "frames.parquet", FRAMES),
            read_table(data / "index" / "people.parquet", PEOPLE),
        )
    )
    if split == "val" and section.kind == "file":
        return read_boxes(Path(source.detections), frames, videos, section.score_min)
    for reason, count in count_omitted(people, videos).items():
        typer.echo(f"{STAGE}: {count} people {reason} are left out", err=True)
    return ground_truth_boxes(people, videos)


def _write_boxes(table: pd.DataFrame, _units: UnitFolders, out: Path) -> None:
    write_table(out, table, BOXES)


def _detection(
    section: Detect, device: str, data: Path, source: DataSet, key_frames: KeyFrames
) -> MakeDetectTask:
    videos = read_table(data / "index" / "videos.parquet", VIDEOS)
    frames = read_table(data / "index" / "frames.parquet", FRAMES)
    video_frames: dict[str, VideoFrames] = {}
    positions: dict[str, list[int]] = {}
    for video, frames_on_disk, rows in videos_of_split(videos, frames, "val", Path(source.root)):
        video_frames[video] = frames_on_disk
        positions[video] = list(key_positions(rows, key_frames))
    # OpenCV's detector has no GPU code.
    return MakeDetectTask(
        section, "cpu" if section.kind == "hog" else device, video_frames, positions
    )


def _plan_units(detection: MakeDetectTask) -> list[Unit]:
    return plan_units(
        detection.frames,
        detection.positions,
        params=detection.params.key_params(),
        weights=_weights_digests(detection.params),
        device=detection.device,
        batch=detection.params.batch,
    )


def _weights_digests(section: Detect) -> dict[str, str]:
    """Return the SHA-256 of each file of the detector, by name."""
    path = Path(section.weights)
    if section.kind == "hog":
        return {}
    expected = "folder" if section.kind == "transformers" else "file"
    if not (path.is_dir() if expected == "folder" else path.is_file()):
        raise ValueError(
            f"{path}: expected the {expected} with the weights of detect.kind {section.kind!r}, "
            "found none; put it there or set detect.weights in params.yaml"
        )
    files = sorted(path.iterdir()) if expected == "folder" else [path]
    return {file.name: hash_file(file) for file in files if file.is_file()}


# The imports below are local because they take seconds and annotated boxes do not need them.


def _load_detector(section: Detect, device: str) -> Detector:
    if section.kind == "hog":
        from pipeline.detection.hog import HogDetector  # noqa: PLC0415

        return HogDetector()
    from models.detection.person_detectors import (  # noqa: PLC0415
        TorchvisionPersonDetector,
        TransformersPersonDetector,
    )
    from pipeline.detection.network import NetworkDetector  # noqa: PLC0415

    if section.kind == "torchvision":
        from models.base.weights import load_weights  # noqa: PLC0415
        from models.detection.network import build_detector  # noqa: PLC0415
        from pipeline.core.networks.weights import read_weights  # noqa: PLC0415

        network = build_detector(section.variant)
        load_weights(network, read_weights(Path(section.weights)), section.weights)
        return NetworkDetector(TorchvisionPersonDetector(network), device)
    from transformers import AutoImageProcessor, AutoModelForObjectDetection  # noqa: PLC0415
    from transformers.utils.logging import disable_progress_bar  # noqa: PLC0415

    disable_progress_bar()
    try:
        # No download and no pickle.
        model = AutoModelForObjectDetection.from_pretrained(
            section.weights, local_files_only=True, use_safetensors=True
        )
        processor = AutoImageProcessor.from_pretrained(section.weights, local_files_only=True)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"{section.weights}: expected config.json, preprocessor_config.json and "
            f"model.safetensors of an object detector, got {error}; save the model there"
        ) from error
    return NetworkDetector(TransformersPersonDetector(model, processor), device)


@app.command()
@one_line
def main(
    split: Annotated[Literal["train", "val", "val_gt"], typer.Option(help="Split of the boxes.")],
    units: Annotated[str, typer.Option(help="Compute slice i/n only, publish nothing.")] = "",
    data: Annotated[Path, typer.Option(help="Folder of all outs.")] = Path("data"),
    params: Annotated[Path, typer.Option(help="Params file.")] = Path("params.yaml"),
) -> None:
    """Write the person boxes of SPLIT."""
    typer.echo(build(plan(split, units, data, params)))


if __name__ == "__main__":
    # Imported by its full name, because workers on other machines cannot import __main__.
    from stages.detect import app as named

    named()
