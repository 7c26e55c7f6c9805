"""The scratch store: units and checkpoints before they are published.

It is in ``<DVC cache dir>/scratch``, so that ``dvc exp run --temp``, whose workspace is a temporary
copy of the repository, finds the same units.
"""

import fcntl
import hashlib
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from pipeline.core.dvc_files import read_config

_PROBE = ".hardlink-probe"
_LOCKS, _ASSEMBLY, _BUILDS = "locks", "publish", "builds"
_RUNNING = "running"
"""Lock of builds."""
RESERVED = frozenset({_LOCKS, _ASSEMBLY, _BUILDS})
"""Folders of the scratch store that belong to no stage."""


@dataclass(frozen=True, slots=True)
class Scratch:
    """The scratch store of one DVC repository."""

    project: Path
    """Folder with ``.dvc``, ``dvc.yaml`` and ``dvc.lock``."""
    cache: Path
    """DVC's cache dir."""
    link_type: str
    """DVC's ``cache.type``; '' if it is not set."""

    @property
    def folder(self) -> Path:
        """Folder of the scratch store."""
        return self.cache / "scratch"

    @property
    def timings(self) -> Path:
        """Log with one JSON line per computed unit, with clock time and host name."""
        return self.folder / "timings.jsonl"

    @property
    def failures(self) -> Path:
        """Log with one JSON line per failed unit."""
        return self.folder / "failures.jsonl"

    @property
    def assembly(self) -> Path:
        """Folder in which outs are assembled before they are published."""
        return self.folder / _ASSEMBLY

    @property
    def builds(self) -> Path:
        """Folder with the units of the last build of every out."""
        return self.folder / _BUILDS

    def unit_folder(self, stage: str, key: str) -> Path:
        """Return the folder of a unit, which may not exist."""
        return self.folder / stage / key

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Hold the lock ``name``; waits, with a message, while another process holds it.

        The kernel releases the lock of a process that dies.
        """
        path = self.folder / _LOCKS / name
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = _acquire(path)
        try:
            yield
        finally:
            # Removed while held: a waiting process notices it and locks a new file.
            path.unlink(missing_ok=True)
            os.close(descriptor)

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Hold the lock of builds, which any number of builds share.

        Between two units a build holds no other lock, but its units may not be removed. Waits,
        with a message, while ``exclusive`` is held.
        """
        with self._hold_builds(fcntl.LOCK_SH, wait=True):
            yield

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold the lock of builds alone, so that no build starts meanwhile.

        Raises:
            ValueError: If a build is running.
        """
        with self._hold_builds(fcntl.LOCK_EX, wait=False):
            yield

    @contextmanager
    def _hold_builds(self, operation: int, *, wait: bool) -> Iterator[None]:
        path = self.folder / _LOCKS / _RUNNING
        path.parent.mkdir(parents=True, exist_ok=True)
        # The file stays: removing a lock that others share would split it in two.
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            try:
                fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
            except BlockingIOError:
                if not wait:
                    raise ValueError(self._busy(_RUNNING)) from None
                sys.stderr.write(f"waiting for another process that cleans {self.folder}\n")
                fcntl.flock(descriptor, operation)
            yield
        finally:
            os.close(descriptor)

    def held_locks(self) -> list[str]:
        """Return the names of the locks that are held."""
        folder = self.folder / _LOCKS
        return sorted(p.name for p in folder.iterdir() if _is_held(p)) if folder.is_dir() else []

    def check_idle(self) -> None:
        """Check that no stage is running.

        Raises:
            ValueError: If a process holds a lock of units or outs.
        """
        if held := self.held_locks():
            raise ValueError(self._busy(held[0]))

    def _busy(self, lock: str) -> str:
        return (
            f"{self.folder}: a stage is running (lock {lock!r} is held); wait until it has finished"
        )

    def lock_of_out(self, out: Path) -> str:
        """Return the name of the lock for publishing into ``out``."""
        return f"out-{hashlib.sha256(os.fsencode(out.absolute())).hexdigest()[:24]}"

    def check_hardlinks(self, out: Path) -> None:
        """Check that a file can be one inode in scratch, workspace and DVC's cache.

        Args:
            out: A path in the workspace; its parent is created.

        Raises:
            ValueError: If DVC is not configured for hardlinks, or a link cannot be created.
        """
        if self.link_type != "hardlink":
            raise ValueError(
                f"{self.project}/.dvc/config: expected cache.type hardlink and nothing else, got "
                f"{self.link_type or 'DVC default'!r}: every cached byte would be stored twice; "
                "run: dvc config cache.type hardlink"
            )
        out.parent.mkdir(parents=True, exist_ok=True)
        self.folder.mkdir(parents=True, exist_ok=True)
        places = [self.folder / _PROBE, out.parent / _PROBE, self.cache / _PROBE]
        with self.lock("probe"):
            _link_through(places)

    def check_free_space(self, needed: int) -> None:
        """Compare the free space with the bytes to be written.

        Raises:
            ValueError: If the file system of the cache has less space.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self.folder).free
        if needed > free:
            raise ValueError(
                f"{self.folder}: the units to compute need {needed / 1e9:.2f} GB, "
                f"{free / 1e9:.2f} GB are free; free some space (dvc gc --workspace) or move the "
                "workspace and the DVC cache to a larger disk"
            )


def find_scratch(start: Path) -> Scratch:
    """Return the scratch store of the DVC repository that contains ``start``.

    Args:
        start: A path inside the repository, which may not exist.

    Raises:
        ValueError: If no parent contains ``.dvc``, or its config cannot be read.
    """
    place = start.absolute()
    for folder in (place, *place.parents):
        if (folder / ".dvc").is_dir():
            settings = read_config(folder).get("cache", {})
            cache = settings.get("dir", str(folder / ".dvc" / "cache"))
            return Scratch(folder, Path(cache), settings.get("type", ""))
    raise ValueError(f"{start}: not inside a DVC repository; run in a clone, or dvc init first")


def _acquire(path: Path) -> int:
    """Lock the file at ``path`` and return its descriptor; the file is at that path when locked."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.stderr.write(f"waiting for another process that holds {path.name}\n")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        try:
            if os.fstat(descriptor).st_ino == path.stat().st_ino:
                return descriptor
        except FileNotFoundError:
            pass
        os.close(descriptor)


def _is_held(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _link_through(places: list[Path]) -> None:
    _remove_probes(places)
    try:
        places[0].touch()
        for source, target in pairwise(places):
            try:
                target.hardlink_to(source)
            except OSError as error:
                raise ValueError(
                    f"cannot hardlink {source.parent} -> {target.parent} ({error.strerror}); keep "
                    "the workspace and the DVC cache on one writable file system that has "
                    "hardlinks (dvc cache dir PATH moves the cache)"
                ) from error
    finally:
        _remove_probes(places)


def _remove_probes(places: list[Path]) -> None:
    for place in places:
        # A read-only file system rejects this even without a probe. The link reports it better.
        with suppress(OSError):
            place.unlink(missing_ok=True)
