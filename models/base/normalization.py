"""Color normalization with the statistics of ImageNet."""

import torch
from torch import Tensor, nn

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
"""Mean and standard deviation of ImageNet's RGB values in [0, 1], as documented by torchvision."""


class ImageNetNormalization(nn.Module):
    """Normalize RGB values in [0, 1] with ImageNet's mean and standard deviation.

    The backbones contain this module, so every backbone takes images in [0, 1] and callers cannot
    pass another range unnoticed. Both constants are non-persistent buffers: the state dict has the
    published names only.
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
            images: RGB in [0, 1], ``(B, 3, H, W)``, floating point.

        Raises:
            ValueError: If the images are integers, which have the range [0, 255].
        """
        if not images.is_floating_point():
            raise ValueError(
                f"backbone input: expected floating-point RGB in [0, 1], got {images.dtype}; "
                "divide uint8 crops by 255 first"
            )
        return (images - self.mean) / self.std
