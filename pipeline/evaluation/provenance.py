"""What made a number: labels, boxes, params and weights, as plain values without clock or host."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def digest_files(paths: Sequence[Path], root: Path) -> str:
    """Return one digest of many files: their contents and their names below a folder.

    Args:
        paths: The files.
        root: Folder that the names are relative to; where it lies does not matter.

    Returns:
        sha256 over the sorted lines ``<sha256 of the file>  <relative path>``, as ``sha256sum``
        prints them.
    """
    lines = sorted(f"{_sha256(path)}  {path.relative_to(root).as_posix()}\n" for path in paths)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def label_version(annotations: Path) -> dict[str, Any]:
    """Return what tells one release of the labels from another.

    PoseTrack18's validation set is 74 files in version 0.2 and 170 in version 0.45: predictions
    made for one have half the AP on the other.

    Args:
        annotations: Folder with ``train/*.json`` and ``val/*.json``.

    Returns:
        ``train_files``, ``val_files`` and ``sha256`` of them all.
    """
    files = {split: sorted((annotations / split).glob("*.json")) for split in ("train", "val")}
    digest = digest_files([file for split in files.values() for file in split], annotations)
    return {f"{split}_files": len(found) for split, found in files.items()} | {"sha256": digest}


def weight_digests(folder: Path) -> dict[str, str]:
    """Return sha256 of every weights file in a folder, by name."""
    return {file.name: _sha256(file) for file in sorted(folder.glob("*.safetensors"))}


def lookup(values: Mapping[str, Any], key: str, path: Path) -> Any:  # noqa: ANN401
    """Return the param behind a dotted key.

    Args:
        values: The whole params file.
        key: For example ``crop.mirror``.
        path: The file, for the message.

    Raises:
        ValueError: If there is no such param.
    """
    found: Any = values
    for part in key.split("."):
        if not isinstance(found, Mapping) or part not in found:
            raise ValueError(f"{path}: expected the key {key}, which provenance states; add it")
        found = found[part]
    return found


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
