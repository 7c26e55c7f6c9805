"""Decode images with OpenCV and return what its codecs report about damage.

libjpeg decodes a damaged image, prints "Corrupt JPEG data" to the standard error stream, without
the name of the file, and reports success. OpenCV has no other way to learn of the damage.
"""

import os
from tempfile import TemporaryFile
from threading import Lock

import cv2
import numpy as np
from numpy.typing import NDArray

_STDERR = 2
"""File descriptor of the standard error stream."""
_REDIRECTION = Lock()
"""Held while the standard error stream of the process is redirected."""
_DAMAGE = ("Corrupt JPEG data", "Premature end of JPEG", "libpng error")
"""Beginnings of the messages about damage."""


def decode(data: bytes, flags: int) -> tuple[NDArray[np.uint8] | None, list[str]]:
    """Decode an image and collect the messages of the codec.

    Args:
        data: Content of the file.
        flags: Flags of ``cv2.imdecode``.

    Returns:
        The image, None if it cannot be decoded, and the messages about damage. What other threads
        write to the standard error stream at the same time is passed on.

    Raises:
        cv2.error: If the size of the image is invalid.
    """
    code = np.frombuffer(data, dtype=np.uint8)
    with _REDIRECTION, TemporaryFile() as captured:
        original = os.dup(_STDERR)
        os.dup2(captured.fileno(), _STDERR)
        try:
            image: NDArray[np.uint8] | None = cv2.imdecode(code, flags)
        finally:
            os.dup2(original, _STDERR)
            os.close(original)
            captured.seek(0)
            lines = captured.read().decode(errors="replace").splitlines(keepends=True)
            others = "".join(line for line in lines if not line.startswith(_DAMAGE))
            if others:
                os.write(_STDERR, others.encode())
    return image, [line.strip() for line in lines if line.startswith(_DAMAGE)]
