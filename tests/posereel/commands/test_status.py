"""What status says of stages that are done, open, failed or interrupted, and of git."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pipeline.maintenance.git_state import advise
from pipeline.publishing.build import FailedUnitsError
from pipeline.units.options import RunOptions
from pipeline.units.receipts import seal
from pipeline.units.scratch import find_scratch
from posereel.cli import load
from tests.pipeline.toy_stage import make_project, run_stage

app = load("status")

OUT, LISTING = "data/toy/train", "data/units/toy/train.json"
DAG = f"""
stages:
  toy: {{cmd: python -m stages.toy, outs: [{OUT}, {LISTING}]}}
  later: {{cmd: python -m stages.later, outs: [data/later]}}
"""
LOCK = f"stages: {{toy: {{cmd: x, outs: [{{path: {OUT}, md5: a}}, {{path: {LISTING}, md5: b}}]}}}}"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    project = make_project(tmp_path / "repo")
    (project / "dvc.yaml").write_text(DAG)
    monkeypatch.chdir(project)
    return project


def status(*words: str) -> str:
    result = CliRunner().invoke(app, list(words))
    assert result.exit_code == 0, result.output
    return result.stdout


def standing() -> dict[str, Any]:
    content = json.loads(status("--json"))
    return {stage["name"]: stage for stage in content["stages"]}


def test_a_stage_is_done_once_dvc_has_locked_what_it_published(project: Path) -> None:
    assert standing()["toy"] | {"bytes": 0} == {
        "name": "toy", "state": "open", "done": 0, "total": None, "bytes": 0, "error": "",
    }  # fmt: skip
    run_stage(project, ["a/v0", "b/v0"])
    assert standing()["toy"]["state"] == "open"
    (project / "dvc.lock").write_text(LOCK)
    found = standing()
    sizes = [path.stat().st_size for path in (project / "data").rglob("*") if path.is_file()]
    assert found["toy"] == {
        "name": "toy", "state": "done", "done": 2, "total": 2, "bytes": sum(sizes), "error": "",
    }  # fmt: skip
    assert found["later"]["state"] == "open"
    assert "1 done, 1 open, 0 failed" in status()


def test_units_of_an_unfinished_build_are_counted(project: Path) -> None:
    run_stage(project, ["a/v0", "b/v0", "c/v0"], options=RunOptions(part=(0, 2)))
    toy = standing()["toy"]
    assert (toy["state"], toy["done"], toy["total"]) == ("open", 2, 3)


def test_a_unit_that_was_given_up_is_shown_with_its_reason_until_it_is_whole(
    project: Path,
) -> None:
    with pytest.raises(FailedUnitsError):
        run_stage(project, ["a/v0", "faulty/v0"])
    toy = standing()["toy"]
    assert (toy["state"], toy["done"], toy["total"]) == ("failed", 1, 2)
    assert toy["error"] == "faulty/v0: RuntimeError: cannot do faulty/v0"
    assert "last error: faulty/v0: RuntimeError" in status()
    run_stage(project, ["a/v0"])
    assert standing()["toy"]["error"] == ""


def test_times_disk_locks_and_open_runs_are_told(project: Path) -> None:
    run_stage(project, ["a/v0", "b/v0"])
    scratch = find_scratch(project)
    run = scratch.unit_folder("train_toy", "k" * 64)
    (run / "files").mkdir(parents=True)
    (run / "timings.csv").write_text("step,wait_s,compute_s\n1,0.1,0.2\n25,0.1,0.2\n")
    with scratch.lock("toy-unit"):
        content = json.loads(status("--json"))
    assert content["running"] == ["toy-unit"]
    assert content["open_runs"] == [{"stage": "train_toy", "key": "k" * 64, "steps": 25}]
    assert content["timings"][0]["stage"] == "toy"
    assert content["timings"][0]["units"] == 2
    assert content["disk"]["outs"] > 0
    assert "train_toy: a run was interrupted after step 25" in status()
    seal(run, "jmpose")
    assert json.loads(status("--json"))["open_runs"] == []


def test_the_page_of_timings_is_written_on_request(project: Path) -> None:
    run_stage(project, ["a/v0", "b/v0"])
    page = project / "data/report/timings.html"
    status()
    assert not page.exists()
    status("--page")
    assert "units computed" in page.read_text()


def test_without_a_dag_one_line_says_so(project: Path) -> None:
    (project / "dvc.yaml").unlink()
    result = CliRunner().invoke(app, [])
    assert result.exit_code == 1
    assert "dvc.yaml: expected the DAG" in result.stderr


def git(project: Path, *words: str) -> None:
    who = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
    subprocess.run(["git", *who, *words], cwd=project, check=True, capture_output=True)


def test_what_a_killed_experiment_left_in_git_is_mended_by_the_commands_given(
    project: Path,
) -> None:
    assert advise(project) == []
    (project / "params.yaml").write_text("toy: {a: 1}\n")
    git(project, "init", "--initial-branch=work")
    git(project, "add", "params.yaml")
    git(project, "commit", "--message=test")
    assert advise(project) == []
    # What `dvc exp run` does to the workspace before its stages run (DVC 3.67.1).
    git(project, "checkout", "--detach")
    git(project, "update-ref", "refs/exps/exec/EXEC_HEAD", "HEAD")
    git(project, "update-ref", "refs/exps/exec/EXEC_BASELINE", "HEAD")
    (project / "params.yaml").write_text("toy: {a: 2}\n")
    git(project, "add", "params.yaml")
    shown = status()
    assert "git: HEAD is on no branch" in shown
    commands = [command for advice in advise(project) for command in advice.commands]
    assert "git switch work" in commands
    for command in commands:
        if command.startswith("git "):
            git(project, *command.split()[1:])
    assert advise(project) == []
    assert (project / "params.yaml").read_text() == "toy: {a: 1}\n"
