"""Memory-mapped shard files for the reader of a store.

``preadv`` copies the same pages from the page cache and takes about 1.5 times as long
(``benchmarks/store.py``). Reading a mapping beyond the end of a truncated file raises SIGBUS, so
the length of the file is checked before each access. A file that is truncated after this check and
a failing disk still kill the process; training then continues from its last checkpoint.
"""

import mmap
import os
from collections import OrderedDict
from pathlib import Path

import numpy as np

_MAX_OPEN_SHARDS = 128


def open_shard(path: str | Path) -> int:
    """Open a shard for reading. Symbolic links, which may point outside the store, are rejected.

    Raises:
        ValueError: If it cannot be opened.
    """
    try:
        return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise ValueError(f"shard {Path(path).name} cannot be opened ({error.strerror})") from error


class MappedShard:
    """A shard file mapped into memory.

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
        except ValueError as error:  # an empty file cannot be mapped
            self.close()
            raise ValueError(f"{self._name} is truncated") from error
        self._content = np.frombuffer(content, np.uint8)

    def read(self, offset: int, size: int) -> np.ndarray:
        """Return a view of ``size`` bytes at ``offset``.

        Raises:
            ValueError: If the file is shorter.
        """
        # The length of the mapping is not enough: the file may have been truncated since.
        if os.fstat(self._descriptor).st_size < offset + size:
            raise ValueError(f"{self._name} is truncated")
        return self._content[offset : offset + size]

    def advise(self, offset: int, size: int) -> None:
        """Ask the kernel to load bytes, unless they seem to be cached."""
        try:
            os.preadv(self._descriptor, [bytearray(1)], offset + size // 2, os.RWF_NOWAIT)
        except OSError:  # not cached, or the file system cannot tell
            os.posix_fadvise(self._descriptor, offset, size, os.POSIX_FADV_WILLNEED)

    def close(self) -> None:
        """Close the file. The mapping is released with its last view."""
        os.close(self._descriptor)


class MappedShards:
    """Cache of the most recently read shards, at most ``_MAX_OPEN_SHARDS``."""

    def __init__(self) -> None:
        self._shards: OrderedDict[str, MappedShard] = OrderedDict()

    def get(self, path: str) -> MappedShard:
        """Return a mapped shard and open it if necessary.

        Raises:
            ValueError: See ``MappedShard``.
        """
        shard = self._shards.get(path)
        if shard is None:
            if len(self._shards) >= _MAX_OPEN_SHARDS:
                self._shards.popitem(last=False)[1].close()
            shard = self._shards[path] = MappedShard(path)
        self._shards.move_to_end(path)
        return shard

    def close(self) -> None:
        """Close all shards; ``get`` opens them again."""
        while self._shards:
            self._shards.popitem()[1].close()

    def __del__(self) -> None:
        self.close()
