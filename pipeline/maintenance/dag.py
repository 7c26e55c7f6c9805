"""Read the stages of dvc.yaml and expand ``matrix`` and ``foreach`` as DVC does."""

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError


@dataclass(frozen=True, slots=True)
class DagStage:
    """One stage, or one item of a matrix."""

    name: str
    """Name in DVC, such as ``crop@hrnet-train``."""
    stage: str
    """Module in stages/ and section of params.yaml, such as ``crop``."""
    command: tuple[str, ...]
    outs: tuple[str, ...]
    """Paths of outputs and metrics, relative to the project."""


def read_dag(project: Path) -> list[DagStage]:
    """Return all stages in the order of dvc.yaml.

    Args:
        project: Folder of ``dvc.yaml``.

    Raises:
        ValueError: If the file is missing or malformed.
    """
    path = project / "dvc.yaml"
    try:
        values = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
        return [
            _stage(name, item, keys, body.get("do", body))
            for name, body in values["stages"].items()
            for item, keys in _items(body)
        ]
    except (OSError, YAMLError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: expected the DAG, got {error!r}; restore it from git") from error


def _items(body: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield name and template values of every item; a stage without items yields an empty name."""
    if "matrix" in body:
        axes = body["matrix"]
        for values in product(*axes.values()):
            pairs = {f"item.{axis}": str(v) for axis, v in zip(axes, values, strict=True)}
            yield "-".join(map(str, values)), pairs
    elif "foreach" in body:
        for key, item in body["foreach"].items():
            fields = {f"item.{field}": str(value) for field, value in item.items()}
            yield str(key), {"key": str(key), **fields}
    else:
        yield "", {}


def _stage(name: str, item: str, values: Mapping[str, str], body: Mapping[str, Any]) -> DagStage:
    def expand(text: str) -> str:
        return re.sub(r"\$\{([\w.]+)\}", lambda m: values.get(m[1], m[0]), text)

    outs = [*body.get("outs", ()), *body.get("metrics", ())]
    paths = (next(iter(out)) if isinstance(out, dict) else out for out in outs)
    return DagStage(
        f"{name}@{item}" if item else name,
        name,
        tuple(shlex.split(expand(body["cmd"]))),
        tuple(expand(path) for path in paths),
    )
