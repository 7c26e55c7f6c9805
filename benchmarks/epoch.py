"""One epoch of the JM-Pose head on cached tensors, compared with online computation.

Both trainings use the same clips, batch, head, loss and loop (``pipeline.training.loop``):

- cached: heatmaps and flow come from the stores, prefetched by one thread;
- online: a DataLoader decodes, crops and augments; HRNet and RAFT run in every step.

Networks and sizes are those of a preset. Weights are random, which does not affect the duration.
The cost of 20 ablations of 20 epochs is extrapolated; the cached way extracts 4 variants of each
clip once. A second part measures the share of wall time that the cached loop waits for data, on
rows of the PoseTrack presets in batches of 32, with simulated steps of 30 ms. On a shared machine
this share depends on the load, the CPU time per batch does not.

    python -m benchmarks.epoch [--quick] [--json FILE] [--preset NAME] [--workers N]
"""

import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, cast

import numpy as np
import pandas as pd
import torch
import typer
from torch import Tensor, nn
from torch.utils.data import DataLoader

from benchmarks.live_clips import LiveClips, LiveFeed, Videos, make_videos
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
from models.hrnet.clips import ClipMaps
from models.hrnet.network import build_hrnet
from models.raft.clips import ClipFlow
from models.raft.network import build_raft
from pipeline.clips.augment import Augment
from pipeline.clips.clips import ClipSettings
from pipeline.clips.jitter import Jitter
from pipeline.core.caches.clip_table import table_of
from pipeline.core.caches.reader import Caches
from pipeline.core.grid import grid_size
from pipeline.core.networks.devices import pick_device
from pipeline.core.params import read_params
from pipeline.core.skeleton import JOINTS
from pipeline.core.system_params import Schedule
from pipeline.importing.presets import find_preset
from pipeline.training.dataset import ClipFeed, MappedSource, TargetSpec
from pipeline.training.loop import Feed, LoopConfig, train
from pipeline.training.processes import DistributedContext
from pipeline.training.target_params import Sigma, Target
from posereel.configured_head import ConfiguredHead, read_head

HEAD = "jmpose"
ABLATIONS, EPOCHS, VARIANTS = 20, 20, 4
STEP_SECONDS = 0.03
SIGMA = 2.0
ROOT = Path(__file__).resolve().parents[1]

app = typer.Typer(add_completion=False)


@dataclass(frozen=True)
class Setting:
    """Settings of a preset for the head and its input."""

    params: dict[str, Any]
    configured: ConfiguredHead
    schedule: Schedule

    @property
    def frames(self) -> int:
        """Number of frames T per clip."""
        return self.configured.system.frames

    @property
    def crop_size(self) -> tuple[int, int]:
        """(height, width) of the crops in pixels."""
        return self.configured.crop_size

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the heatmaps."""
        return grid_size(self.crop_size)

    @property
    def row_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of the row of a clip by kind of store."""
        return {
            "heatmaps": (self.frames, len(JOINTS), *self.grid),
            "flow": (self.frames - 1, 2, *self.grid),
        }

    def clip_settings(self) -> ClipSettings:
        """Return the settings of clips and crops."""
        crop = self.params["crop"]
        augment, jitter = Augment(**crop["augment"]), Jitter(**crop["jitter"])
        delta = self.schedule.delta
        return ClipSettings(self.crop_size, crop["enlarge"], delta, crop["gap"], augment, jitter)

    def networks(self, device: torch.device) -> dict[str, nn.Module]:
        """Build the frozen networks by kind of store."""
        flow = self.params["flow"]
        variant = self.params["finetune_backbone"]["variant"]
        built: dict[str, nn.Module] = {
            "heatmaps": ClipMaps(network=build_hrnet(variant, len(JOINTS)), features=False),
            "flow": ClipFlow(network=build_raft(flow["variant"], flow["updates"], flow["scale"])),
        }
        return {kind: network.eval().to(device) for kind, network in built.items()}

    def head(self) -> nn.Module:
        """Build the head with the modules of its loss."""
        torch.manual_seed(0)
        return self.configured.objective(self.row_shapes)


def read_setting(preset: str) -> Setting:
    """Read a preset and set the length of the training to one epoch."""
    path = find_preset(preset, ROOT)
    configured = read_head(path, HEAD)
    if configured.system.schedule is None:
        raise ValueError(f"{path}: expected a schedule of {HEAD}")
    one = {"epochs": 1, "steps": 0, "milestones": [], "warm_up": 0}
    schedule = configured.system.schedule.model_copy(update=one)
    return Setting(read_params(path), configured, schedule)


