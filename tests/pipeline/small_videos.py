"""Small video files whose every frame can be told by its color."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]


def numbered(count: int, size: tuple[int, int] = (48, 64)) -> list[Picture]:
    """Gray pictures, 10 levels brighter from each to the next, with a white upper left quarter."""
    pictures = []
    for number in range(count):
        picture = np.full((*size, 3), 20 + 10 * number, np.uint8)
        picture[: size[0] // 2, : size[1] // 2] = 255
        pictures.append(picture)
    return pictures


def number_of(picture: Picture) -> int:
    """Return which of the numbered pictures this is, from its darkest corner."""
    corners = [picture[y, x].mean() for y in (4, -4) for x in (4, -4)]
    return round((min(corners) - 20) / 10)


def write_video(
    path: Path, pictures: Sequence[Picture], seconds: Sequence[float], *, faststart: bool = False
) -> None:
    """Write a video without loss of color or size, each frame at its own time.

    With ``faststart`` the header of an mp4 file is at its start.
    """
    options = {"movflags": "+faststart"} if faststart and path.suffix == ".mp4" else {}
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream("libx264", rate=Fraction(25))
        stream.height, stream.width = pictures[0].shape[:2]
        # This pixel format has no chroma at half resolution, so that sides may be odd.
        stream.pix_fmt = "yuv444p"
        stream.options = {"crf": "10", "preset": "ultrafast"}
        stream.codec_context.time_base = Fraction(1, 1000)
        for picture, time in zip(pictures, seconds, strict=True):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = round(1000 * time), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def turn_clockwise(path: Path) -> None:
    """Set an mp4 file's flag that it is to be shown turned by 90 degrees clockwise.

    The matrix of the box tkhd maps a pixel's (x, y) to (a x + c y, b x + d y), y downwards
    (ISO/IEC 14496-12, 6.2.2): a = d = 0, b = 1, c = -1 turns right into down.
    """
    data = bytearray(path.read_bytes())
    # tkhd, version 0: 40 bytes lie between the box's name and the matrix's nine numbers.
    at = data.index(b"tkhd") + 4 + 40
    one = 1 << 16
    for place, value in enumerate([0, one, 0, -one, 0, 0, 0, 0, 1 << 30]):
        data[at + 4 * place : at + 4 * place + 4] = value.to_bytes(4, "big", signed=True)
    path.write_bytes(data)
