"""Read and decode image files with checks before and after decoding.

The image size is read from the file header before a decoder allocates memory, because a PNG of 100
kB can decode to gigabytes. Colors are RGB. EXIF orientation is ignored, because annotations refer
to the pixels as stored.
"""

import hashlib
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.core.frames.codec_messages import decode
from pipeline.core.regular_file import read_regular_file

MAX_PIXELS = 100_000_000
"""Maximum number of pixels of an image; three times that of 8K video."""
MAX_SIDE = 32_766
"""Maximum side length of cv2.warpAffine, which uses 16-bit coordinates."""
_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8"


def locate(root: Path, name: str) -> Path:
    """Return the path of a frame or of a folder of frames, checked to be inside the data set.

    Args:
        root: The data set's folder, ``data.root``.
        name: Path relative to ``root``, from an annotation file or the manifest.

    Raises:
        ValueError: If the path leaves ``root``, through ``..`` or a symbolic link, or is a symbolic
            link that leads to itself.
    """
    try:
        path = (root / name).resolve()
    except (ValueError, RuntimeError) as error:  # RuntimeError: a loop of links, before Python 3.13
        raise ValueError(
            f"{root}: {name!r} is not a valid path ({error}); correct the name or the link"
        ) from error
    if not path.is_relative_to(root.resolve()):
        raise ValueError(
            f"{root / name}: expected a path inside {root}, got {path}; correct the annotation, or "
            "set data.root to the folder that contains the frames"
        )
    return path


def read_frame(
    root: Path, name: str, *, sha256: str, image_size: tuple[int, int] | None
) -> NDArray[np.uint8]:
    """Read and decode a frame.

    Args:
        root: The data set's folder.
        name: Path of the frame relative to ``root``.
        sha256: Digest of the file, from the manifest.
        image_size: Expected height and width, or None for any size.

    Returns:
        Image ``(H, W, 3)``, uint8, RGB.

    Raises:
        ValueError: If the file is missing, not a regular file, empty, different from the manifest,
            neither JPEG nor PNG, too large, truncated, damaged or of another size.
    """
    file = locate(root, name)
    data = read_image_bytes(file)
    if hashlib.sha256(data).hexdigest() != sha256:
        raise ValueError(
            f"{file}: its content differs from the manifest (sha256 {sha256[:12]}...); restore "
            "the frame, or write the manifest again: posereel use-preset"
        )
    return decode_image(file, data, image_size)


def read_image_bytes(file: Path) -> bytes:
    """Return the content of an image file.

    Raises:
        ValueError: If the file is missing, not a regular file, not readable or empty.
    """
    data = read_regular_file(file, "an image file", "restore it or correct data.root")
    if not data:
        raise ValueError(f"{file}: expected an image, got an empty file; restore the frame")
    return data


def decode_image(file: Path, data: bytes, image_size: tuple[int, int] | None) -> NDArray[np.uint8]:
    """Decode a JPEG or PNG file; the file name extension is ignored.

    Args:
        file: Path of the file, for error messages.
        data: Content of the file.
        image_size: Expected height and width, or None for any size.

    Returns:
        Image ``(H, W, 3)``, uint8, RGB. Grayscale, alpha, 16-bit and CMYK images are converted.

    Raises:
        ValueError: As in ``read_frame``.
    """
    found = parse_image_size(file, data)
    if image_size is not None and found != image_size:
        raise ValueError(
            f"{file}: expected {image_size[0]} x {image_size[1]} pixels (height x width) like the "
            f"rest of its video, got {found[0]} x {found[1]}; restore the frame or split the video"
        )
    # A truncated JPEG lacks the end marker, which cannot occur inside the compressed data.
    start, end = (b"\xff\xda", b"\xff\xd9") if data.startswith(_JPEG) else (b"IDAT", b"IEND")
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    image, damage = None, ["it is truncated"]
    if data.rfind(end) > data.find(start) >= 0:
        try:
            image, damage = decode(data, flags)
        except cv2.error as error:
            raise ValueError(f"{file}: cannot be decoded ({error}); restore the frame") from error
    if image is None or image.shape[:2] != found or damage:
        raise ValueError(
            f"{file}: expected a complete image, got a damaged one ({'; '.join(damage) or '?'}); "
            "restore the frame"
        )
    return np.ascontiguousarray(image[:, :, ::-1], dtype=np.uint8)


def read_image_size(root: Path, name: str) -> tuple[int, int]:
    """Return the height and width of a frame, read from the header.

    Args:
        root: The data set's folder.
        name: Path of the frame relative to ``root``.

    Raises:
        ValueError: If the file is missing, neither JPEG nor PNG, or too large.
    """
    file = locate(root, name)
    return parse_image_size(file, read_image_bytes(file))


def parse_image_size(file: Path, data: bytes) -> tuple[int, int]:
    """Return the height and width in the header of a JPEG or PNG.

    Args:
        file: Path of the file, for error messages.
        data: Content of the file.

    Raises:
        ValueError: If the file is neither JPEG nor PNG, the header is truncated, or the image is
            empty or too large.
    """
    if data.startswith(_PNG):
        height, width = (int.from_bytes(data[at : at + 4], "big") for at in (20, 16))
    elif data.startswith(_JPEG):
        height, width = _jpeg_size(data)
    else:
        raise ValueError(
            f"{file}: expected a JPEG or PNG, got a file that starts with {data[:8]!r}; convert it"
        )
    if not height or not width:
        raise ValueError(f"{file}: the header is truncated or has no size; restore the frame")
    if height * width > MAX_PIXELS or max(height, width) > MAX_SIDE:
        raise ValueError(
            f"{file}: expected at most {MAX_PIXELS} pixels and {MAX_SIDE} a side, got {height} x "
            f"{width} (height x width); make the frame smaller"
        )
    return height, width


def _jpeg_size(data: bytes) -> tuple[int, int]:
    """Return height and width of a JPEG (ITU-T T.81, B.2.2), (0, 0) if the header is truncated."""
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return (
                int.from_bytes(data[at + 5 : at + 7], "big"),
                int.from_bytes(data[at + 7 : at + 9], "big"),
            )
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return 0, 0
