"""Params of a head: the arguments of its network's constructor and the caches that it reads."""

from collections.abc import Mapping
from typing import Annotated, NamedTuple

from pydantic import Field

from pipeline.base.params import OUT_OF_KEY, Section

Positive = Annotated[int, Field(ge=1)]
Layers = Annotated[list[Positive], Field(min_length=1)]
Weights = Annotated[str, OUT_OF_KEY]
"""Folder below data/weights whose heads are published as they are; ``none`` = train."""


class Network(Section):
    """Params that a head is built from, by the names of its constructor's arguments."""

    delta: Annotated[int, Field(ge=0)]
    """Neighbors on each side of the key frame that the head reads: T = 2 delta + 1."""


class System(NamedTuple):
    """A trained system, as the params file describes it."""

    name: str
    crops: str
    """Input that its clips are cut for: ``hrnet`` or ``vit``."""
    kinds: tuple[str, ...]
    """Caches that it reads, by the names of its network's inputs."""
    frames: int
    """Frames T per clip that it reads."""
    arguments: Mapping[str, object]
    """Arguments of its network's constructor that params decide."""


def arguments_of(section: Network, kind: type[Network], *left_out: str) -> dict[str, object]:
    """Return the constructor's arguments that a section holds.

    Args:
        section: The section, of a class that adds the params of a training run to ``kind``.
        kind: The class that names the network's params.
        left_out: Params that the network does not have.
    """
    names = [name for name in kind.model_fields if name not in {"delta", *left_out}]
    return {name: getattr(section, name) for name in names}
