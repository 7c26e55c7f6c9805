"""Experiments: names, settings between params files, and what was run before."""

import re
import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline.ablation.experiments import Experiment, run_experiment, settings_of, stand_on
from tests.stages.toy_repository import dvc

ROOT = Path(__file__).resolve().parents[3]
ONE = Experiment("row", ("train_jmpose.seed=1",), ("evaluate@jmpose",))


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    git("init", "-q")
    git("-c", "user.name=n", "-c", "user.email=e@e", "commit", "-q", "--allow-empty", "-m", "one")
    return tmp_path


def git(*words: str) -> str:
    return subprocess.run(["git", *words], check=True, capture_output=True, text=True).stdout


def test_the_ablation_preset_differs_in_the_values_that_its_file_says() -> None:
    settings = settings_of(ROOT / "params.yaml", ROOT / "presets" / "ablation.yaml")
    assert "train_jmpose.steps=80" in settings
    assert "train_jmpose.milestones=[60]" in settings
    assert not any(setting.startswith("crop.") for setting in settings)


def test_params_files_with_other_keys_are_refused(tmp_path: Path) -> None:
    odd = tmp_path / "odd.yaml"
    odd.write_text("index: {}\nnothing: 1\n")
    with pytest.raises(ValueError, match=r"expected the keys of .*nothing"):
        settings_of(ROOT / "params.yaml", odd)


def test_the_name_follows_settings_and_targets() -> None:
    again = Experiment("row", ("train_jmpose.seed=1",), ("evaluate@jmpose",))
    other = Experiment("row", ("train_jmpose.seed=2",), ("evaluate@jmpose",))
    assert ONE.name == again.name != other.name


@pytest.mark.usefixtures("repository")
def test_an_experiment_that_was_run_on_this_commit_is_not_run_again() -> None:
    head = git("rev-parse", "HEAD").strip()
    git("update-ref", f"refs/exps/{head[:2]}/{head[2:]}/{ONE.name}", head)
    # There is no DVC repository here: running anything would fail.
    assert run_experiment(ONE) == head


def test_an_experiment_is_run_again_after_a_change_of_the_workspace(repository: Path) -> None:
    code, metrics = repository / "code.py", repository / "data" / "metrics" / "jmpose.json"
    metrics.parent.mkdir(parents=True)
    for file in (code, metrics):
        file.write_text("before")
    git("add", ".")
    git("-c", "user.name=n", "-c", "user.email=e@e", "commit", "-q", "-m", "two")
    head = git("rev-parse", "HEAD").strip()
    git("update-ref", f"refs/exps/{head[:2]}/{head[2:]}/{ONE.name}", head)
    metrics.write_text("what a run writes makes no other experiment")
    assert run_experiment(ONE) == head
    code.write_text("after")
    with pytest.raises(ValueError, match=rf"experiment {ONE.name}-[0-9a-f]{{8}}: expected"):
        run_experiment(ONE)


@pytest.mark.usefixtures("repository")
def test_an_experiment_that_fails_says_its_name_and_what_to_do() -> None:
    with pytest.raises(ValueError, match=rf"experiment {ONE.name}: expected .* start again"):
        run_experiment(ONE)


@pytest.mark.parametrize("target", ["evaluate@jmpose", "evaluate@vremd", "crop@vit-val"])
def test_rows_stand_on_the_stages_that_dvc_counts_to_their_target(
    target: str, tmp_path: Path
) -> None:
    project = tmp_path / "project"
    git("clone", "-q", "--shared", str(ROOT), str(project))
    head = git("-C", str(project), "rev-parse", "HEAD").strip()
    ground = stand_on(head, (target,), project)
    locks = [YAML(typ="safe").load((at / "dvc.lock").read_text()) for at in (project, ground)]
    names = set(re.findall(r'"(\S+)"', dvc(project, "dag", "--dot", target)))
    before = locks[0]["stages"]
    assert 0 < len(names) < len(before)
    assert locks[1] == locks[0] | {"stages": {name: before[name] for name in names}}
    assert git("-C", str(ground), "rev-parse", "HEAD~1").strip() == head
    assert not git("-C", str(ground), "status", "--short")
    assert stand_on(head, (target,), project) == ground
