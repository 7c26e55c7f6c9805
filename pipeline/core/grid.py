"""The heatmap grid of a crop: cell i is at crop pixel ``STRIDE * i``."""

STRIDE = 4
"""Crop pixels per heatmap cell."""


def grid_size(crop_size: tuple[int, int]) -> tuple[int, int]:
    """Return rows and columns of the heatmaps of a crop.

    Args:
        crop_size: Height and width of the crop, pixels.
    """
    height, width = crop_size
    return height // STRIDE, width // STRIDE
