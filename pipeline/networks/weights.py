"""Weights files: safetensors, written atomically; equal values give equal bytes."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

REINITIALIZED_ROWS = "reinitialised_rows"
"""Metadata key: names of the joints whose head rows an import initialized randomly, by spaces.

The names are part of the weights file, since a stage may only read files that DVC tracks. The
spelling of the key is part of the file format.
"""

_READABLE = 0o644
"""Mode of a weights file. Files written by safetensors are readable by their owner only."""


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file by name, on the CPU, in the dtypes of the file.

    Raises:
        ValueError: If the file is missing, truncated or not a safetensors file.
    """
    if not path.is_file():
        raise ValueError(
            f"{path}: expected weights, found no file; copy them there or set another path in "
            "params.yaml"
        )
    try:
        return dict(load_file(path))
    except SafetensorError as error:
        raise ValueError(
            f"{path}: expected a safetensors file, got {error}; download it again, or convert "
            "another format with safetensors.torch.save_file"
        ) from error


def write_weights(
    path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None
) -> None:
    """Write tensors to a safetensors file, atomically.

    Args:
        path: File to create or replace. Its folder is created.
        tensors: Tensors by name; they keep their dtypes.
        metadata: Texts by name for the header of the file; see ``read_metadata``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # One name per target: two writers of one file are kept apart by the caller's lock.
    partial = path.with_name(f".{path.name}.partial")
    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in sorted(tensors.items())}
    save_file(whole, partial, metadata=None if metadata is None else dict(sorted(metadata.items())))
    partial.chmod(_READABLE)
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.replace(path)


def read_metadata(path: Path) -> dict[str, str]:
    """Return the metadata of a weights file; empty if it has none."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
    metadata: dict[str, str] = header.get("__metadata__", {})
    return metadata
