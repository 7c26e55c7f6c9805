"""Stage train with JM-Pose: loss terms, published weights, ablations."""

import csv
from pathlib import Path

import pytest

from models.base.weights import load_weights
from models.head_parts.building import build_network
from pipeline.core.networks.weights import read_weights
from stages.train import app
from tests.pipeline.tiny_caches import CLIPS_OF, CROP, clip_frame, random_store, write_clips
from tests.stages.tiny_project import TRAINING, Project

NETWORK = {
    "channels": 4, "layers": 2, "offset_groups": 2, "dilation": 1, "attention": "channel",
    "attention_heads": 2, "jmib_mask": "fused", "motion": "flow", "aggregate": "stacked",
    "joint_learner": True,
    "mutual_learning": True, "interaction": True,
}  # fmt: skip
LOSS = {"estimator": "vsd", "alpha": 0.01}
SECTION = NETWORK | LOSS | TRAINING | {"steps": 3, "milestones": [], "delta": 1, "weights": "none"}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path / "repo")
    for kind in ("heatmaps", "flow", "features"):
        random_store(project.data / kind / "train", kind, 2, CLIPS_OF)
    write_clips(project.data, "hrnet", "train", clip_frame(2))
    return project


def history(project: Project) -> list[dict[str, str]]:
    with (project.data / "runs/jmpose/history.csv").open() as file:
        return list(csv.DictReader(file))


def test_the_loss_is_the_sum_of_its_terms_and_predictors_are_not_published(
    project: Project,
) -> None:
    result = project.run(app, "--system", "jmpose", train_jmpose=SECTION)
    assert result.exit_code == 0, result.output
    rows = history(project)
    terms = ["heatmap", "orthogonality", "auxiliary", "loss"]
    shares = ["share_motion", "share_joint"]
    assert list(rows[0]) == ["step", "epoch", "lr", *terms, *shares]
    assert all(0 < float(rows[-1][name]) <= 1 for name in shares)
    for row in rows:
        heatmap, orthogonality, auxiliary, total = (float(row[name]) for name in terms)
        assert total == pytest.approx(heatmap + orthogonality + auxiliary)
        assert heatmap > 0
        assert auxiliary > 0
    weights = read_weights(project.data / "runs/jmpose/weights.safetensors")
    head = build_network("jmpose", NETWORK, joints=15, frames=3, shapes={}, crop_size=CROP)
    load_weights(head, weights, "published weights")


def test_without_an_estimator_the_loss_is_the_heatmap_loss(project: Project) -> None:
    project.run(app, "--system", "jmpose", train_jmpose=SECTION | {"estimator": "none"})
    for row in history(project):
        assert float(row["orthogonality"]) == float(row["auxiliary"]) == 0
        assert row["loss"] == row["heatmap"]


@pytest.mark.parametrize(
    "changes",
    [
        {"motion": "features"},
        {"joint_learner": False},
        {"mutual_learning": False},
        {"interaction": False},
        {"estimator": "gaussian"},
        {"attention": "spatial"},
        {"jmib_mask": "literal"},
        {"aggregate": "warped"},
        {"delta": 2},
    ],
)
def test_every_ablation_needs_only_a_change_of_params(
    project: Project, changes: dict[str, object]
) -> None:
    result = project.run(app, "--system", "jmpose", train_jmpose=SECTION | {"steps": 1} | changes)
    assert result.exit_code == 0, result.output
    assert len(history(project)) == 1
