"""Shard files, open and mapped into memory: how the reader of a store gets at their bytes.

``preadv`` copies the same pages out of the system's cache one by one, which costs half as much
again (``benchmarks/store.py``). But a map of a file that somebody cuts short is a SIGBUS beyond its
end, so the length is asked for before each access. A file that is cut at that very moment, and a
disk that fails, still end the process; training then goes on from its last checkpoint.
"""

import mmap
import os
from collections import OrderedDict
from pathlib import Path

import numpy as np

_OPEN_SHARDS = 128


def open_shard(path: str | Path) -> int:
    """Open a shard for reading, never through a symbolic link that may lead out of the store.

    Raises:
        ValueError: If it cannot be opened.
    """
    try:
        return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise ValueError(f"shard {Path(path).name} cannot be opened ({error.strerror})") from error


class MappedShard:
    """A shard, open and mapped.

    Args:
        path: The file.

    Raises:
        ValueError: If it cannot be opened or is empty.
    """

    def __init__(self, path: str) -> None:
        self._name = Path(path).name
        self._descriptor = open_shard(path)
        try:
            content = mmap.mmap(self._descriptor, 0, prot=mmap.PROT_READ)
        except ValueError as error:  # an empty file has no map
            self.close()
            raise ValueError(f"{self._name} ends early") from error
        self._content = np.frombuffer(content, np.uint8)

    def read(self, offset: int, size: int) -> np.ndarray:
        """Return a view of bytes.

        Raises:
            ValueError: If the file ends before them.
        """
        # Asks the system, not the map: beyond the end of a file that was cut, a map is a SIGBUS.
        if os.fstat(self._descriptor).st_size < offset + size:
            raise ValueError(f"{self._name} ends early")
        return self._content[offset : offset + size]

    def advise(self, offset: int, size: int) -> None:
        """Ask the system to load bytes, unless the middle one is there: asking costs more."""
        try:
            os.preadv(self._descriptor, [bytearray(1)], offset + size // 2, os.RWF_NOWAIT)
        except OSError:  # it is not, or this file system cannot tell
            os.posix_fadvise(self._descriptor, offset, size, os.POSIX_FADV_WILLNEED)

    def close(self) -> None:
        """Close the file; the map goes with the last view of it."""
        os.close(self._descriptor)


class MappedShards:
    """The shards that were read last, at most ``_OPEN_SHARDS``."""

    def __init__(self) -> None:
        self._shards: OrderedDict[str, MappedShard] = OrderedDict()

    def get(self, path: str) -> MappedShard:
        """Return a shard, mapped now if it is not.

        Raises:
            ValueError: As ``MappedShard``.
        """
        shard = self._shards.get(path)
        if shard is None:
            if len(self._shards) >= _OPEN_SHARDS:
                self._shards.popitem(last=False)[1].close()
            shard = self._shards[path] = MappedShard(path)
        self._shards.move_to_end(path)
        return shard

    def close(self) -> None:
        """Close all; ``get`` opens them again."""
        while self._shards:
            self._shards.popitem()[1].close()

    def __del__(self) -> None:
        self.close()
