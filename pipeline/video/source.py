"""Frames of a video file or of a folder of images.

A file is decoded from its start without seeking, so every frame occurs once, in display order, also
for variable frame rates. Frames are rotated according to the rotation flag of the file.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from pipeline.core.frames.images import decode_image, read_image_bytes
from pipeline.dataset.layout import IMAGE_SUFFIXES

_FOLDER_RATE = 25.0
"""Frames per second of a folder of images."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of a video."""

    number: int
    """Index of the frame, starting at 0."""
    seconds: float
    """Display time."""
    picture: NDArray[np.uint8]
    """RGB ``(H, W, 3)``."""


@dataclass(frozen=True, slots=True)
class VideoSource:
    """A video that can be read repeatedly."""

    path: Path
    frames: int
    """Number of frames; for a file, the number in its header, which may be 0 or wrong."""
    rate: float
    """Average number of frames per second."""

    def read(self) -> Iterator[Frame]:
        """Yield every frame in order.

        Raises:
            ValueError: If a frame cannot be decoded or an image differs in size from the first.
        """
        return _read_folder(self.path) if self.path.is_dir() else _read_file(self.path)

    def digest(self) -> str:
        """Return the sha256 of the file or of the concatenated hashes of all images."""
        digest = hashlib.sha256()
        for file in _pictures(self.path) if self.path.is_dir() else [self.path]:
            with file.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
        return digest.hexdigest()


def open_source(path: Path) -> VideoSource:
    """Open a video file or a folder of images.

    Raises:
        ValueError: If the path does not exist, the file has no video stream or the folder has no
            images.
    """
    if path.is_dir():
        count = len(_pictures(path))
        if not count:
            raise ValueError(
                f"{path}: expected images ({', '.join(IMAGE_SUFFIXES)}), found none; "
                "choose another folder"
            )
        return VideoSource(path, count, _FOLDER_RATE)
    if not path.is_file():
        raise ValueError(
            f"{path}: expected a video or a folder of images, found nothing; check the path"
        )
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            rate = stream.average_rate or stream.guessed_rate or _FOLDER_RATE
            seconds = float(container.duration or 0) / av.time_base
            return VideoSource(path, stream.frames or round(seconds * float(rate)), float(rate))
    except (av.FFmpegError, IndexError) as error:
        raise ValueError(
            f"{path}: expected a video, but it cannot be opened ({error}); is the file complete?"
        ) from error


def _read_file(path: Path) -> Iterator[Frame]:
    try:
        with av.open(str(path)) as container:
            for number, frame in enumerate(container.decode(video=0)):
                picture = frame.to_ndarray(format="rgb24")
                # The flag is in degrees counterclockwise, like the quarter turns of numpy.
                rotated = np.ascontiguousarray(np.rot90(picture, frame.rotation // 90))
                yield Frame(number, float(frame.time or 0.0), rotated)
    except av.FFmpegError as error:
        raise ValueError(
            f"{path}: decoding failed ({error}); is the file complete? --frames selects a part"
        ) from error


def _pictures(folder: Path) -> list[Path]:
    """Return the images of a folder, sorted by the numbers in their names."""
    found = (file for file in folder.iterdir() if file.suffix.lower() in IMAGE_SUFFIXES)
    return sorted(found, key=lambda file: ([int(n) for n in re.findall(r"\d+", file.name)], file))


def _read_folder(folder: Path) -> Iterator[Frame]:
    size: tuple[int, int] | None = None
    for number, file in enumerate(_pictures(folder)):
        picture = decode_image(file, read_image_bytes(file), size)
        size = picture.shape[0], picture.shape[1]
        yield Frame(number, number / _FOLDER_RATE, picture)
