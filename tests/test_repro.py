"""The whole DAG on a toy data set: it runs, runs nothing twice, and opens only what it declares."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.toy_clone import ROOT, TOY, Clone

SYSTEMS = ("hrnet", "refine", "fuse", "jmpose", "vit", "fuse_vit", "vremd")


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory, python: Path) -> Clone:
    """A clone whose DAG has run once, with a log of the files that its stages opened."""
    clone = Clone(tmp_path_factory.mktemp("toy") / "clone", python)
    clone.edit_params(TOY)
    clone.run("dvc", "repro", POSEREEL_TEST_OPENED=str(clone.folder.with_name("opened")))
    clone.commit()
    return clone


def read_yaml(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = YAML(typ="safe").load(path.read_text())
    return content


def code_of(stage: str) -> list[str]:
    """Return the files of code that the project's dvc.yaml lists for a stage."""
    entry = read_yaml(ROOT / "dvc.yaml")["stages"][stage]
    return [dep for dep in entry.get("do", entry)["deps"] if dep.endswith(".py")]


@pytest.mark.slow
def test_every_stage_runs_and_the_table_and_the_report_come_out(toy: Clone) -> None:
    table = toy.run("stages.show_results")
    for system in SYSTEMS:
        assert len(re.findall(rf"^. {system} ", table, flags=re.MULTILINE)) == 2
    assert "report: data/report/index.html" in table
    page = (toy.folder / "data/report/index.html").read_text()
    assert page.count("<svg") == 3
    assert "http" not in re.sub(r"http://www\.w3\.org/[a-z0-9/]*", "", page)


@pytest.mark.slow
def test_a_second_run_has_nothing_to_do(toy: Clone) -> None:
    assert "Data and pipelines are up to date." in toy.run("dvc", "repro")


@pytest.mark.slow
def test_nothing_that_dvc_tracks_holds_a_path_of_this_machine(toy: Clone) -> None:
    tracked = [
        toy.folder / "dvc.lock",
        *(toy.folder / "data/metrics").iterdir(),
        *(toy.folder / "data/units").rglob("*.json"),
        toy.folder / "data/report/index.html",
    ]
    for file in tracked:
        assert str(toy.folder.parent) not in file.read_text()


@pytest.mark.slow
def test_a_stage_opens_only_what_it_declares(toy: Clone) -> None:
    declared: dict[str, list[str]] = {}
    for name, stage in read_yaml(toy.folder / "dvc.lock")["stages"].items():
        files = [entry["path"] for entry in (*stage["deps"], *stage.get("outs", ()))]
        declared[stage["cmd"].removeprefix("python -m ")] = files + code_of(name.partition("@")[0])
    opened: dict[str, set[str]] = {}
    for line in toy.folder.with_name("opened").read_text().splitlines():
        command, file = json.loads(line)
        opened.setdefault(command, set()).add(file.removesuffix(".partial"))
    assert set(opened) == set(declared)
    # Params, pixels below data.root, which no stage lists, and folders of DVC.
    free = ("params.yaml", "data/raw/synthetic", ".dvc", "dvc.lock", "data/report/timings.html")
    for command, files in opened.items():
        allowed = (*declared[command], *free)
        strangers = {
            file
            for file in files
            if not any(file == place or file.startswith(f"{place}/") for place in allowed)
            # A file's folder is opened to flush its name to the disk.
            and not any(place.startswith(f"{file}/") for place in allowed)
            and "__pycache__" not in file
        }
        assert not strangers, f"{command} opened {sorted(strangers)}"


@pytest.mark.slow
def test_an_ablation_runs_the_stages_of_its_head_again_and_no_other(toy: Clone) -> None:
    printed = toy.run("dvc", "exp", "run", "-S", "train_jmpose.layers=2")
    ran = set(re.findall(r"Running stage '([^']+)'", printed))
    assert ran == {
        "train_jmpose",
        "predict@jmpose-val",
        "predict@jmpose-val_gt",
        "evaluate@jmpose",
        "report",
    }
