"""Atomic writes of files: a reader sees the old content or the new content, never a part."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

MODE = 0o644
"""Mode of new files, before the umask."""


class AtomicFile:
    """Write to a temporary file, fsync, rename.

    The temporary file is ``<name>.partial``, so two writers of one path need a lock. It is renamed
    at the end of the ``with`` block. An exception removes it; a killed process leaves it behind.

    Args:
        path: Path of the finished file, which replaces an existing one.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._partial = path.with_name(path.name + ".partial")
        self._descriptor = -1

    def __enter__(self) -> "AtomicFile":
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        self._descriptor = os.open(self._partial, flags, MODE)
        return self

    def write(self, pieces: Sequence[bytes | memoryview]) -> None:
        """Append pieces in as few vectored writes as the kernel allows."""
        limit = os.sysconf("SC_IOV_MAX")
        for start in range(0, len(pieces), limit):
            self._write_vector([memoryview(piece) for piece in pieces[start : start + limit]])

    def _write_vector(self, views: list[memoryview]) -> None:
        while views:
            with _naming(self._path):
                written = os.writev(self._descriptor, views)
            # A write may be short: drop the finished pieces and continue inside the next one.
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
        stored = False
        try:
            if kind is None:
                with _naming(self._path):
                    os.fsync(self._descriptor)
                stored = True
        finally:
            os.close(self._descriptor)
            if not stored:
                self._partial.unlink(missing_ok=True)
        if stored:
            self._partial.replace(self._path)
            _sync_folder(self._path.parent)


def write_file(path: Path, content: bytes) -> None:
    """Write a file atomically.

    Args:
        path: File to make or replace; its folder must exist.
        content: All of its bytes.
    """
    with AtomicFile(path) as file:
        file.write([content])


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Add the path to an error of an operation on a descriptor, such as that of a full disk."""
    try:
        yield
    except OSError as error:
        error.filename = str(path)
        raise


def _sync_folder(folder: Path) -> None:
    """Make a rename in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
