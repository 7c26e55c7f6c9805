"""Digests of source files: what changes the code changes them, prose and formatting do not."""

import ast
from pathlib import Path

import pytest

from pipeline.core.units.syntax import read_source

ROOT = Path(__file__).resolve().parents[4]
CODE = '''"""The module."""

import numpy as np

SCALE = 2.0
"""Scale of a cell."""


class Grid:
    """A grid."""

    step: int = 4
    """Step, pixels."""

    def cells(self, pixels: int) -> int:
        """Return the number of cells."""
        if pixels < 0:
            """Nothing to do."""
            raise ValueError("negative")
        return pixels // self.step  # whole cells only
'''
PROSE = [
    ('"""The module."""', '"""Another title."""'),
    ('"""The module."""\n\n', ""),
    ('"""Scale of a cell."""', '"""Scale."""'),
    ('    """Step, pixels."""\n', ""),
    ('"""Return the number of cells."""', '"""Count cells.\n\n        In full.\n        """'),
    ('            """Nothing to do."""\n', ""),
    ("  # whole cells only", ""),
    ("import numpy as np", "# numpy\n\n\nimport numpy as np"),
    ("pixels // self.step", "(pixels\n            // self.step)"),
    ('"negative"', "'negative'"),
    ("2.0", "2.00"),
]
MEANING = [
    ("SCALE = 2.0", "SCALE = 2.5"),
    ("SCALE", "SIZE"),
    ("numpy as np", "numpy as numbers"),
    ("step: int = 4", "step: int = 8"),
    ("pixels // self.step", "pixels / self.step"),
    ("pixels < 0", "pixels <= 0"),
    ('"negative"', '"below 0"'),
    ("class Grid", "class Raster"),
]


def digest(text: str, folder: Path) -> str:
    file = folder / "grid.py"
    file.write_text(text)
    return read_source(file).digest


@pytest.mark.parametrize(("old", "new"), PROSE)
def test_prose_and_formatting_change_no_digest(tmp_path: Path, old: str, new: str) -> None:
    assert CODE.count(old) == 1
    edited = CODE.replace(old, new)
    ast.parse(edited)
    assert digest(edited, tmp_path) == digest(CODE, tmp_path)


@pytest.mark.parametrize(("old", "new"), MEANING)
def test_every_edit_of_the_code_changes_the_digest(tmp_path: Path, old: str, new: str) -> None:
    assert old in CODE
    assert digest(CODE.replace(old, new, 1), tmp_path) != digest(CODE, tmp_path)


def test_a_string_in_an_expression_changes_the_digest(tmp_path: Path) -> None:
    one, two = 'TEXT = "a"\n', 'TEXT = "b"\n'
    assert digest(one, tmp_path) != digest(two, tmp_path)
    assert digest('print("a")\n', tmp_path) != digest('print("b")\n', tmp_path)


def test_unparsed_source_files_have_the_same_digests(
    tmp_path: Path,
) -> None:
    for path in sorted((ROOT / "pipeline/core/units").glob("*.py")):
        text = path.read_text(encoding="utf-8")
        # ast.unparse drops all comments and normalizes the formatting.
        assert digest(ast.unparse(ast.parse(text)), tmp_path) == read_source(path).digest, path
