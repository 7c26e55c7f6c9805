"""A system with the values of params.yaml, for commands that build its head."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from models.head_parts.building import (
    CacheHead,
    build_head,
    build_network,
    build_objective,
    constructor_params,
)
from models.head_parts.lookup import find_system
from pipeline.core.caches.crop_size import read_crop_size
from pipeline.core.skeleton import JOINTS
from pipeline.core.system_params import SystemParams, read_arguments, read_system

Shapes = Mapping[str, tuple[int, ...]]
"""Shape of a clip's row in every cache, by kind."""


@dataclass(frozen=True, slots=True)
class ConfiguredHead:
    """A system, its section of params.yaml and the size of its crops."""

    system: SystemParams
    arguments: Mapping[str, Any]
    """Arguments of network and loss, checked by the constructors' types."""
    crop_size: tuple[int, int]
    """Height and width of the crops, pixels."""

    def network(self, shapes: Shapes) -> nn.Module:
        """Return the network with fresh weights."""
        return build_network(self.system.name, self.arguments, shapes=shapes, **self._sizes())

    def objective(self, shapes: Shapes) -> nn.Module:
        """Return the network with fresh weights in the module that computes its training loss."""
        return build_objective(self.system.name, self.arguments, shapes=shapes, **self._sizes())

    def with_weights(self, weights: Mapping[str, Tensor], source: str, shapes: Shapes) -> CacheHead:
        """Return the head with weights, in evaluation mode.

        Args:
            weights: Tensor of every parameter and buffer by name.
            source: What errors call the weights.
            shapes: Shape of a clip's row in every cache that it reads.
        """
        sizes = self._sizes()
        name = self.system.name
        return build_head(weights, source, shapes, system=name, arguments=self.arguments, **sizes)

    def _sizes(self) -> dict[str, Any]:
        return {
            "joints": len(JOINTS),
            "frames": self.system.frames,
            "crop_size": self.crop_size,
        }


def read_head(params: Path, name: str) -> ConfiguredHead:
    """Read the section of a system, strictly.

    Args:
        params: The params file.
        name: Name of the system.

    Raises:
        ValueError: If there is no such system, or its section is malformed.
    """
    declared = find_system(name)
    system = read_system(params, name, declared)
    arguments = read_arguments(params, name, declared, constructor_params(name))
    return ConfiguredHead(system, arguments, read_crop_size(params, system.crops))
