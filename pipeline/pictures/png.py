"""PNG files, written atomically."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.core.atomic_file import write_file


def write_png(out: Path, picture: NDArray[np.uint8]) -> None:
    """Write an image as PNG.

    Args:
        out: File to create or replace.
        picture: RGB, ``(H, W, 3)``.

    Raises:
        OSError: If OpenCV cannot encode it or the file cannot be written.
    """
    # OpenCV's default level writes files that are twice as large.
    level = [cv2.IMWRITE_PNG_COMPRESSION, 9]
    done, code = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), level)
    if not done:
        raise OSError(
            f"{out}: expected an RGB image, uint8 (H, W, 3), got {picture.dtype} {picture.shape}, "
            "which OpenCV cannot encode as PNG; pass a larger or smaller image"
        )
    write_file(out, code.tobytes())
