"""Experiments: names, settings, clones, and no second run of a finished experiment."""

import re
import subprocess
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pipeline.ablation.experiments import Experiment, clone_at, run_experiment, settings_of
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


def test_settings_hold_only_the_values_that_the_preset_changes() -> None:
    settings = settings_of(ROOT / "params.yaml", ROOT / "presets" / "ablation.yaml")
    assert "train_jmpose.steps=80" in settings
    assert "train_jmpose.milestones=[60]" in settings
    assert not any(setting.startswith("crop.") for setting in settings)


def test_params_files_with_different_keys_are_rejected(tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text("index: {}\nnothing: 1\n")
    with pytest.raises(ValueError, match=r"expected the keys of .*nothing"):
        settings_of(ROOT / "params.yaml", other)


def test_equal_settings_and_targets_give_equal_names() -> None:
    same = Experiment("row", ("train_jmpose.seed=1",), ("evaluate@jmpose",))
    other = Experiment("row", ("train_jmpose.seed=2",), ("evaluate@jmpose",))
    assert ONE.name == same.name != other.name


@pytest.mark.usefixtures("repository")
def test_a_finished_experiment_on_this_commit_is_not_run_again() -> None:
    head = git("rev-parse", "HEAD").strip()
    git("update-ref", f"refs/exps/{head[:2]}/{head[2:]}/{ONE.name}", head)
    # There is no DVC repository here: running anything would fail.
    assert run_experiment(ONE) == head


def test_a_change_of_the_workspace_makes_a_new_experiment(repository: Path) -> None:
    code, metrics = repository / "code.py", repository / "data" / "metrics" / "jmpose.json"
    metrics.parent.mkdir(parents=True)
    for file in (code, metrics):
        file.write_text("before")
    git("add", ".")
    git("-c", "user.name=n", "-c", "user.email=e@e", "commit", "-q", "-m", "two")
    head = git("rev-parse", "HEAD").strip()
    git("update-ref", f"refs/exps/{head[:2]}/{head[2:]}/{ONE.name}", head)
    metrics.write_text("outputs of a run do not make a new experiment")
    assert run_experiment(ONE) == head
    code.write_text("after")
    with pytest.raises(ValueError, match=rf"experiment {ONE.name}-[0-9a-f]{{8}}: expected"):
        run_experiment(ONE)


@pytest.mark.usefixtures("repository")
def test_a_failed_experiment_is_named_and_the_error_says_what_to_do() -> None:
    with pytest.raises(ValueError, match=rf"experiment {ONE.name}: expected .* run again"):
        run_experiment(ONE)


@pytest.mark.parametrize("target", ["evaluate@jmpose", "evaluate@vremd", "crop@vit-val"])
def test_the_lock_of_a_clone_holds_the_stages_that_dvc_lists_upstream_of_the_target(
    target: str, tmp_path: Path
) -> None:
    project = tmp_path / "project"
    git("clone", "-q", "--shared", str(ROOT), str(project))
    head = git("-C", str(project), "rev-parse", "HEAD").strip()
    clone = clone_at(head, (target,), project)
    locks = [YAML(typ="safe").load((root / "dvc.lock").read_text()) for root in (project, clone)]
    names = set(re.findall(r'"(\S+)"', dvc(project, "dag", "--dot", target)))
    before = locks[0]["stages"]
    assert 0 < len(names) < len(before)
    assert locks[1] == locks[0] | {"stages": {name: before[name] for name in names}}
    assert git("-C", str(clone), "rev-parse", "HEAD~1").strip() == head
    assert not git("-C", str(clone), "status", "--short")
    assert clone_at(head, (target,), project) == clone
