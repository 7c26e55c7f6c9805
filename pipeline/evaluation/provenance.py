"""Provenance of scores: digests of labels and weights, and params, without times or host names."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def digest_files(paths: Sequence[Path], root: Path) -> str:
    """Return one digest of the contents and relative names of many files.

    Args:
        paths: The files.
        root: Folder that the names are relative to. Its location does not affect the digest.

    Returns:
        SHA-256 of the sorted lines ``<SHA-256 of the file>  <relative path>``, the output format
        of ``sha256sum``.
    """
    lines = sorted(f"{_sha256(path)}  {path.relative_to(root).as_posix()}\n" for path in paths)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def label_version(annotations: Path) -> dict[str, Any]:
    """Return the values that identify a release of the labels.

    The validation set of PoseTrack18 has 74 files in version 0.2 and 170 files in version 0.45.
    Predictions for one version have half the AP on the other.

    Args:
        annotations: Folder with ``train/*.json`` and ``val/*.json``.

    Returns:
        ``train_files`` and ``val_files``, the numbers of files, and ``sha256`` of all files.
    """
    files = {split: sorted((annotations / split).glob("*.json")) for split in ("train", "val")}
    digest = digest_files([file for split in files.values() for file in split], annotations)
    return {f"{split}_files": len(found) for split, found in files.items()} | {"sha256": digest}


def weight_digests(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every weights file in a folder, by name."""
    return {file.name: _sha256(file) for file in sorted(folder.glob("*.safetensors"))}


def lookup(values: Mapping[str, Any], key: str, path: Path) -> Any:  # noqa: ANN401
    """Return the value of a param by its dotted key.

    Args:
        values: Content of the params file.
        key: The dotted key, for example ``crop.mirror``.
        path: The params file, for the message.

    Raises:
        ValueError: If there is no such param.
    """
    found: Any = values
    for part in key.split("."):
        if not isinstance(found, Mapping) or part not in found:
            raise ValueError(
                f"{path}: expected the key {key}, which the provenance reports; add it"
            )
        found = found[part]
    return found


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
