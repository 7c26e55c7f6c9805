"""The processes of a training run: one, or several under torchrun, each with its own device."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import NamedTuple

import torch
from torch import distributed

from pipeline.core.networks.devices import pick_device
from pipeline.core.units.run_time import DeviceKind
from pipeline.training.training_run import process_count

_TIMEOUT = timedelta(hours=1)
"""Timeout of collective operations; one process evaluates held-out videos while others wait."""


class DistributedContext(NamedTuple):
    """One process of a training run."""

    device: torch.device
    rank: int
    """Index of the process, from 0."""
    world_size: int
    """Number of processes."""


@contextmanager
def join_process_group(kind: DeviceKind) -> Iterator[DistributedContext]:
    """Join the process group of torchrun, if there is one, and leave it at the end.

    Args:
        kind: See ``pick_device``.

    Yields:
        Device, rank and world size of this process.
    """
    device = pick_device(kind)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    if process_count() == 1:
        yield DistributedContext(device, rank=0, world_size=1)
        return
    backend = "nccl" if device.type == "cuda" else "gloo"
    distributed.init_process_group(backend, timeout=_TIMEOUT)
    try:
        yield DistributedContext(device, distributed.get_rank(), distributed.get_world_size())
    finally:
        distributed.destroy_process_group()


def mean_over_processes(values: torch.Tensor, context: DistributedContext) -> torch.Tensor:
    """Return the mean of a tensor over all processes; all of them must call this."""
    if context.world_size == 1:
        return values
    total = values.clone()
    distributed.all_reduce(total)
    return total / context.world_size
