"""Copy pretrained weights into data/weights/synthetic as float16, each with a card.

Held-out figures are measured on the rounded weights, which are what ships. A card holds no clock
and no place: the same weights give the same bytes.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import cv2
import torch
import typer
from torch import Tensor, nn

from models.base.weights import load_weights
from models.detection.network import build_detector
from models.hrnet.network import build_hrnet
from models.raft.network import build_raft
from models.vit.network import build_vit
from pipeline.core.networks.weights import read_weights, write_weights
from pipeline.core.params import read_section
from pipeline.core.skeleton import JOINTS
from pipeline.synthetic.dataset import SEED_RANGES
from pretrain.detector import SCORE_MIN, Detector
from pretrain.hrnet import HRNet
from pretrain.measure import detection, flow_error, pose_ap
from pretrain.pairs import held_out_pairs, read_moving_scenes
from pretrain.raft import Raft
from pretrain.render import Render, Videos
from pretrain.scenes import Scenes, read_scenes
from pretrain.vit import TokenReader, ViT

app = typer.Typer(add_completion=False)

Run = HRNet | ViT | Raft | Detector

_ROUNDED = torch.float16


@dataclass(frozen=True, slots=True)
class Shipment:
    """One network that ships."""

    file: str
    """Name of the shipped file, without its ending."""
    command: str
    """What made the weights."""
    section: type[Run]
    """Schema of its params section."""
    measure: Callable[[Any, dict[str, Tensor], Path, int], dict[str, float]]
    """Held-out figures of rounded weights: (params, weights, folder of scenes, pairs per gap)."""
    prefix: str = ""
    """What ships is what begins so, without it."""


def _held_out(scenes: Path) -> Scenes:
    return read_scenes(scenes / "holdout")


def _measure_hrnet(
    run: HRNet, weights: dict[str, Tensor], scenes: Path, _pairs: int
) -> dict[str, float]:
    network = build_hrnet(run.variant, len(JOINTS))
    load_weights(network, weights, "hrnet")
    return pose_ap(lambda images: network(images).heatmaps, _held_out(scenes), run.crops)


def _measure_vit(
    run: ViT, weights: dict[str, Tensor], scenes: Path, _pairs: int
) -> dict[str, float]:
    reader = TokenReader(backbone=build_vit(run.variant, run.crops.size), joints=len(JOINTS))
    load_weights(reader, weights, "vit")
    return pose_ap(reader.eval(), _held_out(scenes), run.crops)


def _measure_raft(
    run: Raft, weights: dict[str, Tensor], scenes: Path, pairs: int
) -> dict[str, float]:
    network = build_raft(run.variant, run.updates, run.scale)
    load_weights(network, weights, "raft")
    moving = read_moving_scenes(scenes / "holdout")
    figures: dict[str, float] = {}
    for gap in sorted(set(moving.gaps.tolist())):
        errors = flow_error(network, held_out_pairs(moving, run.crops, pairs, 10, gap))
        figures |= {f"gap_{gap}_{name}": value for name, value in errors.items()}
    return figures


def _measure_detector(
    run: Detector, weights: dict[str, Tensor], scenes: Path, _pairs: int
) -> dict[str, float]:
    detector: nn.Module = build_detector(run.variant)
    load_weights(detector, weights, "detector")
    return detection(detector, _held_out(scenes), SCORE_MIN)


SHIPMENTS = {
    "hrnet": Shipment("hrnet", "python -m pretrain.hrnet", HRNet, _measure_hrnet),
    "vit": Shipment("vit", "python -m pretrain.vit", ViT, _measure_vit, prefix="backbone."),
    "raft_gaps": Shipment("raft_small", "python -m pretrain.raft raft_gaps", Raft, _measure_raft),
    "detector": Shipment("detector", "python -m pretrain.detector", Detector, _measure_detector),
}


def _seeds(video_set: str, render: Render) -> list[int]:
    """Return the first and the last seed of a set of videos."""
    videos: Videos = getattr(render, video_set)
    first = SEED_RANGES[videos.seeds].start
    return [first, first + videos.videos - 1]


def _card(
    shipment: Shipment, run: Run, render: Render, weights: dict[str, Tensor], path: Path
) -> dict[str, Any]:
    video_sets = [run.scenes] if isinstance(run.scenes, str) else run.scenes
    if isinstance(run, Detector):
        video_sets = [*video_sets, run.calibration]
    return {
        "command": shipment.command,
        "steps": run.fitting.steps,
        "samples": run.fitting.steps * run.fitting.batch,
        "seeds": {
            "fitting": run.fitting.seed,
            "videos": {video_set: _seeds(video_set, render) for video_set in video_sets},
            "held_out": _seeds("holdout", render),
        },
        "machine": "one CPU thread",
        "torch": torch.__version__.split("+")[0],
        "tensors": len(weights),
        "values": sum(tensor.numel() for tensor in weights.values()),
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "params": run.model_dump(mode="json"),
    }


def _rounded(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights as float16; whole numbers, such as counters, stay what they are."""
    return {
        name: tensor.to(_ROUNDED) if tensor.is_floating_point() else tensor
        for name, tensor in weights.items()
    }


@app.command()
def main(
    names: Annotated[list[str] | None, typer.Argument(help="All if none.")] = None,
    made: Annotated[Path, typer.Option(help="Folder of the weights.")] = Path("pretrain/out"),
    to: Annotated[Path, typer.Option(help="Where they go.")] = Path("data/weights/synthetic"),
    params: Annotated[Path, typer.Option(help="Params file.")] = Path("pretrain/params.yaml"),
    pairs: Annotated[int, typer.Option(help="Held-out pairs of crops per gap, for flow.")] = 500,
    note: Annotated[str, typer.Option(help="How the run differed from the command.")] = "",
) -> None:
    """Ship the weights of NAMES, all four by default, and measure them on held-out videos."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    render = read_section(params, "render", Render)
    for name in names or list(SHIPMENTS):
        shipment = SHIPMENTS[name]
        run = read_section(params, name, shipment.section)
        weights = _rounded(read_weights(made / f"{name}.safetensors"))
        held_out = shipment.measure(run, weights, made / "scenes", pairs)
        prefix = shipment.prefix
        kept = {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}
        path = to / f"{shipment.file}.safetensors"
        write_weights(path, kept)
        card = _card(shipment, run, render, kept, path)
        if note:
            card["note"] = note
        card["held_out"] = {key: round(value, 4) for key, value in held_out.items()}
        path.with_suffix(".json").write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
        typer.echo(f"{path}: {path.stat().st_size / 1e6:.2f} MB, held out {card['held_out']}")


if __name__ == "__main__":
    app()
