"""What a finished unit leaves beside its files: their hashes, and how they looked when written.

A unit's folder in scratch holds ``files/`` and, once all of them are there, ``receipt.json``. No
receipt, no unit. The receipt remembers size, modification time and inode of each file, so that a
later check of thousands of files needs no hashing, and a write into a published file, which is
the same inode, is found.
"""

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.base.atomic_file import write_file

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
    """A unit that is whole."""

    name: str
    files: dict[str, FileRecord]
    """Record of every file by its path below ``files/``, sorted."""

    @property
    def digest(self) -> str:
        """Digest of the content: sha256 over what ``sha256sum`` prints for the sorted files."""
        lines = [f"{record.sha256}  {path}\n" for path, record in sorted(self.files.items())]
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    @property
    def bytes(self) -> int:
        """Size of all files together."""
        return sum(record.bytes for record in self.files.values())


def hash_file(path: Path) -> str:
    """Return the sha256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def seal(folder: Path, name: str) -> Receipt:
    """Hash the files of a unit and write its receipt, whole or not at all.

    Files are not flushed one by one: after a power cut, a file that the disk did not get is
    shorter than its record, and the unit is computed again.

    Args:
        folder: The unit's folder in scratch.
        name: The unit's name.

    Raises:
        ValueError: If something below ``files/`` is no regular file, or is half-written.
    """
    files = {path: _record(folder / FILES / path) for path in _list_files(folder / FILES)}
    receipt = Receipt(name, files)
    write_receipt(folder, receipt)
    return receipt


def write_receipt(folder: Path, receipt: Receipt) -> None:
    """Write a receipt, whole or not at all."""
    content = {
        "name": receipt.name,
        "files": {path: asdict(record) for path, record in receipt.files.items()},
    }
    write_file(folder / RECEIPT, json.dumps(content, indent=1).encode())


def read_receipt(folder: Path) -> Receipt | None:
    """Return the receipt of a unit, or nothing if the unit is not finished."""
    try:
        content: dict[str, Any] = json.loads((folder / RECEIPT).read_bytes())
        files = {path: FileRecord(**record) for path, record in content["files"].items()}
        return Receipt(content["name"], files)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def check(folder: Path, *, deep: bool = False) -> Receipt | None:
    """Return the receipt of a unit whose files are still what it says.

    A file whose size, time and inode are those of the receipt is believed; any other is hashed
    again. If the bytes agree, the receipt is brought up to date.

    Args:
        folder: The unit's folder in scratch.
        deep: Hash every file, whatever it looks like.

    Returns:
        The receipt; nothing if the unit is not finished, or a file is missing, added or changed.
    """
    receipt = read_receipt(folder)
    try:
        if receipt is None or _list_files(folder / FILES) != sorted(receipt.files):
            return None
        looks = {path: _look(folder / FILES / path) for path in receipt.files}
        same = all(
            looks[path] == (record.bytes, record.mtime_ns, record.inode)
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
    """Remember that the unit was used now; what was used lately is worth keeping."""
    os.utime(folder / RECEIPT)


def _look(path: Path) -> tuple[int, int, int]:
    status = path.lstat()
    return status.st_size, status.st_mtime_ns, status.st_ino


def _record(path: Path) -> FileRecord:
    # Looked at first: a write during the hashing then shows as a later time.
    size, mtime_ns, inode = _look(path)
    return FileRecord(hash_file(path), size, mtime_ns, inode)


def _list_files(folder: Path) -> list[str]:
    found = []
    for place, folders, names in os.walk(folder):
        for name in [*names, *folders]:
            path = Path(place, name)
            if path.is_symlink() or name.endswith(".partial"):
                raise ValueError(f"{path}: a unit holds whole, regular files only")
        found += [Path(place, name).relative_to(folder).as_posix() for name in names]
    return sorted(found)
