"""Where a training run computes: one process, or several under torchrun, each with its device."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import NamedTuple

import torch
from torch import distributed

from pipeline.core.networks.devices import pick_device
from pipeline.core.units.run_time import DeviceKind
from pipeline.training.training_run import process_count

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
