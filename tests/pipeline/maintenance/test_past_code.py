"""The code of older commits is found again by its digest."""

import subprocess
from pathlib import Path

import pytest

from pipeline.maintenance.past_code import past_digests, same_but_code
from pipeline.units.key import key_of, modules_digest

WHO = ["-c", "user.name=test", "-c", "user.email=test@localhost"]


def commit(project: Path, body: str | None) -> None:
    """Commit a stage with one module of its own; without a body a file that no stage imports."""
    for package in ("models", "pipeline", "stages"):
        (project / package).mkdir(exist_ok=True)
        (project / package / "__init__.py").write_text("")
    if body is None:
        (project / "models/unused.py").write_text("x = 1\n")
    else:
        (project / "pipeline/blur.py").write_text(body)
        (project / "stages/flow.py").write_text("from pipeline.blur import blur\n")
    for words in (["add", "--all"], [*WHO, "commit", "--quiet", "-m", "test"]):
        subprocess.run(["git", *words], cwd=project, check=True)


def test_every_state_of_the_stages_code_comes_once_latest_first(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    wanted = []
    for body in ("def blur(): pass\n", None, "def blur(): ...\n", "def blur(): return 1\n"):
        commit(tmp_path, body)
        if body is not None:
            wanted.insert(0, modules_digest("stages.flow", tmp_path))
    (tmp_path / "pipeline/blur.py").write_text("an edit that nobody committed")
    assert list(past_digests("stages.flow", tmp_path)) == wanted
    assert len(set(wanted)) == 3


def test_outside_a_repository_the_cure_is_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"git rev-list: .*run in a clone with its history"):
        list(past_digests("stages.flow", tmp_path))


def test_only_what_differs_in_the_code_alone_is_the_same() -> None:
    def parts(modules: str, weights: str) -> dict[str, object]:
        return {"modules": modules, "weights": weights}

    keys = {"same": key_of(parts("old", "w")), "other weights": key_of(parts("old", "v"))}
    new = dict.fromkeys(keys, parts("new", "w"))
    assert same_but_code(keys, new, iter(["newer", "old"])) == {"same"}
    assert same_but_code(keys, new, iter(["newer"])) == set()
