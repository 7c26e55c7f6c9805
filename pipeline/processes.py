"""Where a training run computes: one process, or several under torchrun, each with its device."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Literal, NamedTuple

import torch
from torch import distributed

DeviceKind = Literal["auto", "cpu", "cuda"]
_PATIENCE = timedelta(hours=1)
"""How long a process waits for the others; evaluation on held-out videos runs in one of them."""


class Place(NamedTuple):
    """One process of a training run."""

    device: torch.device
    rank: int
    """Number of the process, from 0."""
    world: int
    """Number of processes."""


def pick_device(kind: DeviceKind) -> torch.device:
    """Return the device of this process.

    Args:
        kind: ``cpu``, ``cuda``, or ``auto``: a GPU where there is one. Under torchrun the process
            of local rank r takes GPU r.

    Raises:
        ValueError: If a GPU is asked for and there is none.
    """
    if kind == "cpu" or (kind == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    local = int(os.environ.get("LOCAL_RANK", "0"))
    if local >= torch.cuda.device_count():
        raise ValueError(
            f"device {kind!r}: process {local} of this machine needs GPU {local}, but "
            f"{torch.cuda.device_count()} are here; start fewer processes or set the device to cpu"
        )
    return torch.device("cuda", local)


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
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
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


def compute_dtype(device: torch.device) -> torch.dtype:
    """Return what networks train in: bfloat16 by autocast where the device has it, else float32."""
    if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.bfloat16
    return torch.float32
