"""Weights files: safetensors, written atomically; equal values give equal bytes."""

import json
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from pipeline.core.atomic_file import write_file

REINITIALIZED_ROWS = "reinitialised_rows"
"""Metadata key: names of the joints whose head rows an import initialized randomly, by spaces.

The names are part of the weights file, since a stage may only read files that DVC tracks. The
spelling of the key is part of the file format.
"""


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
    stored = {name: tensor.detach().cpu().contiguous() for name, tensor in sorted(tensors.items())}
    write_file(path, save(stored, None if metadata is None else dict(sorted(metadata.items()))))


def read_metadata(path: Path) -> dict[str, str]:
    """Return the metadata of a weights file; empty if it has none."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
    metadata: dict[str, str] = header.get("__metadata__", {})
    return metadata
