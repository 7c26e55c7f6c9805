"""Turn a pickled checkpoint into a safetensors file, in a process of its own.

Run as ``python -m pipeline.importing.pickle_reader FILE OUT``. A pickle is a program; PyTorch's
restricted
unpickler runs only what makes tensors and plain containers. NumPy's scalars are let through as
well, because training loops leave them beside the weights. What cannot be read that way ends in
one line on stderr and exit code 1.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy._core.multiarray import scalar
from torch import Tensor

from pipeline.networks.weights import write_weights

_HOLDERS = ("state_dict", "model_state_dict", "model")
"""Where training loops keep the weights: mmpose, HRNet, DCPose; others; torchvision's."""
_SCALARS: list[Any] = [
    scalar,
    # What the function was called before NumPy 2.
    (scalar, "numpy.core.multiarray.scalar"),
    np.dtype,
    *{type(np.dtype(code)) for code in np.typecodes["AllInteger"] + np.typecodes["Float"] + "?"},
]


def read_pickle(path: Path) -> dict[str, Tensor]:
    """Return the weights of a checkpoint by name, on the CPU.

    Args:
        path: A file of ``torch.save``: tensors by name, or a mapping that holds those under
            ``state_dict``, ``model_state_dict`` or ``model``.

    Raises:
        ValueError: If it holds no such mapping, anything but dense tensors in it, or a tensor
            that claims more values than the file has.
    """
    with torch.serialization.safe_globals(_SCALARS):
        content = torch.load(path, map_location="cpu", weights_only=True)
    tensors = _state_dict(content, path)
    for name, tensor in tensors.items():
        _refuse_odd(name, tensor, path)
    # Clones: an official file may hold one tensor under two names.
    return {str(name): tensor.detach().clone().contiguous() for name, tensor in tensors.items()}


def _state_dict(content: Any, path: Path) -> Mapping[str, Any]:  # noqa: ANN401
    if isinstance(content, Mapping):
        for holder in _HOLDERS:
            held = content.get(holder)
            if isinstance(held, Mapping) and held:
                return held
        if content and all(isinstance(value, Tensor) for value in content.values()):
            return content
    keys = list(content) if isinstance(content, Mapping) else type(content).__name__
    raise ValueError(
        f"{path}: expected tensors by name, by themselves or under one of {list(_HOLDERS)}, got "
        f"{keys!r:.200}; save the network's state_dict() alone"
    )


def _refuse_odd(name: str, tensor: object, path: Path) -> None:
    if not isinstance(tensor, Tensor) or tensor.layout != torch.strided or tensor.is_quantized:
        raise ValueError(
            f"{path}: {name}: expected a dense tensor, got {type(tensor).__name__}; save the "
            "network's state_dict() alone"
        )
    claimed = tensor.numel() * tensor.element_size()
    held = tensor.untyped_storage().nbytes()
    if claimed > held:
        raise ValueError(
            f"{path}: {name}: its shape {tuple(tensor.shape)} claims {claimed} bytes, the file "
            f"holds {held}; a network's weights are stored whole, do not trust this file"
        )


def main() -> None:
    """Read the checkpoint that the first argument names and write the second."""
    source, out = Path(sys.argv[1]), Path(sys.argv[2])
    try:
        write_weights(out, read_pickle(source))
    except Exception as error:  # a hostile or damaged pickle may raise anything
        said = " ".join(str(error).split()) or type(error).__name__
        if not isinstance(error, ValueError):
            said = (
                f"{source}: expected a checkpoint of tensors and plain values, got {said:.300}; "
                "fetch it again, or save the network's state_dict() alone"
            )
        sys.stderr.write(f"{said}\n")
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
