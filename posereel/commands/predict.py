"""Estimate the poses of all people in a video.

Writes one folder, completely or not at all: predictions.parquet, posetrack.json, coco.json,
overlay.mp4 and meta.json. The video is read in windows of frames. Finished windows are kept in
OUT.partial, where an interrupted run continues.

Networks, sizes and decoding are those of the params file, so a video of the data set gets the
poses that the DAG predicts for it.
"""

import json
import re
from pathlib import Path
from typing import Annotated, Literal

import typer

from models.head_parts.lookup import comparisons, listed_systems


def main(
    video: Annotated[Path, typer.Argument(help="Video file, or a folder of its frames.")],
    *,
    head: Annotated[str, typer.Option(help=f"System: {', '.join(listed_systems())}.")] = next(
        iter(comparisons())
    ),
    weights: Annotated[
        Path, typer.Option(help="Folder of heads: those that ship, or data/runs.")
    ] = Path("data/weights/heads"),
    boxes: Annotated[
        Path | None,
        typer.Option(help="COCO results instead of a detector; image_id = frame from 0."),
    ] = None,
    frames: Annotated[str, typer.Option(help="First and last frame, such as 10-100.")] = "",
    detect_every: Annotated[int, typer.Option(min=1, help="Detect in every n-th frame.")] = 1,
    track: Annotated[Literal["iou", "none"], typer.Option(help="How ids are assigned.")] = "iou",
    smooth: Annotated[
        Literal["none", "one-euro", "savgol"], typer.Option(help="Smooth the joints of each id.")
    ] = "none",
    bridge: Annotated[
        float | None,
        typer.Option(
            metavar="SCORE", min=0, max=1, help="Interpolate joints with lower scores over time."
        ),
    ] = None,
    drop: Annotated[
        float | None,
        typer.Option(metavar="SCORE", min=0, max=1, help="Leave out joints with lower scores."),
    ] = None,
    score: Annotated[float, typer.Option(min=0, max=1, help="Lowest score of a box.")] = 0.3,
    out: Annotated[Path | None, typer.Option(help="Folder to create.")] = None,
    overlay: Annotated[
        bool, typer.Option("--overlay/--no-overlay", help="Draw a video with the poses.")
    ] = True,
    incomplete: Annotated[
        bool, typer.Option("--incomplete", help="Accept a truncated file; meta.json says so.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print meta.json at the end.")] = False,
    params: Annotated[Path, typer.Option(help="Params file.")] = Path("params.yaml"),
) -> None:
    """Write the poses of all people in VIDEO: Parquet, PoseTrack and COCO JSON, and a video."""
    chosen = _range(frames)
    from pipeline.video.smoothing import choose_smoothing
    from posereel.video_networks import read_setup
    from posereel.video_poses import predict_video

    smoothing = choose_smoothing(smooth, bridge=bridge, drop=drop, tracked=track != "none")
    setup = read_setup(params, head, weights, boxes, detect_every, score)
    if any("synthetic" in file.parts for file in setup.files().values()):
        typer.echo(
            "predict: these networks were trained on rendered people only; expect poor poses on "
            "real people until you import weights (posereel import-weights) and train on real "
            "videos",
            err=True,
        )
    folder = out or Path(f"{video.stem}-poses")
    facts = predict_video(
        video,
        folder,
        setup,
        frames=chosen,
        track=track,
        smoothing=smoothing,
        overlay=overlay,
        incomplete=incomplete,
    )
    typer.echo(json.dumps(facts, indent=1) if as_json else f"predict: wrote {folder}")


def _range(frames: str) -> tuple[int, int | None]:
    """Return the first and the last frame; None: to the end."""
    if not frames:
        return 0, None
    match = re.fullmatch(r"(\d+)-(\d+)", frames)
    if match is None or int(match[1]) > int(match[2]):
        raise ValueError(f"--frames {frames}: expected FIRST-LAST, such as 10-100, from 0 on")
    return int(match[1]), int(match[2])
