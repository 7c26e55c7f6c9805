"""Crops of people over time: one affine transform per clip, shared by all of its frames.

Reads: data/index, the boxes of a split, and the frames in ``data.root``.
Writes: data/crops/<input>/<split>, a store of uint8 ``(clips, T, H, W, 3)`` RGB per video and
variant; data/clips/<input>/<split>.parquet, the clip table; data/units/crop/<input>-<split>.json.
Params: ``crop``. ``data`` and ``extract`` set paths and resources and do not change the results.

A unit is a variant of a video. Its key contains what determines its pixels: the frame positions,
transforms and flips of its clips, and the digests of the frames. Params that only select variants
or boxes, or that affect only the transform, are not part of the key.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import pandas as pd
import pyarrow as pa
import typer
from pydantic import Field

from pipeline.clips.augment import Augment
from pipeline.clips.clips import ClipSettings, VideoBoxes, clip_rows
from pipeline.clips.cropping import CropTask
from pipeline.clips.jitter import Jitter
from pipeline.core.caches.clip_table import clips_file
from pipeline.core.data_set import read_data_set
from pipeline.core.errors import one_line
from pipeline.core.frames.video_frames import KeyFrames, VideoFrames, key_positions, videos_of_split
from pipeline.core.params import OUT_OF_KEY, Section, read_section
from pipeline.core.publishing.build import build
from pipeline.core.tables.parquet import digest_rows, read_table, write_table
from pipeline.core.tables.schemas import BOXES, CLIPS, FRAMES, PEOPLE, VIDEOS
from pipeline.core.units.key import KeyParts, Unit, make_unit, modules_digest, stage_pins
from pipeline.core.units.plan import Plan, UnitFolders
from pipeline.core.units.run_time import read_extract

app = typer.Typer(add_completion=False)
STAGE = "crop"
PIXELS = pa.schema([CLIPS.field(name) for name in ("frames", "to_crop", "flipped")])
"""Columns of the clip table that determine the pixels."""


class CropSize(Section):
    """Height, width and number of frames of an input."""

    height: Annotated[int, Field(gt=0, multiple_of=4)]
    """Pixels."""
    width: Annotated[int, Field(gt=0, multiple_of=4)]
    """Pixels."""
    delta: Annotated[int, Field(ge=0), OUT_OF_KEY]
    """Number of neighboring frames on each side of the key frame; T = 2 delta + 1."""


class Crop(Section):
    """Parameters of this stage."""

    hrnet: CropSize
    """JM-Pose: 384 x 288."""
    vit: CropSize
    """VREMD: 256 x 192."""
    gap: Annotated[int, Field(ge=1), OUT_OF_KEY]
    """Frames of the video from one frame of a clip to the next: 1 in both papers."""
    enlarge: Annotated[float, Field(ge=1, le=10), OUT_OF_KEY]
    """Factor on the box after it was extended to the crop's aspect ratio; 1.25 in both papers."""
    key_frames: Annotated[KeyFrames, OUT_OF_KEY]
    """Key frames: labeled frames or all frames. Each box in a key frame gives a clip."""
    variants: Annotated[int, Field(ge=1), OUT_OF_KEY]
    """Variants of each train clip. The first is not augmented, but its box is jittered."""
    mirror: Annotated[bool, OUT_OF_KEY]
    """Whether val clips have a flipped copy as variant 1, for flip testing."""
    jitter: Annotated[Jitter, OUT_OF_KEY]
    """Jitter of the boxes of all train clips."""
    augment: Annotated[Augment, OUT_OF_KEY]
    """Parameters of the augmentation."""

    def settings(self, name: Literal["hrnet", "vit"], *, train: bool) -> ClipSettings:
        """Return the clip parameters of one input."""
        chosen = self.hrnet if name == "hrnet" else self.vit
        augment = self.augment if train else None
        size = chosen.height, chosen.width
        return ClipSettings(size, self.enlarge, chosen.delta, self.gap, augment, self.jitter)

    def variants_of(self, split: str) -> Sequence[int]:
        """Return the variant numbers of a split."""
        return range(self.variants if split == "train" else 1 + self.mirror)


