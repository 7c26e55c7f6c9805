"""A sample of clips on disk, in stores and in .npy files, with control of the page cache."""

import ctypes
import mmap
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.stores import write_store

ROWS = {"heatmaps": (5, 15, 96, 72), "flow": (4, 2, 96, 72), "tokens": (3, 192, 1024)}
"""Shape of the row of a clip by kind of store."""
CLIP_BYTES = sum(2 * int(np.prod(shape)) for shape in ROWS.values())
FRAMES = 3
"""Smallest number of frames of a row."""
BATCH = 32
VIDEOS = 8

Batch = NDArray[np.intp]


class Sample:
    """Clips in stores and the same clips in one .npy file per store.

    Args:
        root: Folder to create.
        clips: Number of clips, a multiple of ``VIDEOS``.
    """

    def __init__(self, root: Path, clips: int) -> None:
        root.mkdir()
        self.root = root
        self.clips = clips
        self.per_video = clips // VIDEOS
        self.units = [f"{video:06d}/v0" for video in range(VIDEOS)]
        generator = np.random.default_rng(0)
        for kind, shape in ROWS.items():
            values = generator.standard_normal((self.per_video, *shape), np.float32)
            self._write(kind, values.astype(np.float16))

    def _write(self, kind: str, first: np.ndarray) -> None:
        units = {unit: np.roll(first, video, axis=0) for video, unit in enumerate(self.units)}
        write_store(self.root / kind, kind, units)
        np.save(self.flat(kind), np.concatenate(list(units.values())))

    def flat(self, kind: str) -> Path:
        """Return the .npy file of a kind of store."""
        return self.root / f"{kind}.npy"

    def place(self, clip: int) -> tuple[str, int]:
        """Return the unit of a clip and its row in the unit."""
        return self.units[clip // self.per_video], clip % self.per_video

    def shuffled(self, seed: int) -> list[Batch]:
        """Return the shuffled batches of one epoch."""
        order = np.random.default_rng(seed).permutation(self.clips)
        return [order[start : start + BATCH] for start in range(0, self.clips, BATCH)]

    def drop_pages(self) -> bool:
        """Ask the kernel to drop the files from the page cache; return whether it did."""
        files = [path for path in self.root.rglob("*") if path.is_file()]
        for path in files:
            descriptor = os.open(path, os.O_RDONLY)
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)
        return all(cached_share(path) < 0.01 for path in files if path.stat().st_size > 2**20)


def cached_share(path: Path) -> float:
    """Return the share of a file that is in the page cache."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapping:
        pages = np.zeros(-(-len(mapping) // mmap.PAGESIZE), np.uint8)
        start = np.frombuffer(mapping, np.uint8).ctypes.data
        # mincore(2) does not load pages; reading with RWF_NOWAIT would.
        system = ctypes.CDLL(None, use_errno=True)
        if system.mincore(
            ctypes.c_void_p(start),
            ctypes.c_size_t(len(mapping)),
            pages.ctypes.data_as(ctypes.c_void_p),
        ):
            raise OSError(ctypes.get_errno(), f"{path}: mincore failed")
    return float((pages & 1).mean())
