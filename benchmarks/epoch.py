"""One epoch of the JM-Pose head on cached tensors against the same head the usual way.

The same clips, batch, head, loss and training loop (``pipeline.training.loop``) both times:

- cached: heatmaps and flow come from the stores, read ahead by one thread;
- usual: decode, warp, augment, HRNet and RAFT in the loop, behind a DataLoader.

The networks and sizes are those of a preset; weights are random, which changes no duration. The
cost of 20 ablations of 20 epochs follows from the same figures: ours extracts 4 variants of each
clip once. Then the cached loop alone, on rows of the PoseTrack presets in batches of 32, with a
step of 30 ms simulated by sleeping: the share of the wall time in which it waits for data. On a
machine that others load, that share says what they left over; the CPU time of a batch does not.

    python benchmarks/epoch.py [--quick] [--json FILE] [--preset NAME] [--workers N]
"""

import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import numpy as np
import pandas as pd
import torch
import typer
from torch import Tensor, nn
from torch.utils.data import DataLoader

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

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
from models.heads.jmpose.head import build_jmpose_training, head_of, jmpose_loss
from models.hrnet.clips import ClipMaps
from models.hrnet.network import build_hrnet
from models.raft.clips import ClipFlow
from models.raft.network import build_raft
from pipeline.base.params import read_params
from pipeline.caches.clip_table import table_of
from pipeline.caches.reader import Caches
from pipeline.clips.augment import Augment
from pipeline.clips.clips import ClipSettings
from pipeline.grid import grid_size
from pipeline.head_params.jmpose import TrainJMPose, jmpose_system, read_jmpose
from pipeline.importing.presets import find_preset
from pipeline.networks.devices import pick_device
from pipeline.skeleton import JOINTS
from pipeline.training.dataset import ClipFeed, Goal, MappedSource
from pipeline.training.loop import Feed, Plan, train
from pipeline.training.processes import Place
from pipeline.training.targets import Sigma, Target

ABLATIONS, EPOCHS, VARIANTS = 20, 20, 4
STEP_SECONDS = 0.03
SIGMA = 2.0
ROOT = Path(__file__).resolve().parents[1]

app = typer.Typer(add_completion=False)


@dataclass(frozen=True)
class Setting:
    """What a preset says about the head and what it reads."""

    params: dict[str, Any]
    section: TrainJMPose

    @property
    def frames(self) -> int:
        """Frames T per clip."""
        return 2 * self.section.delta + 1

    @property
    def crop_size(self) -> tuple[int, int]:
        """Height and width of the crops."""
        crop = self.params["crop"]["hrnet"]
        return crop["height"], crop["width"]

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the heatmaps."""
        return grid_size(self.crop_size)

    @property
    def row_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape of a clip in the stores."""
        return {
            "heatmaps": (self.frames, len(JOINTS), *self.grid),
            "flow": (self.frames - 1, 2, *self.grid),
        }

    def cut(self) -> ClipSettings:
        """Return how clips are cut."""
        augment = Augment(**self.params["crop"]["augment"])
        enlarge = self.params["crop"]["enlarge"]
        return ClipSettings(self.crop_size, enlarge, self.section.delta, augment)

    def networks(self, device: torch.device) -> dict[str, nn.Module]:
        """Build the frozen networks, by the kind of store that they make."""
        flow = self.params["flow"]
        variant = self.params["finetune_backbone"]["variant"]
        built: dict[str, nn.Module] = {
            "heatmaps": ClipMaps(network=build_hrnet(variant, len(JOINTS)), features=False),
            "flow": ClipFlow(network=build_raft(flow["variant"], flow["updates"])),
        }
        return {kind: network.eval().to(device) for kind, network in built.items()}

    def head(self) -> nn.Module:
        """Build the head with its loss."""
        torch.manual_seed(0)
        return build_jmpose_training(
            jmpose_system(self.section).arguments,
            joints=len(JOINTS),
            frames=self.frames,
            shapes=self.row_shapes,
            crop_size=self.crop_size,
            estimator=self.section.estimator,
            alpha=self.section.alpha,
        )


def read_setting(preset: str) -> Setting:
    """Read a preset; one epoch is trained, whatever it says."""
    path = find_preset(preset, ROOT)
    section = read_jmpose(path)
    one = {"epochs": 1, "steps": 0, "milestones": [], "warm_up": 0, "weights": "none"}
    return Setting(read_params(path), section.model_copy(update=one))


