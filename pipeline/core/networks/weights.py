"""Weights files: safetensors, written atomically; equal values give equal bytes."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from pipeline.core.atomic_file import write_file
from pipeline.core.units.key import check_weights_file

REINITIALIZED_ROWS = "reinitialised_rows"
"""Metadata key: names of the joints whose head rows an import initialized randomly, by spaces.

The names are part of the weights file, since a stage may only read files that DVC tracks. The
spelling of the key is part of the file format.
"""


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file by name, on the CPU, in the dtypes of the file.

    Raises:
        ValueError: If the file is missing, not a regular file, truncated or not a safetensors file.
    """
    check_weights_file(path)
    with _naming_damage(path):
        return dict(load_file(path))


@contextmanager
def _naming_damage(path: Path) -> Iterator[None]:
    """Turn an error of safetensors into a ``ValueError`` that names the file."""
    try:
        yield
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
    """Return the metadata of a weights file; empty if it has none.

    Raises:
        ValueError: As in ``read_weights``.
    """
    check_weights_file(path)
    with _naming_damage(path), safe_open(path, framework="pt") as file:
        return dict(file.metadata() or {})
