"""Train, predict and evaluate systems with several seeds on the caches of one ``dvc repro``.

Every seed has a folder with a params file and links to the caches, in which the stages run. Units
are those of the DAG: a finished one is found in scratch, so that a killed run continues.
"""

import json
import os
from collections.abc import Sequence
from contextlib import chdir
from pathlib import Path
from typing import Any

from models.head_parts.lookup import find_system
from pipeline.core.atomic_file import write_file
from pipeline.core.params import read_params
from pipeline.core.publishing.build import build
from pipeline.core.system_params import read_system, section_of
from stages import evaluate, predict, train

SPLITS = ("train", "val", "val_gt")
DATA, PARAMS = Path("data"), Path("params.yaml")
OUTPUTS = (
    *("runs", "predictions", "evaluation", "metrics", "units"),
    *("report", "ablations", "liveness", "bench"),
)
"""Folders of data/ that a seed has of its own, or does not need."""


def refuse_missing_caches(systems: Sequence[str], data: Path, params: Path) -> None:
    """Check that all systems have their section, and that their caches were made.

    Args:
        systems: Systems to run.
        data: Folder of all outputs.
        params: The params file.

    Raises:
        ValueError: If a section or a cache is missing.
    """
    values = read_params(params)
    for name in systems:
        if section_of(name) not in values:
            raise ValueError(
                f"{params}: expected the section {section_of(name)}, found none; run posereel "
                "use-preset bench, or name systems with --systems"
            )
        for kind in read_system(params, name, find_system(name)).caches:
            for split in SPLITS:
                if not (data / kind / split).is_dir():
                    raise ValueError(
                        f"{data / kind / split}: expected the cache that {name} reads, found none; "
                        "run dvc repro"
                    )
            if kind == "features" and not values["features"]["enabled"]:
                raise ValueError(
                    f"{params}: expected features.enabled to be true, because {name} reads "
                    "features; set it and run dvc repro"
                )


def prepare_seed(folder: Path, data: Path, params: Path, seed: int) -> None:
    """Write the params of a seed and the links to the caches.

    Args:
        folder: Folder of the seed; it may exist.
        data: Folder of all outputs, with the caches.
        params: The params file; every seed of a schedule in it is replaced.
        seed: The seed.
    """
    own = folder / DATA
    own.mkdir(parents=True, exist_ok=True)
    for source in sorted(data.iterdir()):
        link = own / source.name
        if source.name in OUTPUTS or link.is_symlink():
            continue
        link.symlink_to(os.path.relpath(source, own))
    values = _with_seed(read_params(params), seed)
    write_file(folder / PARAMS, json.dumps(values, indent=1).encode())  # JSON is YAML


def _with_seed(values: dict[str, Any], seed: int) -> dict[str, Any]:
    prefix = section_of("")
    for name, section in values.items():
        if name.startswith(prefix) and "seed" in section:
            section["seed"] = seed
    return values


def run_system(name: str, folder: Path) -> None:
    """Train, predict and evaluate a system in the folder of a seed.

    Args:
        name: The system.
        folder: The folder, from ``prepare_seed``.
    """
    with chdir(folder):
        build(train.plan(name, DATA, PARAMS))
        build(predict.plan(name, "", DATA, PARAMS))
        build(evaluate.plan(name, PARAMS))


def unit_keys(folder: Path, stage: str, name: str) -> set[str]:
    """Return the keys of the units of a system in the folder of a seed."""
    listing = json.loads((folder / DATA / "units" / stage / f"{name}.json").read_text())
    return {unit["key"] for unit in listing.values()}
