"""Reading shuffled batches and writing units: our store, np.memmap, zarr-python, DataLoader.

Rows are those of the PoseTrack presets: heatmaps ``(5, 15, 96, 72)``, flow ``(4, 2, 96, 72)`` and
tokens ``(3, 192, 1024)`` of a clip, float16, 2.3 MB together. All readers read the same clips in
the same shuffled order, side by side in every round:

- our reader as training uses it (one thread reads ahead into reused buffers), crc on and off;
- ``np.take(memmap, ..., out=)`` from one .npy file per store into a reused buffer;
- zarr-python on our own files, into a reused buffer;
- torch's DataLoader over zarr-python, clip by clip, with 0 and 2 workers.

Warm: all pages are in the system's cache, every reader has made a pass before. Cold: all pages are
dropped before each pass. A writer writes one unit of each store; ours also flushes it to disk.

    python benchmarks/store.py [--quick] [--json FILE] [--folder DIR]
"""

import ctypes
import mmap
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Protocol, cast

import numpy as np
import torch
import typer
import zarr
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.measurement import (
    Cost,
    Figures,
    JsonFile,
    Quick,
    cost_of,
    describe_machine,
    median_cost,
    median_ratio,
    show,
    write_figures,
)
from benchmarks.stores import write_store, write_unit
from pipeline.caches import Caches
from pipeline.prefetch import prefetch
from pipeline.shards import array_metadata, encode_json

ROWS = {"heatmaps": (5, 15, 96, 72), "flow": (4, 2, 96, 72), "tokens": (3, 192, 1024)}
"""Shape of a clip's row in every store."""
CLIP_BYTES = sum(2 * int(np.prod(shape)) for shape in ROWS.values())
FRAMES = 3
"""Fewest frames of a row."""
BATCH = 32
VIDEOS = 8

Batch = NDArray[np.intp]
app = typer.Typer(add_completion=False)


class Sample:
    """Clips in stores and, the same, in one .npy file per store.

    Args:
        root: Folder to make.
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
        """Return the .npy file of a kind."""
        return self.root / f"{kind}.npy"

    def place(self, clip: int) -> tuple[str, int]:
        """Return the unit of a clip and its row there."""
        return self.units[clip // self.per_video], clip % self.per_video

    def shuffled(self, seed: int) -> list[Batch]:
        """Return the batches of one pass over all clips."""
        order = np.random.default_rng(seed).permutation(self.clips)
        return [order[start : start + BATCH] for start in range(0, self.clips, BATCH)]

    def drop_pages(self) -> bool:
        """Ask the system to forget the files' pages; return whether it did."""
        files = [path for path in self.root.rglob("*") if path.is_file()]
        for path in files:
            descriptor = os.open(path, os.O_RDONLY)
            os.fsync(descriptor)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)
        return all(share_in_memory(path) < 0.01 for path in files if path.stat().st_size > 2**20)


