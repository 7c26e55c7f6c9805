"""Command plan on the default preset, with measured speeds."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pipeline.core.params import read_params
from pipeline.maintenance.dag import read_dag
from posereel.cli import load

app = load("plan")

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.slow
def test_every_stage_of_the_default_is_estimated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(ROOT)
    result = CliRunner().invoke(app, ["--json"])
    assert result.exit_code == 0, result.output
    content = json.loads(result.stdout)
    stages = {stage["name"]: stage for stage in content["stages"]}
    uncounted = ("index", "evaluate", "report", "predict@hrnet", "train@hrnet")
    expected = {stage.name for stage in read_dag(ROOT) if not stage.name.startswith(uncounted)}
    assert set(stages) == expected
    train = content["splits"]["train"]
    render = read_params(ROOT / "params.yaml")["render"]
    assert train["videos"] == render["videos"]["train"]
    # 4 of the 12 frames are labeled: 0, 3, 6 and 9.
    assert train["labeled"] == render["videos"]["train"] * 4
    assert stages["heatmaps@train"]["clips"] == round(train["people"])
    row = 3 * 15 * 32 * 24 * 2 + 4
    assert stages["heatmaps@train"]["bytes"] == round(train["people"]) * row
    assert all(stages[name]["seconds"] > 0 for name in ("flow@val", "train@vremd", "render"))


def test_an_unknown_preset_is_rejected_with_the_list_of_presets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(ROOT)
    result = CliRunner().invoke(app, ["--preset", "posetrack99"])
    assert result.exit_code == 1
    assert "posetrack99: expected a preset, one of ['ablation'" in result.stderr


def test_a_missing_section_of_params_gives_a_one_line_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (ROOT / "params.yaml").read_text()
    (tmp_path / "params.yaml").write_text(text.replace("\nfinetune_backbone:", "\nother:"))
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, [])
    assert result.exit_code == 1
    assert "expected the sections of a preset, 'finetune_backbone' is missing" in result.stderr


def test_an_unknown_data_set_gives_a_one_line_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (ROOT / "params.yaml").read_text()
    for old, new in (
        ("name: synthetic", "name: mine"),
        ("data/raw/synthetic", "data/raw/mine"),
        (r"\{train: \d+, val: \d+\}", "{train: 0, val: 0}"),
    ):
        text = re.sub(old, new, text)
    (tmp_path / "params.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, [])
    assert result.exit_code == 1
    assert "data set 'mine': expected annotation files" in result.stderr
