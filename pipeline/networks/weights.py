"""Weights on disk: safetensors only, whole or not at all, the same bytes for the same values."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

REINITIALIZED_ROWS = "reinitialised_rows"
"""Note in the header of weights whose head was drawn anew, on import, for some joints: a word each.

It stands in the file itself, for a stage may read nothing that DVC does not know of.
"""

_READABLE = 0o644
"""Mode of a weights file; safetensors itself makes files that nobody else can read."""


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file by name, on the CPU, with the file's dtypes.

    Raises:
        ValueError: If the file is missing, cut short or no safetensors file.
    """
    if not path.is_file():
        raise ValueError(
            f"{path}: expected weights, found no file; put them there or name others in params.yaml"
        )
    try:
        return dict(load_file(path))
    except SafetensorError as error:
        raise ValueError(
            f"{path}: expected a safetensors file, got {error}; fetch it again, or save the "
            "tensors of another format with safetensors.torch.save_file"
        ) from error


def write_weights(
    path: Path, tensors: Mapping[str, Tensor], notes: Mapping[str, str] | None = None
) -> None:
    """Write tensors as a safetensors file; a reader sees the old file or the new one, whole.

    Args:
        path: File to make or replace; its folder is made.
        tensors: Tensor by name; the dtypes are kept.
        notes: Text by name for the file's header, read back by ``read_metadata``.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # One name per target: two writers of one file are kept apart by the caller's lock.
    partial = path.with_name(f".{path.name}.partial")
    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in sorted(tensors.items())}
    save_file(whole, partial, metadata=None if notes is None else dict(sorted(notes.items())))
    partial.chmod(_READABLE)
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.replace(path)


def read_metadata(path: Path) -> dict[str, str]:
    """Return the text that ``write_weights`` put into the header of a file."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
    notes: dict[str, str] = header.get("__metadata__", {})
    return notes
