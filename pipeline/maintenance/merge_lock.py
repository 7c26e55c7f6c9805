"""Three-way merge of dvc.lock by stages.

DVC writes the record of a stage as one block of lines. Blocks are kept as they are, so a merged
file has the bytes that DVC would write.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

_HEAD = "schema: '2.0'\nstages:\n"


@dataclass(frozen=True, slots=True)
class Merge:
    """Result of a merge."""

    text: str
    """The merged file; stages in conflict are between git's markers."""
    conflicts: tuple[str, ...] = ()
    """Stages that both sides changed in different ways."""
    dropped: tuple[str, ...] = ()
    """Stages without a record, because what they read is merged from both sides."""


@dataclass(slots=True)
class _Sides:
    """The blocks of one stage in the three files, '' where it is missing."""

    base: str
    ours: str
    theirs: str

    def merged(self) -> str | None:
        """Return the merged block; None if both sides changed it in different ways."""
        if self.theirs in {self.ours, self.base}:
            return self.ours
        return self.theirs if self.ours == self.base else None


@dataclass(slots=True)
class _Record:
    """What a block records: values that identify the run of a stage, and its outputs."""

    facts: dict[str, object] = field(default_factory=dict)
    """Command, hash of every dependency by its path, and value of every param."""
    outs: frozenset[str] = frozenset()


def merge_locks(base: str, ours: str, theirs: str) -> Merge:
    """Merge two versions of dvc.lock.

    A stage that one side changed is taken from that side. If both sides changed it differently,
    its record is dropped where each of its inputs has a merged value: DVC then runs the stage
    again, as it must for a report over the results of both sides. All others are conflicts.

    Args:
        base: Content of the common ancestor; may be empty.
        ours: Content of the current branch.
        theirs: Content of the merged branch.

    Raises:
        ValueError: If a text is not a dvc.lock.
    """
    texts = [_blocks(text) for text in (base, ours, theirs)]
    names = dict.fromkeys([*texts[1], *texts[2]])
    stages = {name: _Sides(*(blocks.get(name, "") for blocks in texts)) for name in names}
    open_ = {name for name, sides in stages.items() if sides.merged() is None}
    merged_outs = {
        out
        for name, sides in stages.items()
        if name not in open_ and (sides.base, sides.base) != (sides.ours, sides.theirs)
        for out in _outs(sides)
    }
    dropped = _droppable(stages, open_, merged_outs)
    conflicts = [name for name in stages if name in open_ - dropped]
    parts = [_HEAD]
    for name, sides in stages.items():
        if name in conflicts:
            parts.append(f"<<<<<<< ours\n{sides.ours}=======\n{sides.theirs}>>>>>>> theirs\n")
        elif name not in dropped:
            parts.append(sides.merged() or "")
    return Merge("".join(parts), tuple(conflicts), tuple(n for n in stages if n in dropped))


def _droppable(stages: Mapping[str, _Sides], open_: set[str], merged_outs: set[str]) -> set[str]:
    """Return the stages changed by both sides whose inputs all have a merged value."""
    dropped: set[str] = set()
    outs = set(merged_outs)
    # The order of the file need not be that of the DAG.
    while new := {n for n in open_ - dropped if _inputs_merge(stages[n], outs)}:
        dropped |= new
        outs |= {out for name in new for out in _outs(stages[name])}
    return dropped


def _inputs_merge(sides: _Sides, merged_outs: Iterable[str]) -> bool:
    if not (sides.ours and sides.theirs):
        return False
    base, ours, theirs = (_record(text).facts for text in (sides.base, sides.ours, sides.theirs))
    outs = list(merged_outs)
    for name in ours.keys() | theirs.keys():
        values = base.get(name), ours.get(name), theirs.get(name)
        one_side = values[1] == values[2] or values[0] in values[1:]
        if not one_side and not any(_overlap(name.removeprefix("dep "), out) for out in outs):
            return False
    # Equal inputs with different outputs: a stage that is not reproducible, or a damaged file.
    return ours != theirs


def _overlap(path: str, other: str) -> bool:
    return f"{path}/".startswith(f"{other}/") or f"{other}/".startswith(f"{path}/")


def _outs(sides: _Sides) -> frozenset[str]:
    return _record(sides.ours).outs | _record(sides.theirs).outs


def _record(block: str) -> _Record:
    if not block:
        return _Record()
    ((_, stage),) = YAML(typ="safe").load(block).items()
    facts: dict[str, object] = {"cmd": stage.get("cmd")}
    facts |= {f"dep {dep['path']}": dep.get("md5") for dep in stage.get("deps", ())}
    for file, params in stage.get("params", {}).items():
        facts |= {f"param {file}:{name}": value for name, value in params.items()}
    return _Record(facts, frozenset(out["path"] for out in stage.get("outs", ())))


def _blocks(text: str) -> dict[str, str]:
    """Return the lines of every stage by its name.

    Raises:
        ValueError: If the text is not what DVC writes.
    """
    if not text:
        return {}
    head, found, rest = text.partition("stages:\n")
    parts = re.split(r"(?m)^(?=  \S)", rest)[1:]
    try:
        content: Any = YAML(typ="safe").load(text)
        names = list(content["stages"])
    except (YAMLError, KeyError, TypeError) as error:
        raise ValueError(f"dvc.lock: expected what DVC writes, got {error}") from error
    if head + found != _HEAD or len(parts) != len(names):
        raise ValueError(
            f"dvc.lock: expected {_HEAD!r} and a block of lines per stage, got {head + found!r} "
            f"and {len(parts)} blocks of {len(names)} stages; run: dvc repro"
        )
    return dict(zip(names, parts, strict=True))
