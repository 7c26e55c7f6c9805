"""The manifest of a data set's frames: SHA-256, size and path of every image file.

Each line is ``<sha256> <bytes> <path relative to data.root>``. Lines are sorted by path. DVC tracks
this text file instead of the images, which stay where they are.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from pipeline.core.atomic_file import write_file
from pipeline.core.posetrack.annotations import check_file_names
from pipeline.core.regular_file import read_regular_file

_LINE = re.compile(r"([0-9a-f]{64}) (0|[1-9][0-9]*) (.+)")
_READERS = 4
"""Number of files hashed in parallel, which hides the latency of network disks."""


class FrameFile(NamedTuple):
    """Entry of one file in the manifest."""

    sha256: str
    bytes: int


def write_manifest(path: Path, root: Path, files: Iterable[str]) -> None:
    """Write the manifest of files on disk atomically.

    Args:
        path: Path of the manifest.
        root: Folder that the paths are relative to.
        files: Paths relative to ``root``, in any order.

    Raises:
        ValueError: If a path is outside ``root``, occurs twice, contains a line break, or is not a
            file.
    """
    names = sorted(files)
    check_file_names(path, names)
    for name in names:
        if len(name.splitlines()) != 1:
            raise ValueError(f"{path}: {name!r} contains a line break; rename that file")
    for name, following in pairwise(names):
        if name == following:
            raise ValueError(f"{path}: expected every frame once, got {name!r} twice; remove one")
    with ThreadPoolExecutor(_READERS) as readers:
        described = readers.map(lambda name: _describe(root / name), names)
        entries = dict(zip(names, described, strict=True))
    write_entries(path, entries)


def write_entries(path: Path, entries: Mapping[str, FrameFile]) -> None:
    """Write a manifest from entries atomically.

    Args:
        path: Path of the manifest.
        entries: Entry of every file, keyed by its path relative to data.root.
    """
    lines = [f"{file.sha256} {file.bytes} {name}\n" for name, file in sorted(entries.items())]
    write_file(path, "".join(lines).encode())


def _describe(file: Path) -> FrameFile:
    data = read_regular_file(file, "an image file", "restore it")
    return FrameFile(hashlib.sha256(data).hexdigest(), len(data))


def read_manifest(path: Path) -> dict[str, FrameFile]:
    """Read a manifest.

    Args:
        path: Path of the manifest.

    Returns:
        Entry of every file, keyed and sorted by path relative to data.root.

    Raises:
        ValueError: If the file is missing or not UTF-8, a line is malformed, or the paths are not
            sorted, not unique or outside the data set's folder.
    """
    cure = "write it again: posereel use-preset"
    data = read_regular_file(path, "the manifest of the frames", cure)
    try:
        lines = data.decode("utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: expected UTF-8 text, got {error.reason}; {cure}") from error
    if lines.pop():
        raise ValueError(f"{path}: the last line is truncated; {cure}")
    entries: dict[str, FrameFile] = {}
    previous = ""
    for number, line in enumerate(lines, start=1):
        match = _LINE.fullmatch(line)
        if match is None:
            raise ValueError(
                f"{path}: line {number}: expected `<sha256> <bytes> <path>`, got {line!r:.90}; "
                f"{cure}"
            )
        digest, count, name = match.groups()
        if name <= previous:
            raise ValueError(
                f"{path}: line {number}: expected unique paths in sorted order, got {name!r} "
                f"after {previous!r}; {cure}"
            )
        previous = name
        entries[name] = FrameFile(digest, int(count))
    check_file_names(path, list(entries))
    return entries
