"""The color normalization that every backbone trained on ImageNet or COCO expects."""

import torch
from torch import Tensor, nn

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
"""Mean and standard deviation of ImageNet's RGB values in [0, 1], as torchvision documents them."""


class ImageNetNormalization(nn.Module):
    """Move RGB values from [0, 1] to zero mean and unit deviation over ImageNet.

    It lives inside the backbones, so that a caller cannot hand over the wrong range unnoticed: the
    input of every backbone is an image in [0, 1]. The two constants are no part of the state
    dict, which keeps the published names.
    """

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Return the normalized images.

        Args:
            images: RGB, ``(B, 3, H, W)``, floating point, in [0, 1].

        Raises:
            ValueError: If the images are integers, which are in [0, 255].
        """
        if not images.is_floating_point():
            raise ValueError(
                f"backbone input: expected floating-point RGB in [0, 1], got {images.dtype}; "
                "divide uint8 crops by 255 first"
            )
        return (images - self.mean) / self.std
