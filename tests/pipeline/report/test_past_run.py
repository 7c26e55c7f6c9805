"""An earlier run is read from git and from the cache that DVC wrote."""

import subprocess
from pathlib import Path

import pytest

from pipeline.report.past_run import find_commit, restore_run
from tests.stages.toy_repository import dvc, isolate_dvc

WHO = ("-c", "user.name=test", "-c", "user.email=test@localhost")
FILES = {
    "data/evaluation/hrnet/videos.parquet": "videos {}",
    "data/evaluation/hrnet/curves.parquet": "the same",
    "data/predictions/hrnet/val/a/b.json": "joints {}",
}
DAG = """
stages:
  predict:
    cmd: make
    outs: [data/evaluation/hrnet, data/predictions/hrnet/val, data/runs]
    metrics: [data/metrics/hrnet.json: {cache: false}]
"""


def git(project: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", *WHO, *words], cwd=project, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def write(project: Path, version: int) -> None:
    """Write the files of a run and commit them to DVC and git."""
    files = FILES | {"data/runs/large.bin": "{}", "data/metrics/hrnet.json": "{}"}
    files["params.yaml"] = "version: {}"
    for name, content in files.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).unlink(missing_ok=True)
        (project / name).write_text(content.format(version))
    dvc(project, "commit", "--force", "--quiet")
    git(project, "add", "--all")
    git(project, "commit", "--quiet", "--message", f"run {version}")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a repository with two runs, the second one in the workspace."""
    project = tmp_path_factory.mktemp("past") / "project"
    project.mkdir()
    git(project, "init", "--quiet")
    with pytest.MonkeyPatch.context() as patch:
        isolate_dvc(project.parent, patch)
        dvc(project, "init", "--quiet")
        # DVC looks for the objects of a commit in the remote that this commit names.
        remote = "[core]\n    remote = team\n['remote \"team\"']\n    url = ../../remote\n"
        (project / ".dvc/config").write_text(remote)
        (project / "dvc.yaml").write_text(DAG)
        (project / ".gitignore").write_text("/data/evaluation\n/data/predictions\n/data/runs\n")
        git(project, "add", "--all")
        git(project, "commit", "--quiet", "--message", "no run yet")
        for version in (1, 2):
            write(project, version)
    return project


def contents(folder: Path) -> dict[str, str]:
    return {name: (folder / name).read_text() for name in FILES}


def test_the_files_of_both_runs_are_recreated(template: Path, tmp_path: Path) -> None:
    for version, revision in ((1, "HEAD~1"), (2, git(template, "rev-parse", "HEAD"))):
        folder = tmp_path / str(version)
        folder.mkdir()
        restore_run(template, template / ".dvc/cache", revision, folder)
        assert contents(folder) == {name: text.format(version) for name, text in FILES.items()}
        assert (folder / "data/metrics/hrnet.json").read_text() == str(version)
        assert (folder / "params.yaml").read_text() == f"version: {version}"
        # Weights and stores are not needed.
        assert not (folder / "data/runs").exists()
    assert not git(template, "status", "--porcelain")


def test_an_experiment_is_found_by_its_name(template: Path) -> None:
    commit, other = (git(template, "rev-parse", name) for name in ("HEAD~1", "HEAD"))
    for name, base in (("lively-frog", other), ("twice", commit), ("twice", other)):
        git(template, "update-ref", f"refs/exps/{base[:2]}/{base[2:]}/{name}", base)
    assert find_commit(template, "lively-frog") == other
    assert find_commit(template, "HEAD~1") == commit
    with pytest.raises(ValueError, match=r"^twice: expected a commit, .* found 2; git log"):
        find_commit(template, "twice")
    with pytest.raises(ValueError, match=r"^frog: expected a commit, .* found none; git log"):
        find_commit(template, "frog")


def test_a_commit_without_a_run_is_refused(template: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="HEAD~2: expected a commit of a finished run"):
        restore_run(template, template / ".dvc/cache", "HEAD~2", tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_command_in_the_message_fetches_missing_objects(
    template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    isolate_dvc(tmp_path, monkeypatch)
    project = tmp_path / "project"
    subprocess.run(["cp", "--archive", str(template), str(project)], check=True)
    dvc(project, "push", "--all-commits", "--quiet")
    cache = project / ".dvc/cache"
    objects = [path for path in (cache / "files/md5").rglob("*") if path.is_file()]
    lists = [path for path in objects if path.suffix == ".dir" and b"b.json" in path.read_bytes()]
    files = [path for path in objects if path.read_bytes() == b"videos 1"]
    for number, lost in enumerate((lists, files)):
        for path in lost:
            path.unlink()
        (tmp_path / str(number)).mkdir()
        with pytest.raises(ValueError, match=rf"HEAD~1: .*\({number + 1} folders, first") as error:
            restore_run(project, cache, "HEAD~1", tmp_path / str(number))
    words = str(error.value).split("dvc fetch ")[1].split(",")[0].split()
    # This repository has one stage for both.
    dvc(project, "fetch", *(word for word in words if word != "evaluate"))
    (tmp_path / "again").mkdir()
    restore_run(project, cache, "HEAD~1", tmp_path / "again")
    assert contents(tmp_path / "again") == {n: text.format(1) for n, text in FILES.items()}
