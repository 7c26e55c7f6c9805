"""Commands of git and files of a commit."""

import subprocess
from pathlib import Path

import pytest

from pipeline.report.git import run_git, unpack


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    project = tmp_path / "project"
    for name in ("stages/a.py", "stages_old/b.py", "data/metrics/vit.json", "data/metrics2.json"):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(f"{name}: one\n")
    git(project, "init", "--quiet")
    git(project, "add", ".")
    git(project, "-c", "user.name=n", "-c", "user.email=e@e", "commit", "--quiet", "--message=one")
    (project / "stages/a.py").write_text("two\n")
    return project


def git(project: Path, *words: str) -> None:
    subprocess.run(["git", *words], cwd=project, check=True)


def test_only_the_requested_files_of_a_commit_are_unpacked(
    repository: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "folder"
    unpack(repository, "HEAD", ("stages", "data/metrics", "models"), folder)
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert found == {"stages/a.py", "data/metrics/vit.json"}
    assert (folder / "stages/a.py").read_text() == "stages/a.py: one\n"


def test_an_error_of_git_is_reported_with_its_reason(repository: Path) -> None:
    with pytest.raises(ValueError, match=r"git archive: .*run in a clone with its history"):
        run_git(repository, "archive", "no-such-commit")