def train_epoch(setting: Setting, feed: Feed, folder: Path, device: torch.device) -> Cost:
    """Train one epoch from random weights and return its cost."""
    config = LoopConfig(
        training=setting.schedule,
        section=setting.configured.system.section,
        folder=folder,
        checkpoint_every=10**9,
        context=DistributedContext(device, rank=0, world_size=1),
        exported_module=lambda network: cast("nn.Module", network.head),
    )
    network = setting.head().to(device)
    return cost_of(partial(train, network, lambda network, batch: network(batch), feed, config))


def extract(
    setting: Setting,
    videos: Videos,
    networks: dict[str, nn.Module],
    data: Path,
    device: torch.device,
) -> pd.DataFrame:
    """Write the stores of variant 0 as the stages do and return their clip table."""
    rows = videos.rows(setting.clip_settings(), 0)
    clips = LiveClips(videos, setting.clip_settings(), 0, SIGMA)
    results: dict[str, list[Tensor]] = {kind: [] for kind in networks}
    with torch.inference_mode():
        for batch in DataLoader(clips, batch_size=setting.schedule.batch):
            crops = batch["crops"].to(device)
            for kind, network in networks.items():
                results[kind].append(network(crops).half().cpu())
    for kind, parts in results.items():
        values = torch.cat(parts).numpy()
        units = {
            f"{video}/v0": values[table.index]
            for video, table in rows.reset_index(drop=True).groupby("video")
        }
        write_store(data / kind, kind, units)
    return rows


def cached_feed(setting: Setting, rows: pd.DataFrame, data: Path, device: torch.device) -> ClipFeed:
    """Return the feed of a training on the stores in ``data``."""
    table = table_of(rows, data)
    caches = Caches({kind: data / kind for kind in setting.row_shapes}, setting.frames)
    source = MappedSource(table, caches, device)
    target = Target(occluded="train", sigma=Sigma(hrnet=SIGMA, vit=SIGMA))
    target_spec = TargetSpec(target, setting.grid, SIGMA)
    batch = setting.schedule.batch
    return ClipFeed(table, source, target_spec, batch=batch, seed=0, where=data)


def compare(
    setting: Setting, root: Path, *, clips: int, rounds: int, workers: int, device: torch.device
) -> Figures:
    """Train epochs in both ways in turn, print their costs and return the figures."""
    render = setting.params["render"]
    real = setting.params["data"]["name"] != "synthetic"
    videos = make_videos(
        root / "videos", clips, (720, 1280) if real else (render["height"], render["width"])
    )
    networks, data = setting.networks(device), root / "data"
    extraction = cost_of(lambda: extract(setting, videos, networks, data, device))
    feed = cached_feed(setting, videos.rows(setting.clip_settings(), 0), data, device)
    batch = setting.schedule.batch
    train_epoch(
        setting, feed, root / "warm", device
    )  # warms up; extraction has warmed up the networks
    costs: dict[str, list[Cost]] = {"cached": [], "online": []}
    parts: list[dict[str, float]] = []
    for number in range(rounds):
        costs["cached"].append(train_epoch(setting, feed, root / f"cached{number}", device))
        live = LiveFeed(
            partial(_epoch_of, videos, setting.clip_settings(), number), networks, batch, workers
        )
        costs["online"].append(train_epoch(setting, live, root / f"online{number}", device))
        parts.append(live.seconds)
    title = f"one epoch, {clips} clips, batch {batch}, median of {rounds}"
    spent = {name: statistics.median(part[name] for part in parts) for name in parts[0]}
    return {"clips": clips, "batch": batch} | summarize(title, costs, spent, extraction)


def summarize(
    title: str, costs: dict[str, list[Cost]], spent: dict[str, float], extraction: Cost
) -> Figures:
    """Print medians and ratios of an epoch and the extrapolated cost of all ablations.

    Args:
        title: Title of the table.
        costs: Costs of all rounds, ``cached`` and ``online``.
        spent: Wall seconds of loading and of each network in an online epoch.
        extraction: Cost of writing the stores of one variant.
    """
    cached, online = (median_cost(costs[name]) for name in ("cached", "online"))
    speed_up, cpu_ratio = (
        median_ratio([cost[i] for cost in costs["online"]], [cost[i] for cost in costs["cached"]])
        for i in (0, 1)
    )
    rows: list[list[str | float]] = [["", "wall s", "x", "CPU s", "x"]]
    rows.append(["online", online.wall, speed_up, online.cpu, cpu_ratio])
    rows += [[f"  {name}", seconds, "", "", ""] for name, seconds in spent.items()]
    rows.append(["cached", cached.wall, 1, cached.cpu, 1])
    rows.append(["extraction of one variant, once", extraction.wall, "", extraction.cpu, ""])
    show(title, rows)
    return {
        "cached_s": cached.wall,
        "online_s": online.wall,
        "online_parts_s": spent,
        "extraction_s": extraction.wall,
        "speed_up": speed_up,
        "cpu_ratio": cpu_ratio,
        "ablations": {
            "wall": extrapolate("wall", cached.wall, online.wall, extraction.wall),
            "cpu": extrapolate("CPU", cached.cpu, online.cpu, extraction.cpu),
        },
    }


