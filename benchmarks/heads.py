"""How fast the heads train on generated caches: steps a second, memory, waiting, FLOP rate.

The heads, sizes and batch are those of a preset; the caches are random and lie on the disk as the
stages write them; the training loop is the pipeline's own. The share of waiting is what the loop
logs; the first steps, in which buffers and kernels are made, are left out. A training step counts
three forward passes of floating-point operations, and utilization compares their rate with that of
one large matrix product on the same device in the same number format.

    python benchmarks/heads.py [--quick] [--json FILE] [--preset NAME] [--resident gpu|mmap]
"""

import csv
import resource
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Literal, cast

import numpy as np
import torch
import typer
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.measurement import (
    Figures,
    JsonFile,
    Quick,
    cost_of,
    describe_machine,
    show,
    write_figures,
)
from benchmarks.stores import write_store
from models.cost import module_costs
from models.head_parts.lookup import listed_systems
from pipeline.core.caches.clip_table import ClipTable
from pipeline.core.caches.reader import Caches
from pipeline.core.grid import grid_size
from pipeline.core.networks.devices import compute_dtype, pick_device
from pipeline.core.params import read_params
from pipeline.core.skeleton import JOINTS
from pipeline.core.system_params import Schedule, SystemParams
from pipeline.importing.presets import find_preset
from pipeline.training.dataset import ClipFeed, MappedSource, ResidentSource, TargetSpec
from pipeline.training.loop import LoopConfig, train
from pipeline.training.processes import DistributedContext
from pipeline.training.run_folder import TIMINGS
from pipeline.training.target_params import Sigma, Target
from posereel.configured_head import read_head
from posereel.networks import cache_shapes, example

ROOT = Path(__file__).resolve().parents[1]
VIDEO = "000000"
SIGMA = 2.0
FIRST = 5
"""Steps that are not counted."""
Resident = Literal["gpu", "mmap"]

app = typer.Typer(add_completion=False)


@dataclass(frozen=True, slots=True)
class Case:
    """A head of a preset, ready to train for some steps."""

    system: SystemParams
    training: Schedule
    crop_size: tuple[int, int]
    shapes: Mapping[str, tuple[int, ...]]
    """Shape of a clip's row in every cache that it reads."""
    build: Callable[[], nn.Module]
    """Builds the module that computes the loss; ``head`` is its head."""


def read_case(name: str, params: Path, steps: int) -> Case:
    """Return a head as a preset describes it."""
    head = read_head(params, name)
    if head.system.schedule is None:
        raise ValueError(f"{name}: expected a head with a schedule")
    every = cache_shapes(read_params(params), head.crop_size, head.system.frames)
    shapes = {kind: every[kind] for kind in head.system.caches}
    build = partial(head.objective, shapes)
    length = {"epochs": 0, "steps": steps, "milestones": [], "warm_up": 0}
    training = head.system.schedule.model_copy(update=length)
    return Case(head.system, training, head.crop_size, shapes, build)


def make_feed(
    case: Case, data: Path, clips: int, resident: Resident, context: DistributedContext
) -> ClipFeed:
    """Write random caches and return the feed that reads them."""
    random = np.random.default_rng(0)
    for kind, shape in case.shapes.items():
        values = random.standard_normal((clips, *shape), np.float32).astype(np.float16)
        write_store(data / kind, kind, {f"{VIDEO}/v0": values})
    joints = random.uniform(0, min(case.crop_size), (1, clips, len(JOINTS), 2))
    table = ClipTable(
        videos=np.full(clips, VIDEO, object),
        rows=np.arange(clips, dtype=np.int32),
        keypoints=joints,
        visible=np.full((1, clips, len(JOINTS)), 2, np.int8),
    )
    caches = Caches({kind: data / kind for kind in case.shapes}, case.system.frames)
    make_source = ResidentSource if resident == "gpu" else MappedSource
    source = make_source(table, caches, context.device)
    grid = grid_size(case.crop_size)
    target_spec = TargetSpec(
        Target(occluded="train", sigma=Sigma(hrnet=SIGMA, vit=SIGMA)), grid, SIGMA
    )
    return ClipFeed(table, source, target_spec, batch=case.training.batch, seed=0, where=data)


