"""Training speed of the heads on random caches: steps per second, memory, waiting, FLOP rate.

Heads, sizes and batch are those of a preset. The caches are random and stored in the format of the
stages. The training loop is that of the pipeline. The share of waiting comes from the log of the
loop, without the first steps, which allocate buffers and compile kernels. A training step counts
as three forward passes of floating-point operations. Utilization compares their rate with that of a
large matrix product on the same device with the same dtype.

    python -m benchmarks.heads [--quick] [--json FILE] [--preset NAME] [--resident gpu|mmap]
"""

import csv
import resource
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Literal

import numpy as np
import torch
import typer
from torch import Tensor, nn

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
from models.heads.jmpose.head import build_jmpose_training, head_of, jmpose_loss
from models.heads.vremd.head import build_vremd, token_loss
from pipeline.base.params import read_params
from pipeline.caches.clip_table import ClipTable
from pipeline.caches.crop_size import read_crop_size
from pipeline.caches.reader import Caches
from pipeline.grid import grid_size
from pipeline.head_params.jmpose import read_jmpose
from pipeline.head_params.network import System
from pipeline.head_params.systems import read_system
from pipeline.head_params.vremd import read_vremd
from pipeline.importing.presets import find_preset
from pipeline.networks.devices import compute_dtype, pick_device
from pipeline.schedule import Training
from pipeline.skeleton import JOINTS
from pipeline.training.dataset import ClipFeed, Goal, MappedSource, ResidentSource
from pipeline.training.loop import Loss, Plan, train
from pipeline.training.processes import Place
from pipeline.training.run_folder import TIMINGS
from pipeline.training.target_params import Sigma, Target
from posereel.commands.show_model import cache_shapes, example

ROOT = Path(__file__).resolve().parents[1]
VIDEO = "000000"
SIGMA = 2.0
WARM_UP = 5
"""Number of steps that are not measured."""
Resident = Literal["gpu", "mmap"]

app = typer.Typer(add_completion=False)


@dataclass(frozen=True, slots=True)
class Case:
    """A head of a preset with its training."""

    system: System
    training: Training
    crop_size: tuple[int, int]
    shapes: Mapping[str, tuple[int, ...]]
    """Shape of the row of a clip by kind of cache."""
    build: Callable[[], nn.Module]
    loss: Loss
    core: Callable[[nn.Module], nn.Module]


def read_case(name: Literal["jmpose", "vremd"], params: Path, steps: int) -> Case:
    """Return a head of a preset, to be trained for a number of steps."""
    system, section = read_system(params, name), read_jmpose(params)
    crop_size = read_crop_size(params, system.crops)
    every = cache_shapes(read_params(params), crop_size, system.frames)
    sizes: dict[str, Any] = {
        "joints": len(JOINTS),
        "frames": system.frames,
        "shapes": {kind: every[kind] for kind in system.kinds},
        "crop_size": crop_size,
    }
    of_loss: dict[str, Any] = {"estimator": section.estimator, "alpha": section.alpha}
    parts: tuple[Training, Callable[[], nn.Module], Loss, Callable[[nn.Module], nn.Module]] = (
        (
            section,
            partial(build_jmpose_training, system.arguments, **sizes, **of_loss),
            jmpose_loss,
            head_of,
        )
        if name == "jmpose"
        else (
            read_vremd(params),
            partial(build_vremd, system.arguments, **sizes),
            token_loss,
            lambda network: network,
        )
    )
    training, build, loss, core = parts
    length = {"epochs": 0, "steps": steps, "milestones": [], "warm_up": 0}
    training = training.model_copy(update=length)
    return Case(system, training, crop_size, sizes["shapes"], build, loss, core)


def make_feed(case: Case, data: Path, clips: int, resident: Resident, place: Place) -> ClipFeed:
    """Write random caches and return a feed that reads them."""
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
    source = make_source(table, caches, place.device)
    grid = grid_size(case.crop_size)
    goal = Goal(Target(occluded="train", sigma=Sigma(hrnet=SIGMA, vit=SIGMA)), grid, SIGMA)
    return ClipFeed(table, source, goal, batch=case.training.batch, seed=0, where=data)


def measure(case: Case, feed: ClipFeed, folder: Path, place: Place) -> Figures:
    """Train and return the figures of the steps."""
    torch.manual_seed(0)
    network = case.build().to(place.device)
    plan = Plan(
        training=case.training,
        section=f"train_{case.system.name}",
        folder=folder,
        checkpoint_every=10**9,
        place=place,
        core=case.core,
    )
    cuda = place.device.type == "cuda"
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    train(network, case.loss, feed, plan)
    with (folder / TIMINGS).open(encoding="utf-8") as file:
        steps = list(csv.DictReader(file))[WARM_UP:]
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
    """Return the operations of a training step; the backward pass counts as two forward passes."""
    with torch.device("meta"):
        network, inputs = example(name, params)
    return 3 * batch * module_costs(network, inputs)[-1].flops


def device_flops(device: torch.device) -> float:
    """Return the operations per second of a large matrix product, the best of 10."""
    side = 8192 if device.type == "cuda" else 1024
    matrix: Tensor = torch.randn(side, side, device=device, dtype=compute_dtype(device))

    def multiply() -> None:
        torch.mm(matrix, matrix)
        if device.type == "cuda":
            torch.cuda.synchronize()

    multiply()
    return 2 * side**3 / min(cost_of(multiply).wall for _ in range(10))


@app.command()
def main(
    quick: Quick = False,
    json_file: JsonFile = None,
    preset: Annotated[str, typer.Option(help="Preset in presets/, without .yaml.")] = "",
    resident: Annotated[
        Resident, typer.Option(help="Location of the caches during training.")
    ] = "mmap",
    threads: Annotated[int, typer.Option(help="Number of CPU threads of torch.")] = 1,
) -> None:
    """Train both heads for a few steps on random caches."""
    device = pick_device("auto")
    torch.set_num_threads(threads)
    preset = preset or ("synthetic" if quick else "posetrack18")
    params, place = find_preset(preset, ROOT), Place(device, rank=0, world=1)
    steps, batches = (15, 4) if quick else (100 if device.type == "cuda" else 15, 8)
    peak = device_flops(device)
    print(f"heads: preset {preset} on {device}, {threads} threads; {describe_machine()}")
    figures: Figures = {"preset": preset, "device": str(device), "matmul_flops": peak}
    rows: list[list[str | float]] = [
        ["", "batch", "steps/s", "clips/s", "waiting %", "memory GiB", "GFLOP/s", "of matmul %"]
    ]
    for name in ("jmpose", "vremd"):
        case = read_case(name, params, steps)
        begin = time.perf_counter()
        with TemporaryDirectory() as folder:
            clips = batches * case.training.batch
            feed = make_feed(case, Path(folder), clips, resident, place)
            found = measure(case, feed, Path(folder) / "run", place)
        found["flops"] = training_flops(name, params, case.training.batch) * found["steps_per_s"]
        found["seconds"] = time.perf_counter() - begin
        figures[name] = found
        shown = [found[key] for key in ("batch", "steps_per_s", "clips_per_s")]
        shares = [100 * found["wait_share"], found["memory_gib"]]
        rows.append([name, *shown, *shares, found["flops"] / 1e9, 100 * found["flops"] / peak])
    show(f"training on random caches, {steps - WARM_UP} steps, caches in {resident}", rows)
    write_figures(json_file, figures)


if __name__ == "__main__":
    app()
