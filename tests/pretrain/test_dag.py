"""The DAG of pretrain/ names files that exist."""

from pathlib import Path

from ruamel.yaml import YAML

FOLDER = Path(__file__).resolve().parents[2] / "pretrain"


def test_every_code_dependency_exists() -> None:
    stages = YAML(typ="safe").load((FOLDER / "dvc.yaml").read_text())["stages"].values()
    deps = {dep for stage in stages for dep in stage["deps"] if not dep.startswith("out/")}
    assert deps
    assert not [dep for dep in sorted(deps) if not (FOLDER / dep).exists()]