def _epoch_of(videos: Videos, settings: ClipSettings, number: int, variant: int) -> LiveClips:
    """Return the clips of an epoch, with a different augmentation in every round."""
    return LiveClips(videos, settings, variant and variant + number, SIGMA)


def extrapolate(clock: str, cached: float, online: float, extraction: float) -> Figures:
    """Return the hours of all ablations in both ways from the seconds of one epoch."""
    epochs = ABLATIONS * EPOCHS
    cached_hours = (VARIANTS * extraction + epochs * cached) / 3600
    online_hours = epochs * online / 3600
    rows: list[list[str | float]] = [
        ["", "extraction", "epochs", "sum", "x"],
        ["online", 0.0, online_hours, online_hours, online_hours / cached_hours],
        ["cached", VARIANTS * extraction / 3600, epochs * cached / 3600, cached_hours, 1],
    ]
    show(f"{ABLATIONS} ablations of {EPOCHS} epochs, extrapolated, {clock} hours", rows)
    return {
        "cached_h": cached_hours,
        "online_h": online_hours,
        "ratio": online_hours / cached_hours,
    }


def measure_waiting(root: Path, steps: int, device: torch.device) -> Figures:
    """Print and return the share of time that the cached loop waits at steps of 30 ms."""
    setting = read_setting("posetrack18")
    clips = 2 * setting.schedule.batch
    # The table needs joints and boxes; the size of the images does not matter.
    rows = make_videos(root / "videos", clips, (64, 64)).rows(setting.clip_settings(), 0)
    random = np.random.default_rng(0)
    data = root / "data"
    for kind, shape in setting.row_shapes.items():
        units = {
            f"{video}/v0": random.standard_normal((len(table), *shape)).astype(np.float16)
            for video, table in rows.groupby("video")
        }
        write_store(data / kind, kind, units)
    feed = cached_feed(setting, rows, data, device)
    batches = feed.batches(0, steps, DistributedContext(device, rank=0, world_size=1))
    waits: list[float] = []
    loop = cost_of(lambda: waits.extend(_waits(batches))).per(steps)
    del waits[:3]  # the prefetch thread has just started
    share = sum(waits) / (sum(waits) + STEP_SECONDS * len(waits))
    size = 2e-6 * setting.schedule.batch * sum(map(np.prod, setting.row_shapes.values()))
    title = f"waiting for data, {len(waits)} steps of 30 ms, {size:.0f} MB per batch"
    median_wait = 1e3 * statistics.median(waits)
    table: list[list[str | float]] = [["", "share %", "median ms", "CPU ms per batch"]]
    show(title, [*table, ["waiting", 100 * share, median_wait, 1e3 * loop.cpu]])
    return {
        "wait_share": share,
        "median_wait_ms": median_wait,
        "cpu_ms_per_batch": 1e3 * loop.cpu,
        "batch_mb": size,
        "steps": len(waits),
    }


def _waits(batches: Iterator[object]) -> Iterator[float]:
    """Yield the waiting time for each batch in seconds, in a loop with steps of 30 ms."""
    while True:
        begin = time.perf_counter()
        if next(batches, None) is None:
            return
        yield time.perf_counter() - begin
        time.sleep(STEP_SECONDS)


@app.command()
def main(
    quick: Quick = False,
    json_file: JsonFile = None,
    preset: Annotated[str, typer.Option(help="Preset in presets/ for networks and sizes.")] = (
        "synthetic"
    ),
    workers: Annotated[int, typer.Option(help="Processes of the online DataLoader.")] = 2,
) -> None:
    """Train an epoch in both ways, extrapolate 20 ablations and measure waiting for data."""
    device = pick_device("auto")
    clips, rounds, steps = (32, 1, 60) if quick else (256, 3, 300)
    # With several threads, waiting for each other takes CPU time on a shared machine.
    torch.set_num_threads(1)
    print(f"epoch: preset {preset} on {device}; {describe_machine()}")
    setting = read_setting(preset)
    with TemporaryDirectory() as folder:
        root = Path(folder)
        figures = {"preset": preset, "device": str(device)}
        figures |= compare(
            setting, root / "epoch", clips=clips, rounds=rounds, workers=workers, device=device
        )
        figures |= measure_waiting(root / "waiting", steps, device)
    write_figures(json_file, figures)


if __name__ == "__main__":
    app()
