"""Stage finetune_backbone: weights published unchanged, or fine-tuned with or without folds."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import models.hrnet.training
from models.head_parts.heatmap_loss import heatmap_loss
from models.hrnet.network import build_hrnet
from pipeline.core.networks.weights import REINITIALIZED_ROWS, read_weights, write_weights
from pipeline.core.splits import video_share
from pipeline.training.targets import make_targets
from stages.finetune_backbone import app
from tests.pipeline.tiny_caches import clip_frame, random_store, write_clips
from tests.pipeline.toy_stage import tree
from tests.stages.tiny_project import TRAIN, TRAINING, Project

ROOT = Path(__file__).resolve().parents[2]
WITHOUT_TORCH = """
import sys
sys.modules["torch"] = None
from stages.finetune_backbone import app
app(["--data", sys.argv[1], "--params", sys.argv[2]])
"""
CLIPS_OF = {"alley": 3, "bonn": 2, "creek": 2}
FOLD = {video: int(video_share(video) * 2) for video in CLIPS_OF}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path / "repo")
    random_store(project.data / "crops/hrnet/train", "crops", 2, CLIPS_OF)
    write_clips(project.data, "hrnet", "train", clip_frame(2, CLIPS_OF))
    torch.manual_seed(0)
    built = build_hrnet("tiny", 15)
    nn.init.normal_(built.final_layer.weight, std=0.01)
    write_weights(project.data / "weights/hrnet.safetensors", built.half().state_dict())
    return project


def section(project: Project, **changes: object) -> dict[str, object]:
    training = TRAINING | {"steps": 2, "milestones": [], "batch": 2}
    weights = str(project.data / "weights/hrnet.safetensors")
    return training | {"variant": "tiny", "weights": weights, "folds": 1} | changes


def targets_of(videos: set[str]) -> torch.Tensor:
    frame = clip_frame(2, CLIPS_OF)
    rows = frame[frame["video"].isin(videos)]
    keypoints = torch.tensor(rows["keypoints"].to_list(), dtype=torch.float64).unflatten(1, (15, 2))
    return make_targets(keypoints, torch.tensor(rows["visible"].to_list()), (16, 8), 1.5)


def test_without_epochs_the_given_weights_are_published_unchanged(project: Project) -> None:
    result = project.run(app, finetune_backbone=section(project, steps=0))
    assert result.exit_code == 0, result.output
    out = project.data / "backbones"
    given = project.data / "weights/hrnet.safetensors"
    assert (out / "hrnet.safetensors").read_bytes() == given.read_bytes()
    assert sorted(path.name for path in out.iterdir()) == ["backbone.json", "hrnet.safetensors"]
    assert json.loads((out / "backbone.json").read_text())["variant"] == "tiny"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"folds": 2}, "finetune_backbone.folds: expected 1 where epochs is 0, got 2"),
        ({"variant": "w32"}, "expected the"),
        ({"weights": "nowhere.safetensors"}, "nowhere.safetensors"),
    ],
)
def test_invalid_settings_give_a_one_line_error(
    project: Project, changes: dict[str, object], message: str
) -> None:
    result = project.run(app, finetune_backbone=section(project, steps=0, **changes))
    assert result.exit_code == 1
    assert message in result.stderr
    assert not (project.data / "backbones").exists()


def test_weights_with_reinitialized_rows_are_rejected_unless_they_are_fine_tuned(
    project: Project,
) -> None:
    file = project.data / "weights/hrnet.safetensors"
    write_weights(file, read_weights(file), {REINITIALIZED_ROWS: "head_bottom head_top"})
    result = project.run(app, finetune_backbone=section(project, steps=0))
    assert result.exit_code == 1
    assert "its rows of head_bottom head_top were re-initialized on import" in result.stderr
    assert project.run(app, finetune_backbone=section(project)).exit_code == 0


def test_each_fold_is_trained_without_its_own_videos(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[torch.Tensor] = []

    def recording(*given: torch.Tensor) -> torch.Tensor:
        seen.append(given[1].clone())
        return heatmap_loss(*given)

    monkeypatch.setattr(models.hrnet.training, "heatmap_loss", recording)
    result = project.run(app, finetune_backbone=section(project, folds=2))
    assert result.exit_code == 0, result.output
    out = project.data / "backbones"
    assert json.loads((out / "folds.json").read_text()) == FOLD
    copies = [read_weights(out / f"hrnet{name}.safetensors") for name in ("", "-fold0", "-fold1")]
    start = read_weights(project.data / "weights/hrnet.safetensors")
    assert all(set(copy) == set(start) for copy in copies)
    layers = [copy["final_layer.weight"] for copy in [start, *copies]]
    assert all(layer.dtype == torch.float32 for layer in layers[1:])
    for i, one in enumerate(layers):
        assert not any(torch.equal(one.float(), other) for other in layers[i + 1 :])
    assert set(FOLD.values()) == {0, 1}
    assert len(seen) == 3 * 2
    runs = list((project.folder / ".dvc/cache/scratch/finetune_backbone").iterdir())
    assert [(run / "receipt.json").is_file() for run in runs] == [True] * 3
    for fold in (0, 1):
        allowed = targets_of({video for video in FOLD if FOLD[video] != fold})
        for target in torch.cat(seen[2 * (fold + 1) :][:2]):
            assert any(torch.equal(target, other) for other in allowed)


def test_an_interrupted_run_resumes_at_its_checkpoint(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def interrupted(*given: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        if len(calls) == 4:
            raise RuntimeError("interrupted by the test")
        return heatmap_loss(*given)

    every = TRAIN | {"checkpoint_every": 1}
    monkeypatch.setattr(models.hrnet.training, "heatmap_loss", interrupted)
    with pytest.raises(RuntimeError, match="interrupted by the test"):
        project.run(app, finetune_backbone=section(project, folds=2), train=every)
    project.run(app, finetune_backbone=section(project, folds=2))
    # 2 steps on all videos, 1 + 1 on fold 0 and 2 on fold 1; call 4 failed. No step runs twice.
    assert len(calls) == 4 + 3


def test_one_fold_gives_a_warning(project: Project) -> None:
    result = project.run(app, finetune_backbone=section(project))
    assert result.exit_code == 0, result.output
    assert "folds is 1" in result.stderr
    assert not (project.data / "backbones/folds.json").exists()


@pytest.mark.parametrize(("steps", "folds", "units"), [(0, 1, 1), (2, 1, 1), (2, 2, 3)])
def test_a_finished_backbone_is_published_again_without_torch(
    project: Project, steps: int, folds: int, units: int
) -> None:
    changes = section(project, steps=steps, folds=folds)
    assert f"{units} units computed, 0 reused" in project.run(app, finetune_backbone=changes).stdout
    before = tree(project.data / "backbones")
    shutil.rmtree(project.data / "backbones")
    command = [sys.executable, "-c", WITHOUT_TORCH, str(project.data), str(project.params)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"0 units computed, {units} reused" in done.stdout
    assert tree(project.data / "backbones") == before


@pytest.mark.slow
def test_two_processes_train_together_and_one_of_them_publishes(project: Project) -> None:
    changes = section(project, steps=2, folds=2)
    project.values |= {"finetune_backbone": changes, "train": TRAIN | {"processes": 2}}
    project.params.write_text(json.dumps(project.values))
    torchrun = ["torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m"]
    options = ["--data", str(project.data), "--params", str(project.params)]

    def run(*module: str) -> str:
        command = [sys.executable, "-m", *module, *options]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    stage = "stages.finetune_backbone"
    assert run(stage).count("3 units computed, 0 reused") == 1
    published = tree(project.data / "backbones")
    assert run(stage).count("0 units computed, 3 reused") == 1
    assert run(*torchrun, stage).count("0 units computed, 3 reused") == 1
    shutil.rmtree(project.folder / ".dvc/cache/scratch/finetune_backbone")
    assert run(*torchrun, stage).count("3 units computed, 0 reused") == 1
    assert tree(project.data / "backbones") == published
