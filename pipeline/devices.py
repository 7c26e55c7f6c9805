"""Which device this process computes on, and in which precision networks train there."""

import os

import torch

from pipeline.run_time import DeviceKind


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


def compute_dtype(device: torch.device) -> torch.dtype:
    """Return what networks train in: bfloat16 by autocast where the device has it, else float32."""
    if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.bfloat16
    return torch.float32
