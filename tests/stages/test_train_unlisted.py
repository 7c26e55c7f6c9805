"""Stage train with the heads that dvc.yaml does not list: loss terms and every ablation."""

import csv
from pathlib import Path
from typing import Any

import pytest

from pipeline.core.networks.weights import read_weights
from stages.train import app
from tests.pipeline.tiny_caches import CLIPS_OF, clip_frame, random_store, write_clips
from tests.stages.tiny_project import TRAINING, Project

SCHEDULE = TRAINING | {"steps": 2, "milestones": [], "delta": 1, "weights": "none"}
SECTIONS: dict[str, dict[str, Any]] = {
    "dcpose": {"channels": 4, "dilations": [1, 2]},
    "fami": {"channels": 4, "offset_groups": 2, "dilation": 1, "mutual_info": 0.01},
    "tar": {
        "layers": 1, "heads": 2, "mlp_ratio": 1, "threshold": 0.2, "token_order": "paper",
        "decoder_channels": [8, 8], "decoder_kernels": [2, 2], "transformer_rate": 0.2,
        "decoder_loss": 1.0, "aggregation": "queries", "mask": True, "restoration": True,
    },
}  # fmt: skip
CACHES = {"dcpose": "heatmaps", "fami": "features", "tar": "tokens"}
TERMS = {"dcpose": [], "fami": ["mutual_info", "predictors"], "tar": ["decoder"]}


@pytest.mark.parametrize(
    ("system", "changes"),
    [
        ("dcpose", {}),
        ("fami", {}),
        ("fami", {"delta": 2}),
        ("tar", {}),
        ("tar", {"delta": 2}),
        ("tar", {"token_order": "released"}),
        ("tar", {"aggregation": "self_attention"}),
        ("tar", {"mask": False}),
        ("tar", {"restoration": False}),
    ],
)
def test_a_head_is_trained_and_every_change_is_one_of_params(
    tmp_path: Path, system: str, changes: dict[str, Any]
) -> None:
    project = Project(tmp_path / "repo")
    kind = CACHES[system]
    random_store(project.data / kind / "train", kind, 2, CLIPS_OF)
    write_clips(project.data, "vit" if kind == "tokens" else "hrnet", "train", clip_frame(2))
    section = SCHEDULE | SECTIONS[system] | changes
    result = project.run(app, "--system", system, **{f"train_{system}": section})
    assert result.exit_code == 0, result.output
    run = project.data / "runs" / system
    with (run / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2
    for row in rows:
        terms = [float(row[name]) for name in ("heatmap", *TERMS[system])]
        assert float(row["loss"]) == pytest.approx(sum(terms))
    assert read_weights(run / "weights.safetensors")
