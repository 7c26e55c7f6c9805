"""Readers of DVC's files against DVC itself."""

from pathlib import Path

import pytest

from pipeline.core.dvc_files import files_of, object_path, read_added, read_config, read_lock
from tests.stages.toy_repository import (
    LISTING,
    NAMES,
    OUT,
    SHARD,
    dvc,
    isolate_dvc,
    make_repository,
)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dvc_files")
    with pytest.MonkeyPatch.context() as patch:
        isolate_dvc(folder, patch)
        repository = make_repository(folder / "repository")
        dvc(repository, "remote", "add", "lab", "ssh://lab/store")
        dvc(repository, "remote", "modify", "lab", "verify", "true")
        (repository / "data/weights.bin").write_bytes(b"weights")
        dvc(repository, "add", "--quiet", "data/weights.bin")
    return repository


def test_settings_equal_those_that_dvc_prints(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    isolate_dvc(project.parent, monkeypatch)
    printed = dict(line.split("=", 1) for line in dvc(project, "config", "--list").splitlines())
    settings = read_config(project)
    assert settings["cache"]["type"] == printed["cache.type"] == "hardlink"
    assert settings['remote "lab"']["url"] == printed["remote.lab.url"]
    assert settings['remote "lab"']["verify"] == printed["remote.lab.verify"] == "true"


def test_the_lock_names_the_objects_that_the_outputs_are_linked_to(project: Path) -> None:
    (stage,) = read_lock(project)
    assert stage.name == "toy"
    assert set(stage.outs) == {OUT, LISTING}
    cache = project / ".dvc/cache"
    files = files_of(cache, stage.outs[OUT])
    assert files is not None
    assert set(files) == {
        path.relative_to(project / OUT).as_posix()
        for path in (project / OUT).rglob("*")
        if path.is_file()
    }
    for name, digest in files.items():
        assert object_path(cache, digest).samefile(project / OUT / name)
    assert len([name for name in files if name.endswith(SHARD)]) == len(NAMES)


def test_a_file_of_dvc_add_is_a_stage_without_a_command(project: Path) -> None:
    (added,) = read_added(project)
    assert added.name == "data/weights.bin.dvc"
    assert added.command == ()
    cached = object_path(project / ".dvc/cache", added.outs["data/weights.bin"])
    assert cached.read_bytes() == b"weights"


def test_a_missing_lock_has_no_stages(tmp_path: Path) -> None:
    assert read_lock(tmp_path) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stages: [", "expected what DVC recorded of the last run, got while parsing"),
        ("", "got 'NoneType' object is not subscriptable; restore the file"),
        (
            "stages:\n<<<<<<< HEAD\n  a: {}\n=======\n  b: {}\n>>>>>>> theirs\n",
            r"got a conflict of git \('<<<<<<< HEAD'\); .* resolve the merge, then run: dvc repro",
        ),
    ],
)
def test_a_malformed_lock_is_named_with_the_cure(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "dvc.lock").write_text(text)
    with pytest.raises(ValueError, match=rf"(?s)dvc.lock: .*{message}"):
        read_lock(tmp_path)
