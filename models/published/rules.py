"""Rules that turn the tensors of a published file into those of a network here.

Both directions are strict. Every tensor of the file falls under a rule, which takes it over, cuts
it or leaves it out and says why (this module); every tensor of the network gets its value
(``models.base.weights.load_weights``).
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

_SHOWN = 4
"""Names that an error lists."""
COUNTER = ".num_batches_tracked"
"""Ending of batch normalization's counter of training steps; no forward pass reads it."""


class Rule(NamedTuple):
    """What becomes of the tensors of some names."""

    pattern: str
    """Regular expression for the whole name in the file."""
    becomes: tuple[str, ...]
    """Names in the network, with ``\\1`` and so on for the pattern's groups. Several names cut the
    tensor into equal parts along its first dimension; none leaves it out."""
    what: str
    """What these tensors are; for those that are left out, why."""


class Line(NamedTuple):
    """A line of the table that an import shows: what one rule did."""

    what: str
    done: str
    """``taken``, ``cut``, ``left out``, ``made up`` or ``changed``."""
    tensors: int
    example: str
    """One of the names in the file, and what it became."""


class Naming(NamedTuple):
    """How a code base calls the tensors of a network."""

    title: str
    marks: tuple[str, ...]
    """Names that no other naming has all of."""
    rules: tuple[Rule, ...]


class Converted(NamedTuple):
    """The tensors of a file under the names of a network."""

    naming: str
    """Title of the naming that the file was recognized by."""
    weights: dict[str, Tensor]
    table: tuple[Line, ...]


def without_wrapper(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors without the prefix ``module.`` that DataParallel puts before every name."""
    if all(name.startswith("module.") for name in tensors):
        return {name.removeprefix("module."): tensor for name, tensor in tensors.items()}
    return dict(tensors)


def recognize(names: Iterable[str], namings: Sequence[Naming], source: str) -> Naming:
    """Return the naming that a file follows.

    Args:
        names: Names of its tensors.
        namings: Those that are known for the network.
        source: What the error calls the file.

    Raises:
        ValueError: If the file follows none of them, or several.
    """
    known = set(names)
    found = [naming for naming in namings if known.issuperset(naming.marks)]
    if len(found) != 1:
        expected = ", ".join(f"{naming.title} ({naming.marks[0]})" for naming in namings)
        came = [naming.title for naming in found] or some(sorted(known))
        raise ValueError(
            f"{source}: expected the names of one of these: {expected}; got {came}; is this the "
            "file of another network? --as says which one it shall be"
        )
    return found[0]


def apply_rules(tensors: Mapping[str, Tensor], naming: Naming, source: str) -> Converted:
    """Return the tensors under the network's names; the first rule that fits a name decides.

    Args:
        tensors: Tensor by its name in the file.
        naming: The naming that the file follows.
        source: What errors call the file.

    Raises:
        ValueError: If a name falls under no rule, two tensors would get one name, or a tensor that
            a rule cuts has no equal parts.
    """
    weights: dict[str, Tensor] = {}
    counts: dict[Rule, int] = {}
    examples: dict[Rule, str] = {}
    unknown = []
    for name, tensor in tensors.items():
        rule = next((rule for rule in naming.rules if re.fullmatch(rule.pattern, name)), None)
        if rule is None:
            unknown.append(name)
            continue
        targets = [re.sub(rule.pattern, target, name) for target in rule.becomes]
        for target, part in zip(targets, _cut(tensor, len(targets), name, source), strict=True):
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
            f"{source}: expected the names of {naming.title} alone, got {len(unknown)} that no "
            f"rule knows: {some(unknown)}; is this the file of another network or variant?"
        )
    done = ("left out", "taken")
    table = [
        Line(rule.what, "cut" if len(rule.becomes) > 1 else done[len(rule.becomes)], count, example)
        for (rule, count), example in zip(counts.items(), examples.values(), strict=True)
    ]
    return Converted(naming.title, weights, tuple(table))


def _cut(tensor: Tensor, parts: int, name: str, source: str) -> Sequence[Tensor]:
    if parts < 2:
        return [tensor] * parts
    if tensor.ndim == 0 or len(tensor) % parts:
        raise ValueError(
            f"{source}: {name}: expected a first dimension of {parts} equal parts, got the shape "
            f"{tuple(tensor.shape)}; the file is damaged or of another network"
        )
    return tensor.chunk(parts)


def with_counters(converted: Converted, expected: Iterable[str]) -> Converted:
    """Return a conversion with a zero for every counter of batches that the file does not have.

    Files of PyTorch before 0.4.1, and those of frozen batch normalization, have none.

    Args:
        converted: The conversion.
        expected: Names of all tensors of the network.
    """
    missing = [n for n in expected if n.endswith(COUNTER) and n not in converted.weights]
    if not missing:
        return converted
    weights = converted.weights | {name: torch.zeros((), dtype=torch.int64) for name in missing}
    line = Line("counters of batches, which nothing reads", "made up", len(missing), missing[0])
    return converted._replace(weights=weights, table=(*converted.table, line))


def some(names: Sequence[str]) -> str:
    """Return the first few of many names and how many more there are."""
    rest = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f", and {rest} more" if rest > 0 else "")
