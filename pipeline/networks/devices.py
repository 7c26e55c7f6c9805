"""Which device this process computes on, and in which precision networks train there."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pipeline.units.run_time import DeviceKind

if TYPE_CHECKING:
    import torch

GPU_DEVICE_FILES = ("nvidiactl", "nvidia0", "kfd", "dxg")
"""Device files of which a machine with a GPU has one: NVIDIA's, AMD's, that of Windows' Linux."""


def device_type(kind: DeviceKind, nodes: Path = Path("/dev")) -> Literal["cpu", "cuda"]:
    """Return what workers compute on, without loading torch where no GPU can be.

    Args:
        kind: As for ``pick_device``.
        nodes: Folder of the device files.

    Raises:
        ValueError: As ``pick_device``.
    """
    if kind == "cpu" or (
        kind == "auto" and not any((nodes / name).exists() for name in GPU_DEVICE_FILES)
    ):
        return "cpu"
    return "cuda" if pick_device(kind).type == "cuda" else "cpu"


def pick_device(kind: DeviceKind) -> "torch.device":
    """Return the device of this process.

    Args:
        kind: ``cpu``, ``cuda``, or ``auto``: a GPU where there is one. Under torchrun the process
            of local rank r takes GPU r.

    Raises:
        ValueError: If a GPU is asked for and there is none.
    """
    import torch  # noqa: PLC0415  takes seconds

    if kind == "cpu" or (kind == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    local = int(os.environ.get("LOCAL_RANK", "0"))
    if local >= torch.cuda.device_count():
        raise ValueError(
            f"device {kind!r}: process {local} of this machine needs GPU {local}, but "
            f"{torch.cuda.device_count()} are here; start fewer processes or set the device to cpu"
        )
    return torch.device("cuda", local)


def compute_dtype(device: "torch.device") -> "torch.dtype":
    """Return what networks train in: bfloat16 by autocast where the device has it, else float32."""
    import torch  # noqa: PLC0415  as above

    if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.bfloat16
    return torch.float32
