"""Writer of Zarr v3 shard files, byte-identical to those of zarr-python.

The array of a unit has one chunk per row (a clip) and at most 256 rows or 128 MiB per shard. A
shard contains its rows in order, each followed by its crc32c, then an index of (offset, size) per
row and the crc32c of the index. This is the codec ``sharding_indexed`` with the index at the end
and the inner codecs ``bytes`` and ``crc32c`` (Zarr v3 core and sharding specifications).
zarr-python takes about seven times the CPU time for the same bytes and does not flush them.

Shard files are named ``c.0.0``, not ``c/0/0``; both are the default chunk key encoding, with
different separators. This gives one folder per unit instead of one per axis; every ``dvc status``
walks all folders.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import google_crc32c
import numpy as np

from pipeline.core.atomic_file import AtomicFile, write_file

SHARD_ROWS = 256
SHARD_BYTES = 128 * 2**20
MISSING = 2**64 - 1
"""Offset and size of a missing row in the index."""

CRC_BYTES = 4
DTYPES = ("float16", "float32", "uint8")


def shard_rows(rows: int, row_bytes: int) -> int:
    """Return the number of rows per shard of an array, at least 1."""
    return max(1, min(SHARD_ROWS, SHARD_BYTES // max(row_bytes, 1), rows))


def shard_name(shard: int, dimensions: int) -> str:
    """Return the file name of a shard by its number and the dimensions of the array."""
    return ".".join(["c", str(shard), *["0"] * (dimensions - 1)])


def index_bytes(shard_length: int) -> int:
    """Return the size in bytes of the index of a shard with ``shard_length`` rows."""
    return 16 * shard_length + CRC_BYTES


def crc32c(data: bytes | np.ndarray) -> int:
    """Return the CRC-32C (Castagnoli) of contiguous bytes. google-crc32c takes no memoryview."""
    return int(google_crc32c.value(data))


def encode_json(content: Mapping[str, object]) -> bytes:
    """Return JSON in the layout of zarr-python: indented by two spaces, keys in the given order."""
    return json.dumps(content, indent=2).encode()


def group_metadata(attributes: Mapping[str, object]) -> dict[str, object]:
    """Return the content of ``zarr.json`` of a Zarr v3 group."""
    return {"attributes": dict(attributes), "zarr_format": 3, "node_type": "group"}


def array_metadata(rows: int, row_shape: tuple[int, ...], dtype: str) -> dict[str, object]:
    """Return the content of ``zarr.json`` of an array.

    Other programs read missing rows as NaN, or as 0 for uint8. PoseReel's reader rejects them.

    Args:
        rows: Number of rows.
        row_shape: Shape of a row.
        dtype: One of ``DTYPES``, stored as little-endian.
    """
    row_bytes = int(np.dtype(dtype).itemsize * np.prod(row_shape, dtype=np.int64))
    little: dict[str, object] = {"name": "bytes", "configuration": {"endian": "little"}}
    # zarr-python omits the byte order for elements of one byte.
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
    """Write the array of a unit into an empty or missing folder.

    Each block is written before the next one is requested, so a caller may reuse its buffers.

    Args:
        folder: Folder of the array, ``<out>/<video>/v0``.
        blocks: Arrays ``(n, *row_shape)`` for any n, in the order of the rows.
        rows: Total number of rows of the blocks; 0 writes only the metadata.
        row_shape: Shape of a row.
        dtype: One of ``DTYPES``.

    Raises:
        ValueError: If the dtype is not one of ``DTYPES`` or the blocks do not add up to
            ``(rows, *row_shape)`` of this dtype.
    """
    if dtype not in DTYPES:
        raise ValueError(f"{folder}: expected one of the dtypes {DTYPES}, got {dtype!r}")
    metadata = array_metadata(rows, row_shape, dtype)
    row_bytes = int(np.dtype(dtype).itemsize * np.prod(row_shape, dtype=np.int64))
    length = shard_rows(rows, row_bytes)
    folder.mkdir(parents=True, exist_ok=True)
    stream = _RowStream(folder, blocks, rows, row_shape, np.dtype(dtype))
    for shard in range(-(-rows // length)):
        count = min(length, rows - shard * length)
        path = folder / shard_name(shard, 1 + len(row_shape))
        with AtomicFile(path) as file:
            for part in stream.take(count):
                file.write(_with_checksums(part))
            file.write([_index(count, length, row_bytes)])
    stream.check_end()
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


class _RowStream:
    """Stream of rows from blocks of any length."""

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
                f"{self._folder}: expected blocks of rows {self._row_shape} of {self._dtype}, "
                f"got an array {block.shape} of {block.dtype}"
            )
        return np.ascontiguousarray(block)

    def take(self, count: int) -> Iterable[np.ndarray]:
        """Yield contiguous parts of blocks with ``count`` rows in total."""
        while count:
            if len(self._rest) == 0:
                block = self._next_block()
                if block is None:
                    raise ValueError(
                        f"{self._folder}: expected {self._rows} rows, got blocks with {self._taken}"
                    )
                self._rest = block
                continue
            part, self._rest = self._rest[:count], self._rest[count:]
            count -= len(part)
            self._taken += len(part)
            yield part

    def check_end(self) -> None:
        """Check that no rows are left."""
        block: np.ndarray | None = self._rest
        while block is not None:
            if len(block):
                raise ValueError(
                    f"{self._folder}: expected {self._rows} rows, got blocks with more"
                )
            block = self._next_block()
