"""Zarr v3 shard files written directly, byte for byte as zarr-python writes the same values.

An array of one unit has one chunk per row (a clip) and at most 256 rows, or 128 MiB, per shard. A
shard holds its rows one after the other, each followed by its crc32c, then an index of (offset,
bytes) per row and the index's own crc32c: Zarr v3 core and sharding specification ("sharding_
indexed", index at the end), codecs ``bytes`` and ``crc32c``. zarr-python spends about seven times
the processor time on the same bytes, and does not flush them.

Shard files are called ``c.0.0`` and not ``c/0/0`` (both are the standard's default encoding, with
another separator): one folder per unit instead of one per axis, which every ``dvc status`` walks.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import google_crc32c
import numpy as np

from pipeline.base.atomic_file import WholeFile, write_file

SHARD_ROWS = 256
SHARD_BYTES = 128 * 2**20
MISSING = 2**64 - 1
"""Offset and size that the index gives to a row that is not there."""

CRC_BYTES = 4
DTYPES = ("float16", "float32", "uint8")


def shard_rows(rows: int, row_bytes: int) -> int:
    """Return how many rows one shard of an array holds, at least 1."""
    return max(1, min(SHARD_ROWS, SHARD_BYTES // max(row_bytes, 1), rows))


def shard_name(shard: int, dimensions: int) -> str:
    """Return the file name of shard number ``shard`` of an array with so many dimensions."""
    return ".".join(["c", str(shard), *["0"] * (dimensions - 1)])


def index_bytes(shard_length: int) -> int:
    """Return the size in bytes of the index that ends a shard of ``shard_length`` rows."""
    return 16 * shard_length + CRC_BYTES


def crc32c(data: bytes | np.ndarray) -> int:
    """Return the CRC-32C (Castagnoli) of contiguous bytes (google-crc32c takes no memoryview)."""
    return int(google_crc32c.value(data))


def encode_json(content: Mapping[str, object]) -> bytes:
    """Return JSON as zarr-python lays it out: two spaces, keys in the order given."""
    return json.dumps(content, indent=2).encode()


def group_metadata(attributes: Mapping[str, object]) -> dict[str, object]:
    """Return the content of a Zarr v3 group's ``zarr.json``."""
    return {"attributes": dict(attributes), "zarr_format": 3, "node_type": "group"}


def array_metadata(rows: int, row_shape: tuple[int, ...], dtype: str) -> dict[str, object]:
    """Return the content of an array's ``zarr.json``.

    Rows that are missing read as NaN in other programs, 0 in uint8; PoseReel's own reader
    refuses them.

    Args:
        rows: Number of rows.
        row_shape: Shape of a row.
        dtype: One of ``DTYPES``; stored little-endian.
    """
    row_bytes = int(np.dtype(dtype).itemsize * np.prod(row_shape, dtype=np.int64))
    little: dict[str, object] = {"name": "bytes", "configuration": {"endian": "little"}}
    # zarr-python leaves the byte order out where an element is one byte.
    plain: dict[str, object] = {"name": "bytes"} if dtype == "uint8" else little
    crc = {"name": "crc32c"}
    sharding = {
        "chunk_shape": [1, *row_shape],
        "codecs": [plain, crc],
        "index_codecs": [little, crc],
        "index_location": "end",
    }
    grid = {"chunk_shape": [shard_rows(rows, row_bytes), *row_shape]}
    return {
        "shape": [rows, *row_shape],
        "data_type": dtype,
        "chunk_grid": {"name": "regular", "configuration": grid},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "."}},
        "fill_value": 0 if dtype == "uint8" else "NaN",
        "codecs": [{"name": "sharding_indexed", "configuration": sharding}],
        "attributes": {},
        "zarr_format": 3,
        "node_type": "array",
        "storage_transformers": [],
    }


