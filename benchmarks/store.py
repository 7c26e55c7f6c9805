"""Reading shuffled batches and writing units: PoseReel, np.memmap, zarr-python, DataLoader.

Rows have the shapes of the PoseTrack presets: per clip, heatmaps ``(5, 15, 96, 72)``, flow
``(4, 2, 96, 72)`` and tokens ``(3, 192, 1024)``, float16, 2.3 MB in total. In every round, all
readers read the same clips in the same shuffled order:

- PoseReel's reader into a reused buffer, with read-ahead, with and without crc;
- ``np.take(memmap, ..., out=)`` from one .npy file per store into a reused buffer;
- zarr-python on the same stores into a reused buffer;
- torch's DataLoader over zarr-python, clip by clip, with 0 and 2 workers.

Warm: all files are in the page cache and every reader has made a pass before; slow readers take
part in every fourth round. Cold: the page cache is dropped before each pass. Writers write one unit
of each store; PoseReel's writer also flushes it to disk.

    python -m benchmarks.store [--quick] [--json FILE] [--folder DIR]
"""

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
from pipeline.core.caches.reader import Caches
from pipeline.core.store.shards import array_metadata, encode_json

AHEAD = 3
"""Number of batches that PoseReel's reader asks the kernel to load ahead."""
Costs = dict[str, dict[int, Cost]]
"""Costs by name of the reader or writer and number of the round."""
app = typer.Typer(add_completion=False)


class Reader(Protocol):
    """Reads batches."""

    def read(self, order: Sequence[Batch]) -> None:
        """Read all batches in order."""


def buffers() -> dict[str, np.ndarray]:
    """Return buffers for one batch by kind of store."""
    return {kind: np.empty((BATCH, *shape), np.float16) for kind, shape in ROWS.items()}


class PoseReelReader:
    """PoseReel's caches with a reused buffer and the read-ahead of the prefetch thread."""

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
    """numpy's memory-mapped .npy files with a reused buffer."""

    def __init__(self, sample: Sample) -> None:
        self._stored = {kind: np.load(sample.flat(kind), mmap_mode="r") for kind in ROWS}
        self._out = buffers()

    def read(self, order: Sequence[Batch]) -> None:
        """Read all batches."""
        for batch in order:
            for kind, stored in self._stored.items():
                # The default mode "raise" would copy through an additional buffer.
                np.take(stored, batch, axis=0, out=self._out[kind], mode="clip")


class ZarrReader:
    """zarr-python on the same stores."""

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
        """Return one clip. Indexing by a list takes 15 times as long in zarr 3.1."""
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
    """Batch sampler over a list that is filled before each pass."""

    def __init__(self, order: list[list[int]]) -> None:
        self._order = order

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self._order)

    def __len__(self) -> int:
        return len(self._order)


BASELINE = "np.memmap, np.take(out=)"
FAST = (BASELINE, "PoseReel without crc", "PoseReel with crc")
READERS: dict[str, Callable[[Sample], Reader]] = {
    BASELINE: MemmapReader,
    "PoseReel without crc": lambda sample: PoseReelReader(sample, check=False),
    "PoseReel with crc": lambda sample: PoseReelReader(sample, check=True),
    "zarr-python": ZarrReader,
    "DataLoader of zarr-python, 0 workers": lambda sample: LoaderReader(sample, 0),
    "DataLoader of zarr-python, 2 workers": lambda sample: LoaderReader(sample, 2),
}


def write_with_zarr(folder: Path, values: np.ndarray) -> None:
    """Write an array with zarr-python."""
    metadata = array_metadata(len(values), values.shape[1:], values.dtype.name)
    folder.mkdir(parents=True)
    (folder / "zarr.json").write_bytes(encode_json(metadata))
    zarr.open_array(str(folder), mode="r+")[...] = values


WRITERS = {"zarr-python": write_with_zarr, "PoseReel, flushed": write_unit}


def read_warm(sample: Sample, rounds: int) -> Costs:
    """Return the costs of a batch for every reader from the page cache."""
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
    """Return the costs of a batch from disk; empty if the page cache cannot be dropped."""
    costs: Costs = {name: {} for name in READERS}
    for number in range(1, rounds + 1):
        order = sample.shuffled(number)
        for name, make in READERS.items():
            # Mapped pages cannot be dropped, so every reader is created for one pass.
            if not sample.drop_pages():
                return {}
            reader = make(sample)
            costs[name][number] = cost_of(partial(reader.read, order)).per(len(order))
            del reader
    return costs


def write_units(root: Path, clips: int, rounds: int) -> tuple[Costs, int]:
    """Return the costs of writing one unit of each store for every writer, and its bytes.

    Raises:
        RuntimeError: If the writers wrote different bytes.
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
            raise RuntimeError(
                "store: expected the same bytes from PoseReel and zarr-python, got different ones"
            )
    return costs, sum(values.nbytes for values in units.values())


def _write_all(
    write: Callable[[Path, np.ndarray], None], root: Path, units: dict[str, np.ndarray]
) -> None:
    for kind, values in units.items():
        write(root / kind, values)


def _contents(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def tabulate(title: str, costs: Costs, baseline: str, size: int) -> Figures:
    """Print and return medians and ratios to a baseline.

    Args:
        title: Title of the table.
        costs: Costs of all rounds by name.
        baseline: Name of the baseline.
        size: Bytes per cost.
    """
    figures: Figures = {}
    rows: list[list[str | float]] = [["", "CPU ms", "x", "wall ms", "x", "MB/s wall"]]
    for name, rounds in costs.items():
        median = median_cost(rounds.values())
        others = [costs[baseline][number] for number in rounds]
        cpu, wall = (
            median_ratio([c[i] for c in rounds.values()], [c[i] for c in others]) for i in (1, 0)
        )
        rate = size / 1e6 / median.wall
        rows.append([name, 1e3 * median.cpu, cpu, 1e3 * median.wall, wall, rate])
        figures[name] = {
            "cpu_ms": 1e3 * median.cpu,
            "cpu_ratio": cpu,
            "wall_ms": 1e3 * median.wall,
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
        Path | None, typer.Option(help="Folder for temporary data, on the disk to measure.")
    ] = None,
) -> None:
    """Create clips, read and write them in all ways and print medians and ratios."""
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
            title = f"a shuffled batch of {BATCH}, cold, median of {cold_rounds}"
            figures["read_cold"] = tabulate(title, cold, BASELINE, size)
        else:
            print("\nstore: this file system keeps its page cache; cold reads are not measured")
        written, size = write_units(Path(temporary) / "written", sample.per_video, rounds)
        title = f"writing {size / 1e6:.0f} MB, median of {rounds}"
        figures["write"] = tabulate(title, written, "zarr-python", size)
    write_figures(json_file, figures)


if __name__ == "__main__":
    app()
