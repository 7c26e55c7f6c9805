"""Frames of a video file or of a folder of images.

A file is decoded from its start without seeking, so every frame occurs once, in display order, also
for variable frame rates. Frames are rotated according to the rotation flag of the file.
"""

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

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
class Shortfall:
    """A video file whose frames end before the duration in its header."""

    path: Path
    frames: int
    """Number of frames that were decoded."""
    decoded: float
    """Seconds until the end of the last decoded frame."""
    expected: float
    """Duration of the video stream, seconds."""

    def __str__(self) -> str:
        """The message about it."""
        return (
            f"{self.path}: expected {self.expected:.2f} s of video, as in its header, got "
            f"{self.decoded:.2f} s ({self.frames} frames)"
        )


OnShortfall = Callable[[Shortfall], None]
"""Called at the end of an incomplete file; it may raise."""


def refuse_shortfall(found: Shortfall) -> NoReturn:
    """Raise an error for an incomplete file.

    Raises:
        ValueError: Always.
    """
    raise ValueError(
        f"{found}; the file is truncated or damaged: copy it again, select a part (--frames), or "
        "accept it as it is (--incomplete)"
    )


@dataclass(frozen=True, slots=True)
class VideoSource:
    """A video that can be read repeatedly."""

    path: Path
    frames: int
    """Number of frames; for a file, the number in its header, which may be 0 or wrong."""
    rate: float
    """Average number of frames per second."""

    def read(self, on_shortfall: OnShortfall = refuse_shortfall) -> Iterator[Frame]:
        """Yield every frame in order.

        Args:
            on_shortfall: Called at the end if the file has fewer frames than its header says, or a
                frame cannot be decoded.

        Raises:
            ValueError: If an image differs in size from the first or cannot be decoded; by default
                also if a file is incomplete.
        """
        if self.path.is_dir():
            return _read_folder(self.path)
        return _read_file(self.path, self.rate, on_shortfall)

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


def _read_file(path: Path, rate: float, on_shortfall: OnShortfall) -> Iterator[Frame]:
    first = end = 0.0
    longest, number = 1 / rate, -1
    error = None
    with av.open(str(path)) as container:
        expected = _duration(container.streams.video[0])
        try:
            for number, frame in enumerate(container.decode(video=0)):
                picture = frame.to_ndarray(format="rgb24")
                # The flag is in degrees counterclockwise, like the quarter turns of numpy.
                rotated = np.ascontiguousarray(np.rot90(picture, frame.rotation // 90))
                seconds = float(frame.time or 0.0)
                first = seconds if number == 0 else first
                longest = max(longest, seconds - first - end)
                end = seconds - first + float((frame.duration or 0) * (frame.time_base or 0))
                yield Frame(number, seconds, rotated)
        except av.FFmpegError as found:
            error = found
    if error is not None and expected is None:
        raise ValueError(
            f"{path}: decoding failed after {number + 1} frames ({error}); is the file complete? "
            "--frames selects a part"
        ) from error
    # The last frame may be held for as long as any other.
    if expected is not None and (error is not None or expected - end > 1.5 * longest):
        on_shortfall(Shortfall(path, number + 1, end, expected))


def _duration(stream: "av.VideoStream") -> float | None:
    """Return the duration of a stream in seconds, as the header states it; None if it does not."""
    if stream.duration is not None and stream.time_base is not None:
        return float(stream.duration * stream.time_base)
    # Matroska and WebM: hours, minutes and seconds.
    parts = stream.metadata.get("DURATION", "").split(":")
    try:
        hours, minutes, seconds = map(float, parts)
    except ValueError:
        return None
    return 3600 * hours + 60 * minutes + seconds


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