def train_epoch(setting: Setting, feed: Feed, folder: Path, device: torch.device) -> Cost:
    """Train one epoch from fresh weights and return what it took."""
    plan = Plan(
        training=setting.section,
        section="train_jmpose",
        folder=folder,
        checkpoint_every=10**9,
        place=Place(device, rank=0, world=1),
        core=head_of,
    )
    network = setting.head().to(device)
    return cost_of(partial(train, network, jmpose_loss, feed, plan))


def extract(
    setting: Setting,
    videos: Videos,
    networks: dict[str, nn.Module],
    data: Path,
    device: torch.device,
) -> pd.DataFrame:
    """Make the stores of variant 0 as the stages do, and return their clip table."""
    rows = videos.rows(setting.cut(), 0)
    clips = LiveClips(videos, setting.cut(), 0, SIGMA)
    made: dict[str, list[Tensor]] = {kind: [] for kind in networks}
    with torch.inference_mode():
        for batch in DataLoader(clips, batch_size=setting.section.batch):
            crops = batch["crops"].to(device)
            for kind, network in networks.items():
                made[kind].append(network(crops).half().cpu())
    for kind, parts in made.items():
        values = torch.cat(parts).numpy()
        units = {
            f"{video}/v0": values[table.index]
            for video, table in rows.reset_index(drop=True).groupby("video")
        }
        write_store(data / kind, kind, units)
    return rows


def cached_feed(setting: Setting, rows: pd.DataFrame, data: Path, device: torch.device) -> ClipFeed:
    """Return the feed of a training on the stores below ``data``."""
    table = table_of(rows, data)
    caches = Caches({kind: data / kind for kind in setting.row_shapes}, setting.frames)
    source = MappedSource(table, caches, device)
    target = Target(occluded="train", sigma=Sigma(hrnet=SIGMA, vit=SIGMA))
    goal = Goal(target, setting.grid, SIGMA)
    batch = setting.section.batch
    return ClipFeed(table, source, goal, batch=batch, seed=0, where=data)


def compare(
    setting: Setting, root: Path, *, clips: int, rounds: int, workers: int, device: torch.device
) -> Figures:
    """Train an epoch both ways, alternating, and print and return what they took."""
    render = setting.params["render"]
    real = setting.params["data"]["name"] != "synthetic"
    videos = make_videos(
        root / "videos", clips, (720, 1280) if real else (render["height"], render["width"])
    )
    networks, data = setting.networks(device), root / "data"
    extraction = cost_of(lambda: extract(setting, videos, networks, data, device))
    feed = cached_feed(setting, videos.rows(setting.cut(), 0), data, device)
    batch = setting.section.batch
    train_epoch(setting, feed, root / "warm", device)  # the networks were warm after extraction
    costs: dict[str, list[Cost]] = {"cached": [], "usual": []}
    parts: list[dict[str, float]] = []
    for number in range(rounds):
        costs["cached"].append(train_epoch(setting, feed, root / f"cached{number}", device))
        live = LiveFeed(partial(_epoch_of, videos, setting.cut(), number), networks, batch, workers)
        costs["usual"].append(train_epoch(setting, live, root / f"usual{number}", device))
        parts.append(live.seconds)
    title = f"one epoch, {clips} clips, batch {batch}, median of {rounds}"
    spent = {name: statistics.median(part[name] for part in parts) for name in parts[0]}
    return {"clips": clips, "batch": batch} | summarize(title, costs, spent, extraction)


