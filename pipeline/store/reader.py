"""Reader of a store: one Zarr v3 group of PoseReel, gathered row by row into reused buffers.

Opening a store reads every shard index once and refuses a store that is not whole: a missing,
short, damaged or foreign file is an error that names the unit, never a fill value. A file that is
cut short later, while training runs, is one too.
"""

import json
import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.store.mapped_shards import MappedShards, open_shard
from pipeline.store.shards import (
    CRC_BYTES,
    DTYPES,
    MISSING,
    array_metadata,
    crc32c,
    index_bytes,
    shard_name,
)

FORMAT = 1
"""Version of the layout; a change of it makes every store be written again."""

DIGESTS = "digests.json"
_STAGES = {"crops": "crop"}
"""Stage that writes a kind of store, where the two differ in name."""


def group_attributes(kind: str) -> dict[str, object]:
    """Return the attributes of a store's root group."""
    return {"posereel_format": FORMAT, "kind": kind}


class Store:
    """A store, opened for reading by one thread at a time.

    Args:
        root: Folder of the group, ``data/flow/train``.
        kind: What it must hold: ``crops``, ``heatmaps``, ``features``, ``flow`` or ``tokens``.

    Attributes:
        digests: Content digest of every unit, in the order of the names.

    Raises:
        ValueError: If the folder is no store of this kind and format, or is not whole.
    """

    def __init__(self, root: Path, kind: str) -> None:
        self._root = root
        self._cure = f"write it again: dvc repro -f {_STAGES.get(kind, kind)}"
        self._shards = MappedShards()
        self._check_group(kind)
        self.digests: Mapping[str, str] = self._read_json(root / DIGESTS, "its list of units")
        self._refuse_foreign()
        self._arrays = {name: self._open_array(name) for name in self.digests}

    def __contains__(self, name: str) -> bool:
        return name in self._arrays

    def rows(self, name: str) -> int:
        """Return the number of rows of a unit.

        Raises:
            ValueError: If the store has no such unit.
        """
        return self._array(name).rows

    def row_shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of a unit's rows.

        Raises:
            ValueError: If the store has no such unit.
        """
        return self._array(name).row_shape

    def dtype(self, name: str) -> "np.dtype[np.generic]":
        """Return the dtype of a unit.

        Raises:
            ValueError: If the store has no such unit.
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
        """Gather rows of one unit.

        Args:
            name: The unit, ``<video>/v0``.
            indices: Rows to read, in any order, repeats allowed.
            out: Where they go, ``(len(indices), *row_shape)``, contiguous; a new array if absent.
            check: Whether each row's crc32c is compared with its bytes.

        Returns:
            ``out``, filled.

        Raises:
            ValueError: If the unit or a row is not there, ``out`` does not fit, a file ends early
                or a checksum disagrees.
        """
        array = self._array(name)
        if out is None:
            out = np.empty((len(indices), *array.row_shape), array.dtype)
        array.refuse_misfit(self._where(name), indices, out)
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
        """Gather rows of any units: a shuffled batch in one call.

        Args:
            names: Unit of every row.
            indices: Row within its unit.
            out: Where they go, ``(len(indices), *row_shape)``, contiguous.
            check: Whether each row's crc32c is compared with its bytes.

        Raises:
            ValueError: As ``read``.
        """
        rows = np.asarray(indices).tolist()
        target = self._as_bytes(out, len(rows))
        layout, size = (out.shape[1:], out.dtype), target.shape[1]
        for place, (name, row) in enumerate(zip(names, rows, strict=True)):
            array = self._array(name)
            if array.layout != layout or not 0 <= row < array.rows:
                array.refuse_misfit(self._where(name), [row], out[place : place + 1])
            path, offset = array.locate(row)
            try:
                stored = self._shards.get(path).read(offset, size + CRC_BYTES)
            except ValueError as error:
                raise self._fault(name, f"row {row}: {error}") from error
            copy = target[place]
            copy[:] = stored[:size]
            if check and crc32c(copy) != int.from_bytes(stored[size:].tobytes(), "little"):
                raise self._fault(name, f"row {row}: crc32c of {Path(path).name} disagrees")

    def advise(self, name: str, indices: Sequence[int] | np.ndarray) -> None:
        """Ask the system to load rows soon: what a prefetch thread says a few batches ahead.

        Args:
            name: The unit.
            indices: Rows, each within the unit.

        Raises:
            ValueError: If the store has no such unit.
        """
        array = self._array(name)
        for index in np.asarray(indices).tolist():
            path, offset = array.locate(index)
            self._shards.get(path).advise(offset, array.stride)

    def verify(self, name: str) -> None:
        """Compare every checksum of a unit.

        Raises:
            ValueError: If one disagrees, or the store has no such unit.
        """
        array = self._array(name)
        row = np.empty((1, *array.row_shape), array.dtype)
        for index in range(array.rows):
            self.read(name, [index], row)

    def close(self) -> None:
        """Close the files; the next read opens them again."""
        self._shards.close()

    def _as_bytes(self, out: np.ndarray, rows: int) -> np.ndarray:
        """Return a buffer of so many rows as bytes, ``(rows, bytes of a row)``, without a copy."""
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
            raise self._fault(name, "is not in this store") from None

    def _where(self, name: str) -> str:
        return f"{self._root}: unit {name!r}"

    def _fault(self, name: str, what: str) -> ValueError:
        return ValueError(f"{self._where(name)}: {what}; {self._cure}")

    def _read_json(self, path: Path, what: str) -> dict[str, Any]:
        try:
            content = json.loads(path.read_bytes())
        except (OSError, ValueError) as error:
            raise ValueError(f"{path}: {what} cannot be read ({error}); {self._cure}") from error
        if not isinstance(content, dict):
            raise ValueError(f"{path}: {what} is no JSON object; {self._cure}")
        return content

    def _check_group(self, kind: str) -> None:
        group = self._read_json(self._root / "zarr.json", "the group of a store")
        attributes = group.get("attributes")
        found = attributes if isinstance(attributes, dict) else {}
        for name, expected in group_attributes(kind).items():
            if found.get(name) != expected:
                raise ValueError(
                    f"{self._root}: expected a store with {name} {expected!r}, "
                    f"got {found.get(name)!r}; {self._cure}"
                )

    def _refuse_foreign(self) -> None:
        """Check that the folders are those of the units, and that each video is a group."""
        units: dict[str, set[str]] = {}
        for name in self.digests:
            video, _, variant = name.partition("/")
            if {video, variant} & {"", ".", ".."} or "/" in variant:
                raise self._fault(name, "is no name of the form <video>/v<variant>")
            units.setdefault(video, set()).add(variant)
        found = {entry.name for entry in self._root.iterdir() if entry.is_dir()}
        if foreign := found - set(units):
            raise ValueError(f"{self._root}: {min(foreign)!r} is in no list of units; {self._cure}")
        for video, variants in units.items():
            folder = self._root / video
            inside = {entry.name for entry in folder.iterdir()} if folder.is_dir() else set()
            if missing := variants - inside:
                raise self._fault(f"{video}/{min(missing)}", "is missing")
            if foreign := inside - variants - {"zarr.json"}:
                raise self._fault(f"{video}/{min(foreign)}", "is in no list of units")

    def _open_array(self, name: str) -> "_Array":
        folder = self._root / name
        metadata = self._read_json(folder / "zarr.json", f"unit {name!r}: its array")
        try:
            array = _Array(folder, metadata)
        except ValueError as error:
            raise self._fault(name, str(error)) from error
        return array


