"""In CI, a test that is skipped although its data is present fails."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TESTS = """
import pytest

def test_with_real_data(shared):
    pytest.skip("a file is missing")

@pytest.mark.parametrize("case", [])
def test_with_official_numbers(case):
    pass

def test_with_an_optional_library():
    pytest.importorskip("no_such_extra")
"""


@pytest.mark.parametrize(
    ("ci", "present", "expected"),
    [
        # A test without parameters is skipped at setup, so its failure counts as an error.
        ("1", True, "1 error, 1 failed, 1 skipped"),
        ("1", False, "3 skipped"),
        ("", True, "3 skipped"),
    ],
)
def test_a_skip_fails_in_ci_only_if_the_data_is_present(
    ci: str, present: bool, expected: str, tmp_path: Path
) -> None:
    tests = tmp_path / "project/tests"
    tests.mkdir(parents=True)
    shutil.copy(ROOT / "tests/conftest.py", tests)
    (tests / "test_skips.py").write_text(TESTS)
    if present:
        (tmp_path / "shared").mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tests)],
        cwd=tests,
        capture_output=True,
        text=True,
        env=os.environ | {"CI": ci, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    counts = sorted(done.stdout.splitlines()[-1].partition(" in ")[0].split(", "))
    assert ", ".join(counts) == expected
