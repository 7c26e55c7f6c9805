"""Pretrain the small person detector on whole rendered frames."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import torch
import typer
from torch import Tensor, nn

from models.detection.network import PERSON, build_detector
from pipeline.core.geometry.boxes import xywh_to_xyxy
from pipeline.core.networks.weights import write_weights
from pipeline.core.params import Section, read_section
from pretrain.crops import passes
from pretrain.fitting import Fitting, fit
from pretrain.measure import detection
from pretrain.scenes import Scenes, read_scenes

app = typer.Typer(add_completion=False)

SCORE_MIN = 0.2
"""The pipeline's detect.score_min."""
_SHIFTS = tuple(-0.4 * step for step in range(10))
_CALIBRATION_FRAMES = 120

Frames = tuple[list[Tensor], list[dict[str, Tensor]]]


class Detector(Section):
    """Params of this run."""

    variant: str
    """Variant of models/detection/network.py."""
    scenes: list[str]
    """Sets of rendered videos that it is trained on."""
    fitting: Fitting
    """Its run."""
    calibration: str
    """Set of rendered videos that its scores are calibrated on: neither trained on nor held out."""


def _target(boxes: Tensor) -> dict[str, Tensor]:
    return {"boxes": boxes, "labels": torch.full((len(boxes),), PERSON)}


def batches(scenes: list[Scenes], batch: int, seed: int) -> Iterator[Frames]:
    """Yield frames with their boxes without end, half of them mirrored.

    Frames with people whom nobody labeled are left out: there, background is not known to be
    background.
    """
    usable = [np.flatnonzero(~part.ignored) for part in scenes]
    order = passes([len(frames) for frames in usable], seed)
    random = np.random.default_rng(seed)
    while True:
        images, targets = [], []
        for _ in range(batch):
            which, row, _ = next(order)
            part, frame = scenes[which], int(usable[which][row])
            image = torch.from_numpy(part.frames[frame].copy()).permute(2, 0, 1).float() / 255
            boxes = torch.from_numpy(xywh_to_xyxy(part.boxes[part.people_of(frame)])).float()
            if random.random() < 0.5:
                image = image.flip(2)
                # Corners are pixel centers: x becomes W - 1 - x.
                boxes[:, [0, 2]] = image.shape[2] - 1 - boxes[:, [2, 0]]
            images.append(image)
            targets.append(_target(boxes))
        yield images, targets


def calibrate(detector: nn.Module, scenes: Scenes) -> float:
    """Shift the scores so that the pipeline's threshold is a sensible one.

    FCOS scores anything that might be a person above 0.2 after a short run. The bias of the
    class logits moves to where F2 at the threshold is largest, which counts recall twice as much
    as precision: nothing brings a missed person back, and the joints of a false one score low.
    The order of a frame's detections stays almost what it was.

    Args:
        detector: The small FCOS, in evaluation mode; changed in place.
        scenes: Frames to count on.

    Returns:
        What was added to the bias.
    """
    bias = detector.get_parameter("head.classification_head.cls_logits.bias")
    start = bias.detach().clone()
    best, best_f2 = 0.0, -1.0
    for shift in _SHIFTS:
        bias.data = start + shift
        figures = detection(detector, scenes, SCORE_MIN, _CALIBRATION_FRAMES)
        recall, precision = figures["recall"], figures["precision"]
        f2 = 5 * precision * recall / max(4 * precision + recall, 1e-9)
        if f2 > best_f2:
            best, best_f2 = shift, f2
    bias.data = start + best
    return best


def _loss(network: nn.Module, frames: Frames) -> Tensor:
    losses: dict[str, Tensor] = network(*frames)
    return torch.stack([value.float() for value in losses.values()]).sum()


@app.command()
def main(
    scenes: Annotated[Path, typer.Option(help="Folder of scenes.")] = Path("pretrain/out/scenes"),
    out: Annotated[Path, typer.Option(help="Weights to write.")] = Path(
        "pretrain/out/detector.safetensors"
    ),
    params: Annotated[Path, typer.Option(help="Parameter file.")] = Path("pretrain/params.yaml"),
) -> None:
    """Fit the network and write the average of its weights to OUT."""
    run = read_section(params, "detector", Detector)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    torch.manual_seed(run.fitting.seed)
    source = batches(
        [read_scenes(scenes / name) for name in run.scenes], run.fitting.batch, run.fitting.seed
    )
    detector = fit(build_detector(run.variant), _loss, source, run.fitting, out)
    shift = calibrate(detector, read_scenes(scenes / run.calibration))
    write_weights(out, detector.state_dict())
    typer.echo(f"{out}: {run.fitting.steps} steps of {run.fitting.batch} frames, bias {shift:+.1f}")


if __name__ == "__main__":
    app()