def summarize(
    title: str, costs: dict[str, list[Cost]], spent: dict[str, float], extraction: Cost
) -> Figures:
    """Print medians and ratios of an epoch, and what 20 ablations cost by them.

    Args:
        title: What was measured.
        costs: Cost of every round, ``cached`` and ``usual``.
        spent: Wall seconds of a usual epoch that loading and each network took.
        extraction: Cost of making the stores of one variant.
    """
    cached, usual = (median_cost(costs[name]) for name in ("cached", "usual"))
    speed_up, cpu_ratio = (
        median_ratio([cost[i] for cost in costs["usual"]], [cost[i] for cost in costs["cached"]])
        for i in (0, 1)
    )
    rows: list[list[str | float]] = [["", "wall s", "x", "CPU s", "x"]]
    rows.append(["usual way", usual.wall, speed_up, usual.cpu, cpu_ratio])
    rows += [[f"  of it: {name}", seconds, "", "", ""] for name, seconds in spent.items()]
    rows.append(["cached", cached.wall, 1, cached.cpu, 1])
    rows.append(["extraction of one variant, once", extraction.wall, "", extraction.cpu, ""])
    show(title, rows)
    return {
        "cached_s": cached.wall,
        "usual_s": usual.wall,
        "usual_parts_s": spent,
        "extraction_s": extraction.wall,
        "speed_up": speed_up,
        "cpu_ratio": cpu_ratio,
        "ablations": {
            "wall": add_up("wall", cached.wall, usual.wall, extraction.wall),
            "cpu": add_up("CPU", cached.cpu, usual.cpu, extraction.cpu),
        },
    }


def _epoch_of(videos: Videos, settings: ClipSettings, number: int, variant: int) -> LiveClips:
    """Return the clips of an epoch: other draws in every round."""
    return LiveClips(videos, settings, variant and variant + number, SIGMA)


def add_up(clock: str, cached: float, usual: float, extraction: float) -> Figures:
    """Return the hours of all ablations both ways, from the seconds of one epoch each."""
    epochs = ABLATIONS * EPOCHS
    ours = (VARIANTS * extraction + epochs * cached) / 3600
    theirs = epochs * usual / 3600
    rows: list[list[str | float]] = [
        ["", "extraction", "epochs", "sum", "x"],
        ["usual way", 0.0, theirs, theirs, theirs / ours],
        ["cached", VARIANTS * extraction / 3600, epochs * cached / 3600, ours, 1],
    ]
    show(f"{ABLATIONS} ablations of {EPOCHS} epochs, added up, {clock} hours", rows)
    return {"cached_h": ours, "usual_h": theirs, "ratio": theirs / ours}


def measure_waiting(root: Path, steps: int, device: torch.device) -> Figures:
    """Return which share of the time the cached loop waits at a step of 30 ms, and print it."""
    setting = read_setting("posetrack18")
    clips = 2 * setting.section.batch
    # The table needs joints and boxes, not pictures.
    rows = make_videos(root / "videos", clips, (64, 64)).rows(setting.cut(), 0)
    random = np.random.default_rng(0)
    data = root / "data"
    for kind, shape in setting.row_shapes.items():
        units = {
            f"{video}/v0": random.standard_normal((len(table), *shape)).astype(np.float16)
            for video, table in rows.groupby("video")
        }
        write_store(data / kind, kind, units)
    feed = cached_feed(setting, rows, data, device)
    batches = feed.batches(0, steps, Place(device, rank=0, world=1))
    waits: list[float] = []
    loop = cost_of(lambda: waits.extend(_waits(batches))).per(steps)
    del waits[:3]  # nothing is read ahead yet
    share = sum(waits) / (sum(waits) + STEP_SECONDS * len(waits))
    size = 2e-6 * setting.section.batch * sum(map(np.prod, setting.row_shapes.values()))
    title = f"waiting for data, {len(waits)} steps of 30 ms, {size:.0f} MB a batch"
    middle = 1e3 * statistics.median(waits)
    table: list[list[str | float]] = [["", "share %", "median ms", "CPU ms a batch"]]
    show(title, [*table, ["waiting", 100 * share, middle, 1e3 * loop.cpu]])
    return {
        "wait_share": share,
        "median_wait_ms": middle,
        "cpu_ms_per_batch": 1e3 * loop.cpu,
        "batch_mb": size,
        "steps": len(waits),
    }


def _waits(batches: Iterator[object]) -> Iterator[float]:
    """Yield the seconds that each batch is waited for, by a loop that takes 30 ms a step."""
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
    preset: Annotated[str, typer.Option(help="Networks and sizes: a file of presets/.")] = (
        "synthetic"
    ),
    workers: Annotated[int, typer.Option(help="Processes of the usual way's DataLoader.")] = 2,
) -> None:
    """Train an epoch both ways, add up 20 ablations, measure the waiting."""
    device = pick_device("auto")
    clips, rounds, steps = (32, 1, 60) if quick else (256, 3, 300)
    # One thread: several that wait for each other burn CPU seconds on a machine that is shared.
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
