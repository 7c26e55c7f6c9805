"""Common interface of torchvision's and transformers' detectors: boxes and scores of people."""

from typing import Any

import torch
from torch import Tensor, nn

from models.detection.network import PERSON

_MIN_SCORE = 0.05
"""Detections with lower scores are dropped; the threshold of the pipeline is higher."""


class TorchvisionPersonDetector(nn.Module):
    """Person detection with a detector of torchvision.

    Args:
        network: Result of ``models.detection.network.build_detector``.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, frames: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return xyxy boxes ``(n, 4)`` in pixels and scores ``(n,)`` of each frame.

        Args:
            frames: RGB, uint8 ``(B, H, W, 3)``.
        """
        images = list(frames.permute(0, 3, 1, 2).float() / 255)
        found = self.network(images)
        people = [result["labels"] == PERSON for result in found]
        return [
            (result["boxes"][chosen], result["scores"][chosen])
            for result, chosen in zip(found, people, strict=True)
        ]


class TransformersPersonDetector(nn.Module):
    """Person detection with a detector of transformers, such as RT-DETR or D-FINE.

    Args:
        network: An ``AutoModelForObjectDetection`` whose config has one label named ``person``.
        processor: Its ``AutoImageProcessor``, which resizes frames and scales boxes back.

    Raises:
        ValueError: If not exactly one label is named ``person``.
    """

    def __init__(self, network: nn.Module, processor: Any) -> None:  # noqa: ANN401
        super().__init__()
        self.network = network
        self._processor = processor
        names: dict[int, str] = network.config.id2label  # type: ignore[assignment, union-attr]
        people = [label for label, name in names.items() if name.lower() == "person"]
        if len(people) != 1:
            raise ValueError(
                f"detector: expected one label named 'person' in the config's id2label, got "
                f"{list(names.values())[:10]}; correct id2label in the folder's config.json"
            )
        self._person = people[0]

    def forward(self, frames: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return xyxy boxes ``(n, 4)`` in pixels and scores ``(n,)`` of each frame.

        Args:
            frames: RGB, uint8 ``(B, H, W, 3)``.
        """
        images = list(frames.permute(0, 3, 1, 2))
        inputs = self._processor(images=images, return_tensors="pt").to(frames.device)
        sizes = torch.tensor([frames.shape[1:3]] * len(frames), device=frames.device)
        found = self._processor.post_process_object_detection(
            self.network(**inputs), threshold=_MIN_SCORE, target_sizes=sizes
        )
        people = [result["labels"] == self._person for result in found]
        return [
            (result["boxes"][chosen], result["scores"][chosen])
            for result, chosen in zip(found, people, strict=True)
        ]
