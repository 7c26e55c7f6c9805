"""Command plan on the default preset, with measured speeds."""

import json
import re
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from models.head_parts.lookup import listed_systems
from pipeline.core.params import read_params
from pipeline.maintenance.dag import read_dag
from pipeline.maintenance.forecast import Line
from posereel.cli import load
from posereel.run_forecast import forecast_run

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
    untrained = [name for name, system in listed_systems().items() if not system.trained]
    entries = [f"{stage}@{name}" for stage in ("train", "predict") for name in untrained]
    uncounted = ("index", "evaluate", "report", *entries)
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


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_without_a_gpu_the_plan_says_that_times_are_those_of_the_cpu(
    device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [Line("heatmaps@train", 300_000, 10**12, 48844 * 3600.0)]
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("posereel.run_forecast.forecast_run", lambda _: (lines, {}))
    monkeypatch.setattr("pipeline.core.networks.devices.device_type", lambda _: device)
    shown = CliRunner().invoke(app, []).stdout
    assert "about 48844 h 00 min one after the other on this machine" in shown
    assert ("all times are those of this CPU" in shown) == (device == "cpu")


@pytest.mark.usefixtures("no_gpu")
def test_a_plan_for_workers_with_a_gpu_is_made_on_a_machine_without_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def calibrate(_params: Path, _values: object, _render: float, device: torch.device) -> None:
        seen.append(device.type)
        raise ValueError("enough")

    text = (ROOT / "params.yaml").read_text().replace("device: auto ", "device: cuda ", 1)
    params = tmp_path / "params.yaml"
    params.write_text(text)
    monkeypatch.setattr("posereel.run_forecast._calibrate", calibrate)
    monkeypatch.setattr("posereel.run_forecast._render_some", lambda *_: (1.0, 1.0))
    with pytest.raises(ValueError, match="enough"):
        forecast_run(params)
    assert seen == ["cpu"]


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
