"""Detectors of the two libraries behind one face: frames in, boxes and scores of people out."""

from typing import Any

import torch
from torch import Tensor, nn

from models.detection.network import PERSON

_LEAST_SCORE = 0.05
"""Detections below it are dropped at once; the pipeline's own threshold is above."""


class TorchvisionPersonDetector(nn.Module):
    """People found by a detector of torchvision's kind.

    Args:
        network: From ``models.detection.network.build_detector``.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, frames: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return boxes xyxy ``(n, 4)``, pixels, and scores ``(n,)`` of each frame.

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
    """People found by a detector of transformers: RT-DETR, D-FINE and whatever has their outputs.

    Args:
        network: From ``AutoModelForObjectDetection``; its config must name a label ``person``.
        processor: From ``AutoImageProcessor``: resizes frames, and boxes back.

    Raises:
        ValueError: If no label is called ``person``.
    """

    def __init__(self, network: nn.Module, processor: Any) -> None:  # noqa: ANN401
        super().__init__()
        self.network = network
        self._processor = processor
        names: dict[int, str] = network.config.id2label  # type: ignore[assignment, union-attr]
        people = [label for label, name in names.items() if name.lower() == "person"]
        if len(people) != 1:
            raise ValueError(
                f"detector: expected one label called 'person' in the config's id2label, got "
                f"{list(names.values())[:10]}; correct id2label in the folder's config.json"
            )
        self._person = people[0]

    def forward(self, frames: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return boxes xyxy ``(n, 4)``, pixels, and scores ``(n,)`` of each frame.

        Args:
            frames: RGB, uint8 ``(B, H, W, 3)``.
        """
        images = list(frames.permute(0, 3, 1, 2))
        inputs = self._processor(images=images, return_tensors="pt").to(frames.device)
        sizes = torch.tensor([frames.shape[1:3]] * len(frames), device=frames.device)
        found = self._processor.post_process_object_detection(
            self.network(**inputs), threshold=_LEAST_SCORE, target_sizes=sizes
        )
        people = [result["labels"] == self._person for result in found]
        return [
            (result["boxes"][chosen], result["scores"][chosen])
            for result, chosen in zip(found, people, strict=True)
        ]