def share_in_memory(path: Path) -> float:
    """Return the share of a file's pages that lie in the system's cache."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapping:
        pages = np.zeros(-(-len(mapping) // mmap.PAGESIZE), np.uint8)
        start = np.frombuffer(mapping, np.uint8).ctypes.data
        # mincore(2) asks without touching; reading with RWF_NOWAIT would load the page.
        system = ctypes.CDLL(None, use_errno=True)
        if system.mincore(
            ctypes.c_void_p(start),
            ctypes.c_size_t(len(mapping)),
            pages.ctypes.data_as(ctypes.c_void_p),
        ):
            raise OSError(ctypes.get_errno(), f"{path}: mincore failed")
    return float((pages & 1).mean())


class Reader(Protocol):
    """A way to read batches."""

    def read(self, order: Sequence[Batch]) -> None:
        """Read all batches, one after the other."""


def buffers() -> dict[str, np.ndarray]:
    """Return memory for one batch."""
    return {kind: np.empty((BATCH, *shape), np.float16) for kind, shape in ROWS.items()}


class OurReader:
    """The caches, read ahead by one thread, as ``pipeline.dataset`` does."""

    def __init__(self, sample: Sample, *, check: bool) -> None:
        self._sample = sample
        self._check = check
        self._caches = Caches({kind: sample.root / kind for kind in ROWS}, FRAMES)
        self._ring = [self._caches.buffers(BATCH) for _ in range(3)]

    def read(self, order: Sequence[Batch]) -> None:
        """Read all batches."""
        places = [[self._sample.place(clip) for clip in batch.tolist()] for batch in order]
        requests = [([unit for unit, _ in p], np.array([row for _, row in p])) for p in places]
        for _ in prefetch(requests, self._load, self._ring, advise=self._advise):
            pass

    def _advise(self, request: tuple[list[str], NDArray[np.int64]]) -> None:
        self._caches.advise(*request)

    def _load(
        self, request: tuple[list[str], NDArray[np.int64]], into: dict[str, torch.Tensor]
    ) -> None:
        self._caches.read(*request, into, check=self._check)


class MemmapReader:
    """The least that numpy can do."""

    def __init__(self, sample: Sample) -> None:
        self._stored = {kind: np.load(sample.flat(kind), mmap_mode="r") for kind in ROWS}
        self._out = buffers()

    def read(self, order: Sequence[Batch]) -> None:
        """Read all batches."""
        for batch in order:
            for kind, stored in self._stored.items():
                # "raise", the default, would copy by way of a buffer of its own.
                np.take(stored, batch, axis=0, out=self._out[kind], mode="clip")


class ZarrReader:
    """zarr-python on our files."""

    def __init__(self, sample: Sample) -> None:
        self._sample = sample
        self._groups = {kind: zarr.open_group(str(sample.root / kind), mode="r") for kind in ROWS}
        self._arrays = {
            (kind, unit): cast("zarr.Array[Any]", group[unit])
            for kind, group in self._groups.items()
            for unit in sample.units
        }
        self._out = buffers()

    def clip(self, clip: int) -> dict[str, np.ndarray]:
        """Return one clip; indexing a sharded array by a list takes zarr 3.1 15 times as long."""
        unit, row = self._sample.place(clip)
        return {kind: np.asarray(self._arrays[kind, unit][row]) for kind in ROWS}

    def read(self, order: Sequence[Batch]) -> None:
        """Read all batches."""
        for batch in order:
            for place, clip in enumerate(batch.tolist()):
                for kind, values in self.clip(clip).items():
                    self._out[kind][place] = values


class _Clips(Dataset[dict[str, np.ndarray]]):
    def __init__(self, sample: Sample) -> None:
        self._reader = ZarrReader(sample)

    def __getitem__(self, clip: int) -> dict[str, np.ndarray]:
        return self._reader.clip(clip)


class LoaderReader:
    """torch's DataLoader over zarr-python."""

    def __init__(self, sample: Sample, workers: int) -> None:
        self._order: list[list[int]] = []
        self._loader: DataLoader[dict[str, np.ndarray]] = DataLoader(
            _Clips(sample),
            batch_sampler=_Ordered(self._order),
            num_workers=workers,
            persistent_workers=workers > 0,
        )

    def read(self, order: Sequence[Batch]) -> None:
        """Read all batches."""
        self._order[:] = [batch.tolist() for batch in order]
        for _ in self._loader:
            pass


class _Ordered:
    """Batches in the order of a list that is filled before each pass."""

    def __init__(self, order: list[list[int]]) -> None:
        self._order = order

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self._order)

    def __len__(self) -> int:
        return len(self._order)


BASELINE = "np.memmap, np.take(out=)"
READERS: dict[str, Callable[[Sample], Reader]] = {
    BASELINE: MemmapReader,
    "ours, crc off": lambda sample: OurReader(sample, check=False),
    "ours, crc on": lambda sample: OurReader(sample, check=True),
    "zarr-python": ZarrReader,
    "DataLoader of zarr-python, 0 workers": lambda sample: LoaderReader(sample, 0),
    "DataLoader of zarr-python, 2 workers": lambda sample: LoaderReader(sample, 2),
}


def write_with_zarr(folder: Path, values: np.ndarray) -> None:
    """Write the same array with zarr-python."""
    metadata = array_metadata(len(values), values.shape[1:], values.dtype.name)
    folder.mkdir(parents=True)
    (folder / "zarr.json").write_bytes(encode_json(metadata))
    zarr.open_array(str(folder), mode="r+")[...] = values


WRITERS = {"zarr-python": write_with_zarr, "ours, flushed": write_unit}


def read_warm(sample: Sample, rounds: int) -> dict[str, list[Cost]]:
    """Return what a batch costs each reader, round by round, from the system's cache."""
    readers = {name: make(sample) for name, make in READERS.items()}
    for reader in readers.values():
        reader.read(sample.shuffled(0))
    costs: dict[str, list[Cost]] = {name: [] for name in READERS}
    for seed in range(1, rounds + 1):
        order = sample.shuffled(seed)
        for name, reader in readers.items():
            costs[name].append(cost_of(partial(reader.read, order)).per(len(order)))
    return costs


