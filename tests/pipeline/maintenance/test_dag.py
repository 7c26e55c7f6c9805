"""The DAG has the stages and commands that DVC would run."""

import re
from pathlib import Path

import pytest

from pipeline.maintenance.dag import read_dag
from tests.stages.toy_repository import dvc, isolate_dvc

DAG = """
stages:
  index:
    cmd: python -m stages.index
    outs: [data/index]
  crop:
    matrix:
      input: [hrnet, vit]
      split: [train, val]
    cmd: python -m stages.crop --input ${item.input} --split ${item.split}
    outs:
      - data/crops/${item.input}/${item.split}: {push: false}
  evaluate:
    foreach:
      hrnet: {weights: backbones}
      jmpose: {weights: runs/jmpose}
    do:
      cmd: python -m stages.evaluate --system ${key} --weights ${item.weights}
      metrics:
        - data/metrics/${key}.json: {cache: false}
"""


def test_names_and_commands_equal_those_of_dvc(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    isolate_dvc(tmp_path, monkeypatch)
    dvc(tmp_path, "init", "--no-scm", "--quiet")
    (tmp_path / "dvc.yaml").write_text(DAG)
    shown = dvc(tmp_path, "repro", "--dry")
    expected = dict(re.findall(r"Running stage '(\S+)':\n> (.*)", shown))
    stages = read_dag(tmp_path)
    assert {stage.name: " ".join(stage.command) for stage in stages} == expected
    assert len(expected) == 7
    outs = {stage.name: stage.outs for stage in stages}
    assert outs["crop@vit-val"] == ("data/crops/vit/val",)
    assert outs["evaluate@jmpose"] == ("data/metrics/jmpose.json",)
    assert {stage.stage for stage in stages} == {"index", "crop", "evaluate"}


@pytest.mark.parametrize("text", ["", "stages: 3", "stages: {a: {}}", "a: ["])
def test_a_malformed_dvc_yaml_is_rejected(tmp_path: Path, text: str) -> None:
    (tmp_path / "dvc.yaml").write_text(text)
    with pytest.raises(ValueError, match=r"dvc\.yaml: expected the DAG, got .*; restore it"):
        read_dag(tmp_path)
