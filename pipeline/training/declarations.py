"""What a network may declare to the training loop by methods of its own; all are optional."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn

Batch = Mapping[str, Tensor]
Group = tuple[float, list[nn.Parameter]]
"""Learning rate in units of ``lr``, and parameters. The gradient of each group is clipped apart."""
Part = tuple[nn.Module, Callable[[Any], Tensor]]
"""A module, and a function that returns a part, ``(B, ...)``, from the module's output."""


@runtime_checkable
class HasStatistics(Protocol):
    """A network with statistics of the train caches in its buffers."""

    def fit_statistics(self, batches: Iterable[Batch]) -> None:
        """Set the statistics from batches of the train caches; called once before training."""


@runtime_checkable
class HasParameterGroups(Protocol):
    """A network whose parameters do not all learn at the same rate."""

    def parameter_groups(self) -> list[Group]:
        """Return groups that contain each parameter once."""


@runtime_checkable
class HasParts(Protocol):
    """A network with parts whose output must differ from clip to clip."""

    def parts(self) -> Mapping[str, Part]:
        """Return the parts by name."""


def groups_of(network: nn.Module) -> list[Group]:
    """Return the parameter groups of a network: one with all parameters unless it declares some."""
    if isinstance(network, HasParameterGroups):
        return network.parameter_groups()
    return [(1.0, list(network.parameters()))]


def parts_of(network: nn.Module) -> Mapping[str, Part]:
    """Return the parts that a network declares."""
    return network.parts() if isinstance(network, HasParts) else {}
