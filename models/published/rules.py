"""Renaming rules that convert the tensors of a published file into those of a network here.

Both directions are strict. Every tensor of the file must match a rule, which copies, splits or
skips it (this module). Every tensor of the network must receive a value
(``models.base.weights.load_weights``).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

_MAX_NAMES = 4
"""Number of names that an error lists."""
BATCH_COUNTER = ".num_batches_tracked"
"""Suffix of batch normalization's counter of training steps. No forward pass reads it."""


class Rule(NamedTuple):
    """Where the tensors whose names match a pattern go."""

    pattern: str
    """Regular expression that matches the whole name in the file."""
    targets: tuple[str, ...]
    """Names in the network, with ``\\1`` and so on for the groups of the pattern. Several targets
    split the tensor into equal parts along its first dimension; an empty tuple skips it."""
    description: str
    """What the tensors are or, if they are skipped, why."""


class ConversionStep(NamedTuple):
    """One row of the table that an import prints: what one rule did."""

    description: str
    action: str
    """``copied``, ``split``, ``merged``, ``skipped``, ``added``, ``modified`` or ``cast``."""
    tensors: int
    """Number of tensors."""
    example: str
    """One name in the file and its name in the network."""


class NamingScheme(NamedTuple):
    """How a code base names the tensors of a network."""

    title: str
    signature: tuple[str, ...]
    """Names that identify the scheme: no other scheme has all of them."""
    rules: tuple[Rule, ...]


class ConvertedWeights(NamedTuple):
    """The tensors of a file under the names of a network."""

    naming: str
    """Title of the naming scheme of the file."""
    weights: dict[str, Tensor]
    table: tuple[ConversionStep, ...]
    layer_norm_epsilon: float | None = None
    """What the LayerNorms of the published network add to the variance; None if it has none."""


def strip_wrapper(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors without the prefix ``module.`` that DataParallel adds to all names."""
    if all(name.startswith("module.") for name in tensors):
        return {name.removeprefix("module."): tensor for name, tensor in tensors.items()}
    return dict(tensors)


def find_scheme(names: Iterable[str], schemes: Sequence[NamingScheme], source: str) -> NamingScheme:
    """Return the naming scheme of a file.

    Args:
        names: Names of the tensors in the file.
        schemes: Known schemes of the network.
        source: Name of the file in error messages.

    Raises:
        ValueError: If the file matches no scheme or several schemes.
    """
    known = set(names)
    if any(name.startswith("preact.") for name in known):
        raise ValueError(
            f"{source}: DSTA is not supported: it regresses coordinates from pooled features of a "
            "backbone that was trained with it, so its file contains neither a heatmap network "
            "nor the published backbone; import the backbone's own file"
        )
    found = [scheme for scheme in schemes if known.issuperset(scheme.signature)]
    if len(found) != 1:
        expected = ", ".join(f"{scheme.title} ({scheme.signature[0]})" for scheme in schemes)
        got = [scheme.title for scheme in found] or first_names(sorted(known))
        raise ValueError(
            f"{source}: expected the tensor names of one of {expected}; got {got}; is this the "
            "file of another network? --as selects the network"
        )
    return found[0]


def apply_rules(
    tensors: Mapping[str, Tensor], scheme: NamingScheme, source: str
) -> ConvertedWeights:
    """Return the tensors under the names of the network. The first matching rule applies.

    Args:
        tensors: Tensors by their names in the file.
        scheme: Naming scheme of the file.
        source: Name of the file in error messages.

    Raises:
        ValueError: If a name matches no rule, two tensors have the same target, or a tensor cannot
            be split into equal parts.
    """
    weights: dict[str, Tensor] = {}
    counts: dict[Rule, int] = {}
    examples: dict[Rule, str] = {}
    unknown = []
    for name, tensor in tensors.items():
        rule = next((rule for rule in scheme.rules if re.fullmatch(rule.pattern, name)), None)
        if rule is None:
            unknown.append(name)
            continue
        targets = [re.sub(rule.pattern, target, name) for target in rule.targets]
        for target, part in zip(targets, _split(tensor, len(targets), name, source), strict=True):
            if target in weights:
                raise ValueError(
                    f"{source}: expected one tensor for {target}, got a second one, {name}; "
                    "remove one of them"
                )
            weights[target] = part
        counts[rule] = counts.get(rule, 0) + 1
        examples.setdefault(rule, f"{name} -> {', '.join(targets) or '-'}")
    if unknown:
        raise ValueError(
            f"{source}: expected only tensor names of {scheme.title}, got {len(unknown)} that "
            f"match no rule: {first_names(unknown)}; is this the file of another network or "
            "variant?"
        )
    table = [
        ConversionStep(rule.description, _action(rule), count, example)
        for (rule, count), example in zip(counts.items(), examples.values(), strict=True)
    ]
    return ConvertedWeights(scheme.title, weights, tuple(table))


def _action(rule: Rule) -> str:
    return "split" if len(rule.targets) > 1 else "copied" if rule.targets else "skipped"


def _split(tensor: Tensor, parts: int, name: str, source: str) -> Sequence[Tensor]:
    if parts < 2:
        return [tensor] * parts
    if tensor.ndim == 0 or len(tensor) % parts:
        raise ValueError(
            f"{source}: {name}: expected a first dimension of {parts} equal parts, got shape "
            f"{tuple(tensor.shape)}; the file is damaged or belongs to another network"
        )
    return tensor.chunk(parts)


def add_batch_counters(converted: ConvertedWeights, expected: Iterable[str]) -> ConvertedWeights:
    """Return the conversion with a zero for every missing batch counter.

    Files of PyTorch before 0.4.1 and files of frozen batch normalization have no counters.

    Args:
        converted: The conversion.
        expected: Names of all tensors of the network.
    """
    missing = [n for n in expected if n.endswith(BATCH_COUNTER) and n not in converted.weights]
    if not missing:
        return converted
    weights = converted.weights | {name: torch.zeros((), dtype=torch.int64) for name in missing}
    step = ConversionStep("batch counters, unused", "added", len(missing), missing[0])
    return converted._replace(weights=weights, table=(*converted.table, step))


def first_names(names: Sequence[str]) -> str:
    """Return the first few names and the number of the remaining ones."""
    rest = len(names) - _MAX_NAMES
    return ", ".join(names[:_MAX_NAMES]) + (f", and {rest} more" if rest > 0 else "")
