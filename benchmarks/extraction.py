"""Speed of the extraction stages, compared with a plain loop over the same networks.

Runs HRNet, RAFT and ViT of a preset with random weights on random crops. The plain loop passes
crops from memory to the network in the same batches and converts the results to float16. The stage
reads a crop store and writes shards with checksums. Both run in one process, in turn.

    python -m benchmarks.extraction [--quick] [--json FILE] [--preset NAME]
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import numpy as np
import torch
import typer
from torch import nn

from benchmarks.measurement import (
    Cost,
    Figures,
    JsonFile,
    Quick,
    cost_of,
    describe_machine,
    median_cost,
    median_ratio,
    show,
    write_figures,
)
from benchmarks.stores import write_store
from models.hrnet.clips import build_clip_maps
from models.hrnet.network import build_hrnet
from models.raft.clips import build_clip_flow
from models.raft.network import build_raft
from models.vit.clips import build_clip_tokens
from models.vit.network import build_vit
from pipeline.core.caches.crop_size import read_crop_size
from pipeline.core.networks.devices import pick_device
from pipeline.core.networks.weights import write_weights
from pipeline.core.params import read_params
from pipeline.core.skeleton import JOINTS
from pipeline.extraction.plan import BuildNetwork, plan_extraction
from pipeline.importing.presets import find_preset
from posereel.networks import cache_shapes

ROOT = Path(__file__).resolve().parents[1]
UNIT = "000000/v0"

app = typer.Typer(add_completion=False)


@dataclass(frozen=True, slots=True)
class Extraction:
    """One of the three extraction stages."""

    stage: str
    crops: str
    """Name of its crop input."""
    network: nn.Module
    """The network with random weights."""
    build: BuildNetwork
    batch: int


def read_extractions(params: Path) -> list[Extraction]:
    """Return the extraction stages of a preset."""
    values = read_params(params)
    torch.manual_seed(0)
    hrnet, flow = values["finetune_backbone"]["variant"], values["flow"]
    vit = values["tokens"]["variant"]
    maps = partial(build_clip_maps, variant=hrnet, joints=len(JOINTS), features=False)
    settings = flow["variant"], flow["updates"], flow["scale"]
    raft = partial(build_clip_flow, variant=settings[0], updates=settings[1], scale=settings[2])
    tokens = partial(build_clip_tokens, variant=vit)
    size = read_crop_size(params, "vit")
    batch = {stage: values[stage]["batch"] for stage in ("heatmaps", "flow", "tokens")}
    return [
        Extraction("heatmaps", "hrnet", build_hrnet(hrnet, len(JOINTS)), maps, batch["heatmaps"]),
        Extraction("flow", "hrnet", build_raft(*settings), raft, batch["flow"]),
        Extraction("tokens", "vit", build_vit(vit, size), tokens, batch["tokens"]),
    ]


def measure(
    extraction: Extraction, params: Path, root: Path, clips: int, rounds: int, device: str
) -> dict[str, Any]:
    """Run the network of a stage in both ways and return the clips per second."""
    values = read_params(params)
    crop, frames = (
        read_crop_size(params, extraction.crops),
        2 * values["crop"][extraction.crops]["delta"] + 1,
    )
    crops = np.random.default_rng(0).integers(0, 256, (clips, frames, *crop, 3), np.uint8)
    write_store(root / "crops", "crops", {UNIT: crops})
    weights = root / "weights.safetensors"
    write_weights(weights, extraction.network.state_dict())
    shape = cache_shapes(values, crop, frames)[extraction.stage]
    plan = plan_extraction(
        stage=extraction.stage,
        crops=root / "crops",
        weights_of=lambda _: weights,
        build_network=extraction.build,
        row_shape=lambda _: shape,
        batch=extraction.batch,
        device=device,
    )
    task, step = plan(), plan.clips_per_pass
    network = extraction.build(extraction.network.state_dict(), "random", crop).to(device)

    def run_plainly() -> None:
        with torch.inference_mode():
            for first in range(0, clips, step):
                part = torch.from_numpy(crops[first : first + step]).to(device)
                network(part).half().cpu()

    def run_stage(number: int) -> None:
        (root / f"out{number}").mkdir()
        task(UNIT, root / f"out{number}")

    run_plainly()
    run_stage(0)  # warm-up of both
    costs: dict[str, list[Cost]] = {"plain": [], "stage": []}
    for number in range(1, rounds + 1):
        costs["plain"].append(cost_of(run_plainly))
        costs["stage"].append(cost_of(partial(run_stage, number)))
    return _figures(costs, clips)


def _figures(costs: dict[str, list[Cost]], clips: int) -> dict[str, Any]:
    walls = {name: [cost.wall for cost in found] for name, found in costs.items()}
    return {
        "plain_clips_per_s": clips / median_cost(costs["plain"]).wall,
        "stage_clips_per_s": clips / median_cost(costs["stage"]).wall,
        "stage_seconds_per_plain": median_ratio(walls["stage"], walls["plain"]),
    }


@app.command()
def main(
    quick: Quick = False,
    json_file: JsonFile = None,
    preset: Annotated[str, typer.Option(help="Preset in presets/, without .yaml.")] = "",
) -> None:
    """Extract from random crops in both ways."""
    device = pick_device("auto")
    torch.set_num_threads(1)
    preset = preset or ("synthetic" if quick else "posetrack18")
    small = quick or device.type == "cpu"
    clips, rounds = (16 if preset == "synthetic" else 2, 3) if small else (256, 3)
    print(f"extraction: preset {preset} on {device}; {describe_machine()}")
    figures: Figures = {"preset": preset, "device": str(device), "clips": clips}
    rows: list[list[str | float]] = [
        ["", "plain clips/s", "stage clips/s", "seconds, stage / plain"]
    ]
    params = find_preset(preset, ROOT)
    for extraction in read_extractions(params):
        with TemporaryDirectory() as folder:
            found = measure(extraction, params, Path(folder), clips, rounds, device.type)
        figures[extraction.stage] = found
        rows.append([extraction.stage, *found.values()])
    show(f"extraction of {clips} clips, median of {rounds}", rows)
    write_figures(json_file, figures)


if __name__ == "__main__":
    app()
