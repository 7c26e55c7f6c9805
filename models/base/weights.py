"""Weights into networks: every tensor has its place, or the difference is named."""

from collections.abc import Mapping

from torch import Tensor, nn

_SHOWN = 6
"""Names of each kind that an error lists; a wrong file has hundreds."""


def load_weights(network: nn.Module, weights: Mapping[str, Tensor], source: str) -> None:
    """Copy weights into a network, strictly.

    Args:
        network: Where they go; floating-point tensors take its dtype (shipped files are float16).
        weights: Tensor of every parameter and buffer by name.
        source: What the error calls them, such as a file name.

    Raises:
        ValueError: If a tensor is missing, left over, of another shape, or not finite.
    """
    expected = network.state_dict()
    shapes = [
        f"{name} {tuple(weights[name].shape)}, expected {tuple(tensor.shape)}"
        for name, tensor in expected.items()
        if name in weights and weights[name].shape != tensor.shape
    ]
    faults = {
        "missing": [name for name in expected if name not in weights],
        "left over": [name for name in weights if name not in expected],
        "of another shape": shapes,
        "with values that are not finite": [
            name for name, tensor in weights.items() if not bool(tensor.isfinite().all())
        ],
    }
    found = [f"{len(names)} {kind} ({_some(names)})" for kind, names in faults.items() if names]
    if found:
        raise ValueError(
            f"{source}: expected the {len(expected)} tensors of {type(network).__name__}, got "
            f"{'; '.join(found)}; is this the file of another network or variant?"
        )
    network.load_state_dict(weights)


def _some(names: list[str]) -> str:
    rest = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f", and {rest} more" if rest > 0 else "")
