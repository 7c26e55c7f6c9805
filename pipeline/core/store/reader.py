"""Reader of a store, a Zarr v3 group of PoseReel. Gathers rows into reused buffers.

Opening a store reads every shard index once and rejects incomplete stores: a missing, truncated,
damaged or unexpected file is an error that names the unit, never a fill value. This also holds for
a file that is truncated later, while the store is open.
"""

import json
import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.core.store.mapped_shards import MappedShards, open_shard
from pipeline.core.store.shards import (
    CRC_BYTES,
    DTYPES,
    MISSING,
    array_metadata,
    crc32c,
    index_bytes,
    shard_name,
)

FORMAT = 1
"""Version of the layout. Stores of another version must be written again."""

DIGESTS = "digests.json"
_STAGES = {"crops": "crop"}
"""Stages by the kind of store that they write, if the names differ."""


def group_attributes(kind: str) -> dict[str, object]:
    """Return the attributes of the root group of a store."""
    return {"posereel_format": FORMAT, "kind": kind}


class Store:
    """A store, open for reading. Not thread-safe.

    Args:
        root: Folder of the group, such as ``data/flow/train``.
        kind: Expected kind: ``crops``, ``heatmaps``, ``features``, ``flow`` or ``tokens``.

    Attributes:
        digests: Content digests of all units by name, sorted by name.
        remedy: What to do if a unit is missing or damaged.

    Raises:
        ValueError: If the folder is not a complete store of this kind and format.
    """

    def __init__(self, root: Path, kind: str) -> None:
        self._root = root
        self.remedy = f"write it again: dvc repro -f {_STAGES.get(kind, kind)}"
        self._shards = MappedShards()
        self._check_group(kind)
        self.digests: Mapping[str, str] = self._read_json(root / DIGESTS, "the list of units")
        if kind == "features" and not self.digests:
            self.remedy = "set features.enabled to true in params.yaml, then: dvc repro"
        self._check_folders()
        self._arrays = {name: self._open_array(name) for name in self.digests}

    def __contains__(self, name: str) -> bool:
        return name in self._arrays

    def rows(self, name: str) -> int:
        """Return the number of rows of a unit.

        Raises:
            ValueError: If the unit does not exist.
        """
        return self._array(name).rows

    def row_shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of the rows of a unit.

        Raises:
            ValueError: If the unit does not exist.
        """
        return self._array(name).row_shape

    def dtype(self, name: str) -> "np.dtype[np.generic]":
        """Return the dtype of a unit.

        Raises:
            ValueError: If the unit does not exist.
        """
        return self._array(name).dtype

    def read(
        self,
        name: str,
        indices: Sequence[int] | np.ndarray,
        out: np.ndarray | None = None,
        *,
        check: bool = True,
    ) -> np.ndarray:
        """Read rows of one unit.

        Args:
            name: Name of the unit, ``<video>/v0``.
            indices: Rows in any order; repetitions are allowed.
            out: Contiguous output buffer, ``(len(indices), *row_shape)``; None allocates one.
            check: Whether to verify the crc32c of each row.

        Returns:
            The filled buffer.

        Raises:
            ValueError: If the unit or a row does not exist, ``out`` does not fit, a file is
                truncated or a checksum does not match.
        """
        array = self._array(name)
        if out is None:
            out = np.empty((len(indices), *array.row_shape), array.dtype)
        array.check_request(self._where(name), indices, out)
        self.gather([name] * len(indices), indices, out, check=check)
        return out

    def gather(
        self,
        names: Sequence[str],
        indices: Sequence[int] | np.ndarray,
        out: np.ndarray,
        *,
        check: bool = True,
    ) -> None:
        """Read rows of several units, such as a shuffled batch, in one call.

        Args:
            names: Name of the unit of every row.
            indices: Index of every row in its unit.
            out: Contiguous output buffer, ``(len(indices), *row_shape)``.
            check: Whether to verify the crc32c of each row.

        Raises:
            ValueError: See ``read``.
        """
        rows = np.asarray(indices).tolist()
        target = self._as_bytes(out, len(rows))
        layout, size = (out.shape[1:], out.dtype), target.shape[1]
        for position, (name, row) in enumerate(zip(names, rows, strict=True)):
            array = self._array(name)
            if array.layout != layout or not 0 <= row < array.rows:
                array.check_request(self._where(name), [row], out[position : position + 1])
            path, offset = array.locate(row)
            try:
                stored = self._shards.get(path).read(offset, size + CRC_BYTES)
            except ValueError as error:
                raise self._error(name, f"row {row}: {error}") from error
            copy = target[position]
            copy[:] = stored[:size]
            if check and crc32c(copy) != int.from_bytes(stored[size:].tobytes(), "little"):
                raise self._error(
                    name, f"row {row}: the crc32c in {Path(path).name} does not match"
                )

    def advise(self, name: str, indices: Sequence[int] | np.ndarray) -> None:
        """Ask the kernel to load rows. A prefetch thread does so a few batches ahead.

        Args:
            name: Name of the unit.
            indices: Rows of the unit.

        Raises:
            ValueError: If the unit does not exist.
        """
        array = self._array(name)
        for index in np.asarray(indices).tolist():
            path, offset = array.locate(index)
            self._shards.get(path).advise(offset, array.stride)

    def verify(self, name: str) -> None:
        """Verify all checksums of a unit.

        Raises:
            ValueError: If a checksum does not match or the unit does not exist.
        """
        array = self._array(name)
        row = np.empty((1, *array.row_shape), array.dtype)
        for index in range(array.rows):
            self.read(name, [index], row)

    def close(self) -> None:
        """Close all files. The next read opens them again."""
        self._shards.close()

    def _as_bytes(self, out: np.ndarray, rows: int) -> np.ndarray:
        """Return a view of a buffer as bytes, ``(rows, bytes per row)``."""
        if len(out) != rows or not out.flags.c_contiguous:
            raise ValueError(
                f"{self._root}: expected a contiguous buffer of {rows} rows, "
                f"got {out.shape} with strides {out.strides}"
            )
        values = int(np.prod(out.shape[1:], dtype=np.int64))
        return out.reshape(rows, values).view(np.uint8)

    def _array(self, name: str) -> "_Array":
        try:
            return self._arrays[name]
        except KeyError:
            raise self._error(name, "the store has no such unit") from None

    def _where(self, name: str) -> str:
        return f"{self._root}: unit {name!r}"

    def _error(self, name: str, message: str) -> ValueError:
        return ValueError(f"{self._where(name)}: {message}; {self.remedy}")

    def _read_json(self, path: Path, title: str) -> dict[str, Any]:
        try:
            content = json.loads(path.read_bytes())
        except FileNotFoundError as error:
            raise ValueError(f"{path}: expected {title}, found no file; {self.remedy}") from error
        except (OSError, ValueError) as error:
            raise ValueError(f"{path}: {title} cannot be read ({error}); {self.remedy}") from error
        if not isinstance(content, dict):
            raise ValueError(f"{path}: {title} is not a JSON object; {self.remedy}")
        return content

    def _check_group(self, kind: str) -> None:
        group = self._read_json(self._root / "zarr.json", "the group of a store")
        attributes = group.get("attributes")
        found = attributes if isinstance(attributes, dict) else {}
        for name, expected in group_attributes(kind).items():
            if found.get(name) != expected:
                raise ValueError(
                    f"{self._root}: expected a store with {name} {expected!r}, "
                    f"got {found.get(name)!r}; {self.remedy}"
                )

    def _check_folders(self) -> None:
        """Check that the store has the folders of its units and no others."""
        units: dict[str, set[str]] = {}
        for name in self.digests:
            video, _, variant = name.partition("/")
            if {video, variant} & {"", ".", ".."} or "/" in variant:
                raise self._error(name, "expected a name of the form <video>/v<variant>")
            units.setdefault(video, set()).add(variant)
        found = {entry.name for entry in self._root.iterdir() if entry.is_dir()}
        if unexpected := found - set(units):
            raise ValueError(
                f"{self._root}: {min(unexpected)!r} is not in the list of units; {self.remedy}"
            )
        for video, variants in units.items():
            folder = self._root / video
            inside = {entry.name for entry in folder.iterdir()} if folder.is_dir() else set()
            if missing := variants - inside:
                raise self._error(f"{video}/{min(missing)}", "is missing")
            if unexpected := inside - variants - {"zarr.json"}:
                raise self._error(f"{video}/{min(unexpected)}", "is not in the list of units")

    def _open_array(self, name: str) -> "_Array":
        folder = self._root / name
        metadata = self._read_json(folder / "zarr.json", f"the array of unit {name!r}")
        try:
            array = _Array(folder, metadata)
        except ValueError as error:
            raise self._error(name, str(error)) from error
        return array


class _Array:
    """Positions of the rows of a unit in its shards."""

    def __init__(self, folder: Path, metadata: Mapping[str, Any]) -> None:
        shape, dtype = metadata.get("shape"), metadata.get("data_type")
        valid = isinstance(shape, list) and all(type(n) is int and n >= 0 for n in shape)
        if not valid or not shape or dtype not in DTYPES:
            raise ValueError("zarr.json does not describe an array of PoseReel")
        self.rows: int = shape[0]
        self.row_shape: tuple[int, ...] = tuple(shape[1:])
        self.dtype: np.dtype[np.generic] = np.dtype(dtype)
        expected = array_metadata(self.rows, self.row_shape, dtype)
        if dict(metadata) != expected:
            keys = [key for key in expected if metadata.get(key) != expected[key]]
            raise ValueError(
                f"zarr.json differs from the layout of PoseReel in {keys or 'its keys'}"
            )
        self.layout = (self.row_shape, self.dtype)
        values = int(np.prod(self.row_shape, dtype=np.int64))
        self.stride = values * self.dtype.itemsize + CRC_BYTES
        self._length: int = metadata["chunk_grid"]["configuration"]["chunk_shape"][0]
        paths = self._find_shards(folder)
        for shard, path in enumerate(paths):
            self._check_shard(path, min(self._length, self.rows - shard * self._length))
        # Strings: looking up an open file by a Path takes longer than reading a small row.
        self._paths = [str(path) for path in paths]

    def _find_shards(self, folder: Path) -> list[Path]:
        found = {entry.name for entry in os.scandir(folder)} - {"zarr.json"}
        count = -(-self.rows // self._length)
        # Do not list all shard names of a damaged shape, which may have 10^12 rows.
        names = [shard_name(i, 1 + len(self.row_shape)) for i in range(min(count, len(found) + 1))]
        if missing := [name for name in names if name not in found]:
            raise ValueError(f"shard {missing[0]} is missing")
        if unexpected := found - set(names):
            raise ValueError(f"unexpected file {min(unexpected)}")
        return [folder / name for name in names]

    def _check_shard(self, path: Path, count: int) -> None:
        """Check that a shard contains exactly ``count`` rows in order."""
        tail = index_bytes(self._length)
        descriptor = open_shard(path)
        try:
            status = os.fstat(descriptor)
            expected = count * self.stride + tail
            if not stat.S_ISREG(status.st_mode) or status.st_size != expected:
                raise ValueError(
                    f"shard {path.name}: expected {expected} bytes, got {status.st_size}"
                )
            content = os.pread(descriptor, tail, status.st_size - tail)
        finally:
            os.close(descriptor)
        body, crc = content[:-CRC_BYTES], content[-CRC_BYTES:]
        if crc32c(body) != int.from_bytes(crc, "little"):
            raise ValueError(f"the index of shard {path.name} is damaged")
        index = np.frombuffer(body, "<u8").reshape(-1, 2)
        expected_index = np.full_like(index, MISSING)
        expected_index[:count, 0] = np.arange(count) * self.stride
        expected_index[:count, 1] = self.stride
        if not np.array_equal(index, expected_index):
            raise ValueError(f"shard {path.name} does not contain its {count} rows in order")

    def locate(self, index: int) -> tuple[str, int]:
        """Return the file and the byte offset of a row."""
        shard, row = divmod(index, self._length)
        return self._paths[shard], row * self.stride

    def check_request(
        self, where: str, indices: Sequence[int] | np.ndarray, out: np.ndarray
    ) -> None:
        """Check that the rows exist and that ``out`` fits them."""
        if len(indices) and not (min(indices) >= 0 and max(indices) < self.rows):
            raise ValueError(
                f"{where}: expected rows within 0..{self.rows - 1}, got "
                f"{min(indices)}..{max(indices)}"
            )
        shape = (len(indices), *self.row_shape)
        if out.shape != shape or out.dtype != self.dtype or not out.flags.c_contiguous:
            raise ValueError(
                f"{where}: expected a contiguous buffer {shape} of {self.dtype}, "
                f"got {out.shape} of {out.dtype}"
            )
