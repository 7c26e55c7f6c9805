"""Convert a pickled checkpoint to safetensors in a separate process.

Run as ``python -m pipeline.importing.pickle_reader FILE OUT``. Unpickling can run arbitrary code.
PyTorch's restricted unpickler only creates tensors and plain containers. NumPy scalars and arrays
are allowed as well, because training scripts store them beside the weights. If a file cannot be
read this way, the process writes one line to stderr and exits with code 1.
"""

import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy._core.multiarray import _reconstruct, scalar
from torch import Tensor

from pipeline.core.networks.weights import write_weights

_STATE_DICT_KEYS = ("state_dict", "model_state_dict", "model")
"""Keys of the state dict in checkpoints: mmpose, HRNet and DCPose; others; torchvision."""


class _History:
    """Stands for mmengine's record of a training loss; its values are not used."""


_ALLOWED: list[Any] = [
    scalar,
    _reconstruct,
    # Names of both functions before NumPy 2.
    (scalar, "numpy.core.multiarray.scalar"),
    (_reconstruct, "numpy.core.multiarray._reconstruct"),
    np.ndarray,
    np.dtype,
    *{type(np.dtype(code)) for code in np.typecodes["AllInteger"] + np.typecodes["Float"] + "?"},
    (_History, "mmengine.logging.history_buffer.HistoryBuffer"),
]
"""Functions and classes that the unpickler may call; none of them runs code of the file.

Training under mmpose 1.x saves NumPy arrays (``parse_pose_metainfo``) and loss histories
(``Runner.save_checkpoint`` of mmengine); published files keep the arrays.
"""


def read_pickle(path: Path) -> dict[str, Tensor]:
    """Return the state dict of a checkpoint, on the CPU.

    Args:
        path: A file written by ``torch.save``: a state dict, or a mapping with a state dict under
            ``state_dict``, ``model_state_dict`` or ``model``.

    Raises:
        ValueError: If there is no state dict, it contains other values than dense tensors, or a
            tensor has more elements than its storage.
    """
    with torch.serialization.safe_globals(_ALLOWED):
        content = torch.load(path, map_location="cpu", weights_only=True)
    tensors = _state_dict(content, path)
    for name, tensor in tensors.items():
        _check_tensor(name, tensor, path)
    # Tensors are cloned, because an official file may share one tensor between two names.
    return {str(name): tensor.detach().clone().contiguous() for name, tensor in tensors.items()}


def _state_dict(content: Any, path: Path) -> Mapping[str, Any]:  # noqa: ANN401
    if isinstance(content, Mapping):
        for key in _STATE_DICT_KEYS:
            value = content.get(key)
            if isinstance(value, Mapping) and value:
                return value
        if content and all(isinstance(value, Tensor) for value in content.values()):
            return content
    keys = list(content) if isinstance(content, Mapping) else type(content).__name__
    raise ValueError(
        f"{path}: expected a state dict, or one under a key of {list(_STATE_DICT_KEYS)}, got "
        f"{keys!r:.200}; save only the network's state_dict()"
    )


def _check_tensor(name: str, tensor: object, path: Path) -> None:
    if not isinstance(tensor, Tensor) or tensor.layout != torch.strided or tensor.is_quantized:
        raise ValueError(
            f"{path}: {name}: expected a dense tensor, got {type(tensor).__name__}; save only "
            "the network's state_dict()"
        )
    required = tensor.numel() * tensor.element_size()
    stored = tensor.untyped_storage().nbytes()
    if required > stored:
        raise ValueError(
            f"{path}: {name}: expected {required} bytes for the shape {tuple(tensor.shape)}, got "
            f"{stored}; do not trust this file"
        )


def describe_failure(error: Exception) -> str:
    """Return in a few words why PyTorch's restricted unpickler refused a file.

    PyTorch's own message is not passed on: it advises to load the file without restrictions.
    """
    message = str(error)
    if found := re.search(r"GLOBAL (\S+)", message):
        return (
            f"an object of {found[1]}, which is neither a tensor nor a plain value and could run "
            "code"
        )
    if "TorchScript" in message:
        return "a TorchScript archive, which contains code"
    if "zip archive" in message:
        return "a truncated or damaged zip archive"
    return f"another or a damaged file ({type(error).__name__})"


def main() -> None:
    """Convert the checkpoint of the first argument to the file of the second argument."""
    source, out = Path(sys.argv[1]), Path(sys.argv[2])
    try:
        write_weights(out, read_pickle(source))
    except ValueError as error:
        message = str(error)
    except Exception as error:  # a malicious or damaged pickle may raise any exception
        message = (
            f"{source}: expected a checkpoint of tensors and plain values, got "
            f"{describe_failure(error)}; download it again, or save only the network's state_dict()"
        )
    else:
        return
    sys.stderr.write(f"{' '.join(message.split())}\n")
    raise SystemExit(1)


if __name__ == "__main__":
    main()
