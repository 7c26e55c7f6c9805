"""Command bench: a small run of a head and what it is compared with; that it resumes."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import Result

from pipeline.core.tables.parquet import write_table
from pipeline.core.tables.schemas import BOXES, PEOPLE
from pipeline.core.units.entry_log import read_entries
from pipeline.core.units.plan import Plan
from pipeline.core.units.scratch import find_scratch
from posereel import bench_runs
from posereel.cli import load
from tests.posereel.commands.test_liveness import add_people
from tests.stages.test_predict import CLIPS_OF, PREDICT, make_project
from tests.stages.tiny_project import SIZE, TRAINING, Project

app = load("bench")
SYSTEMS = ("hrnet", "fuse", "dcpose")
SECTIONS: dict[str, Any] = {
    "train_jmpose": TRAINING | {"delta": 1, "steps": 2, "milestones": [], "warm_up": 1},
    "train_dcpose": {"weights": "none", "schedule": "jmpose", "channels": 4, "dilations": [1]},
    "predict": PREDICT,
    "evaluate": {"protocol": "poseval", "hard_share": 0.2, "curve_points": 20},
    "detect": {"kind": "file", "score_min": 0.2},
    "crop": {
        "hrnet": SIZE, "vit": SIZE, "gap": 1, "key_frames": "labelled", "variants": 1,
        "jitter": {"shift": 0.0, "scale": 0.0}, "augment": {"seed": 0},
    },
    "finetune_backbone": {"variant": "tiny", "folds": 1, "seed": 0},
    "tokens": {"variant": "tiny"},
    "features": {"enabled": False},
}  # fmt: skip


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = make_project(tmp_path / "repo")
    add_people(project)
    (project.data / "heatmaps/train").symlink_to("val")
    (project.data / "clips/hrnet/train.parquet").symlink_to("val.parquet")
    (project.data / "backbones").mkdir()
    (project.data / "backbones/fold0.safetensors").write_bytes(b"weights")
    rows = [(video, "val", 0, 0, -1, -1, *[1.0] * 8, [0.0] * 51) for video in CLIPS_OF]
    people = pd.DataFrame(rows, columns=PEOPLE.names)
    write_table(project.data / "index/people.parquet", people, PEOPLE)
    boxes = [(video, 0, 0, *[1.0] * 4, 0.9, -1, "file") for video in CLIPS_OF]
    (project.data / "boxes").mkdir()
    table = pd.DataFrame(boxes, columns=BOXES.names)
    write_table(project.data / "boxes/val.parquet", table, BOXES)
    project.values |= SECTIONS
    return project


def run(project: Project, *options: str) -> Result:
    out = ("--out", str(project.folder / "bench.md"))
    return project.run(app, "--systems", "dcpose,hrnet,fuse", *out, *options)


def computed(project: Project) -> Counter[tuple[str, str]]:
    """Return how often each unit was computed, by stage and key."""
    entries = read_entries(find_scratch(project.data).timings)
    return Counter((entry["stage"], entry["key"]) for entry in entries)


def test_a_run_writes_the_scores_costs_and_papers_of_every_system(project: Project) -> None:
    done = run(project, "--seeds", "2")
    assert done.exit_code == 0, done.output
    values = json.loads((project.data / "bench/bench.json").read_text())
    assert tuple(values["systems"]) == SYSTEMS
    assert (values["data_set"], values["seeds"], values["videos"]) == ("toy", 2, 3)
    for name, system in values["systems"].items():
        for split in ("val", "val_gt"):
            score = system[split]
            folders = [project.data / f"bench/seed-{seed}/data" for seed in range(2)]
            found = [
                json.loads((folder / f"evaluation/{name}/metrics.json").read_text())
                for folder in (folders[:1] if name == "hrnet" else folders)
            ]
            expected = [metrics[split]["ap_total"] for metrics in found]
            assert score["seeds"] == pytest.approx(expected, abs=5e-5)
            assert score["mean"] == pytest.approx(sum(expected) / len(expected), abs=5e-5)
            assert 1 <= score["ranks"][0] <= score["ranks"][1] <= len(SYSTEMS)
    head = values["systems"]["dcpose"]
    assert head["val"]["baseline"]["other"] == "hrnet"
    assert head["val"]["control"]["other"] == "fuse"
    assert head["cost"]["parameters"] > 0
    assert head["cost"]["training_seconds"] > 0
    assert head["cost"]["clips_per_second"] > 0
    assert values["systems"]["hrnet"]["cost"]["parameters"] == 0
    assert head["published"] == [
        {"source": "DCPose", "boxes": "detected", "mean_ap": [82.8, 80.9, 80.5]}
    ]


def test_the_document_shows_the_numbers_of_the_file(project: Project) -> None:
    assert run(project, "--seeds", "1").exit_code == 0
    values = json.loads((project.data / "bench/bench.json").read_text())
    text = (project.folder / "bench.md").read_text()
    for split in ("val_gt", "val"):
        table = text.partition(f"## {split}:")[2].partition("##")[0]
        for name, system in values["systems"].items():
            assert f"| {name} | {system[split]['mean']:.1f} | - |" in table
    assert "| dcpose | DCPose | detected | 82.8 | 80.9 | 80.5 |" in text


def test_an_interrupted_run_computes_no_finished_unit_again(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = bench_runs.predict.plan

    def killed(name: str, units: str, data: Path, params: Path) -> Plan:
        if name == "dcpose":
            raise KeyboardInterrupt
        return plan(name, units, data, params)

    with monkeypatch.context() as patch:
        patch.setattr(bench_runs.predict, "plan", killed)
        assert run(project, "--seeds", "1").exit_code != 0
    before = computed(project)
    # The project has the same three videos in val and val_gt: two systems have six units.
    assert Counter(stage for stage, _ in before) == {"train": 3, "predict": 6, "evaluate": 2}
    assert not (project.data / "bench/bench.json").exists()
    assert run(project, "--seeds", "1").exit_code == 0
    after = computed(project)
    assert set(after.values()) == {1}
    assert before.keys() < after.keys()
    files = [project.data / "bench/bench.json", project.folder / "bench.md"]
    written = [file.read_bytes() for file in files]
    assert run(project, "--seeds", "1").exit_code == 0
    assert computed(project) == after
    assert [file.read_bytes() for file in files] == written


def test_a_missing_section_or_cache_is_named_before_anything_runs(project: Project) -> None:
    refused = project.run(app, "--systems", "fami")
    assert refused.exit_code == 1
    assert "expected the section train_fami" in refused.stderr
    assert "use-preset bench" in refused.stderr
    (project.data / "heatmaps/train").unlink()
    refused = run(project)
    assert "heatmaps/train: expected the cache that hrnet reads" in refused.stderr
    assert not (project.data / "bench").exists()
