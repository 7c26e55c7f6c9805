"""Conversion of cached crops to the input of backbones."""

from torch import Tensor


def crops_to_images(crops: Tensor) -> Tensor:
    """Return the frames of all clips as a batch of images.

    Args:
        crops: RGB, ``(B, T, H, W, 3)``, uint8.

    Returns:
        RGB in [0, 1], ``(B * T, 3, H, W)``, float32, ordered by clip, then frame.
    """
    return crops.flatten(0, 1).permute(0, 3, 1, 2).float() / 255
