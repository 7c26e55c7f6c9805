"""Where a training run computes: one process, or several under torchrun, each with its device."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import NamedTuple, NoReturn

import torch
from torch import distributed

from pipeline.core.networks.devices import pick_device
from pipeline.core.units.run_time import DeviceKind

_PATIENCE = timedelta(hours=1)
"""How long a process waits for the others; evaluation on held-out videos runs in one of them."""


class Place(NamedTuple):
    """One process of a training run."""

    device: torch.device
    rank: int
    """Number of the process, from 0."""
    world: int
    """Number of processes."""


@contextmanager
def join_processes(kind: DeviceKind) -> Iterator[Place]:
    """Join the processes that torchrun started, if it did; leave them at the end.

    Args:
        kind: See ``pick_device``.

    Yields:
        This process's place.
    """
    device = pick_device(kind)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    if process_count() == 1:
        yield Place(device, rank=0, world=1)
        return
    backend = "nccl" if device.type == "cuda" else "gloo"
    distributed.init_process_group(backend, timeout=_PATIENCE)
    try:
        yield Place(device, distributed.get_rank(), distributed.get_world_size())
    finally:
        distributed.destroy_process_group()


def mean_over_processes(values: torch.Tensor, place: Place) -> torch.Tensor:
    """Return the mean of a tensor over all processes; every one of them must call."""
    if place.world == 1:
        return values
    total = values.clone()
    distributed.all_reduce(total)
    return total / place.world


def process_count() -> int:
    """Return the number of processes of this run: torchrun's, or 1."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def wait_for_all(place: Place) -> None:
    """Return once every process has come this far."""
    if place.world > 1:
        distributed.barrier()


def start_processes(count: int, module: str) -> NoReturn:
    """Become torchrun, which runs the same command in several processes of this machine.

    Args:
        count: Number of processes.
        module: The command's module, such as ``stages.train_jmpose``; its arguments are kept.
    """
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += [f"--nproc-per-node={count}", "-m", module, *sys.argv[1:]]
    # Not a child: whoever waits for this process, or kills it, has torchrun in its place.
    os.execv(sys.executable, command)  # noqa: S606
