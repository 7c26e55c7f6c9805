"""Frames from disk, checked before and after decoding.

What a file claims to be is read from its header before a decoder allocates anything: a PNG of a
hundred kilobytes can ask for gigabytes. Colors are RGB everywhere. Orientation tags are ignored,
because annotations are made on the pixels as they are stored.
"""

import hashlib
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

MAX_PIXELS = 100_000_000
"""Largest picture that is decoded: 8K video has a third of it."""
MAX_SIDE = 32_766
"""Longest side that cv2.warpAffine takes (its coordinates have 16 bits)."""
_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8"


def locate(root: Path, name: str) -> Path:
    """Return the file of a frame, after making sure that it lies below the data set's folder.

    Args:
        root: The data set's folder, ``data.root``.
        name: Path relative to it, from an annotation file or the manifest.

    Raises:
        ValueError: If the path leads out of ``root``, by its words or through a symbolic link.
    """
    try:
        place = (root / name).resolve()
    except ValueError as error:
        raise ValueError(f"{root}: {name!r} is no path ({error}); correct that name") from error
    if not place.is_relative_to(root.resolve()):
        raise ValueError(
            f"{root / name}: expected a file below {root}, got {place}; frames are never read from "
            "elsewhere: set data.root to the folder that really holds them"
        )
    return place


def read_frame(
    root: Path, name: str, *, sha256: str, image_size: tuple[int, int] | None
) -> NDArray[np.uint8]:
    """Read one frame.

    Args:
        root: The data set's folder.
        name: The frame's path relative to it.
        sha256: Digest of the file, from the manifest.
        image_size: Height and width that the frame must have, None if any will do.

    Returns:
        Picture ``(H, W, 3)``, RGB.

    Raises:
        ValueError: If the file is missing, empty, not the one of the manifest, no JPEG or PNG,
            too large, cut short, damaged or of another size.
    """
    file = locate(root, name)
    data = _read_bytes(file)
    if hashlib.sha256(data).hexdigest() != sha256:
        raise ValueError(
            f"{file}: its bytes are not those of the manifest (sha256 {sha256[:12]}...); restore "
            "the frame, or write the manifest again: posereel use-preset"
        )
    return decode_image(file, data, image_size)


def decode_image(file: Path, data: bytes, image_size: tuple[int, int] | None) -> NDArray[np.uint8]:
    """Decode a JPEG or PNG, whatever its name ends in.

    Args:
        file: Where the bytes are from, for messages.
        data: The file's bytes.
        image_size: Height and width that the picture must have, None if any will do.

    Returns:
        Picture ``(H, W, 3)``, RGB; gray, alpha, 16 bits and CMYK are converted.

    Raises:
        ValueError: As in ``read_frame``.
    """
    found = parse_image_size(file, data)
    if image_size is not None and found != image_size:
        raise ValueError(
            f"{file}: expected {image_size[0]} x {image_size[1]} pixels (height x width) like the "
            f"rest of its video, got {found[0]} x {found[1]}; restore the frame or split the video"
        )
    # A cut JPEG lacks the end marker, which cannot occur inside its compressed data.
    start, end = (b"\xff\xda", b"\xff\xd9") if data.startswith(_JPEG) else (b"IDAT", b"IEND")
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    picture = None
    if data.rfind(end) > data.find(start) >= 0:
        try:
            picture = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), flags)
        except cv2.error as error:
            raise ValueError(f"{file}: cannot be decoded ({error}); restore the frame") from error
    if picture is None or picture.shape[:2] != found:
        raise ValueError(f"{file}: expected a whole picture, got a damaged one; restore the frame")
    return np.ascontiguousarray(picture[:, :, ::-1], dtype=np.uint8)


def read_image_size(root: Path, name: str) -> tuple[int, int]:
    """Return height and width of a frame from its header alone.

    Args:
        root: The data set's folder.
        name: The frame's path relative to it.

    Raises:
        ValueError: If the file is missing, no JPEG or PNG, or too large.
    """
    file = locate(root, name)
    return parse_image_size(file, _read_bytes(file))


def parse_image_size(file: Path, data: bytes) -> tuple[int, int]:
    """Return the height and width that the header of a JPEG or PNG names.

    Args:
        file: Where the bytes are from, for messages.
        data: The file's bytes.

    Raises:
        ValueError: If the bytes are neither, the header is cut short, or the picture is empty or
            too large to be decoded.
    """
    if data.startswith(_PNG):
        height, width = (int.from_bytes(data[at : at + 4], "big") for at in (20, 16))
    elif data.startswith(_JPEG):
        height, width = _jpeg_size(data)
    else:
        raise ValueError(
            f"{file}: expected a JPEG or PNG, got a file that begins with {data[:8]!r}; convert it"
        )
    if not height or not width:
        raise ValueError(f"{file}: its header is cut short or names no size; restore the frame")
    if height * width > MAX_PIXELS or max(height, width) > MAX_SIDE:
        raise ValueError(
            f"{file}: expected at most {MAX_PIXELS} pixels and {MAX_SIDE} a side, got {height} x "
            f"{width} (height x width); make the frame smaller"
        )
    return height, width


def _jpeg_size(data: bytes) -> tuple[int, int]:
    """Return height and width of a JPEG's frame header (ITU-T T.81, B.2.2), zeros if it is cut."""
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


def _read_bytes(file: Path) -> bytes:
    try:
        data = file.read_bytes()
    except OSError as error:
        raise ValueError(
            f"{file}: expected a frame's file, but it cannot be read ({error.strerror}); restore "
            "it or correct data.root"
        ) from error
    if not data:
        raise ValueError(f"{file}: expected a picture, got an empty file; restore the frame")
    return data
