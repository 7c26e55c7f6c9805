"""Stage finetune_backbone: weights published unchanged, or fine-tuned with or without folds."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

import stages.finetune_backbone
from models.hrnet.network import build_hrnet
from models.hrnet.training import backbone_loss
from pipeline.networks.weights import REINITIALIZED_ROWS, read_weights, write_weights
from pipeline.splits import video_share
from pipeline.training.targets import make_targets
from stages.finetune_backbone import app
from tests.pipeline.tiny_caches import clip_frame, random_store, write_clips
from tests.stages.tiny_project import TRAIN, TRAINING, Project

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

    def recording(network: nn.Module, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        seen.append(batch["target"].clone())
        return backbone_loss(network, batch)

    monkeypatch.setattr(stages.finetune_backbone, "backbone_loss", recording)
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
    assert [(run / "finished").is_file() for run in runs] == [True] * 3
    for fold in (0, 1):
        allowed = targets_of({video for video in FOLD if FOLD[video] != fold})
        for target in torch.cat(seen[2 * (fold + 1) :][:2]):
            assert any(torch.equal(target, other) for other in allowed)


def test_an_interrupted_run_resumes_at_its_checkpoint(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def interrupted(network: nn.Module, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        calls.append(1)
        if len(calls) == 4:
            raise RuntimeError("interrupted by the test")
        return backbone_loss(network, batch)

    every = TRAIN | {"checkpoint_every": 1}
    monkeypatch.setattr(stages.finetune_backbone, "backbone_loss", interrupted)
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