def measure(case: Case, feed: ClipFeed, folder: Path, context: DistributedContext) -> Figures:
    """Train and return what the steps took."""
    torch.manual_seed(0)
    network = case.build().to(context.device)
    config = LoopConfig(
        training=case.training,
        section=f"train_{case.system.name}",
        folder=folder,
        checkpoint_every=10**9,
        context=context,
        exported_module=lambda network: cast("nn.Module", network.head),
    )
    cuda = context.device.type == "cuda"
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    train(network, lambda network, batch: network(batch), feed, config)
    with (folder / TIMINGS).open(encoding="utf-8") as file:
        steps = list(csv.DictReader(file))[FIRST:]
    waits, work = (sum(float(step[name]) for step in steps) for name in ("wait_s", "compute_s"))
    rate = len(steps) / (waits + work)
    own = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "batch": case.training.batch,
        "steps_per_s": rate,
        "clips_per_s": rate * case.training.batch,
        "wait_share": waits / (waits + work),
        "memory_gib": (torch.cuda.max_memory_allocated() if cuda else own) / 2**30,
    }


def training_flops(name: str, params: Path, batch: int) -> int:
    """Return the operations of a training step: forward, and twice that backward."""
    with torch.device("meta"):
        network, inputs = example(name, params)
    return 3 * batch * module_costs(network, inputs)[-1].flops


def device_flops(device: torch.device) -> float:
    """Return the operations per second of a large matrix product, the best of several."""
    side = 8192 if device.type == "cuda" else 1024
    one: Tensor = torch.randn(side, side, device=device, dtype=compute_dtype(device))

    def multiply() -> None:
        torch.mm(one, one)
        if device.type == "cuda":
            torch.cuda.synchronize()

    multiply()
    return 2 * side**3 / min(cost_of(multiply).wall for _ in range(10))


@app.command()
def main(
    quick: Quick = False,
    json_file: JsonFile = None,
    preset: Annotated[str, typer.Option(help="A file of presets/, without .yaml.")] = "",
    resident: Annotated[Resident, typer.Option(help="Where the caches lie.")] = "mmap",
    threads: Annotated[int, typer.Option(help="CPU threads of torch.")] = 1,
) -> None:
    """Train both heads for some steps on random caches."""
    device = pick_device("auto")
    torch.set_num_threads(threads)
    preset = preset or ("synthetic" if quick else "posetrack18")
    params, context = find_preset(preset, ROOT), DistributedContext(device, rank=0, world_size=1)
    steps, batches = (15, 4) if quick else (100 if device.type == "cuda" else 15, 8)
    peak = device_flops(device)
    print(f"heads: preset {preset} on {device}, {threads} threads; {describe_machine()}")
    figures: Figures = {"preset": preset, "device": str(device), "matmul_flops": peak}
    rows: list[list[str | float]] = [
        ["", "batch", "steps/s", "clips/s", "waiting %", "memory GiB", "GFLOP/s", "of matmul %"]
    ]
    for name in (name for name, system in listed_systems().items() if system.baseline):
        case = read_case(name, params, steps)
        begin = time.perf_counter()
        with TemporaryDirectory() as folder:
            clips = batches * case.training.batch
            feed = make_feed(case, Path(folder), clips, resident, context)
            found = measure(case, feed, Path(folder) / "run", context)
        found["flops"] = training_flops(name, params, case.training.batch) * found["steps_per_s"]
        found["seconds"] = time.perf_counter() - begin
        figures[name] = found
        shown = [found[key] for key in ("batch", "steps_per_s", "clips_per_s")]
        shares = [100 * found["wait_share"], found["memory_gib"]]
        rows.append([name, *shown, *shares, found["flops"] / 1e9, 100 * found["flops"] / peak])
    show(f"training on random caches, {steps - FIRST} steps, caches in {resident}", rows)
    write_figures(json_file, figures)


if __name__ == "__main__":
    app()
