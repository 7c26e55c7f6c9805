"""The stages of dvc.yaml, with ``matrix`` and ``foreach`` written out as DVC does it."""

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
    """One stage, one item of a matrix."""

    name: str
    """``crop@hrnet-train``."""
    stage: str
    """``crop``: module in stages/ and section of params.yaml."""
    command: tuple[str, ...]
    outs: tuple[str, ...]
    """Paths of outs and metrics, relative to the project."""


def read_dag(project: Path) -> list[DagStage]:
    """Return all stages in the order of dvc.yaml.

    Args:
        project: Folder of ``dvc.yaml``.

    Raises:
        ValueError: If there is none, or it cannot be read.
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
    """Yield name and template values of every item of a stage; one without name if it has none."""
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
    def written_out(text: str) -> str:
        return re.sub(r"\$\{([\w.]+)\}", lambda m: values.get(m[1], m[0]), text)

    outs = [*body.get("outs", ()), *body.get("metrics", ())]
    paths = (next(iter(out)) if isinstance(out, dict) else out for out in outs)
    return DagStage(
        f"{name}@{item}" if item else name,
        name,
        tuple(shlex.split(written_out(body["cmd"]))),
        tuple(written_out(path) for path in paths),
    )
