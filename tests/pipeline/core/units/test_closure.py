"""The import closure against what Python itself opens."""

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.core.units.closure import import_closure, third_party

ROOT = Path(__file__).resolve().parents[4]


def names(paths: list[Path]) -> list[str]:
    return [path.as_posix() for path in paths]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    files = {
        "stages/__init__.py": '"""Stages."""',
        "stages/flow.py": "import json, cv2\nfrom pipeline import boxes\nimport pipeline.deep.a",
        "pipeline/__init__.py": "",
        "pipeline/boxes.py": (
            "from typing import TYPE_CHECKING\n"
            "from pipeline.affine import matrix\n"
            "if TYPE_CHECKING:\n    import pipeline.typed\nelse:\n    import pipeline.untyped\n"
        ),
        "pipeline/affine.py": "import numpy as np\ndef f():\n    import pipeline.late\nmatrix = 1",
        "pipeline/late.py": "from pipeline import boxes",
        "pipeline/typed.py": "",
        "pipeline/untyped.py": "",
        "pipeline/unused.py": "import torch",
        "pipeline/deep/__init__.py": "",
        "pipeline/deep/a.py": "import xml.dom as d",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_the_closure_contains_all_imported_files_and_their_packages(project: Path) -> None:
    assert names(import_closure("stages.flow", project)) == [
        "pipeline/__init__.py",
        "pipeline/affine.py",
        "pipeline/boxes.py",
        "pipeline/deep/__init__.py",
        "pipeline/deep/a.py",
        "pipeline/late.py",
        "pipeline/untyped.py",
        "stages/__init__.py",
        "stages/flow.py",
    ]


def test_third_party_names_exclude_the_project_and_the_standard_library(project: Path) -> None:
    assert third_party("stages.flow", project) == {"cv2", "numpy"}


def test_files_that_only_a_stopped_file_imports_are_excluded(project: Path) -> None:
    stopped = import_closure("stages.flow", project, {"pipeline/affine.py", "pipeline/untyped.py"})
    assert "pipeline/late.py" not in names(stopped)
    assert "pipeline/boxes.py" in names(stopped)
    assert third_party("stages.flow", project, {"pipeline/affine.py"}) == {"cv2"}


def test_a_missing_module_is_an_error_with_its_name(project: Path) -> None:
    with pytest.raises(ValueError, match=r"stages\.wave: no module"):
        import_closure("stages.wave", project / "pipeline")


def test_a_relative_import_is_an_error_with_its_line(project: Path) -> None:
    (project / "pipeline/affine.py").write_text("import numpy\nfrom . import boxes\n")
    with pytest.raises(ValueError, match=r"affine\.py:2: relative import"):
        import_closure("stages.flow", project)


@pytest.mark.parametrize(
    "module",
    [
        "pipeline.core.store.reader",
        "pipeline.core.publishing.build",
        "pipeline.core.tables.parquet",
    ],
)
def test_python_loads_no_project_file_outside_the_closure(module: str) -> None:
    program = (
        f"import sys, {module}\n"
        "for m in list(sys.modules.values()):\n"
        "    print(getattr(m, '__file__', None) or '')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = {Path(line) for line in done.stdout.splitlines()}
    project = {
        path.relative_to(ROOT).as_posix()
        for path in loaded
        if path.is_relative_to(ROOT) and not path.is_relative_to(ROOT / ".venv")
    }
    closure = set(names(import_closure(module, ROOT)))
    assert project <= closure
    # What Python did not load is imported inside a function.
    assert closure - project <= {"pipeline/core/units/ray_engine.py"}
