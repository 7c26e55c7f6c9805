"""Files that appear under their name only when they were written and flushed whole."""

import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType


class WholeFile:
    """A file under construction: ``<name>.partial`` until the ``with`` block ends normally.

    An exception removes the ``.partial`` file; a killed process leaves it behind.

    Args:
        path: Where the finished file goes, replacing what is there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._partial = path.with_name(path.name + ".partial")
        self._descriptor = -1

    def __enter__(self) -> "WholeFile":
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        self._descriptor = os.open(self._partial, flags, 0o644)
        return self

    def write(self, pieces: Sequence[bytes | memoryview]) -> None:
        """Append all pieces: one vectored write, more only where the kernel takes fewer."""
        limit = os.sysconf("SC_IOV_MAX")
        for start in range(0, len(pieces), limit):
            self._write_vector([memoryview(piece) for piece in pieces[start : start + limit]])

    def _write_vector(self, views: list[memoryview]) -> None:
        while views:
            written = os.writev(self._descriptor, views)
            # A write may stop anywhere: drop what is done and go on inside the piece it cut.
            done = 0
            while done < len(views) and written >= views[done].nbytes:
                written -= views[done].nbytes
                done += 1
            views = views[done:]
            if views:
                views[0] = views[0][written:]

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                os.fsync(self._descriptor)
        finally:
            os.close(self._descriptor)
            if kind is not None:
                self._partial.unlink(missing_ok=True)
        if kind is None:
            self._partial.replace(self._path)
            _flush_folder(self._path.parent)


def write_file(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    with WholeFile(path) as file:
        file.write([content])


def _flush_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
