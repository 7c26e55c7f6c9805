"""A project folder with small caches and a params file, in which tests run one stage."""

import json
from pathlib import Path
from typing import Any

import typer
from typer.testing import CliRunner, Result

from tests.pipeline.tiny_caches import CROP, make_project

EXTRACT = {"engine": "local", "workers": 1, "threads": 1, "device": "cpu", "devices": []}
TARGET = {"occluded": "train", "sigma": {"hrnet": 1.5, "vit": 1.5}}
TRAIN = {
    "holdout": 0.0, "processes": 1, "device": "cpu", "threads": 1, "resident": "mmap",
    "checkpoint_every": 3,
}  # fmt: skip
TRAINING = {
    "epochs": 0, "steps": 6, "batch": 4, "lr": 0.001, "weight_decay": 0.01, "milestones": [4],
    "decay": 0.1, "warm_up": 2, "clip": 0.0, "seed": 3,
}  # fmt: skip
SIZE = {"height": CROP[0], "width": CROP[1], "delta": 2}


class Project:
    """A folder with the layout of a clone and a params file."""

    def __init__(self, folder: Path) -> None:
        self.folder = make_project(folder)
        self.data = folder / "data"
        self.params = folder / "params.yaml"
        self.values: dict[str, Any] = {
            "extract": EXTRACT, "target": TARGET, "train": TRAIN,
            "crop": {"hrnet": SIZE, "vit": SIZE},
        }  # fmt: skip

    def run(self, app: typer.Typer, *options: str, **sections: object) -> Result:
        """Run a stage after replacing sections of params; later runs keep the replacement."""
        self.values |= sections
        self.params.write_text(json.dumps(self.values))  # JSON is YAML
        paths = ["--data", str(self.data), "--params", str(self.params)]
        result = CliRunner().invoke(app, [*options, *paths])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result
