"""Reading shuffled batches and writing units: our store, np.memmap, zarr-python, DataLoader.

Rows are those of the PoseTrack presets: heatmaps ``(5, 15, 96, 72)``, flow ``(4, 2, 96, 72)`` and
tokens ``(3, 192, 1024)`` of a clip, float16, 2.3 MB together. All readers read the same clips in
the same shuffled order, side by side in every round:

- our reader into a reused buffer, with its advice to the system, crc on and off;
- ``np.take(memmap, ..., out=)`` from one .npy file per store into a reused buffer;
- zarr-python on our own files, into a reused buffer;
- torch's DataLoader over zarr-python, clip by clip, with 0 and 2 workers.

Warm: all pages are in the system's cache, every reader has made a pass before; the slow readers
take part in every fourth round. Cold: all pages are dropped before each pass. A writer writes one
unit of each store; ours also flushes it to disk.

    python benchmarks/store.py [--quick] [--json FILE] [--folder DIR]
"""

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

from benchmarks.clip_sample import BATCH, CLIP_BYTES, FRAMES, ROWS, Batch, Sample
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
from benchmarks.stores import write_unit
from pipeline.caches.reader import Caches
from pipeline.store.shards import array_metadata, encode_json

AHEAD = 3
"""Batches that our reader advises the system to load."""
Costs = dict[str, dict[int, Cost]]
"""Cost of every round that something took part in, by its name and the number of the round."""
app = typer.Typer(add_completion=False)


class Reader(Protocol):
    """A way to read batches."""

    def read(self, order: Sequence[Batch]) -> None:
        """Read all batches, one after the other."""


def buffers() -> dict[str, np.ndarray]:
    """Return memory for one batch."""
    return {kind: np.empty((BATCH, *shape), np.float16) for kind, shape in ROWS.items()}


class OurReader:
    """The caches, into a reused buffer; batches ahead are advised, as the prefetch thread does."""

    def __init__(self, sample: Sample, *, check: bool) -> None:
        self._sample = sample
        self._check = check
        self._caches = Caches({kind: sample.root / kind for kind in ROWS}, FRAMES)
        self._out = self._caches.buffers(BATCH)

    def read(self, order: Sequence[Batch]) -> None:
        """Read all batches."""
        requests = [self._request(batch) for batch in order]
        for request in requests[:AHEAD]:
            self._caches.advise(*request)
        for number, request in enumerate(requests):
            for later in requests[number + AHEAD : number + AHEAD + 1]:
                self._caches.advise(*later)
            self._caches.read(*request, self._out, check=self._check)

    def _request(self, batch: Batch) -> tuple[list[str], NDArray[np.int64]]:
        places = [self._sample.place(clip) for clip in batch.tolist()]
        return [unit for unit, _ in places], np.array([row for _, row in places])


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
FAST = (BASELINE, "ours, crc off", "ours, crc on")
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


def read_warm(sample: Sample, rounds: int) -> Costs:
    """Return what a batch costs each reader, round by round, from the system's cache."""
    readers = {name: make(sample) for name, make in READERS.items()}
    for reader in readers.values():
        reader.read(sample.shuffled(0))
    costs: Costs = {name: {} for name in READERS}
    for number in range(1, rounds + 1):
        order = sample.shuffled(number)
        for name, reader in readers.items():
            if name in FAST or number % 4 == 0:
                costs[name][number] = cost_of(partial(reader.read, order)).per(len(order))
    return costs


def read_cold(sample: Sample, rounds: int) -> Costs:
    """Return the same from the disk; nothing where the system keeps the pages."""
    costs: Costs = {name: {} for name in READERS}
    for number in range(1, rounds + 1):
        order = sample.shuffled(number)
        for name, make in READERS.items():
            # A page that somebody has mapped is not dropped: every reader starts anew.
            if not sample.drop_pages():
                return {}
            reader = make(sample)
            costs[name][number] = cost_of(partial(reader.read, order)).per(len(order))
            del reader
    return costs


def write_units(root: Path, clips: int, rounds: int) -> tuple[Costs, int]:
    """Return what writing one unit of each store costs each writer, and its bytes.

    Raises:
        RuntimeError: If the two wrote other bytes.
    """
    generator = np.random.default_rng(1)
    units = {
        kind: generator.standard_normal((clips, *shape), np.float32).astype(np.float16)
        for kind, shape in ROWS.items()
    }
    costs: Costs = {name: {} for name in WRITERS}
    for number in range(rounds):
        for name, write in WRITERS.items():
            rmtree(root / name, ignore_errors=True)
            costs[name][number] = cost_of(partial(_write_all, write, root / name, units))
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


def tabulate(title: str, costs: Costs, baseline: str, size: int) -> Figures:
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
        middle = median_cost(rounds.values())
        others = [costs[baseline][number] for number in rounds]
        cpu, wall = (
            median_ratio([c[i] for c in rounds.values()], [c[i] for c in others]) for i in (1, 0)
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
    clips, rounds, cold_rounds = (192, 12, 1) if quick else (1024, 20, 3)
    torch.set_num_threads(1)
    print(f"store: {clips} clips of {CLIP_BYTES / 1e6:.2f} MB; {describe_machine()}")
    with TemporaryDirectory(dir=folder) as temporary:
        sample = Sample(Path(temporary) / "sample", clips)
        size = BATCH * CLIP_BYTES
        figures: Figures = {"clips": clips, "batch_bytes": size, "rounds": rounds}
        warm = read_warm(sample, rounds)
        figures["read_warm"] = tabulate(
            f"a shuffled batch of {BATCH}, warm, medians over {rounds} rounds", warm, BASELINE, size
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