def read_cold(sample: Sample, rounds: int) -> dict[str, list[Cost]]:
    """Return the same from the disk; nothing where the system keeps the pages."""
    costs: dict[str, list[Cost]] = {name: [] for name in READERS}
    for seed in range(1, rounds + 1):
        order = sample.shuffled(seed)
        for name, make in READERS.items():
            # A page that somebody has mapped is not dropped: every reader starts anew.
            if not sample.drop_pages():
                return {}
            reader = make(sample)
            costs[name].append(cost_of(partial(reader.read, order)).per(len(order)))
            del reader
    return costs


def write_units(root: Path, clips: int, rounds: int) -> tuple[dict[str, list[Cost]], int]:
    """Return what writing one unit of each store costs each writer, and its bytes.

    Raises:
        RuntimeError: If the two wrote other bytes.
    """
    generator = np.random.default_rng(1)
    units = {
        kind: generator.standard_normal((clips, *shape), np.float32).astype(np.float16)
        for kind, shape in ROWS.items()
    }
    costs: dict[str, list[Cost]] = {name: [] for name in WRITERS}
    for _ in range(rounds):
        for name, write in WRITERS.items():
            rmtree(root / name, ignore_errors=True)
            costs[name].append(cost_of(partial(_write_all, write, root / name, units)))
        written = [_contents(root / name) for name in WRITERS]
        if written[0] != written[1]:
            raise RuntimeError("store: our writer and zarr-python wrote other bytes")
    return costs, sum(values.nbytes for values in units.values())


def _write_all(
    write: Callable[[Path, np.ndarray], None], root: Path, units: dict[str, np.ndarray]
) -> None:
    for kind, values in units.items():
        write(root / kind, values)


def _contents(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def tabulate(title: str, costs: dict[str, list[Cost]], baseline: str, size: int) -> Figures:
    """Print medians and ratios to a baseline, and return them.

    Args:
        title: What was measured.
        costs: Cost of every round by name.
        baseline: Name that the others are divided by.
        size: Bytes that each cost stands for.
    """
    figures: Figures = {}
    rows: list[list[str | float]] = [["", "CPU ms", "x", "wall ms", "x", "MB/s wall"]]
    for name, rounds in costs.items():
        middle = median_cost(rounds)
        cpu, wall = (
            median_ratio([c[i] for c in rounds], [c[i] for c in costs[baseline]]) for i in (1, 0)
        )
        rate = size / 1e6 / middle.wall
        rows.append([name, 1e3 * middle.cpu, cpu, 1e3 * middle.wall, wall, rate])
        figures[name] = {
            "cpu_ms": 1e3 * middle.cpu,
            "cpu_ratio": cpu,
            "wall_ms": 1e3 * middle.wall,
            "wall_ratio": wall,
            "mb_per_wall_second": rate,
        }
    show(title, rows)
    return figures


@app.command()
def main(
    quick: Quick = False,
    json_file: JsonFile = None,
    folder: Annotated[
        Path | None, typer.Option(help="Where the data lies meanwhile; the disk to measure.")
    ] = None,
) -> None:
    """Make the clips, read and write them in all ways side by side, print medians and ratios."""
    clips, rounds, cold_rounds = (192, 3, 1) if quick else (1024, 9, 3)
    torch.set_num_threads(1)
    print(f"store: {clips} clips of {CLIP_BYTES / 1e6:.2f} MB; {describe_machine()}")
    with TemporaryDirectory(dir=folder) as temporary:
        sample = Sample(Path(temporary) / "sample", clips)
        size = BATCH * CLIP_BYTES
        figures: Figures = {"clips": clips, "batch_bytes": size, "rounds": rounds}
        warm = read_warm(sample, rounds)
        figures["read_warm"] = tabulate(
            f"a shuffled batch of {BATCH}, warm, median of {rounds} passes", warm, BASELINE, size
        )
        if cold := read_cold(sample, cold_rounds):
            title = f"the same, cold, median of {cold_rounds}"
            figures["read_cold"] = tabulate(title, cold, BASELINE, size)
        else:
            print("\nstore: this file system keeps its pages in memory; cold reads not measured")
        written, size = write_units(Path(temporary) / "written", sample.per_video, rounds)
        title = f"writing {size / 1e6:.0f} MB, the same bytes, median of {rounds}"
        figures["write"] = tabulate(title, written, "zarr-python", size)
    write_figures(json_file, figures)


if __name__ == "__main__":
    app()
