"""The command new-head: its files are valid and formatted, and nothing is written on an error."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner, Result

from models.head_parts.lookup import all_systems
from posereel.cli import load

ROOT = Path(__file__).resolve().parents[3]
READS = ("heatmaps", "flow", "heatmaps,flow", "heatmaps,features", "tokens")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in ("dvc.yaml", "params.yaml", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    shutil.copytree(ROOT / "presets", tmp_path / "presets")
    return tmp_path


def write(project: Path, *words: str) -> Result:
    result = CliRunner().invoke(load("new-head"), [*words, "--root", str(project)])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def content(project: Path) -> dict[str, bytes]:
    files = (path for path in project.rglob("*") if path.is_file())
    return {path.relative_to(project).as_posix(): path.read_bytes() for path in files}


@pytest.mark.parametrize("reads", READS)
def test_the_files_of_a_new_head_are_linted_formatted_and_pass_their_test(
    project: Path, reads: str
) -> None:
    result = write(project, "my_head", "--reads", reads)
    assert result.exit_code == 0, result.output
    made = [name for name in content(project) if "my_head" in name]
    assert len(made) == 4
    shutil.copytree(ROOT / "models/head_parts", project / "models/head_parts")
    for package in ("models", "models/heads"):
        shutil.copy(ROOT / package / "__init__.py", project / package / "__init__.py")
    for words in (
        ["ruff", "check", *made],
        ["ruff", "format", "--check", *made],
        ["pytest", "-q", "-p", "no:cacheprovider", "tests"],
    ):
        done = subprocess.run(
            [sys.executable, "-m", *words], cwd=project, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_params_presets_and_dvc_yaml_get_one_entry_each(project: Path) -> None:
    before = content(project)
    assert write(project, "my_head", "--reads", "heatmaps,flow").exit_code == 0
    after = content(project)
    section = b"train_my_head:\n  weights: none\n  schedule: jmpose\n  channels: 32\n"
    for name in ["params.yaml", *(n for n in before if n.startswith("presets/"))]:
        assert after[name].replace(section, b"") == before[name]
        assert after[name] != before[name]
    lines = set(after["dvc.yaml"].splitlines()) - set(before["dvc.yaml"].splitlines())
    assert len(lines) == 1
    stages = YAML(typ="safe").load(after["dvc.yaml"])["stages"]
    for stage in ("train", "predict", "evaluate"):
        assert stages[stage]["foreach"]["my_head"] == {
            "input": "hrnet",
            "caches": ["heatmaps", "flow"],
            "schedule": "${train_my_head.schedule}",
            "weights": "${train_my_head.weights}",
        }


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["jmpose"], "models/heads/jmpose: expected a new name"),
        (["My-Head"], "'My-Head': expected a name of small letters"),
        (["class"], "'class': expected a name of small letters"),
        (["../evil"], "expected a name of small letters"),
        (["my_head", "--reads", "masks"], "got 'masks'"),
        (["my_head", "--reads", "heatmaps,tokens"], "expected tokens alone"),
        (["my_head", "--reads", "heatmaps,flow,features"], "expected at most 2 caches"),
    ],
)
def test_wrong_names_and_inputs_are_refused_and_nothing_is_written(
    project: Path, words: list[str], message: str
) -> None:
    before = content(project)
    result = write(project, *words)
    assert result.exit_code == 1
    assert message in result.stderr
    assert content(project) == before


def test_a_file_that_is_in_the_way_is_named_and_nothing_is_written(project: Path) -> None:
    (project / "tests/models/heads/my_head").mkdir(parents=True)
    (project / "tests/models/heads/my_head/test_network.py").write_text("")
    before = content(project)
    result = write(project, "my_head")
    assert "tests/models/heads/my_head/test_network.py: expected no such file" in result.stderr
    assert content(project) == before
    assert "my_head" not in all_systems()
