"""Command status: stages that are done, open, failed or interrupted, and the state of git."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pipeline.core.publishing.build import FailedUnitsError
from pipeline.core.units.options import RunOptions
from pipeline.core.units.receipts import seal
from pipeline.core.units.scratch import find_scratch
from pipeline.maintenance.git_state import advise
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


def status(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == 0, result.output
    return result.stdout


def stage_states() -> dict[str, Any]:
    content = json.loads(status("--json"))
    return {stage["name"]: stage for stage in content["stages"]}


def test_a_stage_is_done_when_its_output_is_in_dvc_lock(project: Path) -> None:
    assert stage_states()["toy"] | {"bytes": 0} == {
        "name": "toy", "state": "open", "done": 0, "total": None, "bytes": 0, "error": "",
    }  # fmt: skip
    run_stage(project, ["a/v0", "b/v0"])
    assert stage_states()["toy"]["state"] == "open"
    (project / "dvc.lock").write_text(LOCK)
    found = stage_states()
    sizes = [path.stat().st_size for path in (project / "data").rglob("*") if path.is_file()]
    assert found["toy"] == {
        "name": "toy", "state": "done", "done": 2, "total": 2, "bytes": sum(sizes), "error": "",
    }  # fmt: skip
    assert found["later"]["state"] == "open"
    assert "1 done, 1 open, 0 failed" in status()


def test_units_of_an_unfinished_build_are_counted(project: Path) -> None:
    run_stage(project, ["a/v0", "b/v0", "c/v0"], options=RunOptions(part=(0, 2)))
    toy = stage_states()["toy"]
    assert (toy["state"], toy["done"], toy["total"]) == ("open", 2, 3)


def test_a_failed_unit_is_shown_with_its_error_until_it_is_replaced(
    project: Path,
) -> None:
    with pytest.raises(FailedUnitsError):
        run_stage(project, ["a/v0", "faulty/v0"])
    toy = stage_states()["toy"]
    assert (toy["state"], toy["done"], toy["total"]) == ("failed", 1, 2)
    assert toy["error"] == "faulty/v0: RuntimeError: cannot do faulty/v0"
    assert "last error: faulty/v0: RuntimeError" in status()
    run_stage(project, ["a/v0"])
    assert stage_states()["toy"]["error"] == ""


def test_times_disk_use_locks_and_open_runs_are_shown(project: Path) -> None:
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


def test_a_missing_dvc_yaml_gives_an_error(project: Path) -> None:
    (project / "dvc.yaml").unlink()
    result = CliRunner().invoke(app, [])
    assert result.exit_code == 1
    assert "dvc.yaml: expected the DAG" in result.stderr


def git(project: Path, *arguments: str) -> None:
    author = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
    subprocess.run(["git", *author, *arguments], cwd=project, check=True, capture_output=True)


def test_the_printed_commands_clean_up_after_a_killed_experiment(
    project: Path,
) -> None:
    assert advise(project) == []
    (project / "params.yaml").write_text("toy: {a: 1}\n")
    git(project, "init", "--initial-branch=work")
    git(project, "add", "params.yaml")
    git(project, "commit", "--message=test")
    assert advise(project) == []
    # `dvc exp run` changes the workspace like this before its stages run (DVC 3.67.1).
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


@pytest.fixture
def repository(project: Path) -> Path:
    """Return the project as a git repository with one commit."""
    (project / "params.yaml").write_text("toy: {a: 1}\n")
    git(project, "init", "--initial-branch=work")
    git(project, "add", "params.yaml")
    git(project, "commit", "--message=test")
    return project


def test_a_detached_head_without_refs_of_an_experiment_is_the_users_own(
    repository: Path, tmp_path: Path
) -> None:
    git(repository, "worktree", "add", "--detach", str(tmp_path / "other"))
    assert advise(tmp_path / "other") == []
    # The refs of an experiment that was killed in the repository are visible in its worktrees.
    git(repository, "commit", "--allow-empty", "--message=later")
    git(repository, "update-ref", "refs/exps/exec/EXEC_HEAD", "HEAD")
    assert [advice.what for advice in advise(tmp_path / "other")] == [
        "refs of an unfinished experiment"
    ]


def test_while_an_experiment_runs_no_command_is_offered(repository: Path) -> None:
    git(repository, "checkout", "--detach")
    git(repository, "update-ref", "refs/exps/exec/EXEC_HEAD", "HEAD")
    with running(repository, "dvc", "exp", "run") as pid:
        (advice,) = advise(repository)
        assert advice.what == f"an experiment is running (process {pid}: its state)"
        assert advice.commands == ()
        assert f"git: {advice.what}\n" in status()
    assert "git switch work" in [c for advice in advise(repository) for c in advice.commands]


@contextmanager
def running(folder: Path, *words: str) -> Iterator[int]:
    """Run a process with some arguments in a folder and yield its id."""
    command = [sys.executable, "-c", "print(flush=True); import time; time.sleep(600)", *words]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    try:
        yield process.pid
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_copies_and_the_stash_of_killed_experiments_are_named_and_removed_by_gc(
    repository: Path,
) -> None:
    copy = repository / ".dvc/tmp/exps/standalone/tmp1"
    copy.mkdir(parents=True)
    (copy / "params.yaml").write_text("toy: {a: 2}\n")
    git(repository, "update-ref", "refs/exps/stash", "HEAD")
    shown = "git: 1 temporary copies and 1 stash of killed experiments; run:\n    posereel gc --yes"
    assert shown in status()
    gc = load("gc")
    with running(copy, "dvc", "exp", "run"):
        assert "would remove (--yes does) 0 folders" in CliRunner().invoke(gc, []).stdout
    listed = CliRunner().invoke(gc, []).stdout
    assert "exp: refs/exps/stash, the stash of killed experiments" in listed
    assert "exp: 1 experiments, 0.0 MB" in listed
    assert copy.exists()
    assert CliRunner().invoke(gc, ["--yes"]).exit_code == 0
    assert not copy.exists()
    assert advise(repository) == []
