"""Receipts of finished units: hash, size, modification time and inode of each file.

A unit's folder in scratch contains ``files/`` and, when the unit is complete, ``receipt.json``.
Size, time and inode make it possible to check thousands of files without hashing, and to detect a
write into a published file, which is the same inode.
"""

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.core.atomic_file import write_file

FILES = "files"
RECEIPT = "receipt.json"


@dataclass(frozen=True, slots=True)
class FileRecord:
    """One file of a unit."""

    sha256: str
    bytes: int
    mtime_ns: int
    inode: int


@dataclass(frozen=True, slots=True)
class Receipt:
    """Receipt of a complete unit."""

    name: str
    files: dict[str, FileRecord]
    """Record of every file by its path below ``files/``, sorted."""

    @property
    def digest(self) -> str:
        """Digest of the content: sha256 of the output of ``sha256sum`` for the sorted files."""
        lines = [f"{record.sha256}  {path}\n" for path, record in sorted(self.files.items())]
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    @property
    def bytes(self) -> int:
        """Total size of the files."""
        return sum(record.bytes for record in self.files.values())


def hash_file(path: Path) -> str:
    """Return the sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def seal(folder: Path, name: str) -> Receipt:
    """Hash the files of a unit and write its receipt, atomically.

    Files are not synced one by one: after a power failure, a file that was not stored is shorter
    than its record, and the unit is computed again.

    Args:
        folder: The unit's folder in scratch.
        name: The unit's name.

    Raises:
        ValueError: If ``files/`` contains a link or an incomplete file.
    """
    files = {path: _record(folder / FILES / path) for path in _list_files(folder / FILES)}
    receipt = Receipt(name, files)
    write_receipt(folder, receipt)
    return receipt


def write_receipt(folder: Path, receipt: Receipt) -> None:
    """Write a receipt, atomically."""
    content = {
        "name": receipt.name,
        "files": {path: asdict(record) for path, record in receipt.files.items()},
    }
    write_file(folder / RECEIPT, json.dumps(content, indent=1).encode())


def read_receipt(folder: Path) -> Receipt | None:
    """Return the receipt of a unit; None if the unit is not complete."""
    try:
        content: dict[str, Any] = json.loads((folder / RECEIPT).read_bytes())
        files = {path: FileRecord(**record) for path, record in content["files"].items()}
        return Receipt(content["name"], files)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def check(folder: Path, *, deep: bool = False) -> Receipt | None:
    """Return the receipt of a unit if its files agree with it.

    A file with the recorded size, time and inode is trusted; any other file is hashed again. If
    the bytes agree, the receipt is updated.

    Args:
        folder: The unit's folder in scratch.
        deep: Hash every file.

    Returns:
        The receipt; None if the unit is not complete, or a file is missing, added or changed.
    """
    receipt = read_receipt(folder)
    try:
        if receipt is None or _list_files(folder / FILES) != sorted(receipt.files):
            return None
        stats = {path: _stat(folder / FILES / path) for path in receipt.files}
        same = all(
            stats[path] == (record.bytes, record.mtime_ns, record.inode)
            for path, record in receipt.files.items()
        )
        if same and not deep:
            return receipt
        fresh = {path: _record(folder / FILES / path) for path in receipt.files}
    except (OSError, ValueError):
        return None
    found = Receipt(receipt.name, fresh)
    if found.digest != receipt.digest:
        return None
    if not same:
        write_receipt(folder, found)
    return found


def mark_used(folder: Path) -> None:
    """Set the time of last use, which ``posereel gc`` reads."""
    os.utime(folder / RECEIPT)


def _stat(path: Path) -> tuple[int, int, int]:
    status = path.lstat()
    return status.st_size, status.st_mtime_ns, status.st_ino


def _record(path: Path) -> FileRecord:
    # Read before the hash: a write during hashing then gives a later modification time.
    size, mtime_ns, inode = _stat(path)
    return FileRecord(hash_file(path), size, mtime_ns, inode)


def _list_files(folder: Path) -> list[str]:
    found = []
    for place, folders, names in os.walk(folder):
        for name in [*names, *folders]:
            path = Path(place, name)
            if path.is_symlink() or name.endswith(".partial"):
                raise ValueError(f"{path}: a unit may contain only complete, regular files")
        found += [Path(place, name).relative_to(folder).as_posix() for name in names]
    return sorted(found)
