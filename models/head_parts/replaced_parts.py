"""Parts of a trained head and what replaces them, to measure what each part does.

A system has parts if its folder has a module ``parts.py``. The function ``declare_parts`` in it
returns the parts of a head. ``run_replaced`` then runs the head with one part replaced, without
retraining: inputs are exchanged before the forward pass, outputs of modules by forward hooks. The
head itself remains as it is.

Shapes: B clips, T frames with the key frame in the middle.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

Batch = Mapping[str, Tensor]
"""Caches by kind, ``(B, ...)`` each."""
Replace = Callable[[Tensor, Tensor], Tensor]
"""Returns the replacement of a value, given the value and that of another clip."""
Read = Callable[[Tensor], Tensor]
"""Returns what is measured, ``(B, ...)``, of a value."""


def zero(own: Tensor, _other: Tensor) -> Tensor:
    """Replace a value by 0."""
    return torch.zeros_like(own)


def one(own: Tensor, _other: Tensor) -> Tensor:
    """Replace a value by 1."""
    return torch.ones_like(own)


def sigmoid_one(own: Tensor, _other: Tensor) -> Tensor:
    """Replace the argument of a sigmoid, so that the result is exactly 1."""
    return torch.full_like(own, torch.inf)


def doubled(own: Tensor, _other: Tensor) -> Tensor:
    """Replace a value by twice the value."""
    return 2 * own


def key_frames(own: Tensor, _other: Tensor) -> Tensor:
    """Replace the values of all frames, ``(B, T, ...)``, by those of the key frame."""
    middle = own.shape[1] // 2
    return own[:, middle : middle + 1].expand_as(own)


def another_clips(_own: Tensor, other: Tensor) -> Tensor:
    """Replace a value by that of another clip."""
    return other


def unchanged(value: Tensor) -> Tensor:
    """Return a value as it is."""
    return value


def supporting(value: Tensor) -> Tensor:
    """Return the values of all frames but the key frame, ``(B, T - 1, ...)``."""
    middle = value.shape[1] // 2
    return torch.cat([value[:, :middle], value[:, middle + 1 :]], dim=1)


@dataclass(frozen=True, slots=True)
class Input:
    """A cache that the head reads, as the place of a part."""

    cache: str
    """Its kind."""
    replace: Replace
    read: Read | None = unchanged
    """What is measured of the value; None: nothing."""


@dataclass(frozen=True, slots=True)
class Output:
    """The output of a module that runs once per forward pass, as the place of a part."""

    module: nn.Module
    replace: Replace
    item: int | None = None
    """Position of the value in the output; None: the output is the value."""
    read: Read | None = unchanged
    """What is measured of the value; None: nothing."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a head: its name, and the places where it is replaced."""

    name: str
    """The part and its replacement, such as ``flow := 0``."""
    places: tuple[Input | Output, ...]

    @property
    def needs_another_clip(self) -> bool:
        """Whether the replacement depends on another clip."""
        return any(place.replace is another_clips for place in self.places)

    @property
    def outputs(self) -> tuple[Output, ...]:
        """The places that are outputs of modules."""
        return tuple(place for place in self.places if isinstance(place, Output))


DeclareParts = Callable[[nn.Module], Sequence[Part]]


def run_replaced(head: nn.Module, part: Part, batch: Batch, other: Batch) -> Tensor:
    """Return the heatmaps of a head with one part replaced.

    Args:
        head: A ``CacheHead`` in evaluation mode.
        part: The part, of the head inside.
        batch: The clips.
        other: Another clip for each of them.

    Returns:
        ``(B, K, h, w)``.
    """
    others: dict[Output, Tensor] = {}
    if part.needs_another_clip and part.outputs:
        with _record(part.outputs) as others:
            head(other)
    inputs = dict(batch)
    hooks = []
    for place in part.places:
        if isinstance(place, Input):
            inputs[place.cache] = place.replace(batch[place.cache], other[place.cache])
        else:
            hooks.append((place.module, partial(_replace, place, others.get(place))))
    with _hooked(hooks):
        heatmaps: Tensor = head(inputs)
    return heatmaps


def run_measured(
    head: nn.Module, parts: Sequence[Part], batch: Batch
) -> tuple[Tensor, dict[str, Tensor]]:
    """Run a head as it is and measure its parts.

    Args:
        head: A ``CacheHead`` in evaluation mode.
        parts: The parts, of the head inside.
        batch: The clips.

    Returns:
        Heatmaps ``(B, K, h, w)``, and what every part puts out, ``(B, n)`` by name; parts of which
        nothing is measured are left out.
    """
    with _record([place for part in parts for place in part.outputs]) as values:
        heatmaps = head(batch)
    measured = {}
    for part in parts:
        found = [
            place.read(batch[place.cache] if isinstance(place, Input) else values[place])
            for place in part.places
            if place.read is not None
        ]
        if found:
            measured[part.name] = torch.cat([value.flatten(1) for value in found], dim=1)
    return heatmaps, measured


@contextmanager
def _record(places: Sequence[Output]) -> Iterator[dict[Output, Tensor]]:
    """Record the value at each place."""
    values: dict[Output, Tensor] = {}

    def keep(place: Output, _module: nn.Module, _arguments: object, output: Any) -> None:  # noqa: ANN401  any module's
        values[place] = output if place.item is None else output[place.item]

    with _hooked([(place.module, partial(keep, place)) for place in places]):
        yield values


def _replace(
    place: Output,
    other: Tensor | None,
    _module: nn.Module,
    _arguments: object,
    output: Any,  # noqa: ANN401  any module's
) -> Any:  # noqa: ANN401
    """Return the output of a module with the value at a place replaced."""
    if place.item is None:
        return place.replace(output, output if other is None else other)
    own = output[place.item]
    items = list(output)
    items[place.item] = place.replace(own, own if other is None else other)
    return tuple(items)


@contextmanager
def _hooked(hooks: Sequence[tuple[nn.Module, Callable[..., Any]]]) -> Iterator[None]:
    """Register forward hooks and remove them at the end."""
    handles = [module.register_forward_hook(hook) for module, hook in hooks]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
