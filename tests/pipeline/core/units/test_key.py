"""Unit keys: everything that can change a byte changes the key, nothing else does."""

import ast
from pathlib import Path
from typing import Any

import pytest

from pipeline.core.units.closure import import_closure
from pipeline.core.units.key import (
    ORCHESTRATION,
    KeyParts,
    make_unit,
    modules_digest,
    numeric_modules,
    stage_pins,
)
from pipeline.core.units.numerics import LOCK

ROOT = Path(__file__).resolve().parents[4]
NUMERIC = {"numpy", "torch", "torchvision", "timm", "transformers", "cv2", "av", "scipy", "random"}

PARTS: dict[str, Any] = {
    "stage": "flow",
    "params": {"flow": {"variant": "raft_small", "delta": 2}},
    "modules": "ab12",
    "pins": {"torch": "2.13.0"},
    "weights": {"raft": "cd34"},
    "device": "cpu",
    "dtype": "float32",
    "batch": 8,
    "clips": "ef56",
    "frames": {"images/a/000000.jpg": "0123"},
    "inputs": {"crops/bonn/v0": "4567"},
}
CHANGES: dict[str, Any] = {
    "stage": "tokens",
    "params": {"flow": {"variant": "raft_small", "delta": 1}},
    "modules": "ab13",
    "pins": {"torch": "2.13.1"},
    "weights": {"raft": "cd35"},
    "device": "cuda",
    "dtype": "bfloat16",
    "batch": 16,
    "clips": "ef57",
    "frames": {"images/a/000001.jpg": "0123"},
    "inputs": {"crops/bonn/v1": "4567"},
}


@pytest.mark.parametrize("part", PARTS)
def test_every_part_changes_the_key(part: str) -> None:
    assert KeyParts(**PARTS).key != KeyParts(**PARTS | {part: CHANGES[part]}).key


def test_a_key_needs_every_part() -> None:
    assert set(CHANGES) == set(PARTS)
    for part in PARTS:
        with pytest.raises(TypeError, match=part):
            KeyParts(**{name: value for name, value in PARTS.items() if name != part})


def test_the_order_of_frames_changes_the_key_and_the_order_of_a_mapping_does_not() -> None:
    pins = {"torch": "2.13.0", "numpy": "2.4.6"}
    turned = dict(reversed(pins.items()))
    assert KeyParts(**PARTS | {"pins": pins}).key == KeyParts(**PARTS | {"pins": turned}).key
    frames = ["0123", "4567"]
    assert (
        KeyParts(**PARTS | {"frames": frames}).key
        != KeyParts(**PARTS | {"frames": frames[::-1]}).key
    )


def test_a_number_and_its_text_are_different_params() -> None:
    assert (
        KeyParts(**PARTS | {"params": {"x": 1}}).key
        != KeyParts(**PARTS | {"params": {"x": "1"}}).key
    )
    with pytest.raises(ValueError, match="JSON"):
        make_unit("a", KeyParts(**PARTS | {"params": {"x": float("nan")}}), 1)


def imports_of(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.partition(".")[0])
    return names


@pytest.mark.parametrize("place", sorted(ORCHESTRATION))
def test_modules_excluded_from_keys_exist_and_import_no_numeric_library(place: str) -> None:
    path = ROOT / place
    files = [path] if path.suffix else sorted(path.glob("*.py"))
    assert files
    for file in files:
        assert not imports_of(file) & NUMERIC, file


def test_a_build_imports_only_orchestration_and_the_store() -> None:
    built = import_closure("pipeline.core.publishing.build", ROOT)
    numeric = {
        path.as_posix()
        for path in built
        if not {path.as_posix(), path.parent.as_posix()} & ORCHESTRATION
    }
    assert numeric == {
        "pipeline/__init__.py",
        "pipeline/core/__init__.py",
        "pipeline/core/store/__init__.py",
        "pipeline/core/store/mapped_shards.py",
        "pipeline/core/store/reader.py",
        "pipeline/core/store/shards.py",
    }


@pytest.fixture
def code(tmp_path: Path) -> Path:
    files = {
        "stages/__init__.py": "",
        "stages/flow.py": "import numpy, pipeline.affine\n"
        "import pipeline.core.units.progress, pipeline.core.publishing.build",
        "pipeline/__init__.py": "",
        "pipeline/affine.py": "import cv2",
        "pipeline/core/units/progress.py": "",
        "pipeline/core/publishing/build.py": "import pipeline.only_for_build",
        "pipeline/only_for_build.py": "import torch",
        LOCK: (ROOT / LOCK).read_text(encoding="utf-8"),
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_a_numeric_module_is_part_of_the_key_and_an_orchestrating_one_is_not(code: Path) -> None:
    before = modules_digest("stages.flow", code)
    for file in (
        "pipeline/core/units/progress.py",
        "pipeline/core/publishing/build.py",
        "pipeline/only_for_build.py",
    ):
        (code / file).write_text("edited = 1\n")
        assert modules_digest("stages.flow", code) == before
    for file in ("pipeline/affine.py", "stages/flow.py"):
        (code / file).write_text((code / file).read_text() + "\nedited = 1\n")
        assert modules_digest("stages.flow", code) != before
        before = modules_digest("stages.flow", code)


def test_several_modules_have_the_union_of_their_closures(code: Path) -> None:
    (code / "models/heads/fuse").mkdir(parents=True)
    for name in ("__init__", "head", "network"):
        (code / f"models/heads/fuse/{name}.py").write_text("")
    both = [path.as_posix() for path in numeric_modules(["stages.flow", "models.heads.fuse"], code)]
    alone = [path.as_posix() for path in numeric_modules("stages.flow", code)]
    folder = [f"models/heads/fuse/{name}.py" for name in ("__init__", "head", "network")]
    assert both == sorted([*alone, *folder])
    before = modules_digest(["stages.flow", "models.heads.fuse"], code)
    assert before == modules_digest(["models.heads.fuse", "stages.flow"], code)
    (code / "models/heads/fuse/network.py").write_text("edited = 1")
    assert modules_digest(["stages.flow", "models.heads.fuse"], code) != before


def test_a_renamed_numeric_module_changes_the_digest(code: Path) -> None:
    before = modules_digest("stages.flow", code)
    (code / "pipeline/affine.py").rename(code / "pipeline/warp.py")
    text = (code / "stages/flow.py").read_text()
    (code / "stages/flow.py").write_text(text.replace("affine", "warp"))
    assert modules_digest("stages.flow", code) != before


def test_pins_and_modules_are_those_of_the_numeric_closure(code: Path) -> None:
    assert set(stage_pins("stages.flow", code)) == {"python", "numpy", "opencv-python-headless"}
    assert [path.as_posix() for path in numeric_modules("stages.flow", code)] == [
        "pipeline/__init__.py",
        "pipeline/affine.py",
        "stages/__init__.py",
        "stages/flow.py",
    ]
