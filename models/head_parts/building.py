"""Build the head of a system from params and from the shapes of the caches that it reads."""

import inspect
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from models.base.weights import load_weights
from models.head_parts.heatmap_loss import HeatmapObjective
from models.head_parts.lookup import find_class, find_system
from models.head_parts.token_grid import grid_of

CACHE_ARGUMENTS = frozenset({"joints", "frames", "grid", "embed_dim", "feature_channels"})
"""Arguments of constructors that the caches determine: K, T, (rows, columns) of the tokens, and the
channels of a token and of the backbone features. All others are params."""


class CacheHead(nn.Module):
    """Run a head on a batch of caches by name and return heatmaps.

    Args:
        head: A head; the arguments of its ``forward`` have the names of the caches.
    """

    def __init__(self, *, head: nn.Module) -> None:
        super().__init__()
        self.head = head

    def forward(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Return the heatmaps ``(B, K, h, w)`` of a batch, each cache ``(B, ...)`` by its kind."""
        out = self.head(**batch)
        heatmaps: Tensor = out if isinstance(out, Tensor) else out.heatmaps
        return heatmaps


def constructor_params(system: str) -> dict[str, Any]:
    """Return the params of a system and their types, from the signatures of its classes.

    Args:
        system: Name of the system.

    Returns:
        Annotation of every argument of network and objective that params.yaml decides, by name.
    """
    classes = [_network(system), _objective(system)]
    return {
        name: argument.annotation
        for each in reversed(classes)
        for name, argument in _arguments(each).items()
        if name not in CACHE_ARGUMENTS | {"head"}
    }


def build_network(
    system: str,
    arguments: Mapping[str, Any],
    *,
    joints: int,
    frames: int,
    shapes: Mapping[str, tuple[int, ...]],
    crop_size: tuple[int, int],
) -> nn.Module:
    """Build the network of a system, with fresh weights.

    Args:
        system: Name of the system.
        arguments: Params of the system; those of its objective are ignored.
        joints: Number of joints K.
        frames: Frames T per clip.
        shapes: Shape of a clip's row in every cache that it reads, by kind.
        crop_size: Height and width of the crops, pixels.

    Raises:
        ValueError: If the system is unknown or the arguments do not fit together.
    """
    network = _network(system)
    decided: dict[str, Any] = {"joints": joints, "frames": frames}
    if "tokens" in shapes:
        _, tokens, embed_dim = shapes["tokens"]
        decided |= {"grid": grid_of(tokens, crop_size), "embed_dim": embed_dim}
    if "features" in shapes:
        decided["feature_channels"] = shapes["features"][1]
    built: nn.Module = network(**_chosen(network, {**arguments, **decided}))
    return built


def build_objective(
    system: str,
    arguments: Mapping[str, Any],
    *,
    joints: int,
    frames: int,
    shapes: Mapping[str, tuple[int, ...]],
    crop_size: tuple[int, int],
) -> nn.Module:
    """Build the network of a system inside the module that computes its training loss.

    Args:
        system: Name of the system.
        arguments: Params of the system.
        joints: Number of joints K.
        frames: Frames T per clip.
        shapes: Shape of a clip's row in every cache that it reads, by kind.
        crop_size: Height and width of the crops, pixels.

    Returns:
        A module that maps a batch to the terms of the loss; its attribute ``head`` is the network.

    Raises:
        ValueError: If the system is unknown or the arguments do not fit together.
    """
    head = build_network(
        system, arguments, joints=joints, frames=frames, shapes=shapes, crop_size=crop_size
    )
    objective = _objective(system)
    built: nn.Module = objective(**_chosen(objective, {**arguments, "head": head}))
    return built


def build_head(
    weights: Mapping[str, Tensor],
    source: str,
    shapes: Mapping[str, tuple[int, ...]],
    *,
    system: str,
    arguments: Mapping[str, Any],
    joints: int,
    frames: int,
    crop_size: tuple[int, int],
) -> CacheHead:
    """Build a system with its weights, in evaluation mode.

    Args:
        weights: Tensor of every parameter and buffer by name.
        source: Name of the weights, for messages.
        shapes: Shape of a clip's row in every cache that it reads, by kind.
        system: Name of the system.
        arguments: Params of the system; those of its objective are ignored.
        joints: Number of joints K.
        frames: Frames T per clip.
        crop_size: Height and width of the crops, pixels.

    Raises:
        ValueError: If the system is unknown or the weights do not fit.
    """
    head = build_network(
        system, arguments, joints=joints, frames=frames, shapes=shapes, crop_size=crop_size
    )
    load_weights(head, weights, source)
    return CacheHead(head=head).eval()


def _network(system: str) -> type[nn.Module]:
    network: type[nn.Module] = find_class(system, "network", find_system(system).network)
    return network


def _objective(system: str) -> type[nn.Module]:
    name = find_system(system).objective
    if name is None:
        return HeatmapObjective
    objective: type[nn.Module] = find_class(system, "objective", name)
    return objective


def _chosen(constructor: type[nn.Module], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that a constructor has an argument for."""
    return {name: values[name] for name in _arguments(constructor) if name in values}


def _arguments(constructor: type[nn.Module]) -> dict[str, inspect.Parameter]:
    """Return the keyword-only arguments of a constructor, with evaluated annotations."""
    arguments = inspect.signature(constructor, eval_str=True).parameters.values()
    return {each.name: each for each in arguments if each.kind is each.KEYWORD_ONLY}
