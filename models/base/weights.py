"""Strict loading of weights into networks."""

from collections.abc import Mapping

from torch import Tensor, nn

_MAX_NAMES = 6
"""Maximum number of names per kind in an error; a wrong file has hundreds."""


def load_weights(network: nn.Module, weights: Mapping[str, Tensor], source: str) -> None:
    """Copy weights into a network and check that both have the same tensors.

    Args:
        network: The network; it keeps its floating-point dtype (shipped files are float16).
        weights: Tensors of all parameters and buffers by name.
        source: Name of the weights in error messages, such as a file name.

    Raises:
        ValueError: If a tensor is missing, unexpected, of another shape, an integer or complex one
            in place of a floating-point one, or not finite in the dtype of the network.
    """
    expected = network.state_dict()
    shapes = [
        f"{name} {tuple(weights[name].shape)}, expected {tuple(tensor.shape)}"
        for name, tensor in expected.items()
        if name in weights and weights[name].shape != tensor.shape
    ]
    problems = {
        "missing": [name for name in expected if name not in weights],
        "unexpected": [name for name in weights if name not in expected],
        "of another shape": shapes,
        "of another kind": [
            f"{name} {weights[name].dtype}, expected {tensor.dtype}"
            for name, tensor in expected.items()
            if name in weights and not _same_kind(weights[name], tensor)
        ],
        "with non-finite values": [
            name
            for name, tensor in weights.items()
            if not _is_finite(tensor, expected.get(name, tensor))
        ],
    }
    found = [f"{len(names)} {kind} ({_first(names)})" for kind, names in problems.items() if names]
    if found:
        raise ValueError(
            f"{source}: expected the {len(expected)} tensors of {type(network).__name__}, got "
            f"{'; '.join(found)}; is this the file of another network or variant?"
        )
    network.load_state_dict(weights)


def _same_kind(tensor: Tensor, expected: Tensor) -> bool:
    """Return whether a tensor can be cast to the dtype of another without losing its meaning."""
    if expected.is_floating_point():
        return tensor.is_floating_point()
    return tensor.is_complex() == expected.is_complex()


def _is_finite(tensor: Tensor, expected: Tensor) -> bool:
    # A number can be finite in float64 and infinite in float32.
    both_float = tensor.is_floating_point() and expected.is_floating_point()
    return bool((tensor.to(expected.dtype) if both_float else tensor).isfinite().all())


def _first(names: list[str]) -> str:
    rest = len(names) - _MAX_NAMES
    return ", ".join(names[:_MAX_NAMES]) + (f", and {rest} more" if rest > 0 else "")