def plan(
    input_: Literal["hrnet", "vit"],
    split: Literal["train", "val", "val_gt"],
    units: str,
    data: Path,
    params: Path,
) -> Plan:
    """Return the plan for one input and split.

    Args:
        input_: Network that the crops are for.
        split: Split of the boxes.
        units: Slice ``i/n`` of the units to compute; "" for all.
        data: Folder of all outs.
        params: The params file.
    """
    section = read_section(params, STAGE, Crop)
    settings = section.settings(input_, train=split == "train")
    root = Path(read_data_set(params).root)
    boxes, frames = _read_sources(data, split, root, section.key_frames)
    clips: list[pd.DataFrame] = []
    found: list[Unit] = []
    modules, pins = modules_digest(f"stages.{STAGE}"), stage_pins(f"stages.{STAGE}")
    for video, source in sorted(boxes.items()):
        for variant in section.variants_of(split):
            rows = clip_rows(source, variant, settings)
            clips.append(rows)
            parts = _key_parts(rows, frames[video], settings, modules, pins)
            found.append(make_unit(f"{video}/v{variant}", parts, _estimate(rows, settings)))
    table = pd.concat(clips, ignore_index=True) if clips else pd.DataFrame(columns=CLIPS.names)
    return Plan(
        stage=STAGE,
        modules=[f"stages.{STAGE}"],
        out=data / "crops" / input_ / split,
        listing=data / "units" / STAGE / f"{input_}-{split}.json",
        units=found,
        make_task=partial(CropTask, boxes, frames, settings),
        run=read_extract(params, units)[1],
        kind="crops",
        further={clips_file(data, input_, split): partial(_write_clips, table)},
    )


def _write_clips(table: pd.DataFrame, _units: UnitFolders, path: Path) -> None:
    write_table(path, table, CLIPS)


def _read_sources(
    data: Path, split: str, root: Path, key_frames: KeyFrames
) -> tuple[dict[str, VideoBoxes], dict[str, VideoFrames]]:
    """Return boxes and frames of the videos that have boxes on key frames."""
    data_split = "train" if split == "train" else "val"
    videos = read_table(data / "index" / "videos.parquet", VIDEOS)
    frames = read_table(data / "index" / "frames.parquet", FRAMES)
    people = read_table(data / "index" / "people.parquet", PEOPLE)
    people_of = dict(iter(people[people["split"] == data_split].groupby("video", sort=False)))
    boxes = read_table(data / "boxes" / f"{split}.parquet", BOXES)
    boxes_of = dict(iter(boxes.groupby("video", sort=False)))
    sources: dict[str, VideoBoxes] = {}
    video_frames: dict[str, VideoFrames] = {}
    for video, frames_on_disk, rows in videos_of_split(videos, frames, data_split, root):
        chosen = boxes_of.get(video, boxes.iloc[:0])
        chosen = chosen[chosen["frame"].isin(key_positions(rows, key_frames))]
        if len(chosen):
            annotated = people_of.get(video, people.iloc[:0])
            sources[video] = VideoBoxes(video, len(rows), chosen, annotated)
            video_frames[video] = frames_on_disk
    return sources, video_frames


def _key_parts(
    rows: pd.DataFrame,
    frames: VideoFrames,
    settings: ClipSettings,
    modules: str,
    pins: dict[str, str],
) -> KeyParts:
    used = sorted({int(frame) for clip_frames in rows["frames"] for frame in clip_frames})
    height, width = settings.crop_size
    return KeyParts(
        stage=STAGE,
        params={"height": height, "width": width},
        modules=modules,
        pins=pins,
        weights={},
        device="cpu",
        dtype="uint8",
        batch=1,
        clips=digest_rows(rows[PIXELS.names], PIXELS),
        frames=[frames.sha256[frame] for frame in used],
        inputs={},
    )


def _estimate(rows: pd.DataFrame, settings: ClipSettings) -> int:
    height, width = settings.crop_size
    return len(rows) * (2 * settings.delta + 1) * height * width * 3


@app.command()
@one_line
def main(
    input_: Annotated[Literal["hrnet", "vit"], typer.Option("--input", help="Network input.")],
    split: Annotated[Literal["train", "val", "val_gt"], typer.Option(help="Split of the boxes.")],
    units: Annotated[str, typer.Option(help="Compute slice i/n only, publish nothing.")] = "",
    data: Annotated[Path, typer.Option(help="Folder of all outs.")] = Path("data"),
    params: Annotated[Path, typer.Option(help="Params file.")] = Path("params.yaml"),
) -> None:
    """Write the crops of every clip of SPLIT, for INPUT."""
    typer.echo(build(plan(input_, split, units, data, params)))


if __name__ == "__main__":
    app()
