"""Digests of the code of older commits, computed by that code."""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.core.units.key import KeyParts
from pipeline.maintenance.past_code import PastCode, past_code, same_but_code

AUTHOR = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
RULE = """
def modules_digest(module, root):
    return "{rule} " + (root / "pipeline/blur.py").read_text() + str(module)

def stage_pins(module, root):
    return {{"numpy": (root / "numerics.lock").read_text()}}
"""


def commit(project: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(text)
    for arguments in (["add", "--all"], [*AUTHOR, "commit", "--quiet", "-m", "test"]):
        subprocess.run(["git", *arguments], cwd=project, check=True)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a repository whose rule for digests moved; its first commit has no rule."""
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    commit(tmp_path, {"pipeline/__init__.py": "", "numerics.lock": "1"})
    commit(tmp_path, {"pipeline/units.py": RULE.format(rule="bytes"), "pipeline/blur.py": "a"})
    commit(tmp_path, {"models/unused.py": "x = 1\n"})
    commit(tmp_path, {"pipeline/blur.py": "b", "numerics.lock": "2"})
    (tmp_path / "pipeline/units.py").unlink()
    rule = RULE.format(rule="syntax")
    commit(tmp_path, {"pipeline/core/units/key.py": rule, "pipeline/core/units/__init__.py": ""})
    (tmp_path / "pipeline/blur.py").write_text("an uncommitted edit")
    return tmp_path


def test_each_state_of_the_code_appears_once_latest_first_with_its_own_digest(
    project: Path,
) -> None:
    assert list(past_code(["stages.flow"], project)) == [
        PastCode("syntax bstages.flow", {"numpy": "2"}),
        PastCode("bytes bstages.flow", {"numpy": "2"}),
        PastCode("bytes astages.flow", {"numpy": "1"}),
    ]


def test_several_modules_have_one_digest(project: Path) -> None:
    latest = next(past_code(["stages.flow", "models.raft"], project))
    assert latest.modules == "syntax b['stages.flow', 'models.raft']"


def test_outside_a_repository_the_error_has_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"git rev-list: .*run in a clone with its history"):
        list(past_code(["stages.flow"], tmp_path))


def test_only_units_whose_keys_differ_in_the_code_alone_are_returned() -> None:
    new = KeyParts(
        stage="flow", params={}, modules="new", pins={"numpy": "1", "av": "1"}, weights={},
        device="cpu", dtype="float32", batch=1, clips="", frames={}, inputs={},
    )  # fmt: skip
    old = PastCode("old", {"numpy": "1"})
    old_parts = replace(new, modules=old.modules, pins=old.pins)
    keys = {
        "same": old_parts.key,
        "other weights": replace(old_parts, weights={"raft": "v"}).key,
        "other device": replace(old_parts, device="cuda").key,
    }
    parts = dict.fromkeys(keys, new)
    assert same_but_code(keys, parts, [PastCode("newer", {}), old]) == {"same"}
    assert same_but_code(keys, parts, [PastCode("newer", {})]) == set()
