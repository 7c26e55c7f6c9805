"""Neural person detectors with the interface ``Detector``."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pipeline.core.networks.devices import worker_device
from pipeline.detection.detections import Detections


class NetworkDetector:
    """Runs a network that maps frames uint8 ``(B, H, W, 3)`` to boxes and scores of people.

    Computes in float32 without TF32, so that results differ as little as possible between GPUs.

    Args:
        network: The network, with its weights.
        device: ``cpu`` or ``cuda``.

    Raises:
        ValueError: If the device is ``cuda`` and this process has no GPU.
    """

    def __init__(self, network: nn.Module, device: str) -> None:
        self._device = worker_device(device)
        self._network = network.to(self._device).eval()

    def __call__(self, frames: list[NDArray[np.uint8]]) -> list[Detections]:
        """Return boxes xyxy ``(n, 4)``, pixels, and scores ``(n,)`` for every frame."""
        exact = torch.backends.cudnn.flags(deterministic=True, benchmark=False, allow_tf32=False)
        with torch.inference_mode(), exact:
            found = self._network(torch.from_numpy(np.stack(frames)).to(self._device))
        return [
            (boxes.double().cpu().numpy(), scores.double().cpu().numpy()) for boxes, scores in found
        ]
