"""Read the frames of the validation videos for pictures."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.core.frames.images import read_frame
from pipeline.core.tables.parquet import read_table
from pipeline.core.tables.schemas import FRAMES
from pipeline.report.showcase import ReadImage


def frame_reader(data: Path, root: Path) -> ReadImage:
    """Return a function that reads frames of the split ``val`` and checks their SHA-256.

    Args:
        data: Folder with ``index``.
        root: Folder that the paths of the frames are relative to.
    """
    frames = read_table(data / "index" / "frames.parquet", FRAMES)
    val = frames[frames["split"] == "val"]
    columns = (val[name].tolist() for name in ("video", "entry", "file", "sha256"))
    files = {
        (video, entry): (str(file), str(digest))
        for video, entry, file, digest in zip(*columns, strict=True)
    }

    def read(video: str, entry: int) -> NDArray[np.uint8]:
        file, digest = files[video, entry]
        return read_frame(root, file, sha256=digest, image_size=None)

    return read
