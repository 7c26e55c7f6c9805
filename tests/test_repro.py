"""The whole DAG on a toy data set: it runs, runs nothing twice, and opens only what it declares."""

import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.toy_clone import clone, commit, edit_params, opened_by_stage, run

TOY: dict[str, Any] = {
    "render.videos": {"train": 2, "val": 2},
    "render.frames": 4,
    "render.label_run": 1,
    "render.label_step": 2,
    "extract.threads": 1,
    "train.threads": 1,
    "train_jmpose.steps": 2,
    "train_jmpose.layers": 2,
    "train_jmpose.milestones": [],
    "train_vremd.steps": 2,
    "train_vremd.milestones": [],
    "train_control.maps.steps": 2,
    "train_control.maps.milestones": [],
    "train_control.tokens.steps": 2,
    "train_control.tokens.milestones": [],
    "report.pictures": 1,
}
SYSTEMS = ("hrnet", "refine", "fuse", "jmpose", "vit", "fuse_vit", "vremd")


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone whose DAG has run once, with a log of the files that its stages opened."""
    base = tmp_path_factory.mktemp("toy")
    folder = clone(base / "clone")
    edit_params(folder, TOY)
    run(folder, "dvc", "repro", opened=base / "opened")
    commit(folder)
    return folder


@pytest.mark.slow
def test_every_stage_runs_and_the_table_and_the_report_come_out(toy: Path) -> None:
    table = run(toy, "stages.show_results")
    for system in SYSTEMS:
        assert len(re.findall(rf"^. {system} ", table, flags=re.MULTILINE)) == 2
    assert "report: data/report/index.html" in table
    page = (toy / "data/report/index.html").read_text()
    assert page.count("<svg") == 3
    assert "http" not in re.sub(r"http://www\.w3\.org/[a-z0-9/]*", "", page)


@pytest.mark.slow
def test_a_second_run_has_nothing_to_do(toy: Path) -> None:
    assert "Data and pipelines are up to date." in run(toy, "dvc", "repro")


@pytest.mark.slow
def test_nothing_that_dvc_tracks_holds_a_path_of_this_machine(toy: Path) -> None:
    tracked = [
        toy / "dvc.lock",
        *(toy / "data/metrics").iterdir(),
        *(toy / "data/units").rglob("*.json"),
    ]
    for file in tracked:
        assert str(toy.parent) not in file.read_text()
    assert str(toy.parent) not in (toy / "data/report/index.html").read_text()


@pytest.mark.slow
def test_a_stage_opens_only_what_it_declares(toy: Path) -> None:
    lock = YAML(typ="safe").load((toy / "dvc.lock").read_text())["stages"]
    declared = {
        stage["cmd"].removeprefix("python -m "): [
            entry["path"] for entry in (*stage["deps"], *stage.get("outs", ()))
        ]
        for stage in lock.values()
    }
    opened = opened_by_stage(toy.parent / "opened", toy)
    assert set(opened) == set(declared)
    # Params, pixels below data.root, which no stage lists, and folders of Python and DVC.
    free = ("params.yaml", "data/raw/synthetic", ".dvc", "dvc.lock", "data/report/timings.html")
    for command, files in opened.items():
        allowed = (*declared[command], *free)
        strangers = {
            file
            for file in files
            if not any(file == place or file.startswith(f"{place}/") for place in allowed)
            and "__pycache__" not in file
        }
        assert not strangers, f"{command} opened {sorted(strangers)}"


@pytest.mark.slow
def test_an_ablation_runs_the_stages_of_its_head_again_and_no_other(toy: Path) -> None:
    printed = run(toy, "dvc", "exp", "run", "-S", "train_jmpose.layers=1")
    ran = set(re.findall(r"Running stage '([^']+)'", printed))
    assert ran == {
        "train_jmpose",
        "predict@jmpose-val",
        "predict@jmpose-val_gt",
        "evaluate@jmpose",
        "report",
    }