class _Array:
    """Where the rows of one unit lie."""

    def __init__(self, folder: Path, metadata: Mapping[str, Any]) -> None:
        shape, dtype = metadata.get("shape"), metadata.get("data_type")
        whole = isinstance(shape, list) and all(type(n) is int and n >= 0 for n in shape)
        if not whole or not shape or dtype not in DTYPES:
            raise ValueError("its zarr.json is not the metadata of an array of PoseReel")
        self.rows: int = shape[0]
        self.row_shape: tuple[int, ...] = tuple(shape[1:])
        self.dtype: np.dtype[np.generic] = np.dtype(dtype)
        expected = array_metadata(self.rows, self.row_shape, dtype)
        if dict(metadata) != expected:
            keys = [key for key in expected if metadata.get(key) != expected[key]]
            raise ValueError(f"its zarr.json differs from PoseReel's layout in {keys or 'keys'}")
        self.layout = (self.row_shape, self.dtype)
        values = int(np.prod(self.row_shape, dtype=np.int64))
        self.stride = values * self.dtype.itemsize + CRC_BYTES
        self._length: int = metadata["chunk_grid"]["configuration"]["chunk_shape"][0]
        paths = self._find_shards(folder)
        for shard, path in enumerate(paths):
            self._check_shard(path, min(self._length, self.rows - shard * self._length))
        # Strings: looking up an open file by a Path costs more than reading a small row.
        self._paths = [str(path) for path in paths]

    def _find_shards(self, folder: Path) -> list[Path]:
        found = {entry.name for entry in os.scandir(folder)} - {"zarr.json"}
        count = -(-self.rows // self._length)
        # Never list the names of shards that a damaged shape (of 10^12 rows, say) asks for.
        names = [shard_name(i, 1 + len(self.row_shape)) for i in range(min(count, len(found) + 1))]
        if missing := [name for name in names if name not in found]:
            raise ValueError(f"shard {missing[0]} is missing")
        if foreign := found - set(names):
            raise ValueError(f"{min(foreign)} does not belong here")
        return [folder / name for name in names]

    def _check_shard(self, path: Path, count: int) -> None:
        """Check that a shard holds exactly ``count`` rows, one after the other."""
        tail = index_bytes(self._length)
        descriptor = open_shard(path)
        try:
            status = os.fstat(descriptor)
            expected = count * self.stride + tail
            if not stat.S_ISREG(status.st_mode) or status.st_size != expected:
                raise ValueError(
                    f"shard {path.name} has {status.st_size} bytes instead of {expected}"
                )
            content = os.pread(descriptor, tail, status.st_size - tail)
        finally:
            os.close(descriptor)
        body, crc = content[:-CRC_BYTES], content[-CRC_BYTES:]
        if crc32c(body) != int.from_bytes(crc, "little"):
            raise ValueError(f"the index of shard {path.name} is damaged")
        index = np.frombuffer(body, "<u8").reshape(-1, 2)
        wanted = np.full_like(index, MISSING)
        wanted[:count, 0] = np.arange(count) * self.stride
        wanted[:count, 1] = self.stride
        if not np.array_equal(index, wanted):
            raise ValueError(f"shard {path.name} does not hold its {count} rows in order")

    def locate(self, index: int) -> tuple[str, int]:
        """Return the file and the offset in bytes of a row."""
        shard, row = divmod(index, self._length)
        return self._paths[shard], row * self.stride

    def refuse_misfit(
        self, where: str, indices: Sequence[int] | np.ndarray, out: np.ndarray
    ) -> None:
        """Check that the rows exist and that ``out`` can take them."""
        if len(indices) and not (min(indices) >= 0 and max(indices) < self.rows):
            raise ValueError(
                f"{where} has rows 0..{self.rows - 1}, asked for {min(indices)}..{max(indices)}"
            )
        shape = (len(indices), *self.row_shape)
        if out.shape != shape or out.dtype != self.dtype or not out.flags.c_contiguous:
            raise ValueError(
                f"{where}: expected a contiguous buffer {shape} of {self.dtype}, "
                f"got {out.shape} of {out.dtype}"
            )
