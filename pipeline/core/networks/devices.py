"""Device of this process and the dtype of training on it."""

import os
from pathlib import Path
from socket import gethostname
from typing import TYPE_CHECKING, Literal

from pipeline.core.units.run_time import DeviceKind

if TYPE_CHECKING:
    import torch

GPU_DEVICE_FILES = ("nvidiactl", "nvidia0", "kfd", "dxg")
"""Device files of GPUs: NVIDIA, AMD, and WSL. A machine with a GPU has at least one."""


def device_type(kind: DeviceKind, nodes: Path = Path("/dev")) -> Literal["cpu", "cuda"]:
    """Return the device type of workers; torch is not imported if the machine has no GPU.

    Args:
        kind: ``cpu`` and ``cuda`` declare the device of the workers, which may be other machines:
            this process needs no GPU. ``auto``: the device of this machine.
        nodes: Folder of the device files.
    """
    if kind != "auto":
        return kind
    if not any((nodes / name).exists() for name in GPU_DEVICE_FILES):
        return "cpu"
    return "cuda" if pick_device(kind).type == "cuda" else "cpu"


def worker_device(device: str) -> "torch.device":
    """Return the device of a worker that computes units.

    Args:
        device: Device type that the keys of the units contain; see ``device_type``.

    Raises:
        ValueError: If it is ``cuda`` and this worker has no GPU.
    """
    import torch  # noqa: PLC0415  takes seconds

    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            f"extract.device 'cuda': expected a GPU for the worker on {gethostname()}, found none; "
            "compute the units on a machine with one, or set extract.device to cpu"
        )
    return torch.device(device)


def pick_device(kind: DeviceKind) -> "torch.device":
    """Return the device of this process.

    Args:
        kind: ``cpu``, ``cuda``, or ``auto``, which is a GPU if one is available. Under torchrun,
            the process of local rank r uses GPU r.

    Raises:
        ValueError: If a GPU is requested and not available.
    """
    import torch  # noqa: PLC0415  takes seconds

    if kind == "cpu" or (kind == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    local = int(os.environ.get("LOCAL_RANK", "0"))
    if local >= torch.cuda.device_count():
        raise ValueError(
            f"device {kind!r}: process {local} of this machine needs GPU {local}, but "
            f"{torch.cuda.device_count()} are available; start fewer processes or set the device "
            "to cpu"
        )
    return torch.device("cuda", local)


def compute_dtype_name(device: Literal["cpu", "cuda"]) -> str:
    """Return the name of ``compute_dtype`` for a kind of device, without torch for the CPU."""
    if device == "cpu":
        return "torch.float32"
    return str(compute_dtype(pick_device(device)))


def compute_dtype(device: "torch.device") -> "torch.dtype":
    """Return the dtype of training: bfloat16 if the device supports it, else float32."""
    import torch  # noqa: PLC0415  takes seconds

    if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.bfloat16
    return torch.float32