def write_array(
    folder: Path,
    blocks: Iterable[np.ndarray],
    *,
    rows: int,
    row_shape: tuple[int, ...],
    dtype: str,
) -> None:
    """Write the array of one unit into an empty or absent folder.

    Blocks are written as they come and never kept, so that a caller may reuse its buffers.

    Args:
        folder: The array's folder, ``<out>/<video>/v0``.
        blocks: Arrays ``(n, *row_shape)`` with any n, in the order of the rows.
        rows: Number of rows that the blocks hold together; 0 writes the metadata alone.
        row_shape: Shape of a row.
        dtype: One of ``DTYPES``.

    Raises:
        ValueError: If the dtype is none of those, or the blocks do not add up to
            ``(rows, *row_shape)`` of it.
    """
    if dtype not in DTYPES:
        raise ValueError(f"{folder}: arrays are stored as one of {DTYPES}, not {dtype!r}")
    metadata = array_metadata(rows, row_shape, dtype)
    row_bytes = int(np.dtype(dtype).itemsize * np.prod(row_shape, dtype=np.int64))
    length = shard_rows(rows, row_bytes)
    folder.mkdir(parents=True, exist_ok=True)
    queue = _Rows(folder, blocks, rows, row_shape, np.dtype(dtype))
    for shard in range(-(-rows // length)):
        count = min(length, rows - shard * length)
        path = folder / shard_name(shard, 1 + len(row_shape))
        with WholeFile(path) as file:
            for part in queue.take(count):
                file.write(_with_checksums(part))
            file.write([_index(count, length, row_bytes)])
    queue.refuse_more()
    write_file(folder / "zarr.json", encode_json(metadata))


def _with_checksums(part: np.ndarray) -> list[bytes | memoryview]:
    pieces: list[bytes | memoryview] = []
    for row in part.reshape(len(part), -1).view(np.uint8):
        pieces += [row.data, crc32c(row).to_bytes(CRC_BYTES, "little")]
    return pieces


def _index(count: int, length: int, row_bytes: int) -> bytes:
    index = np.full((length, 2), MISSING, dtype="<u8")
    index[:count, 0] = np.arange(count) * (row_bytes + CRC_BYTES)
    index[:count, 1] = row_bytes + CRC_BYTES
    content = index.tobytes()
    return content + crc32c(content).to_bytes(CRC_BYTES, "little")


class _Rows:
    """The rows of a stream of blocks, taken in numbers of another size."""

    def __init__(
        self,
        folder: Path,
        blocks: Iterable[np.ndarray],
        rows: int,
        row_shape: tuple[int, ...],
        dtype: np.dtype[np.generic],
    ) -> None:
        self._folder = folder
        self._blocks = iter(blocks)
        self._rows = rows
        self._row_shape = row_shape
        self._dtype = dtype
        self._rest = np.empty((0, *row_shape), dtype)
        self._taken = 0

    def _next_block(self) -> np.ndarray | None:
        block = next(self._blocks, None)
        if block is None:
            return None
        if block.shape[1:] != self._row_shape or block.dtype != self._dtype:
            raise ValueError(
                f"{self._folder}: a block must hold rows {self._row_shape} of {self._dtype}, "
                f"not an array {block.shape} of {block.dtype}"
            )
        return np.ascontiguousarray(block)

    def take(self, count: int) -> Iterable[np.ndarray]:
        """Yield contiguous parts of blocks that hold ``count`` rows together."""
        while count:
            if len(self._rest) == 0:
                block = self._next_block()
                if block is None:
                    raise ValueError(
                        f"{self._folder}: the blocks ended after {self._taken} of {self._rows} rows"
                    )
                self._rest = block
                continue
            part, self._rest = self._rest[:count], self._rest[count:]
            count -= len(part)
            self._taken += len(part)
            yield part

    def refuse_more(self) -> None:
        """Check that nothing is left."""
        block: np.ndarray | None = self._rest
        while block is not None:
            if len(block):
                raise ValueError(f"{self._folder}: the blocks hold more than {self._rows} rows")
            block = self._next_block()
