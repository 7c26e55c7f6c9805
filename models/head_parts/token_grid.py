"""The grid of the tokens of a crop."""

import math


def grid_of(tokens: int, crop_size: tuple[int, int]) -> tuple[int, int]:
    """Return (rows, columns) of N tokens of square patches that tile a crop.

    Args:
        tokens: Number of tokens N.
        crop_size: Height and width of the crop, pixels.

    Raises:
        ValueError: If no square patch divides the crop into N.
    """
    height, width = crop_size
    side = math.isqrt(height * width // max(tokens, 1))
    if side == 0 or (height // side) * (width // side) != tokens or height % side or width % side:
        raise ValueError(
            f"{tokens} tokens per frame: expected square patches that tile a crop of "
            f"{height}x{width} pixels; the tokens were made for another crop.vit: run the stage "
            "tokens again"
        )
    return height // side, width // side
