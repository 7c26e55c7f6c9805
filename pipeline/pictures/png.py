"""Pictures for people to look at, written whole."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.base.atomic_file import write_file


def write_png(out: Path, picture: NDArray[np.uint8]) -> None:
    """Write a picture as PNG.

    Args:
        out: The file.
        picture: RGB, ``(H, W, 3)``.

    Raises:
        OSError: If OpenCV cannot encode it or the file cannot be written.
    """
    done, code = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    if not done:
        raise OSError(f"{out}: expected OpenCV to encode a PNG, it refused {picture.shape}")
    write_file(out, code.tobytes())
